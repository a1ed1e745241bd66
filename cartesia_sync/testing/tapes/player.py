"""The proxy's thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import weakref
from typing import Any, Optional
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from cartesia_sync.transport.environment import default_trust
from cartesia_sync.transport.loopback import is_this_machine

from .deck import Deck
from .http_calls import HttpCalls, http_session
from .sockets import Socket, socket_session

__all__ = ["Player"]

_STOP_TIMEOUT = 10.0
_GRACE = 0.5
_ROUNDS = 5
_numbers = itertools.count(1)


def _way(service: Optional[str]) -> dict[str, Any]:
    """Return how the service is reached: with the trust of the client, and through no proxy where it is here."""
    parts = urlsplit(service or "")
    way: dict[str, Any] = {"trust_env": not is_this_machine(parts.hostname or "")}
    if parts.scheme == "https":
        way["connector"] = aiohttp.TCPConnector(ssl=default_trust())
    return way


def _connections_of(loop: asyncio.AbstractEventLoop) -> weakref.WeakSet[asyncio.Transport]:
    """Return the set in which the connections that are opened on the loop will be, while they are there."""
    found: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
    create: Any = loop.create_connection

    async def created(*args: Any, **options: Any) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        transport, protocol = await create(*args, **options)
        found.add(transport)
        return transport, protocol

    with contextlib.suppress(TypeError):  # a loop that is no Python object through and through
        vars(loop)["create_connection"] = created  # aiohttp does not show those that it has given up
    return found


class Player:
    """A proxy on loopback that plays one tape.

    Attributes:
        url: Where it is, once it was started.
        loop: Its loop.

    Threads: ``start`` and ``stop`` by one; the rest runs on its own.
    """

    def __init__(self, deck: Deck) -> None:
        self.url = ""
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self._deck = deck
        self._ready = threading.Event()
        self._failure: Optional[BaseException] = None
        self._stop_requested: Optional[asyncio.Event] = None
        self._handlers: set[asyncio.Task[object]] = set()
        self._thread = threading.Thread(target=self._run, name=f"cartesia-sync-tape-{next(_numbers)}", daemon=True)

    def start(self) -> None:
        """Listen. Returns once it does."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join(_STOP_TIMEOUT)
            raise self._failure

    def stop(self) -> None:
        """End everything; half a second at most is left to what is on its way."""
        if self.loop is not None and self._stop_requested is not None:
            try:
                self.loop.call_soon_threadsafe(self._stop_requested.set)
            except RuntimeError:
                pass  # the loop is closed already
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"{self._thread.name} did not end within {_STOP_TIMEOUT} s")

    # ---- its own thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # of any kind: start() waits for it and raises it
            if self._ready.is_set():
                raise
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        connections = _connections_of(asyncio.get_running_loop())
        async with (
            http_session(**_way(self._deck.service)) as session,
            socket_session(**_way(self._deck.service)) as dialler,
        ):
            calls = HttpCalls(self._deck, session)

            async def answer(request: web.Request) -> web.StreamResponse:
                task = asyncio.current_task()
                assert task is not None
                self._handlers.add(task)
                try:
                    if request.headers.get("Upgrade", "").lower() == "websocket":
                        return await Socket(self._deck, dialler, request).serve()
                    return await calls.answer(request)
                finally:
                    self._handlers.discard(task)

            application = web.Application(client_max_size=2**40)
            application.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(
                application, access_log=None, auto_decompress=False, handler_cancellation=True, shutdown_timeout=0.1
            )
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                host, port = runner.addresses[0][:2]
                self.loop, self.url = asyncio.get_running_loop(), f"http://{host}:{port}"
                self._stop_requested = asyncio.Event()
                self._deck.begin()
                self._ready.set()
                await self._stop_requested.wait()
                if self._handlers:  # a goodbye may be on its way
                    await asyncio.wait(self._handlers, timeout=_GRACE)
                for task in list(self._handlers):
                    task.cancel()
                await asyncio.gather(*self._handlers, return_exceptions=True)
            finally:
                await runner.cleanup()
        for connection in list(connections):
            connection.abort()  # with TLS it would otherwise wait for its peer's goodbye, longer than there is a loop
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)  # not a wait: closed transports free their sockets
