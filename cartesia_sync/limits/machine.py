"""A limit of all processes of one user on one machine: files that are locked, by portalocker.

A killed process's slots are free at once, since the system drops its locks. A lock belongs to an open file, which a
forked child has too: it closes the file, and never unlocks it, or its parent's slot would be free.
"""

from __future__ import annotations

import io
import os
import queue
import random
import re
import stat
import time
import uuid
import weakref
from pathlib import Path
from typing import Any, Optional, Union

from ..errors import LimitError
from .limit import Limit, checked_count

LOOK = 0.01
"""Seconds after which whoever is first in the queue looks again; the second looks after twice as long, and so on."""

LONGEST_LOOK = 0.5
JITTER = 0.3
PATIENCE = 1.0
"""Seconds, beyond twice its interval, after which one in the queue that does not look is passed by: it was killed."""

OPENING = 5.0
"""Seconds within which another process has set the files up."""

_Path = Union[str, "os.PathLike[str]"]


class SameMachine(Limit):
    """So many slots for all processes of this user on this machine.

    First come, first served between processes too. A process that is killed gives its slots back at once.

    Args:
        most: How many slots there are. All processes give the same number.
        directory: Where the files are; None: a folder of this user's own, in ``$XDG_RUNTIME_DIR`` or ``~/.cache``. It
            must be on a local disk, and nobody may take files out of it while they are in use.
        name: What tells the accounts apart in one folder: letters, digits, ``.``, ``_`` and ``-``. None: a client gives
            it a name that derives from its key, by which nobody can learn the key; used without one, "default".

    Raises:
        ValueError: ``most`` is below 1, or the name has other signs.
        ImportError: portalocker is not installed: the extra [shared] has it.

    ``acquire`` raises ``LimitError`` where a file is gone, or where others use the same name with another number.

    Threads and processes: any. Whoever waits looks every 10 ms, one thread a process.
    """

    def __init__(self, most: int, *, directory: Optional[_Path] = None, name: Optional[str] = None) -> None:
        most = checked_count("SameMachine()", most)
        _portalocker()
        self._files = _Files(most, directory)
        self._directory = directory
        super().__init__(most, source=self._files)
        if name is not None:
            self.bind(name)

    def _arguments(self) -> dict[str, Any]:
        return {"most": self._width.most, "directory": self._directory, "name": self._files.name}

    @property
    def needs_name(self) -> bool:
        """Whether it has no name yet."""
        return self._files.name is None

    def bind(self, name: str) -> None:
        """Give the limit a name, where it has none; see ``name=``."""
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name) or name.startswith("."):
            raise ValueError(f"a limit's name is of letters, digits, '.', '_' and '-', not {name!r}")
        if self._files.name is None:
            self._files.name = name

    @property
    def name(self) -> str:
        """The name by which other processes know it."""
        return self._files.name or "default"

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._files.directory

    def __repr__(self) -> str:
        return f"<SameMachine {self.name!r} in {str(self.directory)!r}, {self.gate!r}>"


def _portalocker() -> Any:
    try:
        import portalocker
    except ImportError as error:
        raise ImportError("SameMachine() needs portalocker: pip install 'cartesia-sync[shared]'") from error
    return portalocker


def _own_directory() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime and os.path.isabs(runtime) else Path.home() / ".cache"
    return base / "cartesia-sync" / "limits"


class _Slot:
    """One slot that this process has locked. A second ``give_back`` does nothing."""

    __slots__ = ("_key", "_opened", "index")

    def __init__(self, opened: _Opened, index: int) -> None:
        self._opened = opened
        self._key = object()
        self.index = index

    def is_claimed(self) -> bool:
        """Claim the slot within this process; whether nobody had."""
        return self._opened.claims.setdefault(self.index, self._key) is self._key

    def give_back(self) -> None:
        """Unlock it."""
        opened = self._opened
        if opened.claims.get(self.index) is not self._key or opened.process != os.getpid():
            return
        if not opened.slots[self.index].closed:
            _portalocker().unlock(opened.slots[self.index])
        opened.claims.pop(self.index, None)

    def __del__(self) -> None:
        self.give_back()


