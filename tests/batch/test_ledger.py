"""What a run finds whole, what it makes of the rest, and who may be at a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import BatchStoppedError, Cartesia, batch
from cartesia_sync.audio.files import WholeFile
from cartesia_sync.batch.ledger import NAME, Files, Ledger, Row, digest_of
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import ErrorEvent

from .folders import OPTIONS, assert_agrees, change, files_of, rows_of, run, seconds_of, spoken


def test_texts_become_files_that_are_whole_and_the_ledger_knows_them(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    report = run(client, [("a", "One text."), ("b", "Another one.")], tmp_path)
    assert (report.done, report.skipped, report.failed, report.characters) == (2, 0, [], 21)
    assert report.seconds == pytest.approx(seconds_of(tmp_path / "a.wav") + seconds_of(tmp_path / "b.wav"))
    row = assert_agrees(tmp_path)["a"]
    assert (row.path, row.characters, row.attempts, row.error) == ("a.wav", 9, 1, None)
    assert row.seconds == pytest.approx(seconds_of(tmp_path / "a.wav"))
    assert row.took > 0
    assert sorted(spoken(server)) == ["Another one.", "One text."]


def test_what_is_whole_is_skipped_and_what_has_changed_is_spoken_anew(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    run(client, [("a", "One."), ("b", "Two."), ("c", "Three.")], tmp_path)
    before = (tmp_path / "a.wav").stat().st_mtime_ns
    report = run(client, [("a", "One."), ("b", "Two, changed."), ("c", "Three."), ("d", "Four.")], tmp_path)
    assert (report.done, report.skipped) == (2, 2)
    assert (tmp_path / "a.wav").stat().st_mtime_ns == before
    assert spoken(server)[3:] in (["Two, changed.", "Four."], ["Four.", "Two, changed."])
    assert_agrees(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"voice": "f786b574-daa5-4673-aa0c-cbe3e8534c02"},
        {"model_id": "sonic-3"},
        {"language": "en"},
        {"generation_config": {"speed": 1.2}},
        {"pronunciation_dict_id": "one"},
        {"output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_all_that_shapes_the_sound_counts(client: Cartesia, tmp_path: Path, other: dict[str, Any]) -> None:
    run(client, [("a", "One.")], tmp_path)
    assert batch.plan(client, [("a", "One.")], tmp_path, **OPTIONS).files == 0
    assert batch.plan(client, [("a", "One.")], tmp_path, **{**OPTIONS, **other}).files == 1
    later = client.with_options(cartesia_version="2027-01-01")
    assert batch.plan(later, [("a", "One.")], tmp_path, **OPTIONS).files == 1
    slower = {**OPTIONS, "timeout": 9.0}
    assert batch.plan(client, [("a", "One.")], tmp_path, **slower).files == 0


def test_what_is_gone_or_another_file_is_spoken_again(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    items = [(name, f"Text {name}.") for name in "abcd"]
    run(client, items, tmp_path)
    (tmp_path / "a.wav").unlink()
    (tmp_path / "b.wav").write_bytes(b"something else")
    content = bytearray((tmp_path / "c.wav").read_bytes())
    content[-1] ^= 1  # as long as before
    (tmp_path / "c.wav").write_bytes(content)
    os.utime(tmp_path / "d.wav")  # only touched
    report = run(client, items, tmp_path)
    assert (report.done, report.skipped) == (3, 1)
    assert sorted(spoken(server)[4:]) == ["Text a.", "Text b.", "Text c."]
    assert_agrees(tmp_path)


def test_what_sounds_alike_is_spoken_once_and_copied(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    report = run(client, [(str(number), "The same." if number % 10 else "Not.") for number in range(300)], tmp_path)
    assert (report.done, report.copied, report.characters) == (300, 298, len("The same.") + len("Not."))
    assert sorted(spoken(server)) == ["Not.", "The same."]
    assert (tmp_path / "1.wav").read_bytes() == (tmp_path / "299.wav").read_bytes() != (tmp_path / "0.wav").read_bytes()
    assert len(assert_agrees(tmp_path)) == 300
    report = run(client, [("later", "The same.")], tmp_path)
    assert (report.done, report.copied, report.characters) == (1, 1, 0)
    assert len(spoken(server)) == 2


def test_a_copy_of_what_was_changed_meanwhile_is_spoken(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    def spoil(progress: batch.Progress) -> None:
        if progress.report.done == 1:
            (tmp_path / "a.wav").write_bytes(b"something else")

    run(client, [("a", "The same.")], tmp_path)
    others = [(str(number), f"Text {number}.") for number in range(20)]
    report = run(client, [*others, ("b", "The same."), ("c", "The same.")], tmp_path, on_progress=spoil)
    assert (report.done, report.copied) == (22, 1)
    assert spoken(server).count("The same.") == 2
    assert (tmp_path / "b.wav").exists()


def test_what_waits_for_one_that_fails_fails_with_it(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    server.inject(ErrorEvent(422, "unprocessable", message="Not this."))
    items = [(str(number), "The same.") for number in range(1200)]
    report = run(client, items, tmp_path)
    assert (report.done, len(report.failed), len(spoken(server))) == (0, 1200, 1)
    assert {failure.error for failure in report.failed} == {report.failed[0].error}
    assert "Not this." in report.failed[0].error
    assert [failure.attempts for failure in report.failed[:3]] == [1, 0, 0]
    assert run(client, items, tmp_path).done == 1200


@pytest.mark.parametrize("text", ["", "...", ' <break time="1s"/> ', "\u2014 \U0001f600"])
def test_a_text_without_words_makes_no_file_and_costs_nothing(
    client: Cartesia, server: LocalServer, tmp_path: Path, text: str
) -> None:
    report = run(client, [("a", text), ("b", "Words.")], tmp_path)
    assert (report.done, report.wordless, report.failed) == (1, 1, [])
    assert spoken(server) == ["Words."]
    assert rows_of(tmp_path)["a"].state == "no words"
    assert files_of(tmp_path) == {"b.wav"}


# ---- what a process that was killed leaves


def intent(folder: Path, content: bytes, item_id: str = "a") -> Row:
    """Say in the ledger that this is about to be written, as just before a kill."""
    row = Row(item_id, "hash", "done", "a.wav", "a.wav", (Files("a.wav", len(content), digest_of(content)),), 1.0, 3)
    with Ledger(str(folder)) as ledger:
        ledger.note_writing(row)
    return row


def test_a_file_that_has_its_name_before_the_kill_is_done(tmp_path: Path) -> None:
    intent(tmp_path, b"whole")
    (tmp_path / "a.wav").write_bytes(b"whole")
    assert rows_of(tmp_path) == {}
    assert assert_agrees(tmp_path)["a"].files[0].changed == (tmp_path / "a.wav").stat().st_mtime_ns


@pytest.mark.skipif(sys.platform == "win32", reason="a part is taken away when it is a minute old")
def test_a_file_that_has_not_is_not_and_its_part_goes(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from cartesia_sync.audio.files import WholeFile\n"
        "with WholeFile(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    intent(tmp_path, b"whole")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.wav")], timeout=20)
    assert len(files_of(tmp_path)) == 1
    assert assert_agrees(tmp_path) == {}
    assert files_of(tmp_path) == set()


def test_an_older_file_of_the_same_item_stays_what_it_was(client: Cartesia, tmp_path: Path) -> None:
    run(client, [("a", "One.")], tmp_path)
    before = rows_of(tmp_path)
    intent(tmp_path, b"of another text")
    assert assert_agrees(tmp_path) == before


def test_a_file_is_known_before_it_has_its_name(
    client: Cartesia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a copy of the folder in that instant, which is what a kill then leaves, comes to agree."""
    real, folder, seen = os.replace, tmp_path / "out", []

    def replace(part: Any, target: Any) -> None:
        real(part, target)
        copy = tmp_path / f"copy-{len(seen)}"
        shutil.copytree(folder, copy)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", real)
            seen.append(set(assert_agrees(copy)))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        run(client, [("a", "One."), ("b", "Two."), ("c", "One.")], folder)
    assert list(map(len, seen)) == [1, 2, 3]


