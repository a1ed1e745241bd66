"""What the collector runs, in whatever thread it runs in, and wherever: it takes no lock, and hurts nobody else.

The collector may run at each allocation, and so may a signal's handler between any two steps. Both are played by a
trace function that does what finalizers do at every step of the core, in the thread that takes it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import itertools
import queue
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import (
    APITimeoutError,
    CartesiaError,
    GapTimeoutError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
    streaming,
)
from cartesia_sync.streaming import forks
from cartesia_sync.streaming.mailbox import Notifications
from cartesia_sync.streaming.reader import Reader

BOUND = 10.0
CORE = frozenset(
    str(Path(streaming.__file__).with_name(f"{name}.py"))
    for name in (
        "arrivals",
        "channel",
        "connection",
        "context",
        "flushes",
        "forks",
        "link",
        "mailbox",
        "pump",
        "reader",
        "receiver",
        "registry",
    )
)
Action = Callable[[], object]


class Collector:
    """Does something at each step of the core, in every thread that starts in the block and in the caller's."""

    def __init__(self, counts: Callable[[str], bool] = lambda function: True) -> None:
        self.act: Action = lambda: None
        self._counts = counts  # whether a step of such a function is one
        self._acting = threading.local()
        self.locks: list[WatchedLock] = []
        self.steps = 0
        self.failures: list[str] = []

    @property
    def held_before(self) -> Optional[list[Any]]:
        """The locks that this thread had when it came to do what it does; None where it does nothing."""
        return getattr(self._acting, "held", None)

    def _enter(self, frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in CORE:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: Any, event: str, _: Any) -> Any:
        if event == "opcode" and self._counts(frame.f_code.co_name):
            self.steps += 1
            self._acting.held = [lock for lock in self.locks if lock._is_owned()]
            try:
                self.act()
            except BaseException as error:  # none may come out of a trace function: that would end the tracing
                self.failures.append(f"{error!r} at {frame.f_code.co_name}:{frame.f_lineno}")
            finally:
                self._acting.held = None
        return self._step

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        before = sys.gettrace()
        threading.settrace(self._enter)
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)
            threading.settrace(None)
            self.act = lambda: None  # threads that go on are traced still


class WatchedLock:
    """A lock that nobody may wait for, or enter again, while a finalizer runs."""

    def __init__(self, lock: Any, collector: Collector) -> None:
        self._lock = lock
        self._collector = collector
        collector.locks.append(self)

    def __enter__(self) -> Any:
        self._watch(blocking=True)
        return self._lock.__enter__()

    def __exit__(self, *details: Any) -> None:
        self._lock.__exit__(*details)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> Any:
        self._watch(blocking=blocking)
        return self._lock.acquire(blocking, timeout)

    def _watch(self, *, blocking: bool) -> None:
        held_before = self._collector.held_before
        if held_before is None:
            return
        if self in held_before:
            raise AssertionError("a finalizer goes into what its thread is in the midst of")
        if blocking and not self._is_owned():
            raise AssertionError("a finalizer waits for a lock")

    def _is_owned(self) -> bool:
        owned: bool = self._lock._is_owned()
        return owned


def is_reader() -> bool:
    return threading.current_thread().name.startswith("cartesia-sync-reader")


def is_free(lock: Any) -> bool:
    """Whether another thread can have the lock."""
    with ThreadPoolExecutor(1) as pool:

        def take() -> bool:
            taken: bool = lock.acquire(timeout=BOUND)
            if taken:
                lock.__exit__(None, None, None)
            return taken

        return pool.submit(take).result(2 * BOUND)


