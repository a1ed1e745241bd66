"""Many threads use a few connections for long, while contexts and connections end in every way; then all is counted.

    .venv/bin/python scripts/stress/soak.py [--contexts 20000] [--minutes M] [--seed N] [--server stub|local]
        [--limit N|learned|redis://HOST:PORT/0] [--json]

The stub is a small server in a process of its own whose audio is a function of context id and text, so that every
byte is checked without speech. The local server runs in this process; its audio is recorded once, before the storm.
Status 0: nothing was wrong, hung or left over, and memory did not grow. Ctrl-C prints what was counted so far.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import contextlib
import faulthandler
import gc
import hashlib
import itertools
import json
import math
import os
import queue
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from aiohttp import web

from cartesia_sync import Cartesia, Timeout, TruncatedError
from cartesia_sync.errors import ContextFacts, ContextStateError, MailboxFullError
from cartesia_sync.limits import Learned, Redis
from cartesia_sync.limits.gate import Gate
from cartesia_sync.local import LocalServer, faults
from cartesia_sync.protocol.events import Event
from cartesia_sync.streaming.channel import Channel
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.context import Context

SPOKEN: dict[str, Any] = {
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}
SENTENCES = ("One. ", "Two and two are four. ", "The quick brown fox jumps over the lazy dog. ", "Jugs! ", "Is it so? ")
SCRIPTS = [tuple(random.Random(n).choices(SENTENCES, k=1 + n % 4)) for n in range(12)]
QUOTA = "quota_exceeded"  # for which no client waits
TIMEOUT = Timeout(connect=15.0, write=15.0, first_event=40.0, gap=40.0)  # only a context that is to may meet these
WARM_UP = 0.1  # of the run; then the memory is measured for the first time
BOUND = 10.0  # seconds in which whatever is to end at the end ends


@dataclass(frozen=True)
class Kind:
    """A way for a context to go: how often, what the server is ordered to do, and which ends are right.

    A lost connection is right for all: what is ordered for one context ends its neighbours too.
    """

    weight: float
    order: str = ""
    ends: tuple[str, ...] = ("whole",)  # and the names of exceptions
    settings: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "plain": Kind(40),
    "audio": Kind(12),
    "speak": Kind(10),
    "slow": Kind(3, "", ("whole", "MailboxFullError"), {"max_queued_bytes": 4000}),
    "cancel": Kind(8, "late", ("whole", "cancelled")),
    "cancel elsewhere": Kind(8, "late", ("whole", "cancelled")),
    "drop": Kind(3, "late", ("cancelled",)),
    # A server that has fallen silent may also refuse the text that comes then.
    "silent": Kind(
        4,
        "silence",
        ("FirstEventTimeoutError", "GapTimeoutError", "BadRequestError"),
        {"timeout": 0.1, "first_event_timeout": 0.2},
    ),
    "endless": Kind(2, "silence", ("ContextTimeoutError", "BadRequestError"), {"whole_timeout": 0.2}),
    "refused": Kind(3, "error", ("RateLimitError",)),
    "spoiled": Kind(2, "garbage", ("MalformedEventError",)),
    "early": Kind(1, "early", ("UnfinishedError",)),
    "replay": Kind(1.5, "reset", settings={"on_disconnect": "replay"}),
    "close": Kind(0.6, "close", ()),
    "reset": Kind(0.6, "reset", ()),
    "eof": Kind(0.4, "eof", ()),
    "rubbish": Kind(0.4, "rubbish", ()),
    "reconnect": Kind(0.5),
    "abandon": Kind(0.5),
}
LOST = ("TruncatedError", "WebSocketConnectionClosedError", "InternalServerError")  # the last: refused thrice, by 503


# ---- the stub


def stub_audio(context_id: str, number: int, text: str) -> bytes:
    seed = f"{context_id}/{number}/{text}".encode()
    return hashlib.shake_128(seed).digest(1 + sum(seed) * 7919 % 30_000) if text else b""


@dataclass
class Spoken:
    """One context of the stub."""

    id: str
    order: str
    said: asyncio.Queue[dict[str, Any]]
    is_cancelled: bool = False


class Stub:
    """Speaks the protocol as far as the client needs it, mixes contexts, and makes trouble by order and at random."""

    def __init__(self, seed: int, spoil: str) -> None:
        self._random = random.Random(seed)
        self._spoil = spoil
        self._opened = itertools.count(1)
        self._struck: set[str] = set()  # a context that is said again is spared

    async def run(self) -> None:
        app = web.Application()
        app.router.add_get("/tts/websocket", self._talk)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until our parent is done, or gone
        os._exit(0)

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        if self._random.random() < 0.02:
            return web.json_response({"title": "Busy", "message": "Come again."}, status=503)
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        contexts: dict[str, Spoken] = {}
        tasks: set[asyncio.Task[None]] = set()
        async for message in ws:
            said = json.loads(message.data)
            context = contexts.get(said["context_id"])
            if context is None:
                if said.get("cancel"):
                    continue
                context = Spoken(said["context_id"], said.get("order", ""), asyncio.Queue())
                contexts[context.id] = context
                tasks.add(asyncio.create_task(self._speak(ws, request, context)))
            context.is_cancelled |= said.get("cancel", False)
            context.said.put_nowait(said)
            tasks = {task for task in tasks if not task.done()}
        for task in tasks:
            task.cancel()
        return ws

    async def _speak(self, ws: web.WebSocketResponse, request: web.Request, context: Spoken) -> None:
        what, _, after = context.order.partition(":")
        spoil = self._spoil if next(self._opened) > 20 else ""
        with contextlib.suppress(ConnectionError, RuntimeError):  # another context's order has ended the connection
            sent = 0
            async for event in self._events(context):
                if context.is_cancelled:
                    break
                if what and sent == int(after) and context.id not in self._struck:
                    self._struck.add(context.id)
                    await self._strike(ws, request, context.id, what)
                    return
                if spoil == "silence":
                    return
                if spoil == "byte" and "data" in event:
                    event["data"] = base64.b64encode(b"\0" + base64.b64decode(event["data"])).decode()
                await self._disturb(ws)
                await ws.send_json(event)
                sent += 1
            if context.is_cancelled:
                for _ in range(self._random.randrange(4)):
                    await ws.send_json(_chunk(context.id, b"late"))
                if self._random.random() < 0.5:
                    await ws.send_json(_done(context.id))

    async def _events(self, context: Spoken) -> AsyncIterator[dict[str, Any]]:
        for number in itertools.count():
            said = await context.said.get()
            rest = stub_audio(context.id, number, said.get("transcript", ""))
            while rest:
                size = self._random.randint(1, 8192)
                yield _chunk(context.id, rest[:size])
                rest = rest[size:]
                await asyncio.sleep(0)  # another context's turn
            if not said.get("continue"):
                yield _done(context.id)
                return

    async def _strike(self, ws: web.WebSocketResponse, request: web.Request, context_id: str, what: str) -> None:
        transport = request.transport
        if what == "error":
            error = {"type": "error", "status_code": 429, "error_code": QUOTA, "message": context_id}
            await ws.send_json({**_done(context_id), **error})
        elif what == "garbage":
            await ws.send_json({**_chunk(context_id, b""), "data": 1})
        elif what == "early":
            await ws.send_json(_done(context_id))
        elif what == "rubbish":
            await self._send_rubbish(ws)
        elif what == "close":
            await ws.close(code=self._random.choice([1000, 1001, 1011]))
        elif what == "eof" and transport is not None:
            transport.write_eof()
        elif what == "reset" and transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    async def _send_rubbish(self, ws: web.WebSocketResponse) -> None:
        """Send what nobody can attribute."""
        form = self._random.randrange(3)
        if form == 0:
            await ws.send_str('{"type": "chunk", "data"')
        elif form == 1:
            await ws.send_bytes(b"audio")
        else:
            await ws.send_json({"type": "chunk", "data": "AAAA"})

    async def _disturb(self, ws: web.WebSocketResponse) -> None:
        """Now and then send what concerns no context, or is not known."""
        chance = self._random.random()
        if chance < 0.004:
            await ws.ping()
        elif chance < 0.008:
            await ws.send_json(_chunk("a-stranger", b"strange"))
        elif chance < 0.012:
            await ws.send_json({"type": "weather", "sky": "blue"})
        elif chance < 0.016:
            await ws.send_json({"type": "error", "done": True, "status_code": 500, "message": "to all"})


def _chunk(context_id: str, audio: bytes) -> dict[str, Any]:
    data = base64.b64encode(audio).decode()
    return {"type": "chunk", "data": data, "done": False, "status_code": 206, "step_time": 1, "context_id": context_id}


def _done(context_id: str) -> dict[str, Any]:
    return {"type": "done", "done": True, "status_code": 206, "context_id": context_id}


class StubServer:
    """The stub in its process, as the storm sees it."""

    def __init__(self, seed: int, spoil: str) -> None:
        command = [sys.executable, __file__, "--be-the-stub", "--seed", str(seed), "--spoil", spoil]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is ours
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def expected(self, context_id: str, pieces: Sequence[str]) -> bytes:
        """Return the audio of a context that is whole."""
        return b"".join(stub_audio(context_id, number, text) for number, text in enumerate(pieces))

    def order(self, _context_id: str, what: str, after: int) -> dict[str, Any]:
        """Have this befall the context, before its event of that number; give fields for the context's messages."""
        return {"order": f"{what}:{after}"} if what and what != "late" else {}  # late it is anyway

    def stop(self) -> None:
        self._process.communicate(timeout=BOUND)


