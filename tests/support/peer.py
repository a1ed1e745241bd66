"""The service's side of a connection, played by a script: by hand, from the standard library, on a real socket."""

from __future__ import annotations

import base64
import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Optional

from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.dial import shake_hands
from cartesia_sync.transport.websocket.stream import SecureStream, Stream

from .far_end import BINARY, CLOSE, CONT, PING, PONG, TEXT, accept_key, frame, switching

__all__ = [
    "BINARY",
    "BOUND",
    "CLOSE",
    "CONT",
    "FLOOD_BYTES",
    "PING",
    "PONG",
    "SMALL_BUFFER",
    "TEXT",
    "Far",
    "Peer",
    "Said",
    "Script",
    "Trust",
    "accept_key",
    "chunk",
    "close_frame",
    "connected",
    "done",
    "frame",
    "switching",
]

BOUND = 10.0
"""Seconds within which anything that is to happen happens; reaching it is a failure."""

SMALL_BUFFER = 4096
"""For SO_SNDBUF and SO_RCVBUF: a frame of a megabyte gets stuck in its middle."""

FLOOD_BYTES = 256 << 20
"""Where a flood ends: more than the system's buffers hold, and no more than this machine."""


class Said(NamedTuple):
    """A frame that the client sent, unmasked."""

    opcode: int
    data: bytes


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(code.to_bytes(2, "big") + reason.encode(), CLOSE)


def chunk(context_id: str, audio: bytes) -> bytes:
    """Make the frame of an event that holds audio."""
    data = base64.b64encode(audio).decode()
    return frame(json.dumps({"type": "chunk", "context_id": context_id, "data": data, "done": False}).encode())


def done(context_id: str) -> bytes:
    """Make the frame of the event that ends a context."""
    return frame(json.dumps({"type": "done", "context_id": context_id, "done": True, "status_code": 206}).encode())


class Far:
    """The far end of one connection. Every wait is bound; a wait that reaches its bound raises."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(BOUND)
        self.sock = sock

    def send(self, *data: bytes) -> None:
        """Send all at once, and thereby in one segment if it is short."""
        self.sock.sendall(b"".join(data))

    def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise EOFError(f"the client was gone after {len(data)} of {size} bytes")
            data += part
        return bytes(data)

    def read_head(self) -> bytes:
        """Read a request."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        return head

    def upgrade(self, *behind: bytes) -> bytes:
        """Accept a request to upgrade, with frames right behind the answer; give the request."""
        head = self.read_head()
        self.send(switching(head), *behind)
        return head

    def hear(self) -> Said:
        """Read one frame."""
        first, second = self.read(2)
        assert first & 0xF0 == 0x80, "a client's frame is whole and has no reserved bits"
        assert second & 0x80, "a client's frame is masked"
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self.read(2 if length == 126 else 8), "big")
        mask = self.read(4)
        data = self.read(length)
        pad = (mask * (length // 4 + 1))[:length]
        plain = int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")
        return Said(first & 0x0F, plain.to_bytes(length, "big"))

    def part(self) -> list[Said]:
        """Read until the client's close frame and answer that; give what came before it."""
        heard = [self.hear()]
        while heard[-1].opcode != CLOSE:
            heard.append(self.hear())
        goodbye = heard.pop()
        self.send(frame(goodbye.data, CLOSE))
        return heard

    def is_gone(self, seconds: float = 0.0) -> bool:
        """Whether the client has ended the connection; wait that long for it. What it says is thrown away."""
        while select.select([self.sock], [], [], seconds)[0]:
            try:
                if not self.sock.recv(1 << 16):
                    return True
            except OSError:
                return True
        return False

    def wait_until_gone(self) -> None:
        """Wait for the client to end the connection. What it says until then is thrown away."""
        assert self.is_gone(BOUND)

    def trickle(self, data: bytes) -> None:
        """Send byte by byte, slowly, for as long as the client listens."""
        for number in range(len(data)):
            if self.is_gone(0.01):
                return
            try:
                self.sock.send(data[number : number + 1])
            except OSError:
                return

    def flood(self, data: bytes) -> int:
        """Send the same again and again for as long as the client listens; give the count of bytes."""
        sent = 0
        while sent < FLOOD_BYTES:
            try:
                self.sock.sendall(data)
            except OSError:
                break
            sent += len(data)
        return sent

    def stop_sending(self) -> None:
        """End the stream, and go on reading."""
        with suppress(OSError):  # the client was faster
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()

    def end(self) -> None:
        self.sock.close()


Script = Callable[[Far], None]


class Peer:
    """A server whose connections follow scripts, one each, one after the other, in a thread of its own.

    Attributes:
        heads: The upgrade requests, for scripts that put them there.
        accepted: How many connections were made.
    """

    def __init__(self, *scripts: Script, tls: Optional[ssl.SSLContext] = None) -> None:
        self.heads: list[bytes] = []
        self.accepted = 0
        self.failure: Optional[BaseException] = None
        self._scripts = scripts
        self._tls = tls
        self._is_stopping = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="scripted-peer", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'ws' if self._tls is None else 'wss'}://127.0.0.1:{self.port}/speak"

    def _run(self) -> None:
        try:
            for script in self._scripts:
                sock, _ = self._listener.accept()
                with sock:
                    if self._is_stopping:
                        return
                    self.accepted += 1
                    sock.settimeout(BOUND)
                    if self._tls is None:
                        script(Far(sock))
                        continue
                    try:
                        secure = self._tls.wrap_socket(sock, server_side=True)
                    except OSError:
                        continue  # the client did not like our certificate
                    with secure:
                        script(Far(secure))
        except BaseException as failure:  # kept for the test's own thread, which raises it
            self.failure = failure

    def stop(self) -> None:
        """End the thread; raise what went wrong in a script."""
        self._is_stopping = True
        if self._thread.is_alive():
            try:
                socket.create_connection(("127.0.0.1", self.port), BOUND).close()  # wakes an accept()
            except OSError:
                pass  # it was not waiting there
        self._thread.join(2 * BOUND)
        self._listener.close()
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure


class Trust:
    """A certificate authority of our own: a server's context and a client's."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        self.server = server
        self.client = client


@contextmanager
def connected(
    trust: Optional[Trust], *, small_buffers: bool, front: Optional[Callable[[int], int]] = None
) -> Iterator[tuple[Stream, Far]]:
    """Connect two sockets over loopback, the near one as a stream and without a reader.

    ``front`` starts TLS before a port, and returns its own port: the near end then speaks TLS inside of that TLS.
    """
    with socket.socket() as listener:
        if small_buffers:  # the one that accepts inherits it; later it would be too late for the TCP window
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        near = socket.create_connection(("127.0.0.1", port if front is None else front(port)), BOUND)
        below: Optional[SecureStream] = None
        if front is not None:
            assert trust is not None
            below = SecureStream(near, "localhost", trust.client)
            shake_hands(below, Deadline(BOUND))
        if small_buffers:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        far, _ = listener.accept()
    far.settimeout(BOUND)
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = Stream(near)
    if trust is not None:
        stream, far = _secured(trust, near, far, below)
    try:
        yield stream, Far(far)
    finally:
        stream.close()
        far.close()


def _secured(
    trust: Trust, near: socket.socket, far: socket.socket, below: Optional[SecureStream]
) -> tuple[SecureStream, socket.socket]:
    done: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: done.append(trust.server.wrap_socket(far, server_side=True)))
    thread.start()
    stream = SecureStream(near, "localhost", trust.client, below=below)
    shake_hands(stream, Deadline(BOUND))
    thread.join(BOUND)
    return stream, done[0]
