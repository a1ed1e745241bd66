"""One context's queue.Queue, with a sealed end."""

from __future__ import annotations

import contextlib
import itertools
import operator
import queue
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..protocol.events import Event

Notifications = queue.SimpleQueue[Optional["Subscription"]]
"""What wakes a receiver that waits for several mailboxes at once, and names the one; None: look at the connection."""

if TYPE_CHECKING:
    _Queue = queue.Queue[Any]
else:
    _Queue = queue.Queue  # gevent's own, which takes its place, has no parameters

_arrivals = itertools.count()  # the order of arrival over all mailboxes; the next number is taken in one step


class End:
    """The last item of a mailbox: why nothing follows.

    Args:
        make_error: Makes the exception for a receiver, a new one at each call, since one that is raised in several
            threads would share its traceback between them. None where the end is no error.
        discards: Whether what nobody has taken yet is not to be given any more.

    Attributes:
        number: Its place in the order of arrival.
    """

    __slots__ = ("discards", "make_error", "number")

    def __init__(self, make_error: Optional[Callable[[], BaseException]] = None, *, discards: bool = False) -> None:
        self.make_error = make_error
        self.discards = discards
        self.number = next(_arrivals)


Item = tuple[int, Event, int]
"""A number of arrival, an event, and its weight in bytes."""

_Queued = tuple[int, Event, int]
"""A number of arrival, an event, and how many bytes had been put when it was."""


_NOTHING: deque[_Queued] = deque()  # of all mailboxes: nothing is ever added to it
_NO_EVENTS: deque[Event] = deque()  # likewise
_EVENT = operator.itemgetter(1)


class Subscription:
    """Notifies one subscriber of a mailbox, and stays silent until ``rearm()``, so at most one entry of each waits.

    ``_is_notified`` is set by whoever puts, and cleared by the subscriber: what is put in between is seen either way,
    since the subscriber looks after it has cleared, or is notified once more than it must be.

    Args:
        notifications: Where the subscriber waits.
        subject: What the subscriber is to look at.
    """

    __slots__ = ("_is_notified", "notifications", "subject")

    def __init__(self, notifications: Notifications, subject: object) -> None:
        self.notifications = notifications
        self.subject = subject
        self._is_notified = False

    def notify(self) -> None:
        """Put one entry, unless one waits. Threads: any."""
        if not self._is_notified:
            self._is_notified = True
            self.notifications.put(self)

    def rearm(self) -> None:
        """Allow the next entry. Call it before you look into the mailbox, or what comes meanwhile is missed."""
        self._is_notified = False


def arrived(event: Event, weight: int) -> Item:
    """Return an event of so many bytes with its place in the order of arrival."""
    return next(_arrivals), event, weight


