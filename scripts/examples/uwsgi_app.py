"""Speech from a plain WSGI application under uWSGI, which forks without Python's knowing; no lazy-apps is needed.

uwsgi --http :8000 --master --processes 4 --threads 8 --enable-threads --wsgi-file uwsgi_app.py
"""

from collections.abc import Iterable
from typing import Any, Callable
from urllib.parse import parse_qs

from cartesia_sync import Cartesia

client = Cartesia()  # the key is in CARTESIA_API_KEY
pool = client.tts.pool(
    voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
)  # opens nothing; each worker has connections of its own from its first request on


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    text = parse_qs(environ["QUERY_STRING"])["text"][0]
    audio = pool.say(text).audio
    start_response("200 OK", [("Content-Type", "audio/pcm")])
    return [audio]
