"""The demo, interrupted at its first audio while its threads are slow to end; says how many files it leaves behind."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from cartesia_sync.audio import wav

SLOW_SECONDS = 0.5
interrupted, left = threading.Lock(), threading.Event()


class SlowWriter(wav.WavWriter):
    def write(self, audio: wav.Buffer) -> None:
        super().write(audio)
        if interrupted.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)

    def __exit__(self, *reason: Any) -> None:
        left.wait(SLOW_SECONDS)  # runs out where the main thread waits for this one
        super().__exit__(*reason)


wav.WavWriter = SlowWriter  # type: ignore[misc]  # what the demo imports
demo, folder = runpy.run_path(sys.argv[1]), Path(sys.argv[2])
try:
    demo["main"](folder)
except KeyboardInterrupt:
    print(len(list(folder.iterdir())), flush=True)
left.set()
