"""The queue of one process: first come, first served, and each slot is released once, whatever happens."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

import pytest

from cartesia_sync.errors import LimitError, SlotDeadlockError
from cartesia_sync.limits import Learned
from cartesia_sync.limits.gate import Gate, Ticket
from cartesia_sync.limits.limit import account_name, gate_of

BOUND = 10.0


def wait_until_waiting(gate: Gate, count: int) -> None:
    deadline = time.monotonic() + BOUND
    while gate.waiting != count:
        assert time.monotonic() < deadline, gate
        time.sleep(0.001)  # a thread that is about to wait tells nobody


def granted(gate: Gate, **options: Any) -> Ticket:
    ticket = gate.acquire(BOUND, **options)
    assert ticket is not None
    return ticket


def test_there_are_never_more_than_the_limit() -> None:
    gate = gate_of(3)
    now, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal now, most
        for _ in range(50):
            ticket = granted(gate)
            with lock:
                now += 1
                most = max(most, now)
            assert gate.in_use <= 3
            with lock:
                now -= 1
            ticket.release()

    with ThreadPoolExecutor(16) as threads:
        for future in [threads.submit(work) for _ in range(16)]:
            future.result(BOUND)
    assert (most <= 3, gate.in_use, gate.waiting) == (True, 0, 0)


def test_among_64_threads_nobody_is_overtaken_by_more_than_the_number_of_slots() -> None:
    slots, gate = 4, gate_of(4)
    told: queue.SimpleQueue[Optional[Ticket]] = queue.SimpleQueue()
    asked: list[Ticket] = []
    granted_then: list[Ticket] = []
    lock = threading.Lock()

    def use() -> None:
        for _ in range(10):
            with lock:
                asked.append(gate.ask(notify=told))
            with lock:  # in the order in which the gate said so
                ticket = told.get(timeout=BOUND)
                assert ticket is not None
                granted_then.append(ticket)
            ticket.release()

    with ThreadPoolExecutor(64) as threads:
        for future in [threads.submit(use) for _ in range(64)]:
            future.result(BOUND)
    places = {ticket: number for number, ticket in enumerate(asked)}
    order = [places[ticket] for ticket in granted_then]
    assert len(order) == 640
    for index, number in enumerate(order):
        assert sum(each > number for each in order[:index]) <= slots


def test_64_waiting_threads_are_served_in_the_order_in_which_they_came() -> None:
    gate = gate_of(1)
    slot = granted(gate)
    order: list[int] = []

    def wait(number: int) -> None:
        ticket = granted(gate)
        order.append(number)  # while it has the only slot
        ticket.release()

    with ThreadPoolExecutor(64) as threads:
        futures = []
        for number in range(64):
            futures.append(threads.submit(wait, number))
            wait_until_waiting(gate, number + 1)
        slot.release()
        for future in futures:
            future.result(BOUND)
    assert order == list(range(64))


def test_who_has_been_in_the_queue_before_comes_first_and_among_those_the_first() -> None:
    gate = gate_of(1)
    slot = granted(gate)
    told: queue.SimpleQueue[Optional[Ticket]] = queue.SimpleQueue()
    late, first, second = (gate.ask(notify=told, at_head=at_head) for at_head in (False, True, True))
    slot.release()
    for ticket in (first, second, late):
        assert told.get(timeout=BOUND) is ticket
        assert ticket.is_granted
        ticket.release()
    assert told.empty()


def test_a_slot_is_released_once_by_whoever_comes_first() -> None:
    gate = gate_of(2)
    one, two = granted(gate), granted(gate)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: one.release(), range(32)))
    assert (gate.in_use, one.is_over, two.is_granted) == (1, True, True)
    two.release()
    assert gate.in_use == 0


def test_a_slot_that_nobody_holds_is_free() -> None:
    gate = gate_of(1)
    granted(gate)
    assert gate.in_use == 0
    ticket = gate.ask()
    waiting = gate.ask()
    assert (gate.in_use, gate.waiting) == (1, 1)
    del waiting
    assert gate.waiting == 0
    del ticket
    assert gate.in_use == 0


def test_a_wait_ends_in_time_and_leaves_nothing() -> None:
    gate = gate_of(1)
    slot = granted(gate)
    assert gate.acquire(timeout=0) is None
    began = time.monotonic()
    assert gate.acquire(timeout=0.05) is None
    assert 0.05 <= time.monotonic() - began < 1
    assert (gate.waiting, gate.in_use) == (0, 1)
    slot.release()
    assert gate.acquire(timeout=0)


def test_another_thread_ends_a_wait_at_once() -> None:
    gate = gate_of(1)
    slot = granted(gate)
    ticket = gate.ask()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ticket.wait)
        ticket.release()
        assert waiting.result(BOUND) is False
    assert (gate.waiting, ticket.is_over) == (0, True)
    slot.release()


def test_what_is_checked_meanwhile_ends_a_wait() -> None:
    gate = gate_of(1)
    slot = granted(gate)

    def check() -> None:
        raise KeyError("closed")

    with pytest.raises(KeyError, match="closed"):
        gate.acquire(check=check)
    assert gate.waiting == 0
    slot.release()


def test_a_dropped_ticket_is_told_to_nobody_and_its_slot_goes_on() -> None:
    gate = gate_of(1)
    slot = granted(gate)
    told: queue.SimpleQueue[Optional[Ticket]] = queue.SimpleQueue()
    gate.ask(notify=told)
    kept = gate.ask(notify=told)
    slot.release()
    assert told.get(timeout=BOUND) is kept
    kept.release()
    assert gate.in_use == 0


# ---- deadlocks


def test_a_thread_whose_open_contexts_hold_every_slot_is_told_at_once() -> None:
    gate = gate_of(2)
    slots = [granted(gate), granted(gate)]
    for slot in slots:
        slot.note_open()
    with pytest.raises(SlotDeadlockError, match="hold all 2") as caught:
        gate.acquire()
    assert (caught.value.slots, gate.waiting) == (2, 0)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(gate.acquire, 0.05)  # another thread may wait: this one will go on
        assert other.result(BOUND) is None
    slots[0].note_finished()
    assert gate.acquire(timeout=0.05) is None
    slots[1].release()
    assert gate.acquire(timeout=0)


def test_a_context_that_another_thread_pushes_to_as_well_is_no_deadlock() -> None:
    gate = gate_of(1)
    slot = granted(gate)
    slot.note_open()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(slot.note_open).result(BOUND)
    assert gate.acquire(timeout=0.05) is None
    slot.release()


# ---- the service refuses


def test_a_refusal_narrows_to_what_is_accepted_and_successes_widen_again() -> None:
    gate = gate_of(4)
    slots = [granted(gate) for _ in range(4)]
    slots[3].refused()
    slots[3].release()
    assert (gate.allowed, gate.seen_429) == (3, 1)
    assert gate.acquire(timeout=0) is None
    for _ in range(3):
        slots[0].succeeded()
    assert gate.allowed == 4
    assert gate.acquire(timeout=0)
    for slot in slots:
        slot.release()


def test_where_nothing_else_is_under_way_a_refusal_is_followed_by_a_pause() -> None:
    gate = gate_of(4)
    slot = granted(gate)
    began = time.monotonic()
    slot.refused()
    slot.release()
    told: queue.SimpleQueue[Optional[Ticket]] = queue.SimpleQueue()
    ticket = gate.ask(notify=told)
    assert not ticket.is_granted
    assert told.get(timeout=BOUND) is ticket  # nobody else wakes it
    assert time.monotonic() - began > 0.05
    ticket.refused(retry_after=0.3)
    ticket.release()
    began = time.monotonic()
    granted(gate).release()
    assert 0.25 < time.monotonic() - began < 3


class Service:
    """Counts what is under way at once, and refuses what is too much."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.refusals = 0
        self._now = 0
        self._lock = threading.Lock()

    def begin(self) -> bool:
        with self._lock:
            if self._now >= self.allowed:
                self.refusals += 1
                return False
            self._now += 1
            return True

    def end(self) -> None:
        with self._lock:
            self._now -= 1


