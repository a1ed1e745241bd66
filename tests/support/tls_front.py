"""TLS before a port that speaks in clear: what makes an ``https://`` proxy of a plain one."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType
from typing import Optional

from .peer import BOUND

_PIECE = 1 << 14


class TLSFront:
    """A server on loopback that takes TLS off, and hands on what is inside to a port, and back.

    Each connection has one thread for both ways: no two threads may use one TLS object at a time.

    Attributes:
        taken: How many handshakes were done.
    """

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        self._context = context
        self._target = target
        self.taken = 0
        self._is_stopping = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
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
                    self._sockets.append(far)
                    self._hand_on(secure, far)

    def _hand_on(self, secure: ssl.SSLSocket, far: socket.socket) -> None:
        ends: list[socket.socket] = [secure, far]
        while ends:
            ready = [secure] if secure in ends and secure.pending() else select.select(ends, [], [])[0]
            for source in ready:
                target = far if source is secure else secure
                data = source.recv(_PIECE)
                if data:
                    target.sendall(data)
                else:
                    ends.remove(source)
                    socket.socket.shutdown(target, socket.SHUT_WR)
