"""WebSockets through a tape: replayed conversation by conversation, or passed on to the service and recorded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any, Optional, Union

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from cartesia_sync.local.recorder import Handshake

from ..errors import TapeError
from .audio_files import Kind
from .calls import ANSWER_HEADERS
from .conversations import Heard, Key, Live, Message, context_id_of, key_of, message_of, speaks
from .deck import Deck
from .http_calls import UNREACHABLE, passed_on, version_of
from .secrets import without_secrets

__all__ = ["Socket", "socket_session"]

_UNDECIDED = 0.2
"""Seconds of silence after which a conversation that may become several is taken for the first of them."""

_NORMAL_CLOSURE = 1000
_NO_CODE = (None, 1005, 1006)
_NOT_ON_TAPE = 1008


class _RefusedError(Exception):
    """The service answers a handshake with something else than 101."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


async def _look_at(answer: aiohttp.ClientResponse) -> None:
    """Read a refusal: aiohttp's own exception does not have the body."""
    if answer.status != 101:
        headers = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
        for name in ("Content-Encoding", "Content-Length"):
            headers.pop(name, None)
        raise _RefusedError(answer.status, headers, (await answer.read()).decode("utf-8", "replace"))


def socket_session(**way: Any) -> aiohttp.ClientSession:
    """Return what connects WebSockets to the service."""
    return aiohttp.ClientSession(raise_for_status=_look_at, **way)


class _Upstream:
    """A WebSocket to the service, which is recorded."""

    def __init__(self, number: int, socket: Any) -> None:
        self.number = number
        self.socket = socket
        self.kinds: dict[Optional[str], Kind] = {}


