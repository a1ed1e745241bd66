"""What stands between a socket and aiohttp: a clock for the first head, and the rule that clients mask their frames.

And what aiohttp refuses by itself, because it is no HTTP: in the shape of all other errors.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from typing import Callable, Optional

from aiohttp import web
from aiohttp.http import HttpProcessingError

from .events import error_body
from .requests import NEWEST_VERSION, ApiError

__all__ = ["MaskCheck", "PeerProtocol", "RequestHandler", "WebSocket"]

_LENGTH_BYTES = {126: 2, 127: 8}
_MASK_BYTES = 4
_HEAD_ENDS = (b"\n\r\n", b"\n\n")


class RequestHandler(web.RequestHandler):
    """aiohttp's protocol, whose refusals have the shape of the service's errors, and are no lines in the log."""

    __slots__ = ()  # so that one that aiohttp has made can become one of these

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: Optional[BaseException] = None,
        message: Optional[str] = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that cannot be read; the connection ends with it."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        what = " ".join(exc.message.split())
        error = ApiError(exc.code, "Bad request", f"This is no HTTP that can be read: {what}")
        request_id = str(uuid.uuid4())
        text, content_type = error_body(error, NEWEST_VERSION, request_id)
        response = web.Response(status=exc.code, text=text, content_type=content_type)
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response


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
        self._last_bytes = b""
        self._drained: Optional[asyncio.Future[None]] = None  # while the socket is full

    def head_has_come(self) -> None:
        """Stop the clock. Idempotent."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def expect_frames(self) -> bool:
        """Look at the masks of what comes from now on. To be called before the handshake is answered.

        Returns:
            Whether the handshake is the last that has come. A client waits for the answer (RFC 6455, 4.1); of what it
            sends before it would not be known where a frame begins.
        """
        self._mask_check = MaskCheck()
        return self._last_bytes.endswith(_HEAD_ENDS)

    async def drain(self) -> None:
        """Wait while the socket is full.

        Raises:
            ConnectionResetError: The connection is lost.
        """
        if self._drained is not None:
            await asyncio.shield(self._drained)

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
        if self._mask_check is None:
            self._last_bytes = (self._last_bytes + data[-3:])[-3:]
        elif not self._mask_check.add(data):
            self._is_deaf = True
            self.on_unmasked()
            return
        self._inner.data_received(data)

    def eof_received(self) -> Optional[bool]:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Stop the clock, and pass it on."""
        self.head_has_come()
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(ConnectionResetError("the connection is lost"))
            self._drained.exception()  # nobody may be waiting
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Note it, and pass it on."""
        self._drained = asyncio.get_running_loop().create_future()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Note it, and pass it on."""
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None
        self._inner.resume_writing()


class WebSocket(web.WebSocketResponse):
    """aiohttp's WebSocket, which sends a large text at once; aiohttp's own sends its head by a call of its own."""

    peer: PeerProtocol
    transport: asyncio.Transport

    async def send_str(self, data: str, compress: Optional[int] = None) -> None:
        """Send a text; waits while the socket is full.

        Raises:
            ConnectionResetError: The connection is lost.
        """
        if self.transport.is_closing():
            raise ConnectionResetError("the connection is lost")
        payload = data.encode()
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x81, length)
        elif length < 65_536:
            head = struct.pack(">BBH", 0x81, 126, length)
        else:
            head = struct.pack(">BBQ", 0x81, 127, length)
        self.transport.write(head + payload)
        await self.peer.drain()


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
