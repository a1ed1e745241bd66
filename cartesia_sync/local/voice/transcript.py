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

from .phonemes import PHONEMES, STRESS_MARKS, sounds_of

__all__ = [
    "Pause",
    "Phrase",
    "Sentence",
    "Span",
    "Style",
    "TagWatch",
    "TextBuffer",
    "has_words",
    "read_phonemes",
    "read_tags",
]

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
    rf"|\[laughter\]|(?P<phonemes>{PHONEMES.pattern})",
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
_OPENING = re.compile(r"[<\[]")
_LONGEST_TAG = 1000
_NO_STRESS = dict.fromkeys(map(ord, STRESS_MARKS))
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
class Span:
    """A part of a phrase's text that is not what the transcript has there.

    Attributes:
        start: Where it begins in the text.
        end: And where it ends.
        written: What the transcript has: one token, however many words are spoken for it.
        sounds: The phonemes to speak, as the transcript writes them; none for text that is read.
    """

    start: int
    end: int
    written: str
    sounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phrase:
    """Text to speak, without tags, and the parts of it that stand for something else, in order."""

    text: str
    style: Style
    spans: tuple[Span, ...] = ()


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
        self._patterns = [pattern for pattern, on in ((_CERTAIN_TAG, tags), (PHONEMES, phonemes)) if on]
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


def read_tags(
    text: str, style: Style, *, whole_spell: bool = True, inline_phonemes: bool = True
) -> tuple[list[Union[Phrase, Pause]], Style]:
    """Split text into phrases and pauses, and apply its tags.

    ``<speed>`` and ``<volume>`` hold from there on, ``<break>`` is a pause, ``<spell>`` spells, ``<emotion>`` and
    ``[laughter]`` are left out. What does not look like a tag is text.

    Args:
        text: A sentence.
        style: How to speak where it begins.
        whole_spell: What is spelled is one token, with its tags. Otherwise each letter is one.
        inline_phonemes: What stands in double angle brackets is spoken as phonemes. Otherwise it is text.

    Returns:
        The parts, in order, and the style that holds after them.
    """
    parts: list[Union[Phrase, Pause]] = []
    words = _Words()
    position = 0
    for tag in _TAG.finditer(text):
        words.add(text[position : tag.start()])
        position = tag.end()
        name = (tag.group("name") or "").lower()
        attributes = {
            key.lower(): (number, unit) for key, number, unit in _ATTRIBUTE.findall(tag.group("attributes") or "")
        }
        if tag.group("phonemes") is not None:
            if inline_phonemes:
                words.add_phonemes(tag.group())
            else:
                words.add(tag.group())
        elif tag.group("spelled") is not None:
            spelled = " ".join(character for character in tag.group("spelled") if character.isalnum())
            words.add_span(spelled, tag.group() if whole_spell else None)
        elif name == "break":
            seconds = _number(*attributes.get("time", ("", "")))
            if seconds:
                parts += words.take(style)
                parts.append(Pause(min(seconds, _LONGEST_BREAK_S)))
        elif name in ("speed", "volume"):
            ratio = _number(*attributes.get("ratio", ("", "")))
            if ratio:
                parts += words.take(style)
                low, high = _RATIO_RANGE
                style = replace(style, **{f"{name}_ratio": min(max(ratio, low), high)})
    words.add(text[position:])
    return parts + words.take(style), style


def read_phonemes(text: str) -> Phrase:
    """Return text with its phonemes as spans, and without anything else that a tag could ask for."""
    words = _Words()
    position = 0
    for word in PHONEMES.finditer(text):
        words.add(text[position : word.start()])
        position = word.end()
        words.add_phonemes(word.group())
    words.add(text[position:])
    return Phrase(words.text, Style(), tuple(words.spans))


class _Words:
    """The words of a phrase, while they are collected."""

    def __init__(self) -> None:
        self.text = ""
        self.spans: list[Span] = []
        self._ends_in_span = False

    def add(self, text: str) -> None:
        """Add what is read as it is written."""
        if self._ends_in_span and text[:1].isalnum():
            if self.spans and self.spans[-1].end == len(self.text):
                self.spans[-1] = replace(self.spans[-1], end=len(self.text) + 1)
            self.text += " "
        self.text += text
        self._ends_in_span = self._ends_in_span and not text

    def add_span(self, spoken: str, written: Optional[str], sounds: tuple[str, ...] = ()) -> None:
        """Add what is spoken in place of something else; if that is named, it is one token."""
        if not spoken:
            return
        start = len(self.text)
        self.text += f" {spoken}" if self.text[-1:].isalnum() else spoken
        if written is not None:
            self.spans.append(Span(start, len(self.text), written, sounds))
        self._ends_in_span = True

    def add_phonemes(self, written: str) -> None:
        """Add a word in double angle brackets. Its letters stand in the text for its sounds."""
        sounds = sounds_of(written[2:-2])
        self.add_span("".join(sounds).translate(_NO_STRESS), written, sounds)

    def take(self, style: Style) -> list[Union[Phrase, Pause]]:
        """Return the phrase, if it has words, and begin another."""
        text, spans = self.text, self.spans
        self.text, self.spans, self._ends_in_span = "", [], False
        if not has_words(text):
            return []
        cut = len(text) - len(text.lstrip())
        moved = tuple(replace(span, start=span.start - cut, end=span.end - cut) for span in spans)
        return [Phrase(text.strip(), style, moved)]


def _number(digits: str, unit: str) -> Optional[float]:
    """Return the number in a tag, with ``ms`` in seconds; None if it is not a number."""
    try:
        return float(digits) / (1000 if unit.lower() == "ms" else 1)
    except ValueError:
        return None
