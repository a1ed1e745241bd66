"""Frames to events and requests to frames; the one place where JSON is read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Optional, Union

import msgspec

from ..errors import MalformedEventError
from .events import (
    Chunk,
    Done,
    Error,
    Event,
    FlushDone,
    Heard,
    PhonemeTimestampsEvent,
    Timestamps,
    Unknown,
)

_Known = Union[Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone, Done, Error]
_KNOWN: dict[str, type[Heard]] = {
    kind.type: kind for kind in (Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone, Done, Error)
}
_decoder = msgspec.json.Decoder(_Known)
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Not msgspec's, which would write NaN as null."""

MAX_DEPTH = 100
"""How deep an event may be nested; known ones are three deep. While a message of a thousand levels is read, the
interpreter's room for calls is used up, and whatever the collector calls then fails, in the reader's thread."""

_BRACKET = re.compile(rb"[\[\]{}]")


def decode(frame: bytes) -> Event:
    """Read one message of the service.

    A chunk's base64 is decoded here, once. A message with unknown fields costs about twice as much as one without.

    Raises:
        MalformedEventError: If it is not JSON, not an object, or of the wrong shape.
    """
    try:
        event: Event = _decoder.decode(str(frame, "utf-8"))  # msgspec checks no text that it skips
    except msgspec.ValidationError:
        return _decode_leniently(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEventError(f"a message of {len(frame)} bytes is not JSON: {error}") from error
    return event


def _decode_leniently(frame: bytes) -> Event:
    """Read a message that is of no known shape: a new type, new fields, or rubbish."""
    fields = decode_fields(frame)
    context_id = fields.get("context_id")
    readable_id = context_id if isinstance(context_id, str) else None
    name = fields.get("type")
    if not isinstance(name, str):
        raise MalformedEventError("an event has a type; the service sent one without", context_id=readable_id)
    if name not in _KNOWN:
        return Unknown(fields=fields, context_id=readable_id)
    event: Event = shaped(fields, _KNOWN[name], context_id=readable_id)
    return event


def decode_fields(message: bytes) -> dict[str, Any]:
    """Read an event's JSON, whatever the event.

    Raises:
        MalformedEventError: It is not JSON, not an object, or nested too deep.
    """
    if _is_too_deep(message):
        raise MalformedEventError(f"a message of {len(message)} bytes is nested more than {MAX_DEPTH} deep")
    try:
        fields = decode_answer(message)
    except ValueError as error:
        raise MalformedEventError(f"a message of {len(message)} bytes is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedEventError(f"an event is a JSON object; the service sent {type(fields).__name__}")
    return fields


def _is_too_deep(message: bytes) -> bool:
    if message.count(b"[") + message.count(b"{") <= MAX_DEPTH:
        return False  # as nearly all
    outside = message.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]  # of texts
    depth = 0
    for part in outside:
        for bracket in _BRACKET.finditer(part):
            depth += 1 if bracket.group() in b"[{" else -1
            if depth > MAX_DEPTH:
                return True
    return False


def shaped(fields: Mapping[str, Any], kind: type[Heard], *, context_id: Optional[str] = None) -> Any:
    """Make an event of its fields, and keep those that it does not know.

    Raises:
        MalformedEventError: A field is of the wrong shape; the exception names the context.
    """
    name = kind.__struct_config__.tag
    names = {each.encode_name for each in msgspec.structs.fields(kind)}
    # Null is as good as missing, also where we expect a value: it must not cost the context.
    known = {key: value for key, value in fields.items() if key in names and value is not None}
    try:
        event = msgspec.convert({**known, "type": name}, kind)
    except msgspec.ValidationError as error:
        raise MalformedEventError(
            f"the service sent a {name} event of the wrong shape: {error}", context_id=context_id
        ) from error
    event.__dict__["extra_fields"] = {key: value for key, value in fields.items() if key not in names and key != "type"}
    return event


def encode(message: Any) -> bytes:
    """Write one message to the service as JSON in UTF-8.

    Raises:
        TypeError: If the message holds something that JSON has no form for.
        ValueError: If a text in it cannot be encoded (a lone surrogate), a number is not finite, or it holds itself.
    """
    try:
        plain = msgspec.to_builtins(message, enc_hook=_plain)
    except RecursionError as error:
        raise ValueError("a message cannot hold itself") from error
    return _encoder.encode(plain).encode()


def _plain(value: Any) -> Any:
    """Turn what is a text, a number or a mapping by a class of its own into Python's own."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"JSON has no form for a {type(value).__name__}")


def decode_answer(content: bytes) -> Any:
    """Read an HTTP answer's JSON; a ValueError says what is wrong with it."""
    try:
        return msgspec.json.decode(str(content, "utf-8"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
