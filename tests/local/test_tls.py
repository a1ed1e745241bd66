"""The server over TLS: the same protocol, the same faults, and the same end."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from cartesia import Cartesia
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from cartesia_sync.local import (
    Binary,
    Close,
    CutAnswer,
    Delay,
    Eof,
    ErrorEvent,
    ExtraFields,
    Hold,
    InvalidFrame,
    LocalServer,
    Refuse,
    RefuseRequest,
    Reset,
    Silence,
    StopReading,
    Unfinished,
    UnknownEvent,
)

BOUND = 10.0
Call = Callable[..., "Caller"]


class Caller:
    """A peer on one thread, which sees how the stream below TLS ends: the ``ssl`` module's sockets hide it."""

    def __init__(self, raw: socket.socket, url: str, tls: ssl.SSLContext, request_for: Callable[..., Any]) -> None:
        self.raw = raw
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(self.inward, self.outward, server_hostname="localhost")
        self.protocol = ClientProtocol(parse_uri(url), max_size=None)
        self.request_for = request_for
        self.frames: list[Frame] = []
        self.received: list[bytes] = []
        self.over = False  # the stream below TLS
        self._move(self.tls.do_handshake)
        opening = self.protocol.connect()
        opening.headers["X-API-Key"] = "any"
        self.protocol.send_request(opening)
        self._send()
        while not self.protocol.handshake_exc and not self.protocol.state:
            self._receive()
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc

    def send(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        self._send()

    def ask(self, context_id: str, text: str, **fields: Any) -> None:
        self.send(json.dumps(self.request_for(context_id, text, **fields)))

    def frame(self) -> Frame:
        """The next frame.

        Raises:
            ConnectionResetError: The stream was reset.
            ssl.SSLEOFError: It ended without TLS's goodbye.
        """
        while not self.frames:
            self._receive()
        return self.frames.pop(0)

    def until(self, *contexts: str) -> list[bytes]:
        """All frames until each of these contexts has had its last one; in ``received``, whatever happens."""
        self.received, waiting = [], set(contexts)
        while waiting:
            self.received.append(self.frame().data)
            if b'"type":"done"' in self.received[-1]:
                waiting.discard(json.loads(self.received[-1])["context_id"])
        return self.received

    def _send(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self._move(lambda data=data: self.tls.write(data))

    def _receive(self) -> None:
        data = self._move(lambda: self.tls.read(65536))
        if not data:  # as some versions of OpenSSL report either end of the stream
            raise ssl.SSLEOFError("no goodbye") if self.over else EOFError("a goodbye")
        self.protocol.receive_data(data)
        self.frames += [event for event in self.protocol.events_received() if isinstance(event, Frame)]

    def _move(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self.raw.sendall(self.outward.read())
                data = self.raw.recv(65536)
                if data:
                    self.inward.write(data)
                else:
                    self.over = True
                    self.inward.write_eof()
            else:
                self.raw.sendall(self.outward.read())
                return done


@pytest.fixture
def call(trust: Any, request_for: Callable[..., Any]) -> Iterator[Call]:
    """Connect to a server: ``call(server)``. Closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def connect_to(server: LocalServer) -> Caller:
            raw = stack.enter_context(socket.create_connection((server.host, server.port), BOUND))
            return Caller(raw, server.websocket_url + "/tts/websocket", trust.client, request_for)

        yield connect_to


def test_its_urls_say_so_and_both_transports_speak(call: Call, trust: Any) -> None:
    with LocalServer(ssl_context=trust.server) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert server.websocket_url == f"wss://127.0.0.1:{server.port}"
        with urllib.request.urlopen(server.url, timeout=BOUND, context=trust.client) as response:
            assert response.status == 200
        caller = call(server)
        caller.ask("a", "Hello.")
        assert json.loads(caller.until("a")[0])["type"] == "chunk"


def test_without_tls_nobody_gets_in(trust: Any) -> None:
    with LocalServer(ssl_context=trust.server) as server:
        with socket.create_connection((server.host, server.port), BOUND) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in plain.recv(1000)
        assert server.handshakes == []


def test_the_official_client_speaks_with_it(trust: Any) -> None:
    with LocalServer(ssl_context=trust.server, engine="signal") as server:
        client = Cartesia(api_key="any", websocket_base_url=server.websocket_url)
        manager = client.tts.websocket_connect(websocket_connection_options={"ssl": trust.client})
        with client, manager as connection:
            context = connection.context(
                model_id="sonic-latest",
                voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
                output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
                timeout=BOUND,
            )
            context.push("Hello.")
            context.no_more_inputs()
            assert [event.type for event in context.receive()][-1] == "done"


def test_a_close_is_a_close(call: Call, trust: Any) -> None:
    with LocalServer(ssl_context=trust.server, faults=[Close(1011, "oops", after=1)], chunk_bytes=512) as server:
        caller = call(server)
        caller.ask("a", "Hello there.")
        assert b'"type":"chunk"' in caller.frame().data
        last = caller.frame()
        assert (last.opcode, last.data) == (Opcode.CLOSE, b"\x03\xf3oops")


@pytest.mark.parametrize(("fault", "end"), [(Reset, ConnectionResetError), (Eof, ssl.SSLEOFError)])
def test_what_ends_the_stream_ends_it_below_tls(call: Call, trust: Any, fault: Any, end: Any) -> None:
    with LocalServer(ssl_context=trust.server, faults=[fault(after=1)], chunk_bytes=512) as server:
        caller = call(server)
        caller.ask("a", "Hello there.")
        with pytest.raises(end):
            caller.until("a")
        assert len(caller.received) == 1 or fault is Reset  # which may overtake what was sent before it
        caller.raw.close()
        server.wait_for(lambda server: server.open_connections == 0, BOUND)


@pytest.mark.parametrize(("reset", "end"), [(True, ConnectionResetError), (False, ssl.SSLEOFError)])
def test_connections_can_be_dropped(call: Call, trust: Any, reset: bool, end: Any) -> None:
    with LocalServer(ssl_context=trust.server) as server:
        caller = call(server)
        server.wait_for(lambda server: server.open_connections == 1, BOUND)
        server.drop_connections(reset=reset)
        with pytest.raises(end):
            caller.frame()


def test_an_invalid_frame_is_invalid(call: Call, trust: Any) -> None:
    with LocalServer(ssl_context=trust.server, faults=[InvalidFrame(after=1)]) as server:
        caller = call(server)
        caller.ask("a", "Hello there.")
        assert b'"type":"chunk"' in caller.frame().data
        while caller.protocol.parser_exc is None:
            caller._receive()


def test_silence_says_nothing_and_hears_all(call: Call, trust: Any) -> None:
    with LocalServer(ssl_context=trust.server, faults=[Silence(after=1)], chunk_bytes=512) as server:
        caller, other = call(server), call(server)
        caller.ask("a", "Hello there.")
        caller.frame()
        caller.send("still read")
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        other.ask("a", "Hello there.")
        other.until("a")  # by now all else would have come
        caller.raw.setblocking(False)
        with pytest.raises(BlockingIOError):
            caller.frame()


def test_stop_reading_goes_on_sending(call: Call, trust: Any) -> None:
    with LocalServer(ssl_context=trust.server, faults=[StopReading(after=1)]) as server:
        caller, other = call(server), call(server)
        caller.ask("a", "Hello.")
        caller.until("a")
        caller.send("not read")
        other.ask("b", "Hello.")
        other.until("b")
        assert [message.connection for message in server.heard] == [0, 1]


@pytest.mark.parametrize(
    ("fault", "trace"),
    [
        (Binary(after=1), b'{"type":"chunk"}'),
        (UnknownEvent(after=1), b'"type":"weather"'),
        (ErrorEvent(done=False, after=1), b'"type":"error"'),
        (ExtraFields(), b'"zz_flag":true'),
        (Delay(0.001), b'"type":"done"'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_ends_nothing_ends_nothing(call: Call, trust: Any, fault: Any, trace: bytes) -> None:
    with LocalServer(ssl_context=trust.server, faults=[fault]) as server:
        caller = call(server)
        caller.ask("a", "Hello there.")
        assert any(trace in frame for frame in caller.until("a"))


def test_holds_and_stops_of_one_context_spare_the_others(call: Call, trust: Any) -> None:
    go_on = threading.Event()
    held = [Hold(go_on, context_id="a"), Unfinished(context_id="b")]
    with LocalServer(ssl_context=trust.server, faults=held, expiry=0.001) as server:
        caller = call(server)
        for context_id in "abc":
            caller.ask(context_id, "Hello there.")
        assert all(b'"context_id":"c"' in frame for frame in caller.until("c"))
        go_on.set()
        assert all(b'"context_id":"a"' in frame for frame in caller.until("a"))


def test_a_handshake_is_refused_within_tls(call: Call, trust: Any) -> None:
    with LocalServer(ssl_context=trust.server, faults=[Refuse(503)]) as server:
        with pytest.raises(Exception, match="503"):
            call(server)
        call(server)


def test_faults_of_requests_apply_within_tls(trust: Any) -> None:
    faults = [RefuseRequest(503), CutAnswer(), CutAnswer(100), CutAnswer(100, reset=True)]
    statuses = []
    with LocalServer(ssl_context=trust.server, faults=faults) as server:
        for end in (None, OSError, http.client.IncompleteRead, (OSError, http.client.IncompleteRead), None):
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=BOUND, context=trust.client)
            with contextlib.closing(connection), contextlib.ExitStack() as stack:
                if end is not None:
                    stack.enter_context(pytest.raises(end))
                connection.request("GET", "/accents", headers={"X-API-Key": "any"})
                with connection.getresponse() as answer:
                    statuses.append(answer.status)
                    answer.read()
    assert statuses[0] == 503
    assert statuses[-1] == 200


@pytest.mark.parametrize("state", ["open", "silent", "pooled", "greeting", "mute"])
def test_stop_leaves_nothing(call: Call, trust: Any, state: str) -> None:
    """The threads and sockets are counted by the fixture of all tests."""
    faults = [Silence()] if state == "silent" else []
    with LocalServer(ssl_context=trust.server, faults=faults) as server:
        caller = call(server)
        caller.ask("a", "Hello.", **{"continue": True})
        server.wait_for(lambda server: bool(server.heard), BOUND)
        raw = socket.create_connection((server.host, server.port), BOUND)
        if state == "greeting":
            raw.sendall(b"\x16\x03\x01")  # the first bytes of a hello
        if state == "pooled":
            raw = trust.client.wrap_socket(raw, server_hostname="localhost")
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert raw.recv(12) == b"HTTP/1.1 200"
    raw.close()
