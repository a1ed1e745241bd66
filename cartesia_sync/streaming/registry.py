"""Which channels a connection has, and who is subscribed to all of them."""

from __future__ import annotations

import functools
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Optional

from ..protocol.lifecycle import ChannelMove
from ..protocol.router import Router
from ..transport.locks import is_owned, owner_check
from .channel import Channel
from .mailbox import Notifications
from .slots import CANCEL_GRACE, release
from .timer import call_later

if TYPE_CHECKING:
    from ..limits.gate import Ticket


class Registry:
    """The channels of one connection: those that events are routed to, and those that somebody can still receive.

    The router holds a channel from ``open`` until its end, by the id that it has on the wire. ``readable`` holds it by
    a weak reference for as long as anybody has it, ended or not. ``retain`` keeps one that has no handle.

    Attributes:
        lock: The link's lock. It guards the router, ``_renamed`` and ``_subscribers``, and is never held across I/O,
            users' code or a wait.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._is_owned = owner_check(self.lock)
        self._router: Router[Channel] = Router()
        self._route = self._router.route
        self._readable: dict[weakref.ref[Channel], None] = {}  # each change is one call of C code
        self._retained: dict[str, Channel] = {}  # likewise
        self._renamed: dict[str, Channel] = {}  # live, by the id that its user has for it, where the wire has another
        self._subscribers: tuple[Notifications, ...] = ()
        self._closed_subscribers: list[Notifications] = []  # by unsubscribe(), which takes no lock
        self.freed: deque[Ticket] = deque()  # slots that whoever had the lock is to give back, once it has it no more
        self._lingering: dict[str, Ticket] = {}  # of channels that were cancelled, until the service's last word

    @property
    def late_events(self) -> int:
        """How many events came for a channel that had ended; they were dropped."""
        return self._router.late

    # ---- with the lock held

    def open_locked(self, channel: Channel) -> None:
        """Route events to a channel from now on.

        Raises:
            ContextStateError: The id is taken, or was used before.
        """
        assert is_owned(self.lock)
        self._router.open(channel.wire_id, channel)
        readable = self._readable
        readable[weakref.ref(channel, lambda gone: readable.pop(gone, None))] = None
        for subscriber in self._subscribers:
            channel.mailbox.subscribe(subscriber, weakref.ref(channel))

    def route_locked(self, context_id: str) -> Optional[Channel]:
        """Return the live channel of an event; count an event that comes too late."""
        assert self._is_owned()
        return self._route(context_id)

    def has_ended_locked(self, context_id: str) -> bool:
        """Whether a channel of that id ended here."""
        assert is_owned(self.lock)
        return self._router.has_ended(context_id)

    def is_live_locked(self, channel: Channel) -> bool:
        """Whether events are routed to this channel, and not to another one that has its id."""
        assert is_owned(self.lock)
        return self._router.get(channel.wire_id) is channel

    def end_locked(self, channel: Channel, *, is_cancelled: bool = False, **facts: Any) -> None:
        """End a live channel, and store why, in one step: see ``Channel.move``; or because we are to cancel it."""
        assert is_owned(self.lock)
        if is_cancelled:
            self._linger_locked(channel)
        channel.move(ChannelMove.END, **facts)
        self._forget_locked(channel)

    def cancel_locked(self, channel: Channel) -> None:
        """End a live channel because its user asked for it."""
        assert is_owned(self.lock)
        self._linger_locked(channel)
        channel.move(ChannelMove.CANCEL)
        self._forget_locked(channel)

    def _linger_locked(self, channel: Channel) -> None:
        """Keep the slot of a channel that the service still counts, until it says that it does not."""
        assert is_owned(self.lock)
        if channel.slot is not None and channel.wire is not None:
            self._lingering[channel.wire_id], channel.slot = channel.slot, None
            call_later(CANCEL_GRACE, functools.partial(_drop, weakref.ref(self), channel.wire_id))

    def free_slot_locked(self, channel: Channel) -> None:
        """Let ``give_slots_back`` give the slot of a channel back."""
        assert is_owned(self.lock)
        if channel.slot is not None:
            self.freed.append(channel.slot)
            channel.slot = None

    def note_last_locked(self, wire_id: str) -> None:
        """Take note of the service's last event of a channel that has ended here."""
        assert is_owned(self.lock)
        slot = self._lingering.pop(wire_id, None)
        if slot is not None:
            self.freed.append(slot)

    def _forget_locked(self, channel: Channel) -> None:
        assert is_owned(self.lock)
        self.free_slot_locked(channel)
        channel.awaits_slot = False
        self._router.end(channel.wire_id)
        self._renamed.pop(channel.context_id, None)

    def rename_locked(self, channel: Channel, wire_id: str) -> None:
        """Let a live channel speak under another id from now on; what still comes for the old one is dropped.

        Raises:
            ContextStateError: The id is taken, or was used before.
        """
        assert is_owned(self.lock)
        self._router.open(wire_id, channel)
        self._renamed[channel.context_id] = channel
        self._router.end(channel.wire_id)
        channel.wire_id = wire_id

    # ---- any thread, without the lock

    def give_slots_back(self) -> None:
        """Give back the slots that were freed. Whoever ends a channel calls it afterwards; does not wait."""
        while self.freed:
            try:
                slot = self.freed.popleft()
            except IndexError:  # another thread did
                return
            release(slot)

    def drop_lingering(self, wire_id: str) -> None:
        """Give back the slot of a channel that was cancelled, if it lingers still."""
        slot = self._lingering.pop(wire_id, None)
        if slot is not None:
            release(slot)

    def get(self, context_id: str) -> Optional[Channel]:
        """Return the live channel of that id, the wire's or its user's, unless it is cancelled."""
        channel = self._router.get(context_id) or self._renamed.get(context_id)
        return None if channel is None or channel.is_cancel_requested else channel

    def live(self) -> list[Channel]:
        """Return all channels to which events are routed, in the order in which they were opened."""
        return self._router.live()

    def readable(self) -> list[Channel]:
        """Return every channel that somebody can still receive, ended or not."""
        return [channel for channel in (each() for each in list(self._readable)) if channel is not None]

    def retain(self, channel: Channel) -> None:
        """Keep a channel that has no handle, until ``release``."""
        self._retained[channel.context_id] = channel

    def release(self, channel: Channel) -> None:
        """Keep it no longer."""
        self._retained.pop(channel.context_id, None)

    # ---- subscribers to all channels

    def subscribe(self, subscriber: Notifications) -> list[Channel]:
        """Notify a subscriber of every item of every channel from now on, new channels included, and of a loss.

        Returns the channels that there are, in which something may be waiting. Takes the lock.
        """
        with self.lock:
            closed = self._closed_subscribers
            self._subscribers = (*(each for each in self._subscribers if each not in closed), subscriber)
            channels = self.readable()
            for channel in channels:
                channel.mailbox.subscribe(subscriber, weakref.ref(channel), closed=closed)
            for each in [each for each in list(closed) if each not in self._subscribers]:
                closed.remove(each)
        return channels

    def unsubscribe(self, subscriber: Notifications) -> None:
        """Notify it no more, from the next ``subscribe`` on. Takes no lock: a finalizer calls it."""
        self._closed_subscribers.append(subscriber)

    @property
    def subscribers(self) -> tuple[Notifications, ...]:
        """Who is to be notified of a loss."""
        return self._subscribers


def _drop(registry: weakref.ref[Registry], wire_id: str) -> None:
    found = registry()
    if found is not None:
        found.drop_lingering(wire_id)
