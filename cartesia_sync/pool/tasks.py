"""What a pool does in one process: texts that are spoken now, or wait for one of its threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional

from ..errors import CartesiaError, WebSocketConnectionClosedError
from ..streaming.context import Context
from ..transport.deadline import Deadline
from .members import Members
from .spoken import Spoken, spoken_of
from .workers import Workers


class Speaking:
    """One text that is spoken, or is to be.

    It does not know its future, which holds the exception, which holds the frames of this. Nor does anybody wait for
    the future here: an interrupt may leave the lock of one taken.
    """

    def __init__(self, here: Here, transcript: str, options: Mapping[str, Any]) -> None:
        self._here = here
        self._transcript = transcript
        self._options = options
        self._context: Optional[Context] = None
        self._is_dropped = False
        self._thread: Optional[int] = None
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __call__(self) -> Spoken:
        """Speak it. Threads: one, once. Waits for the service, as long as the timeouts allow.

        Raises:
            CancelledError: It was dropped.
            Others: As ``Pool.say``.
        """
        self._thread = threading.get_ident()
        try:
            with self._here.begin_context(self._options) as context:
                self._context = context
                if self._is_dropped:  # either this sees it, or drop() sees the context
                    context.cancel()
                context.push(self._transcript, continue_=False)
                audio, events = context._whole()
                return spoken_of(context, self._transcript, audio, events)
        except CartesiaError as error:
            if self._is_dropped:
                message = "the pool was closed, or the map was left, before this text was spoken"
                raise CancelledError(message) from error
            raise
        finally:
            self._context = None

    def until_over(self) -> AbstractContextManager[int]:
        """Return a ``with`` block at whose end it is over, spoken or not."""
        block: Any = _UntilOver(self._ends)  # to a type checker its methods are attributes
        return block  # type: ignore[no-any-return]  # see above

    def note_end(self) -> None:
        """Say that it is over, and was never begun. Threads: any. Does not wait."""
        self._ends.put(None)
        self._here.forget(self)

    def forget(self) -> None:
        """Let the pool hold it no longer. Threads: any. Does not wait."""
        self._here.forget(self)

    def await_end(self, deadline: Deadline) -> bool:
        """Wait for that; not in the thread that speaks it. Return whether it came in time."""
        if self._thread == threading.get_ident():
            return True
        try:
            self._ends.get(timeout=deadline.left())
        except queue.Empty:
            return False
        self._ends.put(None)  # for others who wait
        return True

    def drop(self) -> None:
        """Cancel the context, now or when there is one; not of the calling thread. Threads: any. Does not wait."""
        if self._thread == threading.get_ident():
            return
        self._is_dropped = True
        context = self._context
        if context is not None:
            context.cancel()


class _UntilOver:
    """What ``with`` needs, as C callables in slots, so that nothing can strike before the end is noted; see locks.py.

    The queue's ``put`` takes what ``with`` gives to its end: an item, and two arguments that a queue without a bound
    ignores.
    """

    __slots__ = ("__enter__", "__exit__")

    __enter__: Callable[[], int]
    __exit__: Callable[..., None]

    def __init__(self, ends: queue.SimpleQueue[None]) -> None:
        self.__enter__ = threading.get_ident
        self.__exit__ = ends.put


class Task:
    """One text that one of the pool's threads is to speak.

    Attributes:
        future: Its answer.
    """

    def __init__(self, speaking: Speaking) -> None:
        self.future: Future[Spoken] = Future()
        self._speaking = speaking

    def run(self) -> None:
        """Speak it, and settle the future. Threads: one. Waits for the service, as long as the timeouts allow."""
        try:
            with self._speaking.until_over():
                if self.future.set_running_or_notify_cancel():
                    self._settle()
        finally:
            self._speaking.forget()

    def _settle(self) -> None:
        try:
            spoken = self._speaking()
        except BaseException as error:  # whatever it is, is the future's owner's to see
            self.future.set_exception(error)
            del self  # a cycle, by the traceback, would keep the context until the collector comes
        else:
            self.future.set_result(spoken)

    def drop(self) -> None:
        """Take it out if it has not begun; else cancel its context. Threads: any. Does not wait."""
        if not self.future.cancel():
            self._speaking.drop()


class Here:
    """A pool in one process.

    Args:
        members: Its connections.
        most: How many threads it may have.
    """

    def __init__(self, members: Members, most: Callable[[], int]) -> None:
        self.members = members
        self.workers = Workers(most)
        self._taken: dict[Speaking, Optional[Task]] = {}  # each change is one call of C code
        self.is_closed = False

    def begin_context(self, options: Mapping[str, Any]) -> Context:
        """Begin a context."""
        return self.members.choose().context(**options)

    def check_open(self) -> None:
        """Refuse what comes after the end.

        Raises:
            WebSocketConnectionClosedError: The pool was closed.
        """
        if self.is_closed:
            raise _closed()

    def say(self, transcript: str, options: Mapping[str, Any]) -> Spoken:
        """Speak a text in the calling thread."""
        check_transcript(transcript)
        self.check_open()
        speaking = Speaking(self, transcript, options)
        try:
            with speaking.until_over():
                self._taken[speaking] = None
                return speaking()
        finally:
            self.forget(speaking)

    def submit(self, transcript: str, options: Mapping[str, Any]) -> Task:
        """Have a text spoken by one of the threads."""
        check_transcript(transcript)
        self.check_open()
        speaking = Speaking(self, transcript, options)
        task = Task(speaking)
        try:
            self._taken[speaking] = task
            self.workers.put(task.run)
        except BaseException:  # an interrupt too: nobody has the future
            if task.future.cancel():
                speaking.note_end()
            raise
        if self.is_closed and task.future.cancel():  # it may stand behind the end of the queue
            speaking.note_end()
            raise _closed()
        return task

    def forget(self, speaking: Speaking) -> None:
        """Hold a text no longer."""
        self._taken.pop(speaking, None)

    def finish(self, timeout: Optional[float]) -> None:
        """Take nothing more, and wait until what was taken is done, but for what the calling thread itself is at."""
        self.is_closed = True
        deadline = Deadline(timeout)
        for speaking in list(self._taken):
            if not speaking.await_end(deadline):
                return

    def end(self) -> None:
        """Take nothing more, cancel what is not done, and close the connections."""
        self.is_closed = True
        for speaking, task in list(self._taken.items()):
            (task or speaking).drop()
        self.members.close()
        self.workers.stop()


def check_transcript(transcript: object) -> None:
    """Refuse what is no text.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(transcript, str):
        raise TypeError(f"a transcript is a str; got {type(transcript).__name__}")


def _closed() -> WebSocketConnectionClosedError:
    return WebSocketConnectionClosedError("The pool was closed by close(), or with its client.")
