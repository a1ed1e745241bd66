"""Text to speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..protocol.clocks import Timeout

if TYPE_CHECKING:
    from ..client import Cartesia
    from ..streaming.connection import ConnectionManager
    from ..streaming.v2 import TtsWebsocket

DEFAULT_PING_INTERVAL = 20.0
"""Seconds of silence after which the service is asked for a sign of life."""


class TTSResource:
    """Text to speech; reached as ``client.tts``."""

    def __init__(self, client: Cartesia) -> None:
        self._client = client

    def websocket_connect(
        self,
        *,
        extra_query: Optional[Mapping[str, str]] = None,
        extra_headers: Optional[Mapping[str, str]] = None,
        websocket_connection_options: Optional[Mapping[str, Any]] = None,
        timeout: Union[float, Timeout, None] = None,
        ping_interval: Optional[float] = DEFAULT_PING_INTERVAL,
        reconnect: bool = True,
        max_message_bytes: Optional[int] = None,
        max_queued_bytes: Optional[int] = None,
    ) -> ConnectionManager:
        """Prepare a WebSocket connection; ``with`` or ``.enter()`` opens it.

        Args:
            extra_query: Added to the URL.
            extra_headers: Sent with the handshake, in place of the client's of the same name.
            websocket_connection_options: ``max_size`` means ``max_message_bytes``. The other options of the official
                client are those of its transport library; they are accepted, and mean nothing here.
            timeout: The clocks, in place of the client's.
            ping_interval: Seconds of silence before a ping, and again before the connection counts as lost. None
                sends no pings.
            reconnect: Whether a push to a new context opens a new connection when the last one is lost.
            max_message_bytes: The largest message that is accepted, 16 MiB by default; a larger one ends the
                connection before it is read.
            max_queued_bytes: How much may wait to be received in all contexts together, 256 MiB by default; where it
                is more, the context in which most waits ends. For the limit of one context see
                ``Connection.context``.

        Threads: any. Does not wait.
        """
        from ..streaming.connection import ConnectionManager
        from ..streaming.link import MAX_CONNECTION_QUEUED_BYTES

        if max_message_bytes is None:
            max_message_bytes = dict(websocket_connection_options or {}).get("max_size")
        return ConnectionManager(
            self._client.dialler(
                "/tts/websocket",
                extra_query or {},
                extra_headers or {},
                max_message_bytes=max_message_bytes,
            ),
            api_version=self._client.cartesia_version,
            timeout=self._client.timeout if timeout is None else Timeout.of(timeout),
            ping_interval=ping_interval,
            reconnect=reconnect,
            max_retries=self._client.max_retries,
            max_queued_bytes=MAX_CONNECTION_QUEUED_BYTES if max_queued_bytes is None else max_queued_bytes,
        )

    def websocket(self, **options: Any) -> TtsWebsocket:
        """Prepare a WebSocket connection in the form of the official client's version 2, for code that was written so.

        Args:
            **options: As for ``websocket_connect``.

        Threads: any. Does not wait: the first use opens the connection.
        """
        from ..streaming.v2 import TtsWebsocket

        return TtsWebsocket(self.websocket_connect(**options))
