"""Captions, for the commands: what is wrong with a target, before anything is asked for, and what is written there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import interrupts, targets
from .outcome import FAILED, WRONG_USE, CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

Timed = tuple[str, float, float]
"""A word, or more, and from when to when it is said, in seconds."""


def check(target: str) -> None:
    """Find what is wrong with the target before the service is asked, which costs money.

    Raises:
        CommandError, OSError: They cannot be written to it.
    """
    with interrupts.held_back():
        from ..speech import captions
    try:
        captions.kind_of(target)
    except ValueError as error:
        raise CommandError(f"--captions: {error}", WRONG_USE) from None
    try:
        with interrupts.held_back():
            captions.load_pysubs2()
    except ImportError as error:
        raise CommandError(f"--captions: {error}") from error
    targets.check(target)


def write(target: str, times: Sequence[Timed]) -> None:
    """Write what was heard; the file appears when it is whole.

    Raises:
        CommandError: The service told no times.
        OSError: It cannot be written.
    """
    if not times:
        raise CommandError(f"--captions {target}: the service told no times; ink-whisper does", FAILED)
    with interrupts.held_back():
        from ..speech.captions import captions_of
        from ..speech.words import Word
    captions_of([Word(*each) for each in times]).save(target)
