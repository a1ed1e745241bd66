"""What happened, in order, until it takes more room than it may."""

from __future__ import annotations

import asyncio
import binascii
import json
from collections import deque
from typing import Any, NamedTuple, Optional, Union

from .sounds import Format

__all__ = ["Entry", "History"]

_OVERHEAD_BYTES = 400  # of an entry's objects, measured with sys.getsizeof


class Entry(NamedTuple):
    """One thing that happened.

    Attributes:
        number: Its place in the order, from 1.
        row: Which context, call or connection it belongs to: a line of the page.
        line: What the page is told of it, as JSON.
        raw: The message as it was on the wire, with ``@`` where its audio was.
        audio: That audio; in base64, as it came, where it is a text.
        audio_format: How it is laid out; None where it is none, or unknown.
        at: Seconds since the server began.
        direction: ``sent`` and ``got``, as the client sees it; else what kind of entry it is.
    """

    number: int
    row: str
    line: str
    raw: str
    audio: Union[bytes, str]
    audio_format: Optional[Format]
    at: float
    direction: str

    @property
    def sound(self) -> bytes:
        """The audio, decoded: here and not when it comes, since most of it is never asked for."""
        return binascii.a2b_base64(self.audio) if isinstance(self.audio, str) else self.audio

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.line) + len(self.raw) + len(self.audio) + _OVERHEAD_BYTES


class History:
    """The entries, oldest first.

    Args:
        most_bytes: What they may take together, audio included; the oldest go first.

    Attributes:
        dropped: How many were dropped for want of room.

    Threads: the server's loop only.
    """

    def __init__(self, most_bytes: int) -> None:
        self.dropped = 0
        self._most_bytes = most_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._count = 0
        self._waiting: set[asyncio.Event] = set()

    @property
    def size(self) -> int:
        """How many bytes the entries take."""
        return self._bytes

    @property
    def newest(self) -> int:
        """The number of the newest entry; 0 where there was none."""
        return self._count

    def add(
        self,
        row: str,
        at: float,
        kind: str,
        fields: dict[str, Any],
        *,
        raw: str = "",
        audio: Union[bytes, str] = b"",
        audio_format: Optional[Format] = None,
    ) -> None:
        """Add an entry, and wake who waits for it."""
        self._count += 1
        head = {"n": self._count, "row": row, "at": round(at, 4), "kind": kind}
        try:
            line = json.dumps({**head, **fields})
        except RecursionError:  # what a client sends may be nested as deep as it likes
            line = json.dumps(head)
        entry = Entry(self._count, row, line, raw, audio, audio_format, at, kind)
        self._entries.append(entry)
        self._bytes += entry.size
        while self._bytes > self._most_bytes and len(self._entries) > 1:
            self._bytes -= self._entries.popleft().size
            self.dropped += 1
        self.wake()

    def wake(self) -> None:
        """Wake who waits, whether or not there is something new."""
        for waiting in self._waiting:
            waiting.set()

    def clear(self) -> None:
        """Forget all of them; numbers go on."""
        self._entries.clear()
        self._bytes = 0

    def after(self, number: int, most: int) -> list[Entry]:
        """Return the oldest entries behind this number, not more than so many."""
        start = 0 if not self._entries else max(0, number + 1 - self._entries[0].number)
        if start >= len(self._entries):
            return []
        if start > len(self._entries) // 2:  # from the end, where readers mostly are
            found = []
            for entry in reversed(self._entries):
                if entry.number <= number:
                    break
                found.append(entry)
            found.reverse()
            return found[:most]
        return [self._entries[index] for index in range(start, min(start + most, len(self._entries)))]

    def of(self, row: str) -> list[Entry]:
        """Return the entries of one row."""
        return [entry for entry in self._entries if entry.row == row]

    async def wait(self, number: int, timeout: float) -> None:
        """Wait until there is an entry behind this number, or that long."""
        if self._count > number:
            return
        waiting = asyncio.Event()
        self._waiting.add(waiting)
        try:
            await asyncio.wait_for(waiting.wait(), timeout)
        except asyncio.TimeoutError:
            pass
        finally:
            self._waiting.discard(waiting)
