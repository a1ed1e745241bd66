"""Sound for what listens: as loud as speech, or silent."""

from __future__ import annotations

import struct

RATE = 16000
FORMAT = {"encoding": "pcm_s16le", "sample_rate": RATE}


def loud(seconds: float, rate: int = RATE) -> bytes:
    """Return a buzz of 16-bit samples."""
    count = round(seconds * rate)
    return struct.pack(f"<{count}h", *(4000 if number // 40 % 2 else -4000 for number in range(count)))


def quiet(seconds: float, rate: int = RATE) -> bytes:
    """Return silence of 16-bit samples."""
    return bytes(2 * round(seconds * rate))
