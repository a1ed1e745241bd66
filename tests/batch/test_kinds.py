"""Files of every kind, and captions beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.batch.ledger import Files, Ledger, digest_of
from cartesia_sync.local import LocalServer

from .folders import FORMAT, VOICE, assert_agrees, files_of, rows_of, run, spoken

TEXTS = [("a", "This is one text."), ("b", "And another one.")]


@pytest.mark.parametrize("kind", ["mp3", "ogg", "opus", "flac"])
def test_files_are_of_the_kind_that_is_asked_for(client: Cartesia, tmp_path: Path, kind: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    options: Any = {"output_format": None}
    report = run(client, TEXTS, tmp_path, format=kind, **options)
    assert (report.done, files_of(tmp_path)) == (2, {f"a.{kind}", f"b.{kind}"})
    info = soundfile.info(str(tmp_path / f"a.{kind}"))
    assert info.format == {"mp3": "MP3", "flac": "FLAC"}.get(kind, "OGG")
    assert info.samplerate == (48000 if kind == "opus" else 44100)
    assert info.duration == pytest.approx(rows_of(tmp_path)["a"].seconds, abs=0.1)
    assert run(client, TEXTS, tmp_path, pattern=f"{{id}}.{kind}", **options).skipped == 2


def test_captions_stand_beside_each_file_and_belong_to_it(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    pytest.importorskip("pysubs2")
    assert run(client, [*TEXTS, ("c", TEXTS[0][1])], tmp_path, captions="srt").done == 3
    assert files_of(tmp_path) == {f"{name}.{suffix}" for name in "abc" for suffix in ("wav", "srt")}
    assert "This is one text." in (tmp_path / "a.srt").read_text()
    assert (tmp_path / "c.srt").read_text() == (tmp_path / "a.srt").read_text()
    assert [file.path for file in assert_agrees(tmp_path)["a"].files] == ["a.wav", "a.srt"]
    assert len(spoken(server)) == 2
    (tmp_path / "b.srt").unlink()
    assert run(client, TEXTS, tmp_path, captions="srt").done == 1
    assert len(spoken(server)) == 3
    assert run(client, TEXTS, tmp_path, captions="vtt").done == 2  # other captions are other files
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT")


def test_half_of_the_two_files_is_not_whole(client: Cartesia, tmp_path: Path) -> None:
    pytest.importorskip("pysubs2")
    run(client, TEXTS[:1], tmp_path, captions="srt")
    row = rows_of(tmp_path)["a"]
    files = (Files("a.wav", 4, digest_of(b"new.")), Files("a.srt", 4, digest_of(b"new.")))
    with Ledger(str(tmp_path)) as ledger:
        ledger.note_writing(row._replace(hash="other", files=files))
    (tmp_path / "a.wav").write_bytes(b"new.")  # and then it was killed
    with Ledger(str(tmp_path)) as ledger:
        ledger.reconcile()
    assert (rows_of(tmp_path), files_of(tmp_path)) == ({}, set())
    assert run(client, TEXTS[:1], tmp_path, captions="srt").done == 1
    assert_agrees(tmp_path)


def test_what_a_kind_does_not_take_is_refused_before_the_first_word(
    client: Cartesia, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("soundfile")
    with pytest.raises(ValueError, match=r"item 1: opus takes the sample rates .* 44100 Hz"):
        run(client, TEXTS, tmp_path, format="opus", output_format={**FORMAT, "sample_rate": 44100})
    clash = [{"text": "One.", "file": "x.wav"}, {"text": "Two.", "file": "x.mp3"}]
    with pytest.raises(ValueError, match=r"would have one file of captions: 'x\.srt'"):
        run(client, clash, tmp_path, captions="srt")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"cartesia-sync\[audio\]"):
        run(client, TEXTS, tmp_path, format="mp3")
    monkeypatch.setitem(sys.modules, "pysubs2", None)
    with pytest.raises(ImportError, match=r"cartesia-sync\[captions\]"):
        run(client, TEXTS, tmp_path, captions="srt")
    assert (spoken(server), files_of(tmp_path)) == ([], set())


def test_each_item_may_be_of_a_kind_of_its_own(client: Cartesia, tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    items = [{"id": "a", "text": "One.", "format": "flac"}, {"id": "b", "text": "Two."}]
    items.append({"id": "c", "text": "Three.", "file": "sub/c.ogg"})
    run(client, items, tmp_path, voice=VOICE)
    assert files_of(tmp_path) == {"a.flac", "b.wav", "sub/c.ogg"}
