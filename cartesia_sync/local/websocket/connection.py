"""One WebSocket connection: reads requests, runs contexts side by side, sends their events in turn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Callable, NoReturn, Optional, Union

from aiohttp import WSMsgType, web

from .. import events
from ..events import ContextStoppedError
from ..fault_plan import FaultPlan
from ..faults import Fault, Moment, Place
from ..generation import Backlog, ConcurrencyLimit
from ..recorder import Recorder
from ..requests import (
    ApiError,
    CancelRequest,
    GenerationRequest,
    RequestRules,
    check_first,
    invalid_request,
    parse_json,
    parse_message,
)
from ..settings import ServerOptions
from ..voice import sound
from ..voice.pronunciation import Pronunciation
from ..voice.speech import Speaker
from .context import Context, TextLimit

__all__ = ["Connection"]

_CLOSE_TIMEOUT = 2.0  # for the peer's answer to a close frame
# How many answers may wait to be sent before reading stops. A peer that asks and never reads cannot fill the memory.
_MOST_UNSENT = 64
_MOST_ENDED_IDS = 10_000
_MOST_CONTEXTS = 1000
_NORMAL_CLOSURE = 1000
_LARGE_BYTES = 32 * 1024  # what takes longer to parse than the loop has time for: half a millisecond


class Connection:
    """What happens on one socket after the handshake.

    Events leave one at a time under ``_turn``. asyncio's lock is fair, and a context asks for it again only when its
    last event has left: so contexts take turns, and none of them gets ahead of a slow socket.

    Args:
        number: Its number in the recorder.
        request_id: The id that its errors carry.
        version: The API version in use.
        rules: How its messages are read.
        socket: The WebSocket, ready; it answers neither pings nor close frames by itself.
        transport: What is below it.
        options: The server's.
        recorder: Where to record what is received.
        fault_plan: What is to go wrong.
        speaker: The server's voice.
        concurrency: The server's limit of generations.
        find_pronunciation: Returns the dictionary of an id, or ``None`` for ``None``; also takes the API version.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        *,
        number: int,
        request_id: str,
        version: str,
        rules: RequestRules,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        options: ServerOptions,
        recorder: Recorder,
        fault_plan: FaultPlan,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        find_pronunciation: Callable[[Optional[str], str], Optional[Pronunciation]],
    ) -> None:
        self._number = number
        self._request_id = request_id
        self._version = version
        self._rules = rules
        self._socket = socket
        self._transport = transport
        self._options = options
        self._recorder = recorder
        self._fault_plan = fault_plan
        self._speaker = speaker
        self._concurrency = concurrency
        self._find_pronunciation = find_pronunciation
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._sent = 0
        self._received = 0
        self._last_traffic = self._loop.time()
        self._backlog = Backlog(concurrency, is_paced=options.pace is not None)
        self._text_limit = TextLimit()
        self._contexts: dict[str, Context] = {}
        self._ended_ids: dict[str, None] = {}  # in the order of their ends
        self._tasks: set[asyncio.Task[None]] = set()
        self._context_tasks: dict[Context, asyncio.Task[None]] = {}
        self._unsent: set[asyncio.Task[None]] = set()
        self._is_closing = False  # our last frame has been sent
        self._is_silent = False
        self._has_stopped_reading = False

    async def serve(self) -> None:
        """Read until either side ends the connection. Leaves no task behind."""
        self._spawn(self._watch_idle())
        try:
            await self._read()
            self._is_closing = True
            # What has been written is still flushed; aiohttp cancels this task as soon as the socket is gone.
            self._transport.close()
            await asyncio.sleep(_CLOSE_TIMEOUT)  # a bound, cut short by the cancel
        finally:
            self._is_closing = True
            self._transport.abort()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ---- ways to end it

    def close(self, code: int = _NORMAL_CLOSURE, reason: str = "") -> None:
        """Send a close frame, then read on until the peer answers, or for two seconds. Idempotent."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._recorder.observer is not None:
            self._recorder.observer.closing(self._number, code, reason)
        self._transport.write(_close_frame(code, reason))
        self._loop.call_later(_CLOSE_TIMEOUT, self._transport.abort)

    def send_eof(self) -> None:
        """End the stream without a close frame or TLS's close_notify, then read on until the peer closes."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS cannot end in one direction only, but the socket below it can
            with contextlib.suppress(OSError):  # the peer may have closed it already
                self._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection by a TCP reset."""
        self._is_closing = True
        raw = self._transport.get_extra_info("socket")
        # Lingering for no time at all makes the close a reset.
        with contextlib.suppress(OSError):  # the peer may have closed it already
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def abort(self) -> None:
        """Free the socket at once."""
        self._is_closing = True
        self._transport.abort()

    @property
    def is_closing(self) -> bool:
        """Whether nothing more is sent: the peer sees the end, and may open another at once."""
        return self._is_closing

    @property
    def can_close(self) -> bool:
        """Whether a close frame would be sent and its answer read."""
        return not (self._is_silent or self._has_stopped_reading)

    # ---- reading

    async def _read(self) -> None:
        reading = _ReadingPeer(self, None)
        while True:
            await self._fault_plan.apply(Moment.READ, reading)
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                self._received += 1
                self._last_traffic = self._loop.time()
                await self._handle_message(message.data)
                while len(self._unsent) > _MOST_UNSENT:
                    await asyncio.wait(self._unsent, return_when=asyncio.FIRST_COMPLETED)
            elif message.type is WSMsgType.PING:
                if self._options.pings_keep_open:
                    self._last_traffic = self._loop.time()
                if not (self._is_silent or self._is_closing):
                    with contextlib.suppress(ConnectionError):
                        await self._socket.pong(message.data)
            elif message.type is WSMsgType.CLOSE:
                if self._is_silent:
                    await _wait_for_cancel()  # the peer gives up waiting: then this task is cancelled
                if not self._is_closing:
                    self._transport.write(_close_frame(message.data or None))
                return
            elif message.type is not WSMsgType.PONG:
                return  # the peer is gone, or broke the framing; aiohttp has answered

    async def _handle_message(self, data: Union[str, bytes]) -> None:
        """Act on a client message. Waits for no peer: a task sends what there is to answer."""
        message: Any = None
        error: Optional[ApiError] = None
        if isinstance(data, bytes):
            error = invalid_request("Requests are text frames, not binary ones.")
        else:
            try:
                if len(data) < _LARGE_BYTES:
                    message = parse_json(data)
                else:  # not here: everybody else would wait
                    message = await self._loop.run_in_executor(None, parse_json, data)
            except (ValueError, RecursionError):
                error = invalid_request("The message is not JSON.")
        self._recorder.add_message(self._number, message if isinstance(message, dict) else data)
        if self._recorder.observer is not None:
            self._recorder.observer.said(self._number, data)
        if self._is_closing:
            return
        try:
            if error is not None:
                raise error
            request = parse_message(message, self._version, self._rules)
            if isinstance(request, CancelRequest):
                self._cancel(request.context_id)
            else:
                await self._generate(request)
        except ApiError as exc:
            self._send_error(exc)

    async def _generate(self, request: GenerationRequest) -> None:
        context = self._contexts.get(request.context_id)
        if context is not None and not context.is_over:
            await context.add(request)
            return
        if request.context_id in self._ended_ids and not self._options.reuse_ended_ids:
            raise ApiError(
                400, "Context has closed", "A context's id cannot be used again.", context_id=request.context_id
            )
        try:
            if len(self._contexts) >= _MOST_CONTEXTS:
                raise ApiError(
                    429,
                    "Too many contexts",
                    f"No more than {_MOST_CONTEXTS} contexts may be open on one connection.",
                    error_code="concurrency_limited",
                )
            check_first(request, self._rules)
            pronunciation = self._find_pronunciation(request.pronunciation_dict_id, self._version)
        except ApiError as exc:
            exc.context_id = request.context_id
            raise
        context = Context(
            request,
            options=self._options,
            speaker=self._speaker,
            concurrency=self._concurrency,
            backlog=self._backlog,
            text_limit=self._text_limit,
            send=self._send,
            pronunciation=pronunciation,
        )
        try:
            await context.add(request)
        except ApiError:
            context.stop()
            raise
        self._contexts[context.id] = context
        self._context_tasks[context] = self._spawn(self._run(context))

    def _cancel(self, context_id: str) -> None:
        context = self._contexts.get(context_id)
        if context is None or context.is_over:
            return
        if self._options.cancel_stops:
            self._stop(context)
            self._send_soon(self._fault_plan.apply(Moment.CANCEL, _Peer(self, context)))
            if self._options.done_after_cancel:
                self._send_soon(self._send(events.done_event(context_id)))
        else:
            context.drop_rest(with_done=self._options.done_after_cancel)

    def _error_event(self, error: ApiError, *, done: bool = True) -> str:
        return events.error_event(error, self._version, self._request_id, done=done)

    def _send_error(self, error: ApiError) -> None:
        """Send an error event soon. An error ends the context that it names."""
        if error.context_id is not None:
            context = self._contexts.get(error.context_id)
            if context is not None:
                self._stop(context)
            self._remember_ended(error.context_id)
        self._send_soon(self._send(self._error_event(error)))

    # ---- contexts

    async def _run(self, context: Context) -> None:
        try:
            await context.run()
        except ContextStoppedError:
            pass
        except ApiError as exc:
            self._discard(context)
            self._send_error(exc)
        except Exception as exc:  # a bug of ours: the loop's handler prints it, and the client is not left waiting
            self._discard(context)
            self._send_error(ApiError(500, "Internal server error", repr(exc), context_id=context.id))
            raise
        finally:
            self._discard(context)

    def _stop(self, context: Context) -> None:
        context.stop()
        self._context_tasks[context].cancel()
        self._discard(context)

    def _discard(self, context: Context) -> None:
        if self._contexts.get(context.id) is context:
            del self._contexts[context.id]
            self._remember_ended(context.id)
        self._context_tasks.pop(context, None)

    def _remember_ended(self, context_id: str) -> None:
        self._ended_ids[context_id] = None
        while len(self._ended_ids) > _MOST_ENDED_IDS:
            del self._ended_ids[next(iter(self._ended_ids))]

    # ---- sending

    async def _send(self, event: str, context: Optional[Context] = None) -> None:
        """Send one event when its turn comes, and apply the faults that are due before and after it.

        Raises:
            ContextStoppedError: Nothing more is to be sent for the context, or the peer cannot receive it.
        """
        peer = _Peer(self, context, event)
        await self._fault_plan.apply(Moment.READY, peer)
        async with self._turn:
            await self._fault_plan.apply(Moment.TURN, peer)
            await self._fault_plan.apply(Moment.EVENT, peer)
            await self._fault_plan.apply(Moment.SEND, peer)
            await self._put(peer.event)
            self._sent += 1
            if context is not None:
                context.sent += 1
            await self._fault_plan.apply(Moment.EVENT, peer)

    async def _put(self, event: str) -> None:
        """Write one text frame to the socket; waits while the socket is full."""
        if self._is_closing:
            raise ContextStoppedError
        if self._is_silent:
            return
        if self._recorder.observer is not None:
            self._recorder.observer.heard(self._number, event)
        self._last_traffic = self._loop.time()
        self._backlog.is_stuck = True
        try:
            await self._socket.send_str(event)
        except ConnectionError as exc:
            raise ContextStoppedError from exc
        finally:
            self._backlog.is_stuck = False
            self._backlog.wake()

    @property
    def _idle_timeout(self) -> Optional[float]:
        return self._options.idle_timeout

    async def _watch_idle(self) -> None:
        if self._idle_timeout is None:
            return
        while not self._is_closing:
            left = self._last_traffic + self._idle_timeout - self._loop.time()
            if left > 0:
                await asyncio.sleep(left)  # this is the idle timer
            elif self._is_silent:
                return
            else:
                self.close(_NORMAL_CLOSURE, "connection idle timeout")

    # ---- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _send_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a task send, so that the reader can go on reading."""
        task = self._spawn(_ignore_stop(work))
        self._unsent.add(task)
        task.add_done_callback(self._unsent.discard)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler(
                {"message": "a task of the local server failed", "exception": task.exception(), "task": task}
            )


