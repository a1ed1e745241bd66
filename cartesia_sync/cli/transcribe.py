"""``cartesia-sync transcribe``: write down what is said in a recording."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from . import captions, interrupts, service
from .outcome import SUCCEEDED, WRONG_USE, CommandError, notice, tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from ..client import Cartesia
    from ..listening.session import Turn

BATCH_MODEL, LIVE_MODEL, TIMED_MODEL = "ink-whisper", "ink-2", "ink-whisper"
STANDARD = "-"


class _Found(NamedTuple):
    """What was said: as text, as what ``--json`` shows, and (text, start, end) for captions."""

    text: str
    fields: dict[str, Any]
    times: list[tuple[str, float, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("file", metavar="FILE", help="the recording; - reads it from standard input")
    parser.add_argument("--live", action="store_true", help="over a streaming session, at the pace of speech")
    parser.add_argument("--turns", action="store_true", help="turn by turn, with its times; implies --live")
    parser.add_argument("--json", action="store_true", help="as JSON: one object, or one a line with --turns")
    parser.add_argument("--captions", metavar="FILE", help="write captions too: .srt, .vtt, .ass or .json")
    parser.add_argument(
        "--model", metavar="ID", help=f"a model's id (default: {BATCH_MODEL}; with --live and --turns {LIVE_MODEL})"
    )
    parser.add_argument("--language", metavar="CODE", help="what is spoken, such as en")
    service.add_local(parser)


def run(options: argparse.Namespace) -> int:
    """Transcribe it.

    Raises:
        CommandError: It cannot be done as it was asked for.
        CartesiaError, OSError, ValueError: It failed, or the recording cannot be read.
    """
    if options.turns and options.language not in (None, "en"):
        raise CommandError("--language: turns are found in English alone; leave --turns out", WRONG_USE)
    if options.captions:
        captions.check(options.captions)
    content = _content(options.file)
    with service.client(options) as client:
        if options.turns:
            found = _by_turns(client, content, options)
        elif options.live:
            found = _live(client, content, options)
        else:
            found = _at_once(client, content, options)
    if options.captions:
        captions.write(options.captions, found.times)
    if options.json and not options.turns:
        tell(json.dumps(found.fields, ensure_ascii=False, indent=2))
    elif not options.turns:
        tell(found.text)
    return SUCCEEDED


def _content(path: str) -> bytes:
    if path != STANDARD:
        with open(path, "rb") as file:
            content = file.read()
    elif sys.stdin is None:
        raise CommandError("standard input is closed", WRONG_USE)
    else:
        content = sys.stdin.buffer.read()
    if not content:
        raise CommandError(f"{'standard input' if path == STANDARD else path}: the recording is empty")
    return content


def _at_once(client: Cartesia, content: bytes, options: argparse.Namespace) -> _Found:
    with interrupts.held_back():
        from ..protocol.requests import omit
    wants_words = bool(options.captions or options.json)
    heard = client.stt.transcribe(
        file=(os.path.basename(options.file) if options.file != STANDARD else "recording", content),
        model=options.model or BATCH_MODEL,
        language=options.language or omit,
        timestamp_granularities=["word"] if wants_words else omit,
        timeout=None,  # a long one takes long; Ctrl-C ends it
    )
    return _found(heard)


def _live(client: Cartesia, content: bytes, options: argparse.Namespace) -> _Found:
    _announce(content, options)
    with interrupts.held_back():
        from ..listening import session  # noqa: F401  # what a session loads
    wants_words = bool(options.captions or options.json)
    heard = client.stt.manual_finalize.transcribe(
        content,
        model=options.model or (TIMED_MODEL if options.captions else LIVE_MODEL),
        word_timestamps=wants_words,
        **({"language": options.language} if options.language else {}),
    )
    return _found(heard)


def _by_turns(client: Cartesia, content: bytes, options: argparse.Namespace) -> _Found:
    _announce(content, options)
    said: list[Turn] = []
    with interrupts.held_back():
        from ..listening.session import Turn  # noqa: F401  # what a session loads
    manager = client.stt.auto_finalize.websocket(
        model=options.model or LIVE_MODEL, encoding="pcm_s16le", sample_rate=16000
    )
    with manager as session, session.feed(content):
        for turn in session.turns():
            show_turn(turn, as_json=options.json)
            said.append(turn)
    times = [(turn.text.strip(), turn.started, turn.started if turn.ended is None else turn.ended) for turn in said]
    return _Found("".join(turn.text for turn in said), {}, times)


def show_turn(turn: Turn, *, as_json: bool) -> None:
    """Print one turn on a line."""
    if as_json:
        tell(json.dumps(turn._asdict(), ensure_ascii=False))
    else:
        ended = "      " if turn.ended is None else f"{turn.ended:6.1f}"
        tell(f"{turn.started:6.1f} {ended}  {turn.text.strip()}")


def _found(heard: Any) -> _Found:
    words: Iterable[Any] = heard.words or ()
    return _Found(heard.text.strip(), heard.to_dict(), [(each.word, each.start, each.end) for each in words])


def _announce(content: bytes, options: argparse.Namespace) -> None:
    """Say beforehand how long it takes."""
    with interrupts.held_back():
        from ..audio.recording import read_recording
    recording = read_recording(content)
    seconds = len(recording.samples) / recording.sample_rate
    if seconds >= LONG_SECONDS:
        notice(f"{seconds:.0f} s of audio take as long; without --live and --turns it goes at once")


LONG_SECONDS = 10.0
"""From here on it is said."""
