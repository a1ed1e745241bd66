"""A local server that counts how many contexts and requests it speaks at once: the judge of a client's limit."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

from cartesia_sync.local import LocalServer
from cartesia_sync.local.generation import ConcurrencyLimit
from cartesia_sync.local.requests import ApiError

BOUND = 20.0


class Count(ConcurrencyLimit):
    """The server's own count.

    Attributes:
        now: How many speak.
        most: How many there were at most.
        begun: How many there were in all.
        refused: How many were refused with 429.
    """

    def __init__(self, limit: Any) -> None:
        super().__init__(limit)
        self._changed = threading.Condition()
        self.now = self.most = self.begun = self.refused = 0

    def acquire(self) -> None:
        with self._changed:
            try:
                super().acquire()
            except ApiError:
                self.refused += 1
                raise
            finally:
                self._changed.notify_all()
            self.now += 1
            self.begun += 1
            self.most = max(self.most, self.now)

    def release(self) -> None:
        with self._changed:
            super().release()
            self.now -= 1
            self._changed.notify_all()

    def forget(self) -> None:
        """Count anew from what speaks now."""
        with self._changed:
            self.most, self.begun, self.refused = self.now, 0, 0

    def wait_for(self, happened: Callable[[Count], bool], seconds: float = BOUND) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        with self._changed:
            while not happened(self):
                left = end - time.monotonic()
                assert left > 0, vars(self)
                self._changed.wait(left)


@contextlib.contextmanager
def counting(**options: Any) -> Iterator[tuple[LocalServer, Count]]:
    """Run a local server with a count."""
    server = LocalServer(**{"engine": "signal", **options})
    count = Count(server.concurrency_limit)
    server._concurrency = count
    with server:
        yield server, count
