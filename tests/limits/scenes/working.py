"""A process that works behind a limit: ``working.py PORT NAME THREADS SECONDS LIMIT``.

LIMIT is an expression over the limits of the package. Each thread works without end, so many seconds at a time, until
standard input is closed. Other scenes are named instead of a number of threads.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from cartesia_sync.errors import LimitError
from cartesia_sync.limits import Learned, Redis, SameMachine
from tests.support.judge import Worker

PORT, NAME, THREADS, SECONDS, LIMIT = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5]


def skew(seconds: float) -> None:
    """Have this process's clock wrong by so much."""
    true = time.time
    time.time = lambda: true() + seconds


limit = eval(LIMIT)
_ = (Learned, Redis, SameMachine)
is_over = threading.Event()


def work() -> None:
    worker = Worker(PORT, NAME)
    while not is_over.is_set():
        try:
            slot = limit.gate.acquire(0.5)
        except LimitError as error:
            print("refused", type(error).__name__, flush=True)
            is_over.wait(0.1)
            continue
        if slot is None:
            continue
        worker.begin()
        is_over.wait(SECONDS)
        worker.end()
        slot.release()
    worker.close()


def run(threads: int) -> None:
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for thread in workers:
        thread.start()
    print("working", flush=True)
    sys.stdin.read()
    is_over.set()
    for thread in workers:
        thread.join()
    print("in use", limit.in_use, "waiting", limit.waiting, flush=True)


def fork() -> None:
    """Take all slots; have a child that lives on, does not use the limit, and releases what it inherited."""
    slots = []
    while True:
        slot = limit.gate.acquire(timeout=0)
        if slot is None:
            break
        slots.append(slot)
    worker = Worker(PORT, NAME)
    for _ in slots:
        worker.begin()
    if os.fork() == 0:
        for slot in slots:
            slot.release()
        worker.close()
        print("forked", len(slots), flush=True)
        sys.stdin.read()
        os._exit(0)
    os.wait()


if THREADS == "fork":
    fork()
else:
    run(int(THREADS))
