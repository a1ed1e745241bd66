"""The things that can go wrong, as values that a test hands to the server.

    with LocalServer(faults=[Close(1011, "internal error", after=3)]) as server: ...

Three fields mean the same everywhere:

* ``after``: strike once so many *event frames* have been sent on the connection; 0 strikes in place of the first.
* ``context_id``: count only this context's frames, and strike only on the connection which carries it.
* ``times``: how many targets to strike, ``None`` for all of them; each target is struck once. The target of a
  :class:`ContextFault` is a context, and its frames are counted for each context by itself; of any other, a
  connection.

A connection fault hits the whole connection, a context fault leaves the other contexts in peace. Where several are
due at one time they strike in the order in which they were given.

The faults of requests strike what is asked over HTTP, sockets not. Their target is one request, each attempt for
itself; ``path`` names the only path to strike, as the URL has it. :class:`ErrorEvent`, :class:`UnknownEvent`,
:class:`Garbage` and :class:`Unfinished` strike the events of ``/tts/sse`` too: each stream is a context.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional, Union

__all__ = [
    "Binary",
    "Close",
    "ContextFault",
    "CutAnswer",
    "Delay",
    "Eof",
    "ErrorEvent",
    "ExtraFields",
    "Fault",
    "Garbage",
    "Hold",
    "InvalidFrame",
    "LateFrames",
    "Refuse",
    "RefuseRequest",
    "RequestFault",
    "Reset",
    "Silence",
    "StallAnswer",
    "StopReading",
    "Unfinished",
    "UnknownEvent",
]


class Fault:
    """What all faults are. Not made by itself."""

    # Annotations only: each fault says for itself which of them it takes, and in which order.
    times: Optional[int]
    after: int = 0
    context_id: Optional[str] = None


class ContextFault(Fault):
    """A fault whose target is one context. Not made by itself."""


class RequestFault(Fault):
    """A fault whose target is one HTTP request. Not made by itself."""

    path: Optional[str] = None


# ---- at the handshake


@dataclass(frozen=True)
class Refuse(Fault):
    """Answer the WebSocket handshake with an HTTP status instead of 101.

    Args:
        status: The status of the answer.
        body: Its body: text or bytes as they are, a mapping as JSON. ``None`` sends the service's error object.
        headers: Further headers of the answer, for example ``{"Retry-After": "1"}``.
        times: How many handshakes to refuse; ``None`` for all.
    """

    status: int
    body: Union[str, bytes, Mapping[str, object], None] = None
    headers: Optional[Mapping[str, str]] = None
    times: Optional[int] = 1


# ---- to the connection


@dataclass(frozen=True)
class Close(Fault):
    """Close the connection properly, with a close frame of this code and reason."""

    code: int = 1011
    reason: str = ""
    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Reset(Fault):
    """Break the connection by a TCP reset (linger 0). What was sent last may be lost on its way."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Eof(Fault):
    """End the stream without a close frame (TCP FIN), then read on until the peer closes."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Silence(Fault):
    """Send nothing any more, neither events nor pongs nor a close frame, but read on: a host that has vanished."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class StopReading(Fault):
    """Read no more from the socket after so many *client messages*; events go on being sent.

    The peer's sends fill the buffers and then block. A server that does not read cannot notice the peer's going
    either: the connection stays among the open ones until a write fails or the server stops.
    """

    after: int = 0
    times: Optional[int] = 1


@dataclass(frozen=True)
class Garbage(Fault):
    """Send one text frame that is not JSON, then go on."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Binary(Fault):
    """Send one binary frame, which the protocol does not know, then go on."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class InvalidFrame(Fault):
    """Send bytes that are no valid WebSocket frame (reserved bits and opcode), then go on."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class ExtraFields(Fault):
    """Put unknown fields into every event of the connection (or of ``context_id``)."""

    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Delay(Fault):
    """Wait before each event of the connection (or of ``context_id``), every context for itself.

    Args:
        seconds: How long before each event.
        jitter: Up to so many seconds more, at random.
        context_id: Only this context's events.
        times: How many connections to slow down; ``None`` for all.
    """

    seconds: float
    jitter: float = 0.0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Hold(Fault):
    """Send no further event until ``until`` is set: of the whole connection, or of ``context_id`` alone.

    The server goes on reading and answers pings meanwhile.
    """

    until: threading.Event
    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


# ---- to one context


@dataclass(frozen=True)
class UnknownEvent(ContextFault):
    """Send one event of a type that nobody knows, with the context's id and unknown fields, then go on."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class ErrorEvent(ContextFault):
    """Send an error event in the shape of the connection's API version.

    Args:
        status_code: As an HTTP status.
        error_code: The service's word for it, or ``None``.
        title: Short text.
        message: Longer text.
        with_context: Name the context in the event and end it. Otherwise the event names none, and it goes on.
        done: The event's ``done``. With ``False`` the context goes on in either case.
        after: Strike after so many event frames of the context.
        context_id: Strike only this context.
        times: How many contexts to strike; ``None`` for all.
    """

    status_code: int = 500
    error_code: Optional[str] = None
    title: str = "Internal server error"
    message: str = "Something went wrong."
    with_context: bool = True
    done: bool = True
    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class LateFrames(ContextFault):
    """After a cancel, send so many more chunks of that context, and its ``done``, as a busy service would."""

    count: int = 3
    done: bool = True
    context_id: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class Unfinished(ContextFault):
    """Stop the context for good without ``done`` or error; the connection lives on."""

    after: int = 0
    context_id: Optional[str] = None
    times: Optional[int] = 1


# ---- to an HTTP request


@dataclass(frozen=True)
class RefuseRequest(RequestFault):
    """Answer an HTTP request with this status instead of what it asks for. No other fault strikes that answer.

    Args:
        status: The status of the answer.
        body: Its body: text or bytes as they are, a mapping as JSON. ``None`` sends the service's error object.
        headers: Further headers of the answer, for example ``{"Retry-After": "1"}``.
        path: Strike only requests of this path; ``None`` for all.
        times: How many requests to refuse; ``None`` for all.
    """

    status: int
    body: Union[str, bytes, Mapping[str, object], None] = None
    headers: Optional[Mapping[str, str]] = None
    path: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class CutAnswer(RequestFault):
    """End the connection in the middle of an answer.

    Args:
        after: Once so many bytes of the body have been sent; 0 before the answer's first byte, the status included.
        reset: By a TCP reset, which may overtake what was sent last, instead of the end of the stream.
        path: Strike only requests of this path; ``None`` for all.
        times: How many requests to strike; ``None`` for all.
    """

    after: int = 0
    reset: bool = False
    path: Optional[str] = None
    times: Optional[int] = 1


@dataclass(frozen=True)
class StallAnswer(RequestFault):
    """Send nothing more of an answer until ``until`` is set, and then the rest.

    Args:
        until: What to wait for.
        after: Once so many bytes of the body have been sent; 0 before the answer's first byte, the status included.
        path: Strike only requests of this path; ``None`` for all.
        times: How many requests to strike; ``None`` for all.
    """

    until: threading.Event
    after: int = 0
    path: Optional[str] = None
    times: Optional[int] = 1