def speak(stage: Any, name: str) -> None:
    """Go through all of the core: many forms of one conversation, a loss, a replay, and another connection."""
    wire = stage.wire
    first, second = stage.context(f"{name}-1"), stage.context(f"{name}-2")
    first.push("One. ")
    second.push("Two.", continue_=False)
    first.no_more_inputs()
    wire.feed_chunk(first.context_id, b"11")
    wire.feed_chunk(second.context_id, b"22")
    merged = stage.connection.receive_any(first, second)
    assert [next(merged)[1].audio for _ in range(2)] == [b"11", b"22"]
    wire.feed_chunk(first.context_id, b"33")
    wire.feed_done(first.context_id)
    wire.feed_done(second.context_id)
    assert sorted(event.type for _, event in merged) == ["chunk", "done", "done"]
    third = stage.context(f"{name}-3")
    third.push("Three.", continue_=False)
    hear_whole(wire, third.context_id)
    assert third.audio() == b"12"
    fourth = stage.context(f"{name}-4")
    fourth.push("Four.", continue_=False)
    hear_whole(wire, fourth.context_id)
    assert [[event.type for event in flush] for _, flush in fourth.receive_flushes()] == [["chunk", "done"]]
    fifth = stage.context(f"{name}-5")
    fifth.push("Five.", continue_=False)
    wire.feed_done(fifth.context_id)
    for _ in range(1000):
        with contextlib.suppress(TruncatedError):  # of others, which have ended before
            if stage.connection.recv(timeout=BOUND).context_id == fifth.context_id:
                break
    sixth = stage.context(f"{name}-6")
    sixth.push("Six.")
    sixth.cancel()
    assert list(sixth.receive()) == []
    seventh = stage.context(f"{name}-7", on_disconnect="replay")
    seventh.push("Seven.", continue_=False)
    wire.lose()
    assert wire.is_free.wait(BOUND)
    answer_on_the_next_wire(stage, seventh.context_id)
    assert seventh.audio() == b"12"


def hear_whole(wire: Any, context_id: str) -> None:
    wire.feed_chunk(context_id, b"12")
    wire.feed_done(context_id)


def answer_on_the_next_wire(stage: Any, context_id: str) -> None:
    dial = stage.link._dial

    def dial_and_answer(deadline: Any) -> Any:
        stage.link._dial = dial
        wire = dial(deadline)
        wire.after_write = lambda: hear_whole(wire, context_id)
        return wire

    stage.link._dial = dial_and_answer


def wake_once(wire: Any) -> Any:
    """Have a wire hold one call to wake at most, as the real one does."""
    read, wake, rung = wire.read, wire.wake, deque[None]()

    def read_and_hear(deadline: Any) -> Any:
        message = read(deadline)
        if wire.was_woken:
            rung.clear()
        return message

    def ring() -> None:
        if not rung:
            rung.append(None)
            wake()

    wire.read, wire.wake = read_and_hear, ring
    return wire


@pytest.fixture
def make_traced(make_stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[Collector], Any]:
    """Make a connection whose locks are watched."""

    def make(collector: Collector) -> Any:
        stage = make_stage(Timeout(first_event=BOUND, gap=BOUND), max_retries=0)
        wake_once(stage.wire)
        dial = stage.link._dial
        stage.link._dial = lambda deadline: wake_once(dial(deadline))
        stage.link.registry.lock = WatchedLock(stage.link.registry.lock, collector)
        stage.link._connect_lock._lock = WatchedLock(stage.link._connect_lock._lock, collector)
        return stage

    return make


# ---- what users leave behind: their generators, and ours


def leave_context(context: Any) -> Generator[None, None, None]:
    with context:
        yield


def leave_speech(context: Any) -> Generator[None, None, None]:
    with context.speak(iter(["One. ", "Two."])):
        yield


def leave_other(connection: Any) -> Generator[None, None, None]:
    with connection:
        yield


def what_is_left(stage: Any, make_stage: Callable[..., Any]) -> tuple[list[Any], deque[Action]]:
    """Make what the collector is to end, and what ends it."""
    numbers = itertools.count()

    def speaking() -> Any:
        context = stage.context(f"victim-{next(numbers)}")
        context.push("x")
        return context

    victims = [speaking() for _ in range(40)]
    actions: deque[Action] = deque()
    for each in victims[:10]:
        actions.append(each.cancel)
        actions.append(functools.partial(stage.link.discard, each._channel))
    for each in victims[10:20]:
        user = leave_context(each)
        next(user)
        actions.append(user.close)
    for each in victims[20:30]:
        stage.wire.feed_chunk(each.context_id, b"12")
        events = stage.connection.receive_any(each)
        next(events)
        actions.append(events.close)
    for each in victims[30:]:
        stage.wire.feed_chunk(each.context_id, b"12")
        groups = each.receive_flushes()
        next(groups)
        actions.append(groups.close)
    for _ in range(5):
        held = [speaking()]
        actions.append(held.clear)  # its last reference, and so its __del__
        context = stage.context(f"speech-{next(numbers)}")
        victims.append(context)
        talk = leave_speech(context)
        next(talk)
        actions.append(talk.close)
    for end in ("close", "abandon"):
        other = make_stage()
        if end == "close":
            user = leave_other(other.connection)
            next(user)
            actions.append(user.close)
        else:
            actions.append(other.link.abandon)
    return victims, actions


