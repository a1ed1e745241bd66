"""Transcripts: where their sentences end, and what their tags ask for.

Pure. Text arrives in pieces and is spoken in sentences. Where a sentence ends depends on the text, not on how it was
cut into pieces, so that the same requests always make the same audio. Two things can still cut a sentence elsewhere: a
buffer delay that runs out (the clock decides), and a piece that ends with a full stop which only the next piece would
show to be inside a word ("version 2" then ".5" is safe, "example." then "com" is not).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Optional, Union

__all__ = ["Pause", "Phrase", "Sentence", "Style", "TagWatch", "TextBuffer", "has_words", "read_tags"]

# A sentence's end: the mark, closing quotes or brackets, and the space that proves it. Scripts without spaces between
# sentences need no proof; neither does an empty line.
_CLOSING = "[\"'\u201d\u2019\u00bb)\\]\u300d\u300f\uff09]*"
_MARK = "[.!?\u2026\u061f\u0964\u06d4]+"  # ... and the ellipsis, the Arabic, Hindi and Urdu ones
_WIDE_MARK = "[\u3002\uff01\uff1f]+"
_END = re.compile(rf"{_MARK}{_CLOSING}(?=\s)|{_WIDE_MARK}{_CLOSING}|\n[^\S\n]*\n")
# At the end of what has come so far the mark is enough, so that a complete sentence does not wait.
_END_SO_FAR = re.compile(rf"{_MARK}{_CLOSING}$")
# After these a full stop ends no sentence, nor after a single letter: "J. S. Bach", "e.g. this".
_ABBREVIATION = re.compile(r"(?:^|[\s(.])(?:mr|mrs|ms|dr|st|vs|prof|sr|jr|[^\W\d_])$", re.IGNORECASE)
# A sentence without an end is cut at a space, to bound the memory.
_LONGEST = 500

_TAG = re.compile(
    r"<\s*(?P<name>speed|volume|emotion|break)\b(?P<attributes>[^<>]*?)/?\s*>"
    r"|<\s*spell\s*>(?P<spelled>.*?)<\s*/\s*spell\s*>"
    r"|\[laughter\]",
    re.IGNORECASE | re.DOTALL,
)
_OPEN_TAG = re.compile(
    r"<[^<>\s][^<>]{0,80}$|<\s*spell\s*>(?:(?!<\s*/\s*spell\s*>).){0,200}$", re.IGNORECASE | re.DOTALL
)
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']\s*([\d.]+)\s*(ms|s)?\s*["']""", re.IGNORECASE)
# A tag for certain. "3 < speed and b > 2" can be read as one, too; nobody is to be blamed for cutting that.
_CERTAIN_TAG = re.compile(
    r"<(?:speed|volume|emotion|break)\b[^<>]*>|<spell>.*?</spell>|\[laughter\]", re.IGNORECASE | re.DOTALL
)
_PHONEMES = re.compile(r"<<([^<>\s]+)>>")
_OPENING = re.compile(r"[<\[]")
_LONGEST_TAG = 1000
_RATIO_RANGE = (0.5, 2.0)
_LONGEST_BREAK_S = 30.0


@dataclass(frozen=True)
class Style:
    """How to speak: factors of the normal rate and loudness. ``..._ratio`` comes from a tag, and multiplies."""

    speed: float = 1.0
    volume: float = 1.0
    speed_ratio: float = 1.0
    volume_ratio: float = 1.0


@dataclass(frozen=True)
class Sentence:
    """Text to speak in one go, tags included, in the style of the request that sent it."""

    text: str
    speed: float = 1.0
    volume: float = 1.0


@dataclass(frozen=True)
class Phrase:
    """Text to speak, without tags."""

    text: str
    style: Style


@dataclass(frozen=True)
class Pause:
    """Silence between phrases."""

    seconds: float


def has_words(text: str) -> bool:
    """Whether there is anything to speak: a letter or a digit."""
    return any(map(str.isalnum, text))


