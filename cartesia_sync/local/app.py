"""The HTTP side: routes, and who may open a WebSocket."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Set
from typing import Optional

from aiohttp import web
from multidict import CIMultiDict

from . import faults, messages
from .connection import Connection
from .contexts import Units
from .ledger import Handshake, Ledger
from .messages import RefusedError
from .rules import Rules
from .speech import Speaker

__all__ = ["App"]

_SOCKETS_PER_UNIT = 10  # as the service allows them
_STOP_GRACE = 0.5


class App:
    """All that one server serves.

    Args:
        rules: The switches.
        ledger: Where handshakes are written down.
        speaker: The voice.
        api_keys: The credentials that are accepted; ``None`` for all that are not empty.

    Threads: the server's loop only.
    """

    def __init__(self, rules: Rules, ledger: Ledger, speaker: Speaker, api_keys: Optional[Set[str]]) -> None:
        self._rules = rules
        self._ledger = ledger
        self._speaker = speaker
        self._api_keys = api_keys
        self._units = Units(rules.concurrency_limit)
        self._connections: dict[Connection, asyncio.Task[None]] = {}

    def application(self) -> web.Application:
        """The routes, for aiohttp to run."""
        application = web.Application()
        application.router.add_get("/", self._status)
        application.router.add_get("/tts/websocket", self._websocket)
        application.router.add_route("*", "/{path:.*}", self._not_found)
        return application

    def drop_connections(self, code: Optional[int], reason: str, *, reset: bool) -> None:
        """End all open connections: by a close frame with ``code``, else by a reset, else by a bare end of stream."""
        for connection in list(self._connections):
            if code is not None:
                connection.close(code, reason)
            elif reset:
                connection.reset()
            else:
                connection.send_eof()

    async def close(self) -> None:
        """End all connections, properly where the peer answers within half a second."""
        for connection in list(self._connections):
            if connection.can_close:
                connection.close(1001, "server is stopping")
            else:
                connection.abort()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=_STOP_GRACE)
        for connection in list(self._connections):
            connection.abort()

    # ---- routes

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "version": messages.NEWEST_VERSION})

    async def _not_found(self, request: web.Request) -> web.Response:
        refused = RefusedError(404, "Not found", f"There is no {request.method} {request.path}.")
        return _refusal(refused, _version_of(request), str(uuid.uuid4()))

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        version = _version_of(request)
        query, headers = dict(request.query), CIMultiDict(request.headers)
        number = self._ledger.note_handshake(Handshake(request.path, query, headers))
        refuse = self._ledger.strike(faults.Refuse, number)
        if refuse is not None:
            return _refuse_as_told(refuse, version, request_id)
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=0)
        try:
            self._admit(query, headers)
            if not socket.can_prepare(request):
                raise RefusedError(400, "Bad request", "This is a WebSocket; ask for an upgrade.")
        except RefusedError as exc:
            return _refusal(exc, version, request_id)
        socket.headers["X-Request-Id"] = request_id
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket  # gone again meanwhile
        assert isinstance(transport, asyncio.Transport)
        connection = Connection(
            number=number,
            request_id=request_id,
            version=version,
            socket=socket,
            transport=transport,
            rules=self._rules,
            ledger=self._ledger,
            speaker=self._speaker,
            units=self._units,
        )
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        self._ledger.note_open()
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            self._ledger.note_closed()
        return socket

    def _admit(self, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """Check the credential and the number of sockets.

        Raises:
            RefusedError: 401 or 429.
        """
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        given = (
            bearer.strip() if scheme.lower() == "bearer" else "",
            headers.get("X-API-Key", ""),
            query.get("access_token", ""),
            query.get("api_key", ""),
        )
        if not any(key and (self._api_keys is None or key in self._api_keys) for key in given):
            problem = "The credential is not valid." if any(given) else "A credential is required."
            raise RefusedError(401, "Unauthorized", problem)
        limit = self._rules.concurrency_limit
        if limit is not None and len(self._connections) >= _SOCKETS_PER_UNIT * limit:
            raise RefusedError(
                429,
                "Too many connections",
                f"No more than {_SOCKETS_PER_UNIT * limit} WebSocket connections may be open.",
                error_code="concurrency_limited",
            )


def _version_of(request: web.Request) -> str:
    return request.query.get("cartesia_version") or request.headers.get("Cartesia-Version") or messages.NEWEST_VERSION


def _refusal(refused: RefusedError, version: str, request_id: str) -> web.Response:
    text, content_type = messages.error_body(refused, version, request_id)
    return web.Response(
        status=refused.status, text=text, content_type=content_type, headers={"X-Request-Id": request_id}
    )


def _refuse_as_told(refuse: faults.Refuse, version: str, request_id: str) -> web.Response:
    if refuse.body is None:
        refused = RefusedError(refuse.status, "Refused", f"The handshake was answered with {refuse.status}.")
        response = _refusal(refused, version, request_id)
    elif isinstance(refuse.body, bytes):
        response = web.Response(status=refuse.status, body=refuse.body)
    elif isinstance(refuse.body, str):
        response = web.Response(status=refuse.status, text=refuse.body)
    else:
        response = web.json_response(
            refuse.body, status=refuse.status, dumps=json.dumps, headers={"X-Request-Id": request_id}
        )
    response.headers.update(refuse.headers or {})
    return response
