"""A connection's send side and its end: messages in line on a wire, and what becomes of channels when it is lost."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import warnings
from collections import deque
from typing import TYPE_CHECKING, Callable, Optional

from ..errors import (
    APIConnectionError,
    CartesiaError,
    ConcurrencyError,
    ConnectTimeoutError,
    ForkedError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from ..protocol.events import Error
from ..protocol.lifecycle import CONNECTION, ChannelMove, ChannelState, ConnectionMove, ConnectionState, followed
from ..protocol.timeouts import Timeout
from ..transport import retry
from ..transport.credential import RaisedOutside, untouched
from ..transport.deadline import Deadline
from ..transport.locks import NotAcquiredError, TimedLock, is_owned, raise_unless_not_acquired, within
from ..transport.websocket.duplex import Frame
from ..transport.websocket.wire import Wire
from . import forks
from .channel import Channel, Message
from .mailbox import End, Notifications, arrived
from .reader import FEWEST_WEIGHED_BYTES, Reader, Stats, cancel_message
from .registry import Registry
from .slots import STALLED, HasSlotError, Slots, release

if TYPE_CHECKING:
    from ..limits.gate import Ticket

MAX_CONNECTION_QUEUED_BYTES = 256 << 20
"""What may wait in all contexts of a connection together: four that have stopped reading, before others are hurt."""

_CANCEL, _DISCARD, _CLOSE, _ABANDON = "cancel", "discard", "close", "abandon"

log = logging.getLogger("cartesia_sync")


class Link:
    """What the threads of one connection share. It outlives its wires: a lost one is replaced when it is needed.

    The flow:

        user thread --Context.push--> Link.send [lock] --> wire.unsent --> service
        user thread <--receive-- Mailbox <--deliver, seal-- Reader: wire.read -> codec -> Registry [lock]

    Locks, in the only order in which they may be taken:

        _connect_lock    one thread opens a wire, the others wait for it; held while dialling, by no reader; a user's
                         function that gives tokens is asked meanwhile
        Registry.lock    the state, _wire, _reader, _loss, the registry, and what a channel says that it guards; never
                         held across I/O, users' code, or a wait
        Duplex._io_lock  (leaf) one send or recv that cannot block
        _Outbox._lock    (leaf) what is to be told an inspector; a few steps

    Each is taken by ``with`` over C code alone (see locks.py), and what is done under Registry.lock is done in one step
    at its end, so that an interrupt before it changes nothing. A thread that holds one may be interrupted by a signal's
    handler or a finalizer. So ``cancel``, ``close``, ``discard`` and ``abandon`` take none: they leave a note, which
    the reader carries out, or where there is none the next ``open``. A mailbox has no lock.

    Who wakes whom:

        receiver  waits on its mailbox      woken by the reader, cancel() or close()   bound: its timeouts, or the end
        sender    waits for its frame       woken by the reader, at the frame's end    bound: the write timeout
                                            or its own
        pusher    waits for its slot        woken by whoever gives one back            bound: limit_wait, and a look
                                                                                       each 250 ms
        repeater  waits for a slot          woken by whoever gives one back            bound: likewise
        pump      waits for its turn        woken by the timer, which does not wait    bound: 10 s
        timer     waits for what is due     woken by whoever asks for more             bound: the time until it is due
        pusher    waits on _connect_lock    woken by the thread that connects          bound: the connect timeout
        reader    waits on the socket       woken by a frame, the stream's end, wake() bound: the ping interval, or
                                            or shutdown()                              a millisecond while there are
                                                                                       receivers to wake
        close()   waits for the reader      woken by the reader's exit                 bound: the close timeout, twice

    All other attributes are set before the first reader starts, and never again.

    Attributes:
        notes: What ``cancel``, ``close``, ``discard`` and ``abandon`` ask for, not carried out yet.
        registry: The channels.
        stats: What the readers have counted.
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
        slots: Optional[Slots] = None,
    ) -> None:
        self._dial = dial
        self._timeout = timeout
        self._ping_interval = ping_interval
        self._may_reconnect = reconnect
        self._max_retries = max_retries
        self._max_queued_bytes = max_queued_bytes
        self._slots = slots
        self._process = os.getpid()
        self._connect_lock = TimedLock()
        self.registry = Registry()
        self._state = ConnectionState.NEW
        self._wire: Optional[Wire] = None
        self._reader: Optional[Reader] = None
        self._loss: CartesiaError = WebSocketConnectionClosedError("The connection was never opened.")
        self.opened_at: Optional[float] = None  # when the wire in use, or the last one, was
        # No lock guards these: each is changed by one call of C code.
        self._closers: list[tuple[int, str]] = []  # what close() was called with; whoever came first counts
        self._closing: queue.SimpleQueue[None] = queue.SimpleQueue()  # cuts a wait before another try to connect short
        self.notes: deque[tuple[str, Optional[Channel]]] = deque()
        self.stats = Stats()

    # ---- the state

    @property
    def state(self) -> ConnectionState:
        """The state; a close that was asked for counts."""
        if self._closers and self._state is not ConnectionState.FORKED:
            return ConnectionState.CLOSED
        return self._state

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called, or the connection is another process's."""
        return self.state in (ConnectionState.CLOSED, ConnectionState.FORKED)

    @property
    def is_open(self) -> bool:
        """Whether there is a wire."""
        return self._wire is not None

    def _move_locked(self, move: ConnectionMove, *, wire: Optional[Wire] = None, loss: CartesiaError) -> None:
        """Move the state by its table, with the wire in use from now on and the reason for whoever finds none."""
        assert is_owned(self.registry.lock)
        state = followed(CONNECTION, self._state, move)
        self._state, self._wire, self._loss = state, wire, loss
        if move is ConnectionMove.CONNECT:
            self.opened_at = time.monotonic()

    # ---- connecting

    def connect(self) -> Wire:
        """Return the open wire; open one, and start its reader, if there is none.

        Raises:
            WebSocketConnectionClosedError: After ``close``.
            CartesiaError: As ``handshake.connect``.

        And what a user's function raised that gives tokens.

        Threads: any; one connects, the others wait for it. Waits at most for the connect timeout; a function that gives
            tokens runs in this thread, and is not cut short.
        """
        return untouched(self._connect)

    def _connect(self) -> Wire:
        """Do as ``connect`` does; what a user's function raised comes out as ``RaisedOutside``."""
        self.check_process()
        deadline = Deadline(self._timeout.connect)
        try:
            with self._connect_lock.within(deadline.left()) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                return self._connect_in_turn_locked(deadline)
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            raise ConnectTimeoutError(
                f"Another thread was still connecting after {deadline.seconds} s.", timeout=deadline.seconds
            ) from None

    def _connect_in_turn_locked(self, deadline: Deadline) -> Wire:
        assert self._connect_lock.is_ours
        with self.registry.lock:
            if self.is_closed:
                raise self._closed()
            if self._wire is not None:
                return self._wire
        wire = self._dial_with_retries(deadline)
        reader = Reader(
            wire,
            self,
            self.registry,
            self.stats,
            ping_interval=self._ping_interval,
            max_queued_bytes=self._max_queued_bytes,
        )
        try:
            forks.remember(self)
            with self.registry.lock:
                if self.is_closed:
                    raise self._closed()
                self._reader = reader
                self._move_locked(ConnectionMove.CONNECT, wire=wire, loss=self._loss)
            reader.start()
        except BaseException as error:  # Ctrl-C too: nothing stays open
            # The wire is the reader's as soon as its thread has begun.
            if not reader.take_back():
                raise
            failed = APIConnectionError(f"The connection's reader thread cannot be started: {error}")
            self.lose(wire, failed)
            wire.release()
            if isinstance(error, RuntimeError):  # no more threads: the system's limit, or the interpreter is at its end
                raise failed from error
            raise
        return wire

    def _closed(self) -> CartesiaError:
        """Make the exception of a caller who comes after ``close``, or in another process."""
        return ForkedError(str(self._loss)) if self._state is ConnectionState.FORKED else _closed_by_us()

    def _dial_with_retries(self, deadline: Deadline) -> Wire:
        """Dial, and again after a failure that may pass: the service has no room, has failed, or is not there."""
        return retry.with_retries(
            lambda: self._dial(deadline),
            max_retries=self._max_retries,
            log=lambda error, pause: log.debug("connecting again in %.2f s: %s", pause, error),
            wait=self._wait_unless_closed,
            deadline=deadline,
        )

    def _wait_unless_closed(self, seconds: float) -> None:
        """Wait so long.

        Raises:
            CartesiaError: ``close`` was called, which cuts the wait short.
        """
        try:
            self._closing.get(timeout=seconds)
        except queue.Empty:
            return
        raise self._closed()

    # ---- channels: any thread

    def open(self, channel: Channel) -> None:
        """Register a channel; its events reach its mailbox from now on.

        Raises:
            ContextStateError: The id is taken, or was used before.
            WebSocketConnectionClosedError: After ``close``.
        """
        self.check_process()
        self._check_reentry()
        self.carry_out_notes()
        with self.registry.lock:
            if self.is_closed:
                raise self._closed()
            self.registry.open_locked(channel)

    def _check_reentry(self) -> None:
        """Refuse a caller who interrupted this very thread in the middle of a step.

        Raises:
            ConcurrencyError: A signal's handler or a finalizer, called under our lock.
        """
        if is_owned(self.registry.lock):
            raise ConcurrencyError(
                "this was called by a signal handler or a finalizer, in the middle of another call on the same "
                "connection; from there only cancel() and close() may be"
            )

    def send(self, channel: Channel, message: Message) -> None:
        """Send one message of a channel. A new channel's first one opens a wire if the last one is lost.

        Interrupted, the message is in ``channel.messages`` and leaves whole, once, or it is not and does not leave.

        Raises:
            ContextStateError: The channel's state does not allow it.
            TruncatedError: The channel's connection is lost.
            WebSocketConnectionClosedError: After ``close``, or when the connection is lost and may not be reopened.
            WriteTimeoutError: The service did not take it in time.

        Threads: any. Waits for the messages before it and for its own to leave: together at most the write timeout,
            and where a wire must be opened the connect timeout too.
        """
        self.check_process()
        self._check_reentry()
        wire: Optional[Wire] = None
        try:
            while True:
                ready = self._readied(channel, message)
                if ready is None:
                    return
                if self._slots is not None and self._waits_with(channel, ready, self._slots):
                    return
                wire = self._wire_for(channel, message.move)
                deadline = Deadline(self._timeout.write)
                frame = self._put_in_line(channel, wire, ready)
                if frame is None:
                    continue  # the wire was lost meanwhile, or another thread sent something
                self._finish(channel, wire, frame, deadline)
                log.debug("context %s: sent %d bytes", channel.context_id, len(ready.payload))
                return
        except BaseException:  # an interrupt: what stands in line is the reader's from now on
            if wire is not None:
                wire.wake()
            if channel.slot is not None:
                self._free_unused_slot(channel)
            raise

    def _waits_with(self, channel: Channel, message: Message, slots: Slots) -> bool:
        """Wait for a channel's slot, if it has none; True if the message waits with others, to be said again.

        Raises:
            SlotTimeoutError, SlotDeadlockError, LimitError: There is none for it.
            ContextStateError, TruncatedError, WebSocketConnectionClosedError: As ``send``, also while it waits.
        """
        while True:
            with self.registry.lock:
                if channel.awaits_slot and channel.is_ready(message):
                    channel.hold(message)
                    return True
                if channel.slot is not None or channel.awaits_slot:
                    return False
            try:
                self._check_waiting(channel, message.move)
                slot = slots.acquire(channel, lambda: self._check_waiting(channel, message.move))
            except HasSlotError:
                continue
            with self.registry.lock:
                if self._takes_slot_locked(channel, slot):
                    return False
            release(slot)

    def _free_unused_slot(self, channel: Channel) -> None:
        """Give back the slot of a channel of which nothing stands in line."""
        with self.registry.lock:
            if not channel.messages:
                self.registry.free_slot_locked(channel)
        self.registry.give_slots_back()

    def _takes_slot_locked(self, channel: Channel, slot: Ticket) -> bool:
        """Give a channel the slot that was waited for, if it needs it still."""
        assert is_owned(self.registry.lock)
        if channel.slot is not None or channel.awaits_slot or not self.registry.is_live_locked(channel):
            return False
        channel.slot = slot
        return True

    def _check_waiting(self, channel: Channel, move: ChannelMove) -> None:
        """Raise what ends the wait for a slot."""
        self.check_process()
        with self.registry.lock:
            if channel.loss is not None:
                raise channel.lost(channel.loss)
            if self.is_closed:
                raise self._closed()
            channel.state_after(move)
            if channel.slot is not None or channel.awaits_slot:
                raise HasSlotError

    def ask_again(self, channel: Channel, error: Error) -> None:
        """Have a channel that was refused said again once there is a slot for it. Threads: the reader."""
        assert self._slots is not None
        self._slots.ask_again(self, channel, error)

    def say_again(self, channel: Channel, slot: Ticket) -> None:
        """Put all messages of a refused channel in line.

        Threads: the repeater's. Waits for a connection, at most for the connect timeout.
        """
        try:
            while True:
                wire = self._connect_for(channel, self._connect)
                messages = list(channel.messages)
                frames = [wire.frame(message.payload) for message in messages]
                with self.registry.lock:
                    if not channel.awaits_slot or not self.registry.is_live_locked(channel):
                        break  # cancelled meanwhile
                    if self._wire is wire and len(messages) == len(channel.messages):
                        channel.slot = slot
                        channel.send_all(wire, messages, frames, move=None)
                        wire.wake()  # so that it leaves
                        wire.tell(messages)
                        return
        except CartesiaError as error:
            self._fail_send(channel, error)
        except RaisedOutside as outside:
            self.fail(channel, outside.error)
        release(slot)

    def refuse(self, channel: Channel, error: Error) -> None:
        """End a refused channel for which no slot came in time, with what the service had said.

        Threads: the repeater's; no reader delivers to a channel that is on no wire.
        """
        with self.registry.lock:
            if not channel.awaits_slot or not self.registry.is_live_locked(channel):
                return
            # Counted as a refusal that was gone over, which it is no more.
            self.registry.end_locked(channel, ended_by=error, refusals=channel.refusals - 1)
        channel.deliver([arrived(error, FEWEST_WEIGHED_BYTES)])
        channel.mailbox.seal(End())

    def free_idle(self, seconds: float) -> bool:
        """Free the slots of channels that have been silent for so long; return whether there are others.

        One whose text is all sent is given longer: its audio is still to come.

        Threads: the timer's. Does not wait.
        """
        self.check_process()
        now, is_needed, silent = time.monotonic(), False, []
        with self.registry.lock:
            for channel in self.registry.live():
                bound = seconds if channel.state is ChannelState.OPEN else max(seconds, STALLED)
                if channel.slot is None:
                    pass
                elif max(channel.sent_at, channel.heard_at or 0.0) + bound <= now:
                    silent.append(channel.context_id)
                    self.registry.free_slot_locked(channel)
                else:
                    is_needed = True
        self.registry.give_slots_back()
        for context_id in silent:
            log.debug("context %s: was silent for %s s, and has given its slot back", context_id, seconds)
        return is_needed

    def _readied(self, channel: Channel, message: Message) -> Optional[Message]:
        """Return a message as it may leave now: under the channel's id, and led by what was held back.

        None where it is held back itself, since the service refuses a first message without a letter or digit.

        Raises:
            ContextStateError: The channel's state does not allow it.
        """
        with self.registry.lock:
            wire_id, leading = channel.wire_id, list(channel.leading)
            if channel.has_to_wait(message):
                channel.state_after(message.move)
                if message.transcript:
                    channel.leading.append(message.transcript)
                is_last = message.move is ChannelMove.FINISH
            elif leading or message.wire_id != wire_id:
                return message.under(wire_id, leading)
            else:
                return message
        if is_last:
            self.finish_unsent(channel)
        return None

    def post(self, channel: Channel, message: Message) -> bool:
        """Put one message of a channel in line on the open wire, and do not wait for it to leave.

        Returns False where it is not in line: there is no wire, or it is not this channel's.

        Raises:
            ContextStateError: The channel's state does not allow it.

        Threads: any. Does not wait.
        """
        self.check_process()
        self._check_reentry()
        ready = self._readied(channel, message)
        if ready is None:
            return True
        wire = self._wire
        if wire is None or channel.wire not in (None, wire) or self._put_in_line(channel, wire, ready) is None:
            return False
        wire.wake()  # what stands in line is the reader's from now on
        return True

    def _put_in_line(self, channel: Channel, wire: Wire, message: Message) -> Optional[Frame]:
        """Put a message in line, with those before it where the wire is new to the channel; None if all has changed."""
        sent = list(channel.messages) if channel.wire is not wire else None
        frame = wire.frame(message.payload)
        frames = [] if sent is None else [wire.frame(each.payload) for each in sent]
        with self.registry.lock:
            channel.state_after(message.move)
            if self._wire is not wire or not channel.is_ready(message):
                return None
            if self._slots is not None and channel.slot is None:
                return None  # it was given back meanwhile, or refused
            if channel.wire is wire:
                channel.send(wire, message, frame)
            elif channel.wire is None and sent is not None and len(sent) == len(channel.messages):
                channel.send_all(wire, [*sent, message], [*frames, frame], move=message.move)
            else:
                return None
            if channel.first_sent_at == message.sent_at:
                channel.mailbox.wake()  # a receiver may have been waiting without a timeout
            wire.tell([*(sent or ()), message])
        if self._slots is not None:
            self._slots.note_push(self, channel, is_last=message.move is ChannelMove.FINISH)
        return frame

    def _finish(self, channel: Channel, wire: Wire, frame: Frame, deadline: Deadline) -> None:
        """Wait for a message to leave, on this wire or, where nothing of the channel has left on it, on another."""
        try:
            wire.finish(frame, deadline)
            return
        except APIConnectionError as error:
            failure = error
        with self.registry.lock:
            if self._wire is wire and not self.is_closed:  # after close() its own reason stands
                # Until the reader comes with its own, which holds no user's frames.
                self._move_locked(ConnectionMove.LOSE, loss=failure)
            if frame.has_left:
                return  # meanwhile
            is_new = not any(each.has_left for each in channel.frames)
            if channel.wire is wire and self._may_be_set_aside_locked(channel, failure):
                channel.set_aside()
        if channel.is_set_aside and is_new:
            try:
                failed = self._resume(channel)
            except RaisedOutside as outside:
                self._fail_send(channel, failure)  # its user, who is told, may say the text again
                raised: Optional[Exception] = outside.error
            else:
                raised = failed
            if raised is not None:
                raise raised
        elif channel.loss is None and channel.wire is not wire:
            channel.mailbox.wake()  # the receiver sends it again, with the rest
        else:
            if is_new:
                self._fail_send(channel, failure)  # the reader leaves it to us
            raise failure

    def _may_be_set_aside_locked(self, channel: Channel, failure: CartesiaError) -> bool:
        assert is_owned(self.registry.lock)
        # A service that was too slow: another connection is no faster.
        is_gone = isinstance(failure, WebSocketConnectionClosedError)
        return is_gone and self._may_reconnect and not self.is_closed and channel.can_be_set_aside

    def _wire_for(self, channel: Channel, move: ChannelMove) -> Wire:
        """Return the wire that this channel speaks on, opening one for a channel that is new or set aside."""
        with self.registry.lock:
            if channel.loss is not None:
                raise channel.lost(channel.loss)
            if self.is_closed:
                raise self._closed()
            channel.state_after(move)  # nobody connects for a context that has ended
            if self._wire is not None and channel.wire in (None, self._wire):
                if channel.found_wire is None:
                    channel.found_wire = True
                return self._wire
            if channel.wire is not None:
                if not self._may_be_set_aside_locked(channel, self._lost()):
                    raise channel.lost(self._loss)
                channel.set_aside()
            if not self._may_reconnect:
                raise self._lost()
        log.debug("context %s: opening a new connection", channel.context_id)
        return self._connect_for(channel, self.connect)

    def _connect_for(self, channel: Channel, connect: Callable[[], Wire]) -> Wire:
        """Do what ``connect`` or ``_connect`` does, and take note of how long a channel waited for it."""
        began_at = time.monotonic()
        if channel.found_wire is None:
            channel.found_wire = False
        try:
            return connect()
        finally:
            channel.connected_in += time.monotonic() - began_at

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

    def resume(self, channel: Channel) -> Optional[CartesiaError]:
        """Send a channel again on a new connection, if it is set aside; return what it failed with, and ended with.

        What a user's function raised that gives tokens is raised as it was, and the channel stays set aside.

        Threads: the receiver's, or the one whose push could not leave. Waits for a connection and for the messages to
            leave, at most for the connect and the write timeout.
        """
        return untouched(lambda: self._resume(channel))

    def _resume(self, channel: Channel) -> Optional[CartesiaError]:
        """Do as ``resume`` does; what a user's function raised comes out as ``RaisedOutside``."""
        wire: Optional[Wire] = None
        try:
            while True:
                wire = self._connect_for(channel, self._connect)
                messages = list(channel.messages)
                frames = [wire.frame(message.payload) for message in messages]
                with self.registry.lock:
                    if not channel.is_set_aside or not self.registry.is_live_locked(channel):
                        return None  # sent again by another thread, or cancelled meanwhile
                    if self._wire is wire and len(messages) == len(channel.messages):
                        channel.send_all(wire, messages, frames, move=None)
                        wire.tell(messages)
                        break
            wire.finish(frames[-1], Deadline(self._timeout.write))
        except CartesiaError as error:
            self._fail_send(channel, error)
            return error
        except BaseException:  # an interrupt: what stands in line is the reader's from now on
            if wire is not None:
                wire.wake()
            raise
        return None

    def _fail_send(self, channel: Channel, loss: CartesiaError) -> None:
        with self.registry.lock:
            if not self.registry.is_live_locked(channel):
                return
            self.registry.end_locked(channel, loss=loss)
        channel.mailbox.seal(channel.end(loss))
        self.registry.give_slots_back()

    def fail(self, channel: Channel, error: BaseException) -> None:
        """End a channel because the text for it could not be had; its receiver gets that error.

        Threads: any. Does not wait.
        """

        def its_error() -> BaseException:
            loss = error.__cause__
            if isinstance(error, TruncatedError) and isinstance(loss, CartesiaError):
                return channel.truncated(loss)  # with what was heard since, and none for two receivers
            return error

        if channel.mailbox.seal(End(its_error)):
            self._request_cancel(channel)

    def finish_unsent(self, channel: Channel) -> bool:
        """End a channel on which nothing was sent, without a message; False if there is one to send."""
        self.check_process()
        self._check_reentry()
        with self.registry.lock:
            if channel.messages or channel.state is not ChannelState.OPEN:
                return channel.state is not ChannelState.OPEN
            done = channel.held_done
            self.registry.end_locked(channel, had_no_words=done is None)
        self.registry.give_slots_back()
        if done is not None:  # under no id on the wire nothing comes, so that the reader puts nothing beside it
            channel.deliver([arrived(done, FEWEST_WEIGHED_BYTES)])
        channel.mailbox.seal(End())
        return True

    def cancel(self, channel: Channel, *, discard: bool) -> None:
        """End a channel at once, and have the reader tell the service.

        Threads: any, at any time, a finalizer or a signal's handler included: takes no lock. Does not wait.
        """
        if self._is_elsewhere():
            return  # the parent's, and none of ours
        channel.mailbox.replace_end(End(discards=discard))
        self._request_cancel(channel)

    def _request_cancel(self, channel: Channel) -> None:
        channel.is_cancel_requested = True
        self._note(_CANCEL, channel)
        if self._wire is None:
            self._carry_out_notes_if_free()

    def discard(self, channel: Channel) -> None:
        """Take note that nobody can receive this channel any more.

        Threads: any, a finalizer included: takes no lock.
        """
        self._note(_DISCARD, channel)

    # ---- notes

    def _note(self, what: str, channel: Optional[Channel] = None) -> None:
        """Leave a note for the reader. Takes no lock."""
        if self._process != os.getpid():
            return  # a finalizer in a child: the reader is the parent's, and so is what wakes it
        slot = None if channel is None else channel.slot
        if slot is not None:
            slot.note_finished()  # it comes back by itself, so this thread may wait for it
        self.notes.append((what, channel))
        wire = self._wire
        if wire is not None:
            wire.wake()

    def carry_out_notes(self) -> None:
        """Carry out what was noted: channels that were cancelled, or that nobody can receive any more; the close.

        On the wire that is in use by then, which need not be the caller's: a reader that is at its end may find a note
        for the wire that has followed its own.

        Each is carried out before it is taken away, and may be twice: an interrupt loses none. A function of its own,
        since a variable of the reader's loop would hold the last channel until the next one.

        Threads: the reader; where there is none, any.
        """
        if not self.notes:
            return
        cancelled: list[Channel] = []
        is_abandoned = False
        with self.registry.lock:
            for what, channel in list(self.notes):
                if channel is None:
                    if what == _CLOSE:
                        self._close_locked()
                    else:
                        is_abandoned = True
                elif self.registry.is_live_locked(channel):
                    if what == _CANCEL:
                        self.registry.cancel_locked(channel)
                    else:
                        self.registry.end_locked(channel, is_cancelled=True)
                    channel.mailbox.seal(End())  # somebody may hold the context still, and have dropped its speech
                    cancelled.append(channel)
                self.notes.popleft()
            wire = self._wire
        self.registry.give_slots_back()
        if wire is None:
            return
        for channel in cancelled:
            if channel.wire is wire:
                wire.post(cancel_message(channel))
        if self._closers:
            wire.send_close(*self._closers[0])
        if is_abandoned:
            wire.shutdown()

    def _carry_out_notes_if_free(self) -> None:
        """Carry out what was noted, where there is no reader to do it and the lock is to be had at once.

        Where it is not, the next ``open`` does it. Waits for no lock: a finalizer may call this.
        """
        if is_owned(self.registry.lock):
            return
        try:
            with within(self.registry.lock, 0.0) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                self.carry_out_notes()
        except RuntimeError as error:
            raise_unless_not_acquired(error)

    def _close_locked(self) -> None:
        assert is_owned(self.registry.lock)
        if self._state is not ConnectionState.FORKED:
            self._move_locked(ConnectionMove.CLOSE, wire=self._wire, loss=_closed_by_us())
        for channel in self.registry.live():
            self.registry.linger_locked(channel)  # the service counts it until it hears of the close
            self.registry.end_locked(channel, loss=self._loss)
            channel.mailbox.seal(channel.end(self._loss))

    # ---- all channels at once: any thread

    def subscribe(self, subscriber: Notifications) -> list[Channel]:
        """Notify a subscriber of every item of every channel; see ``Registry.subscribe``."""
        self.check_process()
        self._check_reentry()
        return self.registry.subscribe(subscriber)

    @property
    def is_spent(self) -> bool:
        """Whether nothing more will come: there is no wire, and every channel that spoke on it has been told."""
        is_open, channels = self.is_open, self.registry.readable()
        return not is_open and all(channel.mailbox.is_sealed or not channel.messages for channel in channels)

    # ---- the end: any thread

    def lose(self, wire: Wire, loss: CartesiaError) -> None:
        """Discard a wire that has ended, and tell the channels that spoke on it.

        Threads: the reader; the thread that connects, where no reader could be started.
        """
        wire.shutdown()  # nothing leaves any more: what has left is certain from now on
        lost = []
        with self.registry.lock:
            reason = self._closed() if self.is_closed else loss
            if self._wire is wire:
                self.registry.end_lingering_locked()
            if self.is_closed:
                if self._wire is wire:
                    self._wire = None
            elif self._wire is wire or self._state is ConnectionState.LOST:
                self._move_locked(ConnectionMove.LOSE, loss=loss)
            for channel in self.registry.live():
                if channel.wire is not wire:
                    continue
                if self._may_reconnect and not self.is_closed and channel.can_be_set_aside:
                    channel.set_aside()
                    channel.mailbox.wake()  # the receiver's thread opens the connection: this one is at its end
                elif channel.is_cancel_requested:
                    pass  # of which there is a note
                else:
                    self.registry.end_locked(channel, loss=reason)
                    lost.append(channel)
            subscribers = self.registry.subscribers
        self.registry.give_slots_back()
        for channel in lost:
            channel.mailbox.seal(channel.end(loss))
        for subscriber in subscribers:
            subscriber.put(None)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection. Contexts that are not whole end with an error; those that are stay readable.

        Idempotent. Threads: any, at any time, a finalizer or a signal's handler included: takes no lock. Waits for the
        service's answer and the reader's end, at most twice the close timeout; but not in a thread that it interrupted
        under a lock of ours or while it connects, nor in the reader's own, where the collector may run a finalizer.
        """
        if self._is_elsewhere():
            return
        self._closers.append((code, reason))
        self._closing.put(None)
        self._note(_CLOSE)
        wire, reader = self._wire, self._reader
        if reader is None or reader.has_ended:
            for channel in self.registry.live():  # nobody else will
                channel.mailbox.seal(channel.end(_closed_by_us()))
            self._carry_out_notes_if_free()
            return
        if is_owned(self.registry.lock) or self._connect_lock.is_ours or reader.is_this_thread:
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
        self._note(_ABANDON)

    @property
    def reader(self) -> Optional[threading.Thread]:
        """The thread that reads, or read last."""
        return None if self._reader is None else self._reader.thread

    def leave_to_parent(self) -> None:
        """In a forked child: end everything here without touching the parent's connection.

        The locks are new, since another thread may have held them at the fork. A second call does nothing.
        """
        if self._state is ConnectionState.FORKED:
            return
        forked = ForkedError("This connection was opened before a fork and belongs to the parent; open one here.")
        wire, channels = self._wire, {*self.registry.live(), *self.registry.readable()}
        self._process = os.getpid()
        self._connect_lock, self.registry, self._reader = TimedLock(), Registry(), None
        with self.registry.lock:
            self._move_locked(ConnectionMove.FORK, loss=forked)
        for channel in channels:
            channel.leave_to_parent(forked)
        if wire is not None:
            wire.detach()

    def _is_elsewhere(self) -> bool:
        """Whether this is a child of the process that opened the connection, whoever forked it and how."""
        if self._process != os.getpid():
            self.leave_to_parent()
        return self._state is ConnectionState.FORKED

    def check_process(self) -> None:
        """Refuse a caller in a forked child of the process that opened the connection.

        Raises:
            ForkedError: That is what it is.
        """
        if self._is_elsewhere():
            raise self._closed()


def _closed_by_us() -> WebSocketConnectionClosedError:
    return WebSocketConnectionClosedError("The connection was closed by close().")
