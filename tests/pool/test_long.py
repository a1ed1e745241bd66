"""Long texts in one file."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import resource
import socket
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pysubs2
import pytest
import soundfile

from cartesia_sync import APIConnectionError, BadRequestError, Cartesia, WebSocketConnectionClosedError
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import ErrorEvent, Hold, Reset

from ..support.far_end import CLOSE, TEXT, frame, read_frame, upgrade
from ..support.processes import VOICE

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
BOUND = 10.0
STORY = (
    'The first one, "here".\n\nIt is the <break time="200ms"/>second paragraph.\n\n* * *\n\n'
    "The third is <spell>A1</spell>.\n\nAnd the last."
)
WORDS = 'The first one, "here". It is the second paragraph. The third is A1. And the last.'


@pytest.fixture
def pool(client: Cartesia) -> Iterator[Any]:
    with client.tts.pool(voice=VOICE, output_format=FORMAT) as pool:
        yield pool


def test_paragraphs_are_joined_in_order_into_one_file_and_one_timeline(
    pool: Any, server: LocalServer, tmp_path: Path
) -> None:
    told: list[float] = []
    speech = pool.say_long(STORY, tmp_path / "a.wav", captions=tmp_path / "a.srt", pause=0.25, on_progress=told.append)
    with wave.open(str(tmp_path / "a.wav")) as file:
        audio = file.readframes(file.getnframes())
    parts = [pool.say(text).audio for text in STORY.split("\n\n") if "*" not in text]
    assert audio == bytes(4000).join(parts)
    assert told == sorted(told)
    assert told[-1] == speech.seconds == len(audio) / 16000
    assert " ".join(word.text for word in speech.words) == WORDS
    assert [word.start for word in speech.words] == sorted(word.start for word in speech.words)
    for word in speech.words:
        assert STORY[word.text_start : word.text_end] in (word.text, "<spell>A1</spell>.")
    at = 0.0
    for paragraph, part in zip(speech.paragraphs, parts):
        assert (paragraph.start, paragraph.end) == pytest.approx((at, at + len(part) / 16000))
        at = paragraph.end + 0.25
    cues = pysubs2.load(str(tmp_path / "a.srt"))
    assert [cue.plaintext for cue in cues] == [cue.text for cue in speech.captions()]
    assert " ".join(cue.plaintext.replace("\n", " ") for cue in cues) == WORDS
    assert len(server.handshakes) == 1


def test_paragraphs_are_spoken_at_once(pool: Any, server: LocalServer, tmp_path: Path) -> None:
    until = threading.Event()
    server.inject(Hold(until, times=None))
    with ThreadPoolExecutor(1) as threads:
        speech = threads.submit(pool.say_long, "One.\n\nTwo.\n\nThree.", tmp_path / "a.wav")
        server.wait_for(lambda server: len(server.heard) == 3, BOUND)
        until.set()
        assert len(speech.result(BOUND).paragraphs) == 3


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.opus", "a.flac"])
def test_it_writes_any_kind(pool: Any, tmp_path: Path, name: str) -> None:
    speech = pool.say_long("One.\n\nTwo.", tmp_path / name)
    assert soundfile.info(str(tmp_path / name)).duration == pytest.approx(speech.seconds, abs=0.15)
    elsewhere = io.BytesIO()
    assert pool.say_long("One.\n\nTwo.", elsewhere, kind=name[2:]).seconds == speech.seconds
    assert elsewhere.getvalue()[:2] == (tmp_path / name).read_bytes()[:2]


def test_a_limit_of_one_speaks_them_one_after_the_other(server: LocalServer, tmp_path: Path) -> None:
    with Cartesia(api_key="x", base_url=server.url, limit=1) as client:
        pool = client.tts.pool(voice=VOICE, output_format=FORMAT)
        assert len(pool.say_long("One.\n\nTwo.\n\nThree.", tmp_path / "a.wav").paragraphs) == 3


def test_a_piece_that_is_lost_is_said_again(pool: Any, server: LocalServer, tmp_path: Path) -> None:
    server.inject(Reset(after=0))
    speech = pool.say_long("One.\n\nTwo.\n\nThree.", tmp_path / "a.wav")
    assert [word.text for word in speech.words] == ["One.", "Two.", "Three."]
    server.inject(Reset(after=0, times=None))
    with pytest.raises(APIConnectionError):
        pool.say_long("One.\n\nTwo.\n\nThree.", tmp_path / "b.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_one_that_is_refused_ends_it_and_nothing_is_left(pool: Any, server: LocalServer, tmp_path: Path) -> None:
    server.inject(ErrorEvent(status_code=400))
    with pytest.raises(BadRequestError):
        pool.say_long("One.\n\nTwo.\n\nThree.", tmp_path / "a.wav", captions=tmp_path / "a.vtt")
    assert list(tmp_path.iterdir()) == []
    assert pool.say("One.").audio


def test_who_is_told_may_end_it(pool: Any, tmp_path: Path) -> None:
    def enough(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.say_long("One.\n\nTwo.\n\nThree.", tmp_path / "a.wav", on_progress=enough)
    assert list(tmp_path.iterdir()) == []
    assert pool.say("One.").audio


@pytest.mark.parametrize(
    ("text", "name", "options", "error", "words"),
    [
        (b"One.", "a.wav", {}, TypeError, "a long text is a str; got bytes"),
        ("One.", "a.m4a", {}, ValueError, "sound is written to"),
        ("One.", "a.wav", {"speeed": 1}, TypeError, "a pool takes no 'speeed'"),
        ("One.", "a.wav", {"captions": "a.txt"}, ValueError, "captions are written to"),
        ("One.", "a.wav", {"captions": "a.srt", "add_timestamps": False}, ValueError, "captions need the times"),
        ("One.", "a.wav", {"pause": -1}, ValueError, "0 or more; got -1"),
        ("x" * 500_000, "a.wav", {"output_format": None}, ValueError, "holds 4 GiB"),
        ("One.", "a.opus", {"output_format": {**FORMAT, "sample_rate": 44100}}, ValueError, "takes the sample rates"),
        ("One.", "no/a.wav", {}, OSError, "No such file"),
        ("...", "a.wav", {}, ValueError, "no letter or digit"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_spoken(
    pool: Any, server: LocalServer, tmp_path: Path, text: Any, name: str, options: Any, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        pool.say_long(text, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []
    assert server.heard == []


def test_a_pool_that_is_closed_says_so(pool: Any, tmp_path: Path) -> None:
    pool.close()
    with pytest.raises(WebSocketConnectionClosedError):
        pool.say_long("One.", tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


# ---- a book

AUDIO_BYTES = 1200
"""Of each word."""


def read_books(sock: socket.socket) -> None:
    """Be a service that speaks at once and remembers nothing. Threads: its own."""
    with sock, sock.makefile("rb") as file, contextlib.suppress(EOFError):
        upgrade(sock, file)
        while True:
            opcode, data = read_frame(file)
            if opcode != TEXT:  # the goodbye
                sock.sendall(frame(data, CLOSE))
                return
            request = json.loads(data)
            words = request["transcript"].split()
            starts = [number * AUDIO_BYTES / 16000 for number in range(len(words))]
            audio = base64.b64encode(bytes(AUDIO_BYTES * len(words))).decode()
            for event in (
                {"type": "timestamps", "word_timestamps": {"words": words, "start": starts, "end": starts}},
                {"type": "chunk", "data": audio, "step_time": 1.0, "status_code": 206},
                {"type": "done", "done": True, "status_code": 206},
            ):
                sock.sendall(frame(json.dumps({"done": False, **event, "context_id": request["context_id"]}).encode()))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells how much memory there is")
def test_a_book_of_500_000_characters_takes_the_memory_of_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "cartesia_sync")  # or pytest keeps every line
    paragraph = "It was the best of times, it was the worst of times, and nobody knew which of the two. " * 11
    text = "\n\n".join([paragraph] * (500_000 // len(paragraph) + 1))
    count, held = len(text.split()), list[int]()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        reader = threads.submit(lambda: read_books(listener.accept()[0]))
        with Cartesia(api_key="x", base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            speech = client.tts.pool(voice=VOICE, output_format=FORMAT).say_long(
                text,
                tmp_path / "book.wav",
                captions=tmp_path / "book.srt",
                on_progress=lambda seconds: held.append(resident()),
            )
        reader.result(BOUND)
    assert len(text) >= 500_000
    assert (len(speech.words), len(speech.paragraphs)) == (count, text.count("\n\n") + 1)
    assert all(word.text_start is not None for word in speech.words)
    assert (tmp_path / "book.wav").stat().st_size > AUDIO_BYTES * count > 100 << 20
    assert max(held) - held[20] < 500 * count + (10 << 20)
