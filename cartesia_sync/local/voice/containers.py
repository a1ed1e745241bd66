"""What encoded audio is put into: nothing, a WAV file that begins before its length is known, or MP3."""

from __future__ import annotations

import importlib
import struct
from typing import Any

from .audio_format import AudioFormat

__all__ = ["Container", "NoEncoderError"]

_CONTENT_TYPES = {"raw": "audio/pcm", "wav": "audio/wav", "mp3": "audio/mpeg"}
_WAV_FORMATS = {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}
_UNKNOWN_LENGTH = 0xFFFFFFFF  # players take it to mean: to the end of the stream
_LAME_QUALITY = 7  # the fastest


class NoEncoderError(Exception):
    """The encoder for this container is not installed."""


class Container:
    """Wraps audio piece by piece.

    Args:
        audio_format: What goes in, and into what.

    Raises:
        NoEncoderError: MP3 is asked for, and its encoder is not installed.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.content_type = _CONTENT_TYPES[audio_format.container]
        self._header = _wav_header(audio_format) if audio_format.container == "wav" else b""
        self._encoder = _mp3_encoder(audio_format) if audio_format.container == "mp3" else None

    def wrap(self, audio: bytes) -> bytes:
        """Return the bytes to send for this piece; the first ones include the file's header."""
        header, self._header = self._header, b""
        return header + (audio if self._encoder is None else bytes(self._encoder.encode(audio)))

    def end(self) -> bytes:
        """Return the bytes to send after the last piece."""
        return b"" if self._encoder is None else bytes(self._encoder.flush())


def _wav_header(audio_format: AudioFormat) -> bytes:
    rate, width = audio_format.sample_rate_hz, audio_format.sample_bytes
    settings = struct.pack("<HHIIHH", _WAV_FORMATS[audio_format.encoding], 1, rate, rate * width, width, 8 * width)
    if audio_format.encoding != "pcm_s16le":
        settings += struct.pack("<H", 0)  # all but integers have room for more settings, and none of them
    return (
        struct.pack("<4sI4s4sI", b"RIFF", _UNKNOWN_LENGTH, b"WAVE", b"fmt ", len(settings))
        + settings
        + struct.pack("<4sI", b"data", _UNKNOWN_LENGTH)
    )


def _mp3_encoder(audio_format: AudioFormat) -> Any:
    try:
        lameenc = importlib.import_module("lameenc")  # it publishes no types
    except ImportError as exc:
        raise NoEncoderError(
            "There is no MP3 encoder here: pip install 'cartesia-sync[local]' or lameenc, or ask for raw or wav."
        ) from exc
    assert audio_format.bit_rate is not None
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(audio_format.bit_rate // 1000)
    encoder.set_in_sample_rate(audio_format.sample_rate_hz)
    encoder.set_channels(1)
    encoder.set_quality(_LAME_QUALITY)
    encoder.silence()
    return encoder
