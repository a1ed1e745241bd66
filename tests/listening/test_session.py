from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cartesia_sync import Timeout
from cartesia_sync.errors import (
    BadRequestError,
    ConcurrencyError,
    ContextStateError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    GapTimeoutError,
    InternalServerError,
    MailboxFullError,
    MalformedEventError,
    ProtocolError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.listening.session import Turn
from cartesia_sync.protocol.events import Unknown
from cartesia_sync.protocol.transcription import Mode, TimedWord
from cartesia_sync.transport.websocket.wire import BinaryMessage

from ..streaming.conftest import BOUND
from .conftest import MakeStage, Stage

SHORT = 0.05
CLOSE = '{"type":"close"}'


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def types(events: Any) -> list[str]:
    return [event.type for event in events]


# ---- what goes out


def test_audio_is_binary_and_commands_are_text(auto: Stage, manual: Stage) -> None:
    for stage, command, words in ((manual, "finalize", "finalize"), (auto, {"type": "config"}, '{"type":"config"}')):
        stage.session.send_raw(b"ab")
        stage.session.send_raw(memoryview(b"cd"))
        stage.session.send(command)
        stage.session.send_raw("as it is")
        assert stage.wire.said == [b"ab", b"cd", words, "as it is"]
        assert stage.session.audio_seconds == 0.002


def test_what_was_sent_before_the_session_leaves_first(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.MANUAL, "finalize")
    stage.session.send_raw(b"ab")
    assert stage.wire.said == ["finalize", b"ab"]
    for _ in range(12):
        stage.manager.send("finalize")
    with pytest.raises(ValueError, match="more than 100 bytes wait to be sent"):
        stage.manager.send("finalize")
    with pytest.raises(ValueError, match="a command is"):
        stage.manager.send("nonsense")


@pytest.mark.parametrize("way", ["finish", "send", "send_raw"])
def test_after_close_nothing_is_sent_and_a_second_close_does_nothing(auto: Stage, way: str) -> None:
    session = auto.session
    if way == "finish":
        session.finish()
    elif way == "send":
        session.send({"type": "close"})
    else:
        session.send_raw(CLOSE)
    session.finish()
    session.send({"type": "close"})
    with pytest.raises(ContextStateError, match="cannot send to the session: it is finishing"):
        session.send_raw(b"ab")
    assert auto.wire.said == [CLOSE]


def test_many_threads_send_at_once(auto: Stage, threads: Any) -> None:
    start = threading.Barrier(4)

    def send(number: int) -> None:
        start.wait(BOUND)
        for _ in range(50):
            auto.session.send_raw(bytes([number, 0]))

    for each in [threads.submit(send, number) for number in range(4)]:
        each.result(BOUND)
    assert sorted(auto.wire.said) == sorted(bytes([number, 0]) for number in range(4) for _ in range(50))
    assert auto.session.audio_seconds == 0.2


# ---- ends


def test_a_manual_session_is_whole_at_done(manual: Stage) -> None:
    manual.session.finish()
    manual.wire.tell("transcript", text="One.", is_final=True)
    manual.wire.tell("done")
    assert types(manual.session) == ["transcript", "done"]
    assert types(manual.session) == []
    with pytest.raises(WebSocketConnectionClosedError, match="all was heard"):
        manual.session.recv()


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1011, None])
def test_a_manual_session_without_done_is_never_whole(manual: Stage, code: Any) -> None:
    manual.session.finish()
    manual.wire.tell("transcript", text="One.", is_final=True)
    manual.wire.end(code)
    events = iter(manual.session)
    assert next(events).type == "transcript"
    with pytest.raises(TruncatedError, match="before all was heard") as raised:
        next(events)
    assert (raised.value.code, raised.value.transcript, raised.value.heard) == (code, "One.", True)
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (type(copied), copied.transcript) == (TruncatedError, "One.")


@pytest.mark.parametrize(
    ("code", "is_whole"), [(1000, True), (1005, True), (1001, False), (1011, False), (None, False)]
)
def test_an_auto_session_is_whole_where_the_service_closes_properly_after_our_close(
    auto: Stage, code: Any, is_whole: bool
) -> None:
    auto.session.finish()
    auto.wire.tell("connected")
    auto.wire.end(code)
    auto.join()
    if is_whole:
        assert types(auto.session) == ["connected"]
    else:
        with pytest.raises(TruncatedError):
            types(auto.session)


