"""One conversation on a shared connection: its state, its messages, its mailbox, its timeouts and its wire."""

from __future__ import annotations

import copy
import itertools
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
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
from ..protocol import codec
from ..protocol.events import Chunk, Done, Error, Event, shift
from ..protocol.formats import RawFormat
from ..protocol.lifecycle import REPLAY, ChannelMove, ChannelState, ReplayMove, ReplayState, followed, step
from ..protocol.metrics import Metrics, Outcome, SpokenContext
from ..protocol.timeouts import Timeout
from ..protocol.words import has_words
from ..transport.websocket.wire import Wire
from .mailbox import End, Item, Mailbox

if TYPE_CHECKING:
    from ..limits.gate import Ticket
    from ..transport.websocket.duplex import Frame

_LIVE = (ChannelState.OPEN, ChannelState.FINISHING)

log = logging.getLogger("cartesia_sync")

MAX_QUEUED_BYTES = 64 << 20
"""What may wait in one context: six minutes of the largest format there is, and an hour of telephone audio and more.

A context speaks minutes, and faster than it is played; so a program that plays in real time never meets the limit,
and one that has stopped reading is told before it hurts.
"""


class Message:
    """One message of a context, as it was sent and may have to be sent again.

    Attributes:
        payload: Its JSON.
        wire_id: The id in it.
        transcript: The text in it, or "".
        move: What it does to the channel's state.
        flushes: Whether it asks for a flush.
        audio_format: What it asks for, or None where that is none of ours.
        waits_for_words: Whether it is held back where it would be the first one and has no letter or digit, which the
            service refuses.
        leading: How many texts that were held back it has in front of its own.
        sent_at: When it was put in line, by the monotonic clock.
    """

    __slots__ = (
        "audio_format",
        "flushes",
        "leading",
        "move",
        "payload",
        "sent_at",
        "transcript",
        "waits_for_words",
        "wire_id",
    )

    def __init__(
        self,
        payload: bytes,
        *,
        wire_id: str,
        transcript: str = "",
        move: ChannelMove,
        flushes: bool = False,
        output_format: Any = None,
        waits_for_words: bool = False,
    ) -> None:
        self.payload = payload
        self.wire_id = wire_id
        self.transcript = transcript
        self.move = move
        self.flushes = flushes
        self.audio_format = RawFormat.if_known(output_format)
        self.waits_for_words = waits_for_words
        self.leading = 0
        self.sent_at = time.monotonic()

    def under(self, wire_id: str, leading: Sequence[str] = ()) -> Message:
        """Return the same message under another id, and with texts in front of its own."""
        made = copy.copy(self)
        made.wire_id, made.leading = wire_id, len(leading)
        made.transcript = "".join([*leading, self.transcript])
        made.payload = codec.encode(
            {**codec.decode_answer(self.payload), "context_id": wire_id, "transcript": made.transcript}
        )
        made.sent_at = time.monotonic()
        return made


class Earlier:
    """What was heard of a channel under the ids that it had before: the times of the present one follow it.

    Args:
        seconds: Of audio.
        flushes: How many were asked for.
    """

    __slots__ = ("flushes", "seconds")

    def __init__(self, *, seconds: float, flushes: int) -> None:
        self.seconds = seconds
        self.flushes = flushes

    def shift(self, event: Event) -> None:
        """Set an event's times and flush to where they are in the whole."""
        shift(event, self.seconds, self.flushes)