class OwnServer:
    """The local server, as the storm sees it."""

    def __init__(self, engine: str) -> None:
        self._server = LocalServer(engine=engine, record=False, chunk_bytes=4096).start()
        self.url = self._server.url
        with Cartesia(api_key="soak", base_url=self.url).tts.websocket_connect() as connection:
            self._audio = {pieces: self._record(connection, pieces) for pieces in SCRIPTS}

    def _record(self, connection: Connection, pieces: Sequence[str]) -> bytes:
        context = connection.context(**SPOKEN)
        for piece in pieces:
            context.push(piece)
        context.no_more_inputs()
        return context.audio()

    def expected(self, _context_id: str, pieces: Sequence[str]) -> bytes:
        return self._audio[tuple(pieces)]

    def order(self, context_id: str, what: str, after: int) -> dict[str, Any]:
        orders = {
            "late": faults.LateFrames(context_id=context_id),
            "error": faults.ErrorEvent(429, error_code=QUOTA, message=context_id, context_id=context_id, after=after),
            "silence": faults.Unfinished(context_id=context_id, after=after),
            "close": faults.Close(context_id=context_id, after=after),
            "reset": faults.Reset(context_id=context_id, after=after),
            "eof": faults.Eof(context_id=context_id, after=after),
            "rubbish": faults.Garbage(context_id=context_id, after=after),
        }
        if what:
            self._server.inject(orders[what])
        return {}

    def stop(self) -> None:
        self._server.stop()


