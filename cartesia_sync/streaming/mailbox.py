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
        self._queue: queue.Queue[Union[Event, type[End], None]] = queue.Queue()  # the class End marks the end
        self._lock = threading.Lock()  # guards _end; the queue has a lock of its own
        self._end: Optional[End] = None
        self._end_is_taken = False  # the receiver's own
        self.audio_bytes = 0

    @property
    def is_sealed(self) -> bool:
        """Whether the end is in; there may be events before it that nobody has taken."""
        return self._end is not None

    def put(self, event: Event, audio_bytes: int = 0) -> bool:
        """Add an event; False if the mailbox is sealed.

        Threads: the reader. Does not wait.
        """
        with self._lock:
            if self._end is not None:
                return False
            self.audio_bytes += audio_bytes
            self._queue.put(event)
            return True

    def seal(self, end: End) -> bool:
        """Add the end; False if there is one already.

        Threads: any. Does not wait.
        """
        with self._lock:
            if self._end is not None:
                return False
            self._end = end
            self._queue.put(End)
            return True

    def excuse(self, *, discard: bool) -> None:
        """End without an error, whatever the end was until now; with ``discard``, drop what nobody has taken.

        Threads: any. Does not wait.
        """
        with self._lock:
            was_sealed = self._end is not None
            self._end = End()
            if discard:
                self._drop()
            if discard or not was_sealed:
                self._queue.put(End)

    def _drop(self) -> None:
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

    def take(self, timeout: Optional[float]) -> Union[Event, End, None]:
        """Give the next event or the end; None after a nudge. The end stays: it is given again at each later call.

        Raises:
            queue.Empty: Nothing came in time.

        Threads: one at a time. Waits for the reader, at most ``timeout`` seconds (None: until something comes).
        """
        if not self._end_is_taken:
            item = self._queue.get() if timeout is None else self._queue.get(timeout=timeout)
            if not isinstance(item, type):
                return item
            self._end_is_taken = True
        return self._end
