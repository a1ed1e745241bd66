"""Places that no other test held: each fails when one line of the core is changed (see scripts/stress/mutate.py)."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from cartesia_sync import (
    ContextStateError,
    GapTimeoutError,
    MailboxFullError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.streaming import channel as line_module
from cartesia_sync.streaming.link import Link
from cartesia_sync.streaming.mailbox import Mailbox

BOUND = 10.0


def transcripts(wire: Any) -> list[str]:
    return [said["transcript"] for said in wire.sent]


def lose_now(wire: Any) -> None:
    """Lose a wire, and wait until its reader has told everybody."""
    wire.lose()
    assert wire.is_free.wait(BOUND)


def when_dialling(stage: Any, what: Callable[[], None]) -> None:
    """Do something while the next wire is dialled."""
    dial = stage.link._dial

    def dial_and_do(deadline: Any) -> Any:
        stage.link._dial = dial
        wire = dial(deadline)
        what()
        return wire

    stage.link._dial = dial_and_do


def when_framing(wire: Any, what: Callable[[], None]) -> None:
    """Do something when the next message is put into the shape of this wire, before it stands in line."""

    def frame(message: bytes) -> Any:
        del wire.frame
        what()
        return wire.frame(message)

    wire.frame = frame


@contextlib.contextmanager
def notes_left(monkeypatch: pytest.MonkeyPatch, are_left: bool) -> Iterator[None]:
    """Have nobody carry out the notes, as where the reader has not come to them yet."""
    with monkeypatch.context() as patch:
        if are_left:
            patch.setattr(Link, "carry_out_notes", lambda link: None)
        yield


# ---- a context that is cancelled stays so


@pytest.mark.parametrize("is_noted_only", [True, False])
def test_a_context_that_is_cancelled_while_its_first_message_fails_is_not_said_again(
    stage: Any, monkeypatch: pytest.MonkeyPatch, is_noted_only: bool
) -> None:
    context, old = stage.context("a"), stage.wire

    def cancel_and_fail(message: bytes) -> None:
        context.cancel()
        lose_now(old)
        raise WebSocketConnectionClosedError("broken pipe")

    old.before_write = cancel_and_fail
    with notes_left(monkeypatch, is_noted_only), pytest.raises(WebSocketConnectionClosedError, match="broken pipe"):
        context.push("One.", continue_=False)
    assert list(context.receive()) == []
    assert stage.wires == [old]


@pytest.mark.parametrize("is_noted_only", [True, False])
def test_a_context_that_is_cancelled_while_its_new_wire_is_opened_says_nothing_there(
    stage: Any, monkeypatch: pytest.MonkeyPatch, is_noted_only: bool
) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("One.", continue_=False)
    lose_now(stage.wire)
    when_dialling(stage, context.cancel)
    with notes_left(monkeypatch, is_noted_only):
        assert list(context.receive()) == []
    assert [(wire.sent, wire.unsent) for wire in stage.wires[1:]] == [([], [])]


def test_a_first_push_to_a_context_that_is_cancelled_meanwhile_says_nothing(stage: Any) -> None:
    context = stage.context("a")
    when_framing(stage.wire, context.cancel)
    with pytest.raises(ContextStateError):
        context.push("One.")
    assert context.transcripts == ()
    assert stage.wire.unsent == []


# ---- the new wire


def test_a_context_that_is_to_be_said_again_sees_that_the_new_wire_is_lost_too(stage: Any) -> None:
    """It goes on to a third: nothing was said on the second."""
    context = stage.context("a", on_disconnect="replay")
    context.push("One.", continue_=False)
    lose_now(stage.wire)
    when_dialling(stage, lambda: when_framing(stage.wires[1], lambda: lose_now(stage.wires[1])))
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        stage.wait_wires(3)
        stage.wires[2].wait_sent(1)
        stage.wires[2].feed_chunk("a", b"12")
        stage.wires[2].feed_done("a")
        assert audio.result(BOUND) == b"12"
    assert [transcripts(wire) for wire in stage.wires] == [["One."], [], ["One."]]


def test_a_first_push_sees_that_its_wire_is_lost_before_it_stands_in_line(stage: Any) -> None:
    context, old = stage.context("a"), stage.wire
    when_framing(old, lambda: lose_now(old))
    context.push("One.")
    assert [transcripts(wire) for wire in stage.wires] == [[], ["One."]]
    assert old.unsent == []


def test_a_message_that_has_left_is_no_error_though_its_sender_failed(stage: Any) -> None:
    """The reader has sent it meanwhile."""
    context, wire = stage.context("a"), stage.wire

    def leave_and_fail(message: bytes) -> None:
        frame = wire.unsent.pop(0)
        frame.has_left = True
        wire.post(frame.data)
        raise WebSocketConnectionClosedError("broken pipe")

    wire.before_write = leave_and_fail
    context.push("One.", continue_=False)
    wire.feed_chunk("a", b"1")
    wire.feed_done("a")
    assert context.audio() == b"1"
    assert transcripts(wire) == ["One."]
    wire.shutdown()  # as the real one is then


def test_a_wire_that_was_dialled_while_the_connection_was_closed_is_freed(stage: Any) -> None:
    lose_now(stage.wire)
    context = stage.context("a")
    when_dialling(stage, stage.connection.close)
    with pytest.raises(WebSocketConnectionClosedError, match="closed by close"):
        context.push("One.")
    assert stage.wires[1].is_free.wait(BOUND)
    assert not stage.link.is_open
    stage.link.reader.join(BOUND)  # the first one's, on its way out: nobody was started for the second wire
    assert not stage.link.reader.is_alive()
    with pytest.raises(WebSocketConnectionClosedError, match="closed by close"):
        list(context.receive())


def test_the_end_of_an_old_reader_leaves_the_new_wire_and_its_contexts_alone(stage: Any) -> None:
    old, first, second = stage.wire, stage.context("a"), stage.context("b")

    def fail(message: bytes) -> None:
        raise WebSocketConnectionClosedError("broken pipe")

    first.push("One.")
    old.before_write = fail
    with pytest.raises(WebSocketConnectionClosedError):
        first.push("Two.")  # whose thread sees the end before the reader does
    second.push("Three.", continue_=False)
    lose_now(old)
    assert stage.link.is_open
    third = stage.context("c")
    third.push("Four.", continue_=False)
    assert [transcripts(wire) for wire in stage.wires] == [["One."], ["Three.", "Four."]]
    for name in "bc":
        stage.wire.feed_chunk(name, name.encode())
        stage.wire.feed_done(name)
    assert (second.audio(), third.audio()) == (b"b", b"c")
    with pytest.raises(TruncatedError):
        first.audio()


# ---- the merge


def test_what_comes_right_after_the_merge_has_looked_rings_again(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring is answered before its mailbox is looked into: else what comes in between wakes nobody."""
    context = stage.context("a")
    with pytest.raises(GapTimeoutError):
        stage.connection.recv(timeout=0)  # it listens from now on
    stage.wire.feed_chunk("a", b"1")
    assert next(context.receive()).audio == b"1"  # so the ring is for nothing
    head, box = Mailbox.next_number, context._channel.mailbox
    looked = threading.Event()

    def look_and_hear(mailbox: Mailbox) -> Any:
        found = head(mailbox)
        if mailbox is box and not looked.is_set():
            looked.set()
            stage.wire.feed_chunk("a", b"2")
            assert arrived.wait(BOUND)
        return found

    arrived, deliver = threading.Event(), Mailbox.deliver

    def deliver_and_tell(mailbox: Mailbox, *args: Any, **fields: Any) -> bool:
        was_room = deliver(mailbox, *args, **fields)
        arrived.set()
        return was_room

    monkeypatch.setattr(Mailbox, "next_number", look_and_hear)
    monkeypatch.setattr(Mailbox, "deliver", deliver_and_tell)
    assert stage.connection.recv(timeout=BOUND).audio == b"2"
    assert looked.is_set()


