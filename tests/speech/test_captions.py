"""Cues: where they are cut, how long they stay, and what the files hold."""

from __future__ import annotations

import builtins
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.audio.kinds import CAPTIONS
from cartesia_sync.speech import captions as room
from cartesia_sync.speech.captions import Captions, Cue, captions_of
from cartesia_sync.speech.words import Entry, Word, align

WORD, PAUSE = 0.3, 0.4


def spoken(transcript: str, *, word: float = WORD, pauses: dict[str, float] | None = None) -> tuple[Word, ...]:
    """Speak a text: each token as long as the next, and a pause behind a mark."""
    at, entries = 0.0, []
    tokens = re.findall(r"[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+", transcript)
    for token in tokens:
        entries.append(Entry(token, round(at, 3), round(at + word, 3)))
        at += word
        at += (pauses or {}).get(token, PAUSE if token[-1] in ".!?。！" else 0.0)
    return align(transcript, entries)[0]


def texts(captions: Captions) -> list[str]:
    return [cue.text for cue in captions]


@pytest.mark.parametrize(
    ("transcript", "wanted"),
    [
        ("Hello there. How are you today?", ["Hello there.", "How are you today?"]),
        # A sentence of one word stands with what is beside it.
        ("Yes. I think that this is right.", ["Yes. I think that this is right."]),
        ("I think that this is right. Yes.", ["I think that this is right. Yes."]),
        ("Dr. Smith met J. S. Bach in St. Gallen.", ["Dr. Smith met J. S. Bach in St. Gallen."]),
        ('He said "no." Then he left us there.', ['He said "no."', "Then he left us there."]),
        # Two lines of like length, not one that is full and one word.
        ("The quick brown fox jumps over the lazy dog.", ["The quick brown fox\njumps over the lazy dog."]),
        # Too long for one cue: cut at the clause.
        (
            "This is a longer transcript that was made for a test, and it goes on behind the comma for quite a while.",
            [
                "This is a longer transcript\nthat was made for a test,",
                "and it goes on behind the\ncomma for quite a while.",
            ],
        ),
        # No clause: parts of like size, and no orphan.
        (
            "This sentence has no mark at all until it ends and it is far too long for the two lines of a cue here",
            [
                "This sentence has no mark\nat all until it ends and",
                "it is far too long for the\ntwo lines of a cue here",
            ],
        ),
        ("One paragraph\n\nAnother paragraph", ["One paragraph", "Another paragraph"]),
        ("First line\nsecond line", ["First line second line"]),
        ("你好。今天天气很好！我们去公园走走吧。", ["你好。", "今天天气很好！", "我们去公园走走吧。"]),
        ("שלום עולם! מה שלומך היום?", ["שלום עולם!", "מה שלומך היום?"]),
        (
            'Wait<break time="1s"/>now, <spell>A1</spell> it is. <emotion value="calm"/>Good night to you.',
            ["Wait now, A1 it is.", "Good night to you."],
        ),
    ],
)
def test_where_cues_are_cut(transcript: str, wanted: list[str]) -> None:
    assert texts(captions_of(spoken(transcript), transcript)) == wanted


def test_chinese_is_cut_by_the_width_of_its_characters_and_no_line_begins_with_a_mark() -> None:
    transcript = (
        "东京是日本的首都，也是世界上人口最多的城市之一，每天有数百万人乘坐火车上下班，而且这个数字还在不断增长。"
    )
    for words in (spoken(transcript, word=0.2), [Word(transcript, 0.0, 9.0)]):  # by character, and as one entry
        cues = texts(captions_of(words, transcript if len(words) > 1 else ""))
        assert "".join(cues).replace("\n", "") == transcript
        lines = [line for cue in cues for line in cue.split("\n")]
        assert max(map(len, lines)) <= 21
        assert len(cues) == 2
        assert not any(line[0] in "，。" for line in lines)


def test_a_long_pause_ends_a_cue_and_a_short_one_is_a_place_to_cut() -> None:
    transcript = "one two three four five six"
    words = spoken(transcript, pauses={"three": 1.5})
    assert texts(captions_of(words, transcript)) == ["one two three", "four five six"]
    transcript = (
        "the words of this text have no marks and no clauses but there is a pause behind the word here and on it goes"
    )
    words = spoken(transcript, word=0.2, pauses={"clauses": 0.5})
    assert texts(captions_of(words, transcript))[0].endswith("no clauses")


