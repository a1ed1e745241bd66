from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cartesia_sync.errors import CartesiaError
from cartesia_sync.protocol.events import Chunk, Done
from cartesia_sync.streaming.mailbox import End, Mailbox, arrived

BOUND = 10.0


def take_all(box: Mailbox) -> tuple[list[object], End]:
    taken: list[object] = []
    while True:
        item = box.take(BOUND)
        if isinstance(item, End):
            return taken, item
        taken.append(item)


def test_what_was_put_before_the_end_is_taken_before_the_end() -> None:
    box, end = Mailbox(), End()
    events = [Chunk(context_id="a", audio=bytes([n])) for n in range(51)]
    assert all(box.put([arrived(event, 0)]) for event in events)
    assert box.seal(end)
    assert take_all(box) == (events, end)


def test_the_first_seal_wins_and_what_comes_later_is_refused() -> None:
    box, end = Mailbox(), End()
    assert box.seal(end)
    assert not box.seal(End(CartesiaError))
    assert not box.put([arrived(Done(context_id="a"), 0)])
    assert take_all(box) == ([], end)


def test_the_end_is_given_again_at_each_later_call() -> None:
    box, end = Mailbox(), End()
    box.seal(end)
    assert [box.take(0) for _ in range(3)] == [end] * 3


@pytest.mark.parametrize("was_sealed", [False, True])
@pytest.mark.parametrize("discard", [False, True])
def test_an_excuse_ends_without_error_and_drops_if_told(was_sealed: bool, discard: bool) -> None:
    box, event = Mailbox(), Chunk(context_id="a")
    box.put([arrived(event, 0)])
    if was_sealed:
        box.seal(End(CartesiaError))
    box.excuse(discard=discard)
    taken, end = take_all(box)
    assert taken == ([] if discard else [event])
    assert end.make_error is None
    assert not box.put([arrived(event, 0)])
    assert not box.seal(End(CartesiaError))


def test_an_excuse_after_the_end_was_taken_excuses_it() -> None:
    box = Mailbox()
    box.seal(End(CartesiaError))
    take_all(box)
    box.excuse(discard=True)
    end = box.take(0)
    assert isinstance(end, End)
    assert end.make_error is None


def test_taking_from_an_empty_mailbox_is_bound() -> None:
    with pytest.raises(queue.Empty):
        Mailbox().take(0)


def test_a_nudge_wakes_the_receiver_with_nothing() -> None:
    box = Mailbox()
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(box.take, None)
        box.nudge()
        assert taken.result(BOUND) is None


def test_audio_is_counted_whether_or_not_it_is_taken_and_weight_until_it_is() -> None:
    box = Mailbox(limit_bytes=100)
    box.put([arrived(Chunk(context_id="a", audio=b"1234"), 60)], audio_bytes=4)
    box.put([arrived(Done(context_id="a"), 10)])
    assert (box.audio_bytes, box.waiting_bytes) == (4, 70)
    box.take(0)
    assert (box.audio_bytes, box.waiting_bytes) == (4, 10)
    box.excuse(discard=True)
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
        take_all(box)
        with pytest.raises(queue.Empty):
            box._queue.get_nowait()