class Mailbox(_Queue):
    """Events from the reader to one receiver, in order, and then exactly one end.

    Nothing is lost: what was put before the end is taken before the end. Nothing is added: the first ``seal`` wins,
    and what comes later is refused.

    It is a queue.Queue to whoever looks at it, and takes none of its locks: each step below is one call of C code on a
    deque, a list or a SimpleQueue, so that no interrupt, finalizer or signal's handler can find it half done or wait
    for it. To take is to look first, and to commit by one step of ``taking``: a ``for`` over it pops and stores with
    nothing in between::

        for _, event, _ in mailbox.taking:
            return event

    Attributes:
        limit_bytes: How much may wait to be taken; whoever puts minds it.
        audio_bytes: How much audio was put, taken or not.
        is_used_up: Whether the end has been taken.
        collected: What ``collect`` has taken for somebody who wants all of it; the receiver's own.
    """

    __slots__ = (
        "_ends",
        "_is_waiting",
        "_items",
        "_popping",
        "_put_bytes",
        "_set_aside",
        "_subscriptions",
        "_wake",
        "audio_bytes",
        "collected",
        "is_used_up",
        "limit_bytes",
    )

    def __init__(self, limit_bytes: int = 0) -> None:
        # Not the base class's: it makes a lock and three conditions. Whatever it would do with them is done below.
        self._items: deque[_Queued] = deque()
        self._popping: Iterator[_Queued] = iter(self._items.popleft, None)  # which an IndexError does not end
        self._set_aside = _NOTHING  # was taken, and is to be taken again: these come before the items
        self.collected = _NO_EVENTS
        self._ends: list[End] = []  # the first one counts
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_waiting = False  # the receiver is, or is about to look once more and wait then
        self._subscriptions: tuple[Subscription, ...] = ()  # replaced under the link's state lock
        self._put_bytes = 0  # the reader's own, as is the next
        self.audio_bytes = 0
        self.is_used_up = False
        self.limit_bytes = limit_bytes

    # ---- what goes in

    @property
    def is_sealed(self) -> bool:
        """Whether the end is in; there may be events before it that nobody has taken."""
        return bool(self._ends)

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be taken."""
        try:
            return self._put_bytes - self._items[0][2]
        except IndexError:
            return 0

    @property
    def first_number(self) -> int:
        """The number of arrival of what has waited longest; -1 where nothing waits."""
        try:
            return self._items[0][0]
        except IndexError:
            return -1

    def deliver(self, items: Sequence[Item], *, audio_bytes: int = 0) -> bool:
        """Add events that ``arrived``, all at once; False if the mailbox is sealed.

        Threads: the reader. Does not wait.
        """
        if self._ends:
            return False
        queued = []
        for number, event, weight in items:
            queued.append((number, event, self._put_bytes))
            self._put_bytes += weight
        self.audio_bytes += audio_bytes
        self._items.extend(queued)
        self._notify()
        return True

    def seal(self, end: End) -> bool:
        """Add the end; False if there is one already.

        Threads: any. Does not wait.
        """
        self._ends.append(end)
        if self._ends[0] is not end:
            return False
        self._notify()
        return True

    def replace_end(self, end: End) -> None:
        """End with this end, whatever the end was until now.

        Threads: any. Does not wait.
        """
        for first in self._ends[:1]:
            if not end.discards:  # it keeps its place in the order of arrival, and what was dropped stays so
                end.number, end.discards = first.number, first.discards
        self._ends.insert(0, end)
        if end.discards:
            self._items.clear()
            self._set_aside, self.collected = _NOTHING, _NO_EVENTS
        self._notify()

    def collect(self) -> list[Event]:
        """Move all that is here to ``collected``, in one step, and return it.

        Threads: the receiver. Does not wait.
        """
        collected = self.ahead()
        before = len(collected)
        for source in (self._set_aside, self._items):
            with contextlib.suppress(IndexError):  # connection.recv() has taken some of it meanwhile
                collected.extend(map(_EVENT, itertools.islice(iter(source.popleft, None), len(source))))
        return list(itertools.islice(collected, before, None))

    def restore(self) -> None:
        """Let what was collected, or looked at ahead, be taken again, before all else.

        Threads: the receiver, before its first look. Does not wait.
        """
        if self.collected:
            events = deque((0, event, 0) for event in self.collected)
            events.extend(self._set_aside)
            # One step. Who collected may have met the end.
            self._set_aside, self.collected, self.is_used_up = events, _NO_EVENTS, False

    def give_back(self, event: Event) -> None:
        """Let an event that was taken be the first that the next receiver takes.

        Threads: the receiver, a generator's end included. Does not wait.
        """
        self.ahead().appendleft(event)

    def ahead(self) -> deque[Event]:
        """Return ``collected`` for one who looks ahead: what is left there is the next receiver's.

        Threads: the receiver, after its first look.
        """
        if self.collected is _NO_EVENTS:
            self.collected = deque()
        return self.collected

    def _notify(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._wake.put(None)
        for subscription in self._subscriptions:
            subscription.notify()

    def wake(self) -> None:
        """Wake the receiver, so that it looks at its timeouts again.

        Threads: any. Does not wait.
        """
        if self._is_waiting:
            self._is_waiting = False
            self._wake.put(None)

    def subscribe(self, notifications: Notifications, subject: object, *, closed: Sequence[Notifications] = ()) -> None:
        """Notify a subscriber of whatever is put from now on, and those that are closed no more.

        Threads: any, under the link's lock. Does not wait.
        """
        kept = (each for each in self._subscriptions if each.notifications not in closed)
        self._subscriptions = (*kept, Subscription(notifications, subject))

    # ---- what comes out

    @property
    def is_discarded(self) -> bool:
        """Whether what nobody has taken yet is not to be given any more. Threads: any."""
        ends = self._ends
        return bool(ends) and ends[0].discards

    def peek(self) -> Union[_Queued, End, None]:
        """Return what is next, the end included, and leave it there; None if nothing is.

        Threads: any. Does not wait.
        """
        ends = self._ends
        if ends and (self.is_used_up or ends[0].discards):
            return ends[0]
        has_ended = bool(ends)  # what was put before the end is seen below
        try:
            return self._set_aside[0] if self._set_aside else self._items[0]
        except IndexError:
            return self._ends[0] if has_ended else None

    @property
    def taking(self) -> Iterator[_Queued]:
        """What pops what is next, the end excepted; an IndexError says that somebody else has taken it."""
        return iter(self._set_aside.popleft, None) if self._set_aside else self._popping

    def next_number(self) -> Optional[int]:
        """Return the number of arrival of the item that is next, the end included; None if there is none.

        Threads: any. Does not wait.
        """
        if self.is_used_up:
            return None  # replace_end() may have put another end before the one that was taken
        found = self.peek()
        if found is None:
            return None
        return found.number if isinstance(found, End) else found[0]

    def wait(self, timeout: Optional[float]) -> None:
        """Wait until there is something to look at, or ``wake()``.

        Raises:
            queue.Empty: Nothing came in time.

        Threads: one at a time. Waits for the reader, at most ``timeout`` seconds (None: until something comes).
        """
        self._is_waiting = True
        if self.peek() is None:
            self._wake.get(timeout=timeout)
        self._is_waiting = False

    # ---- as a queue.Queue

    @property
    def queue(self) -> deque[_Queued]:
        """What waits: numbers of arrival and events."""
        return self._items

    def qsize(self) -> int:
        """Return how many events wait."""
        return len(self._items) + len(self._set_aside)

    def empty(self) -> bool:
        """Whether none does."""
        return not self.qsize()

    def full(self) -> bool:
        """Whether the limit is reached."""
        return self.waiting_bytes >= self.limit_bytes > 0

    def put(self, item: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        """Add an event as if it had arrived now."""
        self.deliver([arrived(item, 0)])

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """Take the next event; queue.Empty where none comes, also at the end."""
        if block and self.peek() is None:
            self.wait(timeout)
        for _, event, _ in _empty_unless(self):
            return event
        raise queue.Empty


def _empty_unless(mailbox: Mailbox) -> Iterator[_Queued]:
    return mailbox.taking if mailbox.qsize() else iter(())
