"""One context's queue.Queue, with a sealed end."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Optional, Union

from ..errors import CartesiaError
from ..protocol.events import Event


class End:
    """The last item of a mailbox: why nothing follows.

    Args:
        make_error: Makes the exception for a receiver, a new one at each call, since one that is raised in several
            threads would share its traceback between them. None where the end is no error.
    """

    __slots__ = ("make_error",)

    def __init__(self, make_error: Optional[Callable[[], CartesiaError]] = None) -> None:
        self.make_error = make_error


class Mailbox:
    """Events from the reader to one receiver, in order, and then exactly one end.

    Nothing is lost: what was put before the end is taken before the end. Nothing is added: the first ``seal`` wins,
    and what comes later is refused.

    Attributes:
        audio_bytes: How much audio was put, taken or not.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Union[Event, End, None]] = queue.Queue()
        self._lock = threading.Lock()  # whether the mailbox is sealed; the queue has its own
        self._is_sealed = False
        self._end: Optional[End] = None  # the receiver's own: seen, and seen again by whoever asks later
        self.audio_bytes = 0

    @property
    def is_sealed(self) -> bool:
        """Whether the end is in; there may be events before it that nobody has taken."""
        return self._is_sealed

    def put(self, event: Event, audio_bytes: int = 0) -> bool:
        """Add an event; False if the mailbox is sealed.

        Threads: the reader. Does not wait.
        """
        with self._lock:
            if self._is_sealed:
                return False
            self.audio_bytes += audio_bytes
            self._queue.put(event)
            return True

    def seal(self, end: End, *, discard: bool = False) -> bool:
        """Add the end; False if there is one already. With ``discard``, what nobody has taken yet is dropped.

        Threads: any. Does not wait.
        """
        with self._lock:
            if self._is_sealed:
                return False
            self._is_sealed = True
            if discard:
                self._drop_locked()
            self._queue.put(end)
            return True

    def discard(self) -> None:
        """Drop the events that nobody has taken, and keep the end.

        Threads: any. Does not wait.
        """
        with self._lock:
            if self._is_sealed and self._end is None:
                end = self._drop_locked()
                if end is not None:
                    self._queue.put(end)

    def _drop_locked(self) -> Optional[End]:
        end = None
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return end
            if isinstance(item, End):
                end = item

    def nudge(self) -> None:
        """Wake the receiver, so that it looks at its clocks again.

        Threads: any. Does not wait.
        """
        self._queue.put(None)

    def take(self, timeout: Optional[float]) -> Union[Event, End, None]:
        """Give the next event or the end; None after a nudge. The end stays: it is given again at each later call.

        Raises:
            queue.Empty: Nothing came in time.

        Threads: one at a time. Waits for the reader, at most ``timeout`` seconds (None: until something comes).
        """
        if self._end is not None:
            return self._end
        item = self._queue.get() if timeout is None else self._queue.get(timeout=timeout)
        if isinstance(item, End):
            self._end = item
        return item
