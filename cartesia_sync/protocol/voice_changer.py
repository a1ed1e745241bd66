"""The voice changer's events: like those of text to speech, but most of them do not name their type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

from .codec import decode_fields, shaped
from .events import Chunk, Done, Error, Unknown
from .models.plain import Member, Plain

_NAMED = "named_type"


class _SeldomNamed(Plain):
    """An event that has a type here, whether or not the service named it."""

    __slots__ = ()

    def _members(self) -> Iterator[Member]:
        for member in super()._members():
            yield member._replace(is_set=_NAMED in vars(self)) if member.name == "type" else member


class VoiceChangerSSEChunk(_SeldomNamed, Chunk):
    """A piece of audio in the other voice.

    Attributes:
        audio: The decoded bytes; empty where the service sent none. Need not hold whole samples.
        sample_rate: In Hz.
        step_time: Milliseconds the service worked on it.
    """

    sample_rate: Optional[int] = None


class VoiceChangerSSEDone(_SeldomNamed, Done):
    """The audio is complete; nothing follows."""


class VoiceChangerSSEError(_SeldomNamed, Error):
    """The service refused something; nothing follows."""


VoiceChangerSSEEvent = Union[VoiceChangerSSEChunk, VoiceChangerSSEDone, VoiceChangerSSEError, Unknown]

_KNOWN: dict[str, Any] = {kind.type: kind for kind in (VoiceChangerSSEChunk, VoiceChangerSSEDone, VoiceChangerSSEError)}


def decode_changed(data: bytes) -> VoiceChangerSSEEvent:
    """Read one event of the voice changer. One that says ``done`` is the last, whatever its type.

    Raises:
        MalformedEventError: It is not JSON, not an object, or of the wrong shape.
    """
    fields = decode_fields(data)
    name = _type_of(fields)
    if name not in _KNOWN:
        return Unknown(fields={**fields, "type": name}, done=fields.get("done") is True)
    event: VoiceChangerSSEEvent = shaped(fields, _KNOWN[name])
    if "type" in fields:
        event.__dict__[_NAMED] = True
    return event


def _type_of(fields: Mapping[str, Any]) -> str:
    """Return the type by what the event holds; an error first, so that one without a type is not taken for the end."""
    if isinstance(fields.get("type"), str):
        return str(fields["type"])
    if any(key in fields for key in ("error", "message", "title")):
        return Error.type
    if "data" in fields:
        return Chunk.type
    return Done.type if fields.get("done") is True else "unknown"
