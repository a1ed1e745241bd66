"""PocketSphinx hears what the server has not spoken itself, in a process of its own."""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pocketsphinx")

import cartesia_sync
from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer
from cartesia_sync.local.hearing import sphinx
from cartesia_sync.local.hearing.analysis import decode
from cartesia_sync.local.hearing.sphinx import Recogniser

BOUND = 60
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
TEXT = "I would like to cancel my subscription, please."
HEARD = {"would", "like", "cancel", "my", "subscription", "please"}
"""What it hears of that; it is rough."""

pytestmark = pytest.mark.timeout(2 * BOUND)


@pytest.fixture(scope="module")
def speech() -> bytes:
    """Return a sentence that another server has spoken."""
    with LocalServer() as server, Cartesia(api_key="any", base_url=server.url) as client:
        output_format: Any = {"container": "wav", "encoding": "pcm_f32le", "sample_rate": 22050}
        return client.tts.generate(
            model_id="sonic-latest", voice=VOICE, transcript=TEXT, output_format=output_format
        ).read()


@pytest.fixture
def listener() -> Iterator[Cartesia]:
    with LocalServer() as server, Cartesia(api_key="any", base_url=server.url) as client:
        yield client


def test_what_the_server_did_not_speak_is_heard_with_times(listener: Cartesia, speech: bytes) -> None:
    heard = listener.stt.transcribe(
        file=("a.wav", speech), model="ink-whisper", timestamp_granularities=["word"], timeout=BOUND
    )
    assert set(heard.text.split()) >= HEARD
    assert heard.words is not None
    assert " ".join(word.word for word in heard.words) == heard.text
    assert heard.duration is not None
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= heard.duration


def test_so_it_is_over_both_streaming_endpoints(listener: Cartesia, speech: bytes) -> None:
    whole = listener.stt.manual_finalize.transcribe(speech, model="ink-2", realtime=False, timeout=BOUND)
    assert set(whole.text.split()) >= HEARD
    manager = listener.stt.auto_finalize.websocket(
        model="ink-2", encoding="pcm_s16le", sample_rate=16000, timeout=cartesia_sync.Timeout(close=BOUND)
    )
    with manager as session:
        session.feed(speech, realtime=False)
        assert {word for turn in session.turns() for word in turn.text.split()} >= HEARD


def noise() -> Any:
    return decode(struct.pack("<1600h", *(300 * (number % 7) for number in range(1600))), "pcm_s16le")


def test_a_process_that_has_died_is_followed_by_another(capfd: pytest.CaptureFixture[str]) -> None:
    recogniser = Recogniser()
    try:
        recogniser.recognise(noise(), 16000)
        first = recogniser._process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        first.wait(BOUND)
        recogniser.recognise(noise(), 16000)
        second = recogniser._process
        assert second is not None
        assert second.pid != first.pid
        for pipe in (first.stdin, first.stdout):
            assert pipe is not None
            pipe.close()
    finally:
        recogniser.close()
    assert second.poll() is not None
    assert capfd.readouterr().err == ""


def test_a_server_that_stops_ends_its_process_and_whoever_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recogniser, is_waiting, found = Recogniser(), threading.Event(), []
    asked = sphinx.subprocess.Popen

    class Deaf(asked):  # type: ignore[misc,valid-type]  # the class that is there
        """A process that never answers."""

        def __init__(self, command: list[str], **options: Any) -> None:
            program = "import sys; sys.stdin.buffer.read()"
            super().__init__([sys.executable, "-c", program], **options)
            is_waiting.set()

    monkeypatch.setattr(sphinx.subprocess, "Popen", Deaf)
    thread = threading.Thread(target=lambda: found.append(recogniser.recognise(noise(), 16000)))
    thread.start()
    assert is_waiting.wait(BOUND)
    recogniser.close()
    thread.join(BOUND)
    assert found == [[]]
    assert recogniser._process is None
    recogniser.close()
    assert recogniser.recognise(noise(), 16000) == []  # and starts none
    assert recogniser._process is None
    assert capfd.readouterr().err == ""
