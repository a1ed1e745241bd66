"""Ctrl-C and SIGTERM: the same end, by ``KeyboardInterrupt``, but never in the middle of an import.

All of this is the process's: signals have one handler each.
"""

from __future__ import annotations

import contextlib
import signal

TYPE_CHECKING = False  # as in the package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Optional

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_received: list[int] = []
_holding: list[bool] = []


@contextlib.contextmanager
def as_exceptions(*, to_the_end: bool) -> Iterator[None]:
    """Have both signals raise ``KeyboardInterrupt`` in the block, once; another one ends the process at once.

    A signal that was ignored before, as in a shell's background job, stays so.

    Args:
        to_the_end: Leave them with the system's own handlers, which say nothing, for the process is about to end.
    """
    _received.clear()
    before = {}
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, _receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if to_the_end or handler is None else handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Raise what comes in the block at its end.

    For imports: an exception in one leaves modules half made, may come out as an ImportError, and is lost, with a
    traceback, where the interpreter tidies up.
    """
    _holding.append(True)
    try:
        yield
    finally:
        _holding.pop()
    if _received and not _holding:
        raise KeyboardInterrupt


def last() -> tuple[int, str]:
    """Return the number of the signal that came, and what to say about it."""
    number = _received[-1] if _received else signal.SIGINT
    return int(number), _WORDS[signal.Signals(number)]


def _receive(number: int, frame: Optional[FrameType]) -> None:
    _received.append(number)
    for each in _WORDS:
        if signal.getsignal(each) is _receive:
            signal.signal(each, signal.SIG_DFL)
    if not _holding:
        raise KeyboardInterrupt
