from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from cartesia_sync.local.recorder import Handshake, Heard, Recorder, Request, Upload

BOUND = 10.0


def test_lists_are_copies_in_order() -> None:
    recorder = Recorder(record=True)
    assert [recorder.add_handshake(Handshake(path, {}, {})) for path in ("/a", "/b")] == [0, 1]
    recorder.add_message(1, "x")
    recorder.add_message(0, {"y": 1})
    recorder.handshakes.clear()
    recorder.heard.clear()
    assert [handshake.path for handshake in recorder.handshakes] == ["/a", "/b"]
    assert recorder.heard == [Heard(1, "x"), Heard(0, {"y": 1})]


def test_without_records_it_counts_but_does_not_keep() -> None:
    recorder = Recorder(record=False)
    assert [recorder.add_handshake(Handshake("/", {}, {})) for _ in range(2)] == [0, 1]
    recorder.add_message(0, "x")
    assert recorder.handshakes == []
    assert recorder.heard == []


def request(path: str) -> Request:
    return Request("GET", path, {}, {}, None)


def test_requests_have_numbers_that_no_connection_has() -> None:
    recorder = Recorder(record=True)
    numbers = [recorder.add_request(request(path)) for path in ("/a", "/b")]
    assert not {recorder.add_handshake(Handshake("/", {}, {})) for _ in range(2)} & set(numbers)
    recorder.requests.clear()
    assert [noted.path for noted in recorder.requests] == ["/a", "/b"]
    unrecorded = Recorder(record=False)
    assert unrecorded.add_request(request("/")) != unrecorded.add_request(request("/"))
    assert unrecorded.requests == []


@pytest.mark.parametrize("change", ["handshake", "request", "message", "open", "close"])
def test_every_change_wakes_who_waits(change: str) -> None:
    recorder = Recorder(record=True)
    recorder.count_opened()
    asked, waiting = 0, threading.Event()

    def changed() -> bool:
        nonlocal asked
        asked += 1
        waiting.set()
        return bool(recorder.handshakes or recorder.requests or recorder.heard or recorder.open_connections != 1)

    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(recorder.wait_for, changed, BOUND)
        assert waiting.wait(BOUND)
        {
            "handshake": lambda: recorder.add_handshake(Handshake("/", {}, {})),
            "request": lambda: recorder.add_request(request("/")),
            "message": lambda: recorder.add_message(0, "x"),
            "open": recorder.count_opened,
            "close": recorder.count_closed,
        }[change]()
        waiter.result(BOUND)
    # Once before the change and once behind it, unless the change came while it was asked: nobody looks now and then.
    assert asked in (1, 2)


def test_a_condition_that_never_holds_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        Recorder(record=True).wait_for(lambda: False, 0.01)


def test_a_condition_may_use_the_recorder_and_block() -> None:
    """It is asked without the lock, so others can go on meanwhile."""
    recorder = Recorder(record=True)
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        asked.set()
        return go_on.wait(BOUND)

    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(recorder.wait_for, slow, BOUND)
        assert asked.wait(BOUND)
        recorder.count_opened()  # would block
        go_on.set()
        waiter.result(BOUND)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Without the collector: an exception that strikes in a callback of its own is swallowed there, and never seen."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(sys.version_info < (3, 10), reason="on 3.9 nothing that Python can write is safe from this")
@pytest.mark.usefixtures("_no_collector")
def test_whatever_interrupts_a_thread_that_waits_or_looks_the_recorder_goes_on() -> None:
    """An exception from outside, as Ctrl-C raises one, can be raised anywhere; it must not leave the lock taken."""

    class Interrupted(BaseException):
        pass

    recorder = Recorder(record=True)
    throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
    throws, may_throw = 200, threading.Semaphore(0)
    done = threading.Event()

    def look() -> None:
        for _ in range(throws):
            with suppress(Interrupted):
                may_throw.release()
                while True:
                    with suppress(TimeoutError):
                        recorder.wait_for(lambda: bool(recorder.handshakes), 0)
        done.set()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    for number in range(throws):
        assert may_throw.acquire(timeout=BOUND)
        for _ in range(number % 50):  # so that each throw meets it somewhere else
            recorder.add_message(0, "x")
        assert throw(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupted)) == 1
    assert done.wait(BOUND)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(recorder.count_opened).result(BOUND) is None
    assert recorder.open_connections == 1
    assert [known for known in recorder._wakers if known() is not None] == []


def test_the_oldest_is_forgotten_where_it_gets_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartesia_sync.local.recorder._MOST_BYTES", 10_000)
    recorder = Recorder(record=True)
    for number in range(3):
        recorder.add_handshake(Handshake(f"/{number}", {}, {}))
    for number in range(20):
        recorder.add_message(number, "x" * 2000)
    assert recorder.handshakes == []
    assert [heard.connection for heard in recorder.heard] == [16, 17, 18, 19]
    recorder.add_request(Request("POST", "/", {}, {}, {"clip": [Upload("f", "audio/wav", b"x" * 50_000)]}))
    # The newest is there, whatever it weighs; and numbers go on.
    assert (len(recorder.requests), recorder.heard) == (1, [])
    recorder.add_message(7, "after")
    assert (recorder.requests, len(recorder.heard)) == ([], 1)
    assert recorder.add_handshake(Handshake("/3", {}, {})) == 3
    assert [handshake.number for handshake in recorder.handshakes] == [3]


def test_all_can_be_forgotten() -> None:
    recorder = Recorder(record=True)
    recorder.add_handshake(Handshake("/", {}, {}))
    recorder.add_message(0, "x")
    assert recorder.add_request(Request("GET", "/", {}, {}, None)) == -1
    recorder.forget()
    assert (recorder.handshakes, recorder.heard, recorder.requests) == ([], [], [])
    assert recorder.add_handshake(Handshake("/", {}, {})) == 1
    assert recorder.add_request(Request("GET", "/", {}, {}, None)) == -2
    recorder.add_message(1, "y")
    assert [heard.message for heard in recorder.heard] == ["y"]
