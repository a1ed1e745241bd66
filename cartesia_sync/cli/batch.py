"""``cartesia-sync batch``: very many texts to files, and on from where it stopped."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from . import interrupts, service
from .outcome import FAILED, KILLED, SUCCEEDED, WRONG_USE, CommandError, complain, tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..batch import Item, Outlook
    from ..batch.progress import Display
    from ..client import Cartesia

STANDARD = "-"
_INTERRUPTED = KILLED + 2
"""The status after Ctrl-C and SIGTERM alike: both leave what the next run goes on from."""
_MOST_LEARNED = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.usage = "cartesia-sync batch [options] INPUT OUT"  # with all options it would fill half a screen
    add = parser.add_argument
    add("input", metavar="INPUT", help="CSV, TSV, JSON lines or lines; - is standard input")
    add("out", metavar="OUT", help="the folder for the files")
    kinds = ("csv", "tsv", "jsonl", "lines")
    add("--input-format", metavar="KIND", choices=kinds, help=f"{', '.join(kinds)} (by its suffix)")
    add("--pattern", metavar="NAME", help="how files are named ({id}.wav)")
    add("--format", metavar="KIND", help="the kind of file, where no suffix says it (wav)")
    add("--captions", metavar="KIND", help="write captions beside each file, such as srt")
    add("--voice", metavar="ID", help="a voice's id; see cartesia-sync voices")
    add("--model", metavar="ID", help="a model's id (sonic-latest)")
    add("--language", metavar="CODE", help="the texts' language, such as en")
    add("--dictionary", metavar="ID", help="a pronunciation dictionary's id")
    add("--speed", metavar="N", type=float, help="0.6 to 1.5")
    add("--sample-rate", metavar="HZ", type=int, help="of the audio (44100)")
    add("--limit", metavar="N", type=_one_or_more, help="how many to speak at once: what your plan has")
    add("--limit-redis", metavar="URL", help="share that with all that use this Redis")
    add("--learn", action="store_true", help="find the limit out (so without --limit)")
    add("--attempts", metavar="N", type=_one_or_more, default=5, help="for each text (%(default)s)")
    add("--retry-failed", action="store_true", help="speak what failed before, and nothing else")
    add("--dry-run", action="store_true", help="say what would be done, and send nothing")
    add("--json", action="store_true", help="say all as JSON, an object a line")
    add("--executor", metavar="NAME", help="dask=ADDRESS: speak by a cluster's workers")
    add("--shared-folder", action="store_true", help="these workers see OUT, and write there")
    service.add_local(parser)


def _one_or_more(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        import argparse  # which is loaded by now

        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Speak the texts.

    Raises:
        CommandError: It cannot be done as it was asked for, or stopped.
        OSError: The input cannot be read.
    """
    _check(options)
    with interrupts.held_back():
        from .. import batch
        from ..batch import executors, progress  # noqa: F401  # loaded while signals are held back
        from ..pool import pool  # noqa: F401  # likewise
        from ..streaming.context import DEFAULT_VOICE_ID

        with contextlib.suppress(ImportError, ValueError):  # which is said when the items are looked at
            _load_kinds(options)
    if options.voice is None:
        options.voice = DEFAULT_VOICE_ID
    with contextlib.ExitStack() as stack:
        limit, more = _limit(options, stack)
        client = stack.enter_context(service.client(options, limit=limit))
        arguments = _arguments(options)
        try:
            if options.dry_run:
                _tell_outlook(options, batch.plan(client, _items(options), options.out, **arguments))
                return SUCCEEDED
            return _run(options, client, {**arguments, **more})
        except (TypeError, ValueError, ImportError) as error:
            raise CommandError(str(error), WRONG_USE) from error


def _load_kinds(options: argparse.Namespace) -> None:
    """Load what the kinds of files need."""
    from ..batch import making

    for kind in (options.format, options.captions):
        if kind is not None:
            making.check_kind(kind, making.format_for(kind))


def _run(options: argparse.Namespace, client: Cartesia, arguments: dict[str, Any]) -> int:
    from .. import batch
    from ..errors import BatchStoppedError

    display = _display(options)
    last: list[batch.Progress] = []

    def show(progress: batch.Progress) -> None:
        last[:] = [progress]
        display.show(progress)

    arguments.update(attempts=options.attempts, shared_folder=options.shared_folder, on_progress=show)
    try:
        with contextlib.closing(display):
            report = batch.run(client, _items(options), options.out, **arguments)
    except BatchStoppedError as error:
        if error.report is not None:
            _tell_summary(options, error.report)
        goes_on = "" if error.report is None else "; run the same command again to go on"
        return complain(f"{str(error).rstrip('.')}{goes_on}", FAILED)
    except KeyboardInterrupt:
        _, words = interrupts.last()
        made = f"{last[0].report.done:,} of {last[0].files:,} files are made" if last else "nothing has begun"
        return complain(f"{words}: {made}; run the same command again to go on", _INTERRUPTED)
    _tell_summary(options, report)
    return FAILED if report.failed else SUCCEEDED


