"""One context's life, heard from outside: buffering, segments, order, determinism, expiry, limits."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

from cartesia_sync.local import Hold, LocalServer

BOUND = 10.0
Dial = Callable[..., Any]
AudioOf = Callable[..., bytes]
FOR_EVER_MS = 5000


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, repeated ones once."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event["type"]:
            found.append(event["type"])
    return found


def test_a_whole_exchange(dial: Dial, audio_of: AudioOf) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        events = peer.until("a")
    assert kinds(events) == ["chunk", "done"]
    assert all(event["context_id"] == "a" and event["flush_id"] == 1 for event in events[:-1])
    assert all(event["status_code"] == 206 for event in events)
    assert 0.5 < len(audio_of(events)) / 2 / 22050 < 3


@pytest.mark.parametrize("encoding", ["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"])
def test_chunks_are_whole_samples_up_to_their_limit_in_every_form(dial: Dial, audio_of: AudioOf, encoding: str) -> None:
    width = {"pcm_f32le": 4, "pcm_s16le": 2, "pcm_mulaw": 1, "pcm_alaw": 1}[encoding]
    seconds = []
    with LocalServer(chunk_bytes=1003, engine="signal") as server:
        peer = dial(server)
        for rate in (8000, 16000, 22050, 24000, 44100, 48000):
            form = {"container": "raw", "encoding": encoding, "sample_rate": rate}
            context_id = f"{encoding}-{rate}"
            peer.ask(context_id, "Hello there.", output_format=form)
            events = peer.until(context_id)
            sizes = [len(audio_of([event], context_id)) for event in events if event["type"] == "chunk"]
            assert set(sizes[:-1]) == {1003 - 1003 % width}
            assert 0 < sizes[-1] <= 1003
            assert sizes[-1] % width == 0
            seconds.append(sum(sizes) / width / rate)
    assert max(seconds) - min(seconds) < 0.001


def test_pieces_are_joined_as_they_are(dial: Dial, audio_of: AudioOf) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("whole", "Hello there. How are you?")
        whole = audio_of(peer.until("whole"), "whole")
        for piece in ("Hel", "lo the", "re", ". ", "How are", " you?"):
            peer.ask("pieces", piece, continue_=True, max_buffer_delay_ms=FOR_EVER_MS)
        peer.ask("pieces", "")
        assert audio_of(peer.until("pieces"), "pieces") == whole


def test_the_same_requests_make_the_same_events_on_any_server(dial: Dial) -> None:
    """But for the time that the server reports."""
    runs = []
    for _ in range(2):
        with LocalServer() as server:
            peer = dial(server)
            # Another context is spoken at the same time, so that the two runs differ in their timing.
            peer.ask("b", "Something else, to be in the way. And more of it.")
            peer.ask("a", "Hello. What", continue_=True, add_timestamps=True, add_phoneme_timestamps=True)
            peer.ask("a", " a day! ", continue_=True)
            peer.ask("a", "", continue_=True, flush=True)
            peer.ask("a", "Good night")
            events = [event for event in peer.until("a", "b") if event["context_id"] == "a"]
            runs.append([{**event, "step_time": None} for event in events])
    assert runs[0] == runs[1]


def test_a_whole_sentence_is_spoken_before_more_comes(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", "One. Two", continue_=True, max_buffer_delay_ms=FOR_EVER_MS)
        assert peer.event()["type"] == "chunk"


def test_text_is_held_no_longer_than_was_asked(dial: Dial) -> None:
    with LocalServer(expiry=None) as server:
        peer = dial(server)
        peer.ask("a", "no end", continue_=True, max_buffer_delay_ms=10)
        assert peer.event()["type"] == "chunk"
        peer.fence()
        peer.ask("b", "no end", continue_=True, max_buffer_delay_ms=FOR_EVER_MS)
        assert peer.fence() == []


def test_the_default_delay_is_a_switch(dial: Dial) -> None:
    with LocalServer(default_buffer_delay=0) as server:
        peer = dial(server)
        peer.ask("a", "no end", continue_=True)
        assert peer.event()["type"] == "chunk"


def test_a_flush_speaks_what_is_there_and_counts_segments(dial: Dial, audio_of: AudioOf) -> None:
    with LocalServer() as server:
        peer = dial(server)
        for text in ("one", "two"):
            peer.ask("a", text, continue_=True, max_buffer_delay_ms=FOR_EVER_MS)
            peer.ask("a", "", continue_=True, flush=True)
        peer.ask("a", "three", continue_=True, flush=True)  # text first, then the flush
        peer.ask("a", "")
        events = peer.until("a")
    assert kinds(events) == ["chunk", "flush_done", "chunk", "flush_done", "chunk", "flush_done", "done"]
    assert [event["flush_id"] for event in events if event["type"] == "flush_done"] == [1, 2, 3]
    segment = 1
    for event in events[:-1]:
        assert event["flush_id"] == segment
        segment += event["type"] == "flush_done"


def test_flush_switches(dial: Dial) -> None:
    with LocalServer(early_flush_done=True, flush_id_on_chunks=False) as server:
        peer = dial(server)
        peer.ask("a", "one", flush=True)
        events = peer.until("a")
    assert kinds(events) == ["flush_done", "chunk", "done"]
    assert "flush_id" not in events[1]


def test_unasked_flushes_come_with_a_delay_of_nothing(dial: Dial) -> None:
    with LocalServer(unasked_flush_done=True) as server:
        peer = dial(server)
        peer.ask("a", "one", continue_=True, max_buffer_delay_ms=0)
        peer.ask("a", "two", max_buffer_delay_ms=0)
        assert kinds(peer.until("a")) == ["chunk", "flush_done", "chunk", "flush_done", "done"]


def words_of(events: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    return [
        word
        for event in events
        if event["type"] == "timestamps"
        for word in zip(*(event["word_timestamps"][name] for name in ("words", "start", "end")))
    ]


def test_timestamps_follow_the_chunk_they_cover_and_count_from_the_contexts_start(
    dial: Dial, audio_of: AudioOf
) -> None:
    with LocalServer(chunk_bytes=8000) as server:
        peer = dial(server)
        fields = {"add_timestamps": True, "add_phoneme_timestamps": True}
        peer.ask("a", "The first sentence is here. ", continue_=True, **fields)
        peer.ask("a", "", continue_=True, flush=True, **fields)
        peer.ask("a", "And this is another.", **fields)
        events = peer.until("a")
    words = words_of(events)
    assert " ".join(word for word, _, _ in words) == "The first sentence is here. And this is another."
    edges = [edge for _, start, end in words for edge in (start, end)]
    assert edges == sorted(edges)
    streamed = 0.0
    for event in events:
        if event["type"] == "chunk":
            streamed += len(audio_of([event])) / 2 / 22050
        elif event["type"] == "timestamps":
            assert event["word_timestamps"]["end"][-1] <= streamed
        elif event["type"] == "phoneme_timestamps":
            times = event["phoneme_timestamps"]
            assert len(times["phonemes"]) == len(times["start"]) == len(times["end"])
            assert times["end"][-1] <= streamed
    assert streamed > words[-1][2] > words[4][2] > 1.0
    assert {"timestamps", "phoneme_timestamps"} < set(kinds(events))


def test_timestamps_may_begin_again_after_a_flush(dial: Dial) -> None:
    with LocalServer(timestamps_restart=True) as server:
        peer = dial(server)
        peer.ask("a", "One two three.", continue_=True, flush=True, add_timestamps=True)
        peer.ask("a", "Four.")
        words = words_of(peer.until("a"))
    assert words[3][0] == "Four."
    assert words[3][1] < words[2][1]


def test_speed_volume_and_tags_change_the_sound(dial: Dial, audio_of: AudioOf) -> None:
    with LocalServer() as server:
        peer = dial(server)
        length = {}
        for name, text, config in (
            ("plain", "Hello there, friend.", {}),
            ("quick", "Hello there, friend.", {"speed": 1.5}),
            ("tag", '<speed ratio="1.5"/>Hello there, friend.', {}),
            ("pause", '<break time="1s"/>Hello there, friend.', {"emotion": "calm"}),
        ):
            peer.ask(name, text, generation_config=config)
            length[name] = len(audio_of(peer.until(name), name))
    assert length["quick"] < 0.8 * length["plain"]
    assert length["tag"] == length["quick"]
    assert length["pause"] == length["plain"] + 2 * 22050


@pytest.mark.parametrize("transcript", ["", " ", "...", "?!", "。"])
def test_a_first_transcript_without_words_is_refused(dial: Dial, transcript: str) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", transcript)
        event = peer.event()
    assert (event["status_code"], event["title"], event["context_id"]) == (400, "Invalid transcript", "a")


def test_later_pieces_may_be_empty(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", "Hello.", continue_=True)
        for piece in (" ", "...", ""):
            peer.ask("a", piece, continue_=True)
        peer.ask("a", "")
        assert kinds(peer.until("a")) == ["chunk", "done"]


@pytest.mark.parametrize("ending", ["done", "finishing", "error", "cancel", "expired"])
def test_a_context_that_has_ended_takes_no_more(dial: Dial, ending: str) -> None:
    with LocalServer(expiry=0.001 if ending == "expired" else 1.0) as server:
        peer = dial(server)
        if ending == "error":
            peer.ask("a", "Hello.", model_id="none")
        else:
            peer.ask("a", "Hello.", continue_=ending not in ("done", "finishing"))
        if ending in ("done", "error", "expired"):
            peer.until("a")
        elif ending == "cancel":
            peer.send({"context_id": "a", "cancel": True})
        peer.ask("a", "More.")
        last = peer.fence()[-1]
        assert (last["type"], last["status_code"], last["context_id"]) == ("error", 400, "a")
        assert last["title"] == "Context has closed"


def test_an_ended_id_may_open_a_new_context_if_the_switch_says_so(dial: Dial) -> None:
    with LocalServer(reuse_ended_ids=True) as server:
        peer = dial(server)
        for _ in range(2):
            peer.ask("a", "Hello.")
            assert kinds(peer.until("a")) == ["chunk", "done"]


def test_a_context_expires_after_its_last_audio(dial: Dial) -> None:
    with LocalServer(expiry=0.01) as server:
        peer = dial(server)
        peer.ask("a", "Hello.", continue_=True)
        assert kinds(peer.until("a")) == ["chunk", "done"]


def test_a_context_does_not_expire_while_text_is_held(dial: Dial, audio_of: AudioOf) -> None:
    with LocalServer(expiry=0.01) as server:
        peer = dial(server)
        peer.ask("a", "Hello. And", continue_=True, max_buffer_delay_ms=200, add_timestamps=True)
        events = peer.until("a")
    assert [word for word, _, _ in words_of(events)] == ["Hello.", "And"]


def test_expiry_may_be_silent_or_never(dial: Dial) -> None:
    with LocalServer(expiry=0.001, done_at_expiry=False) as server:
        peer = dial(server)
        peer.ask("a", "Hello.", continue_=True)
        events = peer.fence()
        while not events or events[-1]["type"] != "error":  # an empty piece is refused once the context has ended
            peer.ask("a", "", continue_=True)
            events = peer.fence()
        assert events[-1]["title"] == "Context has closed"
    with LocalServer(expiry=None) as server:
        peer = dial(server)
        peer.ask("a", "Hello.", continue_=True)
        assert peer.event()["type"] == "chunk"
        peer.ask("a", "")
        assert peer.until("a")[-1]["type"] == "done"


@pytest.mark.parametrize("how", [{}, {"flush": True}, {"max_buffer_delay_ms": 0}], ids=str)
def test_a_parted_tag_ends_its_context_with_an_error_that_names_it(dial: Dial, how: dict[str, Any]) -> None:
    with LocalServer(engine="signal") as server:
        peer = dial(server)
        peer.ask("a", 'Wait <break time="1.', continue_=True, **how)
        peer.ask("a", '5s"/> now.')
        peer.ask("b", "Not parted. ", continue_=True)
        peer.ask("b", '<break time="0.1s"/>', continue_=True)
        peer.ask("b", "3 <", continue_=True)
        peer.ask("b", " 5.")
        events = peer.until("a", "b")
    (error,) = (event for event in events if event["type"] == "error")
    assert (error["context_id"], error["status_code"], error["title"]) == ("a", 400, "Invalid transcript")
    assert '<break time="1.5s"/>' in error["message"]


def test_parted_tags_are_joined_if_the_switches_say_so(dial: Dial, audio_of: AudioOf) -> None:
    whole = 'Wait <break time="1.5s"/> now.'
    with LocalServer(engine="signal", strict_tags=False) as server:
        peer = dial(server)
        peer.ask("whole", whole)
        for piece in whole:
            peer.ask("a", piece, continue_=True)
        peer.ask("a", "")
        events = peer.until("a", "whole")
        assert audio_of(events, "a") == audio_of(events, "whole")
        for piece in ("It is <<m|", "e>> turn."):
            peer.ask("b", piece, continue_=piece != "e>> turn.")
        assert peer.until("b")[-1]["type"] == "done"
    with LocalServer(engine="signal", strict_phonemes=True) as server:
        peer = dial(server)
        for piece in ("It is <<m|", "e>> turn."):
            peer.ask("b", piece, continue_=True)
        assert peer.until("b")[-1]["title"] == "Invalid transcript"


SPELLED = "Take <spell>AB1</spell>, and <<m|aɪ>> hat."


def test_what_is_spelled_is_one_word_with_its_tags_and_so_are_phonemes(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", SPELLED, add_timestamps=True)
        events = peer.until("a")
        words = words_of(events)
        assert [word for word, _, _ in words] == ["Take", "<spell>AB1</spell>,", "and", "<<m|aɪ>>", "hat."]
        assert all(start < end for _, start, end in words)
        assert all(first[2] <= second[1] for first, second in zip(words, words[1:]))
        peer.ask("zh", "我<spell>A1</spell>。", add_timestamps=True, language="zh")
        assert [word for word, _, _ in words_of(peer.until("zh"))] == ["我", "<spell>A1</spell>", "。"]


def test_what_is_spelled_is_letters_and_phonemes_are_signs_if_the_switches_say_so(
    dial: Dial, audio_of: AudioOf
) -> None:
    with LocalServer(whole_spell=False, inline_phonemes=False) as server:
        peer = dial(server)
        peer.ask("a", SPELLED, add_timestamps=True)
        signs = peer.until("a")
        words = [word for word, _, _ in words_of(signs)]
        assert words == ["Take", "A", "B", "1,", "and", "<<m|aɪ>>", "hat."]
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", SPELLED)
        assert audio_of(peer.until("a")) != audio_of(signs)


def test_a_first_text_without_a_word_opens_a_context_if_the_switch_says_so(dial: Dial) -> None:
    with LocalServer(engine="signal", strict_first_transcript=False) as server:
        peer = dial(server)
        peer.ask("a", "\n", continue_=True)
        peer.ask("a", "Hello.")
        assert [event["type"] for event in peer.until("a")] == ["chunk", "chunk", "done"]
        peer.ask("b", "...")
        assert [event["type"] for event in peer.until("b")] == ["done"]


@pytest.mark.parametrize(
    "changed",
    [
        {"model_id": "sonic-3"},
        {"voice": "a0e99841-438c-4a64-b679-ae501e7d6091"},
        {"language": "de"},
        {"output_format": {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 22050}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_must_stay_the_same_is_minded_where_there_are_words(dial: Dial, changed: dict[str, Any]) -> None:
    with LocalServer(expiry=None) as server:
        peer = dial(server)
        peer.ask("strict", "One.", continue_=True)
        peer.ask("strict", "Two.", **changed)
        assert peer.until("strict")[-1]["title"] == "Context has closed"
        peer.ask("closer", "One.", continue_=True)
        peer.ask("closer", "", **changed)
        assert peer.until("closer")[-1]["type"] == "done"
    with LocalServer(strict_fields=False) as server:
        peer = dial(server)
        peer.ask("a", "One.", continue_=True)
        peer.ask("a", "Two.", **changed)
        assert peer.until("a")[-1]["type"] == "done"


def test_the_manner_of_speaking_may_change(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", "One.", continue_=True)
        peer.ask("a", "Two.", generation_config={"speed": 1.5, "volume": 0.5})
        assert peer.until("a")[-1]["type"] == "done"


def test_a_context_over_the_limit_is_told_so_and_a_place_becomes_free_at_done(dial: Dial) -> None:
    with LocalServer(concurrency_limit=1) as server:
        one, other = dial(server), dial(server)
        one.ask("a", "Hello.", continue_=True)
        assert one.event()["type"] == "chunk"
        other.ask("b", "Hello.")
        event = other.event()
        assert (event["status_code"], event["error_code"]) == (429, "concurrency_limited")
        one.ask("a", "")
        one.until("a")
        other.ask("c", "Hello.")
        assert other.until("c")[-1]["type"] == "done"


def test_text_that_waits_takes_no_place(dial: Dial) -> None:
    with LocalServer(concurrency_limit=1) as server:
        peer = dial(server)
        peer.ask("waits", "no end", continue_=True, max_buffer_delay_ms=FOR_EVER_MS)
        peer.ask("speaks", "Hello.")
        assert peer.until("speaks")[-1]["type"] == "done"


def test_a_pace_lets_the_first_chunk_go_at_once_and_changes_no_byte(dial: Dial, audio_of: AudioOf) -> None:
    audio = []
    for pace in (None, 50.0):
        with LocalServer(pace=pace) as server:
            peer = dial(server)
            peer.ask("a", "Hello there, this takes a while.")
            audio.append(audio_of(peer.until("a")))
    assert audio[0] == audio[1]
    with LocalServer(pace=1e-6, chunk_bytes=64) as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        assert peer.event()["type"] == "chunk"
        peer.ask("b", "Hello.")
        assert peer.event()["context_id"] == "b"  # a context that waits for its turn does not hold up the others
        assert peer.fence() == []


def test_contexts_take_turns(dial: Dial) -> None:
    """Neither gets ahead of the other while both have something to say."""
    go_on = threading.Event()
    with LocalServer(chunk_bytes=512, engine="signal") as server:
        peer, other = dial(server), dial(server)
        server.inject(Hold(go_on))
        for context_id in ("a", "b"):
            peer.ask(context_id, "Hello there, this takes a while.")
        # Speech is made in the order of asking: when the third is heard, both of ours wait for their turn.
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        other.ask("c", "Hello.")
        other.until("c")
        go_on.set()
        order = [event["context_id"] for event in peer.until("a", "b") if event["type"] == "chunk"]
    assert len(order) > 100
    assert all(one != other for one, other in zip(order, order[1:]))


def test_a_cancel_stops_a_context_at_once_and_leaves_the_others(dial: Dial) -> None:
    with LocalServer(pace=1.0) as server:
        peer = dial(server)
        peer.ask("a", "A long sentence which is cancelled long before its end.", add_timestamps=True)
        assert peer.event()["context_id"] == "a"
        peer.send({"context_id": "a", "cancel": True})
        peer.fence()
        peer.ask("b", "Hi")
        assert {event["context_id"] for event in peer.until("b")} == {"b"}


def test_a_cancel_of_nobody_is_passed_over(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.send({"context_id": "nobody", "cancel": True})
        assert peer.fence() == []
        peer.ask("nobody", "Hello.")
        assert peer.until("nobody")[-1]["type"] == "done"


def test_cancel_switches(dial: Dial) -> None:
    go_on = threading.Event()
    with LocalServer(faults=[Hold(go_on, after=1)], cancel_stops=False, done_after_cancel=True) as server:
        peer = dial(server)
        peer.ask("a", "One sentence. Another.", continue_=True, add_timestamps=True)
        events = [peer.event()]
        peer.send({"context_id": "a", "cancel": True})
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        go_on.set()
        events += peer.until("a")
        assert [word for word, _, _ in words_of(events)] == ["One", "sentence."]
        assert events[-1]["type"] == "done"
    with LocalServer(pace=1.0, done_after_cancel=True) as server:
        peer = dial(server)
        peer.ask("a", "One sentence, and a long one.")
        peer.event()
        peer.send({"context_id": "a", "cancel": True})
        assert peer.until("a")[-1]["type"] == "done"
