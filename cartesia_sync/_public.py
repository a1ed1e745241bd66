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
    BatchStoppedError,
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
    WriteTimeoutError,
)
from .protocol.metrics import Metrics, SpokenContext
from .protocol.requests import NOT_GIVEN, NotGiven, Omit, not_given, omit
from .protocol.timeouts import Timeout
from .resources.answer import APIResponse

if TYPE_CHECKING:
    from .parameters import RequestOptions, file_from_path
    from .pool import Pool, Spoken
    from .resources.binary import BinaryAPIResponse
    from .resources.events import Stream
    from .resources.pages import SyncCursorIDPage
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
    "Pool": "pool",
    "Receiver": "streaming.receiver",
    "RequestOptions": "parameters",
    "Speech": "streaming.pump",
    "Spoken": "pool",
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
    "BatchStoppedError",
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
    "Metrics",
    "MissingCredentialsError",
    "NoneType",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "PermissionDeniedError",
    "Pool",
    "ProtocolError",
    "ProxySettingError",
    "RateLimitError",
    "Receiver",
    "RequestOptions",
    "SlotDeadlockError",
    "SlotTimeoutError",
    "Speech",
    "Spoken",
    "SpokenContext",
    "Stream",
    "SyncCursorIDPage",
    "Timeout",
    "TruncatedError",
    "UnfinishedError",
    "UnprocessableEntityError",
    "WebSocketConnectionClosedError",
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
