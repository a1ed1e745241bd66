"""The front of the server: routes, who may come in, and what is said to those who may not."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Set
from typing import Callable, Optional

from aiohttp import web
from multidict import CIMultiDict

from . import faults, requests
from .admission import Admission
from .generation import Units
from .recorder import Handshake, Ledger
from .requests import RefusedError
from .rest.access_token import Access
from .rest.datasets import Training
from .rest.pronunciation_dicts import Dictionaries
from .rest.responder import Exchange, Route, refusal, refusal_as_told, version_of
from .rest.tts import Speaking
from .rest.voice_changer import Changing
from .rest.voices import Voices
from .settings import Rules
from .tokens import Tokens
from .voice.speech import Speaker
from .websocket.connection import Connection

__all__ = ["App"]

_SOCKETS_PER_UNIT = 10  # as the service allows them
_STOP_GRACE = 0.5
_MOST_BODY_BYTES = 64 * 1024**2

# What the service does and this server does not.
_NOT_HERE = (
    ("/stt", "stt"),
    ("/stt/websocket", "stt"),
    ("/stt/turns/websocket", "stt"),
    ("/agents", "agent"),
    ("/agents/{rest:.+}", "agent"),
)


class App:
    """All that one server serves.

    Args:
        rules: The switches.
        ledger: Where handshakes and requests are written down.
        speaker: The voice.
        api_keys: The credentials that are accepted; ``None`` for all that are not empty.

    Threads: the server's loop only.
    """

    def __init__(self, rules: Rules, ledger: Ledger, speaker: Speaker, api_keys: Optional[Set[str]]) -> None:
        self._rules = rules
        self._ledger = ledger
        self._speaker = speaker
        tokens = Tokens()
        self._admission = Admission(api_keys, tokens)
        self._units = Units(rules.concurrency_limit)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        owner_id = str(uuid.uuid4())
        self._dictionaries = Dictionaries(owner_id)
        self._routes = [
            *Speaking(rules, ledger, speaker, self._units, self._dictionaries).routes,
            *Changing(rules, self._units).routes,
            *Voices(owner_id).routes,
            *self._dictionaries.routes,
            *Training().routes,
            *Access(tokens).routes,
            *(Route("*", path, _not_here, grant) for path, grant in _NOT_HERE),
        ]

    def application(self) -> web.Application:
        """The routes, for aiohttp to run."""
        application = web.Application(client_max_size=_MOST_BODY_BYTES)
        router = application.router
        router.add_get("/tts/websocket", self._websocket, allow_head=False)
        router.add_get("/", self._open_to_all(_status), allow_head=False)
        for route in self._routes:
            # The service's own clients write some paths with a slash at their end; nobody should have to know which.
            for path in {route.path, route.path.rstrip("/")}:
                router.add_route(route.method, path, self._guarded(route))
        router.add_route("*", "/{path:.*}", self._open_to_all(_no_such_route))
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
        """End all requests, and all connections, properly where the peer answers within half a second."""
        for task in list(self._answering):
            task.cancel()
        for connection in list(self._connections):
            if connection.can_close:
                connection.close(1001, "server is stopping")
            else:
                connection.abort()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=_STOP_GRACE)
        for connection in list(self._connections):
            connection.abort()

    # ---- HTTP

    def _guarded(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Let the route answer those that may ask it."""

        async def answer(exchange: Exchange) -> web.StreamResponse:
            self._admission.admit(exchange.request.query, exchange.request.headers, route.grant)
            return await route.answer(exchange)

        return self._open_to_all(answer)

    def _open_to_all(
        self, answer: Callable[[Exchange], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None
            self._answering.add(task)
            try:
                return await self._serve(Exchange(request, self._ledger), answer)
            finally:
                self._answering.discard(task)

        return serve

    async def _serve(
        self, exchange: Exchange, answer: Callable[[Exchange], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            await exchange.read()
            if exchange.refuse is None:
                response = await answer(exchange)
            else:
                response = refusal_as_told(exchange.refuse, exchange.version, exchange.request_id)
        except RefusedError as exc:
            if exchange.has_begun:
                await exchange.cut()  # too late for a status: what is whole must not be taken for all
            response = refusal(exc, exchange.version, exchange.request_id)
        except ConnectionError:
            await exchange.cut()  # the peer hung up
        except Exception as exc:  # a fault of ours: the loop's handler prints it, and the client is not left waiting
            context = {"message": "a request to the local server failed", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
            if exchange.has_begun:
                await exchange.cut()
            broken = RefusedError(500, "Internal server error", repr(exc))
            response = refusal(broken, exchange.version, exchange.request_id)
        return await exchange.send(response)

    # ---- WebSockets

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        version = version_of(request)
        query, headers = dict(request.query), CIMultiDict(request.headers)
        number = self._ledger.note_handshake(Handshake(request.path, query, headers))
        refuse = self._ledger.strike(faults.Refuse, number)
        if refuse is not None:
            return refusal_as_told(refuse, version, request_id)
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=0)
        try:
            self._admission.admit(query, headers, "tts")
            self._check_room()
            if not socket.can_prepare(request):
                raise RefusedError(400, "Bad request", "This is a WebSocket; ask for an upgrade.")
        except RefusedError as exc:
            return refusal(exc, version, request_id)
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
            dictionaries=self._dictionaries,
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

    def _check_room(self) -> None:
        limit = self._rules.concurrency_limit
        if limit is not None and len(self._connections) >= _SOCKETS_PER_UNIT * limit:
            raise RefusedError(
                429,
                "Too many connections",
                f"No more than {_SOCKETS_PER_UNIT * limit} WebSocket connections may be open.",
                error_code="concurrency_limited",
            )


async def _status(exchange: Exchange) -> web.StreamResponse:
    return exchange.reply({"ok": True, "version": requests.NEWEST_VERSION})


async def _not_here(exchange: Exchange) -> web.StreamResponse:
    raise RefusedError(
        501,
        "Not implemented",
        f"The local server does not do {exchange.request.path}: it has no speech recognition and no agents.",
        headers={"X-Should-Retry": "false"},  # which the official client reads
    )


async def _no_such_route(exchange: Exchange) -> web.StreamResponse:
    request = exchange.request
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods - {"*"}
    if not allowed:
        raise RefusedError(404, "Not found", f"There is no {request.method} {request.path}.")
    raise RefusedError(
        405,
        "Method not allowed",
        f"{request.path} answers {', '.join(sorted(allowed))}; not {request.method}.",
        headers={"Allow": ", ".join(sorted(allowed))},
    )
