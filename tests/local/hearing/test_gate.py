from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local.hearing.gate import Gate, Thresholds

SPEAKING, QUIET = [True], [False]


def moves(*loud: list[bool], thresholds: Thresholds = Thresholds()) -> list[str]:  # noqa: B008  # frozen
    gate = Gate(thresholds)
    return [move for move, _ in gate.feed([each for part in loud for each in part])]


def test_a_turn_begins_ends_perhaps_and_ends() -> None:
    assert moves(SPEAKING * 50, QUIET * 100) == ["start", "eager_end", "end"]
    gate = Gate(Thresholds())
    assert gate.feed(SPEAKING * 50) == [("start", 6)]
    assert gate.is_in_turn
    assert [number for _, number in gate.feed(QUIET * 100)] == [28, 49]
    assert not gate.is_in_turn


def test_a_pause_that_is_short_is_part_of_the_turn_and_a_longer_one_is_resumed_from() -> None:
    assert moves(SPEAKING * 50, QUIET * 20, SPEAKING * 50) == ["start"]
    assert moves(SPEAKING * 50, QUIET * 35, SPEAKING * 50) == ["start", "eager_end", "resume"]


def test_a_click_is_no_turn() -> None:
    assert moves(SPEAKING * 3, QUIET * 100) == []


def test_the_timeout_ends_a_turn_that_the_threshold_does_not() -> None:
    patient = Thresholds(end=0.0001, end_timeout_ms=640)
    assert moves(SPEAKING * 50, QUIET * 63, thresholds=patient) == ["start", "eager_end"]
    assert moves(SPEAKING * 50, QUIET * 64, thresholds=patient) == ["start", "eager_end", "end"]


def test_a_turn_can_be_ended_from_outside() -> None:
    gate = Gate(Thresholds())
    gate.feed(SPEAKING * 50)
    assert (gate.end(), gate.end(), gate.is_in_turn) == (True, False, False)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 80)), max_size=20))
def test_whatever_is_heard_the_moves_are_in_the_order_that_is_documented(parts: list[tuple[bool, int]]) -> None:
    allowed = {"": {"start"}, "start": {"eager_end", "end"}, "eager_end": {"resume", "end"}, "end": {"start"}}
    allowed["resume"] = allowed["start"]
    before = ""
    for move in moves(*([is_loud] * count for is_loud, count in parts)):
        assert move in allowed[before]
        before = move


def test_thresholds_are_read_and_checked() -> None:
    assert Thresholds.of({"turn_end_threshold": "0.1"}, "turn_") == Thresholds(end=0.1)
    assert Thresholds.of({"start_threshold": 0.7, "other": 1}) == Thresholds(start=0.7)
    for wrong in ({"end_threshold": 0.5}, {"start_threshold": 0.4}, {"end_timeout_ms": 0}):
        with pytest.raises(ValueError, match="order"):
            Thresholds.of(wrong)
    with pytest.raises(ValueError, match="start_threshold is a number"):
        Thresholds.of({"start_threshold": "high"})
