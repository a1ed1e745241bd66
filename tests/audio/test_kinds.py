"""What a file's name says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync.audio.kinds import CAPTIONS, PICTURES, SOUNDS, kind_among, sound_kind_of, suffix_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.MP3", "mp3"), ("a.oga", "ogg"), ("a.opus", "opus"), ("a.flac", "flac"), ("a.wave", "wav"), ("a.7", "wav")],
)
def test_a_suffix_says_the_kind(name: str, kind: str) -> None:
    assert sound_kind_of(name) == sound_kind_of(Path(name)) == kind
    assert sound_kind_of(io.BytesIO()) == "wav"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.M4A", r"sound is written to \.wav, .*\.flac; got '\.m4a'"),
        ("a.srt", r"\.srt is a file of captions, which context\.record\(\) saves"),
        ("a.png", r"\.png is a picture, which context\.record\(\) plots"),
    ],
)
def test_a_suffix_of_what_is_no_sound_of_ours_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sound_kind_of(name)


@pytest.mark.parametrize(("target", "shown"), [("a.txt", "'a.txt'"), (io.BytesIO(), "'a file object without kind='")])
def test_a_kind_that_must_be_one_of_some(target: Any, shown: str) -> None:
    assert kind_among(CAPTIONS, Path("x/a.SRT"), "captions go to") == "srt"
    with pytest.raises(ValueError, match=rf"captions go to \.srt, .*; got {shown}"):
        kind_among(CAPTIONS, target, "captions go to")


def test_no_suffix_is_of_two_kinds() -> None:
    assert not set(SOUNDS) & set(CAPTIONS) | set(CAPTIONS) & set(PICTURES) | set(SOUNDS) & set(PICTURES)
    assert {suffix_of(f"a{suffix.upper()}") for suffix in (*SOUNDS, *CAPTIONS, *PICTURES)} == {
        *SOUNDS,
        *CAPTIONS,
        *PICTURES,
    }
