"""A real redis-server on a free port of this machine, for tests that stop, freeze and kill it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Optional

PROGRAM = shutil.which("redis-server")
WHY_NOT = "there is no redis-server on this machine (Debian: apt-get install redis-server)"
BOUND = 20.0


class RedisServer:
    """It keeps nothing on disk, so to stop and start it loses its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: Optional[subprocess.Popen[bytes]] = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.stop()

    def start(self) -> None:
        assert PROGRAM is not None
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + BOUND
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    sock.sendall(b"PING\r\n")
                    if sock.recv(64) == b"+PONG\r\n":
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it; what it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(BOUND)
            self._process = None

    def freeze(self) -> None:
        """Let it hold its connections, and answer nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def calls(self) -> int:
        """How many scripts it was asked to run until now."""
        import redis

        with redis.Redis(port=self.port) as client:
            stats = client.info("commandstats")
        return sum(facts["calls"] for name, facts in stats.items() if name.startswith("cmdstat_eval"))
