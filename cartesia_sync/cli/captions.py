"""Captions of what was heard, for the commands: an ``.srt`` file."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

from . import interrupts
from .outcome import FAILED, WRONG_USE, CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Timed = tuple[str, float, float]
"""A word, or more, and from when to when it is said, in seconds."""

MOST_CHARACTERS, LINE_CHARACTERS = 84, 42
MOST_SECONDS, PAUSE_SECONDS, LEAST_SECONDS = 7.0, 1.0, 0.5
_SENTENCE_ENDS = (".", "?", "!", "…")


def check(path: str) -> None:
    """Find what is wrong with the target before the service is asked, which costs money.

    Raises:
        CommandError: It is no .srt file, or its folder is not there.
    """
    if os.path.splitext(path)[1].lower() != ".srt":
        raise CommandError(f"--captions {path}: only SubRip can be written; give a name that ends in .srt", WRONG_USE)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise CommandError(f"--captions {path}: there is no such folder")
    if os.path.isdir(path):
        raise CommandError(f"--captions {path}: this is a folder")


def write(path: str, times: Sequence[Timed]) -> None:
    """Write them; the file appears when it is whole.

    Raises:
        CommandError: The service told no times.
        OSError: It cannot be written.
    """
    if not times:
        raise CommandError(f"--captions {path}: the service told no times; ink-whisper does", FAILED)
    with interrupts.held_back():
        from ..audio.files import WholeFile
    with WholeFile(path) as file:
        for number, (text, start, end) in enumerate(cues(times), 1):
            lines = "\n".join(textwrap.wrap(text, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False))
            file.write(f"{number}\n{_time(start)} --> {_time(end)}\n{lines}\n\n".encode())


def cues(times: Sequence[Timed]) -> Iterator[Timed]:
    """Give what is shown at one time: at most a sentence, two lines, and seven seconds."""
    texts: list[str] = []
    begin = last = 0.0
    for text, start, end in times:
        if texts and (
            texts[-1].endswith(_SENTENCE_ENDS)
            or start - last >= PAUSE_SECONDS
            or end - begin > MOST_SECONDS
            or len(" ".join([*texts, text])) > MOST_CHARACTERS
        ):
            yield " ".join(texts), begin, min(max(last, begin + LEAST_SECONDS), max(start, last))
            texts = []
        begin = begin if texts else start
        last = end
        texts.append(text)
    if texts:
        yield " ".join(texts), begin, max(last, begin + LEAST_SECONDS)


def _time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"
