"""``cartesia-sync listen``: write down what is said into a microphone, turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import interrupts, service
from .outcome import SUCCEEDED, CommandError, notice
from .transcribe import LIVE_MODEL, show_turn

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--device", metavar="NAME", help="a microphone, by its name or a part of it")
    parser.add_argument("--model", metavar="ID", help=f"a model's id (default: {LIVE_MODEL})")
    parser.add_argument("--json", action="store_true", help="one JSON object a turn and line")
    service.add_local(parser)


def run(options: argparse.Namespace) -> int:
    """Listen until Ctrl-C or SIGTERM, and print what was said until then.

    Raises:
        CommandError: There is no microphone, or what it needs is not installed.
        CartesiaError: It failed.
    """
    with interrupts.held_back():
        from ..listening import feed, session  # noqa: F401  # what a session loads
        from ..speech.microphone import Microphone
    try:
        microphone = Microphone(options.device)
    except ImportError as error:
        raise CommandError(str(error)) from error
    with microphone, service.client(options) as client:
        manager = client.stt.auto_finalize.websocket(
            model=options.model or LIVE_MODEL, encoding=microphone.encoding, sample_rate=microphone.sample_rate
        )
        with manager as listening, listening.feed(microphone) as feeding:
            try:
                notice("listening; Ctrl-C ends it")
                for turn in listening.turns():
                    show_turn(turn, as_json=options.json)
            except KeyboardInterrupt:  # the way to end it; what was said until now is still to come
                feeding.close()
                listening.finish()
                for turn in listening.turns():
                    show_turn(turn, as_json=options.json)
    return SUCCEEDED