@pytest.mark.parametrize("code", [1000, 1005, 1001, 1011, None])
def test_an_auto_session_that_we_did_not_close_is_not_whole(auto: Stage, code: Any) -> None:
    auto.wire.tell("connected")
    auto.wire.tell("turn.start")
    auto.wire.tell("turn.update", transcript="One")
    auto.wire.end(code)
    with pytest.raises(TruncatedError) as raised:
        types(auto.session)
    assert raised.value.transcript == "One"


def test_an_error_in_place_of_connected_is_what_the_session_ends_with(auto: Stage) -> None:
    auto.session.finish()
    auto.wire.tell("error", title="Bad", message="thresholds", status_code=400)
    auto.wire.end(1000)
    events = iter(auto.session)
    assert next(events).type == "error"
    with pytest.raises(BadRequestError, match="Bad: thresholds"):
        next(events)


def test_a_later_error_is_the_cause_of_the_end(auto: Stage) -> None:
    auto.wire.tell("connected")
    auto.wire.tell("error", message="gone", status_code=500)
    auto.wire.end(1000)
    with pytest.raises(TruncatedError) as raised:
        types(auto.session)
    assert isinstance(raised.value.__cause__, InternalServerError)


def test_what_is_no_event_ends_the_session(auto: Stage) -> None:
    auto.wire.feed_bytes(b"{")
    with pytest.raises(TruncatedError) as raised:
        types(auto.session)
    assert isinstance(raised.value.__cause__, MalformedEventError)
    assert auto.wire.closed_with == (1002, "")


def test_so_does_a_binary_message(manual: Stage) -> None:
    manual.wire.feed_bytes(BinaryMessage(b"x"))
    with pytest.raises(TruncatedError) as raised:
        types(manual.session)
    assert isinstance(raised.value.__cause__, ProtocolError)
    assert manual.wire.closed_with == (1003, "")


def test_sending_on_a_lost_session_says_why(manual: Stage) -> None:
    manual.wire.end(1011)
    manual.join()
    for call in (
        lambda: manual.session.send_raw(b"ab"),
        lambda: manual.session.send("finalize"),
        manual.session.finalize,
    ):
        with pytest.raises(TruncatedError, match="1011"):
            call()
    manual.session.finish()  # nothing to finish
    assert manual.wire.said == []


def test_unknown_events_end_nothing(auto: Stage) -> None:
    auto.wire.tell("weather", sky="blue")
    event = auto.session.recv()
    assert type(event) is Unknown
    assert event.fields["sky"] == "blue"
    auto.wire.tell("connected")
    assert auto.session.recv().type == "connected"


# ---- the end of the block, and close


def test_the_blocks_end_sends_close_and_hears_the_rest(manual: Stage) -> None:
    def answer() -> None:
        if manual.wire.said[-1] == "close":
            manual.wire.tell("transcript", text=" last", is_final=True)
            manual.wire.tell("done")
            manual.wire.end()

    manual.wire.after_write = answer
    with manual.session as session:
        session.send_raw(b"ab")
    assert manual.wire.said == [b"ab", "close"]
    assert session.transcript == " last"
    assert types(session) == ["transcript", "done"]


def test_a_block_that_fails_closes_at_once(manual: Stage) -> None:
    def leave() -> None:
        with manual.session:
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert (manual.wire.said, manual.wire.closed_with) == ([], (1000, ""))


def test_a_service_that_does_not_answer_holds_the_block_no_longer_than_the_close_clock(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.MANUAL, timeout=Timeout(close=SHORT))
    with stage.session as session:
        pass
    with pytest.raises(TruncatedError, match="closed by close"):
        types(session)


def test_close_wakes_a_receiver_and_a_finalizer_of_other_threads(manual: Stage, threads: Any) -> None:
    sent = threading.Event()
    manual.wire.after_write = sent.set
    receiving = threads.submit(lambda: types(manual.session))
    finalizing = threads.submit(manual.session.finalize)
    assert sent.wait(BOUND)
    manual.session.close(1001, "enough")
    manual.session.close()
    for each in (receiving, finalizing):
        assert isinstance(each.exception(BOUND), TruncatedError)
    assert manual.wire.closed_with == (1001, "enough")
    with pytest.raises(WebSocketConnectionClosedError, match="closed by close"):
        manual.session.send_raw(b"ab")


