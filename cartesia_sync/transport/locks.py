"""Locks that are given back whatever is raised, wherever it strikes.

An exception from outside (Ctrl-C, a signal's handler, a time limit by ``PyThreadState_SetAsyncExc``) strikes after a
call. ``acquire(timeout=...)`` with a ``try`` after it, and ``__enter__`` and ``__exit__`` in Python, have places where
the lock is taken and nobody is to give it back. ``with`` over C code has none on Python 3.10 and newer; on 3.9 there is
one, and nothing that Python can write avoids it. No ``while CONDITION:`` may stand in such a block: on 3.13 the jump at
its end lies outside of the block (cpython gh-130279); ``while True:`` and ``for`` may.
"""

from __future__ import annotations

import functools
import threading
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional


class NotAcquiredError(Exception):
    """Raised in a ``within`` block that was entered without the lock."""


class TimedLock:
    """A lock that is waited for as long as is said.

    So::

        try:
            with lock.within(seconds) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                ...
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            ... # it was not given in time

    Re-entrant. Threads: any.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def within(self, seconds: Optional[float]) -> AbstractContextManager[bool]:
        """Make the block; None waits without a bound, 0 not at all."""
        return within(self._lock, seconds)

    @property
    def is_ours(self) -> bool:
        """Whether the calling thread has it."""
        return is_owned(self._lock)


def within(lock: Any, seconds: Optional[float]) -> AbstractContextManager[bool]:
    """Make a block that has an RLock, if it is given within so many seconds; see ``TimedLock``."""
    block: Any = _Within(lock, seconds)  # to a type checker its methods are attributes
    return block  # type: ignore[no-any-return]  # see above


class _Within:
    """What ``with`` needs, as C callables in slots: no frame of Python is entered while the lock changes hands.

    Its end raises RuntimeError where the lock was not got.
    """

    __slots__ = ("__enter__", "__exit__")

    __enter__: Callable[[], bool]
    __exit__: Callable[..., None]

    def __init__(self, lock: Any, seconds: Optional[float]) -> None:
        if seconds is None:
            self.__enter__ = lock.acquire
        elif seconds > 0:
            self.__enter__ = functools.partial(lock.acquire, True, seconds)
        else:
            self.__enter__ = functools.partial(lock.acquire, False)
        self.__exit__ = lock.__exit__


def raise_unless_not_acquired(error: RuntimeError) -> None:
    """Raise what came out of a ``within`` block, unless it says that the lock was not got."""
    if not isinstance(error.__context__, NotAcquiredError):
        raise error


def is_owned(lock: Any) -> bool:
    """Whether the calling thread has this RLock. ``locked()`` does not say who."""
    owned: bool = lock._is_owned()  # threading.Condition asks it too
    return owned


def owner_check(lock: Any) -> Callable[[], bool]:
    """Return what says whether the calling thread has this RLock, as C code alone, for what is asked at every event."""
    check: Callable[[], bool] = lock._is_owned
    return check
