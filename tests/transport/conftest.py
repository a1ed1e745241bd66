"""What the tests of the transport share: a far end, a scripted peer, threads, and a look at who waits."""

from __future__ import annotations

import selectors
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Optional

import pytest
import trustme

from cartesia_sync.transport import duplex as duplex_module
from cartesia_sync.transport import stream as stream_module
from cartesia_sync.transport.duplex import Duplex
from cartesia_sync.transport.stream import Stream
from cartesia_sync.transport.wire import MAX_MESSAGE_BYTES, Wire

from .peer import BOUND, Far, Peer, Trust, connected


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to our peers directly, whatever the environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def trust(authority: trustme.CA) -> Trust:
    """A server that proves to be localhost, and a client that believes it."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Trust(server, client)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for what waits; set up before the sockets, which thereby end first and let every thread go."""
    with ThreadPoolExecutor(16, "test") as pool:
        yield pool


@pytest.fixture
def serve() -> Iterator[Callable[..., Peer]]:
    """Start a scripted peer; what goes wrong in a script fails the test."""
    with ExitStack() as stack:

        def start(*scripts: Any, tls: Optional[ssl.SSLContext] = None) -> Peer:
            peer = Peer(*scripts, tls=tls)
            stack.callback(peer.stop)
            return peer

        yield start


class Waits:
    """Who has come to wait on the socket."""

    def __init__(self) -> None:
        self.reader = threading.Event()
        self.writer = threading.Event()
        self.let_writer_go = threading.Event()
        self.let_writer_go.set()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """See from outside when a thread comes to wait, and hold a writer there."""
    seen = Waits()
    real: Any = duplex_module._Selector

    class Watched(real):  # type: ignore[misc]  # which one it is depends on the system
        def select(self, timeout: Optional[float] = None) -> Any:
            if any(key.events & selectors.EVENT_READ for key in self.get_map().values()):
                seen.reader.set()
            else:
                seen.writer.set()
                assert seen.let_writer_go.wait(BOUND)
            return super().select(timeout)

    monkeypatch.setattr(duplex_module, "_Selector", Watched)
    return seen


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of the system's has brought, of any stream."""
    sizes: list[int] = []
    receive = stream_module._receive

    def counted(sock: Any, room: memoryview) -> int:
        sizes.append(0)
        sizes[-1] = receive(sock, room)
        return sizes[-1]

    monkeypatch.setattr(stream_module, "_receive", counted)
    return sizes


class Ends:
    """Both ends of a connection: ours as the wire and what is below it, and the far one."""

    def __init__(self, near: Stream, far: Far, max_message_bytes: int) -> None:
        self.sock = near._sock
        self.stream = near
        self.duplex = Duplex(near)
        self.wire = Wire(self.duplex, response_headers={}, max_message_bytes=max_message_bytes)
        self.far = far


@pytest.fixture
def connect_ends(threads: ThreadPoolExecutor, trust: Trust) -> Iterator[Callable[..., Ends]]:
    """Connect two ends; both are closed after the test."""
    with ExitStack() as stack:

        def start(
            *, tls: bool = False, small_buffers: bool = False, max_message_bytes: int = MAX_MESSAGE_BYTES
        ) -> Ends:
            near, far = stack.enter_context(connected(trust if tls else None, small_buffers=small_buffers))
            ends = Ends(near, far, max_message_bytes)
            stack.callback(ends.duplex.shut)
            return ends

        yield start


@pytest.fixture
def ends(connect_ends: Callable[..., Ends]) -> Ends:
    return connect_ends()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def either(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """Two ends, over TCP and over TLS."""
    return connect_ends(tls=request.param)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def narrow(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """Two ends with small buffers between them, over TCP and over TLS: what is long gets stuck."""
    return connect_ends(tls=request.param, small_buffers=True)
