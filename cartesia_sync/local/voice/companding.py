"""Telephone encodings: 16-bit samples to 8-bit mu-law and A-law (ITU-T G.711), as tables over all 65,536 samples.

Pure arithmetic; ``sound`` uses the tables.
"""

from __future__ import annotations

import functools

__all__ = ["alaw_byte", "alaw_table", "mulaw_byte", "mulaw_table"]

_MULAW_BIAS = 33
_MULAW_CLIP = 8158  # the largest 14-bit magnitude that the top segment holds


def mulaw_byte(sample: int) -> int:
    """Encode one sample (-32768..32767) as mu-law."""
    sample >>= 2  # mu-law is defined on 14 bits
    mask = 0xFF if sample >= 0 else 0x7F
    magnitude = min(abs(sample), _MULAW_CLIP) + _MULAW_BIAS
    segment = magnitude.bit_length() - 6
    return ((segment << 4) | ((magnitude >> (segment + 1)) & 15)) ^ mask


def alaw_byte(sample: int) -> int:
    """Encode one sample (-32768..32767) as A-law."""
    sample >>= 3  # A-law is defined on 13 bits
    mask, magnitude = (0xD5, sample) if sample >= 0 else (0x55, -sample - 1)
    segment = max(magnitude.bit_length() - 5, 0)
    return ((segment << 4) | ((magnitude >> max(segment, 1)) & 15)) ^ mask


@functools.cache
def mulaw_table() -> bytes:
    """Return the mu-law byte of every sample, indexed by the sample's unsigned 16-bit value."""
    return bytes(mulaw_byte(sample) for sample in _samples_by_unsigned_value())


@functools.cache
def alaw_table() -> bytes:
    """Return the A-law byte of every sample, indexed by the sample's unsigned 16-bit value."""
    return bytes(alaw_byte(sample) for sample in _samples_by_unsigned_value())


def _samples_by_unsigned_value() -> list[int]:
    return [*range(0x8000), *range(-0x8000, 0)]
