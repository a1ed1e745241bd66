"""An exception from outside, at every place where CPython can deliver one: no lock stays taken, and nothing is lost."""

from __future__ import annotations

import base64
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from cartesia_sync.errors import CartesiaError, ContextStateError, UnfinishedError
from cartesia_sync.limits.limit import gate_of
from cartesia_sync.streaming.slots import Slots

from ..support.interrupts import LOCKS_LEAK, strikes

BOUND = 10.0
CODE = (
    "/cartesia_sync/closing.py",
    "/streaming/link.py",
    "/streaming/channel.py",
    "/streaming/mailbox.py",
    "/streaming/context.py",
    "/streaming/receiver.py",
    "/streaming/reader.py",
    "/streaming/registry.py",
    "/streaming/connection.py",
    "/streaming/arrivals.py",
    "/streaming/flushes.py",
    "/streaming/pump.py",
    "/streaming/slots.py",
    "/transport/locks.py",
    "/protocol/router.py",
)
pytestmark = [
    pytest.mark.timeout(120),
    # Where an interrupt strikes in a finalizer Python says so, and goes on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(LOCKS_LEAK, reason="on 3.9 `with` itself leaks; scripts/stress/interrupts.py counts how often"),
]
AUDIO = [bytes([number, 0]) for number in range(1, 6)]


def goes_on(stage: Any) -> None:
    """Whether another thread can do everything on the connection: it hangs, and fails, where a lock was left."""

    def talk() -> None:
        context = stage.connection.context(None, voice="v", output_format={"container": "raw"})
        context.push("And on.", continue_=False)
        stage.wire.feed_chunk(context.context_id, b"12")
        stage.wire.feed_done(context.context_id)
        assert [event.type for _, event in stage.connection.receive_any(context)] == ["chunk", "done"]

    thread = ThreadPoolExecutor(1)
    try:
        thread.submit(talk).result(BOUND)
    finally:
        thread.shutdown(wait=False)


def texts(stage: Any, context_id: str) -> list[str]:
    said = [message for wire in stage.wires for message in wire.sent if message["context_id"] == context_id]
    return [message["transcript"] for message in said if "transcript" in message]


def each_strike(make_stage: Callable[..., Any]) -> Any:
    """Yield each strike with a connection of its own."""
    count = 0
    for strike in strikes(*CODE):
        stage = make_stage()
        yield strike, stage
        goes_on(stage)
        stage.connection.close()
        count += strike.place is not None
    assert count > 10


def speaking(stage: Any, context_id: str = "a") -> Any:
    """Make a context whose whole audio has arrived."""
    context = stage.context(context_id)
    context.push("Text.", continue_=False)
    stage.wire.feed_together(
        *({"type": "chunk", "context_id": context_id, "data": base64.b64encode(audio).decode()} for audio in AUDIO),
        {"type": "done", "context_id": context_id, "done": True},
    )
    return context


