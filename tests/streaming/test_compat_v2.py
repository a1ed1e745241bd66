from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cartesia_sync import BadRequestError, TruncatedError
from cartesia_sync.streaming.compat_v2 import TtsWebsocket

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
REQUEST: dict[str, Any] = {
    "model_id": "m",
    "transcript": "Hello.",
    "voice": {"mode": "id", "id": "v"},
    "output_format": FORMAT,
}


class Manager:
    """Returns the stage's connection where the real one would open one."""

    def __init__(self, stage: Any) -> None:
        self._stage = stage
        self.entered = 0

    def enter(self) -> Any:
        self.entered += 1
        return self._stage.connection


@pytest.fixture
def manager(stage: Any) -> Manager:
    return Manager(stage)


@pytest.fixture
def socket(manager: Any) -> TtsWebsocket:
    return TtsWebsocket(manager)


def hear_all(wire: Any, context_id: str) -> None:
    wire.feed_chunk(context_id, b"12")
    wire.feed(
        {
            "type": "timestamps",
            "context_id": context_id,
            "word_timestamps": {"words": ["Hello."], "start": [0.0], "end": [0.5]},
        }
    )
    wire.feed(
        {
            "type": "phoneme_timestamps",
            "context_id": context_id,
            "phoneme_timestamps": {"phonemes": ["h"], "start": [0.0], "end": [0.1]},
        }
    )
    wire.feed_chunk(context_id, b"34")
    wire.feed({"type": "flush_done", "context_id": context_id, "flush_id": 1, "flush_done": True, "done": False})
    wire.feed_done(context_id)


def test_it_connects_when_it_is_first_used_and_once(manager: Any, socket: TtsWebsocket, stage: Any) -> None:
    assert manager.entered == 0
    socket.connect()
    socket.send(**REQUEST, context_id="a")
    assert manager.entered == 1


def test_a_stream_gives_outputs_as_they_come(socket: TtsWebsocket, stage: Any) -> None:
    outputs = socket.send(**REQUEST, context_id="a", stream=True, language="en", duration=None)
    assert isinstance(outputs, Iterator)
    assert stage.wire.sent == [
        {**REQUEST, "voice": {"id": "v"}, "context_id": "a", "continue": False, "language": "en"}
    ]
    hear_all(stage.wire, "a")
    first, words, phonemes, second, flush = outputs
    assert (first.audio, second.audio, first.context_id) == (b"12", b"34", "a")
    assert words.word_timestamps is not None
    assert words.word_timestamps.words == ["Hello."]
    assert phonemes.phoneme_timestamps is not None
    assert (flush.flush_id, flush.flush_done) == (1, True)
    assert first.word_timestamps is None


def test_without_stream_all_is_joined(socket: TtsWebsocket, stage: Any) -> None:
    stage.wire.before_write = lambda message: hear_all(stage.wire, "a")
    output: Any = socket.send(**REQUEST, context_id="a", stream=False)
    assert (output.audio, output.context_id) == (b"1234", "a")
    assert output.word_timestamps.words == ["Hello."]
    assert output.phoneme_timestamps.phonemes == ["h"]


def test_an_error_and_a_loss_are_raised(socket: TtsWebsocket, stage: Any) -> None:
    outputs: Any = socket.send(**REQUEST, context_id="a")
    stage.wire.feed_error("a", message="no")
    with pytest.raises(BadRequestError, match="no"):
        list(outputs)
    outputs = socket.send(**REQUEST, context_id="b")
    stage.wire.feed_chunk("b", b"12")
    stage.wire.lose()
    assert next(outputs).audio == b"12"
    with pytest.raises(TruncatedError):
        list(outputs)


def test_a_context_takes_text_from_an_iterable(socket: TtsWebsocket, stage: Any) -> None:
    context = socket.context("a")
    outputs = context.send(**{**REQUEST, "transcript": iter(["One. ", "Two."])}, add_timestamps=True)
    said = stage.wire.wait_sent(3)
    assert [(each["transcript"], each["continue"], each["model_id"]) for each in said] == [
        ("One. ", True, "m"),
        ("Two.", True, "m"),
        ("", False, "m"),
    ]
    assert said[0]["add_timestamps"] is True
    assert not context.is_closed()
    hear_all(stage.wire, "a")
    assert b"".join(output.audio or b"" for output in outputs) == b"1234"
    assert context.is_closed()
    with pytest.raises(ValueError, match="'b'"):
        context.send(**REQUEST, context_id="b")


def test_close_closes_and_the_next_use_connects_again(manager: Any, socket: TtsWebsocket, stage: Any) -> None:
    with socket:
        socket.connect()
    assert stage.wire.closed_with == (1000, "")
    socket.close()
    socket.connect()
    assert manager.entered == 2