class _Opened:
    """The files of one limit, as one process has them open. What it claims is its own; what it locks is everybody's.

    Raises:
        LimitError: They are in use with another number, or cannot be used.
    """

    def __init__(self, directory: Path, name: str, most: int) -> None:
        self.process = os.getpid()
        self.claims: dict[int, object] = {}
        self.slots: list[io.FileIO] = []
        self._all: list[io.FileIO] = []
        self._directory, self._name, self._most = directory, name, most
        try:
            self._number = self._open(f"{name}.most", create=True)
            self._agree()
            self.slots = [self._open(f"{name}.{index}.slot") for index in range(most)]
            self.queue = self._open(f"{name}.queue")
        except BaseException:  # an interrupt too: no file stays open
            self.close()
            raise
        # Held by this, the files are not the collector's, which would find them open.
        weakref.finalize(self, _close_all, self._all).atexit = False
        _remember(self)

    def _open(self, name: str, *, create: bool = False) -> io.FileIO:
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | (os.O_CREAT if create else 0)
        path = self._directory / name
        try:
            file = io.FileIO(os.open(path, flags, 0o600), "r+")
        except FileNotFoundError:
            raise self._gone(path) from None
        except OSError as error:
            raise LimitError(f"The limit's file {path} cannot be opened: {error.strerror}") from error
        self._all.append(file)
        return file

    def _gone(self, path: Path) -> LimitError:
        return LimitError(
            f"The limit's file {path} is gone. Others may have it open still, so nobody can tell how many slots are in "
            "use: end all processes that use this limit, and start them again; let nothing clean this folder"
        )

    def _agree(self) -> None:
        """Find the number that others use, or, where nobody uses this limit, set it; then keep others from setting it.

        Whoever uses the limit holds a shared lock on the number, so whoever gets it alone is the only one.
        """
        deadline = time.monotonic() + OPENING
        flags = _portalocker().LockFlags
        while True:
            if self._is_locked(self._number, flags.EXCLUSIVE):
                for index in range(self._most):
                    self._all.remove(self._close(self._open(f"{self._name}.{index}.slot", create=True)))
                file = self._open(f"{self._name}.queue", create=True)
                file.truncate(0)
                self._all.remove(self._close(file))
                _write(self._number, b"%d\n" % self._most)
            if self._is_locked(self._number, flags.SHARED):
                text = _read(self._number)
                if text.endswith(b"\n"):
                    theirs = text.strip().decode("ascii", "replace")
                    if theirs != str(self._most):
                        raise LimitError(
                            f"The limit {self._name!r} in {self._directory} is in use by other processes as "
                            f"SameMachine({theirs}), and here it is SameMachine({self._most}): give the same number "
                            "everywhere, or another name"
                        )
                    if _is_gone(self._number):
                        raise self._gone(self._directory / f"{self._name}.most")
                    return
                _portalocker().unlock(self._number)  # whoever was to write it was killed
            if time.monotonic() > deadline:
                path = self._directory / f"{self._name}.most"
                raise LimitError(f"Another process has had {path} to itself for {OPENING} s: is it stopped?")
            _nap(LOOK)

    @staticmethod
    def _close(file: io.FileIO) -> io.FileIO:
        file.close()
        return file

    def _is_locked(self, file: io.FileIO, kind: Any) -> bool:
        """Lock a file, if that can be done at once."""
        portalocker = _portalocker()
        try:
            portalocker.lock(file, kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.AlreadyLocked:
            return False
        except portalocker.LockException as error:
            raise LimitError(f"The limit's files in {self._directory} cannot be locked: {error}") from error
        return True

    def try_slots(self, position: int = 0) -> Optional[_Slot]:
        """Lock a free slot, if more than so many are free; else none."""
        exclusive = _portalocker().LockFlags.EXCLUSIVE
        count = len(self.slots)
        first = random.randrange(count)
        found: list[_Slot] = []
        for number in range(count):
            index = (first + number) % count
            slot = _Slot(self, index)
            if not slot.is_claimed():
                continue
            if not self._is_locked(self.slots[index], exclusive):
                self.claims.pop(index, None)
                continue
            found.append(slot)
            self._check_there(self.slots[index], f"{index}.slot")
            if len(found) > position:
                return found.pop()  # the others are given back by their finalizers
        return None

    def _check_there(self, file: io.FileIO, suffix: str) -> None:
        if _is_gone(file):
            raise self._gone(self._directory / f"{self._name}.{suffix}")

    def is_nobody_waiting(self) -> bool:
        """Whether the queue of processes is empty."""
        status = os.fstat(self.queue.fileno())
        if not status.st_nlink:
            raise self._gone(self._directory / f"{self._name}.queue")
        return not status.st_size

    def visit(self, ticket: bytes) -> Union[_Slot, float]:
        """Lock a slot if it is this ticket's turn; else renew its place, and give in how many seconds to look again.

        The file is locked for as long as it takes to read and write it, and nobody waits meanwhile.
        """
        if not self._is_queue_locked():
            return LOOK  # somebody is at it
        try:
            self._check_there(self.queue, "queue")
            now = time.monotonic()
            tickets = _tickets(_read(self.queue), now)
            position = list(tickets).index(ticket) if ticket in tickets else len(tickets)
            interval = min(LOOK * (position + 1), LONGEST_LOOK)
            slot = self.try_slots(position)
            if slot is not None:
                tickets.pop(ticket, None)
            else:
                tickets[ticket] = now + 2 * interval * (1 + JITTER) + PATIENCE
            _write(self.queue, b"".join(b"%s %.3f\n" % each for each in tickets.items()))
            return interval if slot is None else slot
        finally:
            _portalocker().unlock(self.queue)

    def leave(self, ticket: bytes) -> None:
        """Take a ticket out of the queue."""
        if not self._is_queue_locked():
            return  # it is passed by soon
        try:
            tickets = _tickets(_read(self.queue), time.monotonic())
            tickets.pop(ticket, None)
            _write(self.queue, b"".join(b"%s %.3f\n" % each for each in tickets.items()))
        finally:
            _portalocker().unlock(self.queue)

    def _is_queue_locked(self) -> bool:
        flags = _portalocker().LockFlags
        for _ in range(20):
            if self._is_locked(self.queue, flags.EXCLUSIVE):
                return True
            _nap(LOOK / 10 * random.random())
        return False

    def close(self) -> None:
        """Close the files. Locks that a parent process has too stay its own."""
        _close_all(self._all)


def _close_all(files: list[io.FileIO]) -> None:
    for file in files:
        file.close()


def _tickets(text: bytes, now: float) -> dict[bytes, float]:
    """Read who is in the queue, and until when; those who have not looked for too long are left out."""
    tickets = {}
    for line in text.splitlines():
        ticket, _, until = line.partition(b" ")
        try:
            seconds = float(until)
        except ValueError:  # somebody was killed while writing
            continue
        if now <= seconds < now + 60:  # a clock that began anew, after a restart of the machine, is ahead
            tickets[ticket] = seconds
    return tickets


def _read(file: io.FileIO) -> bytes:
    file.seek(0)
    return file.read()


def _write(file: io.FileIO, text: bytes) -> None:
    file.seek(0)
    file.write(text)
    file.truncate(len(text))


def _is_gone(file: io.FileIO) -> bool:
    return not os.fstat(file.fileno()).st_nlink


def _nap(seconds: float) -> None:
    """Wait: no other process can wake us."""
    try:
        queue.SimpleQueue[None]().get(timeout=seconds)
    except queue.Empty:
        return


class _Files:
    """The slots as the gate sees them."""

    is_local = True

    def __init__(self, most: int, directory: Optional[_Path]) -> None:
        self._most = most
        self._is_own = directory is None
        self.directory = _own_directory() if directory is None else Path(directory)
        self.name: Optional[str] = None
        self._by_process: dict[int, _Opened] = {}
        self._ticket = b""
        self._next_look = 0.0

    def take_now(self) -> Optional[_Slot]:
        """Lock a free slot, where no process waits for one."""
        opened = self._opened()
        return opened.try_slots() if opened.is_nobody_waiting() else None

    def take(self, timeout: float) -> Optional[_Slot]:
        """Be in the queue, and lock a slot when it is our turn. Threads: the gate's one."""
        opened = self._opened()
        if not self._ticket:
            self._ticket = b"%d-%s" % (os.getpid(), uuid.uuid4().hex[:12].encode())
            self._next_look = 0.0
        end = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            if timeout and self._next_look > now:
                _nap(min(self._next_look, end) - now)
                if self._next_look > end:
                    return None
            found = opened.visit(self._ticket)
            if isinstance(found, _Slot):
                self._ticket = b""
                return found
            self._next_look = time.monotonic() + found * random.uniform(1 - JITTER, 1 + JITTER)
            if self._next_look > end:
                return None

    def leave(self) -> None:
        """Leave the queue. Threads: the gate's one."""
        ticket, self._ticket = self._ticket, b""
        if ticket:
            self._opened().leave(ticket)

    def give_back(self, lease: _Slot) -> None:
        """Unlock a slot."""
        lease.give_back()

    def _opened(self) -> _Opened:
        """Return the files of this process; a child that was forked where no hook ran opens its own here."""
        process = os.getpid()
        opened = self._by_process.get(process)
        if opened is not None:
            return opened
        for other in list(self._by_process):
            parents = self._by_process.pop(other, None)
            if parents is not None:
                parents.close()
                self._ticket = b""
        self._prepare_directory()
        mine = _Opened(self.directory, self.name or "default", self._most)
        opened = self._by_process.setdefault(process, mine)
        if opened is not mine:
            mine.close()  # another thread was first
        return opened

    def _prepare_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = os.lstat(self.directory)
        except OSError as error:
            raise LimitError(f"The limit's folder {self.directory} cannot be made: {error.strerror}") from error
        if not self._is_own or not hasattr(os, "geteuid"):
            return
        is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        if not is_ours:
            raise LimitError(
                f"The limit's folder {self.directory} is not this user's alone, so others could take its slots: give "
                "SameMachine() another by directory="
            )


# ---- open files of a process, and what becomes of them in its children

_every: dict[int, weakref.ref[_Opened]] = {}


def _remember(opened: _Opened) -> None:
    key = id(opened)
    _every[key] = weakref.ref(opened, lambda gone: _forget(key, gone))


def _forget(key: int, gone: weakref.ref[_Opened]) -> None:
    if _every.get(key) is gone:
        _every.pop(key, None)


def _in_child() -> None:
    for who in list(_every.values()):
        opened = who()
        if opened is not None:
            opened.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
