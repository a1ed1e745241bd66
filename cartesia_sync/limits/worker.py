"""A thread that is there while there is work, and ends when none has come for a while."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import Callable, Optional

from ..errors import LimitError

IDLE = 1.0
"""Seconds without work after which such a thread ends; to start another costs a tenth of a millisecond."""

_numbers = itertools.count(1)


class Worker:
    """Calls a function again and again while that says that there is more to do, and at every ``ring()``.

    It is never struck by Ctrl-C, which Python raises in the main thread: what calls foreign code is done here. Daemon:
    a process that ends does not wait for it. Two threads of one worker, which an interrupt of ``ring`` may leave, do no
    harm.

    Args:
        work: Does one piece; whether there may be another.
        purpose: The thread's name says it.
    """

    def __init__(self, work: Callable[[], bool], purpose: str) -> None:
        self._work = work
        self._name = f"cartesia-sync-limit-{purpose}"
        self._lock = threading.RLock()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def ring(self) -> None:
        """Have the function called once more, and cut ``nap`` short.

        Raises:
            LimitError: The system has no more threads.

        Threads: any. Does not wait.
        """
        if self._bell.empty():
            self._bell.put(None)  # first: a thread that is about to end looks again
        if self._has_thread():
            return
        thread = threading.Thread(target=self._run, name=f"{self._name}-{next(_numbers)}", daemon=True)
        try:
            with self._lock:
                if self._has_thread():
                    return
                self._thread = thread
            thread.start()
        except BaseException as error:  # an interrupt too: a thread that has not started is none
            if not thread.is_alive() and self._thread is thread:
                self._thread = None
            if isinstance(error, RuntimeError):  # the system's limit, or the interpreter is at its end
                raise LimitError(f"A thread of the limit cannot be started: {error}") from error
            raise

    def _has_thread(self) -> bool:
        with self._lock:  # a thread that is about to end has it while it looks for the last time
            return self._thread is not None

    def nap(self, seconds: float) -> None:
        """Wait so long, or until ``ring()``.

        Threads: this worker's own.
        """
        try:
            self._bell.get(timeout=seconds)
        except queue.Empty:
            return

    def _run(self) -> None:
        thread = threading.current_thread()
        while True:
            while self._work():
                pass
            try:
                self._bell.get(timeout=IDLE)
                continue
            except queue.Empty:
                pass
            with self._lock:
                if self._bell.empty() or self._thread is not thread:
                    if self._thread is thread:
                        self._thread = None
                    return
