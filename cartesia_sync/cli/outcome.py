"""How a command ends: its status, and the one line that says what went wrong."""

from __future__ import annotations

import sys

SUCCEEDED, FAILED, WRONG_USE, KILLED = 0, 1, 2, 128
"""Exit statuses; after a signal the last one and the signal's number, as shells have it."""
STANDARD_OUTPUT = "standard output"


class CommandError(Exception):
    """What ends a command: a sentence, and the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def complain(message: str, status: int) -> int:
    """Print one line to standard error, and return the exit status to end with."""
    if sys.stderr is not None:  # else it would go to standard output
        print(f"cartesia-sync: {' '.join(message.split())}", file=sys.stderr)
    return status


def notice(message: str) -> None:
    """Print one line to standard error, for whoever looks; nothing depends on it."""
    try:
        if sys.stderr is not None:
            print(f"cartesia-sync: {message}", file=sys.stderr, flush=True)
    except OSError:
        return  # nobody looks


def tell(text: str) -> None:
    """Print to standard output, at once.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OSError: It cannot be written; the error names standard output.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error


def in_words(error: Exception) -> str:
    """Say what happened, and to which file, without the number that the system has for it."""
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
