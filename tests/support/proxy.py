"""A TCP proxy under the test's own hand: it forwards, stalls, resumes, cuts and resets, counted in bytes.

Without a target it is an HTTP proxy that is asked for tunnels (CONNECT), by whatever library.
What went through is kept, so that a test can look for what must not be seen on the way.
"""

from __future__ import annotations

import base64
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Optional

from .peer import BOUND

_PIECE = 1 << 16


class Way:
    """One direction of one connection.

    Attributes:
        seen: Every byte that was taken over from the sender, forwarded or not.
    """

    def __init__(self, source: socket.socket, target: socket.socket, limit: Optional[int]) -> None:
        self._source = source
        self._target = target
        self._change = threading.Condition()  # guards all that follows
        self._limit = limit
        self._is_over = False
        self._is_sending = False
        self._forwarded = 0
        self.seen = bytearray()

    # ---- the test's side

    @property
    def forwarded(self) -> bytes:
        """What has been handed on."""
        with self._change:
            return bytes(self.seen[: self._forwarded])

    def stall(self, *, after: int = 0) -> None:
        """Hand on so many more bytes, and then none; one piece of what the sender sends then is taken and held."""
        with self._change:
            self._limit = self._forwarded + after
            self._change.notify_all()

    def resume(self) -> None:
        """Hand on everything again, what was held back first."""
        with self._change:
            self._limit = None
            self._change.notify_all()

    def wait_until_stalled(self) -> None:
        """Wait until all that may go has gone, and there is more."""
        with self._change:
            assert self._change.wait_for(self._is_stalled, BOUND), "nothing was held back"

    def wait_until_seen(self, size: int) -> None:
        """Wait until the sender has sent so many bytes in all."""
        with self._change:
            assert self._change.wait_for(lambda: len(self.seen) >= size, BOUND), f"{len(self.seen)} of {size} bytes"

    def _is_stalled(self) -> bool:
        if self._limit is None or self._is_sending:
            return False
        return self._forwarded >= self._limit and len(self.seen) > self._forwarded

    # ---- the proxy's threads

    def run(self) -> None:
        """Hand on until the sender has ended, the receiver is gone, or ``give_up``; the end is handed on too."""
        with suppress(OSError):
            while True:
                piece = self._source.recv(_PIECE)
                if not piece:
                    break
                self._hand_on(piece)
        if not self._is_over:
            with suppress(OSError):  # the receiver was faster
                self._target.shutdown(socket.SHUT_WR)

    def _hand_on(self, piece: bytes) -> None:
        with self._change:
            self.seen += piece
            self._change.notify_all()
        while piece:
            with self._change:
                self._change.wait_for(self._may_go)
                if self._is_over:
                    return
                room = len(piece) if self._limit is None else self._limit - self._forwarded
                part, piece = piece[:room], piece[room:]
                self._forwarded += len(part)
                self._is_sending = True
            self._target.sendall(part)
            with self._change:
                self._is_sending = False
                self._change.notify_all()

    def _may_go(self) -> bool:
        return self._is_over or self._limit is None or self._forwarded < self._limit

    def give_up(self) -> None:
        with self._change:
            self._is_over = True
            self._change.notify_all()


class Passage:
    """One connection through the proxy, both directions of it."""

    def __init__(self, near: socket.socket, far: socket.socket, *, first_bytes: Optional[int] = None) -> None:
        self._sockets = (near, far)
        self.to_server = Way(near, far, None)
        self.to_client = Way(far, near, first_bytes)
        self._threads = [
            threading.Thread(target=way.run, name="proxy-way", daemon=True) for way in (self.to_server, self.to_client)
        ]
        for thread in self._threads:
            thread.start()

    def stall(self) -> None:
        """Hand on nothing any more, either way."""
        self.to_server.stall()
        self.to_client.stall()

    def resume(self) -> None:
        self.to_server.resume()
        self.to_client.resume()

    def cut(self) -> None:
        """End both connections, without what is held back."""
        self._end(reset=False)

    def reset(self) -> None:
        """End both connections with RST. Not while a receiver takes nothing."""
        self._end(reset=True)

    def _end(self, *, reset: bool) -> None:
        for way in (self.to_server, self.to_client):
            way.give_up()
        for sock in self._sockets:
            with suppress(OSError):  # ended already
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # A thread waits on it: shutting it for reading wakes that thread, and says nothing to the peer.
                sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(BOUND)
            assert not thread.is_alive()
        for sock in self._sockets:
            sock.close()


