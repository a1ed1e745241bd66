"""What leaves of a text that comes in pieces, and when: whole tags, from the first word on, and nothing lost."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cartesia_sync.protocol.text import TextGate, whole_pairs
from cartesia_sync.protocol.words import has_words

TAGS = [
    '<break time="1.5s"/>',
    '<break time="200ms" />',
    '<speed ratio="1.2"/>',
    '<VOLUME ratio="0.8"/>',
    '<emotion value="calm"/>',
    "<spell>A1 < B2</spell>",
    "[laughter]",
    "<<k|a|r>>",
]
BARE = [
    "3 < 5 ",
    "I <3 you ",
    "a [note] ",
    "x << 1 ",
    "<b> ",
    "<break it up ",
    "<spelling ",
    "<<no end of it ",
    "a<b>c ",
]


def gated(pieces: list[str]) -> list[str]:
    gate = TextGate()
    return [text for text in [*map(gate.feed, pieces), gate.finish()] if text]


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted(place % (len(text) + 1) for place in cuts)
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)])]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_leaves_whole_wherever_it_is_cut(tag: str) -> None:
    text = f"One {tag} two."
    for size in range(1, len(text) + 1):
        sent = gated([text[at : at + size] for at in range(0, len(text), size)])
        assert "".join(sent) == text
        assert any(tag in each for each in sent), sent


@pytest.mark.parametrize("bare", BARE)
def test_what_is_no_tag_is_held_no_longer_than_it_may_become_one(bare: str) -> None:
    gate, sent = TextGate(), ""
    for sign in f"One {bare}":
        sent += gate.feed(sign)
    assert sent == f"One {bare}"


@pytest.mark.parametrize(
    ("held", "more", "sent"),
    [
        ("a <bre", "e", "a <bree"),
        ('a <break time="1', "<", 'a <break time="1'),
        ("a [laugh", "s", "a [laughs"),
        ("a <<k|a", " b", "a <<k|a b"),
        ("a <", "3", "a <3"),
    ],
)
def test_it_leaves_with_the_sign_that_decides(held: str, more: str, sent: str) -> None:
    gate = TextGate()
    before = gate.feed(held)
    assert gate.holds_a_tag
    assert (before + gate.feed(more), held.startswith(before)) == (sent, True)


@pytest.mark.parametrize(
    ("pieces", "first"),
    [
        (["\n\n", "Hello"], "\n\nHello"),
        ([" ", "Hello"], " Hello"),
        (["**", "Note", ":** x"], "**Note"),
        (["“", "Hello"], "“Hello"),
        (["- ", "one"], "- one"),
        (["😀", " Hello"], "😀 Hello"),
        (['<emotion value="calm"/>', "Hello"], '<emotion value="calm"/>Hello'),
        (["<emo", 'tion value="calm"/>', " ", "Hello"], '<emotion value="calm"/> Hello'),
        (["\u3000", "你好"], "\u3000你好"),
    ],
)
def test_what_comes_before_the_first_word_leaves_in_front_of_it(pieces: list[str], first: str) -> None:
    assert gated(pieces)[0] == first


@pytest.mark.parametrize(
    "pieces", [[], [""], [" ", "\n"], ["...", "!"], ['<break time="1s"/>'], ["**", "**"], ["[laughter]"]]
)
def test_a_text_without_a_word_is_nothing(pieces: list[str]) -> None:
    assert gated(pieces) == []


def test_what_waits_for_a_tag_leaves_when_asked_and_what_waits_for_a_word_does_not() -> None:
    gate = TextGate()
    assert (gate.feed("**"), gate.holds_a_tag, gate.flush()) == ("", False, "")
    assert gate.feed("Note <bre") == "**Note "
    assert (gate.holds_a_tag, gate.flush(), gate.holds_a_tag) == (True, "<bre", False)
    assert gate.feed('ak time="1s"/>') == 'ak time="1s"/>'


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a\ude00"], "a\ufffd"),
        (["a\ud83d\ud83d", "\ude00"], "a\ufffd😀"),
    ],
)
def test_halves_of_a_pair_are_joined(pieces: list[str], whole: str) -> None:
    assert "".join(gated(pieces)) == whole


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=6), st.sampled_from([*TAGS, *BARE, "<", "[", "<<", ">>", "word", " ", "\ud83d", "\ude00"])
    ),
    max_size=8,
).map("".join)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=12), flushed=st.sets(st.integers(0, 12)))
@example(text="", cuts=[], flushed=set())
def test_nothing_is_lost_doubled_or_moved(text: str, cuts: list[int], flushed: set[int]) -> None:
    gate, sent = TextGate(), []
    first: Optional[str] = None
    for number, piece in enumerate(cut(text, cuts)):
        sent.append(gate.feed(piece))
        if number in flushed:
            sent.append(gate.flush())
    sent.append(gate.finish())
    first = next((each for each in sent if each), None)
    whole = "".join(sent)
    if first is None:
        assert not has_words(text)
        return
    assert has_words(whole) or flushed  # which takes the beginning of a tag for a word
    assert whole == whole_pairs(text)
