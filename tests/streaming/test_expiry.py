"""Text that comes after the service has ended the context: it is spoken under another id, and its user sees one."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import ContextStateError, ContextTimeoutError, Timeout, TruncatedError, UnfinishedError
from cartesia_sync.errors import ConnectTimeoutError

BOUND = 10.0
SECOND = bytes(88200)
"""Of audio, in the stage's format."""


class Model:
    """A text whose pieces come when the test gives them; None is its end."""

    def __init__(self) -> None:
        self._pieces: queue.SimpleQueue[Optional[str]] = queue.SimpleQueue()

    def __call__(self, *pieces: Optional[str]) -> None:
        for piece in pieces:
            self._pieces.put(piece)

    def __iter__(self) -> Iterator[str]:
        while True:
            piece = self._pieces.get(timeout=BOUND)
            if piece is None:
                return
            yield piece


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model(None)


def words(context_id: str, *, start: float = 0.0, flush_id: Optional[int] = None) -> dict[str, Any]:
    times = {"words": ["x"], "start": [start], "end": [start + 0.5]}
    event = {"type": "timestamps", "context_id": context_id, "word_timestamps": times, "done": False}
    return event if flush_id is None else {**event, "flush_id": flush_id}


def said(wire: Any, count: int) -> list[tuple[str, bool]]:
    return [(each["transcript"], each["continue"]) for each in wire.wait_sent(count)[:count]]


def expire(stage: Any, speech: Any, wire_id: str, number: int = 1) -> None:
    """Have the service speak a second and end the context, and wait until the reader has dealt with that."""
    stage.wire.feed_chunk(wire_id, SECOND)
    assert next(speech).type == "chunk"
    marker = stage.context(f"marker-{number}")
    stage.wire.feed_done(wire_id)
    stage.wire.feed_chunk(marker.context_id, b"12")
    assert next(marker.receive()).type == "chunk"
    marker.cancel()


def paused(stage: Any, model: Model, **options: Any) -> tuple[Any, Any]:
    """Make a context whose model pauses for longer than the service waits; return it, and its speech."""
    context = stage.context("a")
    speech = context.speak(model, **options)
    model("One. ")
    stage.wire.wait_sent(1)
    expire(stage, speech, "a")
    return context, speech


def test_text_after_a_pause_is_spoken_under_another_id_and_its_user_sees_one_context(stage: Any, model: Model) -> None:
    context = stage.context("a")
    speech = context.speak(model, add_timestamps=True)
    model("One. ")
    assert stage.wire.wait_sent(1)[0]["context_id"] == "a"
    expire(stage, speech, "a")
    model("Two. ", None)
    _, second, last = stage.wire.wait_sent(3)
    fresh = second["context_id"]
    assert fresh not in ("a", context.context_id)
    assert {**second, "context_id": "a", "transcript": "One. "} == stage.wire.sent[0]
    assert (last["context_id"], last["transcript"], last["continue"]) == (fresh, "", False)
    stage.wire.feed_chunk(fresh, SECOND)
    stage.wire.feed(words(fresh, start=0.25, flush_id=1))
    stage.wire.feed_chunk("a", b"late")
    stage.wire.feed_done(fresh)
    events = list(speech)
    assert [event.type for event in events] == ["chunk", "timestamps", "done"]
    assert {event.context_id for event in events} == {"a"}
    assert (events[1].word_timestamps.start, events[1].word_timestamps.end) == ([1.25], [1.75])
    assert context.transcripts == ("One. ", "Two. ")
    assert stage.connection.stats.late_events == 1


def test_it_may_happen_again_and_again(stage: Any, model: Model) -> None:
    speech = stage.context("a").speak(model)
    wire_id = "a"
    for number in range(4):
        model(f"Part {number}. ")
        wire_id = stage.wire.wait_sent(number + 1)[number]["context_id"]
        expire(stage, speech, wire_id, number)
    model("End.", None)
    wire_id = stage.wire.wait_sent(6)[4]["context_id"]
    stage.wire.feed(words(wire_id, start=0.5))
    stage.wire.feed_done(wire_id)
    times, done = speech
    assert times.word_timestamps.start == [4.5]
    assert done.type == "done"
    assert len({each["context_id"] for each in stage.wire.sent}) == 5


