"""Many texts by 32 threads against a local server, in a process of its own, that lets four speak; prints a table.

``python texts.py TEXTS``. The ideal is the sum of the audio's seconds / pace / slots, of the files that were made.
It is no floor: the local server does not wait out the last chunk of a text, so that short texts can take less. Compare
a row with "semaphore by hand".
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cartesia_sync import Cartesia, RateLimitError
from cartesia_sync.limits import Learned
from cartesia_sync.local import LocalServer

SLOTS, THREADS, PACE, RATE, BOUND = 4, 32, 25, 8000, 300
RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE}
SPOKEN: Any = {"model_id": "sonic-latest", "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b", "output_format": RAW}
WAYS: dict[str, tuple[Any, str]] = {
    "naive": (lambda: None, "w"),
    "semaphore by hand": (lambda: None, "s"),
    "limit=4": (lambda: SLOTS, "w"),
    "Learned(most=32)": (lambda: Learned(most=32), "w"),
    "limit=4, HTTP": (lambda: SLOTS, "h"),
    "limit=4, mixed": (lambda: SLOTS, "wh"),
}


def serve(pipe: Any) -> None:
    with LocalServer(engine="signal", pace=PACE, concurrency_limit=SLOTS) as server:
        pipe.send(server.url)
        pipe.recv()


def measure(url: str, limit: Any, kinds: str, texts: int) -> str:
    slots = threading.Semaphore(SLOTS)
    with Cartesia(api_key="any", base_url=url, limit=limit) as client, client.tts.websocket_connect() as connection:

        def speak(number: int) -> int:
            """Return how many bytes came, or -1 where it was refused."""
            text, kind = f"This is text number {number}, and it is spoken.", kinds[number % len(kinds)]
            try:
                if kind == "h":
                    return len(client.tts.generate(**SPOKEN, transcript=text).read())
                with slots if kind == "s" else contextlib.nullcontext():
                    context = connection.context(**SPOKEN)
                    context.push(text, continue_=False)
                    return len(context.audio())
            except RateLimitError:
                return -1

        begun, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(THREADS) as threads:
            got = list(threads.map(speak, range(texts), timeout=BOUND))
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        whole = [count for count in got if count > 0]
        ideal = sum(whole) / 2 / RATE / PACE / SLOTS
        refused = client.limit.seen_429 if client.limit else texts - len(whole)
    return f"{len(whole):5d} {took:8.2f} {took / ideal if ideal else 0:7.3f} {refused:8d} {cpu:6.2f}"


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    if not ours.poll(60):
        raise SystemExit("the local server did not start within 60 s")
    url = ours.recv()
    print(f"{'':20s} files  seconds x ideal refused  CPU s")
    for name, (limit, kinds) in WAYS.items():
        print(f"{name:20s} {measure(url, limit(), kinds, int(sys.argv[1]))}", flush=True)
    ours.send(None)
    server.join(10)


if __name__ == "__main__":
    main()