def test_a_session_that_nobody_holds_ends(make_stage: MakeStage) -> None:
    stage = make_stage()
    line = stage.session._line
    del stage.session
    assert line.reader is not None
    line.reader.join(BOUND)
    assert not line.reader.is_alive()
    stage.session = type("Ended", (), {"close": lambda self: None})()  # for the fixture


def test_a_session_cannot_travel(auto: Stage) -> None:
    for each in (auto.session, auto.manager):
        with pytest.raises(TypeError, match="belongs to this process"):
            pickle.dumps(each)


# ---- receiving


def test_recv_gives_events_and_their_bytes_in_order(auto: Stage) -> None:
    auto.wire.feed_together({"type": "connected", "request_id": "r"}, {"type": "turn.start"}, {"type": "turn.end"})
    assert auto.session.recv().type == "connected"
    assert auto.session.request_id == "r"
    assert auto.session.recv_bytes() == b'{"type": "turn.start"}'
    assert auto.session.parse_event('{"type": "turn.start"}').type == "turn.start"
    assert auto.session.recv(timeout=BOUND).type == "turn.end"
    with pytest.raises(GapTimeoutError, match="the session goes on"):
        auto.session.recv(timeout=SHORT)
    auto.wire.tell("turn.start")
    assert auto.session.recv().type == "turn.start"


def test_a_second_receiver_is_refused_while_the_first_waits(auto: Stage, threads: Any, entered: Any) -> None:
    waiting = entered(auto.session._line.results.mailbox, "wait")
    first = threads.submit(auto.session.recv)
    assert waiting.wait(BOUND)
    with pytest.raises(ConcurrencyError, match="one at a time"):
        auto.session.recv()
    auto.wire.tell("connected")
    assert first.result(BOUND).type == "connected"


def test_turns_are_what_the_user_said(auto: Stage) -> None:
    session, wire = auto.session, auto.wire
    turns = session.turns(eager=True)
    wire.tell("connected")
    wire.tell("turn.start")
    wire.tell("turn.update", transcript="One")
    wire.tell("turn.eager_end", transcript="One.")
    assert next(turns) == Turn("One.", 0.0, 0.0, is_eager=True)
    session.send_raw(bytes(1000))
    wire.tell("turn.resume")
    wire.tell("turn.end", transcript="One. Two.")
    assert next(turns) == Turn("One. Two.", 0.0, 0.5)
    wire.tell("turn.start")
    wire.tell("turn.update", transcript=" Thr")
    session.finish()
    wire.end()
    assert list(turns) == [Turn(" Thr", 0.5, None)]
    assert session.transcript == "One. Two. Thr"


def test_turns_raise_the_services_error(auto: Stage, manual: Stage) -> None:
    auto.wire.tell("error", message="no", status_code=400)
    with pytest.raises(BadRequestError, match="no"):
        list(auto.session.turns())
    with pytest.raises(ValueError, match="for auto finalizing"):
        manual.session.turns()
    with pytest.raises(ValueError, match="for manual finalizing"):
        auto.session.finalize()


def test_words_are_kept_with_their_times(manual: Stage) -> None:
    manual.wire.tell("transcript", text="a", is_final=False, words=[{"word": "a", "start": 0.0, "end": 0.1}])
    manual.wire.tell("transcript", text="a b", is_final=True, words=[{"word": "b", "start": 0.2, "end": 0.3}])
    manual.wire.tell("done")
    assert types(manual.session) == ["transcript", "transcript", "done"]
    assert manual.session.words == [TimedWord("b", 0.2, 0.3)]


# ---- finalize


def test_finalize_gives_what_was_said_since_the_last_time(manual: Stage) -> None:
    def answer() -> None:
        number = manual.wire.said.count("finalize")
        manual.wire.tell("transcript", text=f" {number}", is_final=False)
        manual.wire.tell("transcript", text=f" {number}a", is_final=True)
        manual.wire.tell("transcript", text=f"{number}b.", is_final=True)
        manual.wire.tell("flush_done")

    manual.wire.after_write = answer
    assert [manual.session.finalize() for _ in range(2)] == [" 1a1b.", " 2a2b."]
    assert manual.session.transcript == " 1a1b. 2a2b."
    assert len([manual.session.recv() for _ in range(8)]) == 8


