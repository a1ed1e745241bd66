"""A limit that is found out: the service says 429 where it is too wide."""

from __future__ import annotations

from .limit import Limit


class Learned(Limit):
    """As many slots as the service allows, found out by its refusals.

    It begins with all of them. A refusal narrows it to what the service has accepted: one decision, however many
    threads were refused at once. When all slots have been in use for a round of successes it tries one more; where that
    is refused, it waits twice as long before it tries again, at most eight rounds. So a limit that rises is found, and
    another client of the same account is given way to.

    Args:
        most: The number to begin with, never exceeded.
        least: The number that it never falls below.

    Raises:
        ValueError: Not ``1 <= least <= most``.

    Threads: any. Of this process alone: others learn for themselves.
    """

    def __init__(self, *, most: int = 32, least: int = 1) -> None:
        if not 1 <= least <= most:
            raise ValueError(f"Learned() needs 1 <= least <= most, not least={least}, most={most}")
        super().__init__(most, least=least)

    @property
    def allowed(self) -> int:
        """How many it allows now."""
        allowed = self._width.allowed
        assert allowed is not None
        return allowed

    def __repr__(self) -> str:
        return f"<Learned {self.allowed} of at most {self._width.most}, {self.gate!r}>"