class _Peer:
    """The connection as a fault sees it, while it sends an event of a context; see ``SocketPeer``."""

    # A part of Connection: it may use what is private there.

    def __init__(self, connection: Connection, context: Optional[Context], event: str = "") -> None:
        self._connection = connection
        self._context = context
        self.event = event
        self.close = connection.close
        self.reset = connection.reset
        self.send_eof = connection.send_eof
        self.put = connection._put

    @property
    def context_id(self) -> Optional[str]:
        return None if self._context is None else self._context.id

    @property
    def place(self) -> Place:
        connection, context = self._connection, self._context
        if context is None:
            return Place(connection._number, sent=connection._sent)
        return Place(connection._number, context.id, connection._sent, context.sent)

    @property
    def has_ended(self) -> bool:
        return self._connection._is_closing or self._connection._is_silent

    def is_armed(self, fault: Fault) -> bool:
        return self._connection._fault_plan.is_armed(fault)

    def fall_silent(self) -> None:
        self._connection._is_silent = True

    async def stop_reading(self) -> None:
        self._connection._has_stopped_reading = True
        self._connection._transport.pause_reading()
        await _wait_for_cancel()

    def write_raw(self, data: bytes) -> None:
        self._connection._transport.write(data)

    async def put_bytes(self, data: bytes) -> None:
        await self._connection._socket.send_bytes(data)

    async def put_error(self, error: ApiError, *, done: bool) -> None:
        await self.put(self._connection._error_event(error, done=done))

    async def send_silence(self) -> None:
        assert self._context is not None
        audio_format = self._context.audio_format
        count = self._connection._options.chunk_bytes // audio_format.sample_bytes
        silence = sound.encode(sound.silence(count / sound.RATE_HZ), audio_format.encoding)
        await self._connection._send(events.chunk_event(self._context.id, silence, None, 0.0))

    async def send_done(self) -> None:
        assert self._context is not None
        await self._connection._send(events.done_event(self._context.id))


class _ReadingPeer(_Peer):
    """The same while it reads; faults count the client's messages here."""

    has_ended = False  # its sending direction may have ended; the other one has not

    @property
    def place(self) -> Place:
        connection = self._connection
        return Place(connection._number, sent=connection._received)


async def _ignore_stop(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(ContextStoppedError):
        await work


async def _wait_for_cancel() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("that future has no result")


def _close_frame(code: Optional[int], reason: str = "") -> bytes:
    # A control frame holds 125 bytes; a longer reason is cut after the last whole character that fits.
    cut = reason.encode()[:123].decode("utf-8", "ignore").encode()
    payload = b"" if code is None else struct.pack(">H", code) + cut
    return bytes((0x88, len(payload))) + payload
