"""A session's send side and its end: what stands in line on its one wire, and what its loss means."""

from __future__ import annotations

import os
import queue
import threading
import time
import warnings
from collections import deque
from typing import TYPE_CHECKING, Optional, Union

from ..errors import (
    APIConnectionError,
    APITimeoutError,
    CartesiaError,
    ConcurrencyError,
    ContextStateError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    ForkedError,
    GapTimeoutError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from ..protocol.lifecycle import SESSION, SessionMove, SessionState, followed
from ..protocol.timeouts import Timeout
from ..protocol.transcription import CLOSE_WORDS, Mode, Request, meaning_of
from ..streaming import forks
from ..streaming.mailbox import End
from ..streaming.reader import Stats
from ..transport.deadline import Deadline
from ..transport.locks import is_owned
from ..transport.websocket.duplex import Frame
from ..transport.websocket.wire import Wire
from .reader import SessionReader
from .results import Flush, Results, error_of

if TYPE_CHECKING:
    from ..limits.gate import Ticket
    from ..protocol.events import Error
    from ..streaming.channel import Channel

_CLOSE, _ABANDON = "close", "abandon"
_CLEAN = (1000, 1005)
"""Close codes of an end that is none of failure: the normal one, and a close frame without any (RFC 6455, 7.4.1)."""

LOOK = "look"
"""Wakes a feed that waits: a line has ended, or none is to follow."""

_ClockError = Union[type[FirstEventTimeoutError], type[GapTimeoutError], type[ContextTimeoutError]]
_Clock = tuple[float, float, _ClockError, str]
"""When it runs out, after how many seconds, with what, and what the message begins with."""


class Line:
    """What the threads of one session share. It ends with its wire; another session is another line.

    The flow:

        user thread --Session.send--> Line.send [lock] --> wire.unsent --> service
        user thread <--Session.recv-- Mailbox <--Results.take-- SessionReader: wire.read -> decode

    Locks, in the only order in which they may be taken:

        Line.lock        a session's state, and the order in which its messages are put in line; never held across I/O,
                         a wait, or users' code

    It is taken by ``with`` over C code alone (see transport/locks.py). ``close`` and ``abandon`` do not take it: they
    leave a note, which the reader carries out.

    Who wakes whom:

        session's receiver   waits on its mailbox      woken by the reader, or a sender       bound: the clocks where an
                                                       whose message asks for an answer       answer is due, or the end
        finalize()           waits on its flush        woken by the reader                    bound: the same
        session's sender     waits for its frame       woken by the reader, or its own end    bound: the write timeout
        session's opener     waits for its slot        woken by whoever gives one back        bound: limit_wait
        feed                 waits for its turn, or    woken by resume(), close(), or the     bound: the source's pace,
                             while it is paused        session's end                          or the session's end
        microphone's reader  waits for a piece         woken by the device, or close()        bound: 5 s
        session's close()    waits for the reader      woken by the reader's exit             bound: the close timeout,
                                                                                              twice

    Attributes:
        mode: Which endpoint it is.
        results: What was heard.
        notes: What ``close`` and ``abandon`` ask for, not carried out yet.
        stats: What the reader has counted.
        lock: See above.
        feeds: What is told ``LOOK`` when it takes no more audio; the session's, so that another line has the same.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        mode: Mode,
        timeout: Timeout,
        ping_interval: Optional[float],
        max_queued_bytes: int,
        slot: Optional[Ticket] = None,
    ) -> None:
        self.mode = mode
        self._slot = slot  # given back with the wire; one that nobody holds any more gives itself back
        self.results = Results(mode, max_queued_bytes)
        self.notes: deque[str] = deque()
        self.stats = Stats()
        self.lock = threading.RLock()
        self.timeout = timeout
        self._wire = wire
        self._state = SessionState.OPEN
        self._finished_at: Optional[float] = None
        self._opened_at = time.monotonic()
        self._loss: CartesiaError = WebSocketConnectionClosedError("The session was never opened.")
        self._process = os.getpid()
        self.feeds: list[queue.SimpleQueue[str]] = []
        self._closers: list[tuple[int, str]] = []  # changed by one call of C code; whoever came first counts
        self._reader = SessionReader(wire, self, self.results, self.stats, ping_interval=ping_interval)

    def start(self) -> None:
        """Start the reader.

        Raises:
            APIConnectionError: There are no more threads.

        Threads: whoever connects, once.
        """
        try:
            forks.remember(self)
            self._reader.start()
        except BaseException as error:  # Ctrl-C too: nothing stays open
            if not self._reader.take_back():
                raise  # the wire is the reader's as soon as its thread has begun
            failed = APIConnectionError(f"The session's reader thread cannot be started: {error}")
            self.lose(self._wire, failed)
            self._wire.release()
            if isinstance(error, RuntimeError):  # the system's limit, or the interpreter is at its end
                raise failed from error
            raise

    def give_up(self) -> None:
        """End a session that nobody got, since its opening failed; its reader may run or not.

        Threads: whoever connects. Waits as ``close``.
        """
        if self._reader.take_back():
            self.lose(self._wire, _closed_by_us())
            self._wire.release()
        else:
            self.close()

    # ---- the state

    @property
    def state(self) -> SessionState:
        """The state."""
        return self._state

    @property
    def is_open(self) -> bool:
        """Whether audio may be sent."""
        return self._state is SessionState.OPEN and not self._closers

    @property
    def is_left(self) -> bool:
        """Whether its user wants no more of it: it was closed, or told that no audio follows."""
        return bool(self._closers) or self._finished_at is not None or self._process != os.getpid()

    def _state_after_locked(self, move: SessionMove) -> SessionState:
        """Return the state that follows a move of the user's.

        Raises:
            ContextStateError: It may not be, since the session is being finished, or was.
            CartesiaError: It has ended for another reason.
        """
        assert is_owned(self.lock)
        if self._closers:
            raise _closed_by_us()
        if self._state is SessionState.ENDED and not self._is_whole(self._loss):
            raise self.truncated(self._loss)
        state = SESSION[self._state].get(move)
        if state is None:
            raise ContextStateError(f"cannot {move.value} the session: it is {self._state.value}, after its close word")
        return state

    def _check_reentry(self) -> None:
        if is_owned(self.lock):
            raise ConcurrencyError(
                "this was called by a signal handler or a finalizer, in the middle of another call on the same "
                "session; from there only close() may be"
            )

    # ---- sending: any thread

    def send_audio(self, audio: bytes) -> None:
        """Send audio; for errors and waits see ``send``. It is done ten times a second in each session."""
        if self._process != os.getpid() or self._state is SessionState.FORKED:
            self.check_process()
        if is_owned(self.lock):
            self._check_reentry()
        wire = self._wire
        frame = wire.frame(audio, is_binary=True)
        try:
            with self.lock:
                self._put_audio_in_line_locked(frame, len(audio))
            wire.finish(frame, Deadline(self.timeout.write))
        except BaseException:  # as in ``send``
            wire.wake()
            raise

    def send(self, data: bytes) -> Optional[Flush]:
        """Send one text, and return what to wait on where it asks for an answer.

        A second ``close`` does nothing.

        Raises:
            ContextStateError: After ``close``.
            TruncatedError: The session is lost.
            WebSocketConnectionClosedError: It is, and this message found it; or after ``Session.close``.
            WriteTimeoutError: The service did not take it in time; the session is lost.

        Threads: any. Waits for the messages before it and for its own to leave: at most the write timeout.
        """
        self.check_process()
        self._check_reentry()
        asks = meaning_of(data, self.mode)
        if asks is Request.CLOSE and self._state in (SessionState.FINISHING, SessionState.ENDED):
            return None
        frame = self._wire.frame(data)
        flush = Flush(frame) if asks is Request.FINALIZE else None
        try:
            with self.lock:
                self._put_in_line_locked(frame, asks, flush)
            if flush is not None or asks is Request.CLOSE:
                self.results.mailbox.wake()  # an answer is due from now on: the receiver's clocks run
            if asks is Request.CLOSE:
                self._wake_feeds()  # a paused one is over too
            self._wire.finish(frame, Deadline(self.timeout.write))
        except BaseException:  # an interrupt: what stands in line is the reader's from now on
            self._wire.wake()
            raise
        return flush

    def post_audio(self, audio: bytes) -> bool:
        """Put audio in line, and do not wait for it to leave; False where the session takes none.

        Threads: any. Does not wait.
        """
        if not self.is_open or is_owned(self.lock):
            return False
        frame = self._wire.frame(audio, is_binary=True)
        try:
            with self.lock:
                self._put_audio_in_line_locked(frame, len(audio))
        except CartesiaError:
            return False  # it has ended meanwhile
        self._wire.wake()
        return True

    def _put_audio_in_line_locked(self, frame: Frame, size: int) -> None:
        """Put audio of so many bytes in line, and count it: in one step at the end."""
        assert is_owned(self.lock)
        if self._closers or self._state is not SessionState.OPEN:
            self._state_after_locked(SessionMove.SEND)  # raises
        results = self.results
        audio_bytes = results.audio_bytes + size
        unheard_since = results.unheard_since or time.monotonic()
        append = self._wire.unsent.append
        results.audio_bytes = audio_bytes
        results.unheard_since = unheard_since
        append(frame)

    def _put_in_line_locked(self, frame: Frame, asks: Request, flush: Optional[Flush]) -> None:
        """Put a text in line, and take note of what it asks for: in one step at the end."""
        assert is_owned(self.lock)
        state = self._state_after_locked(SessionMove.FINISH if asks is Request.CLOSE else SessionMove.SEND)
        finished_at = time.monotonic() if asks is Request.CLOSE else self._finished_at
        append = self._wire.unsent.append
        if flush is not None:
            self.results.flushes.append(flush)  # where its frame does not follow, it is passed over
        self._state = state
        self._finished_at = finished_at
        append(frame)

    def finish(self) -> None:
        """Tell the service that no audio follows, unless it was told; for errors and waits see ``send``."""
        if self._state is SessionState.OPEN:
            self.send(CLOSE_WORDS[self.mode])

    # ---- the clocks

    def time_left(self) -> Optional[float]:
        """Return the seconds until a clock runs out; None where none runs.

        Only where an answer is due: a silent room gives no events. That is from the handshake on (auto), after
        ``finalize`` and ``close``, and in a turn while audio is being sent.
        """
        clock = self._next_clock()
        return None if clock is None else max(clock[0] - time.monotonic(), 0.0)

    def timed_out(self) -> APITimeoutError:
        """Make the exception of the clock that has run out, and end the session with it."""
        clock = self._next_clock()
        assert clock is not None
        _, seconds, kind, what = clock
        text = self.results.hearing.text

        def make_error() -> APITimeoutError:
            error = kind(f"{what} within {seconds} s.", timeout=seconds)
            error.transcript = text
            return error

        self.results.end(End(make_error))
        self._wire.shutdown()
        return make_error()

    def _next_clock(self) -> Optional[_Clock]:
        timeout, last = self.timeout, self.results.last_event_at
        clocks: list[_Clock] = []
        if timeout.whole is not None:
            whole = timeout.whole
            clocks.append((self._opened_at + whole, whole, ContextTimeoutError, "The session did not end"))
        since = self._answer_due_since()
        if since is not None and last is None and timeout.first_event is not None:
            first = timeout.first_event
            clocks.append((since + first, first, FirstEventTimeoutError, "The service said nothing"))
        elif since is not None and last is not None and timeout.gap is not None:
            gap = timeout.gap
            clocks.append((max(since, last) + gap, gap, GapTimeoutError, "The service said nothing more"))
        return min(clocks, key=lambda each: each[0]) if clocks else None

    def _answer_due_since(self) -> Optional[float]:
        """Return when that was asked for which the service owes longest."""
        results = self.results
        if self.mode is Mode.AUTO and results.last_event_at is None:
            return self._opened_at
        due = [flush.asked_at for flush in list(results.flushes)[:1]]
        if self._finished_at is not None:
            due.append(self._finished_at)
        if results.is_in_turn and results.unheard_since is not None:
            due.append(results.unheard_since)
        return min(due) if due else None

    # ---- the end: any thread

    def fail(self, error: BaseException) -> None:
        """End the session because its audio could not be had; the receiver gets that error.

        Threads: any. Does not wait.
        """
        self.results.end(End(lambda: error))
        self.close_soon()

    def close_soon(self, code: int = 1000, reason: str = "") -> None:
        """Have the reader say goodbye. Takes no lock, and does not wait."""
        self._closers.append((code, reason))
        self._note(_CLOSE)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session at once; see ``Session.close``."""
        if self._is_elsewhere():
            return
        self.close_soon(code, reason)
        reader, wire = self._reader, self._wire
        if reader.has_ended or is_owned(self.lock) or reader.is_this_thread or wire.is_in_use_here:
            return  # or the reader would wait for us
        if reader.has_ended_within(self.timeout.close):
            return
        wire.shutdown()
        if not reader.has_ended_within(self.timeout.close):
            warnings.warn(f"{reader.thread.name} has not ended", ResourceWarning, stacklevel=3)

    def drain(self) -> bool:
        """Tell the service that no audio follows, and wait until it has ended the session; False where it did not.

        Threads: any. Waits at most for the write and the close timeout.
        """
        try:
            self.finish()
        except CartesiaError:
            return False  # lost already, of which the receiver is told
        return self._reader.has_ended_within(self.timeout.close)

    def abandon(self) -> None:
        """End the session without a word: nobody holds it any more.

        Threads: any, a finalizer included: takes no lock.
        """
        self._note(_ABANDON)

    def _note(self, what: str) -> None:
        if self._process == os.getpid():
            self.notes.append(what)
            self._wire.wake()

    def carry_out_notes(self) -> None:
        """Carry out what was noted. Each is carried out before it is taken away: an interrupt loses none.

        Threads: the reader.
        """
        for note in list(self.notes):
            if note == _CLOSE:
                self._wire.send_close(*self._closers[0])
            else:
                self._wire.shutdown()
            self.notes.popleft()

    def ask_again(self, channel: Channel, error: Error) -> None:
        """Do nothing: a session has no channels that could be refused."""

    def lose(self, wire: Wire, loss: CartesiaError) -> None:
        """Take note that the wire has ended, and tell the receiver what that means.

        Threads: the reader; the thread that connects, where no reader could be started.
        """
        wire.shutdown()
        if self._slot is not None:
            self._slot.release()
        reason: CartesiaError = _closed_by_us() if self._closers else loss
        with self.lock:
            if self._state in (SessionState.OPEN, SessionState.FINISHING):
                is_whole = self._is_whole(reason)
                state = followed(SESSION, self._state, SessionMove.END)
                self._loss = reason
                self._state = state
            else:
                return
        self.results.end(End() if is_whole else End(lambda: self.truncated(reason)))
        self._wake_feeds()

    def _wake_feeds(self) -> None:
        for signals in list(self.feeds):
            signals.put(LOOK)

    def _is_whole(self, loss: CartesiaError) -> bool:
        """Whether all that was said was heard: the service said so, or closed properly after it was asked to."""
        if self.mode is Mode.MANUAL:
            return self.results.has_done
        is_clean = isinstance(loss, WebSocketConnectionClosedError) and loss.code in _CLEAN
        return self._finished_at is not None and is_clean and not self.results.was_refused

    def truncated(self, loss: CartesiaError) -> CartesiaError:
        """Make the exception of a receiver whose session ended before it was whole."""
        if self._state is SessionState.FORKED:
            return ForkedError(str(loss))
        refusal = self.results.refusal
        cause = loss if refusal is None else error_of(refusal)
        if self.results.was_refused and isinstance(cause, CartesiaError):
            return cause
        error = TruncatedError(
            f"The session ended before all was heard: {loss}",
            code=getattr(loss, "code", None),
            reason=getattr(loss, "reason", ""),
        )
        error.heard = self.results.last_event_at is not None
        error.transcript = self.results.hearing.text
        error.__cause__ = cause
        return error

    # ---- processes

    @property
    def reader(self) -> Optional[threading.Thread]:
        """The thread that reads, or has read."""
        return self._reader.thread

    def leave_to_parent(self) -> None:
        """In a forked child: end everything here without touching the parent's connection.

        The lock is new, since another thread may have held it at the fork. A second call does nothing.
        """
        if self._state is SessionState.FORKED:
            return
        forked = ForkedError("This session was opened before a fork and belongs to the parent; open one here.")
        self._process = os.getpid()
        self.lock = threading.RLock()
        with self.lock:
            state = followed(SESSION, self._state, SessionMove.FORK)
            self._loss = forked
            self._state = state
        self.results.mailbox.replace_end(End(lambda: ForkedError(str(forked)), discards=True))
        self._wire.detach()

    def _is_elsewhere(self) -> bool:
        if self._process != os.getpid():
            self.leave_to_parent()
        return self._state is SessionState.FORKED

    def check_process(self) -> None:
        """Refuse a caller in a forked child of the process that opened the session.

        Raises:
            ForkedError: That is what it is.
        """
        if self._is_elsewhere():
            raise ForkedError(str(self._loss))


def _closed_by_us() -> WebSocketConnectionClosedError:
    return WebSocketConnectionClosedError("The session was closed by close().")
