from __future__ import annotations

import pytest

from cartesia_sync.errors import (
    APIConnectionError,
    APITimeoutError,
    CartesiaError,
    ConnectTimeoutError,
    ContextStateError,
    ProtocolError,
    WebSocketConnectionClosedError,
    status_error,
)
from cartesia_sync.transport.retry import pause_after


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 599])
def test_a_status_that_may_pass_is_tried_again(status: int) -> None:
    assert pause_after(status_error(status, "no"), 0) is not None


@pytest.mark.parametrize("status", [300, 400, 401, 402, 403, 404, 422, 499])
def test_a_status_that_will_not_pass_is_not(status: int) -> None:
    assert pause_after(status_error(status, "no"), 0) is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (APIConnectionError("refused"), True),
        (WebSocketConnectionClosedError("reset"), True),
        (ConnectTimeoutError("late"), False),
        (ProtocolError("a lie"), False),
        (ContextStateError("ended"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_connection_that_failed_is_tried_again_and_a_clock_or_a_lie_is_not(error: CartesiaError, again: bool) -> None:
    assert (pause_after(error, 0) is not None) is again


def test_pauses_double_up_to_eight_seconds_less_a_quarter_by_chance() -> None:
    for attempt, longest in enumerate([0.5, 1, 2, 4, 8, 8, 8]):
        pauses = [pause_after(status_error(503, "no"), attempt) for _ in range(50)]
        assert all(pause is not None and 0.75 * longest <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1


@pytest.mark.parametrize(("given", "expected"), [("7", 7.0), ("0.5", 0.5), ("60", 60.0)])
def test_the_service_may_say_how_long_to_wait(given: str, expected: float) -> None:
    assert pause_after(status_error(429, "no", headers={"retry-after": given}), 0) == expected


@pytest.mark.parametrize("given", ["61", "0", "-1", "nan", "soon"])
def test_what_it_says_beyond_reason_is_not_minded(given: str) -> None:
    pause = pause_after(status_error(429, "no", headers={"retry-after": given}), 0)
    assert pause is not None
    assert pause <= 0.5


def test_a_clock_that_ran_out_is_tried_again_where_each_attempt_has_its_own() -> None:
    assert pause_after(ConnectTimeoutError("late"), 0) is None
    assert pause_after(ConnectTimeoutError("late"), 0, clock_per_attempt=True) is not None
    assert pause_after(APITimeoutError("late"), 0, clock_per_attempt=True) is not None
    assert pause_after(ProtocolError("a lie"), 0, clock_per_attempt=True) is None


@pytest.mark.parametrize(
    ("status", "wish", "again"),
    [(400, "true", True), (503, "false", False), (503, "False", True), (400, "", False), (200, "true", True)],
)
def test_the_service_may_say_whether_another_attempt_helps(status: int, wish: str, again: bool) -> None:
    error = status_error(status, "no", headers={"x-should-retry": wish})
    assert (pause_after(error, 0) is not None) is again
