from __future__ import annotations

import queue
import threading

import pytest

from cartesia_sync.pool import workers as module
from cartesia_sync.pool.workers import Workers

BOUND = 10.0


def count_threads() -> int:
    return sum(thread.name.startswith("cartesia-sync-pool") for thread in threading.enumerate())


def test_there_are_as_many_threads_as_there_is_work_and_no_more_than_allowed() -> None:
    workers, until = Workers(lambda: 3), threading.Event()
    begun: queue.SimpleQueue[int] = queue.SimpleQueue()
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()

    def work(number: int) -> None:
        begun.put(number)
        until.wait(BOUND)
        ended.put(number)

    before = count_threads()
    for number in range(8):
        workers.put(lambda number=number: work(number))  # type: ignore[misc]  # mypy does not know this idiom
    assert sorted(begun.get(timeout=BOUND) for _ in range(3)) == [0, 1, 2]
    assert count_threads() - before == 3
    assert begun.empty()
    until.set()
    assert sorted(ended.get(timeout=BOUND) for _ in range(8)) == [*range(8)]
    workers.stop()


def test_a_thread_that_waits_is_used_again() -> None:
    workers = Workers(lambda: 3)
    idents: queue.SimpleQueue[int] = queue.SimpleQueue()
    for _ in range(5):
        workers.put(lambda: idents.put(threading.get_ident()))
        first = idents.get(timeout=BOUND)
        workers._idle.put(workers._idle.get(timeout=BOUND))  # until it waits
    assert first
    assert len(workers._threads) == 1
    workers.stop()


def test_threads_end_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.001)
    workers = Workers(lambda: 2)
    for _ in range(200):  # each may find the thread at its end
        done = threading.Event()
        workers.put(done.set)
        assert done.wait(BOUND)
    for thread in threading.enumerate():
        if thread.name.startswith("cartesia-sync-pool"):
            thread.join(BOUND)
    assert workers._threads == []
    done = threading.Event()
    workers.put(done.set)
    assert done.wait(BOUND)
    workers.stop()


def test_one_thread_alone_never_leaves_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is about to end just as somebody counts on it."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    workers = Workers(lambda: 1)
    for _ in range(2000):
        done = threading.Event()
        workers.put(done.set)
        assert done.wait(BOUND)
    workers.stop()


def test_what_is_put_just_as_the_only_thread_leaves_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    workers, done = Workers(lambda: 1), threading.Event()
    leave = workers._leave

    def leave_late(mine: object) -> None:
        monkeypatch.setattr(workers, "_leave", leave)
        workers.put(done.set)  # finds no token, and as many threads as may be
        leave(mine)

    monkeypatch.setattr(workers, "_leave", leave_late)
    workers.put(lambda: None)
    assert done.wait(BOUND)
    workers.stop()


def test_one_stop_ends_all_threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 600.0)
    workers, meeting = Workers(lambda: 3), threading.Barrier(4)
    before = set(threading.enumerate())
    for _ in range(3):
        workers.put(lambda: [meeting.wait(BOUND)].clear())
    meeting.wait(BOUND)
    mine = [thread for thread in threading.enumerate() if thread not in before]
    workers.stop()
    for thread in mine:
        thread.join(BOUND)
        assert not thread.is_alive()


def test_a_start_that_is_interrupted_costs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, done = Workers(lambda: 1), threading.Event()

    def interrupt(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            workers.put(lambda: None)
    workers.put(done.set)
    assert done.wait(BOUND)
    workers.stop()
