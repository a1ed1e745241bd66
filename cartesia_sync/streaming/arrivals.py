"""Several contexts, one receiver, in the order of arrival."""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Sequence
from typing import Callable, Optional

from ..transport.deadline import Deadline
from .channel import Channel
from .link import Link
from .mailbox import Notifications, Subscription


class ArrivalSelector:
    """Selects the context whose next item arrived before those of the others, of all contexts or of some.

    Looks only at those whose mailboxes have notified it: an item costs as much among a thousand contexts as among two.
    It holds none of them, so that one which nobody holds any more is not looked at again.

    Args:
        link: Where they are spoken.
        among: Which to look at; all, new ones included, where none are given.

    Threads: one at a time.
    """

    def __init__(self, link: Link, among: Optional[Sequence[Channel]] = None) -> None:
        self._link = link
        self._notifications: Notifications = Notifications()
        self._among = None if among is None else frozenset(map(weakref.ref, among))
        # By number of arrival. A context stands here once, with the number of what was next when it was looked at.
        self._heads: list[tuple[int, int, weakref.ref[Channel]]] = []
        self._looks = itertools.count()  # an error of the whole connection has one number in all mailboxes
        self._standing: set[weakref.ref[Channel]] = set()
        for channel in link.subscribe(self._notifications):
            self._look_at(weakref.ref(channel))
            self._see_to_replay(channel)

    def close(self) -> None:
        """Unsubscribe. Takes no lock: the collector may call it."""
        self._link.registry.unsubscribe(self._notifications)

    def first(self) -> Optional[Channel]:
        """Return the context whose next item arrived first, or None if nothing is there. Does not wait."""
        while not self._notifications.empty():
            self._take(self._notifications.get_nowait())
        while self._heads:
            number, _, who = self._heads[0]
            channel = who()
            if channel is not None and channel.mailbox.next_number() == number:
                return channel
            heapq.heappop(self._heads)  # it was taken meanwhile, by our user or another
            self._standing.discard(who)
            self._look_at(who)
        return None

    def await_first(self, is_over: Callable[[], bool], deadline: Deadline) -> Optional[Channel]:
        """Wait for the context whose next item arrives first.

        Args:
            is_over: Whether there is nothing more to wait for.
            deadline: When to stop waiting.

        Returns:
            The context, or None when it is over.

        Raises:
            queue.Empty: The deadline has passed.

        Threads: as the class. Woken by each item of each context, and by the loss of the connection. What is
        interrupted in here may have lost a notification: make another one.
        """
        while True:
            found = self.first()
            if found is not None:
                return found
            if is_over():
                return self.first()  # what came between the two questions is what it ended with
            self._take(self._notifications.get(timeout=deadline.left()))

    def _take(self, notification: Optional[Subscription]) -> None:
        if notification is not None:
            notification.rearm()
            assert isinstance(notification.subject, weakref.ref)
            self._look_at(notification.subject)
            return
        for channel in self._link.registry.readable():  # the connection was lost
            self._see_to_replay(channel)

    def _look_at(self, who: weakref.ref[Channel]) -> None:
        channel = who()
        if channel is None or who in self._standing or (self._among is not None and who not in self._among):
            return
        number = channel.mailbox.next_number()
        if number is not None:
            heapq.heappush(self._heads, (number, next(self._looks), who))
            self._standing.add(who)

    def _see_to_replay(self, channel: Channel) -> None:
        if channel.is_set_aside and (self._among is None or weakref.ref(channel) in self._among):
            self._link.resume(channel)
