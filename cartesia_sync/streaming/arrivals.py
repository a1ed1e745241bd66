"""Several contexts, one receiver: what came first comes first."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Callable, Optional

from ..protocol.events import Chunk, Event
from ..transport.deadline import Deadline
from .channel import Line
from .link import Link
from .mailbox import Bell, End, Ring

if TYPE_CHECKING:
    from .context import Context


class Merge:
    """Says which context's next item arrived before those of the others, of all contexts or of some.

    Looks only at those whose mailboxes have rung: an item costs as much among a thousand contexts as among two. It
    holds none of them, so that one which nobody holds any more is not heard of again.

    Args:
        link: Where they are spoken.
        among: Which to look at; all, new ones included, where none are given.

    Threads: one at a time.
    """

    def __init__(self, link: Link, among: Optional[Sequence[Line]] = None) -> None:
        self._link = link
        self._bell: Bell = Bell()
        self._among = None if among is None else frozenset(map(weakref.ref, among))
        # By number of arrival. A context stands here once, with the number of what was next when it was looked at.
        self._heads: list[tuple[int, int, weakref.ref[Line]]] = []
        self._looks = itertools.count()  # an error of the whole connection has one number in all mailboxes
        self._standing: set[weakref.ref[Line]] = set()
        for line in link.hang(self._bell):
            self._look_at(weakref.ref(line))
            self._see_to_replay(line)

    def close(self) -> None:
        """Listen no more. Takes no lock: the collector may call it."""
        self._link.take_down(self._bell)

    def first(self) -> Optional[Line]:
        """Give the context whose next item arrived first, or None if nothing is there. Does not wait."""
        while not self._bell.empty():
            self._answer(self._bell.get_nowait())
        while self._heads:
            number, _, who = self._heads[0]
            line = who()
            if line is not None and line.mailbox.head() == number:
                return line
            heapq.heappop(self._heads)  # it was taken meanwhile, by our user or another
            self._standing.discard(who)
            self._look_at(who)
        return None

    def await_first(self, is_over: Callable[[], bool], deadline: Deadline) -> Optional[Line]:
        """Wait for the context whose next item arrives first.

        Args:
            is_over: Whether there is nothing more to wait for.
            deadline: When to stop waiting.

        Returns:
            The context, or None when it is over.

        Raises:
            queue.Empty: The deadline has passed.

        Threads: as the class. Woken by each item of each context, and by the loss of the connection. What is
        interrupted in here may have lost a ring: make another one.
        """
        while True:
            found = self.first()
            if found is not None:
                return found
            if is_over():
                return self.first()  # what came between the two questions is what it ended with
            self._answer(self._bell.get(timeout=deadline.left()))

    def _answer(self, ring: Optional[Ring]) -> None:
        if ring is not None:
            ring.answer()
            assert isinstance(ring.who, weakref.ref)
            self._look_at(ring.who)
            return
        for line in self._link.readable_lines():  # the connection was lost
            self._see_to_replay(line)

    def _look_at(self, who: weakref.ref[Line]) -> None:
        line = who()
        if line is None or who in self._standing or (self._among is not None and who not in self._among):
            return
        number = line.mailbox.head()
        if number is not None:
            heapq.heappush(self._heads, (number, next(self._looks), who))
            self._standing.add(who)

    def _see_to_replay(self, line: Line) -> None:
        if line.is_set_aside and (self._among is None or weakref.ref(line) in self._among):
            self._link.resume(line)


def receive_any(link: Link, contexts: Sequence[Context], *, raise_on_error: bool) -> Iterator[tuple[Context, Event]]:
    """Merge contexts; see ``Connection.receive_any``."""
    for context in contexts:
        context.line.mailbox.restore()
    left = {context.line: context for context in contexts if not context.line.mailbox.is_used_up}
    receivers = {line: context.receive(raise_on_error=raise_on_error) for line, context in left.items()}
    merge = Merge(link, list(left))
    try:
        while True:
            if not left:
                break
            first = merge.first()
            if first is None:
                times = [line.time_left(context.clocks) for line, context in left.items()]
                deadline = Deadline(min((time for time in times if time is not None), default=None))
                with contextlib.suppress(queue.Empty):
                    first = merge.await_first(lambda: False, deadline)
            # Where nothing has come a clock has run out: asking that context raises what is to be raised.
            ready = [first] if first is not None else [each for each in left if each.time_left(left[each].clocks) == 0]
            for line in ready:
                event = receivers[line].look()
                if isinstance(event, End):
                    del left[line]
                    continue
                pair, has_given_audio = (left[line], event), line.has_given_audio or isinstance(event, Chunk)
                with contextlib.suppress(IndexError):  # connection.recv() was faster
                    for _ in line.mailbox.taking:  # no place for an interrupt from here on
                        line.has_given_audio = has_given_audio
                        yield pair
                        break
    finally:
        merge.close()
