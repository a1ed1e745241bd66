"""What a folder of spoken files holds, in SQLite: which text is in which file, whole or not; and the plan of one run.

A file is begun only after its size, digest and target are in the ledger (``writing``). So whenever the process is
killed, the next one knows each file that may be there, and each that may be half there: it makes ``items`` and the
folder agree when it opens the ledger.

The ledger is locked by SQLite itself (``locking_mode=EXCLUSIVE``): the lock is the process's, and goes with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

from ..audio.files import remove_leftovers
from ..errors import BatchStoppedError
from .places import PARTS, key_of

NAME = ".cartesia-batch.sqlite"
VERSION = 1
DONE, FAILED, WORDLESS = "done", "failed", "no words"
"""The states of an item: its files are whole; it failed; there is nothing in it to speak."""
CHUNK = 500
"""Rows at a time, so that memory does not grow with the number of items."""

_ITEMS = """
CREATE TABLE IF NOT EXISTS {} (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL,       -- of all that shapes the sound
    state TEXT NOT NULL,
    name TEXT NOT NULL,       -- as the pattern gives it
    path TEXT NOT NULL,       -- where the sound is, from the folder on
    files TEXT NOT NULL,      -- JSON: [path, size, sha256, time of the last change in ns], ...
    seconds REAL NOT NULL,    -- of audio
    characters INTEGER NOT NULL,
    took REAL NOT NULL,       -- seconds that it took to be spoken; 0 for a copy
    request_id TEXT,
    error TEXT,
    attempts INTEGER NOT NULL,
    item TEXT                 -- JSON: what failed, ready to be read again
) WITHOUT ROWID
"""
_TABLES = (
    _ITEMS.format("items"),
    _ITEMS.format("writing"),
    "CREATE INDEX IF NOT EXISTS items_by_hash ON items (hash)",
    "CREATE INDEX IF NOT EXISTS items_by_path ON items (path)",
)
_PLAN = """
CREATE TEMP TABLE plan (
    number INTEGER PRIMARY KEY,   -- in the order of the input
    id TEXT NOT NULL,
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL,            -- the same for paths that some systems take for one
    is_placed INTEGER NOT NULL,   -- whether the user chose its folder
    characters INTEGER NOT NULL,
    item TEXT NOT NULL,           -- JSON
    state TEXT NOT NULL           -- see below
)
"""
TO_DO, FOLLOWS, TAKEN, OVER = "to do", "follows", "taken", "over"
"""The states of a row of the plan: to be spoken or copied; waits for an equal one; under way; nothing is left to do."""


class Files(NamedTuple):
    """One file, as the ledger has it."""

    path: str
    size: int
    digest: str
    changed: int = 0  # in ns; 0 where it is not known, and the digest decides


class Row(NamedTuple):
    """An item in the ledger; see its table."""

    id: str
    hash: str
    state: str
    name: str
    path: str
    files: tuple[Files, ...] = ()
    seconds: float = 0.0
    characters: int = 0
    took: float = 0.0
    request_id: Optional[str] = None
    error: Optional[str] = None
    attempts: int = 0
    item: Optional[str] = None


class Planned(NamedTuple):
    """A row of the plan; see its table."""

    number: int
    id: str
    hash: str
    name: str
    path: str
    characters: int
    item: str


_PLANNED = ", ".join(Planned._fields)
_COLUMNS = ", ".join(Row._fields)
_PUT = f"INSERT OR REPLACE INTO {{}} ({_COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"


def digest_of(content: bytes) -> str:
    """Return a file's digest."""
    return hashlib.sha256(content).hexdigest()


