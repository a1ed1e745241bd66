"""The user's handle to a connection, and what opens it."""

from __future__ import annotations

import contextlib
import queue
import uuid
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Literal, NamedTuple, Optional, Union

from msgspec import to_builtins

from ..closing import Closing
from ..errors import ConcurrencyError, GapTimeoutError, TruncatedError, WebSocketConnectionClosedError
from ..protocol import codec
from ..protocol.events import Chunk, Event
from ..protocol.formats import voice_on_the_wire
from ..protocol.lifecycle import ChannelMove
from ..protocol.metrics import SpokenContext
from ..protocol.requests import CancelRequest, GenerationRequest, Omit, SpeechOptions, omit
from ..protocol.timeouts import Timeout, checked_size
from ..transport.deadline import Deadline
from ..transport.locks import NotAcquiredError, TimedLock, raise_unless_not_acquired
from ..transport.websocket.wire import Wire
from .arrivals import ArrivalSelector
from .channel import MAX_QUEUED_BYTES, Channel, Message
from .context import Context
from .link import Link
from .mailbox import End
from .receiver import is_end
from .slots import Slots

if TYPE_CHECKING:
    from typing_extensions import Unpack


OnSpoken = Callable[[SpokenContext], object]
"""What ``Cartesia(on_spoken=)`` takes."""


class ConnectionStats(NamedTuple):
    """What a connection has counted.

    Attributes:
        late_events: How many events came for a context that had ended, as after ``cancel()``; they were dropped.
        stray_events: How many came for an id that was never opened here, or could not be read; they were dropped.
        unreadable_fields: How often which field of an event could not be read; the rest of the event was delivered.
    """

    late_events: int
    stray_events: int
    unreadable_fields: Mapping[str, int]


