"""Words that fit the text that was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.speech.words import Aligner, Entry, Word, align


def entries(names: list[str]) -> list[Entry]:
    return [Entry(name, float(index), index + 0.5) for index, name in enumerate(names)]


def aligned(transcript: str, names: list[str]) -> list[str]:
    words, _ = align(transcript, entries(names))
    for word in words:
        assert word.text_start is not None
        assert word.text_end is not None
    return [transcript[word.text_start : word.text_end] for word in words]


@pytest.mark.parametrize(
    ("transcript", "names", "parts"),
    [
        ("Hello there.", ["Hello", "there."], ["Hello", "there."]),
        ("Hello, there!", ["hello", "THERE"], ["Hello,", "there!"]),
        ("  Well — no…", ["Well", "—", "no…"], ["Well —", "no…"]),
        ('She said "go" (now).', ["She", "said", "go", "now"], ["She", "said", '"go"', "(now)."]),
        ("A well-known fact", ["A", "well", "known", "fact"], ["A", "well-", "known", "fact"]),
        ("A well-known fact", ["A", "well-known", "fact"], ["A", "well-known", "fact"]),
        ("It's 3.14 now", ["It's", "3.14", "now"], ["It's", "3.14", "now"]),
        ("Café ΣΑΣ STRASSE", ["Cafe\u0301", "σας", "straße"], ["Café", "ΣΑΣ", "STRASSE"]),
        ("你好。今天天气很好！", ["你", "好", "。", "今天", "天气很", "好"], ["你", "好。", "今天", "天气很", "好！"]),
        ("他说：“你好。”", ["他", "说", "你好"], ["他", "说：", "“你好。”"]),
        ("हिन्दी में", ["हिन्दी", "में"], ["हिन्दी", "में"]),
        ("สวัสดีครับ", ["สวัสดี", "ครับ"], ["สวัสดี", "ครับ"]),
        ("שלום, עולם!", ["שלום", "עולם"], ["שלום,", "עולם!"]),
        ("gonna go", ["gon", "na", "go"], ["gon", "na", "go"]),
        (
            'Code <spell>AB1</spell>, <break time="1s"/> ok',
            ["Code", "<spell>AB1</spell>,", '<break time="1s"/>', "ok"],
            ["Code", "<spell>AB1</spell>,", "ok"],
        ),
        ('A <break time="1s"/> b', ["A", "<break", 'time="1s"/>', "b"], ["A", "b"]),
        ("Ha [laughter] ha", ["Ha", "[laughter]", "ha"], ["Ha", "ha"]),
        ("Say <<k|ɑ|ɹ>> now", ["Say", "<<k|ɑ|ɹ>>", "now"], ["Say", "<<k|ɑ|ɹ>>", "now"]),
        ("I <3 you", ["I", "<3", "you"], ["I", "<3", "you"]),
    ],
)
def test_a_word_is_found_with_its_marks(transcript: str, names: list[str], parts: list[str]) -> None:
    assert aligned(transcript, names) == parts
    assert align(transcript, entries(names))[1] == len(transcript)


def test_tags_are_not_shown() -> None:
    words, _ = align(
        '<emotion value="calm"/>My <spell>A1</spell>. <<k|ɑ|ɹ>>!', entries(["My", "<spell>A1</spell>.", "x"])
    )
    assert [word.text for word in words[:2]] == ["My", "A1."]
    words, _ = align("<<k|ɑ|ɹ>>!", entries(["<<k|ɑ|ɹ>>!"]))
    assert [word.text for word in words] == ["kɑɹ!"]


@pytest.mark.parametrize(
    ("transcript", "names", "places", "found"),
    [
        # A number that is spelled out; it could be 23 or 2 and 3, so that what follows is not guessed.
        ("It is 23 now", ["It", "is", "twenty", "three", "now"], [(0, 2), (3, 5), None, None, None], "It is"),
        # The service gives no time for a sum.
        ("So 1+1 is two", ["So", "is", "two"], [(0, 2), None, None], "So"),
        # "to" is the beginning of a word of the transcript, but what follows is not its rest.
        ("today we go", ["to", "morrow"], [None, None], ""),
        ("Hello", ["Hello", "again"], [(0, 5), None], None),
        ("", ["Hello"], [None], None),
    ],
)
def test_it_stops_at_the_first_word_that_does_not_come_next_and_says_how_far_it_came(
    transcript: str, names: list[str], places: list[tuple[int, int] | None], found: str | None
) -> None:
    words, end = align(transcript, entries(names))
    assert [None if word.text_start is None else (word.text_start, word.text_end) for word in words] == places
    assert [word.text for word, place in zip(words, places) if place is None] == [
        name for name, place in zip(names, places) if place is None
    ]
    assert transcript[:end] == found if found is not None else end <= len(transcript)


def test_a_transcript_may_grow_while_words_come() -> None:
    aligner = Aligner("One two. ")
    first = aligner.feed([Entry("One", 0, 1), Entry("two.", 1, 2)])
    assert aligner.aligned_to == len("One two. ")
    aligner.set_transcript("One two. Three.")
    assert aligner.aligned_to == len("One two.")
    assert first + aligner.feed([Entry("Three.", 2, 3)]) == [
        Word("One", 0, 1, 0, 3),
        Word("two.", 1, 2, 4, 8),
        Word("Three.", 2, 3, 9, 15),
    ]
    assert not aligner.is_lost


@given(st.lists(st.sampled_from(["a", "Bé", "3.5", "你", "(x)", "“q”", "don't", "—", "!", "\n"]), max_size=12))
def test_words_are_in_order_do_not_overlap_and_leave_nothing_but_spaces(pieces: list[str]) -> None:
    transcript = " ".join(pieces)
    words, end = align(transcript, entries(transcript.split()))
    assert end == len(transcript)
    at = 0
    for word in words:
        assert word.text_start is not None
        assert word.text_end is not None
        assert transcript[at : word.text_start].strip() == ""
        assert transcript[word.text_start : word.text_end] == word.text
        at = word.text_end
    if words:
        assert transcript[at:].strip() == ""
