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


def test_an_interrupt_in_the_instant_before_the_wait_is_seen_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    box, event = Mailbox(), Chunk(context_id="a")
    condition = box._queue.not_empty

    def interrupted() -> None:  # as the handler of Ctrl-C raises, between the lock's release and the wait
        condition.release()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(condition, "_release_save", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            box.take(BOUND)
    assert caught.value.__suppress_context__
    box.put([arrived(event, 0)])
    assert box.take(BOUND) is event


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


def test_what_was_put_at_once_comes_out_one_by_one_in_order() -> None:
    box = Mailbox()
    events = [Chunk(context_id="a", audio=bytes([number])) for number in range(5)]
    box.put([arrived(event, 10) for event in events[:3]])
    box.put([arrived(event, 10) for event in events[3:]])
    taken = []
    for left in (40, 30, 20, 10, 0):
        taken.append(box.take(0))
        assert box.waiting_bytes == left
    assert taken == events


def test_a_look_at_the_head_takes_nothing_from_a_receiver_that_waits() -> None:
    """It takes what went in together out of the queue; the receiver waits on the queue."""
    box, event = Mailbox(), Chunk(context_id="a")
    with ThreadPoolExecutor(1) as pool:
        for _ in range(200):
            taken = pool.submit(box.take, BOUND)
            box.put([arrived(event, 0), arrived(event, 0)])
            assert box.head() is not None
            got = taken.result(BOUND)
            assert got is event or (got is None and box.take(BOUND) is event)  # None where the look woke it
            assert box.take(BOUND) is event
            while box.take_ready() is not None:
                pass
            assert box.head() is None


def test_those_who_are_not_the_receiver_take_what_the_head_has_shown_and_no_more() -> None:
    box, event = Mailbox(), Chunk(context_id="a")
    box.put([arrived(event, 0)])
    assert box.take_ahead() is None
    assert box.head() is not None
    assert box.take_ahead() is event
    assert box.take_ahead() is None


def test_what_a_receiver_had_in_hand_when_all_was_dropped_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    box, event = Mailbox(), Chunk(context_id="a")
    get = box._queue.get

    def get_and_be_cancelled(timeout: float) -> object:
        box.put([arrived(event, 10), arrived(event, 10)])
        items = get(timeout=timeout)
        box.excuse(discard=True)
        return items

    monkeypatch.setattr(box._queue, "get", get_and_be_cancelled)
    assert box.take(BOUND) is None
    monkeypatch.setattr(box._queue, "get", get)
    assert isinstance(box.take(BOUND), End)
    assert box.waiting_bytes == 0


def test_nudges_do_not_pile_up_where_only_heads_are_looked_at() -> None:
    box = Mailbox()
    for _ in range(10):
        box.put([arrived(Chunk(context_id="a"), 0)])
        assert box.head() is not None
        box.take_ahead()
    assert box._queue.qsize() <= 1
