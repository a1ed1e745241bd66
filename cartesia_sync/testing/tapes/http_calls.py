"""HTTP through a tape: replayed, or passed on to the service and recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn, Optional

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from cartesia_sync.local.recorder import Request

from ..errors import NetworkForbiddenError, TapeError
from .audio_files import Kind
from .calls import ANSWER_HEADERS, Call, asked_of
from .deck import Deck
from .secrets import without_secrets

__all__ = ["UNREACHABLE", "HttpCalls", "http_session", "passed_on", "version_of"]

UNREACHABLE = (aiohttp.ClientError, asyncio.TimeoutError, NetworkForbiddenError, OSError)
_NOT_PASSED_ON = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_STATUS_NOT_ON_TAPE = 400  # which no client tries again


def http_session(**way: Any) -> aiohttp.ClientSession:
    """Return what sends requests to the service."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=30), **way)


class HttpCalls:
    """The HTTP of one tape.

    Threads: the proxy's loop only.
    """

    def __init__(self, deck: Deck, session: aiohttp.ClientSession) -> None:
        self._deck = deck
        self._session = session

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        deck = self._deck
        body = await request.read()
        content_type = request.headers.get("Content-Type", "")
        query = without_secrets(request.query.items())
        asked = asked_of(request.method, request.path, query, version_of(request), content_type, body)
        by_name = {name: request.query.getall(name) for name in request.query}
        deck.seen.add_request(
            Request(
                request.method, request.path, by_name, CIMultiDict(request.headers), asked.get("json", body or None)
            )
        )
        call = deck.call(asked)
        try:
            if call is not None:
                return await self._replay(request, call, asked)
            if deck.service is None:
                raise deck.report(deck.call_mismatch(asked))
            return await self._record(request, body, asked, deck.service)
        except TapeError as problem:
            told = {
                "error_code": "not_on_tape",
                "title": "Not on the tape",
                "message": str(problem),
                "status_code": 400,
            }
            return web.json_response(told, status=_STATUS_NOT_ON_TAPE)

    # ---- from the tape

    async def _replay(self, request: web.Request, call: Call, asked: Mapping[str, Any]) -> web.StreamResponse:
        deck, loop = self._deck, asyncio.get_running_loop()
        began = loop.time()
        if call.answer is None:
            await _cut(request)
        answer = call.answer["answer"]
        response = web.StreamResponse(status=answer["status"], headers=answer["headers"])
        recorded_id, live_id = _context_id(call.asked), _context_id(asked)
        ids = {recorded_id: live_id} if recorded_id and live_id and recorded_id != live_id else {}
        if deck.is_paced:
            await asyncio.sleep(began + call.answer["at"] - call.at - loop.time())  # the pace that was asked for
        await response.prepare(request)
        for piece in call.pieces:
            if deck.is_paced:
                await asyncio.sleep(began + piece["at"] - call.at - loop.time())  # the same
            in_bytes = deck.reel.get(piece["piece_audio"]) if "piece_audio" in piece else None
            await response.write(in_bytes if in_bytes is not None else deck.reel.text(piece, "piece", ids).encode())
        if not call.is_whole:
            await _cut(request)
        await response.write_eof()
        return response

    # ---- onto the tape

    async def _record(
        self, request: web.Request, body: bytes, asked: dict[str, Any], service: str
    ) -> web.StreamResponse:
        deck = self._deck
        deck.secrets.note(request.headers, request.query.items())
        number = deck.reel.number("call")
        deck.record(call=number, asked=asked)
        ended = "left"  # by the program, in the middle of it
        try:
            async with self._session.request(
                request.method,
                URL(service + request.raw_path, encoded=True),
                headers=passed_on(request.headers),
                data=body or None,
                allow_redirects=False,
            ) as answer:
                is_text = _is_text(answer.content_type)
                headers = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
                if headers.pop("Content-Encoding", None) or is_text:
                    headers.pop("Content-Length", None)  # of other bytes than those that stand on the tape
                deck.record(call=number, answer={"status": answer.status, "headers": headers})
                response = web.StreamResponse(status=answer.status, headers=headers)
                await response.prepare(request)
                kind = (
                    Kind.of(asked.get("json", {}).get("output_format"))
                    if isinstance(asked.get("json"), dict)
                    else Kind()
                )
                if kind.raw is None:
                    kind = Kind(content_type=answer.content_type)
                try:
                    async for piece in _pieces(answer):
                        self._record_piece(number, piece, is_text, kind)
                        await response.write(piece)
                except aiohttp.ClientPayloadError:
                    ended = "cut"
                    await _cut(request)
                await response.write_eof()
                ended = "whole"
                return response
        except UNREACHABLE as error:
            if ended == "cut" or isinstance(error, ConnectionResetError):
                raise
            raise deck.report(TapeError(f"{service} cannot be reached to record from: {error}")) from error
        finally:
            deck.record(call=number, end=ended)

    def _record_piece(self, number: int, piece: bytes, is_text: bool, kind: Kind) -> None:
        deck = self._deck
        stream = f"call {number}"
        try:
            text = piece.decode() if is_text else None
        except UnicodeDecodeError:
            text = None
        if text is None:
            deck.record(call=number, piece_audio=deck.reel.put(stream, piece, kind))
            return
        try:
            deck.secrets.note_json(json.loads(text))
        except ValueError:
            pass  # no JSON, and no token of ours
        deck.record(call=number, **deck.reel.put_text("piece", text, stream, kind))


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that go on to the service; its answer is not to be compressed."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}
    return {**kept, "Accept-Encoding": "identity"}


def version_of(request: web.Request) -> str:
    """Return the API version that a request asks for."""
    return request.query.get("cartesia_version") or request.headers.get("Cartesia-Version") or ""


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a body in the pieces in which it is recorded: JSON whole, events one by one, all else as it comes."""
    if answer.content_type == "text/event-stream":
        rest = b""
        async for data in answer.content.iter_any():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                yield event + b"\n\n"
        if rest:
            yield rest
    elif _is_text(answer.content_type):
        data = await answer.read()
        if data:
            yield data
    else:
        async for data in answer.content.iter_any():
            yield data


def _is_text(content_type: str) -> bool:
    return content_type.startswith("text/") or content_type.endswith(("/json", "+json"))


def _context_id(asked: Mapping[str, Any]) -> Optional[str]:
    body = asked.get("json")
    context_id = body.get("context_id") if isinstance(body, dict) else None
    return context_id if isinstance(context_id, str) else None


async def _cut(request: web.Request) -> NoReturn:
    """End the connection here."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.get_running_loop().create_future()  # aiohttp cancels this task when the connection is lost
    raise AssertionError("that future has no result")
