"""The internals of foreign libraries that the transport relies on are still there; see transport/__init__.py."""

from __future__ import annotations

import functools
import inspect
import queue
import re
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import BuiltinMethodType, SimpleNamespace
from typing import Any

import pytest
import requests.adapters
import requests.cookies
import requests.utils
import urllib3
import urllib3.connectionpool
import urllib3.contrib.socks
import urllib3.filepost
import urllib3.poolmanager
import urllib3.util.ssltransport
import websocket
from websocket import ABNF

import cartesia_sync

BOUND = 10
SETUP = Path(cartesia_sync.__file__).parent.parent / "setup.cfg"


def names(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


# ---- bounds


@pytest.mark.parametrize("library", ["requests", "urllib3", "websocket-client", "PySocks"])
def test_the_next_major_version_is_excluded(library: str) -> None:
    bound = re.search(rf"^    {library} >= [0-9.]+, < (\d+)$", SETUP.read_text(), re.MULTILINE)
    assert bound
    assert int(metadata.version(library).split(".")[0]) < int(bound[1])


# ---- websocket-client


def scripted_frames(pieces: list[Any]) -> Any:
    """A frame reader whose bytes come from a list; an exception in there is raised."""

    class Frames(websocket.frame_buffer):
        def recv_strict(self, bufsize: int) -> bytes:
            piece = pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            assert len(piece) == bufsize
            return bytes(piece)

    return Frames(recv_fn=lambda size: b"", skip_utf8_validation=True)


def test_the_frame_reader_takes_every_byte_by_recv_strict() -> None:
    frames = scripted_frames([b"\x81\x7e", b"\x00\x80", b"x" * 128, b"\x82\x00", b""])
    frame = frames.recv_frame()
    assert (frame.fin, frame.opcode, frame.data) == (1, ABNF.OPCODE_TEXT, b"x" * 128)
    frame = frames.recv_frame()
    assert (frame.fin, frame.opcode, frame.data) == (1, ABNF.OPCODE_BINARY, b"")


def test_the_frame_reader_goes_on_in_the_same_frame() -> None:
    frames = scripted_frames(
        [BlockingIOError(), b"\x81\x7e", BlockingIOError(), b"\x00\x80", BlockingIOError(), b"x" * 128]
    )
    assert frames.needs_header()
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            frames.recv_frame()
    assert not frames.needs_header()
    assert frames.header == (1, 0, 0, 0, ABNF.OPCODE_TEXT, 0, 126)
    assert frames.length == 128
    assert frames.recv_frame().data == b"x" * 128
    assert frames.needs_header()
    assert frames.header is None


def test_recv_length_sets_the_length_behind_the_header() -> None:
    frames = scripted_frames([b"\x89\x04"])
    frames.recv_header()
    assert frames.recv_length() is None
    assert frames.length == 4


def test_frames_are_made_masked() -> None:
    frame = ABNF.create_frame(b"hello", ABNF.OPCODE_TEXT).format()
    assert isinstance(frame, bytes)
    assert frame[:2] == b"\x81\x85"
    assert bytes(byte ^ frame[2 + n % 4] for n, byte in enumerate(frame[6:])) == b"hello"


def test_the_opcodes_are_known() -> None:
    assert set(ABNF.OPCODES) == {0x0, 0x1, 0x2, 0x8, 0x9, 0xA}
    by_name = (ABNF.OPCODE_CONT, ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CLOSE, ABNF.OPCODE_PING)
    assert (*by_name, ABNF.OPCODE_PONG) == (0x0, 0x1, 0x2, 0x8, 0x9, 0xA)


def test_the_upgrade_uses_four_methods_of_the_socket_and_sends_its_head_in_one_piece() -> None:
    sent: list[bytes] = []
    answer = bytearray(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    answer += b"X-One: 1\r\nSec-WebSocket-Accept: wrong\r\n\r\n"

    def recv(size: int) -> bytes:
        piece = bytes(answer[:size])
        del answer[:size]
        return piece

    def send(data: bytes) -> int:
        sent.append(bytes(data))
        return len(data)

    # SimpleNamespace has nothing else: another method would raise AttributeError.
    sock: Any = SimpleNamespace(send=send, recv=recv, gettimeout=lambda: None, close=lambda: None)
    upgrade = websocket.WebSocket(enable_multithread=False)
    with pytest.raises(websocket.WebSocketException):  # the answer has come as far as the check of its hash
        upgrade.connect(  # type: ignore[no-untyped-call]  # the library's own hints leave it out
            "ws://localhost:1/path", socket=sock, header=["X-Mine: 1"], suppress_origin=True, redirect_limit=0
        )
    [head] = sent
    assert head.startswith(b"GET /path HTTP/1.1\r\n")
    assert b"\r\nX-Mine: 1\r\n" in head
    assert head.endswith(b"\r\n\r\n")
    assert b"\r\nOrigin:" not in head
    assert not answer


# ---- requests


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (requests.Session.merge_environment_settings, ["url", "proxies", "stream", "verify", "cert"]),
        (requests.Session.get_redirect_target, ["resp"]),
        (requests.Session.rebuild_proxies, ["prepared_request", "proxies"]),
        (requests.Session.rebuild_auth, ["prepared_request", "response"]),
        (requests.Session.should_strip_auth, ["old_url", "new_url"]),
        (requests.adapters.HTTPAdapter.proxy_manager_for, ["proxy", "proxy_kwargs"]),
        (requests.adapters.HTTPAdapter.build_connection_pool_key_attributes, ["request", "verify", "cert"]),
        (requests.adapters.HTTPAdapter.cert_verify, ["conn", "url", "verify", "cert"]),
        (requests.cookies.RequestsCookieJar.extract_cookies, ["response", "request"]),
    ],
)
def test_what_we_override_or_call_in_requests_is_there(method: Callable[..., Any], parameters: list[str]) -> None:
    assert names(method) == parameters


