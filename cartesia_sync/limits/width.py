"""How many slots a process gives out: as many as there are, and fewer while the service refuses."""

from __future__ import annotations

from typing import Optional

MOST_PATIENCE = 8
"""How many rounds of successes come before another try, after several that were refused one after the other."""


class Width:
    """How many at once: begins wide, narrows where the service refuses, widens slowly.

    A refusal narrows it to what the service has accepted: one decision, however many are refused at once. After a round
    of successes with all slots in use it tries one more; where that is refused it waits twice as long before the next
    try. The gate calls it under its lock.

    Args:
        most: How many there are; None: nobody knows.
        least: What it never falls below.

    Attributes:
        allowed: How many it is now; None while nobody knows.
    """

    def __init__(self, most: Optional[int], least: int = 1) -> None:
        self.most = most
        self.least = least
        self.allowed = most
        self._successes = 0  # in a row, while all slots were in use
        self._patience = 1  # rounds of them before the next try
        self._tried: Optional[int] = None  # the number that is on trial

    def narrow(self, in_use: int) -> bool:
        """Take one of so many as refused; whether no other is left, so that only time can help."""
        if self._tried is not None:
            self._patience = min(2 * self._patience, MOST_PATIENCE)
        accepted = max(self.least, in_use - 1)
        self.allowed = accepted if self.allowed is None else min(self.allowed, accepted)
        self._tried, self._successes = None, 0
        return in_use <= 1

    def widen(self, in_use: int, waiting: int) -> None:
        """Take one of so many as accepted."""
        if self.allowed is None or (in_use < self.allowed and not waiting):
            return  # nobody knows whether one more would have been accepted
        self._successes += 1
        if self._tried is not None and self._successes >= self._tried:
            self._tried, self._patience = None, 1  # accepted
        if self._successes >= self._patience * self.allowed and self.allowed != self.most:
            self.allowed += 1
            self._tried, self._successes = self.allowed, 0
