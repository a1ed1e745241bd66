"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Callable, Protocol

if sys.platform != "win32":
    import fcntl

LONGEST_NAME = 255
"""Bytes in a file's name, where the system reports no limit."""
PARTS = 8
"""How many names a target's parts have: for so many writers at once what a killed one leaves is found again."""


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
    where the process is killed; the next ``WholeFile`` of that target takes it away. Several may write one target at
    the same time, in whatever threads and processes: each has a part of its own, which its lock (``flock``) protects,
    and the last one to end is what stays. Where the file system has no locks, what is left behind stays.

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
    _hold: io.FileIO | None = None  # the same open file once more; its lock shows others that the part is in use
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
        part_path = self._part_path if is_ours else ""
        if part_path and self._hold is not None and not self._hold.closed:  # a first time may have been interrupted
            with contextlib.suppress(OSError):
                # Before the lock is given back: then the name may be another's. An interrupt may have come before it
                # was taken; to take it twice does nothing.
                if _try_lock(self._hold) is not False and _is_at(self._hold, part_path):
                    os.unlink(part_path)
        if self._file is not None:
            with contextlib.suppress(OSError):
                # In a forked child what is buffered is the parent's to write: the file's place is shared.
                (self._file if is_ours else getattr(self._file, "raw", self._file)).close()
        if self._hold is not None:
            with contextlib.suppress(OSError):
                self._hold.close()
        if part_path and self._hold is None:
            _take_away(part_path, is_ours=self._file is not None)
        self._file, self._hold, self._part_path = None, None, ""

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
        part_paths = _parts_of(path)
        for part_path in part_paths:
            _take_away(part_path)
        # One that replaces another is its owner's alone until it has the other's owner and group.
        mode = 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o600
        if not any(self._is_begun(part_path, mode) for part_path in part_paths):
            # More writers than names. This part is not found again where its process is killed.
            self._part_path = _part_path(path, os.urandom(8))
            self._file = _created(self._part_path, mode)
        assert self._file is not None
        if old is not None:
            _take_over(self._file.fileno(), old)

    def _is_begun(self, part_path: str, mode: int) -> bool:
        """Make the part and its lock; return False where another writer has that name."""
        self._part_path = part_path  # first: an interrupt finds the file by it
        try:
            self._file = _created(part_path, mode)
        except FileExistsError:
            self._part_path = ""
            return False
        if sys.platform == "win32":
            return True  # an open file cannot be removed there, nor one that is open be renamed
        self._hold = io.FileIO(os.dup(self._file.fileno()), "r+b")
        if _try_lock(self._hold) is not False and _is_at(self._hold, part_path):
            return True
        # Between the two steps another writer took it for one that was left behind, and takes it away.
        self._discard()
        return False

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
            if sys.platform == "win32":
                os.utime(self._part_path)  # see _take_away
            file.close()
            # Under its lock, which `_hold` keeps: else it could be taken for one that was left behind.
            # Without fsync: no other process ever sees a part of the file, and audio that can be made again
            # is not worth a wait for the disk to survive a power cut.
            os.replace(self._part_path, self._whole_path)
            return
        file.seek(0)
        whole = file.read()
        written = self._target.write(whole)
        if isinstance(written, int) and written < len(whole):  # an unbuffered file raises nothing itself
            raise OSError(f"only {written} of {len(whole)} bytes could be written")


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Take away what a killed process has left behind of a target, as the next ``WholeFile`` of it would.

    What is in use stays. Threads: any. Waits for the disk alone.
    """
    for part_path in _parts_of(os.path.realpath(os.fsdecode(path))):
        _take_away(part_path)


def _parts_of(path: str) -> list[str]:
    """Return the paths that a file may have until it is whole, of which each writer takes the first that is free.

    They are found again without a look at the whole folder, which may hold very many files.
    """
    name = os.fsencode(os.path.basename(path))
    return [
        _part_path(path, hashlib.blake2b(name, digest_size=8, salt=bytes([number])).digest()) for number in range(PARTS)
    ]


def _part_path(path: str, digits: bytes) -> str:
    """Return the path of the file that is written until it is whole: hidden, in the same folder.

    Its name shows whose part it is: it holds the whole file's name, as far as the system allows names of that length.
    """
    folder, name = os.path.split(path)
    ending = f".{digits.hex()}.part"
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows; or the folder is not there, as open() will report
        longest = LONGEST_NAME
    room = longest - len(ending) - 1
    # Whole characters: half of one is no name on some systems.
    name = os.fsencode(name)[: max(room, 0)].decode("utf-8", "ignore") if len(os.fsencode(name)) > room else name
    return os.path.join(folder, f".{name}{ending}")


def _take_away(path: str, *, is_ours: bool = False) -> None:
    """Remove a part that its writer has left behind; one that is in use stays, and so does what we may not remove.

    Every part is removed under its lock, and locked before it is written to. So what can be locked has no writer, and
    what has the name while we have the lock is what we have locked.

    Args:
        path: The part's.
        is_ours: Whether this process has made it, and is done with it.
    """
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return  # no part, whatever it is
        if sys.platform == "win32":
            # One that is open cannot be removed. One that was just closed may be about to get its name.
            if is_ours or time.time() - found.st_mtime > 60:
                os.unlink(path)
            return
        # For writing, without which some systems lock nothing.
        with io.FileIO(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "wb") as part:
            if _try_lock(part) and _is_at(part, path):
                os.unlink(path)


def _try_lock(file: io.FileIO) -> bool | None:
    """Lock it, which its closing undoes; return False where another has the lock, None where there are no locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _is_at(file: io.FileIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


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
