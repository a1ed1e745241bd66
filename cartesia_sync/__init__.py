"""A client for Cartesia's speech API that plain threads can use.

One reader thread a connection takes frames off a blocking WebSocket and puts events into one ``queue.Queue`` a context;
any number of threads consume their contexts at the same time.

Importing the package starts no thread, opens nothing, and loads neither numpy nor the local server.
"""

from __future__ import annotations

from . import types
from ._version import __version__
from .client import Cartesia
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
    MissingCredentialsError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    SlotDeadlockError,
    SlotTimeoutError,
    TruncatedError,
    UnfinishedError,
    UnprocessableEntityError,
    WebSocketConnectionClosedError,
    WriteTimeoutError,
)
from .protocol.timeouts import Timeout

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "Cartesia",
    "CartesiaError",
    "ConcurrencyError",
    "ConflictError",
    "ConnectTimeoutError",
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
    "MissingCredentialsError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "SlotDeadlockError",
    "SlotTimeoutError",
    "Timeout",
    "TruncatedError",
    "UnfinishedError",
    "UnprocessableEntityError",
    "WebSocketConnectionClosedError",
    "WriteTimeoutError",
    "__version__",
    "types",
]
