"""What a run has done, and what it is at."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

SLOWEST = 5


class Failure(NamedTuple):
    """An item that failed.

    Attributes:
        id: The item's.
        error: What it failed with, in one line.
        attempts: How often it was tried.
    """

    id: str
    error: str
    attempts: int


class Slow(NamedTuple):
    """An item that took long: its id, and the seconds from its slot to its end."""

    id: str
    seconds: float


@dataclass
class Report:
    """What a run has done.

    Attributes:
        done: How many items have been spoken or copied, and are whole.
        copied: How many of these were copied from an equal one.
        skipped: How many were whole before.
        wordless: How many have no words.
        failed: Those that failed, in the order in which they did.
        seconds: Of audio, of what was done.
        characters: That were spoken for it; copies cost none.
        elapsed: Seconds that the run took.
        refused: How often the service refused for its limit.
        slowest: The items that took longest, the slowest first.
    """

    done: int = 0
    copied: int = 0
    skipped: int = 0
    wordless: int = 0
    failed: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    characters: int = 0
    elapsed: float = 0.0
    refused: int = 0
    slowest: list[Slow] = field(default_factory=list)

    def note_spoken(self, item_id: str, took: float) -> None:
        """Take note of how long one took."""
        kept = heapq.nlargest(SLOWEST, [*self.slowest, Slow(item_id, took)], key=lambda slow: slow.seconds)
        self.slowest = kept


class Progress(NamedTuple):
    """What a run is at.

    Attributes:
        files: How many files this run is to make.
        report: What it has done by now; it changes.
        slots: How many may speak at once, as far as is known.
        in_use: How many do.
        under_way: How many items are begun.
        resting: How many wait for another attempt.
    """

    files: int
    report: Report
    slots: Optional[int]
    in_use: int
    under_way: int
    resting: int
