from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Timeout
from cartesia_sync.audio.wav import wav_bytes
from cartesia_sync.errors import TruncatedError
from cartesia_sync.listening import feed as feed_module
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.protocol.transcription import Mode

from ..streaming.conftest import BOUND
from .conftest import MakeStage, Stage

CLOSE = '{"type":"close"}'


def test_a_source_is_cut_into_tenths_of_a_second_and_close_follows(auto: Stage) -> None:
    audio = bytes(range(256)) * 2
    feed = auto.session.feed(audio, realtime=False)
    assert feed.wait(BOUND)
    assert auto.wire.said == [audio[:200], audio[200:400], audio[400:], CLOSE]
    assert feed.has_ended
    assert repr(feed) == "<Feed ended>"


@pytest.mark.parametrize(("then", "last"), [("close", ["close"]), ("finalize", ["finalize"]), (None, [])])
def test_what_follows_the_source_is_said(manual: Stage, then: Any, last: list[str]) -> None:
    assert manual.session.feed(b"ab", realtime=False, then=then).wait(BOUND)
    assert manual.wire.said == [b"ab", *last]


def test_pieces_of_any_size_leave_as_whole_samples(auto: Stage) -> None:
    auto.session.feed([b"a", b"b", b"", bytearray(b"cde"), memoryview(b"f")], realtime=False).wait(BOUND)
    assert auto.wire.said == [b"ab", b"cd", b"ef", CLOSE]


@pytest.mark.parametrize("kind", ["bytes", "path", "file"])
def test_a_recording_is_read_from_bytes_a_path_or_a_file(auto: Stage, tmp_path: Path, kind: str) -> None:
    content = wav_bytes(b"abcd", RawFormat("pcm_s16le", 1000))
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    source = {"bytes": content, "path": path, "file": io.BytesIO(content)}[kind]
    assert auto.session.feed(source, realtime=False).wait(BOUND)
    assert auto.wire.said == [b"abcd", CLOSE]


def test_another_encoding_and_rate_are_converted(auto: Stage) -> None:
    sound = wav_bytes(bytes(8 * 4000), RawFormat("pcm_f32le", 8000))  # a second
    assert auto.session.feed(sound, realtime=False).wait(BOUND)
    assert auto.session.audio_seconds == pytest.approx(0.5 * 1.0 / 0.5, abs=0.01)
    assert {len(each) for each in auto.wire.said[:-1]} == {200}


def test_bare_samples_of_another_format_are_converted_as_they_come(auto: Stage) -> None:
    pieces = [b"\xff" * 800] * 10
    assert auto.session.feed(pieces, realtime=False, encoding="pcm_mulaw", sample_rate=8000).wait(BOUND)
    assert auto.session.audio_seconds == pytest.approx(1.0, abs=0.01)


class BrokenError(Exception):
    """What a source raises."""


