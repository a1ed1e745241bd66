"""Which faults are still to be applied, and to what they have been."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

from .faults import Fault, Moment, Place, Target

__all__ = ["FaultPlan"]


class _Peer(Protocol):
    """What the plan needs of every peer, beside what the faults need."""

    @property
    def place(self) -> Place:
        """Where the server is with it."""

    @property
    def has_ended(self) -> bool:
        """Whether no other fault can apply."""


class _Armed:
    """A fault, to how many more targets it applies, and to which it has been applied."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.targets: set[Target] = set()

    def claim(self, target: Target) -> bool:
        """Return whether it applies to this target now, and remember that it did. The plan's lock guards it."""
        if target in self.targets:
            return self.fault.lasts
        if self.left == 0:
            return False
        self.targets.add(target)
        if self.left is not None:
            self.left -= 1
        return True


class FaultPlan:
    """The faults of one server, in the order in which they were given.

    Threads: any may call any method but ``apply``, which belongs to the server's loop. ``_lock`` guards changes of
    ``_armed``, and the state of what is in it. It is held briefly, and never while a fault's own code runs.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._lock = threading.Lock()
        self._armed = [_Armed(fault) for fault in faults]  # replaced, never changed in place

    def add(self, faults: Iterable[Fault]) -> None:
        """Add faults behind those that are there."""
        added = [_Armed(fault) for fault in faults]
        with self._lock:
            self._armed = self._armed + added

    def clear(self) -> None:
        """Remove all faults, the lasting ones (delays, holds, extra fields) included."""
        with self._lock:
            self._armed = []

    def is_armed(self, fault: Fault) -> bool:
        """Whether the fault has not been cleared."""
        return any(armed.fault is fault for armed in self._armed)

    async def apply(self, moment: Moment, peer: _Peer) -> None:
        """Apply every fault that is due, one after the other, until the peer has ended.

        What is due together and lasts belongs to this peer from the start: while one fault waits, no other peer can
        take the next. Other faults are taken one by one, because each may end the peer. Of a class whose faults come
        ``one_at_a_time`` only the first is taken.

        Raises:
            ContextStoppedError: A fault has ended the peer's context.
        """
        # The usual case, no faults, costs neither a lock nor a step of the loop.
        applied: list[_Armed] = []
        while self._armed and not peer.has_ended:
            due = self._due(moment, peer.place, applied)
            if not due:
                return
            applied += due
            for armed in due:
                await armed.fault.apply(peer)

    def _due(self, moment: Moment, place: Place, applied: Sequence[_Armed]) -> list[_Armed]:
        due: list[_Armed] = []
        for armed in self._armed:
            fault = armed.fault
            if armed in applied or (due and not fault.lasts):
                continue
            if fault.one_at_a_time and any(type(other.fault) is type(fault) for other in applied):
                continue
            if self._claim(armed, moment, place):
                due.append(armed)
                if not fault.lasts:
                    break
        return due

    def _claim(self, armed: _Armed, moment: Moment, place: Place) -> bool:
        # A fault may be the user's own class: it is asked without the lock.
        target = armed.fault.target(place) if armed.fault.is_for(moment) else None
        if target is None:
            return False
        with self._lock:
            return armed.claim(target)
