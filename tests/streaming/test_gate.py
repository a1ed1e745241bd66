"""What of a text leaves when: not before a word, no tag in parts, and what waits for more not for long."""

from __future__ import annotations

import contextvars
import gc
import queue
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from cartesia_sync.errors import APIConnectionError
from cartesia_sync.streaming import pump, timer
from cartesia_sync.streaming.timer import Timer

BOUND = 10.0
_user: contextvars.ContextVar[str] = contextvars.ContextVar("_user")


def transcripts(wire: Any, count: int) -> list[str]:
    return [each["transcript"] for each in wire.wait_sent(count)]


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        (["\n\n", "Hello", " there."], ["\n\nHello", " there."]),
        (["**", "Note", ":** take care."], ["**Note", ":** take care."]),
        (["“", "Да"], ["“Да"]),
        (["😀", " ", "你好"], ["😀 你好"]),
        (['<emotion value="calm"/>', "Hello."], ['<emotion value="calm"/>Hello.']),
        (["Wait <br", 'eak time="1.5s"', "/> now."], ["Wait ", '<break time="1.5s"/> now.']),
        (["I <3 you", " and 3 < 5."], ["I <3 you", " and 3 < 5."]),
        (["A \ud83d", "\ude00 b"], ["A ", "😀 b"]),
        (["A \ud83d", "b"], ["A ", "�b"]),
        (["Ends <spell>AB"], ["Ends ", "<spell>AB"]),
    ],
)
def test_a_text_leaves_whole_and_from_its_first_word_on(stage: Any, pieces: list[str], sent: list[str]) -> None:
    speech = stage.context("a").speak(pieces)
    assert transcripts(stage.wire, len(sent) + 1) == [*sent, ""]
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_done("a")
    assert [event.type for event in speech] == ["chunk", "done"]


@pytest.mark.parametrize("pieces", [[" ", "\n"], ["...", "!"], ["", ""], ["😀"], ['<break time="1s"/>']])
def test_a_text_without_a_word_ends_without_events_and_the_service_is_not_asked(stage: Any, pieces: list[str]) -> None:
    assert list(stage.context("a").speak(pieces)) == []
    assert stage.wire.sent == []