def test_a_session_calls_what_we_override() -> None:
    code = "".join(inspect.getsource(each) for each in (requests.Session, requests.sessions.SessionRedirectMixin))
    for name in ("merge_environment_settings", "get_redirect_target", "rebuild_proxies", "rebuild_auth"):
        assert f"self.{name}(" in code
    code = inspect.getsource(requests.adapters.HTTPAdapter)
    for name in ("init_poolmanager", "proxy_manager_for", "build_connection_pool_key_attributes", "cert_verify"):
        assert f"self.{name}(" in code


def test_an_adapter_has_its_pools_where_we_look() -> None:
    adapter = requests.adapters.HTTPAdapter()
    assert isinstance(adapter.poolmanager, urllib3.PoolManager)
    assert adapter.proxy_manager == {}
    manager: Any = adapter.proxy_manager_for("http://localhost:1")
    assert list(adapter.proxy_manager.values()) == [manager]
    for each in (adapter.poolmanager, manager):
        assert set(each.pool_classes_by_scheme) == {"http", "https"}
        assert list(each.pools.keys()) == []
    pool = adapter.poolmanager.connection_from_url("http://localhost:1/")
    [key] = adapter.poolmanager.pools.keys()
    assert adapter.poolmanager.pools.get(key) is pool
    adapter.close()


def test_a_manager_for_socks_makes_the_pools_that_it_is_told_and_tls_in_tls_has_its_socket() -> None:
    class Pool(urllib3.contrib.socks.SOCKSHTTPSConnectionPool):
        pass

    manager: Any = requests.adapters.HTTPAdapter().proxy_manager_for("socks5h://localhost:1")
    assert isinstance(manager, urllib3.contrib.socks.SOCKSProxyManager)
    manager.pool_classes_by_scheme = {"https": Pool}
    assert type(manager.connection_from_url("https://localhost:1/")) is Pool
    assert "self.socket = socket" in inspect.getsource(urllib3.util.ssltransport.SSLTransport.__init__)


def test_the_environments_proxies_are_asked_by_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert requests.utils.get_environ_proxies("https://service.example/")["https"] == "http://proxy:1"
    assert requests.utils.get_environ_proxies("https://inside.example/") == {}


