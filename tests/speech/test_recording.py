"""One pass, many uses; against the local server's voice."""

from __future__ import annotations

import io
import pickle
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, ContextStateError, Frame
from cartesia_sync.audio import spool
from cartesia_sync.audio.framing import SampleFramer
from cartesia_sync.errors import APIError
from cartesia_sync.local import LocalServer
from cartesia_sync.protocol.events import Chunk, Done, Error, Event, FlushDone, Timestamps, WordTimestamps
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.speech import recording as room
from cartesia_sync.speech.recording import Flush, Recording, Source
from cartesia_sync.streaming.connection import Connection

from ..support.interrupts import LOCKS_LEAK, strikes

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
TEXT = 'Hello there, "you" <break time="200ms"/>two. My code is <spell>A1</spell>, it is.'


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def connection(server: LocalServer) -> Iterator[Connection]:
    client = Cartesia(api_key="any", base_url=server.url)
    with client, client.tts.websocket_connect() as connection:
        yield connection


def context_of(connection: Connection, **fields: Any) -> Any:
    options = {"output_format": FORMAT, "add_timestamps": True, "add_phoneme_timestamps": True, **fields}
    return connection.context(model_id="sonic-latest", voice=VOICE, **options)


def test_one_pass_gives_the_file_the_samples_the_words_and_the_captions(connection: Connection, tmp_path: Path) -> None:
    context = context_of(connection)
    context.push(TEXT, continue_=False)
    recording = context.record()
    audio = b"".join(event.audio for event in recording if event.type == "chunk")
    assert recording.audio == audio
    assert recording.is_whole
    assert len(recording.samples()) * 2 == len(audio)
    seconds = recording.save(tmp_path / "a.wav")
    assert seconds == recording.seconds == len(audio) / 32000
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.readframes(file.getnframes()) == audio
    assert recording.save(tmp_path / "again.wav") == seconds  # as often as is liked
    texts = [word.text for word in recording.words]
    assert " ".join(texts) == 'Hello there, "you" two. My code is A1, it is.'
    assert (recording.transcript, recording.aligned_to) == (TEXT, len(TEXT))
    assert recording.words[-1].end <= seconds
    assert [word.start for word in recording.words] == sorted(word.start for word in recording.words)
    assert len(recording.phonemes) > 10
    assert recording.flushes == (Flush(1, 0.0, seconds),)
    assert (recording.audio_format, recording.context_id) == (RawFormat("pcm_s16le", 16000), context.context_id)
    recording.captions().save(tmp_path / "a.srt")
    assert [cue.text for cue in recording.captions()] == ['Hello there, "you" two.', "My code is A1, it is."]


def test_what_speak_gives_is_recorded_and_what_receive_any_gives_is_kept(connection: Connection) -> None:
    spoken = context_of(connection)
    with spoken.record(spoken.speak(iter(["Hello ", "you ", "there."]))) as recording:
        assert [event.type for event in recording][-1] == "done"
    assert [word.text for word in recording.words] == ["Hello", "you", "there."]
    contexts = [context_of(connection), context_of(connection)]
    recordings = {context: context.record() for context in contexts}
    for number, context in enumerate(contexts):
        context.push(f"Number {['one', 'two'][number]}.", continue_=False)
    for context, event in connection.receive_any(*contexts):
        assert recordings[context].keep(event) is event
    assert [[word.text for word in each.words] for each in recordings.values()] == [
        ["Number", "one."],
        ["Number", "two."],
    ]
    assert all(each.is_whole for each in recordings.values())
    with pytest.raises(ValueError, match="this recording is of context"):
        recordings[contexts[0]].keep(Done(context_id=contexts[1].context_id))


BEGINS = {
    **{"a.wav": b"RIFF", "a.mp3": b"\xff", "a.ogg": b"OggS", "a.opus": b"OggS", "a.flac": b"fLaC", "a": b"RIFF"},
    **{"a.srt": b"1\n00:00:00,000 --> ", "a.vtt": b"WEBVTT", "a.ass": b"[Script Info]", "a.json": b"{"},
}


def test_every_kind_of_file_comes_out_of_one_recording(connection: Connection, tmp_path: Path) -> None:
    context = context_of(connection)
    context.push(TEXT, continue_=False)
    recording = context.record()
    list(recording)
    for name, begins in BEGINS.items():
        assert recording.save(tmp_path / name) == recording.seconds
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert {path.name for path in tmp_path.iterdir()} == {*BEGINS}
    elsewhere, named = io.BytesIO(), tmp_path / "cues.txt"
    recording.save(elsewhere, kind="opus")
    assert elsewhere.getvalue().startswith(b"OggS")
    recording.save(named, kind="srt")
    assert named.read_bytes() == (tmp_path / "a.srt").read_bytes()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("a.m4a", None, "sound is written to"),
        ("a.png", None, "is a picture"),
        ("a", "mp4", "expected 'wav', 'mp3'"),
        ("a.opus", None, "opus takes the sample rates"),
    ],
)
def test_a_file_of_no_kind_is_refused_and_nothing_is_made(
    connection: Connection, tmp_path: Path, name: str, kind: Any, words: str
) -> None:
    context = context_of(connection, output_format={**FORMAT, "sample_rate": 22050})
    context.push("Hello.", continue_=False)
    recording = context.record()
    list(recording)
    with pytest.raises(ValueError, match=words):
        recording.save(tmp_path / name, kind=kind)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("a.mp3", "soundfile", "audio"), ("a.srt", "pysubs2", "captions")]
)
def test_a_kind_whose_extra_is_missing_says_which(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str, extra: str
) -> None:
    context = context_of(connection)
    context.push("Hello.", continue_=False)
    recording = context.record()
    list(recording)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install 'cartesia-sync\[{extra}\]'") as raised:
        recording.save(tmp_path / name)
    assert raised.value.name == library
    assert list(tmp_path.iterdir()) == []
    assert recording.save(tmp_path / "a.wav") > 0


