"""The upgrade: what is asked, what answers are taken, and every way in which a service may refuse."""

from __future__ import annotations

import io
import json
import logging
import pickle
import select
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Optional

import pytest
import websocket
from websocket import _handshake

from cartesia_sync import Cartesia
from cartesia_sync.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    CartesiaError,
    ConnectTimeoutError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
)
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.error_response import MAX_BODY_BYTES
from cartesia_sync.transport.websocket import handshake
from cartesia_sync.transport.websocket.wire import Wire

from ...support.peer import BOUND, FLOOD_BYTES, TEXT, Far, Peer, Said, Script, Trust, accept_key, frame, switching

KEY = "sk_car_0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}", "Cartesia-Version": "2026-03-01"}
SHORT = 0.2
"""The timeout of a test in which it must run out."""

Serve = Callable[..., Peer]
Connect = Callable[..., Wire]


@pytest.fixture
def connect(serve: Serve) -> Iterator[Connect]:
    """Connect to a peer; the wire is freed after the test, and before its peer, which waits for that."""
    with ExitStack() as stack:

        def start(peer: Peer, path: str = "", *, trust: Any = None, seconds: float = BOUND) -> Wire:
            opened = handshake.connect(peer.url + path, HEADERS, ssl_context=trust, deadline=Deadline(seconds))
            stack.callback(opened.release)
            return opened

        yield start


def answering(answer: bytes) -> Script:
    """Answer the request with these bytes, and wait for the client to go."""

    def script(far: Far) -> None:
        far.read_head()
        far.send(answer)
        far.wait_until_gone()

    return script


def ending(answer: bytes) -> Script:
    """Answer the request with these bytes, and end the connection."""

    def script(far: Far) -> None:
        far.read_head()
        far.send(answer)

    return script


def refused(connect: Connect, peer: Peer) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        connect(peer)
    return caught.value


# ---- what is asked


def ask(connect: Connect, serve: Serve, path: str = "") -> tuple[bytes, dict[bytes, list[bytes]]]:
    """Connect; return the request's first line and its headers."""
    heads: list[bytes] = []

    def script(far: Far) -> None:
        heads.append(far.read_head())
        far.send(switching(heads[0]))
        far.wait_until_gone()

    connect(serve(script), path)
    first, *lines = heads[0][:-4].split(b"\r\n")
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, value = line.split(b": ", 1)
        headers.setdefault(name.lower(), []).append(value)
    return first, headers


def test_the_request_holds_our_headers_and_what_an_upgrade_needs(connect: Connect, serve: Serve) -> None:
    first, headers = ask(connect, serve)
    assert first == b"GET /speak HTTP/1.1"
    assert headers[b"authorization"] == [b"Bearer " + KEY.encode()]
    assert headers[b"cartesia-version"] == [b"2026-03-01"]
    assert headers[b"upgrade"] == [b"websocket"]
    assert headers[b"connection"] == [b"Upgrade"]
    assert headers[b"sec-websocket-version"] == [b"13"]
    assert len(headers[b"sec-websocket-key"]) == len(headers[b"host"]) == 1


def test_the_query_arrives(connect: Connect, serve: Serve) -> None:
    first, _ = ask(connect, serve, "/more?a=1&b=%20x")
    assert first == b"GET /speak/more?a=1&b=%20x HTTP/1.1"


@pytest.mark.parametrize("name", [b"origin", b"sec-websocket-extensions", b"sec-websocket-protocol", b"cookie"])
def test_the_request_holds_nothing_that_was_not_asked_for(connect: Connect, serve: Serve, name: bytes) -> None:
    """A browser's header would be refused, an extension is not understood, and a cookie is nobody's wish."""
    _, headers = ask(connect, serve)
    assert name not in headers


def test_a_cookie_of_one_connection_is_not_sent_on_the_next(connect: Connect, serve: Serve) -> None:
    heads: list[bytes] = []

    def script(far: Far) -> None:
        heads.append(far.read_head())
        far.send(switching(heads[-1], b"Set-Cookie: id=1; Domain=127.0.0.1", b"SET-COOKIE:id=2; domain=127.0.0.1"))
        far.wait_until_gone()

    peer = serve(script, script)
    connect(peer).release()
    connect(peer).release()
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()
    assert not _handshake.CookieJar.jar


