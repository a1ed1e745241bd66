"""Memory goes back to the system when much of it was used and is free again.

The C library keeps what was freed, for the process to use again: after one peer's excesses a server that runs for weeks
would hold them for weeks. glibc gives it back when it is asked to, and what was large at once; others do by themselves.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Callable, Optional

__all__ = ["GiveBack"]

_DELAY = 0.5  # seconds, for what ends together
# glibc's names. What is larger is mapped, and unmapped when it is free: else glibc would, after the first such piece,
# take the next ones from what threads keep.
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 4 * 1024**2


class GiveBack:
    """Gives free memory back, some time after it was asked to. Not thread-safe: the server's loop only."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._timer: Optional[asyncio.TimerHandle] = None

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
        asyncio.get_running_loop().run_in_executor(None, trim, 0)


def _malloc_trim() -> Optional[Callable[[int], int]]:
    try:
        library = ctypes.CDLL(None)
        found: Callable[[int], int] = library.malloc_trim
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    except (OSError, AttributeError, TypeError):  # another C library, or Windows
        return None
    return found
