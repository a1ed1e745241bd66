"""Locks that are released whatever is raised, at whatever place.

An exception from outside (Ctrl-C, a signal's handler, a time limit by ``PyThreadState_SetAsyncExc``) is raised after a
call. ``acquire(timeout=...)`` with a ``try`` after it, and ``__enter__`` and ``__exit__`` in Python, have places where
the lock is taken and nothing would release it. ``with`` over C code has none on Python 3.10 and newer; on 3.9 there is
one, and nothing that can be written in Python avoids it. No ``while CONDITION:`` may stand in such a block: on 3.13 the
jump at its end lies outside of the block (cpython gh-130279); ``while True:`` and ``for`` may.
"""

from __future__ import annotations

import functools
import threading
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional


class NotAcquiredError(Exception):
    """Raised in a ``within`` block that was entered without the lock."""


class TimedLock:
    """A lock that is waited for no longer than the given time.

    Used so::

        try:
            with lock.within(seconds) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                ...
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            ... # not acquired in time

    Re-entrant. Threads: any.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def within(self, seconds: Optional[float]) -> AbstractContextManager[bool]:
        """Return what a ``with`` block needs; None waits without a bound, 0 not at all."""
        return within(self._lock, seconds)

    @property
    def is_ours(self) -> bool:
        """Whether the calling thread holds it."""
        return is_owned(self._lock)


def within(lock: Any, seconds: Optional[float]) -> AbstractContextManager[bool]:
    """Return what a ``with`` block needs to hold an RLock, if that is acquired in time; see ``TimedLock``."""
    block: Any = _Within(lock, seconds)  # to a type checker its methods are attributes
    return block  # type: ignore[no-any-return]  # see above


class _Within:
    """What ``with`` needs, as C callables in slots: no Python frame is entered while the lock is taken or released.

    Its end raises RuntimeError where the lock was not acquired.
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
    """Raise what came out of a ``within`` block, unless that means that the lock was not acquired."""
    if not isinstance(error.__context__, NotAcquiredError):
        raise error


def is_owned(lock: Any) -> bool:
    """Whether the calling thread holds this RLock. ``locked()`` does not say who does."""
    owned: bool = lock._is_owned()  # threading.Condition asks it too
    return owned


def owner_check(lock: Any) -> Callable[[], bool]:
    """Return a C function for whether the calling thread holds this RLock, for what is checked at every event."""
    check: Callable[[], bool] = lock._is_owned
    return check