def speak_all(gate: Gate, service: Service, *, texts: int, seconds: float, threads: int = 32, rise: int = 0) -> float:
    """Speak so many texts of so many seconds each, saying again what is refused; give the seconds it took."""
    left, done = list(range(texts)), []

    def work() -> None:
        while True:
            try:
                left.pop()
            except IndexError:
                return
            ticket = granted(gate)
            while not service.begin():
                ticket.refused()
                ticket.release()
                ticket = granted(gate, at_head=True)
            time.sleep(seconds)  # the service speaks
            service.end()
            ticket.succeeded()
            ticket.release()
            done.append(1)
            if rise and len(done) == texts // 2:
                service.allowed = rise

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result(4 * BOUND)
    assert len(done) == texts
    return time.monotonic() - began


def test_a_limit_is_learned_with_few_refusals() -> None:
    limit, service = Learned(most=32), Service(4)
    took = speak_all(limit.gate, service, texts=300, seconds=0.05)
    assert took <= 1.25 * 300 * 0.05 / 4
    assert service.refusals <= 60
    assert (limit.in_use, limit.waiting, limit.seen_429) == (0, 0, service.refusals)


def test_a_limit_that_rises_is_found() -> None:
    limit, service = Learned(most=32), Service(4)
    speak_all(limit.gate, service, texts=300, seconds=0.03, rise=8)
    assert limit.allowed >= 7
    assert service.refusals <= 60


