"""The queue in front of a limit, in this process: first come, first served."""

from __future__ import annotations

import copy
import functools
import itertools
import logging
import os
import queue
import random
import threading
import time
import weakref
from collections import deque
from typing import Any, Callable, Optional, Protocol

from ..errors import ForkedError, LimitError, SlotDeadlockError
from ..transport.locks import is_owned
from .width import Width
from .worker import Worker

SLICE = 0.25
"""Seconds of one wait. Each ends so often, and looks around, whoever forgot to wake it."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds in which nothing is granted after the service has refused; doubled with each refusal that follows."""

log = logging.getLogger("cartesia_sync")

_Notify = queue.SimpleQueue[Optional["Ticket"]]
_drop = deque[Any](maxlen=0).extend  # carries out an iterator of C calls, with no place for an interrupt in between


class Source(Protocol):
    """Where slots come from that others take too.

    Attributes:
        is_local: Whether ``take_now`` and ``give_back`` cost microseconds, never wait, and may be interrupted. If not,
            both are called in threads of the gate, or not at all.
    """

    @property
    def is_local(self) -> bool: ...  # noqa: D102  # see above

    def take_now(self) -> Any:
        """Take a lease, if one is free and nobody waits for it; else something false."""

    def take(self, timeout: float) -> Any:
        """Be in the queue, if there is one, and take a lease; something false where none was free in so many seconds.

        Threads: one of the gate's.
        """

    def leave(self) -> None:
        """Leave the queue, if ``take`` is in one: nobody waits here any more. Threads: that one."""

    def give_back(self, lease: Any) -> None:
        """Give back a lease. Where the source is local: a second time does nothing."""


class _Place:
    """A place in the queue, and then a slot. It is granted while it is among ``_State.held``, and at no other time."""

    __slots__ = ("_is_elsewhere", "error", "is_over", "notify", "openers", "untold", "was_tried", "watch")

    def __init__(self, notify: Optional[_Notify]) -> None:
        self._is_elsewhere = notify is not None
        self.notify: _Notify = queue.SimpleQueue() if notify is None else notify
        self.untold: list[weakref.ref[Ticket]] = []  # whom to tell; empty where its own thread waits
        self.is_over = False
        self.was_tried = False  # the source had no slot for it
        self.error: Optional[BaseException] = None
        self.watch: Optional[weakref.ref[Ticket]] = None  # leaves a note when nobody holds the ticket any more
        self.openers: frozenset[int] = frozenset()  # the threads that push to its context, while that is OPEN

    def tell(self) -> None:
        """Wake whoever waits; who asked to be told is told once."""
        if self._is_elsewhere:
            once = itertools.islice(iter(self.untold.pop, None), len(self.untold))
            _drop(map(self.notify.put, map(weakref.ref.__call__, once)))
        else:
            self.notify.put(None)


class _State:
    """What a gate knows in one process; a forked child begins with another.

    ``lock`` guards all of it and is a leaf: it is never held across I/O, a wait, or users' code. A slot moves by one
    call of C code, so an interrupt finds it moved or not moved, and what is left to do then is done by the next caller.
    """

    def __init__(self, gate: Gate) -> None:
        self.lock = threading.RLock()
        self.first: deque[_Place] = deque()  # those that have been in the queue before
        self.later: deque[_Place] = deque()
        self.held: dict[_Place, Any] = {}  # and the lease of each
        self.spare: deque[Any] = deque()  # leases that nobody has yet
        self.returned: deque[Any] = deque()  # leases that the source is to have back
        self.notes: deque[_Place] = deque()  # what is over, left by a caller who must not wait
        self.dropped: dict[_Place, object] = {}  # likewise, left in C, since a finalizer in Python may be struck itself
        self.seen_429 = 0
        self.pause = 0.0
        self.paused_until = 0.0
        self.taker = Worker(lambda: gate._take(self), "take")
        self.giver = Worker(lambda: gate._give_back_all(self), "return")
        self.pauser = Worker(lambda: gate._end_pause(self), "pause")


