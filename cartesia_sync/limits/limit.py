"""What is common to the limits of this package, and how anybody else's becomes one."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import deque
from typing import Any, Callable, Optional, Protocol, TypeVar, Union

from .gate import Gate, Source, Ticket
from .width import Width


class SupportsAcquire(Protocol):
    """What a limit has. What ``acquire`` gives is true if there was a slot; its own ``release`` is preferred."""

    def acquire(self, *, timeout: Any) -> Any:
        """Take a slot within so many seconds."""

    def release(self) -> Any:
        """Give a slot back."""


Limited = Union[int, SupportsAcquire]
"""What ``Cartesia(limit=)`` takes."""


class Limit:
    """A limit of this package: it has one gate in each process, whoever uses it.

    Args:
        most: How many slots there are.
        least: How many this process has at least, whatever the service refuses.
        source: Where each of them comes from; None: from nowhere else.
    """

    def __init__(self, most: int, *, least: int = 1, source: Optional[Source] = None) -> None:
        self._width = Width(most, least)
        self.gate = Gate(self._width, source)
        self._acquired: deque[Ticket] = deque()  # by hand; each is somebody's who need not hold it

    def acquire(self, timeout: Optional[float] = None) -> Optional[Ticket]:
        """Wait for a slot; None where there was none in time.

        Args:
            timeout: How many seconds; None: without a bound; 0: look once.

        Returns:
            The slot, whose own ``release()`` gives back this very one. It stays taken if you do not hold it.

        Raises:
            LimitError: The limit cannot say.

        Threads: any; first come, first served. Waits for the slots of others.
        """
        for ticket in list(self._acquired):
            if not ticket.is_granted:
                self._forget(ticket)
        ticket_or_none = self.gate.acquire(timeout)
        if ticket_or_none is not None:
            self._acquired.append(ticket_or_none)
        return ticket_or_none

    def release(self) -> None:
        """Give back the slot that ``acquire`` gave first, of those that still are.

        Raises:
            ValueError: There is none.

        Threads: any. Does not wait.
        """
        while True:
            try:
                ticket = self._acquired.popleft()
            except IndexError:
                raise ValueError("release() was called more often than acquire()") from None
            if ticket.is_granted:
                ticket.release()
                return

    def _forget(self, ticket: Ticket) -> None:
        try:
            self._acquired.remove(ticket)
        except ValueError:  # another thread did
            return

    @property
    def waiting(self) -> int:
        """How many threads of this process wait."""
        return self.gate.waiting

    @property
    def in_use(self) -> int:
        """How many slots this process has."""
        return self.gate.in_use

    @property
    def seen_429(self) -> int:
        """How often the service refused what had a slot in this process."""
        return self.gate.seen_429

    def refused(self, retry_after: Optional[float] = None) -> None:
        """Say that the service refused with 429 what has a slot; say it before that is released.

        Nothing is granted for a moment, or for ``retry_after`` seconds. Threads: any. Does not wait.
        """
        self.gate.refused(retry_after)

    def succeeded(self) -> None:
        """Say that the service accepted what has a slot; say it before that is released.

        Threads: any. Does not wait.
        """
        self.gate.succeeded()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as what it was made of: in another process it has a gate of its own, and what it shares it shares."""
        return _made_again, (type(self), self._arguments())

    def _arguments(self) -> dict[str, Any]:
        """Return what would make it again."""
        return {"most": self._width.most, "least": self._width.least}

    def __copy__(self: _L) -> _L:
        return self  # one object, one limit

    def __deepcopy__(self: _L, memo: object) -> _L:
        return self

    @property
    def needs_name(self) -> bool:
        """Whether others know it by a name, which it does not have yet."""
        return False

    def bind(self, name: str) -> None:
        """Give the limit the name of an account, where it has none and is known by one.

        Args:
            name: What tells the accounts apart, such as ``account_name(key)``.
        """


_L = TypeVar("_L", bound=Limit)


def _made_again(kind: Callable[..., Limit], arguments: dict[str, Any]) -> Limit:
    return kind(**arguments)


class Foreign:
    """The slots of a limit that knows nothing of us, such as ``threading.Semaphore(4)``.

    Its methods are called by threads of the gate alone, never by a user's thread or the reader, so it may wait in
    ``release`` too, and no Ctrl-C strikes in it.
    """

    is_local = False

    def __init__(self, limit: Any) -> None:
        self.limit = limit

    def take_now(self) -> None:
        """Take nothing: that might wait."""

    def leave(self) -> None:
        """Leave nothing: it has no queue."""

    def take(self, timeout: float) -> Any:
        """Take a slot within so many seconds."""
        got = self.limit.acquire(timeout=timeout)
        if not got:
            return None
        own = getattr(got, "release", None)
        return _Lease(own if callable(own) else self.limit.release)

    def give_back(self, lease: _Lease) -> None:
        """Give it back."""
        lease.give_back()


class _Lease:
    """How one slot of a foreign limit is given back."""

    def __init__(self, give_back: Callable[[], object]) -> None:
        self.give_back = give_back


_foreign: weakref.WeakValueDictionary[int, Gate] = weakref.WeakValueDictionary()
"""By id() of the limit, which lives while its gate does: one gate a limit, however many clients share it."""
_foreign_lock = threading.RLock()


def gate_of(limit: Limited) -> Gate:
    """Return the gate of a limit: a new one for a number, and always the same for an object.

    Args:
        limit: How many at once, or an object with ``acquire(timeout=)`` and ``release()``.

    Raises:
        TypeError: It is neither.
        ValueError: The number is not at least 1.
    """
    if isinstance(limit, Limit):
        return limit.gate
    if isinstance(limit, int) and not isinstance(limit, bool):
        return Gate(Width(checked_count("limit", limit)))
    _check_foreign(limit)
    with _foreign_lock:
        gate = _foreign.get(id(limit))
        if gate is None:
            gate = _foreign[id(limit)] = Gate(Width(None), Foreign(limit))
    return gate


def _check_foreign(limit: Any) -> None:
    wanted = "limit must be a number, or an object with acquire(timeout=) and release()"
    if (
        isinstance(limit, type)
        or not callable(getattr(limit, "acquire", None))
        or not callable(getattr(limit, "release", None))
    ):
        raise TypeError(f"{wanted}, not {limit!r}")
    if inspect.iscoroutinefunction(limit.acquire):
        raise TypeError(f"{wanted} that waits in a thread, not {type(limit).__name__} of asyncio")
    try:
        parameters = inspect.signature(limit.acquire).parameters.values()
    except (TypeError, ValueError):  # C code that says nothing about itself
        return
    if not any(each.name == "timeout" or each.kind is each.VAR_KEYWORD for each in parameters):
        raise TypeError(f"{wanted}; the acquire() of {type(limit).__name__} takes no timeout=")


def checked_count(what: str, number: Any) -> int:
    """Return a number of slots.

    Raises:
        ValueError: It is none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"{what} must be a number of slots that is at least 1, not {number!r}")
    return number


def account_name(key: str) -> str:
    """Return a name for the account of a key, from which nobody can learn the key."""
    import hashlib  # seldom needed

    return hashlib.sha256(b"cartesia_sync limit\0" + key.encode()).hexdigest()[:16]