def test_times() -> None:
    words = [Word("Hi.", 1.0, 1.2), Word("A", 5.0, 5.1), Word("longer", 5.1, 5.2), Word("sentence.", 5.2, 5.4)]
    first, second = captions_of(words)
    assert (first.start, first.end) == (1.0, pytest.approx(1.0 + 5 / 6))  # long enough to be read
    assert (second.start, second.end) == (5.0, pytest.approx(5.0 + 18 / 20))  # 20 columns a second
    words = [Word("A short one.", 0.0, 0.3), Word("The next comes at once, " + "and more" * 7, 0.5, 3.0)]
    assert captions_of(words)[0].end == 0.5  # the speech does not allow more
    assert captions_of([Word("Looong.", 0.0, 30.0)], max_seconds=7)[0] == Cue(0.0, 7.0, "Looong.")


def test_the_limits_of_the_user_hold() -> None:
    transcript = "The quick brown fox jumps over the lazy dog, and nobody knows why it did so."
    captions = captions_of(spoken(transcript), transcript, max_chars=20, max_lines=1, max_seconds=3)
    assert all(len(cue.text) <= 20 and cue.end - cue.start <= 3 for cue in captions)
    assert " ".join(texts(captions)) == transcript
    captions = captions_of(spoken(transcript), transcript, max_chars=20, max_lines=4, max_seconds=60)
    assert len(captions) == 1
    assert max(map(len, captions[0].text.split("\n"))) <= 20


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"max_chars": 1}, ValueError),
        ({"max_chars": 42.0}, TypeError),
        ({"max_lines": 0}, ValueError),
        ({"max_lines": True}, TypeError),
        ({"max_seconds": 0}, ValueError),
        ({"max_seconds": float("inf")}, ValueError),
        ({"min_seconds": -1}, ValueError),
        ({"min_seconds": "1"}, TypeError),
        ({"min_seconds": 8}, ValueError),
    ],
)
def test_a_limit_that_is_none_is_refused_by_its_name(limits: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(limits))):
        captions_of([], **limits)


def test_words_that_fit_no_text_are_shown_as_they_came() -> None:
    words, _ = align(
        "It is 23 now.", [Entry("It", 0, 1), Entry("is", 1, 2), Entry("twenty-three", 2, 3), Entry("now.", 3, 4)]
    )
    assert texts(captions_of(words, "It is 23 now.")) == ["It is twenty-three now."]
    assert texts(captions_of([Word("你", 0, 1), Word("好", 1, 2)])) == ["你好"]
    assert texts(captions_of([])) == []


_tokens = st.sampled_from(
    [
        "a",
        "Word",
        "sentence.",
        "clause,",
        "http://example.com/a/very/long/name/that/fills/a/line",
        "你",
        "好。",
        "e\u0301t\u0301",
        "(x)",
        "No.",
    ]
)


@given(
    st.lists(st.tuples(_tokens, st.floats(0, 3), st.floats(0, 3)), max_size=40),
    st.integers(4, 42),
    st.integers(1, 3),
    st.sampled_from([2.0, 7.0]),
)
def test_what_holds_for_all_cues(
    tokens: list[tuple[str, float, float]], max_chars: int, max_lines: int, max_seconds: float
) -> None:
    at, words = 0.0, []
    for token, pause, length in tokens:
        words.append(Word(token, at + pause, at + pause + length))
        at += pause + length
    cues = captions_of(words, max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds).cues
    shown = "".join(cue.text for cue in cues)
    assert re.sub(r"\s", "", shown) == "".join(token for token, _, _ in tokens)
    for cue, following in zip(cues, [*cues[1:], None]):
        assert 0 <= cue.end - cue.start <= max_seconds + 1e-9
        assert following is None or cue.end <= following.start + 1e-9
        lines = cue.text.split("\n")
        assert len(lines) <= max_lines
        assert all(sum(map(room._columns, line)) <= max_chars for line in lines)
        assert all(line == line.strip() and line for line in lines)


