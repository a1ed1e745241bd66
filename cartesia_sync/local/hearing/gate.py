"""When somebody speaks: a gate over loudness, with the thresholds that the service documents. Pure.

The service's thresholds are for a model's certainty that the user is speaking, 0 to 1. Here it rises while something
is heard and falls while nothing is, so that with the defaults a turn begins 60 ms after the first sound, may be over
after a quarter of a second of silence, and is over after half a second, which is what the service's documents say that
finding the end costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Gate", "Thresholds"]

_RISE = 0.25
_FALL = math.exp(-0.01 / 0.3)
_FRAME_MS = 10


@dataclass(frozen=True)
class Thresholds:
    """Of the service's turn detection; these are the defaults in the official client's documentation."""

    start: float = 0.8
    eager_end: float = 0.4
    end: float = 0.2
    end_timeout_ms: float = 5600

    @classmethod
    def of(cls, fields: Mapping[str, object], prefix: str = "") -> Thresholds:
        """Read those that are given.

        Raises:
            ValueError: One is no number, out of range, or they are not in their order.
        """
        names = {f"{prefix}{name}_threshold": name for name in ("start", "eager_end", "end")}
        names[f"{prefix}end_timeout_ms"] = "end_timeout_ms"
        values = {}
        for sent, name in names.items():
            if sent in fields:
                try:
                    values[name] = float(str(fields[sent]))
                except ValueError:
                    raise ValueError(f"{sent} is a number") from None
        made = cls(**values)
        if not 1 > made.start > made.eager_end > made.end > 0 or not 0 < made.end_timeout_ms <= 60_000:
            raise ValueError("the thresholds are in the order start > eager_end > end")
        return made


class Gate:
    """Finds turns in the loudness of 10 ms each.

    Attributes:
        thresholds: May be changed between two calls.
        is_in_turn: Whether somebody speaks.
        is_eager_ended: Whether the turn may be over.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self.is_in_turn = False
        self.is_eager_ended = False
        self._certainty = 0.0
        self._quiet_frames = 0

    def feed(self, loud: Iterable[bool]) -> list[tuple[str, int]]:
        """Take some more frames; return what happened, and in which.

        That is ``start``, ``eager_end``, ``resume`` or ``end``.
        """
        moves = []
        for number, is_loud in enumerate(loud, 1):
            self._certainty = self._certainty + (1 - self._certainty) * _RISE if is_loud else self._certainty * _FALL
            self._quiet_frames = 0 if is_loud else self._quiet_frames + 1
            move = self._move()
            if move:
                moves.append((move, number))
        return moves

    def end(self) -> bool:
        """End the turn that is on, if there is one; return whether there was."""
        was_in_turn, self.is_in_turn, self.is_eager_ended, self._certainty = self.is_in_turn, False, False, 0.0
        return was_in_turn

    def _move(self) -> str:
        limits, certainty = self.thresholds, self._certainty
        if not self.is_in_turn:
            if certainty <= limits.start:
                return ""
            self.is_in_turn = True
            return "start"
        if certainty < limits.end or self._quiet_frames * _FRAME_MS >= limits.end_timeout_ms:
            self.end()
            return "end"
        if not self.is_eager_ended and certainty < limits.eager_end:
            self.is_eager_ended = True
            return "eager_end"
        if self.is_eager_ended and certainty > limits.start:
            self.is_eager_ended = False
            return "resume"
        return ""
