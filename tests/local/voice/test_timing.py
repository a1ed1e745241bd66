from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local.voice.timing import Timed, phoneme_times, word_times


def test_a_phoneme_ends_where_the_next_or_a_pause_begins() -> None:
    assert phoneme_times([("h", 0.0), ("eu", 0.1), ("", 0.3), ("b", 0.5)], 0.75) == [
        Timed("h", 0.0, 0.1),
        Timed("eu", 0.1, 0.3),
        Timed("b", 0.5, 0.75),
    ]


def test_a_phoneme_does_not_pass_the_end_of_the_audio() -> None:
    assert phoneme_times([("h", 0.0), ("i", 9.0)], 0.5) == [Timed("h", 0.0, 0.5), Timed("i", 0.5, 0.5)]


def test_a_word_ends_with_its_last_phoneme_not_with_the_pause_behind_it() -> None:
    phonemes = phoneme_times([("w", 0.0), ("n", 0.2), ("", 0.4), ("t", 0.9), ("", 1.1)], 1.3)
    assert word_times("One, two.", [(0, 0.0), (5, 0.9)], phonemes, 1.3) == [
        Timed("One,", 0.0, 0.4),
        Timed("two.", 0.9, 1.1),
    ]


def test_a_number_of_several_words_is_one_token() -> None:
    assert word_times("In 2024 now", [(0, 0.0), (3, 0.2), (5, 0.5), (8, 1.0)], [], 1.5) == [
        Timed("In", 0.0, 0.2),
        Timed("2024", 0.2, 1.0),
        Timed("now", 1.0, 1.5),
    ]


def test_words_that_were_merged_share_their_time_by_length() -> None:
    assert word_times("of thee x", [(0, 0.0), (8, 0.75)], [], 1.0) == [
        Timed("of", 0.0, 0.25),
        Timed("thee", 0.25, 0.75),
        Timed("x", 0.75, 1.0),
    ]


def test_a_mark_alone_is_a_moment_and_leaves_its_event_to_the_word_behind_it() -> None:
    assert word_times("well - here", [(0, 0.0), (5, 0.5)], [], 1.0) == [
        Timed("well", 0.0, 0.5),
        Timed("-", 0.5, 0.5),
        Timed("here", 0.5, 1.0),
    ]


def test_without_spaces_every_character_is_a_token() -> None:
    assert [word.text for word in word_times("你好。", [(0, 0.0)], [], 1.0, by_character=True)] == ["你", "好", "。"]


@given(
    st.text(alphabet="ab1 -.é你\n", max_size=30),
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 12)), max_size=12),
    st.lists(st.tuples(st.sampled_from(["a", "", "ɹ"]), st.floats(0, 12)), max_size=12),
    st.floats(0, 10),
    st.booleans(),
)
def test_whatever_an_engine_says_times_are_in_order_and_within_the_audio(
    text: str, words: list[tuple[int, float]], phonemes: list[tuple[str, float]], total: float, by_character: bool
) -> None:
    spoken = phoneme_times(sorted(phonemes, key=lambda phoneme: phoneme[1]), total)
    times = word_times(text, words, spoken, total, by_character=by_character)
    tokens = text.split()
    assert [time.text for time in times] == (list("".join(tokens)) if by_character else tokens)
    edges = [edge for time in times for edge in (time.start, time.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= total for edge in edges)


def test_very_many_words_take_no_time() -> None:
    """A dictionary makes them of a short text. Quadratic, these took half a minute."""
    words = 40_000
    text = "! " * words + "a " * words
    starts = [(2 * (words + number), number / 10) for number in range(words)]
    phonemes = phoneme_times([("a", start) for _, start in starts], words / 10)
    begun = time.process_time()
    times = word_times(text, starts, phonemes, words / 10)
    assert time.process_time() - begun < 3
    assert len(times) == 2 * words
    assert times[words : words + 2] == [Timed("a", 0.0, 0.1), Timed("a", 0.1, 0.2)]
