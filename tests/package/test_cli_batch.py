"""``cartesia-sync batch``: what it makes, says, refuses and how it ends."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartesia_sync.audio.wav import read_wav
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import ErrorEvent

from ..support.command import Command, runner


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with LocalServer(engine="signal", concurrency_limit=4) as server:
        monkeypatch.setenv("CARTESIA_API_KEY", "x")
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        yield server


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("id,text,language\na,Hello.,en\nb,Good day.,\nc,...,\nd,Hello.,en\n")
    return path


def test_texts_become_files_and_the_end_says_what_was_done(
    command: Command, server: LocalServer, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, said, errors = command("batch", str(texts), str(out), "--limit", "2", "--sample-rate", "8000")
    assert (status, errors) == (0, "")
    lines = said.splitlines()
    assert lines[0].startswith("3 files in ")
    assert lines[0].endswith(", 15 characters, 0 refused")
    assert lines[1] == "1 of them copies, 1 without words"
    assert lines[2].startswith("slowest: ")
    assert sorted(path.name for path in out.glob("*.wav")) == ["a.wav", "b.wav", "d.wav"]
    audio_format, _ = read_wav((out / "a.wav").read_bytes())
    assert (audio_format.encoding, audio_format.sample_rate) == ("pcm_s16le", 8000)
    heard = {each.message["transcript"]: each.message for each in server.heard if isinstance(each.message, dict)}
    assert heard["Hello."]["language"] == "en"
    assert heard["Hello."]["model_id"] == "sonic-latest"
    assert "language" not in heard["Good day."]
    status, said, errors = command("batch", str(texts), str(out), "--sample-rate", "8000")
    assert (status, said.splitlines()[1], errors) == (0, "3 whole before, 1 without words", "")


def test_options_say_how_all_is_spoken(command: Command, server: LocalServer, texts: Path, tmp_path: Path) -> None:
    voice = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
    options = ["--voice", voice, "--model", "sonic-3", "--language", "de", "--speed", "1.2", "--dictionary", "none"]
    status, _, _ = command("batch", str(texts), str(tmp_path / "out"), *options, "--pattern", "{language}/{id}.wav")
    assert status == 2  # two have no language of their own, which the pattern needs
    command("batch", str(texts), str(tmp_path / "out"), *options)
    heard = {each.message["transcript"]: each.message for each in server.heard if isinstance(each.message, dict)}
    message = heard["Good day."]
    assert (message["voice"], message["model_id"], message["language"]) == (voice, "sonic-3", "de")
    assert (message["generation_config"], message["pronunciation_dict_id"]) == ({"speed": 1.2}, "none")
    assert heard["Hello."]["language"] == "en"


def test_a_look_says_what_it_would_cost_and_sends_nothing(
    command: Command, server: LocalServer, texts: Path, tmp_path: Path
) -> None:
    arguments = ("batch", str(texts), str(tmp_path / "out"), "--dry-run")
    status, said, errors = command(*arguments, "--limit", "4")
    assert (status, errors) == (0, "")
    assert said == (
        "3 files are to be made, 1 of them as copies; 0 are whole, 1 have no words\n"
        "15 characters are to be spoken (as many credits): about 1 s of audio, in about 0 s or less\n"
    )
    status, said, _ = command(*arguments, "--json")
    found = json.loads(said)
    assert (status, found["event"], found["files"], found["copies"], found["characters"]) == (0, "plan", 3, 1, 15)
    assert (server.heard, (tmp_path / "out").exists()) == ([], False)


def test_standard_input_is_read_as_lines_or_as_what_is_said(
    command: Command, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content, more in (("One.\nTwo.\n", ()), ('{"id": "x", "text": "Three."}\n', ("--input-format", "jsonl"))):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode()), encoding="ascii"))
        assert command("batch", "-", str(tmp_path / "out"), *more)[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.wav")) == ["000001.wav", "000002.wav", "x.wav"]


def test_what_fails_is_listed_and_the_list_is_the_next_input(
    command: Command, server: LocalServer, texts: Path, tmp_path: Path
) -> None:
    server.inject(ErrorEvent(422, message="Not this."))
    texts.write_text("id,text\na,Hello.\nd,Hello.\n")
    out = tmp_path / "out"
    status, said, errors = command("batch", str(texts), str(out), "--limit", "1")
    assert (status, errors) == (1, "")
    assert "failed: a (1x): UnprocessableEntityError: " in said
    assert f"all that failed is in {out / 'failed.csv'}, which can be the next INPUT" in said
    status, said, _ = command("batch", str(out / "failed.csv"), str(out))
    assert (status, said.splitlines()[0].startswith("2 files in ")) == (0, True)
    assert command("batch", str(texts), str(out), "--retry-failed")[0] == 0


def test_machines_are_told_in_json(command: Command, server: LocalServer, texts: Path, tmp_path: Path) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    texts.write_text(f"id,text,voice\na,Hello.,{nobody}\nb,Good day.,\nc,...,\nd,Hello.,{nobody}\n")
    status, said, errors = command("batch", str(texts), str(tmp_path / "out"), "--json", "--limit", "1")
    failed, also, summary = map(json.loads, said.splitlines())
    assert (status, errors) == (1, "")
    assert (failed["event"], failed["id"], failed["attempts"], also["id"]) == ("failed", "a", 1, "d")
    assert (summary["event"], summary["done"], summary["failed"], summary["wordless"]) == ("summary", 1, 2, 1)
    assert [each["id"] for each in summary["slowest"]] == ["b"]
    assert [each["id"] for each in summary["failures"]] == ["a", "d"]


def test_without_credits_it_stops_and_says_how_to_go_on(
    command: Command, server: LocalServer, texts: Path, tmp_path: Path
) -> None:
    server.inject(ErrorEvent(402, message="Pay, please.", times=None))
    status, said, errors = command("batch", str(texts), str(tmp_path / "out"))
    assert (status, said.startswith("0 files in ")) == (1, True)
    assert errors.startswith("cartesia-sync: the account has no credits left: ")
    assert errors.endswith("Pay, please; run the same command again to go on\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "0"], "argument --limit: expected 1 or more, got 0"),
        (["--limit-redis", "redis://x"], "--limit-redis shares the number of --limit, which is not given"),
        (["--limit", "2", "--limit-redis", "redis://x", "--learn"], "give one of them"),
        (["--shared-folder"], "--shared-folder is for the workers of --executor"),
        (["--executor", "dask=x"], "--executor needs --limit"),
        (["--executor", "ray=x", "--limit", "2"], "an executor is dask=ADDRESS, .* got 'ray=x'"),
        (["--format", "docx"], "format is .*; got 'docx'"),
        (["--captions", "docx"], "captions are .*; got 'docx'"),
        (["--pattern", "{x}.wav"], "item 1: the pattern '{x}.wav' needs 'x'"),
        (["--pattern", "../{id}.wav"], "leaves the folder"),
        (["--input-format", "jsonl"], "line 1: this is no JSON"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_in_a_line(
    command: Command, server: LocalServer, texts: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    import re

    status, said, errors = command("batch", str(texts), str(tmp_path / "out"), *arguments)
    assert (status, said, errors.count("\n")) == (2, "", 1)
    assert re.search(words, errors)
    assert server.heard == []


def test_an_input_that_is_not_there_is_named(command: Command, server: LocalServer, tmp_path: Path) -> None:
    status, _, errors = command("batch", str(tmp_path / "none.csv"), str(tmp_path / "out"))
    assert (status, errors) == (1, f"cartesia-sync: {tmp_path / 'none.csv'}: No such file or directory\n")
    status, _, errors = command("batch", str(tmp_path), str(tmp_path / "out"))
    assert (status, errors) == (2, f"cartesia-sync: {tmp_path}: this is a folder\n")


def test_a_limit_is_learned_where_none_is_given(command: Command, server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"Text {number}.\n" for number in range(60)))
    status, said, _ = command("batch", str(tmp_path / "texts.txt"), str(tmp_path / "out"))
    assert (status, said.startswith("60 files in ")) == (0, True)
    assert os.path.exists(tmp_path / "out" / "000060.wav")
