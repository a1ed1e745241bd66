"""The user's handle to a connection, and what opens it."""

from __future__ import annotations

import logging
import uuid
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Callable, Optional, Union

from ..protocol.clocks import Timeout
from ..protocol.messages import Omit, omit
from ..transport.deadline import Deadline
from ..transport.wire import Wire
from .context import Context
from .line import Line
from .link import Link

log = logging.getLogger("cartesia_sync")


class Connection:
    """One WebSocket connection, shared by any number of threads; made by ``client.tts.websocket_connect()``.

    A reader thread of its own takes every event off the socket and puts it into the queue of the context that it
    belongs to, whether or not anybody is receiving. When the service has closed the connection, as it does after five
    idle minutes, the next push to a new context opens another one; contexts that were not whole by then raise.

    Threads: any, every method.
    """

    def __init__(self, link: Link, *, api_version: str, timeout: Timeout) -> None:
        self._link = link
        self._api_version = api_version
        self._timeout = timeout
        # The reader holds the link and not this handle: when nobody holds the handle any more, the reader ends.
        weakref.finalize(self, link.abandon).atexit = False

    def __repr__(self) -> str:
        return f"<Connection {'open' if self._link.is_open else 'not open'}>"

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    @property
    def link(self) -> Link:
        """The inside, for those who count events or wonder about threads; its methods are not for users."""
        return self._link

    def context(
        self,
        context_id: Optional[str] = None,
        *,
        timeout: Union[float, Omit, None] = omit,
        first_event_timeout: Union[float, Omit, None] = omit,
        whole_timeout: Union[float, Omit, None] = omit,
        model_id: Optional[str] = None,
        voice: Union[str, Mapping[str, Any], None] = None,
        output_format: Optional[Mapping[str, Any]] = None,
        language: Optional[str] = None,
        add_timestamps: Optional[bool] = None,
        add_phoneme_timestamps: Optional[bool] = None,
        generation_config: Optional[Mapping[str, Any]] = None,
        max_buffer_delay_ms: Optional[int] = None,
        pronunciation_dict_id: Optional[str] = None,
        use_normalized_timestamps: Optional[bool] = None,
    ) -> Context:
        """Begin a context: one transcript, whose audio comes by itself. Nothing is sent before the first push.

        What is left out is not sent, and the service's default holds; for the model, the voice and the format see
        ``Context.send``.

        Args:
            context_id: Letters, digits, ``_`` and ``-``; an id that was never used on this connection. A UUID by
                default. Other characters are passed on, and the service may refuse them.
            timeout: Seconds between two events of this context; None is no limit. The connection's by default.
            first_event_timeout: Seconds from the first push to the first event.
            whole_timeout: Seconds from the first push to the end.
            model_id: For all pushes.
            voice: For all pushes.
            output_format: For all pushes.
            language: For all pushes.
            add_timestamps: Whether to send ``timestamps`` events.
            add_phoneme_timestamps: Whether to send ``phoneme_timestamps`` events.
            generation_config: ``speed``, ``volume``, ``emotion``.
            max_buffer_delay_ms: How long the service may hold text back, in ms, 0 to 5000.
            pronunciation_dict_id: A pronunciation dictionary.
            use_normalized_timestamps: Whether timestamps name words as spoken, rather than as written.

        Raises:
            ContextStateError: The id is in use, or was used on this connection.
            ValueError: The id is empty or holds control characters.
            WebSocketConnectionClosedError: After ``close``.

        Threads: any. Does not wait.
        """
        if context_id is None:
            context_id = str(uuid.uuid4())
        elif not (context_id and context_id.isprintable()):
            raise ValueError(f"a context id is a text of one or more printable characters; got {context_id!r}")
        line = Line(context_id)
        context = Context(
            self,
            line,
            api_version=self._api_version,
            timeout=self._timeout.replace(gap=timeout, first_event=first_event_timeout, whole=whole_timeout),
            model_id=model_id,
            voice=voice,
            output_format=output_format,
            language=language,
            add_timestamps=add_timestamps,
            add_phoneme_timestamps=add_phoneme_timestamps,
            generation_config=generation_config,
            max_buffer_delay_ms=max_buffer_delay_ms,
            pronunciation_dict_id=pronunciation_dict_id,
            use_normalized_timestamps=use_normalized_timestamps,
        )
        self._link.open(line)
        return context

    def close(self, *, code: int = 1000, reason: str = "") -> None:
        """Close the connection and end its reader thread. A second call does nothing.

        Contexts that have ended stay readable; the receivers of all others get a ``TruncatedError``.

        Args:
            code: The close code, 1000 or 3000 to 4999.
            reason: At most 123 bytes of UTF-8.

        Threads: any. Waits for the service's goodbye, at most twice the close clock.
        """
        if code != 1000 and not 3000 <= code <= 4999:
            raise ValueError(f"a client closes with code 1000 or 3000 to 4999 (RFC 6455, 7.4); got {code}")
        if len(reason.encode()) > 123:
            raise ValueError(f"a close reason has at most 123 bytes; got {len(reason.encode())}")
        self._link.close(code, reason)


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
    ) -> None:
        self._dial = dial
        self._api_version = api_version
        self._timeout = timeout
        self._ping_interval = ping_interval
        self._reconnect = reconnect
        self._connection: Optional[Connection] = None

    def enter(self) -> Connection:
        """Open a connection.

        Raises:
            AuthenticationError, RateLimitError and other APIStatusErrors: The service refused the handshake.
            ConnectTimeoutError: Not open within the connect clock.
            APIConnectionError: The service cannot be reached.

        Threads: any. Waits at most for the connect clock.
        """
        link = Link(
            self._dial,
            timeout=self._timeout,
            ping_interval=self._ping_interval,
            reconnect=self._reconnect,
        )
        link.connect()
        return Connection(link, api_version=self._api_version, timeout=self._timeout)

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
