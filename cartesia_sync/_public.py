"""What users of the package see; ``cartesia_sync`` itself has all of this, and loads it when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import types
from ._version import __version__
from .client import Cartesia, inspect
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
    MicrophoneError,
    MissingCredentialsError,
    NotFoundError,
    PermissionDeniedError,
    PlaybackError,
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
from .protocol.metrics import Metrics, SpokenContext
from .protocol.requests import NOT_GIVEN, NotGiven, Omit, not_given, omit
from .protocol.timeouts import Timeout
from .resources.answer import APIResponse

if TYPE_CHECKING:
    from .parameters import ReconnectingOverrides, RequestOptions, file_from_path
    from .pool import Pool, Spoken
    from .protocol.transcription import ReconnectingEvent
    from .resources.binary import BinaryAPIResponse
    from .resources.events import Stream
    from .resources.pages import SyncCursorIDPage
    from .speech.captions import Captions, Cue
    from .speech.frames import Frame, Frames, frames_of
    from .speech.joining import LongSpeech
    from .speech.microphone import Microphone
    from .speech.player import Heard, Playback, Player
    from .speech.recording import Recording
    from .speech.words import Phoneme, Word
    from .streaming.connection import Connection, ConnectionManager
    from .streaming.context import Context
    from .streaming.pump import Speech
    from .streaming.receiver import Receiver

Client = Cartesia
NoneType = type(None)
_LATER = {
    "BinaryAPIResponse": "resources.binary",
    "Captions": "speech.captions",
    "Connection": "streaming.connection",
    "ConnectionManager": "streaming.connection",
    "Context": "streaming.context",
    "Cue": "speech.captions",
    "Frame": "speech.frames",
    "Frames": "speech.frames",
    "Heard": "speech.player",
    "LongSpeech": "speech.joining",
    "Microphone": "speech.microphone",
    "Phoneme": "speech.words",
    "Playback": "speech.player",
    "Player": "speech.player",
    "Pool": "pool",
    "Receiver": "streaming.receiver",
    "ReconnectingEvent": "protocol.transcription",
    "ReconnectingOverrides": "parameters",
    "Recording": "speech.recording",
    "RequestOptions": "parameters",
    "Speech": "streaming.pump",
    "Spoken": "pool",
    "Stream": "resources.events",
    "SyncCursorIDPage": "resources.pages",
    "Word": "speech.words",
    "file_from_path": "parameters",
    "frames_of": "speech.frames",
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
    "Captions",
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
    "Cue",
    "FirstEventTimeoutError",
    "ForkedError",
    "Frame",
    "Frames",
    "GapTimeoutError",
    "Heard",
    "IncompleteAnswerError",
    "InternalServerError",
    "LimitError",
    "LimitUnreachableError",
    "LongSpeech",
    "MailboxFullError",
    "MalformedEventError",
    "MessageTooBigError",
    "Metrics",
    "Microphone",
    "MicrophoneError",
    "MissingCredentialsError",
    "NoneType",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "PermissionDeniedError",
    "Phoneme",
    "Playback",
    "PlaybackError",
    "Player",
    "Pool",
    "ProtocolError",
    "ProxySettingError",
    "RateLimitError",
    "Receiver",
    "ReconnectingEvent",
    "ReconnectingOverrides",
    "Recording",
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
    "WebSocketQueueFullError",
    "Word",
    "WriteTimeoutError",
    "__version__",
    "file_from_path",
    "frames_of",
    "inspect",
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
