"""What stands between a socket and aiohttp: a clock for the first head, and the rule that clients mask their frames."""

from __future__ import annotations

import asyncio
from typing import Callable, Optional

__all__ = ["MaskCheck", "PeerProtocol"]

_LENGTH_BYTES = {126: 2, 127: 8}
_MASK_BYTES = 4


class PeerProtocol(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol, which does neither.

    Attributes:
        on_unmasked: What is done about a frame that is not masked; at first the connection is aborted.

    Args:
        inner: aiohttp's protocol.
        timeout: Seconds within which the first request's head has to come; ``None`` for ever. Later ones are bounded by
            aiohttp's clock for idle connections.

    Threads: the server's loop only.
    """

    def __init__(self, inner: asyncio.Protocol, timeout: Optional[float]) -> None:
        self.on_unmasked: Callable[[], None] = self._abort
        self._inner = inner
        self._timeout = timeout
        self._transport: Optional[asyncio.BaseTransport] = None
        self._clock: Optional[asyncio.TimerHandle] = None
        self._mask_check: Optional[MaskCheck] = None
        self._is_deaf = False

    def head_has_come(self) -> None:
        """Stop the clock. Idempotent."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def expect_frames(self) -> None:
        """Look at the masks of what comes from now on. To be called before the handshake is answered."""
        self._mask_check = MaskCheck()

    def _abort(self) -> None:
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    # ---- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        self._transport = transport
        if self._timeout is not None:
            self._clock = asyncio.get_running_loop().call_later(self._timeout, self._abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what may be passed on."""
        if self._is_deaf:
            return
        if self._mask_check is not None and not self._mask_check.add(data):
            self._is_deaf = True
            self.on_unmasked()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> Optional[bool]:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Stop the clock, and pass it on."""
        self.head_has_come()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()


class MaskCheck:
    """Walks through the frames of a WebSocket, whatever pieces they come in (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._rest = 0  # of the mask and the payload

    def add(self, data: bytes) -> bool:
        """Take the next bytes; return False if a frame in them is not masked."""
        position = 0
        while position < len(data):
            if self._rest:
                step = min(self._rest, len(data) - position)
                self._rest -= step
                position += step
                continue
            self._head.append(data[position])
            position += 1
            if len(self._head) < 2:
                continue
            if not self._head[1] & 0x80:
                return False
            length = self._head[1] & 0x7F
            extra = _LENGTH_BYTES.get(length, 0)
            if len(self._head) == 2 + extra:
                self._rest = _MASK_BYTES + (int.from_bytes(self._head[2:], "big") if extra else length)
                self._head.clear()
        return True
