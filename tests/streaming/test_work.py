"""How much is done for an event: counted, so that a later change cannot undo quietly what makes this client fast."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cartesia_sync import MailboxFullError, MalformedEventError, Timeout, TruncatedError
from cartesia_sync.protocol import codec
from cartesia_sync.protocol.events import Chunk
from cartesia_sync.streaming import reader as reader_module
from cartesia_sync.streaming.mailbox import Mailbox
from cartesia_sync.streaming.reader import FEWEST_RECEIVERS, MOST_RECEIVERS

BOUND = 10.0
MANY = MOST_RECEIVERS + 3 * FEWEST_RECEIVERS
EACH = 5


def chunk(context_id: str, audio: bytes = b"..") -> dict[str, Any]:
    return {"type": "chunk", "context_id": context_id, "data": base64.b64encode(audio).decode()}


def done(context_id: str) -> dict[str, Any]:
    return {"type": "done", "context_id": context_id, "done": True}


def speaking(stage: Any, *context_ids: str, **options: Any) -> list[Any]:
    contexts = [stage.context(context_id, **options) for context_id in context_ids]
    for context in contexts:
        context.push("x")
    return contexts


def count_calls(monkeypatch: pytest.MonkeyPatch, target: Any, *names: str) -> Counter[str]:
    calls: Counter[str] = Counter()

    def counted(name: str, call: Any) -> Any:
        def count_and_call(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return call(*args, **kwargs)

        return count_and_call

    for name in names:
        monkeypatch.setattr(target, name, counted(name, getattr(target, name)))
    return calls


def hear_rest(context: Any) -> list[Any]:
    return [event.audio if event.type == "chunk" else event.type for event in context.receive()]


# ---- what arrives together is passed on together


def test_a_receiver_is_woken_once_for_all_that_arrived_together(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (context,) = speaking(stage, "a")
    calls = count_calls(monkeypatch, Mailbox, "deliver", "wait")
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(lambda events: [next(events).audio for _ in range(50)], context.receive())
        stage.wire.feed_together(*(chunk("a", bytes([number])) for number in range(50)))
        assert heard.result(BOUND) == [bytes([number]) for number in range(50)]
    assert calls["deliver"] == 1
    assert calls["wait"] <= 1


def test_each_message_is_decoded_once_and_so_is_its_audio(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (context,) = speaking(stage, "a")
    calls = count_calls(monkeypatch, codec, "decode")
    stage.wire.feed_together(*[chunk("a")] * 20, done("a"))
    events = list(context.receive())
    assert [event.audio is event.audio for event in events[:-1]] == [True] * 20
    assert calls["decode"] == 21


@pytest.mark.parametrize("audio_bytes", [4096, 16384])
def test_of_a_large_chunk_nothing_is_copied_but_its_audio(audio_bytes: int) -> None:
    message = json.dumps(chunk("a", bytes(audio_bytes)), separators=(",", ":")).encode()
    codec.decode(message)  # what is made once
    tracemalloc.start()
    try:
        event = codec.decode(message)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(event, Chunk)
    assert audio_bytes < held < audio_bytes + 1000
    assert peak < audio_bytes + 2500


def test_the_wire_is_asked_once_to_wait_for_what_arrives_together(stage: Any) -> None:
    (context,) = speaking(stage, "a")
    stage.wire.feed_together(*[chunk("a")] * 20, done("a"))
    assert len(hear_rest(context)) == 21
    waits = [seconds for seconds in stage.wire.deadlines if seconds]
    assert len(waits) <= 2  # the one that brought them, and the one after


def test_a_taken_event_gives_its_room_back_though_others_came_with_it(stage: Any) -> None:
    (context,) = speaking(stage, "a")
    stage.wire.feed_together(chunk("a"), chunk("a"), done("a"))
    events = context.receive()
    next(events)
    whole = context._channel.mailbox.waiting_bytes
    next(events)
    assert 0 < context._channel.mailbox.waiting_bytes < whole
    assert next(events).type == "done"
    assert context._channel.mailbox.waiting_bytes == 0


# ---- and to a few receivers at a time


@pytest.mark.parametrize(("per_second", "most"), [(0, FEWEST_RECEIVERS), (1 << 40, MOST_RECEIVERS)])
def test_no_more_than_a_few_receivers_are_woken_before_the_wire_is_looked_at_again(
    make_stage: Any, monkeypatch: pytest.MonkeyPatch, per_second: int, most: int
) -> None:
    monkeypatch.setattr(reader_module, "RECEIVERS_A_SECOND", per_second)
    stage = make_stage(Timeout())
    names = [f"c{number}" for number in range(MANY)]
    contexts = speaking(stage, *names)
    read, sealed = stage.wire.read, []

    def counting(deadline: Any) -> Any:
        sealed.append(sum(context._channel.mailbox.is_sealed for context in contexts))
        return read(deadline)

    monkeypatch.setattr(stage.wire, "read", counting)
    stage.wire.feed({"type": "weather"})  # so that the reader comes back from the read it is in
    events = [event for name in names for event in (chunk(name), done(name))]
    stage.wire.feed_together(*events)
    assert [hear_rest(context) for context in contexts] == [[b"..", "done"]] * MANY
    steps = [later - earlier for earlier, later in zip(sealed, sealed[1:])]
    assert max(steps, default=0) <= most
    assert sum(steps) <= MANY


def test_many_contexts_that_arrive_together_are_all_heard_whole_and_in_order(stage: Any) -> None:
    names = [f"c{number}" for number in range(MANY)]
    contexts = speaking(stage, *names)
    with ThreadPoolExecutor(MANY) as pool:
        heard = [pool.submit(hear_rest, context) for context in contexts]
        turns = [chunk(name, bytes([turn])) for turn in range(EACH) for name in names]
        stage.wire.feed_together(*turns[: len(turns) // 2])
        stage.wire.feed_together(*turns[len(turns) // 2 :], *(done(name) for name in names))
        for each in heard:
            assert each.result(BOUND) == [*(bytes([turn]) for turn in range(EACH)), "done"]


# ---- what happens in the midst of it happens to the right events


def test_what_came_before_a_loss_is_heard_before_it(stage: Any) -> None:
    names = [f"c{number}" for number in range(MANY)]
    contexts = speaking(stage, *names)
    stage.wire.feed_together(*(chunk(name) for name in names))
    stage.wire.lose()
    for context in contexts:
        events = context.receive()
        assert next(events).audio == b".."
        with pytest.raises(TruncatedError):
            next(events)


def test_what_came_before_an_unreadable_event_is_heard_before_its_error(stage: Any) -> None:
    one, other = speaking(stage, "a", "b")
    unreadable = {"type": "chunk", "context_id": "a", "data": 5}
    stage.wire.feed_together(chunk("a"), chunk("b"), unreadable, chunk("a"), done("b"))
    events = one.receive()
    assert next(events).audio == b".."
    with pytest.raises(MalformedEventError):
        next(events)
    assert hear_rest(other) == [b"..", "done"]
    assert stage.link.registry.late_events == 1


def test_what_comes_behind_the_end_in_one_piece_with_it_is_late(stage: Any) -> None:
    (context,) = speaking(stage, "a")
    stage.wire.feed_together(chunk("a"), done("a"), chunk("a"), done("a"))
    assert hear_rest(context) == [b"..", "done"]
    assert stage.link.registry.late_events == 2


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_there_is_room_for_is_heard_and_the_rest_ends_the_context(stage: Any, is_whole: bool) -> None:
    (context,) = speaking(stage, "a", max_queued_bytes=1000)
    (other,) = speaking(stage, "b")
    stage.wire.feed_together(*[chunk("a", bytes(300))] * 4, *[done("a")] * is_whole, done("b"))
    assert hear_rest(other) == ["done"]
    events = context.receive()
    assert [len(next(events).audio) for _ in range(3)] == [300] * 3
    with pytest.raises(MailboxFullError):
        next(events)
    stage.connection.close()  # the reader has seen to everything
    cancels = [message for message in stage.wire.sent if message.get("cancel")]
    assert cancels == [] if is_whole else [{"context_id": "a", "cancel": True}]


def test_the_last_event_needs_no_room(stage: Any) -> None:
    (context,) = speaking(stage, "a", max_queued_bytes=10)
    stage.wire.feed_together(chunk("a", bytes(300)), done("a"))
    assert hear_rest(context) == [bytes(300), "done"]


def test_what_waits_for_its_turn_counts_against_the_connections_limit(make_stage: Any) -> None:
    stage = make_stage(max_queued_bytes=20_000)
    names = [f"c{number}" for number in range(MANY)]
    contexts = speaking(stage, *names)
    stage.wire.feed_together(*(chunk(name, bytes(1000)) for name in names), *(done(name) for name in names))
    full = 0
    for context in contexts:
        try:
            assert hear_rest(context) == [bytes(1000), "done"]
        except MailboxFullError:
            full += 1
    assert 0 < full < MANY


# ---- many contexts, one receiver


@pytest.mark.parametrize("by", ["recv", "receive_any"])
def test_an_event_costs_as_much_among_many_contexts_as_among_few(
    stage: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    looks = {}
    for many in (2, 100):
        contexts = speaking(stage, *(f"{many}-{number}" for number in range(many)))
        merged = stage.connection.receive_any(*contexts)

        def take(merged: Any = merged) -> Any:
            return stage.connection.recv() if by == "recv" else next(merged)[1]

        stage.wire.feed(chunk(f"{many}-0"))
        take()  # which hangs the bell
        with monkeypatch.context() as patch:
            calls = count_calls(patch, Mailbox, "next_number", "subscribe")
            for number in range(20):
                stage.wire.feed(chunk(f"{many}-{number % 2}"))
                assert take().audio == b".."
        looks[many] = sum(calls.values())
        merged.close()
    assert looks[100] <= looks[2] + 2
    assert looks[100] <= 20 * 4


def test_notifications_that_nobody_takes_are_one_of_each_context(stage: Any) -> None:
    first, _ = speaking(stage, "a", "b")
    stage.wire.feed(chunk("a"))
    assert stage.connection.recv().context_id == "a"
    for _ in range(50):
        stage.wire.feed_together(chunk("a"), chunk("b"))
    stage.wire.feed(done("a"))
    assert len(hear_rest(first)) == 51
    assert stage.connection._selector._notifications.qsize() <= 2
