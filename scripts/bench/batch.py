"""Texts of one short line each to files, by a batch in one process; prints a JSON object.

``python batch.py URL ITEMS [MS]``. The server answers each text after so many milliseconds (60), and 15 are spoken at
once, so that the limit allows 250 a second. CPU time is of this process, from the first item that is read to the end;
the peak is its whole memory.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cartesia_sync import Cartesia, batch

SLOTS, AUDIO_BYTES = 15, 8192
AFTER_MS = float(sys.argv[3]) if len(sys.argv) > 3 else 60.0
RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}


def texts(count: int) -> Iterator[str]:
    for number in range(count):
        yield json.dumps({"chunks": 1, "audio_bytes": AUDIO_BYTES, "after_ms": AFTER_MS, "name": str(number)})


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    http = url.replace("ws://", "http://")
    with (
        tempfile.TemporaryDirectory() as folder,
        Cartesia(api_key="any", base_url=http, limit=SLOTS) as client,
    ):
        begun, cpu = time.perf_counter(), time.process_time()
        voice = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
        report = batch.run(client, texts(count), folder, voice=voice, output_format=RAW)
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # before we look at all files ourselves
        if (report.done, report.failed) != (count, []):
            raise SystemExit(f"{report.done} of {count} were done")
        depth = max(len(path.relative_to(folder).parts) for path in Path(folder).rglob("*.wav"))
    print(
        json.dumps(
            {
                "peak_mib": peak / 1024,
                "cpu_ms": cpu / count * 1e3,
                "items_per_s": count / report.elapsed,
                "of_the_limit": count / report.elapsed / (SLOTS / AFTER_MS * 1e3),
                "planned_ms": (took - report.elapsed) / count * 1e3,
                "folders": depth - 1,
            }
        )
    )


main()
