"""Iterating one context: who may receive, and what is taken when."""

from __future__ import annotations

import contextlib
import queue
import weakref
from threading import get_ident
from typing import Optional, Union

from ..errors import APIError, ConcurrencyError, ContextFacts, status_error
from ..protocol.events import Chunk, Done, Error, Event
from ..protocol.timeouts import Timeout
from ..transport.locks import NotAcquiredError, TimedLock, raise_unless_not_acquired
from .channel import Channel
from .link import Link
from .mailbox import End


class Turn:
    """Whose turn it is to receive a context: one receiver at a time, in one thread at a time.

    Attributes:
        receiver: A weak reference to the receiver that was let in last.
        thread: The thread in which it was.
    """

    def __init__(self, channel: Channel, link: Link) -> None:
        self._channel = channel
        self.link = link
        self._lock = TimedLock()  # held by the thread that waits for an event; guards the next two
        self.receiver: Optional[weakref.ref[Receiver]] = None
        self.thread: Optional[int] = None

    def await_next(self, receiver: Receiver, timeout: Timeout) -> Union[Event, End]:
        """Wait for the next event or the end, keep other receivers out, and leave it where it is.

        Raises:
            ConcurrencyError: Another thread is receiving.
            APITimeoutError: A timeout has passed; the context is cancelled.
        """
        self.link.check_process()
        try:
            with self._lock.within(0.0) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                self._claim_locked(receiver)
                return self._await_event_locked(timeout)
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            raise self._second_receiver() from None

    def _claim_locked(self, receiver: Receiver) -> None:
        """Let a receiver in that is the latest, and in the same thread, or that follows one which nobody holds."""
        assert self._lock.is_ours
        current = self.receiver() if self.receiver is not None else None
        thread = get_ident()
        if current is not receiver:
            if current is not None and not current.has_ended and self.thread != thread:
                raise self._second_receiver()
            self._channel.mailbox.restore()
            self.receiver = receiver.reference
        self.thread = thread

    def _second_receiver(self) -> ConcurrencyError:
        return ConcurrencyError(
            f"another thread is receiving context {self._channel.context_id!r}; "
            "one at a time, or its audio would be torn apart"
        )

    def _await_event_locked(self, timeout: Timeout) -> Union[Event, End]:
        assert self._lock.is_ours
        channel = self._channel
        while True:
            found = channel.mailbox.peek()  # what is there costs no look at the timeouts
            if isinstance(found, End):
                return found
            if found is not None:
                channel.prepare(found[1])
                return found[1]
            if channel.is_set_aside:
                self.link.resume(channel)
                continue
            try:
                channel.mailbox.wait(channel.time_left(timeout))
            except queue.Empty:
                if channel.time_left(timeout) != 0.0:
                    continue  # a push or an event has put it off
                error = channel.timed_out(timeout)
                self.link.cancel(channel, discard=True)
                raise error from None


class Receiver:
    """An iterator over a context's events, as ``receive()`` returns it.

    It holds nothing back when it is left: the next one goes on where it stopped. Nor does an interrupt lose an event
    inside of it: it looks first, and takes as its last act.
    """

    def __init__(
        self, channel: Channel, turn: Turn, timeout: Timeout, *, raise_on_error: bool, keeps_alive: object
    ) -> None:
        self._channel = channel
        self._turn = turn
        self._timeout = timeout
        self._raise_on_error = raise_on_error
        self._keeps_alive = keeps_alive  # the context, which cancels itself when nobody holds it
        self.reference = weakref.ref(self)  # one object for all: who is let in is known by it
        self.has_ended = False

    def __iter__(self) -> Receiver:
        return self

    def __next__(self) -> Event:
        channel = self._channel
        while True:
            event = self.peek()
            if isinstance(event, End):
                raise StopIteration
            has_given_audio = channel.has_given_audio or isinstance(event, Chunk)
            try:
                # The last act: from the pop to the return there is no call and no jump, so that nothing can strike.
                for taken in channel.mailbox.taking:
                    channel.has_given_audio = has_given_audio
                    return taken[1]
            except IndexError:
                pass  # connection.recv() was faster

    def peek(self) -> Union[Event, End]:
        """Wait for what is next, and leave it there; at the end return that, or raise what it ended with."""
        if self.has_ended:
            return _OVER
        turn = self._turn
        try:
            if turn.receiver is self.reference and turn.thread == get_ident():
                # As nearly always: it was let in before, nobody else can be, and something is there.
                turn.link.check_process()
                head = self._channel.mailbox.peek()
                if head is None or isinstance(head, End):
                    found = turn.await_next(self, self._timeout)
                else:
                    found = head[1]
                    self._channel.prepare(found)
            else:
                found = turn.await_next(self, self._timeout)
            if self._channel.tellers and is_end(found):
                self._channel.tell_of_end(found)
            if isinstance(found, End):
                self._channel.mailbox.is_used_up = True
                if found.make_error is not None:
                    raise found.make_error()
                self.has_ended = True
            elif self._raise_on_error and isinstance(found, Error) and found.context_id is not None:
                failure = error_of(found, self._channel)
                with contextlib.suppress(IndexError):
                    for _ in self._channel.mailbox.taking:
                        raise failure
            else:
                self._check(found)
        except ConcurrencyError:
            raise
        except Exception:  # whatever ends it; after Ctrl-C one may go on
            self.has_ended = True
            if self._channel.mailbox.is_sealed:
                self._channel.tell_of_end(_OVER_EARLY)  # a timeout, which no event and no end has told of
            raise
        return found

    def _check(self, event: Event) -> None:
        """Raise what keeps an event from being given."""

    def close(self) -> None:
        """Let another thread receive, while somebody still holds this iterator."""
        self.has_ended = True


_OVER = End()
_OVER_EARLY = End(lambda: APIError())


def is_end(found: Union[Event, End]) -> bool:
    """Whether this is the last that a receiver of its context is given."""
    return isinstance(found, (End, Done)) or (isinstance(found, Error) and found.done and found.context_id is not None)


def raise_if_error(event: Event, channel: Channel) -> Event:
    """Return an event that is no error of its context."""
    if isinstance(event, Error) and event.context_id is not None:
        raise error_of(event, channel)
    return event


def error_of(event: Error, channel: Optional[Channel] = None) -> APIError:
    """Make the exception of an error event of a channel."""
    if event.status_code is None:
        return APIError(event.error, body=event)
    error = status_error(
        event.status_code,
        event.error,
        body=event,
        error_code=event.error_code,
        title=event.title,
        request_id=event.request_id,
        doc_url=event.doc_url,
    )
    if isinstance(error, ContextFacts) and channel is not None:
        channel.remember(error)
    return error
