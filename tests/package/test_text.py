"""Tags made of values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local.voice.transcript import Pause, Phrase, Style, read_tags
from cartesia_sync.protocol.words import has_words
from cartesia_sync.text import emotion, pause, phonemes, plain, speed, spell, volume


@pytest.mark.parametrize(
    ("made", "tag"),
    [
        (pause(1), '<break time="1s"/>'),
        (pause(0.5), '<break time="500ms"/>'),
        (pause(1.25), '<break time="1250ms"/>'),
        (speed(1.2), '<speed ratio="1.2"/>'),
        (speed(1), '<speed ratio="1"/>'),
        (volume(0.8), '<volume ratio="0.8"/>'),
        (emotion("calm"), '<emotion value="calm"/>'),
        (emotion("Joking/Comedic"), '<emotion value="Joking/Comedic"/>'),
        (spell("A1-B2"), "<spell>A1-B2</spell>"),
        (phonemes("k|ɑ|ɹ"), "<<k|ɑ|ɹ>>"),
        (phonemes(["k", "ɑ", "ɹ"]), "<<k|ɑ|ɹ>>"),
    ],
)
def test_tags(made: str, tag: str) -> None:
    assert made == tag


@pytest.mark.parametrize(
    ("call", "value", "error"),
    [
        (pause, 0, ValueError),
        (pause, -1, ValueError),
        (pause, 0.0001, ValueError),
        (pause, float("nan"), ValueError),
        (pause, "1s", TypeError),
        (pause, True, TypeError),
        (speed, float("inf"), ValueError),
        (volume, 0.0001, ValueError),
        (emotion, '"/><break', ValueError),
        (emotion, "", ValueError),
        (emotion, None, TypeError),
        (spell, "...", ValueError),
        (spell, 12, TypeError),
        (phonemes, "k ɑ", ValueError),
        (phonemes, "k|>>", ValueError),
        (phonemes, "", ValueError),
        (phonemes, [], ValueError),
        (plain, b"x", TypeError),
    ],
)
def test_what_cannot_stand_in_a_tag_is_refused(call: Any, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"got|takes|is "):
        call(value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("3 < 4 and [x] > y <b>", "3 < 4 and [x] > y <b>"),
        ('<break time="9s"/>', '\u2039break time="9s"/>'),
        ("a < / spell >", "a \u2039 / spell >"),
        ("<<k>> [Laughter]", "\u2039\u2039k>> (Laughter]"),
        ("ends with <", "ends with \u2039"),
        ("ends with <bre", "ends with \u2039bre"),
    ],
)
def test_a_users_text_is_read_as_it_stands(text: str, read: str) -> None:
    assert plain(text) == read


def kinds(text: str) -> list[type]:
    return [type(each) for each in read_tags(text, Style())[0]]


_users = st.lists(
    st.sampled_from(
        ["<", ">", "</", "[", "]", "break", "spell", "laughter", "speed", ' time="1s"', "/>", " ", "k|ɑ", "x"]
    ),
    max_size=8,
).map("".join)


@given(_users, _users)
def test_no_users_text_becomes_a_tag(text: str, another: str) -> None:
    """By the local server's reading of tags: a text is one phrase, with nothing taken out of it."""
    made = f"a{plain(text)}{plain(another)}a"
    phrases, style = read_tags(made, Style())
    assert style == Style()
    assert [(each.text.split(), each.spans) for each in phrases if isinstance(each, Phrase)] == [(made.split(), ())]
    assert len(phrases) == 1


@given(_users.filter(has_words))
def test_a_users_text_does_not_leave_its_tag(text: str) -> None:
    made = f"a {spell(text)} b{pause(1)}"
    assert made.count("<") == made.replace(spell(text), "").count("<") + spell(text).count("<")
    assert kinds(made).count(Pause) == 1
    assert spell(text).lower().count("</spell>") == 1
