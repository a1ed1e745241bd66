from __future__ import annotations

from typing import Any, Optional

from cartesia_sync.protocol.events import Chunk, Done, Error, Event, FlushDone, Timestamps
from cartesia_sync.streaming.flushes import by_flush


def chunk(name: str, flush_id: Optional[int] = None) -> Chunk:
    return Chunk(context_id="a", audio=name.encode(), flush_id=flush_id)


def grouped(*events: Event) -> list[tuple[int, list[Any]]]:
    return [
        (number, [event.audio.decode() if isinstance(event, Chunk) else event.type for event in group])
        for number, group in by_flush(iter(events))
    ]


def test_numbers_on_chunks_part_the_flushes() -> None:
    assert grouped(
        chunk("1a", 1), chunk("1b", 1), FlushDone(flush_id=1), chunk("2a", 2), FlushDone(flush_id=2), Done()
    ) == [(1, ["1a", "1b", "flush_done"]), (2, ["2a", "flush_done", "done"])]


def test_a_chunk_that_comes_after_its_flush_done_stays_with_its_flush() -> None:
    assert grouped(chunk("1a", 1), FlushDone(flush_id=1), chunk("1b", 1), chunk("2a", 2), Done()) == [
        (1, ["1a", "flush_done", "1b"]),
        (2, ["2a", "done"]),
    ]


def test_without_numbers_flush_done_parts_them() -> None:
    assert grouped(chunk("x"), FlushDone(), Timestamps(), chunk("y"), FlushDone(), Done()) == [
        (1, ["x", "flush_done"]),
        (2, ["timestamps", "y", "flush_done", "done"]),
    ]


def test_a_context_without_flushes_is_one_group() -> None:
    assert grouped(chunk("x"), chunk("y"), Done()) == [(1, ["x", "y", "done"])]


def test_an_error_ends_the_last_group() -> None:
    assert grouped(chunk("x", 1), FlushDone(flush_id=1), Error(message="no")) == [(1, ["x", "flush_done", "error"])]


def test_no_events_make_no_group() -> None:
    assert grouped() == []


def test_what_the_caller_leaves_of_a_group_is_skipped() -> None:
    events = iter([chunk("1a", 1), chunk("1b", 1), chunk("2a", 2), Done()])
    numbers = []
    for number, group in by_flush(events):
        numbers.append((number, next(group).audio))  # type: ignore[union-attr]  # a chunk
    assert numbers == [(1, b"1a"), (2, b"2a")]


def test_flushes_of_a_context_are_numbered_for_who_sends_them(stage: Any) -> None:
    context = stage.context("a")
    assert context.flush_id == 1
    context.push("x")
    assert context.flush() == 1
    assert context.flush_id == 2
    context.push("", flush=True)
    assert context.flush_id == 3
    stage.wire.feed({"type": "flush_done", "context_id": "a", "flush_done": True, "flush_id": 1, "done": False})
    stage.wire.feed_done("a")
    assert [number for number, _ in context.receive_flushes()] == [1]
