"""Processes of their own: a scene is run in one, and what it says and writes to stderr is looked at."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Fault

BOUND = 25.0
"""A little more than the scripts' own, which shows where they hang."""
SCENES = Path(__file__).resolve().parents[1] / "process" / "scenes"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
WARNED = ("-W", "error")
STRICT = ("-X", "dev", *WARNED)


class Run:
    """A process with pipes; what it says is read by the line."""

    def __init__(self, *command: object, **environment: str) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CARTESIA_") and not name.lower().endswith("_proxy")
        }
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
            cwd=SCENES,  # "-m" looks there first, and is to find the package that all others find
            start_new_session=True,
        )

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # children that hang would hold the pipes
        self.process.kill()
        _, errors = self.process.communicate()
        if error is not None:
            print(errors, file=sys.stderr)  # which pytest shows

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; give its status, what it said that was not read, and what it wrote to stderr."""
        output, errors = self.process.communicate(timeout=BOUND)
        return self.process.returncode, output, errors


def script(name: str, scene: str, url: str, *options: str) -> Run:
    return Run(*options, SCENES / f"{name}.py", scene, url)


def assert_quiet(run: Run, status: int = 0, output: str = "") -> None:
    assert run.end() == (status, output, "")


@contextlib.contextmanager
def serving(*faults: Fault, **settings: Any) -> Iterator[LocalServer]:
    with LocalServer(engine="signal", chunk_bytes=4096, faults=faults, **settings) as server:
        yield server


def assert_goes_on(run: Run, until: threading.Event) -> None:
    assert run.line() == "forked"
    until.set()
    run.go()
    assert_quiet(run)
