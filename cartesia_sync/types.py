"""The types of parameters and events, under the official client's names; for annotations.

The parameter types are what the service documents; nothing is checked against them at run time, so that a value which
the service learns later can be passed today.
"""

from __future__ import annotations

from typing import Literal, Optional, TypedDict, Union

from .protocol.events import (
    Chunk,
    Done,
    Error,
    Event,
    FlushDone,
    PhonemeTimestamps,
    PhonemeTimestampsEvent,
    Timestamps,
    Unknown,
    WordTimestamps,
)

__all__ = [
    "Chunk",
    "Done",
    "Error",
    "Event",
    "FlushDone",
    "GenerationConfigParam",
    "GenerationRequestParam",
    "ModelSpeed",
    "PhonemeTimestamps",
    "PhonemeTimestampsEvent",
    "RawEncoding",
    "RawOutputFormatParam",
    "Timestamps",
    "Unknown",
    "VoiceObjectParam",
    "VoiceSpecifierParam",
    "WebsocketResponse",
    "WordTimestamps",
]

WebsocketResponse = Event

RawEncoding = Literal["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"]
ModelSpeed = Literal["slow", "normal", "fast"]


class RawOutputFormatParam(TypedDict):
    """How the audio is to come: bare samples, one channel."""

    container: Literal["raw"]
    encoding: RawEncoding
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


class _VoiceObjectParam(TypedDict):
    id: str


class VoiceObjectParam(_VoiceObjectParam, total=False):
    """A voice by its id; ``mode`` belongs to API versions before 2026-08-14, and may be given with any."""

    mode: Literal["id"]


VoiceSpecifierParam = Union[str, VoiceObjectParam]


class GenerationConfigParam(TypedDict, total=False):
    """How to speak: ``speed`` 0.6 to 1.5, ``volume`` 0.5 to 2.0, both 1.0 by default, and an emotion's name."""

    emotion: str
    speed: float
    volume: float


class _GenerationRequestParam(TypedDict):
    context_id: str
    model_id: str
    output_format: RawOutputFormatParam
    transcript: str
    voice: VoiceSpecifierParam


# Written as a call, since one of the keys is a word of the language.
_GenerationRequestParamReserved = TypedDict(
    "_GenerationRequestParamReserved", {"continue": Optional[bool]}, total=False
)


class GenerationRequestParam(_GenerationRequestParam, _GenerationRequestParamReserved, total=False):
    """One request, as ``connection.send`` takes it."""

    add_phoneme_timestamps: Optional[bool]
    add_timestamps: Optional[bool]
    flush: Optional[bool]
    generation_config: GenerationConfigParam
    language: str
    max_buffer_delay_ms: Optional[int]
    pronunciation_dict_id: Optional[str]
    speed: ModelSpeed
    use_normalized_timestamps: Optional[bool]
