"""Speech from Flask: the whole of a text, or its audio while it is spoken.

gunicorn --workers 4 --threads 8 --preload flask_app:app     (sync and gevent workers do too)
"""

from flask import Flask, Response, request

from cartesia_sync import Cartesia

client = Cartesia()  # the key is in CARTESIA_API_KEY
pool = client.tts.pool(
    voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
)  # opens nothing; each worker has connections of its own from its first request on
app = Flask(__name__)


@app.get("/whole")
def whole() -> Response:
    return Response(pool.say(request.args["text"]).audio, mimetype="audio/pcm")


@app.get("/streamed")
def streamed() -> Response:
    def audio(text: str):
        with pool.stream(text) as events:  # a listener who leaves cancels it
            yield from (event.audio for event in events if event.type == "chunk")

    return Response(audio(request.args["text"]), mimetype="audio/pcm")
