"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Callable, Protocol

LONGEST_NAME = 255
"""Bytes in a file's name, where the system reports no limit."""


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

    Until then it is a hidden file in the same folder, ``.hello.mp3.<hex digits>.part``, which is left behind only
    where the process is killed.

    A file that is replaced keeps its permissions: the mode, and also the owner and the group where the process may set
    them; access lists and other attributes are not kept. Nobody can read a private file while it is being written. A
    symbolic link is followed: the file that it leads to is replaced. Of several hard links only the one that is named
    becomes the new file; the others keep the old content.

    Raises, when the ``with`` block begins or ends:
        OSError: The file cannot be written: of the type and with the number that ``open(path, "wb")`` would raise, and
            with the path as it was given. ``PermissionError`` also for a file that is read-only, to root too,
            ``IsADirectoryError`` for a folder, ``FileExistsError`` for a device, a pipe or a socket.

    Threads: one writer belongs to one thread; waits for the disk alone. In a forked child it does nothing to the
    parent's file.
    """

    # Inside the block: the file under work, and for a path also its name, the one it will get, and whose it is.
    _file: IO[bytes] | None = None
    _part_path = _whole_path = ""
    _process = 0

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
            self._path = os.fsdecode(target)
        elif hasattr(target, "write"):
            self._target = target
        else:
            raise TypeError(f"expected a path or a binary file object, got {target!r}")

    def __enter__(self) -> IO[bytes]:
        self._process = os.getpid()
        try:
            if self._target is not None:
                self._file = io.BytesIO()
            else:
                with self._naming_the_path():
                    self._open_part()
            assert self._file is not None
            return self._file
        except BaseException:  # Ctrl-C too: there is no block that could end
            self._discard()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with self._naming_the_path():
                    self._finish()
        finally:
            self._discard()

    def __del__(self) -> None:
        self._discard()  # where an exception came before the block had begun, or its end

    def _discard(self) -> None:
        """Close the file, and remove the part of it. Nothing of this may hide what went wrong; idempotent.

        After success there is nothing left to remove.
        """
        is_ours = self._process == os.getpid()
        if self._file is not None:
            with contextlib.suppress(OSError):
                # In a forked child what is buffered is the parent's to write: the file's place is shared.
                (self._file if is_ours else getattr(self._file, "raw", self._file)).close()
        if self._part_path and is_ours:
            with contextlib.suppress(OSError):
                os.unlink(self._part_path)
        self._file, self._part_path = None, ""

    @contextlib.contextmanager
    def _naming_the_path(self) -> Iterator[None]:
        """Raise the errors of the system with the path as it was given, and not the part's."""
        try:
            yield
        except OSError as error:
            if error.errno is None or self._target is not None:
                raise
            raise OSError(error.errno, error.strerror, self._path) from None  # of the same type: the number decides it

    def _open_part(self) -> None:
        old = self._replaced()
        # Links are followed, as `open` would; and a later chdir does not matter.
        path = os.path.realpath(self._path)
        self._whole_path = path
        self._part_path = _part_of(path)
        # One that replaces another is its owner's alone until it has the other's owner and group.
        self._file = _created(self._part_path, 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o600)
        if old is not None:
            _take_over(self._file.fileno(), old)

    def _replaced(self) -> os.stat_result | None:
        """Return the status of the file that is to be replaced; None where there is none."""
        try:
            old = os.stat(self._path)
        except FileNotFoundError:
            if not self._path:
                raise
            if self._path.endswith((os.sep, os.altsep or os.sep)):
                raise self._refused(errno.EISDIR, os.strerror(errno.EISDIR)) from None
            return None
        if stat.S_ISDIR(old.st_mode):
            raise self._refused(errno.EISDIR, "a folder is no ordinary file")
        if not stat.S_ISREG(old.st_mode):
            # Renaming would put a file in place of, say, /dev/null.
            raise self._refused(errno.EEXIST, "this is no ordinary file; open it and pass the file object")
        # By the mode too: root may write anything.
        if not old.st_mode & stat.S_IWUSR or not os.access(
            self._path, os.W_OK, effective_ids=os.access in os.supports_effective_ids
        ):
            raise self._refused(errno.EACCES, "the file is read-only, and is not replaced")
        return old

    def _refused(self, number: int, words: str) -> OSError:
        return OSError(number, words, self._path)

    def _finish(self) -> None:
        file = self._file
        assert file is not None
        if self._process != os.getpid():
            raise RuntimeError(f"the file {self._path!r} belongs to the process that began it; no forked child ends it")
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


def _part_of(path: str) -> str:
    """Return the path of the file that is written until it is whole: hidden, unique, in the same folder.

    Its name shows whose part it is: it holds the whole file's name, as far as the system allows names of that length.
    """
    folder, name = os.path.split(path)
    ending = f".{os.urandom(8).hex()}.part"
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows; or the folder is not there, as open() will report
        longest = LONGEST_NAME
    room = longest - len(ending) - 1
    # Whole characters: half of one is no name on some systems.
    name = os.fsencode(name)[: max(room, 0)].decode("utf-8", "ignore") if len(os.fsencode(name)) > room else name
    return os.path.join(folder, f".{name}{ending}")


def _created(path: str, mode: int) -> IO[bytes]:
    """Make a file that is not there yet, with the rights that the umask leaves of a mode.

    Not by tempfile: its files are for the owner alone, and the umask, by which to widen that, can only be read by
    changing it, for all threads. "x" is as exclusive, and takes the umask into account.
    """
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags, mode))


def _take_over(file: int, old: os.stat_result) -> None:
    """Copy to a file the owner, the group and the mode of another, as far as this process may; never more rights.

    Args:
        file: Its descriptor.
        old: The other one.
    """
    if sys.platform == "win32":
        return  # what a file is created with stays
    new, mode = os.fstat(file), stat.S_IMODE(old.st_mode)
    if old.st_gid != new.st_gid and not _is_done(os.fchown, file, -1, old.st_gid):
        mode &= 0o707 | (mode & 0o007) << 3  # our group may do what everybody may
    if old.st_uid != new.st_uid and not _is_done(os.fchown, file, old.st_uid, -1):
        mode &= 0o777
    _is_done(os.fchmod, file, mode)


def _is_done(call: Callable[..., None], *arguments: int) -> bool:
    try:
        call(*arguments)
    except OSError:  # not ours to set, or the file system has none
        return False
    return True
