"""Races that the soak found, step by step."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Callable

import pytest

from cartesia_sync import Timeout
from cartesia_sync.errors import (
    APIConnectionError,
    FirstEventTimeoutError,
    GapTimeoutError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.streaming.arrivals import ArrivalSelector
from cartesia_sync.streaming.link import Link
from cartesia_sync.streaming.mailbox import Mailbox
from cartesia_sync.transport.credential import RaisedOutside

BOUND = 10.0


def lose_while_writing(stage: Any, wire: Any, then: Callable[[], None] = lambda: None) -> None:
    """Have the wire end, and the reader notice, while the context's last message is being written."""

    def before_write(message: bytes) -> None:
        if b'"continue":false' in message:
            reader = stage.link.reader
            wire.lose()
            reader.join(BOUND)
            then()
            wire.is_shut = True

    wire.before_write = before_write


def test_a_context_set_aside_while_its_last_message_leaves_is_said_again_whole(make_stage: Any) -> None:
    stage = make_stage()
    context = stage.context("a", on_disconnect="replay")
    context.push("One. ")
    lose_while_writing(stage, stage.wires[0])
    context.push("Two.", continue_=False)
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        stage.wait_wires(2)
        stage.wires[1].wait_sent(1)
        stage.wires[1].feed_chunk("a", b"12")
        stage.wires[1].feed_done("a")
        assert audio.result(BOUND) == b"12"
    assert [said["transcript"] for said in stage.wires[1].sent] == ["One. ", "Two."]


def test_a_receiver_says_the_message_again_that_is_being_written(make_stage: Any) -> None:
    stage = make_stage()
    context = stage.context("a", on_disconnect="replay")
    context.push("One. ")
    said_again = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)

        def wait_until_it_is_said_again() -> None:
            stage.wait_wires(2)
            stage.wires[1].wait_sent(2)
            said_again.set()

        lose_while_writing(stage, stage.wires[0], wait_until_it_is_said_again)
        context.push("Two.", continue_=False)
        assert said_again.is_set()
        stage.wires[1].feed_chunk("a", b"12")
        stage.wires[1].feed_done("a")
        assert audio.result(BOUND) == b"12"
    assert [said["transcript"] for said in stage.wires[1].sent] == ["One. ", "Two."]


def test_a_notice_to_all_does_not_feed_a_contexts_clocks(make_stage: Any) -> None:
    stage = make_stage(Timeout(first_event=0.05, gap=5.0))
    context = stage.context("a")
    context.push("One. ", continue_=False)
    stage.wire.feed_error(None, message="to all")
    events = context.receive()
    assert next(events).type == "error"
    with pytest.raises(FirstEventTimeoutError) as caught:
        next(events)
    assert not caught.value.heard


def test_a_notice_to_all_does_not_forbid_saying_a_context_again(make_stage: Any) -> None:
    stage = make_stage()
    context = stage.context("a", on_disconnect="replay")
    context.push("One. ", continue_=False)
    stage.wire.feed_error(None, message="to all")
    events = context.receive()
    assert next(events).type == "error"
    stage.wire.lose()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, events)
        stage.wait_wires(2)
        stage.wires[1].wait_sent(1)
        stage.wires[1].feed_done("a")
        assert [event.type for event in rest.result(BOUND)] == ["done"]


def test_the_reader_keeps_nothing_of_a_context_that_was_dropped(make_stage: Any) -> None:
    stage = make_stage()
    stage.context("a").push("One. ")  # dropped at once
    other = stage.context("b")
    other.push("Two. ")
    dropped = stage.context("c")
    dropped.push("Three. ")
    del dropped
    stage.wire.feed_chunk("b", b"12")
    assert next(other.receive()).type == "chunk"
    stage.wire.feed_chunk("b", b"12")
    assert next(other.receive()).type == "chunk"  # so the reader is past the first
    gc.collect()
    assert [line.context_id for line in stage.link.registry.readable()] == ["b"]


def test_a_first_message_that_cannot_leave_ends_the_context_for_its_receiver_too(make_stage: Any) -> None:
    stage = make_stage(Timeout(first_event=3.0), reconnect=False)
    context = stage.context("a")
    stage.wires[0].before_write = lambda message: stage.wires[0].shutdown()
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        with pytest.raises(WebSocketConnectionClosedError):
            context.push("One. ")
        with pytest.raises(WebSocketConnectionClosedError):  # now: FirstEventTimeoutError, after the clock
            audio.result(BOUND)


def test_a_first_message_that_cannot_leave_is_not_kept_where_no_token_was_had(make_stage: Any) -> None:
    """Its user is told, and may say the text in another context: it must not leave later, too."""
    stage = make_stage()
    context = stage.context("a", on_disconnect="replay")
    stage.wires[0].before_write = lambda message: stage.wires[0].shutdown()
    stage.refuse = RaisedOutside(error := APIConnectionError("no token"))
    with pytest.raises(APIConnectionError) as caught:
        context.push("One. ", continue_=False)
    assert caught.value is error
    stage.refuse = None
    with pytest.raises(WebSocketConnectionClosedError):
        context.audio()
    other = stage.context("b")
    other.push("One. ")
    assert [said["context_id"] for said in stage.wires[1].sent] == ["b"]


