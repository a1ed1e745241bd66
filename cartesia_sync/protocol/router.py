"""Which context an event belongs to. Pure bookkeeping: not thread-safe, its owner locks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Optional, TypeVar

from ..errors import ContextStateError

T = TypeVar("T")

TOMBSTONES = 10_000
"""How many ended ids are remembered, the latest ones: what the longest-lived connection can still get events of."""


class Router(Generic[T]):
    """Contexts by id, and the tombstones of those that have ended.

    An event reaches its own context or nobody: an id that has ended is remembered, so that what still comes for it
    is told from an id that was never opened here.

    Attributes:
        late: How many events came for an id that had ended.
    """

    def __init__(self, tombstones: int = TOMBSTONES) -> None:
        self._live: dict[str, T] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._tombstones = tombstones
        self.late = 0

    def __len__(self) -> int:
        return len(self._live)

    def open(self, context_id: str, target: T) -> None:
        """Register a context, before anything is sent for it.

        Raises:
            ContextStateError: If the id is in use, or was used on this connection and its late events could be taken
                for the new context's.
        """
        if context_id in self._live:
            raise ContextStateError(f"a context with the id {context_id!r} is open on this connection already")
        if context_id in self._ended:
            raise ContextStateError(
                f"the id {context_id!r} was used on this connection before: events of the earlier context may still "
                "arrive, and would be taken for this one's; use a new id"
            )
        self._live[context_id] = target

    def route(self, context_id: str) -> Optional[T]:
        """Return the live context of that id; for an id that has ended count the event, and return None."""
        target = self._live.get(context_id)
        if target is None and context_id in self._ended:
            self.late += 1
        return target

    def get(self, context_id: str) -> Optional[T]:
        """Return the live context of that id, and count nothing."""
        return self._live.get(context_id)

    def is_live(self, context_id: str) -> bool:
        """Whether a context of that id is open."""
        return context_id in self._live

    def has_ended(self, context_id: str) -> bool:
        """Whether a context of that id ended here, as far back as tombstones are kept."""
        return context_id in self._ended

    def end(self, context_id: str) -> Optional[T]:
        """Discard a live context and keep its tombstone; return it, or None if it was not live."""
        target = self._live.pop(context_id, None)
        if target is not None:
            self._ended[context_id] = None
            while len(self._ended) > self._tombstones:
                self._ended.popitem(last=False)
        return target

    def live(self) -> list[T]:
        """Return all live contexts, in the order in which they were opened."""
        return list(self._live.values())
