"""One thing a process, made when it is first asked for; it takes no lock, which a fork could find taken."""

from __future__ import annotations

import itertools
import os
from typing import Callable, Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds one thing for this process, and another one for each of its forked children, whoever forks and how.

    The process's number is compared at each use: C code that forks, as uWSGI's does, runs no hook of Python's.

    Args:
        make: Makes one. Two threads that come first at once make one each, and one of these is kept: to make one must
            open nothing.
        leave: Is given what is the parent process's, in a child that makes its own.
        is_over: Whether another one is to take its place.

    Threads: any. Does not wait.
    """

    def __init__(
        self, make: Callable[[], T], *, leave: Callable[[T], object], is_over: Callable[[T], bool] = lambda _: False
    ) -> None:
        self._make = make
        self._leave = leave
        self._is_over = is_over
        self._made: dict[tuple[int, int], T] = {}  # by the process, and by how many there were in it before
        self._number = 0  # of the one in use; one that is too low costs a look

    def __call__(self) -> T:
        """Return this process's."""
        process = os.getpid()
        for number in itertools.count(self._number):
            found = self._made.get((process, number))
            if found is None:
                made = self._make()
                found = self._made.setdefault((process, number), made)
                if found is made:
                    self._leave_others(process, number)
            if not self._is_over(found):
                return found
            self._number = number + 1
        raise AssertionError("numbers do not end")

    def peek(self) -> list[T]:
        """Return what this process has now, which may be nothing."""
        process = os.getpid()
        return [thing for (owner, _), thing in list(self._made.items()) if owner == process]

    def _leave_others(self, process: int, number: int) -> None:
        for key in list(self._made):
            if key[0] != process:
                thing = self._made.pop(key, None)
                if thing is not None:
                    self._leave(thing)
            elif key[1] < number - 1:  # a thread may be at the last one still
                self._made.pop(key, None)
