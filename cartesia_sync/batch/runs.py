"""What users call: ``run``, and ``plan``, which looks and sends nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..audio.kinds import CAPTIONS, SOUNDS
from ..client import Cartesia
from ..errors import BatchStoppedError
from ..pool.pool import OPTIONS
from ..protocol.timeouts import Timeout
from ..streaming.context import DEFAULT_MODEL_ID
from .items import Given
from .ledger import NAME, Ledger
from .places import Pattern
from .planning import Outlook, Settings, make_plan
from .report import Progress, Report
from .running import Here, Run, Speaker, There, parts_folder, slots_of, write_failed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..pool.pool import PoolOptions

ATTEMPTS = 5
_CLOSE_TIMEOUT = 0.25
"""Seconds for the service's goodbye, so that Ctrl-C ends the whole within one."""


def run(
    client: Cartesia,
    items: Iterable[Given],
    out: Union[str, os.PathLike[str]],
    *,
    pattern: Optional[str] = None,
    format: str = "wav",
    captions: Optional[str] = None,
    attempts: int = ATTEMPTS,
    retry_failed: bool = False,
    executor: Optional[Executor] = None,
    at_once: Optional[int] = None,
    shared_folder: bool = False,
    on_progress: Optional[Callable[[Progress], object]] = None,
    **options: Unpack[PoolOptions],
) -> Report:
    """Speak items into files; go on where the last run on that folder stopped, however it stopped.

    What is whole and unchanged is skipped; what has another text, voice, model, format or the like now is spoken anew;
    of several items that sound alike one is spoken, and the others are copies. Items without a letter or digit make
    no file. What failed before is tried again. The folder has a ledger, ``.cartesia-batch.sqlite``, and ``failed.csv``
    where something failed.

    An item that fails for a reason which may pass (429, 5xx, a loss, a clock) is tried again after a while; one that
    the service refuses (400, 404, 422) fails at once. Without credits (402, ``quota_exceeded``) or a valid key (401)
    all stops.

    Args:
        client: With a ``limit``, so that as many are spoken at once as the account allows; eight without one.
        items: Texts, pairs of id and text, mappings with ``id``, ``text`` and other fields of ``Item``, or ``Item``;
            see ``read_items``. Iterated once, to its end, before the first is spoken; memory does not grow with their
            number.
        out: The folder; it is made if it is not there. More than 10,000 files are put into two levels of folders,
            unless the pattern has some.
        pattern: How files are named: ``{id}``, ``{number}``, ``{voice}``, ``{language}`` or any other column.
            ``{id}.wav`` by default.
        format: The kind of file, where its name does not say.
        captions: The kind of captions to write beside each file, or None.
        attempts: How often an item is tried.
        retry_failed: Speak what failed before, and nothing else.
        executor: Speak by its workers, whose processes and machines may be others: the client is pickled, with its key.
            The files are written here. None: by threads of this process.
        at_once: How many items an executor has at once; the limit by default, or eight.
        shared_folder: Let the executor's workers write the files, into the same ``out``; they get their names here.
        on_progress: Called in this thread, after each item and each second, with what has been done.
        **options: How all is spoken that does not say otherwise: ``voice``, ``model_id``, ``output_format`` (raw,
            16 bit, 44.1 kHz by default), and the other options of ``client.tts.pool()``.

    Raises:
        TypeError, ValueError: An argument or an item is none, or a file's name is refused; nothing has been spoken.
        BatchStoppedError: It cannot go on: no credits, a full disk, another process at work there. It has the report,
            and the next run goes on from there.
        ImportError: A kind of file needs an extra.

    Threads: one; a folder has one run at a time, which a lock on the ledger sees to. Waits for all of it. Ctrl-C ends
    it within a second; files are whole or not there.
    """
    settings = _settings(client, pattern, format, captions, options)
    for name, count in (("attempts", attempts), ("at_once", at_once)):
        if count is not None and (type(count) is not int or count < 1):
            raise ValueError(f"{name} is 1 or more; got {count!r}")
    if shared_folder and executor is None:
        raise ValueError("shared_folder is for the workers of an executor; there is none")
    folder = os.path.abspath(os.fspath(out))
    with _disk_in_words():
        os.makedirs(folder, exist_ok=True)
    # No context is left open here, which somebody would have to look at.
    quick = client.with_options(timeout=_closing_soon(client.timeout), limit_idle=None)
    with Ledger(folder) as ledger:
        ledger.reconcile()
        slots = at_once or slots_of(client)
        outlook = make_plan(ledger, settings, items, retry_failed=retry_failed, slots=slots)
        running = Run(ledger, settings, outlook, quick, attempts=attempts, on_progress=on_progress)
        parts = parts_folder(folder) if shared_folder else None

        def speaker() -> Speaker:
            if executor is None:
                return Here(quick, running.note_end)
            return There(quick, executor, running.note_end, at_once=slots, parts=parts)

        try:
            with contextlib.closing(speaker()) as speaks:
                running.go(speaks)
        except BatchStoppedError as error:
            error.report = running.finish()
            with contextlib.suppress(BatchStoppedError):  # what is raised says more
                ledger.settle_all()
                write_failed(ledger)
            raise
        ledger.settle_all()
        write_failed(ledger)
        return running.finish()


def plan(
    client: Cartesia,
    items: Iterable[Given],
    out: Union[str, os.PathLike[str]],
    *,
    pattern: Optional[str] = None,
    format: str = "wav",
    captions: Optional[str] = None,
    retry_failed: bool = False,
    at_once: Optional[int] = None,
    **options: Unpack[PoolOptions],
) -> Outlook:
    """Say what ``run`` would do: how many files, characters (which are credits), and roughly how long. Sends nothing.

    A folder that is there is brought in order as by ``run``; one that is not is not made.

    Args: as for ``run``.

    Raises: as ``run``, but for what the service says.

    Threads: as ``run``. Waits for the disk alone.
    """
    settings = _settings(client, pattern, format, captions, options)
    folder = os.path.abspath(os.fspath(out))
    is_kept = os.path.exists(os.path.join(folder, NAME))
    with Ledger(folder, is_kept=is_kept) as ledger:
        if is_kept:
            ledger.reconcile()
        return make_plan(ledger, settings, items, retry_failed=retry_failed, slots=at_once or slots_of(client))


def _settings(client: Cartesia, pattern: Optional[str], format: str, captions: Optional[str], options: Any) -> Settings:
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"a batch takes no {name!r}; the options of what is spoken are {', '.join(OPTIONS)}")
    if format not in SOUNDS.values():
        raise ValueError(f"format is {', '.join(sorted({*SOUNDS.values()}))}; got {format!r}")
    if captions is not None and captions not in CAPTIONS.values():
        raise ValueError(f"captions are {', '.join(CAPTIONS.values())}; got {captions!r}")
    version = client._version_sent(None, None, over_http=False)
    given = {name: value for name, value in options.items() if value is not None}
    return Settings(Pattern(pattern or f"{{id}}.{format}"), format, captions, given, version, DEFAULT_MODEL_ID)


def _closing_soon(timeout: Timeout) -> Timeout:
    if timeout.close is not None and timeout.close <= _CLOSE_TIMEOUT:
        return timeout
    return Timeout(**{**dataclasses.asdict(timeout), "close": _CLOSE_TIMEOUT})


@contextlib.contextmanager
def _disk_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BatchStoppedError(f"the folder cannot be made: {error.filename}: {error.strerror}") from error
