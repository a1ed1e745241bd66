"""The command in a process of its own, against a server in another one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCENES = Path(__file__).resolve().parent / "scenes"
BOUND = 60.0


class Server:
    """A local server in a process of its own; see ``scenes/serving.py``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def counts(self, after: int = 0) -> dict[str, int]:
        """Return how often each text was asked for, once so many messages more have been heard."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{after}\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._line())
        return found


@contextlib.contextmanager
def serving_apart(limit: int = 8) -> Iterator[Server]:
    command = [sys.executable, str(SCENES / "serving.py"), str(limit)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


def batch_command(url: str, *arguments: object, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Begin ``cartesia-sync batch``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARTESIA_")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "cartesia_sync", "batch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**inherited, "CARTESIA_API_KEY": "x", "CARTESIA_BASE_URL": url, "PYTHONPATH": str(ROOT)},
    )