def test_an_upgrade_goes_through_the_proxy_of_the_environment(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    def script(far: Far) -> None:
        heads.append(far.read_head())
        far.send(b"HTTP/1.1 200 OK\r\n\r\n")
        heads.append(far.read_head())
        far.send(switching(heads[-1]), frame(b"hello"))
        far.wait_until_gone()

    service, proxy = serve(), serve(script)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("ws:", "http:"))
    assert connect(service).read(Deadline(BOUND)) == b"hello"
    assert heads[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % service.port)
    assert KEY.encode() not in heads[0]
    assert heads[1].startswith(b"GET /speak HTTP/1.1\r\n")
    assert service.accepted == 0


def test_an_upgrade_goes_past_the_proxy_where_the_environment_says_so(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(far: Far) -> None:
        far.upgrade(frame(b"hello"))
        far.wait_until_gone()

    proxy = serve(lambda far: None)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("ws:", "http:"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert connect(serve(script)).read(Deadline(BOUND)) == b"hello"
    assert proxy.accepted == 0


# ---- what is taken


def test_an_upgrade_opens_a_wire_for_both_directions(connect: Connect, serve: Serve, trust: Trust) -> None:
    def script(far: Far) -> None:
        head = far.read_head()
        far.send(switching(head, b"X-Request-Id: r1"))
        assert far.hear() == Said(TEXT, b"question")
        far.send(frame(b"answer"))
        far.wait_until_gone()

    for tls in (None, trust):
        opened = connect(serve(script, tls=tls.server if tls else None), trust=tls.client if tls else None)
        assert opened.response_headers["x-request-id"] == "r1"
        opened.write(b"question", Deadline(BOUND))
        assert opened.read(Deadline(BOUND)) == b"answer"
        opened.release()


def test_frames_right_behind_the_answer_are_not_lost(connect: Connect, serve: Serve) -> None:
    def script(far: Far) -> None:
        far.upgrade(frame(b"one"), frame(b"two"))
        far.wait_until_gone()

    opened = connect(serve(script))
    assert [opened.read(Deadline(BOUND)), opened.read(Deadline(BOUND))] == [b"one", b"two"]


def test_an_upgrade_costs_few_recvs(connect: Connect, serve: Serve) -> None:
    """The library alone would read it byte by byte."""

    def script(far: Far) -> None:
        far.upgrade()
        far.wait_until_gone()

    assert connect(serve(script))._duplex.recv_calls <= 3


def test_an_answer_that_trickles_is_taken(connect: Connect, serve: Serve) -> None:
    def script(far: Far) -> None:
        answer = switching(far.read_head()) + frame(b"hello")
        for number in range(len(answer)):  # each byte in a segment of its own, as far as the system lets us
            far.send(answer[number : number + 1])
        far.wait_until_gone()

    assert connect(serve(script)).read(Deadline(BOUND)) == b"hello"


def test_header_names_and_values_may_be_in_any_case(connect: Connect, serve: Serve) -> None:
    def script(far: Far) -> None:
        accept = accept_key(far.read_head())
        far.send(b"HTTP/1.1 101 x\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n")
        far.send(b"SEC-WEBSOCKET-ACCEPT:" + accept + b"\r\n\r\n", frame(b"hello"))
        far.wait_until_gone()

    assert connect(serve(script)).read(Deadline(BOUND)) == b"hello"


# ---- what is not taken for an upgrade


def lacking(*names: bytes, **changed: bytes) -> Script:
    """Answer with an upgrade that lacks some header lines, and has others of another value."""

    def script(far: Far) -> None:
        lines = switching(far.read_head())[:-4].split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(names)]
        more = [name.replace("_", "-").encode() + b": " + value for name, value in changed.items()]
        far.send(b"\r\n".join([*kept, *more, b"", b""]))
        far.wait_until_gone()

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lacking(b"sec-websocket-accept"), id="no key"),
        pytest.param(
            lacking(b"sec-websocket-accept", Sec_WebSocket_Accept=b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), id="another key"
        ),
        pytest.param(lacking(b"upgrade"), id="no upgrade header"),
        pytest.param(lacking(b"upgrade", Upgrade=b"h2c"), id="upgrade to something else"),
        pytest.param(lacking(b"connection"), id="no connection header"),
        pytest.param(answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), id="no header at all"),
        pytest.param(answering(b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n"), id="no header line"),
        pytest.param(answering(b"HTTP/1.1 101 Switching Protocols\r\nName: \xff\xfe\r\n\r\n"), id="not UTF-8"),
        pytest.param(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), id="another protocol"),
        pytest.param(answering(b"\x00\x01\x02\x03\r\n\r\n"), id="bytes"),
        pytest.param(answering(b"\r\n\r\n"), id="nothing"),
        pytest.param(answering(b"HTTP/1.1\r\n\r\n"), id="no status"),
        pytest.param(answering(b"HTTP/1.1 abc Oh\r\n\r\n"), id="a status that is no number"),
        pytest.param(answering(b"HTTP/3.0 400 Oh\r\n\r\n"), id="another version"),
        pytest.param(answering(b"HTTP/1.1 400 Oh\r\n" + b"A: b\r\n" * 101 + b"\r\n"), id="too many headers"),
    ],
)
def test_what_is_no_answer_to_an_upgrade_is_a_protocol_error(connect: Connect, serve: Serve, script: Script) -> None:
    with pytest.raises(ProtocolError):
        connect(serve(script))


