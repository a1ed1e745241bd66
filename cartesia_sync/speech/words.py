"""Words and when they are spoken, fitted to the text that was sent."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from ..protocol.words import TAG

_HIDDEN = re.compile(rf"(?P<tag>{TAG})|<<(?P<phonemes>[^<>\s]+)>>", re.IGNORECASE)
_WRAPPED = re.compile(r"<spell\b[^<>]*>.*?</spell\s*>|<<[^<>\s]+>>", re.IGNORECASE | re.DOTALL)
_PARTS_WORDS = re.compile(r"<(?!/?spell)|\[", re.IGNORECASE)
_BEGUN = re.compile(r"</?(?:break|speed|volume|emotion|spell)\b[^<>]*\Z", re.IGNORECASE)
_LONGEST_TAG = 8
"""Entries; a tag with a space in it may come as several."""


class Entry(NamedTuple):
    """What the service says of one word or phoneme: seconds from the beginning of the audio."""

    text: str
    start: float
    end: float


class Word(NamedTuple):
    """A word as it stands in the text that was sent, and when it is spoken.

    ``transcript[text_start:text_end]`` is the word with its marks. Those between two words belong to the one before,
    an opening quote or bracket to the one after. What the service calls a word, it is here too: in Chinese or
    Japanese a character or several.

    Attributes:
        text: As the user wrote it, with its marks and without tags; what the service sent, where that fits no text.
        start: Seconds from the beginning of the audio.
        end: Likewise; never before ``start``.
        text_start: Where it begins in the transcript, in characters; None where the service's words had stopped to
            fit it.
        text_end: Where it ends, likewise.
    """

    text: str
    start: float
    end: float
    text_start: Optional[int] = None
    text_end: Optional[int] = None


class Phoneme(NamedTuple):
    """When a phoneme (IPA) is spoken: seconds from the beginning of the audio."""

    text: str
    start: float
    end: float


class Shown:
    """A transcript without its tags, and where each of its characters stands in it.

    Attributes:
        text: What is shown. Of ``<<k|ɑ|ɹ>>`` it is the phonemes, of ``<spell>AB</spell>`` what is spelled.
        places: The place of each of its characters in the transcript.
    """

    def __init__(self, transcript: str) -> None:
        places: list[int] = []
        parts: list[str] = []
        at = 0
        for hidden in _HIDDEN.finditer(transcript):
            parts.append(transcript[at : hidden.start()])
            places += range(at, hidden.start())
            if hidden["phonemes"]:
                first = hidden.start("phonemes")
                kept = [(first + index, sign) for index, sign in enumerate(hidden["phonemes"]) if sign != "|"]
                parts += [sign for _, sign in kept]
                places += [place for place, _ in kept]
            elif _PARTS_WORDS.match(hidden.group()) and all(
                side.isalnum()
                for side in (transcript[at : hidden.start()][-1:], transcript[hidden.end() : hidden.end() + 1])
            ):  # or "one<break/>two" would be one word
                parts.append(" ")
                places.append(hidden.start())
            at = hidden.end()
        parts.append(transcript[at:])
        places += range(at, len(transcript))
        self.text = "".join(parts)
        self.places = places
        self._wrapped = [found.span() for found in _WRAPPED.finditer(transcript)]
        self._size = len(transcript)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of the text stands in the transcript, with the tags that it alone is in."""
        first, last = self.places[start], self.places[end - 1]
        before = self.places[start - 1] if start else -1
        after = self.places[end] if end < len(self.places) else self._size
        for left, right in self._wrapped:
            if before < left <= first < right:
                first = left
            if left <= last < right <= after:
                last = right - 1
        return first, last + 1


