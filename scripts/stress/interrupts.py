"""Interrupt threads that speak, with real signals and as time limits do, until it would show.

    .venv/bin/python scripts/stress/interrupts.py [--interrupts 5000] [--threads 3] [--seed N]

The main thread is struck by a timer's signal, whose handler raises or calls cancel(); the others by
``PyThreadState_SetAsyncExc``. All share one connection to a small service in a process of its own, whose audio is a
function of the text, and which tells what it has heard of each context. One that is struck goes on: it pushes what
``context.transcripts`` says has not left, and asks again. The next interrupt comes when the last was caught.

Status 0: nothing hung, no byte was wrong, no text was heard twice, and no lock stayed taken. On Python 3.9 there are
places that nothing in Python can make safe, ``with`` among them; there it counts and reports, and the status is 0.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import faulthandler
import hashlib
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cartesia_sync import Cartesia, CartesiaError, Timeout

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
BOUND = 30.0  # seconds in which a context ends, whatever strikes
IS_SAFE = sys.version_info >= (3, 10)

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Struck(BaseException):  # what has happened
    """What is raised from outside."""


def audio_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest() * 40


# ---- the service


async def serve() -> None:
    import asyncio
    import contextlib

    from aiohttp import web

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        heard: dict[str, list[str]] = {}
        async for message in socket:
            fields = json.loads(message.data)
            context_id = fields["context_id"]
            if fields.get("cancel"):
                continue
            heard.setdefault(context_id, []).append(fields["transcript"])
            data = base64.b64encode(audio_of(fields["transcript"])).decode()
            events: list[dict[str, Any]] = [{"type": "chunk", "data": data}]
            if not fields["continue"]:
                events += [{"type": "heard", "texts": heard.pop(context_id)}, {"type": "done", "done": True}]
            with contextlib.suppress(ConnectionError):
                for event in events:
                    await socket.send_str(json.dumps({**event, "context_id": context_id}))
        return socket

    app = web.Application()
    app.router.add_get("/tts/websocket", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# ---- the threads


class Worker:
    """Speaks one context after the other. ``may_strike`` is true while an interrupt is welcome."""

    def __init__(self, connection: Any, name: str, seed: int, stop: threading.Event) -> None:
        self._connection = connection
        self._name = name
        self._random = random.Random(seed)
        self._stop = stop
        self.thread = 0
        self.may_strike = False
        self.context: Any = None
        self.interrupts = self.contexts = self.wrong = self.twice = 0
        self.errors: list[str] = []

    def run(self) -> None:
        self.thread = threading.get_ident()
        for number in itertools.count():
            if self._stop.is_set():
                return
            if self._name == "main":
                faulthandler.dump_traceback_later(BOUND, exit=True)
            self._speak(number)
            self.contexts += 1

    def _speak(self, number: int) -> None:
        texts = [f"{self._name} {number}.{part} " for part in range(3)]
        events: list[Any] = []
        is_struck = True
        self.context = None
        while is_struck:
            is_struck = False
            try:
                self.may_strike = True
                self._speak_on(texts, events)
                self.may_strike = False
            except Struck:
                self.may_strike = False
                self.interrupts += 1
                is_struck = True
            except CartesiaError as error:
                self.may_strike = False
                if not self.context._channel.is_cancel_requested:
                    self.errors.append(repr(error))
        if self.context._channel.is_cancel_requested:  # by the handler
            return
        audio = b"".join(event.audio for event in events if event.type == "chunk")
        heard = [event.fields["texts"] for event in events if event.type == "heard"]
        self.wrong += audio != b"".join(map(audio_of, texts))
        self.twice += heard != [texts]

    def _speak_on(self, texts: list[str], events: list[Any]) -> None:
        if self.context is None:
            self.context = self._connection.context(voice="v", model_id="m", output_format=FORMAT)
        context = self.context
        for part in range(len(context.transcripts), len(texts)):
            context.push(texts[part], continue_=part < len(texts) - 1)
        events.extend(context.receive())  # stored by C code


def torment(workers: list[Worker], stop: threading.Event, seed: int) -> None:
    """Strike the threads that are not the main one."""
    rng = random.Random(seed)
    while not stop.wait(rng.uniform(0.0002, 0.003)):  # the pause between two strikes
        worker = rng.choice(workers)
        if worker.may_strike:
            worker.may_strike = False  # until it was caught
            _raise_in(worker.thread, Struck)


def locks_left(connection: Any) -> list[str]:
    """Name the locks that cannot be had by another thread, now that nobody is at work."""
    link = connection._link
    wire = link._wire
    locks = {"Registry.lock": link.registry.lock, "_connect_lock": link._connect_lock._lock}
    locks["_receiving"] = connection._receiving._lock
    if wire is not None:
        locks["_io_lock"] = wire._duplex._io_lock

    def is_free(lock: Any) -> bool:
        if not lock.acquire(timeout=5):
            return False
        lock.release()
        return True

    with ThreadPoolExecutor(1) as pool:
        return [name for name, lock in locks.items() if not pool.submit(is_free, lock).result()]


def main() -> int:
    parser = argparse.ArgumentParser(description="Interrupts threads that speak.")
    parser.add_argument("--interrupts", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=3, help="beside the main thread")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        import asyncio

        asyncio.run(serve())
        return 0
    service = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    assert service.stdin is not None
    client = Cartesia(api_key="k", base_url=f"http://127.0.0.1:{service.stdout.readline().strip()}")
    connection = client.tts.websocket_connect(timeout=Timeout(first_event=BOUND, gap=BOUND)).enter()
    stop = threading.Event()
    main_worker = Worker(connection, "main", options.seed, stop)
    workers = [Worker(connection, f"t{n}", options.seed + 1 + n, stop) for n in range(options.threads)]
    rng = random.Random(options.seed)
    cancels = 0

    def handle(_signal: int, _frame: Any) -> None:
        nonlocal cancels
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0002, 0.003))
        if sum(worker.interrupts for worker in (main_worker, *workers)) >= options.interrupts:
            stop.set()
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        if not main_worker.may_strike:
            return
        if rng.random() < 0.05 and main_worker.context is not None:
            cancels += 1
            main_worker.context.cancel()
            return
        main_worker.may_strike = False
        raise Struck

    signal.signal(signal.SIGALRM, handle)
    begun = time.monotonic()
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    threads.append(threading.Thread(target=torment, args=(workers, stop, options.seed), daemon=True))
    for thread in threads:
        thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    main_worker.run()
    for thread in threads:
        thread.join(BOUND)
    faulthandler.cancel_dump_traceback_later()
    everybody = (main_worker, *workers)
    hung = sum(thread.is_alive() for thread in threads)
    left = locks_left(connection)
    wrong, twice = sum(worker.wrong for worker in everybody), sum(worker.twice for worker in everybody)
    errors: list[str] = [error for worker in everybody for error in worker.errors]
    print(
        f"Python {sys.version.split()[0]}: {sum(worker.interrupts for worker in everybody)} interrupts "
        f"({main_worker.interrupts} by signals), {cancels} cancels by a handler, "
        f"{sum(worker.contexts for worker in everybody)} contexts, {time.monotonic() - begun:.0f} s; "
        f"hung {hung}, wrong bytes {wrong}, locks left {len(left)}, texts said twice {twice}, errors {len(errors)}"
    )
    for error in errors[:5]:
        print("  ", error[:200])
    if left:
        print("  locks:", ", ".join(left))
    connection.close()
    service.stdin.close()
    service.wait(10)
    return 1 if IS_SAFE and (wrong or twice or hung or left or errors) else 0


if __name__ == "__main__":
    sys.exit(main())
