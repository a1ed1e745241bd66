"""Speech over HTTP: the same voice as on the socket, in three containers, in events, and for those who hang up."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import numpy as np
import pytest
import requests

from cartesia_sync.local import (
    ErrorEvent,
    Garbage,
    LocalServer,
    StallAnswer,
    Unfinished,
    UnknownEvent,
)
from cartesia_sync.local.voice.speech import Speaker, SpeechError, Spoken

BOUND = 10.0
Ask = Callable[..., requests.Response]
Dial = Callable[..., Any]
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
TEXT = "Hello there. How are you?"
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 22050}


def speech(text: str = TEXT, **fields: Any) -> dict[str, Any]:
    return {"model_id": "sonic-latest", "transcript": text, "voice": VOICE, "output_format": RAW, **fields}


def events_of(body: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, each with its name."""
    found = []
    for frame in body.split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in frame.split("\n"))
        found.append((lines.pop("event", ""), json.loads(lines.pop("data"))))
        assert not lines
    return found


def sse(ask: Ask, server: LocalServer, version: Any = None, **fields: Any) -> list[dict[str, Any]]:
    answer = ask(server, "POST", "/tts/sse", json=speech(**fields), version=version)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    return [event for _, event in events_of(answer.text)]


@pytest.fixture
def on_a_socket(dial: Dial, audio_of: Callable[..., bytes]) -> Callable[..., bytes]:
    """What a socket gives for a text: the reference."""

    def speak(server: LocalServer, text: str, **fields: Any) -> bytes:
        peer = dial(server)
        peer.ask("a", text, **fields)
        return audio_of(peer.until("a"))

    return speak


# ---- bytes


def test_raw_bytes_are_what_a_socket_gives(ask: Ask, on_a_socket: Callable[..., bytes]) -> None:
    with LocalServer() as server:
        answer = ask(server, "POST", "/tts/bytes", json=speech())
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["Content-Type"] == "audio/pcm"
        assert answer.content == on_a_socket(server, TEXT)
    samples = np.frombuffer(answer.content, "<i2")
    assert 1.0 < len(samples) / 22050 < 4.0
    assert 0.02 < np.sqrt(np.mean((samples / 32768) ** 2)) < 0.5