def test_several_threads_finalize_and_each_is_answered_in_its_turn(manual: Stage, threads: Any) -> None:
    sent = threading.Semaphore(0)
    manual.wire.after_write = sent.release
    calls = [threads.submit(manual.session.finalize) for _ in range(3)]
    for _ in calls:
        assert sent.acquire(timeout=BOUND)
    for number in range(3):
        manual.wire.tell("transcript", text=str(number), is_final=True)
        manual.wire.tell("flush_done")
    assert sorted(each.result(BOUND) for each in calls) == ["0", "1", "2"]


def test_finalize_raises_what_came_in_place_of_the_answer(manual: Stage) -> None:
    manual.wire.after_write = lambda: manual.wire.tell("error", message="no", status_code=500)
    with pytest.raises(InternalServerError, match="no"):
        manual.session.finalize()
    manual.wire.after_write = manual.wire.end
    with pytest.raises(TruncatedError):
        manual.session.finalize()


# ---- clocks


def test_a_room_that_is_silent_runs_no_clock(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.AUTO, timeout=Timeout(first_event=SHORT, gap=SHORT))
    stage.wire.tell("connected")
    assert stage.session.recv().type == "connected"
    stage.session.send_raw(b"ab")
    assert stage.session._line.time_left() is None
    manual = make_stage(Mode.MANUAL, timeout=Timeout(first_event=SHORT, gap=SHORT))
    manual.session.send_raw(b"ab")
    assert manual.session._line.time_left() is None


def test_the_clocks_run_where_an_answer_is_due(make_stage: MakeStage) -> None:
    clocks = Timeout(first_event=SHORT, gap=SHORT)
    with pytest.raises(FirstEventTimeoutError, match="said nothing within"):
        make_stage(Mode.AUTO, timeout=clocks).session.recv()
    with pytest.raises(FirstEventTimeoutError):
        make_stage(Mode.MANUAL, timeout=clocks).session.finalize()
    stage = make_stage(Mode.AUTO, timeout=clocks)
    stage.wire.tell("turn.start")
    stage.session.recv()
    assert stage.session._line.time_left() is None  # the turn waits for audio
    stage.session.send_raw(b"ab")
    with pytest.raises(GapTimeoutError, match="nothing more") as raised:
        stage.session.recv()
    assert raised.value.timeout == SHORT
    with pytest.raises(GapTimeoutError):
        stage.session.recv()  # and so it stays
    assert stage.wire.is_shut


def test_a_clock_that_begins_while_somebody_waits_wakes_him(make_stage: MakeStage, threads: Any, entered: Any) -> None:
    stage = make_stage(Mode.MANUAL, timeout=Timeout(first_event=SHORT, gap=SHORT))
    waiting = entered(stage.session._line.results.mailbox, "wait")
    receiving = threads.submit(stage.session.recv)
    assert waiting.wait(BOUND)
    stage.session.finish()
    assert isinstance(receiving.exception(BOUND), FirstEventTimeoutError)


def test_the_whole_clock_runs_from_the_beginning(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.MANUAL, timeout=Timeout(whole=SHORT))
    stage.wire.tell("transcript", text="One", is_final=True)
    events = iter(stage.session)
    next(events)
    with pytest.raises(ContextTimeoutError) as raised:
        next(events)
    assert raised.value.transcript == "One"


# ---- limits


def test_a_receiver_that_sleeps_gets_what_was_kept_and_the_session_goes_on(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.MANUAL, limit=1000)
    answers = iter(range(100))
    stage.wire.after_write = lambda: stage.wire.tell("flush_done")
    for number in answers:
        stage.wire.tell("transcript", text=str(number % 10), is_final=True)
    assert stage.session.finalize() == "0123456789" * 10
    events = iter(stage.session)
    assert next(events).text == "0"  # type: ignore[union-attr]  # the first
    with pytest.raises(MailboxFullError, match="the session goes on") as raised:
        list(events)
    assert raised.value.limit_bytes == 1000
    assert stage.session.transcript == "0123456789" * 10
    assert stage.session.finalize() == ""


def test_fields_that_cannot_be_read_are_counted(auto: Stage) -> None:
    auto.wire.tell("turn.end", transcript=["odd"])
    assert auto.session.recv().unreadable == {"transcript": ["odd"]}
    assert auto.session.unreadable_fields == {"transcript": 1}
