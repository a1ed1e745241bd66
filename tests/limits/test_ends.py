"""Every end that a ticket can have, on every kind of limit: each slot comes back once."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync.limits import Learned, Redis, SameMachine
from cartesia_sync.limits.gate import Gate, Ticket
from cartesia_sync.limits.limit import gate_of

from ..support.redis_server import PROGRAM, WHY_NOT, RedisServer

BOUND = 20.0
SLOTS = 3
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


_names = itertools.count()


@pytest.fixture(params=["number", "learned", "semaphore", "machine", "redis"])
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gate]:
    if request.param == "redis":
        limit = Redis(request.getfixturevalue("server").url, SLOTS, lease=5, name=f"ends{next(_names)}")
        yield limit.gate
        limit._leases._by_process.clear()  # pytest holds the gate for longer than its sockets may be open
        return
    limits: dict[str, Callable[[], Any]] = {
        "number": lambda: SLOTS,
        "learned": lambda: Learned(most=SLOTS),
        "semaphore": lambda: threading.BoundedSemaphore(SLOTS),  # which minds what is released twice
        "machine": lambda: SameMachine(SLOTS, directory=tmp_path),
    }
    yield gate_of(limits[request.param]())


def taken(gate: Gate) -> Ticket:
    ticket = gate.acquire(BOUND)
    assert ticket is not None
    return ticket


# ---- the ends: each takes what it needs, and leaves nothing


def released(gate: Gate) -> None:
    taken(gate).release()


def released_twice(gate: Gate) -> None:
    ticket = taken(gate)
    ticket.release()
    ticket.release()


def released_by_two_threads(gate: Gate) -> None:
    ticket = taken(gate)
    thread = threading.Thread(target=ticket.release)
    thread.start()
    ticket.release()
    thread.join(BOUND)


def dropped(gate: Gate) -> None:
    taken(gate)


def dropped_while_waiting(gate: Gate) -> None:
    gate.ask()


def withdrawn_while_waiting(gate: Gate) -> None:
    ticket = gate.ask()
    ticket.release()
    assert ticket.wait(0) is False


def withdrawn_while_another_thread_waits_for_it(gate: Gate) -> None:
    ticket = gate.ask()
    thread = threading.Thread(target=ticket.wait)
    thread.start()
    ticket.release()
    thread.join(BOUND)
    assert not thread.is_alive()


def out_of_time(gate: Gate) -> None:
    ticket = gate.acquire(random.random() / 1000)
    if ticket is not None:
        ticket.release()


def ended_by_what_is_checked(gate: Gate) -> None:
    def check() -> None:
        raise KeyError

    ticket = gate.ask()
    try:
        ticket.wait(BOUND, check=check)
    except KeyError:
        pass
    ticket.release()


def told_elsewhere(gate: Gate) -> None:
    import queue

    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    ticket = gate.ask(notify=told, at_head=True)
    assert told.get(timeout=BOUND) is ticket
    ticket.succeeded()
    ticket.release()


def refused_and_said_again(gate: Gate) -> None:
    ticket = taken(gate)
    ticket.refused()
    ticket.release()
    again = gate.acquire(BOUND, at_head=True)
    assert again is not None
    again.succeeded()
    again.release()


ENDS = [
    released,
    released_twice,
    released_by_two_threads,
    dropped,
    dropped_while_waiting,
    withdrawn_while_waiting,
    withdrawn_while_another_thread_waits_for_it,
    out_of_time,
    ended_by_what_is_checked,
    told_elsewhere,
    refused_and_said_again,
]


def assert_all_is_back(gate: Gate) -> None:
    assert (gate.in_use, gate.waiting) == (0, 0)
    deadline = time.monotonic() + BOUND
    tickets: list[Ticket] = []
    while len(tickets) < SLOTS:
        ticket = gate.acquire(0.5)
        if ticket is not None:
            tickets.append(ticket)
        for each in tickets:
            each.succeeded()  # widens what refusals have narrowed
        assert time.monotonic() < deadline, gate
    assert gate.acquire(timeout=0.05) is None
    for ticket in tickets:
        ticket.release()


@pytest.mark.parametrize("end", ENDS)
def test_a_slot_comes_back_once(gate: Gate, end: Callable[[Gate], None]) -> None:
    count = 0 if end is refused_and_said_again else SLOTS - 1  # a refusal leaves room for what was accepted alone
    held = [taken(gate) for _ in range(count)]
    end(gate)
    for ticket in held:
        ticket.release()
    for _ in range(3):
        end(gate)
    assert_all_is_back(gate)


def test_all_ends_at_once(gate: Gate) -> None:
    ends = [each for each in ENDS if each is not refused_and_said_again]  # whose pauses take their time

    def work(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(40):
            chosen.choice(ends)(gate)

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(work, seed) for seed in range(8)]:
            future.result(2 * BOUND)
    assert_all_is_back(gate)