class Connection(Closing):
    """One WebSocket connection, shared by any number of threads; made by ``client.tts.websocket_connect()``.

    A reader thread of its own takes every event off the socket and puts it into the queue of the context that it
    belongs to, whether or not anybody is receiving. When the service has closed the connection, as it does after five
    idle minutes, the next push to a new context opens another one; contexts that were not whole by then raise.

    Threads: any, every method. From a signal's handler or a finalizer of yours, which may run in a thread that holds
    one of our locks: ``close`` and a context's ``cancel``; all else raises a ``ConcurrencyError`` then.
    """

    def __init__(self, link: Link, *, api_version: str, timeout: Timeout, on_spoken: Optional[OnSpoken] = None) -> None:
        self._link = link
        self._on_spoken = on_spoken
        self._api_version = api_version
        self._timeout = timeout
        self._receiving = TimedLock()  # held by the thread in recv(); guards the next two
        self._selector: Optional[ArrivalSelector] = None
        self._last_notice: Optional[Event] = None
        # The reader holds the link and not this handle: when nobody holds the handle any more, the reader ends.
        weakref.finalize(self, link.abandon).atexit = False

    def __repr__(self) -> str:
        return f"<Connection {'open' if self._link.is_open else 'not open'}>"

    def __reduce__(self) -> str:
        raise TypeError(
            "a Connection belongs to this process and cannot travel to another; "
            "send the client, which can, and make a connection there"
        )

    @property
    def link(self) -> Link:
        """The inside, which was never meant for users; it goes with version 0.3."""
        warnings.warn("Connection.link is private; counts are in Connection.stats", DeprecationWarning, stacklevel=2)
        return self._link

    @property
    def stats(self) -> ConnectionStats:
        """What was counted until now, on all wires of this connection. Threads: any. Does not wait."""
        link = self._link
        return ConnectionStats(
            late_events=link.registry.late_events,
            stray_events=link.stats.stray_events,
            unreadable_fields=dict(link.stats.unreadable_fields),
        )

    def context(
        self,
        context_id: Optional[str] = None,
        *,
        timeout: Union[float, Omit, None] = omit,
        first_event_timeout: Union[float, Omit, None] = omit,
        whole_timeout: Union[float, Omit, None] = omit,
        on_disconnect: Literal["raise", "replay"] = "raise",
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        **options: Unpack[SpeechOptions],
    ) -> Context:
        """Begin a context: one transcript, whose audio comes by itself. Nothing is sent before the first push.

        What is left out is not sent, and the service's default holds; for the model, the voice and the format see
        ``Context.send``.

        Args:
            context_id: Letters, digits, ``_`` and ``-``; an id that was never used on this connection. A UUID by
                default. Other characters are passed on, and the service may refuse them.
            timeout: Seconds between two events of this context; None is no limit. The connection's by default.
            first_event_timeout: Seconds from the first push to the first event; ``timeout`` if that alone is given.
            whole_timeout: Seconds from the first push to the end.
            on_disconnect: What becomes of the context when the connection is lost before its end: ``raise`` raises.
                ``replay`` sends it again once, under the same id, on a new connection that the receiving thread opens,
                if all its text had been sent and nothing of it was heard; else it raises too. The service may have
                spoken it already, and then bills it twice.
            max_queued_bytes: How much audio may wait to be received, 64 MiB by default: at 44.1 kHz and 32 bits more
                than six minutes. A context that has more ends, with a ``MailboxFullError`` after what had arrived, and
                is cancelled; the others are not hurt.
            **options: How all pushes are to be spoken: the fields of ``SpeechOptions``: ``model_id``, ``voice``,
                ``output_format``, ``language``, ``locale``, ``normalization``, ``add_timestamps``,
                ``add_phoneme_timestamps``, ``generation_config``, ``max_buffer_delay_ms``, ``pronunciation_dict_id``,
                ``use_normalized_timestamps``.

        Raises:
            TypeError: There is no such option.
            ContextStateError: The id is in use, or was used on this connection.
            ValueError: The id is empty or holds control characters, or a timeout or the limit is not one.
            WebSocketConnectionClosedError: After ``close``.

        Threads: any. Does not wait.
        """
        if context_id is None:
            context_id = str(uuid.uuid4())
        elif not (context_id and context_id.isprintable()):
            raise ValueError(f"a context id is a text of one or more printable characters; got {context_id!r}")
        if on_disconnect not in ("raise", "replay"):
            raise ValueError(f"on_disconnect is 'raise' or 'replay'; got {on_disconnect!r}")
        limit_bytes = checked_size("max_queued_bytes", max_queued_bytes)
        for name in options:
            if name not in SpeechOptions.__annotations__:
                raise TypeError(
                    f"context() takes no {name!r}; the options are {', '.join(SpeechOptions.__annotations__)}"
                )
        channel = Channel(context_id, replays=on_disconnect == "replay", limit_bytes=limit_bytes)
        self._have_told(channel)
        timeouts = self._timeout.of_context(
            timeout=timeout, first_event_timeout=first_event_timeout, whole_timeout=whole_timeout
        )
        context = Context(
            self._link, channel, api_version=self._api_version, timeout=timeouts, options=options, keeps_alive=self
        )
        self._link.open(channel)
        return context

    def _have_told(self, channel: Channel) -> None:
        if self._on_spoken is not None:
            channel.tellers = [self._on_spoken]

    # ---- all contexts at once

    def send(self, event: Union[Mapping[str, Any], GenerationRequest, CancelRequest]) -> None:
        """Send one message, for those who route by hand; its events are read by ``recv``.

        A generation request opens a context, or goes on with one of that id; with ``continue`` false or left out it is
        the context's last. ``{"context_id": ..., "cancel": True}`` cancels. Everything goes out as it is, but for the
        voice, which is put in the shape of the API version in use.

        Args:
            event: A generation request or a cancel, with the fields of the wire; it names its context by
                ``context_id``. A generation request without one gets a UUID, which its events bring back: the service
                refuses it otherwise.

        Raises:
            TypeError, ValueError: The message is no mapping, or names a context by no text, or cancels none.
            ContextStateError, TruncatedError, APIConnectionError: As ``Context.push``.

        Threads: as ``Context.push``.
        """
        fields = to_builtins(event) if isinstance(event, (GenerationRequest, CancelRequest)) else dict(event)
        if "transcript" in fields and fields.get("context_id") is None:
            fields["context_id"] = str(uuid.uuid4())
        context_id = fields.get("context_id")
        if not isinstance(context_id, str) or not context_id:
            raise ValueError(f"a message names its context by context_id, a text; got {context_id!r}")
        channel = self._link.registry.get(context_id)
        if fields.get("cancel"):
            if channel is not None:
                self._link.cancel(channel, discard=True)
            return
        if "voice" in fields:
            fields["voice"] = voice_on_the_wire(fields["voice"], self._api_version)
        message = codec.encode(fields)
        if channel is None:
            channel = Channel(context_id)
            self._have_told(channel)
            self._link.open(channel)
            self._link.registry.retain(channel)
        self._link.send(
            channel,
            Message(
                message,
                wire_id=context_id,
                transcript=fields.get("transcript") or "",
                move=ChannelMove.SEND if fields.get("continue") else ChannelMove.FINISH,
                flushes=bool(fields.get("flush")),
                output_format=fields.get("output_format"),
            ),
        )

    def recv(self, *, timeout: Optional[float] = None) -> Event:
        """Return the next event of any context, in the order of arrival.

        An event goes to one taker: to this, or to the ``receive`` of its context, whichever asks first. So route by
        hand or by context, and not the same context by both. A context that nobody holds is cancelled: keep what
        ``context()`` gives, or open contexts by ``send``. An error of the whole connection is given once.

        Args:
            timeout: Seconds to wait; None is no limit, and 0 does not wait.

        Raises:
            TruncatedError: The connection was lost, and a context with it; once for each.
            WebSocketConnectionClosedError: There is no connection, and nothing is left to read.
            GapTimeoutError: Nothing came in time.
            ConcurrencyError: Another thread is in here.

        Threads: one at a time. Waits for the service.
        """
        while True:
            channel, event = self._await_next(timeout)
            try:
                for _ in channel.mailbox.taking:  # the last act: no place for an interrupt until the return
                    return event
            except IndexError:
                pass  # a receive() was faster

    def _await_next(self, timeout: Optional[float]) -> tuple[Channel, Event]:
        """Wait for the next event of any context, and leave it where it is; raises as ``recv``."""
        self._link.check_process()
        ended: list[tuple[Channel, End]] = []
        try:
            with self._receiving.within(0.0) as is_ours:
                if not is_ours:
                    raise NotAcquiredError
                # To make one for each event costs more than the event; what an interrupt leaves behind is made anew.
                selector, self._selector = self._selector or ArrivalSelector(self._link), None
                found = self._first_of(selector, Deadline(timeout), ended)
                self._selector = selector
        except RuntimeError as error:
            raise_unless_not_acquired(error)
            message = "another thread is in this connection's recv(); use contexts for several threads"
            raise ConcurrencyError(message) from None
        for channel, end in ended:
            channel.tell_of_end(end)
        if isinstance(found, BaseException):
            raise found
        channel, event = found
        if channel.tellers and is_end(event):
            channel.tell_of_end(event)
        return found

    def _first_of(
        self, selector: ArrivalSelector, deadline: Deadline, ended: list[tuple[Channel, End]]
    ) -> Union[tuple[Channel, Event], BaseException]:
        while True:
            try:
                channel = selector.await_first(lambda: self._link.is_spent, deadline)
            except queue.Empty:
                message = f"No event of any context came within {deadline.seconds} s."
                return GapTimeoutError(message, timeout=deadline.seconds)
            if channel is None:
                return self._link.lost()
            found = channel.mailbox.peek()
            if found is None:
                continue  # somebody else was faster
            if isinstance(found, End):
                self._link.registry.release(channel)
                channel.mailbox.is_used_up = True
                ended.append((channel, found))
                if found.make_error is not None:
                    return found.make_error()
                continue
            event = found[1]
            if event.context_id is None:
                if event is self._last_notice:
                    with contextlib.suppress(IndexError):
                        next(channel.mailbox.taking)
                    continue  # each context has a copy
                self._last_notice = event
            channel.prepare(event)
            if isinstance(event, Chunk):
                channel.has_given_audio = True
            return channel, event

    def __iter__(self) -> Iterator[Event]:
        """Iterate the events of all contexts, in the order of arrival, until the connection is closed.

        A connection that is lost while a context is unfinished raises; see ``recv`` for this and all else.
        """
        return _Events(self)

    def receive_any(self, *contexts: Context, raise_on_error: bool = False) -> Iterator[tuple[Context, Event]]:
        """Iterate the events of several contexts in the order of arrival, until all have ended; for one thread.

        Args:
            contexts: Of this connection; each event comes with the one that it belongs to.
            raise_on_error: Whether an error event raises in place of being given.

        Raises:
            ValueError: One is another connection's.

        And what ``Context.receive`` raises for the context that it happens to, by that context's timeouts; call
        again with the others to go on with them.

        Threads: as ``Context.receive``, which must not be used for the same contexts meanwhile.
        """
        link = self._link  # asked for once: a process's connection may be another one the next time
        for context in contexts:
            if context._link is not link:
                raise ValueError(
                    f"receive_any takes contexts of its own connection; {context.context_id!r} is another one's"
                )
        return _receive_any(link, contexts, raise_on_error=raise_on_error)

    @staticmethod
    def parse_event(data: Union[str, bytes]) -> Event:
        """Read one message of the service that came another way.

        Raises:
            ProtocolError: It is no event.
        """
        return codec.decode(data.encode() if isinstance(data, str) else data)

    # ---- the end

    def close(self, *, code: int = 1000, reason: str = "") -> None:
        """Close the connection and end its reader thread. A second call does nothing.

        Contexts that have ended stay readable; the receivers of all others get a ``TruncatedError``.

        Args:
            code: The close code, 1000 or 3000 to 4999.
            reason: At most 123 bytes of UTF-8.

        Threads: any, at any time: a signal's handler and a finalizer may call it, since it takes no lock. Waits for the
            service's goodbye, at most twice the close timeout.
        """
        if code != 1000 and not 3000 <= code <= 4999:
            raise ValueError(f"a client closes with code 1000 or 3000 to 4999 (RFC 6455, 7.4); got {code}")
        if len(reason.encode()) > 123:
            raise ValueError(f"a close reason has at most 123 bytes; got {len(reason.encode())}")
        self._link.close(code, reason)