def test_captions_are_not_saved_by_a_context_and_it_says_what_does(connection: Connection, tmp_path: Path) -> None:
    context = context_of(connection)
    context.push("Hello.", continue_=False)
    with pytest.raises(ValueError, match=r"\.srt is a file of captions, which context\.record\(\) saves"):
        context.save(tmp_path / "a.srt")
    assert context.save(tmp_path / "a.wav") > 0


def test_times_go_on_over_pushes_and_flushes(connection: Connection) -> None:
    context = context_of(connection)
    recording = context.record()
    for text in ("One two three. ", "Four five. ", "Six."):
        context.push(text)
        context.flush()
    context.no_more_inputs()
    for _ in recording:
        pass
    assert [word.text for word in recording.words] == ["One", "two", "three.", "Four", "five.", "Six."]
    assert [flush.flush_id for flush in recording.flushes] == [1, 2, 3]
    for before, after in zip(recording.flushes, recording.flushes[1:]):
        assert before.end == after.start
    second = recording.flushes[1]
    inside = [word for word in recording.words if second.start - 0.001 <= word.start < second.end - 0.001]  # rounded
    assert [word.text for word in inside] == ["Four", "five."]


def test_frames_and_a_recording_in_one_pass(connection: Connection) -> None:
    context = context_of(connection, output_format={**FORMAT, "encoding": "pcm_mulaw", "sample_rate": 8000})
    context.push(TEXT, continue_=False)
    recording = context.record()
    frames: list[Frame] = list(context.frames(events=recording))
    assert {len(frame.audio) for frame in frames} == {160}
    joined = b"".join(frame.audio for frame in frames)
    assert joined[: len(recording.audio)] == recording.audio
    assert set(joined[len(recording.audio) :]) <= {0xFF}
    given = [word for frame in frames for word in frame.words]
    assert given == list(recording.words[: len(given)])
    assert len(given) >= len(recording.words) - 1  # the times of the last may come behind the last frame
    assert {frame.flush_ids for frame in frames} == {(1,)}


def test_frames_by_themselves(connection: Connection) -> None:
    context = context_of(connection)
    with pytest.raises(ValueError, match=r"0\.01 ms has 0\.16 samples at 16000 Hz"):
        context.frames(0.01)
    context.push("Hello.", continue_=False)
    assert {len(frame.audio) for frame in context.frames(10)} == {320}
    context = context_of(connection)
    context.push("Hello to all of you, wherever you are.", continue_=False)
    frames = context.frames()
    next(frames)
    context.cancel()
    assert list(frames) == []  # of what had arrived, too: the caller interrupts
    refused = context_of(connection)
    refused.push("Hello.", voice="no such voice", continue_=False)
    frames = refused.frames()
    with pytest.raises(APIError):
        next(frames)


def test_a_part_is_no_whole_unless_it_is_asked_for(connection: Connection, tmp_path: Path) -> None:
    context = context_of(connection)
    context.push(TEXT, continue_=False)
    recording = context.record()
    while not recording.words:
        next(recording)
    assert not recording.is_whole
    wholes = (
        recording.samples,
        recording.captions,
        lambda: recording.audio,
        lambda: recording.save(tmp_path / "a.wav"),
    )
    for whole in wholes:
        with pytest.raises(ContextStateError, match="not whole"):
            whole()
    context.cancel()
    assert list(recording) == []
    for whole in wholes:
        with pytest.raises(ContextStateError, match="not whole: it is cancelled"):
            whole()
    assert list(tmp_path.iterdir()) == []
    assert recording.save(tmp_path / "a.wav", part=True) == recording.seconds > 0
    assert len(recording.samples(part=True)) == recording.seconds * 16000
    assert recording.captions(part=True)[0].text.startswith("Hello")


def test_what_was_received_elsewhere_is_missed(connection: Connection) -> None:
    context = context_of(connection)
    context.push(TEXT, continue_=False)
    for event in context.receive():
        if event.type == "chunk":
            break
    recording = context.record()
    assert list(recording)[-1].type == "done"
    with pytest.raises(ContextStateError, match="cannot be handed over whole"):
        recording.save(io.BytesIO())


