"""Frames to events and requests to frames; the one place where JSON is read and written."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, Callable, Optional, Union

import msgspec
import pybase64

from ..errors import MalformedEventError
from .events import (
    BaseEvent,
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
from .models.base import Open

_Known = Union[Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone, Done, Error]
_KNOWN: dict[str, type[BaseEvent]] = {
    kind.type: kind for kind in (Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone, Done, Error)
}
_decoder = msgspec.json.Decoder(_Known)
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Not msgspec's, which would write NaN as null."""

MAX_DEPTH = 100
"""How deep an event may be nested; known ones are three deep. While a message of a thousand levels is read, the
interpreter's stack is nearly used up, and what the garbage collector runs then fails, in the reader's thread."""

_DATA = re.compile(rb'[{,]\s*"data":\s*"')
_LARGE = 3072
"""Bytes of a message from which on it pays to take the audio out first: msgspec reads a text of that length, and
decodes its base64, byte by byte; ``find`` and pybase64 take 16 or more bytes at once."""

_HEAD = 1024
"""Bytes at a message's beginning in which its audio begins, where it can be taken out."""

_PLACE = b"in+its+place"
_PLACE_AUDIO = pybase64.b64decode(_PLACE)

_BRACKET = re.compile(rb"[\[\]{}]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 300
"""Of a whole number: more than any float has, and few enough to be read fast."""

_NOT_UTF8, _PROTOCOL_VIOLATED = 1007, 1002
"""Close codes (RFC 6455, 7.4.1) for what nobody can attribute to a context."""

_Timings = Union[WordTimestamps, PhonemeTimestamps]
_TIMINGS: dict[Any, type[_Timings]] = {Optional[kind]: kind for kind in (WordTimestamps, PhonemeTimestamps)}


def decode(frame: bytes, unreadable: Optional[Counter[str]] = None) -> Event:
    """Read one message of the service.

    A chunk's base64 is decoded here, once. What can be read of an event is returned: a field of an odd type has its
    default, and is kept in the event's ``unreadable``. A text that stands for a number is read as one. A message with
    unknown or unreadable fields costs several times as much as one without.

    Args:
        frame: The message's bytes.
        unreadable: Where fields that could not be read are counted, by name.

    Raises:
        MalformedEventError: It is not UTF-8, not JSON, not an object, or without a type; or it is a chunk whose audio
            cannot be decoded, or a chunk or ``done`` whose context is no text. ``close_code`` is None where it names
            a context.
    """
    try:
        event: Optional[Event] = _decode_large(frame) if len(frame) >= _LARGE else None
        if event is None:
            event = _decoder.decode(str(frame, "utf-8"))  # msgspec checks no text that it skips
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a ValidationError is a DecodeError
        event = _decode_leniently(frame)
        if unreadable is not None:
            unreadable.update(event.unreadable.keys())
    return event


def _decode_large(frame: bytes) -> Optional[Event]:
    """Read a chunk whose audio is taken out first and decoded apart; None for all else, and where anything is odd.

    What begins with a bare ``"data":"`` is a field of that name, since a quote in a JSON text is escaped. It is the
    chunk's audio if what stands in its place is that of a valid chunk.
    """
    found = _DATA.search(frame, 0, _HEAD)
    if found is None:
        return None
    begin = found.end()
    end = frame.find(b'"', begin)
    try:
        audio = pybase64.b64decode(memoryview(frame)[begin:end], validate=True)
        event = _decoder.decode(str(frame[:begin] + _PLACE + frame[end:], "utf-8"))
    except (ValueError, msgspec.DecodeError, RecursionError):  # what is wrong is found by reading it as a whole
        return None
    if not isinstance(event, Chunk) or event.audio != _PLACE_AUDIO:
        return None
    event.audio = audio
    return event


def require_context(event: Event) -> None:
    """Refuse audio, or the end of it, that belongs to no known context, where several share a connection.

    Raises:
        MalformedEventError: It is a chunk or a ``done``, and names no context; with close code 1002.
    """
    if event.context_id is None and isinstance(event, (Chunk, Done)):
        raise MalformedEventError(
            f"the service sent a {event.type} event that names no context", close_code=_PROTOCOL_VIOLATED
        )


def _decode_leniently(frame: bytes) -> Event:
    """Read a message that is of no known shape: a new type, new fields, odd fields, or rubbish."""
    fields = decode_fields(frame)
    context_id = fields.get("context_id")
    readable_id = context_id if isinstance(context_id, str) else None
    name = fields.get("type")
    if not isinstance(name, str):
        raise _malformed("an event has a type; the service sent one without", readable_id)
    if name not in _KNOWN:
        return Unknown(fields=fields, context_id=readable_id)
    event: Event = shaped(fields, _KNOWN[name], context_id=readable_id)
    return event


def decoder_of(kinds: tuple[Any, ...]) -> Callable[[bytes], Any]:
    """Return what reads a message of one of these kinds, fast; it returns None where the message is of none of them."""
    decode_known = msgspec.json.Decoder(Union[kinds]).decode

    def decode_if_known(message: bytes) -> Any:
        try:
            return decode_known(str(message, "utf-8"))  # msgspec checks no text that it skips
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a ValidationError is a DecodeError
            return None

    return decode_if_known


def malformed(message: str) -> MalformedEventError:
    """Make the exception for a message that nobody can attribute."""
    return _malformed(message, None)


def _malformed(message: str, context_id: Optional[str]) -> MalformedEventError:
    close_code = _PROTOCOL_VIOLATED if context_id is None else None
    return MalformedEventError(message, context_id=context_id, close_code=close_code)


def decode_fields(message: bytes) -> dict[str, Any]:
    """Read an event's JSON, whatever the event.

    Raises:
        MalformedEventError: It is not UTF-8, not JSON, not an object, or nested too deep.
    """
    if _is_too_deep(message):
        raise _malformed(f"a message of {len(message)} bytes is nested more than {MAX_DEPTH} deep", None)
    try:
        fields = _decode_any(str(message, "utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedEventError(
            f"a message of {len(message)} bytes is not UTF-8: {error}", close_code=_NOT_UTF8
        ) from error
    except (ValueError, RecursionError) as error:
        raise MalformedEventError(
            f"a message of {len(message)} bytes is not JSON: {error}", close_code=_PROTOCOL_VIOLATED
        ) from error
    if not isinstance(fields, dict):
        raise _malformed(f"an event is a JSON object; the service sent {type(fields).__name__}", None)
    return fields


def _decode_any(text: str) -> Any:
    """Read JSON, also such as msgspec refuses though the grammar allows it: half a character, a number out of range.

    Of half a character (a lone surrogate) a U+FFFD is made, since it could be neither printed nor sent back; a number
    out of range is returned as a text.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return _with_whole_characters(_grammar.decode(text))


def _with_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_with_whole_characters(each) for each in value]
    if isinstance(value, dict):
        return {_with_whole_characters(key): _with_whole_characters(each) for key, each in value.items()}
    return value


def _finite(digits: str) -> Union[float, str]:
    value = float(digits)
    return value if math.isfinite(value) else digits


def _whole(digits: str) -> Union[int, str]:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


_grammar = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=_refuse)


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


def shaped(fields: Mapping[str, Any], kind: type[Open], *, context_id: Optional[str] = None) -> Any:
    """Make an event of its fields, and keep those that it does not know, or cannot read.

    Raises:
        MalformedEventError: The audio of a chunk cannot be decoded, or the context of a chunk or ``done`` is no text;
            the exception names the context, where there is one.
    """
    known = _fields_of(kind)
    values: dict[str, Any] = {}
    unreadable: dict[str, Any] = {}
    for sent_name, (name, field_type) in known.items():
        sent = fields.get(sent_name)
        if sent is None:
            continue  # null is as good as missing, also where we expect a value: it must not cost the context
        try:
            values[name], is_whole = _read(sent, field_type)
        except (msgspec.ValidationError, ValueError) as error:
            if sent_name == "data" or (sent_name == "context_id" and issubclass(kind, (Chunk, Done))):
                raise _malformed(
                    f"the service sent a {kind.__struct_config__.tag} event of the wrong shape: "
                    f"{error} - at `$.{sent_name}`",
                    context_id,
                ) from error
            is_whole = False
        if not is_whole:
            unreadable[sent_name] = sent
    event = kind(**values)
    event.__dict__["extra_fields"] = {name: sent for name, sent in fields.items() if name not in known}
    event.__dict__["extra_fields"].pop("type", None)
    if unreadable:
        event.__dict__["unreadable_fields"] = unreadable
    return event


@cache
def _fields_of(kind: type[Open]) -> dict[str, tuple[str, Any]]:
    """Return each field's name on the wire, and its name and type here; looked up once, since it is slow."""
    return {each.encode_name: (each.name, each.type) for each in msgspec.structs.fields(kind)}


def _read(sent: Any, field_type: Any) -> tuple[Any, bool]:
    """Convert a field to its annotation, and return whether that is all of it.

    Raises:
        msgspec.ValidationError: Nothing can be read of it.
        ValueError: The same.
    """
    try:
        return msgspec.convert(sent, field_type), True
    except msgspec.ValidationError:
        if field_type in _TIMINGS and isinstance(sent, Mapping):
            return _read_timings(sent, _TIMINGS[field_type])
        value = msgspec.convert(sent, field_type, strict=False)  # such as "206" for a number
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{sent!r} is no number") from None
        return value, True


def _read_timings(sent: Mapping[str, Any], kind: type[_Timings]) -> tuple[_Timings, bool]:
    """Read the entries that have a name and both times, in order, and return whether those are all."""
    lists = [sent.get(name) for name in kind.__struct_fields__]
    columns = [each if isinstance(each, list) else [] for each in lists]
    names: list[str] = []
    start: list[float] = []
    end: list[float] = []
    for row in zip(*columns):
        try:
            name, since, until = msgspec.convert(row, tuple[str, float, float], strict=False)
        except msgspec.ValidationError:
            continue
        if math.isfinite(since) and math.isfinite(until):
            names.append(name)
            start.append(since)
            end.append(until)
    is_whole = all(isinstance(each, list) and len(each) == len(names) for each in lists)
    return kind(names, start, end), is_whole


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