AnyServer = Union[StubServer, OwnServer]


# ---- the storm


@dataclass
class Summary:
    """What is counted."""

    seed: int
    contexts: int = 0
    whole: int = 0
    cancelled: int = 0
    failed: collections.Counter[str] = field(default_factory=collections.Counter)  # with an error that was expected
    late_events: int = 0
    seconds: float = 0.0
    unexpected: int = 0
    wrong_bytes: int = 0  # contexts with any
    hung: int = 0
    threads_left: int = 0
    descriptors_left: int = 0
    contexts_left: int = 0
    slots_left: int = 0  # of the limit, and of those that were given back twice
    memory_first_mib: float = 0.0
    memory_last_mib: float = 0.0
    memory_may_grow_mib: float = 0.0

    @property
    def is_ok(self) -> bool:
        bad = self.unexpected, self.wrong_bytes, self.hung
        left = self.threads_left, self.descriptors_left, self.contexts_left, self.slots_left
        return not any(bad + left) and self.memory_last_mib <= self.memory_first_mib + self.memory_may_grow_mib

    def lines(self) -> Iterator[str]:
        for name, value in vars(self).items():
            if isinstance(value, collections.Counter):
                value = ", ".join(f"{count} {kind}" for kind, count in value.most_common())
            yield f"{name.replace('_', ' '):20} {f'{value:.1f}' if isinstance(value, float) else value}"
        yield "OK" if self.is_ok else "NOT OK"


