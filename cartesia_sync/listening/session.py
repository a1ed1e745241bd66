"""The user's handle to a session that listens, and what opens it."""

from __future__ import annotations

import queue
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from ..closing import Closing
from ..errors import ConcurrencyError, GapTimeoutError, WebSocketConnectionClosedError
from ..protocol.timeouts import Timeout, checked_seconds
from ..protocol.transcription import (
    ENCODINGS,
    AudioFormat,
    Mode,
    STTAutoFinalizeTurnEagerEnd,
    STTAutoFinalizeTurnEnd,
    STTAutoFinalizeTurnStart,
    STTAutoFinalizeTurnUpdate,
    STTErrorResponse,
    SttEvent,
    TimedWord,
    decode,
    encode_request,
)
from ..streaming.mailbox import End
from ..transport import retry
from ..transport.deadline import Deadline
from ..transport.locks import NotAcquiredError, TimedLock, raise_unless_not_acquired
from ..transport.websocket.wire import Wire
from .handlers import Handlers
from .line import Line
from .results import Heard, error_of

if TYPE_CHECKING:
    from .feed import Feed
    from .source import Source

MAX_QUEUED_BYTES = 64 << 20
"""How much may wait to be received, unless it is told otherwise."""


class Turn(NamedTuple):
    """What the user said in one turn.

    Attributes:
        text: All of it; with its own spaces, so that all turns joined make the whole. May be empty, where the service
            took noise for speech.
        started: How many seconds of audio had been sent when the service said that the turn had begun.
        ended: The same for its end; None where the session ended first, so that the text may lack its end.
        is_eager: Whether the service only supposes that it is over; the same turn comes again when it is.
    """

    text: str
    started: float
    ended: Optional[float]
    is_eager: bool = False


