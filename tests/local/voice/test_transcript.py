from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local.voice.transcript import (
    Pause,
    Phrase,
    Sentence,
    Span,
    Style,
    TagWatch,
    TextBuffer,
    has_words,
    read_tags,
)


def spoken(*pieces: str) -> list[str]:
    """The sentences that these pieces make, up to the end of the context."""
    buffer = TextBuffer()
    sentences = [sentence for piece in pieces for sentence in buffer.add(piece)]
    return [sentence.text for sentence in sentences + buffer.take_rest()]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "Yes." She left.', ['He said "Yes."', "She left."]),
        ("Version 3.14 is out. Get it.", ["Version 3.14 is out.", "Get it."]),
        ("Dr. Who met J. S. Bach, e.g. here. End.", ["Dr. Who met J. S. Bach, e.g. here.", "End."]),
        ("Wait... what?! No.", ["Wait...", "what?!", "No."]),
        ("你好。再见\uff01", ["你好。", "再见\uff01"]),
        ("नमस्ते। फिर मिलेंगे।", ["नमस्ते।", "फिर मिलेंगे।"]),
        ("A title\n\nA text", ["A title", "A text"]),
        ("A line\nand its rest.", ["A line\nand its rest."]),
        ("... !!! --", []),
        ('Pause <break time="1. 5s"/> here. End.', ['Pause <break time="1. 5s"/> here.', "End."]),
    ],
)
def test_sentences_end_where_they_end(text: str, sentences: list[str]) -> None:
    assert spoken(text) == sentences


@pytest.mark.parametrize("text", ["Hello there. How are you? I am 3.5 feet tall.", "Dr. Who! 你好。再见。 x", "a b c"])
def test_the_cut_into_pieces_does_not_matter(text: str) -> None:
    for cut in range(len(text) + 1):
        assert spoken(text[:cut], text[cut:]) == spoken(text), f"cut after {text[:cut]!r}"
    assert spoken(*text) == spoken(text)


def test_a_sentence_is_spoken_as_soon_as_it_is_whole() -> None:
    buffer = TextBuffer()
    assert buffer.add("Hel") == []
    assert buffer
    assert buffer.add("lo.") == [Sentence("Hello.")]
    assert not buffer
    assert buffer.add(" It is 3.") == []  # may be 3.5
    assert buffer.add("5 now. And") == [Sentence("It is 3.5 now.")]
    assert buffer.take_rest() == [Sentence("And")]
    assert buffer.take_rest() == []


def test_a_change_of_style_ends_the_sentence() -> None:
    buffer = TextBuffer()
    assert buffer.add("slow ", speed=0.8) == []
    assert buffer.add("fast", speed=1.2, volume=1.5) == [Sentence("slow", speed=0.8)]
    assert buffer.take_rest() == [Sentence("fast", speed=1.2, volume=1.5)]


def test_text_without_an_end_is_cut_at_spaces() -> None:
    words = "word " * 1000
    sentences = spoken(words)
    assert max(map(len, sentences)) <= 500
    assert " ".join(sentences) == words.strip()


def test_a_word_without_an_end_is_cut() -> None:
    sentences = spoken("x" * 1700)
    assert max(map(len, sentences)) <= 500
    assert "".join(sentences) == "x" * 1700


@given(st.lists(st.text(alphabet='ab3. !?"<>/\n。…', max_size=12), max_size=8))
def test_no_letter_is_lost_or_doubled(pieces: list[str]) -> None:
    def letters(text: str) -> str:
        return "".join(filter(str.isalnum, text))

    assert letters("".join(spoken(*pieces))) == letters("".join(pieces))


@pytest.mark.parametrize(("text", "has"), [("", False), (" .!-…", False), ("。", False), ("a", True), ("- 7", True)])
def test_words_are_letters_or_digits(text: str, has: bool) -> None:
    assert has_words(text) is has


TAGS = (
    '<break time="1.5s"/>',
    "<break time='200ms' />",
    '<speed ratio="1.0"/>',
    '<volume ratio="0.8"/>',
    '<Emotion value="calm"/>',
    "<spell>A.B 12</spell>",
    "[laughter]",
)
PHONEMES = "<<k|ɑ|ɹ|ˈ|t|i|ʒ|ə>>"


def parted(*pieces: str, tags: bool = True, phonemes: bool = True) -> list[Optional[str]]:
    watch = TagWatch(tags=tags, phonemes=phonemes)
    return [watch.add(piece) for piece in pieces]


