"""Calls functions after a while, on one thread for the whole process."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import queue
import threading
import time
from typing import Callable

_orders = itertools.count()
log = logging.getLogger("cartesia_sync")


class Timer:
    """A thread that is there while anything is due, and calls what is.

    It takes no lock: whoever gets the token out of ``_tokens`` starts the thread, or is it.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[float, int, Callable[[], object]]] = queue.SimpleQueue()
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._tokens.put(None)

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        """Have a function called after so many seconds, which must not wait; never, where the system gives no thread.

        Threads: any. Does not wait.
        """
        self._calls.put((time.monotonic() + seconds, next(_orders), function))
        if self._take_token():
            thread = threading.Thread(target=self._run, name="cartesia-sync-timer", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads: the system's limit, or the interpreter is at its end
                self._tokens.put(None)

    def _take_token(self) -> bool:
        try:
            self._tokens.get_nowait()
        except queue.Empty:
            return False
        return True

    def _run(self) -> None:
        due: list[tuple[float, int, Callable[[], object]]] = []
        while True:
            try:
                heapq.heappush(due, self._calls.get(timeout=max(due[0][0] - time.monotonic(), 0.0) if due else 0.0))
                continue
            except queue.Empty:
                pass
            if due:
                _, _, function = heapq.heappop(due)
                try:
                    function()
                except Exception:  # a bug of one that asked; the thread is there for the others too
                    log.exception("what was to be done later has failed")
                del function  # or it would be held until the next one
                continue
            self._tokens.put(None)
            if self._calls.empty() or not self._take_token():  # whoever came meanwhile has it, and starts another
                return


_timers: dict[int, Timer] = {}  # by process, since a forked child has no thread of its parent's


def call_later(seconds: float, function: Callable[[], object]) -> None:
    """Have a function called after so many seconds on this process's timer; see ``Timer.call_later``."""
    _timers.setdefault(os.getpid(), Timer()).call_later(seconds, function)