class Ticket:
    """A place in a gate's queue, and, once it is granted, a slot.

    Whoever holds it may release it; the first time counts. One that nobody holds any more releases itself, so that
    nothing is lost where an exception from outside strikes between the grant and its receiver.
    """

    __slots__ = ("__weakref__", "_gate", "_place", "_state")

    def __init__(self, gate: Gate, state: _State, place: _Place) -> None:
        self._gate = gate
        self._state = state
        self._place = place

    @property
    def is_granted(self) -> bool:
        """Whether it is a slot now."""
        return self._place in self._state.held and self._gate._state() is self._state

    @property
    def is_over(self) -> bool:
        """Whether it was released, or has failed."""
        return self._place.is_over or self._gate._state() is not self._state

    @property
    def error(self) -> Optional[BaseException]:
        """Why nothing will be granted any more; None where nothing is wrong."""
        return self._place.error

    def wait(self, timeout: Optional[float] = None, *, check: Optional[Callable[[], object]] = None) -> bool:
        """Wait for the grant; False where it did not come in time, or the ticket was released meanwhile.

        Args:
            timeout: How many seconds; None: without a bound. 0 looks whether there is a slot now.
            check: Called every ``SLICE`` seconds; what it raises ends the wait. The ticket keeps its place.

        Raises:
            SlotDeadlockError: This very thread's open contexts hold every slot.
            LimitError: The limit cannot say.

        Threads: one a ticket, not one that was asked for with ``notify``. Waits for the slots of others.
        """
        place, state, gate = self._place, self._state, self._gate
        if self.is_granted:
            return True
        is_look = timeout is not None and timeout <= 0  # one look of the taker, which takes its time
        if is_look:
            timeout = SLICE if gate._is_next_to_be_tried(state, place) else 0.0
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            gate._check_deadlock(state, place)
            left = SLICE if deadline is None else min(SLICE, deadline - time.monotonic())
            if left > 0:
                try:
                    place.notify.get(timeout=left)
                except queue.Empty:
                    gate._settle(state)
                if check is not None:
                    check()
            if gate._state() is not state:
                raise ForkedError("This was in the queue before a fork, and belongs to the parent process.")
            if place.error is not None:
                raise _own(place.error)
            if place in state.held:
                return True
            if place.is_over or left <= 0 or (is_look and place.was_tried):
                return False

    def release(self) -> None:
        """Give the slot back, or leave the queue. A second time does nothing, nor does it in a forked child.

        Threads: any, at any time, a finalizer or a signal's handler included. Does not wait.
        """
        self._gate._end(self._state, self._place)

    def note_open(self, thread: Optional[int] = None) -> None:
        """Say that a thread (None: this one) pushes to the context that has the slot, and that it takes more."""
        ident = threading.get_ident() if thread is None else thread
        if ident not in self._place.openers:
            self._place.openers |= {ident}

    def note_finished(self) -> None:
        """Say that the context takes no more: it ends by itself."""
        self._place.openers = frozenset()

    def refused(self, retry_after: Optional[float] = None) -> None:
        """Say that the service refused what has this slot, with 429. Say it before ``release``.

        Args:
            retry_after: The seconds that the service asked to wait, if it did.
        """
        self._gate.refused(retry_after)

    def succeeded(self) -> None:
        """Say that the service accepted what has this slot. Say it before ``release``."""
        self._gate.succeeded()

    def __del__(self) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "granted" if self.is_granted else "over" if self.is_over else "waiting"
        return f"<Ticket {state}>"


