"""One WebSocket connection: reads requests, runs contexts side by side, sends events in turn, strikes faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Optional, Union

from aiohttp import WSMsgType, web

from .. import events, faults, requests
from ..generation import ConcurrencyLimit
from ..recorder import Ledger, look_until
from ..requests import ApiError, CancelRequest, GenerationRequest
from ..rest.pronunciation_dicts import PronunciationDicts
from ..settings import Rules
from ..voice import sound
from ..voice.speech import Speaker
from ..voice.transcript import has_words
from .context import Context, ContextStoppedError

__all__ = ["Connection"]

_CLOSE_TIMEOUT = 2.0  # for the peer's answer to a close frame
# Answers that wait to be sent; beyond it no more is read. A peer that asks and never reads cannot fill the memory.
_MOST_UNSENT = 64
_MOST_ENDED_IDS = 10_000
_NORMAL_CLOSURE = 1000

# Reserved bits, an opcode that nobody knows, and a few bytes of payload.
_INVALID_FRAME = b"\xff\x05wrong"
_EXTRA_FIELDS = ',"zz_new_field":{"nested":[1,2,{"deep":null}]},"zz_flag":true}'

_EVENT_FAULTS = (
    faults.Binary,
    faults.Close,
    faults.Eof,
    faults.ErrorEvent,
    faults.Garbage,
    faults.InvalidFrame,
    faults.Reset,
    faults.Silence,
    faults.Unfinished,
    faults.UnknownEvent,
)


class Connection:
    """What happens on one socket after the handshake.

    Events leave one at a time under ``_turn``. asyncio's lock serves in the order of asking, and a context asks again
    only when its last event has left: so contexts take turns, and none of them gets ahead of a slow socket.

    Args:
        number: Its number in the ledger.
        request_id: The id that stands in its errors.
        version: The API version in use.
        socket: The WebSocket, ready, that neither answers pings nor close frames by itself.
        transport: What is below it, for the faults.
        rules: The server's switches.
        ledger: Where to write down what is heard, and where the faults are.
        speaker: The server's voice.
        units: The server's limit of contexts at work.
        dictionaries: The server's pronunciation dictionaries.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        *,
        number: int,
        request_id: str,
        version: str,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        rules: Rules,
        ledger: Ledger,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        pronunciation_dicts: PronunciationDicts,
    ) -> None:
        self._number = number
        self._request_id = request_id
        self._version = version
        self._socket = socket
        self._transport = transport
        self._rules = rules
        self._ledger = ledger
        self._speaker = speaker
        self._concurrency = concurrency
        self._pronunciation_dicts = pronunciation_dicts
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._sent = 0
        self._heard = 0
        self._last_traffic = self._loop.time()
        self._contexts: dict[str, Context] = {}
        self._ended: dict[str, None] = {}  # in the order of their ends
        self._tasks: set[asyncio.Task[None]] = set()
        self._context_tasks: dict[Context, asyncio.Task[None]] = {}
        self._unsent: set[asyncio.Task[None]] = set()
        self._closing = False  # our last frame has been sent
        self._silent = False
        self._stopped_reading = False

    async def serve(self) -> None:
        """Read until either side ends the connection. Leaves no task behind."""
        self._spawn(self._watch_idle())
        try:
            await self._read()
            self._closing = True
            # What has been written is still flushed; aiohttp cancels this task as soon as the socket is gone.
            self._transport.close()
            await asyncio.sleep(_CLOSE_TIMEOUT)  # a bound, cut short by the cancel
        finally:
            self._closing = True
            self._transport.abort()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ---- ways to end it

    def close(self, code: int = _NORMAL_CLOSURE, reason: str = "") -> None:
        """Send a close frame, then read on until the peer answers, or for two seconds. Once."""
        if self._closing:
            return
        self._closing = True
        self._transport.write(_close_frame(code, reason))
        self._loop.call_later(_CLOSE_TIMEOUT, self._transport.abort)

    def send_eof(self) -> None:
        """End the stream without a close frame or TLS's goodbye, then read on until the peer closes."""
        if self._closing:
            return
        self._closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS knows no half of an end, but what is below it does
            with contextlib.suppress(OSError):  # the peer may have closed it already
                self._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection by a TCP reset."""
        self._closing = True
        raw = self._transport.get_extra_info("socket")
        # Lingering for no time at all makes the close a reset.
        with contextlib.suppress(OSError):  # the peer may have closed it already
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def abort(self) -> None:
        """Let go of the socket at once."""
        self._closing = True
        self._transport.abort()

    @property
    def can_close(self) -> bool:
        """Whether a close frame would be sent and its answer read."""
        return not (self._silent or self._stopped_reading)

    # ---- reading

    async def _read(self) -> None:
        while True:
            if self._ledger.strike(faults.StopReading, self._number, sent=self._heard) is not None:
                self._stopped_reading = True
                self._transport.pause_reading()
                await _for_ever()
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                self._heard += 1
                self._last_traffic = self._loop.time()
                self._handle_message(message.data)
                while len(self._unsent) > _MOST_UNSENT:
                    await asyncio.wait(self._unsent, return_when=asyncio.FIRST_COMPLETED)
            elif message.type is WSMsgType.PING:
                if self._rules.pings_keep_open:
                    self._last_traffic = self._loop.time()
                if not (self._silent or self._closing):
                    with contextlib.suppress(ConnectionError):
                        await self._socket.pong(message.data)
            elif message.type is WSMsgType.CLOSE:
                if self._silent:
                    await _for_ever()  # until the peer tires of it: then this task is cancelled
                if not self._closing:
                    self._transport.write(_close_frame(message.data or None))
                return
            elif message.type is not WSMsgType.PONG:
                return  # the peer is gone, or broke the framing; aiohttp has answered

    def _handle_message(self, data: Union[str, bytes]) -> None:
        """Act on a client message. Never waits: what it has to answer is sent by a task."""
        message: Any = None
        problem: Optional[ApiError] = None
        if isinstance(data, bytes):
            problem = ApiError(400, "Invalid request", "Requests are text frames, not binary ones.")
        else:
            try:
                message = json.loads(data)
            except (ValueError, RecursionError):
                problem = ApiError(400, "Invalid request", "The message is not JSON.")
        self._ledger.note_heard(self._number, message if isinstance(message, dict) else data)
        if self._closing:
            return
        try:
            if problem is not None:
                raise problem
            request = requests.parse_request(message, self._version, strict_context_ids=self._rules.strict_context_ids)
            if isinstance(request, CancelRequest):
                self._cancel(request.context_id)
            else:
                self._ask(request)
        except ApiError as exc:
            self._refuse(exc)

    def _ask(self, request: GenerationRequest) -> None:
        context = self._contexts.get(request.context_id)
        if context is not None and not context.over:
            context.ask(request)
            return
        if request.context_id in self._ended and not self._rules.reuse_ended_ids:
            raise ApiError(
                400, "Context has closed", "A context's id cannot be used again.", context_id=request.context_id
            )
        if not has_words(request.transcript):
            refused = requests.empty_transcript()
            refused.context_id = request.context_id
            raise refused
        try:
            pronunciation = self._pronunciation_dicts.pronunciation(request.pronunciation_dict_id, self._version)
        except ApiError as exc:
            exc.context_id = request.context_id
            raise
        context = Context(
            request,
            rules=self._rules,
            speaker=self._speaker,
            concurrency=self._concurrency,
            post=self._post,
            pronunciation=pronunciation,
        )
        context.ask(request)
        self._contexts[context.id] = context
        self._context_tasks[context] = self._spawn(self._run(context))

    def _cancel(self, context_id: str) -> None:
        context = self._contexts.get(context_id)
        if context is None or context.over:
            return
        if self._rules.cancel_stops:
            self._stop(context)
            late = self._ledger.strike(faults.LateFrames, self._number, context_id)
            if late is not None:
                self._send_soon(self._send_late(context, late))
            if self._rules.done_after_cancel:
                self._send_soon(self._post(events.done_event(context_id)))
        else:
            context.drop_rest(with_done=self._rules.done_after_cancel)

    def _refuse(self, refused: ApiError) -> None:
        """Tell the client. An error ends the context that it names."""
        if refused.context_id is not None:
            context = self._contexts.get(refused.context_id)
            if context is not None:
                self._stop(context)
            self._remember_ended(refused.context_id)
        self._send_soon(self._post(events.error_event(refused, self._version, self._request_id)))

    # ---- contexts

    async def _run(self, context: Context) -> None:
        try:
            await context.run()
        except ContextStoppedError:
            pass
        except ApiError as exc:
            self._discard(context)
            self._refuse(exc)
        except Exception as exc:  # a fault of ours: the loop's handler prints it, and the client is not left waiting
            self._discard(context)
            self._refuse(ApiError(500, "Internal server error", repr(exc), context_id=context.id))
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
        self._ended[context_id] = None
        while len(self._ended) > _MOST_ENDED_IDS:
            del self._ended[next(iter(self._ended))]

    # ---- sending

    async def _post(self, event: str, context: Optional[Context] = None) -> None:
        """Send one event when its turn comes, and strike the faults that are due before and after it.

        Raises:
            ContextStoppedError: The context is to say nothing any more, or nobody can hear it.
        """
        for delay in self._ledger.lasting(faults.Delay, **self._target(context)):
            await asyncio.sleep(delay.seconds + random.uniform(0, delay.jitter))  # the fault that was asked for
        await look_until(lambda: not self._is_held(context, alone=True))
        async with self._turn:
            await look_until(lambda: not self._is_held(context, alone=False))
            await self._strike(context)
            if self._ledger.lasting(faults.ExtraFields, **self._target(context)):
                event = event[:-1] + _EXTRA_FIELDS
            await self._put(event)
            self._sent += 1
            if context is not None:
                context.sent += 1
            await self._strike(context)

    async def _put(self, event: str) -> None:
        """Hand one text frame to the socket; waits while the socket is full."""
        if self._closing:
            raise ContextStoppedError
        if self._silent:
            return
        self._last_traffic = self._loop.time()
        try:
            await self._socket.send_str(event)
        except ConnectionError as exc:
            raise ContextStoppedError from exc

    async def _send_late(self, context: Context, late: faults.LateFrames) -> None:
        form = context.output_format
        count = self._rules.chunk_bytes // form.sample_bytes
        silence = sound.encode(sound.silence(count / sound.RATE_HZ), form.encoding)
        for _ in range(late.count):
            await self._post(events.chunk_event(context.id, silence, None, 0.0))
        if late.done:
            await self._post(events.done_event(context.id))

    async def _watch_idle(self) -> None:
        if self._rules.idle_timeout is None:
            return
        while not self._closing:
            left = self._last_traffic + self._rules.idle_timeout - self._loop.time()
            if left > 0:
                await asyncio.sleep(left)  # the idle clock itself
            elif self._silent:
                return
            else:
                self.close(_NORMAL_CLOSURE, "connection idle timeout")

    # ---- faults

    def _target(self, context: Optional[Context]) -> dict[str, Any]:
        """What the ledger wants to know of an event's place."""
        return {
            "connection": self._number,
            "context_id": None if context is None else context.id,
            "sent": self._sent,
            "sent_in_context": 0 if context is None else context.sent,
        }

    def _is_held(self, context: Optional[Context], *, alone: bool) -> bool:
        """Whether a fault holds this context alone, or the connection with all its contexts."""
        return any(
            not hold.until.is_set()
            for hold in self._ledger.lasting(faults.Hold, **self._target(context))
            if (hold.context_id is not None) is alone
        )

    async def _strike(self, context: Optional[Context]) -> None:
        """Do all the harm that is due now, before or after an event of this context.

        Raises:
            ContextStoppedError: That was the end of the context.
        """
        while not self._has_ended():
            fault = self._ledger.strike(_EVENT_FAULTS, **self._target(context))
            if fault is None:
                return
            if isinstance(fault, faults.Close):
                self.close(fault.code, fault.reason)
            elif isinstance(fault, faults.Reset):
                self.reset()
            elif isinstance(fault, faults.Eof):
                self.send_eof()
            elif isinstance(fault, faults.Silence):
                self._silent = True
            elif isinstance(fault, faults.InvalidFrame):
                self._transport.write(_INVALID_FRAME)
            elif isinstance(fault, faults.Garbage):
                await self._put('{"type":"chunk","data":')
            elif isinstance(fault, faults.Binary):
                await self._socket.send_bytes(b'{"type":"chunk"}')
            elif isinstance(fault, faults.Unfinished):
                raise ContextStoppedError
            elif context is None:
                raise AssertionError("the ledger gives no context's fault without a context")
            elif isinstance(fault, faults.UnknownEvent):
                await self._put(_unknown_event(context.id))
            elif isinstance(fault, faults.ErrorEvent):
                await self._put(self._error_of(fault, context))
                if fault.with_context and fault.done:
                    raise ContextStoppedError

    def _has_ended(self) -> bool:
        return self._closing or self._silent

    def _error_of(self, fault: faults.ErrorEvent, context: Context) -> str:
        refused = ApiError(
            fault.status_code,
            fault.title,
            fault.message,
            error_code=fault.error_code,
            context_id=context.id if fault.with_context else None,
        )
        return events.error_event(refused, self._version, self._request_id, done=fault.done)

    # ---- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _send_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a task send what the reader has to say, so that it can go on reading."""
        task = self._spawn(_quietly(work))
        self._unsent.add(task)
        task.add_done_callback(self._unsent.discard)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler(
                {"message": "a task of the local server failed", "exception": task.exception(), "task": task}
            )


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(ContextStoppedError):
        await work


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def _close_frame(code: Optional[int], reason: str = "") -> bytes:
    # A control frame holds 125 bytes; of a longer reason as many whole characters as fit.
    cut = reason.encode()[:123].decode("utf-8", "ignore").encode()
    payload = b"" if code is None else struct.pack(">H", code) + cut
    return bytes((0x88, len(payload))) + payload


def _unknown_event(context_id: str) -> str:
    event = {"type": "weather", "context_id": context_id, "done": False, "status_code": 206, "zz_sky": ["blue"]}
    return json.dumps(event, separators=(",", ":"))
