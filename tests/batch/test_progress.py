"""What is shown of a run: a bar on a terminal, lines elsewhere, JSON for machines."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from cartesia_sync import Cartesia, batch
from cartesia_sync.batch import progress as shown
from cartesia_sync.batch.report import Failure, Progress, Report
from cartesia_sync.local import LocalServer

from ..support.processes import serving
from .commands import batch_command
from .folders import run

HALF = Progress(
    files=200,
    report=Report(done=99, failed=[Failure("x", "why", 2)], seconds=3723.4, characters=12345, elapsed=50.0, refused=3),
    slots=15,
    in_use=14,
    under_way=20,
    resting=2,
)
WORDS = "1:02:03 h of audio, 12,345 characters, 3 refused, 14 of 15 slots, 2 wait to be tried again, 1 failed"


def test_a_line_has_all_of_it() -> None:
    assert shown.line_of(HALF) == f"100 of 200 files, {WORDS}, 2.0 files/s, about 50 s left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1:00 min"), (59, "59 s"), (185, "3:05 min"), (7385, "2:03:05 h"), (360000, "100:00:00 h")],
)
def test_durations_read_as_people_write_them(seconds: float, words: str) -> None:
    assert shown.clock(seconds) == words


def test_lines_come_each_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    lines: list[str] = []
    monkeypatch.setattr("time.monotonic", lambda: now)
    display = shown.Lines(lines.append)
    for each in (101.0, 109.9, 110.0, 110.1, 119.0, 120.5):
        now = each
        display.show(HALF)
    assert lines == [shown.line_of(HALF)] * 2


def test_json_has_each_failure_at_once_and_figures_each_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    lines: list[str] = []
    monkeypatch.setattr("time.monotonic", lambda: now)
    display = shown.JsonLines(lines.append)
    for each in (101.0, 111.0):
        now = each
        display.show(HALF)
    failed, figures = map(json.loads, lines)
    assert failed == {"event": "failed", "id": "x", "error": "why", "attempts": 2}
    assert (figures["event"], figures["done"], figures["files"], figures["in_use"]) == ("progress", 99, 200, 14)


def test_the_bar_shows_files_and_all_else() -> None:
    pytest.importorskip("tqdm")
    screen = io.StringIO()
    bar = shown.Bar(screen)
    bar.show(HALF)
    bar.close()
    last = screen.getvalue().rstrip().rpartition("\r")[2]
    assert re.search(r" 50%\|.*\| 100/200 \[.*<.*, .* files/s, ", last)
    assert WORDS in last


def test_without_tqdm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"pip install 'cartesia-sync\[batch\]'"):
        shown.Bar(io.StringIO())


def test_a_summary_has_the_slowest_and_the_failed() -> None:
    failed = [Failure(f"f{number}", "why", 1) for number in range(12)]
    report = Report(done=3, copied=1, skipped=2, failed=failed, slowest=[batch.Slow("a", 2.0), batch.Slow("b", 1.0)])
    lines = shown.summary_of(report, failed_path="out/failed.csv").splitlines()
    assert lines[1:3] == ["1 of them copies, 2 whole before", "slowest: a 2.0 s, b 1.0 s"]
    assert lines[3] == "failed: f0 (1x): why"
    assert lines[-2:] == ["... and 2 more failed", "all that failed is in out/failed.csv, which can be the next INPUT"]


def test_a_program_is_shown_each_item_and_what_stands_still(
    client: Cartesia, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cartesia_sync.batch.running.TICK", 0.02)
    seen: list[tuple[int, int]] = []
    run(
        client,
        [f"Text {number}." for number in range(10)],
        tmp_path,
        on_progress=lambda it: seen.append((it.files, it.report.done)),
    )
    assert {done for _, done in seen} == set(range(11))
    assert {files for files, _ in seen} == {10}
    assert seen[-1] == (10, 10)


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
def test_a_terminal_gets_the_bar(tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    import fcntl
    import pty
    import struct
    import termios

    (tmp_path / "texts.txt").write_text("".join(f"Text {number}.\n" for number in range(60)))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 150, 0, 0))  # rows and columns
    with serving() as server:
        process = batch_command(server.url, tmp_path / "texts.txt", tmp_path / "out", "--limit", 3, stderr=theirs)
        os.close(theirs)
        screen = b""
        try:
            while piece := os.read(ours, 4096):
                screen += piece
        except OSError:  # how a terminal whose other side is closed ends
            pass
        os.close(ours)
        output, _ = process.communicate(timeout=30)
    print(screen.decode())
    last = screen.decode().rstrip().rpartition("\r")[2]
    assert "100%|" in last
    assert "60/60" in last
    assert "of 3 slots" in last
    assert output.startswith("60 files in ")