def test_text_that_crosses_the_end_is_said_again_by_the_reader(stage: Any, model: Model) -> None:
    """What was written after the last audio, whether or not the text is at its end by now."""
    speech = stage.context("a").speak(model)
    model("One. ")
    stage.wire.wait_sent(1)
    stage.wire.feed_chunk("a", SECOND)
    assert next(speech).type == "chunk"
    model("\n", "Two. ", "Three.", None)
    assert said(stage.wire, 5)[1:] == [("\n", True), ("Two. ", True), ("Three.", True), ("", False)]
    wakes = stage.wire.wakes
    _marker = expire_done(stage, "a")
    assert stage.wire.wakes == wakes + 1  # the reader's own next look at the wire sends it
    stage.wire.send_rest()
    again = stage.wire.wait_sent(8)[5:]
    assert [(each["transcript"], each["continue"]) for each in again] == [
        ("\nTwo. ", True),  # the service refuses a first transcript without words
        ("Three.", True),
        ("", False),
    ]
    (fresh,) = {each["context_id"] for each in again}
    assert fresh != "a"
    stage.wire.feed_chunk(fresh, SECOND)
    stage.wire.feed_done(fresh)
    assert [event.type for event in speech] == ["chunk", "done"]


def expire_done(stage: Any, wire_id: str) -> Any:
    marker = stage.context("marker")
    stage.wire.feed_done(wire_id)
    stage.wire.feed_chunk("marker", b"12")
    assert next(marker.receive()).type == "chunk"
    return marker


def test_flush_numbers_go_on(stage: Any, model: Model) -> None:
    context = stage.context("a")
    speech = context.speak(model)
    model("One. ")
    stage.wire.wait_sent(1)
    assert context.flush() == 1
    expire_flushed(stage, speech)
    assert context.flush_id == 2
    model("Two. ")
    fresh = stage.wire.wait_sent(3)[2]["context_id"]
    assert context.flush() == 2
    stage.wire.feed({"type": "flush_done", "context_id": fresh, "flush_done": True, "flush_id": 1, "done": False})
    assert next(speech).flush_id == 2
    speech.close()


def expire_flushed(stage: Any, speech: Any) -> None:
    stage.wire.feed({"type": "flush_done", "context_id": "a", "flush_done": True, "flush_id": 1, "done": False})
    assert next(speech).flush_id == 1
    expire(stage, speech, "a")


def test_a_text_that_ends_after_the_pause_without_another_word_ends_with_the_services_done(
    stage: Any, model: Model
) -> None:
    _context, speech = paused(stage, model)
    model(" ", "\n", None)
    assert [event.type for event in speech] == ["done"]
    assert len(stage.wire.sent) == 1
    assert "a" not in {channel.context_id for channel in stage.link.registry.live()}


def test_marks_after_the_pause_wait_for_the_next_word(stage: Any, model: Model) -> None:
    _context, speech = paused(stage, model)
    model("... ", "\u201c", "Two. ")
    assert stage.wire.wait_sent(2)[1]["transcript"] == "... \u201cTwo. "
    speech.close()


def test_a_barge_in_cancels_what_speaks_now(stage: Any, model: Model) -> None:
    context, speech = paused(stage, model)
    model("Two. ")
    fresh = stage.wire.wait_sent(2)[1]["context_id"]
    context.cancel()
    assert stage.wire.wait_sent(3)[2] == {"context_id": fresh, "cancel": True}
    assert list(speech) == []


def test_between_two_ids_there_is_nothing_to_cancel(stage: Any, model: Model) -> None:
    context, speech = paused(stage, model)
    context.cancel()
    assert list(speech) == []
    model("Two. ", None)
    other = stage.context("b")
    other.push("x")
    assert [each["context_id"] for each in stage.wire.wait_sent(2)] == ["a", "b"]


def test_who_routes_by_hand_cancels_it_by_the_users_id(stage: Any, model: Model) -> None:
    _context, speech = paused(stage, model)
    model("Two. ")
    fresh = stage.wire.wait_sent(2)[1]["context_id"]
    stage.connection.send({"context_id": "a", "cancel": True})
    assert stage.wire.wait_sent(3)[2] == {"context_id": fresh, "cancel": True}
    assert list(speech) == []


def test_a_connection_that_is_lost_in_the_pause_is_opened_again(stage: Any, model: Model) -> None:
    _context, speech = paused(stage, model)
    stage.wires[0].lose()
    assert stage.wires[0].is_free.wait(BOUND)
    model("Two. ", None)
    stage.wait_wires(2)
    fresh = stage.wire.wait_sent(2)[0]["context_id"]
    stage.wire.feed_chunk(fresh, SECOND)
    stage.wire.feed_done(fresh)
    assert [event.type for event in speech] == ["chunk", "done"]


