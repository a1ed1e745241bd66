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
from .generation import ConcurrencyLimit
from .recorder import Handshake, Ledger
from .requests import ApiError
from .rest.access_token import AccessTokens
from .rest.datasets import Training
from .rest.pronunciation_dicts import PronunciationDicts
from .rest.responder import Responder, Route, refusal, told_response, version_of
from .rest.tts import Tts
from .rest.voice_changer import VoiceChanger
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
        self._concurrency = ConcurrencyLimit(rules.concurrency_limit)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        owner_id = str(uuid.uuid4())
        self._pronunciation_dicts = PronunciationDicts(owner_id)
        self._routes = [
            *Tts(rules, ledger, speaker, self._concurrency, self._pronunciation_dicts).routes,
            *VoiceChanger(rules, self._concurrency).routes,
            *Voices(owner_id).routes,
            *self._pronunciation_dicts.routes,
            *Training().routes,
            *AccessTokens(tokens).routes,
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

        async def answer(responder: Responder) -> web.StreamResponse:
            self._admission.admit(responder.request.query, responder.request.headers, route.grant)
            return await route.answer(responder)

        return self._open_to_all(answer)

    def _open_to_all(
        self, answer: Callable[[Responder], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None
            self._answering.add(task)
            try:
                return await self._serve(Responder(request, self._ledger), answer)
            finally:
                self._answering.discard(task)

        return serve

    async def _serve(
        self, responder: Responder, answer: Callable[[Responder], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            await responder.read()
            if responder.refuse is None:
                response = await answer(responder)
            else:
                response = told_response(responder.refuse, responder.version, responder.request_id)
        except ApiError as exc:
            if responder.has_begun:
                await responder.cut()  # too late for a status: what is whole must not be taken for all
            response = refusal(exc, responder.version, responder.request_id)
        except ConnectionError:
            await responder.cut()  # the peer hung up
        except Exception as exc:  # a fault of ours: the loop's handler prints it, and the client is not left waiting
            context = {"message": "a request to the local server failed", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
            if responder.has_begun:
                await responder.cut()
            broken = ApiError(500, "Internal server error", repr(exc))
            response = refusal(broken, responder.version, responder.request_id)
        return await responder.send(response)

    # ---- WebSockets

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        version = version_of(request)
        query, headers = dict(request.query), CIMultiDict(request.headers)
        number = self._ledger.note_handshake(Handshake(request.path, query, headers))
        refuse = self._ledger.strike(faults.Refuse, number)
        if refuse is not None:
            return told_response(refuse, version, request_id)
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=0)
        try:
            self._admission.admit(query, headers, "tts")
            self._check_room()
            if not socket.can_prepare(request):
                raise ApiError(400, "Bad request", "This is a WebSocket; ask for an upgrade.")
        except ApiError as exc:
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
            concurrency=self._concurrency,
            pronunciation_dicts=self._pronunciation_dicts,
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
            raise ApiError(
                429,
                "Too many connections",
                f"No more than {_SOCKETS_PER_UNIT * limit} WebSocket connections may be open.",
                error_code="concurrency_limited",
            )


async def _status(responder: Responder) -> web.StreamResponse:
    return responder.reply({"ok": True, "version": requests.NEWEST_VERSION})


async def _not_here(responder: Responder) -> web.StreamResponse:
    raise ApiError(
        501,
        "Not implemented",
        f"The local server does not do {responder.request.path}: it has no speech recognition and no agents.",
        headers={"X-Should-Retry": "false"},  # which the official client reads
    )


async def _no_such_route(responder: Responder) -> web.StreamResponse:
    request = responder.request
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        allowed |= methods - {"*"}
    if not allowed:
        raise ApiError(404, "Not found", f"There is no {request.method} {request.path}.")
    raise ApiError(
        405,
        "Method not allowed",
        f"{request.path} answers {', '.join(sorted(allowed))}; not {request.method}.",
        headers={"Allow": ", ".join(sorted(allowed))},
    )
