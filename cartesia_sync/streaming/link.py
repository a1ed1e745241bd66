"""A connection's inside: its contexts, its wire, and the thread that reads it."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import time
import warnings
import weakref
from collections import Counter, deque
from typing import Callable, Optional

from ..errors import (
    APIConnectionError,
    CartesiaError,
    ConcurrencyError,
    ConnectTimeoutError,
    ForkedError,
    MalformedEventError,
    ProtocolError,
    WebSocketConnectionClosedError,
)
from ..protocol import codec
from ..protocol.events import Chunk, Done, Error, Event
from ..protocol.lifecycle import Move, State
from ..protocol.requests import CancelRequest
from ..protocol.router import Router
from ..protocol.timeouts import Timeout
from ..transport import retry
from ..transport.deadline import Deadline
from ..transport.websocket.duplex import Frame
from ..transport.websocket.wire import BinaryMessage, Wire
from . import forks as process
from .channel import Line, Message
from .locks import NotAcquiredError, TimedLock, is_owned, raise_unless_not_acquired, within
from .mailbox import Bell, End, Item, arrived

MAX_CONNECTION_QUEUED_BYTES = 256 << 20
"""What may wait in all contexts of a connection together: four that have stopped reading, before others are hurt."""

FEWEST_WEIGHED_BYTES = 64
"""What an event weighs at the least: one without audio takes room too."""

FEWEST_RECEIVERS, MOST_RECEIVERS, RECEIVERS_A_SECOND = 8, 64, 2000
"""How many contexts' receivers are woken before the reader looks at the wire again: by the time since it last woke
some, so that a reader that is held up itself holds nobody up. All at once cost twice as much a frame with 64 contexts,
and ten times with a thousand: each waits for the interpreter, and asks for it anew every 5 ms."""

_TURN = 0.001
"""Seconds that the reader waits for more before it wakes the next few."""

_AT_ONCE = Deadline(0.0)
_PROTOCOL, _BINARY = 1002, 1003
_CANCEL, _FORGET, _CLOSE, _ABANDON = "cancel", "forget", "close", "abandon"

log = logging.getLogger("cartesia_sync")
_numbers = itertools.count(1)


class Link:
    """What the threads of one connection share. It outlives its wires: a lost one is replaced when it is needed.

    The flow:

        user thread --Context.push--> say [state lock] --> wire.unsent --> service
        user thread <--receive-- Mailbox <--deliver, seal-- reader: wire.read -> codec -> Router [state lock]

    Locks, in the only order in which they may be taken:

        _connect_lock    one thread opens a wire, the others wait for it; held while dialling, by no reader
        _state_lock      _wire, _reader, _loss, _router, _lines, _by_hand, _bells, and what a line says that it guards;
                         never held across I/O, users' code, or a wait
        Duplex._io_lock  (leaf) one send or recv that cannot block

    Each is taken by ``with`` over C code alone (see locks.py), and what is done under _state_lock is done in one step
    at its end, so that what strikes before changes nothing. A thread that holds one may be interrupted by a signal's
    handler or a finalizer. So ``cancel``, ``close``, ``forget`` and ``abandon`` take none: they leave a note, which the
    reader carries out, or where there is none the next ``open``. A mailbox has no lock.

    Who wakes whom:

        receiver  waits on its mailbox      woken by the reader, cancel() or close()   bound: its clocks, or the end
        sender    waits for its frame       woken by the reader, at the frame's end    bound: the write clock
                                            or its own
        pusher    waits on _connect_lock    woken by the thread that connects          bound: the connect clock
        reader    waits on the socket       woken by a frame, the stream's end, wake() bound: the ping interval, or
                                            or shutdown()                                  a millisecond while there are
                                                                                       receivers to wake
        close()   waits for the reader      woken by the reader's exit                 bound: the close clock, twice

    All other attributes are set before the first reader starts, and never again.

    Attributes:
        stray_events: How many came for an id that was never opened here, or could not be read; they were dropped.
        unreadable_fields: How often which field of an event could not be read; the rest of the event was given.
    """

    def __init__(
        self,
        dial: Callable[[Deadline], Wire],
        *,
        timeout: Timeout,
        ping_interval: Optional[float],
        reconnect: bool,
        max_retries: int = 0,
        max_queued_bytes: int = MAX_CONNECTION_QUEUED_BYTES,
    ) -> None:
        self._dial = dial
        self._timeout = timeout
        self._ping_interval = ping_interval
        self._may_reconnect = reconnect
        self._max_retries = max_retries
        self._max_queued_bytes = max_queued_bytes
        self._process = os.getpid()
        # The reader's own: what may come before all that waits is added up again, and what had arrived when half of it
        # had come. Whose next event is older than that is behind.
        self._allowance = max_queued_bytes
        self._half_way: tuple[int, Optional[int]] = (max_queued_bytes // 2, None)
        self._read_at = 0.0  # the reader's own: when it last read
        self._connect_lock = TimedLock()
        self._state_lock = threading.RLock()
        self._router: Router[Line] = Router()
        self._wire: Optional[Wire] = None
        self._reader: Optional[Reader] = None
        self._loss: CartesiaError = WebSocketConnectionClosedError("The connection was never opened.")
        self._lines: dict[weakref.ref[Line], None] = {}
        self._by_hand: dict[str, Line] = {}
        self._bells: tuple[Bell, ...] = ()
        # No lock guards these: each is changed by one call of C code.
        self._closers: list[tuple[int, str]] = []  # what close() was called with; whoever came first counts
        self._closing: queue.SimpleQueue[None] = queue.SimpleQueue()  # cuts a wait before another try to connect short
        self._notes: deque[tuple[str, Optional[Line]]] = deque()
        self._closed_bells: list[Bell] = []
        self._is_abandoned = False  # nobody holds the connection any more
        self.stray_events = 0
        self.unreadable_fields: Counter[str] = Counter()  # the reader's own

    @property
    def late_events(self) -> int:
        """How many events came for a context that had ended; they were dropped."""
        return self._router.late

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called, or the connection is another process's."""
        return bool(self._closers) or isinstance(self._loss, ForkedError)

    # ---- connecting

    def connect(self) -> Wire:
        """Return the open wire; open one, and start its reader, if there is none.

        Raises:
            WebSocketConnectionClosedError: After ``close``.
            CartesiaError: As ``wire.connect``.

        Threads: any; one connects, the others wait for it. Waits at most for the connect clock.
        """
        self.check_process()
        deadline = Deadline(self._timeout.connect)
        try:
            with self._connect_lock.within(deadline.left()) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                return self._connect_in_turn(deadline)
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            raise ConnectTimeoutError(
                f"Another thread was still connecting after {deadline.seconds} s.", timeout=deadline.seconds
            ) from None

    def _connect_in_turn(self, deadline: Deadline) -> Wire:
        with self._state_lock:
            if self.is_closed:
                raise self._closed()
            if self._wire is not None:
                return self._wire
        wire = self._dial_with_retries(deadline)
        reader = Reader(self, wire)
        try:
            process.remember(self)
            with self._state_lock:
                if self.is_closed:
                    raise self._closed()
                self._wire, self._reader = wire, reader
            reader.start()
        except BaseException as error:  # Ctrl-C too: nothing stays open
            # The wire is the reader's as soon as its thread has begun.
            if not reader.take_back():
                raise
            failed = APIConnectionError(f"The connection's reader thread cannot be started: {error}")
            self._lose(wire, failed)
            wire.release()
            if isinstance(error, RuntimeError):  # no more threads: the system's limit, or the interpreter is at its end
                raise failed from error
            raise
        return wire

    def _closed(self) -> CartesiaError:
        """Make the exception of a caller who comes after ``close``, or in another process."""
        return ForkedError(str(self._loss)) if isinstance(self._loss, ForkedError) else _closed_by_us()

    def _dial_with_retries(self, deadline: Deadline) -> Wire:
        """Dial, and again after a failure that may pass: the service has no room, has failed, or is not there."""
        for attempt in itertools.count():
            try:
                return self._dial(deadline)
            except CartesiaError as error:
                pause = retry.pause_after(error, attempt)
                left = deadline.left()
                if attempt >= self._max_retries or pause is None or (left is not None and pause >= left):
                    raise
                log.debug("connecting again in %.2f s: %s", pause, error)
            try:
                self._closing.get(timeout=pause)
            except queue.Empty:
                continue
            raise self._closed()
        raise AssertionError  # not reached: the count has no end

    # ---- contexts: any thread

    def open(self, line: Line) -> None:
        """Register a context; its events reach its mailbox from now on.

        Raises:
            ContextStateError: The id is taken, or was used before.
            WebSocketConnectionClosedError: After ``close``.
        """
        self.check_process()
        self._check_turn()
        self._see_to_notes(self._wire)
        with self._state_lock:
            if self.is_closed:
                raise self._closed()
            self._router.open(line.context_id, line)
            self._lines[weakref.ref(line, self._forgetter())] = None
            for bell in self._bells:
                line.mailbox.add_bell(bell, weakref.ref(line))

    def _forgetter(self) -> Callable[[weakref.ref[Line]], None]:
        lines = self._lines
        return lambda gone: lines.pop(gone, None)

    def _check_turn(self) -> None:
        """Refuse a caller who interrupted this very thread in the middle of a step.

        Raises:
            ConcurrencyError: A signal's handler or a finalizer, called under our lock.
        """
        if is_owned(self._state_lock):
            raise ConcurrencyError(
                "this was called by a signal handler or a finalizer, in the middle of another call on the same "
                "connection; from there only cancel() and close() may be"
            )

    def say(self, line: Line, message: Message) -> None:
        """Send one message of a context. A new context's first one opens a wire if the last one is lost.

        Interrupted, the message is in ``line.messages`` and leaves whole, once, or it is not and does not leave.

        Raises:
            ContextStateError: The context's life does not allow it.
            TruncatedError: The context's connection is lost.
            WebSocketConnectionClosedError: After ``close``, or when the connection is lost and may not be reopened.
            WriteTimeoutError: The service did not take it in time.

        Threads: any. Waits for the messages before it and for its own to leave: together at most the write clock, and
            where a wire must be opened the connect clock too.
        """
        self.check_process()
        self._check_turn()
        wire: Optional[Wire] = None
        try:
            while True:
                wire = self._wire_for(line, message.move)
                deadline = Deadline(self._timeout.write)
                frame = self._say_on(line, wire, message)
                if frame is None:
                    continue  # the wire was lost meanwhile, or another thread said something
                self._finish(line, wire, frame, deadline)
                log.debug("context %s: sent %d bytes", line.context_id, len(message.payload))
                return
        except BaseException:  # an interrupt: what stands in line is the reader's from now on
            if wire is not None:
                wire.wake()
            raise

    def _say_on(self, line: Line, wire: Wire, message: Message) -> Optional[Frame]:
        """Put a message in line, with those before it where the wire is new to the context; None if all has changed."""
        said = list(line.messages) if line.wire is not wire else None
        frame = wire.frame(message.payload)
        frames = [] if said is None else [wire.frame(each.payload) for each in said]
        with self._state_lock:
            line.state_after(message.move)
            if self._wire is not wire:
                return None
            if line.wire is wire:
                line.say_on(wire, message, frame)
            elif line.wire is None and said is not None and len(said) == len(line.messages):
                line.move_to(wire, [*said, message], [*frames, frame])
            else:
                return None
            if line.first_said_at == message.said_at:
                line.mailbox.nudge()  # a receiver may have been waiting without a clock
        return frame

    def _finish(self, line: Line, wire: Wire, frame: Frame, deadline: Deadline) -> None:
        """Wait for a message to leave, on this wire or, where nothing of the context has left on it, on another."""
        try:
            wire.finish(frame, deadline)
            return
        except APIConnectionError as error:
            failure = error
        with self._state_lock:
            if self._wire is wire and not self.is_closed:  # after close() its own reason stands
                self._wire, self._loss = None, failure  # until the reader says its own, which holds no user's frames
            if frame.has_left:
                return  # meanwhile
            is_new = not any(each.has_left for each in line.frames)
            if line.wire is wire and self._may_be_set_aside_locked(line, failure):
                line.wire = None
        if line.is_set_aside and is_new:
            failed = self.resume(line)
            if failed is not None:
                raise failed
        elif line.loss is None and line.wire is not wire:
            line.mailbox.nudge()  # the receiver says it again, with the rest
        else:
            if is_new:
                self._give_up(line, failure)  # the reader leaves it to us
            raise failure

    def _may_be_set_aside_locked(self, line: Line, failure: CartesiaError) -> bool:
        # A service that was too slow: another connection is no faster.
        is_gone = isinstance(failure, WebSocketConnectionClosedError)
        return is_gone and self._may_reconnect and not self.is_closed and line.can_be_set_aside

    def _wire_for(self, line: Line, move: Move) -> Wire:
        """Return the wire that this context speaks on, opening one for a context that is new or set aside."""
        with self._state_lock:
            if line.loss is not None:
                raise line.lost(line.loss)
            if self.is_closed:
                raise self._closed()
            line.state_after(move)  # nobody connects for a context that has ended
            if self._wire is not None and line.wire in (None, self._wire):
                return self._wire
            if line.wire is not None:
                if not self._may_be_set_aside_locked(line, self._lost()):
                    raise line.lost(self._loss)
                line.wire = None
            if not self._may_reconnect:
                raise self._lost()
        log.debug("context %s: opening a new connection", line.context_id)
        return self.connect()

    def _lost(self) -> WebSocketConnectionClosedError:
        """Make the exception of a caller who needs a connection that is gone."""
        error = WebSocketConnectionClosedError(
            str(self._loss), code=getattr(self._loss, "code", None), reason=getattr(self._loss, "reason", "")
        )
        error.__cause__ = self._loss
        return error

    def lost(self) -> CartesiaError:
        """Make the exception of a caller who waits on a connection that is gone."""
        return self._closed() if self.is_closed else self._lost()

    def resume(self, line: Line) -> Optional[CartesiaError]:
        """Say a context again on a new connection, if it is set aside; return what it failed with, and ended with.

        Threads: the receiver's, or the one whose push could not leave. Waits for a connection and for the messages to
        leave, at most for the connect and the write clock.
        """
        wire: Optional[Wire] = None
        try:
            while True:
                wire = self.connect()
                messages = list(line.messages)
                frames = [wire.frame(message.payload) for message in messages]
                with self._state_lock:
                    if not line.is_set_aside or not self._router.is_live(line.context_id):
                        return None  # said again by another thread, or cancelled meanwhile
                    if self._wire is wire and len(messages) == len(line.messages):
                        line.move_to(wire, messages, frames)
                        break
            wire.finish(frames[-1], Deadline(self._timeout.write))
        except CartesiaError as error:
            self._give_up(line, error)
            return error
        except BaseException:  # an interrupt: what stands in line is the reader's from now on
            if wire is not None:
                wire.wake()
            raise
        return None

    def _give_up(self, line: Line, loss: CartesiaError) -> None:
        with self._state_lock:
            if not self._router.is_live(line.context_id):
                return
            self._lose_locked(line, loss)
        line.mailbox.seal(line.end(loss))

    def fail(self, line: Line, error: BaseException) -> None:
        """End a context because the text for it could not be had; its receiver gets that error.

        Threads: any. Does not wait.
        """
        if line.mailbox.seal(End(lambda: error)):
            self._cancel(line)

    def finish_unsaid(self, line: Line) -> bool:
        """End a context on which nothing was said, without a word to the service; False if there is a word to say."""
        self.check_process()
        self._check_turn()
        with self._state_lock:
            if line.messages or line.state is not State.OPEN:
                return line.state is not State.OPEN
            self._end_locked(line)
        line.mailbox.seal(End())
        return True

    def cancel(self, line: Line, *, discard: bool) -> None:
        """End a context at once, and have the reader tell the service.

        Threads: any, at any time, a finalizer or a signal's handler included: takes no lock. Does not wait.
        """
        if self._is_elsewhere():
            return  # the parent's, and none of ours
        line.mailbox.excuse(End(discards=discard))
        self._cancel(line)

    def _cancel(self, line: Line) -> None:
        line.is_cancelled = True
        self._note(_CANCEL, line)
        if self._wire is None:
            self._see_to_notes_if_free()

    def forget(self, line: Line) -> None:
        """Take note that nobody can receive this context any more.

        Threads: any, a finalizer included: takes no lock.
        """
        self._note(_FORGET, line)

    # ---- notes

    def _note(self, what: str, line: Optional[Line] = None) -> None:
        """Leave a note for the reader. Takes no lock."""
        if self._process != os.getpid():
            return  # a finalizer in a child: the reader is the parent's, and so is what wakes it
        self._notes.append((what, line))
        wire = self._wire
        if wire is not None:
            wire.wake()

    def _see_to_notes(self, wire: Optional[Wire]) -> None:
        """Carry out what was noted: contexts that were cancelled, or that nobody can receive any more.

        Each is carried out before it is taken away, and may be twice: an interrupt loses none. By itself, since a
        variable of the reader's loop would hold the last of them until the next.
        """
        if not self._notes:
            return
        cancelled: list[Line] = []
        with self._state_lock:
            for what, line in list(self._notes):
                if line is None:
                    if what == _CLOSE:
                        self._close_locked()
                elif self._router.peek(line.context_id) is line:  # not another one, which has the id it was refused
                    if what == _CANCEL:
                        line.move(Move.CANCEL)
                        self._router.end(line.context_id)
                    else:
                        self._end_locked(line)
                    line.mailbox.seal(End())  # somebody may hold the context still, and have dropped its speech alone
                    cancelled.append(line)
                self._notes.popleft()
        if wire is None:
            return
        for line in cancelled:
            if line.wire is wire:
                wire.post(_cancel_message(line))
        if self._closers:
            wire.send_close(*self._closers[0])
        if self._is_abandoned:
            wire.shutdown()

    def _see_to_notes_if_free(self) -> None:
        """Carry out what was noted, where there is no reader to do it and the lock is to be had at once.

        Where it is not, the next ``open`` does it. Waits for no lock: a finalizer may call this.
        """
        if is_owned(self._state_lock):
            return
        try:
            with within(self._state_lock, 0.0) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                self._see_to_notes(None)
        except RuntimeError as error:
            raise_unless_not_acquired(error)

    def _close_locked(self) -> None:
        if not isinstance(self._loss, ForkedError):
            self._loss = _closed_by_us()
        for line in self._router.live():
            self._lose_locked(line, self._loss)
            line.mailbox.seal(line.end(self._loss))

    # ---- hearing all contexts at once: any thread

    def readable_lines(self) -> list[Line]:
        """Return every context that somebody can still hear, whether or not it has ended."""
        return [line for line in (who() for who in list(self._lines)) if line is not None]

    def hold(self, line: Line) -> None:
        """Keep a context that has no handle, until ``let_go``."""
        self._by_hand[line.context_id] = line

    def let_go(self, line: Line) -> None:
        """Keep it no longer."""
        self._by_hand.pop(line.context_id, None)

    def find(self, context_id: str) -> Optional[Line]:
        """Return the live context of that id."""
        line = self._router.peek(context_id)
        return None if line is None or line.is_cancelled else line  # of which there may be a note still

    def hang(self, bell: Bell) -> list[Line]:
        """Let it ring for every item of every context from now on, new contexts included, and for a loss.

        Returns the contexts that there are, in which something may be waiting.
        """
        self.check_process()
        self._check_turn()
        with self._state_lock:
            closed = self._closed_bells
            self._bells = (*(each for each in self._bells if each not in closed), bell)
            lines = self.readable_lines()
            for line in lines:
                line.mailbox.add_bell(bell, weakref.ref(line), closed=closed)
            for each in [each for each in list(closed) if each not in self._bells]:
                closed.remove(each)
        return lines

    def take_down(self, bell: Bell) -> None:
        """Let it ring no more, from the next ``hang`` on. Takes no lock: a finalizer calls it."""
        self._closed_bells.append(bell)

    # ---- reader thread only

    def read(self, wire: Wire) -> None:
        """Pass on what comes, until the wire ends; whatever ends it, every receiver is told."""
        loss: CartesiaError = ProtocolError("The reader thread ended for an unknown reason.")
        try:
            self._hear_all(wire)
        except APIConnectionError as error:
            loss = error.with_traceback(None)  # its frames would keep the wire alive for as long as anybody asks why
        except BaseException as bug:  # every receiver must hear of a bug too: it is their exception's cause
            loss = APIConnectionError(f"The reader thread failed: {bug!r}")
            loss.__cause__ = bug
        finally:
            self._lose(wire, loss)
            wire.release()
            self._see_to_notes(None)

    def _hear_all(self, wire: Wire) -> None:
        """Read until the wire raises. Silent for one interval: ping; silent for two: lost.

        What has arrived together is passed on together, and to a few receivers at a time: each is woken once for all
        that came, and they do not all want the interpreter at once, which costs more than what they do with it.
        """
        pinged = False
        heard: dict[Line, list[Item]] = {}  # and not passed on yet
        passed_at = 0.0
        tick: Optional[Deadline] = None  # the one that goes on after a wake, which is no sign of life
        try:
            while True:
                if self._notes:
                    self._see_to_notes(wire)
                deadline = Deadline(_TURN) if heard else tick or Deadline(self._ping_interval)
                message = wire.read(deadline)
                self._read_at = time.monotonic()
                tick = None
                if message is None and not heard:
                    if wire.was_woken:
                        tick = deadline
                        continue
                    if pinged:
                        raise WebSocketConnectionClosedError(
                            f"The service gave no sign of life for {self._ping_interval} s after a ping."
                        )
                    wire.ping()
                    pinged = True
                    continue
                if message is not None:
                    pinged = False
                while True:
                    if not message:
                        break
                    self._hear(wire, message, heard)
                    message = wire.read(_AT_ONCE) if wire.has_message else None
                due = int((time.monotonic() - passed_at) * RECEIVERS_A_SECOND)
                self._pass_on(wire, heard, min(max(due, FEWEST_RECEIVERS), MOST_RECEIVERS))
                passed_at = time.monotonic()
        finally:
            self._pass_on(wire, heard)

    def _hear(self, wire: Wire, message: bytes, heard: dict[Line, list[Item]]) -> None:
        """Read a message, and add its event to what was heard.

        Raises:
            ProtocolError: Nobody can tell whose message it is, so that no context of the connection can be whole.
        """
        if isinstance(message, BinaryMessage):
            raise self._unattributable(wire, _BINARY, f"a binary message of {len(message)} bytes; events are texts")
        try:
            event = codec.decode(message, self.unreadable_fields)
            if event.context_id is None:
                codec.require_context(event)
        except MalformedEventError as error:
            self._pass_on(wire, heard)
            self._spoil(wire, error)
            return
        if event.context_id is None:
            self._pass_on(wire, heard)
            self._tell_all(event, arrived(event, len(message)))
            return
        with self._state_lock:
            line = self._router.find(event.context_id)
            if line is None:
                if not self._router.has_ended(event.context_id):
                    self.stray_events += 1
                return
            if isinstance(event, Chunk):
                weight = max(len(event.audio), FEWEST_WEIGHED_BYTES)
                if event.audio:
                    line.audio_at = self._read_at
            else:
                weight = max(len(message), FEWEST_WEIGHED_BYTES)
                if _is_last(event):
                    if isinstance(event, Error):
                        line.ended_by = event
                    else:
                        line.note_done()
                    self._end_locked(line)
        item = arrived(event, weight)
        heard.setdefault(line, []).append(item)
        self._allowance -= weight
        if self._allowance < self._half_way[0] and self._half_way[1] is None:
            self._half_way = (self._half_way[0], item[0])
        if self._allowance < 0:
            self._pass_on(wire, heard)
            self._bound_all(wire)

    def _unattributable(self, wire: Wire, code: int, what: str) -> ProtocolError:
        wire.send_close(code)
        return ProtocolError(f"The service sent {what}. Nobody can tell whose it is, so this ended the connection.")

    def _pass_on(self, wire: Wire, heard: dict[Line, list[Item]], receivers: Optional[int] = None) -> None:
        """Put what was heard into the mailboxes, of so many contexts or of all; end those that have no room."""
        for line in [*itertools.islice(heard, receivers)]:
            items = heard.pop(line)
            is_whole = _is_last(items[-1][1])
            room = line.count_room(items[:-1] if is_whole else items) + is_whole
            if room < len(items):
                line.hear(items[: room - is_whole])
                self._overflow(wire, line, line.mailbox.limit_bytes, "context")
                continue
            line.hear(items)
            if is_whole:
                line.mailbox.seal(End())

    def _bound_all(self, wire: Wire) -> None:
        """Add up what waits in all contexts; while it is too much, end the one in which most waits.

        Of those that are behind, as long as there are any: one that keeps up may have just got a large message. Those
        that are whole and that nobody reads count, and may be the one. What waited in it is dropped, or the next one
        would follow.
        """
        lines = self.readable_lines()
        _, half_way = self._half_way
        while True:
            self._allowance = self._max_queued_bytes - sum(line.mailbox.waiting_bytes for line in lines)
            if self._allowance >= 0:
                self._half_way = (self._allowance // 2, None)
                return
            waiting = [(line.mailbox.first_number, line.mailbox.waiting_bytes, line) for line in lines]
            behind = [each for each in waiting if each[1] and half_way is not None and each[0] < half_way]
            _, _, most = max(behind or waiting, key=lambda each: each[1])
            self._overflow(wire, most, self._max_queued_bytes, "connection", discard=True)

    def _overflow(self, wire: Wire, line: Line, limit_bytes: int, whose: str, *, discard: bool = False) -> None:
        with self._state_lock:
            is_live = self._router.is_live(line.context_id)
            if is_live:
                self._end_locked(line)
        end = End(lambda: line.overflowed(limit_bytes, whose), discards=discard)
        if discard:
            line.mailbox.excuse(end)
        else:
            line.mailbox.seal(end)
        if is_live:
            wire.post(_cancel_message(line))

    def _tell_all(self, event: Event, item: Item) -> None:
        """Give an error of the whole connection to every context that is spoken on it; it ends none of them."""
        if not isinstance(event, Error):
            self.stray_events += 1
            return
        with self._state_lock:
            lines = [line for line in self._router.live() if line.wire is not None]
        for line in lines:
            line.overhear(event, item)

    def _spoil(self, wire: Wire, fault: MalformedEventError) -> None:
        """End the context that an unreadable event names; the connection, if nobody can tell whose it is."""
        if fault.context_id is None:
            raise self._unattributable(wire, fault.close_code or _PROTOCOL, f"what is no event: {fault}")
        with self._state_lock:
            line = self._router.find(fault.context_id)
            if line is not None:
                self._end_locked(line)
            elif self._router.has_ended(fault.context_id):
                return
        if line is None:
            raise self._unattributable(wire, _PROTOCOL, f"an event of no context of ours that is not valid: {fault}")
        line.mailbox.seal(End(lambda: line.broken(fault)))
        wire.post(_cancel_message(line))

    def _end_locked(self, line: Line) -> None:
        line.move(Move.END)
        self._router.end(line.context_id)

    def _lose_locked(self, line: Line, loss: CartesiaError) -> None:
        line.loss = loss
        self._end_locked(line)

    def _lose(self, wire: Wire, loss: CartesiaError) -> None:
        """Forget a wire that has ended, and tell the contexts that spoke on it."""
        wire.shutdown()  # nothing leaves any more: what has left is certain from now on
        lost = []
        with self._state_lock:
            if not self.is_closed:
                self._loss = loss
            if self._wire is wire:
                self._wire = None
            for line in self._router.live():
                if line.wire is not wire:
                    continue
                if self._may_reconnect and not self.is_closed and line.can_be_set_aside:
                    line.wire = None
                    line.mailbox.nudge()  # the receiver's thread opens the connection: this one is at its end
                elif line.is_cancelled:
                    pass  # of which there is a note
                else:
                    self._lose_locked(line, self._loss)
                    lost.append(line)
            bells = self._bells
        for line in lost:
            line.mailbox.seal(line.end(loss))
        for bell in bells:
            bell.put(None)

    # ---- the end: any thread

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection. Contexts that are not whole end with an error; those that are stay readable.

        Idempotent. Threads: any, at any time, a finalizer or a signal's handler included: takes no lock. Waits for the
        service's answer and the reader's end, at most twice the close clock; but not in a thread that it interrupted
        under a lock of ours or while it connects, nor in the reader's own, where the collector may run a finalizer.
        """
        if self._is_elsewhere():
            return
        self._closers.append((code, reason))
        self._closing.put(None)
        self._note(_CLOSE)
        wire, reader = self._wire, self._reader
        if reader is None or reader.has_ended:
            for line in self._router.live():  # nobody else will
                line.mailbox.seal(line.end(_closed_by_us()))
            self._see_to_notes_if_free()
            return
        if is_owned(self._state_lock) or self._connect_lock.is_ours or reader.is_this_thread:
            return  # the reader would wait for us
        if wire is not None and wire.is_in_use_here:
            return  # likewise
        if reader.has_ended_within(self._timeout.close):
            return
        if wire is not None:
            wire.shutdown()
        if not reader.has_ended_within(self._timeout.close):
            warnings.warn(f"{reader.thread.name} has not ended", ResourceWarning, stacklevel=3)

    def abandon(self) -> None:
        """End the connection without a word: nobody holds it any more.

        Threads: any, a finalizer included: takes no lock.
        """
        self._is_abandoned = True
        self._note(_ABANDON)

    @property
    def is_open(self) -> bool:
        """Whether there is a wire."""
        return self._wire is not None

    @property
    def is_spent(self) -> bool:
        """Whether nothing more will come: there is no wire, and every context that spoke on it has been told."""
        is_open, lines = self.is_open, self.readable_lines()
        return not is_open and all(line.mailbox.is_sealed or not line.messages for line in lines)

    @property
    def reader(self) -> Optional[threading.Thread]:
        """The thread that reads, or read last."""
        return None if self._reader is None else self._reader.thread

    def leave_to_parent(self) -> None:
        """In a forked child: end everything here without touching the parent's connection.

        The locks are new, since another thread may have held them at the fork. A second call does nothing.
        """
        if isinstance(self._loss, ForkedError):
            return
        forked = ForkedError("This connection was opened before a fork and belongs to the parent; open one here.")
        wire, lines = self._wire, {*self._router.live(), *self.readable_lines()}
        self._connect_lock, self._state_lock = TimedLock(), threading.RLock()
        self._loss, self._wire, self._reader, self._bells = forked, None, None, ()
        self._router = Router()
        self._process = os.getpid()
        for line in lines:
            line.leave_to_parent(forked)
        if wire is not None:
            wire.detach()

    def _is_elsewhere(self) -> bool:
        """Whether this is a child of the process that opened the connection, whoever forked it and how."""
        if self._process != os.getpid():
            self.leave_to_parent()
        return isinstance(self._loss, ForkedError)

    def check_process(self) -> None:
        """Refuse a caller in a forked child of the process that opened the connection.

        Raises:
            ForkedError: That is what it is.
        """
        if self._is_elsewhere():
            raise self._closed()


class Reader:
    """The thread that reads one wire, which is its own from the moment it runs."""

    def __init__(self, link: Link, wire: Wire) -> None:
        self._wires = deque([wire])  # whoever takes it out has it
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.has_ended = False
        self.thread = threading.Thread(
            target=self._run, args=(link,), name=f"cartesia-sync-reader-{next(_numbers)}", daemon=True
        )  # a daemon, so that a forgotten connection cannot hold the interpreter

    def start(self) -> None:
        """Begin. An interrupt may come out of it whether or not the thread runs; see ``take_back``."""
        self.thread.start()

    @property
    def is_this_thread(self) -> bool:
        """Whether the caller is this thread."""
        return self.thread.ident == threading.get_ident()

    def take_back(self) -> bool:
        """Keep a thread that has not begun from ever reading; False where it has begun."""
        try:
            self._wires.popleft()
        except IndexError:
            return False
        self.has_ended = True
        self._ends.put(None)
        return True

    def _run(self, link: Link) -> None:
        try:
            for wire in self._wires and (self._wires.popleft(),):  # unless it was taken back
                link.read(wire)
        finally:
            self.has_ended = True
            self._ends.put(None)

    def has_ended_within(self, seconds: Optional[float]) -> bool:
        """Wait for the end; whether it came in time. Threads: any but the reader's."""
        if not self.has_ended:
            try:
                self._ends.get(timeout=seconds)
            except queue.Empty:
                return self.has_ended
            self._ends.put(None)  # for others who wait
        if self.thread.ident is not None:  # unless it never began
            self.thread.join(seconds)  # which has nothing left to do
        return True


def _is_last(event: object) -> bool:
    return isinstance(event, Done) or (isinstance(event, Error) and event.done)


def _closed_by_us() -> WebSocketConnectionClosedError:
    return WebSocketConnectionClosedError("The connection was closed by close().")


def _cancel_message(line: Line) -> bytes:
    return codec.encode(CancelRequest(context_id=line.context_id))
