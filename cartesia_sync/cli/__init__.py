"""The command ``cartesia-sync``: a thin user of the client, and the door to the local server.

One file a command, with ``add_arguments(parser)`` and ``run(options)``; a new one has its line in ``COMMANDS``. A
command's file is loaded when that command is used, and what is heavy when it runs.
"""

from __future__ import annotations

import os
import sys

try:
    from . import interrupts
    from .outcome import FAILED, KILLED, STANDARD_OUTPUT, complain, in_words
except KeyboardInterrupt:  # no handler is there yet; and who imports this module is the command, and nobody else
    print("cartesia-sync: interrupted", file=sys.stderr)
    raise SystemExit(130) from None

TYPE_CHECKING = False  # until `main` handles Ctrl-C, as little as can be is loaded
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

COMMANDS = {
    "say": "speak a text into a WAV file, or aloud",
    "batch": "speak very many texts into files, and go on where it stopped",
    "transcribe": "write down what is said in a recording",
    "listen": "write down what is said into a microphone",
    "voices": "list the voices that one can use",
    "serve": "run the local server",
    "doctor": "check what speaking needs, and say what to do",
}
_SIGPIPE = 13


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command. What goes wrong is said in one line on standard error.

    Args:
        arguments: What follows the command's name; None for the process's own, which is then taken to end with this.

    Returns:
        The exit status: 0; 1 for a failure; 2 for wrong use; 130 after Ctrl-C, 143 after SIGTERM, 141 where nobody
        reads our output any more. ``serve`` ends by Ctrl-C or SIGTERM with 0.

    Threads: the main thread; in another one Ctrl-C and SIGTERM are not handled. Waits as long as the command takes.
    """
    with interrupts.as_exceptions(to_the_end=arguments is None):
        try:
            with interrupts.held_back():
                from . import parsing
            if arguments is None:
                _print_whatever_the_encoding()
            status = parsing.run(COMMANDS, arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            number, words = interrupts.last()
            return complain(words, KILLED + number)
        except BrokenPipeError:
            _print_no_more()
            return KILLED + _SIGPIPE
        except OSError as error:  # of the flush, when a disk is full
            _print_no_more()
            return complain(f"{STANDARD_OUTPUT}: {in_words(error)}", FAILED)


def _print_whatever_the_encoding() -> None:
    """Show a character that the terminal does not have by its number: a name is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _print_no_more() -> None:
    """Have what is still buffered go nowhere: the interpreter would complain about it at its exit."""
    try:
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # no file of the system, so that there is nothing to write at the exit
