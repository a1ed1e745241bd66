"""``Context.stream`` as the body of Flask's, Django's and Starlette's answers, and a client that hangs up."""

from __future__ import annotations

import asyncio
import gc
import io
import socket
import threading
import wsgiref.simple_server
from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable
from urllib.request import urlopen

import pytest
import soundfile

from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer
from cartesia_sync.streaming.connection import Connection

BOUND = 20.0
SHORT = "Hello."
LONG = "This is a long text, and nobody will hear the end of it. " * 20


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """One context at a time, so that a slot that is not given back is missed by the next."""
    with LocalServer(concurrency_limit=1, pace=4) as server:
        yield server


@pytest.fixture
def connection(server: LocalServer) -> Iterator[Connection]:
    client = Cartesia(api_key="any", base_url=server.url)
    with client.tts.websocket_connect() as connection:
        yield connection


def speech(connection: Connection, text: str, kind: Any = "mp3") -> Any:
    context = connection.context(
        model_id="sonic-latest",
        voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
        output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
    )
    context.push(text, continue_=False)
    return context.stream(kind)


def flask_app(connection: Connection) -> Any:
    import flask

    app = flask.Flask(__name__)

    @app.get("/<text>")
    def say(text: str) -> Any:
        stream = speech(connection, LONG if text == "long" else SHORT)
        return flask.Response(stream, content_type=stream.content_type)

    return app


def django_app(connection: Connection) -> Any:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import StreamingHttpResponse
    from django.urls import path

    def say(request: Any, text: str) -> Any:
        stream = speech(connection, LONG if text == "long" else SHORT)
        return StreamingHttpResponse(stream, content_type=stream.content_type)

    urls = type("urls", (), {"urlpatterns": [path("<str:text>", say)]})
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="any", DEBUG=False)
        django.setup()
    settings.ROOT_URLCONF = urls
    from django.urls import clear_url_caches

    clear_url_caches()
    return WSGIHandler()


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[Any], int]]:
    """Serve a WSGI app, and return the port."""
    running: list[tuple[Any, threading.Thread]] = []

    def start(app: Any) -> int:
        server = wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has gone is what is tested
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return server.server_port

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join(BOUND)
        server.server_close()


def has_cancelled(server: LocalServer) -> bool:
    return any(isinstance(each.message, dict) and each.message.get("cancel") for each in server.heard)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make_app", [flask_app, django_app])
def test_an_answer_is_the_audio_and_a_client_that_hangs_up_frees_the_slot(
    make_app: Callable[[Connection], Any], server: LocalServer, connection: Connection, serve: Callable[[Any], int]
) -> None:
    port = serve(make_app(connection))
    with socket.create_connection(("127.0.0.1", port), BOUND) as client:
        client.sendall(b"GET /long HTTP/1.0\r\n\r\n")
        head = client.recv(100)
        assert b" 200 " in head
        assert client.recv(1)
        assert not has_cancelled(server)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # and is gone
    server.wait_for(has_cancelled, BOUND)
    with urlopen(f"http://127.0.0.1:{port}/short", timeout=BOUND) as answer:
        assert answer.headers["Content-Type"].startswith("audio/mpeg")
        samples, rate = soundfile.read(io.BytesIO(answer.read()))
    assert rate == 24000
    assert len(samples) > 0.3 * rate


def starlette_app(connection: Connection, *, closes: bool) -> Any:
    from starlette.applications import Starlette
    from starlette.concurrency import iterate_in_threadpool
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def closed(stream: Any) -> AsyncIterator[bytes]:
        """As docs/playback.md has it."""
        with stream:
            async for piece in iterate_in_threadpool(stream):
                yield piece

    def say(request: Any) -> Any:
        stream = speech(connection, LONG if request.path_params["text"] == "long" else SHORT)
        return StreamingResponse(closed(stream) if closes else stream, media_type=stream.content_type)

    return Starlette(routes=[Route("/{text}", say)])


async def asked(app: Any, path: str, *, spec: str, hangs_up: bool) -> tuple[dict[str, Any], bytes]:
    """Ask an ASGI app as its server does, up to the first bytes or the end."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "scheme": "http",
    }
    head: dict[str, Any] = {}
    body: list[bytes] = []
    has_gone = asyncio.Event()
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await has_gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            head.update({name.decode(): value.decode() for name, value in message["headers"]})
            return
        body.append(message.get("body", b""))
        if hangs_up and any(body):
            has_gone.set()
            if spec >= "2.4":
                raise OSError("the client has gone")

    try:
        await app(scope, receive, send)
    except Exception:  # as the server would log it
        assert hangs_up
    return head, b"".join(body)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("closes", [True, False])
def test_starlette_ends_the_stream_of_a_client_that_hangs_up(
    server: LocalServer, connection: Connection, spec: str, closes: bool
) -> None:
    app = starlette_app(connection, closes=closes)
    head, body = asyncio.run(asked(app, "/long", spec=spec, hangs_up=True))
    assert body
    if not closes:
        gc.collect()  # it drops the stream, and may leave it in a circle with an exception
    server.wait_for(has_cancelled, BOUND)
    head, body = asyncio.run(asked(app, "/short", spec=spec, hangs_up=False))
    assert head["content-type"] == "audio/mpeg"
    samples, rate = soundfile.read(io.BytesIO(body))
    assert len(samples) > 0.3 * rate