@pytest.mark.parametrize("tag", [*TAGS, PHONEMES])
def test_a_tag_that_is_cut_anywhere_is_noticed_and_one_that_is_whole_is_not(tag: str) -> None:
    text = f"Well, {tag} then {tag}."
    first, last = text.index(tag), text.rindex(tag)
    for cut in range(len(text) + 1):
        is_inside = first < cut < first + len(tag) or last < cut < last + len(tag)
        assert parted(text[:cut], text[cut:]) == [None, tag if is_inside else None], cut
    assert tag in parted(*text)
    assert tag in parted(text[: first + 1], "", text[first + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "3 < 5 and 7 > 2, I <3 you",
        "a < speed and b > 2",
        "<b>bold</b> <breakfast>",
        "[last] [laugh",
        "1 << 3 and 8 >> 1",
        '<break time="1s"',
        "<spell>never closed",
    ],
)
def test_what_is_no_tag_may_be_cut_anywhere(text: str) -> None:
    assert parted(*text) == [None] * len(text)


def test_each_kind_is_watched_or_not() -> None:
    assert parted("<break ", "/>", tags=False) == [None, None]
    assert parted("<<m|", "e>>", phonemes=False) == [None, None]


def test_the_watch_keeps_little_and_is_done_soon() -> None:
    watch = TagWatch(tags=True, phonemes=True)
    for _ in range(20):
        assert watch.add("<spell>" * 3000) is None
        assert watch.add("<<" * 10000) is None
    assert len(watch._tail) <= 1000
    assert watch.add("<spell>A") is None
    assert watch.add("1</spell>") == "<spell>A1</spell>"


PLAIN = Style()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Plain.", [Phrase("Plain.", PLAIN)]),
        ('One <break time="1s"/> two', [Phrase("One", PLAIN), Pause(1.0), Phrase("two", PLAIN)]),
        ("<break time='250ms' />x", [Pause(0.25), Phrase("x", PLAIN)]),
        ('<break time="0.5s"/>', [Pause(0.5)]),
        ('<break time="9999s"/>', [Pause(30.0)]),
        ('a <break time="soon"/> b <break/> c', [Phrase("a  b  c", PLAIN)]),
        ('<emotion value="calm"/>Hm [laughter] yes', [Phrase("Hm  yes", PLAIN)]),
        ("It is <spell>A1-b</spell>.", [Phrase("It is A 1 b.", PLAIN, (Span(6, 11, "<spell>A1-b</spell>"),))]),
        ("x<spell>A</spell>y", [Phrase("x A y", PLAIN, (Span(1, 4, "<spell>A</spell>"),))]),
        (
            " <spell>A</spell><spell> B2</spell> ",
            [
                Phrase("A B 2", PLAIN, (Span(0, 1, "<spell>A</spell>"), Span(1, 5, "<spell> B2</spell>"))),
            ],
        ),
        ("a <spell>--</spell> b", [Phrase("a  b", PLAIN)]),
        ("In <<m|aɪ>>.", [Phrase("In maɪ.", PLAIN, (Span(3, 6, "<<m|aɪ>>", ("m", "aɪ")),))]),
        ("<<ˈ|b|ɑ|>> x", [Phrase("bɑ x", PLAIN, (Span(0, 2, "<<ˈ|b|ɑ|>>", ("ˈ", "b", "ɑ")),))]),
        ("un<<d|u>>ing", [Phrase("un du ing", PLAIN, (Span(2, 6, "<<d|u>>", ("d", "u")),))]),
        ("1 << 3 and 8 >> 1", [Phrase("1 << 3 and 8 >> 1", PLAIN)]),
        ("1 < 2 and <b>bold</b>", [Phrase("1 < 2 and <b>bold</b>", PLAIN)]),
        ('<speed ratio="1.2.3"/>x', [Phrase("x", PLAIN)]),
    ],
)
def test_tags_are_obeyed_or_left_out(text: str, parts: list[object]) -> None:
    assert read_tags(text, PLAIN) == (parts, PLAIN)


def test_what_is_spelled_is_letters_and_phonemes_are_text_if_that_is_asked_for() -> None:
    text = "It is <spell>A1</spell>, <<m|aɪ>>."
    (spelled,), _ = read_tags(text, PLAIN, whole_spell=False, inline_phonemes=False)
    assert spelled == Phrase("It is A 1, <<m|aɪ>>.", PLAIN)


def test_speed_and_volume_hold_from_there_on() -> None:
    parts, style = read_tags('a <speed ratio="1.5"/> b <volume ratio="0.8"/> c', PLAIN)
    quick, soft = Style(speed_ratio=1.5), Style(speed_ratio=1.5, volume_ratio=0.8)
    assert parts == [Phrase("a", PLAIN), Phrase("b", quick), Phrase("c", soft)]
    assert style == soft
    assert read_tags("d", style) == ([Phrase("d", soft)], soft)


@pytest.mark.parametrize(("asked", "given"), [("9", 2.0), ("0.01", 0.5)])
def test_ratios_are_held_within_reason(asked: str, given: float) -> None:
    _, style = read_tags(f'<speed ratio="{asked}"/>', PLAIN)
    assert style.speed_ratio == given
