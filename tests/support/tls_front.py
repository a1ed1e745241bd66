"""TLS before a port that speaks in clear: what makes an ``https://`` proxy of a plain one."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType
from typing import Optional

from .peer import BOUND, SMALL_BUFFER

_PIECE = 1 << 14


class TLSFront:
    """A server on loopback that takes TLS off, and hands on what is inside to a port, and back.

    Each connection has one thread for both ways: no two threads may use one TLS object at a time.

    Args:
        context: What it proves to be.
        target: The port.
        small_buffers: Let the system hold little of what is on its way to the port.

    Attributes:
        taken: How many handshakes were done.
    """

    def __init__(self, context: ssl.SSLContext, target: int, *, small_buffers: bool = False) -> None:
        self._context = context
        self._small_buffers = small_buffers
        self._target = target
        self.taken = 0
        self._is_stopping = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        if small_buffers:  # what is accepted inherits it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="tls-front", daemon=True)
        self._thread.start()

    def __enter__(self) -> TLSFront:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._is_stopping = True
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), BOUND).close()  # wakes accept()
        self._thread.join(BOUND)
        for sock in self._sockets:
            with suppress(OSError):  # ended already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(BOUND)
            assert not thread.is_alive()
        self._listener.close()
        assert not self._thread.is_alive()

    def url(self, credential: str = "") -> str:
        return f"https://{credential}{'@' if credential else ''}127.0.0.1:{self.port}"

    def _run(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if self._is_stopping:
                near.close()
                return
            self._sockets.append(near)
            thread = threading.Thread(target=self._carry, args=(near,), name="tls-front-way", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError):  # a client that does not like us, or has gone
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near.settimeout(BOUND)
            with self._context.wrap_socket(near, server_side=True) as secure:
                self._sockets.append(secure)
                self.taken += 1
                with socket.create_connection(("127.0.0.1", self._target), BOUND) as far:
                    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if self._small_buffers:
                        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
                    self._sockets.append(far)
                    self._hand_on(secure, far)

    def _hand_on(self, secure: ssl.SSLSocket, far: socket.socket) -> None:
        for sock in (secure, far):
            sock.setblocking(False)
        ways = [_Way(secure, far), _Way(far, secure)]
        while any(not way.has_ended or way.held for way in ways):
            sources = [way.source for way in ways if not way.has_ended and not way.held]
            targets = [way.target for way in ways if way.held]
            is_decrypted = secure in sources and secure.pending() > 0
            readable, writable, _ = select.select(sources, targets, [], 0 if is_decrypted else None)
            for way in ways:
                if way.held and way.target in writable:
                    way.send()
                elif way.source in readable or (way.source is secure and is_decrypted):
                    way.receive()


class _Way:
    """One direction, with what was received and not sent yet; a side that takes nothing holds up this one alone."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.held = b""
        self.has_ended = False

    def receive(self) -> None:
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            self.held = self.source.recv(_PIECE)
            if not self.held:
                self.has_ended = True
                socket.socket.shutdown(self.target, socket.SHUT_WR)

    def send(self) -> None:
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            self.held = self.held[self.target.send(self.held) :]