def test_no_word_stands_alone_where_others_are_near() -> None:
    transcript = "Well, nobody knew him there at all"
    cues = captions_of(spoken(transcript, pauses={"Well,": 0.3}), transcript, max_chars=16)
    assert texts(cues) == ["Well,\nnobody knew", "him there at all"]  # and not behind the comma


def test_an_abbreviation_is_no_better_place_than_another() -> None:
    transcript = "It was the old captain himself who came in the night and Mr. Smith saw him there"
    cues = captions_of(spoken(transcript, pauses={"Mr.": 0.0}), transcript, max_chars=30)
    wanted = ["It was the old captain\nhimself who came", "in the night and Mr.\nSmith saw him there"]
    assert texts(cues) == wanted  # and not behind "Mr.", where no sentence ends


# ---- files


@pytest.fixture
def captions() -> Captions:
    transcript = "Hello there, you two. How are you?"
    return captions_of(spoken(transcript), transcript)


@pytest.mark.parametrize("suffix", [".srt", ".vtt", ".ass", ".ssa", ".json", ".SRT"])
def test_a_file_is_read_back_by_the_library(captions: Captions, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    captions.save(path)
    read = pysubs2.load(str(path), format_=CAPTIONS[suffix.lower()])
    assert [event.plaintext for event in read] == texts(captions)
    for event, cue in zip(read, captions):
        assert (event.start / 1000, event.end / 1000) == pytest.approx((cue.start, cue.end), abs=0.0051)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_an_srt_as_it_stands(captions: Captions) -> None:
    assert captions.content("srt") == (
        "1\n00:00:00,000 --> 00:00:01,200\nHello there, you two.\n\n2\n00:00:01,600 --> 00:00:02,500\nHow are you?\n\n"
    )
    assert captions.content("vtt").startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.200\nHello there, you two.\n")
    assert [event["text"] for event in json.loads(captions.content("json"))["events"]] == texts(captions)


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        ("a {b} c", "srt", "a (b) c"),
        ("a {\\an8} c", "ass", "a (\\an8) c"),
        ("<i>x</i>", "srt", "\u2039i>x\u2039/i>"),
        ("3 < 4", "srt", "3 < 4"),
        ("3 < 4 --> 5 &amp; R&B", "vtt", "3 &lt; 4 --&gt; 5 &amp;amp; R&B"),
        ("C:\\new", "srt", "C:\\\u2060new"),
        ("C:\\Now", "ass", "C:\\\u2060Now"),
    ],
)
def test_what_would_be_a_players_command_is_shown(text: str, kind: str, written: str) -> None:
    content = Captions((Cue(0, 1, text),)).content(kind)
    assert written in content
    assert len(pysubs2.SSAFile.from_string(content, format_=kind)) == 1


def test_what_is_no_caption_file_is_refused_and_nothing_is_made(captions: Captions, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.srt, \.vtt, \.ass, \.ssa, \.json; got .*a\.txt"):
        captions.save(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="of the kind srt"):
        captions.content("txt")
    with pytest.raises(FileNotFoundError):
        captions.save(tmp_path / "no" / "a.srt")
    assert list(tmp_path.iterdir()) == []


def test_without_the_library_the_error_names_the_extra(
    captions: Captions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pysubs2", None)
    with pytest.raises(ImportError, match=r"pip install 'cartesia-sync\[captions\]'"):
        captions.save(tmp_path / "a.srt")
    assert list(tmp_path.iterdir()) == []


def test_an_hour_is_cut_without_looking_at_all_of_it_for_each_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """By counting what is asked of spans: a bounded number for each word, though no sentence ever ends."""
    asked = 0
    fits = room._Layout.fits

    def counting(*arguments: Any) -> bool:
        nonlocal asked
        asked += 1
        return fits(*arguments)

    monkeypatch.setattr(room._Layout, "fits", counting)
    words = [Word("word", index * 0.4, index * 0.4 + 0.4) for index in range(9000)]
    begun = time.monotonic()
    assert len(captions_of(words)) > 500
    assert asked < 25 * 9000
    assert time.monotonic() - begun < 20  # a bound; by hand it is under one


def test_captions_are_a_sequence(captions: Captions) -> None:
    assert (len(captions), captions[0], captions[-1]) == (2, captions.cues[0], captions.cues[1])
    assert builtins.list(captions) == [*captions.cues]
