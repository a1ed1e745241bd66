"""When each word and each phoneme is heard: from the engine's events to spans of seconds.

Pure, and linear in what it is given: texts come from clients. An engine reports where words and phonemes *start*, by
its own idea of a word: a number or a hyphenated word is several, "of the" may be one. Callers want every token of the
transcript as it was written, with a start and an end.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Timed", "phoneme_times", "word_times"]

_TOKEN = re.compile(r"\S+")
_CHARACTER = re.compile(r"\S")


class Timed(NamedTuple):
    """A word or a phoneme, and when it is heard, in seconds from the beginning of the audio."""

    text: str
    start: float
    end: float

    def later(self, seconds: float) -> Timed:
        """Return the same, shifted by so many seconds."""
        return Timed(self.text, self.start + seconds, self.end + seconds)


def phoneme_times(starts: Sequence[tuple[str, float]], total: float) -> list[Timed]:
    """Return every phoneme with its end: the start of the next one, of a pause, or the end of the audio.

    Args:
        starts: Names and starts in seconds, in the order in which they are heard. An empty name is a pause.
        total: The length of the audio in seconds.
    """
    spans = []
    for index, (name, start) in enumerate(starts):
        end = starts[index + 1][1] if index + 1 < len(starts) else total
        if name:
            spans.append(Timed(name, min(start, total), min(max(start, end), total)))
    return spans


def word_times(
    text: str,
    starts: Sequence[tuple[int, float]],
    phonemes: Sequence[Timed],
    total: float,
    *,
    by_character: bool = False,
) -> list[Timed]:
    r"""Return every token of the text, ``\S+``, with a start and an end.

    A token starts at the first word event inside it and ends with its last phoneme. Tokens without an event of their
    own share the span of the one before, by length; a token without a letter or digit has a span of no length.

    Args:
        text: What was spoken.
        starts: Where words start: offset in the text (code points, from 0) and seconds, in order.
        phonemes: All phonemes of the audio.
        total: The length of the audio in seconds.
        by_character: Every character is a token, as suits text without spaces between its words.

    Returns:
        One span for each token, in order; none overlaps another, none passes ``total``.
    """
    tokens = list((_CHARACTER if by_character else _TOKEN).finditer(text))
    voiced = [token for token in tokens if any(map(str.isalnum, token.group()))]
    spans_by_offset = _spans_of_voiced(voiced, starts, phonemes, total)
    first = min((start for start, _ in spans_by_offset.values()), default=0.0)
    spans: list[Timed] = []
    for token in tokens:
        span = spans_by_offset.get(token.start())
        if span is None:
            moment = spans[-1].end if spans else first
            span = (moment, moment)
        spans.append(Timed(token.group(), *span))
    return spans


def _spans_of_voiced(
    tokens: Sequence[re.Match[str]],
    starts: Sequence[tuple[int, float]],
    phonemes: Sequence[Timed],
    total: float,
) -> dict[int, tuple[float, float]]:
    """Return the spans of the tokens that have a sound, by their offset."""
    # A group begins at a token with an event of its own. The first group also has all tokens before it.
    groups: list[tuple[int, float]] = []
    token_ends = [token.end() for token in tokens]
    for offset, time in starts:
        index = bisect_right(token_ends, offset)
        if index < len(tokens) and (not groups or index > groups[-1][0]):
            earliest = groups[-1][1] if groups else 0.0
            groups.append((index, min(max(time, earliest), total)))
    if not groups:
        groups = [(0, 0.0)]
    groups[0] = (0, groups[0][1])

    ends = _last_sounds(phonemes, [start for _, start in groups], total)
    spans: dict[int, tuple[float, float]] = {}
    for number, (first, start) in enumerate(groups):
        after = groups[number + 1][0] if number + 1 < len(groups) else len(tokens)
        end = ends[number]
        members = tokens[first:after]
        letters = sum(len(token.group()) for token in members)
        begin, spoken = start, 0
        for token in members:
            spoken += len(token.group())
            finish = min(start + (end - start) * spoken / letters, end)
            spans[token.start()] = (begin, finish)
            begin = finish
    return spans


def _last_sounds(phonemes: Sequence[Timed], starts: Sequence[float], total: float) -> list[float]:
    """Return for each span the end of the last phoneme that starts in it, or the span's own end.

    Args:
        phonemes: In the order in which they are heard.
        starts: Where the spans start, in order; each ends where the next one starts, the last at ``total``.
        total: The length of the audio in seconds.
    """
    limits = [*starts[1:], total]
    ends = list(limits)
    for phoneme in phonemes:
        number = bisect_right(starts, phoneme.start) - 1
        if number >= 0 and phoneme.start < limits[number]:
            ends[number] = min(phoneme.end, limits[number])
    return ends
