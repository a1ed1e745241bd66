"""Audio in a form that every browser plays: WAV, of 16-bit or float samples."""

from __future__ import annotations

import struct
import sys
from array import array
from typing import Any, NamedTuple, Optional

__all__ = ["Format", "format_of", "seconds_of", "wav"]

_SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}


class Format(NamedTuple):
    """How samples are laid out: one channel, no header. ``sample_rate`` is in Hz."""

    encoding: str
    sample_rate: int


def format_of(output_format: Any) -> Optional[Format]:
    """Return the format that a request asks for; None where it is none of raw audio."""
    if not isinstance(output_format, dict) or output_format.get("container") != "raw":
        return None
    encoding, sample_rate = output_format.get("encoding"), output_format.get("sample_rate")
    if isinstance(encoding, str) and encoding in _SAMPLE_BYTES and type(sample_rate) is int and 0 < sample_rate < 2**31:
        return Format(encoding, sample_rate)
    return None


def seconds_of(count: int, audio_format: Optional[Format]) -> Optional[float]:
    """Return how long so many bytes last."""
    if audio_format is None:
        return None
    return count / _SAMPLE_BYTES[audio_format.encoding] / audio_format.sample_rate


def wav(data: bytes, audio_format: Format) -> bytes:
    """Return a WAV file."""
    encoding, rate = audio_format
    tag, width = (3, 4) if encoding == "pcm_f32le" else (1, 2)
    if encoding in ("pcm_mulaw", "pcm_alaw"):
        table = _MULAW if encoding == "pcm_mulaw" else _ALAW
        samples = array("h", [table[byte] for byte in data])
        if sys.byteorder == "big":
            samples.byteswap()
        data = samples.tobytes()
    data = data[: len(data) // width * width]
    head = struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE")
    head += struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, rate, rate * width, width, 8 * width)
    return head + struct.pack("<4sI", b"data", len(data)) + data


def _mulaw(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84 << (byte >> 4 & 7)) - 0x84
    return -magnitude if byte & 0x80 else magnitude


def _alaw(byte: int) -> int:
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, byte & 0x0F
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if byte & 0x80 else -magnitude


_MULAW = [_mulaw(byte) for byte in range(256)]
_ALAW = [_alaw(byte) for byte in range(256)]
