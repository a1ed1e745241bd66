"""Events by the flush that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from ..protocol.events import Event, FlushDone


def by_flush(events: Iterator[Event]) -> Iterator[tuple[int, Iterator[Event]]]:
    """Group a context's events by flush, in the manner of ``itertools.groupby``.

    ``flush_done`` may come before the last chunk of its flush (protocol: not certain); so the numbers on chunks go
    before it, and it parts flushes only where no chunk has named one.
    """
    current = 1
    chunks_are_numbered = False
    ahead: Optional[Event] = next(events, None)

    def one_flush(number: int) -> Iterator[Event]:
        nonlocal ahead, current, chunks_are_numbered
        while ahead is not None and current == number:
            event, ahead = ahead, None
            flush_id: Optional[int] = getattr(event, "flush_id", None)
            chunks_are_numbered = chunks_are_numbered or (flush_id is not None and not isinstance(event, FlushDone))
            yield event
            ahead = next(events, None)
            if ahead is None:
                return
            named: Optional[int] = getattr(ahead, "flush_id", None)
            if named is not None and named > current:
                current = named
            elif isinstance(event, FlushDone) and not chunks_are_numbered and not _is_last(ahead):
                current += 1

    while ahead is not None:
        group = one_flush(current)
        yield current, group
        for _ in group:
            pass  # what the caller left


def _is_last(event: Event) -> bool:
    return event.type in ("done", "error")
