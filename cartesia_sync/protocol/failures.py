"""Error events as exceptions."""

from __future__ import annotations

from ..errors import APIError, status_error
from .events import Error


def error_of(event: Error) -> APIError:
    """Make the exception of an error event."""
    if event.status_code is None:
        return APIError(event.error, body=event)
    return status_error(
        event.status_code,
        event.error,
        body=event,
        error_code=event.error_code,
        title=event.title,
        request_id=event.request_id,
        doc_url=event.doc_url,
    )
