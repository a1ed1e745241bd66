"""Processes that work behind a limit; see ``scenes/working.py``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SCENE = Path(__file__).resolve().parent / "scenes" / "working.py"
BOUND = 20.0


class Process:
    """One of them."""

    def __init__(self, port: int, name: str, threads: object, seconds: float, limit: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(SCENE), str(port), name, str(threads), str(seconds), limit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill this very process; a child of it lives on."""
        self.process.send_signal(number)

    def end(self) -> tuple[str, str]:
        """Have it stop; give the last line that it said, and what it wrote to stderr."""
        output, errors = self.process.communicate(timeout=BOUND)
        return output.strip().rpartition("\n")[2], errors


@contextlib.contextmanager
def working(port: int, names: str, threads: object, seconds: float, limit: str) -> Iterator[list[Process]]:
    """Run one process a letter."""
    with contextlib.ExitStack() as stack:
        processes = []
        for name in names:
            process = Process(port, name, threads, seconds, limit)
            stack.callback(_end, process)
            processes.append(process)
        for process in processes:
            assert process.line() in ("working", "forked 3"), process.process.communicate()[1]
        yield processes


def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.process.pid, signal.SIGKILL)
    process.process.kill()
    process.process.wait(BOUND)
    for pipe in (process.process.stdin, process.process.stdout, process.process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
