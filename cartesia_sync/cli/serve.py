"""``cartesia-sync serve``: the local server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from . import interrupts
from .outcome import SUCCEEDED, WRONG_USE, CommandError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the options of ``python -m cartesia_sync.local``, which are named there.

    Raises:
        CommandError: The local server's extra is not installed.
    """
    try:
        from ..local.__main__ import add_options
    except ImportError as error:
        raise CommandError(str(error)) from error
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Serve.

    Raises:
        CommandError: An option's value is none.
        OSError: The address cannot be listened on, or a file cannot be read.
    """
    with interrupts.held_back():
        from ..local.__main__ import serve
    given = {name: value for name, value in vars(options).items() if name != "run"}
    try:
        serve(**given)
    except ValueError as error:
        raise CommandError(str(error), WRONG_USE) from error
    except ImportError as error:
        raise CommandError(str(error)) from error
    except socket.gaierror as error:
        raise CommandError(f"--host {options.host}: {error.strerror}") from error
    return SUCCEEDED
