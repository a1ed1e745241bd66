"""One context's queue.Queue, with a sealed end."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Sequence
from typing import Callable, Optional, Union

from ..protocol.events import Event

Bell = queue.SimpleQueue[Optional["Ring"]]
"""What wakes a receiver that waits for several mailboxes at once, and tells it which of them; None is none of them."""

_arrivals = itertools.count()  # the order of arrival over all mailboxes; the next number is taken in one step

Item = tuple[int, Union[Event, type["End"]], int]
"""A number of arrival, an event or the class End, and its weight in bytes."""


class End:
    """The last item of a mailbox: why nothing follows.

    Args:
        make_error: Makes the exception for a receiver, a new one at each call, since one that is raised in several
            threads would share its traceback between them. None where the end is no error.
    """

    __slots__ = ("make_error",)

    def __init__(self, make_error: Optional[Callable[[], BaseException]] = None) -> None:
        self.make_error = make_error


class Ring:
    """A mailbox's string to a bell: once pulled it is not pulled again before it is answered.

    So a bell that nobody hears holds no more than one ring of each mailbox.

    ``_is_pulled`` is set with the mailbox's lock, and cleared by the receiver without it: what is put in between either
    is seen, since the receiver looks after it has cleared, or rings once more than it must.

    Args:
        bell: What rings.
        who: Whom the receiver is to look at then.
    """

    __slots__ = ("_is_pulled", "bell", "who")

    def __init__(self, bell: Bell, who: object) -> None:
        self.bell = bell
        self.who = who
        self._is_pulled = False

    def pull(self) -> None:
        """Ring. Threads: with the mailbox's lock."""
        if not self._is_pulled:
            self._is_pulled = True
            self.bell.put(self)

    def answer(self) -> None:
        """Let it be pulled again; before the mailbox is looked into, or what comes meanwhile is missed."""
        self._is_pulled = False


def arrived(event: Event, weight: int) -> Item:
    """Give an event of so many bytes its place in the order of arrival."""
    return next(_arrivals), event, weight


def _endless_queue() -> queue.Queue[Sequence[Item]]:
    """Make a queue that is never full, and whose tasks nobody counts: without what that takes it is half as large."""
    endless: queue.Queue[Sequence[Item]] = queue.Queue()
    if hasattr(endless, "not_full"):  # gevent's own has none
        endless.not_full = endless.all_tasks_done = endless.not_empty
    return endless