def test_close_while_another_thread_starts_the_reader_ends_both(
    make_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage()
    stage.wire.lose()
    stage.link.reader.join(BOUND)
    start = threading.Thread.start
    with ThreadPoolExecutor(1) as pool:
        closing = []

        def start_late(thread: threading.Thread) -> None:
            if thread.name.startswith("cartesia-sync-reader"):
                closing.append(pool.submit(stage.connection.close))
                wait(closing, 0.2)  # at once, or when this thread has let go
            start(thread)

        pool.submit(int).result(BOUND)  # its thread is there
        monkeypatch.setattr(threading.Thread, "start", start_late)
        stage.link.connect()
        assert closing[0].result(BOUND) is None
    assert not stage.link.reader.is_alive()


@pytest.mark.parametrize("how", ["close", "cancel", "abandon"])
def test_a_reader_at_its_end_that_finds_a_note_for_the_next_wire_carries_it_out_there(
    make_stage: Any, how: str
) -> None:
    """Or the wire would stay open for good, with its reader, or the service would go on speaking."""
    stage = make_stage()
    first_reader, noted = stage.link.reader, threading.Event()
    release, is_lost, may_end = stage.wires[0].release, threading.Event(), threading.Event()

    def release_late() -> None:
        is_lost.set()
        assert may_end.wait(BOUND)
        release()

    stage.wires[0].release = release_late
    stage.wires[0].lose()
    assert is_lost.wait(BOUND)
    context = stage.context("a")
    context.push("One. ")
    second_reader = stage.link.reader
    stage.wire.wake = noted.set  # the second reader does not look
    end = {"close": stage.connection.close, "cancel": context.cancel, "abandon": stage.link.abandon}[how]
    with ThreadPoolExecutor() as pool:
        ending = pool.submit(end)
        assert noted.wait(BOUND)
        may_end.set()
        first_reader.join(BOUND)
        if how == "cancel":
            assert stage.wire.wait_sent(2)[1] == {"context_id": "a", "cancel": True}
        else:
            second_reader.join(BOUND)
            assert not second_reader.is_alive()
        ending.result(BOUND)


def test_close_tells_its_own_reason_though_a_push_fails_meanwhile_and_holds_nothing_of_it(make_stage: Any) -> None:
    """The push's exception has its thread's frames, which have the connection: nobody could be rid of it any more."""
    stage = make_stage()
    context, wire = stage.context("a"), stage.wire
    context.push("One. ")
    with ThreadPoolExecutor(1) as pool:
        closing: list[Any] = []
        reader = stage.link.reader

        def fail_while_closing(_message: bytes) -> None:
            closing.append(pool.submit(stage.connection.close))
            reader.join(BOUND)  # it has seen to the close, and heard the answer
            raise WebSocketConnectionClosedError("reset")

        wire.before_write = fail_while_closing
        with pytest.raises(WebSocketConnectionClosedError, match="reset"):
            context.push("Two. ")
        closing[0].result(BOUND)
    assert "closed by close()" in str(stage.link.lost())
    assert stage.link._loss.__traceback__ is None


def test_a_first_message_is_not_lost_silently_when_another_thread_pushes_to_the_context_meanwhile(
    make_stage: Any,
) -> None:
    stage = make_stage()
    context = stage.context("a")
    link = stage.link
    pushed: list[Any] = []
    connecting = threading.Event()
    connect = link.connect

    def connect_and_tell() -> Any:
        connecting.set()
        return connect()

    with ThreadPoolExecutor(1) as pool:

        def before_write(message: bytes) -> None:
            reader = link.reader
            stage.wires[0].lose()
            reader.join(BOUND)
            link.connect = connect_and_tell
            pushed.append(pool.submit(context.push, "Two. "))  # says both on a new wire
            assert connecting.wait(BOUND)
            stage.wires[0].is_shut = True

        stage.wires[0].before_write = before_write
        context.push("One. ")  # returns, so it must have left
        pushed[0].result(BOUND)
    assert [said["transcript"] for said in stage.wires[1].sent] == ["One. ", "Two. "]


def test_recv_hears_of_a_context_that_the_reader_is_about_to_end(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context = stage.context("a")
    context.push("x")
    seal, is_spent = Mailbox.seal, Link.is_spent
    is_sealing, has_asked = threading.Event(), threading.Event()

    def seal_late(mailbox: Mailbox, end: Any) -> bool:
        is_sealing.set()
        assert has_asked.wait(BOUND)
        return seal(mailbox, end)

    def ask(link: Link) -> bool:
        answer: bool = is_spent.fget(link)  # type: ignore[attr-defined]  # it is a property
        has_asked.set()
        return answer

    monkeypatch.setattr(Mailbox, "seal", seal_late)
    monkeypatch.setattr(Link, "is_spent", property(ask))
    stage.wire.lose()
    assert is_sealing.wait(BOUND)
    with pytest.raises(TruncatedError):
        stage.connection.recv()
    del context


def test_recv_hears_of_a_context_that_ends_between_its_two_questions(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether something is there, and whether all is over: else an iteration ended as if nothing had been lost."""
    context = stage.context("a")
    context.push("x")
    first, lost = ArrivalSelector.first, threading.Event()

    def lose_after_it(merge: ArrivalSelector) -> Any:
        found = first(merge)
        if not lost.is_set():
            lost.set()
            stage.wire.lose()
            stage.link.reader.join(BOUND)
        return found

    monkeypatch.setattr(ArrivalSelector, "first", lose_after_it)
    with pytest.raises(TruncatedError):
        list(stage.connection)


def test_recv_whose_time_is_up_does_not_say_that_all_is_over(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context that is lost in that moment is for the next call to tell of."""
    context = stage.context("a")
    context.push("x")
    is_spent, asked = Link.is_spent.fget, iter(range(10))

    def lose_when_asked_again(link: Link) -> Any:
        if next(asked) == 1:
            stage.wire.lose()
            stage.link.reader.join(BOUND)
        return is_spent(link)

    monkeypatch.setattr(Link, "is_spent", property(lose_when_asked_again))
    with pytest.raises(GapTimeoutError):
        stage.connection.recv(timeout=0)
    with pytest.raises(TruncatedError):
        stage.connection.recv(timeout=0)
