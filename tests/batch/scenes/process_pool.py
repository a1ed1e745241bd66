"""A batch by a pool of two spawned processes, in a process of its own: such a pool leaves a pipe and semaphores behind.

``python process_pool.py WAY URL FOLDER``, where the way is ``speak``, ``shared``, or ``kill``, which kills a worker in
the middle. Prints a JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from cartesia_sync import BatchStoppedError, Cartesia, batch

TEXTS = [f"Text {number}." for number in range(40)]
OPTIONS: Any = {
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}


def main() -> None:
    way, url, folder = sys.argv[1:]
    killed: list[int] = []
    words = ""
    with (
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor,
        Cartesia(api_key="x", base_url=url, limit=4) as client,
    ):

        def kill(progress: batch.Progress) -> None:
            if way == "kill" and progress.report.done == 5 and not killed:
                killed.append(next(iter(executor._processes)))
                os.kill(killed[0], signal.SIGKILL)

        items = [*TEXTS, TEXTS[1], {"text": "Not this.", "voice": "00000000-0000-4000-8000-000000000000"}]
        try:
            report = batch.run(
                client,
                items,
                folder,
                executor=executor,
                shared_folder=way == "shared",
                on_progress=kill,
                **OPTIONS,
            )
        except BatchStoppedError as error:
            report, words = error.report, str(error)
    failed = [failure.error for failure in report.failed]
    print(json.dumps({"done": report.done, "copied": report.copied, "failed": failed, "words": words}), flush=True)


if __name__ == "__main__":
    main()
