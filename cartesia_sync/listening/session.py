"""The user's handle to a session that listens, and what opens it."""

from __future__ import annotations

import logging
import queue
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from ..closing import Closing
from ..errors import (
    ConcurrencyError,
    GapTimeoutError,
    TruncatedError,
    WebSocketConnectionClosedError,
    WebSocketQueueFullError,
)
from ..protocol.timeouts import Timeout, checked_seconds
from ..protocol.transcription import (
    AudioFormat,
    Mode,
    ReconnectingEvent,
    STTAutoFinalizeTurnEagerEnd,
    STTAutoFinalizeTurnEnd,
    STTAutoFinalizeTurnStart,
    STTAutoFinalizeTurnUpdate,
    STTErrorResponse,
    SttEvent,
    STTReconnected,
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
from .lines import Lines, Reconnecting
from .results import Heard, error_of
from .slots import dial_in_turn

if TYPE_CHECKING:
    from ..limits.gate import Gate
    from .feed import Feed
    from .source import Source

log = logging.getLogger("cartesia_sync")

LONG_SECONDS = 60.0
"""From here on it is said beforehand that audio takes as long as it plays."""

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

    def __init__(
        self,
        line: Line,
        audio_format: AudioFormat,
        handlers: Optional[Handlers] = None,
        reconnecting: Optional[Reconnecting] = None,
    ) -> None:
        super().__init__()
        self._lines = Lines(line, audio_format, reconnecting)
        self._format = audio_format
        self._receiving = TimedLock()  # held by the thread that waits for an event
        if handlers is not None:
            self._take_over(handlers)
        self._adopt(line)

    def _adopt(self, line: Line) -> None:
        """End a line when nobody holds this handle any more: the reader holds the line, and not the handle."""
        weakref.finalize(self, line.abandon).atexit = False

    @property
    def _line(self) -> Line:
        return self._lines.current

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
        self._line.send(encode_request(event, self._line.mode))

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
            self._line.send(data.encode())
        else:
            self._lines.current.send_audio(data if type(data) is bytes else bytes(data))

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
        flush = self._line.send(b"finalize")
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
                or bare samples as bytes, a binary file object, an iterable of bytes, or a ``Microphone``. Another
                encoding or sample rate than the session's is converted, and several channels are mixed.
            realtime: Whether to send no more than one second of audio a second, as the service asks. A recording then
                takes as long as it plays, of which the log warns from a minute on: for whole files there is also
                ``client.stt.transcribe``.
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
        from .source import is_live, pieces_of

        if then not in ("close", "finalize", None) or (then == "finalize" and self._line.mode is Mode.AUTO):
            raise ValueError(f"then: expected 'close', 'finalize' (manual only) or None; got {then!r}")
        self._line.check_process()
        pieces = pieces_of(
            source,
            self._format,
            encoding=encoding,
            sample_rate=sample_rate,
            announce=_say_how_long if realtime else None,
        )
        live = is_live(source)  # keeps its own pace, which no other clock has to the last
        return Feed(
            self._lines,
            self._format,
            pieces,
            realtime=bool(realtime) and not live,
            is_live=live,
            then=then,
            keeps_alive=self,
        )

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
        before = self._lines.audio_bytes_before(self._line)
        while True:
            heard = self._take()
            if isinstance(heard, End):
                break
            event, at = heard.event, self._lines.seconds(before + heard.audio_bytes)
            if isinstance(event, STTErrorResponse):
                raise error_of(event)
            if isinstance(event, STTReconnected):
                if started is not None:
                    yield Turn(text, started, None)
                started, text, before = None, "", self._lines.audio_bytes_before(self._line)
            elif isinstance(event, STTAutoFinalizeTurnStart):
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
        deadline = Deadline(seconds)
        while True:
            line = self._line
            mailbox = line.results.mailbox
            line.check_process()
            head = mailbox.peek()
            if head is None:
                self._await_next(line, deadline)
                continue
            if isinstance(head, End):
                if head.make_error is None:
                    return head
                return self._reconnected(line, head.make_error())
            if self._lines.current is not line:
                continue  # another thread was faster
            try:
                # The last act: from the pop to the return there is no call and no jump, so that nothing can strike.
                for taken in mailbox.taking:
                    heard: Any = taken[1]
                    return heard  # type: ignore[no-any-return]  # what Results put there
            except IndexError:
                pass  # another thread was faster

    def _reconnected(self, line: Line, error: BaseException) -> Heard:
        """Begin another session in place of a lost one, if that is asked for, and say so; raise the loss otherwise."""
        if not isinstance(error, TruncatedError) or not self._lines.follow(line, error, self._adopt):
            raise error
        event = STTReconnected(code=error.code, lost=line.results.hearing.pending)
        return Heard(event, b"", 0)

    def _await_next(self, line: Line, deadline: Deadline) -> None:
        try:
            with self._receiving.within(0.0) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                self._await_in_turn_locked(line, deadline)
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            raise ConcurrencyError("another thread is receiving this session; one at a time") from None

    def _await_in_turn_locked(self, line: Line, deadline: Deadline) -> None:
        assert self._receiving.is_ours
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
        return self._lines.text

    @property
    def words(self) -> list[TimedWord]:
        """When the words were said, where the service tells that: (word, start, end), in seconds of the audio sent."""
        return self._lines.words

    @property
    def request_id(self) -> Optional[str]:
        """The service's identifier of the connection, once it has said it; quote it to its support."""
        return self._line.results.request_id

    @property
    def audio_seconds(self) -> float:
        """How much audio was sent until now."""
        return self._lines.audio_seconds

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
        self._lines.end()
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
        make_dial: Callable[[Mapping[str, object], Mapping[str, str]], Callable[[Deadline], Wire]],
        *,
        extra_query: Mapping[str, object],
        extra_headers: Mapping[str, str],
        mode: Mode,
        audio_format: AudioFormat,
        timeout: Timeout,
        ping_interval: Optional[float],
        max_retries: int,
        max_queued_bytes: int,
        max_unsent_bytes: int,
        on_reconnecting: Optional[Callable[[ReconnectingEvent], Optional[Mapping[str, Any]]]] = None,
        max_reconnects: int = 5,
        initial_delay: float = 0.5,
        max_delay: float = 8.0,
        gate: Optional[Gate] = None,
        limit_wait: Optional[float] = None,
    ) -> None:
        super().__init__()
        self._make_dial = make_dial
        self._gate = gate
        self._limit_wait = limit_wait
        self._dial = make_dial(extra_query, extra_headers)  # so that a setting that is none is refused here
        self._extra = extra_query, extra_headers
        self._on_reconnecting = on_reconnecting
        self._reconnects = max_reconnects, initial_delay, max_delay
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
            TypeError, ValueError: It is none.
            WebSocketQueueFullError: More waits than ``max_queue_size`` allows.
        """
        message = encode_request(event, self._mode)
        if sum(map(len, self._unsent)) + len(message) > self._max_unsent_bytes:
            raise WebSocketQueueFullError(
                f"more than {self._max_unsent_bytes} bytes wait to be sent before the session opens (max_queue_size)"
            )
        self._unsent.append(message)

    def enter(self) -> Session:
        """Open a session.

        A handshake refused with 408, 409, 429 or 5xx, and a service that cannot be reached, are tried again within the
        connect timeout, at most as often as the client's ``max_retries`` says.

        Raises:
            AuthenticationError, RateLimitError and other APIStatusErrors: The service refused the handshake.
            ConnectTimeoutError: Not open within the connect timeout.
            APIConnectionError: The service cannot be reached.
            SlotTimeoutError, LimitError: There is no slot for it; see ``Cartesia(stt_limit=)``.

        Threads: any. Waits at most for the connect timeout, and for the write timeout for each command that waits; and
        before that, where the client has an ``stt_limit``, for a slot, at most for ``limit_wait``.
        """
        line = self._new_line(self._dial, self._max_retries)
        # Before the reader: where an interrupt strikes now, the handle's end is the line's.
        session = Session(line, self._format, self, self._reconnecting())
        try:
            line.start()
            while self._unsent:
                line.send(self._unsent.popleft())
        except BaseException:  # an interrupt too
            line.give_up()  # nobody else can
            raise
        return session

    def _new_line(
        self,
        dial: Callable[[Deadline], Wire],
        max_retries: int,
        *,
        is_first: bool = True,
        check: Optional[Callable[[], object]] = None,
    ) -> Line:
        """Open a wire, in its turn where there is a limit, and make a line of it."""

        def dialled(attempt: Callable[[Callable[[], Wire]], Wire]) -> Wire:
            deadline = Deadline(self._timeout.connect)
            nobody: queue.SimpleQueue[None] = queue.SimpleQueue()
            return retry.with_retries(
                lambda: attempt(lambda: dial(deadline)),
                max_retries=max_retries,
                log=lambda error, pause: log.debug("connecting again in %.2f s: %s", pause, error),
                wait=lambda seconds: _wait(nobody, seconds),
                deadline=deadline,
            )

        slot = None
        if self._gate is None:
            wire = dialled(lambda attempt: attempt())
        else:
            wire, slot = dial_in_turn(
                self._gate, self._limit_wait, dialled, has_waited_before=not is_first, check=check
            )
        return Line(
            wire,
            mode=self._mode,
            timeout=self._timeout,
            ping_interval=self._ping_interval,
            max_queued_bytes=self._max_queued_bytes,
            slot=slot,
        )

    def _reconnecting(self) -> Optional[Reconnecting]:
        if self._on_reconnecting is None:
            return None
        extra_query, extra_headers = self._extra
        max_reconnects, initial_delay, max_delay = self._reconnects
        return Reconnecting(
            lambda query, headers, check: self._new_line(
                self._make_dial(query, headers), 0, is_first=False, check=check
            ),
            self._on_reconnecting,
            extra_query=extra_query,
            extra_headers=extra_headers,
            max_retries=max_reconnects,
            initial_delay=initial_delay,
            max_delay=max_delay,
        )

    def __enter__(self) -> Session:
        self._session = self.enter()
        return self._session

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(kind, error, traceback)


def _say_how_long(seconds: float) -> None:
    if seconds >= LONG_SECONDS:
        log.warning(
            "%.0f s of audio are sent at the pace of speech, as the service asks, and take as long; "
            "client.stt.transcribe takes a whole file at once",
            seconds,
        )


def _wait(queue_of_nobody: queue.SimpleQueue[None], seconds: float) -> None:
    try:
        queue_of_nobody.get(timeout=seconds)
    except queue.Empty:
        return
