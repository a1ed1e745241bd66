"""Bytes that are kept for later: in memory, and from some length on in a temporary file."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import Union

PIECE_BYTES = 1 << 20
"""How much of it is read at a time."""


class Spool:
    """Keeps what is written, to be read from any place.

    Threads: one writes at a time; any may read meanwhile what has been written. On Windows one thread at a time, for
    both. Waits for the disk alone.
    """

    def __init__(self, most_in_memory: int) -> None:
        self._most = most_in_memory
        self._store: Union[_Memory, _File] = _Memory()

    @property
    def is_in_file(self) -> bool:
        """Whether it is in a temporary file."""
        return isinstance(self._store, _File)

    def write(self, content: bytes, at: int) -> None:
        """Write at a place: at the end of what is there, or over what an interrupted write left behind.

        Raises:
            OSError: The temporary file cannot be written; what was there before is there.
        """
        store = self._store
        if isinstance(store, _Memory) and at + len(content) > self._most:
            file = _File()
            file.write(store.read(0, at), 0)
            self._store = store = file
        store.write(content, at)

    def read(self, start: int, end: int) -> bytes:
        """Return a part of what was written."""
        return self._store.read(start, end)

    def pieces(self, end: int) -> Iterator[bytes]:
        """Yield all of it up to a place, piece by piece."""
        for start in range(0, end, PIECE_BYTES):
            yield self.read(start, min(start + PIECE_BYTES, end))


class _Memory:
    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, content: bytes, at: int) -> None:
        self._content[at:] = content

    def read(self, start: int, end: int) -> bytes:
        return bytes(self._content[start:end])


class _File:
    """A temporary file without a name, which is gone with this. Its place is not used, which threads would share."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it lives as long as this
        weakref.finalize(self, self._file.close)

    def write(self, content: bytes, at: int) -> None:
        rest = memoryview(content)
        while rest:
            count = self._write(rest, at)
            rest, at = rest[count:], at + count

    def read(self, start: int, end: int) -> bytes:
        parts = []
        while start < end:
            part = self._read(end - start, start)
            if not part:
                raise OSError("a temporary file is shorter than what was written to it")
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _write(self, content: memoryview, at: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._file.fileno(), content, at)
        self._file.seek(at)
        return self._file.write(content)

    def _read(self, count: int, at: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, at)
        self._file.seek(at)
        return self._file.read(count)
