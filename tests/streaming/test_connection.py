from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest

from cartesia_sync import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    CartesiaError,
    ConcurrencyError,
    ContextStateError,
    FirstEventTimeoutError,
    GapTimeoutError,
    InternalServerError,
    ProtocolError,
    RateLimitError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.errors import status_error
from cartesia_sync.transport import retry

BOUND = 10.0
REQUEST = {
    "context_id": "hand",
    "model_id": "m",
    "transcript": "x",
    "voice": {"mode": "id", "id": "v"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100},
    "continue": False,
}


def kinds(events: Any) -> list[tuple[str, str]]:
    return [(event.context_id, event.type) for event in events]


# ---- routing by hand


def test_recv_gives_the_events_of_all_contexts_in_order_of_arrival(stage: Any) -> None:
    contexts = [stage.context(name) for name in "ab"]
    for context in contexts:
        context.push("x")
    for name in "abba":
        stage.wire.feed_chunk(name, name.encode())
    stage.wire.feed_done("b")
    stage.wire.feed_done("a")
    events = [stage.connection.recv() for _ in range(6)]
    assert [event.context_id for event in events] == list("abbaba")
    assert [event.type for event in events] == ["chunk"] * 4 + ["done"] * 2
    assert events[0].samples().shape == (0,)  # half a sample; the encoding is known