def test_headers_without_end_are_refused(connect: Connect, serve: Serve) -> None:
    flooded: list[int] = []

    def script(far: Far) -> None:
        far.read_head()
        far.send(b"HTTP/1.1 101 Switching Protocols\r\n")
        flooded.append(far.flood(b"Name: value\r\n" * 100))

    peer = serve(script)
    with pytest.raises(ProtocolError, match="65536 bytes"):
        connect(peer)
    peer.stop()
    assert flooded[0] > 1 << 16


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 101 Swi", b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"])
def test_an_end_in_the_middle_of_the_answer_is_a_connection_error(connect: Connect, serve: Serve, sent: bytes) -> None:
    with pytest.raises(APIConnectionError, match="ended during the upgrade") as caught:
        connect(serve(ending(sent)))
    assert not isinstance(caught.value, TimeoutError)


def test_a_reset_instead_of_an_answer_is_a_connection_error(connect: Connect, serve: Serve) -> None:
    def script(far: Far) -> None:
        far.read_head()
        far.reset()

    with pytest.raises(APIConnectionError, match="ended during the upgrade") as caught:
        connect(serve(script))
    assert isinstance(caught.value.__cause__, (OSError, EOFError))


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 101 Swi", b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"])
def test_an_answer_that_stops_short_is_a_timeout(connect: Connect, serve: Serve, sent: bytes) -> None:
    with pytest.raises(ConnectTimeoutError, match=r"within 0\.2 s") as caught:
        connect(serve(answering(sent)), seconds=SHORT)
    assert caught.value.timeout == SHORT


def test_an_answer_that_trickles_without_end_is_a_timeout(connect: Connect, serve: Serve) -> None:
    """A socket timeout would begin anew with each byte."""

    def script(far: Far) -> None:
        far.read_head()
        far.trickle(b"HTTP/1.1 101 Switching Protocols\r\n" + b"Name: value\r\n" * 100)

    with pytest.raises(ConnectTimeoutError):
        connect(serve(script), seconds=SHORT)


# ---- error responses

STRUCTURED = {
    "error_code": "concurrency_limited",
    "title": "Too many",
    "message": "Four at once.",
    "request_id": "r-body",
    "doc_url": "https://docs.example/errors",
}


def answer(status: int, body: bytes, *lines: bytes) -> bytes:
    head = [b"HTTP/1.1 %d Reason" % status, b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, APIStatusError),
        (204, APIStatusError),
        (401, AuthenticationError),
        (402, APIStatusError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (426, APIStatusError),
        (429, RateLimitError),
        (500, InternalServerError),
        (503, InternalServerError),
    ],
)
def test_an_error_response_has_its_exception(
    connect: Connect, serve: Serve, status: int, kind: type[APIStatusError]
) -> None:
    error = refused(connect, serve(answering(answer(status, b"", b"X-Request-Id: r-head"))))
    assert type(error) is kind
    assert (error.status_code, error.body, error.error_code, error.title) == (status, None, None, None)
    assert error.request_id == "r-head"
    assert "the WebSocket upgrade" in str(error)
    assert str(status) in str(error)


def test_an_error_response_in_json_keeps_all_its_facts(connect: Connect, serve: Serve) -> None:
    body = json.dumps(STRUCTURED).encode()
    error = refused(connect, serve(answering(answer(429, body, b"Retry-After: 2.5", b"X-Request-Id: r-head"))))
    assert type(error) is RateLimitError
    assert error.body == STRUCTURED
    assert (error.error_code, error.title) == ("concurrency_limited", "Too many")
    assert (error.request_id, error.doc_url) == ("r-body", "https://docs.example/errors")
    assert error.retry_after == 2.5
    assert error.headers["retry-after"] == "2.5"
    assert "Too many: Four at once." in str(error)


