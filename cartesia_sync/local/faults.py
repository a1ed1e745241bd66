"""What can go wrong, as values that a test passes to the server. Each fault is one class, and applies itself.

    with LocalServer(faults=[Close(1011, "internal error", after=3)]) as server: ...

Three fields mean the same everywhere, and are given by name:

* ``after``: apply once that many *event frames* have been sent on the connection; 0 applies before the first.
* ``context_id``: count only this context's frames, and apply only to the connection that carries it.
* ``times``: to how many targets it applies, ``None`` for all of them; to each target once. The target of a
  :class:`ContextFault` is a context, and frames are counted for each context separately. The target of any other
  fault is a connection.

A connection fault affects the whole connection; a context fault leaves the other contexts alone. Where several are
due at the same time they are applied in the order in which they were given.

The faults of requests affect HTTP, not WebSockets. Their target is one request, and each attempt counts as one;
``path`` limits them to one path, written as in the URL. :class:`ErrorEvent`, :class:`UnknownEvent`, :class:`Garbage`
and :class:`Unfinished` also affect the events of ``/tts/sse``: each stream is a context.

To add a fault, write one class: its fields, the ``moments`` at which it may apply, and ``apply``, which does it to
the peer of that moment. Nothing else reads its fields. Export it in ``__all__`` here and in the package.
"""

from __future__ import annotations

import asyncio
import enum
import random
import threading
from collections.abc import Awaitable, Mapping
from typing import Any, Callable, ClassVar, NamedTuple, Optional, Protocol, Union

import msgspec

from .events import ContextStoppedError, unknown_event
from .requests import ApiError

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

_CHECK_INTERVAL = 0.005  # seconds
_EXTRA_FIELDS = ',"zz_new_field":{"nested":[1,2,{"deep":null}]},"zz_flag":true}'
_INVALID_FRAME = b"\xff\x05wrong"  # reserved bits, an undefined opcode, and a short payload
_NOT_JSON = '{"type":"chunk","data":'


# ---- when a fault applies, and to what


class Moment(enum.Enum):
    """When the server asks for the faults that are due. The comment names the peer of each."""

    HANDSHAKE = enum.auto()  # a WebSocket handshake has been read (HttpPeer)
    READ = enum.auto()  # before the next client message is read (SocketPeer)
    READY = enum.auto()  # an event is ready, and others may still be sent before it (SocketPeer)
    TURN = enum.auto()  # it is this event's turn, and no other can be sent before it (SocketPeer)
    EVENT = enum.auto()  # immediately before an event is sent, and again immediately after it (SocketPeer)
    SEND = enum.auto()  # the event can still be changed (SocketPeer)
    CANCEL = enum.auto()  # a context has been cancelled (SocketPeer)
    SSE_EVENT = enum.auto()  # as EVENT, for the answer to /tts/sse (EventPeer)
    REQUEST = enum.auto()  # an HTTP request has been read (HttpPeer)
    ANSWER = enum.auto()  # the request has not been refused, and its answer is still to come (HttpPeer)


class Place(NamedTuple):
    """Where the server is at that moment.

    Attributes:
        number: The connection's number; requests have numbers of their own, below 0.
        context_id: The context whose event is sent, if there is one.
        sent: What ``after`` is compared with: event frames sent on the connection; at ``Moment.READ``, client messages
            received on it.
        sent_in_context: The same for a fault of one context.
        path: The path of an HTTP request.
    """

    number: int
    context_id: Optional[str] = None
    sent: int = 0
    sent_in_context: int = 0
    path: str = ""


# A connection or request, and one of its contexts or none.
Target = tuple[int, Optional[str]]


class EventPeer(Protocol):
    """A receiver of events, on a WebSocket or as server-sent events."""

    @property
    def context_id(self) -> Optional[str]:
        """The context whose event is sent."""

    async def put(self, event: str) -> None:
        """Send this text as one event; no other fault applies to it."""

    async def put_error(self, error: ApiError, *, done: bool) -> None:
        """Send an error event."""


