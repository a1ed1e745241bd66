"""``Context.stream``, and ``save`` of other kinds than WAV."""

from __future__ import annotations

import gc
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from cartesia_sync import APIError, Context, ContextStateError, TruncatedError, UnfinishedError
from cartesia_sync.audio.wav import read_wav
from cartesia_sync.protocol.formats import RawFormat

BOUND = 10.0
PIECES = [(np.sin(np.arange(4410) / 20 + number) * 9000).astype("<i2").tobytes() for number in range(10)]
AUDIO = b"".join(PIECES)


def spoken(stage: Any, *, ends: bool = True, pieces: list[bytes] = PIECES) -> Any:
    context = stage.context("a")
    context.push("One.", continue_=False)
    for piece in pieces:
        stage.wire.feed_chunk("a", piece)
    if ends:
        stage.wire.feed_done("a")
    return context


def has_cancelled(stage: Any) -> bool:
    """Wait for what the reader tells the service."""
    return bool(stage.wire.wait_sent(2)[1].get("cancel"))


# ---- streams


def test_the_bytes_come_as_the_audio_does(stage: Any) -> None:
    context = spoken(stage, ends=False, pieces=PIECES[:1])
    stream = context.stream("wav")
    assert stream.content_type == "audio/wav"
    first = next(stream)  # before the next chunk is there
    for piece in PIECES[1:]:
        stage.wire.feed_chunk("a", piece)
    stage.wire.feed_done("a")
    assert read_wav(b"".join([first, *stream])) == (RawFormat("pcm_s16le", 44100), AUDIO)
    assert list(stream) == []


def test_an_mp3_stream_can_be_read_again(stage: Any) -> None:
    samples, rate = soundfile.read(io.BytesIO(b"".join(spoken(stage).stream("mp3"))))
    assert rate == 44100
    assert 44100 <= len(samples) < 48000


@pytest.mark.parametrize("kind", ["wav", "mp3", "raw"])
def test_to_leave_a_stream_cancels_the_context(stage: Any, kind: Any) -> None:
    context = spoken(stage, ends=False)
    with context.stream(kind) as stream:
        assert next(stream)
    assert has_cancelled(stage)
    assert list(stream) == []
    assert list(context.receive()) == []


def test_a_stream_that_nobody_holds_cancels_the_context_that_somebody_holds(stage: Any) -> None:
    context = spoken(stage, ends=False)

    def answer(stream: Any) -> Any:
        yield from stream

    body = answer(context.stream("raw"))
    next(body)
    body.close()  # GeneratorExit, as web servers do it
    del body
    gc.collect()
    assert has_cancelled(stage)
    assert "cancelled" in repr(context)


def test_to_close_wakes_a_thread_that_waits_in_it(stage: Any) -> None:
    stream = spoken(stage, ends=False, pieces=PIECES[:1]).stream("raw")
    heard: list[bytes] = []
    has_one = threading.Event()

    def listen() -> None:
        for piece in stream:
            heard.append(piece)
            has_one.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert has_one.wait(BOUND)
    stream.close()
    stream.close()
    thread.join(BOUND)
    assert not thread.is_alive()
    assert heard == PIECES[:1]


def test_each_step_may_be_in_another_thread(stage: Any) -> None:
    stream, heard = spoken(stage).stream("raw"), []

    def step() -> None:
        heard.append(next(stream, None))

    while not heard or heard[-1] is not None:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join(BOUND)
    assert b"".join(heard[:-1]) == AUDIO


def test_what_breaks_off_raises_after_what_was_whole_and_the_context_that_was_refused_before_it(stage: Any) -> None:
    context = spoken(stage, ends=False)
    stream = context.stream("raw")
    pieces = [next(stream) for _ in PIECES]
    stage.wire.lose()
    with pytest.raises(TruncatedError):
        next(stream)
    assert b"".join(pieces) == AUDIO
    assert list(stream) == []  # as a generator that has raised


def test_an_error_of_the_service_is_raised_before_any_byte(stage: Any) -> None:
    context = spoken(stage, ends=False, pieces=[])
    stage.wire.feed_error("a", status_code=404)
    with pytest.raises(APIError):
        next(context.stream("mp3"))


def test_a_context_that_ended_too_early_is_no_whole_stream(stage: Any) -> None:
    context = stage.context("a")
    context.push("One.")
    stage.wire.feed_chunk("a", PIECES[0])
    stage.wire.feed_done("a")
    stream = context.stream("raw")
    assert next(stream) == PIECES[0]
    with pytest.raises(UnfinishedError):
        next(stream)


