"""Encodings, sample rates and voices, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Literal, TypedDict, Union

#: The sample rates which the service documents. It decides; others are not refused here.
SAMPLE_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)

#: Each raw encoding's bytes per sample. Audio always has one channel.
ENCODINGS: Mapping[str, int] = MappingProxyType(
    {"pcm_f32le": 4, "pcm_s16le": 2, "pcm_mulaw": 1, "pcm_alaw": 1},
)

#: What is asked for when the user names no format: as the official client does. Copy it, never change it.
# A plain dict, for the JSON encoder takes no mapping proxy; typed so that mypy refuses to change it.
DEFAULT_OUTPUT_FORMAT: RawOutputFormatParam = {
    "container": "raw",
    "encoding": "pcm_f32le",
    "sample_rate": 44100,
}

RawEncoding = Literal["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"]
SampleRate = Literal[8000, 16000, 22050, 24000, 44100, 48000]


class RawOutputFormatParam(TypedDict):
    """How the audio is to come: bare samples, one channel."""

    container: Literal["raw"]
    encoding: RawEncoding
    sample_rate: SampleRate


class WAVOutputFormatParam(TypedDict):
    """How the audio is to come: as a WAV file, one channel."""

    container: Literal["wav"]
    encoding: RawEncoding
    sample_rate: SampleRate


class MP3OutputFormatParam(TypedDict):
    """How the audio is to come: as an MP3 file; ``bit_rate`` is in bits a second."""

    bit_rate: Literal[32000, 64000, 96000, 128000, 192000]
    container: Literal["mp3"]
    sample_rate: SampleRate


OutputFormat = Union[RawOutputFormatParam, WAVOutputFormatParam, MP3OutputFormatParam]
"""What ``output_format`` may be; a type checker picks by the container."""


class _VoiceObjectParam(TypedDict):
    id: str


class VoiceObjectParam(_VoiceObjectParam, total=False):
    """A voice by its id; ``mode`` belongs to API versions before 2026-08-14, and may be given with any."""

    mode: Literal["id"]


VoiceSpecifierParam = Union[str, VoiceObjectParam]

# The first version whose voices are a plain id or a mapping without "mode". Versions are dates written
# YYYY-MM-DD, so that comparing them as text is comparing them in time.
_FIRST_VERSION_WITHOUT_VOICE_MODE = "2026-08-14"


def bytes_per_sample(encoding: str) -> int:
    """Return how many bytes one sample takes; a ValueError names the known encodings."""
    if encoding not in ENCODINGS:
        raise ValueError(f"unknown encoding {encoding!r}: expected one of {', '.join(ENCODINGS)}")
    return ENCODINGS[encoding]


def require_whole_samples(audio_bytes: int, encoding: str) -> None:
    """Raise a ValueError if so many bytes end within a sample, or the encoding is unknown."""
    left_over = audio_bytes % bytes_per_sample(encoding)
    if left_over:
        raise ValueError(
            f"expected whole samples of {bytes_per_sample(encoding)} bytes each ({encoding}): "
            f"{left_over} of {audio_bytes} bytes are left over"
        )


@dataclass(frozen=True)
class RawFormat:
    """How bare samples are laid out: one channel, no header."""

    encoding: str
    #: In Hz.
    sample_rate: int

    def __post_init__(self) -> None:
        bytes_per_sample(self.encoding)
        if type(self.sample_rate) is not int:  # isinstance would let True pass
            raise TypeError(f"sample_rate: expected a whole number of Hz, got {self.sample_rate!r}")
        if self.sample_rate <= 0:
            raise ValueError(f"sample_rate: expected more than 0 Hz, got {self.sample_rate}")

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> RawFormat:
        """Read a service's ``output_format``: ``{"container": "raw", "encoding": ..., "sample_rate": ...}``.

        Raises:
            TypeError: It is no mapping, or its sample rate no whole number.
            ValueError: A key is missing, or the container, encoding or sample rate is none that we can read.
        """
        if not isinstance(mapping, Mapping):
            raise TypeError(f"output_format: expected a mapping, got {mapping!r}")
        missing = [key for key in ("container", "encoding", "sample_rate") if key not in mapping]
        if missing:
            raise ValueError(f"output_format: expected {', '.join(missing)} too, got {dict(mapping)!r}")
        if mapping["container"] != "raw":
            raise ValueError(f"output_format: expected the container 'raw', got {mapping['container']!r}")
        return cls(mapping["encoding"], mapping["sample_rate"])

    @classmethod
    def if_known(cls, mapping: Any) -> RawFormat | None:
        """Read it as ``of`` does; None where it is not one that we know: whether it is one the service decides."""
        try:
            return cls.of(mapping)
        except (TypeError, ValueError):
            return None

    @property
    def sample_bytes(self) -> int:
        """Bytes per sample."""
        return ENCODINGS[self.encoding]

    def seconds(self, audio_bytes: int) -> float:
        """Return how long so many bytes of audio play."""
        return audio_bytes / self.sample_bytes / self.sample_rate


def voice_on_the_wire(voice: str | Mapping[str, Any], version: str) -> str | dict[str, Any]:
    """Put a voice in the shape of an API version; the user's mapping stays as it is.

    A mapping with a ``mode`` other than ``"id"`` passes untouched: whether that works, the service decides.

    Args:
        voice: An id, ``{"id": ...}``, ``{"mode": "id", "id": ...}`` or ``{"mode": "embedding", ...}``.
        version: The API version in use, as YYYY-MM-DD.

    Raises:
        TypeError: The voice or its id has a type that no voice has.
        ValueError: The id is missing or empty.
    """
    if isinstance(voice, str):
        shape: dict[str, Any] = {"id": voice}
    elif isinstance(voice, Mapping):
        shape = dict(voice)
    else:
        raise TypeError(f"voice: expected an id or a mapping with one, got {voice!r}")
    if shape.get("mode") == "embedding":
        return shape
    if "id" not in shape:
        raise ValueError(f"voice: expected a mapping with an 'id', got the keys {list(shape)!r}")
    if not isinstance(shape["id"], str):
        raise TypeError(f"voice: expected the id as a string, got {shape['id']!r}")
    if not shape["id"]:
        raise ValueError("voice: expected an id, got an empty string")
    if version < _FIRST_VERSION_WITHOUT_VOICE_MODE:
        return {"mode": "id", **shape}
    if shape.get("mode") == "id":
        del shape["mode"]
    return voice if isinstance(voice, str) else shape


def version_sent(headers: Mapping[str, str], query: Mapping[str, Any]) -> str:
    """Return the API version that a request goes out with, to which the voice's shape belongs.

    The query goes before the header, as the service reads them (docs page ``api-reference/tts/websocket``).

    Args:
        headers: All of them, each name once.
        query: All of it, as it was given; names without a value are not sent.
    """
    asked = query.get("cartesia_version")
    values = asked if isinstance(asked, (list, tuple)) else [asked]
    for value in values:
        if isinstance(value, (str, int, date)):
            return str(value)
    return next((value.strip() for name, value in headers.items() if name.lower() == "cartesia-version"), "")
