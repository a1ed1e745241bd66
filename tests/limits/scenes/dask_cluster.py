"""A semaphore of a Dask cluster as a limit, in a process of its own: a cluster leaves threads and sockets behind."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from concurrent.futures import ThreadPoolExecutor

from distributed import Client, LocalCluster, Semaphore

from cartesia_sync.limits.limit import gate_of

BOUND = 20.0


def main() -> None:
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(protocol="tcp", **options) as cluster, Client(cluster):
        mine, others = (Semaphore(max_leases=2, name="cartesia") for _ in range(2))
        gate = gate_of(mine)
        one, two = gate.acquire(BOUND), gate.acquire(BOUND)
        assert one
        assert two
        assert others.acquire(timeout=0.1) is False
        assert gate.acquire(timeout=0.3) is None
        one.release()
        assert others.acquire(timeout=BOUND)  # given back by a thread of the gate's

        most, now, lock = 0, 0, threading.Lock()

        def work() -> None:
            nonlocal most, now
            slot = gate.acquire(BOUND)
            assert slot
            with lock:
                now += 1
                most = max(most, now)
            with lock:
                now -= 1
            slot.release()

        with ThreadPoolExecutor(8) as threads:
            waiting = [threads.submit(work) for _ in range(16)]
            two.release()
            for future in waiting:
                future.result(BOUND)
        others.release()
        last = [gate.acquire(BOUND), gate.acquire(BOUND)]
        assert all(last)
        for slot in last:
            assert slot
            slot.release()
        deadline = time.monotonic() + BOUND
        while mine.get_value():  # they are given back by a thread of the gate's
            assert time.monotonic() < deadline
            time.sleep(0.01)
        print(f"at most {most}; {gate}", flush=True)


main()
