"""Several contexts, one receiver: what came first comes first."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Callable, Optional

from ..protocol.events import Event
from ..transport.deadline import Deadline
from .line import Line
from .link import Link

if TYPE_CHECKING:
    from .context import Context


def await_first(
    link: Link, lines: Callable[[], Iterable[Line]], is_over: Callable[[], bool], deadline: Deadline
) -> Optional[Line]:
    """Wait for the context whose next item arrived before those of the others.

    Args:
        link: Where they are spoken.
        lines: Gives the contexts to look at, anew each time.
        is_over: Whether there is nothing more to wait for.
        deadline: When to stop waiting.

    Returns:
        The context, or None when it is over or the deadline has passed.

    Threads: any. Woken by each item of each context, and by the loss of the connection.
    """
    found = _first(link, lines())
    if found is not None or is_over():
        return found
    with link.bell() as bell:
        while True:
            found = _first(link, lines())  # what came before the bell hung
            if found is not None or is_over():
                return found
            try:
                bell.get(timeout=deadline.left())
            except queue.Empty:
                return None


def _first(link: Link, lines: Iterable[Line]) -> Optional[Line]:
    first, lowest = None, None
    for line in lines:
        if line.awaits_replay:
            link.replay(line)
        number = line.mailbox.head()
        if number is not None and (lowest is None or number < lowest):
            first, lowest = line, number
    return first


def receive_any(link: Link, contexts: Sequence[Context], *, raise_on_error: bool) -> Iterator[tuple[Context, Event]]:
    """Merge contexts; see ``Connection.receive_any``."""
    left = {context.line: context for context in contexts if not context.line.mailbox.is_used_up}
    receivers = {line: context.receive(raise_on_error=raise_on_error) for line, context in left.items()}
    while left:
        times = [line.time_left(context.clocks) for line, context in left.items()]
        first = await_first(
            link, lambda: left, lambda: False, Deadline(min((time for time in times if time is not None), default=None))
        )
        # Where nothing has come a clock has run out: asking that context raises what is to be raised.
        ready = [first] if first is not None else [each for each in left if each.time_left(left[each].clocks) == 0]
        for line in ready:
            event = next(receivers[line], None)
            if event is None:
                del left[line]
            else:
                yield left[line], event
