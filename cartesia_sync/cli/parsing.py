"""The command line read, and what a command raises made into one line and an exit status."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Optional

from .._version import __version__
from . import interrupts
from .outcome import FAILED, WRONG_USE, CommandError, complain, in_words


def run(commands: Mapping[str, str], arguments: Optional[Sequence[str]]) -> int:
    """Parse, run, and return the exit status.

    Args:
        commands: Their names, and what each is for.
        arguments: None for the process's own.

    Raises:
        BrokenPipeError: Nobody reads our output.
    """
    try:
        options = _parser(commands).parse_args(arguments)
        status: int = options.run(options)
        return status
    except SystemExit as end:  # argparse has said what there is to say
        return end.code if isinstance(end.code, int) else FAILED
    except CommandError as error:
        return complain(str(error), error.status)
    except BrokenPipeError:
        raise
    except Exception as error:  # which of them are failures, is known to a module that is heavy to load
        from ..errors import CartesiaError, MissingCredentialsError

        if isinstance(error, MissingCredentialsError):
            return complain("no key: set CARTESIA_API_KEY, or speak without one by --local", WRONG_USE)
        if isinstance(error, (CartesiaError, OSError, ValueError)):
            return complain(in_words(error), FAILED)
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(__package__.split(".")[0]):
            return complain(f"{error.name} is not installed, and is needed: pip install cartesia-sync", FAILED)
        raise  # a mistake of ours, which is to be seen in full


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in one line."""
        self.exit(complain(f"{message} (see {self.prog} --help)", WRONG_USE))


class _CommandParser(_Parser):
    """One command's. It loads that command's file when it is asked to parse, and so no other is loaded."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        with interrupts.held_back():
            command = importlib.import_module(f"{__package__}.{self.prog.split()[-1]}")
            command.add_arguments(self)
        self.set_defaults(run=command.run)
        return super().parse_known_args(args, namespace)


def _parser(commands: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cartesia-sync",
        description="Speak text with Cartesia's API, or serve that API here, without a key and without a network.",
        epilog="Each command has its own --help. The key is read from CARTESIA_API_KEY.",
    )
    parser.add_argument("--version", action="version", version=f"cartesia-sync {__version__}")
    added = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_CommandParser)
    for name, purpose in commands.items():
        added.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    return parser