class SocketPeer(EventPeer, Protocol):
    """A WebSocket connection, while it sends one event."""

    event: str  # the event that is about to be sent

    def is_armed(self, fault: Fault) -> bool:
        """Whether the fault has not been cleared."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame."""

    def reset(self) -> None:
        """Break the connection by a TCP reset."""

    def send_eof(self) -> None:
        """End the stream without a close frame."""

    def fall_silent(self) -> None:
        """Send nothing more, but keep reading."""

    async def stop_reading(self) -> None:
        """Read nothing more. Does not return; cancelled when the connection ends."""

    def write_raw(self, data: bytes) -> None:
        """Write bytes below the WebSocket's framing."""

    async def put_bytes(self, data: bytes) -> None:
        """Send one binary frame."""

    async def send_silence(self) -> None:
        """Send one chunk of silence in the context's audio format."""

    async def send_done(self) -> None:
        """Send the context's ``done``."""


class HttpPeer(Protocol):
    """An HTTP request and its answer; a WebSocket handshake is one too."""

    def refuse(
        self,
        status: int,
        body: Union[str, bytes, Mapping[str, object], None],
        headers: Optional[Mapping[str, str]],
    ) -> None:
        """Answer with this. No other fault applies to that answer."""

    async def cut(self, *, reset: bool = False) -> Any:
        """End the TCP connection. Does not return."""

    def call_after(self, count: int, act: Callable[[], Awaitable[Any]]) -> None:
        """Call ``act`` once so many bytes of the answer's body have been sent; 0 is before its status."""


