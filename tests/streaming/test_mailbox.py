from __future__ import annotations

import queue
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

import pytest

from cartesia_sync.errors import CartesiaError
from cartesia_sync.protocol.events import Chunk, Done
from cartesia_sync.streaming.mailbox import End, Mailbox, Notifications, arrived

BOUND = 10.0


def take(box: Mailbox, timeout: Optional[float] = 0) -> Any:
    """Take as a receiver does; None after a wake."""
    if box.peek() is None:
        box.wait(timeout)
    found = box.peek()
    if isinstance(found, End):
        box.is_used_up = True
        return found
    return None if found is None else next(box.taking)[1]


def take_all(box: Mailbox) -> tuple[list[object], End]:
    taken: list[object] = []
    while True:
        item = take(box, BOUND)
        if isinstance(item, End):
            return taken, item
        taken.append(item)


def test_what_was_put_before_the_end_is_taken_before_the_end() -> None:
    box, end = Mailbox(), End()
    events = [Chunk(context_id="a", audio=bytes([n])) for n in range(51)]
    assert all(box.deliver([arrived(event, 0)]) for event in events)
    assert box.seal(end)
    assert take_all(box) == (events, end)


def test_the_first_seal_wins_and_what_comes_later_is_refused() -> None:
    box, end = Mailbox(), End()
    assert box.seal(end)
    assert not box.seal(End(CartesiaError))
    assert not box.deliver([arrived(Done(context_id="a"), 0)])
    assert take_all(box) == ([], end)


def test_the_end_is_given_again_at_each_later_call() -> None:
    box, end = Mailbox(), End()
    box.seal(end)
    assert [take(box) for _ in range(3)] == [end] * 3


@pytest.mark.parametrize("was_sealed", [False, True])
@pytest.mark.parametrize("discard", [False, True])
def test_an_excuse_ends_without_error_and_drops_if_told(was_sealed: bool, discard: bool) -> None:
    box, event = Mailbox(), Chunk(context_id="a")
    box.deliver([arrived(event, 0)])
    if was_sealed:
        box.seal(End(CartesiaError))
    box.replace_end(End(discards=discard))
    taken, end = take_all(box)
    assert taken == ([] if discard else [event])
    assert end.make_error is None
    assert not box.deliver([arrived(event, 0)])
    assert not box.seal(End(CartesiaError))


def test_an_excuse_after_the_end_was_taken_excuses_it() -> None:
    box = Mailbox()
    box.seal(End(CartesiaError))
    take_all(box)
    box.replace_end(End(discards=True))
    end = take(box)
    assert isinstance(end, End)
    assert end.make_error is None


def test_taking_from_an_empty_mailbox_is_bound() -> None:
    with pytest.raises(queue.Empty):
        take(Mailbox())


def test_a_wake_wakes_the_receiver_with_nothing() -> None:
    box, waits = Mailbox(), threading.Event()

    class Wake:
        """A SimpleQueue that tells when somebody waits."""

        def __init__(self, inside: Any) -> None:
            self._inside = inside
            self.put = inside.put

        def get(self, timeout: Optional[float]) -> Any:
            waits.set()
            return self._inside.get(timeout=timeout)

    box._wake = Wake(box._wake)  # type: ignore[assignment]  # stands for one
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take, box, None)
        assert waits.wait(BOUND)
        box.wake()
        assert taken.result(BOUND) is None


def test_audio_is_counted_whether_or_not_it_is_taken_and_weight_until_it_is() -> None:
    box = Mailbox(limit_bytes=100)
    box.deliver([arrived(Chunk(context_id="a", audio=b"1234"), 60)], audio_bytes=4)
    box.deliver([arrived(Done(context_id="a"), 10)])
    assert (box.audio_bytes, box.waiting_bytes) == (4, 70)
    take(box)
    assert (box.audio_bytes, box.waiting_bytes) == (4, 10)
    box.replace_end(End(discards=True))
    assert (box.audio_bytes, box.waiting_bytes) == (4, 0)


def test_of_many_threads_that_seal_at_once_exactly_one_wins() -> None:
    for _ in range(50):
        box, start = Mailbox(), threading.Barrier(8)

        def seal(box: Mailbox = box, start: threading.Barrier = start) -> bool:
            start.wait(BOUND)
            return box.seal(End())

        with ThreadPoolExecutor(8) as pool:
            won = [pool.submit(seal) for _ in range(8)]
            assert sum(each.result(BOUND) for each in won) == 1
        assert take_all(box)[0] == []