def test_what_may_become_a_tag_leaves_after_a_while_without_more(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    more: queue.SimpleQueue[str] = queue.SimpleQueue()
    called: queue.SimpleQueue[float] = queue.SimpleQueue()

    def call_later(seconds: float, function: Callable[[], object]) -> None:
        def call() -> None:
            function()
            called.put(seconds)

        timer.call_later(seconds / 10, call)

    monkeypatch.setattr(pump, "call_later", call_later)

    def text() -> Iterator[str]:
        yield "One <br"
        yield more.get(timeout=BOUND)

    speech = stage.context("a").speak(text())
    assert called.get(timeout=BOUND) == 0.5
    stage.wire.send_rest()  # as the reader does
    assert transcripts(stage.wire, 2) == ["One ", "<br"]
    more.put("ain>")
    assert transcripts(stage.wire, 4) == ["One ", "<br", "ain>", ""]
    speech.close()


def test_marks_wait_for_the_first_word_however_long_it_takes(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    later: list[Any] = []
    monkeypatch.setattr(pump, "call_later", lambda seconds, function: later.append(function))
    speech = stage.context("a").speak(["- ", "\u201c", "One."])
    assert transcripts(stage.wire, 2) == ["- \u201cOne.", ""]
    assert later == []
    speech.close()


def test_a_timer_that_comes_after_the_next_piece_does_nothing(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    later: queue.SimpleQueue[Any] = queue.SimpleQueue()
    monkeypatch.setattr(pump, "call_later", lambda seconds, function: later.put(function))
    more: queue.SimpleQueue[str] = queue.SimpleQueue()

    def text() -> Iterator[str]:
        yield "One <br"
        yield more.get(timeout=BOUND)
        yield more.get(timeout=BOUND)

    speech = stage.context("a").speak(text())
    first = later.get(timeout=BOUND)
    more.put("eak ")
    second = later.get(timeout=BOUND)
    first()
    assert stage.wire.unsent == []
    second()
    assert b"<break " in stage.wire.unsent[-1].data
    stage.wire.send_rest()
    more.put("")
    assert transcripts(stage.wire, 3) == ["One ", "<break ", ""]
    speech.close()


def test_what_cannot_leave_by_the_timer_is_kept_for_the_next_piece(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pause under a new id the connection is lost: the timer opens none, since it must not wait."""
    later: queue.SimpleQueue[Any] = queue.SimpleQueue()
    monkeypatch.setattr(pump, "call_later", lambda seconds, function: later.put(function))
    more: queue.SimpleQueue[str] = queue.SimpleQueue()
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)

    def text() -> Iterator[str]:
        yield "<<1"
        yield more.get(timeout=BOUND)

    speech = stage.context("a").speak(text())
    later.get(timeout=BOUND)()
    more.put("|2>> 3")
    stage.wait_wires(2)
    assert transcripts(stage.wire, 2) == ["<<1|2>> 3", ""]
    speech.close()


def test_the_iterable_sees_the_contextvars_of_who_called(stage: Any) -> None:
    _user.set("ada")

    def text() -> Iterator[str]:
        yield _user.get()
        _user.set("somebody else")

    speech = stage.context("a").speak(text())
    assert transcripts(stage.wire, 2) == ["ada", ""]
    assert _user.get() == "ada"
    speech.close()


def test_a_push_without_a_word_waits_for_one_and_leads_it(stage: Any) -> None:
    context = stage.context("a")
    context.push("\n")
    context.flush()
    context.push("- ")
    assert context.transcripts == ()
    context.push("One.")
    context.push(" ")
    context.no_more_inputs()
    assert transcripts(stage.wire, 3) == ["\n- One.", " ", ""]
    assert context.transcripts == ("\n- One.", " ")


def test_an_empty_text_that_is_the_last_ends_the_context(stage: Any) -> None:
    context = stage.context("a")
    context.push("", continue_=False)
    assert context.audio() == b""
    assert stage.wire.sent == []


# ---- the timer


def test_a_timer_calls_in_the_order_in_which_things_are_due() -> None:
    one, called = Timer(), queue.SimpleQueue[int]()
    for number, seconds in ((3, 0.06), (1, 0.0), (2, 0.03)):
        one.call_later(seconds, lambda number=number: called.put(number))  # type: ignore[misc]  # a default is how a loop's value is kept
    assert [called.get(timeout=BOUND) for _ in range(3)] == [1, 2, 3]


def test_a_timers_thread_ends_when_nothing_is_due_and_comes_again() -> None:
    one, threads = Timer(), queue.SimpleQueue[threading.Thread]()
    for _ in range(3):
        one.call_later(0.0, lambda: threads.put(threading.current_thread()))
        thread = threads.get(timeout=BOUND)
        thread.join(BOUND)
        assert not thread.is_alive()


def test_a_timer_holds_nothing_that_it_has_called() -> None:
    class Thing:
        def __call__(self) -> None:
            pass

    one, called = Timer(), threading.Event()
    thing: Any = Thing()
    gone = weakref.ref(thing)
    one.call_later(0.0, thing)
    del thing
    one.call_later(0.01, called.set)
    one.call_later(0.5, lambda: None)
    assert called.wait(BOUND)
    gc.collect()
    assert gone() is None


def test_where_the_system_gives_no_thread_nothing_is_raised_and_the_next_one_may_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, called = Timer(), threading.Event()
    start: Callable[[threading.Thread], None] = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    one.call_later(0.0, called.set)
    monkeypatch.setattr(threading.Thread, "start", start)
    one.call_later(0.0, lambda: None)
    assert called.wait(BOUND)


def test_a_function_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    one, called = Timer(), threading.Event()
    one.call_later(0.0, lambda: 1 // 0)
    one.call_later(0.01, called.set)
    assert called.wait(BOUND)
    assert "ZeroDivisionError" in caplog.text


def test_a_tag_that_the_timer_cannot_send_is_the_pumps_to_tell(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the first text of a context without a voice: the timer goes on, and so does the text."""
    later: queue.SimpleQueue[Any] = queue.SimpleQueue()
    monkeypatch.setattr(pump, "call_later", lambda seconds, function: later.put(function))
    more: queue.SimpleQueue[str] = queue.SimpleQueue()

    def text() -> Iterator[str]:
        yield "<br"
        yield more.get(timeout=BOUND)

    speech = stage.connection.context("a").speak(text())
    later.get(timeout=BOUND)()
    more.put("ead>")
    with pytest.raises(ValueError, match="a push needs a voice"):
        next(speech)


def test_a_text_whose_timer_keeps_it_is_told(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(pump._Gate, "__init__", without_turn(pump._Gate.__init__))
    with pytest.raises(APIConnectionError, match="timer has held it"):
        next(stage.context("a").speak("One."))


def without_turn(make: Any) -> Any:
    def made(gate: Any, *args: Any) -> None:
        make(gate, *args)
        gate._turns.get_nowait()

    return made


# ---- sentence by sentence

splits = pytest.mark.skipif(sys.version_info < (3, 10), reason="sentencex needs Python 3.10")


@splits
def test_a_text_leaves_sentence_by_sentence_and_the_service_does_not_wait(stage: Any) -> None:
    context = stage.context("a")
    speech = context.speak(["One. Two, th", "ree! Fo", "ur <break", ' time="1s"/>. Five'], split="sentence")
    sent = ["One. ", "Two, three! ", 'Four <break time="1s"/>. ', "Five"]
    assert transcripts(stage.wire, 5) == [*sent, ""]
    assert [message["max_buffer_delay_ms"] for message in stage.wire.sent] == [0] * 5
    assert "".join(context.transcripts) == "".join(sent)
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_done("a")
    assert [event.type for event in speech] == ["chunk", "done"]


@splits
def test_who_asks_for_a_delay_has_it(stage: Any) -> None:
    speech = stage.context("a", max_buffer_delay_ms=500).speak("One. Two.", split="sentence")
    assert [message["max_buffer_delay_ms"] for message in stage.wire.wait_sent(3)] == [500] * 3
    speech.close()


@splits
def test_a_timer_that_is_fast_finds_the_text_that_waits(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "call_later", lambda seconds, function: function())
    more: queue.SimpleQueue[str] = queue.SimpleQueue()

    def text() -> Iterator[str]:
        yield "One. Two."
        yield more.get(timeout=BOUND)

    speech = stage.context("a").speak(text(), split="sentence")
    stage.wire.wait_unsent(1)
    stage.wire.send_rest()  # as the reader does
    assert transcripts(stage.wire, 2) == ["One. ", "Two."]
    more.put("")
    speech.close()


@splits
def test_the_last_sentence_does_not_wait_for_ever(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    more: queue.SimpleQueue[str] = queue.SimpleQueue()
    called: queue.SimpleQueue[float] = queue.SimpleQueue()

    def call_later(seconds: float, function: Callable[[], object]) -> None:
        def call() -> None:
            function()
            called.put(seconds)

        timer.call_later(seconds / 50, call)

    monkeypatch.setattr(pump, "call_later", call_later)

    def text() -> Iterator[str]:
        yield "One. Two."
        yield more.get(timeout=BOUND)
        yield more.get(timeout=BOUND)

    speech = stage.context("a").speak(text(), split="sentence")
    assert called.get(timeout=BOUND) == 0.5
    stage.wire.send_rest()  # as the reader does
    assert transcripts(stage.wire, 2) == ["One. ", "Two."]
    more.put(" Three and")
    assert called.get(timeout=BOUND) == 3.0
    stage.wire.send_rest()
    assert transcripts(stage.wire, 3) == ["One. ", "Two.", " Three and"]
    more.put(" four")
    assert transcripts(stage.wire, 5) == ["One. ", "Two.", " Three and", " four", ""]
    speech.close()


def test_another_way_to_split_is_refused_and_so_is_one_without_its_library(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = stage.context("a")
    with pytest.raises(ValueError, match="split is None or 'sentence'; got 'word'"):
        context.speak("One.", split="word")
    monkeypatch.setitem(sys.modules, "sentencex", None)
    with pytest.raises(ImportError, match=r"pip install 'cartesia-sync\[text\]'"):
        context.speak("One.", split="sentence")
    assert stage.wire.sent == []
