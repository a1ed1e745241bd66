"""What is raised in users' tests."""

from __future__ import annotations

__all__ = ["NetworkForbiddenError", "TapeError", "TapeMismatchError"]


class NetworkForbiddenError(RuntimeError):
    """A connection would have left this machine, and ``--cartesia-block-network`` forbids that.

    Not an ``OSError``: clients try those again.
    """


class TapeError(RuntimeError):
    """A tape cannot be read, recorded or written."""


class TapeMismatchError(TapeError, AssertionError):
    """The program sent something else than what is on the tape. The message shows the difference."""