def test_a_context_that_was_cancelled_by_another_is_no_whole_stream(stage: Any) -> None:
    context = spoken(stage, ends=False, pieces=PIECES[:1])
    stream = context.stream("raw")
    next(stream)
    context.cancel()
    with pytest.raises(ContextStateError, match="not whole"):
        next(stream)


def test_a_text_without_words_is_a_stream_without_bytes(stage: Any) -> None:
    context = stage.context("a")
    context.push("...", continue_=False)
    assert list(context.stream("mp3")) == []


def test_what_was_received_in_part_is_no_stream(stage: Any) -> None:
    context = spoken(stage)
    next(context.receive())
    with pytest.raises(ContextStateError, match="some of it was received already"):
        context.stream("wav")


def test_a_wrong_kind_or_rate_is_said_before_anything_is_pushed(stage: Any) -> None:
    context = stage.context("a")
    assert context.audio_format == RawFormat("pcm_s16le", 44100)
    with pytest.raises(ValueError, match="FLAC cannot be streamed"):
        context.stream("flac")
    with pytest.raises(ValueError, match="opus takes the sample rates 8000, 12000, 16000, 24000, 48000 Hz"):
        context.stream("opus")
    context.push("One.", continue_=False)
    stage.wire.wait_sent(1)
    stage.wire.feed_done("a")


def test_a_step_that_was_interrupted_is_not_followed_by_another(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = spoken(stage).stream("raw")
    next(stream)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cartesia_sync.audio.encoders.StreamEncoder.write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    with pytest.raises(ContextStateError, match="cannot go on"):
        next(stream)


# ---- files


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac"])
def test_save_goes_by_the_suffix_and_tells_of_its_progress(stage: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    shown: list[float] = []
    assert spoken(stage).save(path, on_progress=shown.append) == 1.0
    samples, rate = soundfile.read(path)
    assert (len(samples), rate) == (44100, 44100)
    assert shown[-1] == 1.0
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_save_takes_a_kind_and_a_file_object(stage: Any) -> None:
    target = io.BytesIO()
    spoken(stage).save(target, kind="flac")
    samples, _ = soundfile.read(io.BytesIO(target.getvalue()), dtype="int16")
    assert samples.astype("<i2").tobytes() == AUDIO


def test_opus_at_44100_hz_says_which_rates_it_takes_and_the_audio_is_still_there(stage: Any, tmp_path: Path) -> None:
    context = spoken(stage)
    with pytest.raises(ValueError, match="opus takes the sample rates 8000, 12000, 16000, 24000, 48000 Hz"):
        context.save(tmp_path / "a.opus")
    with pytest.raises(ValueError, match="expected 'wav', 'mp3'"):
        context.save(tmp_path / "a", kind="mp4")
    with pytest.raises(ValueError, match="sound is written to"):
        context.save(tmp_path / "a.m4a")
    assert list(tmp_path.iterdir()) == []
    assert context.audio() == AUDIO


@pytest.mark.parametrize("suffix", ["mp3", "flac"])
def test_save_that_was_interrupted_can_be_called_again(stage: Any, tmp_path: Path, suffix: str) -> None:
    context = spoken(stage, ends=False)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        context.save(tmp_path / f"a.{suffix}", on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    stage.wire.feed_done("a")
    assert context.save(tmp_path / f"a.{suffix}") == 1.0
    assert len(soundfile.read(tmp_path / f"a.{suffix}")[0]) == 44100
    with pytest.raises(ContextStateError):
        context.audio()


def test_a_file_that_cannot_get_its_name_costs_no_audio(stage: Any, tmp_path: Path) -> None:
    context = spoken(stage)
    path = tmp_path / "a.mp3"

    def in_the_way(seconds: float) -> None:
        path.mkdir(exist_ok=True)

    with pytest.raises(OSError, match=r"a\.mp3"):
        context.save(path, on_progress=in_the_way)
    assert context.save(tmp_path / "b.mp3") == 1.0


def test_what_is_not_whole_is_no_file(stage: Any, tmp_path: Path) -> None:
    context: Context = spoken(stage, ends=False)
    stage.wire.lose()
    with pytest.raises(TruncatedError):
        context.save(tmp_path / "a.mp3")
    empty = stage.context("b")
    empty.push("...", continue_=False)
    with pytest.raises(ContextStateError, match="no audio to save"):
        empty.save(tmp_path / "b.mp3")
    assert list(tmp_path.iterdir()) == []
