"""One run: items out of the plan, a few at once, and what becomes of them into files and the ledger."""

from __future__ import annotations

import contextlib
import heapq
import os
import pickle
import queue
import random
import time
from collections import OrderedDict, deque
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any, Callable, Literal, Optional, Protocol

from ..audio.files import WholeFile
from ..client import Cartesia
from ..errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BatchStoppedError,
    CartesiaError,
    ForkedError,
    LimitError,
    MailboxFullError,
    MessageTooBigError,
    ProxySettingError,
    UnfinishedError,
)
from ..pool.pool import CONTEXTS_A_CONNECTION
from .items import Item, failed_rows
from .ledger import DONE, FAILED, Files, Ledger, Planned, Row, digest_of
from .making import Content, Job, Made, speak_here, speak_there, words_of
from .places import FAILED_NAME, PARTS
from .planning import Outlook, Settings
from .report import Failure, Progress, Report

AHEAD = 2
"""How many items a pool's threads wait with beside those that have a slot, so that a slot that comes free is taken at
once. So many and as many again as there are slots are handed to it, so that it need not wait for what is written."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_RETRY_AFTER = 60.0
TICK = 1.0
"""Seconds after which whoever is shown the progress sees it again, though nothing has happened."""
_TAKEN_AT_ONCE = 64
_COPIES_AT_ONCE = 32
_FOLDERS_KNOWN = 1024
_PASSING = {408, 409, 425, 429}

Verdict = Literal["stop", "fail", "again"]
End = Callable[[Job, Any], object]


def verdict_on(error: BaseException) -> Verdict:
    """Say what an error means: for all, for its item, or for this attempt alone."""
    if isinstance(error, APIStatusError):
        if error.status_code == 402 or error.error_code == "quota_exceeded" or isinstance(error, AuthenticationError):
            return "stop"
        return "again" if error.status_code in _PASSING or error.status_code >= 500 else "fail"
    if isinstance(error, (ForkedError, ProxySettingError, BrokenExecutor, ImportError, OSError)) and not isinstance(
        error, TimeoutError
    ):
        return "stop"
    if isinstance(error, MessageTooBigError):
        return "fail"
    if isinstance(error, (APIConnectionError, UnfinishedError, LimitError, MailboxFullError, CancelledError)):
        return "again"
    # Dask's, for a task whose worker was killed: another one may live. Dask need not be installed.
    return "again" if type(error).__name__ in ("KilledWorker", "FutureCancelledError") else "fail"


def pause_after(error: BaseException, attempt: int) -> float:
    """Return the seconds to wait before another attempt, of which there were so many before this one."""
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None and 0 < asked <= LONGEST_RETRY_AFTER:
        return asked
    return float(min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * (1 - 0.25 * random.random()))


class Speaker(Protocol):
    """Who speaks jobs."""

    parts: Optional[str]

    def begin(self, job: Job) -> None:
        """Begin a job. Does not wait."""

    def window(self) -> int:
        """Return how many may be under way."""

    def slots(self) -> tuple[Optional[int], Optional[int]]:
        """Return how many may speak at once, and how many do; None where it does not know."""

    def close(self) -> None:
        """Drop what is under way."""


class Here:
    """Speaks in this process, by a pool."""

    parts: Optional[str] = None

    def __init__(self, client: Cartesia, end: End) -> None:
        self._client = client
        self._end = end
        self._pool = client.tts.pool()

    def begin(self, job: Job) -> None:
        """Begin a job."""
        speak_here(self._pool, job, self._end)

    def window(self) -> int:
        """Return how many may be under way."""
        return 2 * slots_of(self._client) + AHEAD

    def slots(self) -> tuple[Optional[int], Optional[int]]:
        """Return how many may speak at once, and how many do."""
        limit = self._client.limit
        return (None, None) if limit is None else (limit.allowed, limit.in_use)

    def close(self) -> None:
        """Cancel what is under way, and close the connection."""
        self._pool.close(cancel=True)


class There:
    """Speaks by an executor, whose workers may be other processes and machines; each has a client of its own.

    Args:
        client: It travels: with its key, and a limit that is shared, or counts for itself.
        executor: Anybody's.
        end: Is told of each job, in some thread.
        at_once: How many jobs may be under way.
        parts: The shared folder in which workers leave files, or None.
    """

    def __init__(self, client: Cartesia, executor: Executor, end: End, *, at_once: int, parts: Optional[str]) -> None:
        self.parts = parts
        self._pickled = pickle.dumps(client)
        self._executor = executor
        self._end = end
        self._at_once = at_once
        self._futures: dict[int, Future[Made]] = {}
        if parts is not None:
            with _disk_in_words():
                os.makedirs(parts, exist_ok=True)

    def begin(self, job: Job) -> None:
        """Hand a job over."""
        future = self._executor.submit(speak_there, self._pickled, job)
        self._futures[job.number] = future
        future.add_done_callback(lambda future: self._note(job, future))

    def _note(self, job: Job, future: Future[Made]) -> None:
        self._futures.pop(job.number, None)
        try:
            outcome: Any = future.result()
        except BaseException as error:  # whatever it is, is the owner's to see
            outcome = error
        self._end(job, outcome)

    def window(self) -> int:
        """Return how many may be under way."""
        return self._at_once

    def slots(self) -> tuple[Optional[int], Optional[int]]:
        """Return how many may speak at once; what is handed out is taken to speak."""
        return self._at_once, None

    def close(self) -> None:
        """Take out what no worker has begun; what one is at comes to nothing."""
        for future in list(self._futures.values()):
            future.cancel()
        if self.parts is not None:
            with contextlib.suppress(OSError):  # a worker may be at one still; the next run takes it away
                os.rmdir(self.parts)


def slots_of(client: Cartesia) -> int:
    """Return how many the client may speak at once; eight where nobody knows."""
    limit = client.limit
    return CONTEXTS_A_CONNECTION if limit is None or limit.allowed is None else limit.allowed


@contextlib.contextmanager
def _disk_in_words() -> Any:
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise BatchStoppedError(f"a file cannot be written: {where}{error.strerror or error}") from error


class Run:
    """One run of a plan. See ``cartesia_sync.batch.run`` for the arguments."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        outlook: Outlook,
        client: Cartesia,
        *,
        attempts: int,
        on_progress: Optional[Callable[[Progress], object]],
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._files = outlook.files
        self._has_copies = outlook.copies > 0  # else nobody need look for any
        self._client = client
        self._attempts = attempts
        self._on_progress = on_progress
        self.report = Report(skipped=outlook.skipped, wordless=outlook.wordless)
        self._ends: queue.SimpleQueue[tuple[Job, Any]] = queue.SimpleQueue()
        self._rows: deque[Planned] = deque()
        self._under_way: dict[int, Planned] = {}
        self._resting: list[tuple[float, int, Job]] = []  # until when, and who; a heap
        self._stop: Optional[BaseException] = None
        self._failed_in_a_row = self._window = 0
        self._folders: OrderedDict[str, None] = OrderedDict()
        self._began = time.monotonic()
        self._seen_429 = self._count_429()
        self._refused_elsewhere = 0  # as far as the items say; here the limit knows of all

    def note_end(self, job: Job, outcome: Any) -> None:
        """Hear what came of a job: what was made, or the exception. Threads: any. Does not wait."""
        self._ends.put((job, outcome))

    def go(self, speaker: Speaker) -> None:
        """Do all of it.

        Raises:
            BatchStoppedError: It cannot go on.

        Threads: one. Waits for the service.
        """
        self._tell(speaker)  # so that an interrupt in what follows finds how much there is to do
        while True:
            self._begin_rested(speaker)
            has_more = self._fill(speaker)
            if self._stop is not None:
                self._drop_resting()
            self._tell(speaker)
            if has_more and self._ends.empty():
                continue  # copies, of which there may be very many
            if not self._under_way:
                break
            try:
                job, outcome = self._ends.get(timeout=self._patience())
            except queue.Empty:
                continue
            self._end(job, outcome)
        if self._stop is not None:
            raise BatchStoppedError(_stopped(self._stop)) from self._stop

    def _patience(self) -> Optional[float]:
        """Return how long nothing need be done, if nobody says otherwise."""
        waits = [] if self._on_progress is None else [TICK]
        if self._resting:
            waits.append(max(self._resting[0][0] - time.monotonic(), 0.0))
        return min(waits, default=None)

    def _drop_resting(self) -> None:
        """Leave to the next run what waits for another attempt: there will be none."""
        for _, number, _ in self._resting:
            self._under_way.pop(number, None)
        self._resting.clear()

    def _tell(self, speaker: Speaker) -> None:
        if self._on_progress is None:
            return
        slots, in_use = speaker.slots()
        begun = len(self._under_way) - len(self._resting)
        self._on_progress(
            Progress(
                files=self._files,
                report=self.finish(),
                slots=slots,
                in_use=begun if in_use is None else in_use,
                under_way=len(self._under_way),
                resting=len(self._resting),
            )
        )

    def finish(self) -> Report:
        """Return the report, as it is by now."""
        self.report.elapsed = time.monotonic() - self._began
        self.report.refused = max(self._refused_elsewhere, self._count_429() - self._seen_429)
        return self.report

    def _count_429(self) -> int:
        return 0 if self._client.limit is None else self._client.limit.seen_429

    # ---- what is begun

    def _begin_rested(self, speaker: Speaker) -> None:
        now = time.monotonic()
        while self._resting and self._stop is None and self._resting[0][0] <= now:
            _, _, job = heapq.heappop(self._resting)
            self._begin(speaker, job)

    def _fill(self, speaker: Speaker) -> bool:
        """Take up as many as may be under way; return whether there are copies left to make."""
        copies, self._window = 0, speaker.window()
        while self._stop is None and len(self._under_way) < self._window:
            if copies >= _COPIES_AT_ONCE:
                return True
            row = self._next()
            if row is None:
                break
            if self._has_copies and self._is_copied(row):
                copies += 1
                continue
            self._under_way[row.number] = row
            self._begin(speaker, self._settings.job_of(row, 0, speaker.parts))
        return False

    def _begin(self, speaker: Speaker, job: Job) -> None:
        try:
            speaker.begin(job)
        except Exception as error:  # what an executor raises that is shut down, broken, or out of reach, is its own
            self._stop = error
            self._under_way.pop(job.number, None)

    def _next(self) -> Optional[Planned]:
        if not self._rows:
            self._rows.extend(self._ledger.take(_TAKEN_AT_ONCE))
        return self._rows.popleft() if self._rows else None

    def _is_copied(self, row: Planned) -> bool:
        for source in self._ledger.same_sound(row.hash):
            contents = []
            for file in source.files:
                data = self._ledger.content_of(file)
                if data is None:
                    break
                contents.append(Content(file.size, file.digest, data))
            else:
                self._write(row, Made(tuple(contents), source.seconds, 0.0, source.request_id, 0), 0)
                self.report.copied += 1
                return True
        return False

    # ---- what became of it

    def _end(self, job: Job, outcome: Any) -> None:
        row = self._under_way[job.number]
        if isinstance(outcome, Made):
            del self._under_way[job.number]
            self._failed_in_a_row = 0
            self._write(row, outcome, job.attempt + 1)
            self.report.characters += row.characters
            self.report.note_spoken(row.id, outcome.took)
            self._refused_elsewhere += outcome.refused
            return
        verdict = verdict_on(outcome)
        self._failed_in_a_row += verdict == "again"
        if isinstance(outcome, LimitError) and job.attempt + 1 >= self._attempts:
            verdict = "stop"  # it is no item's fault
        self._refused_elsewhere += isinstance(outcome, APIStatusError) and outcome.status_code == 429
        if verdict == "stop":
            self._stop = self._stop or outcome
        if self._stop is not None and verdict != "fail":
            del self._under_way[job.number]  # the next run has it
        elif verdict == "again" and job.attempt + 1 < self._attempts:
            again = self._settings.job_of(row, job.attempt + 1, job.parts)
            # Where nothing comes through at all, the pauses grow for all together: each item has so many attempts.
            rounds = self._failed_in_a_row // max(self._window, 1)
            due = time.monotonic() + pause_after(outcome, job.attempt + rounds)
            heapq.heappush(self._resting, (due, job.number, again))
        else:
            del self._under_way[job.number]
            self._fail(row, words_of(outcome), job.attempt + 1)

    def _fail(self, row: Planned, error: str, attempts: int) -> None:
        """Fail an item, and those that wait for it."""
        self._note_failed([row], error, attempts)
        last = 0
        while True:
            followers = self._ledger.followers(row.hash, last)
            if not followers:
                return
            last = followers[-1].number
            self._note_failed(followers, error, 0)

    def _note_failed(self, rows: list[Planned], error: str, attempts: int) -> None:
        self._ledger.note(
            [
                Row(
                    row.id,
                    row.hash,
                    FAILED,
                    row.name,
                    row.path,
                    characters=row.characters,
                    error=error,
                    attempts=attempts,
                    item=row.item,
                )
                for row in rows
            ]
        )
        self.report.failed.extend(Failure(row.id, error, attempts) for row in rows)

    def _write(self, row: Planned, made: Made, attempts: int) -> None:
        """Write an item's files: first into the ledger, then into the folder.

        Raises:
            BatchStoppedError: It cannot be written; the next run finds what there is of it.
        """
        paths = self._settings.paths_of(row.path)
        files = tuple(Files(path, content.size, content.digest) for path, content in zip(paths, made.contents))
        entry = Row(
            row.id,
            row.hash,
            DONE,
            row.name,
            row.path,
            files,
            seconds=made.seconds,
            characters=row.characters,
            took=made.took,
            request_id=made.request_id,
            attempts=attempts,
        )
        self._ledger.note_writing(entry)
        with _disk_in_words():
            changed = [self._put(path, content) for path, content in zip(paths, made.contents)]
        self._ledger.settle(entry._replace(files=tuple(each._replace(changed=at) for each, at in zip(files, changed))))
        self.report.done += 1
        self.report.seconds += made.seconds
        if self._has_copies:
            self._ledger.release_followers(row.hash)

    def _put(self, path: str, content: Content) -> int:
        """Write one file; return when it was changed, in ns."""
        target = os.path.join(self._ledger.folder, path)
        self._make_folder(os.path.dirname(path))
        if content.part is not None:
            with open(content.part, "rb") as file:
                if digest_of(file.read()) != content.digest:
                    raise OSError(None, "what a worker wrote there is something else here", content.part)
            os.replace(content.part, target)
        else:
            assert content.data is not None
            with WholeFile(target) as whole:
                whole.write(content.data)
        return os.stat(target).st_mtime_ns

    def _make_folder(self, folder: str) -> None:
        """Make a folder in ours, which has to be there."""
        if not folder or folder in self._folders:
            return
        self._make_folder(os.path.dirname(folder))
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(self._ledger.folder, folder))
        self._folders[folder] = None
        if len(self._folders) > _FOLDERS_KNOWN:
            self._folders.popitem(last=False)


