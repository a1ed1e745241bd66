"""Threads of a pool: started when there is work, and gone when there is none. They take no lock of ours."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from typing import Callable, Optional

from ..errors import APIConnectionError

IDLE_SECONDS = 10.0
"""After which a thread that has nothing to do ends."""

Work = Callable[[], None]
"""What a thread does: it raises nothing."""

_numbers = itertools.count(1)


class Workers:
    """Threads that work off a queue.

    A thread that waits has put a token into ``_idle``; whoever takes one out may count on a thread to look into the
    queue again. So ``put`` starts a thread where it finds no token. They are daemons: none holds the interpreter.

    Args:
        most: How many threads there may be.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._work: queue.SimpleQueue[Optional[Work]] = queue.SimpleQueue()
        self._idle: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._threads: list[object] = []  # one entry a thread; each change is one call of C code

    def put(self, work: Work) -> None:
        """Have something done by one of the threads, in the order of asking.

        Raises:
            APIConnectionError: The system gives no thread, and there is none; it may yet be done, if one comes.

        Threads: any. Does not wait.
        """
        self._work.put(work)
        if not self._take_token():
            self._grow()

    def stop(self) -> None:
        """Let the threads end, once what was put is done. What is put from now on may not be.

        Threads: any, a finalizer included. Does not wait.
        """
        self._work.put(None)

    def _take_token(self) -> bool:
        try:
            self._idle.get_nowait()
        except queue.Empty:
            return False
        return True

    def _grow(self) -> None:
        mine = object()
        try:
            self._threads.append(mine)
            if self._threads.index(mine) >= self._most():
                self._leave(mine)  # those that are there look into the queue before they wait or end
                return
            name = f"cartesia-sync-pool-{next(_numbers)}"
            threading.Thread(target=self._run, args=(mine,), name=name, daemon=True).start()
        except BaseException as error:  # an interrupt too: the thread may run, and is not counted
            self._leave(mine)
            if not isinstance(error, RuntimeError):
                raise
            # No more threads: the system's limit, or the interpreter is at its end.
            if not self._threads:
                raise APIConnectionError(f"The pool's thread cannot be started: {error}") from error

    def _leave(self, mine: object) -> None:
        with contextlib.suppress(ValueError):
            self._threads.remove(mine)

    # ---- the threads

    def _run(self, mine: object) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                self._idle.put(None)
                try:
                    work = self._work.get(timeout=IDLE_SECONDS)
                except queue.Empty:
                    if not self._take_token():
                        continue  # somebody counts on one of us
                    break
            if work is None:
                self._work.put(None)  # for the others
                self._leave(mine)
                return
            work()
            del work  # or it would be held until the next one
        self._leave(mine)
        if not self._work.empty():  # whoever put it may have counted on this thread
            with contextlib.suppress(APIConnectionError):  # the interpreter is at its end
                self._grow()
