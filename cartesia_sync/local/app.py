"""The server's front: routes, credentials, and the errors for those who are turned away."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import uuid
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any, Callable, Optional

from aiohttp import web
from multidict import CIMultiDict

from .admission import Admission, Neighbours
from .fault_plan import FaultPlan
from .faults import Moment
from .generation import ConcurrencyLimit
from .hearing.memory import Memory
from .hearing.sphinx import Recogniser
from .inspector import Inspector
from .memory import GiveBack
from .peer_protocol import PeerProtocol, WebSocket
from .recorder import Handshake, Recorder
from .requests import NEWEST_VERSION, ApiError, RequestRules
from .rest.access_token import AccessToken
from .rest.account import Account
from .rest.datasets import Datasets
from .rest.files import Files
from .rest.fine_tunes import FineTunes
from .rest.pronunciation_dicts import PronunciationDicts
from .rest.responder import JSON_BYTES, UPLOAD_BYTES, Responder, Route
from .rest.stt import Stt
from .rest.tts import Tts
from .rest.voice_changer import VoiceChanger
from .rest.voices import Voices
from .settings import ServerOptions
from .voice.speech import Speaker
from .websocket.connection import Connection
from .websocket.listening import AUTO_PATH, MANUAL_PATH, ListeningConnection, Settings

__all__ = ["App"]

_CONNECTIONS_PER_GENERATION = 10  # as the service allows them
_STOP_GRACE = 0.5
_PROTOCOL_ERROR = 1002
_MOST_MESSAGE_BYTES = 16 * 1024**2

# What the service does and this server does not.
_NOT_HERE = (
    ("/agents", "agent"),
    ("/agents/{rest:.+}", "agent"),
)

_Answer = Callable[[Responder], Awaitable[web.StreamResponse]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Expectation = Callable[[web.Request], Coroutine[Any, Any, Optional[web.StreamResponse]]]


class App:
    """Everything that one server serves.

    Args:
        options: The server's.
        recorder: Where handshakes and requests are recorded.
        fault_plan: What is to go wrong.
        speaker: The voice.
        concurrency: The limit of generations, and of connections.
        inspector_token: Who has it may look on at ``/inspector``; ``None``: there is no inspector.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        options: ServerOptions,
        recorder: Recorder,
        fault_plan: FaultPlan,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        inspector_token: Optional[str] = None,
    ) -> None:
        self._options = options
        self._recorder = recorder
        self._fault_plan = fault_plan
        self._speaker = speaker
        self._admission = Admission(options.api_keys)
        self._neighbours = Neighbours(options.host, options.allow_origins)
        self._concurrency = concurrency
        self._give_back = GiveBack()
        self._memory, self._recogniser = Memory(), Recogniser()
        speaker.on_spoken = lambda audio, audio_format, words: self._memory.remember(
            audio, audio_format.encoding, audio_format.sample_rate_hz, words
        )
        self._inspector: Optional[Inspector] = None
        if inspector_token is not None:
            slots = self._concurrency.state
            self._inspector = Inspector(inspector_token, options.inspector_bytes, fault_plan, slots)
            recorder.observer = self._inspector
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._request_tasks: set[asyncio.Task[None]] = set()
        owner_id = str(uuid.uuid4())
        self._pronunciation_dicts = PronunciationDicts(owner_id, has_pronunciation=options.pronunciation_items)
        voices = Voices(owner_id, any_voice=options.any_voice)
        self._rules = RequestRules(
            strict_context_ids=options.strict_context_ids,
            strict_first_transcript=options.strict_first_transcript,
            regional_languages=options.regional_languages,
            has_voice=voices.has,
        )
        files = Files()
        self._linked = files.linked
        tts = Tts(
            options=options,
            rules=self._rules,
            fault_plan=fault_plan,
            speaker=speaker,
            concurrency=self._concurrency,
            pronunciation_dicts=self._pronunciation_dicts,
            files=files,
        )
        datasets = Datasets()
        self._routes = [
            *tts.routes,
            *VoiceChanger(options, self._rules, self._concurrency).routes,
            *voices.routes,
            *self._pronunciation_dicts.routes,
            *datasets.routes,
            *FineTunes(datasets).routes,
            *AccessToken(self._admission).routes,
            *Stt(options, self._memory, self._recogniser).routes,
            *files.routes,
            *Account(options.api_keys, self._concurrency).routes,
            *(Route("*", path, _not_here, grant, UPLOAD_BYTES) for path, grant in _NOT_HERE),
        ]

    def listens_on(self, addresses: Iterable[str]) -> None:
        """Take the addresses that it is served on."""
        self._neighbours.listens_on(addresses)

    def application(self) -> web.Application:
        """Return the routes, for aiohttp to run."""
        application = web.Application()
        application.on_response_prepare.append(self._allow_origin)
        router = application.router
        for path in ("/tts/websocket", MANUAL_PATH, AUTO_PATH):
            router.add_get(path, self._websocket, allow_head=False)
        router.add_get("/", self._public(_status), allow_head=False)
        if self._inspector is not None:
            self._inspector.add_routes(router)
        router.add_get("/links/{word}", self._public(self._linked), allow_head=False)
        for route in self._routes:
            # The service's own clients write some paths with a slash at the end; both forms work.
            for path in {route.path, route.path.rstrip("/")}:
                admit = functools.partial(self._admit, route)
                router.add_route(route.method, path, self._guarded(route), expect_handler=_expectation(admit))
        nobody = _expectation(lambda request: self._neighbours.check(request.headers))
        router.add_route("*", "/{path:.*}", self._public(_no_such_route), expect_handler=nobody)
        return application

    def drop_connections(self, code: Optional[int], reason: str, *, reset: bool) -> None:
        """End all open connections: by a close frame with ``code``, else by a reset, else by the end of the stream."""
        for connection in list(self._connections):
            if code is not None:
                connection.close(code, reason)
            elif reset:
                connection.reset()
            else:
                connection.send_eof()

    def give_memory_back(self) -> None:
        """Let what was freed go back to the system, soon."""
        self._give_back.soon()

    async def close(self) -> None:
        """End all requests, and all connections, properly where the peer answers within half a second."""
        self._give_back.close()
        self._recogniser.close()
        if self._inspector is not None:
            self._inspector.close()
        for task in list(self._request_tasks):
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

    def _guarded(self, route: Route) -> _Handler:
        """Return a handler for requests whose credential is good for this route."""
        return self._handler(route.answer, functools.partial(self._admit, route), route.most_bytes)

    def _admit(self, route: Route, request: web.Request) -> None:
        self._neighbours.check(request.headers)
        self._admission.admit(request.query, request.headers, route.grant)

    def _public(self, answer: _Answer) -> _Handler:
        """Return a handler for requests with or without a credential."""
        return self._handler(answer, lambda request: self._neighbours.check(request.headers), JSON_BYTES)

    async def _allow_origin(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(self._neighbours.cors_headers(request.headers))

    def _is_preflight(self, request: web.Request) -> bool:
        """Whether a browser asks whether a page of the welcome ones may ask; without a credential, then."""
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return asks and bool(self._neighbours.cors_headers(request.headers))

    def _handler(self, answer: _Answer, admit: Callable[[web.Request], None], most_bytes: int) -> _Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None
            self._request_tasks.add(task)
            _peer_of(request).head_has_come()
            try:
                responder = Responder(request, self._fault_plan, self._options.idle_timeout)
                if self._is_preflight(request):
                    return await self._serve(
                        responder, lambda: self._neighbours.check(request.headers), JSON_BYTES, _no_content
                    )
                return await self._serve(responder, lambda: admit(request), most_bytes, answer)
            finally:
                responder.is_over()
                self._request_tasks.discard(task)
                if most_bytes > JSON_BYTES or request.body_exists:
                    self._give_back.soon()

        return serve

    async def _serve(
        self, responder: Responder, admit: Callable[[], None], most_bytes: int, answer: _Answer
    ) -> web.StreamResponse:
        timeout = self._options.request_timeout
        try:
            await responder.read(self._recorder, admit, most_bytes=most_bytes, timeout=timeout)
            response = await answer(responder) if responder.fault_response is None else responder.fault_response
        except ApiError as exc:
            if responder.has_begun:
                await responder.cut()  # too late for a status; a cut shows that the answer is not complete
            response = responder.error_response(exc)
        except ConnectionError:
            await responder.cut()  # the peer hung up
        except Exception as exc:  # a bug of ours: the loop's handler prints it, and the client is not left waiting
            context = {"message": "a request to the local server failed", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
            if responder.has_begun:
                await responder.cut()
            response = responder.error_response(ApiError(500, "Internal server error", repr(exc)))
        return await responder.send(response)

    # ---- WebSockets

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        peer = _peer_of(request)
        peer.head_has_come()
        responder = Responder(request, self._fault_plan, self._options.idle_timeout)
        query, headers = dict(request.query), CIMultiDict(request.headers)
        responder.number = self._recorder.add_handshake(Handshake(request.path, query, headers))
        await self._fault_plan.apply(Moment.HANDSHAKE, responder)
        if responder.fault_response is not None:
            responder.refused_socket(self._recorder, responder.fault_response)
            return responder.fault_response
        socket = WebSocket(autoping=False, autoclose=False, compress=False, max_msg_size=_MOST_MESSAGE_BYTES)
        try:
            self._neighbours.check(headers)
            listens = request.path in (MANUAL_PATH, AUTO_PATH)
            self._admission.admit(query, headers, "stt" if listens else "tts")
            settings = Settings(request.path, query, request.query.getall("keyterm", [])) if listens else None
            self._check_room(listens=listens)
            if not socket.can_prepare(request):
                raise ApiError(400, "Bad request", "This is a WebSocket; ask for an upgrade.")
            if not peer.expect_frames():
                raise ApiError(400, "Bad request", "No frame may be sent before the handshake is answered.")
        except ApiError as exc:
            response = responder.error_response(exc)
            responder.refused_socket(self._recorder, response)
            response.force_close()
            await response.prepare(request)
            await response.write_eof()
            await responder.cut()  # what follows is no request; aiohttp before 3.14 would read it as one
        socket.headers["X-Request-Id"] = responder.request_id
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket  # it has gone meanwhile
        assert isinstance(transport, asyncio.Transport)
        socket.peer, socket.transport = peer, transport
        make = Connection if settings is None else self._listening(settings)
        connection = make(
            number=responder.number,
            request_id=responder.request_id,
            version=responder.version,
            rules=self._rules,
            socket=socket,
            transport=transport,
            options=self._options,
            recorder=self._recorder,
            fault_plan=self._fault_plan,
            speaker=self._speaker,
            concurrency=self._concurrency,
            find_pronunciation=self._pronunciation_dicts.pronunciation,
        )
        peer.on_unmasked = functools.partial(connection.close, _PROTOCOL_ERROR, "a client's frames are masked")
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        self._recorder.count_opened()
        observer = self._recorder.observer
        if observer is not None:
            observer.opened(responder.number, request.path, responder.version)
        try:
            await connection.serve()
        finally:
            del self._connections[connection]
            self._recorder.count_closed()
            if observer is not None:
                observer.closed(responder.number)
            self._give_back.soon()
        return socket

    def _listening(self, settings: Settings) -> Callable[..., Connection]:
        return functools.partial(
            ListeningConnection, settings=settings, memory=self._memory, recogniser=self._recogniser
        )

    def _check_room(self, *, listens: bool) -> None:
        if listens:
            open_now = sum(isinstance(each, ListeningConnection) and not each.is_closing for each in self._connections)
            if self._options.listen_limit is not None and open_now >= self._options.listen_limit:
                raise ApiError(
                    429,
                    "Too many connections",
                    f"No more than {self._options.listen_limit} sessions of speech to text may be open.",
                    error_code="concurrency_limited",
                )
            return
        limit = self._concurrency.limit
        if limit is not None and len(self._connections) >= _CONNECTIONS_PER_GENERATION * limit:
            raise ApiError(
                429,
                "Too many connections",
                f"No more than {_CONNECTIONS_PER_GENERATION * limit} WebSocket connections may be open.",
                error_code="concurrency_limited",
            )


def _peer_of(request: web.Request) -> PeerProtocol:
    peer = request.transport.get_protocol() if request.transport is not None else None
    return peer if isinstance(peer, PeerProtocol) else PeerProtocol(request.protocol, None)  # it has gone meanwhile


def _expectation(admit: Callable[[web.Request], None]) -> _Expectation:
    """Return what asks for the body that a client holds back, if it is admitted, or refuses what else it expects."""

    async def expected(request: web.Request) -> Optional[web.StreamResponse]:
        if request.headers["Expect"].lower() != "100-continue":
            return Responder(request, FaultPlan(()), None).error_response(
                ApiError(417, "Expectation failed", "A client may expect 100-continue, and nothing else.")
            )
        with contextlib.suppress(ApiError):  # the handler answers with it
            admit(request)
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # aiohttp counts what belongs to the answer
        return None

    return expected


async def _status(responder: Responder) -> web.StreamResponse:
    return responder.reply({"ok": True, "version": NEWEST_VERSION})


async def _no_content(responder: Responder) -> web.StreamResponse:
    return responder.no_content()


async def _not_here(responder: Responder) -> web.StreamResponse:
    raise ApiError(
        501,
        "Not implemented",
        f"The local server does not do {responder.request.path}: it has no agents.",
        headers={"X-Should-Retry": "false"},  # the official client reads this
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