def test_of_several_files_half_is_none(tmp_path: Path) -> None:
    """The new sound has its name, and the captions are those of before: neither stays."""
    for name in ("a.wav", "a.srt"):
        (tmp_path / name).write_bytes(b"before")
    files = [Files(name, 6, digest_of(b"before")) for name in ("a.wav", "a.srt")]
    row = Row("a", "hash", "done", "a.wav", "a.wav", tuple(files), 1.0, 3)
    with Ledger(str(tmp_path)) as ledger:
        ledger.note_writing(row)
        ledger.settle(row)
    assert files_of(tmp_path) == {"a.wav", "a.srt"}
    with Ledger(str(tmp_path)) as ledger:
        after = tuple(file._replace(size=5, digest=digest_of(b"after")) for file in files)
        ledger.note_writing(row._replace(hash="other", files=after))
    assert set(assert_agrees(tmp_path)) == {"a"}  # of which nothing was written
    with Ledger(str(tmp_path)) as ledger:
        ledger.note_writing(row._replace(hash="other", files=after))
    (tmp_path / "a.wav").write_bytes(b"after")
    assert assert_agrees(tmp_path) == {}
    assert files_of(tmp_path) == set()


def test_an_item_that_takes_anothers_path_has_it_alone(client: Cartesia, tmp_path: Path) -> None:
    run(client, [{"id": "a", "text": "One.", "file": "x.wav"}], tmp_path)
    run(client, [{"id": "b", "text": "Two.", "file": "x.wav"}], tmp_path)
    assert set(rows_of(tmp_path)) == {"b"}
    assert set(assert_agrees(tmp_path)) == {"b"}


