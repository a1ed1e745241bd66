"""``Player`` on a device whose clock is the test's."""

from __future__ import annotations

import gc
import math
import queue
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartesia_sync import APIError, ForkedError, PlaybackError, TruncatedError
from cartesia_sync.audio.samples import to_samples
from cartesia_sync.speech import player as room
from cartesia_sync.speech.player import Heard, Player
from cartesia_sync.speech.words import Word

from .conftest import BUFFER_FRAMES, Sound

BOUND = 10.0
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
SLOW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 1000}
"""A frame a millisecond, so that a test can count."""
END = object()


class Source:
    """Raw audio that comes when the test says so; knows when it was taken, and when it was cancelled."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.is_cancelled = threading.Event()

    def give(self, *items: Any) -> None:
        """Give items, and wait until the player has put all of them where the device finds them."""
        for item in items:
            self._items.put(item)
        for _ in items:
            self._asked.get(timeout=BOUND)

    def end(self) -> None:
        self._items.put(END)

    def __iter__(self) -> Iterator[Any]:
        while True:
            item = self._items.get(timeout=BOUND)
            if item is END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
            self._asked.put(None)

    def cancel(self) -> None:
        self.is_cancelled.set()
        self._items.put(END)


def frames(count: int, value: int = 16384) -> bytes:
    return np.full(count, value, "<i2").tobytes()


def wait_fed(playback: Any) -> None:
    """Wait until all of a speech has arrived."""
    assert playback._turn_is_over.wait(BOUND)


def in_line(sound: Sound, source: Any, output_format: Any = SLOW) -> Any:
    """Begin a speech whose audio is the test's."""
    return sound.player.play(source, output_format=output_format)


# ---- what is heard


def test_what_the_device_holds_is_not_heard_and_the_end_is_when_the_last_frame_has_left_it(sound: Sound) -> None:
    speech = in_line(sound, frames(300))
    wait_fed(speech)
    assert speech.heard.seconds == 0
    assert sound.device.step(60) == [0.5] * 60
    assert speech.heard == Heard(0.0, "", (), 0.3)
    sound.device.step(140)
    assert speech.heard.seconds == pytest.approx(0.1)
    sound.device.step(100)
    assert speech.heard.seconds == pytest.approx(0.2)
    assert not speech.is_over
    sound.device.step(BUFFER_FRAMES - 1)
    assert not speech.is_over
    sound.device.step(1)
    assert speech.is_over
    assert speech.wait(BOUND).seconds == pytest.approx(0.3)
    assert sound.device.sound == [0.5] * 300  # nothing clipped, nothing twice


def test_a_sound_that_is_shorter_than_the_buffer_is_played_whole(sound: Sound) -> None:
    speech = in_line(sound, frames(3))
    wait_fed(speech)
    sound.device.step(BUFFER_FRAMES)
    assert sound.device.sound == [0.5] * 3
    assert not speech.is_over
    sound.device.step(3)
    assert speech.wait(BOUND).seconds == pytest.approx(0.003)


