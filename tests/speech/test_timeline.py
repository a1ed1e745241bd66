"""Times in one line."""

from __future__ import annotations

import math
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.protocol.events import Done, PhonemeTimestamps, PhonemeTimestampsEvent, Timestamps, WordTimestamps
from cartesia_sync.speech.timeline import Timeline, first_start
from cartesia_sync.speech.words import Entry


def event(*times: tuple[float, float], flush_id: Optional[int] = None) -> Timestamps:
    stamps = WordTimestamps(
        words=["w"] * len(times), start=[start for start, _ in times], end=[end for _, end in times]
    )
    return Timestamps(context_id="a", word_timestamps=stamps, flush_id=flush_id)


def fed(*events: Any, starts: Any = ()) -> list[tuple[float, float]]:
    timeline = Timeline(lambda flush_id: dict(starts).get(flush_id))
    return [(round(entry.start, 6), round(entry.end, 6)) for each in events for entry in timeline.feed(each)]


@pytest.mark.parametrize(
    ("events", "starts", "times"),
    [
        # They go on, over events and flushes.
        ([event((0, 1), (1, 2)), event((2, 3), flush_id=2)], {}, [(0, 1), (1, 2), (2, 3)]),
        # A little back is no new beginning: rounded, or two words in one breath.
        ([event((0, 1), (1.0, 2)), event((0.9, 1.5))], {}, [(0, 1), (1, 2), (1, 1.5)]),
        ([event((0.5, 1), (0.3, 0.4))], {}, [(0.5, 1), (0.5, 0.5)]),
        # They begin again: behind the last one, or where the flush's audio is known to begin.
        ([event((0, 1), (1, 2)), event((0, 0.5))], {}, [(0, 1), (1, 2), (2, 2.5)]),
        ([event((0, 1), flush_id=1), event((0, 0.5), flush_id=2)], {2: 1.25}, [(0, 1), (1.25, 1.75)]),
        ([event((0, 1), flush_id=1), event((0, 0.5), flush_id=2)], {2: 0.5}, [(0, 1), (1, 1.5)]),
        # What is no time.
        ([event((0, 1), (math.nan, math.inf), (2, 3))], {}, [(0, 1), (0, 0), (2, 3)]),
        ([event((3, 1))], {}, [(3, 3)]),
        ([Done(context_id="a"), Timestamps(context_id="a"), PhonemeTimestampsEvent(context_id="a")], {}, []),
    ],
)
def test_times_in_one_line(events: Any, starts: Any, times: Any) -> None:
    assert fed(*events, starts=starts) == times


_time = st.one_of(st.floats(-1, 20), st.just(math.nan), st.just(math.inf))
_events = st.lists(
    st.tuples(st.lists(st.tuples(_time, _time), max_size=4), st.one_of(st.none(), st.integers(1, 3))), max_size=8
)


@given(_events)
def test_no_time_is_before_the_one_before_it(described: Any) -> None:
    found = fed(*(event(*times, flush_id=flush_id) for times, flush_id in described), starts={2: 1.5})
    assert [start for start, _ in found] == sorted(start for start, _ in found)
    assert all(0 <= start <= end < math.inf for start, end in found)


def test_where_a_flush_begins() -> None:
    starts = [(None, 0), (1, 10), (3, 30), (3, 40)]
    assert [first_start(starts, flush_id) for flush_id in (0, 1, 2, 3, 4)] == [10, 10, 30, 30, None]


def test_phonemes_have_times_too() -> None:
    sounds = PhonemeTimestamps(phonemes=["k", "a"], start=[2.0, 3.0], end=[3.0, 4.0])
    found = Timeline(lambda _: None).feed(PhonemeTimestampsEvent(context_id="a", phoneme_timestamps=sounds))
    assert found == [Entry("k", 2.0, 3.0), Entry("a", 3.0, 4.0)]
