"""What encoded audio is put into: nothing, a WAV file that begins before its length is known, or MP3."""

from __future__ import annotations

import importlib
import struct
from typing import Any

from ..requests import ApiError, AudioFormat

__all__ = ["CONTAINERS", "Container"]

CONTAINERS = ("raw", "wav", "mp3")

_CONTENT_TYPES = {"raw": "audio/pcm", "wav": "audio/wav", "mp3": "audio/mpeg"}
_WAV_FORMATS = {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}
_UNKNOWN_LENGTH = 0xFFFFFFFF  # what players read as: to the end of the stream
_LAME_QUALITY = 7  # the quickest


class Container:
    """Wraps audio piece by piece.

    Args:
        form: What goes in, and into what.

    Raises:
        RefusedError: 400, MP3 is asked for and what encodes it is not installed.
    """

    def __init__(self, form: AudioFormat) -> None:
        self.content_type = _CONTENT_TYPES[form.container]
        self._head = _wav_head(form) if form.container == "wav" else b""
        self._encoder = _mp3_encoder(form) if form.container == "mp3" else None

    def wrap(self, audio: bytes) -> bytes:
        """What is to be sent for this piece: with the first one also what stands before all audio."""
        head, self._head = self._head, b""
        return head + (audio if self._encoder is None else bytes(self._encoder.encode(audio)))

    def end(self) -> bytes:
        """What is to be sent behind the last piece."""
        return b"" if self._encoder is None else bytes(self._encoder.flush())


def _wav_head(form: AudioFormat) -> bytes:
    rate, width = form.sample_rate_hz, form.sample_bytes
    head = struct.pack("<HHIIHH", _WAV_FORMATS[form.encoding], 1, rate, rate * width, width, 8 * width)
    if form.encoding != "pcm_s16le":
        head += struct.pack("<H", 0)  # all but integers have room for more settings, and none of them
    return (
        struct.pack("<4sI4s4sI", b"RIFF", _UNKNOWN_LENGTH, b"WAVE", b"fmt ", len(head))
        + head
        + struct.pack("<4sI", b"data", _UNKNOWN_LENGTH)
    )


def _mp3_encoder(form: AudioFormat) -> Any:
    try:
        lameenc = importlib.import_module("lameenc")  # it says nothing of its types
    except ImportError as exc:
        raise ApiError(
            400,
            "Unsupported output format",
            "There is no MP3 encoder here: pip install 'cartesia-sync[local]' or lameenc, or ask for raw or wav.",
            error_code="unsupported_audio_format",
        ) from exc
    assert form.bit_rate is not None
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(form.bit_rate // 1000)
    encoder.set_in_sample_rate(form.sample_rate_hz)
    encoder.set_channels(1)
    encoder.set_quality(_LAME_QUALITY)
    encoder.silence()
    return encoder
