"""Events by the flush that they belong to."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Callable, Optional

from ..protocol.events import Event, FlushDone


def by_flush(
    events: Iterator[Event], begin: Callable[[], deque[Event]] = deque
) -> Iterator[tuple[int, Iterator[Event]]]:
    """Group a context's events by flush, in the manner of ``itertools.groupby``.

    ``flush_done`` may come before the last chunk of its flush (protocol: not certain); so the numbers on chunks go
    before it, and it parts flushes only where no chunk has named one.

    One event is looked at ahead. It is put by C code into what ``begin`` gives, where the next receiver finds it: an
    interrupt inside of this, or a ``break``, loses none.
    """
    current = 1
    chunks_are_numbered = False
    ahead = begin()

    def one_flush(number: int) -> Iterator[Event]:
        nonlocal current, chunks_are_numbered
        while ahead and current == number:
            event = ahead[0]
            flush_id: Optional[int] = getattr(event, "flush_id", None)
            chunks_are_numbered = chunks_are_numbered or (flush_id is not None and not isinstance(event, FlushDone))
            del ahead[0]
            yield event
            ahead.extend(itertools.islice(events, 1))
            if not ahead:
                return
            following = ahead[0]
            named: Optional[int] = getattr(following, "flush_id", None)
            if named is not None and named > current:
                current = named
            elif isinstance(event, FlushDone) and not chunks_are_numbered and not _is_last(following):
                current += 1

    ahead.extend(itertools.islice(events, 1))
    while ahead:
        group = one_flush(current)
        yield current, group
        for _ in group:
            pass  # what the caller left


def _is_last(event: Event) -> bool:
    return event.type in ("done", "error")