class Channel:
    """One conversation, which its user holds as a ``Context``. It may speak on several wires, one after another.

    Guarded by the link's lock: ``wire_id``, ``messages``, ``spoken``, ``leading``, ``frames``, ``wire``, ``_state``,
    ``_replay``, ``sent_at``, ``first_sent_at``, ``began_at``, ``audio_format``, ``loss``, ``ended_by``, ``unspoken``,
    ``had_no_words``, ``held_done``, ``slot``, ``awaits_slot``. Written by the reader alone:
    ``heard_at``, ``audio_at``, ``notice``, ``refusals``, and under that lock ``earlier``, ``first_audio_at`` and
    ``longest_gap``. By whoever waits for it: ``waited_for_slot`` and ``connected_in``. By the receiver:
    ``has_given_audio``. By the thread that takes the text: ``waits_for_text``; and ``continues`` before anything was
    sent. By ``cancel()``, in any thread and without a lock: ``is_cancel_requested``. To read one of these without a
    lock gives a value that was true a moment ago, which is enough for a timeout or an error's text.
    """

    __slots__ = (
        "__weakref__",
        "_framer",
        "_replay",
        "_replays",
        "_state",
        "audio_at",
        "audio_format",
        "awaits_slot",
        "began_at",
        "connected_in",
        "context_id",
        "continues",
        "earlier",
        "ended_by",
        "first_audio_at",
        "first_sent_at",
        "found_wire",
        "frames",
        "had_no_words",
        "has_given_audio",
        "heard_at",
        "held_done",
        "is_cancel_requested",
        "leading",
        "longest_gap",
        "loss",
        "mailbox",
        "messages",
        "notice",
        "refusals",
        "sent_at",
        "slot",
        "spoken",
        "tellers",
        "unspoken",
        "waited_for_slot",
        "waits_for_text",
        "wire",
        "wire_id",
    )

    def __init__(self, context_id: str, *, replays: bool = False, limit_bytes: int = MAX_QUEUED_BYTES) -> None:
        self.context_id = context_id  # the user's, for good
        self.wire_id = context_id  # the one on the wire, which the registry may change
        self.mailbox = Mailbox(limit_bytes)
        self._framer = SampleFramer()
        self.messages: list[Message] = []
        self.spoken: Sequence[Message] = ()  # under ids on the wire that it had before
        self.leading: list[str] = []  # was pushed before the first letter or digit, and leaves in front of it
        self.had_no_words = False  # all its text, so that the service was not asked
        self.continues = False  # under a new id where the service is done before the text is
        self.held_done: Optional[Event] = None  # the service's word on the last id, where nothing follows it so far
        self.earlier: Optional[Earlier] = None  # what was heard under those ids
        self.slot: Optional[Ticket] = None  # of the client's limit, from the first message to the end
        self.awaits_slot = False  # refused, and to be said again once there is one; its messages wait in order
        self.waited_for_slot = 0.0
        self.refusals = 0
        self.frames: list[Frame] = []  # of the messages, on the wire in use or the last one
        self.wire: Optional[Wire] = None
        self._state = ChannelState.OPEN
        self.is_cancel_requested = False  # of which the reader finds a note
        self._replays = replays
        self._replay = ReplayState.ARMED if replays else ReplayState.NEVER
        self.audio_format: Optional[RawFormat] = None
        self.began_at: Optional[float] = None
        self.first_sent_at: Optional[float] = None  # under the present id
        self.sent_at = 0.0
        self.heard_at: Optional[float] = None
        self.audio_at: Optional[float] = None
        self.notice: Optional[Error] = None
        self.ended_by: Optional[Error] = None
        self.unspoken: Optional[tuple[str, ...]] = None  # where the service's done came too early
        self.loss: Optional[CartesiaError] = None
        self.connected_in = 0.0
        self.found_wire: Optional[bool] = None  # its first push found an open one
        self.first_audio_at: Optional[float] = None
        self.longest_gap = 0.0
        # Whom to tell of the end; whoever takes it out tells, so that it is told once.
        self.tellers: Optional[list[Callable[[SpokenContext], object]]] = None
        self.has_given_audio = False
        self.waits_for_text = False  # the user's iterable is slow, and the service cannot be blamed for it

    # ---- its state

    @property
    def state(self) -> ChannelState:
        """The state; a cancel that was asked for counts."""
        if self.is_cancel_requested and self._state in _LIVE:
            return ChannelState.CANCELLED
        return self._state

    def move(self, move: ChannelMove, *, then: Iterable[object] = (), **facts: object) -> None:
        """Move the state by its table, store further facts, and do what ``then`` does, in one step.

        An interrupt finds none of it or all: ``_store`` ends with one call of C code, if ``then`` is an iterator of C
        code. The caller holds the link's lock.

        Raises:
            ContextStateError: It is not allowed; the message says what ended the context, if the service did.
        """
        self._store(then, _state=self.state_after(move), **facts)

    def _store(self, then: Iterable[object] = (), **facts: object) -> None:
        deque(itertools.chain(map(setattr, itertools.repeat(self), facts, facts.values()), then), maxlen=0)

    def state_after(self, move: ChannelMove) -> ChannelState:
        """Return the state that a move would lead to. Raises as ``move``."""
        try:
            return step(self._state if move is ChannelMove.CANCEL else self.state, move, self.context_id)
        except ContextStateError as error:
            if self.ended_by is None:
                raise
            raise ContextStateError(f"{error}; the service ended it: {self.ended_by.error}") from None

    @property
    def replay(self) -> ReplayState:
        """The state of the replay."""
        return self._replay

    @property
    def transcripts(self) -> list[str]:
        """The pieces of text that were sent, in order."""
        return [message.transcript for message in [*self.spoken, *self.messages] if message.transcript]

    @property
    def flushes(self) -> int:
        """How many flushes were asked for."""
        return sum(message.flushes for message in [*self.spoken, *self.messages])

    # ---- sending: the caller holds the link's lock

    def has_to_wait(self, message: Message) -> bool:
        """Whether a message must not leave yet: it would be the first under the present id, and has no words."""
        if self.messages or not (message.waits_for_words or self.spoken):
            return False
        return not has_words("".join([*self.leading, message.transcript]))

    def is_ready(self, message: Message) -> bool:
        """Whether a message may be put in line as it is."""
        return (
            message.wire_id == self.wire_id
            and message.leading == len(self.leading)
            and not (self.spoken and self.has_to_wait(message))
        )

    def send(self, wire: Wire, message: Message, frame: Frame) -> None:
        """Put one more message in line on the wire in use: it will leave whole, once, whatever is raised from now on.

        Raises:
            ContextStateError: The state does not allow it.
        """
        message.sent_at = time.monotonic()
        append: Callable[[Any, Any], None] = list.append
        lists = map(append, (self.messages, self.frames, wire.unsent), (message, frame, frame))
        self.move(message.move, then=lists, sent_at=message.sent_at)

    def send_all(
        self, wire: Wire, messages: list[Message], frames: list[Frame], *, move: Optional[ChannelMove]
    ) -> None:
        """Put all messages in line on a wire that is new to the channel, the last one with its move; as ``send``."""
        now = time.monotonic()
        for message in messages:
            message.sent_at = now
        is_new = not self.messages or self.awaits_slot
        has_left = any(frame.has_left for frame in self.frames)
        facts: dict[str, Any] = {"messages": messages, "frames": frames, "wire": wire}
        facts.update(leading=[], held_done=None, first_sent_at=now, sent_at=now, awaits_slot=False)
        if not is_new:
            facts.update(self._move_replay(ReplayMove.REPLAY if has_left else ReplayMove.MOVE))
        facts["audio_format"] = self.audio_format or messages[0].audio_format
        if self.began_at is None:
            facts["began_at"] = now
        unsent = map(wire.unsent.extend, (frames,))
        if move is None:
            self._store(unsent, **facts)
        else:
            self.move(move, then=unsent, **facts)

    @property
    def can_be_said_again(self) -> bool:
        """Whether the service's refusal may be gone over: nothing was heard under this id, nor is it cancelled."""
        return self.heard_at is None and self.state in _LIVE

    def hold(self, message: Message) -> None:
        """Put one more message behind those that wait for a slot; ``send_all`` sends them all. As ``send``."""
        append: Callable[[Any, Any], None] = list.append
        self.move(message.move, then=map(append, (self.messages,), (message,)))

    def await_slot(self) -> None:
        """Begin again under a new id, with all messages, once there is a slot. Under the link's lock, as ``go_on``."""
        messages = [each.under(self.wire_id) for each in self.messages]
        facts: dict[str, Any] = {"messages": messages, "frames": [], "wire": None, "slot": None, "awaits_slot": True}
        self._store(**facts, refusals=self.refusals + 1, began_at=None, first_sent_at=None)

    def set_aside(self) -> None:
        """Leave a wire that was lost; ``send_all`` goes on with another one. The caller holds the link's lock."""
        self._store(**self._move_replay(ReplayMove.SET_ASIDE), wire=None)

    def _move_replay(self, move: ReplayMove) -> dict[str, Any]:
        """Return what ``_store`` is to store for a move of the replay: nothing else moves it."""
        return {"_replay": followed(REPLAY, self._replay, move)}

    @property
    def is_set_aside(self) -> bool:
        """Whether it waits to be sent again on another wire."""
        return self._replay is ReplayState.SET_ASIDE and self.state in _LIVE

    @property
    def can_be_set_aside(self) -> bool:
        """Whether it may be sent again on another wire, once this one is lost and sends nothing any more.

        It may where nothing of it has left whole, so that the service cannot act on it; and where a replay was asked
        for, all its text was sent and nothing of it was heard. Each once.
        """
        if self.wire is None or self.heard_at is not None or self.state not in _LIVE:
            return False
        if ReplayMove.SET_ASIDE not in REPLAY[self._replay]:
            return False
        if not any(frame.has_left for frame in self.frames):
            return self._replay is not ReplayState.MOVED
        return self._replays and self.state is ChannelState.FINISHING

    # ---- reader thread only

    def count_room(self, items: Sequence[Item]) -> int:
        """Return how many of these, from the first on, have room beside those that nobody has taken yet.

        One alone may be larger than the limit: it is bound by the size of a message.
        """
        waiting, limit_bytes = self.mailbox.waiting_bytes, self.mailbox.limit_bytes
        for count, (_, _, weight) in enumerate(items):
            if waiting and waiting + weight > limit_bytes:
                return count
            waiting += weight
        return len(items)

    def deliver(self, items: Sequence[Item]) -> None:
        """Pass events on to the receiver."""
        if not items:
            return
        now = time.monotonic()
        if self.heard_at is None:
            self._note_first(items[0][1])
        self.heard_at = now
        audio_bytes = 0
        for _, event, _ in items:
            if isinstance(event, Chunk):
                audio_bytes += len(event.audio)
            elif isinstance(event, Error) and not event.done:
                self.notice = event
            event.context_id = self.context_id  # one string for all: each event has brought one of its own, of 85 bytes
        self.mailbox.deliver(items, audio_bytes=audio_bytes)

    def _note_first(self, event: Event) -> None:
        """Take note of the first event: the service has accepted it."""
        if not self.continues:
            for message in self.messages:
                message.payload = b""  # which will not be sent again
        slot = self.slot
        if slot is not None and not isinstance(event, Error):
            slot.succeeded()

    def deliver_notice(self, event: Error, item: Item) -> None:
        """Deliver what concerns the whole connection. It is no event of this context, so its timeouts run on."""
        if self.count_room([item]):
            self.notice = event
            self.mailbox.deliver([item])

    def note_done(self) -> None:
        """Store what was not spoken when the service says that it is done. Under the link's lock.

        Either it did not wait for our last message, as at expiry; or its word crossed our text, which was written
        after the last audio that was heard. Where audio of earlier text comes after the crossing nobody can tell.
        """
        unspoken = [message.transcript for message in self._unspoken() if message.transcript]
        if self.state is ChannelState.OPEN or has_words("".join(unspoken)):
            self.unspoken = tuple(unspoken)

    def _unspoken(self) -> list[Message]:
        """Return the messages that were written after the last audio, or have not left."""
        return [
            message
            for message, frame in zip(self.messages, self.frames)
            if self.audio_at is None or message.sent_at > self.audio_at or not frame.has_left
        ]

    def rest(self) -> Optional[list[Message]]:
        """Return what was not spoken and is to be said under a new id; None if this is the end.

        It is, where nothing was heard under the present id: nor would anything be under the next. And where the
        encoding is not one that we know, since then nobody knows how long the audio is that the next times follow.
        """
        if not self.continues or self.audio_at is None or self.audio_format is None or self.state not in _LIVE:
            return None
        unspoken = self._unspoken()
        is_open = self.state is ChannelState.OPEN
        return unspoken if is_open or has_words("".join(each.transcript for each in unspoken)) else None

    def go_on(self, wire: Wire, rest: list[Message], done: Event) -> None:
        """Go on under a new id: with the rest, or once there are words to say. Under the link's lock."""
        assert self.audio_format is not None
        again = {id(each) for each in rest}
        spoken = [*self.spoken, *(each for each in self.messages if id(each) not in again)]
        facts: dict[str, Any] = {
            "spoken": spoken,
            "earlier": Earlier(
                seconds=self.audio_format.seconds(self.mailbox.audio_bytes),
                flushes=sum(each.flushes for each in spoken),
            ),
            "heard_at": None,
            "audio_at": None,
        }
        texts = [each.transcript for each in rest]
        # How many wordless ones lead the first that has words. The service looks at what they make together.
        leads = next((number for number, text in enumerate(itertools.accumulate(texts)) if has_words(text)), None)
        if leads is not None:
            first, *others = rest[leads:]
            leading = texts[:leads]
            messages = [first.under(self.wire_id, leading), *(each.under(self.wire_id) for each in others)]
            frames = [wire.frame(each.payload) for each in messages]
            facts.update(messages=messages, frames=frames, first_sent_at=messages[0].sent_at)
            self._store(map(wire.unsent.extend, (frames,)), **facts)
            wire.tell(messages)
        else:
            leading = [text for text in texts if text]
            facts.update(messages=[], frames=[], leading=leading, wire=None, first_sent_at=None, held_done=done)
            self._store(**facts)

    # ---- the receiver's thread

    def prepare(self, event: Event) -> None:
        """Set the audio format of an event that is about to be taken. A second call does nothing."""
        if isinstance(event, Chunk) and self.audio_format is not None and "audio_format" not in event.__dict__:
            self._framer.attach(event, self.audio_format)

    def time_left(self, timeout: Timeout) -> Optional[float]:
        """Seconds until the first of the timeouts passes, 0 if one has; None if none runs.

        They start with the first push: a context on which nothing was sent owes nothing.
        """
        if self.began_at is None:
            return None
        ends = []
        if timeout.whole is not None:
            ends.append(self.began_at + timeout.whole)
        if self.waits_for_text or self.first_sent_at is None:
            pass
        elif self.heard_at is None:
            if timeout.first_event is not None:
                ends.append(self.first_sent_at + timeout.first_event)
        elif timeout.gap is not None:
            ends.append(max(self.heard_at, self.sent_at) + timeout.gap)
        return max(min(ends) - time.monotonic(), 0.0) if ends else None

    def timed_out(self, timeout: Timeout) -> APITimeoutError:
        """Make the exception of the timeout that has passed."""
        whole_is_over = (
            timeout.whole is not None
            and self.began_at is not None
            and time.monotonic() >= self.began_at + timeout.whole
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
        self.remember(error)
        return error

    def _story(self, what: str, seconds: Optional[float]) -> str:
        notice = f" The connection had reported: {self.notice.error}." if self.notice is not None else ""
        return f"Context {self.context_id!r} {what} for {seconds} s; {self._received()}.{notice}"

    # ---- ends, made anew for each receiver

    def truncated(self, loss: CartesiaError) -> TruncatedError:
        """Make the exception of a context whose connection ended first."""
        closed = loss if isinstance(loss, WebSocketConnectionClosedError) else WebSocketConnectionClosedError()
        error = TruncatedError(
            f"Context {self.context_id!r} is not whole; {self._received()}. {loss}",
            code=closed.code,
            reason=closed.reason,
        )
        self.remember(error)
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
        self.remember(error)
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
        self.remember(error)
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
        self.tellers = None
        if self._state is ChannelState.ENDED:
            self._store(loss=forked, wire=None, slot=None)
        else:
            self.move(ChannelMove.END, loss=forked, wire=None, slot=None)
        self.mailbox.replace_end(End(lambda: ForkedError(str(forked)), discards=True))

    # ---- what was measured: any thread, at any time

    @property
    def metrics(self) -> Metrics:
        """What was measured until now."""
        first_audio = None
        if self.first_audio_at is not None and self.began_at is not None:
            first_audio = max(self.first_audio_at - self.began_at, 0.0)
        is_refused = self.ended_by is not None and self.ended_by.status_code == 429
        return Metrics(
            waited_for_slot=self.waited_for_slot,
            connected_in=self.connected_in,
            first_audio=first_audio,
            longest_gap=self.longest_gap,
            audio_seconds=self.audio_seconds,
            characters=sum(map(len, self.transcripts)),
            reused_connection=bool(self.found_wire),
            refused=self.refusals + is_refused,
        )

    @property
    def request_id(self) -> Optional[str]:
        """The service's identifier: of its error, else of the handshake, where it gives one."""
        if self.ended_by is not None and self.ended_by.request_id is not None:
            return self.ended_by.request_id
        headers = {} if self.wire is None else self.wire.response_headers
        return next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)

    def tell_of_end(self, last: Union[Event, End]) -> None:
        """Tell whoever wants to know that the receiver has met the end; only the first call does.

        Threads: the receiver's, with no lock held: users' code is called, and its exceptions are logged and dropped.
        """
        try:
            tell = (self.tellers or []).pop()
        except IndexError:
            return  # nobody wants to, or it was told
        spoken = SpokenContext(
            self.context_id, self.request_id, self._outcome(last), tuple(self.transcripts), self.metrics
        )
        try:
            tell(spoken)
        except Exception:  # users' code: it may fail, and the speech must not
            log.exception("on_spoken failed for context %s", self.context_id)

    def _outcome(self, last: Union[Event, End]) -> Outcome:
        if isinstance(last, Done):
            return "done"
        if isinstance(last, Error) or self.ended_by is not None:
            return "error"
        if self.is_cancel_requested and (not isinstance(last, End) or last.make_error is None):
            return "cancelled"
        if self.loss is not None:
            return "lost"
        return "done" if isinstance(last, End) and last.make_error is None else "failed"

    def _received(self) -> str:
        return f"received: {self.mailbox.audio_bytes} bytes of audio, {self.audio_seconds:.2f} s"

    @property
    def audio_seconds(self) -> float:
        """Seconds of audio that have arrived; 0 where the encoding is not one that we know."""
        return 0.0 if self.audio_format is None else self.audio_format.seconds(self.mailbox.audio_bytes)

    def remember(self, error: ContextFacts) -> None:
        """Set what is known of this context in an exception about it."""
        error.remember(
            context_id=self.context_id,
            audio_bytes=self.mailbox.audio_bytes,
            audio_seconds=self.audio_seconds,
            heard=self.heard_at is not None,
            transcripts=tuple(self.transcripts),
        )


def _shortened(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
