"""Pronunciation: words are spoken differently from how they are written, while their times keep the written form.

Pure. A dictionary's items replace whole words before the engine speaks; afterwards the times of the spoken words are
assigned to the written ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Union

from .timing import Timed
from .transcript import Pause, Phrase, has_words

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
        self, parts: Sequence[Union[Phrase, Pause]], *, by_character: bool
    ) -> tuple[list[Union[Phrase, Pause]], list[Written]]:
        """Replace what the dictionary has in the parts of one sentence.

        Args:
            parts: Phrases and pauses, in order.
            by_character: The text has no spaces between its words: an item is found anywhere, and characters are timed.

        Returns:
            The parts to speak, and what is written for the tokens of all of them, in order.
        """
        spoken: list[Union[Phrase, Pause]] = []
        written: list[Written] = []
        for part in parts:
            if isinstance(part, Pause):
                spoken.append(part)
                continue
            text, groups = self._replace(part.text, by_character)
            if has_words(text):
                spoken.append(replace(part, text=text))
            else:  # nothing is left to speak
                groups = [Written(group.tokens, 0) for group in groups]
            written += groups
        return spoken, written

    def _replace(self, text: str, by_character: bool) -> tuple[str, list[Written]]:
        pattern, token = (self._anywhere, _CHARACTER) if by_character else (self._whole_words, _TOKEN)
        # Cut the text where a match begins or ends, then join what belongs to one token: it is timed as one.
        spoken = ""
        groups: list[Written] = []
        for written, spelled in _joined(self._pieces(text, pattern), by_character):
            spoken += spelled
            tokens = token.findall(written)
            if written == spelled:
                groups += [Written([found], 1) for found in tokens]
            else:
                groups.append(Written(tokens, len(token.findall(spelled))))
        return spoken, groups

    def _pieces(self, text: str, pattern: re.Pattern[str]) -> Iterable[tuple[str, str]]:
        """Yield the text in pieces: what is written, and what is spoken. What no item matches is cut at its spaces."""
        done = 0
        for match in pattern.finditer(text):
            yield from ((piece, piece) for piece in re.findall(r"\s+|\S+", text[done : match.start()]))
            assert match.lastindex is not None
            yield match.group(), self._items[match.lastindex - 1].alias
            done = match.end()
        yield from ((piece, piece) for piece in re.findall(r"\s+|\S+", text[done:]))


def _pattern(item: Item) -> str:
    """Return the pattern of an item. A lower-case text whose case matters may still begin a sentence with a capital."""
    pattern = re.escape(item.text)
    if not item.case_sensitive:
        return f"(?i:{pattern})"
    capital = item.text[0].upper() + item.text[1:]
    return pattern if capital == item.text else rf"{pattern}|\A{re.escape(capital)}"


def _joined(pieces: Iterable[tuple[str, str]], by_character: bool) -> Iterable[tuple[str, str]]:
    """Join pieces with no space between them; where each character is a token there is nothing to join."""
    written = spoken = ""
    for one, other in pieces:
        if by_character or one.isspace():
            yield written, spoken
            yield one, other
            written = spoken = ""
        else:
            written += one
            spoken += other
    yield written, spoken


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