def test_two_clients_share_what_one_account_has() -> None:
    limits, service = [Learned(most=16), Learned(most=16)], Service(4)
    with ThreadPoolExecutor(2) as threads:
        for future in [
            threads.submit(speak_all, limit.gate, service, texts=100, seconds=0.03, threads=16) for limit in limits
        ]:
            assert future.result(4 * BOUND) < 2 * 200 * 0.03 / 4
    assert service.refusals <= 120


@pytest.mark.parametrize("options", [{"most": 0}, {"most": 2, "least": 3}, {"least": 0}])
def test_what_cannot_be_learned_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 <= least <= most"):
        Learned(**options)


# ---- limits of somebody else's


@pytest.mark.parametrize("kind", [threading.Semaphore, threading.BoundedSemaphore])
def test_a_semaphore_is_a_limit(kind: Any) -> None:
    semaphore = kind(2)
    gate = gate_of(semaphore)
    assert gate_of(semaphore) is gate
    one, two = granted(gate), granted(gate)
    assert semaphore.acquire(timeout=0) is False
    assert gate.acquire(timeout=0) is None
    one.release()
    three = granted(gate)
    two.release()
    three.release()
    assert all(semaphore.acquire(timeout=BOUND) for _ in range(2))  # both came back, and no third
    assert semaphore.acquire(timeout=0) is False


def test_a_semaphore_of_a_dask_cluster_is_a_limit() -> None:
    scene = Path(__file__).parent / "scenes" / "dask_cluster.py"
    run = subprocess.run([sys.executable, str(scene)], capture_output=True, text=True, timeout=3 * BOUND)
    assert (run.stdout, run.returncode) == ("at most 1; <Gate 0 in use, 0 waiting, 0 refused>\n", 0), run.stderr


class Watched:
    """A semaphore that knows who asked it."""

    def __init__(self, slots: int) -> None:
        self._semaphore = threading.Semaphore(slots)
        self.threads: set[int] = set()
        self.calls = 0

    def acquire(self, timeout: Optional[float] = None) -> bool:
        self.threads.add(threading.get_ident())
        self.calls += 1
        return self._semaphore.acquire(timeout=timeout)

    def release(self) -> None:
        self._semaphore.release()


def test_64_waiting_threads_ask_a_shared_limit_as_one() -> None:
    limit = Watched(2)
    gate = gate_of(limit)
    slots = [granted(gate), granted(gate)]
    with ThreadPoolExecutor(64) as threads:
        futures = [threads.submit(lambda: granted(gate).release()) for _ in range(64)]
        wait_until_waiting(gate, 64)
        calls = limit.calls
        for slot in slots:
            slot.release()
        for future in futures:
            future.result(BOUND)
    assert len(limit.threads) == 1
    assert threading.get_ident() not in limit.threads
    assert limit.calls - calls <= 2 * 64 + 10  # for each one that found none, and one that found it


