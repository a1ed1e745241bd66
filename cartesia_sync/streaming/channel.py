"""What a link keeps of one context: its life, its messages, its mailbox, its clocks and the wire that it speaks on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..audio.framing import SampleFramer
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
    UnfinishedError,
    WebSocketConnectionClosedError,
)
from ..protocol.events import Chunk, Error, Event
from ..protocol.formats import RawFormat
from ..protocol.lifecycle import Move, State, step
from ..protocol.timeouts import Timeout
from ..protocol.words import has_words
from ..transport.websocket.wire import Wire
from .mailbox import End, Item, Mailbox

if TYPE_CHECKING:
    from ..transport.websocket.duplex import Frame

MAX_QUEUED_BYTES = 64 << 20
"""What may wait in one context: six minutes of the largest format there is, and an hour of telephone audio and more.

A context speaks minutes, and faster than it is played; so a program that plays in real time never meets the limit,
and one that has stopped reading is told before it hurts.
"""


class Message:
    """One message of a context, as it was said and may have to be said again.

    Attributes:
        payload: Its JSON.
        transcript: The text in it, or "".
        move: What it does to the context's life.
        flushes: Whether it asks for a flush.
        audio_format: What it asks for, or None where that is none of ours.
        said_at: When, by the monotonic clock.
    """

    __slots__ = ("audio_format", "flushes", "move", "payload", "said_at", "transcript")

    def __init__(
        self, payload: bytes, *, transcript: str = "", move: Move, flushes: bool = False, output_format: Any = None
    ) -> None:
        self.payload = payload
        self.transcript = transcript
        self.move = move
        self.flushes = flushes
        self.audio_format = RawFormat.if_known(output_format)
        self.said_at = time.monotonic()


class Line:
    """One context, as the link knows it; the user's handle to it is ``Context``.

    Guarded by the link's state lock: ``messages``, ``frames``, ``wire``, ``state``, ``said_at``, ``first_said_at``,
    ``sound``, ``has_moved``, ``is_replayed``, ``loss``, ``ended_by``, ``unspoken``. Written by the reader alone:
    ``heard_at``, ``audio_at``, ``trouble``. Reading one of these without a lock gives a value that
    was true a moment ago, which is all that a clock or a text of an error needs.

    A context with messages and without a wire is set aside: its wire was lost, and all of it is to be said again on
    another one.
    """

    def __init__(self, context_id: str, *, replays: bool = False, limit_bytes: int = MAX_QUEUED_BYTES) -> None:
        self.context_id = context_id
        self.replays = replays  # and whatever the service may have heard of it
        self.mailbox = Mailbox(limit_bytes)
        self._framer = SampleFramer()
        self.messages: list[Message] = []
        self.frames: list[Frame] = []  # of the messages, on the wire in use or the last one
        self.wire: Optional[Wire] = None
        self._state = State.OPEN
        self.is_cancelled = False  # by a note that the reader may not have carried out yet
        self.has_moved = False  # it was said again already, since nothing of it had left
        self.is_replayed = False  # it was said again already, though something had
        self.sound: Optional[RawFormat] = None
        self.first_said_at: Optional[float] = None
        self.said_at = 0.0
        self.heard_at: Optional[float] = None
        self.audio_at: Optional[float] = None
        self.trouble: Optional[Error] = None
        self.ended_by: Optional[Error] = None
        self.unspoken: Optional[tuple[str, ...]] = None  # where the service's done came too early
        self.loss: Optional[CartesiaError] = None
        self.has_given_audio = False  # the receiver's own
        self.waits_for_text = False  # a pump's generator is slow, and the service cannot be blamed for it

    # ---- its life

    @property
    def state(self) -> State:
        """Where it is in its life."""
        if self.is_cancelled and self._state in (State.OPEN, State.FINISHING):
            return State.CANCELLING
        return self._state

    def move(self, move: Move) -> None:
        """Take a step in the table of lives. The caller holds the state lock.

        Raises:
            ContextStateError: It is not allowed; the message says what ended the context, if the service did.
        """
        self._state = self.state_after(move)

    def state_after(self, move: Move) -> State:
        """Return where a step would lead; raises as ``move``."""
        try:
            return step(self._state if move is Move.CANCEL else self.state, move, self.context_id)
        except ContextStateError as error:
            if self.ended_by is None:
                raise
            raise ContextStateError(f"{error}; the service ended it: {self.ended_by.error}") from None

    @property
    def transcripts(self) -> list[str]:
        """The pieces of text that were said, in order."""
        return [message.transcript for message in self.messages if message.transcript]

    @property
    def flushes(self) -> int:
        """How many flushes were asked for."""
        return sum(message.flushes for message in self.messages)

    # ---- what is said, under the state lock

    def say_on(self, wire: Wire, message: Message, frame: Frame) -> None:
        """Say one more message on the wire that it speaks on: it will leave whole, once, whatever strikes from now on.

        Raises:
            ContextStateError: Its life does not allow it.
        """
        state = self.state_after(message.move)
        append: Callable[[Any, Any], None] = list.append
        lists = map(append, (self.messages, self.frames, wire.unsent), (message, frame, frame))
        self.said_at = message.said_at
        self._state = state
        deque(lists, maxlen=0)  # with the stores before it one step: an interrupt finds none of them or all

    def move_to(self, wire: Wire, messages: list[Message], frames: list[Frame]) -> None:
        """Say all its messages on a wire that is new to it; otherwise as ``say_on``."""
        state = self._state
        for message in messages[len(self.messages) :]:
            state = self.state_after(message.move)
        has_left = any(frame.has_left for frame in self.frames)
        has_moved = self.has_moved or (bool(self.messages) and not has_left)
        is_replayed = self.is_replayed or has_left
        sound = self.sound or messages[0].audio_format
        now = time.monotonic() if self.messages else messages[0].said_at
        self.messages, self.frames, self.wire, self.sound = messages, frames, wire, sound
        self.has_moved, self.is_replayed = has_moved, is_replayed
        self.first_said_at = self.said_at = now
        self._state = state
        wire.unsent.extend(frames)  # as above

    @property
    def is_set_aside(self) -> bool:
        """Whether it waits to be said again on another wire."""
        return bool(self.messages) and self.wire is None and self.state in (State.OPEN, State.FINISHING)

    @property
    def can_be_set_aside(self) -> bool:
        """Whether it may be said again on another wire, once this one is lost and sends nothing any more.

        So it may where nothing of it has left whole, so that the service cannot act on it; and where it is to be
        replayed, all its text was said and nothing of it was heard. Each once.
        """
        if self.wire is None or self.heard_at is not None or self.state not in (State.OPEN, State.FINISHING):
            return False
        if not any(frame.has_left for frame in self.frames):
            return not self.has_moved
        return self.replays and not self.is_replayed and self.state is State.FINISHING

    # ---- reader thread only

    def count_room(self, items: Sequence[Item]) -> int:
        """Return how many of these, from the first on, may be added to those that nobody has taken yet.

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
        now = time.monotonic()
        if self.heard_at is None:
            for message in self.messages:
                message.payload = b""  # which will not be said again
        self.heard_at = now
        audio_bytes = 0
        for _, event, _ in items:
            if isinstance(event, Chunk):
                audio_bytes += len(event.audio)
                event.context_id = self.context_id  # one text for all: each has brought one of its own, of 85 bytes
            elif isinstance(event, Error) and not event.done:
                self.trouble = event
        self.mailbox.deliver(items, audio_bytes=audio_bytes)

    def overhear(self, event: Error, item: Item) -> None:
        """Pass on what concerns the whole connection: not heard of this context, so its clocks run on."""
        if self.count_room([item]):
            self.trouble = event
            self.mailbox.deliver([item])

    def note_done(self) -> None:
        """Write down what was not spoken when the service says that it is done. Under the state lock.

        Either it did not wait for our last message, as at expiry; or its word crossed our text, which was written
        after the last audio that was heard. Where audio of earlier text comes after the crossing nobody can tell.
        """
        unspoken = [
            message.transcript
            for message in self.messages
            if message.transcript and (self.audio_at is None or message.said_at > self.audio_at)
        ]
        if self.state is State.OPEN or has_words("".join(unspoken)):
            self.unspoken = tuple(unspoken)

    # ---- the receiver's thread

    def prepare(self, event: Event) -> None:
        """Let an event that is about to be taken know what it must; the next time does nothing."""
        if isinstance(event, Chunk) and self.sound is not None and "audio_format" not in event.__dict__:
            self._framer.attach(event, self.sound)

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

    def unfinished(self) -> UnfinishedError:
        """Make the exception of a context that the service ended before its text was at its end."""
        unspoken = self.unspoken or ()
        if self.mailbox.audio_bytes == 0 and unspoken:
            how = "was ended by the service without any audio, though there were words to speak"
        elif unspoken:
            how = "was ended by the service before all of its text was spoken"
        else:
            how = "was ended by the service before no_more_inputs(): it does so about a second after the last audio"
        rest = f" Not spoken: {_shortened(''.join(unspoken))!r}." if unspoken else ""
        error = UnfinishedError(f"Context {self.context_id!r} {how}; {self._received()}.{rest}", unspoken=unspoken)
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
        """In a forked child: end this context here."""
        self.loss, self._state, self.wire = forked, State.ENDED, None
        self.mailbox.excuse(End(lambda: ForkedError(str(forked)), discards=True))

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


def _shortened(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
