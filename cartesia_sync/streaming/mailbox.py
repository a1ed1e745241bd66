"""One context's queue.Queue, with a sealed end."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import Callable, Optional, Union

from ..protocol.events import Event

Bell = queue.SimpleQueue[None]
"""What wakes a receiver that waits for several mailboxes at once."""

_arrivals = itertools.count()  # the order of arrival over all mailboxes; the next number is taken in one step


class End:
    """The last item of a mailbox: why nothing follows.

    Args:
        make_error: Makes the exception for a receiver, a new one at each call, since one that is raised in several
            threads would share its traceback between them. None where the end is no error.
    """

    __slots__ = ("make_error",)

    def __init__(self, make_error: Optional[Callable[[], BaseException]] = None) -> None:
        self.make_error = make_error


class Mailbox:
    """Events from the reader to one receiver, in order, and then exactly one end.

    Nothing is lost: what was put before the end is taken before the end. Nothing is added: the first ``seal`` wins,
    and what comes later is refused.

    Attributes:
        limit_bytes: How much may wait to be taken; whoever puts minds it.
        waiting_bytes: How much does.
        audio_bytes: How much audio was put, taken or not.
    """

    def __init__(self, limit_bytes: int = 0) -> None:
        # An item is a number of arrival, an event or the class End, and its weight; None is a nudge.
        self._queue: queue.Queue[Optional[tuple[int, Union[Event, type[End]], int]]] = queue.Queue()
        self._lock = threading.Lock()  # guards _end, _bells and waiting_bytes; the queue has a lock of its own
        self.limit_bytes = limit_bytes
        self.waiting_bytes = 0
        self._end: Optional[End] = None
        self._bells: tuple[Bell, ...] = ()
        self._end_is_taken = False  # the receiver's own
        self.audio_bytes = 0

    @property
    def is_sealed(self) -> bool:
        """Whether the end is in; there may be events before it that nobody has taken."""
        return self._end is not None

    @property
    def is_used_up(self) -> bool:
        """Whether the end has been taken."""
        return self._end_is_taken

    def put(self, event: Event, weight: int = 0, *, audio_bytes: int = 0) -> bool:
        """Add an event that weighs so many bytes; False if the mailbox is sealed.

        Threads: the reader. Does not wait.
        """
        with self._lock:
            if self._end is not None:
                return False
            self.audio_bytes += audio_bytes
            self._put_locked(event, weight)
            return True

    def seal(self, end: End) -> bool:
        """Add the end; False if there is one already.

        Threads: any. Does not wait.
        """
        with self._lock:
            if self._end is not None:
                return False
            self._end = end
            self._put_locked(End)
            return True

    def excuse(self, *, discard: bool) -> None:
        """End without an error, whatever the end was until now; with ``discard``, drop what nobody has taken.

        Threads: any. Does not wait.
        """
        with self._lock:
            was_sealed = self._end is not None
            self._end = End()
            if discard:
                self._drop_locked()
            if discard or not was_sealed:
                self._put_locked(End)

    def _put_locked(self, item: Union[Event, type[End]], weight: int = 0) -> None:
        self.waiting_bytes += weight
        self._queue.put((next(_arrivals), item, weight))
        for bell in self._bells:
            bell.put(None)

    def _drop_locked(self) -> None:
        self.waiting_bytes = 0
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return

    def nudge(self) -> None:
        """Wake the receiver, so that it looks at its clocks again.

        Threads: any. Does not wait.
        """
        self._queue.put(None)

    def add_bell(self, bell: Bell) -> None:
        """Ring for each item that is put from now on.

        Threads: any. Does not wait.
        """
        with self._lock:
            self._bells += (bell,)

    def remove_bell(self, bell: Bell) -> None:
        """Ring no more."""
        with self._lock:
            self._bells = tuple(each for each in self._bells if each is not bell)

    def head(self) -> Optional[int]:
        """Give the number of arrival of the item that is next, the end included; None if there is none.

        Threads: any. Does not wait.
        """
        if self._end_is_taken:
            return None  # a late excuse may have put another end behind the one that was taken
        with self._queue.mutex:  # a queue.Queue is looked into under its own lock
            return next((item[0] for item in self._queue.queue if item is not None), None)

    def take(self, timeout: Optional[float]) -> Union[Event, End, None]:
        """Give the next event or the end; None after a nudge. The end stays: it is given again at each later call.

        Raises:
            queue.Empty: Nothing came in time.

        Threads: one at a time. Waits for the reader, at most ``timeout`` seconds (None: until something comes).
        """
        if not self._end_is_taken:
            # A wait of 0 is a look, which costs less than a wait that does not happen.
            item = self._queue.get_nowait() if timeout == 0 else self._queue.get(timeout=timeout)
            if item is None:
                return None
            _, event, weight = item
            if not isinstance(event, type):
                with self._lock:
                    self.waiting_bytes = max(self.waiting_bytes - weight, 0)  # 0 already where all was dropped
                return event
            self._end_is_taken = True
        return self._end
