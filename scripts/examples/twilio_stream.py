"""A telephone call that Twilio streams over a WebSocket (<Connect><Stream>), answered with speech.

Run it with a port; a digit that the caller presses interrupts what is said, and "heard" shows how far it came. Needs
`pip install websockets`.
"""

import base64
import json
import sys
import threading

from websockets.sync.server import ServerConnection, serve

from cartesia_sync import Cartesia

client = Cartesia()  # the key is in CARTESIA_API_KEY
TELEPHONE = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def say(call: ServerConnection, stream_sid: str, context, text: str) -> None:
    """Send 20 ms at a time, and a mark for each word, which Twilio sends back when it has played so far."""
    context.push(text, continue_=False)
    for frame in context.frames(ms=20):
        media = {"payload": base64.b64encode(frame.audio).decode()}
        call.send(json.dumps({"event": "media", "streamSid": stream_sid, "media": media}))
        for word in frame.words:
            call.send(json.dumps({"event": "mark", "streamSid": stream_sid, "mark": {"name": word.text}}))


def answer(call: ServerConnection) -> None:
    context, heard, speaker = None, [], None
    for message in call:
        event = json.loads(message)
        if event["event"] == "start":
            text = (
                f"Hello. You are calling from {event['start']['customParameters'].get('city', 'somewhere')}, I think."
            )
            context = connection.context(
                model_id="sonic-latest", voice=VOICE, output_format=TELEPHONE, add_timestamps=True
            )
            speaker = threading.Thread(target=say, args=(call, event["streamSid"], context, text))
            speaker.start()
        elif event["event"] == "mark":
            heard.append(event["mark"]["name"])
        elif event["event"] == "dtmf" and context is not None:
            context.cancel()  # no frame comes any more, and what Twilio has not played is dropped
            call.send(json.dumps({"event": "clear", "streamSid": event["streamSid"]}))
        elif event["event"] == "stop":
            break
    if context is not None and speaker is not None:
        context.cancel()
        speaker.join()
    print("heard:", " ".join(heard), flush=True)


with client.tts.websocket_connect() as connection, serve(answer, "127.0.0.1", int(sys.argv[1])) as server:
    print("listening on", server.socket.getsockname()[1], flush=True)
    server.serve_forever()