# ---- urllib3


def test_a_pool_uses_three_methods_of_its_queue() -> None:
    made: list[Any] = []

    class Queue:
        def __init__(self, maxsize: int) -> None:
            made.append(maxsize)
            self._items: deque[Any] = deque()

        def put(self, item: Any, block: bool = True, timeout: object = None) -> None:
            self._items.append(item)

        def get(self, block: bool = True, timeout: object = None) -> Any:
            if not self._items:
                raise queue.Empty
            return self._items.pop()

        def qsize(self) -> int:
            return len(self._items)

    class Pool(urllib3.connectionpool.HTTPConnectionPool):
        QueueCls = Queue  # type: ignore[assignment]  # it has all that a pool calls

    pool = Pool("localhost", 1, maxsize=3)
    assert made == [3]
    connection = pool._get_conn()
    pool._put_conn(connection)
    assert pool._get_conn() is connection
    pool._put_conn(connection)
    pool.close()
    assert urllib3.connectionpool.HTTPSConnectionPool.QueueCls is queue.LifoQueue


def test_a_form_is_encoded_with_its_content_type() -> None:
    body, content_type = urllib3.filepost.encode_multipart_formdata([("name", "text")])
    assert isinstance(body, bytes)
    assert content_type.startswith("multipart/form-data; boundary=")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 2\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"]
)
def test_a_response_has_what_we_look_at(framing: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            far, _ = server.accept()
            with far:
                far.settimeout(BOUND)
                while not far.recv(4096).endswith(b"\r\n\r\n"):
                    pass
                far.sendall(b"HTTP/1.1 200 OK\r\n" + framing)
                far.recv(1)

        far = threading.Thread(target=answer, daemon=True)
        far.start()
        port = server.getsockname()[1]
        with urllib3.connectionpool.HTTPConnectionPool("127.0.0.1", port, timeout=BOUND) as pool:
            raw: Any = pool.request("GET", "/", preload_content=False)
            sock = raw._fp.fp.raw._sock
            assert isinstance(sock, socket.socket)
            assert sock is raw._connection.sock
            assert raw.chunked == (b"chunked" in framing)
            assert raw.length_remaining == (None if raw.chunked else 2)
            assert not raw.closed
            released: list[None] = []
            release = type(raw).release_conn

            def released_by_the_library() -> None:
                released.append(None)
                release(raw)

            raw.release_conn = released_by_the_library
            assert raw.read1(10, decode_content=False) == b"hi"
            assert raw.read1(10, decode_content=False) == b""
            assert released  # at the end of the body
            assert raw._connection is None
        far.join(BOUND)
        assert not far.is_alive()


# ---- Python


def test_a_lock_says_whose_it_is() -> None:
    lock: Any = threading.RLock()
    assert lock._is_owned() is False
    with lock:
        assert lock._is_owned() is True


def test_a_lock_is_taken_and_given_back_by_c_functions() -> None:
    lock = threading.RLock()
    for each in (lock.acquire, lock.__exit__):
        assert isinstance(each, BuiltinMethodType)


def test_tls_encrypts_by_a_c_function() -> None:
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    inside: Any = tls._sslobj  # type: ignore[attr-defined]  # this is what is tested
    assert isinstance(inside.write, BuiltinMethodType)


def test_a_socket_has_no_descriptor_before_init_and_can_be_closed_all_the_same() -> None:
    sock = socket.socket.__new__(socket.socket)
    assert sock.fileno() == -1
    made = [sock]
    close_all: Callable[[], object] = functools.partial(deque, map(socket.SocketType.close, made), 0)
    close_all()
    other = socket.socket.__new__(socket.socket)
    socket.socket.__init__(other)
    assert other.fileno() >= 0
    socket.SocketType.close(other)
    assert other.fileno() == -1


@pytest.mark.skipif(sys.platform == "win32", reason="it has none")
def test_poll_has_no_descriptor_of_its_own() -> None:
    import selectors

    assert not hasattr(selectors.PollSelector(), "fileno")
