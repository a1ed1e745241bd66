"""Whether a file can be written, found out before anything is asked for, which costs money."""

from __future__ import annotations

import contextlib

from . import interrupts


class _TriedError(Exception):
    """Ends the trial."""


def check(target: str) -> None:
    """Begin to write a file, and make nothing of it, nor change one that is there.

    Raises:
        OSError: It cannot be written.
    """
    with interrupts.held_back():
        from ..audio.files import WholeFile
    with contextlib.suppress(_TriedError), WholeFile(target):
        raise _TriedError