def test_stop_is_silence_at_once_and_says_what_was_heard_for_good(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(frames(500))
    sound.device.step(250)
    heard = speech.stop()
    assert (heard.seconds, heard.total_seconds) == (pytest.approx(0.15), 0.5)
    assert source.is_cancelled.is_set()
    assert sound.device.step(100) == [0.0] * 100
    assert speech.stop() is heard
    assert speech.heard is heard
    assert speech.wait(BOUND) is heard


def test_stop_wakes_those_who_wait(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(frames(50))
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(speech.wait, BOUND) for _ in range(3)]
        heard = speech.stop()
        assert [each.result(BOUND) for each in waiting] == [heard] * 3


def test_gaps_count_for_nothing_in_what_was_heard(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(frames(50))
    sound.device.step(80)  # 50 of sound, 30 of silence
    source.give(frames(50, 8192))
    sound.device.step(60)  # 50 of sound, 10 of silence; 40 have left: the device has asked for 240
    assert speech.heard.seconds == pytest.approx(0.04)
    sound.device.step(10)
    assert speech.heard.seconds == pytest.approx(0.05)
    sound.device.step(30)  # only silence has left
    assert speech.heard.seconds == pytest.approx(0.05)
    sound.device.step(20)
    assert speech.heard.seconds == pytest.approx(0.07)
    speech.stop()


def test_an_underrun_is_silence_and_is_counted_once_and_the_beginning_and_the_end_are_none(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(b"")
    sound.device.step(10)
    assert speech.underruns == 0
    source.give(frames(10))
    assert sound.device.step(20) == [0.5] * 10 + [0.0] * 10
    sound.device.step(20)
    assert speech.underruns == 1
    source.give(frames(10))
    sound.device.step(20)
    assert speech.underruns == 2
    source.give(frames(10))
    source.end()
    wait_fed(speech)
    sound.device.step(200)
    assert (speech.underruns, speech.is_over) == (2, True)


def test_pause_is_silence_while_the_audio_arrives_and_others_wait(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(frames(100))
    sound.device.step(50)
    speech.pause()
    source.give(frames(100))
    source.end()
    wait_fed(speech)
    after = in_line(sound, frames(10, 8192))
    wait_fed(after)
    assert sound.device.step(500) == [0.0] * 500
    assert (speech.heard.seconds, speech.is_paused, speech.underruns) == (pytest.approx(0.05), True, 0)
    speech.resume()
    assert sound.device.step(160) == [0.5] * 150 + [0.25] * 10
    sound.device.step(100)
    assert speech.is_over
    assert after.is_over


# ---- several


def test_speeches_follow_each_other_without_a_gap_in_the_order_of_play(sound: Sound) -> None:
    first, second = Source(), Source()
    one = in_line(sound, first)
    two = in_line(sound, second)
    three = in_line(sound, frames(5, 4096))
    first.give(frames(5))
    first.end()
    second.give(frames(5, 8192))
    second.end()
    wait_fed(three)
    sound.device.step(16)
    assert sound.device.taken[BUFFER_FRAMES:] == [0.5] * 5 + [0.25] * 5 + [0.125] * 5 + [0.0]
    sound.device.step(100)
    assert [each.wait(BOUND).seconds for each in (one, two, three)] == [0.005] * 3
    assert len(sound.devices) == 1


def test_another_sample_rate_opens_the_device_anew_once_all_before_was_heard(sound: Sound) -> None:
    one = in_line(sound, frames(10))
    wait_fed(one)
    two = in_line(sound, frames(10), {**SLOW, "sample_rate": 2000})
    sound.device.step(50)
    assert [each.sample_rate for each in sound.devices] == [1000]
    sound.device.step(60)
    wait_fed(two)
    assert [(each.sample_rate, each.is_open) for each in sound.devices] == [(1000, False), (2000, True)]
    sound.device.step(10)
    sound.device.step(100)
    assert two.wait(BOUND).seconds == 0.005


def test_one_that_is_stopped_in_its_place_in_the_line_lets_nobody_overtake(sound: Sound) -> None:
    first = Source()
    one = in_line(sound, first)
    two = in_line(sound, frames(10, 8192))
    three = in_line(sound, frames(10, 4096), {**SLOW, "sample_rate": 2000})
    assert two.stop().seconds == 0
    first.give(frames(10))
    first.end()
    wait_fed(one)
    sound.device.step(30)
    assert sound.device.sound == [0.5] * 10
    assert not one.is_over
    sound.device.step(100)
    assert one.is_over
    wait_fed(three)
    assert sound.device.step(20) == [0.125] * 10 + [0.0] * 10


def test_one_that_is_stuck_in_a_users_code_and_stopped_lets_the_next_go_on(sound: Sound) -> None:
    is_in, may_go = threading.Event(), threading.Event()

    def stuck() -> Iterator[bytes]:
        is_in.set()
        may_go.wait(BOUND)
        yield frames(10)

    one = in_line(sound, stuck())
    two = in_line(sound, frames(10, 8192))
    assert is_in.wait(BOUND)
    one.stop()
    wait_fed(two)
    assert sound.device.step(20) == [0.25] * 10 + [0.0] * 10
    may_go.set()


def test_the_player_stops_all_of_them_and_says_what_was_heard_of_each(sound: Sound) -> None:
    one, two = in_line(sound, frames(300)), in_line(sound, frames(300))
    wait_fed(two)
    sound.device.step(200)
    assert [round(each.seconds, 3) for each in sound.player.stop()] == [0.1, 0.0]
    assert sound.player.stop() == []
    assert one.is_over
    assert two.is_over


# ---- any encoding, volume


@pytest.mark.parametrize("encoding", ["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"])
def test_any_encoding_in_pieces_that_part_samples(sound: Sound, encoding: str) -> None:
    audio = np.linspace(-0.5, 0.5, 64).astype("<f4").tobytes() if encoding == "pcm_f32le" else bytes(range(128))
    source = Source()
    speech = in_line(sound, source, {**SLOW, "encoding": encoding})
    source.give(*(audio[start : start + 3] for start in range(0, len(audio), 3)))
    source.end()
    wait_fed(speech)
    wanted = [round(float(each), 4) for each in to_samples(audio, encoding)]
    assert sound.device.step(len(wanted)) == wanted
    speech.stop()


def test_the_volume_is_in_decibels_and_may_change_while_it_plays(sound: Sound) -> None:
    speech = in_line(sound, frames(100))
    wait_fed(speech)
    sound.player.volume_db = -20
    assert sound.device.step(2) == [0.05] * 2
    sound.player.volume_db = 20 * math.log10(1.5)
    assert sound.device.step(2) == [0.75] * 2
    sound.player.volume_db = 24
    assert sound.device.step(2) == [1.0] * 2  # clipped
    sound.player.volume_db = -math.inf
    assert sound.device.step(2) == [0.0] * 2
    for wrong, kind in ((math.nan, ValueError), (25, ValueError), ("loud", TypeError), (True, TypeError)):
        with pytest.raises(kind, match="volume_db: expected"):
            sound.player.volume_db = wrong  # type: ignore[assignment]  # that is the test
    assert sound.player.volume_db == -math.inf
    speech.stop()


# ---- words


def playing(sound: Sound, stage: Any, text: str, words: Any, seconds: float) -> tuple[Any, Any]:
    """Begin a context of the service's, all of whose audio and words have arrived."""
    context = stage.context("a", add_timestamps=True)
    speech = sound.player.play(context)
    context.push(text, continue_=False)
    if words:
        stage.wire.feed_times("a", *words)
    stage.wire.feed_chunk("a", frames(int(seconds * 44100)))
    stage.wire.feed_done("a")
    wait_fed(speech)
    return context, speech


WORDS = (("Hello", 0.0, 0.4), ("there,", 0.4, 0.8), ("friend.", 1.0, 1.5))


@pytest.mark.parametrize(
    ("seconds", "count", "text"),
    [
        (0.0, 0, ""),
        (0.39, 0, ""),
        (0.4, 1, "Hello"),
        (0.99, 2, "Hello  there,"),
        (1.5, 3, 'Hello  there, <break time="1s"/>friend.'),
    ],
)
def test_what_was_heard_in_words_and_in_the_users_own_text(
    sound: Sound, stage: Any, seconds: float, count: int, text: str
) -> None:
    _, speech = playing(sound, stage, 'Hello  there, <break time="1s"/>friend. ', WORDS, 2.0)
    sound.device.step(math.ceil(seconds * 44100) + BUFFER_FRAMES - 100)
    sound.device.step(100)
    heard = speech.stop()
    assert heard.seconds == pytest.approx(max(0, seconds - 100 / 44100) + 100 / 44100 * (seconds > 0), abs=0.003)
    assert [(word.text, word.start, word.end) for word in heard.words] == list(WORDS[:count])
    assert heard.text == text


def test_all_was_heard_is_all_of_the_text_also_without_timestamps(sound: Sound, stage: Any) -> None:
    _, speech = playing(sound, stage, "Hello there.\n", (), 0.1)
    assert speech.heard.text == ""
    sound.device.step(2000)
    assert speech.heard.text is None  # nobody can tell
    sound.device.step(4410)
    assert speech.wait(BOUND) == Heard(0.1, "Hello there.\n", (), 0.1)


def test_words_that_are_not_those_of_the_text_are_given_as_they_came(sound: Sound, stage: Any) -> None:
    _, speech = playing(
        sound, stage, "It is 5 pm now", (("five", 0.0, 0.1), ("p.m.", 0.1, 0.2), ("now", 0.2, 0.5)), 1.0
    )
    sound.device.step(int(0.3 * 44100))
    assert speech.stop().text == "five p.m."


def test_words_without_spaces(sound: Sound, stage: Any) -> None:
    _, speech = playing(sound, stage, "你好。世界。", (("你", 0.0, 0.1), ("好", 0.1, 0.2), ("世界", 0.2, 0.5)), 1.0)
    sound.device.step(int(0.3 * 44100))
    assert speech.stop().text == "你好。"


# ---- contexts


def test_stop_cancels_the_context(sound: Sound, stage: Any) -> None:
    context = stage.context("a")
    speech = sound.player.play(context)
    context.push("Hello. ")
    stage.wire.feed_chunk("a", frames(4410))
    assert stage.wire.wait_sent(1)
    speech.stop()
    assert stage.wire.wait_sent(2)[1].get("cancel") is True


def received(context: Any) -> Any:
    return context.receive()


def spoken(context: Any) -> Any:
    return context.speak(["Hello."])


def recorded(context: Any) -> Any:
    return context.record(context.speak(["Hello."]))


PUSHED = {received: ["Hello."], spoken: ["Hello.", ""], recorded: ["Hello.", ""]}


@pytest.mark.parametrize("take", [received, spoken, recorded])
def test_an_iterator_over_events_can_be_played_and_stopped(sound: Sound, stage: Any, take: Any) -> None:
    context = stage.context("a", add_timestamps=True)
    speech = sound.player.play(take(context))
    if take is received:
        context.push("Hello.", continue_=False)
    pushed = len(PUSHED[take])
    stage.wire.wait_sent(pushed)
    stage.wire.feed_chunk("a", frames(4410))
    speech.stop()
    assert stage.wire.wait_sent(pushed + 1)[-1].get("cancel") is True


def test_what_is_recorded_can_be_played_and_is_saved_after_an_interruption(
    sound: Sound, stage: Any, tmp_path: Path
) -> None:
    """One pass for the ear and the file: the words heard are the recording's first ones."""
    context = stage.context("a", add_timestamps=True)
    context.push("Hello  there, friend.", continue_=False)
    recording = context.record()
    speech = sound.player.play(recording)
    stage.wire.feed_times("a", *WORDS)
    stage.wire.feed_chunk("a", frames(2 * 44100))
    stage.wire.feed_done("a")
    wait_fed(speech)
    sound.device.step(44100)
    heard = speech.stop()
    assert (heard.text, heard.words, len(recording.words)) == ("Hello  there,", recording.words[:2], 3)
    assert heard.words[1] == Word("there,", 0.4, 0.8, 7, 13)
    assert recording.save(tmp_path / "a.flac") == 2.0
    recording.save(tmp_path / "a.srt")
    assert "Hello there, friend." in (tmp_path / "a.srt").read_text()


def test_times_that_begin_again_after_a_flush_go_on(sound: Sound, stage: Any) -> None:
    """As those of recordings and frames do."""
    context = stage.context("a", add_timestamps=True)
    speech = sound.player.play(context)
    context.push("One two.", continue_=False)
    for flush, (word, seconds) in enumerate((("One", 0.5), ("two.", 0.4)), 1):
        stage.wire.feed_chunk("a", frames(int(seconds * 44100)), flush_id=flush)
        stage.wire.feed_times("a", (word, 0.0, 0.3), flush_id=flush)
    stage.wire.feed_done("a")
    wait_fed(speech)
    sound.device.step(44100)
    assert [(word.text, word.start) for word in speech.wait(BOUND).words] == [("One", 0.0), ("two.", 0.5)]


@pytest.mark.parametrize("receives", [False, True])
def test_what_a_context_ends_with_is_raised_after_what_had_arrived_was_heard(
    sound: Sound, stage: Any, receives: bool
) -> None:
    context = stage.context("a")
    context.push("Hello.", continue_=False)
    speech = sound.player.play(context.receive() if receives else context)
    stage.wire.feed_chunk("a", frames(100))
    stage.wire.feed_error("a", status_code=None, title="Oops", message="no more")
    wait_fed(speech)
    sound.device.step(100)
    with pytest.raises(TimeoutError):
        speech.wait(0)
    sound.device.step(BUFFER_FRAMES)
    with pytest.raises(APIError, match="no more"):
        speech.wait(BOUND)
    assert speech.heard.seconds == pytest.approx(100 / 44100)


def test_a_connection_that_is_lost_is_raised_and_the_next_speech_is_played(sound: Sound, stage: Any) -> None:
    context = stage.context("a")
    context.push("Hello.", continue_=False)
    speech = sound.player.play(context)
    after = sound.player.play(frames(10), output_format=FORMAT)
    stage.wire.lose()
    wait_fed(after)
    sound.device.step(10)
    sound.device.step(BUFFER_FRAMES)
    with pytest.raises(TruncatedError):
        speech.wait(BOUND)
    assert after.wait(BOUND).seconds == pytest.approx(10 / 44100)


def test_a_users_iterable_that_raises_is_for_wait_and_a_generator_is_closed(sound: Sound) -> None:
    is_closed = threading.Event()

    def failing() -> Iterator[bytes]:
        try:
            yield frames(5)
            raise LookupError("mine")
        finally:
            is_closed.set()

    speech = in_line(sound, failing())
    wait_fed(speech)
    sound.device.step(5)
    sound.device.step(BUFFER_FRAMES)
    with pytest.raises(LookupError, match="mine"):
        speech.wait(BOUND)
    assert is_closed.wait(BOUND)


def test_a_generator_that_is_stopped_is_closed(sound: Sound) -> None:
    is_closed, may_go = threading.Event(), threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            yield frames(5)
            may_go.wait(BOUND)
            yield frames(5)
        finally:
            is_closed.set()

    speech = in_line(sound, endless())
    speech.stop()
    may_go.set()
    assert is_closed.wait(BOUND)


# ---- devices that fail


def test_a_device_that_vanishes_raises_in_wait_cancels_and_the_next_opens_another(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(frames(300))
    sound.device.step(200)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(speech.wait, BOUND)
        sound.device.lost()
        with pytest.raises(PlaybackError, match="the device has gone"):
            waiting.result(BOUND)
    assert source.is_cancelled.is_set()
    assert speech.heard.seconds == pytest.approx(0.1)
    after = in_line(sound, frames(5))
    wait_fed(after)
    assert len(sound.devices) == 2
    assert sound.device.step(5) == [0.5] * 5


def test_a_device_that_vanishes_while_the_last_frames_leave_it_raises_too(sound: Sound) -> None:
    speech = in_line(sound, frames(5))
    wait_fed(speech)
    sound.device.step(50)
    sound.device.lost()
    with pytest.raises(PlaybackError, match="the device has gone"):
        speech.wait(BOUND)


def test_a_device_that_asks_for_nothing_any_more_has_gone(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STALL_SECONDS", 0.05)
    speech = in_line(sound, frames(300))
    wait_fed(speech)
    with pytest.raises(PlaybackError, match=r"has not asked for audio for 0\.05 seconds"):
        speech.wait(BOUND)


def test_a_device_that_cannot_be_opened_raises_in_wait_and_cancels(sound: Sound) -> None:
    sound.refuse = PlaybackError("no device to play on can be opened")
    source = Source()
    speech = in_line(sound, source)
    with pytest.raises(PlaybackError, match="can be opened"):
        speech.wait(BOUND)
    assert source.is_cancelled.is_set()
    sound.refuse = None
    after = in_line(sound, frames(5))
    wait_fed(after)
    assert sound.device.step(5) == [0.5] * 5


def test_what_goes_wrong_in_the_devices_thread_is_raised_in_wait(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise LookupError("a bug")

    speech = in_line(sound, frames(300))
    wait_fed(speech)
    monkeypatch.setattr(room.Playback, "_take", broken)
    assert sound.device.step(5) == [0.0] * 5
    with pytest.raises(PlaybackError, match="a bug"):
        speech.wait(BOUND)


# ---- wrong use, and the end


def test_wrong_arguments_say_what_was_expected() -> None:
    for seconds in (0, 3, math.nan):
        with pytest.raises(ValueError, match=r"buffer_seconds: expected 0\.005 to 2"):
            Player(lambda rate: None, buffer_seconds=seconds)  # type: ignore[arg-type, return-value]  # never called
    with pytest.raises(TypeError, match="buffer_seconds: expected a number"):
        Player("null", buffer_seconds="1")  # type: ignore[arg-type]  # that is the test
    with pytest.raises(TypeError, match="device: expected a name"):
        Player(3)  # type: ignore[arg-type]  # that is the test


def test_a_source_that_is_none_is_refused_and_a_format_that_nobody_knows_is_asked_for(sound: Sound) -> None:
    for wrong in (3, "a text", None):
        with pytest.raises(TypeError, match="play\\(\\) takes a context"):
            sound.player.play(wrong)
    with pytest.raises(ValueError, match="give output_format to play"):
        sound.player.play(frames(5)).wait(BOUND)
    with pytest.raises(ValueError, match="expected the container 'raw'"):
        sound.player.play(frames(5), output_format={**FORMAT, "container": "mp3"})


def test_a_closed_player_plays_nothing_and_close_ends_all(sound: Sound) -> None:
    source = Source()
    speech = in_line(sound, source)
    source.give(frames(5))
    sound.player.close()
    sound.player.close()
    assert speech.is_over
    assert source.is_cancelled.is_set()
    assert not sound.device.is_open
    with pytest.raises(ValueError, match="the player is closed"):
        in_line(sound, frames(5))


def test_no_thread_for_it_is_an_error_and_the_next_is_played(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    source = Source()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(PlaybackError, match="can't start new thread"):
            in_line(sound, source)
    assert source.is_cancelled.is_set()
    speech = in_line(sound, frames(5))
    wait_fed(speech)
    assert sound.device.step(5) == [0.5] * 5


def test_the_parents_player_is_refused_in_a_child(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    speech = in_line(sound, frames(5))
    wait_fed(speech)
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: -1)
        with pytest.raises(ForkedError):
            in_line(sound, frames(5))
        with pytest.raises(ForkedError):
            speech.wait(BOUND)
        sound.player.close()
    assert sound.device.is_open


def test_a_player_that_nobody_holds_gives_its_device_back() -> None:
    sound = Sound()
    speech = in_line(sound, frames(5))
    wait_fed(speech)
    sound.device.step(100)
    sound.device.step(100)
    device, player = sound.device, weakref.ref(sound.player)
    is_closed = threading.Event()
    device.close = is_closed.set  # type: ignore[method-assign]  # that is how it is seen
    for feeder in tuple(sound.player._feeders):
        feeder.join(BOUND)
    del sound, speech
    gc.collect()
    assert player() is None
    assert is_closed.wait(BOUND)


def test_its_repr_says_how_far_it_is(sound: Sound) -> None:
    speech = in_line(sound, frames(300))
    wait_fed(speech)
    sound.device.step(150)
    assert repr(speech) == "<Playback playing, 0.05 of 0.30 s heard>"
    speech.pause()
    assert repr(speech) == "<Playback paused, 0.05 of 0.30 s heard>"
    speech.stop()
    assert repr(speech) == "<Playback over, 0.05 of 0.30 s heard>"
