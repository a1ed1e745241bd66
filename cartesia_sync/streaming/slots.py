"""The limit of a client, as the contexts of its connections use it: a slot each, from the first message to the end."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Callable, Optional, Protocol

from ..errors import CartesiaError, LimitError, SlotTimeoutError
from ..protocol.events import Error
from .channel import Channel
from .timer import call_later

if TYPE_CHECKING:
    from ..limits.gate import Gate, Ticket

CANCEL_GRACE = 1.0
"""Seconds that a cancelled context keeps its slot where no late ``done`` comes. How long the service counts it is not
documented."""

STALLED = 60.0
"""Seconds of silence after which a context whose text is all sent gives its slot back: nothing more will come."""

_CONCURRENCY_LIMITED = "concurrency_limited"
_SLICE = 0.25  # of the wait for a grant, after which the bound of each is looked at
_LOOKS = 4  # at open contexts within the time that they may be silent
_IDLE = 1.0  # seconds after which a thread with nothing to say again ends

log = logging.getLogger("cartesia_sync")


class Speaker(Protocol):
    """Who puts a channel's messages on a wire: the link."""

    def say_again(self, channel: Channel, slot: Ticket) -> None:
        """Put all messages of a refused channel in line. Waits for a connection."""

    def refuse(self, channel: Channel, error: Error) -> None:
        """End a refused channel for which no slot came in time."""

    def fail(self, channel: Channel, error: BaseException) -> None:
        """End a channel with an exception for its receiver."""

    def free_idle(self, seconds: float) -> bool:
        """Free the slots of channels that have been silent for so long; return whether there are others."""


class Slots:
    """What a link does with the limit.

    A slot is held from the first message until the service's last event; after a cancel until that, or a moment
    longer. A context that is left open gives it back, and takes another at its next push. One that the service refuses
    with 429 before anything was heard of it is said again once there is a slot: by a thread of this process's own,
    never by the reader or a receiver.

    Args:
        gate: The line of this process in front of the limit.
        wait: Seconds that a context may wait for its slot; None is no limit.
        idle: Seconds after which an open context of which nothing was sent or heard gives its slot back; None: never.
    """

    def __init__(self, gate: Gate, *, wait: Optional[float], idle: Optional[float]) -> None:
        self.gate = gate
        self._wait = wait
        self._idle = idle
        self._is_watching = False

    def acquire(self, channel: Channel, check: Callable[[], object]) -> Ticket:
        """Wait for a slot.

        Args:
            channel: Whose it will be. One that was in line before comes first.
            check: Called now and then; what it raises ends the wait.

        Raises:
            SlotTimeoutError: None came in time.
            SlotDeadlockError, LimitError: As ``Gate.acquire``.

        Threads: the one that pushes.
        """
        began = time.monotonic()
        ticket = self.gate.acquire(self._wait, at_head=bool(channel.messages or channel.spoken), check=check)
        if ticket is None:
            raise SlotTimeoutError(
                f"Context {channel.context_id!r} waited {self._wait} s (limit_wait) for a slot of the client's limit, "
                f"and none became free: {self.gate!r}.",
                timeout=self._wait,
            )
        waited = time.monotonic() - began
        channel.waited_for_slot += waited
        log.debug("context %s: waited %.3f s for a slot of %r", channel.context_id, waited, self.gate)
        return ticket

    def note_push(self, link: Speaker, channel: Channel, *, is_last: bool) -> None:
        """Take note of a message in line: whose slot it is, and that somebody must look whether it is left open."""
        slot = channel.slot
        if slot is None:
            return
        if is_last:
            slot.note_finished()
        else:
            slot.note_open()
        if not self._is_watching and self._idle is not None:
            self._is_watching = True
            call_later(self._idle / _LOOKS, functools.partial(_look, weakref.ref(self), weakref.ref(link)))

    def look(self, link: Speaker) -> None:
        """Free the slots of channels that are left open. Threads: the timer's. Does not wait."""
        if self._idle is None:
            return
        self._is_watching = False  # first: a push that comes now has it looked again
        try:
            is_needed = link.free_idle(self._idle)
        except CartesiaError:  # another process's by now
            return
        if is_needed and not self._is_watching:
            self._is_watching = True
            call_later(self._idle / _LOOKS, functools.partial(_look, weakref.ref(self), weakref.ref(link)))

    def ask_again(self, link: Speaker, channel: Channel, error: Error) -> None:
        """Have a refused channel said again once there is a slot for it. Threads: the reader. Does not wait."""
        _repeaters.setdefault(os.getpid(), Repeater()).add(self.gate, self._wait, link, channel, error)


