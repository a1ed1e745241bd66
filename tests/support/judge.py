"""Counts, as the service does, how many of several processes' pieces of work are under way at once.

A worker says over a connection of its own who it is, then ``+`` when a piece begins and ``-`` when it ends. The end is
confirmed before the worker gives its slot back, so what the judge sees is never late. A connection that ends, as a
killed process's do, ends what it had begun.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Callable, Optional

BOUND = 20.0


class Judge:
    """Listens on a port; ``now``, ``most`` and ``counts`` (by worker) are what it saw."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.now: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.most = 0

    def __enter__(self) -> Judge:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            sock.close()
        for thread in self._threads:
            thread.join(BOUND)

    @property
    def total(self) -> int:
        """How many are under way."""
        return sum(self.now.values())

    def wait_for(self, happened: Callable[[Judge], bool], seconds: float = BOUND) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        with self._changed:
            while not happened(self):
                left = end - time.monotonic()
                assert left > 0, (self.now, self.counts, self.most)
                self._changed.wait(left)

    def forget(self) -> None:
        """Count anew from what is under way."""
        with self._changed:
            self.counts.clear()
            self.most = self.total

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._listen, sock)

    def _listen(self, sock: socket.socket) -> None:
        mine, who = 0, ""
        try:
            with sock, sock.makefile("rb") as lines:
                who = lines.readline().strip().decode()
                for line in lines:
                    step = 1 if line == b"+\n" else -1
                    mine += step
                    self._count(who, step)
                    if step < 0:
                        sock.sendall(b"\n")
        except OSError:
            pass  # killed
        finally:
            self._count(who, -mine)

    def _count(self, who: str, step: int) -> None:
        with self._changed:
            self.now[who] += step
            if step > 0:
                self.counts[who] += 1
            self.most = max(self.most, self.total)
            self._changed.notify_all()


class Worker:
    """What a worker says to the judge."""

    def __init__(self, port: int, who: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), BOUND)
        self._lines = self._sock.makefile("rb")
        self._sock.sendall(who.encode() + b"\n")

    def begin(self) -> None:
        self._sock.sendall(b"+\n")

    def end(self) -> None:
        self._sock.sendall(b"-\n")
        if not self._lines.readline():
            raise ConnectionError("the judge is gone")

    def close(self) -> None:
        self._lines.close()
        self._sock.close()
