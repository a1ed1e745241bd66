"""A connection's inside: its contexts, its wire, and the thread that reads it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import warnings
import weakref
from collections import deque
from typing import Callable, Optional

from ..errors import (
    APIConnectionError,
    CartesiaError,
    ConnectTimeoutError,
    ForkedError,
    MalformedEventError,
    ProtocolError,
    WebSocketConnectionClosedError,
    WriteTimeoutError,
)
from ..protocol import codec
from ..protocol.clocks import Timeout
from ..protocol.events import Done, Error, Event
from ..protocol.life import Move, State
from ..protocol.messages import CancelRequest
from ..protocol.router import Router
from ..transport import retry
from ..transport.deadline import Deadline
from ..transport.wire import Wire
from . import process
from .line import Line
from .mailbox import Bell, End, Item, arrived

MAX_CONNECTION_QUEUED_BYTES = 256 << 20
"""What may wait in all contexts of a connection together: four that have stopped reading, before others are hurt."""

FEWEST_RECEIVERS, MOST_RECEIVERS, RECEIVERS_A_SECOND = 8, 64, 2000
"""How many contexts' receivers are woken before the reader looks at the wire again: by the time since it last woke
some, so that a reader that is held up itself holds nobody up. All at once cost twice as much a frame with 64 contexts,
and ten times with a thousand: each waits for the interpreter, and asks for it anew every 5 ms."""

_TURN = 0.001
"""Seconds that the reader waits for more before it wakes the next few."""

_AT_ONCE = Deadline(0.0)

log = logging.getLogger("cartesia_sync")
_numbers = itertools.count(1)


class Link:
    """What the threads of one connection share. It outlives its wires: a lost one is replaced when it is needed.

    The flow:

        user thread --Context.push--> say [send lock] --> wire.write --> service
        user thread <--receive-- Mailbox <--put, seal-- reader: wire.read -> codec -> Router [state lock]

    Locks, in the only order in which they may be taken:

        _connect_lock    one thread opens a wire, the others wait for it; held while dialling, by no reader
        _send_lock       the order of messages; held across wire.write, never taken by the reader
        _state_lock      _wire, _reader, _loss, _is_closed, _router, _lines, _by_hand, _bells, and each line's state,
                         wire, said, loss, ended_by, awaits_replay and is_set_aside; never held across I/O, users'
                         code, or a wait other than for a thread's start
        Mailbox._lock    what is in the mailbox, and whether it is sealed; the lock of its queue.Queue comes below it
        Duplex._io_lock  (leaf) one send or recv that cannot block

    Who wakes whom:

        receiver  waits on its mailbox      woken by the reader, cancel() or close()   bound: its clocks, or the end
        sender    waits on _send_lock       woken by the sender before it              bound: the write clock
        sender    waits for its bytes       woken by the peer, or shut()               bound: the write clock
        pusher    waits on _connect_lock    woken by the thread that connects          bound: the connect clock
        reader    waits on the socket       woken by a frame, the stream's end, shut() bound: the ping interval, or
                                            a millisecond while there are receivers to wake
        close()   waits for the reader      woken by the reader's exit                 bound: the close clock, twice

    All other attributes are set before the first reader starts, and never again.

    Attributes:
        stray_events: How many came for an id that was never opened here, or could not be read; they were dropped.
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
        self._allowance = max_queued_bytes  # the reader's own: what may come before all that waits is added up again
        self._connect_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._router: Router[Line] = Router()
        self._wire: Optional[Wire] = None
        self._reader: Optional[threading.Thread] = None
        self._loss: CartesiaError = WebSocketConnectionClosedError("The connection was never opened.")
        self._is_closed = False
        self._closing = threading.Event()  # set with _is_closed; cuts the wait before another try to connect short
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()  # guarded by _state_lock, as are the next two
        self._by_hand: dict[str, Line] = {}
        self._bells: tuple[Bell, ...] = ()
        # Lines whose context is gone. A finalizer adds to it, in whatever thread and under whatever lock the collector
        # runs: so it takes none. The reader and open() see to them.
        self._forgotten: deque[Line] = deque()
        self.stray_events = 0

    @property
    def late_events(self) -> int:
        """How many events came for a context that had ended; they were dropped."""
        return self._router.late

    # ---- connecting

    def connect(self) -> Wire:
        """Give the open wire; open one, and start its reader, if there is none.

        Raises:
            WebSocketConnectionClosedError: After ``close``.
            CartesiaError: As ``wire.connect``.

        Threads: any; one connects, the others wait for it. Waits at most for the connect clock.
        """
        deadline = Deadline(self._timeout.connect)
        if not self._connect_lock.acquire(timeout=deadline.left_or_forever()):
            raise ConnectTimeoutError(
                f"Another thread was still connecting after {deadline.seconds} s.", timeout=deadline.seconds
            )
        try:
            with self._state_lock:
                if self._is_closed:
                    raise self._closed()
                if self._wire is not None:
                    return self._wire
            wire = self._dial_with_retries(deadline)
            reader = threading.Thread(
                target=self._read, args=(wire,), name=f"cartesia-sync-reader-{next(_numbers)}", daemon=True
            )  # a daemon, so that a forgotten connection cannot hold the interpreter
            try:
                with self._state_lock:
                    if self._is_closed:
                        raise self._closed()
                    process.remember(self)
                    reader.start()  # under the lock: close() joins no thread that has not been started
                    self._wire = wire
                    self._reader = reader
            except BaseException:  # Ctrl-C too: nothing stays open
                wire.free()
                raise
            return wire
        finally:
            self._connect_lock.release()

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
            if self._closing.wait(pause):
                raise self._closed()
        raise AssertionError  # not reached: the count has no end

    # ---- contexts: any thread

    def open(self, line: Line) -> None:
        """Register a context; its events reach its mailbox from now on.

        Raises:
            ContextStateError: The id is taken, or was used before.
            WebSocketConnectionClosedError: After ``close``.
        """
        self._drop_forgotten(self._wire)
        with self._state_lock:
            if self._is_closed:
                raise self._closed()
            self._router.open(line.context_id, line)
            self._lines.add(line)
            for bell in self._bells:
                line.mailbox.add_bell(bell, weakref.ref(line))

    def say(self, line: Line, message: bytes, move: Move, *, note: Callable[[], None]) -> None:
        """Send one message of a context. A new context's first one opens a wire if the last one is lost.

        Args:
            line: The context.
            message: The message's bytes.
            move: What it does to the context's life.
            note: Writes down what was said; called under the send lock, before the message leaves.

        Raises:
            ContextStateError: The context's life does not allow it.
            TruncatedError: The context's connection is lost.
            WebSocketConnectionClosedError: After ``close``, or when the connection is lost and may not be reopened.
            WriteTimeoutError: The service did not take it in time.

        Threads: any. Waits for the messages before it and for its own to leave: each at most the write clock, and
            where a wire must be opened the connect clock too.
        """
        for is_retry in (False, True):
            wire = self._wire_for(line)
            with _Sending(self._send_lock, Deadline(self._timeout.write)) as deadline:
                with self._state_lock:
                    line.move(move)
                    line.wire = wire
                    if not is_retry:
                        line.keep(message)  # with the move: from now on it may be set aside, and said again as kept
                if not is_retry:
                    note()
                try:
                    wire.write(message, deadline)
                except APIConnectionError as error:
                    if self._is_to_be_replayed(line):
                        return
                    if not is_retry and self._takes_back(line, wire, error):
                        continue
                    if not line.said:
                        self._give_up(line, error)  # which the reader leaves to us
                    raise
                with self._state_lock:
                    if line.is_set_aside:
                        return  # the reader has set it aside meanwhile: this will be said again with the rest
                    line.said += 1
                    # The reader spares a context whose first message is on its way; it may have ended meanwhile.
                    is_lost = self._wire is not wire and self._router.is_live(line.context_id)
                    if is_lost:
                        self._lose_locked(line, self._loss)
                if is_lost:
                    line.mailbox.seal(line.end(self._loss))
            log.debug("context %s: sent %d bytes", line.context_id, len(message))
            return

    def _wire_for(self, line: Line) -> Wire:
        """Give the wire that this context speaks on, opening one for a context that is new."""
        with self._state_lock:
            if line.loss is not None:
                raise line.lost(line.loss)
            if self._is_closed:
                raise self._closed()
            line.move(Move.SEND)  # nobody connects for a context that has ended
            if self._wire is not None and line.wire in (None, self._wire):
                return self._wire
            if line.said:
                raise line.lost(self._loss)
            line.wire = None
            if not self._may_reconnect:
                raise self.lost()
        log.debug("context %s: opening a new connection", line.context_id)
        return self.connect()

    def lost(self) -> WebSocketConnectionClosedError:
        """Make the exception of a caller who needs a connection that is gone."""
        error = WebSocketConnectionClosedError(
            str(self._loss), code=getattr(self._loss, "code", None), reason=getattr(self._loss, "reason", "")
        )
        error.__cause__ = self._loss
        return error

    def _takes_back(self, line: Line, wire: Wire, error: CartesiaError) -> bool:
        """After a failed write: whether the context is as new as before it, and may try another wire.

        No message has left whole, so that the service cannot act on any.
        """
        with self._state_lock:
            if self._wire is wire and not self._is_closed:  # after close() its own reason stands
                self._wire, self._loss = None, error  # until the reader says its own, which holds no user's frames
            if not isinstance(error, WebSocketConnectionClosedError):
                return False  # the service was too slow; another connection is no faster
            if line.said or not self._may_reconnect or self._is_closed or line.state is State.CANCELLING:
                return False
            line.wire, line.state = None, State.OPEN
            return True

    def _is_to_be_replayed(self, line: Line) -> bool:
        """After a failed write: whether the message is kept, and will be said again with the rest."""
        with self._state_lock:
            return line.is_set_aside or (self._may_reconnect and line.said > 0 and line.is_to_be_replayed)

    def replay(self, line: Line) -> None:
        """Say a context again on a new connection: one that is to be replayed, and of which nothing was heard.

        Threads: the receiver's. Waits for a connection and for the messages to leave; if that fails, the context
        ends with the reason.
        """
        with self._state_lock:
            if not line.awaits_replay or line.state is not State.FINISHING:
                return
            line.awaits_replay = False
            kept, line.kept = line.kept or [], None  # once
        try:
            wire = self.connect()
            with _Sending(self._send_lock, Deadline(self._timeout.write)) as deadline:
                with self._state_lock:
                    if not self._router.is_live(line.context_id):
                        return  # cancelled meanwhile
                    line.wire = wire
                line.first_said_at = line.said_at = time.monotonic()
                for message in kept:
                    wire.write(message, deadline)
            with self._state_lock:
                line.said = len(kept)
                loss = self._loss if self._wire is not wire else None
        except CartesiaError as error:
            loss = error
        if loss is not None:
            self._give_up(line, loss)

    def _give_up(self, line: Line, loss: CartesiaError) -> None:
        with self._state_lock:
            if not self._router.is_live(line.context_id):
                return
            self._lose_locked(line, loss)
        line.mailbox.seal(line.end(loss))

    def fail(self, line: Line, error: BaseException) -> None:
        """End a context because the text for it could not be had; its receiver gets that error.

        Threads: any. Waits as ``cancel``.
        """
        if line.mailbox.seal(End(lambda: error)):
            self.cancel(line, discard=False, excuse=False)

    def finish_unsaid(self, line: Line) -> bool:
        """End a context on which nothing was said, without a word to the service; False if there is a word to say."""
        with self._state_lock:
            if line.said or line.wire is not None or line.state is not State.OPEN:
                return line.state is not State.OPEN
            line.move(Move.END)
            self._router.end(line.context_id)
        line.mailbox.seal(End())
        return True

    def cancel(self, line: Line, *, discard: bool, excuse: bool = True) -> None:
        """End a context at once, and tell the service if it can be told.

        Threads: any. Waits for the message to leave, at most for the write clock; the receiver is woken before that.
        """
        if isinstance(self._loss, ForkedError):
            return  # the parent's, and none of ours
        with self._state_lock:
            is_news = line.state in (State.OPEN, State.FINISHING)
            if is_news:
                line.move(Move.CANCEL)
                self._router.end(line.context_id)
            wire = line.wire if line.wire is self._wire else None
        if excuse:
            line.mailbox.excuse(discard=discard)
        if not is_news or wire is None:
            return
        try:
            with _Sending(self._send_lock, Deadline(self._timeout.write)) as deadline:
                wire.write(_cancel_message(line), deadline)
        except APIConnectionError as error:
            log.debug("context %s: the service could not be told of the cancel: %s", line.context_id, error)

    def forget(self, line: Line) -> None:
        """Take note that nobody can receive this context any more.

        Threads: any, a finalizer included: takes no lock.
        """
        self._forgotten.append(line)

    def _drop_forgotten(self, wire: Optional[Wire]) -> None:
        """End the contexts that nobody can receive any more, and cancel what is still spoken of them.

        By itself, since a variable of the reader's loop would hold the last of them until the next.
        """
        if self._forgotten:
            gone = []
            with self._state_lock:
                while self._forgotten:
                    line = self._forgotten.popleft()
                    if self._router.peek(line.context_id) is line:  # not another one, which has the id it was refused
                        self._end_locked(line)
                        gone.append(line)
            for line in gone:
                line.mailbox.seal(End())  # somebody may hold the context still, and have dropped its speech alone
                if wire is not None and line.wire is wire:
                    wire.post(_cancel_message(line))

    # ---- hearing all contexts at once: any thread

    def readable_lines(self) -> list[Line]:
        """Give every context that somebody can still hear, whether or not it has ended."""
        with self._state_lock:
            return list(self._lines)

    def hold(self, line: Line) -> None:
        """Keep a context that has no handle, until ``let_go``."""
        with self._state_lock:
            self._by_hand[line.context_id] = line

    def let_go(self, line: Line) -> None:
        """Keep it no longer."""
        with self._state_lock:
            self._by_hand.pop(line.context_id, None)

    def find(self, context_id: str) -> Optional[Line]:
        """Give the live context of that id."""
        with self._state_lock:
            return self._router.peek(context_id)

    def hang(self, bell: Bell) -> list[Line]:
        """Let it ring for every item of every context from now on, new contexts included, and for a loss.

        Gives the contexts that there are, in which something may be waiting.
        """
        with self._state_lock:
            self._bells += (bell,)
            lines = list(self._lines)
        for line in lines:
            line.mailbox.add_bell(bell, weakref.ref(line))
        return lines

    def take_down(self, bell: Bell) -> None:
        """Let it ring no more."""
        with self._state_lock:
            self._bells = tuple(each for each in self._bells if each is not bell)
            lines = list(self._lines)
        for line in lines:
            line.mailbox.remove_bell(bell)

    # ---- reader thread only

    def _read(self, wire: Wire) -> None:
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
            wire.free()

    def _hear_all(self, wire: Wire) -> None:
        """Read until the wire raises. Silent for one interval: ping; silent for two: lost.

        What has arrived together is passed on together, and to a few receivers at a time: each is woken once for all
        that came, and they do not all want the interpreter at once, which costs more than what they do with it.
        """
        pinged = False
        heard: dict[Line, list[Item]] = {}  # and not passed on yet
        passed_at = 0.0
        try:
            while True:
                message = wire.read(Deadline(_TURN if heard else self._ping_interval))
                if message is None and not heard:
                    if pinged:
                        raise WebSocketConnectionClosedError(
                            f"The service gave no sign of life for {self._ping_interval} s after a ping."
                        )
                    wire.ping()
                    pinged = True
                    continue
                pinged = False
                while message:
                    self._hear(wire, message, heard)
                    message = wire.read(_AT_ONCE) if wire.has_message else None
                due = int((time.monotonic() - passed_at) * RECEIVERS_A_SECOND)
                self._pass_on(wire, heard, min(max(due, FEWEST_RECEIVERS), MOST_RECEIVERS))
                passed_at = time.monotonic()
                self._drop_forgotten(wire)
        finally:
            self._pass_on(wire, heard)

    def _hear(self, wire: Wire, message: bytes, heard: dict[Line, list[Item]]) -> None:
        """Read a message, and add its event to what was heard."""
        try:
            event = codec.decode(message)
        except MalformedEventError as error:
            self._pass_on(wire, heard)
            self._spoil(wire, error)
            return
        item = arrived(event, len(message))
        if event.context_id is None:
            self._pass_on(wire, heard)
            self._tell_all(event, item)
            return
        with self._state_lock:
            line = self._router.find(event.context_id)
            if line is None:
                if not self._router.has_ended(event.context_id):
                    self.stray_events += 1
                return
            if _is_last(event):
                self._end_locked(line)
                line.ended_by = event if isinstance(event, Error) else None
        heard.setdefault(line, []).append(item)
        self._allowance -= len(message)
        if self._allowance < 0:
            self._pass_on(wire, heard)
            self._bound_all(wire)

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
        """Add up what waits in all contexts; where it is too much, end the one in which most waits.

        What waits in one that was ended for this is not counted any more, or the others would follow it.
        """
        lines = [line for line in self.readable_lines() if not line.has_overflowed]
        self._allowance = self._max_queued_bytes - sum(line.mailbox.waiting_bytes for line in lines)
        if self._allowance < 0:
            live = [line for line in lines if not line.mailbox.is_sealed]
            if live:
                largest = max(live, key=lambda line: line.mailbox.waiting_bytes)
                self._overflow(wire, largest, self._max_queued_bytes, "connection")

    def _overflow(self, wire: Wire, line: Line, limit_bytes: int, whose: str) -> None:
        with self._state_lock:
            is_live = self._router.is_live(line.context_id)
            if is_live:
                self._end_locked(line)
        line.has_overflowed = True
        line.mailbox.seal(End(lambda: line.overflowed(limit_bytes, whose)))
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
        """End the context that an unreadable event names; count the event if it names none."""
        with self._state_lock:
            line = None if fault.context_id is None else self._router.find(fault.context_id)
            if line is None:
                self.stray_events += 1
                return
            self._end_locked(line)
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
        with self._state_lock:
            if not self._is_closed:
                self._loss = loss
            if self._wire is wire:
                self._wire = None
            lines = [line for line in self._router.live() if line.wire is wire and line.said]
            to_replay = [line for line in lines if self._may_reconnect and line.set_aside_for_replay()]
            lost = [line for line in lines if not line.awaits_replay]
            for line in lost:
                self._lose_locked(line, loss)
            bells = self._bells
        for line in lost:
            line.mailbox.seal(line.end(loss))
        for line in to_replay:
            line.mailbox.nudge()  # the receiver's thread opens the connection: this one is at its end
        for bell in bells:
            bell.put(None)

    # ---- the end: any thread

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection. Contexts that are not whole end with an error; those that are stay readable.

        Idempotent. Threads: any but the reader. Waits for the service's answer and the reader's end, at most twice
        the close clock.
        """
        deadline = Deadline(self._timeout.close)
        with self._state_lock:
            is_first = not self._is_closed
            self._is_closed = True
            self._closing.set()
            wire, reader = self._wire, self._reader
            loss = self._loss = _closed_by_us() if is_first else self._loss
            lines = self._router.live()
            for line in lines:
                self._lose_locked(line, loss)
        for line in lines:
            line.mailbox.seal(line.end(loss))
        if wire is not None and is_first:
            try:
                with _Sending(self._send_lock, deadline) as deadline:
                    wire.write_close(code, reason, deadline)
            except APIConnectionError:
                wire.shut()  # too late for politeness
        if reader is not None:
            reader.join(deadline.left())
            if reader.is_alive() and wire is not None:
                wire.shut()
                reader.join(self._timeout.close)
            if reader.is_alive():
                warnings.warn(f"{reader.name} has not ended", ResourceWarning, stacklevel=3)

    def abandon(self) -> None:
        """End the connection without a word: nobody holds it any more.

        Threads: any, a finalizer included: takes no lock but one that the same thread may hold already.
        """
        wire = self._wire
        if wire is not None:
            wire.shut()

    @property
    def is_open(self) -> bool:
        """Whether there is a wire."""
        return self._wire is not None

    @property
    def is_spent(self) -> bool:
        """Whether nothing more will come: there is no wire, and every context that spoke on it has been told."""
        with self._state_lock:
            is_open, lines = self.is_open, list(self._lines)
        return not is_open and all(line.mailbox.is_sealed or not line.said for line in lines)

    @property
    def reader(self) -> Optional[threading.Thread]:
        """The thread that reads, or read last."""
        return self._reader

    def leave_to_parent(self) -> None:
        """In a forked child: end everything here without touching the parent's connection.

        Threads: the child's only one. The locks are new, since another thread may have held them at the fork.
        """
        self._connect_lock, self._send_lock, self._state_lock = (threading.Lock() for _ in range(3))
        self._closing = threading.Event()
        forked = ForkedError("This connection was opened before a fork and belongs to the parent; open one here.")
        self._is_closed, self._loss = True, forked
        wire, self._wire, self._reader = self._wire, None, None
        lines = {*self._router.live(), *self._lines}
        self._router, self._bells = Router(), ()
        for line in lines:
            line.leave_to_parent(forked)
        if wire is not None:
            wire.drop()

    def check_process(self) -> None:
        """Refuse a caller in a forked child of the process that opened the connection.

        Raises:
            ForkedError: That is what it is.
        """
        if isinstance(self._loss, ForkedError):
            raise self._closed()


class _Sending:
    """The send lock for one message, within the write clock."""

    def __init__(self, send_lock: threading.Lock, deadline: Deadline) -> None:
        self._send_lock = send_lock
        self._deadline = deadline

    def __enter__(self) -> Deadline:
        if not self._send_lock.acquire(timeout=self._deadline.left_or_forever()):
            raise WriteTimeoutError(
                f"Messages of other threads did not leave within {self._deadline.seconds} s.",
                timeout=self._deadline.seconds,
            )
        return self._deadline

    def __exit__(self, *_: object) -> None:
        self._send_lock.release()


def _is_last(event: object) -> bool:
    return isinstance(event, Done) or (isinstance(event, Error) and event.done)


def _closed_by_us() -> WebSocketConnectionClosedError:
    return WebSocketConnectionClosedError("The connection was closed by close().")


def _cancel_message(line: Line) -> bytes:
    return codec.encode(CancelRequest(context_id=line.context_id))