@pytest.mark.parametrize("shift", range(5))
def test_what_finalizers_do_at_every_step_takes_no_lock_and_hurts_nobody(
    make_stage: Callable[..., Any], make_traced: Callable[[Collector], Any], shift: int
) -> None:
    collector = Collector()
    with collector.everywhere():
        stage = make_traced(collector)
        victims, once = what_is_left(stage, make_stage)
        # A generator ends once. Of all else there may be any number.
        others = [each for each in once if not inspect.isgenerator(getattr(each, "__self__", None))]
        again = itertools.cycle([*others, lambda: stage.link.registry.unsubscribe(Notifications())])
        turns = itertools.count(shift)
        deque(itertools.islice(again, 11 * shift), 0)  # so that other things meet other steps

        def act() -> None:
            if (
                len(stage.link.notes) + len(stage.link.registry._closed_subscribers) < 30
            ):  # or each that is seen to would make more
                (next(again) if next(turns) % 7 or not once else once.popleft())()

        collector.act = act
        speak(stage, "traced")
    assert collector.failures == []
    assert collector.steps > 1000
    assert not once
    speak(stage, "after")
    for each in victims[:20]:
        assert list(each.receive()) == []
    assert is_free(stage.link.registry.lock)
    assert is_free(stage.link._connect_lock._lock)


CONNECTING = frozenset(
    ["_connect_in_turn_locked", "_dial_with_retries", "with_retries", "connect", "start", "remember"]
)


def reconnect(stage: Any, name: str) -> None:
    stage.wire.lose()
    assert stage.wires[0].is_free.wait(BOUND)
    stage.context(f"{name}-1").push("One. ")


@pytest.mark.parametrize(
    ("program", "counts", "most"),
    [
        (speak, lambda function: not is_reader(), 80),
        (speak, lambda function: is_reader(), 80),
        (reconnect, lambda function: not is_reader() and function in CONNECTING, 200),
        (reconnect, lambda function: is_reader(), 200),
    ],
    ids=["the caller", "the reader", "one who connects", "a reader at its end"],
)
def test_close_at_any_step_returns_at_once_and_ends_the_connection(
    make_traced: Callable[[Collector], Any],
    monkeypatch: pytest.MonkeyPatch,
    program: Callable[[Any, str], None],
    counts: Callable[[str], bool],
    most: int,
) -> None:
    """By a finalizer or a signal's handler, in a thread that may have our lock, or that is the reader itself."""
    waits: list[tuple[int, bool]] = []
    has_ended_within = Reader.has_ended_within

    def wait(reader: Reader, seconds: Optional[float]) -> bool:
        waits.append((step, has_ended_within(reader, seconds)))
        return waits[-1][1]

    monkeypatch.setattr(Reader, "has_ended_within", wait)
    step, steps = 0, 1  # the first time all goes well, and the steps are counted
    while step < steps:
        collector = Collector(counts)
        with collector.everywhere():
            stage = make_traced(collector)
            collector.act, collector.steps = close_at(step, collector, stage), 0
            outcome = attempt(program, stage, "traced")
        assert collector.failures == [], step
        assert outcome is None or isinstance(outcome, CartesiaError), step
        assert not isinstance(outcome, APITimeoutError), step
        steps = max(steps, collector.steps)
        if 0 < step <= collector.steps:
            assert is_free(stage.link.registry.lock)
            stage.link.reader.join(BOUND)
            assert not stage.link.reader.is_alive()
            with pytest.raises(WebSocketConnectionClosedError, match="closed by close"):
                stage.context("late")
        stage.connection.close()
        step += 1 + steps // most
    assert [number for number, in_time in waits if not in_time] == []


def close_at(step: int, collector: Collector, stage: Any) -> Action:
    once = deque([stage.connection.close])

    def act() -> None:
        # At this step or the next: two threads count, and one may count on before the other has looked.
        if step and collector.steps >= step:
            with contextlib.suppress(IndexError):
                once.popleft()()

    return act


