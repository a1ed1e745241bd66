"""The thread that reads a session's wire: as a connection's, but all that comes is one session's."""

from __future__ import annotations

from typing import Optional

from ..errors import MalformedEventError, ProtocolError
from ..protocol.transcription import decode
from ..streaming.channel import Channel
from ..streaming.reader import Owner, Reader, Stats
from ..streaming.registry import Registry
from ..transport.websocket.wire import BinaryMessage, Wire
from .results import Results

_BINARY, _PROTOCOL = 1003, 1002  # close codes, RFC 6455, section 7.4.1


class SessionReader(Reader):
    """Reads one wire, and gives each event to the session's results at once.

    Args:
        wire: What to read.
        owner: Whom to report to; held by the thread alone.
        results: Where the events go.
        stats: Where to count.
        ping_interval: As for ``Reader``.
    """

    def __init__(
        self, wire: Wire, owner: Owner, results: Results, stats: Stats, *, ping_interval: Optional[float]
    ) -> None:
        super().__init__(wire, owner, Registry(), stats, ping_interval=ping_interval, max_queued_bytes=0)
        self._results = results

    # ---- reader thread only

    def _receive(self, wire: Wire, message: bytes) -> None:
        """Decode a message, and hand its event over.

        Raises:
            ProtocolError: It is no event: nobody can tell what was said, so that the session cannot be whole.
        """
        if isinstance(message, BinaryMessage):
            wire.send_close(_BINARY)
            raise ProtocolError(f"The service sent a binary message of {len(message)} bytes; events are texts.")
        try:
            event = decode(message, self._results.mode, self._stats.unreadable_fields)
        except MalformedEventError as error:
            wire.send_close(error.close_code or _PROTOCOL)
            raise
        self._results.take(event, message)

    def _add_up(self) -> list[Channel]:
        """Return the channels: a session has none."""
        return []
