from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cartesia_sync.local.faults import (
    Close,
    CutAnswer,
    Delay,
    ErrorEvent,
    Garbage,
    Hold,
    RefuseRequest,
    StopReading,
)
from cartesia_sync.local.recorder import Handshake, Heard, Ledger, Request

BOUND = 10.0


def test_lists_are_copies_in_order() -> None:
    ledger = Ledger((), record=True)
    assert [ledger.note_handshake(Handshake(path, {}, {})) for path in ("/a", "/b")] == [0, 1]
    ledger.note_heard(1, "x")
    ledger.note_heard(0, {"y": 1})
    ledger.handshakes.clear()
    ledger.heard.clear()
    assert [handshake.path for handshake in ledger.handshakes] == ["/a", "/b"]
    assert ledger.heard == [Heard(1, "x"), Heard(0, {"y": 1})]


def test_without_records_it_counts_but_does_not_keep() -> None:
    ledger = Ledger((), record=False)
    assert [ledger.note_handshake(Handshake("/", {}, {})) for _ in range(2)] == [0, 1]
    ledger.note_heard(0, "x")
    assert ledger.handshakes == []
    assert ledger.heard == []


def request(path: str) -> Request:
    return Request("GET", path, {}, {}, None)


def test_requests_have_numbers_that_no_connection_has() -> None:
    ledger = Ledger((), record=True)
    numbers = [ledger.note_request(request(path)) for path in ("/a", "/b")]
    assert not {ledger.note_handshake(Handshake("/", {}, {})) for _ in range(2)} & set(numbers)
    ledger.requests.clear()
    assert [noted.path for noted in ledger.requests] == ["/a", "/b"]
    unrecorded = Ledger((), record=False)
    assert unrecorded.note_request(request("/")) != unrecorded.note_request(request("/"))
    assert unrecorded.requests == []


def test_a_fault_strikes_each_request_once_and_only_its_path() -> None:
    refusal = RefuseRequest(500, path="/a", times=2)
    ledger = Ledger([refusal, CutAnswer()], record=True)
    assert ledger.strike_request(RefuseRequest, -1, "/b") is None
    assert [ledger.strike_request(RefuseRequest, number, "/a") for number in (-1, -1, -2, -3)] == [
        refusal,
        None,
        refusal,
        None,
    ]
    assert ledger.strike_request(CutAnswer, -1, "/anything") == CutAnswer()
    ledger.clear_faults()
    assert ledger.strike_request(CutAnswer, -9, "/") is None


@pytest.mark.parametrize("change", ["handshake", "request", "message", "open", "close"])
def test_every_change_wakes_who_waits(change: str) -> None:
    ledger = Ledger((), record=True)
    ledger.note_open()
    asked, waiting = 0, threading.Event()

    def changed() -> bool:
        nonlocal asked
        asked += 1
        waiting.set()
        return bool(ledger.handshakes or ledger.requests or ledger.heard or ledger.open_connections != 1)

    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(ledger.wait_for, changed, BOUND)
        assert waiting.wait(BOUND)
        {
            "handshake": lambda: ledger.note_handshake(Handshake("/", {}, {})),
            "request": lambda: ledger.note_request(request("/")),
            "message": lambda: ledger.note_heard(0, "x"),
            "open": ledger.note_open,
            "close": ledger.note_closed,
        }[change]()
        waiter.result(BOUND)
    # Once before the change and once behind it, unless the change came while it was asked: nobody looks now and then.
    assert asked in (1, 2)


def test_a_condition_that_never_holds_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        Ledger((), record=True).wait_for(lambda: False, 0.01)


def test_a_condition_may_use_the_ledger_and_block() -> None:
    """It is asked without the lock, so others can go on meanwhile."""
    ledger = Ledger((), record=True)
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        asked.set()
        return go_on.wait(BOUND)

    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(ledger.wait_for, slow, BOUND)
        assert asked.wait(BOUND)
        ledger.note_open()  # would block
        go_on.set()
        waiter.result(BOUND)


def test_a_fault_is_due_after_so_many_frames_and_once() -> None:
    fault = Garbage(after=2)
    ledger = Ledger([fault], record=True)
    assert [ledger.strike(Garbage, 0, sent=sent) for sent in range(4)] == [None, None, fault, None]


def test_times_counts_targets() -> None:
    ledger = Ledger([Garbage(times=2)], record=True)
    assert [bool(ledger.strike(Garbage, number)) for number in (0, 0, 1, 2)] == [True, False, True, False]


def test_without_times_every_target_is_struck_once() -> None:
    ledger = Ledger([Close(times=None)], record=True)
    assert [bool(ledger.strike(Close, number)) for number in (0, 0, 1, 1, 2)] == [True, False, True, False, True]


def test_a_context_fault_counts_every_context_by_itself() -> None:
    ledger = Ledger([ErrorEvent(after=2, times=None)], record=True)
    assert not ledger.strike(ErrorEvent, 0, "a", sent=9, sent_in_context=1)
    assert ledger.strike(ErrorEvent, 0, "b", sent=9, sent_in_context=2)
    assert ledger.strike(ErrorEvent, 0, "a", sent=9, sent_in_context=2)
    assert not ledger.strike(ErrorEvent, 0, None, sent=9)


def test_a_context_id_leaves_the_others_in_peace() -> None:
    ledger = Ledger([Close(context_id="b", after=1, times=None)], record=True)
    assert not ledger.strike(Close, 0, "a", sent=9, sent_in_context=9)
    assert not ledger.strike(Close, 0, None, sent=9)
    assert not ledger.strike(Close, 0, "b", sent=9, sent_in_context=0)
    assert ledger.strike(Close, 0, "b", sent=9, sent_in_context=1)


def test_lasting_faults_last_on_their_target_until_cleared() -> None:
    ledger = Ledger([Delay(0.1)], record=True)
    assert [len(ledger.lasting(Delay, number)) for number in (0, 0, 1, 0)] == [1, 1, 0, 1]
    ledger.clear_faults()
    assert ledger.lasting(Delay, 0) == []


def test_a_hold_begins_after_its_frames() -> None:
    hold = Hold(threading.Event(), after=1)
    ledger = Ledger([hold], record=True)
    assert [ledger.lasting(Hold, 0, sent=sent) for sent in (0, 1, 2)] == [[], [hold], [hold]]


def test_faults_strike_one_by_one_in_the_order_given_and_by_kind() -> None:
    ledger = Ledger([Garbage(), StopReading()], record=True)
    ledger.inject([Close(1001), Close(1002)])
    both = (Garbage, Close)
    assert [ledger.strike(both, 0) for _ in range(4)] == [Garbage(), Close(1001), Close(1002), None]
    assert ledger.strike(StopReading, 0) == StopReading()
