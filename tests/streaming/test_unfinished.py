"""A context that the service ended before its text was at its end is not handed over as the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync import ContextStateError, UnfinishedError
from cartesia_sync.protocol.words import has_words

BOUND = 10.0


def audio(context: Any, folder: Path) -> Any:
    return context.audio()


def samples(context: Any, folder: Path) -> Any:
    return context.samples()


def save(context: Any, folder: Path) -> Any:
    return context.save(folder / "a.wav")


WHOLE = pytest.mark.parametrize("take", [audio, samples, save])


@pytest.fixture
def settle(stage: Any) -> Callable[[], None]:
    """Wait until the reader has passed on all that the wire was told so far."""
    numbers = iter(range(1000))

    def wait() -> None:
        probe = stage.context(f"probe-{next(numbers)}")
        stage.wire.feed_done(probe.context_id)
        assert [event.type for event in probe.receive(timeout=BOUND)] == ["done"]

    return wait


# ---- it ended before no_more_inputs()


@WHOLE
def test_a_context_that_expires_before_its_text_is_at_its_end_is_not_whole(
    stage: Any, take: Callable[..., Any], tmp_path: Path
) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"1234")
    stage.wire.feed_done("a")
    with pytest.raises(UnfinishedError, match=r"before no_more_inputs\(\)") as caught:
        take(context, tmp_path)
    assert caught.value.unspoken == ()
    assert (caught.value.context_id, caught.value.audio_bytes, caught.value.heard) == ("a", 4, True)
    assert caught.value.audio_seconds == pytest.approx(2 / 44100)
    assert caught.value.transcripts == ("One. ",)
    assert list(tmp_path.iterdir()) == []


@WHOLE
def test_asked_again_it_says_the_same_again_and_receive_gives_what_there_is(
    stage: Any, take: Callable[..., Any], tmp_path: Path
) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_chunk("a", b"34")
    stage.wire.feed_done("a")
    for _ in range(3):
        with pytest.raises(UnfinishedError):
            take(context, tmp_path)
    events = list(context.receive())
    assert [event.type for event in events if event.type != "chunk"] == ["done"]
    assert b"".join(event.audio for event in events if event.type == "chunk") == b"1234"


def test_whoever_receives_hears_of_a_normal_end(stage: Any) -> None:
    """It is for those who never call no_more_inputs()."""
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"1234")
    stage.wire.feed_done("a")
    assert [event.type for event in context.receive()] == ["chunk", "done"]
    assert list(context.receive()) == []


# ---- the service's word crossed our text


@pytest.mark.parametrize("is_last", [True, False])
@WHOLE
def test_a_done_that_crossed_our_text_is_no_whole(
    stage: Any, settle: Callable[[], None], take: Callable[..., Any], is_last: bool, tmp_path: Path
) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"1234")
    settle()
    context.push("Two. ")
    context.push("Three.", continue_=not is_last)
    stage.wire.feed_done("a")
    stage.wire.feed_error("a", message="the context has ended")  # of the last push
    with pytest.raises(UnfinishedError, match=r"before all of its text .* 'Two. Three.'") as caught:
        take(context, tmp_path)
    assert caught.value.unspoken == ("Two. ", "Three.")
    assert caught.value.transcripts == ("One. ", "Two. ", "Three.")
    assert caught.value.audio_bytes == 4
    assert stage.link.registry.late_events == 1
    assert list(tmp_path.iterdir()) == []
    assert [event.type for event in context.receive()] == ["chunk", "done"]


def test_text_that_was_answered_by_audio_is_spoken(stage: Any, settle: Callable[[], None]) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"12")
    settle()
    context.push("Two.", continue_=False)
    stage.wire.feed_chunk("a", b"34")
    stage.wire.feed_done("a")
    assert context.audio() == b"1234"


def test_a_side_event_or_a_chunk_without_audio_answers_no_text(stage: Any, settle: Callable[[], None]) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"12")
    settle()
    context.push("Two.", continue_=False)
    stage.wire.feed_chunk("a", b"")
    stage.wire.feed({"type": "flush_done", "context_id": "a", "flush_done": True, "flush_id": 1, "done": False})
    stage.wire.feed_done("a")
    with pytest.raises(UnfinishedError) as caught:
        context.audio()
    assert caught.value.unspoken == ("Two.",)


@pytest.mark.parametrize(
    "pieces", [[""], [" "], [". "], ['<break time="1s"/>'], ["<break ", 'time="1s"/>'], ["…", "!"]]
)
def test_what_follows_the_last_audio_counts_only_where_there_are_words_in_it(
    stage: Any, settle: Callable[[], None], pieces: list[str]
) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"12")
    settle()
    for piece in pieces:
        context.push(piece)
    context.no_more_inputs()
    stage.wire.feed_done("a")
    assert context.audio() == b"12"


def test_a_flush_and_no_more_inputs_after_the_last_audio_are_no_text(stage: Any, settle: Callable[[], None]) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"12")
    settle()
    context.flush()
    context.no_more_inputs()
    stage.wire.feed_done("a")
    assert context.audio() == b"12"


def test_a_context_that_was_said_again_is_whole_by_what_is_heard_then(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("One. ")
    context.push("Two.", continue_=False)
    stage.wire.lose()
    with ThreadPoolExecutor(1) as pool:
        whole = pool.submit(context.audio)
        stage.wait_wires(2)
        stage.wire.wait_sent(2)
        stage.wire.feed_chunk("a", b"12")
        stage.wire.feed_done("a")
        assert whole.result(BOUND) == b"12"


# ---- no audio at all


@pytest.mark.parametrize("comes", ["nothing", "an empty chunk"])
@WHOLE
def test_words_without_any_audio_are_no_whole(stage: Any, take: Callable[..., Any], comes: str, tmp_path: Path) -> None:
    context = stage.context("a")
    context.push("Hello, ")
    context.push("this is a sentence.", continue_=False)
    if comes != "nothing":
        stage.wire.feed_chunk("a", b"")
    stage.wire.feed_done("a")
    with pytest.raises(UnfinishedError, match="without any audio, though there were words") as caught:
        take(context, tmp_path)
    assert caught.value.unspoken == ("Hello, ", "this is a sentence.") == caught.value.transcripts
    assert (caught.value.audio_bytes, caught.value.audio_seconds) == (0, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_much_text_is_shortened_in_the_errors_words_and_whole_in_its_facts(stage: Any) -> None:
    context = stage.context("a")
    context.push("word " * 1000, continue_=False)
    stage.wire.feed_done("a")
    with pytest.raises(UnfinishedError) as caught:
        context.audio()
    assert len(str(caught.value)) < 600
    assert caught.value.unspoken == ("word " * 1000,)


@pytest.mark.parametrize(
    "text", [" ", "...", "?!", '<break time="1s"/>', "[laughter]", "🎉", '<volume ratio="0.5"/> — ']
)
def test_a_text_without_words_is_whole_without_audio_and_makes_no_file(stage: Any, text: str, tmp_path: Path) -> None:
    for name, take in (("a", audio), ("b", samples)):
        context = stage.context(name)
        context.push(text, continue_=False)
        assert len(take(context, tmp_path)) == 0
    context = stage.context("c")
    context.push(text, continue_=False)
    with pytest.raises(ContextStateError, match="has no audio to save: there is no letter or digit in its text"):
        context.save(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []
    assert context.audio() == b""
    assert stage.wire.sent == []  # the service refuses a first transcript without a word


def test_a_refused_context_is_refused_and_not_unfinished(stage: Any) -> None:
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_error("a", message="no such voice")
    with pytest.raises(Exception, match="no such voice") as caught:
        context.audio()
    assert not isinstance(caught.value, UnfinishedError)


# ---- what has words


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "é",
        "ß",
        "7",
        "a_b",
        "_1_",
        "你好",
        "ありがとう",
        "안녕",
        "Привет",
        "مرحبا",
        "٣",
        "नमस्ते",
        "१",
        "สวัสดี",
        "Ω",
        "½",
        "<spell>A1</spell>",
        "<SPELL>x</SPELL>",
        '<break time="1s"/>yes',
        '<speed ratio="1.2"/> 5',
        "[laughter] ha",
        "[laughs]",
        "<b>",
        "<breakfast>",
        "<break time",
        "a < b",
        "<<k|ae|t>>",
    ],
)
def test_there_are_words(text: str) -> None:
    assert has_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\u00a0\u3000",
        "...",
        "—",
        "?!",
        "。、",
        "__",
        "🎉👍🏽",
        "€ $ %",
        "<>",
        "<<>>",
        "[laughter]",
        "[LAUGHTER]",
        '<break time="1s"/>',
        "<break/>",
        '<BREAK TIME="200ms"/>',
        '<speed ratio="1.2"/>',
        '<volume ratio="0.8"/>',
        '<emotion value="calm"/>',
        "<spell></spell>",
        "<spell> - </spell>",
        '<emotion value="calm"/> [laughter] <break time="1s"/>.',
    ],
)
def test_there_are_no_words(text: str) -> None:
    assert not has_words(text)
