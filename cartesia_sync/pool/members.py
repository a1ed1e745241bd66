"""A pool's connections: where the next context speaks, and when a connection is old enough to be replaced."""

from __future__ import annotations

import itertools
import random
import time
from typing import Callable, Optional

from ..streaming.connection import Connection
from .connection import leave_to_parent

_JITTER = 0.1
"""The part of the age by which connections of one age may part, so that they are not replaced all at once."""


class Members:
    """The connections of a pool in one process. None is opened before a context pushes on it, or ``open``.

    Args:
        make: Makes a connection that is not open.
        count: How many there are at the most.
        max_age: Seconds after which one that is idle is replaced; None is never.
    """

    def __init__(self, make: Callable[[], Connection], count: int, max_age: Optional[float]) -> None:
        self._make = make
        self._max_age = max_age
        self._turns = itertools.count()
        # With each the age at which it is replaced. Each change is one store.
        self._members = [(make(), self._draw_age()) for _ in range(count)]

    def _draw_age(self) -> Optional[float]:
        return None if self._max_age is None else self._max_age * random.uniform(1 - _JITTER, 1)

    def choose(self) -> Connection:
        """Return the connection with the fewest contexts; of those an open one, and else each in its turn.

        One that is too old and idle is replaced. It ends when nobody holds it any more: another thread may have chosen
        it a moment ago, and speaks on it to the end.
        """
        count, turn = len(self._members), next(self._turns)

        def rank(number: int) -> tuple[int, bool, int]:
            connection, _ = self._members[number]
            return _contexts_on(connection), not connection._link.is_open, (number - turn) % count

        number = min(range(count), key=rank)
        connection, age = self._members[number]
        if age is not None and _is_older(connection, age) and not _contexts_on(connection):
            connection = self._make()
            self._members[number] = connection, self._draw_age()
        return connection

    def open(self, count: int) -> None:
        """Open so many that are not. Waits at most for the connect timeout, for each of them."""
        for connection, _ in self._members[:count]:
            connection._link.connect()

    def close(self) -> None:
        """Close them all; each waits for the service's goodbye, at most twice the close timeout."""
        for connection, _ in self._members:
            connection.close()

    def leave_to_parent(self) -> None:
        """In a forked child: end the parent's connections here, without touching them there."""
        for connection, _ in self._members:
            leave_to_parent(connection)

    @property
    def count_open(self) -> int:
        """How many are open."""
        return sum(connection._link.is_open for connection, _ in self._members)


def _contexts_on(connection: Connection) -> int:
    return len(connection._link.registry.live())


def _is_older(connection: Connection, seconds: float) -> bool:
    opened_at = connection._link.opened_at
    return connection._link.is_open and opened_at is not None and time.monotonic() - opened_at > seconds