class Storm:
    """The threads, the connections that they share, and the count.

    ``_lock`` guards ``summary`` and ``_connections``; it is never held across a wait.
    """

    def __init__(self, server: AnyServer, options: argparse.Namespace) -> None:
        self._server = server
        self._options = options
        client = Cartesia(api_key="soak", base_url=server.url, timeout=TIMEOUT, limit=_limit(options.limit))
        self._gate = client.limit
        self._manager = client.tts.websocket_connect()
        self._weights = {name: kind.weight for name, kind in KINDS.items()}
        if isinstance(server, OwnServer):
            del self._weights["spoiled"], self._weights["early"]  # of these it has none
        self._lock = threading.Lock()
        self.summary = Summary(options.seed, memory_may_grow_mib=options.memory_mib)
        self._connections = [self._manager.enter() for _ in range(options.connections)]
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._to_cancel: queue.SimpleQueue[Optional[Context]] = queue.SimpleQueue()
        self._since: dict[str, float] = {}  # when each busy thread began what it is at; each writes its own
        self._hung: set[str] = set()
        self._canceller = threading.Thread(target=self._cancel_all, name="soak-canceller", daemon=True)
        self._workers = [
            threading.Thread(target=self._work, name=f"soak-{number}", daemon=True)  # one that hangs holds nobody
            for number in range(options.threads)
        ]

    def run(self) -> None:
        """Start all, and watch until all have ended or hang, or until Ctrl-C."""
        started = time.monotonic()
        threading.excepthook = self._note_death
        try:
            for thread in (self._canceller, *self._workers):
                thread.start()
            while busy := self._alive(self._workers):
                busy[0].join(0.2)
                elapsed = time.monotonic() - started
                if elapsed >= self._options.seconds:
                    self._stop.set()
                progress = max(self.summary.contexts / self._options.contexts, elapsed / self._options.seconds)
                if not self.summary.memory_first_mib and progress >= WARM_UP:
                    self.summary.memory_first_mib = _memory_mib()
        finally:
            self._stop.set()
            while busy := self._alive(self._workers):
                busy[0].join(0.2)
            self._to_cancel.put(None)
            while busy := self._alive([self._canceller]):
                busy[0].join(0.2)
            self.summary.seconds = time.monotonic() - started
            self._finish()

    def _alive(self, threads: Iterable[threading.Thread]) -> list[threading.Thread]:
        """Return those that are still to be waited for. Who takes too long over one thing is counted, and shown."""
        late = time.monotonic() - self._options.hang_seconds
        hung = {name for name, since in self._since.copy().items() if since < late} - self._hung
        if hung:
            self._hung |= hung
            self.summary.hung += len(hung)
            print(f"HUNG: {', '.join(sorted(hung))}; all stacks:", file=sys.stderr, flush=True)
            faulthandler.dump_traceback(all_threads=True)
        return [thread for thread in threads if thread.is_alive() and thread.name not in self._hung]

    def _finish(self) -> None:
        """See that each connection still speaks and holds nothing; then close it."""
        gc.collect()  # contexts that exceptions held: the links are told now, and see to it at the next opening
        for slot in range(self._options.connections if not self._hung else 0):
            self._judge("plain", f"last-{slot}", SCRIPTS[0], random.Random(slot), slot)
        self.summary.memory_last_mib = _memory_mib()
        self.summary.memory_first_mib = self.summary.memory_first_mib or self.summary.memory_last_mib
        for connection in self._connections:
            self.summary.contexts_left += len(connection._link.registry._router)
            self.summary.late_events += connection.stats.late_events
            connection.close()
        self._connections.clear()
        if self._gate is not None:
            self.summary.slots_left = _slots_left(self._gate)

    # ---- the storm's threads

    def _work(self) -> None:
        name = threading.current_thread().name
        for number in self._numbers:
            if number >= self._options.contexts or self._stop.is_set():
                return
            dice = random.Random(f"{self._options.seed}/{number}")
            kind = dice.choices([*self._weights], [*self._weights.values()])[0]
            self._since[name] = time.monotonic()
            self._judge(kind, f"soak-{number}", dice.choice(SCRIPTS), dice, dice.randrange(self._options.connections))
            del self._since[name]

    def _note_death(self, args: threading.ExceptHookArgs) -> None:
        """Count an exception that ended a thread, be it ours or the package's."""
        traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
        with self._lock:
            self.summary.unexpected += 1

    def _cancel_all(self) -> None:
        for context in iter(self._to_cancel.get, None):
            self._since["soak-canceller"] = time.monotonic()
            context.cancel(discard=random.random() < 0.5)
            del self._since["soak-canceller"], context

    def _judge(self, name: str, context_id: str, pieces: tuple[str, ...], dice: random.Random, slot: int) -> None:
        """Live one context to its end, and count whether that was right."""
        kind, heard = KINDS[name], bytearray()
        try:
            end = self._live(name, context_id, pieces, dice, slot, heard)
            is_right = end in kind.ends
        except Exception as error:  # what it is decides whether it was right
            end = type(error).__name__
            is_right = end in LOST + kind.ends and _facts_fit(error, context_id, pieces, heard, is_all=name != "audio")
            if not is_right:
                traceback.print_exc()
        expected = self._server.expected(context_id, pieces)
        is_wrong = not expected.startswith(heard) or (end == "whole" and len(heard) != len(expected))
        if is_wrong or not is_right:
            story = f"{name} context {context_id} ended {end} after {len(heard)} of {len(expected)} bytes"
            print(f"WRONG: {story}", file=sys.stderr, flush=True)
        with self._lock:
            summary = self.summary
            summary.contexts += 1
            summary.wrong_bytes += is_wrong
            summary.unexpected += not is_right
            summary.whole += is_right and end == "whole"
            summary.cancelled += is_right and end == "cancelled"
            if is_right and end not in ("whole", "cancelled"):
                summary.failed[end] += 1

    def _live(
        self, name: str, context_id: str, pieces: Sequence[str], dice: random.Random, slot: int, heard: bytearray
    ) -> str:
        """Do with a context what its kind says; give ``whole`` or ``cancelled``."""
        kind = KINDS[name]
        if name in ("reconnect", "abandon"):
            self._replace(slot, close=name == "reconnect")
        with self._lock:
            connection = self._connections[slot]
        context = connection.context(context_id, **SPOKEN, **kind.settings)
        fields = self._server.order(context_id, kind.order, 0 if name in ("early", "replay") else dice.randrange(2))
        if name == "speak":
            return self._hear(context.speak(pieces), heard)
        cancel_at = dice.randrange(len(pieces) + 1) if name == "cancel elsewhere" else -1
        with contextlib.suppress(ContextStateError, TruncatedError):  # receive() tells what became of it
            for number, piece in enumerate(pieces):
                if number == cancel_at:
                    self._to_cancel.put(context)
                if dice.random() < 0.2:
                    self._stop.wait(dice.random() * 0.01)  # thinks
                context.push(piece, continue_=number + 1 < len(pieces) or dice.random() < 0.5, **fields)
            context.no_more_inputs()
        if name == "drop":
            return "cancelled"
        if name in ("audio", "early"):
            heard += context.audio()
            return "whole"
        if cancel_at == len(pieces):
            self._to_cancel.put(context)
        events = context.receive(raise_on_error=True)
        if name == "cancel":
            if self._hear(itertools.islice(events, dice.randrange(4)), heard) == "whole":
                return "whole"
            context.cancel(discard=dice.random() < 0.5)
        return self._hear(events, heard, pause=0.003 if name == "slow" else 0)

    def _hear(self, events: Iterable[Event], heard: bytearray, *, pause: float = 0.0) -> str:
        end = "cancelled"
        for event in events:
            if event.type == "chunk":
                heard += event.audio
            elif event.type == "done":
                end = "whole"
            if pause:
                self._stop.wait(pause)
        return end

    def _replace(self, slot: int, *, close: bool) -> None:
        """Put a new connection in an old one's place; close that, or leave it to those who still hold it."""
        new = self._manager.enter()
        with self._lock:
            old, self._connections[slot] = self._connections[slot], new
            self.summary.late_events += old.stats.late_events
        if close:
            old.close()