# ---- what was asked for


def _check(options: argparse.Namespace) -> None:
    if options.limit_redis and options.limit is None:
        raise CommandError("--limit-redis shares the number of --limit, which is not given", WRONG_USE)
    if options.learn and options.limit_redis:
        raise CommandError("--learn finds out what --limit-redis is told: give one of them", WRONG_USE)
    if options.shared_folder and not options.executor:
        raise CommandError("--shared-folder is for the workers of --executor", WRONG_USE)
    if options.executor and options.limit is None:
        raise CommandError("--executor needs --limit: how many all its workers may speak at once", WRONG_USE)
    if options.input == STANDARD:
        if sys.stdin is None:
            raise CommandError("standard input is closed", WRONG_USE)
    elif not os.path.isfile(options.input) and os.path.isdir(options.input):
        raise CommandError(f"{options.input}: this is a folder", WRONG_USE)


def _limit(options: argparse.Namespace, stack: contextlib.ExitStack) -> tuple[Any, dict[str, Any]]:
    """Return the client's limit, and the arguments for an executor."""
    from ..batch import executors
    from ..limits import Learned, Redis

    try:
        limit: Any = options.limit
        if options.limit_redis:
            limit = Redis(options.limit_redis, options.limit)
        elif options.learn or limit is None:
            limit = Learned(most=options.limit or _MOST_LEARNED)
        if not options.executor or options.dry_run:
            return limit, {}
        slots = options.limit if isinstance(limit, int) else None
        opened = stack.enter_context(executors.opened(options.executor, slots))
    except (ImportError, ValueError) as error:
        raise CommandError(str(error), WRONG_USE) from error
    return opened.limit or limit, {"executor": opened.executor, "at_once": options.limit}


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    from ..batch.making import format_for

    kind = options.format
    if kind is None and options.pattern is not None:
        suffix = os.path.splitext(options.pattern)[1].lower().lstrip(".")
        kind = suffix or None
    found: dict[str, Any] = {
        "pattern": options.pattern,
        "format": options.format or "wav",
        "captions": options.captions,
        "retry_failed": options.retry_failed,
        "voice": options.voice,
        "model_id": options.model,
        "language": options.language,
        "pronunciation_dict_id": options.dictionary,
    }
    if options.speed is not None:
        found["generation_config"] = {"speed": options.speed}
    if options.sample_rate is not None:
        found["output_format"] = {**format_for(kind or "wav"), "sample_rate": options.sample_rate}
    return found


def _items(options: argparse.Namespace) -> Iterator[Item]:
    from ..batch import read_items

    if options.input != STANDARD:
        return read_items(options.input, options.input_format)
    return read_items(sys.stdin.buffer, options.input_format or "lines")


# ---- what is said


def _display(options: argparse.Namespace) -> Display:
    from ..batch.progress import Bar, JsonLines, Lines

    if options.json:
        return JsonLines(tell)
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            with interrupts.held_back():
                return Bar(sys.stderr)
        except ImportError as error:
            _say(f"({error})")
    return Lines(_say)


def _say(words: str) -> None:
    if sys.stderr is not None:
        print(words, file=sys.stderr, flush=True)


def _tell_summary(options: argparse.Namespace, report: Any) -> None:
    from ..batch.progress import figures_of, summary_of

    if not options.json:
        tell(summary_of(report, failed_path=os.path.join(options.out, "failed.csv")))
    else:
        slowest = [slow._asdict() for slow in report.slowest]
        failed = [failure._asdict() for failure in report.failed]
        tell(json.dumps({"event": "summary", **figures_of(report), "slowest": slowest, "failures": failed}))


def _tell_outlook(options: argparse.Namespace, outlook: Outlook) -> None:
    from ..batch.progress import clock

    if options.json:
        tell(json.dumps({"event": "plan", **outlook._asdict()}))
        return
    tell(
        f"{outlook.files:,} files are to be made, {outlook.copies:,} of them as copies; {outlook.skipped:,} are whole, "
        f"{outlook.wordless:,} have no words\n"
        f"{outlook.characters:,} characters are to be spoken (as many credits): about {clock(outlook.audio_seconds)} "
        f"of audio, in about {clock(outlook.seconds)} or less"
    )