def test_a_push_leaves_whole_and_once_or_not_at_all_and_the_context_says_which(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context = stage.context("a")
        context.push("One. ")

        def push(context: Any = context) -> None:
            context.push("Two. ")
            context.push("Three.", continue_=False)

        strike.run(push)
        stage.wire.send_rest()
        assert texts(stage, "a") == list(context.transcripts)
        assert context.transcripts in [("One. ",), ("One. ", "Two. "), ("One. ", "Two. ", "Three.")], str(strike.place)
        if len(context.transcripts) < 3:
            context.push("End.", continue_=False)
        else:
            with pytest.raises(ContextStateError, match="all its text"):
                context.push("End.")


def test_the_first_push_too_where_it_opens_a_connection(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        stage.wire.lose()
        stage.link.reader.join(BOUND)
        context = stage.context("a")
        strike.run(context.push, "One.")
        for wire in stage.wires:
            wire.send_rest()
        assert texts(stage, "a") == list(context.transcripts)
        if not context.transcripts:
            context.push("One.")
        context.push("Two.", continue_=False)
        assert texts(stage, "a") == ["One.", "Two."], str(strike.place)


def test_a_push_that_needs_a_slot_has_one_or_has_given_it_back(make_stage: Any) -> None:
    for strike in strikes(*CODE):
        gate = gate_of(1)
        stage = make_stage(slots=Slots(gate, wait=None, idle=None))
        context = stage.context("a")
        strike.run(context.push, "One.")
        stage.wire.send_rest()
        assert gate.in_use == len(texts(stage, "a")) == len(context.transcripts), str(strike.place)
        if not context.transcripts:
            context.push("One.")
        context.no_more_inputs()
        stage.wire.feed_done("a")
        goes_on(stage)
        assert gate.in_use == 0
        stage.connection.close()


def test_a_context_is_opened_or_its_id_is_free_or_refused_and_nothing_hangs(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        strike.run(stage.context, "a")


def take_one(receiver: Any, into: list[Any]) -> None:
    """Take an event so that no interrupt can come between it and the list: what does is the caller's."""
    into.extend(itertools.islice(receiver, 1))


def heard(events: list[Any]) -> list[Any]:
    return [event.audio if event.type == "chunk" else event.type for event in events]


def test_a_receiver_loses_nothing_and_gives_nothing_twice(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context = speaking(stage)
        events: list[Any] = []

        def receive(context: Any = context, events: list[Any] = events) -> None:
            receiver = context.receive()
            for _ in range(7):
                take_one(receiver, events)

        strike.run(receive)
        events += context.receive()
        assert heard(events) == [*AUDIO, "done"], str(strike.place)


def test_nor_does_one_that_waits_for_each_event(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context = stage.context("a")
        context.push("Text.", continue_=False)
        events: list[Any] = []
        stage.wire.feed_chunk("a", b"12")
        wire = stage.wire
        rest = [lambda wire=wire: wire.feed_chunk("a", b"34"), lambda wire=wire: wire.feed_done("a")]

        def receive(context: Any = context, events: list[Any] = events, rest: list[Any] = rest) -> None:
            receiver = context.receive()
            take_one(receiver, events)
            rest.pop(0)()
            take_one(receiver, events)
            rest.pop(0)()
            take_one(receiver, events)

        strike.run(receive)
        if strike.place is not None and strike.place.code is receive.__code__:
            continue  # between what is to be heard and the note that it was
        for hear in rest:
            hear()
        events += context.receive()
        assert heard(events) == [b"12", b"34", "done"], str(strike.place)


def test_audio_that_is_asked_for_again_is_the_whole_or_an_exception(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context, got = speaking(stage), []
        strike.run(lambda context=context, got=got: got.extend(map(type(context).audio, (context,))))
        if not got:
            try:
                got.append(context.audio())
            except ContextStateError:
                continue
        assert got == [b"".join(AUDIO)], str(strike.place)


def test_what_an_interrupted_audio_took_is_received_by_the_next(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context, got = speaking(stage), []
        strike.run(lambda context=context, got=got: got.extend(map(type(context).audio, (context,))))
        if not got and not context._channel.has_given_audio:
            assert heard(list(context.receive())) == [*AUDIO, "done"], str(strike.place)


def test_save_leaves_a_whole_file_or_none_and_can_be_asked_again(make_stage: Any, tmp_path: Path) -> None:
    for number, (strike, stage) in enumerate(each_strike(make_stage)):
        context, path = speaking(stage), tmp_path / f"{number}.wav"
        strike.run(context.save, path)
        if path.exists():
            assert path.read_bytes()[44:] == b"".join(AUDIO), str(strike.place)
        else:
            try:
                context.save(path)
            except (ContextStateError, UnfinishedError):
                continue
            assert path.read_bytes()[44:] == b"".join(AUDIO), str(strike.place)
    assert not list(tmp_path.glob(".*"))


def test_receive_any_loses_nothing(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        contexts = [speaking(stage, "a"), speaking(stage, "b")]
        pairs: list[Any] = []

        def receive(stage: Any = stage, contexts: list[Any] = contexts, pairs: list[Any] = pairs) -> None:
            receiver = stage.connection.receive_any(*contexts)
            for _ in range(13):
                take_one(receiver, pairs)

        strike.run(receive)
        pairs += stage.connection.receive_any(*contexts)
        for context in contexts:
            mine = [event for each, event in pairs if each is context]
            assert heard(mine) == [*AUDIO, "done"], str(strike.place)


def test_receive_flushes_loses_nothing(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context = speaking(stage)
        events: list[Any] = []

        def receive(context: Any = context, events: list[Any] = events) -> None:
            for _, group in context.receive_flushes():
                for _ in range(6):
                    take_one(group, events)

        strike.run(receive)
        events += context.receive()
        assert heard(events) == [*AUDIO, "done"], str(strike.place)


@pytest.mark.parametrize("way", ["recv", "iterate"])
def test_recv_loses_nothing(make_stage: Any, way: str) -> None:
    for strike, stage in each_strike(make_stage):
        context = speaking(stage)
        connection, events = stage.connection, []  # type: ignore[var-annotated]

        def receive(connection: Any = connection, events: Any = events, way: str = way) -> None:
            each = iter(connection) if way == "iterate" else iter(connection.recv, None)
            for _ in range(6):
                take_one(each, events)

        strike.run(receive)
        while len(events) < 6:
            events.append(connection.recv(timeout=BOUND))
        assert heard(events) == [*AUDIO, "done"], str(strike.place)
        assert context._channel.mailbox.is_sealed


def test_speak_says_each_piece_once_and_can_be_left(make_stage: Any) -> None:
    for strike, stage in each_strike(make_stage):
        context = stage.context("a")
        events: list[Any] = []
        stage.wire.after_write = lambda wire=stage.wire: (
            wire.feed_done("a") if wire.sent[-1].get("continue") is False else wire.feed_chunk("a", b"12")
        )

        def speak(context: Any = context, events: list[Any] = events) -> None:
            speech = context.speak(["One. ", "Two."])
            for _ in range(3):
                take_one(speech, events)

        strike.run(speak)
        context.cancel()
        for thread in threading.enumerate():
            if thread.name.startswith("cartesia-sync-pump"):
                thread.join(BOUND)
        assert texts(stage, "a") in [[], ["One. "], ["One. ", "Two."], ["One. ", "Two.", ""]], str(strike.place)
        stage.wire.after_write = lambda: None


@pytest.mark.parametrize("what", ["cancel", "close"])
def test_cancel_and_close_can_be_interrupted_and_called_again(make_stage: Any, what: str) -> None:
    for strike in strikes(*CODE):
        stage = make_stage()
        context = stage.context("a")
        context.push("One. ")
        strike.run(context.cancel if what == "cancel" else stage.connection.close)
        if what == "cancel":
            context.cancel()
            assert list(context.receive()) == []
            goes_on(stage)
        stage.connection.close()
        assert not stage.link.reader.is_alive(), str(strike.place)


@pytest.mark.parametrize("what", ["cancel", "close", "close connection"])
@pytest.mark.parametrize("where", ["push", "receive", "context"])
def test_a_handler_may_cancel_and_close_wherever_it_strikes(make_stage: Any, what: str, where: str) -> None:
    """It waits for no lock of its own thread."""
    target: dict[str, Any] = {}

    def handle() -> None:
        if what == "cancel":
            target["context"].cancel()
        elif what == "close":
            target["context"].__exit__(None, None, None)
        else:
            target["connection"].close()

    for strike in strikes(*CODE, call=handle):
        stage = make_stage(close=0.5) if what == "close connection" else make_stage()
        context = speaking(stage) if where == "receive" else stage.context("a")
        target.update(context=context, connection=stage.connection)
        failure: Optional[BaseException] = None
        try:
            if where == "push":
                strike.run(context.push, "One. ")
            elif where == "receive":
                strike.run(lambda context=context: list(context.receive()))
            else:
                strike.run(stage.context, "b")
        except CartesiaError as error:
            failure = error
        assert failure is None or strike.place is not None
        if what != "close connection":
            goes_on(stage)
        stage.connection.close()
        assert not stage.link.reader.is_alive()
