from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync import (
    ContextStateError,
    ContextTimeoutError,
    GapTimeoutError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.streaming.mailbox import Mailbox

BOUND = 10.0


def hear_all(wire: Any, context_id: str) -> None:
    wire.feed_chunk(context_id, b"12")
    wire.feed_done(context_id)


def test_pieces_are_pushed_as_they_come_and_the_context_is_finished(stage: Any) -> None:
    context = stage.context("a")
    speech = context.speak(["One ", "", "two ", "three."])
    said = stage.wire.wait_sent(4)
    assert [(each["transcript"], each["continue"]) for each in said] == [
        ("One ", True),
        ("two ", True),
        ("three.", True),
        ("", False),
    ]
    hear_all(stage.wire, "a")
    assert [event.type for event in speech] == ["chunk", "done"]


def test_audio_is_heard_while_the_text_still_comes(stage: Any) -> None:
    context, more = stage.context("a"), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        assert more.wait(BOUND)
        yield "Two."

    speech = context.speak(text())
    stage.wire.wait_sent(1)
    stage.wire.feed_chunk("a", b"12")
    assert next(speech).type == "chunk"
    more.set()
    stage.wire.wait_sent(3)
    hear_all(stage.wire, "a")
    assert [event.type for event in speech] == ["chunk", "done"]


def test_no_text_at_all_ends_at_once_and_says_nothing(stage: Any) -> None:
    assert list(stage.context("a").speak([])) == []
    assert stage.wire.sent == []


def test_an_exception_in_the_text_is_raised_after_what_had_arrived(stage: Any) -> None:
    context, fail = stage.context("a"), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        assert fail.wait(BOUND)
        raise ZeroDivisionError("in the model")

    speech = context.speak(text())
    stage.wire.wait_sent(1)
    stage.wire.feed_chunk("a", b"12")
    assert next(speech).type == "chunk"
    fail.set()
    with pytest.raises(ZeroDivisionError, match="in the model"):
        next(speech)
    assert stage.wire.wait_sent(2)[1] == {"context_id": "a", "cancel": True}
    assert list(speech) == []


def test_a_context_state_error_of_the_users_own_is_raised_too(stage: Any) -> None:
    def text() -> Iterator[str]:
        raise ContextStateError("from the generator")
        yield ""

    with pytest.raises(ContextStateError, match="from the generator"):
        list(stage.context("a").speak(text()))


def test_a_piece_that_is_no_text_is_raised(stage: Any) -> None:
    with pytest.raises(TypeError, match="int"):
        list(stage.context("a").speak([7]))


def test_closing_early_cancels_and_closes_the_generator(stage: Any) -> None:
    context, go_on, closed = stage.context("a"), threading.Event(), threading.Event()

    def text() -> Iterator[str]:
        try:
            yield "One. "
            assert go_on.wait(BOUND)
            yield "Two. "
            raise AssertionError("asked for more after the close")
        finally:
            closed.set()

    with context.speak(text()) as speech:
        stage.wire.wait_sent(1)
        stage.wire.feed_chunk("a", b"12")
        assert next(speech).type == "chunk"
    go_on.set()
    assert closed.wait(BOUND)
    assert stage.wire.wait_sent(2)[1:] == [{"context_id": "a", "cancel": True}]
    assert list(speech) == []
    speech.close()


def test_a_speech_that_nobody_holds_stops_its_pump(stage: Any) -> None:
    context, go_on, closed = stage.context("a"), threading.Event(), threading.Event()

    def text() -> Iterator[str]:
        try:
            yield "One. "
            assert go_on.wait(BOUND)
            yield "Two. "
            yield "Three. "
        finally:
            closed.set()

    speech = context.speak(text())
    stage.wire.wait_sent(1)
    del speech
    gc.collect()
    stage.wire.feed_chunk("a", b"12")
    stage.wire.wait_sent(2)
    go_on.set()
    assert closed.wait(BOUND)
    assert [each.get("transcript") for each in stage.wire.sent] == ["One. ", None]


def test_a_slow_text_does_not_run_down_the_gap_clock_and_its_end_starts_it(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(Timeout(first_event=0.01, gap=0.01))
    context, asked, more = stage.context("a"), threading.Event(), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        asked.set()
        assert more.wait(BOUND)

    speech = context.speak(text())
    stage.wire.wait_sent(1)
    stage.wire.feed_chunk("a", b"12")
    assert next(speech).type == "chunk"
    assert asked.wait(BOUND)
    assert context._channel.time_left(context._timeout) is None
    more.set()
    with pytest.raises(GapTimeoutError):
        next(speech)


def test_the_clock_of_the_whole_runs_while_the_text_is_slow(stage: Any) -> None:
    context, more = stage.context("a", whole_timeout=0.01), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        more.wait(BOUND)

    with pytest.raises(ContextTimeoutError):
        list(context.speak(text()))
    more.set()


def test_a_done_before_the_text_is_out_is_no_normal_end(stage: Any) -> None:
    context, more = stage.context("a"), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        more.wait(BOUND)
        yield "Two."

    speech = context.speak(text())
    stage.wire.wait_sent(1)
    stage.wire.feed_done("a")
    with pytest.raises(ContextStateError, match="before all of its text"):
        list(speech)
    more.set()


def test_a_lost_connection_reaches_the_receiver_of_a_speech(stage: Any) -> None:
    context, more = stage.context("a"), threading.Event()

    def text() -> Iterator[str]:
        yield "One. "
        more.wait(BOUND)
        yield "Two."

    speech = context.speak(text())
    stage.wire.wait_sent(1)
    stage.wire.lose()
    with pytest.raises(TruncatedError):
        list(speech)
    more.set()


@pytest.mark.parametrize("text", [None, 5, b"bytes"])
def test_what_is_no_text_is_refused_at_once_and_the_context_stays_as_it_was(stage: Any, text: Any) -> None:
    context = stage.context("a")
    with pytest.raises(TypeError, match=f"a text or an iterable of texts; got {type(text).__name__}"):
        context.speak(text)
    context.push("One.", continue_=False)
    assert [said["transcript"] for said in stage.wire.sent] == ["One."]


def test_a_text_is_one_piece(stage: Any) -> None:
    stage.wire.after_write = lambda: stage.wire.sent[-1]["continue"] or stage.wire.feed_done("a")
    list(stage.context("a").speak("One two."))
    assert [said["transcript"] for said in stage.wire.sent] == ["One two.", ""]


def test_an_iterable_that_is_no_generator_is_the_callers_to_close(stage: Any, tmp_path: Path) -> None:
    stage.wire.after_write = lambda: stage.wire.sent[-1]["continue"] or stage.wire.feed_done("a")
    path = tmp_path / "text"
    path.write_text("One.\nTwo.\n")
    with path.open() as file:
        list(stage.context("a").speak(file))
        assert not file.closed
    assert [said["transcript"] for said in stage.wire.sent] == ["One.\n", "Two.\n", ""]


def test_a_done_that_comes_while_a_piece_is_pushed_is_no_normal_end(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, is_sealed = stage.context("a"), threading.Event()
    seal = Mailbox.seal

    def sealing(self: Mailbox, end: Any) -> bool:
        try:
            return seal(self, end)
        finally:
            is_sealed.set()

    def done_meanwhile() -> None:
        stage.wire.feed_done("a")
        assert is_sealed.wait(BOUND)

    monkeypatch.setattr(Mailbox, "seal", sealing)
    stage.wire.after_write = done_meanwhile
    speech = context.speak(iter(["One. ", "Two."]))
    for thread in threading.enumerate():
        if thread.name.startswith("cartesia-sync-pump"):
            thread.join(BOUND)  # it has stopped, since the context has ended
    with pytest.raises(ContextStateError, match="before all of its text"):
        list(speech)


def test_a_loss_that_the_pump_meets_first_is_told_with_what_was_heard_by_then(stage: Any) -> None:
    context = stage.context("a")
    context.push("Hello.")
    met = context._channel.truncated(WebSocketConnectionClosedError("broken"))  # as a push makes it
    stage.wire.feed_chunk("a", b"1234")
    events = context.receive()
    assert next(events).audio == b"1234"
    stage.connection._link.fail(context._channel, met)
    with pytest.raises(TruncatedError) as caught:
        next(events)
    assert caught.value.audio_bytes == 4
    assert "received: 4 bytes" in str(caught.value)
    assert caught.value.__cause__ is met.__cause__
