"""``cartesia-sync say``: speak a text into a WAV file, to standard output, or aloud."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Callable, Optional

from . import interrupts, service
from .outcome import STANDARD_OUTPUT, SUCCEEDED, WRONG_USE, CommandError, tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..protocol.formats import RawOutputFormatParam

STANDARD = "-"
STANDARD_INPUT = "standard input"
WAV_SUFFIXES = ("", ".wav", ".wave")
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
PLAYERS = (
    ("afplay",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    ("play", "-q"),
)
_BETWEEN_SHOWS = 0.1
"""Seconds; a terminal is slow, and nobody reads faster."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input, as UTF-8")
    parser.add_argument("-o", "--output", metavar="FILE", help="the WAV file to write; - is standard output")
    parser.add_argument("--voice", metavar="ID", help="a voice's id; see cartesia-sync voices")
    parser.add_argument("--model", metavar="ID", help="a model's id (default: sonic-latest)")
    parser.add_argument("--language", metavar="CODE", help="the text's language, such as en")
    parser.add_argument("--play", action="store_true", help="play it, with a player found on this machine")
    service.add_local(parser)


def run(options: argparse.Namespace) -> int:
    """Speak the text.

    Raises:
        CommandError: It cannot be done as it was asked for, or the player failed.
        CartesiaError, OSError: It failed.
    """
    _check_output(options)
    text = _text(options.text)
    player = _player() if options.play else None
    with interrupts.held_back():
        import tempfile

        from ..audio import wav  # noqa: F401  # what save() loads
        from ..streaming.context import DEFAULT_MODEL_ID, DEFAULT_VOICE_ID
    with contextlib.ExitStack() as stack:
        path = options.output
        if path in (None, STANDARD) and player is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cartesia-sync-"))
            path = os.path.join(folder, "speech.wav")
        connection = stack.enter_context(stack.enter_context(service.client(options)).tts.websocket_connect())
        context = connection.context(
            model_id=DEFAULT_MODEL_ID if options.model is None else options.model,
            voice=DEFAULT_VOICE_ID if options.voice is None else options.voice,
            language=options.language,
            output_format=FORMAT,
        )
        context.push(text, continue_=False)
        with _named_as_typed(options.output), _progress() as show:
            seconds = context.save(sys.stdout.buffer if path == STANDARD else path, on_progress=show)
        if path != STANDARD and options.output == STANDARD:
            with open(path, "rb") as file:
                sys.stdout.buffer.write(file.read())
            sys.stdout.buffer.flush()
        elif path == options.output != STANDARD:
            tell(f"{path}: {seconds:.2f} s")
        if player is not None:
            _play(player, path, options.output)
    return SUCCEEDED


# ---- what was asked for


def _check_output(options: argparse.Namespace) -> None:
    """Find what is wrong with the target before the service is asked, which costs money.

    Raises:
        CommandError, OSError: It cannot be written to.
    """
    target = options.output
    if not target:
        if not options.play:
            raise CommandError("where should it go? Give -o FILE, or --play", WRONG_USE)
        return
    if target == STANDARD:
        if sys.stdout is None:
            raise CommandError("-o -: standard output is closed", WRONG_USE)
        if sys.stdout.isatty():
            raise CommandError("-o -: standard output is a terminal; send it to a program or a file", WRONG_USE)
        return
    if os.path.splitext(target)[1].lower() not in WAV_SUFFIXES:
        raise CommandError(f"-o {target}: only WAV can be written; give a name that ends in .wav", WRONG_USE)
    if os.path.exists(target) and not os.path.isdir(target) and not os.path.isfile(target):
        raise CommandError(f"-o {target}: this is no ordinary file; -o - writes to standard output", WRONG_USE)
    with interrupts.held_back():
        from ..audio.files import WholeFile
    with contextlib.suppress(_TriedError), WholeFile(target):
        raise _TriedError  # so that nothing is made of it, nor changed


class _TriedError(Exception):
    """The target can be written to."""


def _text(given: str) -> str:
    is_standard = given == STANDARD
    try:
        text = _standard_input() if is_standard else given
        text.encode()  # what was not UTF-8 on the command line is half a character now
    except UnicodeError as error:
        what = STANDARD_INPUT if is_standard else "the text"
        place = f": the byte at {error.start} begins no character" if isinstance(error, UnicodeDecodeError) else ""
        raise CommandError(f"{what} is not UTF-8{place}", WRONG_USE) from None
    if not text.strip():
        raise CommandError("there is nothing to say: the text is empty", WRONG_USE)
    return text


def _standard_input() -> str:
    if sys.stdin is None:
        raise CommandError(f"{STANDARD_INPUT} is closed", WRONG_USE)
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        if buffer is None:
            return sys.stdin.read()  # somebody has put a text in its place
        text: str = buffer.read().decode("utf-8-sig")
        return text
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_INPUT) from error


# ---- while it is spoken


@contextlib.contextmanager
def _named_as_typed(target: Optional[str]) -> Iterator[None]:
    """Name what the user typed in the errors of the system, also where that is not the file that was written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno is None or type(error).__module__ != "builtins":
            raise
        what = STANDARD_OUTPUT if target == STANDARD else target or "the audio for the player"
        raise OSError(error.errno, error.strerror, what) from error


@contextlib.contextmanager
def _progress() -> Iterator[Optional[Callable[[float], None]]]:
    """Show on a terminal how much there is so far; how much it will be nobody knows, so that a bar had no end."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    shown_at = width = 0.0

    def show(seconds: float) -> None:
        nonlocal shown_at, width
        now = time.monotonic()
        if now - shown_at < _BETWEEN_SHOWS:
            return
        line = f"speaking: {seconds:.1f} s of audio"
        shown_at, width = now, max(width, len(line))
        print(f"\r{line}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if width:  # what else is said stands in a line of its own
            print(f"\r{' ' * int(width)}\r", end="", file=sys.stderr, flush=True)


# ---- aloud


def _player() -> tuple[str, ...]:
    import shutil

    for command in PLAYERS:
        if shutil.which(command[0]):
            return command
    raise CommandError(f"--play needs one of {', '.join(command[0] for command in PLAYERS)}; none is installed")


def _play(player: tuple[str, ...], path: str, target: Optional[str]) -> None:
    import subprocess

    try:
        played = subprocess.run([*player, path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise CommandError(f"the player {player[0]} cannot be started: {error.strerror}") from error
    if played.returncode:
        how = f"status {played.returncode}" if played.returncode > 0 else f"signal {-played.returncode}"
        said = played.stderr.decode(errors="replace").replace(path, target or "the audio").strip().splitlines()
        raise CommandError(f"the player {player[0]} failed with {how}" + (f": {said[-1].strip()}" if said else ""))