def _receive_any(link: Link, contexts: Sequence[Context], *, raise_on_error: bool) -> Iterator[tuple[Context, Event]]:
    """Iterate several contexts; see ``Connection.receive_any``."""
    for context in contexts:
        context._channel.mailbox.restore()
    left = {context._channel: context for context in contexts if not context._channel.mailbox.is_used_up}
    receivers = {channel: context.receive(raise_on_error=raise_on_error) for channel, context in left.items()}
    selector = ArrivalSelector(link, list(left))
    try:
        while True:
            if not left:
                break
            first = selector.first()
            if first is None:
                times = [channel.time_left(context._timeout) for channel, context in left.items()]
                deadline = Deadline(min((time for time in times if time is not None), default=None))
                with contextlib.suppress(queue.Empty):
                    first = selector.await_first(lambda: False, deadline)
            # Where nothing has come a timeout has passed: asking that context raises what is to be raised.
            ready = (
                [first] if first is not None else [each for each in left if each.time_left(left[each]._timeout) == 0]
            )
            for channel in ready:
                event = receivers[channel].peek()
                if isinstance(event, End):
                    del left[channel]
                    continue
                pair, has_given_audio = (left[channel], event), channel.has_given_audio or isinstance(event, Chunk)
                with contextlib.suppress(IndexError):  # connection.recv() was faster
                    for _ in channel.mailbox.taking:  # no place for an interrupt from here on
                        channel.has_given_audio = has_given_audio
                        yield pair
                        break
    finally:
        selector.close()


