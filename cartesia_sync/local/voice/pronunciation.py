"""Pronunciation: words are spoken differently from how they are written, while their times keep the written form.

Pure. A dictionary's items replace whole words before the engine speaks; afterwards the times of the spoken words are
assigned to the written ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Union

from .timing import Timed
from .transcript import Pause, Phrase, Span, has_words, read_phonemes

__all__ = ["Item", "Pronunciation", "Written", "as_written"]

_TOKEN = re.compile(r"\S+")
_CHARACTER = re.compile(r"\S")


class Item(NamedTuple):
    """One item of a dictionary: ``text`` is spoken as ``alias``."""

    text: str
    alias: str
    case_sensitive: bool = False


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
        self._items = sorted(items, key=lambda item: -len(item.text))
        any_of_them = "|".join(f"({_pattern(item)})" for item in self._items) or "(?!)"
        self._anywhere = re.compile(any_of_them)
        self._whole_words = re.compile(rf"(?<!\w)(?:{any_of_them})(?!\w)")

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
        pattern, token = (self._anywhere, _CHARACTER) if by_character else (self._whole_words, _TOKEN)
        text, done = part.text, 0
        for span in (*part.spans, Span(len(text), len(text), "")):
            for match in pattern.finditer(text, done, span.start):
                yield from _plain(text[done : match.start()], token)
                done = match.end()
                assert match.lastindex is not None
                alias = self._items[match.lastindex - 1].alias
                phrase = read_phonemes(alias) if inline_phonemes else Phrase(alias, part.style)
                is_plain = phrase.text == match.group() and not phrase.spans
                yield _Piece(token.findall(match.group()), phrase.text, is_plain, phrase.spans)
            yield from _plain(text[done : span.start], token)
            done = span.end
            if span.written:
                sounds = (_moved(span, -span.start),) if span.sounds else ()
                yield _Piece([span.written], text[span.start : span.end], False, sounds)


def _plain(text: str, token: re.Pattern[str]) -> Iterator[_Piece]:
    return (_Piece(token.findall(piece), piece, True) for piece in re.findall(r"\s+|\S+", text))


def _moved(span: Span, by: int) -> Span:
    return replace(span, start=span.start + by, end=span.end + by)


def _pattern(item: Item) -> str:
    """Return the pattern of an item. A lower-case text whose case matters may still begin a sentence with a capital."""
    pattern = re.escape(item.text)
    if not item.case_sensitive:
        return f"(?i:{pattern})"
    capital = item.text[0].upper() + item.text[1:]
    return pattern if capital == item.text else rf"{pattern}|\A{re.escape(capital)}"


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
    times: list[Timed] = []
    done = 0
    for group in written:
        span = spoken[done : done + group.spoken]
        done += group.spoken
        moment = times[-1].end if times else 0.0
        start, end = (span[0].start, span[-1].end) if span else (moment, moment)
        letters, so_far, begin = sum(map(len, group.tokens)), 0, start
        for token in group.tokens:
            so_far += len(token)
            finish = end if so_far == letters else start + (end - start) * so_far / letters
            times.append(Timed(token, begin, finish))
            begin = finish
    return times
