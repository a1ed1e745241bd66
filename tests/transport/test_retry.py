from __future__ import annotations

from typing import Any

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
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.retry import pause_after, with_retries


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
def test_a_connection_that_failed_is_tried_again_and_a_timeout_or_a_protocol_error_is_not(
    error: CartesiaError, again: bool
) -> None:
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


def test_a_timeout_is_tried_again_where_each_attempt_has_its_own() -> None:
    assert pause_after(ConnectTimeoutError("late"), 0) is None
    assert pause_after(ConnectTimeoutError("late"), 0, timeout_per_attempt=True) is not None
    assert pause_after(APITimeoutError("late"), 0, timeout_per_attempt=True) is not None
    assert pause_after(ProtocolError("a lie"), 0, timeout_per_attempt=True) is None


@pytest.mark.parametrize(
    ("status", "wish", "again"),
    [(400, "true", True), (503, "false", False), (503, "False", True), (400, "", False), (200, "true", True)],
)
def test_the_service_may_say_whether_another_attempt_helps(status: int, wish: str, again: bool) -> None:
    error = status_error(status, "no", headers={"x-should-retry": wish})
    assert (pause_after(error, 0) is not None) is again


# ---- the loop


class Attempts:
    """Fails with each of these errors in turn, then succeeds; notes the waits between."""

    def __init__(self, *errors: CartesiaError) -> None:
        self.errors = list(errors)
        self.logged: list[tuple[CartesiaError, float]] = []
        self.waits: list[float] = []

    def attempt(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, max_retries: int, **options: Any) -> str:
        return with_retries(
            self.attempt,
            max_retries=max_retries,
            log=lambda error, pause: self.logged.append((error, pause)),
            wait=self.waits.append,
            **options,
        )


def test_each_wait_is_the_pause_that_was_logged_with_its_failure() -> None:
    failures = [status_error(429, "no", headers={"retry-after": str(seconds)}) for seconds in (3, 5)]
    attempts = Attempts(*failures)
    assert attempts.run(2) == "done"
    assert attempts.waits == [3.0, 5.0]
    assert attempts.logged == list(zip(failures, attempts.waits))


@pytest.mark.parametrize("max_retries", [0, 2])
def test_the_last_failure_is_raised_when_the_retries_are_used_up(max_retries: int) -> None:
    failures = [status_error(503, str(number)) for number in range(5)]
    attempts = Attempts(*failures)
    with pytest.raises(CartesiaError) as caught:
        attempts.run(max_retries)
    assert caught.value is failures[max_retries]
    assert len(attempts.waits) == len(attempts.logged) == max_retries


def test_a_failure_that_will_not_pass_is_raised_at_once() -> None:
    attempts = Attempts(status_error(404, "no"))
    with pytest.raises(CartesiaError):
        attempts.run(5)
    assert attempts.waits == []


def test_a_wait_that_reaches_the_deadline_is_not_begun() -> None:
    attempts = Attempts(status_error(503, "no", headers={"retry-after": "30"}))
    with pytest.raises(CartesiaError):
        attempts.run(5, deadline=Deadline(20.0))
    assert attempts.waits == []
    attempts = Attempts(status_error(503, "no", headers={"retry-after": "30"}))
    assert attempts.run(5, deadline=Deadline(60.0)) == "done"


def test_a_timeout_is_worth_another_attempt_only_where_that_has_its_own() -> None:
    assert Attempts(APITimeoutError("late")).run(1, timeout_per_attempt=True) == "done"
    with pytest.raises(APITimeoutError):
        Attempts(APITimeoutError("late")).run(1)


def test_what_a_wait_raises_ends_the_loop_and_hides_no_failure_in_its_context() -> None:
    def wait(seconds: float) -> None:
        raise ContextStateError("closed")

    attempts = Attempts(status_error(503, "no"))
    with pytest.raises(ContextStateError) as caught:
        with_retries(attempts.attempt, max_retries=5, log=lambda error, pause: None, wait=wait)
    assert caught.value.__context__ is None