def _facts_fit(error: Exception, context_id: str, pieces: Sequence[str], heard: bytearray, *, is_all: bool) -> bool:
    """Whether an exception tells the truth about its context."""
    if isinstance(error, (TruncatedError, MailboxFullError)) and is_all and error.audio_bytes != len(heard):
        return False
    if isinstance(error, ContextFacts):
        return error.context_id == context_id and [*error.transcripts] == [*pieces][: len(error.transcripts)]
    named = getattr(error, "context_id", None) or getattr(getattr(error, "body", None), "context_id", None)
    return named == context_id or type(error).__name__ in LOST


def _limit(text: str) -> Any:
    """Return the limit that an option names."""
    if text.startswith("redis:"):
        return Redis(text, 8, lease=5.0)
    return Learned(most=16) if text == "learned" else int(text) if text else None


def _slots_left(gate: Gate) -> int:
    """Return how many slots somebody has still, or has given back twice."""
    tickets = [gate.acquire(BOUND) for _ in range(gate.allowed or 0)]
    left = sum(ticket is None for ticket in tickets) + abs(gate.in_use - sum(ticket is not None for ticket in tickets))
    for ticket in tickets:
        if ticket is not None:
            ticket.release()
    return left + gate.in_use


def _memory_mib() -> float:
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:  # not Linux: the most that there ever was is what can be had
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