def test_a_wav_file_begins_before_its_length_is_known(ask: Ask) -> None:
    form = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000}
    with LocalServer(engine="signal") as server:
        raw = ask(server, "POST", "/tts/bytes", json=speech(output_format={**form, "container": "raw"})).content
        answer = ask(server, "POST", "/tts/bytes", json=speech(output_format=form))
        usual = ask(server, "POST", "/tts/bytes", json=speech(output_format={"container": "wav"})).content
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.content[44:] == raw
    assert answer.content[4:8] == answer.content[40:44] == b"\xff\xff\xff\xff"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert file.readframes(len(raw)) == raw
    with wave.open(io.BytesIO(usual)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (44100, 2)


def test_mp3_is_mp3_of_the_right_length(ask: Ask) -> None:
    pytest.importorskip("lameenc")
    form = {"container": "mp3", "sample_rate": 44100, "bit_rate": 64000}
    with LocalServer(engine="signal") as server:
        raw = ask(server, "POST", "/tts/bytes", json=speech()).content
        answer = ask(server, "POST", "/tts/bytes", json=speech(output_format=form))
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.content[:2] in (b"\xff\xfb", b"\xff\xfa")
    seconds = len(raw) / 2 / 22050
    assert abs(len(answer.content) * 8 / 64000 - seconds) < 0.15


def test_the_first_bytes_come_before_the_last_are_made(ask: Ask) -> None:
    """A pace of a thousandth: the second piece would come within minutes."""
    with LocalServer(engine="signal", pace=0.001, chunk_bytes=1000) as server:
        answer = ask(server, "POST", "/tts/bytes", json=speech(), stream=True)
        assert len(answer.raw.read(1000)) == 1000
        answer.close()


@pytest.mark.parametrize("path", ["/tts/bytes", "/tts/sse"])
def test_who_hangs_up_ends_the_generation(ask: Ask, path: str) -> None:
    with LocalServer(engine="signal", pace=0.001, chunk_bytes=1000, concurrency_limit=1) as server:
        answer = ask(server, "POST", path, json=speech(), stream=True)
        assert answer.raw.read(500)
        busy = ask(server, "POST", path, json=speech())
        assert (busy.status_code, busy.json()["error_code"]) == (429, "concurrency_limited")
        answer.close()
        # Its place is free once the server has noticed; to be asked again is what a client does with a 429.
        for _ in range(1000):
            again = ask(server, "POST", path, json=speech(), stream=True)
            again.close()
            if again.status_code == 200:
                break
        assert again.status_code == 200


def test_sockets_and_requests_share_one_limit(ask: Ask, dial: Dial) -> None:
    with LocalServer(engine="signal", pace=0.001, chunk_bytes=1000, concurrency_limit=1) as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        peer.event()
        assert ask(server, "POST", "/tts/bytes", json=speech()).status_code == 429


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"transcript": "..."}, 400, None),
        ({"transcript": None}, 400, None),
        ({"model_id": "whisper"}, 400, "model_not_found"),
        ({"voice": "nobody"}, 404, "voice_not_found"),
        ({"language": "xx"}, 400, "language_not_supported"),
        ({"output_format": {**RAW, "container": "ogg"}}, 400, None),
        ({"output_format": {**RAW, "sample_rate": 1}}, 400, "unsupported_audio_format"),
        ({"output_format": {"container": "raw"}}, 400, "unsupported_audio_format"),
        ({"pronunciation_dict_id": "none"}, 404, None),
        ({"context_id": 7}, 400, None),
    ],
)
@pytest.mark.parametrize("path", ["/tts/bytes", "/tts/sse"])
def test_what_is_wrong_is_refused_before_the_first_byte(
    ask: Ask, path: str, fields: dict[str, Any], status: int, code: Any
) -> None:
    with LocalServer(engine="signal") as server:
        answer = ask(server, "POST", path, json=speech(**{"text": TEXT, **fields}))
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)
        older = ask(server, "POST", path, json=speech(**{"text": TEXT, **fields}), version="2025-11-04")
        assert older.status_code == 400
        assert older.text.startswith(answer.json()["title"] + ": ")