def test_captions_without_words_say_what_to_ask_for(connection: Connection) -> None:
    context = context_of(connection, add_timestamps=False)
    context.push("Hello.", continue_=False)
    recording = context.record()
    list(recording)
    with pytest.raises(ContextStateError, match="add_timestamps=True"):
        recording.captions()


def test_a_text_without_a_word_is_whole_and_empty(connection: Connection, tmp_path: Path) -> None:
    context = context_of(connection)
    recording = context.record(context.speak("..."))
    assert list(recording) == []
    assert (recording.audio, recording.words, len(recording.captions()), len(recording.samples())) == (b"", (), 0, 0)
    with pytest.raises(ContextStateError, match="has no audio to save"):
        recording.save(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_an_error_event_raises(connection: Connection) -> None:
    context = context_of(connection)
    context.push("Hello.", voice="no such voice", continue_=False)
    with pytest.raises(APIError):
        list(context.record())


def test_it_stays_in_its_process(connection: Connection) -> None:
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(context_of(connection).record())


# ---- by itself


def recording_of(events: Any, transcript: str = "") -> Recording:
    def check_whole(audio_bytes: int, last: Event | None) -> None:
        if last is None:
            raise ContextStateError("not whole")

    source = Source("a", lambda: [transcript], lambda: None, lambda: RawFormat("pcm_mulaw", 8000), check_whole)
    return Recording(lambda: events, source)


def chunk(audio: bytes, flush_id: int | None = None) -> Chunk:
    made = Chunk(context_id="a", audio=audio, flush_id=flush_id)
    SampleFramer().attach(made, RawFormat("pcm_mulaw", 8000))
    return made


def test_a_long_one_is_held_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert room.SPOOL_BYTES == 32 << 20
    monkeypatch.setattr(room, "SPOOL_BYTES", 1000)
    monkeypatch.setattr(spool, "PIECE_BYTES", 300)
    pieces = [bytes([number]) * 700 for number in range(5)]
    recording = recording_of(iter([*map(chunk, pieces), Done(context_id="a")]))
    rolled = []
    for _ in recording:
        rolled.append(recording._spool.is_in_file)
    assert rolled == [False, True, True, True, True, True]
    assert recording.audio == b"".join(pieces)
    recording.save(tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_bytes()[58 : 58 + 3500] == b"".join(pieces)


def test_what_is_no_event_of_the_context_ends_nothing() -> None:
    notice = Error(context_id=None, message="of the connection", done=False)
    recording = recording_of(iter([chunk(b"12"), Done(context_id="a"), notice]))
    assert len(list(recording)) == 3
    assert recording.is_whole


def test_the_same_event_is_kept_once_and_flushes_are_parted_by_their_numbers() -> None:
    first, second = chunk(b"12", 1), chunk(b"3456", 2)
    recording = recording_of(iter([]))
    for event in (first, first, FlushDone(context_id="a", flush_id=1), second):
        recording.keep(event)
    recording.keep(Done(context_id="a"))
    assert recording.audio == b"123456"
    assert recording.flushes == (Flush(1, 0.0, 2 / 8000), Flush(2, 2 / 8000, 6 / 8000))


def test_a_disk_that_is_full_is_said_and_the_event_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SPOOL_BYTES", 3)
    recording = recording_of(iter([]))
    recording.keep(chunk(b"12"))

    def full(file: object, content: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    third = chunk(b"34")
    with monkeypatch.context() as patch:
        patch.setattr(spool._File, "_write", full)
        with pytest.raises(OSError, match="No space"):
            recording.keep(third)
    recording.keep(third)
    recording.keep(Done(context_id="a"))
    assert recording.audio == b"1234"


class Looking:
    """Events that can be looked at before they are taken."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __iter__(self) -> Looking:
        return self

    def peek(self) -> object:
        return self._events[0] if self._events else None

    def __next__(self) -> Event:
        if not self._events:
            raise StopIteration
        return self._events.pop(0)


@pytest.mark.skipif(LOCKS_LEAK, reason="3.9 strikes at more places than can be guarded")
def test_an_interrupt_anywhere_keeps_each_event_once() -> None:
    stamps = WordTimestamps(words=["One"], start=[0.0], end=[0.1])
    events = [chunk(b"12"), Timestamps(context_id="a", word_timestamps=stamps), chunk(b"345"), Done(context_id="a")]
    count = 0
    for strike in strikes("/speech/recording.py"):
        recording, got = recording_of(Looking([*events]), "One"), list[Event]()
        strike.run(got.extend, recording)
        got += recording
        assert recording.audio == b"12345", strike.place
        assert [word.text for word in recording.words] == ["One"]
        assert [event for event in events if event in got] == got
        assert len(got) >= len(events) - 1  # between its taking and the return; the recording has it
        count += strike.place is not None
    assert count > 15


def test_nothing_is_left_open(recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SPOOL_BYTES", 1)
    opened: list[Any] = []
    make = tempfile.TemporaryFile

    def watched(*arguments: Any, **named: Any) -> Any:
        opened.append(make(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", watched)
    recording = recording_of(iter([chunk(b"12345")]))
    list(recording)
    recording.close()
    assert recording._read() == b"12345"  # closing ends the iteration, not what was kept
    del recording
    assert opened[0].closed