class Handles:
    """A limit whose slots are objects."""

    class Handle:
        def __init__(self) -> None:
            self.released = threading.Event()

        def release(self) -> None:
            self.released.set()

    def __init__(self) -> None:
        self.given: list[Handles.Handle] = []

    def acquire(self, *, timeout: Optional[float]) -> Handles.Handle:
        self.given.append(self.Handle())
        return self.given[-1]

    def release(self) -> None:
        raise AssertionError("the slot has a release of its own")


def test_a_slot_with_a_release_of_its_own_is_released_by_that() -> None:
    limit = Handles()
    granted(gate_of(limit)).release()
    assert limit.given[0].released.wait(BOUND)


class Broken:
    def acquire(self, timeout: Optional[float] = None) -> bool:
        raise OSError("no server")

    def release(self) -> None:
        raise AssertionError


def test_a_limit_that_fails_fails_all_who_wait_each_with_an_exception_of_its_own() -> None:
    gate = gate_of(Broken())
    with ThreadPoolExecutor(4) as threads:
        errors = [future.exception(BOUND) for future in [threads.submit(gate.acquire) for _ in range(4)]]
    assert {str(error) for error in errors} == {"The limit's acquire() failed: OSError: no server"}
    assert len({id(error) for error in errors}) == 4
    assert all(isinstance(error, LimitError) and isinstance(error.__cause__, OSError) for error in errors)
    told: queue.SimpleQueue[Optional[Ticket]] = queue.SimpleQueue()
    ticket = gate.ask(notify=told)
    assert told.get(timeout=BOUND) is ticket
    assert isinstance(ticket.error, LimitError)


def test_what_is_no_limit_is_refused_in_words() -> None:
    import asyncio

    async def make() -> asyncio.Semaphore:
        return asyncio.Semaphore(1)  # Python 3.9 would make a loop for it elsewhere

    for wrong in ("4", None, 4.0, True, object(), threading.Semaphore, asyncio.Semaphore):
        with pytest.raises(TypeError, match="must be a number, or an object with"):
            gate_of(wrong)  # type: ignore[arg-type]  # on purpose
    semaphore = asyncio.run(make())
    with pytest.raises(TypeError, match="asyncio"):
        gate_of(semaphore)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        gate_of(0)


def test_a_limit_of_this_package_is_one_itself_and_can_be_used_by_hand() -> None:
    limit = Learned(most=2)
    assert gate_of(limit) is limit.gate
    assert limit.acquire(timeout=1)
    assert limit.acquire(timeout=1)
    assert (limit.in_use, limit.acquire(timeout=0)) == (2, None)  # though nobody holds them
    limit.release()
    slot = limit.acquire(timeout=0)
    assert slot is not None
    slot.release()
    limit.release()
    assert limit.in_use == 0
    with pytest.raises(ValueError, match="more often than acquire"):
        limit.release()


def test_a_name_does_not_tell_the_key() -> None:
    name = account_name("sk_car_1234567890")
    assert "1234" not in name
    assert name == account_name("sk_car_1234567890") != account_name("sk_car_1234567891")


# ---- forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.parametrize("has_hook", [True, False])
def test_a_forked_child_has_an_empty_gate_and_cannot_release_its_parents_slots(
    has_hook: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cartesia_sync.limits import gate as module

    if not has_hook:  # as where the fork is in C
        monkeypatch.setattr(module, "_gates", {})
    gate = gate_of(2)
    slot = granted(gate)
    waiting = [granted(gate), gate.ask()]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            slot.release()
            assert (gate.in_use, gate.waiting, slot.is_granted, slot.is_over) == (0, 0, False, True)
            mine = [gate.acquire(1), gate.acquire(1)]
            assert all(mine)
            assert gate.in_use == 2
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert (gate.in_use, gate.waiting, slot.is_granted) == (2, 1, True)
    for ticket in (slot, *waiting):
        ticket.release()
    assert (gate.in_use, gate.waiting) == (0, 0)