def test_an_error_response_in_text_keeps_its_text(connect: Connect, serve: Serve) -> None:
    error = refused(connect, serve(answering(answer(403, b"Forbidden: not with this plan\n"))))
    assert error.body == "Forbidden: not with this plan"
    assert str(error).endswith(": Forbidden: not with this plan")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(answering(answer(429, b'{"title": "No"}')), id="length"),
        pytest.param(answering(chunked(b'{"titl', b'e": "No"}')), id="chunks"),
        pytest.param(ending(b'HTTP/1.1 429 x\r\n\r\n{"title": "No"}'), id="until the end"),
        pytest.param(ending(b'HTTP/1.0 429 x\r\n\r\n{"title": "No"}'), id="until the end, HTTP 1.0"),
    ],
)
def test_a_body_is_read_however_its_end_is_marked(connect: Connect, serve: Serve, sent: Script) -> None:
    error = refused(connect, serve(sent))
    assert type(error) is RateLimitError
    assert error.body == {"title": "No"}


@pytest.mark.parametrize("position", range(1, len(answer(429, b'{"title": "No"}')), 7))
def test_an_error_response_may_be_split_anywhere(connect: Connect, serve: Serve, position: int) -> None:
    sent = answer(429, b'{"title": "No"}')

    def script(far: Far) -> None:
        far.read_head()
        far.send(sent[:position])
        far.send(sent[position:])
        far.wait_until_gone()

    assert refused(connect, serve(script)).body == {"title": "No"}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(ending(b"HTTP/1.1 429 x\r\nContent-Length: 100\r\n\r\nhalf"), id="shorter than announced"),
        pytest.param(ending(b"HTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf"), id="half a chunk"),
        pytest.param(answering(b"HTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), id="no chunk"),
        pytest.param(answering(b"HTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n"), id="less than nothing"),
        pytest.param(ending(b"HTTP/1.1 429 x\r\nContent-Length: abc\r\nConnection: close\r\n\r\nno"), id="no length"),
    ],
)
def test_a_body_that_cannot_be_read_leaves_the_status(connect: Connect, serve: Serve, script: Script) -> None:
    peer = serve(script)
    with pytest.raises(RateLimitError) as caught:
        connect(peer, seconds=1.0)
    assert caught.value.status_code == 429


def test_a_body_that_never_ends_leaves_the_status_at_the_deadline(connect: Connect, serve: Serve) -> None:
    with pytest.raises(RateLimitError):
        connect(serve(answering(b"HTTP/1.1 429 x\r\nContent-Length: 100\r\n\r\nhalf")), seconds=SHORT)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Content-Length: %d" % (1 << 40), id="length"),
        pytest.param(b"Connection: close", id="until the end"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n%x" % (1 << 40), id="one chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n-1", id="a chunk of less than nothing"),
    ],
)
def test_a_body_without_end_is_cut(connect: Connect, serve: Serve, head: bytes) -> None:
    """The peer sends for as long as anybody listens; what it could send is what the system's buffers hold."""
    flooded: list[int] = []

    def script(far: Far) -> None:
        far.read_head()
        far.send(b"HTTP/1.1 500 x\r\n", head, b"\r\n" if b"\r\n\r\n" in head else b"\r\n\r\n")
        flooded.append(far.flood(b"x" * 65_536))

    peer = serve(script)
    error = refused(connect, peer)
    peer.stop()
    assert flooded[0] < FLOOD_BYTES // 2
    assert type(error) is InternalServerError
    assert error.body is None or len(str(error.body)) <= MAX_BODY_BYTES


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 4 * MAX_BODY_BYTES])
def test_a_long_body_is_read_as_far_as_an_error_message_goes(connect: Connect, serve: Serve, size: int) -> None:
    def script(far: Far) -> None:
        far.read_head()
        far.flood(answer(500, b"x" * size))

    assert refused(connect, serve(script)).body == "x" * MAX_BODY_BYTES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(connect: Connect, serve: Serve, status: int) -> None:
    """The key would go to whatever host it names."""
    elsewhere = serve(lambda far: None)
    error = refused(connect, serve(answering(answer(status, b"", b"Location: " + elsewhere.url.encode()))))
    assert type(error) is APIStatusError
    assert error.status_code == status
    assert elsewhere.accepted == 0


