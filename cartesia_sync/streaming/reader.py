"""The thread that reads one wire: decode, route, deliver, in fair shares and within a memory budget."""

from __future__ import annotations

import itertools
import queue
import threading
import time
import uuid
from collections import Counter, deque
from typing import Any, Optional, Protocol

from ..errors import (
    APIConnectionError,
    CartesiaError,
    MalformedEventError,
    ProtocolError,
    WebSocketConnectionClosedError,
)
from ..protocol import codec
from ..protocol.events import Chunk, Done, Error, Event
from ..protocol.requests import CancelRequest
from ..transport.deadline import Deadline
from ..transport.websocket.wire import BinaryMessage, Wire
from .channel import Channel
from .mailbox import End, Item, arrived
from .registry import Registry
from .slots import is_refusal

FEWEST_WEIGHED_BYTES = 64
"""What an event weighs at the least: one without audio takes room too."""

FEWEST_RECEIVERS, MOST_RECEIVERS, RECEIVERS_A_SECOND = 8, 64, 2000
"""How many channels' receivers are woken before the reader looks at the wire again: by the time since it last woke
some, so that a reader that is held up itself holds nobody up. All at once cost twice as much a frame with 64 contexts,
and ten times with a thousand: each waits for the interpreter, and asks for it anew every 5 ms."""

_TURN = 0.001
"""Seconds that the reader waits for more before it wakes the next few."""

_AT_ONCE = Deadline(0.0)
_PROTOCOL, _BINARY = 1002, 1003  # close codes, RFC 6455, section 7.4.1
_numbers = itertools.count(1)


class Stats:
    """What the readers of one connection have counted, one after another.

    Attributes:
        stray_events: How many came for an id that was never opened here, or could not be read; they were dropped.
        unreadable_fields: How often which field of an event could not be read; the rest of the event was delivered.
    """

    def __init__(self) -> None:
        self.stray_events = 0
        self.unreadable_fields: Counter[str] = Counter()


class Owner(Protocol):
    """Whom a reader reports to: the link."""

    notes: deque[Any]
    """What is asked for and not carried out yet."""

    def carry_out_notes(self) -> None:
        """Carry out what was asked for without a lock."""

    def lose(self, wire: Wire, loss: CartesiaError) -> None:
        """Take note that a wire has ended."""

    def ask_again(self, channel: Channel, error: Error) -> None:
        """Have a channel that was refused for want of a slot said again, once there is one."""


