"""What users of the package see; ``cartesia_sync`` itself has all of this, and loads it when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import types
from ._version import __version__
from .client import Cartesia
from .core import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from .errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    ConcurrencyError,
    ConflictError,
    ConnectTimeoutError,
    ContextStateError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    ForkedError,
    GapTimeoutError,
    IncompleteAnswerError,
    InternalServerError,
    LimitError,
    LimitUnreachableError,
    MailboxFullError,
    MalformedEventError,
    MessageTooBigError,
    MicrophoneError,
    MissingCredentialsError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ProxySettingError,
    RateLimitError,
    SlotDeadlockError,
    SlotTimeoutError,
    TruncatedError,
    UnfinishedError,
    UnprocessableEntityError,
    WebSocketConnectionClosedError,
    WebSocketQueueFullError,
    WriteTimeoutError,
)
from .protocol.requests import NOT_GIVEN, NotGiven, Omit, not_given, omit
from .protocol.timeouts import Timeout
from .resources.answer import APIResponse

if TYPE_CHECKING:
    from .parameters import ReconnectingOverrides, RequestOptions, file_from_path
    from .protocol.transcription import ReconnectingEvent
    from .resources.binary import BinaryAPIResponse
    from .resources.events import Stream
    from .resources.pages import SyncCursorIDPage
    from .speech.microphone import Microphone
    from .streaming.connection import Connection, ConnectionManager
    from .streaming.context import Context
    from .streaming.pump import Speech
    from .streaming.receiver import Receiver

Client = Cartesia
NoneType = type(None)
_LATER = {
    "BinaryAPIResponse": "resources.binary",
    "Connection": "streaming.connection",
    "ConnectionManager": "streaming.connection",
    "Context": "streaming.context",
    "Microphone": "speech.microphone",
    "Receiver": "streaming.receiver",
    "ReconnectingEvent": "protocol.transcription",
    "ReconnectingOverrides": "parameters",
    "RequestOptions": "parameters",
    "Speech": "streaming.pump",
    "Stream": "resources.events",
    "SyncCursorIDPage": "resources.pages",
    "file_from_path": "parameters",
}
"""Names for annotations, and where they are: loaded when asked for, since most bring the transport with them."""

__all__ = [
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BinaryAPIResponse",
    "Cartesia",
    "CartesiaError",
    "Client",
    "ConcurrencyError",
    "ConflictError",
    "ConnectTimeoutError",
    "Connection",
    "ConnectionManager",
    "Context",
    "ContextStateError",
    "ContextTimeoutError",
    "FirstEventTimeoutError",
    "ForkedError",
    "GapTimeoutError",
    "IncompleteAnswerError",
    "InternalServerError",
    "LimitError",
    "LimitUnreachableError",
    "MailboxFullError",
    "MalformedEventError",
    "MessageTooBigError",
    "Microphone",
    "MicrophoneError",
    "MissingCredentialsError",
    "NoneType",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "PermissionDeniedError",
    "ProtocolError",
    "ProxySettingError",
    "RateLimitError",
    "Receiver",
    "ReconnectingEvent",
    "ReconnectingOverrides",
    "RequestOptions",
    "SlotDeadlockError",
    "SlotTimeoutError",
    "Speech",
    "Stream",
    "SyncCursorIDPage",
    "Timeout",
    "TruncatedError",
    "UnfinishedError",
    "UnprocessableEntityError",
    "WebSocketConnectionClosedError",
    "WebSocketQueueFullError",
    "WriteTimeoutError",
    "__version__",
    "file_from_path",
    "not_given",
    "omit",
    "types",
]

if not TYPE_CHECKING:  # to a type checker a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        """Load a name of ``_LATER``."""
        if name in _LATER:
            found = globals()[name] = vars(importlib.import_module(f".{_LATER[name]}", __package__))[name]
            return found
        if name.startswith(("Async", "DefaultAsync", "DefaultAio")):
            raise AttributeError(f"{name}: this package has no asyncio; its client works from any number of threads")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