def write_failed(ledger: Ledger) -> None:
    """Write ``failed.csv``, of all that failed in this folder; take it away where there is nothing.

    Raises:
        BatchStoppedError: It cannot be written.
    """
    path = os.path.join(ledger.folder, FAILED_NAME)
    failed = ledger.all_failed()
    first = next(failed, None)
    with _disk_in_words():
        if first is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        with WholeFile(path) as file:
            for line in failed_rows((_failed_item(row), row.error or "") for row in _from(first, failed)):
                file.write(line.encode("utf-8", "surrogatepass"))


def _from(first: Row, others: Any) -> Any:
    yield first
    yield from others


def _failed_item(row: Row) -> Item:
    import dataclasses

    return dataclasses.replace(Item.from_json(row.item or "{}"), file=row.path)


def parts_folder(folder: str) -> str:
    """Return where workers leave files."""
    return os.path.join(folder, PARTS)


def _stopped(error: BaseException) -> str:
    if isinstance(error, APIStatusError):
        if error.status_code == 402 or error.error_code == "quota_exceeded":
            return f"the account has no credits left: {error}"
        return f"the service refuses the key: {error}"
    if isinstance(error, (CartesiaError, OSError, ImportError)):
        return str(error)
    return f"the executor takes no more ({type(error).__name__}: {error})"
