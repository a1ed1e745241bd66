"""Pronunciation: words are spoken differently from how they are written, while their times keep the written form.

Pure. A dictionary's items replace whole words before the engine speaks; afterwards the times of the spoken words are
assigned to the written ones. What is spoken may be much longer than what is written: that has a limit.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Optional, Union

from .timing import Timed
from .transcript import Pause, Phrase, Span, has_words, read_phonemes

__all__ = ["Item", "Pronunciation", "TooLongError", "Written", "WrittenTimes", "as_written"]

_TOKEN = re.compile(r"\S+")
_CHARACTER = re.compile(r"\S")
_MOST_SPOKEN = 65_536
_PREFIX = 3  # how many characters of an item are looked up before its length is known


class Item(NamedTuple):
    """One item of a dictionary: ``text`` is spoken as ``alias``."""

    text: str
    alias: str
    case_sensitive: bool = False


class TooLongError(Exception):
    """A sentence is longer than may be, as it is to be spoken."""


class Written(NamedTuple):
    """Tokens as they are written, and how many tokens are spoken in their place."""

    tokens: list[str]
    spoken: int


class _Piece(NamedTuple):
    """A piece of a phrase: the tokens that are written, what is spoken, and where that holds phonemes."""

    tokens: list[str]
    spoken: str
    is_plain: bool  # it is spoken as it is written
    spans: tuple[Span, ...] = ()


class Pronunciation:
    """Applies a dictionary to text. The longest text that fits wins; an alias is not looked up again.

    Args:
        items: The dictionary's items; no text is empty, or begins or ends with a space.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        # By their text without its case. A pattern of all of them would be tried one by one, at each place of a text.
        self._items: dict[str, list[Item]] = {}
        lengths: dict[str, set[int]] = {}
        for item in items:
            folded = _fold(item.text)
            self._items.setdefault(folded, []).append(item)
            lengths.setdefault(folded[:_PREFIX], set()).add(len(folded))
        self._lengths = {prefix: sorted(found, reverse=True) for prefix, found in lengths.items()}
        self._phrases: dict[str, Phrase] = {}  # aliases, read

    def apply(
        self, parts: Sequence[Union[Phrase, Pause]], *, by_character: bool, inline_phonemes: bool = True
    ) -> tuple[list[Union[Phrase, Pause]], list[Written]]:
        """Replace what the dictionary has in the parts of one sentence.

        Args:
            parts: Phrases and pauses, in order.
            by_character: The text has no spaces between its words: an item is found anywhere, and characters are timed.
            inline_phonemes: An alias may hold phonemes, in double angle brackets.

        Returns:
            The parts to speak, and what is written for the tokens of all of them, in order.

        Raises:
            TooLongError: A part is longer than 65,536 characters, as it is to be spoken.
        """
        spoken: list[Union[Phrase, Pause]] = []
        written: list[Written] = []
        for part in parts:
            if isinstance(part, Pause):
                spoken.append(part)
                continue
            phrase, groups = self._replace(part, by_character, inline_phonemes)
            if has_words(phrase.text):
                spoken.append(phrase)
            else:  # nothing is left to speak
                groups = [Written(group.tokens, 0) for group in groups]
            written += groups
        return spoken, written

    def _replace(self, part: Phrase, by_character: bool, inline_phonemes: bool) -> tuple[Phrase, list[Written]]:
        token = _CHARACTER if by_character else _TOKEN
        # Cut the text where something begins or ends that is spoken otherwise, then join what belongs to one token: it
        # is timed as one.
        pieces = self._pieces(part, by_character, inline_phonemes)
        text = ""
        spans: list[Span] = []
        groups: list[Written] = []
        for piece in pieces if by_character else _joined(pieces):
            spans += [_moved(span, len(text)) for span in piece.spans]
            text += piece.spoken
            if piece.is_plain:
                groups += [Written([found], 1) for found in piece.tokens]
            else:
                groups.append(Written(piece.tokens, len(token.findall(piece.spoken))))
        return replace(part, text=text, spans=tuple(spans)), groups

    def _pieces(self, part: Phrase, by_character: bool, inline_phonemes: bool) -> Iterator[_Piece]:
        """Yield a phrase in pieces. What is read as it is written is cut at its spaces."""
        token = _CHARACTER if by_character else _TOKEN
        text, folded, done, total = part.text, _fold(part.text), 0, 0
        for span in (*part.spans, Span(len(text), len(text), "")):
            position = done
            while position < span.start:
                item = None
                if by_character or not (position and _is_word(text[position - 1])):
                    item = self._item_at(text, folded, position, span.start, by_character)
                if item is None:
                    position += 1
                    continue
                yield from _plain(text[done:position], token)
                done = position = position + len(item.text)
                written = text[done - len(item.text) : done]
                phrase = self._phrase_of(item.alias) if inline_phonemes else Phrase(item.alias, part.style)
                total += len(phrase.text)
                if total > _MOST_SPOKEN:
                    raise TooLongError
                yield _Piece(
                    token.findall(written), phrase.text, phrase.text == written and not phrase.spans, phrase.spans
                )
            yield from _plain(text[done : span.start], token)
            done = span.end
            if span.written:
                sounds = (_moved(span, -span.start),) if span.sounds else ()
                yield _Piece([span.written], text[span.start : span.end], False, sounds)

    def _item_at(self, text: str, folded: str, start: int, limit: int, by_character: bool) -> Optional[Item]:
        """Return the longest item that stands there, and ends at the limit or before it."""
        for width in range(_PREFIX, 0, -1):  # an item that is shorter than a prefix is its own
            for length in self._lengths.get(folded[start : start + width], ()):
                end = start + length
                if end > limit or not (by_character or end == limit or not _is_word(text[end])):
                    continue
                for item in self._items.get(folded[start:end], ()):
                    if not item.case_sensitive or _is_same(item.text, text[start:end], start):
                        return item
        return None

    def _phrase_of(self, alias: str) -> Phrase:
        if alias not in self._phrases:
            self._phrases[alias] = read_phonemes(alias)
        return self._phrases[alias]


