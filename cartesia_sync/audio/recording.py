"""Recordings as they are sent to be transcribed: read, mixed to one channel, and put into another rate and encoding.

The one file that imports soxr and soundfile, when they are needed; both come with the extra ``listen``.
"""

from __future__ import annotations

import io
import logging
import struct
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .samples import to_samples

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE  # tags of WAV formats
_FULL_SCALE = 32768
log = logging.getLogger("cartesia_sync")

Samples = NDArray[np.float32]


class Recording(NamedTuple):
    """Samples of one channel, -1 to 1, their rate in Hz, and what they were written in."""

    samples: Samples
    sample_rate: int
    encoding: str

    def encoded(self, encoding: str, sample_rate: int) -> bytes:
        """Return the audio in an encoding and a rate.

        Raises:
            ImportError: The rate is another one, and soxr is not installed.
        """
        samples = self.samples
        if sample_rate != self.sample_rate:
            log.info("audio of %d Hz is resampled to %d Hz", self.sample_rate, sample_rate)
            samples = _soxr().resample(samples, self.sample_rate, sample_rate)
        return encode(samples, encoding)


class Converter:
    """Puts bare samples, piece by piece, into another encoding and rate.

    Raises:
        ImportError: The rate is another one, and soxr is not installed.
    """

    def __init__(self, encoding: str, sample_rate: int, to_encoding: str, to_rate: int) -> None:
        self._encoding = encoding
        self._to_encoding = to_encoding
        self._stream: Any = None
        if sample_rate != to_rate:
            log.info("audio of %d Hz is resampled to %d Hz", sample_rate, to_rate)
            self._stream = _soxr().ResampleStream(sample_rate, to_rate, 1, dtype="float32")

    def feed(self, audio: bytes) -> bytes:
        """Return what has come out of it so far, which may be nothing."""
        return self._out(decode(audio, self._encoding), is_last=False)

    def finish(self) -> bytes:
        """Return the rest."""
        return b"" if self._stream is None else self._out(np.zeros(0, np.float32), is_last=True)

    def _out(self, samples: Samples, *, is_last: bool) -> bytes:
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last=is_last)
        return encode(samples, self._to_encoding)


def read_recording(content: bytes) -> Recording:
    """Read a WAV file of integers, floats or G.711, and with soundfile installed whatever that reads.

    Several channels are mixed to one, of which the log speaks.

    Raises:
        ValueError: It cannot be read; the error says why, and what would help.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        samples, channels, rate, encoding = _read_wav(content)
    else:
        samples, channels, rate, encoding = _read_other(content)
    if channels > 1:
        log.warning("a recording of %d channels is mixed to one", channels)
        samples = samples[: len(samples) - len(samples) % channels].reshape(-1, channels).mean(axis=1)
    return Recording(samples.astype(np.float32, copy=False), rate, encoding)


def _read_wav(content: bytes) -> tuple[Samples, int, int, str]:
    at, description = 12, b""
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"fmt ":
            description = content[at : at + length]
        elif name == b"data":
            audio = content[at:] if length in (0, 0xFFFFFFFF) else content[at : at + length]
            return _from_wav(description, audio)
        at += length + length % 2
    raise ValueError("expected a WAV file with audio, got one without")


def _from_wav(description: bytes, audio: bytes) -> tuple[Samples, int, int, str]:
    if len(description) < 16:
        raise ValueError("expected a WAV file that says its format before its audio")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", description)
    if tag == _EXTENSIBLE and len(description) >= 26:
        (tag,) = struct.unpack_from("<H", description, 24)  # the sub-format's first two bytes
    width = bits // 8
    kind = f"a WAV file of {bits} bits, {channels} channels, format {tag}"
    if channels < 1 or rate < 1 or width < 1:
        raise ValueError(f"{kind} and {rate} Hz cannot be read")
    audio = audio[: len(audio) - len(audio) % (width * channels)]
    if tag == _PCM and bits == 8:
        return (np.frombuffer(audio, np.uint8).astype(np.float32) - 128) / np.float32(128), channels, rate, "pcm_u8"
    if tag == _PCM and bits == 24:
        padded = np.zeros((len(audio) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(audio, np.uint8).reshape(-1, 3)
        return _integers(padded.tobytes(), 32), channels, rate, "pcm_s24le"
    if tag == _PCM and bits in (16, 32):
        return _integers(audio, bits), channels, rate, f"pcm_s{bits}le"
    if tag == _FLOAT and bits in (32, 64):
        return np.frombuffer(audio, f"<f{width}").astype(np.float32), channels, rate, f"pcm_f{bits}le"
    if tag in (_ALAW, _MULAW) and bits == 8:
        encoding = "pcm_alaw" if tag == _ALAW else "pcm_mulaw"
        return to_samples(audio, encoding), channels, rate, encoding
    raise ValueError(f"{kind} cannot be read: expected integers of 8 to 32 bits, floats, or G.711")


def _integers(audio: bytes, bits: int) -> Samples:
    return np.frombuffer(audio, f"<i{bits // 8}").astype(np.float64).__truediv__(2.0 ** (bits - 1)).astype(np.float32)


def _read_other(content: bytes) -> tuple[Samples, int, int, str]:
    try:
        import soundfile
    except ImportError:
        raise ValueError("only WAV files can be read without soundfile: pip install 'cartesia-sync[listen]'") from None
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"the recording cannot be read: {error.error_string}") from error
    return samples.reshape(-1), samples.shape[1], int(rate), "a compressed recording"


def decode(audio: bytes, encoding: str) -> Samples:
    """Return bare samples of any of the encodings that speech to text takes, -1 to 1."""
    if encoding == "pcm_s32le":
        return _integers(audio, 32)
    if encoding == "pcm_f16le":
        return np.frombuffer(audio, "<f2").astype(np.float32)
    return to_samples(audio, encoding)


def encode(samples: Samples, encoding: str) -> bytes:
    """Write samples in any of the encodings that speech to text takes; what is beyond -1 and 1 is clipped."""
    clipped: Samples = np.clip(np.nan_to_num(samples), -1.0, 1.0)
    if encoding in ("pcm_f32le", "pcm_f16le"):
        return clipped.astype("<f4" if encoding == "pcm_f32le" else "<f2").tobytes()
    if encoding == "pcm_s32le":
        return np.minimum(np.rint(clipped.astype(np.float64) * 2.0**31), 2**31 - 1).astype("<i4").tobytes()
    integers = np.minimum(np.rint(clipped * _FULL_SCALE), _FULL_SCALE - 1).astype("<i2")
    if encoding == "pcm_s16le":
        return integers.tobytes()
    codes: NDArray[np.uint8] = _companding(encoding)[integers.view("<u2")]
    return codes.tobytes()


@cache
def _companding(encoding: str) -> NDArray[np.uint8]:
    """Return the code of each 16-bit sample, by its unsigned value: the one whose expansion is nearest."""
    expanded = np.rint(to_samples(bytes(range(256)), encoding) * _FULL_SCALE).astype(np.int64)
    order = np.argsort(expanded, kind="stable")
    middles = (expanded[order][1:] + expanded[order][:-1]) / 2
    every = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return order[np.searchsorted(middles, every)].astype(np.uint8)


def _soxr() -> Any:
    try:
        import soxr  # type: ignore[import-untyped,unused-ignore]  # it publishes no types
    except ImportError:
        raise ImportError(
            "audio of another sample rate is resampled by soxr: pip install 'cartesia-sync[listen]', or send audio of "
            "the session's own rate"
        ) from None
    return soxr