class Gate:
    """The queue of this process in front of a limit.

    First come, first served; whoever has been in the queue before comes first. Waiting threads do not poll the limit:
    where it is shared one thread of this process asks for the one at the head. A forked child has an empty gate.

    Locks, in the only order in which they may be taken:

        Gate.lock        (leaf) the queue of a limit, who has which slot, and what a refusal has narrowed; never held
                         across I/O, a wait, users' code, or a foreign limit
        Worker.lock      (leaf) whether a thread of a limit is there, which may be about to end

    Who wakes whom:

        slot's waiter    waits for a slot        woken by who releases one, or release()    bound: its timeout; it looks
                                                 of its own ticket                          every 0.25 s
        limit's taker    waits for a lease       woken by nobody: others' limit is          bound: 0.25 s
                                                 asked
        limit's renewer  waits for its time      woken by the last release                  bound: a third of the lease
        limit's worker   waits for work          woken by ring()                            bound: a second; then it
                                                                                            ends

    Args:
        width: How many slots there are for this process.
        source: Where each of them comes from; None: from nowhere else.
    """

    def __init__(self, width: Width, source: Optional[Source] = None) -> None:
        self._width = width
        self._source = source
        self._states: dict[int, _State] = {}
        _remember(self)

    # ---- what is seen

    @property
    def waiting(self) -> int:
        """How many are in the queue."""
        state = self._state()
        return len(state.first) + len(state.later)

    @property
    def in_use(self) -> int:
        """How many slots this process has."""
        return len(self._state().held)

    @property
    def seen_429(self) -> int:
        """How often the service refused what had a slot."""
        return self._state().seen_429

    @property
    def allowed(self) -> Optional[int]:
        """How many slots this process may have, as far as is known."""
        return self._width.allowed

    def __repr__(self) -> str:
        of = "" if self.allowed is None else f" of {self.allowed}"
        return f"<Gate {self.in_use}{of} in use, {self.waiting} waiting, {self.seen_429} refused>"

    # ---- what is asked

    def acquire(
        self,
        timeout: Optional[float] = None,
        *,
        at_head: bool = False,
        check: Optional[Callable[[], object]] = None,
    ) -> Optional[Ticket]:
        """Wait for a slot; None where there was none in time.

        Args:
            timeout: How many seconds; None: without a bound.
            at_head: For what has been in the queue before: what is said again, continued or replayed.
            check: As for ``Ticket.wait``.

        Raises:
            SlotDeadlockError: This very thread's open contexts hold every slot.
            LimitError: The limit cannot say.

        Threads: any. Waits for the slots of others; where it is interrupted it has taken nothing.
        """
        ticket = self.ask(at_head=at_head)
        try:
            if ticket.wait(timeout, check=check) or ticket.is_granted:
                return ticket
        except BaseException:  # an interrupt, or what the caller's check raised: it has taken nothing
            ticket.release()
            raise
        ticket.release()
        return None

    def ask(self, *, at_head: bool = False, notify: Optional[_Notify] = None) -> Ticket:
        """Join the queue, and return at once.

        Args:
            at_head: As for ``acquire``.
            notify: Where the ticket is put when it is granted or has failed, once. None: ``Ticket.wait`` is used.

        Raises:
            LimitError: The system has no more threads.

        Threads: any. Does not wait.
        """
        state, place = self._state(), _Place(notify)
        ticket = Ticket(self, state, place)
        place.watch = weakref.ref(ticket, functools.partial(state.dropped.setdefault, place))
        if notify is not None:
            place.untold.append(weakref.ref(ticket))
        source = self._source
        if source is not None and source.is_local and self._is_free(state):
            lease = source.take_now()  # which releases itself, where we are interrupted now
            if lease:
                state.spare.append(lease)
        with state.lock:
            (state.first if at_head else state.later).append(place)
            self._settle_locked(state)
        if state.notes or state.returned:
            self._settle(state)
        if source is not None and place not in state.held:
            state.taker.ring()
        return ticket

    def refused(self, retry_after: Optional[float] = None) -> None:
        """Hear that the service refused what has a slot; see ``Ticket.refused``."""
        state = self._state()
        if is_owned(state.lock):
            return
        with state.lock:
            state.seen_429 += 1
            must_pause = self._width.narrow(len(state.held)) or retry_after is not None
            now = time.monotonic()
            if must_pause and state.paused_until <= now:  # one decision for all that were under way
                state.pause = min(max(FIRST_PAUSE, 2 * state.pause), LONGEST_PAUSE)
                seconds = state.pause * random.uniform(0.7, 1.3) if retry_after is None else retry_after
                state.paused_until = now + seconds
        log.debug("the service refused: %r", self)
        if must_pause:
            _ring(state.pauser)

    def succeeded(self) -> None:
        """Hear that the service accepted what has a slot; see ``Ticket.succeeded``."""
        state = self._state()
        if is_owned(state.lock):
            return
        with state.lock:
            state.pause = 0.0
            self._width.widen(len(state.held), len(state.first) + len(state.later))
            self._settle_locked(state)  # there may be room for more

    # ---- the steps

    def _state(self) -> _State:
        """Return what this process knows. A child that was forked where no hook ran finds out here."""
        process = os.getpid()
        state = self._states.get(process)
        if state is None:
            for other in list(self._states):
                self._states.pop(other, None)
            state = self._states.setdefault(process, _State(self))
        return state

    def _settle(self, state: _State) -> None:
        if is_owned(state.lock):
            return  # whoever has it looks again
        while True:
            with state.lock:
                self._settle_locked(state)
            if not state.notes:
                break
        if state.returned:
            self._return(state)
        if self._source is not None and (state.first or state.later):
            _ring(state.taker)

    def _settle_locked(self, state: _State) -> None:
        """Carry out the notes, and grant what can be granted."""
        assert is_owned(state.lock)
        held, spare = state.held, state.spare
        while True:
            if not state.notes:
                break
            self._end_locked(state, state.notes[0])
            state.notes.popleft()
        for place in list(state.dropped):
            self._end_locked(state, place)
            state.dropped.pop(place, None)
        is_shared, allowed = self._source is not None, self._width.allowed
        is_paused = self._is_paused(state)
        while True:
            places = state.first or state.later
            if not places:
                break
            place = places[0]
            if not place.is_over and place not in held:
                if is_paused or (allowed is not None and len(held) >= allowed) or (is_shared and not spare):
                    break
                if is_shared:
                    held.update(zip((place,), iter(spare.popleft, None)))
                else:
                    held[place] = None
            place.tell()
            places.popleft()
        if spare and not places:  # nobody wants them any more
            state.returned.extend(itertools.islice(iter(spare.popleft, None), len(spare)))

    def _end(self, state: _State, place: _Place) -> None:
        """Let a place be over, whatever it was. Each step may be done twice."""
        if self._states.get(os.getpid()) is not state:
            return  # its parent's
        if place.is_over and place not in state.held:
            return
        try:
            self._end_once(state, place)
        except BaseException:  # struck: what is not done yet is done now
            self._end_once(state, place)
            raise

    def _end_once(self, state: _State, place: _Place) -> None:
        state.notes.append(place)
        self._settle(state)

    def _end_locked(self, state: _State, place: _Place) -> None:
        assert is_owned(state.lock)
        was_over, place.is_over = place.is_over, True
        if place in state.held:
            if self._source is not None:
                state.returned.extend(map(state.held.pop, (place,)))
            else:
                state.held.pop(place)
        elif not was_over:
            for places in (state.first, state.later):
                try:
                    places.remove(place)
                except ValueError:  # not in this one
                    pass
            if place.error is None:
                place.untold.clear()  # whoever released it knows, and may be its finalizer
            place.tell()
        place.watch = None

    def _return(self, state: _State) -> None:
        assert self._source is not None
        if self._source.is_local:
            self._give_back_all(state)
        else:
            _ring(state.giver)

    def _give_back_all(self, state: _State) -> bool:
        """Give the source back what it is to have; False: all of it."""
        assert self._source is not None
        while True:
            try:
                lease = state.returned[0] if self._source.is_local else state.returned.popleft()
            except IndexError:
                return False
            try:
                self._source.give_back(lease)
            except Exception as error:  # a limit of somebody else's may raise anything; the queue goes on
                log.warning("the limit did not take a slot back: %r", error)
            try:
                state.returned.remove(lease)
            except ValueError:  # another thread did the same
                continue

    def _take(self, state: _State) -> bool:
        """Take one lease from the source for whoever is at the head; False where nobody is."""
        assert self._source is not None
        with state.lock:
            self._settle_locked(state)
            places = state.first or state.later
            place = places[0] if places else None
        if place is None or self._states.get(os.getpid()) is not state:
            if state.returned:
                self._return(state)
            self._leave()
            return False
        seconds = state.paused_until - time.monotonic()
        if seconds > 0 or not self._has_width(state):
            state.taker.nap(min(seconds, SLICE) if seconds > 0 else SLICE)
            return True
        began = time.monotonic()
        timeout = SLICE if place.was_tried else 0.0
        try:
            lease = self._source.take(timeout)
        except Exception as error:  # a limit of somebody else's may raise anything; those in the queue are told
            self._fail(state, error)
            return True
        if lease:
            state.spare.append(lease)
            self._settle(state)
            return True
        if not place.was_tried:
            place.was_tried = True
            place.tell() if not place.untold else None
        elif time.monotonic() - began < timeout / 10:
            state.taker.nap(timeout / 10)  # a limit that does not wait as it is asked to
        return True

    def _leave(self) -> None:
        assert self._source is not None
        try:
            self._source.leave()
        except Exception as error:  # of a limit whose files or server are gone; nobody waits for it
            log.debug("the limit's queue could not be left: %r", error)

    def _fail(self, state: _State, error: BaseException) -> None:
        """Tell everybody in the queue that nothing can be granted."""
        if not isinstance(error, LimitError):
            failed = LimitError(f"The limit's acquire() failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            error = failed
        with state.lock:
            for place in (*state.first, *state.later):
                place.error = error
                self._end_locked(state, place)

    def _has_width(self, state: _State) -> bool:
        allowed = self._width.allowed
        return allowed is None or len(state.held) < allowed

    def _is_free(self, state: _State) -> bool:
        """Whether whoever comes now may have a slot at once, if the source has one."""
        return not (state.first or state.later) and self._has_width(state) and not self._is_paused(state)

    def _is_paused(self, state: _State) -> bool:
        return state.paused_until > 0 and state.paused_until > time.monotonic()

    def _end_pause(self, state: _State) -> bool:
        """Wait for the end of a pause, and go on; False: it has ended."""
        seconds = state.paused_until - time.monotonic()
        if seconds > 0:
            state.pauser.nap(seconds)
            return True
        self._settle(state)
        return False

    def _is_next_to_be_tried(self, state: _State, place: _Place) -> bool:
        """Whether the taker has yet to look for a slot for this place, and does so next."""
        places = state.first or state.later
        is_head = bool(places) and places[0] is place
        return self._source is not None and is_head and not place.was_tried and self._has_width(state)

    def _check_deadlock(self, state: _State, place: _Place) -> None:
        """Refuse to wait for oneself.

        Raises:
            SlotDeadlockError: This thread's open contexts hold every slot.
        """
        allowed = self._width.allowed
        if allowed is None or self._has_width(state):
            return
        mine = frozenset((threading.get_ident(),))
        with state.lock:
            is_deadlock = place not in state.held and all(each.openers == mine for each in state.held)
            count = len(state.held)
        if is_deadlock and count >= allowed:
            raise SlotDeadlockError(
                f"This thread waits for a slot, and its own open contexts hold all {count} that there are: call "
                "no_more_inputs() on one of them first, or raise the limit",
                slots=count,
            )


def _ring(worker: Worker) -> None:
    """Ring where nobody is to hear that there are no more threads, as at the interpreter's end: others ring again."""
    try:
        worker.ring()
    except LimitError as error:
        log.debug("%s", error)


def _own(error: BaseException) -> BaseException:
    """Make an exception for one thread of one that several are to get."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own.with_traceback(None)


# ---- gates of a process, and what becomes of them in its children

_gates: dict[int, weakref.ref[Gate]] = {}


def _remember(gate: Gate) -> None:
    key = id(gate)
    _gates[key] = weakref.ref(gate, lambda gone: _forget(key, gone))


def _forget(key: int, gone: weakref.ref[Gate]) -> None:
    if _gates.get(key) is gone:
        _gates.pop(key, None)


def _in_child() -> None:
    for who in list(_gates.values()):
        gate = who()
        if gate is not None:
            gate._states.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