def _fold(text: str) -> str:
    """Return the text without its case, each character in its place."""
    return text.lower() if text.isascii() else "".join(map(_fold_one, text))


def _fold_one(character: str) -> str:
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return folded
    return character


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_same(wanted: str, found: str, start: int) -> bool:
    """Whether this is the text, case and all. One in lower case may begin a sentence with a capital."""
    return found == wanted or (start == 0 and found == wanted[0].upper() + wanted[1:])


def _plain(text: str, token: re.Pattern[str]) -> Iterator[_Piece]:
    return (_Piece(token.findall(piece), piece, True) for piece in re.findall(r"\s+|\S+", text))


def _moved(span: Span, by: int) -> Span:
    return replace(span, start=span.start + by, end=span.end + by)


def _joined(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """Join pieces with no space between them."""
    so_far = _Piece([], "", True)
    for piece in pieces:
        if piece.is_plain and not piece.tokens:  # space
            yield so_far
            yield piece
            so_far = _Piece([], "", True)
        else:
            middle = ["".join(so_far.tokens[-1:] + piece.tokens[:1])]
            tokens = so_far.tokens[:-1] + middle + piece.tokens[1:]
            spans = *so_far.spans, *(_moved(span, len(so_far.spoken)) for span in piece.spans)
            so_far = _Piece(tokens, so_far.spoken + piece.spoken, so_far.is_plain and piece.is_plain, spans)
    yield so_far


def as_written(spoken: Sequence[Timed], written: Sequence[Written]) -> list[Timed]:
    """Return the times of the written tokens, from those of the spoken ones.

    Tokens that are spoken as fewer or more share the whole span, by their length.
    """
    times = WrittenTimes(written)
    return times.take(spoken) + times.rest()


class WrittenTimes:
    """The times of written tokens, while those of the spoken ones come.

    Args:
        written: What is written for all of them, in order.
        start: When the first is heard at the earliest.
    """

    def __init__(self, written: Sequence[Written], start: float = 0.0) -> None:
        self._written = deque(written)
        self._moment = start
        # Of the first group, if some of it has been heard: when that began and ended, and how many tokens it was.
        self._begun: Optional[tuple[float, float]] = None
        self._heard = 0

    def take(self, spoken: Sequence[Timed]) -> list[Timed]:
        """Return the written tokens that are complete with these."""
        times: list[Timed] = []
        done = 0
        while self._written and (self._written[0].spoken == 0 or done < len(spoken)):
            group = self._written[0]
            wanted = group.spoken - self._heard
            span = spoken[done : done + wanted]
            done += len(span)
            if span:
                self._begun = (span[0].start if self._begun is None else self._begun[0], span[-1].end)
            if len(span) < wanted:
                self._heard += len(span)
                break
            times += self._first()
        return times

    def rest(self) -> list[Timed]:
        """Return the tokens that are not complete, as far as they were heard."""
        times: list[Timed] = []
        while self._written:
            times += self._first()
        return times

    def _first(self) -> Iterator[Timed]:
        group = self._written.popleft()
        start, end = self._begun or (self._moment, self._moment)
        self._moment, self._begun, self._heard = (end if group.tokens else self._moment), None, 0
        return _shared(group.tokens, start, end)


def _shared(tokens: Sequence[str], start: float, end: float) -> Iterator[Timed]:
    """Yield the tokens with a share of the span, by their length."""
    letters, so_far, begin = sum(map(len, tokens)), 0, start
    for token in tokens:
        so_far += len(token)
        finish = end if so_far == letters else start + (end - start) * so_far / letters
        yield Timed(token, begin, finish)
        begin = finish