def _descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def _count_left(summary: Summary, descriptors_before: int) -> None:
    deadline = time.monotonic() + BOUND
    gc.collect()  # a connection that was left to nobody ends its reader
    for thread in threading.enumerate():
        if thread.name.startswith("cartesia-sync"):
            thread.join(max(deadline - time.monotonic(), 0))
            summary.threads_left += thread.is_alive()
    gc.collect()  # what those held that have ended just now
    summary.descriptors_left = _descriptors() - descriptors_before
    summary.contexts_left += sum(type(each) is Channel for each in gc.get_objects())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contexts", type=int, help="how many; 20000, or without limit if there are minutes")
    parser.add_argument("--minutes", type=float, help="how long at most")
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats a run's plan; printed")
    parser.add_argument("--server", choices=["stub", "local"], default="stub")
    parser.add_argument("--engine", default="signal", help="of the local server: signal, espeak or auto")
    parser.add_argument("--hang-seconds", type=float, default=90.0, help="a context that takes longer hangs")
    parser.add_argument("--memory-mib", type=float, default=32.0, help="what the memory may grow by after a warm-up")
    parser.add_argument("--limit", default="", help="the client's: a number, learned, or the URL of a Redis")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(
        "--spoil", choices=["", "byte", "silence"], default="", help="have the stub do wrong, to see it found"
    )
    parser.add_argument("--be-the-stub", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.seconds = math.inf if options.minutes is None else options.minutes * 60
    if options.contexts is None:
        options.contexts = 20_000 if options.minutes is None else sys.maxsize
    return options


def main() -> int:
    options = _options()
    if options.be_the_stub:
        asyncio.run(Stub(options.seed, options.spoil).run())
    before = _descriptors()
    is_stub = options.server == "stub"
    server: AnyServer = StubServer(options.seed, options.spoil) if is_stub else OwnServer(options.engine)
    is_interrupted = False
    try:
        storm = Storm(server, options)
        summary = storm.summary
        try:
            print(f"seed {options.seed}", file=sys.stderr, flush=True)
            storm.run()
        except KeyboardInterrupt:
            is_interrupted = True
        del storm
    finally:
        server.stop()
    _count_left(summary, before)
    print(json.dumps({**vars(summary), "ok": summary.is_ok}) if options.json else "\n".join(summary.lines()))
    return 130 if is_interrupted else int(not summary.is_ok)


if __name__ == "__main__":
    sys.exit(main())