# ---- what faults have in common


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all faults. Not used by itself."""

    moments: ClassVar[tuple[Moment, ...]] = ()
    lasts: ClassVar[bool] = False  # whether it acts on every event, from the first one until it is cleared
    one_at_a_time: ClassVar[bool] = False  # whether a target has one of this class; the others stay for other targets

    times: Optional[int] = 1

    def is_for(self, moment: Moment) -> bool:
        """Whether it can apply at this moment."""
        return moment in self.moments

    def target(self, place: Place) -> Optional[Target]:
        """Return what it applies to here, or ``None`` if it is meant for another target or not due yet."""
        return place.number, None

    async def apply(self, peer: Any) -> None:
        """Do it.

        Args:
            peer: The peer of the moment; see ``Moment``.

        Raises:
            ContextStoppedError: That was the context's end.

        Threads: the server's loop only.
        """
        raise NotImplementedError


class EventFault(Fault, frozen=True, kw_only=True):
    """A fault that applies when an event is sent. Not used by itself."""

    after: int = 0
    context_id: Optional[str] = None

    def target(self, place: Place) -> Optional[Target]:
        """Return the connection, or the context if the fault names one."""
        if self.context_id is None:
            return (place.number, None) if place.sent >= self.after else None
        return self._context(place) if place.context_id == self.context_id else None

    def _context(self, place: Place) -> Optional[Target]:
        is_due = place.context_id is not None and place.sent_in_context >= self.after
        return (place.number, place.context_id) if is_due else None


class ContextFault(EventFault, frozen=True, kw_only=True):
    """A fault whose target is one context. Not used by itself."""

    def target(self, place: Place) -> Optional[Target]:
        """Return the context."""
        return self._context(place) if self.context_id in (None, place.context_id) else None


class RequestFault(Fault, frozen=True, kw_only=True):
    """A fault whose target is one HTTP request. Not used by itself."""

    path: Optional[str] = None

    def target(self, place: Place) -> Optional[Target]:
        """Return the request, if it is for this path."""
        return (place.number, None) if self.path in (None, place.path) else None


# ---- at the handshake


class Refuse(Fault, frozen=True):
    """Answer the WebSocket handshake with an HTTP status instead of 101.

    Args:
        status: The status of the answer.
        body: Its body: text or bytes as they are, a mapping as JSON. ``None`` sends the service's error object.
        headers: Further headers of the answer, for example ``{"Retry-After": "1"}``.
        times: How many handshakes to refuse; ``None`` for all.
    """

    moments = (Moment.HANDSHAKE,)

    status: int
    body: Union[str, bytes, Mapping[str, object], None] = None
    headers: Optional[Mapping[str, str]] = None

    async def apply(self, peer: HttpPeer) -> None:
        """Refuse the handshake."""
        peer.refuse(self.status, self.body, self.headers)


# ---- to the connection


class Close(EventFault, frozen=True):
    """Close the connection properly, with a close frame that has this code and reason."""

    moments = (Moment.EVENT,)

    code: int = 1011
    reason: str = ""

    async def apply(self, peer: SocketPeer) -> None:
        """Send the close frame."""
        peer.close(self.code, self.reason)


class Reset(EventFault, frozen=True):
    """Break the connection by a TCP reset (linger 0). What was sent last may be lost on its way."""

    moments = (Moment.EVENT,)

    async def apply(self, peer: SocketPeer) -> None:
        """Reset the connection."""
        peer.reset()


class Eof(EventFault, frozen=True):
    """End the stream without a close frame (TCP FIN), then read on until the peer closes."""

    moments = (Moment.EVENT,)

    async def apply(self, peer: SocketPeer) -> None:
        """End the stream."""
        peer.send_eof()


class Silence(EventFault, frozen=True):
    """Send nothing any more, neither events nor pongs nor a close frame, but read on: a host that has vanished."""

    moments = (Moment.EVENT,)

    async def apply(self, peer: SocketPeer) -> None:
        """Fall silent."""
        peer.fall_silent()


class StopReading(Fault, frozen=True):
    """Stop reading from the socket after so many *client messages*; events are still sent.

    The peer's sends fill the buffers and then block. A server that does not read cannot notice that the peer has gone
    either: the connection counts as open until a write fails or the server stops.
    """

    moments = (Moment.READ,)

    after: int = msgspec.field(default=0)

    def target(self, place: Place) -> Optional[Target]:
        """Return the connection, once it has received enough messages; ``place.sent`` counts those here."""
        return (place.number, None) if place.sent >= self.after else None

    async def apply(self, peer: SocketPeer) -> None:
        """Stop reading."""
        await peer.stop_reading()


class Garbage(EventFault, frozen=True):
    """Send one text frame that is not JSON, then go on."""

    moments = (Moment.EVENT, Moment.SSE_EVENT)

    async def apply(self, peer: EventPeer) -> None:
        """Send half an object."""
        await peer.put(_NOT_JSON)


class Binary(EventFault, frozen=True):
    """Send one binary frame, which the protocol does not have, then go on."""

    moments = (Moment.EVENT,)

    async def apply(self, peer: SocketPeer) -> None:
        """Send the frame."""
        await peer.put_bytes(b'{"type":"chunk"}')


class InvalidFrame(EventFault, frozen=True):
    """Send bytes that are not a valid WebSocket frame (reserved bits and opcode), then go on."""

    moments = (Moment.EVENT,)

    async def apply(self, peer: SocketPeer) -> None:
        """Write the bytes."""
        peer.write_raw(_INVALID_FRAME)


class ExtraFields(EventFault, frozen=True):
    """Put unknown fields into every event of the connection (or of ``context_id``)."""

    moments = (Moment.SEND,)
    lasts = True

    async def apply(self, peer: SocketPeer) -> None:
        """Add the fields to the event that is about to be sent."""
        if not peer.event.endswith(_EXTRA_FIELDS):  # two of these faults do no more than one
            peer.event = peer.event[:-1] + _EXTRA_FIELDS


class Delay(EventFault, frozen=True):
    """Wait before each event of the connection (or of ``context_id``); contexts wait independently of each other.

    Args:
        seconds: How long before each event.
        jitter: Up to so many seconds more, at random.
        context_id: Only this context's events.
        times: How many connections to slow down; ``None`` for all.
    """

    moments = (Moment.READY,)
    lasts = True

    seconds: float
    jitter: float = 0.0

    async def apply(self, peer: SocketPeer) -> None:
        """Wait."""
        await asyncio.sleep(self.seconds + random.uniform(0, self.jitter))  # the fault that was asked for


class Hold(EventFault, frozen=True):
    """Send no further event until ``until`` is set: of the whole connection, or of ``context_id`` alone.

    The server goes on reading and answers pings meanwhile.
    """

    lasts = True

    until: threading.Event

    def is_for(self, moment: Moment) -> bool:
        """Hold one context before its turn, so that others can be sent; hold all by keeping the turn."""
        return moment is (Moment.TURN if self.context_id is None else Moment.READY)

    async def apply(self, peer: SocketPeer) -> None:
        """Wait until it is released or cleared."""
        await wait_for_user(lambda: self.until.is_set() or not peer.is_armed(self))


# ---- to one context


class UnknownEvent(ContextFault, frozen=True):
    """Send one event of an unknown type, with the context's id and unknown fields, then go on."""

    moments = (Moment.EVENT, Moment.SSE_EVENT)

    async def apply(self, peer: EventPeer) -> None:
        """Send the event."""
        await peer.put(unknown_event(peer.context_id))


