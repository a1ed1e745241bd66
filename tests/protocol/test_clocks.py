from __future__ import annotations

import dataclasses
import pickle
import threading
from typing import Any

import pytest

from cartesia_sync.protocol.clocks import Timeout
from cartesia_sync.protocol.messages import omit

CLOCKS = tuple(field.name for field in dataclasses.fields(Timeout))


def test_the_clocks_are_seven_and_all_but_one_run_by_default() -> None:
    assert dataclasses.asdict(Timeout()) == {
        "connect": 5.0,
        "read": 60.0,
        "write": 10.0,
        "first_event": 60.0,
        "gap": 60.0,
        "whole": None,
        "close": 2.0,
    }


@pytest.mark.parametrize("seconds", [3, 0.25, 0, None])
def test_one_number_stands_for_connect_read_first_event_and_gap(seconds: float | None) -> None:
    usual = Timeout()
    timeout = Timeout.of(seconds)
    assert (timeout.connect, timeout.read, timeout.first_event, timeout.gap) == (seconds,) * 4
    assert (timeout.write, timeout.whole, timeout.close) == (usual.write, usual.whole, usual.close)


@pytest.mark.parametrize("pair", [(1, 2), (0, None), (None, 0.5), (None, None)])
def test_a_pair_is_connect_and_read_as_users_of_requests_write_it(pair: tuple[float | None, float | None]) -> None:
    assert Timeout.of(pair) == Timeout(connect=pair[0], read=pair[1])


@pytest.mark.parametrize("wrong", [(), (1,), (1, 2, 3)])
def test_a_tuple_of_another_length_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"timeout: expected \(connect, read\), got {len(wrong)} values"):
        Timeout.of(wrong)


@pytest.mark.parametrize("wrong", [("1", 2), (1, -2), (1, float("nan"))])
def test_a_pair_of_what_is_no_clock_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"timeout (connect|read) is a number of seconds"):
        Timeout.of(wrong)


def test_a_timeout_stands_for_itself() -> None:
    timeout = Timeout(gap=1)
    assert Timeout.of(timeout) is timeout


@pytest.mark.parametrize("seconds", [0, 0.0, 1, 0.001, 86400, None])
def test_every_clock_takes_seconds_from_0_on_and_none(seconds: float | None) -> None:
    assert [getattr(Timeout(**{clock: seconds}), clock) for clock in CLOCKS] == [seconds] * len(CLOCKS)


@pytest.mark.parametrize(
    "value", [-1, -0.001, float("nan"), float("-inf"), "5", b"5", "", [], {}, (1, 2), 1j, omit], ids=repr
)
def test_what_is_no_number_of_seconds_is_refused_by_the_clocks_name(value: Any) -> None:
    for clock in CLOCKS:
        with pytest.raises(ValueError, match=rf"timeout {clock} is a number of seconds, 0 or more, or None; got "):
            Timeout(**{clock: value})


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_is_no_number_of_seconds(value: bool) -> None:
    """``timeout=False`` means no limit to some; it would be a clock of no time at all."""
    for clock in CLOCKS:
        with pytest.raises(ValueError, match=f"timeout {clock} "):
            Timeout(**{clock: value})


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, threading.TIMEOUT_MAX * 2, 2**31 / 1000 + 1])
def test_more_seconds_than_a_lock_or_poll_can_wait_are_refused_here_and_not_in_mid_wait(seconds: float) -> None:
    for clock in CLOCKS:
        with pytest.raises(ValueError, match=f"timeout {clock} "):
            Timeout(**{clock: seconds})


@pytest.mark.parametrize("value", ["5", -1, float("nan"), [1]], ids=repr)
def test_of_refuses_what_a_clock_refuses(value: Any) -> None:
    with pytest.raises(ValueError, match="timeout connect "):
        Timeout.of(value)


def test_replace_sets_what_is_given_and_leaves_the_rest() -> None:
    timeout = Timeout(gap=1, whole=2, first_event=3)
    assert timeout.replace(gap=9, whole=None, first_event=omit) == Timeout(gap=9, whole=None, first_event=3)
    assert timeout == Timeout(gap=1, whole=2, first_event=3)


def test_replace_with_nothing_gives_the_same_clocks() -> None:
    timeout = Timeout(gap=1)
    assert timeout.replace() is timeout
    assert timeout.replace(gap=omit, whole=omit) is timeout


def test_replace_checks_too() -> None:
    with pytest.raises(ValueError, match="timeout gap "):
        Timeout().replace(gap=-1)
    with pytest.raises(TypeError, match="no_such_clock"):
        Timeout().replace(no_such_clock=1)


def test_a_timeout_can_be_shared_since_it_cannot_be_changed() -> None:
    timeout = Timeout()
    with pytest.raises(dataclasses.FrozenInstanceError):
        timeout.gap = 1.0  # type: ignore[misc]  # the point of the test
    assert hash(timeout) == hash(Timeout())
    assert pickle.loads(pickle.dumps(timeout)) == timeout
