"""``cartesia-sync say``: speak a text into a file, to standard output, or aloud."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, Callable, Optional, Union

from . import captions, interrupts, service, targets
from .outcome import STANDARD_OUTPUT, SUCCEEDED, WRONG_USE, CommandError, tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..audio.kinds import Kind
    from ..protocol.formats import RawFormat, RawOutputFormatParam
    from ..speech.recording import Recording
    from ..streaming.context import Context

STANDARD = "-"
STANDARD_INPUT = "standard input"
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
OPUS_FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 48000}
"""Opus takes no 44.1 kHz."""
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
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the file to write, by its suffix WAV, MP3, Ogg, Opus or FLAC; - is a WAV file on standard output",
    )
    parser.add_argument("--voice", metavar="ID", help="a voice's id; see cartesia-sync voices")
    parser.add_argument("--model", metavar="ID", help="a model's id (default: sonic-latest)")
    parser.add_argument("--language", metavar="CODE", help="the text's language, such as en")
    parser.add_argument("--captions", metavar="FILE", help="write captions too: .srt, .vtt, .ass or .json")
    parser.add_argument(
        "--play", action="store_true", help="play it, while it arrives (or by a player found on this machine)"
    )
    parser.add_argument("--device", metavar="NAME", help="what to play it on: a device's name, or a part of it")
    service.add_local(parser)


def run(options: argparse.Namespace) -> int:
    """Speak the text.

    Raises:
        CommandError: It cannot be done as it was asked for, or the player failed.
        CartesiaError, OSError: It failed.
    """
    kind = _check_output(options)
    _check_captions(options)
    text = _text(options.text)
    player = _player() if options.play and not _can_play(options) else None
    with interrupts.held_back():
        from ..audio import encoders, wav  # noqa: F401  # what save() loads
        from ..streaming.context import DEFAULT_MODEL_ID, DEFAULT_VOICE_ID
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(stack.enter_context(service.client(options)).tts.websocket_connect())
        context = connection.context(
            model_id=DEFAULT_MODEL_ID if options.model is None else options.model,
            voice=DEFAULT_VOICE_ID if options.voice is None else options.voice,
            language=options.language,
            output_format=OPUS_FORMAT if kind == "opus" else FORMAT,
            add_timestamps=True if options.captions else None,
        )
        if options.play and player is None:
            _play_and_save(context, options, text)
            return SUCCEEDED
        context.push(text, continue_=False)
        if player is None and not options.captions:
            with _named_as_typed(options.output), _progress() as show:
                seconds = context.save(_target(options), on_progress=show)
            _tell_length(options, seconds)
            return SUCCEEDED
        recording = context.record()
        _hear(recording)
        _save(recording, options)
        if player is not None:
            _play(player, recording, options.output)
    return SUCCEEDED


# ---- what was asked for


def _check_output(options: argparse.Namespace) -> Kind:
    """Find what is wrong with the target before the service is asked, which costs money; return its kind.

    Raises:
        CommandError, OSError: It cannot be written to.
    """
    target = options.output
    if not target:
        if not options.play:
            raise CommandError("where should it go? Give -o FILE, or --play", WRONG_USE)
        return "wav"
    if target == STANDARD:
        if sys.stdout is None:
            raise CommandError("-o -: standard output is closed", WRONG_USE)
        if sys.stdout.isatty():
            raise CommandError("-o -: standard output is a terminal; send it to a program or a file", WRONG_USE)
        return "wav"
    with interrupts.held_back():
        from ..audio.encoders import check
        from ..audio.kinds import SOUNDS, suffix_of
    suffix = suffix_of(target)
    if suffix and suffix not in SOUNDS:
        raise CommandError(f"-o {target}: give a name that ends in {', '.join(SOUNDS)}", WRONG_USE)
    kind = SOUNDS.get(suffix, "wav")
    try:
        with interrupts.held_back():
            check(kind, None)
    except ImportError as error:
        raise CommandError(f"-o {target}: {error}") from error
    if os.path.exists(target) and not os.path.isdir(target) and not os.path.isfile(target):
        raise CommandError(f"-o {target}: this is no ordinary file; -o - writes to standard output", WRONG_USE)
    targets.check(target)
    return kind


def _check_captions(options: argparse.Namespace) -> None:
    """Find what is wrong with the captions' target before the service is asked.

    Raises:
        CommandError, OSError: They cannot be written to it.
    """
    target = options.captions
    if target is None:
        return
    captions.check(target)
    if options.output and os.path.abspath(options.output) == os.path.abspath(target):
        raise CommandError(f"--captions {target}: the audio goes there", WRONG_USE)


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


def _hear(recording: Recording, take: Callable[[bytes], object] = len) -> None:
    """Receive all of it, and show how much there is."""
    with _progress() as show:
        for event in recording:
            if event.type == "chunk":
                take(event.audio)
                if show is not None:
                    show(recording.seconds)


def _save(recording: Recording, options: argparse.Namespace) -> None:
    """Write the audio and the captions that were asked for, once both are known to be whole."""
    captions = recording.captions() if options.captions else None
    if options.output:
        with _named_as_typed(options.output):
            seconds = recording.save(_target(options))
        _tell_length(options, seconds)
    if captions is not None:
        captions.save(options.captions)


def _target(options: argparse.Namespace) -> Union[str, BinaryIO]:
    target: str = options.output
    return sys.stdout.buffer if target == STANDARD else target


def _tell_length(options: argparse.Namespace, seconds: float) -> None:
    if options.output == STANDARD:
        sys.stdout.buffer.flush()
    else:
        tell(f"{options.output}: {seconds:.2f} s")


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


def _can_play(options: argparse.Namespace) -> bool:
    """Whether the package can play by itself; without its extra a player of the machine's is looked for.

    Raises:
        CommandError: It cannot, and a device was asked for.
    """
    with interrupts.held_back():
        from ..speech import device
    try:
        with interrupts.held_back():
            device.miniaudio()
    except ImportError as error:
        if options.device is not None:
            raise CommandError(f"--device: {error}") from error
        return False
    return True


class _Pieces:
    """Raw audio on its way to the player."""

    def __init__(self, audio_format: Optional[RawFormat]) -> None:
        import queue

        self.audio_format = audio_format
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.put = self._pieces.put

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces.get, b"")

    def cancel(self) -> None:
        """Be at the end."""
        self.put(b"")


def _play_and_save(context: Context, options: argparse.Namespace, text: str) -> None:
    """Play it while it arrives, and write what was asked for; where the device fails, that is there all the same."""
    with interrupts.held_back():
        from ..speech.player import Player
    pieces, recording = _Pieces(context.audio_format), context.record()
    with Player(options.device) as player:
        speech = player.play(pieces)
        context.push(text, continue_=False)
        _hear(recording, pieces.put)
        pieces.cancel()
        if not recording.seconds:
            raise CommandError("there is no letter or digit in the text, and so no audio")
        _save(recording, options)
        speech.wait()


def _player() -> tuple[str, ...]:
    import shutil

    for command in PLAYERS:
        if shutil.which(command[0]):
            return command
    raise CommandError(
        "--play needs miniaudio (pip install 'cartesia-sync[play]') or one of "
        f"{', '.join(command[0] for command in PLAYERS)}; none is installed"
    )


def _play(player: tuple[str, ...], recording: Recording, target: Optional[str]) -> None:
    """Have a player of the machine's play it, out of a file of its own: what it can play nobody knows, but WAV."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cartesia-sync-") as folder:
        path = os.path.join(folder, "speech.wav")
        with _named_as_typed(None):
            recording.save(path)
        try:
            played = subprocess.run([*player, path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        except OSError as error:
            raise CommandError(f"the player {player[0]} cannot be started: {error.strerror}") from error
    if played.returncode:
        how = f"status {played.returncode}" if played.returncode > 0 else f"signal {-played.returncode}"
        said = played.stderr.decode(errors="replace").replace(path, target or "the audio").strip().splitlines()
        raise CommandError(f"the player {player[0]} failed with {how}" + (f": {said[-1].strip()}" if said else ""))
