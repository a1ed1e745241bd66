"""Time left, with a clock that stands until it is set."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cartesia_sync.transport import deadline as deadline_module
from cartesia_sync.transport.deadline import Deadline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(deadline_module, "time", clock)
    return clock


def test_time_left_shrinks_as_the_clock_goes_on(clock: SimpleNamespace) -> None:
    deadline = Deadline(5.0)
    assert (deadline.left(), deadline.left_or_forever(), deadline.expired) == (5.0, 5.0, False)
    clock.now = 103.0
    assert (deadline.left(), deadline.left_or_forever(), deadline.expired) == (2.0, 2.0, False)


@pytest.mark.parametrize("now", [105.0, 1000.0])
def test_time_left_is_never_below_zero(clock: SimpleNamespace, now: float) -> None:
    deadline = Deadline(5.0)
    clock.now = now
    assert (deadline.left(), deadline.left_or_forever(), deadline.expired) == (0.0, 0.0, True)


def test_no_limit_is_none_to_a_wait_and_minus_one_to_a_lock(clock: SimpleNamespace) -> None:
    deadline = Deadline(None)
    clock.now = 1e9
    assert deadline.left() is None
    assert deadline.left_or_forever() == -1
    assert not deadline.expired


@pytest.mark.parametrize("seconds", [0, -1.0])
def test_no_time_at_all_is_expired_at_once_and_not_for_ever(clock: SimpleNamespace, seconds: float) -> None:
    deadline = Deadline(seconds)
    assert deadline.expired
    assert deadline.left_or_forever() == 0.0


def test_what_was_given_is_kept_for_messages(clock: SimpleNamespace) -> None:
    deadline = Deadline(5.0)
    clock.now = 103.0
    assert deadline.seconds == 5.0