def test_a_connection_that_is_lost_while_it_speaks_under_the_second_id_is_told(stage: Any, model: Model) -> None:
    _context, speech = paused(stage, model)
    model("Two. ")
    fresh = stage.wire.wait_sent(2)[1]["context_id"]
    stage.wire.feed_chunk(fresh, SECOND)
    stage.wire.lose()
    assert next(speech).type == "chunk"
    with pytest.raises(TruncatedError) as caught:
        next(speech)
    assert (caught.value.context_id, caught.value.audio_seconds) == ("a", 2.0)
    assert caught.value.transcripts == ("One. ", "Two. ")


def test_raise_raises_as_it_did(stage: Any, model: Model) -> None:
    _context, speech = paused(stage, model, on_expiry="raise")
    with pytest.raises(ContextStateError, match="before all of its text was there"):
        next(speech)


def test_another_word_for_it_is_refused_before_anything_is_sent(stage: Any) -> None:
    with pytest.raises(ValueError, match=r"on_expiry is 'continue' or 'raise'; got 'go on'"):
        stage.context("a").speak("One.", on_expiry="go on")
    assert stage.wire.sent == []


@pytest.mark.parametrize("output_format", [None, {"container": "raw", "encoding": "pcm_s99le", "sample_rate": 8000}])
def test_where_nothing_was_heard_or_nobody_knows_its_length_it_ends(
    stage: Any, model: Model, output_format: Any
) -> None:
    """A service that is done with each id at once is not asked for ever."""
    context = stage.context("a") if output_format is None else stage.connection.context("a", voice="v")
    speech = context.speak(model, **({} if output_format is None else {"output_format": output_format}))
    model("One. ")
    stage.wire.wait_sent(1)
    if output_format is not None:
        stage.wire.feed_chunk("a", b"12")
        assert next(speech).type == "chunk"
    stage.wire.feed_done("a")
    with pytest.raises(ContextStateError, match="before all of its text was there"):
        next(speech)


def test_a_context_that_is_whole_is_done(stage: Any) -> None:
    speech = stage.context("a").speak("One.")
    stage.wire.wait_sent(2)
    stage.wire.feed_chunk("a", SECOND)
    stage.wire.feed_done("a")
    assert [event.type for event in speech] == ["chunk", "done"]


def test_the_timeout_of_the_whole_counts_from_the_first_push(make_stage: Callable[..., Any], model: Model) -> None:
    stage = make_stage(Timeout(gap=0.01, first_event=0.01, whole=0.5))
    _context, speech = paused(stage, model)
    with pytest.raises(ContextTimeoutError):
        next(speech)


def test_a_connection_that_cannot_be_had_after_the_pause_is_told(stage: Any, model: Model) -> None:
    _context, speech = paused(stage, model)
    stage.refuse = ConnectTimeoutError("no", timeout=1.0)
    stage.wires[0].lose()
    assert stage.wires[0].is_free.wait(BOUND)
    model("Two. ")
    with pytest.raises(ConnectTimeoutError):
        next(speech)


def test_a_message_that_was_ready_when_the_service_ended_the_context_leaves_under_the_new_id(
    stage: Any, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made for the old id, which is over: there it would open a context of its own, of which nobody hears."""
    context = stage.context("a")
    speech = context.speak(model)
    model("One. ")
    stage.wire.wait_sent(1)
    wire_for = stage.link._wire_for

    def late(channel: Any, move: Any) -> Any:
        monkeypatch.setattr(stage.link, "_wire_for", wire_for)
        stage.wire.feed_chunk("a", SECOND)
        expire_done(stage, "a")
        return wire_for(channel, move)

    monkeypatch.setattr(stage.link, "_wire_for", late)
    model("Two. ")
    second = stage.wire.wait_sent(2)[1]
    assert (second["transcript"], second["context_id"] == "a") == ("Two. ", False)
    speech.close()


def test_words_of_which_no_audio_came_are_unfinished_here_too(stage: Any) -> None:
    context = stage.context("a")
    speech = context.speak("One.")
    stage.wire.wait_sent(2)
    stage.wire.feed_done("a")
    with pytest.raises(UnfinishedError) as caught:
        context.audio()
    assert caught.value.unspoken == ("One.",)
    speech.close()