class Aligner:
    """Finds the service's words in the transcript, one after the other.

    Letters and digits alone are compared, without case and accents, so that marks and spaces need not be the same. At
    the first word that does not come next in the transcript it stops for good, since a guess would put all later words
    to wrong places: a number that the service spells out, or a part that it gives no times for.

    Not thread-safe: its owner locks.

    Attributes:
        is_lost: Whether it has stopped.
    """

    def __init__(self, transcript: str = "") -> None:
        self.is_lost = False
        self._signs = 0  # of the transcript, that have been found
        self._shown_end = 0  # of the last word
        self.set_transcript(transcript)

    def set_transcript(self, transcript: str) -> None:
        """Take the transcript, or a longer one that begins with the one before."""
        self._transcript = transcript
        self._shown = Shown(transcript)
        signs: list[str] = []
        places: list[int] = []
        for place, character in enumerate(self._shown.text):
            compared = _compared(character)
            if compared:
                signs.append(compared)
                places += [place] * len(compared)
        self._all_signs, self._sign_places = "".join(signs), places

    @property
    def aligned_to(self) -> int:
        """How much of the transcript, in characters, has been found."""
        if not self.is_lost and self._signs == len(self._all_signs):
            return len(self._transcript)
        return self._shown.span(self._shown_end - 1, self._shown_end)[1] if self._shown_end else 0

    def feed(self, entries: Iterable[Entry]) -> list[Word]:
        """Return the words for what the service has sent next."""
        cleaned = list(_without_tags(entries))
        signs = ["".join(map(_compared, entry.text)) for entry in cleaned]
        words: list[Word] = []
        for index, entry in enumerate(cleaned):
            if not self.is_lost and signs[index]:
                self.is_lost = not self._comes_next(signs, index)
            if self.is_lost:
                words.append(Word(*entry))
            elif signs[index]:
                words.append(self._word(entry, len(signs[index])))
            # Marks alone belong to the word before or after, as the transcript has them.
        return words

    def _comes_next(self, signs: Sequence[str], index: int) -> bool:
        """Whether a word comes next; where it ends within one of the transcript, those after it must complete that."""
        at = self._signs
        for following in signs[index:]:
            if not self._all_signs.startswith(following, at):
                return False
            at += len(following)
            if self._is_boundary(at):
                return True
        return True  # the rest is yet to come

    def _is_boundary(self, at: int) -> bool:
        places = self._sign_places
        if not 0 < at < len(places) or places[at] != places[at - 1] + 1:
            return True
        text = self._shown.text
        return _needs_no_spaces(text[places[at - 1]]) or _needs_no_spaces(text[places[at]])

    def _word(self, entry: Entry, count: int) -> Word:
        text, places = self._shown.text, self._sign_places
        start, self._signs = self._shown_end, self._signs + count
        after = places[self._signs] if self._signs < len(places) else len(text)
        end = places[self._signs - 1] + 1
        self._shown_end = end + _tail(text[end:after], is_last=after == len(text))
        while start < end and text[start].isspace():
            start += 1
        return Word(text[start : self._shown_end], entry.start, entry.end, *self._shown.span(start, self._shown_end))


def align(transcript: str, entries: Iterable[Entry]) -> tuple[tuple[Word, ...], int]:
    """Return the words, and how much of the transcript has been found, in characters."""
    aligner = Aligner(transcript)
    return tuple(aligner.feed(entries)), aligner.aligned_to


def _tail(gap: str, *, is_last: bool) -> int:
    """Return how much of what stands between two words belongs to the first."""
    if is_last:
        return len(gap.rstrip())
    for index in range(len(gap), 0, -1):
        if gap[index - 1].isspace():
            return len(gap[:index].rstrip())
    return next((index for index, mark in enumerate(gap) if unicodedata.category(mark) in ("Ps", "Pi")), len(gap))


def _without_tags(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Take tags off, of which some versions of the service make words; one with spaces in it may be several."""
    begun: list[Entry] = []
    for entry in entries:
        if not begun and "<" not in entry.text and "[" not in entry.text:
            if entry.text.strip():
                yield entry._replace(text=entry.text.strip())
            continue
        begun.append(entry)
        text = " ".join(each.text for each in begun)
        if _BEGUN.search(text) and len(begun) < _LONGEST_TAG:
            continue
        shown = Shown(text).text.strip()
        if shown:
            yield Entry(shown, begun[0].start, entry.end)
        begun = []
    for entry in begun:  # what looked like a tag and was none
        if entry.text.strip():
            yield entry


@functools.lru_cache(maxsize=4096)
def _compared(character: str) -> str:
    """Return what of a character counts when words are compared: letters and digits, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", character).casefold()))


@functools.lru_cache(maxsize=4096)
def _needs_no_spaces(character: str) -> bool:
    """Whether it is of a script that sets none between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer, Tibetan."""
    return (
        unicodedata.east_asian_width(character) in "WF"
        or "\u0e00" <= character <= "\u109f"
        or ("\u1780" <= character <= "\u17ff")
    )
