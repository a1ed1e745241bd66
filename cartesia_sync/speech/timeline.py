"""Times of the service's events in one line, which does not go back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Callable, Optional

from ..protocol.events import PhonemeTimestampsEvent, Timestamps
from .words import Entry

_RESTART_SECONDS = 0.2


def first_start(starts: Iterable[tuple[Optional[int], int]], flush_id: int) -> Optional[int]:
    """Return where the audio of a flush begins, or that of the first one after it; None where there is none yet.

    Args:
        starts: Numbers of flushes, and where audio of each begins, in the order of the audio.
        flush_id: The flush.
    """
    return next((start for number, start in starts if number is not None and number >= flush_id), None)


class Timeline:
    """Sets the times of one kind of events into one line, event by event.

    The service counts from the context's beginning; whether it does so after a flush is not documented. Where its
    times begin again they are taken to count from the flush's audio, or from the last time. No time is before the one
    that came before it.

    Args:
        start_of_flush: Gives where the audio of a flush begins in seconds; None where that is not known.
    """

    def __init__(self, start_of_flush: Callable[[int], Optional[float]]) -> None:
        self._start_of_flush = start_of_flush
        self._offset = self._last_start = self._last_end = 0.0
        self._last_flush: Optional[int] = None

    def feed(self, event: object) -> list[Entry]:
        """Return the names and times of an event; none of one that has none."""
        if isinstance(event, Timestamps) and event.word_timestamps is not None:
            words = event.word_timestamps
            return self._entries(event.flush_id, words.words, words.start, words.end)
        if isinstance(event, PhonemeTimestampsEvent) and event.phoneme_timestamps is not None:
            sounds = event.phoneme_timestamps
            return self._entries(event.flush_id, sounds.phonemes, sounds.start, sounds.end)
        return []

    def _entries(
        self, flush_id: Optional[int], names: list[str], starts: list[float], ends: list[float]
    ) -> list[Entry]:
        if starts and math.isfinite(starts[0]):
            self._note_restart(flush_id, starts[0] + self._offset)
        if flush_id is not None:
            self._last_flush = flush_id
        entries = []
        for name, start, end in zip(names, starts, ends):
            begin = max(start + self._offset if math.isfinite(start) else 0.0, self._last_start)
            finish = max(end + self._offset if math.isfinite(end) else 0.0, begin)
            self._last_start, self._last_end = begin, max(self._last_end, finish)
            entries.append(Entry(name, begin, finish))
        return entries

    def _note_restart(self, flush_id: Optional[int], first: float) -> None:
        is_new = flush_id is not None and self._last_flush is not None and flush_id > self._last_flush
        before = self._last_end if is_new else self._last_start
        if first < before - _RESTART_SECONDS:
            found = self._start_of_flush(flush_id) if is_new and flush_id is not None else None
            self._offset = max(self._last_end, 0.0 if found is None else found)
