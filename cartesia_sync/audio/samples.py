"""Raw audio as numpy arrays; the only file that imports numpy."""

from __future__ import annotations

from typing import Union

import numpy as np
from numpy.typing import NDArray

from ..protocol.formats import require_whole_samples

Buffer = Union[bytes, bytearray, memoryview]

_FULL_SCALE = 32768  # the 16-bit integer that stands for 1.0


def _mulaw_expansion() -> NDArray[np.int16]:
    """Make the G.711 mu-law table: code -> 16-bit linear sample."""
    code = ~np.arange(256) & 0xFF  # sent with all bits inverted
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_expansion() -> NDArray[np.int16]:
    """Make the G.711 A-law table: code -> 16-bit linear sample."""
    code = np.arange(256) ^ 0x55  # sent with every other bit inverted
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    # The first two segments are one straight line; from the second on there is a hidden leading bit.
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_EXPANSIONS = {"pcm_mulaw": _mulaw_expansion(), "pcm_alaw": _alaw_expansion()}


def to_samples(audio: Buffer, encoding: str) -> NDArray[np.float32]:
    """Turn raw audio into floating-point samples, -1 to 1 in every encoding.

    ``pcm_f32le`` is taken as it was sent, not clipped: what lies beyond -1 and 1 (or is NaN) stays.

    Returns:
        float32, shape ``(n,)``, in native byte order; a copy, the caller's own to change.

    Raises:
        ValueError: An unknown encoding, or audio that does not hold whole samples.
    """
    if encoding == "pcm_f32le":
        require_whole_samples(memoryview(audio).nbytes, encoding)
        return np.frombuffer(audio, "<f4").astype(np.float32)
    return np.divide(to_integers(audio, encoding), _FULL_SCALE, dtype=np.float32)


def to_integers(audio: Buffer, encoding: str) -> NDArray[np.int16]:
    """Turn raw audio into 16-bit linear samples.

    ``pcm_s16le`` is taken as it was sent; mu-law and A-law are expanded as G.711 defines. ``pcm_f32le`` is
    multiplied by 32768, rounded half to even and clipped to -32768 ... 32767; NaN becomes 0.

    Returns:
        int16, shape ``(n,)``, in native byte order; a copy, the caller's own to change.

    Raises:
        ValueError: An unknown encoding, or audio that does not hold whole samples.
    """
    require_whole_samples(memoryview(audio).nbytes, encoding)
    if encoding == "pcm_s16le":
        return np.frombuffer(audio, "<i2").astype(np.int16)
    if encoding in _EXPANSIONS:
        return _EXPANSIONS[encoding][np.frombuffer(audio, np.uint8)]
    samples = np.nan_to_num(to_samples(audio, encoding), copy=False, nan=0.0)
    # Clipped before too, for the largest floats would overflow when multiplied.
    scaled = np.rint(np.clip(samples, -1, 1) * np.float32(_FULL_SCALE))
    integers: NDArray[np.int16] = np.minimum(scaled, _FULL_SCALE - 1).astype(np.int16)
    return integers


def scaled(samples: Buffer, gain: float) -> bytes:
    """Multiply floating-point samples in native byte order, and clip them to -1 ... 1; NaN becomes 0."""
    louder = np.frombuffer(samples, np.float32) * np.float32(gain)
    clipped: NDArray[np.float32] = np.clip(np.nan_to_num(louder, copy=False, nan=0.0), -1, 1)
    return clipped.tobytes()
