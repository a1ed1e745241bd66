"""Samples: silence, loudness, resampling, encodings, and a synthetic voice.

The one file of the server that uses numpy and soxr.

All sound inside the server is mono at 22,050 Hz, in floating point where 1.0 is full scale, until ``encode`` converts
it to the encoding that a request asked for.
"""

from __future__ import annotations

import io
import math
import random
import wave
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import soxr  # type: ignore[import-untyped]  # it publishes no types

from . import companding
from .audio_format import AudioFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

__all__ = [
    "RATE_HZ",
    "amplify",
    "convert_wav",
    "encode",
    "from_int16",
    "from_wav",
    "join",
    "resample",
    "silence",
    "speech_like",
]

RATE_HZ = 22050

_KNEE = 0.85  # below it the limiter does nothing


def from_int16(data: bytes) -> Samples:
    """Return samples from 16-bit integers in the machine's byte order."""
    return np.frombuffer(data, dtype=np.int16) / 32768.0


def from_wav(data: bytes) -> tuple[Samples, int]:
    """Return samples and their rate in Hz from a WAV file of 8, 16 or 32-bit integers; channels are averaged.

    Raises:
        ValueError: It is not such a file.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate_hz = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError, ZeroDivisionError) as exc:
        raise ValueError("the audio is no WAV file of integer samples") from exc
    if width not in (1, 2, 4) or not 4000 <= rate_hz <= 192_000:
        raise ValueError("the audio has 8, 16 or 32-bit samples at 4,000 to 192,000 Hz")
    frames = frames[: len(frames) - len(frames) % (width * channels)]
    samples = np.frombuffer(frames, dtype={1: "u1", 2: "<i2", 4: "<i4"}[width]).astype(np.float64)
    if width == 1:  # the only unsigned width
        samples -= 128
    samples /= 2.0 ** (8 * width - 1)
    return samples.reshape(-1, channels).mean(axis=1), rate_hz


def silence(seconds: float) -> Samples:
    """Return that many seconds of silence."""
    return np.zeros(round(seconds * RATE_HZ))


def join(parts: Sequence[Samples]) -> Samples:
    """Return the parts, one after the other."""
    return np.concatenate(parts) if parts else np.zeros(0)


def amplify(samples: Samples, gain: float) -> Samples:
    """Multiply by ``gain``. What would exceed full scale is compressed smoothly below it, not clipped or wrapped."""
    scaled = samples * gain
    over = np.abs(scaled) > _KNEE
    excess = np.abs(scaled[over]) - _KNEE
    scaled[over] = np.sign(scaled[over]) * (_KNEE + (1 - _KNEE) * np.tanh(excess / (1 - _KNEE)))
    return scaled


def resample(samples: Samples, rate_hz: int, from_hz: int = RATE_HZ) -> Samples:
    """Convert samples from one rate to another, without delay: what was at second t stays at second t.

    The length is rounded up, so that no sample is lost.
    """
    if rate_hz == from_hz or not len(samples):
        return samples
    count = -(-len(samples) * rate_hz // from_hz)
    # soxr rounds the length down or to the nearest; a little silence at the end gives it enough to make all of them.
    padded = np.concatenate((samples, np.zeros(-(-from_hz // rate_hz) + 1)))
    resampled: Samples = soxr.resample(padded, from_hz, rate_hz, quality=soxr.VHQ)
    return resampled[:count]


def convert_wav(data: bytes, audio_format: AudioFormat) -> bytes:
    """Return a WAV file's audio in another encoding and sample rate.

    Raises:
        ValueError: It is not a WAV file that can be read.
    """
    samples, rate_hz = from_wav(data)
    return encode(resample(samples, audio_format.sample_rate_hz, rate_hz), audio_format.encoding)


def encode(samples: Samples, encoding: str) -> bytes:
    """Return the samples in one of ``ENCODINGS``, little-endian. Samples beyond full scale become full scale."""
    if encoding == "pcm_f32le":
        return np.clip(samples, -1.0, 1.0).astype("<f4").tobytes()
    integers = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype("<i2")
    if encoding == "pcm_s16le":
        return integers.tobytes()
    table = companding.mulaw_table() if encoding == "pcm_mulaw" else companding.alaw_table()
    companded: NDArray[np.uint8] = np.frombuffer(table, dtype=np.uint8)[integers.view("<u2")]
    return companded.tobytes()


# ---- a synthetic voice, for machines without eSpeak NG

# The two lowest resonances of the mouth in Hz, by which vowels differ.
_FORMANTS = {"a": (730, 1090), "e": (530, 1840), "i": (270, 2290), "o": (570, 840), "u": (300, 870), "y": (280, 2000)}
_VOWELS = {"æ": "a", "ɑ": "a", "ʌ": "a", "ə": "e", "ɛ": "e", "ɝ": "e", "ɪ": "i", "ɔ": "o", "ʊ": "u"}
_VOWEL_S, _CONSONANT_S = 0.095, 0.06


def speech_like(word: Sequence[str], *, pitch_hz: float, speed: float) -> tuple[Samples, list[tuple[str, float]]]:
    """Return a speech-like signal for one word: a vowel or a hiss for each letter, the same for the same word.

    Args:
        word: Its letters, in lower case, or its phonemes.
        pitch_hz: The voice's pitch.
        speed: 2.0 takes half the time of 1.0.

    Returns:
        The samples, and each letter or phoneme with its start in seconds.
    """
    parts: list[Samples] = []
    letters: list[tuple[str, float]] = []
    done = 0
    for letter in filter(str.isalnum, word):
        formants = _FORMANTS.get(_VOWELS.get(letter[0], letter[0]))
        count = round(RATE_HZ * (_VOWEL_S if formants else _CONSONANT_S) / speed)
        sound = _vowel(formants, pitch_hz, count) if formants else _hiss(letter, count)
        # Fade in and out over half of it each, so that letters join without clicks.
        parts.append(sound * np.hanning(count + 2)[1:-1])
        letters.append((letter, done / RATE_HZ))
        done += count
    return join(parts), letters


def _vowel(formants: tuple[int, int], pitch_hz: float, count: int) -> Samples:
    time = np.arange(count) / RATE_HZ
    out: Samples = np.zeros(count)
    weight_sum = 0.0
    for harmonic in range(1, int(4000 // pitch_hz)):
        frequency = harmonic * pitch_hz
        weight = sum(1 / (1 + ((frequency - formant) / 120) ** 2) for formant in formants) / math.sqrt(harmonic)
        weight_sum += weight
        out += weight * np.sin(2 * np.pi * frequency * time)
    out *= 0.6 / weight_sum
    return out


def _hiss(letter: str, count: int) -> Samples:
    # The standard library's generator gives the same numbers on every version and machine.
    noise = random.Random(f"hiss {letter}")
    return np.array([noise.uniform(-0.08, 0.08) for _ in range(count)])
