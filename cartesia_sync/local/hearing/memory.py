"""What the server has spoken, so that it is known when it is heard again: in any encoding and rate, cut at any word."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ..voice.timing import Timed
from . import analysis

if TYPE_CHECKING:
    from .analysis import Picture, Samples

__all__ = ["MOST_BYTES", "Memory"]

MOST_BYTES = 32 << 20
"""How much audio is kept; what was spoken first is forgotten first."""


class _Spoken(NamedTuple):
    audio: bytes
    encoding: str
    rate_hz: int
    words: tuple[Timed, ...]


class Memory:
    """What was spoken. Looked at only when something is heard: a server that only speaks does not pay for it.

    Threads: any. ``_lock`` guards ``_spoken`` and ``_pictures``; it is held briefly.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._spoken: OrderedDict[_Spoken, None] = OrderedDict()
        self._bytes = 0
        self._pictures: dict[_Spoken, Picture] = {}

    def remember(self, audio: bytes, encoding: str, rate_hz: int, words: Sequence[Timed]) -> None:
        """Keep a sentence that was spoken, with the times of its words."""
        spoken = _Spoken(audio, encoding, rate_hz, tuple(words))
        with self._lock:
            if spoken in self._spoken:
                self._spoken.move_to_end(spoken)
                return
            self._spoken[spoken] = None
            self._bytes += len(audio)
            for forgotten in list(self._spoken):
                if self._bytes <= self._most_bytes:
                    break
                del self._spoken[forgotten]
                self._pictures.pop(forgotten, None)
                self._bytes -= len(forgotten.audio)

    def recognise(self, samples: Samples, rate_hz: int) -> list[Timed]:
        """Return the words that are heard, in order, with their times in seconds.

        Threads: any. Takes some 10 ms for each second of audio.
        """
        pictures = self._all_pictures()
        if not pictures or not len(samples):
            return []
        heard = analysis.picture(samples, rate_hz)
        words: list[Timed] = []
        starts, at, parts = [], 0, []
        for spoken, pictured in pictures:
            gap = analysis.silent_gap(pictured)
            starts.append((at, spoken))
            parts += [pictured, gap]
            at += len(pictured) + len(gap)
        for found in analysis.find(heard, analysis.join(parts)):
            for begin, spoken in starts:  # of the others no word lies in it
                words += _words_in(spoken.words, found.known - begin, found.heard, found.length)
        return words

    def _all_pictures(self) -> list[tuple[_Spoken, Picture]]:
        with self._lock:
            all_spoken = list(self._spoken)
        found: list[tuple[_Spoken, Any]] = []
        for spoken in all_spoken:
            pictured: Optional[Picture] = self._pictures.get(spoken)
            if pictured is None:
                pictured = analysis.picture(analysis.decode(spoken.audio, spoken.encoding), spoken.rate_hz)
                with self._lock:
                    if spoken in self._spoken:
                        self._pictures[spoken] = pictured
            found.append((spoken, pictured))
        return found


def _words_in(words: Sequence[Timed], known: int, heard: int, length: int) -> list[Timed]:
    """Return the words that lie in a stretch, at the times at which they are heard."""
    shift = (heard - known) / analysis.FRAMES_A_SECOND
    inside = []
    for word in words:
        start, end = word.start * analysis.FRAMES_A_SECOND, word.end * analysis.FRAMES_A_SECOND
        overlap = min(end, known + length) - max(start, known)
        # A word is heard where most of it is: where it begins and ends its sound may be too soft to see.
        if overlap >= (end - start) * 0.5:
            inside.append(word.later(shift))
    return inside
