"""The command ``cartesia-sync``: a thin user of the client, and the door to the local server."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from . import __version__
from .client import Cartesia
from .errors import CartesiaError, MissingCredentialsError
from .streaming.context import DEFAULT_MODEL_ID, DEFAULT_VOICE_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130
# Those that are on by default; docs/testing.md lists them.
SERVE_SWITCHES = (
    "strict_tags",
    "strict_first_transcript",
    "inline_phonemes",
    "whole_spell",
    "regional_languages",
    "pronunciation_items",
)
SERVE_OPTIONS = ("api_keys", "allow_anyone", "allow_origins", "any_voice", "strict_phonemes", *SERVE_SWITCHES)
SAY_FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
PLAYERS = (
    ("afplay",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    ("play", "-q"),
)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command and return its exit status: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        return status
    except MissingCredentialsError:
        return _complain("no key: set CARTESIA_API_KEY, or speak without one by --local", WRONG_USE)
    except (CartesiaError, OSError, ValueError) as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)


def _complain(message: str, status: int) -> int:
    print(f"cartesia-sync: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cartesia-sync",
        description="Speak text with Cartesia's API, or serve that API here, without a key and without a network.",
        epilog="Each command has its own --help. The key is read from CARTESIA_API_KEY.",
    )
    parser.add_argument("--version", action="version", version=f"cartesia-sync {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    say = commands.add_parser("say", help="speak a text into a WAV file, or aloud", description="Speak a text.")
    say.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    say.add_argument("-o", "--output", metavar="FILE", help="the WAV file to write; it appears when it is whole")
    say.add_argument("--voice", metavar="ID", default=DEFAULT_VOICE_ID, help="a voice's id (default: %(default)s)")
    say.add_argument("--model", metavar="ID", default=DEFAULT_MODEL_ID, help="a model's id (default: %(default)s)")
    say.add_argument("--language", metavar="CODE", help="the text's language, such as en")
    say.add_argument("--play", action="store_true", help="play it, with a player found on this machine")
    say.add_argument("--local", action="store_true", help="use the local server, started for this one command")
    say.set_defaults(run=_say)

    serve = commands.add_parser("serve", help="run the local server", description="Serve the API on this machine.")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8765, help="the port; 0 takes a free one (default: %(default)s)")
    serve.add_argument("--pace", type=float, metavar="X", help="send audio at X times real time (default: no limit)")
    engines = ("auto", "espeak", "signal")
    serve.add_argument("--engine", choices=engines, default="auto", help="who speaks (default: %(default)s)")
    serve.add_argument("--tls-cert", metavar="FILE", help="speak TLS with this certificate chain (PEM)")
    serve.add_argument("--tls-key", metavar="FILE", help="the certificate's key, if in a file of its own (PEM)")
    serve.add_argument(
        "--api-key", dest="api_keys", type=_texts, metavar="KEY,...", help="accept these keys alone (any)"
    )
    serve.add_argument("--allow-anyone", action="store_true", help="let other machines in without --api-key")
    serve.add_argument("--allow-origin", dest="allow_origins", type=_texts, default=(), help=argparse.SUPPRESS)
    serve.add_argument("--any-voice", action="store_true", help="let any UUID be a voice")
    serve.add_argument("--strict-phonemes", action="store_true", help=argparse.SUPPRESS)
    for name in SERVE_SWITCHES:
        flag = f"--no-{name.replace('_', '-')}"
        serve.add_argument(flag, dest=name, action="store_false", help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)
    return parser


def _texts(listed: str) -> frozenset[str]:
    return frozenset(listed.split(","))


def _say(options: argparse.Namespace) -> int:
    text = sys.stdin.read() if options.text == "-" else options.text
    if not text.strip():
        return _complain("there is nothing to say: the text is empty", WRONG_USE)
    if not options.output and not options.play:
        return _complain("where should it go? Give -o FILE, or --play", WRONG_USE)
    player = _player() if options.play else None
    with contextlib.ExitStack() as stack:
        path = options.output or os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "speech.wav")
        connection = stack.enter_context(stack.enter_context(_client(options.local)).tts.websocket_connect())
        context = connection.context(
            model_id=options.model, voice=options.voice, language=options.language, output_format=SAY_FORMAT
        )
        context.push(text, continue_=False)
        seconds = context.save(path)
        if options.output:
            print(f"{options.output}: {seconds:.2f} s")
        if player is not None:
            subprocess.run([*player, path], check=True)
    return 0


@contextlib.contextmanager
def _client(local: bool) -> Iterator[Cartesia]:
    if not local:
        yield Cartesia()
        return
    try:
        from .local import LocalServer
    except ImportError as error:
        raise ValueError(str(error)) from error
    with LocalServer() as server:
        yield Cartesia(api_key="local", base_url=server.url)


def _player() -> tuple[str, ...]:
    for command in PLAYERS:
        if shutil.which(command[0]):
            return command
    raise ValueError(f"--play needs one of {', '.join(command[0] for command in PLAYERS)}; none is installed")


def _serve(options: argparse.Namespace) -> int:
    try:
        from .local.__main__ import serve
    except ImportError as error:
        raise ValueError(str(error)) from error
    serve(
        host=options.host,
        port=options.port,
        pace=options.pace,
        engine=options.engine,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        **{name: getattr(options, name) for name in SERVE_OPTIONS},
    )
    return 0