class TextBuffer:
    """Text that has arrived and is not yet spoken. Not thread-safe."""

    def __init__(self) -> None:
        self._text = ""
        self._speed = 1.0
        self._volume = 1.0

    def __bool__(self) -> bool:
        return has_words(self._text)

    def add(self, text: str, *, speed: float = 1.0, volume: float = 1.0) -> list[Sentence]:
        """Append a piece; return the sentences that are complete now.

        A piece in another style than the text before it ends that text's sentence.
        """
        if not text:
            return []
        sentences = []
        if (speed, volume) != (self._speed, self._volume):
            sentences = self.take_rest()
            self._speed, self._volume = speed, volume
        self._text += text
        start = 0
        while True:
            length = _sentence_length(self._text[start : start + _LONGEST], start + _LONGEST >= len(self._text))
            if length is None:
                break
            sentences += self._sentence(self._text[start : start + length])
            start += length
        self._text = self._text[start:].lstrip()
        return sentences

    def take_rest(self) -> list[Sentence]:
        """Remove and return what is left, whether or not its sentence is complete."""
        rest, self._text = self._text, ""
        return self._sentence(rest)

    def _sentence(self, text: str) -> list[Sentence]:
        return [Sentence(text.strip(), self._speed, self._volume)] if has_words(text) else []


class TagWatch:
    """Notices a tag that begins in one text of a context and ends in a later one. Not thread-safe.

    Args:
        tags: Whether tags are watched.
        phonemes: Whether phonemes in double angle brackets are.
    """

    def __init__(self, *, tags: bool, phonemes: bool) -> None:
        self._patterns = [pattern for pattern, on in ((_CERTAIN_TAG, tags), (_PHONEMES, phonemes)) if on]
        self._tail = ""  # the end of what has come, as long as a tag may have begun in it

    def add(self, text: str) -> Optional[str]:
        """Take the next text; return a tag that ends in it and has begun before it, or None."""
        begun = len(self._tail)
        joined = self._tail + text[:_LONGEST_TAG]
        for opening in _OPENING.finditer(self._tail):
            for pattern in self._patterns:
                tag = pattern.match(joined, opening.start())
                if tag is not None and tag.end() > begun:
                    return tag.group()
        tail = (self._tail + text)[-_LONGEST_TAG:]
        self._tail = tail if _OPENING.search(tail) else ""
        return None


def _sentence_length(text: str, is_all: bool) -> Optional[int]:
    """Return the length of the first sentence, or None if it has not ended yet.

    Args:
        text: At most ``_LONGEST`` characters.
        is_all: Nothing has come after them so far.
    """
    for match in _END.finditer(text):
        if _is_end(text, match):
            return match.end()
    if not is_all:
        return text.rfind(" ", 1) + 1 or len(text)
    so_far = _END_SO_FAR.search(text)
    if so_far is None or not _is_end(text, so_far):
        return None
    may_be_decimal_point = so_far.group() == "." and text[: so_far.start()][-1:].isdigit()
    return None if may_be_decimal_point else so_far.end()


def _is_end(text: str, match: re.Match[str]) -> bool:
    before = text[: match.start()]
    if match.group().startswith(".") and _ABBREVIATION.search(before[-8:]):
        return False
    # A full stop inside a tag, <break time="1. ... ends nothing.
    return _OPEN_TAG.search(before) is None


def read_tags(text: str, style: Style) -> tuple[list[Union[Phrase, Pause]], Style]:
    """Split text into phrases and pauses, and apply its tags.

    ``<speed>`` and ``<volume>`` hold from there on, ``<break>`` is a pause, ``<spell>`` spells, ``<emotion>`` and
    ``[laughter]`` are left out. What does not look like a tag is text.

    Returns:
        The parts, in order, and the style that holds after them.
    """
    parts: list[Union[Phrase, Pause]] = []
    words = ""
    position = 0

    def end_phrase() -> None:
        nonlocal words
        if has_words(words):
            parts.append(Phrase(words.strip(), style))
        words = ""

    for tag in _TAG.finditer(text):
        words += text[position : tag.start()]
        position = tag.end()
        name = (tag.group("name") or "").lower()
        attributes = {
            key.lower(): (number, unit) for key, number, unit in _ATTRIBUTE.findall(tag.group("attributes") or "")
        }
        if tag.group("spelled") is not None:
            words += " " + " ".join(character for character in tag.group("spelled") if character.isalnum()) + " "
        elif name == "break":
            seconds = _number(*attributes.get("time", ("", "")))
            if seconds:
                end_phrase()
                parts.append(Pause(min(seconds, _LONGEST_BREAK_S)))
        elif name in ("speed", "volume"):
            ratio = _number(*attributes.get("ratio", ("", "")))
            if ratio:
                end_phrase()
                low, high = _RATIO_RANGE
                style = replace(style, **{f"{name}_ratio": min(max(ratio, low), high)})
    words += text[position:]
    end_phrase()
    return parts, style


def _number(digits: str, unit: str) -> Optional[float]:
    """Return the number in a tag, with ``ms`` in seconds; None if it is not a number."""
    try:
        return float(digits) / (1000 if unit.lower() == "ms" else 1)
    except ValueError:
        return None
