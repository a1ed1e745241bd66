"""The voice changer, which changes the form of a recording and not its voice."""

from __future__ import annotations

import base64
import io
import json
import wave
from typing import Any, Callable

import numpy as np
import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def recording(rate: int = 16000, seconds: float = 0.5, channels: int = 1) -> bytes:
    """A tone of 440 Hz."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    samples = np.repeat((tone * 32767).astype("<i2"), channels)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return out.getvalue()


def form(**fields: str) -> dict[str, str]:
    output = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": "24000", **fields}
    return {"voice[id]": VOICE, **{f"output_format[{name}]": value for name, value in output.items()}}


def tone_of(data: bytes, rate: int) -> tuple[float, float]:
    """The strongest frequency in Hz, and the loudness."""
    samples = np.frombuffer(data, "<i2") / 32768
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples), float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_tone_stays_and_the_form_changes(ask: Ask, channels: int) -> None:
    with LocalServer(engine="signal") as server:
        clip = recording(16000, channels=channels)
        answer = ask(server, "POST", "/voice-changer/bytes", data=form(), files={"clip": clip})
    assert answer.headers["Content-Type"] == "audio/pcm"
    assert len(answer.content) == 24000
    pitch, loudness = tone_of(answer.content, 24000)
    assert abs(pitch - 440) < 4
    assert abs(loudness - 0.5 / 2**0.5) < 0.01


def test_a_wav_file_comes_back_as_one(ask: Ask) -> None:
    clip = recording(24000)
    with LocalServer(engine="signal") as server:
        answer = ask(server, "POST", "/voice-changer/bytes", data=form(container="wav"), files={"clip": clip})
    assert answer.content[44:] == clip[44:]


def test_events_hold_the_same_audio(ask: Ask) -> None:
    with LocalServer(engine="signal", chunk_bytes=4096) as server:
        whole = ask(server, "POST", "/voice-changer/bytes", data=form(), files={"clip": recording()}).content
        answer = ask(server, "POST", "/voice-changer/sse", data=form(), files={"clip": recording()})
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = [json.loads(frame[len("data: ") :]) for frame in answer.text.split("\n\n")[:-1]]
    assert events[-1] == {"done": True, "status_code": 200}
    assert all(set(event) == {"data", "done", "status_code", "sample_rate", "step_time"} for event in events[:-1])
    assert {event["sample_rate"] for event in events[:-1]} == {24000}
    assert b"".join(base64.b64decode(event["data"]) for event in events[:-1]) == whole


@pytest.mark.parametrize(
    ("clip", "fields", "status", "code"),
    [
        (b"ID3 not a wave", {}, 400, "unsupported_audio_format"),
        (b"", {}, 400, "unsupported_audio_format"),
        (None, {}, 400, None),
        (recording(), {"sample_rate": "1"}, 400, "unsupported_audio_format"),
        (recording(), {"container": "ogg"}, 400, None),
    ],
)
def test_what_cannot_be_changed_is_refused(ask: Ask, clip: Any, fields: Any, status: int, code: Any) -> None:
    with LocalServer(engine="signal") as server:
        files = {"other": b"x"} if clip is None else {"clip": ("clip.wav", clip)}
        for path in ("/voice-changer/bytes", "/voice-changer/sse"):
            answer = ask(server, "POST", path, data=form(**fields), files=files)
            assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_the_voice_has_to_be_one(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        asked = {**form(), "voice[id]": "nobody"}
        answer = ask(server, "POST", "/voice-changer/bytes", data=asked, files={"clip": recording()})
    assert answer.json()["error_code"] == "voice_not_found"
