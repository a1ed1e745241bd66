"""The local server as its user sees it: started, inspected, made to fail, and stopped, from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import secrets
import threading
from types import TracebackType
from typing import Any, Callable, Optional

from aiohttp import web

from .admission import is_loopback
from .app import App
from .fault_plan import FaultPlan
from .faults import Fault
from .generation import ConcurrencyLimit
from .peer_protocol import PeerProtocol, RequestHandler
from .recorder import Handshake, Heard, Recorder, Request
from .settings import ServerOptions, check_concurrency_limit, check_reach, takes_options
from .voice.speech import Speaker

__all__ = ["LocalServer"]

_log = logging.getLogger("cartesia_sync.local")

_STOP_TIMEOUT = 15.0
_CALL_TIMEOUT = 5.0
_ROUNDS = 5
_numbers = itertools.count(1)


class LocalServer:
    """A server of Cartesia's protocols on this machine, with a real voice; no key, no network.

        with LocalServer() as server:
            client = Cartesia(api_key="any", base_url=server.url, websocket_base_url=server.websocket_url)

    It runs on a thread and an event loop of its own and listens on loopback. Speech is made by eSpeak NG, in a process
    of its own, which starts with the first sentence. The same requests make the same audio. Voices, dictionaries and
    everything else that requests create live as long as the server does. What it has spoken it
    knows again when it is sent to be transcribed. There is no agent.

    Args:
        **options: The fields of ``ServerOptions``, as keywords.

    Raises:
        ImportError: ``engine="espeak"`` without the package that brings it.
        ValueError: A number is out of range; or other machines reach ``host``, and nothing says that they may.

    Threads: every method may be called by any thread. ``start`` and ``stop`` work once: a stopped server cannot be
    started again; make another.
    """

    @takes_options(ServerOptions)
    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._port = options.port
        self._recorder = Recorder(record=options.record)
        self._fault_plan = FaultPlan(options.faults)
        self._concurrency = ConcurrencyLimit(options.concurrency_limit)
        self._speaker = Speaker(options.engine)
        self._inspector_token = secrets.token_urlsafe(24) if options.inspector else None
        self._thread = threading.Thread(
            target=self._run,
            name=f"cartesia-sync-local-server-{next(_numbers)}",
            daemon=True,  # a server that was forgotten does not hold the interpreter
        )
        # Guards _started and _stopped.
        self._life_lock = threading.Lock()
        self._started = False
        self._stopped = False
        # Written by the server's thread before _ready is set, and never again.
        self._ready = threading.Event()
        self._addresses: list[str] = []
        self._failure: Optional[BaseException] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._app: Optional[App] = None
        self._stop_requested: Optional[asyncio.Event] = None

    # ---- start and stop

    def start(self) -> LocalServer:
        """Start listening. Returns the server itself, once clients can connect.

        Raises:
            OSError: The address cannot be listened on.
            ValueError: ``host`` is a name, other machines reach it, and nothing says that they may.
            RuntimeError: It was started or stopped before.
        """
        with self._life_lock:
            if self._started or self._stopped:
                raise RuntimeError("a LocalServer is started once; make another")
            self._started = True
            self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self.stop()
            raise self._failure
        if not all(map(is_loopback, self._addresses)):
            who = "anyone there can use it" if self._options.allow_anyone else "who has a key can use it"
            _log.warning("other machines reach this server, which listens on %s: %s", self.host or "all addresses", who)
        return self

    def stop(self) -> None:
        """Close every connection (code 1001), the port, the thread, and the speech process. Idempotent.

        Raises:
            RuntimeError: The thread did not end within 15 seconds.

        Threads: any but the server's own. Blocks until all of that has ended: usually milliseconds; half a second if a
        peer does not answer; or until the current sentence is spoken.
        """
        with self._life_lock:
            self._stopped = True
            started = self._started
        if not started:
            self._speaker.close()
            return
        self._ready.wait()
        if self._loop is not None and self._stop_requested is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop_requested.set)
            except RuntimeError:
                pass  # the loop is closed already
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"{self._thread.name} did not end within {_STOP_TIMEOUT} s")

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else "listening" if self._started else "not started"
        return f"<LocalServer {self.url} {state}>"

    # ---- where it is

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._options.host

    @property
    def port(self) -> int:
        """The port it listens on; 0 before ``start`` unless one was given."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL for HTTP, or for HTTPS if it speaks TLS."""
        return f"{'https' if self._options.ssl_context else 'http'}://{self._authority}"

    @property
    def websocket_url(self) -> str:
        """The base URL for WebSockets, without a path."""
        return f"{'wss' if self._options.ssl_context else 'ws'}://{self._authority}"

    @property
    def inspector_url(self) -> Optional[str]:
        """Where a browser of this machine sees what is said and heard; ``None`` without ``inspector=True``.

        Its ``t`` is a secret of this server's: who has it reads along.
        """
        return None if self._inspector_token is None else f"{self.url}/inspector?t={self._inspector_token}"

    @property
    def _authority(self) -> str:
        # A wildcard is an address to listen on, and none to connect to.
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    # ---- what it has seen

    @property
    def handshakes(self) -> list[Handshake]:
        """Every WebSocket handshake so far, refused ones included, in order. A copy; the headers hold credentials."""
        return self._recorder.handshakes

    @property
    def heard(self) -> list[Heard]:
        """Every client message so far, in order of arrival. A copy."""
        return self._recorder.heard

    @property
    def requests(self) -> list[Request]:
        """Every HTTP request so far, refused ones included, in order. A copy; the headers hold credentials."""
        return self._recorder.requests

    @property
    def open_connections(self) -> int:
        """How many WebSocket connections are open now."""
        return self._recorder.open_connections

    def forget(self) -> None:
        """Empty ``handshakes``, ``heard`` and ``requests``, and free what they hold. Numbers go on as before.

        Without it the oldest are forgotten where all of them take more than 64 MiB.
        """
        self._recorder.forget()
        loop, app = self._loop, self._app
        if loop is not None and app is not None:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(app.give_memory_back)

    def wait_for(self, condition: Callable[[LocalServer], bool], timeout: float) -> None:
        """Block until the condition holds.

        Args:
            condition: Called at once, and again after each request, handshake, message, opened and closed connection.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It did not hold in time.
        """
        self._recorder.wait_for(lambda: condition(self), timeout)

    # ---- what is to go wrong

    @property
    def concurrency_limit(self) -> Optional[int]:
        """How many contexts and requests may generate at one time; ten times as many connections may be open.

        ``None`` is no limit. It can be set while the server runs, by any thread, and holds from the next request on:
        what generates already goes on, and connections that are open stay.

        Raises:
            TypeError: What is set is neither a whole number nor ``None``.
            ValueError: What is set is below 1.
        """
        return self._concurrency.limit

    @concurrency_limit.setter
    def concurrency_limit(self, limit: Optional[int]) -> None:
        check_concurrency_limit(limit)
        self._concurrency.limit = limit

    def inject(self, *faults: Fault) -> None:
        """Add faults, behind those that are there already."""
        self._fault_plan.add(faults)

    def clear_faults(self) -> None:
        """Remove all faults. Delays, holds and extra fields end; what others have done is not undone."""
        self._fault_plan.clear()

    def drop_connections(self, code: Optional[int] = None, reason: str = "", reset: bool = False) -> None:
        """End every open WebSocket connection now. Returns when the bytes for it have been handed to the system.

        Args:
            code: Send a close frame with this code.
            reason: And with this reason, at most 123 bytes.
            reset: Without a code: a TCP reset. Without either: the end of the stream, and no close frame.

        Raises:
            RuntimeError: The server is not running.
        """
        loop, app = self._loop, self._app
        if loop is None or app is None or loop.is_closed():
            raise RuntimeError("the server is not running")

        async def drop() -> None:
            app.drop_connections(code, reason, reset=reset)

        asyncio.run_coroutine_threadsafe(drop(), loop).result(_CALL_TIMEOUT)

    # ---- server thread only

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:  # of any kind: start() waits for it and raises it
            if self._ready.is_set():
                raise
            self._failure = exc
        finally:
            self._speaker.close()
            self._ready.set()

    async def _serve(self) -> None:
        app = App(
            self._options,
            self._recorder,
            self._fault_plan,
            self._speaker,
            self._concurrency,
            inspector_token=self._inspector_token,
        )
        runner = web.AppRunner(
            app.application(),
            access_log=None,
            # A few kilobytes can inflate to gigabytes; the responder inflates as much as is allowed.
            auto_decompress=False,
            # Otherwise a connection that does not read would never find that its peer has gone.
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_ExceptionHandler())
        make, timeout = runner.server, self._options.request_timeout
        assert make is not None
        try:
            listener = await loop.create_server(
                lambda: PeerProtocol(_handler(make()), timeout),
                self.host,
                self._port,
                ssl=self._options.ssl_context,
                start_serving=False,
            )
            self._addresses = [str(each.getsockname()[0]) for each in listener.sockets]
            try:
                check_reach(self._options, self._addresses)
                app.listens_on(self._addresses)
                await listener.start_serving()
            except BaseException:  # a cancel too: the port is not kept
                listener.close()
                raise
            self._port = listener.sockets[0].getsockname()[1]
            self._loop, self._app = loop, app
            self._stop_requested = asyncio.Event()
            self._ready.set()
            await self._stop_requested.wait()
            await _stop_accepting(listener)
            await app.close()
        finally:
            assert runner.server is not None
            transports = [peer.transport for peer in runner.server.connections if peer.transport is not None]
            await runner.cleanup()
            for transport in transports:
                transport.abort()  # with TLS it would otherwise wait for its peer's close_notify
            await _let_others_run()  # closed transports free their sockets