class Proxy:
    """A proxy on loopback.

    Args:
        target: The port that every connection leads to; None for an HTTP proxy, which is told by each.
        names: For an HTTP proxy: the port behind each host name. Other names it does not know.
        credential: ``user:password`` that an HTTP proxy asks for.
        first_bytes: How much of what the server says is handed on before the first stall; None never stalls by itself.
        small_buffers: Let the system hold little of what is on its way to the server.

    Attributes:
        heads: What an HTTP proxy was asked.
        accepted: How many connections were made to it.
    """

    def __init__(
        self,
        target: Optional[int] = None,
        *,
        names: Optional[Mapping[str, int]] = None,
        credential: Optional[str] = None,
        first_bytes: Optional[int] = None,
        small_buffers: bool = False,
    ) -> None:
        self._target = target
        self._first_bytes = first_bytes
        self._names = dict(names or {})
        self._credential = credential
        self._change = threading.Condition()  # guards the next three
        self._passages: list[Passage] = []
        self.heads: list[bytes] = []
        self.accepted = 0
        self._failure: Optional[BaseException] = None  # the thread's, read when that has ended
        self._is_stopping = False
        self._listener = socket.socket()
        if small_buffers:  # what is accepted inherits it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    def url(self, credential: str = "") -> str:
        """Return its URL for HTTPS_PROXY and the like, with a user name and password as they stand in one."""
        return f"http://{credential}{'@' if credential else ''}127.0.0.1:{self.port}"

    def passage(self, number: int = 0) -> Passage:
        """Return a connection that it carries; waits for it."""
        with self._change:
            assert self._change.wait_for(lambda: len(self._passages) > number, BOUND), "nobody came"
            return self._passages[number]

    def recorded(self) -> bytes:
        """Return every byte that it was sent, from either side."""
        with self._change:
            ways = [way for each in self._passages for way in (each.to_server, each.to_client)]
            return b"".join([*self.heads, *(bytes(way.seen) for way in ways)])

    # ---- its thread

    def _run(self) -> None:
        try:
            while True:
                near, _ = self._listener.accept()
                if self._is_stopping:
                    near.close()
                    return
                with self._change:
                    self.accepted += 1
                near.settimeout(BOUND)
                self._carry(near)
        except BaseException as failure:  # kept for the test's own thread, which raises it
            self._failure = failure

    def _carry(self, near: socket.socket) -> None:
        port = self._target if self._target is not None else self._asked(near)
        if port is None:
            near.close()
            return
        far = socket.create_connection(("127.0.0.1", port), BOUND)
        for sock in (near, far):
            sock.settimeout(None)  # a stall may last; stop() ends it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._change:
            self._passages.append(Passage(near, far, first_bytes=self._first_bytes))
            self._change.notify_all()

    def _asked(self, near: socket.socket) -> Optional[int]:
        """Hear what tunnel is wanted and answer; give the port that it leads to, or None where it is refused."""
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            byte = near.recv(1)
            if not byte:
                return None
            head += byte
        with self._change:
            self.heads.append(bytes(head))
        request, *lines = head.decode("latin-1").split("\r\n")
        method, where, _ = request.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if self._credential is not None:
            expected = "Basic " + base64.b64encode(self._credential.encode()).decode()
            if headers.get("proxy-authorization") != expected:
                near.sendall(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n')
                near.sendall(b"Content-Length: 0\r\n\r\n")
                return None
        host, _, port = where.rpartition(":")
        known = self._names.get(host)
        if method != "CONNECT" or (known is None and host != "127.0.0.1"):
            near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return None
        near.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        return known or int(port)

    # ---- the end

    def stop(self) -> None:
        """End all connections and the threads; raise what went wrong."""
        self._is_stopping = True
        if self._thread.is_alive():
            with suppress(OSError):  # it was not waiting there
                socket.create_connection(("127.0.0.1", self.port), BOUND).close()  # wakes accept()
        self._thread.join(2 * BOUND)
        self._listener.close()
        assert not self._thread.is_alive()
        for passage in self._passages:
            passage.cut()
        if self._failure is not None:
            raise self._failure
