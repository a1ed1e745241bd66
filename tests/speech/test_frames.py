"""Frames of one length, out of chunks of any."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.audio.framing import SampleFramer
from cartesia_sync.protocol.events import Chunk, Done, Event, Timestamps, WordTimestamps
from cartesia_sync.protocol.formats import ENCODINGS, RawFormat
from cartesia_sync.speech.frames import Frame, Frames, frames_of

from ..support.interrupts import LOCKS_LEAK, strikes

MULAW = RawFormat("pcm_mulaw", 8000)
SILENCE = {"pcm_mulaw": 0xFF, "pcm_alaw": 0xD5, "pcm_s16le": 0, "pcm_f32le": 0}


def chunks(sizes: list[int], audio_format: RawFormat = MULAW, flush_id: int | None = None) -> list[Event]:
    framer, made, at = SampleFramer(), [], 0
    for size in sizes:
        chunk = Chunk(context_id="a", audio=bytes((at + n) % 251 for n in range(size)), flush_id=flush_id)
        at += size
        framer.attach(chunk, audio_format)
        made.append(chunk)
    return [*made, Done(context_id="a")]


def words(*times: float, flush_id: int | None = None) -> Timestamps:
    names = [f"w{time:g}" for time in times]
    stamps = WordTimestamps(words=names, start=list(times), end=[time + 0.01 for time in times])
    return Timestamps(context_id="a", word_timestamps=stamps, flush_id=flush_id)


@given(st.lists(st.integers(0, 700), max_size=12), st.sampled_from(sorted(ENCODINGS)), st.sampled_from([2.5, 10, 20]))
def test_all_have_one_length_and_together_are_the_audio_and_silence(sizes: list[int], encoding: str, ms: float) -> None:
    audio_format = RawFormat(encoding, 8000)
    frames = list(frames_of(chunks(sizes, audio_format), ms))
    length = round(8 * ms) * audio_format.sample_bytes
    assert all(len(frame.audio) == length for frame in frames)
    whole = sum(sizes) - sum(sizes) % audio_format.sample_bytes  # a part of a sample is none
    assert len(frames) == -(-whole // length)
    joined = b"".join(frame.audio for frame in frames)
    assert joined[:whole] == bytes(n % 251 for n in range(whole))
    assert set(joined[whole:]) <= {SILENCE[encoding]}
    assert [frame.start for frame in frames] == pytest.approx([n * ms / 1000 for n in range(len(frames))])


def test_a_frame_leaves_as_soon_as_its_audio_is_there() -> None:
    taken = 0

    def events() -> Iterator[Event]:
        nonlocal taken
        for event in chunks([100, 100, 500]):
            taken += 1
            yield event

    frames = frames_of(events())
    next(frames)
    assert taken == 2
    next(frames)
    assert taken == 3
    for _ in range(2):
        next(frames)
    assert taken == 3


def test_each_word_is_in_the_frame_in_which_it_begins_or_the_first_after_it_was_known() -> None:
    first, second, third, done = chunks([160, 320, 160])
    frames = list(frames_of([words(0.0, 0.03, 0.045), first, second, words(0.05), third, words(0.06), done]))
    # The word at 50 ms came when the frame of it had left: and all of a chunk's frames leave before what follows it.
    assert [[word.text for word in frame.words] for frame in frames] == [["w0"], ["w0.03"], ["w0.045"], ["w0.05"]]


def test_the_last_frame_that_is_filled_up_has_what_is_left() -> None:
    first, second, done = chunks([160, 40])
    frames = list(frames_of([first, second, words(0.0, 5.0), done]))
    assert [[word.text for word in frame.words] for frame in frames] == [[], ["w0", "w5"]]


def test_the_flushes_of_a_frame() -> None:
    first, second = chunks([200], flush_id=1)[0], chunks([120], flush_id=2)[0]
    third, fourth = chunks([160], flush_id=2)[0], chunks([160])[0]
    frames = list(frames_of([first, second, third, fourth]))
    assert [frame.flush_ids for frame in frames] == [(1,), (1, 2), (2,), ()]
    assert frames[1].audio == first.audio[160:] + second.audio  # type: ignore[union-attr]  # they are chunks


def test_no_audio_makes_no_frame() -> None:
    assert list(frames_of([Done(context_id="a")])) == []
    assert list(frames_of(chunks([0]))) == []


@pytest.mark.parametrize(
    ("ms", "error"),
    [(0, ValueError), (-1, ValueError), (float("nan"), ValueError), ("20", TypeError), (True, TypeError)],
)
def test_a_length_that_is_none_is_refused(ms: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="ms is a number of milliseconds"):
        frames_of([], ms)


def test_a_length_of_no_whole_samples_is_refused_and_so_are_chunks_of_an_unknown_encoding() -> None:
    frames = frames_of(chunks([100], RawFormat("pcm_s16le", 22050)), 0.1)
    with pytest.raises(ValueError, match=r"a frame of 0\.1 ms has 2\.205 samples at 22050 Hz; they must be whole"):
        next(frames)
    with pytest.raises(ValueError, match="does not know its encoding"):
        next(frames_of([Chunk(context_id="a", audio=b"x")]))
    assert len(next(frames_of(chunks([2000], RawFormat("pcm_s16le", 22050)), 20)).audio) == 882


def test_dropped_is_dropped() -> None:
    is_dropped = False
    frames = Frames(iter(chunks([1000])), 20, is_dropped=lambda: is_dropped)
    next(frames)
    is_dropped = True
    assert list(frames) == []
    assert list(Frames(iter(chunks([100])), 20, is_dropped=lambda: True)) == []  # nor what would be filled up


class Looking:
    """Events that can be looked at before they are taken, as those of a context."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __iter__(self) -> Looking:
        return self

    def peek(self) -> object:
        return self._events[0] if self._events else None

    def __next__(self) -> Event:
        if not self._events:
            raise StopIteration
        return self._events.pop(0)


@pytest.mark.skipif(LOCKS_LEAK, reason="3.9 strikes at more places than can be guarded")
def test_an_interrupt_anywhere_costs_no_frame() -> None:
    def events() -> Looking:
        return Looking([words(0.0, 0.03), *chunks([100, 400, 60], flush_id=1)])

    wanted = list(frames_of(events()))
    count = 0
    for strike in strikes("/speech/frames.py", "/speech/timeline.py", "/speech/words.py"):
        frames, got = frames_of(events()), list[Frame]()
        strike.run(got.extend, frames)  # which keeps what it got
        got += frames
        assert got == wanted, strike.place
        count += strike.place is not None
    assert count > 30


def test_work_a_frame_does_not_grow_with_what_waits() -> None:
    """By the bytes that are copied: each chunk's rest once, each frame once."""
    calls = 0

    def count(frame: Any, what: str, argument: Any) -> None:
        nonlocal calls
        calls += what == "call" and frame.f_code.co_filename.endswith("frames.py")

    frames = frames_of(chunks([160 * 1000]))
    next(frames)
    before = sys.getprofile()
    sys.setprofile(count)
    for _ in range(900):
        next(frames)
    sys.setprofile(before)
    assert calls == 900  # one call for each frame, and nothing below it in this file