def _look(slots: weakref.ref[Slots], link: weakref.ref[Speaker]) -> None:
    its_slots, its_link = slots(), link()
    if its_slots is not None and its_link is not None:
        its_slots.look(its_link)


def is_refusal(error: Error) -> bool:
    """Whether the service says that too many contexts speak at once (docs page ``concurrency-limits-and-timeouts``)."""
    return error.status_code == 429 and error.error_code in (None, _CONCURRENCY_LIMITED)


class Refused:
    """A channel that waits to be said again."""

    __slots__ = ("began_at", "channel", "error", "link", "until")

    def __init__(self, link: Speaker, channel: Channel, error: Error, wait: Optional[float]) -> None:
        self.began_at = time.monotonic()
        self.link = weakref.ref(link)
        self.channel = weakref.ref(channel)
        self.error = error
        self.until = None if wait is None else self.began_at + wait


class Repeater:
    """The thread of this process that says refused channels again, each once it has a slot.

    It takes no lock: whoever gets the token out of ``_tokens`` starts the thread, or is it.
    """

    def __init__(self) -> None:
        self._granted: queue.SimpleQueue[Optional[Ticket]] = queue.SimpleQueue()
        self._waiting: dict[Ticket, Refused] = {}  # each change is one call of C code
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._tokens.put(None)
        self._numbers = itertools.count(1)

    def add(self, gate: Gate, wait: Optional[float], link: Speaker, channel: Channel, error: Error) -> None:
        """Ask for a slot at the head of the line, and say the channel again when it is there. Does not wait."""
        ticket = gate.ask(at_head=True, notify=self._granted)
        self._waiting[ticket] = Refused(link, channel, error, wait)
        self._granted.put(ticket)  # it may have been granted before it was among those that wait
        if not self._take_token():
            return
        thread = threading.Thread(target=self._run, name=f"cartesia-sync-repeater-{next(self._numbers)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the system's limit, or the interpreter is at its end
            self._tokens.put(None)
            self._end(ticket)

    def _take_token(self) -> bool:
        try:
            self._tokens.get_nowait()
        except queue.Empty:
            return False
        return True

    def _run(self) -> None:
        while True:
            try:
                ticket = self._granted.get(timeout=_SLICE if self._waiting else _IDLE)
            except queue.Empty:
                if self._waiting:
                    self._look_at_all()
                    continue
                self._tokens.put(None)
                if self._granted.empty() or not self._take_token():  # whoever came meanwhile starts another thread
                    return
                continue
            if ticket is not None:
                self._see_to(ticket)
            del ticket  # or it would be held until the next one

    def _look_at_all(self) -> None:
        for ticket in list(self._waiting):
            self._see_to(ticket)

    def _see_to(self, ticket: Ticket) -> None:
        """Say a channel again if it has its slot, or end it where it will not get one."""
        refused = self._waiting.get(ticket)
        if refused is None:
            return  # seen to before
        link, channel = refused.link(), refused.channel()
        if link is None or channel is None or not channel.awaits_slot or ticket.is_over:
            self._waiting.pop(ticket, None)
            ticket.release()
            if link is not None and channel is not None and ticket.error is not None:
                link.fail(channel, ticket.error)
        elif ticket.is_granted:
            self._waiting.pop(ticket, None)
            channel.waited_for_slot += time.monotonic() - refused.began_at
            link.say_again(channel, ticket)
        elif refused.until is not None and time.monotonic() >= refused.until:
            self._end(ticket)

    def _end(self, ticket: Ticket) -> None:
        """End a channel for which there was no slot in time, with what the service had said."""
        refused = self._waiting.pop(ticket, None)
        ticket.release()
        if refused is None:
            return
        link, channel = refused.link(), refused.channel()
        if link is not None and channel is not None:
            link.refuse(channel, refused.error)


_repeaters: dict[int, Repeater] = {}  # by process, since a forked child has no thread of its parent's


def release(slot: Ticket) -> None:
    """Give a slot back. Threads: any, the reader's too. Does not wait."""
    try:
        slot.release()
    except LimitError as error:  # the system gives no thread to do it; the next who asks does it
        log.warning("a slot could not be given back at once: %s", error)


class HasSlotError(Exception):
    """Another thread has a slot for the same channel meanwhile; nobody but the link sees it."""
