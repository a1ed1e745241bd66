"""What a link keeps of one context: its life, its mailbox, its clocks and the wire that it speaks on."""

from __future__ import annotations

import time
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
    TruncatedError,
    WebSocketConnectionClosedError,
)
from ..protocol.clocks import Timeout
from ..protocol.events import Chunk, Error, Event
from ..protocol.formats import RawFormat
from ..protocol.life import Move, State, step
from ..transport.wire import Wire
from .mailbox import End, Mailbox


class Line:
    """One context, as the link knows it; the user's handle to it is ``Context``.

    Guarded by the link's state lock: ``state``, ``wire``, ``said``, ``loss``, ``ended_by``. Written by the reader
    alone: ``heard_at``, ``trouble``. Written under the send lock: ``transcripts``, ``first_said_at``, ``said_at``,
    ``sound``. Reading the latter without a lock gives a value that was true a moment ago, which is all that a clock
    or a message needs.
    """

    def __init__(self, context_id: str) -> None:
        self.context_id = context_id
        self.mailbox = Mailbox()
        self.state = State.OPEN
        self.wire: Optional[Wire] = None
        self.said = 0
        self.transcripts: list[str] = []
        self.sound: Optional[RawFormat] = None
        self.first_said_at: Optional[float] = None
        self.said_at = 0.0
        self.heard_at: Optional[float] = None
        self.trouble: Optional[Error] = None
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

    # ---- reader thread only

    def hear(self, event: Event) -> bool:
        """Pass an event on to the receiver."""
        self.heard_at = time.monotonic()
        if isinstance(event, Chunk):
            return self.mailbox.put(event, len(event.audio))
        if isinstance(event, Error) and not (event.done and event.context_id):
            self.trouble = event
        return self.mailbox.put(event)

    # ---- clocks: the receiver's thread

    def time_left(self, timeout: Timeout) -> Optional[float]:
        """Seconds until the first of the clocks runs out, 0 if one has; None if none runs.

        They start with the first push: a context on which nothing was said owes nothing.
        """
        if self.first_said_at is None:
            return None
        ends = []
        if timeout.whole is not None:
            ends.append(self.first_said_at + timeout.whole)
        if self.heard_at is None:
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

    def broken(self, fault: CartesiaError) -> CartesiaError:
        """Make the exception of a context that a message of the service spoiled."""
        error = type(fault)(f"Context {self.context_id!r} is not whole; {self._received()}. {fault}")
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
