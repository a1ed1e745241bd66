"""The service's HTTP errors as exceptions, on either transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import APIStatusError, status_error

MAX_BODY_BYTES = 64 << 10
"""How much of an error's body is read: a longer one is not an error message."""


def error_response(status: int, headers: Mapping[str, str], body: bytes, *, what: str) -> APIStatusError:
    """Make the exception for an HTTP answer that is not a success.

    Both shapes are read: the JSON object of API versions from 2026-03-01 on, and the text ``Title: message`` of older
    ones (docs page ``api-errors``); any other body is kept as text.

    Args:
        status: The HTTP status.
        headers: The answer's, names in lower case.
        body: The answer's.
        what: What was refused, for the message.
    """
    whole = body.decode("utf-8", "replace")
    text = whole.strip()
    fields: dict[str, Any] = {}
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        decoded = text or None
    if isinstance(decoded, dict):
        fields = decoded
        words = ": ".join(str(fields[key]) for key in ("title", "message") if fields.get(key))
    else:
        words = text
    facts = {key: fields[key] for key in ("error_code", "title", "request_id", "doc_url") if key in fields}
    facts = {key: value for key, value in facts.items() if isinstance(value, str)}
    if "request_id" not in facts and "x-request-id" in headers:
        facts["request_id"] = headers["x-request-id"]
    message = f"The service refused {what} with status {status}" + (f": {words}" if words else ".")
    return status_error(status, message, body=decoded, headers=headers, text=whole, **facts)