def test_a_refused_connection_is_closed(connect: Connect, serve: Serve) -> None:
    gone: list[bool] = []

    def script(far: Far) -> None:
        far.read_head()
        far.send(answer(401, b""))
        gone.append(bool(select.select([far.sock], [], [], BOUND)[0]))

    peer = serve(script)
    error = refused(connect, peer)
    peer.stop()
    assert gone == [True]
    assert error.status_code == 401


# ---- secrets


def words_of(error: Optional[BaseException]) -> str:
    """Return all that an exception and those behind it would show, log, or hand to another process."""
    words = []
    while error is not None:
        words += [str(error), repr(error), repr(error.args), repr(vars(error))]
        words += traceback.format_exception_only(type(error), error)
        if isinstance(error, CartesiaError):
            words.append(repr(pickle.dumps(error)))
        error = error.__cause__ or error.__context__
    return "\n".join(words)


def echoing(before: bytes, behind: bytes = b"") -> Script:
    """Send back what was asked, with something before and behind it."""

    def script(far: Far) -> None:
        far.send(before + far.read_head() + behind)

    return script


AUTHORIZATION = b"Authorization: Bearer " + KEY.encode()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(echoing(b""), id="the request"),
        pytest.param(ending(AUTHORIZATION + b"\r\n\r\n"), id="the header"),
        pytest.param(ending(b"HTTP/1.1 " + AUTHORIZATION + b"\r\n\r\n"), id="as status"),
        pytest.param(ending(b"HTTP/1.1 401 " + KEY.encode() + b"\r\n\r\n"), id="as reason"),
        pytest.param(ending(b"HTTP/1.1 401 No\r\n" + AUTHORIZATION + b"\r\n\r\n"), id="in a header"),
        pytest.param(ending(b"HTTP/1.1 401 No\r\nX: y\r\nZ" + KEY.encode() + b"\r\n\r\n"), id="in half a header"),
        pytest.param(ending(answer(401, b"Unknown key: " + KEY.encode())), id="in a text"),
        pytest.param(ending(answer(401, json.dumps({"message": KEY, "request_id": KEY}).encode())), id="in JSON"),
        pytest.param(echoing(b"HTTP/1.1 400 Bad\r\n\r\n"), id="the request as body"),
        pytest.param(ending(b"HTTP/1.1 101 x\r\n" + AUTHORIZATION + b"\r\n\r\n"), id="in an upgrade"),
        pytest.param(ending(b"HTTP/1.1 101 x\r\n" + KEY.encode() + b"\r\n\r\n"), id="in half an upgrade"),
        pytest.param(ending(b"HTTP/1.1 101 x\r\n\xff" + KEY.encode() + b"\r\n\r\n"), id="in what is not UTF-8"),
        pytest.param(ending(b"HTTP/1.1 101 x\r\n"), id="no answer"),
    ],
)
def test_no_exception_holds_the_key(connect: Connect, serve: Serve, script: Script) -> None:
    with pytest.raises(CartesiaError) as caught:
        connect(serve(script))
    assert KEY not in words_of(caught.value)


def test_no_exception_holds_the_key_when_nobody_answers(connect: Connect, serve: Serve) -> None:
    with pytest.raises(ConnectTimeoutError) as caught:
        connect(serve(lambda far: far.wait_until_gone()), seconds=SHORT)
    assert KEY not in words_of(caught.value)


def test_foreign_exceptions_end_here(connect: Connect, serve: Serve) -> None:
    """They may be the cause, and never what is raised."""
    with pytest.raises(ProtocolError) as caught:
        connect(serve(lacking(b"sec-websocket-accept")))
    assert isinstance(caught.value.__cause__, websocket.WebSocketException)


def test_the_librarys_trace_does_not_show_the_key() -> None:
    heads = []

    def script(far: Far) -> None:
        heads.append(far.upgrade())
        far.part()

    trace = io.StringIO()
    peer = Peer(script)
    level = logging.getLogger("websocket").level
    websocket.enableTrace(True, logging.StreamHandler(trace))
    try:
        with Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{peer.port}").tts.websocket_connect():
            pass
    finally:
        websocket.enableTrace(False)
        logging.getLogger("websocket").setLevel(level)  # which the library sets for good
        peer.stop()
    assert heads[0].count(f"Authorization: Bearer {KEY}\r\n".encode()) == 1
    assert "Upgrade: websocket" in trace.getvalue()
    assert KEY not in trace.getvalue()