class Socket:
    """One WebSocket of a program.

    Threads: the proxy's loop only.
    """

    def __init__(self, deck: Deck, session: aiohttp.ClientSession, request: web.Request) -> None:
        self._deck = deck
        self._session = session
        self._request = request
        self._query = without_secrets(request.query.items())
        self._key: Key = key_of(request.path, self._query, version_of(request))
        self._loop = asyncio.get_running_loop()
        self._socket = web.WebSocketResponse(compress=False, max_msg_size=0)
        self._number = 0
        self._lives: dict[Optional[str], Live] = {}
        self._backlogs: dict[Optional[str], list[Union[str, bytes]]] = {}
        self._recorded: set[Optional[str]] = set()
        self._upstream: Optional[_Upstream] = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._dialling = asyncio.Lock()
        self._is_ending = False

    async def serve(self) -> web.StreamResponse:
        """Serve it to its end."""
        deck, request = self._deck, self._request
        self._number = deck.seen.add_handshake(
            Handshake(request.path, dict(request.query), CIMultiDict(request.headers))
        )
        opening = deck.opening(self._key)
        headers: Mapping[str, str] = {}
        try:
            if opening is not None:
                headers = opening.line.get("headers", {})
                if "refused" in opening.line:
                    return web.Response(status=opening.line["status"], headers=headers, text=opening.line["refused"])
            elif deck.service is not None:
                headers = await self._dial(deck.service)
            else:
                raise deck.report(deck.opening_mismatch(self._key))
        except _RefusedError as refusal:
            return web.Response(status=refusal.status, headers=refusal.headers, text=refusal.body)
        except TapeError as problem:
            return web.json_response(
                {"error_code": "not_on_tape", "title": "Not on the tape", "message": str(problem)}, status=400
            )
        self._socket.headers.update({name: value for name, value in headers.items() if name != "Content-Type"})
        await self._socket.prepare(request)
        deck.seen.count_opened()
        try:
            self._spawn(self._replay())
            await self._read()
        finally:
            deck.seen.count_closed()
            await self._end()
        return self._socket

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._take(frame.data)

    async def _end(self) -> None:
        code = self._socket.close_code
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._upstream is not None:
            if not self._is_ending:
                self._record_close("program", code)
            with contextlib.suppress(*UNREACHABLE):
                await self._upstream.socket.close(code=_NORMAL_CLOSURE if code in _NO_CODE else int(code or 0))

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- what the program says

    async def _take(self, data: Union[str, bytes]) -> None:
        message = message_of(data)
        self._deck.seen.add_message(self._number, message if isinstance(message, dict) else data)
        context_id = context_id_of(message) if speaks(self._request.path) else None
        is_new_socket = self._upstream is not None and not self._lives
        if is_new_socket or context_id in self._recorded:
            await self._pass_on(context_id, message, data)
            return
        live = self._lives.get(context_id)
        if live is None:
            live = self._lives[context_id] = Live(self._key, context_id)
        live.take(message, self._loop.time())
        self._backlogs.setdefault(context_id, []).append(data)
        await self._choose(live, is_silent=False)

    async def _choose(self, live: Live, *, is_silent: bool) -> None:
        """Find out which recorded conversation this is, as soon as that can be said."""
        if live.is_over:
            return
        if live.script is not None:
            if live.said.may_become(live.script.said):
                self._wake.set()
                return
            if live.next == 0:  # nothing of it was heard
                live.script.is_used = False
                live.script = None
        scripts = self._deck.scripts(live.said) if live.script is None else []
        is_plain = bool(scripts) and all(each.said.is_like(scripts[0].said) for each in scripts)
        if not (is_plain or is_silent or live.said.is_finished or live.said.is_cancelled):
            live.turn += 1
            self._loop.call_later(_UNDECIDED, self._be_decided, live, live.turn)
        elif scripts:
            live.play(scripts[0])
            self._wake.set()
        elif self._deck.service is not None and live.next == 0:
            await self._record_from_here(live, self._deck.service)
        else:
            await self._refuse(live, self._deck.conversation_mismatch(live.said))

    def _be_decided(self, live: Live, turn: int) -> None:
        if live.turn == turn and live.script is None and not self._socket.closed:
            self._spawn(self._choose(live, is_silent=True))

    async def _refuse(self, live: Live, problem: TapeError) -> None:
        self._deck.report(problem)
        live.is_over = True
        told = {"type": "error", "status_code": 400, "done": True, "error_code": "not_on_tape", "error": str(problem)}
        told.update(title="Not on the tape", message=str(problem))
        if live.said.context_id is not None:
            told["context_id"] = live.said.context_id
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(json.dumps(told))
            if live.said.context_id is None:
                await self._socket.close(code=_NOT_ON_TAPE, message=b"not on the tape")

    # ---- from the tape

    async def _replay(self) -> None:
        """Say what is due, in the order of the tape; what waits for the program lets others go first."""
        with contextlib.suppress(ConnectionError):
            while True:
                self._wake.clear()
                now, first, later = self._loop.time(), None, math.inf
                for live in self._lives.values():
                    due = live.due(self._deck.is_paced)
                    if due is None:
                        continue
                    heard, when = due
                    if when > now:
                        later = min(later, when)
                    elif first is None or heard.number < first[1].number:
                        first = live, heard
                if first is not None:
                    await self._say(*first)
                    continue
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), None if later == math.inf else later - now)

    async def _say(self, live: Live, heard: Heard) -> None:
        live.next += 1
        line, script = heard.line, live.script
        assert script is not None
        if "closed" in line:
            await self._close(line["closed"]["code"], line["closed"]["reason"])
        elif "got_audio" in line:
            await self._socket.send_bytes(self._deck.reel.get(line["got_audio"]))
        else:
            recorded_id, live_id = script.said.context_id, live.said.context_id
            ids = {recorded_id: live_id} if recorded_id and live_id and recorded_id != live_id else {}
            await self._socket.send_str(self._deck.reel.text(line, "got", ids))

    async def _close(self, code: Optional[int], reason: str) -> None:
        if code is not None:
            await self._socket.close(code=code, message=reason.encode())
        elif self._request.transport is not None:
            self._request.transport.abort()

    # ---- onto the tape

    async def _dial(self, service: str) -> Mapping[str, str]:
        """Connect to the service; return the headers with which it granted that.

        Raises:
            _RefusedError: It did not.
            TapeError: It cannot be reached.
        """
        deck, request = self._deck, self._request
        deck.secrets.note(request.headers, request.query.items())
        number = deck.reel.number("socket")
        opened = {"socket": number, "open": request.path, "query": self._query, "version": self._key[2]}
        try:
            socket = await self._session.ws_connect(
                URL(service + request.raw_path, encoded=True),
                headers=passed_on(request.headers),
                max_msg_size=0,
            )
        except _RefusedError as refusal:
            deck.record(**opened, status=refusal.status, headers=dict(refusal.headers), refused=refusal.body)
            raise
        except UNREACHABLE as error:
            raise deck.report(TapeError(f"{service} cannot be reached to record from: {error}")) from error
        answer: Any = socket._response.headers
        headers = {name: answer[name] for name in ANSWER_HEADERS if name in answer}
        deck.record(**opened, status=101, headers=headers)
        self._upstream = _Upstream(number, socket)
        self._spawn(self._hear(self._upstream))
        return headers

    async def _record_from_here(self, live: Live, service: str) -> None:
        """Pass on a conversation that is not on the tape, with what was said in it before that was known."""
        context_id = live.said.context_id
        live.is_over = True
        try:
            async with self._dialling:  # two contexts may need it at once
                if self._upstream is None:
                    await self._dial(service)
        except _RefusedError as refusal:
            await self._refuse(live, TapeError(f"the service refused what is to be recorded: status {refusal.status}"))
            return
        except TapeError as problem:
            await self._refuse(live, problem)
            return
        backlog = self._backlogs[context_id]
        while backlog:  # what comes meanwhile is put behind it
            data = backlog.pop(0)
            await self._pass_on(context_id, message_of(data), data)
        self._recorded.add(context_id)

    async def _pass_on(self, context_id: Optional[str], message: Message, data: Union[str, bytes]) -> None:
        upstream, deck = self._upstream, self._deck
        assert upstream is not None
        if isinstance(message, dict) and context_id not in upstream.kinds:
            upstream.kinds[context_id] = Kind.of(message.get("output_format"))
        stream = f"socket {upstream.number} sent"
        kind = Kind.of(_sent_format(self._request.query))
        if isinstance(data, bytes):
            deck.record(socket=upstream.number, sent_audio=deck.reel.put(stream, data, kind))
        else:
            deck.record(socket=upstream.number, **deck.reel.put_text("sent", data, stream, kind))
        with contextlib.suppress(*UNREACHABLE):  # its end is heard, and passed on, by the other task
            await (upstream.socket.send_bytes(data) if isinstance(data, bytes) else upstream.socket.send_str(data))

    async def _hear(self, upstream: _Upstream) -> None:
        deck = self._deck
        with contextlib.suppress(ConnectionError):
            async for frame in upstream.socket:
                context_id = context_id_of(message_of(frame.data))
                stream = f"socket {upstream.number} {context_id}"
                kind = upstream.kinds.get(context_id, Kind())
                if frame.type is WSMsgType.BINARY:
                    deck.record(socket=upstream.number, got_audio=deck.reel.put(stream, frame.data, kind))
                    await self._socket.send_bytes(frame.data)
                elif frame.type is WSMsgType.TEXT:
                    deck.record(socket=upstream.number, **deck.reel.put_text("got", frame.data, stream, kind))
                    await self._socket.send_str(frame.data)
        if self._socket.closed:
            return
        self._is_ending = True
        code = upstream.socket.close_code
        self._record_close("service", code)
        await self._close(None if code in _NO_CODE else code, "")

    def _record_close(self, by: str, code: Optional[int]) -> None:
        assert self._upstream is not None
        closed = {"by": by, "code": None if code in _NO_CODE else code, "reason": ""}
        self._deck.record(socket=self._upstream.number, closed=closed)


def _sent_format(query: Mapping[str, str]) -> Any:
    try:
        sample_rate = int(query.get("sample_rate", ""))
    except ValueError:
        return None
    return {"container": "raw", "encoding": query.get("encoding", ""), "sample_rate": sample_rate}