class _ExceptionHandler:
    """Prints what goes wrong in the loop; that no more connections can be accepted, once a second.

    Out of file descriptors, asyncio tries to accept a hundred connections at a time, and reports each.
    """

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exception = context.get("exception")
        if isinstance(exception, OSError) and exception.errno in (errno.EMFILE, errno.ENFILE):
            if loop.time() < self._quiet_until:
                return
            self._quiet_until = loop.time() + 1
            _log.error("no more connections can be accepted: %s", exception)
        else:
            loop.default_exception_handler(context)


def _handler(made: web.RequestHandler) -> web.RequestHandler:
    made.__class__ = RequestHandler  # aiohttp says nowhere which class is to be made
    return made


async def _stop_accepting(listener: asyncio.Server) -> None:
    """Close a listener without losing a connection that is being accepted.

    asyncio drops a connection that was accepted in the same round in which its listener was closed, and leaves its
    socket open. So: first accept no more, then let what was accepted be processed, and only then close.
    """
    loop = asyncio.get_running_loop()
    for listening in listener.sockets:
        with contextlib.suppress(NotImplementedError):  # Windows' loop has no readers, and not this problem
            loop.remove_reader(listening.fileno())
    await _let_others_run()
    listener.close()


async def _let_others_run() -> None:
    """Let the loop run a few rounds: asyncio sets up and tears down a connection in steps, one a round."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)  # not a wait: one round of the loop
