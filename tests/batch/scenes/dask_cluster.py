"""A batch on a Dask cluster of two processes, by the command; one of them is killed in the middle.

``python dask_cluster.py URL FOLDER``. Prints what the command said, and a JSON object.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import dask
from distributed import LocalCluster

from cartesia_sync import cli

TEXTS = 120


def main() -> None:
    url, folder = sys.argv[1:]
    os.environ.update(CARTESIA_API_KEY="x", CARTESIA_BASE_URL=url)
    texts = Path(folder).parent / "texts.txt"
    texts.write_text("".join(f"Text number {number}.\n" for number in range(TEXTS)))
    # After a worker's death its slots come back after half a minute by default.
    dask.config.set(
        {
            "distributed.scheduler.locks.lease-timeout": "4s",
            "distributed.scheduler.locks.lease-validation-interval": "1s",
        }
    )
    with LocalCluster(n_workers=2, threads_per_worker=4, processes=True, dashboard_address=None) as cluster:
        killed: list[int] = []

        def kill() -> None:
            """Kill a worker once there are files."""
            while len(list(Path(folder).glob("*.wav"))) < 10:
                if ended.wait(0.01):
                    return
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

        ended = threading.Event()
        killer = threading.Thread(target=kill)
        killer.start()
        workers = len(cluster.workers)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = cli.main(
                [
                    "batch",
                    str(texts),
                    folder,
                    "--json",
                    *("--sample-rate", "8000", "--limit", "3", "--attempts", "9"),
                    *("--executor", f"dask={cluster.scheduler_address}"),
                ]
            )
        ended.set()
        killer.join()
        summary = json.loads(said.getvalue().splitlines()[-1])
        found = {key: summary[key] for key in ("done", "failed", "elapsed", "refused")}
        print(json.dumps({**found, "workers": workers, "killed": len(killed), "status": status}), flush=True)


if __name__ == "__main__":
    main()
