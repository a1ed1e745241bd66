"""A client for Cartesia's speech API that plain threads can use.

One reader thread a connection takes frames off a blocking WebSocket and puts events into one ``queue.Queue`` a context;
any number of threads consume their contexts at the same time.

Importing the package starts no thread, opens nothing, and loads nothing: the client comes when the first of its names
is asked for, and numpy and the local server later still.
"""

from __future__ import annotations

from ._version import __version__

TYPE_CHECKING = False  # true to type checkers, as typing's is, which takes as long to load as the whole command does
if TYPE_CHECKING:
    from . import types
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
        MailboxFullError,
        MalformedEventError,
        MessageTooBigError,
        MissingCredentialsError,
        NotFoundError,
        PermissionDeniedError,
        ProtocolError,
        RateLimitError,
        TruncatedError,
        UnfinishedError,
        UnprocessableEntityError,
        WebSocketConnectionClosedError,
        WriteTimeoutError,
    )
    from .protocol.timeouts import Timeout

_HOMES = {"Cartesia": "client", "Timeout": "protocol.timeouts"}
"""Where the names of ``__all__`` are that are not in ``errors``."""
_MODULES = ("audio", "client", "closing", "core", "errors", "protocol", "resources", "transport", "types")
"""What the client consists of, which is reached as an attribute without an import of its own."""

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
    "MailboxFullError",
    "MalformedEventError",
    "MessageTooBigError",
    "MissingCredentialsError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "Timeout",
    "TruncatedError",
    "UnfinishedError",
    "UnprocessableEntityError",
    "WebSocketConnectionClosedError",
    "WriteTimeoutError",
    "__version__",
    "types",
]

if not TYPE_CHECKING:  # to a type checker a module with __getattr__ has every name

    def __getattr__(name: str) -> object:
        """Load the client when it is first asked for: the command need not wait for it to say what it can do."""
        if name not in __all__ and name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        for module in _MODULES:
            import_module(f".{module}", __name__)
        for each in __all__:
            if each not in globals():
                globals()[each] = getattr(import_module(f".{_HOMES.get(each, 'errors')}", __name__), each)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
