"""What a pool does in one process: texts that are spoken now, or wait for one of its threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future, wait
from typing import Any, Callable, Optional

from ..errors import CartesiaError, WebSocketConnectionClosedError
from ..streaming.context import Context
from .members import Members
from .spoken import Spoken, spoken_of
from .workers import Workers


class Task:
    """One text that is to be spoken whole.

    Attributes:
        future: Its answer.
    """

    def __init__(self, here: Here, transcript: str, options: Mapping[str, Any]) -> None:
        self.future: Future[Spoken] = Future()
        self._here = here
        self._speaking = _Speaking(here, transcript, options)
        self._thread: Optional[int] = None

    @property
    def is_in_this_thread(self) -> bool:
        """Whether the calling thread is the one that speaks it."""
        return self._thread == threading.get_ident()

    def run(self) -> None:
        """Speak it, and settle the future. Threads: one. Waits for the service, as long as the timeouts allow."""
        try:
            if self.future.set_running_or_notify_cancel():
                self._thread = threading.get_ident()
                self._settle()
        finally:
            self._here.forget(self)

    def _settle(self) -> None:
        try:
            spoken = self._speaking()
        except BaseException as error:  # whatever it is, is the future's owner's to see
            failure: BaseException = error
            if self._speaking.is_dropped and isinstance(error, CartesiaError):
                failure = CancelledError("the pool was closed, or the map was left, before this text was spoken")
                failure.__cause__ = error
            self.future.set_exception(failure)
            del failure, self  # a cycle, by the traceback, would keep the context until the collector comes
        else:
            self.future.set_result(spoken)

    def drop(self) -> None:
        """Take it out if it has not begun; else cancel its context. Threads: any. Does not wait."""
        if not self.future.cancel():
            self._speaking.drop()


class _Speaking:
    """Speaks one text. It does not know the future, which holds the exception that holds the frames of this.

    Attributes:
        is_dropped: Whether nobody wants it any more.
    """

    def __init__(self, here: Here, transcript: str, options: Mapping[str, Any]) -> None:
        self._here = here
        self._transcript = transcript
        self._options = options
        self._context: Optional[Context] = None
        self.is_dropped = False

    def __call__(self) -> Spoken:
        with self._here.begin_context(self._options) as context:
            try:
                self._context = context
                if self.is_dropped:  # either this sees it, or drop() sees the context
                    context.cancel()
                context.push(self._transcript, continue_=False)
                audio, events = context._whole()
                return spoken_of(context, self._transcript, audio, events)
            finally:
                self._context = None

    def drop(self) -> None:
        """Cancel the context. Threads: any. Does not wait."""
        self.is_dropped = True
        context = self._context
        if context is not None:
            context.cancel()


class Here:
    """A pool in one process.

    Args:
        members: Its connections.
        most: How many threads it may have.
    """

    def __init__(self, members: Members, most: Callable[[], int]) -> None:
        self.members = members
        self.workers = Workers(most)
        self._tasks: dict[Task, None] = {}  # each change is one call of C code
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
        task = self._begin(transcript, options)
        try:
            task.run()
            return task.future.result()
        finally:
            self.forget(task)
            del task

    def submit(self, transcript: str, options: Mapping[str, Any]) -> Task:
        """Have a text spoken by one of the threads."""
        task = self._begin(transcript, options)
        try:
            self.workers.put(task.run)
        except CartesiaError:
            task.drop()
            self.forget(task)
            raise
        if self.is_closed and task.future.cancel():  # it may stand behind the end of the queue
            self.forget(task)
            raise _closed()
        return task

    def _begin(self, transcript: str, options: Mapping[str, Any]) -> Task:
        check_transcript(transcript)
        self.check_open()
        task = Task(self, transcript, options)
        self._tasks[task] = None
        return task

    def forget(self, task: Task) -> None:
        """Hold a task no longer."""
        self._tasks.pop(task, None)

    def finish(self, timeout: Optional[float]) -> None:
        """Take nothing more, and wait until what was taken is done, but for what the calling thread itself is at."""
        self.is_closed = True
        wait([task.future for task in list(self._tasks) if not task.is_in_this_thread], timeout)

    def end(self) -> None:
        """Take nothing more, cancel what is not done, and close the connections."""
        self.is_closed = True
        for task in list(self._tasks):
            if not task.is_in_this_thread:
                task.drop()
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
