"""Memory goes back to the system when much of it was used and is free again.

The C library keeps what was freed, for the process to use again: after one peer's excesses a server that runs for weeks
would hold them for weeks. glibc gives it back when it is asked to, and what was large at once; others do by themselves.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path
from typing import Callable, Optional

__all__ = ["GiveBack"]

_DELAY = 0.5  # seconds, for what ends together
_MUCH_BYTES = 16 * 1024**2
"""By so much the process has to have grown for the collector to be asked first: what a connection has left in cycles is
not free before. It stops all threads for some milliseconds."""
_STATM = Path("/proc/self/statm")
# glibc's names. What is larger is mapped, and unmapped when it is free: else glibc would, after the first such piece,
# take the next ones from what threads keep.
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 4 * 1024**2


class GiveBack:
    """Gives free memory back, some time after it was asked to. Not thread-safe: the server's loop only."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._least_bytes = _resident_bytes()

    def soon(self) -> None:
        """Give it back in half a second. More calls until then change nothing."""
        if self._timer is None and self._trim is not None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._start, self._trim)

    def close(self) -> None:
        """Give nothing back any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, trim: Callable[[int], int]) -> None:
        self._timer = None
        # On another thread: it takes some milliseconds.
        asyncio.get_running_loop().run_in_executor(None, self._give_back, trim)

    def _give_back(self, trim: Callable[[int], int]) -> None:
        if _resident_bytes() > self._least_bytes + _MUCH_BYTES:
            gc.collect()
        trim(0)
        self._least_bytes = _resident_bytes()


def _resident_bytes() -> int:
    """Return how much memory the process holds; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def _malloc_trim() -> Optional[Callable[[int], int]]:
    try:
        library = ctypes.CDLL(None)
        found: Callable[[int], int] = library.malloc_trim
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    except (OSError, AttributeError, TypeError):  # another C library, or Windows
        return None
    return found
