"""What the server sends: events, and the errors of HTTP, as JSON in the shape of the API version. Pure."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Optional

from .requests import FIRST_STRUCTURED_VERSION, ApiError, is_at_least
from .voice.timing import Timed

__all__ = [
    "ContextStoppedError",
    "chunk_event",
    "done_event",
    "error_body",
    "error_event",
    "flush_done_event",
    "timestamps_event",
    "unknown_event",
]

_PARTIAL_CONTENT = 206
_DOC_URL = "https://docs.cartesia.ai/use-the-api/api-errors"  # the page that lists the codes


class ContextStoppedError(Exception):
    """Raised instead of sending an event: nothing more is to be sent for this context."""


def chunk_event(context_id: str, audio: bytes, flush_id: Optional[int], step_time_ms: float) -> str:
    """Return a chunk of audio."""
    # Joined by hand: the JSON encoder would look at every character of the base64 text.
    data = base64.b64encode(audio).decode("ascii")
    tail = _json(
        {
            "done": False,
            "status_code": _PARTIAL_CONTENT,
            "step_time": round(step_time_ms, 3),
            **_context(context_id),
            **_flush_id(flush_id),
        }
    )
    return f'{{"type":"chunk","data":"{data}",{tail[1:]}'


def timestamps_event(context_id: str, times: Sequence[Timed], flush_id: Optional[int], *, phonemes: bool) -> str:
    """Return when words, or phonemes, are heard: seconds from the start of the context, to the millisecond."""
    return _json(
        {
            "type": "phoneme_timestamps" if phonemes else "timestamps",
            "done": False,
            "status_code": _PARTIAL_CONTENT,
            **_context(context_id),
            "phoneme_timestamps" if phonemes else "word_timestamps": {
                "phonemes" if phonemes else "words": [time.text for time in times],
                "start": [_floor_to_ms(time.start) for time in times],
                "end": [_floor_to_ms(time.end) for time in times],
            },
            **_flush_id(flush_id),
        }
    )


def flush_done_event(context_id: str, flush_id: int) -> str:
    """Return the end of the segment with that number."""
    return _json(
        {
            "type": "flush_done",
            "done": False,
            "flush_done": True,
            "flush_id": flush_id,
            "status_code": _PARTIAL_CONTENT,
            "context_id": context_id,
        }
    )


def done_event(context_id: str) -> str:
    """Return the end of the context."""
    return _json({"type": "done", "done": True, "status_code": _PARTIAL_CONTENT, **_context(context_id)})


def unknown_event(context_id: Optional[str]) -> str:
    """Return an event of a type that the protocol does not have, which a client should skip."""
    event = {"type": "weather", **_context(context_id), "done": False, "status_code": _PARTIAL_CONTENT}
    return _json({**event, "zz_sky": ["blue"]})


def error_event(error: ApiError, version: str, request_id: str, *, done: bool = True) -> str:
    """Return an error, in the shape of the connection's API version."""
    event: dict[str, object] = {"type": "error", "done": done, "status_code": error.status}
    if is_at_least(version, FIRST_STRUCTURED_VERSION):
        event.update(_error_object(error, request_id))
    else:
        event["error"] = f"{error.title}: {error.message}"
    if error.context_id is not None:
        event["context_id"] = error.context_id
    return _json(event)


def error_body(error: ApiError, version: str, request_id: str) -> tuple[str, str]:
    """Return the body of an HTTP error and its content type, in the shape of the API version."""
    if is_at_least(version, FIRST_STRUCTURED_VERSION):
        return _json(_error_object(error, request_id)), "application/json"
    return f"{error.title}: {error.message}", "text/plain"


def _error_object(error: ApiError, request_id: str) -> dict[str, object]:
    known: dict[str, object] = {} if error.error_code is None else {"doc_url": _DOC_URL}
    return {
        "error_code": error.error_code,
        "title": error.title,
        "message": error.message,
        "request_id": request_id,
        **known,
    }


def _floor_to_ms(seconds: float) -> float:
    # Not rounded: nothing may end after the audio that it belongs to.
    return math.floor(seconds * 1000 + 1e-6) / 1000


def _context(context_id: Optional[str]) -> dict[str, str]:
    return {"context_id": context_id} if context_id else {}


def _flush_id(flush_id: Optional[int]) -> dict[str, int]:
    return {} if flush_id is None else {"flush_id": flush_id}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