def breaking() -> Iterator[bytes]:
    yield b"ab"
    raise BrokenError


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (breaking(), BrokenError),
        ([], ValueError),
        ([b""], ValueError),
        ([b"abc"], ValueError),
        ([b"ab", "text"], TypeError),
        (io.StringIO("text"), TypeError),
        (io.BytesIO(b""), ValueError),
    ],
    ids=["raises", "empty", "nothing", "half a sample", "text", "text file", "empty file"],
)
def test_a_source_that_fails_ends_the_session_and_the_receiver_gets_its_error(
    auto: Stage, source: Any, error: Any
) -> None:
    assert auto.session.feed(source, realtime=False).wait(BOUND)
    with pytest.raises(error):
        list(auto.session)
    auto.join()
    assert auto.wire.closed_with == (1000, "")


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        (b"", {}, "empty"),
        (b"abc", {}, "whole samples of 2 bytes"),
        (b"RIFF1234WAVE", {}, "WAV file with audio"),
        (wav_bytes(b"", RawFormat("pcm_s16le", 1000)), {}, "empty"),
        (b"fLaC1234", {}, "soundfile|cannot be read"),
        (b"ab", {"encoding": "mp3"}, "encoding: expected one of"),
        (b"ab", {"sample_rate": 0}, "sample_rate: expected"),
        (b"ab", {"then": "stop"}, "then: expected"),
        (b"ab", {"then": "finalize"}, "then: expected"),
    ],
)
def test_what_can_be_seen_at_once_is_refused_at_once(auto: Stage, source: Any, options: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        auto.session.feed(source, **options)
    assert auto.wire.said == []


@pytest.mark.parametrize("kind", ["path", "bytes"])
def test_an_encoding_that_is_not_the_recordings_is_refused(auto: Stage, tmp_path: Path, kind: str) -> None:
    content = wav_bytes(bytes(200), RawFormat("pcm_s16le", 8000))
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    source: Any = path if kind == "path" else content
    says = "the recording says of itself pcm_s16le, 8000 Hz: leave them out"
    for options in ({"encoding": "pcm_mulaw", "sample_rate": 8000}, {"sample_rate": 16000}, {"encoding": "pcm_f32le"}):
        with pytest.raises(ValueError, match=says):
            auto.session.feed(source, **options)
    assert auto.session.feed(source, encoding="pcm_s16le", sample_rate=8000, realtime=False).wait(BOUND)


def test_a_file_object_of_another_encoding_ends_the_session(auto: Stage) -> None:
    content = wav_bytes(bytes(200), RawFormat("pcm_s16le", 8000))
    assert auto.session.feed(io.BytesIO(content), encoding="pcm_alaw", realtime=False).wait(BOUND)
    with pytest.raises(ValueError, match="leave them out"):
        list(auto.session)


def test_mu_law_that_begins_as_mp3_does_is_samples(auto: Stage, tmp_path: Path) -> None:
    """Next to silence in mu-law are the two bytes that begin a frame of MP3."""
    audio = b"\xff\xfb" * 400
    path = tmp_path / "a.ulaw"
    path.write_bytes(audio)
    for source in (audio, path, io.BytesIO(audio)):
        feed = auto.session.feed(source, encoding="pcm_mulaw", sample_rate=8000, realtime=False, then=None)
        assert feed.wait(BOUND)
    assert auto.session.audio_seconds == pytest.approx(0.3, abs=0.01)


class Live:
    """A source like a microphone, which the test plays."""

    is_live, encoding, sample_rate = True, "pcm_s16le", 1000

    def __init__(self) -> None:
        self.pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.asked = threading.Semaphore(0)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.asked.release()
            piece = self.pieces.get(timeout=BOUND)
            if not piece:
                return
            yield piece


def test_a_live_source_keeps_its_own_pace_and_what_it_hears_while_paused_is_dropped(auto: Stage) -> None:
    live = Live()
    feed = auto.session.feed(live)
    for number in range(20):  # two seconds at once
        live.pieces.put(bytes([number]) * 200)
    for _ in range(21):
        assert live.asked.acquire(timeout=BOUND)
    feed.pause()
    live.pieces.put(b"in private" * 20)
    assert live.asked.acquire(timeout=BOUND)
    feed.resume()
    live.pieces.put(b"\x55" * 200)
    live.pieces.put(b"")
    assert feed.wait(BOUND)
    assert auto.wire.said[:-1] == [*(bytes([number]) * 200 for number in range(20)), b"\x55" * 200]


class Closable:
    """An iterator with ``close``, as a microphone is one."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Closable:
        return self

    def __next__(self) -> bytes:
        if self.is_closed:
            raise StopIteration
        return b"ab" * 50

    def close(self) -> None:
        self.is_closed = True


def test_a_source_that_is_no_generator_is_its_users_to_close(auto: Stage) -> None:
    source = Closable()
    feed = auto.session.feed(source)
    feed.close()
    assert feed.wait(BOUND)
    assert not source.is_closed


@pytest.mark.parametrize("source", ["live", "any other"])
@pytest.mark.parametrize("end", ["by the service", "by close", "by finish"])
def test_a_feed_that_is_paused_ends_with_its_session(
    auto: Stage, end: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: Any = Live() if source == "live" else Source()
    awaits_turn, awaits = feed_module._awaits_turn, threading.Event()
    monkeypatch.setattr(feed_module, "_awaits_turn", lambda *args: (awaits.set(), awaits_turn(*args))[1])
    feed = auto.session.feed(played)
    feed.pause()
    played.pieces.put(b"ab" * 100)
    assert awaits.wait(BOUND)  # with the piece in hand
    if end == "by close":
        auto.session.close()
    elif end == "by the service":
        auto.wire.end(1011)
        auto.join()
    else:
        auto.session.finish()
    played.pieces.put(b"ab" * 100)
    assert feed.wait(BOUND)
    assert auto.session._lines.feeds == []


@pytest.mark.parametrize("kind", ["bare", "recording"])
def test_what_takes_long_is_said_before_it_begins(auto: Stage, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    for seconds, realtime, said in ((59, True, 0), (60, False, 0), (60, True, 1)):
        bare = bytes(2000 * seconds)
        source = bare if kind == "bare" else wav_bytes(bare, RawFormat("pcm_s16le", 1000))
        auto.session.feed(source, realtime=realtime, then=None).close()
        assert sum("60 s of audio are sent at the pace of speech" in each.message for each in caplog.records) == said


def test_what_is_no_source_is_refused(auto: Stage, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a source is a path"):
        auto.session.feed(7)
    with pytest.raises(OSError, match="nowhere"):
        auto.session.feed(tmp_path / "nowhere")
    (tmp_path / "bare").write_bytes(b"abcd")
    with pytest.raises(ValueError, match="for bare samples give encoding"):
        auto.session.feed(tmp_path / "bare")
    assert auto.session.feed(tmp_path / "bare", encoding="pcm_s16le", realtime=False).wait(BOUND)


class Source:
    """A source that gives what the test puts, as a microphone does."""

    def __init__(self) -> None:
        self.pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.was_closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from iter(self.pieces.get, b"")
        finally:
            self.was_closed.set()


def sent(stage: Stage, count: int) -> None:
    """Wait until so much was sent."""
    done = threading.Event()

    def look() -> None:
        if len(stage.wire.said) >= count:
            done.set()

    stage.wire.after_write = look
    look()
    assert done.wait(BOUND), stage.wire.said


def test_a_feed_that_is_closed_stops_and_says_nothing_more(auto: Stage) -> None:
    source = Source()
    with auto.session.feed(source, realtime=False) as feed:
        source.pieces.put(b"ab")
        sent(auto, 1)
    source.pieces.put(b"cd")
    assert feed.wait(BOUND)
    assert source.was_closed.wait(BOUND)
    assert auto.wire.said == [b"ab"]
    assert feed.wait(0.0)


def test_a_feed_that_is_paused_goes_on_where_it_was(manual: Stage) -> None:
    source = Source()
    feed = manual.session.feed(source, realtime=False)
    source.pieces.put(b"ab")
    sent(manual, 1)
    feed.pause()
    feed.pause()
    assert repr(feed) == "<Feed paused>"
    source.pieces.put(b"cd")
    feed.resume()
    sent(manual, 2)
    source.pieces.put(b"")
    assert feed.wait(BOUND)
    assert manual.wire.said == [b"ab", b"cd", "close"]


def test_a_feed_ends_with_its_session(auto: Stage) -> None:
    source = Source()
    feed = auto.session.feed(source, realtime=False)
    auto.session.close()
    source.pieces.put(b"ab")
    assert feed.wait(BOUND)
    with pytest.raises(TruncatedError):
        list(auto.session)


def test_a_feed_of_a_session_that_is_finished_by_its_user_ends_quietly(manual: Stage) -> None:
    source = Source()
    feed = manual.session.feed(source, realtime=False)
    manual.session.finish()
    source.pieces.put(b"ab")
    assert feed.wait(BOUND)
    manual.wire.tell("done")
    assert [event.type for event in manual.session] == ["done"]


def test_no_more_than_a_second_of_audio_leaves_in_a_second(auto: Stage) -> None:
    begun = time.monotonic()
    assert auto.session.feed(bytes(800)).wait(BOUND)  # 0.4 s, of which the first tenth leaves at once
    assert time.monotonic() - begun >= 0.3


def test_silence_is_sent_in_a_turn_where_the_source_gives_nothing(auto: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.05)
    source = Source()
    feed = auto.session.feed(source, realtime=False)
    auto.wire.tell("turn.start")
    assert auto.session.recv().type == "turn.start"
    is_silent = threading.Event()
    wake = auto.wire.wake

    def woken() -> None:
        if auto.wire.unsent:
            is_silent.set()
        wake()

    monkeypatch.setattr(auto.wire, "wake", woken)
    source.pieces.put(b"ab")
    assert is_silent.wait(BOUND)
    auto.wire.send_rest()
    assert auto.wire.said[0] == b"ab"
    assert set(auto.wire.said[1]) == {0}
    assert len(auto.wire.said[1]) % 2 == 0
    feed.close()
    source.pieces.put(b"")
    assert feed.wait(BOUND)


def test_none_is_sent_outside_of_a_turn(auto: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_SECONDS", 0.01)
    source = Source()
    feed = auto.session.feed(source, realtime=False)
    ticks = threading.Semaphore(0)
    tick = feed._state.tick
    monkeypatch.setattr(feed._state, "tick", lambda: (tick(), ticks.release()))
    source.pieces.put(b"ab")
    for _ in range(3):
        assert ticks.acquire(timeout=BOUND)
    source.pieces.put(b"")
    assert feed.wait(BOUND)
    assert auto.wire.said == [b"ab", CLOSE]


def test_a_wire_that_breaks_under_a_feed_is_told_by_the_reader(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.MANUAL, timeout=Timeout(write=0.05))

    def refuse(data: bytes) -> None:
        stage.wire.shutdown()

    stage.wire.before_write = refuse
    assert stage.session.feed(b"ab", realtime=False).wait(BOUND)
    with pytest.raises(TruncatedError):
        list(stage.session)
