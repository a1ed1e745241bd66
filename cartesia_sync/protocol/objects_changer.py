"""The voice changer's events: like those of text to speech, but that most of them do not say their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

import msgspec

from ..errors import MalformedEventError
from .codec import decode_answer
from .events import Chunk, Done, Error, Unknown


class VoiceChangerSSEChunk(Chunk):
    """A piece of audio in the other voice.

    Attributes:
        audio: The decoded bytes; empty where the service sent none. Need not hold whole samples.
        sample_rate: In Hz.
        step_time: Milliseconds the service worked on it.
    """

    sample_rate: Optional[int] = None


class VoiceChangerSSEDone(Done):
    """All is said; nothing follows."""


class VoiceChangerSSEError(Error):
    """The service refused something; nothing follows."""


VoiceChangerSSEEvent = Union[VoiceChangerSSEChunk, VoiceChangerSSEDone, VoiceChangerSSEError, Unknown]

_KNOWN: dict[str, Any] = {kind.type: kind for kind in (VoiceChangerSSEChunk, VoiceChangerSSEDone, VoiceChangerSSEError)}
_FIELD_NAMES = {name: {each.encode_name for each in msgspec.structs.fields(kind)} for name, kind in _KNOWN.items()}


def decode_changed(data: bytes) -> VoiceChangerSSEEvent:
    """Read one event of the voice changer. One that says ``done`` is the last, whatever its type.

    Raises:
        MalformedEventError: It is not JSON, not an object, or of the wrong shape.
    """
    try:
        fields = decode_answer(data)
    except ValueError as error:
        raise MalformedEventError(f"an event of {len(data)} bytes is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedEventError(f"an event is a JSON object; the service sent {type(fields).__name__}")
    name = _type_of(fields)
    if name not in _KNOWN:
        return Unknown(fields={**fields, "type": name}, done=fields.get("done") is True)
    known = {key: value for key, value in fields.items() if key in _FIELD_NAMES[name] and value is not None}
    try:
        event: VoiceChangerSSEEvent = msgspec.convert({**known, "type": name}, _KNOWN[name])
    except msgspec.ValidationError as error:
        raise MalformedEventError(f"the service sent a {name} event of the wrong shape: {error}") from error
    event.__dict__["extra_fields"] = {
        key: value for key, value in fields.items() if key not in _FIELD_NAMES[name] and key != "type"
    }
    return event


def _type_of(fields: Mapping[str, Any]) -> str:
    """Tell by what it holds; an error first, lest one without a type be taken for the end."""
    if isinstance(fields.get("type"), str):
        return str(fields["type"])
    if any(key in fields for key in ("error", "message", "title")):
        return Error.type
    if "data" in fields:
        return Chunk.type
    return Done.type if fields.get("done") is True else "unknown"
