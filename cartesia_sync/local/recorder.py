"""What the server has seen, and what it is told to do wrong: all that its loop shares with other threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union

from .faults import ContextFault, Fault, RequestFault

__all__ = ["Handshake", "Heard", "Ledger", "Request", "Upload", "look_until"]

_LOOK_EVERY = 0.005

F = TypeVar("F", bound=Fault)
R = TypeVar("R", bound=RequestFault)


class Handshake(NamedTuple):
    """One WebSocket handshake as it came in, granted or not. The names of ``headers`` match in any case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Heard(NamedTuple):
    """One client message: JSON objects decoded, all else as it came. ``connection`` is an index of ``handshakes``."""

    connection: int
    message: Union[dict[str, Any], str, bytes]


class Upload(NamedTuple):
    """A file in a form that was sent."""

    filename: str
    content_type: str
    data: bytes


class Request(NamedTuple):
    """One HTTP request as it came in, granted or not. The names of ``headers`` match in any case.

    ``query`` and a form in ``body`` list every value of a name. ``body`` is decoded JSON, a form by its parts' names,
    other bytes as they came, or ``None`` where nothing was sent.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


# A connection, and one of its contexts or none. Requests have numbers of their own, below 0.
_Target = tuple[int, Optional[str]]


class _Armed:
    """A fault, how often it may strike yet, and whom it has struck."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.struck: set[_Target] = set()

    def strikes_first_time(self, target: _Target) -> bool:
        """Strike, if it may and has not yet."""
        if target in self.struck or self.left == 0:
            return False
        self.struck.add(target)
        if self.left is not None:
            self.left -= 1
        return True


class Ledger:
    """The one object that both the server's loop and its users' threads touch.

    Threads: any. ``_changed`` guards every attribute, is held for moments only, never across foreign code, and is
    notified at each change.
    """

    def __init__(self, faults: Iterable[Fault], *, record: bool) -> None:
        self._record = record
        self._changed = threading.Condition()
        self._changes = 0
        self._handshakes: list[Handshake] = []
        self._connections = 0
        self._heard: list[Heard] = []
        self._requests: list[Request] = []
        self._asked = 0
        self._open = 0
        self._armed = [_Armed(fault) for fault in faults]

    # ---- for the users' threads

    @property
    def handshakes(self) -> list[Handshake]:
        """A copy of all handshakes, in order."""
        with self._changed:
            return list(self._handshakes)

    @property
    def heard(self) -> list[Heard]:
        """A copy of all client messages, in order."""
        with self._changed:
            return list(self._heard)

    @property
    def requests(self) -> list[Request]:
        """A copy of all HTTP requests, in order."""
        with self._changed:
            return list(self._requests)

    @property
    def open_connections(self) -> int:
        """How many WebSocket connections are open."""
        with self._changed:
            return self._open

    def inject(self, faults: Iterable[Fault]) -> None:
        """Add faults behind those that are there."""
        with self._changed:
            self._armed = self._armed + [_Armed(fault) for fault in faults]

    def clear_faults(self) -> None:
        """Forget all faults, the lasting ones (delays, holds, extra fields) included."""
        with self._changed:
            self._armed = []

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        """Block until the condition holds; it is asked after every change, without a lock held.

        Raises:
            TimeoutError: It did not hold in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            # Read before the condition is asked: what changes meanwhile is not missed.
            with self._changed:
                changes = self._changes
            if condition():
                return
            self._wait_for_change(changes, deadline)

    def _wait_for_change(self, seen: int, deadline: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._changes != seen, deadline - time.monotonic()):
                raise TimeoutError("the condition did not hold in time")

    # ---- for the server's loop

    def note_handshake(self, handshake: Handshake) -> int:
        """Write a handshake down; returns its number."""
        with self._changed:
            self._connections += 1
            if self._record:
                self._handshakes.append(handshake)
            self._notify_locked()
            return self._connections - 1

    def note_request(self, request: Request) -> int:
        """Write an HTTP request down; returns its number, which is below 0 and no connection's."""
        with self._changed:
            self._asked += 1
            if self._record:
                self._requests.append(request)
            self._notify_locked()
            return -self._asked

    def note_heard(self, connection: int, message: Union[dict[str, Any], str, bytes]) -> None:
        """Write a client message down."""
        with self._changed:
            if self._record:
                self._heard.append(Heard(connection, message))
            self._notify_locked()

    def note_open(self) -> None:
        """Count a connection in."""
        with self._changed:
            self._open += 1
            self._notify_locked()

    def note_closed(self) -> None:
        """Count a connection out."""
        with self._changed:
            self._open -= 1
            self._notify_locked()

    def strike(
        self,
        kinds: Union[type[F], tuple[type[F], ...]],
        connection: int,
        context_id: Optional[str] = None,
        *,
        sent: int = 0,
        sent_in_context: int = 0,
    ) -> Optional[F]:
        """Take the first fault of these kinds that is due and has not struck this target yet.

        Args:
            kinds: Classes of faults.
            connection: The connection's number.
            context_id: The context whose event comes next or has just been sent, if there is one.
            sent: What a fault's ``after`` is measured with: event frames sent on the connection.
            sent_in_context: The same for faults of one context: frames of this context.
        """
        # Without faults, the usual case, sending takes no lock: the list is replaced, never changed.
        if not self._armed:
            return None
        with self._changed:
            for armed in self._armed:
                fault = armed.fault
                if isinstance(fault, kinds):
                    target = _target(fault, connection, context_id)
                    frames = sent if target == (connection, None) else sent_in_context
                    if target is not None and frames >= fault.after and armed.strikes_first_time(target):
                        return fault
        return None

    def strike_request(self, kind: type[R], number: int, path: str) -> Optional[R]:
        """Take the first fault of this kind that is meant for requests of this path, once for each request."""
        if not self._armed:
            return None
        with self._changed:
            for armed in self._armed:
                fault = armed.fault
                if isinstance(fault, kind) and fault.path in (None, path) and armed.strikes_first_time((number, None)):
                    return fault
        return None

    def lasting(
        self,
        kind: type[F],
        connection: int,
        context_id: Optional[str] = None,
        *,
        sent: int = 0,
        sent_in_context: int = 0,
    ) -> list[F]:
        """All faults of a kind that act on every event of this target, from their first strike until they are cleared.

        The arguments are those of ``strike``.
        """
        due: list[F] = []
        if not self._armed:
            return due
        with self._changed:
            for armed in self._armed:
                fault = armed.fault
                if isinstance(fault, kind):
                    target = _target(fault, connection, context_id)
                    frames = sent if target == (connection, None) else sent_in_context
                    if target is None or frames < fault.after:
                        continue
                    if target in armed.struck or armed.strikes_first_time(target):
                        due.append(fault)
        return due

    def _notify_locked(self) -> None:
        self._changes += 1
        self._changed.notify_all()


def _target(fault: Fault, connection: int, context_id: Optional[str]) -> Optional[_Target]:
    """Whom the fault would strike here: the connection, the context, or nobody."""
    if fault.context_id is not None and fault.context_id != context_id:
        return None
    if isinstance(fault, ContextFault) or fault.context_id is not None:
        return None if context_id is None else (connection, context_id)
    return connection, None


async def look_until(condition: Callable[[], bool]) -> None:
    """Wait, on the server's loop, for what a user's thread does about a fault: it sets an Event, or clears the faults.

    An Event of threads calls nobody back, and a thread that waits for it could not be stopped: so we look. The user is
    the bound, who asked for the fault; the connection's end and the server's cancel it.
    """
    while not condition():
        await asyncio.sleep(_LOOK_EVERY)  # see above
