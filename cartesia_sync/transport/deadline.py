"""A time limit that several steps share."""

from __future__ import annotations

import time
from typing import Optional


class Deadline:
    """A point in time that several waits share.

    Args:
        seconds: From now; None is never.
    """

    __slots__ = ("_at", "seconds")

    def __init__(self, seconds: Optional[float]) -> None:
        self.seconds = seconds
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> Optional[float]:
        """Return the seconds left, never below 0; None where there is no limit."""
        return None if self._at is None else max(self._at - time.monotonic(), 0.0)

    def left_or_forever(self) -> float:
        """Return the same for ``Lock.acquire(timeout=...)``, to which -1 is no limit."""
        left = self.left()
        return -1 if left is None else left

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0.0
