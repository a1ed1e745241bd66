"""Names, places, and what is refused before a word is sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, batch
from cartesia_sync.batch import places
from cartesia_sync.batch.ledger import NAME
from cartesia_sync.local import LocalServer

from .folders import OPTIONS, assert_agrees, files_of, rows_of, run, spoken


def paths(client: Cartesia, folder: Path, items: list[Any], **more: Any) -> set[str]:
    run(client, items, folder, **more)
    return files_of(folder)


def test_names_are_made_by_the_pattern(client: Cartesia, tmp_path: Path) -> None:
    items = [{"id": "a/b", "text": "One.", "chapter": "1/2"}, {"id": "c", "text": "Two.", "chapter": "3"}]
    assert paths(client, tmp_path, items, pattern="{chapter}-{{x}}-{number}/{id}.wav") == {
        "1_2-{x}-000001/a/b.wav",
        "3-{x}-000002/c.wav",
    }
    assert_agrees(tmp_path)


def test_an_items_own_name_goes_before_the_pattern_and_a_name_without_a_suffix_gets_one(
    client: Cartesia, tmp_path: Path
) -> None:
    items = [{"id": "a", "text": "One.", "file": "own/A.WAV"}, {"id": "v1.2", "text": "Two.", "format": ".wav"}]
    assert paths(client, tmp_path, items, pattern="{id}") == {"own/A.WAV", "v1.2.wav"}


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{id", "pattern '{id': expected '}' before end of string"),
        ("{id.x}.wav", "a field is a column's name alone"),
        ("{id!r}.wav", "a field is a column's name alone"),
        ("{}.wav", "a field is a column's name alone"),
        ("{chapter}.wav", "item 1: the pattern .* needs 'chapter', which is not given"),
    ],
)
def test_a_pattern_that_is_none_is_refused(client: Cartesia, tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(client, ["One."], tmp_path, pattern=pattern)


FAULTS: dict[str, tuple[list[Any], str]] = {
    "one id twice": ([("a", "One."), ("a", "Two.")], "two items have the id 'a'"),
    "one path twice": (
        [{"text": "One.", "file": "x.wav"}, {"text": "Two.", "file": "x.wav"}],
        "several items would be in one file, .* 'x.wav'",
    ),
    "case alone": ([("a", "One."), ("A", "Two.")], "whose names differ by case alone: 'a.wav'"),
    "composed": ([("\u00e9", "One."), ("e\u0301", "Two.")], "differ by case alone"),
    "above": ([("../a", "One.")], r"item 1 \('../a'\): its file '../a.wav' leaves the folder"),
    "through": ([("a/../../b", "One.")], "leaves the folder"),
    "absolute": ([("/etc/a", "One.")], "leaves the folder"),
    "empty part": ([("a//b", "One.")], "has an empty name in it"),
    "dot": ([("./b", "One.")], "has an empty name in it"),
    "too long": ([("x" * 252, "One.")], "has a name of 256 bytes, and 255 are allowed"),
    "too long in bytes": ([("\u00e9" * 126, "One.")], "has a name of 256 bytes"),
    "very long": ([("/".join(["x" * 200] * 21), "One.")], "is too long"),
    "control": ([("a\nb", "One.")], "an id is a text without control characters"),
    "half a character": ([("a\ud800", "One.")], "item 1: its id or name has half of a character in it"),
    "control in a name": ([{"text": "x", "file": "a\x7f.wav"}], "has a control character in it"),
    "ours": ([{"text": "x", "file": ".cartesia-batch.parts/a.wav"}], "is a name that the batch itself uses"),
    "file and folder": (
        [{"text": "x", "file": "a.wav"}, {"text": "y", "file": "a.wav/b.wav"}],
        "a folder too: 'a.wav'",
    ),
    "other kind": ([{"text": "x", "file": "a.txt"}], "a file is .wav, .*; got the name 'a.txt'"),
    "other format": ([{"text": "x", "format": "docx"}], "a file is .wav, .*; got the format 'docx'"),
    "no text": ([{"id": "a"}], "item 1: expected a text, got none"),
    "bad voice": ([{"text": "x", "voice": {"name": "x"}}], "item 1: voice: expected a mapping with an 'id'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_refused_is_refused_before_the_first_word(
    client: Cartesia, server: LocalServer, tmp_path: Path, name: str
) -> None:
    items, words = FAULTS[name]
    with pytest.raises(ValueError, match=words):
        run(client, [("fine", "Fine."), *items] if "item 1" not in words else items, tmp_path)
    assert (spoken(server), files_of(tmp_path), rows_of(tmp_path)) == ([], set(), {})


def test_several_faults_are_named_at_once(client: Cartesia, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.\./1\.wav' leaves.*'\.\./5\.wav' leaves") as caught:
        run(client, [(f"../{number}", "One.") for number in range(1, 9)], tmp_path)
    assert "../6" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_links_that_lead_elsewhere_are_refused(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "precious.wav").write_bytes(b"precious")
    (out / "link").symlink_to(elsewhere)
    (out / "b.wav").symlink_to(elsewhere / "precious.wav")
    (out / "c").write_bytes(b"a file")
    (out / "d.wav").mkdir()
    for item_id, words in {
        "link/a": "leaves the folder, by a symbolic link",
        "b": "leaves the folder, by a symbolic link",
        "c/x": "would stand in c, which is a file",
        "d": "is a folder",
    }.items():
        with pytest.raises(ValueError, match=words):
            run(client, [(item_id, "One.")], out)
    assert (spoken(server), (elsewhere / "precious.wav").read_bytes()) == ([], b"precious")


def test_arguments_that_are_none_are_refused(client: Cartesia, tmp_path: Path) -> None:
    for more, kind, words in (
        ({"attempts": 0}, ValueError, "attempts is 1 or more; got 0"),
        ({"at_once": True}, ValueError, "at_once is 1 or more; got True"),
        ({"format": "txt"}, ValueError, "format is .*wav.*; got 'txt'"),
        ({"captions": "txt"}, ValueError, "captions are .*; got 'txt'"),
        ({"shared_folder": True}, ValueError, "for the workers of an executor"),
        ({"colour": "red"}, TypeError, "a batch takes no 'colour'"),
        ({"voice": None}, ValueError, "item 1: there is no voice"),
        ({"output_format": {"container": "mp3"}}, ValueError, "output_format: expected"),
    ):
        with pytest.raises(kind, match=words):
            run(client, ["One."], tmp_path, **more)
    with pytest.raises(TypeError, match="items is an iterable of items"):
        run(client, "One.", tmp_path)


def test_a_look_says_what_there_is_to_do_and_does_nothing(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    items = ["One.", "Two.", "Two.", "...", "Five."]
    outlook = batch.plan(client, items, out, **OPTIONS)
    assert outlook[:5] == (4, 1, 0, 1, len("One.Two.Five."))
    assert (outlook.audio_seconds, outlook.seconds) == (pytest.approx(13 / 15), pytest.approx(13 / 15 / 4))
    assert not out.exists()
    run(client, items[:2], out)
    before = files_of(out), rows_of(out)
    outlook = batch.plan(client, items, out, **OPTIONS)
    assert outlook[:5] == (2, 1, 2, 1, len("Five."))
    spoken_seconds = sum(row.seconds for row in rows_of(out).values() if row.state == "done")
    assert outlook.audio_seconds == pytest.approx(5 * spoken_seconds / 8)  # by what was spoken here
    assert (files_of(out), {k: v for k, v in rows_of(out).items() if v.state == "done"}) == before
    assert len(spoken(server)) == 2


def test_beyond_a_number_files_stand_in_two_levels_of_folders(
    client: Cartesia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cartesia_sync.batch.planning.MANY", 40)
    few = [(f"few{number}", "The same.") for number in range(40)]
    assert {path.count("/") for path in paths(client, tmp_path, few)} == {0}
    many = [*few, *((f"many{number}", "The same.") for number in range(40)), {"text": "x.", "file": "own.wav"}]
    report = run(client, many, tmp_path)
    assert (report.done, report.skipped) == (41, 40)  # what has a place keeps it
    assert {path.count("/") for path in files_of(tmp_path) if path.startswith("few")} == {0}
    deep = {path for path in files_of(tmp_path) if "many" in path}
    assert len(deep) == 40
    assert all(len(path.split("/")) == 3 and len(path.split("/")[0]) == 1 for path in deep)
    assert "own.wav" in files_of(tmp_path)
    assert run(client, many, tmp_path).skipped == 81
    assert run(client, many[60:70], tmp_path).skipped == 10  # of a smaller input, too
    assert len(assert_agrees(tmp_path)) == 81


def test_places_are_even() -> None:
    found = {places.placed(str(number), "x.wav") for number in range(10_000)}
    assert len(found) == 256


def test_another_pattern_copies_what_is_there(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    run(client, [("a", "One.")], tmp_path)
    report = run(client, [("a", "One.")], tmp_path, pattern="new/{id}.wav")
    assert (report.copied, len(spoken(server))) == (1, 1)
    assert (tmp_path / "new/a.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()


def test_the_ledger_is_not_made_where_the_items_are_refused_in_a_look(client: Cartesia, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leaves the folder"):
        batch.plan(client, [("../x", "One.")], tmp_path, **OPTIONS)
    assert not (tmp_path / NAME).exists()
