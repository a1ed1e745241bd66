from __future__ import annotations

import io
import logging
import struct
import sys
import wave
from typing import Any

import numpy as np
import pytest

from cartesia_sync.audio.recording import Converter, Recording, decode, encode, read_recording
from cartesia_sync.audio.wav import wav_bytes
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.protocol.transcription import ENCODINGS

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)).astype(np.float32)
COARSE = {"pcm_mulaw": 0.02, "pcm_alaw": 0.02, "pcm_f16le": 1e-3, "pcm_s16le": 1e-4}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_encoded_can_be_read_back(encoding: str) -> None:
    audio = encode(TONE, encoding)
    assert len(audio) == len(TONE) * ENCODINGS[encoding]
    assert np.abs(decode(audio, encoding) - TONE).max() <= COARSE.get(encoding, 1e-6)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_too_loud_or_no_number_is_clipped(encoding: str) -> None:
    samples = decode(encode(np.array([2.0, -2.0, np.nan, np.inf, -np.inf], np.float32), encoding), encoding)
    assert np.abs(samples[[0, 3]] - 1).max() < 0.03
    assert np.abs(samples[[1, 4]] + 1).max() < 0.03
    assert abs(samples[2]) < 0.001


def test_g711_is_the_nearest_code_of_every_sample() -> None:
    every = np.arange(-32768, 32768).astype(np.float32) / 32768
    for encoding in ("pcm_mulaw", "pcm_alaw"):
        expansion = decode(bytes(range(256)), encoding)
        chosen = decode(encode(every, encoding), encoding)
        for sample, made in list(zip(every, chosen))[::97]:
            assert abs(made - sample) <= np.abs(expansion - sample).min() + 1e-7


def made_wav(width: int, channels: int, frames: bytes, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setsampwidth(width)
        writer.setnchannels(channels)
        writer.setframerate(rate)
        writer.writeframes(frames)
    return file.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_integers_of_each_width_are_read(width: int) -> None:
    scale = 2 ** (8 * width - 1)
    values = [0, scale // 2, -scale // 2, scale - 1, -scale]
    frames = b"".join((v + 128 if width == 1 else v).to_bytes(width, "little", signed=width > 1) for v in values)
    recording = read_recording(made_wav(width, 1, frames))
    assert recording.sample_rate == 8000
    assert recording.samples == pytest.approx([0, 0.5, -0.5, 1, -1], abs=0.01)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"])
def test_what_the_service_speaks_is_read(encoding: str) -> None:
    audio = encode(TONE, encoding)
    recording = read_recording(wav_bytes(audio, RawFormat(encoding, 8000)))
    assert recording.encoded(encoding, 8000) == audio


def test_channels_are_mixed_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    recording = read_recording(made_wav(2, 2, struct.pack("<6h", 1000, 3000, -1000, -3000, 0, 7)))
    assert recording.samples * 32768 == pytest.approx([2000, -2000, 3.5])
    assert [each.getMessage() for each in caplog.records] == ["a recording of 2 channels is mixed to one"]


def test_doubles_and_extensible_formats_are_read() -> None:
    doubles = np.array([0.25, -0.5], "<f8").tobytes()
    head = struct.pack("<HHIIHHHHIH14x", 0xFFFE, 1, 8000, 64000, 8, 64, 22, 64, 0, 3)
    chunks = struct.pack("<4sI", b"fmt ", len(head)) + head + struct.pack("<4sI", b"data", len(doubles)) + doubles
    content = struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks
    assert read_recording(content).samples.tolist() == [0.25, -0.5]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"RIFF\0\0\0\0WAVE", "with audio, got one without"),
        (b"RIFF\0\0\0\0WAVEdata\2\0\0\0ab", "says its format before"),
        (made_wav(2, 1, b"ab").replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 17, 1), 1), "cannot be read"),
        (made_wav(2, 1, b"ab").replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 1, 0), 1), "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_why(content: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read_recording(content)


def test_other_files_ask_for_soundfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ValueError, match=r"cartesia-sync\[listen\]"):
        read_recording(b"fLaC")


@pytest.mark.parametrize("rate", [16000, 44100])
def test_another_rate_is_resampled_whole_and_in_pieces(rate: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    whole = decode(Recording(TONE, 8000, "pcm_f32le").encoded("pcm_f32le", rate), "pcm_f32le")
    assert len(whole) == rate
    converter = Converter("pcm_s16le", 8000, "pcm_f32le", rate)
    audio = encode(TONE, "pcm_s16le")
    pieces = [converter.feed(audio[start : start + 1600]) for start in range(0, len(audio), 1600)]
    joined = decode(b"".join(pieces) + converter.finish(), "pcm_f32le")
    assert abs(len(joined) - rate) <= 2
    middle = slice(rate // 4, rate // 2)
    assert np.abs(joined[middle] - whole[middle]).max() < 0.01
    assert f"audio of 8000 Hz is resampled to {rate} Hz" in caplog.text


def test_without_soxr_another_rate_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    for make in (
        lambda: Recording(TONE, 8000, "pcm_f32le").encoded("pcm_s16le", 16000),
        lambda: Converter("pcm_s16le", 8, "x", 16),
    ):
        with pytest.raises(ImportError, match=r"cartesia-sync\[listen\]"):
            make()
    same: Any = Converter("pcm_s16le", 8000, "pcm_f32le", 8000)
    assert (same.feed(b"\0\0"), same.finish()) == (b"\0\0\0\0", b"")
