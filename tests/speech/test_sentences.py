"""A text, sentence by sentence."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.speech import sentences
from cartesia_sync.speech.sentences import LONGEST, SentenceGate, load_segment, sentences_of

pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason="sentencex needs Python 3.10")


def gate(language: str = "en") -> SentenceGate:
    return SentenceGate(load_segment(), language)


def sent(pieces: list[str], language: str = "en") -> list[str]:
    made = gate(language)
    return [each for each in [*(text for piece in pieces for text in made.feed_all(piece)), made.finish()] if each]


@pytest.mark.parametrize(
    ("pieces", "language", "wanted"),
    [
        (["One. Two! Three?"], "en", ["One. ", "Two! ", "Three?"]),
        (["Dr. Smith", " is here. ", "Good."], "en", ["Dr. Smith is here. ", "Good."]),
        (["It is 3", ".", "14 now. Yes"], "en-GB", ["It is 3.14 now. ", "Yes"]),
        (["你好。今天天气很好！"], "zh", ["你好。", "今天天气很好！"]),
        (["One.\n\nTwo."], "en", ["One.\n\n", "Two."]),
        (["- ", "One. ", "... ", "Two."], "en", ["- One. ", "... Two."]),
        (
            ['Wait. <break time="1.5s"/> Go. <spell>A. B</spell> on.'],
            "en",
            ["Wait. ", '<break time="1.5s"/> Go. ', "<spell>A. B</spell> on."],
        ),
        (["Wait. <bre", 'ak time="1s"/>', " Go. On"], "en", ["Wait. ", '<break time="1s"/> Go. ', "On"]),
        (["Oh \ud83d", "\ude00. Yes."], "en", ["Oh \U0001f600. ", "Yes."]),
        (["...", " \n"], "en", []),
    ],
)
def test_sentences(pieces: list[str], language: str, wanted: list[str]) -> None:
    assert sent(pieces, language) == wanted


def test_the_first_one_leaves_early_and_the_others_when_the_next_has_begun() -> None:
    made = gate()
    assert made.feed_all("Hello there.") == []
    assert made.feed_all(" ") == ["Hello there. "]
    assert made.feed_all("How are you? ") == []
    assert made.feed_all("I") == ["How are you? "]


def test_a_long_first_sentence_is_begun_at_a_clause() -> None:
    long = "a" * sentences.LONG_FIRST
    assert sent([f"{long}, and ", "more, and more"]) == [f"{long}, ", "and more, and more"]


def test_what_waits_may_leave_after_a_while() -> None:
    made = gate()
    assert (made.feed_all("Hello there"), made.flush_after) == ([], sentences.UNFINISHED_SECONDS)
    assert (made.feed_all("."), made.flush_after) == ([], sentences.FINISHED_SECONDS)
    assert (made.flush(), made.flush_after) == ("Hello there.", None)
    made.put_back("Hello there.")
    assert (made.feed_all(" So 3."), made.flush_after) == (["Hello there. "], sentences.UNFINISHED_SECONDS)
    assert (made.feed_all(" <br"), made.flush_after) == ([], sentences.UNFINISHED_SECONDS)
    assert (made.flush(), made.finish()) == ("So 3. <br", "")


def test_a_text_without_the_end_of_a_sentence_is_cut_at_a_space() -> None:
    text = "word " * 1000
    pieces = sent([f"{each} " for each in text.split()])
    assert "".join(pieces) == text
    assert all(len(piece) <= LONGEST + 5 and piece.endswith(" ") for piece in pieces)


@given(
    st.lists(st.text("ab .!?\n\r。“”<>/[]3,\ud83d\ude00", max_size=12), max_size=8), st.sampled_from(["en", "zh", "xx"])
)
def test_nothing_is_lost_however_it_is_cut(pieces: list[str], language: str) -> None:
    made, plain = gate(language), sentences.TextGate()
    out = "".join(text for piece in pieces for text in made.feed_all(piece)) + made.finish()
    assert out == "".join(text for piece in pieces for text in plain.feed_all(piece)) + plain.finish()


@given(st.text(max_size=60).filter(lambda text: any(map(str.isalnum, text))))
def test_a_whole_text_is_its_sentences(text: str) -> None:
    assert "".join(sentences_of(text)) == text


def test_work_grows_with_the_text_and_not_with_its_square() -> None:
    """By how much text the library is asked for."""
    seen = 0
    segment = load_segment()

    def counting(language: str, text: str) -> list[str]:
        nonlocal seen
        seen += len(text)
        return segment(language, text)

    made, text = SentenceGate(counting), "This is a sentence of some words. " * 2000
    assert len(made.feed_all(text)) == 1999
    assert seen < 3 * len(text)


def test_where_it_is_missing_or_loses_spaces_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lossy:
        @staticmethod
        def segment(language: str, text: str) -> list[str]:
            return text.split()

    modules: list[Any] = [None, Lossy]
    for module in modules:
        monkeypatch.setitem(sys.modules, "sentencex", module)
        with pytest.raises(ImportError, match=r"needs sentencex 1 and Python 3\.10 .*'cartesia-sync\[text\]'"):
            load_segment()
