from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local.voice import sound
from cartesia_sync.local.voice.audio_format import SAMPLE_RATES_HZ


def tone(frequency_hz: float, rate_hz: int, count: int, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency_hz * np.arange(count) / rate_hz)


def level_db(samples: np.ndarray) -> float:
    return 20 * np.log10(max(float(np.sqrt(np.mean(samples**2))), 1e-12))


@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
def test_a_tone_stays_the_same_tone_at_the_same_time(rate_hz: int) -> None:
    samples = sound.resample(tone(1000, sound.RATE_HZ, 11025), rate_hz)
    assert len(samples) == rate_hz // 2
    inner = slice(rate_hz // 10, -rate_hz // 10)  # at the edges the tone begins and ends, which is another sound
    error = (samples - tone(1000, rate_hz, len(samples)))[inner]
    assert level_db(error) - level_db(samples[inner]) < -130


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_what_a_lower_rate_cannot_hold_is_gone_and_not_folded(rate_hz: int) -> None:
    too_high = tone(rate_hz / 2 * 1.15, sound.RATE_HZ, 11025)
    assert level_db(sound.resample(too_high, rate_hz)[rate_hz // 10 : -rate_hz // 10]) < -130


@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
def test_what_both_rates_can_hold_keeps_its_level(rate_hz: int) -> None:
    samples = tone(0.9 * min(rate_hz, sound.RATE_HZ) / 2, sound.RATE_HZ, 11025)
    inner = sound.resample(samples, rate_hz)[rate_hz // 10 : -rate_hz // 10]
    assert level_db(inner) == pytest.approx(level_db(samples), abs=0.05)


def test_the_same_samples_make_the_same_bytes_wherever_they_lie_in_memory() -> None:
    samples = tone(440, sound.RATE_HZ, 1000)
    expected = sound.resample(samples, 48000).tobytes()
    for offset in range(1, 8):
        moved = np.zeros(len(samples) + offset)[offset:]
        moved[:] = samples
        assert sound.resample(moved, 48000).tobytes() == expected


@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
def test_no_samples_stay_none(rate_hz: int) -> None:
    assert len(sound.resample(np.zeros(0), rate_hz)) == 0


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_a_few_samples_keep_their_length(count: int) -> None:
    assert len(sound.resample(np.full(count, 0.1), 48000)) == -(-count * 320 // 147)


@given(st.integers(1, 3000), st.integers(4000, 192_000), st.sampled_from(SAMPLE_RATES_HZ))
def test_the_length_is_rounded_up_and_nothing_is_lost(count: int, from_hz: int, to_hz: int) -> None:
    assert len(sound.resample(np.full(count, 0.1), to_hz, from_hz)) == -(-count * to_hz // from_hz)


def test_loudness_below_full_scale_is_a_mere_factor() -> None:
    samples = tone(440, 22050, 2205, level=0.4)
    np.testing.assert_allclose(sound.amplify(samples, 2.0), samples * 2.0)


def test_loudness_beyond_full_scale_is_bent_not_cut() -> None:
    ramp = np.linspace(-1, 1, 1001)
    out = sound.amplify(ramp, 2.0)
    assert np.max(np.abs(out)) < 1.0
    assert np.all(np.diff(out) > 0)  # cut or wrapped, it would stand still or fall


def test_pcm_f32le_holds_the_samples() -> None:
    samples = tone(440, 22050, 1000)
    decoded = np.frombuffer(sound.encode(samples, "pcm_f32le"), "<f4")
    np.testing.assert_allclose(decoded, samples, atol=1e-7)


def test_pcm_s16le_holds_the_samples_to_half_a_step() -> None:
    samples = tone(440, 22050, 1000, level=1.0)
    decoded = np.frombuffer(sound.encode(samples, "pcm_s16le"), "<i2") / 32767
    np.testing.assert_allclose(decoded, samples, atol=0.51 / 32767)


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
def test_samples_beyond_full_scale_do_not_wrap(encoding: str) -> None:
    decoded = np.frombuffer(sound.encode(np.array([1.5, -1.5]), encoding), "<i2" if encoding == "pcm_s16le" else "<f4")
    assert decoded[0] > 0 > decoded[1]
    assert np.max(np.abs(decoded.astype(float))) <= (32768 if encoding == "pcm_s16le" else 1.0)


def expand_mulaw(byte: int) -> float:
    """The decoder of G.711, from the standard's text."""
    byte ^= 0xFF
    magnitude = (((byte & 15) << 1) + 33 << (byte >> 4 & 7)) - 33
    return (-magnitude if byte & 0x80 else magnitude) / 8192


def expand_alaw(byte: int) -> float:
    """The decoder of G.711, from the standard's text."""
    byte ^= 0x55
    segment = byte >> 4 & 7
    magnitude = ((byte & 15) << 1) + 1
    if segment:
        magnitude = magnitude + 32 << segment - 1
    return (magnitude if byte & 0x80 else -magnitude) / 4096


@pytest.mark.parametrize(("encoding", "expand"), [("pcm_mulaw", expand_mulaw), ("pcm_alaw", expand_alaw)])
def test_telephone_encodings_come_back_38_db_clear(encoding: str, expand: object) -> None:
    assert callable(expand)
    samples = tone(440, 22050, 22050)
    decoded = np.array([expand(byte) for byte in sound.encode(samples, encoding)])
    assert level_db(decoded - samples) - level_db(samples) < -35


def test_silence_is_silent_in_every_encoding() -> None:
    nothing = sound.silence(0.01)
    assert len(nothing) == round(0.01 * sound.RATE_HZ)
    assert set(sound.encode(nothing, "pcm_s16le")) == {0}
    assert set(sound.encode(nothing, "pcm_f32le")) == {0}
    assert set(sound.encode(nothing, "pcm_mulaw")) == {0xFF}
    assert set(sound.encode(nothing, "pcm_alaw")) == {0xD5}


@pytest.mark.parametrize("word", ["hello", "rhythm", "a"])
def test_the_made_up_voice_says_every_letter_alike_each_time(word: str) -> None:
    samples, letters = sound.speech_like(word, pitch_hz=120, speed=1.0)
    again, _ = sound.speech_like(word, pitch_hz=120, speed=1.0)
    assert [letter for letter, _ in letters] == list(word)
    assert [start for _, start in letters] == sorted({start for _, start in letters})
    assert letters[-1][1] < len(samples) / sound.RATE_HZ
    assert np.array_equal(samples, again)
    assert 0.05 < np.max(np.abs(samples)) < 0.9


def test_the_made_up_voice_obeys_speed() -> None:
    calm, _ = sound.speech_like("hello", pitch_hz=120, speed=1.0)
    quick, _ = sound.speech_like("hello", pitch_hz=120, speed=2.0)
    assert len(quick) == pytest.approx(len(calm) / 2, rel=0.01)


def wav(data: bytes, *, width: int, rate: int = 16000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "width", "channels", "samples"),
    [
        (b"\x00\x80\xc0", 1, 1, [-1.0, 0.0, 0.5]),
        (b"\x00\x80\x00\x00\x00\x40", 2, 1, [-1.0, 0.0, 0.5]),
        (b"\x00\x00\x00\x80\x00\x00\x00\x40", 4, 1, [-1.0, 0.5]),
        (b"\x00\x40\x00\x20\x00\xc0\x00\x40", 2, 2, [0.375, 0.0]),
    ],
)
def test_wav_files_are_read(data: bytes, width: int, channels: int, samples: list[float]) -> None:
    read, rate = sound.from_wav(wav(data, width=width, channels=channels))
    assert (read.tolist(), rate) == (samples, 16000)


def test_a_wav_file_of_unknown_length_is_read_to_its_end() -> None:
    data = wav(b"\x00\x40" * 100, width=2)
    streamed = data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:]
    assert len(sound.from_wav(streamed)[0]) == 100
    assert len(sound.from_wav(streamed[:-1])[0]) == 99  # and half a sample is none


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"ID3", wav(b"123", width=3), wav(b"12", width=2, rate=100), wav(b"", width=2)[:30]]
)
def test_what_is_no_wav_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="the audio"):
        sound.from_wav(data)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 48000), (48000, 8000), (44100, 16000), (16000, 16000)])
def test_any_rate_becomes_any_other(from_hz: int, to_hz: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(from_hz) / from_hz)
    out = sound.resample(tone, to_hz, from_hz)
    assert len(out) == to_hz
    expected = np.sin(2 * np.pi * 1000 * np.arange(to_hz) / to_hz)
    middle = slice(to_hz // 4, -to_hz // 4)
    assert np.max(np.abs(out[middle] - expected[middle])) < 1e-4
