"""What a link keeps of one context: its life, its mailbox, its clocks and the wire that it speaks on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Optional, Union

from ..errors import (
    APITimeoutError,
    CartesiaError,
    ContextFacts,
    ContextStateError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    ForkedError,
    GapTimeoutError,
    MailboxFullError,
    MalformedEventError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from ..protocol.clocks import Timeout
from ..protocol.events import Chunk, Error, Event
from ..protocol.formats import RawFormat
from ..protocol.life import Move, State, step
from ..transport.wire import Wire
from .mailbox import End, Item, Mailbox
from .tuner import Tuner

MAX_QUEUED_BYTES = 64 << 20
"""What may wait in one context: six minutes of the largest format there is, and an hour of telephone audio and more.

A context speaks minutes, and faster than it is played; so a program that plays in real time never meets the limit,
and one that has stopped reading is told before it hurts.
"""


class Line:
    """One context, as the link knows it; the user's handle to it is ``Context``.

    Guarded by the link's state lock: ``state``, ``wire``, ``said``, ``loss``, ``ended_by``, ``awaits_replay``,
    ``is_set_aside``, ``kept`` (which the reader sets to None without it). Written by the reader alone: ``heard_at``,
    ``trouble``, ``has_overflowed``. Written under the send lock: ``transcripts``, ``flushes``, ``first_said_at``,
    ``said_at``, ``sound``. Reading one of these without a lock gives a value that was true a moment ago, which is all
    that a clock or a message needs.
    """

    def __init__(self, context_id: str, *, replays: bool = False, limit_bytes: int = MAX_QUEUED_BYTES) -> None:
        self.context_id = context_id
        self.kept: Optional[list[bytes]] = [] if replays else None  # messages to say again, until one is answered
        self.awaits_replay = False
        self.is_set_aside = False  # to be replayed, or replayed already
        self.flushes = 0
        self.has_given_audio = False  # the receiver's own, as is the next
        self._tuner = Tuner()
        self.waits_for_text = False  # a pump's generator is slow, and the service cannot be blamed for it
        self.mailbox = Mailbox(limit_bytes)
        self.state = State.OPEN
        self.wire: Optional[Wire] = None
        self.said = 0
        self.transcripts: list[str] = []
        self.sound: Optional[RawFormat] = None
        self.first_said_at: Optional[float] = None
        self.said_at = 0.0
        self.heard_at: Optional[float] = None
        self.trouble: Optional[Error] = None
        self.has_overflowed = False
        self.ended_by: Optional[Error] = None
        self.loss: Optional[CartesiaError] = None

    def move(self, move: Move) -> None:
        """Take a step in the table of lives. The caller holds the state lock.

        Raises:
            ContextStateError: It is not allowed; the message says what ended the context, if the service did.
        """
        try:
            self.state = step(self.state, move, self.context_id)
        except ContextStateError as error:
            if self.ended_by is None:
                raise
            raise ContextStateError(f"{error}; the service ended it: {self.ended_by.error}") from None

    @property
    def is_to_be_replayed(self) -> bool:
        """Whether it is to be said again if the wire is lost: all its text was sent, and nothing of it was heard."""
        return self.kept is not None and self.state is State.FINISHING

    def set_aside_for_replay(self) -> bool:
        """Make it as new, if it is to be said again. The caller holds the state lock."""
        if not self.is_to_be_replayed:
            return False
        self.awaits_replay = self.is_set_aside = True
        self.wire, self.said = None, 0
        return True

    def keep(self, message: bytes) -> None:
        """Keep a message, if the context is to be said again and nothing was heard of it. Under the state lock."""
        kept = self.kept  # the reader sets it to None without the lock
        if kept is not None:
            kept.append(message)

    # ---- reader thread only

    def count_room(self, items: Sequence[Item]) -> int:
        """Say how many of these, from the first on, may be added to those that nobody has taken yet.

        One alone may be larger than the limit: it is bound by the size of a message.
        """
        waiting, limit_bytes = self.mailbox.waiting_bytes, self.mailbox.limit_bytes
        for count, (_, _, weight) in enumerate(items):
            if waiting and waiting + weight > limit_bytes:
                return count
            waiting += weight
        return len(items)

    def hear(self, items: Sequence[Item]) -> None:
        """Pass events on to the receiver."""
        if not items:
            return
        self.heard_at = time.monotonic()
        self.kept = None
        audio_bytes = 0
        for _, event, _ in items:
            if isinstance(event, Chunk):
                audio_bytes += len(event.audio)
                event.context_id = self.context_id  # one text for all: each has brought one of its own, of 85 bytes
            elif isinstance(event, Error) and not event.done:
                self.trouble = event
        self.mailbox.put(items, audio_bytes=audio_bytes)

    def overhear(self, event: Error, item: Item) -> None:
        """Pass on what concerns the whole connection: not heard of this context, so its clocks run on."""
        if self.count_room([item]):
            self.trouble = event
            self.mailbox.put([item])

    # ---- the receiver's thread

    def take_ahead(self) -> Union[Event, End, None]:
        """Take the item that a look at the mailbox's head has seen; see there."""
        return self._noted(self.mailbox.take_ahead())

    def take_ready(self) -> Union[Event, End, None]:
        """Take the next item out of the mailbox if there is one; see there."""
        return self._noted(self.mailbox.take_ready())

    def take(self, timeout: Optional[float]) -> Union[Event, End, None]:
        """Take the next item out of the mailbox; see there."""
        return self._noted(self.mailbox.take(timeout))

    def _noted(self, item: Union[Event, End, None]) -> Union[Event, End, None]:
        if isinstance(item, Chunk):
            self.has_given_audio = True
            if self.sound is not None:
                self._tuner.tune(item, self.sound)
        return item

    def time_left(self, timeout: Timeout) -> Optional[float]:
        """Seconds until the first of the clocks runs out, 0 if one has; None if none runs.

        They start with the first push: a context on which nothing was said owes nothing.
        """
        if self.first_said_at is None:
            return None
        ends = []
        if timeout.whole is not None:
            ends.append(self.first_said_at + timeout.whole)
        if self.waits_for_text:
            pass
        elif self.heard_at is None:
            if timeout.first_event is not None:
                ends.append(self.first_said_at + timeout.first_event)
        elif timeout.gap is not None:
            ends.append(max(self.heard_at, self.said_at) + timeout.gap)
        return max(min(ends) - time.monotonic(), 0.0) if ends else None

    def timed_out(self, timeout: Timeout) -> APITimeoutError:
        """Make the exception of the clock that has run out."""
        whole_is_over = (
            timeout.whole is not None
            and self.first_said_at is not None
            and time.monotonic() >= self.first_said_at + timeout.whole
        )
        error: Union[ContextTimeoutError, FirstEventTimeoutError, GapTimeoutError]
        if whole_is_over:
            error = ContextTimeoutError(self._story("did not end", timeout.whole), timeout=timeout.whole)
        elif self.heard_at is None:
            error = FirstEventTimeoutError(
                self._story("was not answered", timeout.first_event), timeout=timeout.first_event
            )
        else:
            error = GapTimeoutError(self._story("went silent", timeout.gap), timeout=timeout.gap)
        self._remember(error)
        return error

    def _story(self, what: str, seconds: Optional[float]) -> str:
        trouble = f" The connection had reported: {self.trouble.error}." if self.trouble is not None else ""
        return f"Context {self.context_id!r} {what} for {seconds} s; {self._received()}.{trouble}"

    # ---- ends, made anew for each receiver

    def truncated(self, loss: CartesiaError) -> TruncatedError:
        """Make the exception of a context whose connection ended first."""
        closed = loss if isinstance(loss, WebSocketConnectionClosedError) else WebSocketConnectionClosedError()
        error = TruncatedError(
            f"Context {self.context_id!r} is not whole; {self._received()}. {loss}",
            code=closed.code,
            reason=closed.reason,
        )
        self._remember(error)
        error.__cause__ = loss
        return error

    def lost(self, loss: CartesiaError) -> CartesiaError:
        """Make the exception of a push to a context whose connection is gone, or is another process's."""
        return ForkedError(str(loss)) if isinstance(loss, ForkedError) else self.truncated(loss)

    def overflowed(self, limit_bytes: int, whose: str) -> MailboxFullError:
        """Make the exception of a context whose events nobody took."""
        error = MailboxFullError(
            f"Context {self.context_id!r} was not read: its events reached the {whose}'s limit of {limit_bytes} bytes "
            f"(max_queued_bytes), so it was ended and cancelled; {self._received()}.",
            limit_bytes=limit_bytes,
        )
        self._remember(error)
        return error

    def broken(self, fault: MalformedEventError) -> MalformedEventError:
        """Make the exception of a context that a message of the service spoiled."""
        error = MalformedEventError(
            f"Context {self.context_id!r} is not whole; {self._received()}. {fault}", context_id=self.context_id
        )
        error.__cause__ = fault
        return error

    def end(self, loss: CartesiaError) -> End:
        """Make the end of a mailbox for a lost connection."""
        return End(lambda: self.truncated(loss))

    def leave_to_parent(self, forked: ForkedError) -> None:
        """In a forked child: end this context here. The locks are new: another thread may have held the old ones."""
        self.mailbox, self.loss, self.state = Mailbox(), forked, State.ENDED
        self.mailbox.seal(End(lambda: ForkedError(str(forked))))

    def _received(self) -> str:
        return f"received: {self.mailbox.audio_bytes} bytes of audio, {self.audio_seconds:.2f} s"

    @property
    def audio_seconds(self) -> float:
        """Seconds of audio that have arrived; 0 where the encoding is not one that we know."""
        return 0.0 if self.sound is None else self.sound.seconds(self.mailbox.audio_bytes)

    def _remember(self, error: ContextFacts) -> None:
        error.remember(
            context_id=self.context_id,
            audio_bytes=self.mailbox.audio_bytes,
            audio_seconds=self.audio_seconds,
            heard=self.heard_at is not None,
            transcripts=tuple(self.transcripts),
        )