class ErrorEvent(ContextFault, frozen=True):
    """Send an error event in the shape of the connection's API version.

    Args:
        status_code: As an HTTP status.
        error_code: The service's code for it, or ``None``.
        title: Short text.
        message: Longer text.
        with_context: Name the context in the event and end it. Otherwise the event names none, and the context goes on.
        done: The event's ``done``. With ``False`` the context goes on in either case.
        after: Apply after so many event frames of the context.
        context_id: Only this context.
        times: How many contexts; ``None`` for all.
    """

    moments = (Moment.EVENT, Moment.SSE_EVENT)

    status_code: int = 500
    error_code: Optional[str] = None
    title: str = "Internal server error"
    message: str = "Something went wrong."
    with_context: bool = True
    done: bool = True

    async def apply(self, peer: EventPeer) -> None:
        """Send the event, and end the context if the event names it and has ``done``."""
        error = ApiError(
            self.status_code,
            self.title,
            self.message,
            error_code=self.error_code,
            context_id=peer.context_id if self.with_context else None,
        )
        await peer.put_error(error, done=self.done)
        if self.with_context and self.done:
            raise ContextStoppedError


class LateFrames(ContextFault, frozen=True):
    """After a cancel, send so many more chunks of that context, and its ``done``, as a busy service would."""

    moments = (Moment.CANCEL,)
    one_at_a_time = True

    count: int = 3
    done: bool = True

    async def apply(self, peer: SocketPeer) -> None:
        """Send them, each in its turn like any other event."""
        for _ in range(self.count):
            await peer.send_silence()
        if self.done:
            await peer.send_done()


class Unfinished(ContextFault, frozen=True):
    """Stop the context for good without ``done`` or error; the connection lives on."""

    moments = (Moment.EVENT, Moment.SSE_EVENT)

    async def apply(self, peer: EventPeer) -> None:
        """Stop the context."""
        raise ContextStoppedError


# ---- to an HTTP request


class RefuseRequest(RequestFault, frozen=True):
    """Answer an HTTP request with this status instead of what it asks for. No other fault applies to that answer.

    Args:
        status: The status of the answer.
        body: Its body: text or bytes as they are, a mapping as JSON. ``None`` sends the service's error object.
        headers: Further headers of the answer, for example ``{"Retry-After": "1"}``.
        path: Only requests with this path; ``None`` for all.
        times: How many requests to refuse; ``None`` for all.
    """

    moments = (Moment.REQUEST,)

    status: int
    body: Union[str, bytes, Mapping[str, object], None] = None
    headers: Optional[Mapping[str, str]] = None

    async def apply(self, peer: HttpPeer) -> None:
        """Refuse the request."""
        peer.refuse(self.status, self.body, self.headers)


class CutAnswer(RequestFault, frozen=True):
    """End the connection in the middle of an answer.

    Args:
        after: Once so many bytes of the body have been sent; 0 before the answer's first byte, the status included.
        reset: By a TCP reset, which may overtake what was sent last, instead of the end of the stream.
        path: Only requests with this path; ``None`` for all.
        times: How many requests; ``None`` for all.
    """

    moments = (Moment.ANSWER,)
    one_at_a_time = True

    after: int = 0
    reset: bool = False

    async def apply(self, peer: HttpPeer) -> None:
        """End the connection when that much of the answer has been sent."""
        peer.call_after(self.after, lambda: peer.cut(reset=self.reset))


class StallAnswer(RequestFault, frozen=True):
    """Send nothing more of an answer until ``until`` is set, and then the rest.

    Args:
        until: What to wait for.
        after: Once so many bytes of the body have been sent; 0 before the answer's first byte, the status included.
        path: Only requests with this path; ``None`` for all.
        times: How many requests; ``None`` for all.
    """

    moments = (Moment.ANSWER,)
    one_at_a_time = True

    until: threading.Event
    after: int = 0

    async def apply(self, peer: HttpPeer) -> None:
        """Wait, when that much of the answer has been sent, until it is released."""
        peer.call_after(self.after, lambda: wait_for_user(self.until.is_set))


async def wait_for_user(condition: Callable[[], bool]) -> None:
    """Wait, on the server's loop, for what a user's thread does about a fault: it sets an Event, or clears the faults.

    This polls. A ``threading.Event`` has no callback, and a thread that waits for it could not be stopped. The wait
    has no bound of its own, for the user asked for the fault; the end of the connection or of the server cancels it.
    """
    while not condition():
        await asyncio.sleep(_CHECK_INTERVAL)  # see above
