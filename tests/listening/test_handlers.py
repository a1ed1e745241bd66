from __future__ import annotations

from typing import Any

import pytest

from cartesia_sync.errors import InternalServerError, TruncatedError
from cartesia_sync.listening.handlers import Handlers
from cartesia_sync.protocol.transcription import Mode

from .conftest import MakeStage, Stage


def test_functions_are_called_by_type_and_those_for_all_after_them(auto: Stage) -> None:
    calls: list[Any] = []
    session = auto.session

    @session.on("event")  # type: ignore[misc]  # without a function it is a decorator
    def every(event: Any) -> None:
        calls.append(("every", event.type))

    assert session.on("turn.start", lambda event: calls.append(("one", event.type))) is session

    @session.once("event")  # type: ignore[misc]  # the same
    def first(event: Any) -> None:
        calls.append(("first", event.type))

    auto.wire.tell("connected")
    auto.wire.tell("turn.start")
    auto.wire.tell("weather")
    session.finish()
    auto.wire.end()
    session.dispatch_events()
    assert calls == [
        ("every", "connected"),
        ("first", "connected"),
        ("one", "turn.start"),
        ("every", "turn.start"),
        ("every", "weather"),
    ]


def test_each_registration_is_one_of_its_own() -> None:
    calls: list[Any] = []
    handlers = Handlers()
    call = calls.append
    for register in (handlers.on, handlers.once, handlers.on):
        register("a", call)

    class Event:
        type = "a"

    handlers._call(Event)
    assert len(calls) == 3
    handlers._call(Event)
    assert len(calls) == 5
    handlers.off("a", call).off("a", call).off("a", call).off("b", call)
    handlers._call(Event)
    assert len(calls) == 5


def test_what_is_registered_before_the_session_is_called_in_it(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.AUTO)
    stage.session.close()
    calls: list[Any] = []
    stage.manager.on("connected", calls.append)
    stage.wire.__init__()  # type: ignore[misc]  # another wire for another session
    with stage.manager.enter() as session:
        stage.wire.tell("connected")
        session.finish()
        stage.wire.end()
        session.dispatch_events()
    assert len(calls) == 1


def test_an_error_that_nobody_handles_is_raised_and_one_that_somebody_does_is_not(make_stage: MakeStage) -> None:
    stage = make_stage(Mode.MANUAL)
    stage.wire.tell("error", message="no", status_code=500)
    with pytest.raises(InternalServerError, match="no"):
        stage.session.dispatch_events()
    for kind in ("error", "event"):
        calls: list[Any] = []
        stage = make_stage(Mode.MANUAL)
        stage.session.on(kind, calls.append)
        stage.wire.tell("error", message="no", status_code=500)
        stage.wire.end(1011)
        with pytest.raises(TruncatedError):
            stage.session.dispatch_events()
        assert len(calls) == 1


def test_what_a_function_raises_goes_to_the_caller(auto: Stage) -> None:
    def fail(event: Any) -> None:
        raise KeyError(event.type)

    auto.session.on("connected", fail)
    auto.wire.tell("connected")
    with pytest.raises(KeyError, match="connected"):
        auto.session.dispatch_events()
