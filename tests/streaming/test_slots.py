"""The client's limit, as contexts on one connection use it: one slot each, given back once in every end there is."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import ContextStateError, RateLimitError, Timeout, TruncatedError, WebSocketConnectionClosedError
from cartesia_sync.errors import ConnectTimeoutError, LimitError, SlotDeadlockError, SlotTimeoutError
from cartesia_sync.limits.gate import Gate
from cartesia_sync.limits.limit import gate_of
from cartesia_sync.streaming import registry, slots
from cartesia_sync.streaming.slots import Slots
from cartesia_sync.transport.credential import RaisedOutside

BOUND = 10.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def limited(make_stage: Callable[..., Any]) -> Callable[..., Any]:
    """Make a stage with a limit; its gate is ``stage.gate``."""

    def make(limit: Any = 1, *, wait: Optional[float] = None, idle: Optional[float] = None, **settings: Any) -> Any:
        gate = limit if isinstance(limit, Gate) else gate_of(limit)
        stage = make_stage(Timeout(), slots=Slots(gate, wait=wait, idle=idle), **settings)
        stage.gate = gate
        return stage

    return make


def refuse(stage: Any, wire_id: str, **fields: Any) -> None:
    stage.wire.feed_error(wire_id, status_code=429, error_code="concurrency_limited", **fields)


def freed(stage: Any) -> None:
    """Take the only slot and give it back: nobody else has it."""
    with ThreadPoolExecutor(1) as other:  # or it would be this thread that waits for its own context
        ticket = other.submit(stage.gate.acquire, BOUND).result(BOUND)
    assert ticket is not None
    assert stage.gate.in_use == 1
    ticket.release()


def push_waiting(stage: Any, threads: ThreadPoolExecutor, name: str) -> tuple[Any, Future[None]]:
    """Have a thread push to a new context, and wait until it is in line."""
    context, asked = stage.context(name), threading.Event()
    ask = stage.gate.ask

    def watched(**options: Any) -> Any:
        ticket = ask(**options)
        asked.set()
        return ticket

    stage.gate.ask = watched
    pushing = threads.submit(context.push, f"{name}.", continue_=False)
    assert asked.wait(BOUND)
    stage.gate.ask = ask
    return context, pushing


def test_contexts_take_turns_in_the_order_in_which_they_were_pushed(
    limited: Callable[..., Any], threads: ThreadPoolExecutor
) -> None:
    stage = limited(1)
    waiting = [push_waiting(stage, threads, name) for name in "abcd"]
    for number, (context, pushing) in enumerate(waiting):
        pushing.result(BOUND)
        assert [each["context_id"] for each in stage.wire.wait_sent(number + 1)] == list("abcd"[: number + 1])
        stage.wire.feed_chunk(context.context_id, b"12")
        stage.wire.feed_done(context.context_id)  # whether or not anybody receives
    freed(stage)
    assert [context.audio() for context, _ in waiting] == [b"12"] * 4


def test_a_context_keeps_its_slot_over_all_its_pushes(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    context = stage.context("a")
    for text in ("One. ", "Two. ", "Three."):
        context.push(text)
    context.no_more_inputs()
    assert (stage.gate.in_use, stage.gate.waiting) == (1, 0)
    assert len(stage.wire.sent) == 4
    stage.wire.feed_done("a")
    freed(stage)


ENDS: dict[str, Callable[[Any, Any], None]] = {
    "done": lambda stage, context: stage.wire.feed_done("a"),
    "an error event": lambda stage, context: stage.wire.feed_error("a"),
    "a refusal after audio": lambda stage, context: (stage.wire.feed_chunk("a", b"12"), refuse(stage, "a"))[0],
    "cancel and its late done": lambda stage, context: (context.cancel(), stage.wire.feed_done("a"))[0],
    "cancel and its late error": lambda stage, context: (context.cancel(), stage.wire.feed_error("a"))[0],
    "what cannot be read": lambda stage, context: stage.wire.feed({"type": 5, "context_id": "a"}),
    "a lost connection": lambda stage, context: stage.wire.lose(),
    "close": lambda stage, context: stage.connection.close(),
    "an interrupt in the text": lambda stage, context: stage.link.fail(context._channel, KeyboardInterrupt()),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_gives_the_slot_back_once(
    limited: Callable[..., Any], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "CANCEL_GRACE", 0.05)
    stage = limited(1)
    context = stage.context("a")
    context.push("One.")
    assert stage.gate.in_use == 1
    ENDS[end](stage, context)
    freed(stage)
    assert context._channel.slot is None


def test_a_context_that_nobody_holds_gives_its_slot_back(
    limited: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "CANCEL_GRACE", 0.01)
    stage = limited(1)
    stage.context("a").push("One.")
    gc.collect()
    assert stage.wire.wait_sent(2)[1] == {"context_id": "a", "cancel": True}
    freed(stage)


def test_a_cancelled_context_keeps_its_slot_until_the_service_says_so_or_a_moment_longer(
    limited: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Any] = []
    monkeypatch.setattr(registry, "call_later", lambda seconds, function: later.append((seconds, function)))
    stage = limited(1)
    context = stage.context("a")
    context.push("One.")
    context.cancel()
    stage.wire.wait_sent(2)
    assert stage.gate.in_use == 1
    ((seconds, function),) = later
    assert seconds == slots.CANCEL_GRACE == 1.0
    function()
    assert stage.gate.in_use == 0
    stage.wire.feed_done("a")
    freed(stage)


def wait_until_waiting(gate: Gate, pushing: Future[None]) -> None:
    deadline = time.monotonic() + BOUND
    while not gate.waiting:
        if pushing.done():
            pushing.result()
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("way", ["cancel", "drop"])
@pytest.mark.parametrize("is_noted", [True, False])
def test_a_thread_may_wait_for_the_slot_of_a_context_that_it_has_cancelled(
    limited: Callable[..., Any], threads: ThreadPoolExecutor, way: str, is_noted: bool
) -> None:
    """It comes back by itself, before and after the reader has taken note."""
    stage = limited(1)

    carry_out_notes = stage.link.carry_out_notes

    def talk() -> None:
        context = stage.context("a")
        context.push("One. ")
        if not is_noted:
            stage.link.carry_out_notes = lambda: None
        if way == "cancel":
            context.cancel()
        del context
        gc.collect()
        if is_noted:
            stage.wire.wait_sent(2)
        stage.context("b").push("Two.", continue_=False)

    talking = threads.submit(talk)
    try:
        wait_until_waiting(stage.gate, talking)
        stage.wire.feed_done("a")
        talking.result(BOUND)
    finally:
        stage.link.carry_out_notes = carry_out_notes
    assert [each["context_id"] for each in stage.wire.sent if "transcript" in each] == ["a", "b"]


def test_a_connection_that_is_closed_keeps_its_slots_until_it_has_ended(
    limited: Callable[..., Any], threads: ThreadPoolExecutor
) -> None:
    """The service counts its contexts until it hears of the close."""
    stage, told = limited(1), threading.Event()
    stage.wire.send_close = lambda *_: told.set()
    context = stage.context("a")
    context.push("One.")
    closing = threads.submit(stage.connection.close)
    assert told.wait(BOUND)
    assert stage.gate.in_use == 1
    stage.wire.lose()
    closing.result(BOUND)
    assert stage.gate.in_use == 0


def test_a_lost_connection_gives_back_what_lingers_on_it(
    limited: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "call_later", lambda seconds, function: None)
    stage = limited(1)
    context = stage.context("a")
    context.push("One.")
    context.cancel()
    stage.wire.wait_sent(2)
    assert stage.gate.in_use == 1
    stage.wire.lose()
    freed(stage)


def test_cancel_ends_the_wait_of_who_pushes(limited: Callable[..., Any], threads: ThreadPoolExecutor) -> None:
    stage = limited(1)
    busy = stage.context("busy")
    busy.push("One.", continue_=False)
    context, pushing = push_waiting(stage, threads, "a")
    context.cancel()
    with pytest.raises(ContextStateError):
        pushing.result(BOUND)
    assert (stage.gate.in_use, stage.gate.waiting) == (1, 0)
    assert len(stage.wire.sent) == 1


def test_close_ends_the_wait_of_who_pushes(limited: Callable[..., Any], threads: ThreadPoolExecutor) -> None:
    stage = limited(1)
    busy = stage.context("busy")
    busy.push("One.", continue_=False)
    _, pushing = push_waiting(stage, threads, "a")
    stage.connection.close()
    with pytest.raises((WebSocketConnectionClosedError, TruncatedError)):
        pushing.result(BOUND)
    assert stage.gate.waiting == 0


def test_the_wait_has_the_bound_that_it_was_given(limited: Callable[..., Any]) -> None:
    stage = limited(1, wait=0.05)
    busy = stage.context("busy")
    busy.push("One.", continue_=False)
    with pytest.raises(SlotTimeoutError, match=r"'a' waited 0.05 s \(limit_wait\)"):
        stage.context("a").push("One.")
    assert len(stage.wire.sent) == 1


def test_a_thread_that_waits_for_its_own_open_context_is_told_at_once(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    first, second = stage.context("a"), stage.context("b")
    first.push("One.")
    with pytest.raises(SlotDeadlockError):
        second.push("Two.")
    first.no_more_inputs()
    stage.wire.feed_done("a")
    second.push("Two.")


def test_two_contexts_that_are_finished_before_they_are_received_take_turns(limited: Callable[..., Any]) -> None:
    """The documentation's program: the reader gives the slot back, and not the receiver."""
    stage = limited(1)
    first, second = stage.context("a"), stage.context("b")
    stage.wire.after_write = lambda: stage.wire.feed_done(stage.wire.sent[-1]["context_id"])
    first.push("One.", continue_=False)
    second.push("Two.", continue_=False)
    assert [[event.type for event in each.receive()] for each in (first, second)] == [["done"], ["done"]]