def test_what_was_put_at_once_comes_out_one_by_one_in_order() -> None:
    box = Mailbox()
    events = [Chunk(context_id="a", audio=bytes([number])) for number in range(5)]
    box.deliver([arrived(event, 10) for event in events[:3]])
    box.deliver([arrived(event, 10) for event in events[3:]])
    taken = []
    for left in (40, 30, 20, 10, 0):
        taken.append(take(box))
        assert box.waiting_bytes == left
    assert taken == events


def test_a_look_at_the_head_takes_nothing_from_a_receiver_that_waits() -> None:
    box, event = Mailbox(), Chunk(context_id="a")
    with ThreadPoolExecutor(1) as pool:
        for _ in range(200):
            taken = pool.submit(take, box, BOUND)
            box.deliver([arrived(event, 0), arrived(event, 0)])
            assert box.next_number() is not None
            assert taken.result(BOUND) is event
            assert take(box) is event
            assert box.next_number() is None


def test_what_comes_while_the_receiver_is_about_to_wait_wakes_it() -> None:
    """It looks once more after it has said that it waits."""
    box, event = Mailbox(), Chunk(context_id="a")
    assert box.peek() is None
    box._is_waiting = True
    box.deliver([arrived(event, 0)])
    box.wait(0)
    assert take(box) is event


def test_a_mailbox_wakes_once_for_all_that_comes_before_its_receiver_looks() -> None:
    box = Mailbox()
    box._is_waiting = True
    for _ in range(10):
        box.deliver([arrived(Chunk(context_id="a"), 0)])
    assert box._wake.qsize() == 1


def test_a_subscriber_is_notified_once_until_it_rearms() -> None:
    box, notifications = Mailbox(), Notifications()
    box.subscribe(notifications, "who")
    for _ in range(10):
        box.deliver([arrived(Chunk(context_id="a"), 0)])
    assert notifications.qsize() == 1
    subscription = notifications.get_nowait()
    assert subscription is not None
    subscription.rearm()
    box.seal(End())
    assert notifications.qsize() == 1


def test_what_was_collected_can_be_taken_again_before_all_else() -> None:
    box = Mailbox(limit_bytes=100)
    events = [Chunk(context_id="a", audio=bytes([number])) for number in range(4)]
    box.deliver([arrived(event, 10) for event in events[:2]])
    assert box.collect() == events[:2]
    assert (box.waiting_bytes, box.peek()) == (0, None)
    box.deliver([arrived(events[2], 10)])
    assert box.collect() == events[2:3]
    box.deliver([arrived(events[3], 10)])
    box.restore()
    assert box.next_number() is not None
    assert [take(box) for _ in events] == events
    box.give_back(events[0])
    box.restore()
    assert take(box) is events[0]


def test_to_whoever_looks_at_it_a_mailbox_is_a_queue() -> None:
    box, event = Mailbox(limit_bytes=5), Chunk(context_id="a")
    assert isinstance(box, queue.Queue)
    assert (box.qsize(), box.empty(), box.full()) == (0, True, False)
    with pytest.raises(queue.Empty):
        box.get_nowait()
    with pytest.raises(queue.Empty):
        box.get(timeout=0.001)
    box.put(event)
    box.deliver([arrived(event, 5)])
    assert (box.qsize(), box.empty(), box.full(), len(box.queue)) == (2, False, True, 2)
    assert box.get() is event
    assert box.get_nowait() is event
    box.seal(End())
    with pytest.raises(queue.Empty):
        box.get()


def test_two_takers_share_what_there_is_and_take_each_event_once() -> None:
    box = Mailbox()
    events = [Chunk(context_id="a", audio=number.to_bytes(2, "big")) for number in range(2000)]
    box.deliver([arrived(event, 1) for event in events])
    start = threading.Barrier(2)

    def take_half() -> list[bytes]:
        taken = []
        start.wait(BOUND)
        while True:
            try:
                for _, event, _ in box.taking:
                    taken.append(event.audio)  # type: ignore[union-attr]  # all are chunks
            except IndexError:
                return taken

    with ThreadPoolExecutor(2) as pool:
        halves = [pool.submit(take_half) for _ in range(2)]
        taken = [audio for half in halves for audio in half.result(BOUND)]
    assert Counter(taken) == Counter(event.audio for event in events)