class _Events:
    """What iterating a connection gives."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __iter__(self) -> _Events:
        return self

    def __next__(self) -> Event:
        while True:
            try:
                channel, event = self._connection._await_next(None)
            except TruncatedError:
                raise
            except WebSocketConnectionClosedError:
                raise StopIteration from None
            try:
                for _ in channel.mailbox.taking:  # as in recv
                    return event
            except IndexError:
                pass


class ConnectionManager:
    """Opens a connection when it is entered, and closes it when it is left.

    Without ``with``, call ``enter()``, and ``close()`` on what it gives.
    """

    def __init__(
        self,
        dial: Callable[[Deadline], Wire],
        *,
        api_version: str,
        timeout: Timeout,
        ping_interval: Optional[float],
        reconnect: bool,
        max_retries: int,
        max_queued_bytes: int,
        on_spoken: Optional[OnSpoken] = None,
        slots: Optional[Slots] = None,
    ) -> None:
        self._dial = dial
        self._api_version = api_version
        self._timeout = timeout
        self._ping_interval = ping_interval
        self._reconnect = reconnect
        self._max_retries = max_retries
        self._max_queued_bytes = max_queued_bytes
        self._on_spoken = on_spoken
        self._slots = slots
        self._connection: Optional[Connection] = None

    def __reduce__(self) -> str:
        raise TypeError(
            "what opens a connection belongs to this process and cannot travel to another; "
            "send the client, which can, and make a connection there"
        )

    def enter(self) -> Connection:
        """Open a connection.

        A handshake refused with 408, 409, 429 or 5xx, and a service that cannot be reached, are tried again within
        the connect timeout, at most ``max_retries`` times.

        Raises:
            AuthenticationError, RateLimitError and other APIStatusErrors: The service refused the handshake.
            ConnectTimeoutError: Not open within the connect timeout.
            APIConnectionError: The service cannot be reached.

        Threads: any. Waits at most for the connect timeout.
        """
        connection = self._unopened()
        connection._link.connect()
        return connection

    def _unopened(self) -> Connection:
        """Return a connection that the first push opens, if it may be reopened. Threads: any. Does not wait."""
        link = Link(
            self._dial,
            timeout=self._timeout,
            ping_interval=self._ping_interval,
            reconnect=self._reconnect,
            max_retries=self._max_retries,
            max_queued_bytes=self._max_queued_bytes,
            slots=self._slots,
        )
        return Connection(link, api_version=self._api_version, timeout=self._timeout, on_spoken=self._on_spoken)

    def __enter__(self) -> Connection:
        self._connection = self.enter()
        return self._connection

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
