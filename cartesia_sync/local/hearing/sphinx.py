"""The recognizer for what the server did not speak itself: PocketSphinx in a process of its own, if it is installed.

It comes with the extra ``recognise``; its English model is inside the package. It is rough: it hears common words, in
lower case and without punctuation.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..voice import sound
from ..voice.timing import Timed

if TYPE_CHECKING:
    from .analysis import Samples

__all__ = ["Recogniser"]

RATE_HZ = 16000
_LENGTH = struct.Struct(">I")


class Recogniser:
    """Hears English, one recording after the other, in a process that starts with the first.

    Threads: any; ``_lock`` is held while the process works, by threads that have nothing else to do. ``close`` may be
    called by any, and ends a wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._is_closed = False
        self._has_warned = False

    def recognise(self, samples: Samples, rate_hz: int) -> list[Timed]:
        """Return the words that are heard; none where the package is not there, of which stderr tells once."""
        spec = importlib.util.find_spec("pocketsphinx")
        if spec is None or not spec.origin:
            self._warn("pocketsphinx is not installed: pip install 'cartesia-sync[recognise]'")
            return []
        audio = sound.encode(sound.resample(samples, RATE_HZ, rate_hz), "pcm_s16le")
        try:
            with self._lock:
                answer = self._ask(audio, str(Path(spec.origin).parent.parent))
        except (OSError, EOFError, ValueError) as exc:
            self._warn(f"the recognizer's process failed: {exc}")
            return []
        return [Timed(word, start, end) for word, start, end in answer]

    def _ask(self, audio: bytes, folder: str) -> list[tuple[str, float, float]]:
        process = self._process
        if process is None or process.poll() is not None:
            if self._has_stopped():
                raise EOFError("the server has stopped")
            program = str(Path(__file__).with_name("sphinx_worker.py"))
            process = self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", program, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=os.name == "posix",  # so that Ctrl-C in the terminal does not reach it
            )
            if self._has_stopped():  # meanwhile: either this sees it, or close() sees the process
                process.kill()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(_LENGTH.pack(len(audio)) + audio)
        process.stdin.flush()
        head = process.stdout.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise EOFError("it ended")
        found: list[tuple[str, float, float]] = json.loads(process.stdout.read(_LENGTH.unpack(head)[0]))
        return found

    def _has_stopped(self) -> bool:
        return self._is_closed  # by another thread, at any time

    def _warn(self, why: str) -> None:
        if not self._has_warned and not self._is_closed:
            self._has_warned = True
            print(
                f"cartesia_sync.local: what the server did not speak itself is not recognized ({why})", file=sys.stderr
            )

    def close(self) -> None:
        """End the process. Idempotent."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()  # whoever waits for it wakes, and gives the lock back
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # closing stdin tries to flush its buffer
