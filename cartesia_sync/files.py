"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import contextlib
import io
import os
from types import TracebackType
from typing import IO, Protocol


class BinaryTarget(Protocol):
    """What takes bytes, as a file opened with ``"wb"`` does."""

    def write(self, content: bytes, /) -> object:
        """Take all of the bytes."""


class WholeFile:
    """Write a file piece by piece; it appears under its name only when whole.

    If the ``with`` block ends with an exception, no file is made, and one that was there stays as it was::

        with WholeFile("hello.mp3") as file:
            for piece in pieces:
                file.write(piece)

    Threads: one writer belongs to one thread; waits for the disk alone.
    """

    def __init__(self, target: str | os.PathLike[str] | BinaryTarget) -> None:
        """Take note of the target; nothing is opened before the ``with`` block begins.

        Args:
            target: The file's name, or a writable binary file object. Such an object need not be seekable:
                the content is collected in memory and written in one piece at the end; it is left open.
        """
        if isinstance(target, io.TextIOBase):
            raise TypeError("expected a file opened for binary writing ('wb'), got one opened for text")
        self._target: BinaryTarget | None = None
        self._path = ""
        if isinstance(target, (str, os.PathLike)):
            self._path = os.fspath(target)
        elif hasattr(target, "write"):
            self._target = target
        else:
            raise TypeError(f"expected a path or a binary file object, got {target!r}")
        # Inside the block: the file under work, and for a path also its name and the one it will get.
        self._file: IO[bytes] | None = None
        self._part_path = self._whole_path = ""

    def __enter__(self) -> IO[bytes]:
        self._file = io.BytesIO() if self._target is not None else self._open_part()
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        assert file is not None
        try:
            if error is None:
                self._finish(file)
        finally:
            # Nothing of this may hide what went wrong. After success there is nothing left to do.
            with contextlib.suppress(OSError):
                file.close()
            if self._target is None:
                with contextlib.suppress(OSError):
                    os.unlink(self._part_path)

    def _open_part(self) -> IO[bytes]:
        # Links are followed, as `open` would; and a later chdir does not matter.
        path = os.path.realpath(self._path)
        if os.path.exists(path) and not os.path.isfile(path):
            # Renaming would put a file in place of, say, /dev/null.
            raise FileExistsError(f"{self._path!r} is no ordinary file; open it and pass the file object")
        # Not by tempfile: its files are for the owner alone, and the umask, by which to widen that, can only
        # be read by changing it, for all threads. "x" is as exclusive, and takes the umask into account.
        self._part_path = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.part")
        self._whole_path = path
        return open(self._part_path, "x+b")

    def _finish(self, file: IO[bytes]) -> None:
        if self._target is None:
            file.close()
            # Without fsync: no other process ever sees a part of the file, and audio that can be made again
            # is not worth a wait for the disk to survive a power cut.
            os.replace(self._part_path, self._whole_path)
            return
        file.seek(0)
        whole = file.read()
        written = self._target.write(whole)
        if isinstance(written, int) and written < len(whole):  # an unbuffered file raises nothing itself
            raise OSError(f"only {written} of {len(whole)} bytes could be written")