# ---- who may be at it


def test_a_second_process_is_told_at_once_and_the_first_ones_death_lets_it_in(client: Cartesia, tmp_path: Path) -> None:
    code = (
        "import sys, threading; from cartesia_sync.batch.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1]); print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(BatchStoppedError, match=f"another process is at work on {tmp_path}") as caught:
            run(client, ["One."], tmp_path)
        assert caught.value.report is None
        other.kill()
    assert run(client, ["One."], tmp_path).done == 1


def test_a_second_run_in_this_process_is_told_too(client: Cartesia, tmp_path: Path) -> None:
    with Ledger(str(tmp_path)), pytest.raises(BatchStoppedError, match="another process is at work"):
        run(client, ["One."], tmp_path)


def test_what_is_no_ledger_or_a_later_ones_is_said(client: Cartesia, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"this is no database, and it is long enough to be looked at" * 40)
    with pytest.raises(BatchStoppedError, match="is no ledger, or is damaged"):
        run(client, ["One."], tmp_path)
    (tmp_path / NAME).unlink()
    run(client, ["One."], tmp_path)
    change(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(BatchStoppedError, match=r"later version of cartesia-sync \(99\)"):
        run(client, ["One."], tmp_path)


def test_a_ledger_that_is_taken_away_meanwhile_stops_it(client: Cartesia, tmp_path: Path) -> None:
    def take_away(progress: batch.Progress) -> None:
        if progress.report.done == 1:
            for name in (NAME, f"{NAME}-wal"):
                (tmp_path / name).unlink(missing_ok=True)

    with pytest.raises(BatchStoppedError, match="is gone, or is another file now") as caught:
        run(client, [f"Text {number}." for number in range(30)], tmp_path, on_progress=take_away)
    assert caught.value.report.done == 1


def test_a_part_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """Of a file that is written here right now, by whoever it is."""
    intent(tmp_path, b"whole")
    with WholeFile(tmp_path / "a.wav") as file:
        file.write(b"other")
        with Ledger(str(tmp_path)) as ledger:
            ledger.reconcile()
        assert len(files_of(tmp_path)) == 1
    assert (tmp_path / "a.wav").read_bytes() == b"other"
