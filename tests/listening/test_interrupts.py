"""An exception from outside, at every place where CPython can deliver one: no lock stays taken, and nothing is lost."""

from __future__ import annotations

import gc
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cartesia_sync.errors import CartesiaError, TruncatedError
from cartesia_sync.limits.limit import gate_of
from cartesia_sync.protocol.lifecycle import SessionState
from cartesia_sync.protocol.transcription import Mode

from ..streaming.conftest import BOUND
from ..support.interrupts import LOCKS_LEAK, strikes
from .conftest import ListeningWire, MakeStage, Stage

CODE = (
    "/cartesia_sync/closing.py",
    "/listening/line.py",
    "/listening/results.py",
    "/listening/reader.py",
    "/listening/session.py",
    "/listening/slots.py",
    "/limits/gate.py",
    "/streaming/mailbox.py",
    "/streaming/reader.py",
    "/transport/locks.py",
)
pytestmark = [
    pytest.mark.timeout(120),
    # Where an interrupt strikes in a finalizer Python says so, and goes on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(LOCKS_LEAK, reason="on 3.9 `with` itself leaks"),
]


def each_strike(make_stage: MakeStage, mode: Mode) -> Any:
    """Yield each strike with a session of its own."""
    count = 0
    for strike in strikes(*CODE):
        stage = make_stage(mode)
        yield strike, stage
        stage.session.close()
        count += strike.place is not None
    assert count > 5


def in_another_thread(call: Any) -> Any:
    """Call on a thread of its own: it hangs where a lock was left."""
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(call).result(BOUND)
    finally:
        thread.shutdown(wait=False)


def test_audio_leaves_whole_and_once_or_not_at_all_and_is_counted_so(make_stage: MakeStage) -> None:
    for strike, stage in each_strike(make_stage, Mode.AUTO):
        session = stage.session

        def send(session: Any = session) -> None:
            session.send_raw(b"1.")
            session.send_raw(b"2.")

        strike.run(send)
        stage.wire.send_rest()
        assert stage.wire.said in ([], [b"1."], [b"1.", b"2."]), str(strike.place)
        assert session.audio_seconds == len(stage.wire.said) / 1000
        in_another_thread(lambda session=session: session.send_raw(b"3."))
        assert stage.wire.said[-1] == b"3."


def test_an_interrupted_finalize_takes_no_other_ones_answer(make_stage: MakeStage) -> None:
    for strike, stage in each_strike(make_stage, Mode.MANUAL):

        def answer(stage: Stage = stage) -> None:
            number = stage.wire.said.count("finalize")
            stage.wire.tell("transcript", text=f"{number}.", is_final=True)
            stage.wire.tell("flush_done")

        stage.wire.after_write = answer
        strike.run(stage.session.finalize)
        stage.wire.send_rest()
        asked = stage.wire.said.count("finalize")
        assert asked in (0, 1), str(strike.place)
        # What the interrupted one asked for is its own, even if nobody waits for it any more.
        assert in_another_thread(stage.session.finalize) == f"{asked + 1}.", str(strike.place)


def test_close_leaves_once_and_no_audio_after_it(make_stage: MakeStage) -> None:
    for strike, stage in each_strike(make_stage, Mode.MANUAL):
        strike.run(stage.session.finish)
        stage.wire.send_rest()
        is_finishing = stage.session._line.state is SessionState.FINISHING
        assert stage.wire.said == ["close"] * is_finishing, str(strike.place)
        in_another_thread(stage.session.finish)
        assert stage.wire.said == ["close"]


def test_a_receiver_loses_no_event_and_gets_none_twice(make_stage: MakeStage) -> None:
    for strike, stage in each_strike(make_stage, Mode.AUTO):
        stage.wire.feed_together(*({"type": "turn.end", "transcript": str(number)} for number in range(4)))
        stage.wire.tell("turn.start")
        heard: list[Any] = []
        line = stage.session._line
        while line.results.hearing.final_pieces < 4:
            line.results.mailbox.wait(BOUND)

        def take(session: Any = stage.session, heard: list[Any] = heard) -> None:
            # So that no interrupt can come between an event and the list: what does is the caller's.
            heard.extend(map(session._take, itertools.repeat(None, 1)))

        strike.run(take)
        rest = [stage.session.recv() for _ in range(4 - len(heard))]
        said = [each.event.transcript for each in heard] + [getattr(each, "transcript", None) for each in rest]
        assert said == ["0", "1", "2", "3"], str(strike.place)


def test_a_session_that_is_being_closed_ends(make_stage: MakeStage) -> None:
    for strike, stage in each_strike(make_stage, Mode.AUTO):
        strike.run(stage.session.close)
        in_another_thread(stage.session.close)
        stage.join()
        with pytest.raises((TruncatedError, CartesiaError)):
            stage.session.recv()


def test_a_block_that_is_left_leaves_no_reader(make_stage: MakeStage) -> None:
    for strike, stage in each_strike(make_stage, Mode.MANUAL):
        stage.wire.after_write = lambda stage=stage: (stage.wire.tell("done"), stage.wire.end())

        def leave(session: Any = stage.session) -> None:
            with session:
                pass

        strike.run(leave)
        stage.session.close()
        stage.join()


def test_a_session_that_is_being_opened_has_a_slot_or_none_is_lost(make_stage: MakeStage) -> None:
    gate = gate_of(1)
    for strike, stage in each_strike(make_stage, Mode.MANUAL):
        stage.session.close()
        stage.manager._gate = gate
        stage.wire = ListeningWire()
        opened: list[Any] = []

        def enter(stage: Stage = stage, opened: list[Any] = opened) -> None:
            opened.append(stage.manager.enter())

        strike.run(enter)
        for session in opened:
            assert gate.in_use == 1
            session.close()
        opened.clear()
        gc.collect()  # of what was struck its traceback is gone, and nobody holds it
        slot = in_another_thread(lambda: gate.acquire(BOUND))
        assert slot is not None, str(strike.place)
        slot.release()
