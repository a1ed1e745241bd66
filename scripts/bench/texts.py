"""Many texts by 32 threads against a local server, in a process of its own, that lets four speak; prints JSON.

``python texts.py TEXTS``: a list of rows. ``files`` are those that are whole; ``seconds`` is the wall time, ``ideal``
the sum of the audio's seconds / pace / slots of all texts; ``refused`` counts the 429s of the server, ``cpu_s`` is this
process's. The ideal is no floor: the local server does not wait out the last chunk of a text. The official client's
rows are its async one: all texts at once behind ``asyncio.Semaphore(4)``, and behind one of 32, as where nobody knows
the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cartesia

from cartesia_sync import Cartesia, RateLimitError
from cartesia_sync.limits import Learned

SLOTS, THREADS, PACE, RATE, BOUND = 4, 32, 25, 8000, 300
RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE}
SPOKEN: Any = {"model_id": "sonic-latest", "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b", "output_format": RAW}
TEXT = "This is text number {}, and it is spoken."
WAYS: dict[str, tuple[Any, str]] = {
    "naive": (None, "w"),
    "ThreadPoolExecutor and Semaphore(4)": (None, "s"),
    "limit=4": (lambda: SLOTS, "w"),
    "limit=4, HTTP": (lambda: SLOTS, "h"),
    "limit=4, mixed": (lambda: SLOTS, "wh"),
    "Learned(most=32)": (lambda: Learned(most=THREADS), "w"),
    "Learned(most=32), mixed": (lambda: Learned(most=THREADS), "wh"),
    "official async, Semaphore(4)": (None, "a4"),
    "official async, Semaphore(32)": (None, "a32"),
}
"""A limit, and how the texts are spoken in turns: w a context, s that behind a semaphore of one's own, h over HTTP."""


def serve(pipe: Any) -> None:
    from tests.support.counting import counting

    with counting(pace=PACE, concurrency_limit=SLOTS, record=False) as (server, count):
        pipe.send(server.url)
        while pipe.recv():
            pipe.send(count.refused)


def measure(url: str, kinds: str, limit: Any, texts: int) -> list[int]:
    """Return how many bytes of each text came, or -1 where it was refused."""
    slots = threading.Semaphore(SLOTS)
    with Cartesia(api_key="any", base_url=url, limit=limit) as client, client.tts.websocket_connect() as connection:

        def speak(number: int) -> int:
            text, kind = TEXT.format(number), kinds[number % len(kinds)]
            try:
                if kind == "h":
                    return len(client.tts.generate(**SPOKEN, transcript=text).read())
                with slots if kind == "s" else contextlib.nullcontext():
                    context = connection.context(**SPOKEN)
                    context.push(text, continue_=False)
                    return len(context.audio())
            except RateLimitError:
                return -1

        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(speak, range(texts), timeout=BOUND))


def measure_official(url: str, slots: int, texts: int) -> list[int]:
    """Do the same with the official async client."""
    how: Any = {**SPOKEN, "voice": {"mode": "id", "id": SPOKEN["voice"]}}

    async def speak(connection: Any, gate: asyncio.Semaphore, number: int) -> int:
        count = 0
        async with gate:
            context = connection.context(**how)
            await context.push(TEXT.format(number))
            await context.no_more_inputs()
            async for event in context.receive():
                if event.type == "error":
                    return -1
                count += len(event.audio or b"") if event.type == "chunk" else 0
        return count

    async def speak_all() -> list[int]:
        client = cartesia.AsyncCartesia(api_key="any", websocket_base_url=url.replace("http", "ws", 1))
        async with client, client.tts.websocket_connect() as connection:
            gate = asyncio.Semaphore(slots)
            return await asyncio.gather(*(speak(connection, gate, number) for number in range(texts)))

    return asyncio.run(asyncio.wait_for(speak_all(), BOUND))


def main() -> None:
    texts = int(sys.argv[1])
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    if not ours.poll(60):
        raise SystemExit("the local server did not start within 60 s")
    url, rows, whole_bytes = ours.recv(), [], 0
    for name, (limit, kinds) in WAYS.items():
        print(f"... {name}", file=sys.stderr, flush=True)
        ours.send("count")
        refused = ours.recv()
        begun, cpu = time.perf_counter(), time.process_time()
        if kinds.startswith("a"):
            got = measure_official(url, int(kinds[1:]), texts)
        else:
            got = measure(url, kinds, None if limit is None else limit(), texts)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        ours.send("count")
        whole = [count for count in got if count > 0]
        whole_bytes = max(whole_bytes, sum(whole))
        rows.append(
            {
                "way": name,
                "texts": texts,
                "files": len(whole),
                "seconds": seconds,
                "refused": ours.recv() - refused,
                "cpu_s": cpu,
            }
        )
    for row in rows:  # of all texts: the naive one has few of them
        row["ideal"] = whole_bytes / 2 / RATE / PACE / SLOTS
    print(json.dumps(rows))
    ours.send(None)
    server.join(10)


if __name__ == "__main__":
    main()