class Ledger:
    """The ledger of a folder, open and locked; and the plan of this run, which goes with it.

    Args:
        folder: The folder, as an absolute path.
        is_kept: Whether the ledger is a file; if not, as for a look at a folder that is not there, it is forgotten.

    Raises:
        BatchStoppedError: Another process is at work there, the file is no ledger, or cannot be read.

    Threads: the one that made it. Waits for the disk alone.
    """

    def __init__(self, folder: str, *, is_kept: bool = True) -> None:
        self.folder = folder
        self._path = os.path.join(folder, NAME) if is_kept else ""
        self._settled: list[Row] = []  # whole by now, and not yet told to the database
        self._database: Optional[sqlite3.Connection] = None
        with self._in_words():
            self._database = sqlite3.connect(self._path or ":memory:", timeout=0, isolation_level=None)
            try:
                self._open()
            except BaseException:  # Ctrl-C too: the folder would stay locked
                self._database.close()
                raise

    def _open(self) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA temp_store = FILE")
        # No commit waits for the disk: what a killed process has committed is there, and after a power cut the ledger
        # is an earlier one, whole.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction("BEGIN EXCLUSIVE"):
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise BatchStoppedError(f"{self._path} is of a later version of cartesia-sync ({version})")
            for statement in _TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute(_PLAN)
        self._identity = self._found_identity()

    def _found_identity(self) -> Optional[tuple[int, int]]:
        if not self._path:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return (0, 0)
        return found.st_dev, found.st_ino

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def close(self) -> None:
        """Write down what is settled, and give the lock back. Idempotent.

        Raises:
            BatchStoppedError: It cannot be written; what is whole is found by the next one.
        """
        if self._database is None:
            return
        try:
            self.settle_all()
        finally:
            database, self._database = self._database, None
            with self._in_words():
                database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(BatchStoppedError):  # what is raised says more
            self.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str = "BEGIN") -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:  # Ctrl-C too: nothing is half written
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Raise SQLite's errors as a sentence."""
        try:
            yield
        except sqlite3.Error as error:
            raise BatchStoppedError(_in_words(error, self._path, self.folder)) from error

    # ---- ledger and folder agree

    def reconcile(self) -> None:
        """Make the ledger and the folder agree, whatever became of the process before.

        What was begun and is whole becomes done; what is not whole is forgotten, and its leftovers are taken away. What
        is done and is not there any more, or is another file now, is forgotten, to be spoken again.

        Raises:
            BatchStoppedError: The ledger cannot be written.
        """
        with self._in_words():
            begun = [_row(found) for found in self._db.execute(f"SELECT {_COLUMNS} FROM writing")]
            for row in begun:
                for file in row.files:
                    remove_leftovers(os.path.join(self.folder, file.path))
            whole = [found for found in map(self._if_whole, begun) if found is not None]
            for row in begun:
                if row.id not in {each.id for each in whole}:
                    self._take_away_half(row)
            with self._transaction():
                for row in whole:
                    self._put_done(row)
                self._db.execute("DELETE FROM writing")
            self._forget_what_is_gone()
        self._sweep_parts()

    def _take_away_half(self, row: Row) -> None:
        """Take away what there is of an item that has several files, of which some are new and some are not."""
        of_before = f"SELECT {_COLUMNS} FROM items WHERE id = ? AND state = ?"
        before = [_row(found) for found in self._db.execute(of_before, (row.id, DONE))]
        for each in (row, *(old for old in before if self._if_whole(old) is None)):
            for file in each.files:
                if self._if_equal(file) is not None:
                    with contextlib.suppress(OSError):  # it is spoken again, and put in its place
                        os.unlink(os.path.join(self.folder, file.path))

    def _forget_what_is_gone(self) -> None:
        last = ""
        while True:
            found = self._db.execute(
                f"SELECT {_COLUMNS} FROM items WHERE id > ? AND state = ? ORDER BY id LIMIT {CHUNK}", (last, DONE)
            ).fetchall()
            if not found:
                return
            rows = [_row(each) for each in found]
            last = rows[-1].id
            changed = [(row, self._if_whole(row)) for row in rows]
            with self._transaction():
                for row, now in changed:
                    if now is None:
                        self._db.execute("DELETE FROM items WHERE id = ?", (row.id,))
                    elif now != row:
                        self._db.execute(_PUT.format("items"), _values(now))

    def _if_whole(self, row: Row) -> Optional[Row]:
        """Return the row if each of its files is there and equal, as it is now; else None."""
        files = [self._if_equal(file) for file in row.files]
        if not files or None in files:
            return None
        return row._replace(files=tuple(file for file in files if file is not None))

    def _if_equal(self, file: Files) -> Optional[Files]:
        path = os.path.join(self.folder, file.path)
        try:
            found = os.stat(path)
            if found.st_size != file.size:
                return None
            if file.changed and found.st_mtime_ns == file.changed:
                return file
            with open(path, "rb") as opened:
                if digest_of(opened.read()) != file.digest:
                    return None
        except OSError:
            return None
        return file._replace(changed=found.st_mtime_ns)

    def _sweep_parts(self) -> None:
        """Take away what workers on other machines have left."""
        folder = os.path.join(self.folder, PARTS)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))
            with contextlib.suppress(OSError):  # a worker that is alive has begun another
                os.rmdir(folder)

    def content_of(self, file: Files) -> Optional[bytes]:
        """Return what is in a file, or None where it is not the one that the ledger knows."""
        try:
            with open(os.path.join(self.folder, file.path), "rb") as opened:
                content = opened.read()
        except OSError:
            return None
        return content if len(content) == file.size and digest_of(content) == file.digest else None

    # ---- what becomes of an item

    def note_writing(self, row: Row) -> None:
        """Say that the row's files are about to be written. Call it before any of them is begun.

        Raises:
            BatchStoppedError: It cannot be written, or the ledger is not in its place any more.
        """
        if self._path and self._found_identity() != self._identity:
            raise BatchStoppedError(f"{self._path} is gone, or is another file now: somebody has changed the folder")
        with self._in_words(), self._transaction():
            self._put_all_settled()
            self._db.execute(_PUT.format("writing"), _values(row))
        self._settled.clear()

    def settle(self, row: Row) -> None:
        """Say that the row's files are there. The database hears of it with what comes next; until then it can tell."""
        self._settled.append(row)

    def note(self, rows: Sequence[Row]) -> None:
        """Say what became of items that were not spoken.

        Raises:
            BatchStoppedError: It cannot be written.
        """
        with self._in_words(), self._transaction():
            self._put_all_settled()
            self._db.executemany(_PUT.format("items"), map(_values, rows))
        self._settled.clear()

    def settle_all(self) -> None:
        """Tell the database what is settled.

        Raises:
            BatchStoppedError: It cannot be written; what is whole is found by the next run.
        """
        if self._settled:
            with self._in_words(), self._transaction():
                self._put_all_settled()
            self._settled.clear()

    def _put_all_settled(self) -> None:
        for row in self._settled:
            self._put_done(row)
            self._db.execute("DELETE FROM writing WHERE id = ?", (row.id,))

    def _put_done(self, row: Row) -> None:
        # What had this path before has it no longer.
        self._db.execute("DELETE FROM items WHERE path = ? AND id <> ?", (row.path, row.id))
        self._db.execute(_PUT.format("items"), _values(row))

    def same_sound(self, hash_: str) -> Iterator[Row]:
        """Yield the items that are done and sound so."""
        yield from [row for row in self._settled if row.hash == hash_]
        query = f"SELECT {_COLUMNS} FROM items WHERE hash = ? AND state = ? LIMIT 8"  # if all are changed, it is spoken
        yield from map(_row, self.ask(query, hash_, DONE))

    def all_failed(self) -> Iterator[Row]:
        """Yield all that failed, also in earlier runs."""
        with self._in_words():
            for each in self._db.execute(f"SELECT {_COLUMNS} FROM items WHERE state = ? ORDER BY id", (FAILED,)):
                yield _row(each)

    def seconds_a_character(self) -> tuple[Optional[float], Optional[float]]:
        """Return how long a character sounds, and how long it takes to be spoken, by what was spoken here."""
        with self._in_words():
            seconds, took, characters = self._db.execute(
                "SELECT total(seconds), total(took), total(characters) FROM items WHERE state = ? AND took > 0", (DONE,)
            ).fetchone()
        return (seconds / characters, took / characters) if characters else (None, None)

    # ---- the plan

    def put_plan(self, rows: Iterable[tuple[Planned, str, bool]]) -> None:
        """Take rows into the plan, each with its state, and whether the user chose its folder."""
        with self._in_words(), self._transaction():
            self._db.executemany(
                f"INSERT INTO plan ({_PLANNED}, key, is_placed, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((*row, key_of(row.path), is_placed, state) for row, state, is_placed in rows),
            )

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Ask the database something whose answer is short."""
        with self._in_words():
            return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values: Any) -> int:
        """Change the plan; return how many rows were changed."""
        with self._in_words():
            return self._db.execute(statement, values).rowcount

    def change_many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Change many rows of the plan."""
        with self._in_words(), self._transaction():
            self._db.executemany(statement, values)

    def take(self, count: int) -> list[Planned]:
        """Take the next rows that are to do, in order."""
        with self._in_words():
            found = self._db.execute(
                f"SELECT {_PLANNED} FROM plan WHERE state = ? ORDER BY number LIMIT ?", (TO_DO, count)
            ).fetchall()
            self._db.executemany("UPDATE plan SET state = ? WHERE number = ?", [(TAKEN, each[0]) for each in found])
        return [Planned(*each) for each in found]

    def release_followers(self, hash_: str) -> None:
        """Let those that wait for an equal one be taken: it is whole."""
        self.change("UPDATE plan SET state = ? WHERE hash = ? AND state = ?", TO_DO, hash_, FOLLOWS)

    def followers(self, hash_: str, after: int) -> list[Planned]:
        """Return some of those that wait for an equal one."""
        found = self.ask(
            f"SELECT {_PLANNED} FROM plan WHERE hash = ? AND state = ? AND number > ? ORDER BY number LIMIT {CHUNK}",
            hash_,
            FOLLOWS,
            after,
        )
        return [Planned(*each) for each in found]


def _row(found: Sequence[Any]) -> Row:
    row = Row(*found)
    return row._replace(files=tuple(Files(*file) for file in json.loads(found[5])))


def _values(row: Row) -> Sequence[Any]:
    return row._replace(files=json.dumps(row.files))  # type: ignore[arg-type]  # as the database has it


def _in_words(error: sqlite3.Error, path: str, folder: str) -> str:
    words = str(error)
    if "locked" in words:
        return f"another process is at work on {folder}"
    if "full" in words:
        return f"the disk is full: {path}, or a temporary file, cannot be written"
    if "not a database" in words or "malformed" in words:
        return f"{path} is no ledger, or is damaged ({words}): delete it, and all is spoken anew"
    if "readonly" in words or "unable to open" in words:
        return f"{path} cannot be opened for writing ({words}): is the folder there, and is it yours?"
    return f"{path}: {words}"