def test_a_context_that_waits_costs_its_timeouts_nothing(
    limited: Callable[..., Any], threads: ThreadPoolExecutor
) -> None:
    stage = limited(1)
    busy = stage.context("busy")
    busy.push("One.", continue_=False)
    context, pushing = push_waiting(stage, threads, "a")
    assert context._channel.time_left(Timeout(first_event=0.001)) is None
    stage.wire.feed_done("busy")
    pushing.result(BOUND)
    assert context._channel.waited_for_slot > 0


def test_a_limit_that_fails_is_told_to_who_pushes(limited: Callable[..., Any]) -> None:
    class Broken:
        def acquire(self, timeout: Optional[float] = None) -> bool:
            raise OSError("no such server")

        def release(self) -> None:
            pass

    stage = limited(Broken())
    with pytest.raises(LimitError, match="no such server"):
        stage.context("a").push("One.")
    assert stage.wire.sent == []


def test_a_push_that_finds_no_connection_gives_its_slot_back(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    stage.refuse = ConnectTimeoutError("no", timeout=1.0)
    stage.wire.lose()
    assert stage.wires[0].is_free.wait(BOUND)
    context = stage.context("a")
    with pytest.raises(ConnectTimeoutError):
        context.push("One.")
    assert stage.gate.in_use == 0


# ---- said again


def test_a_refused_context_is_said_again_under_a_fresh_id_and_its_user_sees_nothing(
    limited: Callable[..., Any],
) -> None:
    stage = limited(2)
    context = stage.context("a")
    context.push("One. ")
    context.push("Two.", continue_=False)
    refuse(stage, "a")
    stage.wire.wait_unsent(2)
    stage.wire.send_rest()
    first, last, cancel, *again = stage.wire.wait_sent(5)
    assert cancel == {"context_id": "a", "cancel": True}  # or what crossed the refusal would be spoken under that id
    fresh = again[0]["context_id"]
    assert fresh != "a"
    assert again == [{**first, "context_id": fresh}, {**last, "context_id": fresh}]
    stage.wire.feed_chunk("a", b"no")
    stage.wire.feed_chunk(fresh, b"12")
    stage.wire.feed_done(fresh)
    assert context.audio() == b"12"
    assert context.context_id == "a"
    assert stage.gate.seen_429 == 1
    assert (stage.gate.in_use, stage.gate.waiting) == (0, 0)
    metrics = context.metrics
    assert metrics.refused == 1
    assert metrics.waited_for_slot > 0
    assert metrics.first_audio is not None
    assert metrics.first_audio < metrics.waited_for_slot  # from the message that was heard, behind the pause


def test_pushes_wait_behind_what_is_to_be_said_again(limited: Callable[..., Any]) -> None:
    stage = limited(2)
    other, context = stage.context("other"), stage.context("a")
    other.push("x", continue_=False)
    context.push("One. ")
    refuse(stage, "a")  # which narrows the limit to the one that the service has accepted
    marker(stage)
    context.push("Two. ")
    context.no_more_inputs()
    assert len(stage.wire.sent) == 2
    stage.wire.feed_done("other")
    stage.wire.wait_unsent(3)
    stage.wire.send_rest()
    texts = [each["transcript"] for each in stage.wire.sent if each["context_id"] not in ("a", "other", "marker")]
    assert texts == ["One. ", "Two. ", ""]
    assert stage.gate.seen_429 == 1


def marker(stage: Any) -> None:
    """Wait until the reader has dealt with all that was fed."""
    context = stage.context("marker")
    stage.wire.feed_chunk("marker", b"12")
    assert next(context.receive()).type == "chunk"


def test_a_refusal_that_lasts_longer_than_the_wait_is_told(limited: Callable[..., Any]) -> None:
    stage = limited(2, wait=0.05)
    other, context = stage.context("other"), stage.context("a")
    other.push("x", continue_=False)
    context.push("One.", continue_=False)
    refuse(stage, "a", title="Too many concurrent requests")
    (event,) = context.receive()
    assert (event.type, event.status_code, event.context_id) == ("error", 429, "a")
    assert context.metrics.refused == 1
    assert (stage.gate.in_use, stage.gate.waiting) == (1, 0)


def test_cancel_ends_what_waits_to_be_said_again(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    context = stage.context("a")
    context.push("One.", continue_=False)
    refuse(stage, "a")
    marker(stage)
    context.cancel()
    assert list(context.receive()) == []
    freed(stage)
    assert len(stage.wire.sent) == 1


def test_another_error_with_that_status_is_the_users(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    context = stage.context("a")
    context.push("One.", continue_=False)
    stage.wire.feed_error("a", status_code=429, error_code="quota_exceeded")
    (event,) = context.receive()
    assert event.error_code == "quota_exceeded"
    freed(stage)


def test_without_a_limit_a_refusal_is_the_users(stage: Any) -> None:
    context = stage.context("a")
    context.push("One.", continue_=False)
    refuse(stage, "a")
    with pytest.raises(RateLimitError) as caught:
        context.audio()
    assert (caught.value.exceeded, caught.value.context_id, caught.value.transcripts) == ("contexts", "a", ("One.",))


def test_where_the_connection_is_gone_it_is_said_again_on_another(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    context = stage.context("a")
    context.push("One.", continue_=False)
    blocker = stage.gate.ask(at_head=True)
    refuse(stage, "a")
    marker(stage)
    stage.wires[0].lose()
    assert stage.wires[0].is_free.wait(BOUND)
    blocker.release()
    stage.wait_wires(2)
    stage.wire.wait_unsent(1)
    stage.wire.send_rest()
    fresh = stage.wire.wait_sent(1)[0]["context_id"]
    stage.wire.feed_chunk(fresh, b"12")
    stage.wire.feed_done(fresh)
    assert context.audio() == b"12"


def test_where_no_token_is_had_to_say_it_again_the_receiver_is_told(limited: Callable[..., Any]) -> None:
    stage = limited(1)
    context = stage.context("a")
    context.push("One.", continue_=False)
    blocker = stage.gate.ask(at_head=True)
    refuse(stage, "a")
    marker(stage)
    stage.wires[0].lose()
    assert stage.wires[0].is_free.wait(BOUND)
    stage.refuse = RaisedOutside(error := OSError("no token"))
    blocker.release()
    with pytest.raises(OSError, match="no token") as caught:
        context.audio()
    assert caught.value is error
    freed(stage)
    stage.refuse = None
    other = stage.context("b")  # it is not said later, and the thread that says again lives
    other.push("Two.", continue_=False)
    refuse(stage, "b")
    stage.wire.wait_unsent(1)
    stage.wire.send_rest()
    assert [each["transcript"] for each in stage.wire.wait_sent(2)] == ["Two.", "Two."]


# ---- left open


def test_a_context_that_is_left_open_gives_its_slot_back_and_takes_another(limited: Callable[..., Any]) -> None:
    stage = limited(1, idle=0.5)
    context = stage.context("a")
    context.push("One. ")
    freed(stage)
    context.push("Two. ")
    assert stage.gate.in_use == 1
    context.no_more_inputs()
    stage.wire.feed_done("a")
    freed(stage)
    assert [each["context_id"] for each in stage.wire.sent] == ["a", "a", "a"]


def test_a_context_whose_text_is_all_sent_is_not_left_open(
    limited: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = limited(1, idle=0.01)
    context = stage.context("a")
    context.push("One.", continue_=False)
    assert stage.link.free_idle(0.0) is True
    assert stage.gate.in_use == 1
    monkeypatch.setattr("cartesia_sync.streaming.link.STALLED", 0.0)
    assert stage.link.free_idle(0.0) is False
    assert stage.gate.in_use == 0


def test_a_pause_of_the_model_gives_the_slot_back(limited: Callable[..., Any]) -> None:
    stage, more = limited(1), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        assert more.wait(BOUND)
        yield "Two."

    speech = stage.context("a").speak(text())
    stage.wire.wait_sent(1)
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_done("a")
    assert next(speech).type == "chunk"
    freed(stage)
    more.set()
    fresh = stage.wire.wait_sent(3)[2]["context_id"]
    stage.wire.feed_chunk(fresh, b"12")
    stage.wire.feed_done(fresh)
    assert [event.type for event in speech] == ["chunk", "done"]
    freed(stage)