class Session(Handlers, Closing):
    """One session of streaming speech to text; made by ``client.stt.manual_finalize.websocket()`` and its sibling.

    A reader thread of its own takes every event off the socket, whether or not anybody is receiving. The end of a
    ``with`` block tells the service that no audio follows, waits for what is still to be heard, at most for
    ``Timeout.close``, and closes; where the block ends by an exception it closes at once.

    A session ends whole or with an exception. Whole is: the service said ``done`` (manual), or closed the connection
    properly after it was sent ``close`` (auto). Any other end raises, out of whatever receives, and the exception holds
    the text so far, as ``transcript``.

    Threads: any may send, any may close. One at a time receives (iterates, ``recv``, ``turns``, ``dispatch_events``);
    ``finalize`` may wait beside it. From a signal's handler or a finalizer of yours only ``close``.
    """

    def __init__(self, line: Line, audio_format: AudioFormat, handlers: Optional[Handlers] = None) -> None:
        super().__init__()
        self._line = line
        self._format = audio_format
        self._receiving = TimedLock()  # held by the thread that waits for an event
        if handlers is not None:
            self._take_over(handlers)
        # The reader holds the line and not this handle: when nobody holds the handle any more, the reader ends.
        weakref.finalize(self, line.abandon).atexit = False

    def __repr__(self) -> str:
        return f"<Session {self._line.mode.name.lower()} {self._line.state.value}>"

    def __reduce__(self) -> str:
        raise TypeError("a Session belongs to this process and cannot travel to another; send the client, which can")

    # ---- sending

    def send(self, event: object) -> None:
        """Send one command.

        Args:
            event: With manual finalizing ``"finalize"`` or ``"close"``; with auto ``{"type": "close"}`` or
                ``{"type": "config", "turn": {"start_threshold": ..., ...}}``. A second ``close`` does nothing.

        Raises:
            TypeError, ValueError: It is no command.
            ContextStateError: After ``close``.
            TruncatedError, WebSocketConnectionClosedError: The session is lost, or was closed.
            WriteTimeoutError: The service did not take it in time.

        Threads: any. Waits for what is in line before it, at most for ``Timeout.write``. A command that raises has not
        been carried out, and nothing sends it later.
        """
        self._line.send(encode_request(event, self._line.mode), is_binary=False)

    def send_raw(self, data: Union[bytes, bytearray, memoryview, str]) -> None:
        """Send audio (bytes), about 100 ms at a time, or a text as it is.

        The service takes at most one second of audio a second (docs page ``use-the-api/stt/compare-endpoints``);
        ``feed`` minds that, and this does not.

        Raises:
            ContextStateError: After ``close``.
            TruncatedError, WebSocketConnectionClosedError: The session is lost, or was closed.
            WriteTimeoutError: The service did not take it in time.

        Threads: as ``send``.
        """
        if isinstance(data, str):
            self._line.send(data.encode(), is_binary=False)
        else:
            self._line.send(bytes(data), is_binary=True)

    def finish(self) -> None:
        """Tell the service that no audio follows: the command ``close``. What is still to be heard comes, and the end.

        Idempotent. For errors and waits see ``send``.
        """
        self._line.finish()

    def finalize(self) -> str:
        """Ask for what was said since the last time, and wait for it; manual finalizing only.

        Returns:
            The text, as it is; empty where nothing was said. The events come out of the session's iterator as well.

        Raises:
            ValueError: The service finds the turns by itself in this session.
            APIStatusError: The service answered with an error.
            FirstEventTimeoutError, GapTimeoutError: It did not answer in time; the session is ended.
            TruncatedError and others: As ``send``, and where the session ends first.

        Threads: any, several at once. Waits for the service, at most for ``Timeout.first_event`` or ``Timeout.gap``.
        """
        if self._line.mode is not Mode.MANUAL:
            raise ValueError("finalize() is for manual finalizing; with auto the service ends the turns: see turns()")
        flush = self._line.send(b"finalize", is_binary=False)
        assert flush is not None
        while True:
            try:
                answer = flush.answers.get(timeout=self._line.time_left())
            except queue.Empty:
                if self._line.time_left() != 0.0:
                    continue  # an event has put it off
                raise self._line.timed_out() from None
            if isinstance(answer, str):
                return answer
            raise answer()

    def feed(
        self,
        source: Source,
        *,
        realtime: bool = True,
        encoding: Optional[str] = None,
        sample_rate: Optional[int] = None,
        then: Optional[str] = "close",
    ) -> Feed:
        """Send audio from a source, on a thread of its own, and return at once.

        Args:
            source: A path of a recording (WAV; with the extra ``listen`` also what soundfile reads), its whole content
                or bare samples as bytes, a binary file object, or an iterable of bytes, such as a microphone. Another
                encoding or sample rate than the session's is converted, and several channels are mixed.
            realtime: Whether to send no more than one second of audio a second, as the service asks. A recording then
                takes as long as it plays: for whole files there is also ``client.stt.transcribe``.
            encoding: Of bare samples, where it is not the session's.
            sample_rate: Of bare samples in Hz, where it is not the session's.
            then: What to send at the source's end: ``close``, ``finalize`` (manual only), or None for nothing.

        Returns:
            The feed: ``pause``, ``resume``, ``wait`` and ``close``; its ``with`` block stops it.

        Raises:
            ValueError: A setting is none, or the recording cannot be read or is empty.
            OSError: The file cannot be read.
            TypeError: It is no source.

        A source that raises later, that gives no audio or half a sample, ends the session, and the receiver gets that
        error. While it is paused, or gives nothing for half a second, in a turn, silence is sent in its place for up to
        ten seconds, so that the turn can end (auto).

        Threads: any. Does not wait; reads a recording's file.
        """
        from .feed import Feed
        from .source import pieces_of

        if then not in ("close", "finalize", None) or (then == "finalize" and self._line.mode is Mode.AUTO):
            raise ValueError(f"then: expected 'close', 'finalize' (manual only) or None; got {then!r}")
        self._line.check_process()
        pieces = pieces_of(source, self._format, encoding=encoding, sample_rate=sample_rate)
        return Feed(self._line, self._format, pieces, realtime=bool(realtime), then=then, keeps_alive=self)

    # ---- receiving

    def __iter__(self) -> Iterator[SttEvent]:
        """Iterate over the events, errors of the service included, to the session's end.

        Raises:
            TruncatedError: The session ended before it was whole; its ``transcript`` is the text so far.
            APIStatusError: The service did not let the session begin.
            FirstEventTimeoutError, GapTimeoutError, ContextTimeoutError: A clock ran out; the session is ended.
            MailboxFullError: Nobody took the events for long.
            ConcurrencyError: Another thread is receiving.

        Threads: one at a time. Waits for the service.
        """
        while True:
            heard = self._take()
            if isinstance(heard, End):
                return
            yield heard.event

    def events(self) -> Iterator[SttEvent]:
        """Iterate over the events; another name of the iteration over the session itself."""
        return iter(self)

    def turns(self, *, eager: bool = False) -> Iterator[Turn]:
        """Iterate over what the user says, turn by turn; auto finalizing only.

        Args:
            eager: Whether to give a turn also when the service supposes that it is over (``is_eager``); it comes again.

        Raises:
            ValueError: Turns are the client's own to end in this session: see ``finalize``.
            APIStatusError: The service sent an error.
            TruncatedError and others: As the iteration over the session.

        Threads: one at a time. Waits for the service.
        """
        if self._line.mode is not Mode.AUTO:
            raise ValueError("turns() is for auto finalizing; with manual you end them: see finalize()")
        return self._turns(eager)

    def _turns(self, eager: bool) -> Iterator[Turn]:
        started, text = None, ""
        while True:
            heard = self._take()
            if isinstance(heard, End):
                break
            event, at = heard.event, self._seconds(heard.audio_bytes)
            if isinstance(event, STTErrorResponse):
                raise error_of(event)
            if isinstance(event, STTAutoFinalizeTurnStart):
                started, text = at, event.transcript or ""
            elif isinstance(event, STTAutoFinalizeTurnUpdate):
                started, text = at if started is None else started, event.transcript
            elif isinstance(event, STTAutoFinalizeTurnEagerEnd):
                started, text = at if started is None else started, event.transcript
                if eager:
                    yield Turn(text, started, at, is_eager=True)
            elif isinstance(event, STTAutoFinalizeTurnEnd):
                yield Turn(event.transcript, at if started is None else started, at)
                started, text = None, ""
        if started is not None:
            yield Turn(text, started, None)

    def _seconds(self, audio_bytes: int) -> float:
        return audio_bytes / ENCODINGS[self._format.encoding] / self._format.sample_rate

    def recv(self, *, timeout: Optional[float] = None) -> SttEvent:
        """Return the next event.

        Args:
            timeout: Seconds to wait; None waits for as long as the session's clocks allow.

        Raises:
            WebSocketConnectionClosedError: The session is over, and whole.
            GapTimeoutError: Nothing came within ``timeout``; the session goes on.
            TruncatedError and others: As the iteration.

        Threads: one at a time. Waits for the service.
        """
        return self._receive(timeout).event

    def recv_bytes(self, *, timeout: Optional[float] = None) -> bytes:
        """Return the next event as the service sent it; otherwise as ``recv``."""
        return self._receive(timeout).message

    def parse_event(self, data: Union[str, bytes]) -> SttEvent:
        """Make an event of a message, as ``recv_bytes`` gives it.

        Raises:
            MalformedEventError: It is none.
        """
        return decode(data.encode() if isinstance(data, str) else bytes(data), self._line.mode)

    def dispatch_events(self) -> None:
        """Call what ``on`` and ``once`` have registered for each event, in this thread, until the session's end.

        Raises:
            APIStatusError: The service sent an error, and nothing is registered for ``error`` or ``event``.
            TruncatedError and others: As the iteration; and whatever a function raises.

        Threads: one at a time, as the iteration.
        """
        for event in self:
            if isinstance(event, STTErrorResponse) and not self._has_handler("error"):
                raise error_of(event)
            self._call(event)

    def _receive(self, timeout: Optional[float]) -> Heard:
        heard = self._take(checked_seconds("timeout", timeout))
        if isinstance(heard, End):
            raise WebSocketConnectionClosedError("The session is over; all was heard.", code=1000)
        return heard

    def _take(self, seconds: Optional[float] = None) -> Union[Heard, End]:
        """Return the next event, or the end of a session that is whole; raise what it ended with otherwise."""
        line = self._line
        mailbox = line.results.mailbox
        deadline = Deadline(seconds)
        while True:
            line.check_process()
            head = mailbox.peek()
            if head is None:
                self._await_next(deadline)
                continue
            if isinstance(head, End):
                if head.make_error is not None:
                    raise head.make_error()
                return head
            try:
                # The last act: from the pop to the return there is no call and no jump, so that nothing can strike.
                for taken in mailbox.taking:
                    heard: Any = taken[1]
                    return heard  # type: ignore[no-any-return]  # what Results put there
            except IndexError:
                pass  # another thread was faster

    def _await_next(self, deadline: Deadline) -> None:
        try:
            with self._receiving.within(0.0) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                self._await_in_turn_locked(deadline)
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            raise ConcurrencyError("another thread is receiving this session; one at a time") from None

    def _await_in_turn_locked(self, deadline: Deadline) -> None:
        assert self._receiving.is_ours
        line = self._line
        clock, patience = line.time_left(), deadline.left()
        bounds = [each for each in (clock, patience) if each is not None]
        try:
            line.results.mailbox.wait(min(bounds) if bounds else None)
        except queue.Empty:
            if deadline.expired:
                raise GapTimeoutError(
                    f"nothing came within {deadline.seconds} s; the session goes on", timeout=deadline.seconds
                ) from None
            if line.time_left() == 0.0:
                raise line.timed_out() from None

    # ---- what there is

    @property
    def transcript(self) -> str:
        """All that was heard until now, with what may still change at its end; of events that nobody took too.

        Threads: any. Does not wait.
        """
        return self._line.results.hearing.text

    @property
    def words(self) -> list[TimedWord]:
        """When the words were said, where the service tells that: (word, start, end), in seconds of the audio sent."""
        return self._line.results.hearing.words

    @property
    def request_id(self) -> Optional[str]:
        """The service's identifier of the connection, once it has said it; quote it to its support."""
        return self._line.results.request_id

    @property
    def audio_seconds(self) -> float:
        """How much audio was sent until now."""
        return self._seconds(self._line.results.audio_bytes)

    @property
    def unreadable_fields(self) -> Mapping[str, int]:
        """How often which field of an event could not be read; the rest of the event was delivered."""
        return dict(self._line.stats.unreadable_fields)

    # ---- the end

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session at once; what was not heard by then is lost, so that whoever receives gets a TruncatedError.

        To hear the rest, use ``finish`` and receive to the end, or leave the ``with`` block. Idempotent.

        Args:
            code: The close code, 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: At most 123 bytes of UTF-8.

        Threads: any, at any time, a signal's handler or a finalizer included: takes no lock. Waits at most for twice
        ``Timeout.close``.
        """
        self._line.close(code, reason)

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        try:
            if kind is None:
                self._line.drain()
        finally:
            self.close()


class SessionManager(Handlers):
    """What opens a session, by ``with`` or ``enter()``; nothing is dialled before.

    Threads: any.
    """

    def __init__(
        self,
        dial: Callable[[Deadline], Wire],
        *,
        mode: Mode,
        audio_format: AudioFormat,
        timeout: Timeout,
        ping_interval: Optional[float],
        max_retries: int,
        max_queued_bytes: int,
        max_unsent_bytes: int,
    ) -> None:
        super().__init__()
        self._dial = dial
        self._mode = mode
        self._format = audio_format
        self._timeout = timeout
        self._ping_interval = ping_interval
        self._max_retries = max_retries
        self._max_queued_bytes = max_queued_bytes
        self._max_unsent_bytes = max_unsent_bytes
        self._unsent: deque[bytes] = deque()
        self._session: Optional[Session] = None

    def __reduce__(self) -> str:
        raise TypeError("what opens a session belongs to this process; send the client, which can travel")

    def send(self, event: object) -> None:
        """Keep a command, and send it when the session opens; for what a command is see ``Session.send``.

        Raises:
            ValueError: It is none, or more waits than ``max_queue_size`` allows.
        """
        message = encode_request(event, self._mode)
        if sum(map(len, self._unsent)) + len(message) > self._max_unsent_bytes:
            raise ValueError(f"more than {self._max_unsent_bytes} bytes wait to be sent (max_queue_size)")
        self._unsent.append(message)

    def enter(self) -> Session:
        """Open a session.

        A handshake refused with 408, 409, 429 or 5xx, and a service that cannot be reached, are tried again within the
        connect timeout, at most as often as the client's ``max_retries`` says.

        Raises:
            AuthenticationError, RateLimitError and other APIStatusErrors: The service refused the handshake.
            ConnectTimeoutError: Not open within the connect timeout.
            APIConnectionError: The service cannot be reached.

        Threads: any. Waits at most for the connect timeout, and for the write timeout for each command that waits.
        """
        deadline = Deadline(self._timeout.connect)
        stop: queue.SimpleQueue[None] = queue.SimpleQueue()
        wire = retry.with_retries(
            lambda: self._dial(deadline),
            max_retries=self._max_retries,
            log=lambda error, pause: None,
            wait=lambda seconds: _wait(stop, seconds),
            deadline=deadline,
        )
        line = Line(
            wire,
            mode=self._mode,
            timeout=self._timeout,
            ping_interval=self._ping_interval,
            max_queued_bytes=self._max_queued_bytes,
        )
        line.start()
        session = Session(line, self._format, self)
        while self._unsent:
            line.send(self._unsent.popleft(), is_binary=False)
        return session

    def __enter__(self) -> Session:
        self._session = self.enter()
        return self._session

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(kind, error, traceback)


def _wait(queue_of_nobody: queue.SimpleQueue[None], seconds: float) -> None:
    try:
        queue_of_nobody.get(timeout=seconds)
    except queue.Empty:
        return
