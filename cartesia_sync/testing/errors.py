"""What is raised in users' tests."""

from __future__ import annotations

__all__ = ["NetworkForbiddenError"]


class NetworkForbiddenError(RuntimeError):
    """A connection would have left this machine, and ``--cartesia-block-network`` forbids that.

    Not an ``OSError``: clients try those again.
    """