def test_events_are_raw_only_and_mp3_has_few_rates(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        few = speech(output_format={"container": "mp3", "bit_rate": 1})
        assert "bit_rate" in ask(server, "POST", "/tts/bytes", json=few).json()["message"]
        answer = ask(server, "POST", "/tts/sse", json=speech(output_format={"container": "wav"}))
        assert answer.status_code == 400


# ---- events


def test_events_are_those_of_a_socket(ask: Ask, dial: Dial, audio_of: Callable[..., bytes]) -> None:
    with LocalServer(chunk_bytes=4096) as server:
        peer = dial(server)
        peer.ask("a", TEXT, add_timestamps=True, add_phoneme_timestamps=True)
        reference = peer.until("a")
        events = sse(ask, server, add_timestamps=True, add_phoneme_timestamps=True, context_id="a")
    for event in (*reference, *events):
        event.pop("step_time", None)
        event.pop("flush_id", None)
    assert events == reference
    assert [
        word for event in events if event["type"] == "timestamps" for word in event["word_timestamps"]["words"]
    ] == [
        "Hello",
        "there.",
        "How",
        "are",
        "you?",
    ]


def test_without_a_context_none_is_named(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        events = sse(ask, server, add_timestamps=True)
    assert not any("context_id" in event for event in events)
    assert events[-1] == {"type": "done", "done": True, "status_code": 206}
    assert sum(len(base64.b64decode(event["data"])) for event in events if event["type"] == "chunk") > 20000


@pytest.mark.parametrize("version", [None, "2025-11-04"])
def test_a_failure_in_mid_stream_is_an_error_event(ask: Ask, monkeypatch: pytest.MonkeyPatch, version: Any) -> None:
    speak = Speaker.speak
    spoken_count = 0

    async def break_down(self: Speaker, *arguments: Any) -> Spoken:
        nonlocal spoken_count
        spoken_count += 1
        if spoken_count > 1:
            raise SpeechError("hoarse")
        return await speak(self, *arguments)

    monkeypatch.setattr(Speaker, "speak", break_down)
    with LocalServer(engine="signal") as server:
        answer = ask(server, "POST", "/tts/sse", json=speech(), version=version)
        names, events = zip(*events_of(answer.text))
        assert set(names[:-1]) == {""}
        assert names[-1] == "error"
        assert (events[-1]["type"], events[-1]["done"], events[-1]["status_code"]) == ("error", True, 500)
        assert "hoarse" in (events[-1]["error"] if version else events[-1]["message"])
        if version is None:
            assert events[-1]["request_id"] == answer.headers["X-Request-Id"]
        # Bytes can show it only by ending too soon: no second status, no last chunk.
        spoken_count = 0
        body = json.dumps(speech()).encode()
        with socket.create_connection((server.host, server.port), BOUND) as raw:
            head = f"POST /tts/bytes HTTP/1.1\r\nHost: localhost\r\nX-API-Key: x\r\nContent-Length: {len(body)}\r\n\r\n"
            raw.sendall(head.encode() + body)
            got = b"".join(iter(lambda: raw.recv(65536), b""))
        assert got.count(b"HTTP/1.1 ") == 1
        assert len(got) > 10_000
        assert not got.endswith(b"0\r\n\r\n")
        spoken_count = 1
        assert ask(server, "POST", "/tts/bytes", json=speech()).status_code == 500


def test_a_bug_of_the_server_is_reported_and_printed(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Spoken:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Speaker, "speak", broken)
    with LocalServer(engine="signal") as server:
        answer = ask(server, "POST", "/tts/bytes", json=speech())
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal server error")
    assert "a bug" in caplog.text


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_error_event_ends_the_stream(ask: Ask, after: int) -> None:
    with LocalServer(
        engine="signal", chunk_bytes=512, faults=[ErrorEvent(429, "quota_exceeded", after=after)]
    ) as server:
        events = sse(ask, server)
        assert [event["type"] for event in events] == ["chunk"] * after + ["error"]
        assert (events[-1]["status_code"], events[-1]["error_code"]) == (429, "quota_exceeded")
        assert sse(ask, server)[-1]["type"] == "done"


def test_faults_of_events_apply_to_streams_too(ask: Ask) -> None:
    faults = [UnknownEvent(after=1), ErrorEvent(done=False, after=1), Unfinished(after=2)]
    with LocalServer(engine="signal", chunk_bytes=512, faults=faults) as server:
        types = [event["type"] for event in sse(ask, server)]
        assert types == ["chunk", "weather", "error", "chunk"]
        server.inject(Garbage())
        answer = ask(server, "POST", "/tts/sse", json=speech())
        assert answer.text.startswith('data: {"type":"chunk","data":\n\n')


# ---- infill


def test_infill_speaks_the_transcript(ask: Ask, on_a_socket: Callable[..., bytes]) -> None:
    form = {
        "model_id": "sonic-3",
        "language": "en",
        "transcript": TEXT,
        "voice_id": VOICE,
        "output_format[container]": "raw",
        "output_format[encoding]": "pcm_s16le",
        "output_format[sample_rate]": "22050",
    }
    with LocalServer(engine="signal") as server:
        answer = ask(server, "POST", "/infill/bytes", data=form, files={"left_audio": b"RIFF"})
        assert answer.content == on_a_socket(server, TEXT)
        without = ask(server, "POST", "/infill/bytes", files={name: (None, value) for name, value in form.items()})
        assert without.status_code == 400
        assert "left_audio" in without.json()["message"]


# ---- the end


def test_stop_ends_what_is_being_answered(ask: Ask) -> None:
    never = threading.Event()
    with ThreadPoolExecutor() as pool:
        with LocalServer(engine="signal", pace=0.001, chunk_bytes=1000, faults=[StallAnswer(never)]) as server:
            stalled = pool.submit(ask, server, "GET", "/voices")
            server.wait_for(lambda server: len(server.requests) == 1, BOUND)
            slow = pool.submit(ask, server, "POST", "/tts/bytes", json=speech())
            server.wait_for(lambda server: len(server.requests) == 2, BOUND)
        for asked in (stalled, slow):
            with pytest.raises(requests.RequestException):
                asked.result(BOUND)
