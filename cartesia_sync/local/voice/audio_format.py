"""The forms that audio can be asked for in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

__all__ = ["CONTAINERS", "ENCODINGS", "SAMPLE_RATES_HZ", "AudioFormat"]

CONTAINERS = ("raw", "wav", "mp3")
ENCODINGS = {"pcm_f32le": 4, "pcm_s16le": 2, "pcm_mulaw": 1, "pcm_alaw": 1}  # bytes a sample
SAMPLE_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)


@dataclass(frozen=True)
class AudioFormat:
    """Encoding, sample rate and container. Always mono. Audio for MP3 is made as 16-bit samples first."""

    encoding: str
    sample_rate_hz: int
    container: str = "raw"
    bit_rate: Optional[int] = None  # bits a second, for MP3 only

    @property
    def sample_bytes(self) -> int:
        """The size of one sample."""
        return ENCODINGS[self.encoding]

    def whole_samples(self, size: int) -> int:
        """Return this number of bytes, rounded down to whole samples."""
        return size - size % self.sample_bytes
