"""An exception from outside, at every place where CPython can deliver one: no slot is lost, and all lines go on."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync.limits import SameMachine
from cartesia_sync.limits.gate import Gate
from cartesia_sync.limits.limit import gate_of

from ..support.interrupts import LOCKS_LEAK, strikes

BOUND = 10.0
CODE = ("/limits/gate.py", "/limits/limit.py", "/limits/worker.py", "/limits/machine.py", "/limits/width.py")
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(LOCKS_LEAK, reason="on 3.9 `with` itself leaks"),
]


def make_count(_folder: Path) -> Gate:
    return gate_of(2)


def make_foreign(_folder: Path) -> Gate:
    return gate_of(threading.Semaphore(2))


def make_machine(folder: Path) -> Gate:
    return SameMachine(2, directory=folder).gate


@pytest.fixture(autouse=True)
def _unraisable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an interrupt strikes in a finalizer Python says so, and goes on. pytest would keep what was finalized."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)


KINDS: list[Callable[[Path], Gate]] = [make_count, make_foreign, make_machine]


def goes_on(gate: Gate, place: object) -> None:
    """Whether both slots are there, for another thread."""

    def take_both() -> None:
        slots = [gate.acquire(BOUND), gate.acquire(BOUND)]
        assert all(slots), (str(place), gate)
        assert gate.acquire(timeout=0) is None
        for slot in slots:
            assert slot is not None
            slot.release()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(take_both).result(BOUND)


@pytest.mark.parametrize("make", KINDS)
def test_an_interrupt_while_a_slot_is_taken_or_released_loses_none(make: Any, tmp_path: Path) -> None:
    gate, count = make(tmp_path), 0
    for strike in strikes(*CODE):

        def use() -> None:
            slot = gate.acquire(BOUND)
            slot.release()

        strike.run(use)
        goes_on(gate, strike.place)
        count += strike.place is not None
    assert count > 10


@pytest.mark.parametrize("make", KINDS)
def test_an_interrupt_in_one_who_waits_leaves_the_queue_to_the_others(make: Any, tmp_path: Path) -> None:
    gate, count = make(tmp_path), 0
    for strike in strikes(*CODE):
        held = [gate.acquire(BOUND), gate.acquire(BOUND)]
        behind: list[Any] = []

        def wait(held: Any = held, behind: Any = behind) -> None:
            ticket = gate.ask()
            behind.append(gate.ask())
            held.pop().release()
            ticket.wait(BOUND)
            ticket.release()

        strike.run(wait)
        for ticket in (*held, *behind):
            ticket.release()
        held.clear()
        goes_on(gate, strike.place)
        count += strike.place is not None
    assert count > 10


@pytest.mark.parametrize("make", KINDS)
def test_a_signals_handler_releases_at_any_place(make: Any, tmp_path: Path) -> None:
    gate = make(tmp_path)
    held: list[Any] = []
    for strike in strikes(*CODE, call=lambda: held[0].release()):
        held[:] = [gate.acquire(BOUND)]

        def use() -> None:
            slot = gate.acquire(BOUND)
            slot.release()

        strike.run(use)
        held[0].release()
        goes_on(gate, strike.place)
