from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local.voice.pronunciation import Item, Pronunciation, Written, as_written
from cartesia_sync.local.voice.timing import Timed
from cartesia_sync.local.voice.transcript import Pause, Phrase, Style, read_tags

STYLE = Style()


def spoken(text: str, *items: Any, by_character: bool = False) -> str:
    parts, _ = Pronunciation(Item(*item) for item in items).apply([Phrase(text, STYLE)], by_character=by_character)
    return "".join(part.text for part in parts if isinstance(part, Phrase))


@pytest.mark.parametrize(
    ("text", "items", "expected"),
    [
        ("Ask SQL about it.", [("SQL", "sequel")], "Ask sequel about it."),
        ("Ask sql, Sql; (SQL)!", [("SQL", "sequel")], "Ask sequel, sequel; (sequel)!"),
        ("MySQL and SQLite and SQL's.", [("SQL", "sequel")], "MySQL and SQLite and sequel's."),
        ("US and us.", [("US", "you ess", True)], "you ess and us."),
        ("Live shows live.", [("live", "lyve", True)], "lyve shows lyve."),
        ("They Live.", [("live", "lyve", True)], "They Live."),
        ("New York and York.", [("York", "Yorick"), ("New York", "NYC")], "NYC and Yorick."),
        ("a b", [("a", "b"), ("b", "a")], "b a"),
        ("It costs $5.", [("$5", "five dollars")], "It costs five dollars."),
        ("Hi.", [], "Hi."),
        ("back\\slash", [("back", "\\1")], "\\1\\slash"),
    ],
)
def test_whole_words_are_replaced(text: str, items: Any, expected: str) -> None:
    assert spoken(text, *items) == expected


def test_text_without_spaces_is_searched_everywhere() -> None:
    assert spoken("我爱北京。", ("北京", "背景"), by_character=True) == "我爱背景。"
    assert spoken("我爱北京。", ("北京", "背景")) == "我爱北京。"


def test_phonemes_in_an_alias_are_spans_of_the_text_and_those_of_the_transcript_stay() -> None:
    (phrase,), _ = read_tags("The <<m|aɪ>> bayou, <spell>AB</spell>.", STYLE)
    items = [Item("bayou", "<<ˈ|b|ɑ|ˈ|j|u>>"), Item("m", "no"), Item("A", "no")]
    (spoken,), written = Pronunciation(items).apply([phrase], by_character=False)
    assert isinstance(spoken, Phrase)
    assert spoken.text == "The maɪ bɑju, A B."
    sounds = [(spoken.text[span.start : span.end], span.sounds) for span in spoken.spans]
    assert sounds == [("maɪ", ("m", "aɪ")), ("bɑju", ("ˈ", "b", "ɑ", "ˈ", "j", "u"))]
    assert written == [
        Written(["The"], 1),
        Written(["<<m|aɪ>>"], 1),
        Written(["bayou,"], 1),
        Written(["<spell>AB</spell>."], 2),
    ]
    (spoken,), _ = Pronunciation(items).apply([phrase], by_character=False, inline_phonemes=False)
    assert isinstance(spoken, Phrase)
    assert spoken.text == "The maɪ <<ˈ|b|ɑ|ˈ|j|u>>, A B."


def test_what_is_spelled_among_characters_is_one_token() -> None:
    (phrase,), _ = read_tags("我爱<spell>A 1</spell>。", STYLE)
    (spoken,), written = Pronunciation([]).apply([phrase], by_character=True)
    assert isinstance(spoken, Phrase)
    assert spoken.text == "我爱 A 1。"
    assert [(group.tokens, group.spoken) for group in written] == [
        (["我"], 1),
        (["爱"], 1),
        (["<spell>A 1</spell>"], 2),
        (["。"], 1),
    ]


def times(text: str) -> list[Timed]:
    return [Timed(token, float(number), number + 1.0) for number, token in enumerate(text.split())]


def written_times(text: str, *items: Any) -> list[Timed]:
    parts, written = Pronunciation(Item(*item) for item in items).apply([Phrase(text, STYLE)], by_character=False)
    (part,) = parts
    assert isinstance(part, Phrase)
    return as_written(times(part.text), written)


def test_times_name_what_is_written() -> None:
    assert written_times("Ask SQL, now.", ("SQL", "ess queue ell")) == [
        Timed("Ask", 0, 1),
        Timed("SQL,", 1, 4),
        Timed("now.", 4, 5),
    ]


def test_words_that_are_spoken_as_one_share_its_time() -> None:
    assert written_times("In New York.", ("New York", "Gotham")) == [
        Timed("In", 0, 1),
        Timed("New", 1, 1.375),
        Timed("York.", 1.375, 2),
    ]


def test_a_word_that_is_not_spoken_is_a_moment() -> None:
    assert written_times("Well um yes.", ("um", "")) == [Timed("Well", 0, 1), Timed("um", 1, 1), Timed("yes.", 1, 2)]


def test_a_part_with_nothing_left_is_left_out_and_pauses_stay() -> None:
    parts = [Phrase("um.", STYLE), Pause(1.0), Phrase("Yes.", STYLE)]
    kept, written = Pronunciation([Item("um", "")]).apply(parts, by_character=False)
    assert kept == parts[1:]
    assert written == [Written(["um."], 0), Written(["Yes."], 1)]
    assert as_written([Timed("Yes.", 1.0, 1.5)], written) == [Timed("um.", 0, 0), Timed("Yes.", 1.0, 1.5)]


TEXTS = st.from_regex(r"\A[ab]( ?[ab])*\Z")


@given(st.text("ab ,."), st.lists(st.tuples(TEXTS, st.text("abc .")), max_size=3), st.booleans())
def test_whatever_is_replaced_the_written_tokens_are_kept_in_order(text: str, items: Any, by_character: bool) -> None:
    parts, written = Pronunciation(Item(*item) for item in items).apply(
        [Phrase(text, STYLE)], by_character=by_character
    )
    tokens = [token for group in written for token in group.tokens]
    assert tokens == ([character for character in text if not character.isspace()] if by_character else text.split())
    spoken = "".join(part.text for part in parts if isinstance(part, Phrase))
    count = len([character for character in spoken if not character.isspace()]) if by_character else len(spoken.split())
    assert sum(group.spoken for group in written) == count