def attempt(what: Callable[..., None], *args: Any) -> Optional[Exception]:
    try:
        what(*args)
    except Exception as error:  # whatever it is, the test says what it may be
        return error
    return None


# ---- the collector itself


@pytest.fixture
def eager() -> Iterator[None]:
    """Have the collector run at nearly each allocation."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def leave_in_a_cycle(*things: object) -> None:
    """Leave things to the collector: no count of references ends them."""
    left: list[object] = [*things]
    left.append(left)


def in_time(what: Callable[..., None], *args: Any) -> None:
    """Do something that may hang, on a thread that is left behind then."""
    results: queue.SimpleQueue[Optional[Exception]] = queue.SimpleQueue()
    threading.Thread(target=lambda: results.put(attempt(what, *args)), daemon=True).start()
    failure = results.get(timeout=2 * BOUND)
    if failure is not None:
        raise failure


def test_an_iterator_left_in_a_cycle_is_collected_inside_of_context(stage: Any, eager: None) -> None:
    kept = stage.context("kept")
    kept.push("One.")

    def go_on() -> None:
        for number in range(100):
            stage.wire.feed_chunk("kept", b"12")
            events = stage.connection.receive_any(kept)
            assert next(events)[1].audio == b"12"
            leave_in_a_cycle(events)
            del events
            stage.context(f"{number}").cancel()

    in_time(go_on)
    gc.collect()
    with pytest.raises(GapTimeoutError):
        stage.connection.recv(timeout=0)  # which hangs up a bell, and takes down those that are left
    assert len(stage.link.registry._subscribers) == 1


def test_whatever_users_leave_to_the_collector_hurts_nobody(make_stage: Callable[..., Any], eager: None) -> None:
    """In any thread, the reader's included."""
    stage = make_stage()

    def leave(name: str) -> None:
        for number, user in enumerate((leave_context, leave_speech)):
            held = stage.context(f"{name}-left-{number}")
            running = user(held)
            next(running)
            leave_in_a_cycle(held, running)
        flushed = stage.context(f"{name}-flushes")
        flushed.push("x")
        stage.wire.feed_chunk(flushed.context_id, b"12")
        groups = flushed.receive_flushes()
        next(groups)
        leave_in_a_cycle(flushed, groups)
        talk = stage.context(f"{name}-talk").speak(iter(["One. "]))
        leave_in_a_cycle(talk)

    def go_on() -> None:
        for number in range(20):
            leave(f"{number}")
            context = stage.context(f"{number}")
            context.push("x", continue_=False)
            hear_whole(stage.wire, context.context_id)
            assert context.audio() == b"12"

    in_time(go_on)
    gc.collect()
    kept = stage.context("kept")
    kept.push("x", continue_=False)
    hear_whole(stage.wire, "kept")
    assert kept.audio() == b"12"
    assert [line.context_id for line in stage.link.registry.readable()] == ["kept"]


def test_a_connection_left_in_a_cycle_ends_and_so_does_one_that_is_closed_by_it(
    make_stage: Callable[..., Any], eager: None
) -> None:
    stage = make_stage()
    others = [make_stage() for _ in range(6)]
    readers = [other.link.reader for other in others]

    def go_on() -> None:
        for number, other in enumerate(others):
            if number % 2:
                running = leave_other(other.connection)
                next(running)
                leave_in_a_cycle(running)
                del running
            else:
                leave_in_a_cycle(other.connection)
                other.connection = make_stage().connection  # for the end of the test
            speak(stage, f"{number}")

    in_time(go_on)
    gc.collect()
    for thread in readers:
        thread.join(BOUND)
        assert not thread.is_alive()


def test_live_links_can_be_asked_beside_threads_that_connect(make_stage: Callable[..., Any], eager: None) -> None:
    is_over = threading.Event()

    def connect() -> None:
        for _ in range(25):
            other = make_stage()
            other.connection.close()

    def ask() -> int:
        asked = 0
        while not is_over.is_set():
            forks.live_links()
            asked += 1
        return asked

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for each in [pool.submit(connect) for _ in range(4)]:
            each.result(2 * BOUND)
        is_over.set()
        assert all(each.result(BOUND) for each in asking)