def test_a_second_cancel_leaves_the_end_where_it_is_and_brings_nothing_back(stage: Any) -> None:
    context, other = stage.context("a"), stage.context("b")
    context.push("x")
    other.push("x", continue_=False)
    context.cancel()
    first = context._channel.mailbox.next_number()
    stage.wire.feed_done("b")
    assert next(other.receive()).type == "done"
    context.cancel(discard=False)
    assert context._channel.mailbox.next_number() == first
    context._channel.mailbox._items.extend([(0, object(), 0)])  # as by a reader that was about to, at the first cancel
    assert list(context.receive()) == []


# ---- the room that is left


def test_what_fits_exactly_has_room_and_one_byte_more_has_not(stage: Any) -> None:
    full, over = stage.context("a", max_queued_bytes=1800), stage.context("b", max_queued_bytes=1799)
    for context in (full, over):
        context.push("x", continue_=False)
        for _ in range(2):
            stage.wire.feed_chunk(context.context_id, bytes(900))
    stage.wire.feed_done("a")
    assert len(full.audio()) == 1800
    with pytest.raises(MailboxFullError):
        over.audio()


# ---- the gap clock


def test_a_push_puts_the_gap_clock_off_for_who_waits_already(
    make_stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test's own: nobody sleeps here."""
    now = [100.0]
    monkeypatch.setattr(line_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stage = make_stage(Timeout(first_event=None, gap=60.0))
    context = stage.context("a")
    context.push("One. ")
    stage.wire.feed_chunk("a", b"1")
    receiver = context.receive()
    assert next(receiver).audio == b"1"
    waits: list[Any] = []

    def wait(mailbox: Mailbox, timeout: Any) -> None:
        waits.append(timeout)
        if len(waits) == 1:
            now[0] = 130.0
            context.push("Two. ")
        now[0] += 40.0  # at first to 170: over for what was heard, and not for what was said
        raise queue.Empty

    monkeypatch.setattr(Mailbox, "wait", wait)
    with pytest.raises(GapTimeoutError):
        next(receiver)
    assert waits == [60.0, 20.0]


# ---- replay: the order, and the case that it is for


def test_what_two_threads_push_while_the_wire_is_lost_is_said_again_in_the_order_that_was_kept(stage: Any) -> None:
    context, old = stage.context("a"), stage.wire
    pushers = 8
    start = threading.Barrier(pushers)
    old.before_write = lambda message: lose_now(old)

    def push(number: int) -> None:
        start.wait(BOUND)
        context.push(f"{number}. ")

    with ThreadPoolExecutor(pushers) as pool:
        for each in [pool.submit(push, number) for number in range(pushers)]:
            each.result(BOUND)
    assert old.sent == []
    assert sorted(context.transcripts) == [f"{number}. " for number in range(pushers)]
    assert transcripts(stage.wires[1]) == list(context.transcripts)


@pytest.mark.parametrize("leaves", [True, False])
def test_no_push_slips_in_behind_the_last_one_while_the_wire_is_lost_under_it(stage: Any, leaves: bool) -> None:
    context, old = stage.context("a", on_disconnect="replay"), stage.wire
    context.push("One. ")
    refused: list[BaseException] = []

    def push_late() -> None:
        try:
            context.push("Three. ")
        except ContextStateError as error:
            refused.append(error)

    with ThreadPoolExecutor(1) as pool:

        def lose_and_push(message: bytes) -> None:
            lose_now(old)
            pool.submit(push_late).result(BOUND)
            if not leaves:
                raise WebSocketConnectionClosedError("broken pipe")

        old.before_write = lose_and_push
        context.push("Two.", continue_=False)
        audio = pool.submit(context.audio)
        stage.wait_wires(2)
        stage.wires[1].wait_sent(2)
        stage.wires[1].feed_chunk("a", b"12")
        stage.wires[1].feed_done("a")
        assert audio.result(BOUND) == b"12"
    assert len(refused) == 1
    assert transcripts(stage.wires[1]) == ["One. ", "Two."] == list(context.transcripts)


@pytest.mark.parametrize("when", ["before it leaves", "while it leaves", "after it has left"])
def test_one_push_with_all_the_text_that_meets_the_loss_is_said_again(stage: Any, when: str) -> None:
    context, old = stage.context("a", on_disconnect="replay"), stage.wire
    if when == "before it leaves":

        def lose_before(message: bytes) -> None:
            lose_now(old)
            raise WebSocketConnectionClosedError("broken pipe")

        old.before_write = lose_before
    elif when == "while it leaves":
        old.before_write = lambda message: lose_now(old)
        old.shutdown = lambda: None  # what is on its way leaves all the same
    else:
        old.after_write = lambda: lose_now(old)
    context.push("All of it.", continue_=False)
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        stage.wait_wires(2)
        stage.wires[1].wait_sent(1)
        stage.wires[1].feed_chunk("a", b"whole")
        stage.wires[1].feed_done("a")
        assert audio.result(BOUND) == b"whole"
    assert transcripts(stage.wires[1]) == ["All of it."]
    assert len(stage.wires) == 2


def test_of_two_who_would_say_a_context_again_one_does(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("One.", continue_=False)
    lose_now(stage.wire)
    line = context._channel
    start = threading.Barrier(4)

    def resume() -> Any:
        start.wait(BOUND)
        return stage.link.resume(line)

    with ThreadPoolExecutor(4) as pool:
        assert [each.result(BOUND) for each in [pool.submit(resume) for _ in range(4)]] == [None] * 4
    assert [transcripts(wire) for wire in stage.wires] == [["One."], ["One."]]
    stage.wire.feed_chunk("a", b"1")
    stage.wire.feed_done("a")
    assert context.audio() == b"1"


# ---- replay: recv()


@pytest.mark.parametrize("is_waiting", [True, False])
def test_recv_does_not_give_up_while_a_context_awaits_its_replay(stage: Any, entered: Any, is_waiting: bool) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("One.", continue_=False)
    if not is_waiting:
        lose_now(stage.wire)
    with ThreadPoolExecutor(1) as pool:
        waits = entered(stage.link.__class__, "subscribe")
        heard = pool.submit(lambda: [stage.connection.recv(timeout=BOUND) for _ in range(2)])
        assert waits.wait(BOUND)
        if is_waiting:
            lose_now(stage.wires[0])
        stage.wait_wires(2)
        stage.wires[1].wait_sent(1)
        stage.wires[1].feed_chunk("a", b"1")
        stage.wires[1].feed_done("a")
        assert [event.type for event in heard.result(BOUND)] == ["chunk", "done"]


def test_recv_waits_while_another_thread_says_a_context_again(stage: Any, entered: Any) -> None:
    """Nor is it over for it then: it may not be the one that says the context again."""
    context = stage.context("a", on_disconnect="replay")
    context.push("One.", continue_=False)
    is_dialling, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        is_dialling.set()
        assert go_on.wait(BOUND)

    lose_now(stage.wire)
    when_dialling(stage, hold)
    with ThreadPoolExecutor(2) as pool:
        saying = pool.submit(stage.link.resume, context._channel)
        assert is_dialling.wait(BOUND)
        waits = entered(type(stage.link._connect_lock), "within")
        heard = pool.submit(stage.connection.recv, timeout=BOUND)
        assert waits.wait(BOUND)
        assert not stage.link.is_spent
        go_on.set()
        assert saying.result(BOUND) is None
        stage.wires[1].feed_done("a")
        assert heard.result(BOUND).type == "done"
    assert transcripts(stage.wires[1]) == ["One."]