def test_recv_waits_for_a_context_that_is_opened_later(stage: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(stage.connection.recv)
        context = stage.context("late")
        context.push("x")
        stage.wire.feed_done("late")
        assert heard.result(BOUND).context_id == "late"


def test_iterating_a_connection_ends_when_it_is_closed(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_done("a")
    heard = []
    for event in stage.connection:
        heard.append(event.type)
        if event.type == "done":
            stage.connection.close()
    assert heard == ["chunk", "done"]
    with pytest.raises(WebSocketConnectionClosedError, match=r"close\(\)"):
        stage.connection.recv()


def test_iterating_a_connection_that_is_lost_raises_for_what_is_unfinished(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.feed_chunk("a", b"12")
    stage.wire.lose(WebSocketConnectionClosedError("idle", code=1000, reason="connection idle timeout"))
    events = iter(stage.connection)
    assert next(events).type == "chunk"
    with pytest.raises(TruncatedError, match="'a'"):
        next(events)
    assert list(stage.connection) == []


def test_a_thread_waiting_in_recv_is_woken_by_the_loss(stage: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stage.connection.recv)
        stage.wire.lose(WebSocketConnectionClosedError("gone", code=1001, reason="deploy"))
        with pytest.raises(WebSocketConnectionClosedError, match="gone") as caught:
            waiting.result(BOUND)
    assert (caught.value.code, caught.value.reason) == (1001, "deploy")


def test_a_context_opened_by_hand_is_heard_by_recv(stage: Any) -> None:
    stage.connection.send(REQUEST)
    assert stage.wire.sent == [{**REQUEST, "voice": {"id": "v"}}]
    stage.wire.feed_chunk("hand", b"1234")
    stage.wire.feed_done("hand")
    first, last = stage.connection.recv(), stage.connection.recv()
    assert (first.type, first.samples().shape, last.type) == ("chunk", (2,), "done")
    with pytest.raises(ContextStateError, match="new id"):
        stage.connection.send(REQUEST)


def test_messages_by_hand_go_on_with_and_cancel_a_context(stage: Any) -> None:
    stage.connection.send({**REQUEST, "continue": True})
    stage.connection.send({**REQUEST, "transcript": "y"})
    with pytest.raises(ContextStateError, match="all its text"):
        stage.connection.send({**REQUEST, "transcript": "z"})
    stage.connection.send({"context_id": "hand", "cancel": True})
    assert stage.wire.wait_sent(3)[-1] == {"context_id": "hand", "cancel": True}
    stage.wire.feed_chunk("hand", b"late")
    with pytest.raises(GapTimeoutError):
        stage.connection.recv(timeout=0.01)


def test_a_text_by_hand_without_a_context_gets_one(stage: Any) -> None:
    """The official client lets it out as it is, and the service refuses it."""
    for without in ({**REQUEST, "context_id": None}, {name: REQUEST[name] for name in REQUEST if name != "context_id"}):
        stage.connection.send(without)
        context_id = stage.wire.sent[-1]["context_id"]
        assert str(uuid.UUID(context_id)) == context_id
        assert stage.wire.sent[-1] == {**REQUEST, "voice": {"id": "v"}, "context_id": context_id}
        stage.wire.feed_done(context_id)
        assert stage.connection.recv().context_id == context_id


@pytest.mark.parametrize("message", [{}, {"context_id": None}, {"context_id": 7}, {"cancel": True}])
def test_a_message_by_hand_must_name_its_context(stage: Any, message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="context_id"):
        stage.connection.send(message)


def test_an_error_of_the_whole_connection_is_given_once_by_recv(stage: Any) -> None:
    contexts = [stage.context(name) for name in "abc"]
    for context in contexts:
        context.push("x")
    stage.wire.feed_error(None, message="cannot read that")
    stage.wire.feed_done("a")
    assert kinds([stage.connection.recv() for _ in range(2)]) == [(None, "error"), ("a", "done")]


def test_a_second_thread_in_recv_is_refused_at_once(stage: Any, entered: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        is_in = entered(stage.link, "subscribe")
        waiting = pool.submit(stage.connection.recv)
        assert is_in.wait(BOUND)
        with pytest.raises(ConcurrencyError):
            stage.connection.recv()
        context = stage.context("a")
        context.push("x")
        stage.wire.feed_done("a")
        assert waiting.result(BOUND).type == "done"


def test_parse_event_reads_a_message_or_says_that_it_is_none(stage: Any) -> None:
    assert stage.connection.parse_event('{"type":"done","context_id":"a","done":true}').type == "done"
    with pytest.raises(ProtocolError):
        stage.connection.parse_event(b"nonsense")


# ---- several contexts, one thread


def test_receive_any_merges_in_order_of_arrival_until_all_have_ended(stage: Any) -> None:
    a, b, c = contexts = [stage.context(name) for name in "abc"]
    for context in contexts:
        context.push("x")
    for name in "abca":
        stage.wire.feed_chunk(name, name.encode())
    for name in "bac":
        stage.wire.feed_done(name)
    merged = list(stage.connection.receive_any(a, b))
    assert [(context.context_id, event.type) for context, event in merged] == [
        ("a", "chunk"),
        ("b", "chunk"),
        ("a", "chunk"),
        ("b", "done"),
        ("a", "done"),
    ]
    assert kinds(c.receive()) == [("c", "chunk"), ("c", "done")]
    assert list(stage.connection.receive_any(a, b)) == []


def test_receive_any_is_fed_while_it_waits(stage: Any) -> None:
    contexts = [stage.context(str(n)) for n in range(8)]
    for context in contexts:
        context.push("x")
    with ThreadPoolExecutor(1) as pool:
        merged = pool.submit(lambda: [c.context_id for c, e in stage.connection.receive_any(*contexts)])
        order = [str(n % 8) for n in range(80)]
        for name in order:
            stage.wire.feed_chunk(name, b"12")
        for n in range(8):
            stage.wire.feed_done(str(n))
        assert merged.result(BOUND) == order + [str(n) for n in range(8)]


def test_receive_any_raises_for_the_context_that_failed_and_goes_on_with_the_others(stage: Any) -> None:
    a, b = (stage.context(name) for name in "ab")
    a.push("x")
    b.push("x")
    stage.wire.feed_error("a", message="no")
    stage.wire.feed_done("b")
    with pytest.raises(BadRequestError):
        list(stage.connection.receive_any(a, b, raise_on_error=True))
    assert kinds(event for _, event in stage.connection.receive_any(a, b)) == [("b", "done")]


def test_receive_any_goes_by_each_contexts_own_clock(stage: Any) -> None:
    silent, busy = stage.context("a", first_event_timeout=0.01), stage.context("b", first_event_timeout=None)
    silent.push("x")
    busy.push("x")
    with pytest.raises(FirstEventTimeoutError, match="'a'"):
        list(stage.connection.receive_any(silent, busy))
    stage.wire.feed_done("b")
    assert kinds(event for _, event in stage.connection.receive_any(silent, busy)) == [("b", "done")]


def test_receive_any_leaves_one_subscriber_behind_at_most(stage: Any) -> None:
    """A finalizer may end it, which takes no lock: the next one drops the last one's subscription."""
    kept = stage.context("b")
    for _ in range(3):
        context = stage.context(None, first_event_timeout=0.01)
        context.push("x")
        with pytest.raises(FirstEventTimeoutError):
            list(stage.connection.receive_any(context))
        assert (
            len(stage.link.registry._subscribers)
            == len(kept._channel.mailbox._subscriptions)
            == len(stage.link.registry._closed_subscribers)
            == 1
        )


# ---- reconnecting


def test_a_push_to_a_new_context_opens_one_new_connection_for_all_threads(stage: Any) -> None:
    done, unfinished = stage.context("done"), stage.context("unfinished")
    waiting = stage.context("made before, pushed after")
    done.push("x")
    unfinished.push("x")
    stage.wire.feed_chunk("done", b"12")
    stage.wire.feed_done("done")
    stage.wire.lose(WebSocketConnectionClosedError("idle", code=1000, reason="connection idle timeout"))
    assert stage.wire.is_free.wait(BOUND)
    start = threading.Barrier(8)

    def push(n: int) -> str:
        context = waiting if n == 0 else stage.context(f"new-{n}")
        start.wait(BOUND)
        context.push("y")
        return next(context.receive()).type

    with ThreadPoolExecutor(8) as pool:
        heard = [pool.submit(push, n) for n in range(8)]
        stage.wait_wires(2)
        for said in stage.wire.wait_sent(8):
            stage.wire.feed_done(said["context_id"])
        assert [each.result(BOUND) for each in heard] == ["done"] * 8
    assert len(stage.wires) == 2
    assert kinds(done.receive()) == [("done", "chunk"), ("done", "done")]
    with pytest.raises(TruncatedError):
        unfinished.push("z")
    with pytest.raises(TruncatedError):
        list(unfinished.receive())


def test_reconnect_false_turns_it_off(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(reconnect=False)
    stage.wire.lose(WebSocketConnectionClosedError("idle", code=1000, reason="connection idle timeout"))
    assert stage.wire.is_free.wait(BOUND)
    context = stage.context("a")
    with pytest.raises(WebSocketConnectionClosedError, match="idle") as caught:
        context.push("x")
    assert (caught.value.code, caught.value.reason) == (1000, "connection idle timeout")
    assert len(stage.wires) == 1


def test_a_first_push_that_meets_a_dead_wire_tries_one_new_one(stage: Any) -> None:
    """The service had closed, and the reader has not yet seen it."""
    old, context = stage.wire, stage.context("a")

    def fail(message: bytes) -> None:
        raise WebSocketConnectionClosedError("broken pipe")

    old.before_write = fail
    context.push("x", continue_=False)
    assert old.sent == []
    assert [said["transcript"] for said in stage.wire.sent] == ["x"]
    stage.wire.feed_chunk("a", b"12")
    stage.wire.feed_done("a")
    assert context.audio() == b"12"
    assert context.transcripts == ("x",)
    old.lose()


def test_a_later_push_that_meets_a_dead_wire_is_lost_with_its_context(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")

    def fail(message: bytes) -> None:
        raise WebSocketConnectionClosedError("broken pipe")

    stage.wire.before_write = fail
    with pytest.raises(WebSocketConnectionClosedError, match="broken pipe"):
        context.push("y")
    stage.wire.lose()
    with pytest.raises(TruncatedError):
        list(context.receive())


def test_a_context_whose_wire_is_lost_while_its_first_message_leaves_is_told(stage: Any) -> None:
    context, wire = stage.context("a"), stage.wire

    def lose_meanwhile() -> None:
        wire.lose()
        assert wire.is_free.wait(BOUND)

    wire.after_write = lose_meanwhile
    context.push("x", continue_=False)
    with pytest.raises(TruncatedError, match="lost"):
        list(context.receive())


def test_a_context_whose_wire_is_lost_before_its_first_message_leaves_is_said_on_another(stage: Any) -> None:
    context, wire = stage.context("a"), stage.wire

    def lose_meanwhile(message: bytes) -> None:
        wire.lose()
        assert wire.is_free.wait(BOUND)

    wire.before_write = lose_meanwhile
    context.push("x", continue_=False)
    assert wire.sent == []
    assert [said["transcript"] for said in stage.wires[1].sent] == ["x"]
    stage.wires[1].feed_chunk("a", b"12")
    stage.wires[1].feed_done("a")
    assert context.audio() == b"12"


# ---- replay


def test_a_context_to_be_replayed_is_said_again_once_if_nothing_was_heard(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("One. ")
    context.push("Two.", continue_=False)
    said = list(stage.wire.sent)
    stage.wire.lose()
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        stage.wait_wires(2)
        assert stage.wire.wait_sent(2) == said
        stage.wire.feed_chunk("a", b"whole")
        stage.wire.feed_done("a")
        assert audio.result(BOUND) == b"whole"


def test_a_replayed_context_is_not_replayed_twice(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("x", continue_=False)
    stage.wire.lose()
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        stage.wait_wires(2)
        stage.wire.wait_sent(1)
        stage.wire.lose()
        with pytest.raises(TruncatedError):
            audio.result(BOUND)
    assert len(stage.wires) == 2


@pytest.mark.parametrize("why", ["heard", "unfinished", "raise"])
def test_what_was_heard_or_is_unfinished_or_not_asked_for_is_not_replayed(stage: Any, why: str) -> None:
    context = stage.context("a", on_disconnect="raise" if why == "raise" else "replay")
    context.push("x", continue_=why == "unfinished")
    if why == "heard":
        stage.wire.feed_chunk("a", b"12")
    stage.wire.lose()
    with pytest.raises(TruncatedError):
        context.audio()
    assert len(stage.wires) == 1


def test_a_replay_that_cannot_connect_raises_why(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("x", continue_=False)
    stage.refuse = BadRequestError("not today", status_code=400)
    stage.wire.lose()
    with pytest.raises(TruncatedError, match="not today"):
        context.audio()


def test_a_context_waiting_for_its_replay_can_be_cancelled(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("x", continue_=False)
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)
    context.cancel()
    assert list(context.receive()) == []
    assert len(stage.wires) == 1


def test_receive_any_replays_too(stage: Any) -> None:
    context = stage.context("a", on_disconnect="replay")
    context.push("x", continue_=False)
    with ThreadPoolExecutor(1) as pool:
        merged = pool.submit(lambda: [event.type for _, event in stage.connection.receive_any(context)])
        stage.wire.lose()
        stage.wait_wires(2)
        stage.wire.wait_sent(1)
        stage.wire.feed_done("a")
        assert merged.result(BOUND) == ["done"]


def test_on_disconnect_takes_two_words(stage: Any) -> None:
    with pytest.raises(ValueError, match="'resend'"):
        stage.context("a", on_disconnect="resend")


# ---- keepalive, and the end


def test_silence_is_pinged_and_a_second_silence_is_a_loss(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    stage.wire.stay_silent()
    stage.wire.feed_chunk("a", b"12")  # alive after all
    stage.wire.stay_silent()
    stage.wire.feed_bytes(b"")  # a pong
    stage.wire.stay_silent()
    stage.wire.stay_silent()
    with pytest.raises(TruncatedError, match="no sign of life"):
        list(context.receive())
    assert stage.wire.pings == 3


def test_close_says_goodbye_with_the_code_and_reason(stage: Any) -> None:
    stage.connection.close(code=3001, reason="enough")
    assert stage.wire.closed_with == (3001, "enough")
    assert stage.wire.is_free.is_set()


@pytest.mark.parametrize("arguments", [{"code": 1006}, {"code": 5000}, {"reason": "x" * 124}])
def test_a_goodbye_that_the_protocol_does_not_allow_is_refused(stage: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="clos"):
        stage.connection.close(**arguments)


def test_close_from_many_threads_at_once_is_one_close(stage: Any) -> None:
    start = threading.Barrier(8)

    def close() -> None:
        start.wait(BOUND)
        stage.connection.close()

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(close) for _ in range(8)]:
            each.result(BOUND)
    assert stage.link.reader is not None
    assert not stage.link.reader.is_alive()


@pytest.mark.parametrize("leaves", [True, False])
def test_a_last_message_that_meets_the_loss_is_said_once_by_the_replay(stage: Any, leaves: bool) -> None:
    """The reader sets the context aside while its last message is on its way."""
    context, old = stage.context("a", on_disconnect="replay"), stage.wire
    context.push("One. ")

    def lose_meanwhile(message: bytes) -> None:
        old.lose()
        assert old.is_free.wait(BOUND)
        if not leaves:
            raise WebSocketConnectionClosedError("broken pipe")

    old.before_write = lose_meanwhile
    context.push("Two.", continue_=False)
    with ThreadPoolExecutor(1) as pool:
        audio = pool.submit(context.audio)
        stage.wait_wires(2)
        assert [said["transcript"] for said in stage.wire.wait_sent(2)] == ["One. ", "Two."]
        stage.wire.feed_chunk("a", b"whole")
        stage.wire.feed_done("a")
        assert audio.result(BOUND) == b"whole"
    assert len(stage.wire.sent) == 2


# ---- trying again to connect


def test_a_reconnect_that_may_pass_is_tried_again_and_one_that_will_not_is_not(
    make_stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    stage = make_stage(max_retries=2)
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)
    refusals: list[CartesiaError] = [status_error(503, "full"), APIConnectionError("refused")]
    dial, tries = stage.link._dial, []

    def refuse_first(deadline: Any) -> Any:
        tries.append(1)
        if refusals:
            raise refusals.pop(0)
        return dial(deadline)

    stage.link._dial = refuse_first
    stage.context("a").push("x")
    assert len(tries) == 3
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)
    refusals[:] = [status_error(401, "who are you?")]
    with pytest.raises(AuthenticationError):
        stage.context("b").push("x")
    assert len(tries) == 4
    refusals[:] = [status_error(503, "full") for _ in range(9)]
    with pytest.raises(InternalServerError, match="full"):
        stage.context("c").push("x")
    assert len(tries) == 7


def test_close_interrupts_the_wait_before_another_try(
    make_stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 1000.0)
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 1000.0)
    stage = make_stage(Timeout(connect=None), max_retries=2)
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)
    stage.refuse = status_error(503, "full")
    waits = threading.Event()

    class Telling:
        """A SimpleQueue that tells when somebody waits."""

        def __init__(self, inside: Any) -> None:
            self._inside = inside
            self.put = inside.put

        def get(self, timeout: float) -> Any:
            waits.set()
            return self._inside.get(timeout=timeout)

    stage.link._closing = Telling(stage.link._closing)
    context = stage.context("a")
    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(context.push, "x")
        assert waits.wait(BOUND)
        stage.connection.close()
        with pytest.raises(WebSocketConnectionClosedError, match=r"close\(\)"):
            pushing.result(BOUND)


def test_a_pause_that_the_connect_clock_does_not_allow_is_not_begun(make_stage: Callable[..., Any]) -> None:
    stage = make_stage(Timeout(connect=5.0), max_retries=2)
    stage.wire.lose()
    assert stage.wire.is_free.wait(BOUND)
    stage.refuse = status_error(429, "full", headers={"retry-after": "30"})
    with pytest.raises(RateLimitError) as caught:
        stage.context("a").push("x")
    assert caught.value.retry_after == 30.0


# ---- names that were never meant to be public


@pytest.mark.parametrize(
    ("owner", "name", "inside"),
    [("connection", "link", "_link"), ("context", "line", "_channel"), ("context", "clocks", "_timeout")],
)
def test_a_name_that_was_never_meant_to_be_public_still_works_and_warns(
    owner: str, name: str, inside: str, stage: Any
) -> None:
    thing = stage.connection if owner == "connection" else stage.context("a")
    with pytest.warns(DeprecationWarning, match=f"{name} is private") as warned:
        assert getattr(thing, name) is getattr(thing, inside)
    assert warned[0].filename == __file__