class Mailbox:
    """Events from the reader to one receiver, in order, and then exactly one end.

    Nothing is lost: what was put before the end is taken before the end. Nothing is added: the first ``seal`` wins,
    and what comes later is refused.

    Events go into the queue as they came, several at once, and so come out: one lock and one wake-up for all. What
    came out and was not given yet stands ``ahead``.

    Attributes:
        limit_bytes: How much may wait to be taken; whoever puts minds it.
        waiting_bytes: How much does.
        audio_bytes: How much audio was put, taken or not.
    """

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_end",
        "_end_is_taken",
        "_is_discarded",
        "_lock",
        "_queue",
        "_rings",
        "audio_bytes",
        "limit_bytes",
        "waiting_bytes",
    )

    def __init__(self, limit_bytes: int = 0) -> None:
        self._queue = _endless_queue()  # no items at all are a nudge
        self._lock = threading.Lock()  # guards all that follows; the queue has a lock of its own
        self._ahead: list[Item] = []  # the next one last
        self._end: Optional[End] = None
        self._end_is_taken = False
        self._is_discarded = False
        self._rings: tuple[Ring, ...] = ()
        self.limit_bytes = limit_bytes
        self.waiting_bytes = 0
        self.audio_bytes = 0

    @property
    def is_sealed(self) -> bool:
        """Whether the end is in; there may be events before it that nobody has taken."""
        return self._end is not None

    @property
    def is_used_up(self) -> bool:
        """Whether the end has been taken."""
        return self._end_is_taken

    def put(self, items: Sequence[Item], *, audio_bytes: int = 0) -> bool:
        """Add events that ``arrived``, all at once; False if the mailbox is sealed.

        Threads: the reader. Does not wait.
        """
        with self._lock:
            if self._end is not None:
                return False
            self.audio_bytes += audio_bytes
            for _, _, weight in items:
                self.waiting_bytes += weight
            self._put_locked(items)
            return True

    def seal(self, end: End) -> bool:
        """Add the end; False if there is one already.

        Threads: any. Does not wait.
        """
        with self._lock:
            if self._end is not None:
                return False
            self._end = end
            self._put_end_locked()
            return True

    def excuse(self, *, discard: bool) -> None:
        """End without an error, whatever the end was until now; with ``discard``, drop what nobody has taken.

        Threads: any. Does not wait.
        """
        with self._lock:
            was_sealed = self._end is not None
            self._end = End()
            if discard:
                while self._fetch_locked():
                    self._ahead.clear()
                self._ahead.clear()
                self.waiting_bytes = 0
                self._is_discarded = True
            if discard or not was_sealed:
                self._put_end_locked()

    def _put_end_locked(self) -> None:
        self._put_locked([(next(_arrivals), End, 0)])

    def _put_locked(self, items: Sequence[Item]) -> None:
        self._queue.put(items)
        for ring in self._rings:
            ring.pull()

    def nudge(self) -> None:
        """Wake the receiver, so that it looks at its clocks again.

        Threads: any. Does not wait.
        """
        self._queue.put(())

    def add_bell(self, bell: Bell, who: object) -> None:
        """Ring for whatever is put from now on, in somebody's name.

        Threads: any. Does not wait.
        """
        with self._lock:
            self._rings += (Ring(bell, who),)

    def remove_bell(self, bell: Bell) -> None:
        """Ring no more."""
        with self._lock:
            self._rings = tuple(each for each in self._rings if each.bell is not bell)

    def head(self) -> Optional[int]:
        """Give the number of arrival of the item that is next, the end included; None if there is none.

        Threads: any. Does not wait.
        """
        with self._lock:
            if self._end_is_taken:
                return None  # a late excuse may have put another end behind the one that was taken
            has_fetched = False
            while not self._ahead and self._fetch_locked():
                has_fetched = True
            if has_fetched:
                self._queue.put(())  # a receiver may wait for what stands ahead now
            return self._ahead[-1][0] if self._ahead else None

    def take_ahead(self) -> Union[Event, End, None]:
        """Give the item that ``head`` has seen, if nobody else has taken it: for those who are not the receiver.

        Threads: any. Does not wait.
        """
        with self._lock:
            return self._take_locked()

    def take_ready(self) -> Union[Event, End, None]:
        """Give the next event or the end, as ``take``, or None if nothing is there. Does not wait."""
        with self._lock:
            while not self._ahead and not self._end_is_taken and self._fetch_locked():
                pass  # past nudges
            return self._take_locked()

    def take(self, timeout: Optional[float]) -> Union[Event, End, None]:
        """Give the next event or the end; None after a nudge. The end stays: it is given again at each later call.

        Raises:
            queue.Empty: Nothing came in time.

        Threads: one at a time. Waits for the reader, at most ``timeout`` seconds (None: until something comes).
        """
        item = self.take_ready()
        if item is not None:
            return item
        try:
            items = self._queue.get(timeout=timeout)
        except RuntimeError as error:
            # Ctrl-C in the instant before the wait: Condition.wait has let its lock go already, and the queue's "with"
            # fails over it (cpython gh-78667). What the user is to see is the interrupt.
            if error.__context__ is None:
                raise
            raise error.__context__ from None
        with self._lock:
            self._stand_ahead_locked(items)
            return self._take_locked()

    def _fetch_locked(self) -> bool:
        """Let what went in together stand ahead; False if the queue is empty."""
        if self._queue.empty():
            return False  # which costs less than an exception
        try:
            self._stand_ahead_locked(self._queue.get_nowait())
        except queue.Empty:
            return False  # the receiver was faster
        return True

    def _stand_ahead_locked(self, items: Sequence[Item]) -> None:
        if self._is_discarded:  # while these were on their way out of the queue
            items = [item for item in items if item[1] is End]
        self._ahead[:0] = reversed(items)

    def _take_locked(self) -> Union[Event, End, None]:
        if not self._ahead:
            return self._end if self._end_is_taken else None
        _, event, weight = self._ahead.pop()
        if isinstance(event, type):
            self._end_is_taken = True
            return self._end
        self.waiting_bytes -= weight
        return event