class Reader:
    """Reads one wire, which is its own from the moment that its thread runs.

    All but ``has_ended``, ``take_back`` and ``has_ended_within`` is the thread's own: what was read and not dispatched
    yet, the memory budget, and the time of the last dispatch.

    Args:
        wire: What to read.
        owner: Whom to report to; held by the thread alone, so that a link and its last reader are no cycle.
        registry: Where the events go.
        stats: Where to count.
        ping_interval: Seconds of silence before a ping, and after it before the wire counts as lost; None is no limit.
        max_queued_bytes: What may wait in all channels together.
    """

    def __init__(
        self,
        wire: Wire,
        owner: Owner,
        registry: Registry,
        stats: Stats,
        *,
        ping_interval: Optional[float],
        max_queued_bytes: int,
    ) -> None:
        self._registry = registry
        self._stats = stats
        self._ping_interval = ping_interval
        self._max_queued_bytes = max_queued_bytes
        # What may come before all that waits is added up again, and the number of what had arrived when half of it had
        # come. A channel whose next event is older than that is behind.
        self._allowance = max_queued_bytes
        self._half_way: tuple[int, Optional[int]] = (max_queued_bytes // 2, None)
        self._read_at = 0.0
        self._undelivered: dict[Channel, list[Item]] = {}
        self._refused: list[tuple[Channel, Error]] = []  # for want of a slot, and to be said again
        self._wires = deque([wire])  # whoever takes it out has it
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.has_ended = False
        self.thread = threading.Thread(
            target=self._run, args=(owner,), name=f"cartesia-sync-reader-{next(_numbers)}", daemon=True
        )  # a daemon, so that a forgotten connection cannot hold the interpreter

    # ---- any thread

    def start(self) -> None:
        """Start the thread. An interrupt may be raised whether or not it runs: see ``take_back``."""
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

    def has_ended_within(self, seconds: Optional[float]) -> bool:
        """Wait for the end; return whether it came in time. Threads: any but the reader's."""
        if not self.has_ended:
            try:
                self._ends.get(timeout=seconds)
            except queue.Empty:
                return self.has_ended
            self._ends.put(None)  # for others who wait
        if self.thread.ident is not None:  # unless it never began
            self.thread.join(seconds)  # which has nothing left to do
        return True

    # ---- reader thread only

    def _run(self, owner: Owner) -> None:
        try:
            for wire in self._wires and (self._wires.popleft(),):  # unless it was taken back
                self._read_to_the_end(wire, owner)
        finally:
            self.has_ended = True
            self._ends.put(None)

    def _read_to_the_end(self, wire: Wire, owner: Owner) -> None:
        """Deliver what comes, until the wire ends; whatever ends it, every receiver is told."""
        loss: CartesiaError = ProtocolError("The reader thread ended for an unknown reason.")
        try:
            self._add_up()
            self._read(wire, owner)
        except APIConnectionError as error:
            loss = error.with_traceback(None)  # its frames would keep the wire alive for as long as anybody asks why
        except BaseException as bug:  # every receiver must get a bug too: it is their exception's cause
            loss = APIConnectionError(f"The reader thread failed: {bug!r}")
            loss.__cause__ = bug
        finally:
            owner.lose(wire, loss)
            wire.release()
            owner.carry_out_notes()

    def _read(self, wire: Wire, owner: Owner) -> None:
        """Read until the wire raises. Silent for one interval: ping; silent for two: lost.

        What has arrived together is dispatched together, and to a few receivers at a time: each is woken once for all
        that came, and they do not all want the interpreter at once, which costs more than what they do with it.
        """
        pinged = False
        undelivered = self._undelivered
        dispatched_at = 0.0
        tick: Optional[Deadline] = None  # the one that goes on after a wake, which is no sign of life
        try:
            while True:
                if owner.notes:
                    owner.carry_out_notes()
                deadline = Deadline(_TURN) if undelivered else tick or Deadline(self._ping_interval)
                message = wire.read(deadline)
                self._read_at = time.monotonic()
                tick = None
                if message is None and not undelivered:
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
                    self._receive(wire, message)
                    message = wire.read(_AT_ONCE) if wire.has_message else None
                if self._refused:
                    for channel, error in self._refused:
                        owner.ask_again(channel, error)
                    self._refused = []
                if self._registry.freed:
                    self._registry.give_slots_back()
                due = int((time.monotonic() - dispatched_at) * RECEIVERS_A_SECOND)
                self._dispatch(wire, min(max(due, FEWEST_RECEIVERS), MOST_RECEIVERS))
                dispatched_at = time.monotonic()
        finally:
            self._dispatch(wire)

    def _receive(self, wire: Wire, message: bytes) -> None:
        """Decode a message, and add its event to what is to be dispatched.

        Raises:
            ProtocolError: Nobody can tell whose message it is, so that no context of the connection can be whole.
        """
        if wire.tap is not None:
            wire.tap.heard(message)
        if isinstance(message, BinaryMessage):
            raise _unattributable(wire, _BINARY, f"a binary message of {len(message)} bytes; events are texts")
        try:
            event = codec.decode(message, self._stats.unreadable_fields)
            if event.context_id is None:
                codec.require_context(event)
        except MalformedEventError as error:
            self._dispatch(wire)
            self._fail(wire, error)
            return
        if event.context_id is None:
            self._dispatch(wire)
            self._broadcast(event, arrived(event, len(message)))
            return
        registry, may_go_on = self._registry, False
        with registry.lock:
            channel = registry.route_locked(event.context_id)
            if channel is None:
                if not registry.has_ended_locked(event.context_id):
                    self._stats.stray_events += 1
                elif _is_last(event):
                    registry.note_last_locked(event.context_id)
                return
            if channel.earlier is not None:
                channel.earlier.shift(event)
            if isinstance(event, Chunk):
                weight = max(len(event.audio), FEWEST_WEIGHED_BYTES)
                if event.audio:
                    before, channel.audio_at = channel.audio_at, self._read_at
                    if before is None:
                        channel.first_audio_at = channel.first_audio_at or self._read_at
                    elif self._read_at - before > channel.longest_gap:
                        channel.longest_gap = self._read_at - before
            else:
                weight = max(len(message), FEWEST_WEIGHED_BYTES)
                if _is_last(event):
                    if isinstance(event, Error):
                        may_go_on = channel.slot is not None and is_refusal(event)
                        if not may_go_on:
                            registry.end_locked(channel, ended_by=event)
                    elif channel.continues:
                        may_go_on = True
                    else:
                        channel.note_done()
                        registry.end_locked(channel)
        if may_go_on:
            goes_on = self._is_said_again if isinstance(event, Error) else self._goes_on
            if goes_on(wire, channel, event):
                return
        item = arrived(event, weight)
        self._undelivered.setdefault(channel, []).append(item)
        self._allowance = allowance = self._allowance - weight
        if allowance < self._half_way[0] and self._half_way[1] is None:
            self._half_way = (self._half_way[0], item[0])
        if allowance < 0:
            self._dispatch(wire)
            self._bound_all(wire)

    def _is_said_again(self, wire: Wire, channel: Channel, error: Event) -> bool:
        """Let a channel that was refused for want of a slot be said again; end one of which something was heard."""
        assert isinstance(error, Error)
        self._dispatch(wire)
        registry = self._registry
        with registry.lock:
            if not registry.is_live_locked(channel):
                return True
            old_id, slot = channel.wire_id, channel.slot
            if slot is None or not channel.can_be_said_again:
                registry.end_locked(channel, ended_by=error)
                return False
            has_said_more = len(channel.messages) > 1
            registry.rename_locked(channel, str(uuid.uuid4()))
            registry.free_slot_locked(channel)
            channel.await_slot()
        slot.refused()
        registry.give_slots_back()
        if has_said_more:  # what crossed the refusal would be spoken under the old id
            wire.post(codec.encode(CancelRequest(context_id=old_id)))
        self._refused.append((channel, error))
        return True

    def _goes_on(self, wire: Wire, channel: Channel, done: Event) -> bool:
        """Let a channel that is not through with its text go on under another id; end any other one."""
        self._dispatch(wire)  # all that came before the end, which the lengths below count
        registry = self._registry
        with registry.lock:
            if not registry.is_live_locked(channel):
                return True  # it had no room for what came before
            rest = channel.rest()
            if rest is None:
                channel.note_done()
                registry.end_locked(channel)
                return False
            registry.rename_locked(channel, str(uuid.uuid4()))
            channel.go_on(wire, rest, done)
            if channel.wire is None:
                registry.free_slot_locked(channel)
        wire.wake()  # so that the rest leaves
        return True

    def _dispatch(self, wire: Wire, receivers: Optional[int] = None) -> None:
        """Deliver to the mailboxes, of so many channels or of all; end those that have no room."""
        for channel in [*itertools.islice(self._undelivered, receivers)]:
            items = self._undelivered.pop(channel)
            is_whole = _is_last(items[-1][1])
            room = channel.count_room(items[:-1] if is_whole else items) + is_whole
            if room < len(items):
                channel.deliver(items[: room - is_whole])
                self._overflow(wire, channel, channel.mailbox.limit_bytes, "context")
                continue
            channel.deliver(items)
            if is_whole:
                channel.mailbox.seal(End())

    def _add_up(self) -> list[Channel]:
        """Add up what waits in all channels, for the allowance; return them."""
        channels = self._registry.readable()
        self._allowance = self._max_queued_bytes - sum(channel.mailbox.waiting_bytes for channel in channels)
        return channels

    def _bound_all(self, wire: Wire) -> None:
        """Add up what waits in all channels; while it is too much, end the one in which most waits.

        Of those that are behind, as long as there are any: one that keeps up may have just got a large message. Those
        that are whole and that nobody reads count, and may be the one. What waited in it is dropped, or the next one
        would follow.
        """
        _, half_way = self._half_way
        while True:
            channels = self._add_up()
            if self._allowance >= 0:
                self._half_way = (self._allowance // 2, None)
                return
            waiting = [(channel.mailbox.first_number, channel.mailbox.waiting_bytes, channel) for channel in channels]
            behind = [each for each in waiting if each[1] and half_way is not None and each[0] < half_way]
            _, _, most = max(behind or waiting, key=lambda each: each[1])
            self._overflow(wire, most, self._max_queued_bytes, "connection", discard=True)

    def _overflow(self, wire: Wire, channel: Channel, limit_bytes: int, whose: str, *, discard: bool = False) -> None:
        """End a channel whose events nobody takes, and cancel it."""
        registry = self._registry
        with registry.lock:
            is_live = registry.is_live_locked(channel)
            if is_live:
                registry.end_locked(channel, is_cancelled=True)
        end = End(lambda: channel.overflowed(limit_bytes, whose), discards=discard)
        if discard:
            channel.mailbox.replace_end(end)
        else:
            channel.mailbox.seal(end)
        if is_live:
            wire.post(cancel_message(channel))

    def _broadcast(self, event: Event, item: Item) -> None:
        """Deliver an error of the whole connection to every channel that speaks on it; it ends none of them."""
        if not isinstance(event, Error):
            self._stats.stray_events += 1
            return
        with self._registry.lock:
            channels = [channel for channel in self._registry.live() if channel.wire is not None]
        for channel in channels:
            channel.deliver_notice(event, item)

    def _fail(self, wire: Wire, fault: MalformedEventError) -> None:
        """End the channel that an unreadable event names; the connection, if nobody can tell whose it is."""
        if fault.context_id is None:
            raise _unattributable(wire, fault.close_code or _PROTOCOL, f"what is no event: {fault}")
        registry = self._registry
        with registry.lock:
            channel = registry.route_locked(fault.context_id)
            if channel is not None:
                registry.end_locked(channel, is_cancelled=True)
            elif registry.has_ended_locked(fault.context_id):
                return
        if channel is None:
            raise _unattributable(wire, _PROTOCOL, f"an event of no context of ours that is not valid: {fault}")
        channel.mailbox.seal(End(lambda: channel.broken(fault)))
        wire.post(cancel_message(channel))


def cancel_message(channel: Channel) -> bytes:
    """Return the message by which the service is told to stop speaking."""
    return codec.encode(CancelRequest(context_id=channel.wire_id))


def _is_last(event: object) -> bool:
    return isinstance(event, Done) or (isinstance(event, Error) and event.done)


def _unattributable(wire: Wire, code: int, what: str) -> ProtocolError:
    wire.send_close(code)
    return ProtocolError(f"The service sent {what}. Nobody can tell whose it is, so this ended the connection.")
