"""The local server as its user sees it: started, asked, told to misbehave, and stopped, from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import threading
from collections.abc import Iterable, Set
from types import TracebackType
from typing import Callable, Optional

from aiohttp import web

from .app import App
from .fault_plan import FaultPlan
from .faults import Fault
from .recorder import Handshake, Heard, Recorder, Request
from .settings import ServerOptions
from .voice.speech import Speaker

__all__ = ["LocalServer"]

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
    whatever else is made by requests live as long as the server does. There is no speech recognition and no agent.

    Args:
        host: The address to listen on.
        port: The port; 0 for a free one.
        ssl_context: Speak TLS with it, and nothing else: one for servers, which holds a certificate. ``None``: no TLS.
        pace: How fast the audio of each context or request is streamed, as a multiple of real time, the first chunk at
            once. ``None``: as fast as it can.
        faults: What is to go wrong; values of ``cartesia_sync.local.faults``.
        idle_timeout: Seconds without a message in either direction after which a connection is closed with code 1000.
            ``None``: never.
        concurrency_limit: How many contexts and requests may generate at one time; one more gets status 429, a context
            by an error event. Ten times as many connections may be open. ``None``: no limit.
        expiry: Seconds after a context's last audio after which it is done, if no more text comes. ``None``: never.
        engine: ``"espeak"``, ``"signal"`` (a speech-like noise), or ``"auto"``: the first if it can be had.
        chunk_bytes: The largest amount of audio in one chunk, 4 or more; rounded down to whole samples.
        api_keys: The credentials to accept. ``None``: any that is not empty.
        record: Keep ``handshakes``, ``heard`` and ``requests``. Without it they stay empty, and a server may run for
            weeks.
        default_buffer_delay: Seconds for which text is held if a request says nothing of it.
        cancel_stops: A cancel stops a context at once. Otherwise the sentence in work is sent to its end.
        done_after_cancel: Send ``done`` after a cancel.
        done_at_expiry: Send ``done`` when a context expires.
        reuse_ended_ids: A request for a context that has ended opens a new one, instead of an error.
        flush_id_on_chunks: Chunks and timestamps carry ``flush_id``.
        early_flush_done: Send ``flush_done`` before the flushed text's audio instead of behind it.
        unasked_flush_done: With a buffer delay of 0, every transcript counts as flushed.
        timestamps_restart: Timestamps begin at 0 again after a flush.
        strict_fields: Refuse another voice, model, language or format in mid-context (never minded without words).
        strict_context_ids: Refuse context ids with other characters than letters, digits, ``_`` and ``-``.
        pings_keep_open: Pings count as messages for ``idle_timeout``.

    Raises:
        ImportError: ``engine="espeak"`` without the package that brings it.
        ValueError: A number out of range.

    Threads: every method may be called by any thread. ``start`` and ``stop`` work once: a stopped server cannot be
    started again, make another.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: Optional[ssl.SSLContext] = None,
        pace: Optional[float] = None,
        faults: Iterable[Fault] = (),
        idle_timeout: Optional[float] = 300.0,
        concurrency_limit: Optional[int] = None,
        expiry: Optional[float] = 1.0,
        engine: str = "auto",
        chunk_bytes: int = 16384,
        api_keys: Optional[Set[str]] = None,
        record: bool = True,
        default_buffer_delay: float = 3.0,
        cancel_stops: bool = True,
        done_after_cancel: bool = False,
        done_at_expiry: bool = True,
        reuse_ended_ids: bool = False,
        flush_id_on_chunks: bool = True,
        early_flush_done: bool = False,
        unasked_flush_done: bool = False,
        timestamps_restart: bool = False,
        strict_fields: bool = True,
        strict_context_ids: bool = True,
        pings_keep_open: bool = False,
    ) -> None:
        self._options = ServerOptions(
            pace=pace,
            idle_timeout=idle_timeout,
            concurrency_limit=concurrency_limit,
            expiry=expiry,
            chunk_bytes=chunk_bytes,
            default_buffer_delay=default_buffer_delay,
            cancel_stops=cancel_stops,
            done_after_cancel=done_after_cancel,
            done_at_expiry=done_at_expiry,
            reuse_ended_ids=reuse_ended_ids,
            flush_id_on_chunks=flush_id_on_chunks,
            early_flush_done=early_flush_done,
            unasked_flush_done=unasked_flush_done,
            timestamps_restart=timestamps_restart,
            strict_fields=strict_fields,
            strict_context_ids=strict_context_ids,
            pings_keep_open=pings_keep_open,
        )
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be 0 to 65535; got {port}")
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._recorder = Recorder(record=record)
        self._fault_plan = FaultPlan(faults)
        self._speaker = Speaker(engine)
        self._thread = threading.Thread(
            target=self._run,
            name=f"cartesia-sync-local-server-{next(_numbers)}",
            daemon=True,  # a server that was forgotten does not hold the interpreter
        )
        # Guards which of start and stop has been called.
        self._life_lock = threading.Lock()
        self._started = False
        self._stopped = False
        # Written by the server's thread before _ready is set, and never again.
        self._ready = threading.Event()
        self._failure: Optional[BaseException] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._app: Optional[App] = None
        self._stop_asked: Optional[asyncio.Event] = None

    # ---- life

    def start(self) -> LocalServer:
        """Start listening. Returns the server itself, once clients can connect.

        Raises:
            OSError: The address cannot be listened on.
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
        return self

    def stop(self) -> None:
        """Close every connection (code 1001), the port, the thread, and the speech process. Idempotent.

        Threads: any but the server's own. Returns when all is gone: usually in milliseconds, after half a second if a
        peer does not answer, after the sentence in work if one is being spoken.

        Raises:
            RuntimeError: The thread did not end within 15 seconds.
        """
        with self._life_lock:
            self._stopped = True
            started = self._started
        if not started:
            self._speaker.close()
            return
        self._ready.wait()
        if self._loop is not None and self._stop_asked is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop_asked.set)
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
        return self._host

    @property
    def port(self) -> int:
        """The port it listens on; 0 before ``start`` unless one was given."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL for HTTP, or for HTTPS if it speaks TLS."""
        return f"{'https' if self._ssl_context else 'http'}://{self._authority}"

    @property
    def websocket_url(self) -> str:
        """The base URL for WebSockets, without a path."""
        return f"{'wss' if self._ssl_context else 'ws'}://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

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

    def wait_for(self, condition: Callable[[LocalServer], bool], timeout: float) -> None:
        """Block until the condition holds.

        Args:
            condition: Is asked at once, and again after each request, handshake, message, opened and closed connection.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It did not hold in time.
        """
        self._recorder.wait_for(lambda: condition(self), timeout)

    # ---- what is to go wrong

    def inject(self, *faults: Fault) -> None:
        """Add faults, behind those that are there already."""
        self._fault_plan.add(faults)

    def clear_faults(self) -> None:
        """Forget all faults. Delays, holds and extra fields end; what else has struck is not undone."""
        self._fault_plan.clear()

    def drop_connections(self, code: Optional[int] = None, reason: str = "", reset: bool = False) -> None:
        """End every open WebSocket connection now. Returns when the bytes that say so have been handed to the system.

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
        except BaseException as exc:  # whatever it was: start() waits, and raises it
            if self._ready.is_set():
                raise
            self._failure = exc
        finally:
            self._speaker.close()
            self._ready.set()

    async def _serve(self) -> None:
        app = App(self._options, self._recorder, self._fault_plan, self._speaker, self._api_keys)
        runner = web.AppRunner(
            app.application(),
            access_log=None,
            # Otherwise nobody would tell a connection that its peer has gone while it does not read.
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        loop = asyncio.get_running_loop()
        try:
            assert runner.server is not None
            listener = await loop.create_server(runner.server, self._host, self._port, ssl=self._ssl_context)
            self._port = listener.sockets[0].getsockname()[1]
            self._loop, self._app = loop, app
            self._stop_asked = asyncio.Event()
            self._ready.set()
            await self._stop_asked.wait()
            await _stop_accepting(listener)
            await app.close()
        finally:
            assert runner.server is not None
            transports = [peer.transport for peer in runner.server.connections if peer.transport is not None]
            await runner.cleanup()
            for transport in transports:
                transport.abort()  # one that speaks TLS would else wait for its peer's goodbye
            await _let_others_run()  # transports that were closed let go of their sockets


async def _stop_accepting(listener: asyncio.Server) -> None:
    """Close a listener, and lose no connection that is being accepted.

    asyncio forgets a connection that was accepted in the very round in which its listener was closed, and leaves its
    socket open. So: first accept no more, then let what was accepted become known, and only then close.
    """
    loop = asyncio.get_running_loop()
    for listening in listener.sockets:
        with contextlib.suppress(NotImplementedError):  # the loop of Windows has no readers, and no such flaw
            loop.remove_reader(listening.fileno())
    await _let_others_run()
    listener.close()


async def _let_others_run() -> None:
    """Give the loop a few rounds: asyncio makes and unmakes a connection in steps, one a round."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)  # no wait: one round of the loop
