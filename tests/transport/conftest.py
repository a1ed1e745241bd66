"""What the tests of the transport share: a far end, a scripted peer, threads, and a look at who waits."""

from __future__ import annotations

import queue
import selectors
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, Optional, Union

import pytest
import trustme

from cartesia_sync.errors import CartesiaError
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket import duplex as duplex_module
from cartesia_sync.transport.websocket import stream as stream_module
from cartesia_sync.transport.websocket.duplex import Duplex, Frame, WokenError
from cartesia_sync.transport.websocket.stream import Stream
from cartesia_sync.transport.websocket.wire import MAX_MESSAGE_BYTES, Wire

from ..support.peer import BOUND, Far, Peer, Trust, connected
from ..support.tls_front import TLSFront


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
    """Who has come to wait: the reader on the socket, a writer for its frame."""

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
            return super().select(timeout)

    class WatchedQueue:
        def __init__(self) -> None:
            self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self.put = self._queue.put

        def get(self, timeout: Optional[float]) -> Any:
            seen.writer.set()
            assert seen.let_writer_go.wait(BOUND)
            return self._queue.get(timeout=timeout)

    monkeypatch.setattr(duplex_module, "_Selector", Watched)
    monkeypatch.setattr(duplex_module, "queue", SimpleNamespace(SimpleQueue=WatchedQueue, Empty=queue.Empty))
    return seen


def write(duplex: Duplex, data: bytes, deadline: Deadline) -> None:
    """Put a frame in line, and wait until it has left."""
    frame = Frame(data)
    duplex.unsent.append(frame)
    duplex.finish(frame, deadline)


class Reader:
    """A reader in a thread of its own, until the stream ends; then it closes the socket, as a connection's does.

    Attributes:
        arrived: What it has read.
        woken: Set whenever somebody has woken it.
    """

    def __init__(self, side: Union[Duplex, Wire]) -> None:
        self._side = side
        self._end: Optional[BaseException] = None
        self.arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                data = self._read()
                if data:
                    self.arrived.put(data)
        except BaseException as end:  # for the test's own thread, which looks at it
            self._end = end
        finally:
            if isinstance(self._side, Wire):
                self._side.release()
            else:
                self._side.close()

    def _read(self) -> Optional[bytes]:
        data: Optional[bytes] = None
        if isinstance(self._side, Wire):
            data = self._side.read(Deadline(None))
        else:
            try:
                data = self._side.take_some(1 << 16, Deadline(None))
            except WokenError:
                pass
        if data is None:
            self.woken.set()
        return data

    def end(self) -> BaseException:
        """Wait for its end, and return what ended it."""
        self._thread.join(BOUND)
        assert self._end is not None, "the reader has not ended"
        return self._end


@contextmanager
def being_read(side: Union[Duplex, Wire]) -> Iterator[Reader]:
    """Have it read by a thread, without which nobody finishes what a writer leaves over; shut it afterwards."""
    reader = Reader(side)
    try:
        yield reader
    finally:
        side.shutdown()
        end = reader.end()
    if not isinstance(end, (CartesiaError, EOFError, OSError)):
        raise end


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

    def end(self) -> None:
        """Shut it, and hold nothing any more: pytest keeps what the last test of a module was given."""
        self.duplex.shutdown()
        vars(self).clear()


@pytest.fixture
def connect_ends(threads: ThreadPoolExecutor, trust: Trust) -> Iterator[Callable[..., Ends]]:
    """Connect two ends; both are closed after the test."""
    with ExitStack() as stack:

        def start(
            *,
            tls: bool = False,
            small_buffers: bool = False,
            max_message_bytes: int = MAX_MESSAGE_BYTES,
            inside: bool = False,
        ) -> Ends:
            def front(port: int) -> int:
                return stack.enter_context(TLSFront(trust.server, port, small_buffers=small_buffers)).port

            near, far = stack.enter_context(
                connected(trust if tls else None, small_buffers=small_buffers, front=front if inside else None)
            )
            ends = Ends(near, far, max_message_bytes)
            stack.callback(ends.end)
            return ends

        yield start


@pytest.fixture
def ends(connect_ends: Callable[..., Ends]) -> Ends:
    return connect_ends()


TRANSPORTS = {"plain": {}, "tls": {"tls": True}, "tls in tls": {"tls": True, "inside": True}}


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS)
def either(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """Two ends, over TCP and over TLS."""
    return connect_ends(**request.param)


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS)
def narrow(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """Two ends with small buffers between them, over TCP and over TLS: what is long gets stuck."""
    return connect_ends(**request.param, small_buffers=True)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def direct(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """The same without TLS in TLS, where the far end sees nothing of a frame that is stuck within its first record."""
    return connect_ends(tls=request.param, small_buffers=True)
