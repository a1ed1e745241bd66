"""What a slot costs on each kind of limit: one thread takes and releases; prints a JSON object.

``python limits.py PAIRS``. The figures are microseconds a pair, the median of five turns: with all slots free, and, for
files, with one of fifteen free. Redis is measured where there is a ``redis-server``.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cartesia_sync.limits import Learned, Redis, SameMachine
from cartesia_sync.limits.gate import Gate
from cartesia_sync.limits.limit import gate_of

SLOTS = 15
TURNS = 5


def pair_us(gate: Gate, pairs: int) -> float:
    taken = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        for _ in range(pairs):
            ticket = gate.acquire()
            assert ticket is not None
            ticket.release()
        taken.append((time.perf_counter() - begun) / pairs * 1e6)
    return statistics.median(taken)


def main() -> None:
    pairs = int(sys.argv[1])
    found: dict[str, Any] = {
        "number_us": pair_us(gate_of(SLOTS), pairs),
        "learned_us": pair_us(Learned(most=SLOTS).gate, pairs),
        "semaphore_us": pair_us(gate_of(threading.Semaphore(SLOTS)), pairs),
    }
    with tempfile.TemporaryDirectory() as folder:
        mine, others = (SameMachine(SLOTS, directory=folder) for _ in range(2))
        found["machine_us"] = pair_us(mine.gate, pairs)
        held = [others.acquire() for _ in range(SLOTS - 1)]
        found["machine_one_free_us"] = pair_us(mine.gate, pairs)
        for ticket in held:
            assert ticket is not None
            ticket.release()
        if shutil.which("redis-server"):
            from tests.support.redis_server import RedisServer

            with RedisServer(Path(folder)) as server:
                found["redis_us"] = pair_us(Redis(server.url, SLOTS).gate, pairs)
    print(json.dumps(found))


main()
