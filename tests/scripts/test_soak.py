"""The short form of ``scripts/stress/soak.py``, and that it finds what it looks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOUND = 25
ZEROS = ("unexpected", "wrong_bytes", "hung", "threads_left", "descriptors_left", "contexts_left", "slots_left")


def start(*options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "scripts/stress/soak.py", "--json", "--seed", 1, "--threads", 16, *options]
    return subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """Wait for the end; give the summary, and what was complained of."""
    try:
        output, complaints = process.communicate(timeout=BOUND)
    finally:
        process.kill()
    assert output, complaints
    return json.loads(output), complaints


@pytest.mark.parametrize(
    ("server", "contexts", "limit"),
    [("stub", 250, ""), ("local", 60, ""), ("stub", 120, "learned"), ("stub", 120, "4")],
)
def test_contexts_of_many_threads_that_end_in_every_way_end_right_and_leave_nothing(
    server: str, contexts: int, limit: str
) -> None:
    process = start("--server", server, "--contexts", contexts, "--limit", limit)
    summary, complaints = end(process)
    assert {name: summary[name] for name in ZEROS} == dict.fromkeys(ZEROS, 0), complaints
    assert (process.returncode, summary["ok"]) == (0, True), summary
    assert summary["contexts"] >= contexts
    assert min(summary["whole"], summary["cancelled"], len(summary["failed"])) > 0
    assert summary["contexts"] == summary["whole"] + summary["cancelled"] + sum(summary["failed"].values())


def test_wrong_audio_is_found() -> None:
    process = start("--contexts", 60, "--spoil", "byte")
    summary, complaints = end(process)
    assert (process.returncode, summary["ok"]) == (1, False)
    assert summary["wrong_bytes"] > 0
    assert "WRONG: " in complaints


def test_a_hang_is_found_and_shown_and_not_waited_for() -> None:
    process = start("--contexts", 40, "--threads", 4, "--spoil", "silence", "--hang-seconds", 1)
    summary, complaints = end(process)
    assert (process.returncode, summary["ok"]) == (1, False)
    assert summary["hung"] > 0
    assert "in _await_event" in complaints  # where it hangs


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_prints_what_was_counted_so_far() -> None:
    process = start("--minutes", 5)
    assert process.stderr is not None
    assert process.stderr.readline() == "seed 1\n"  # it has begun
    process.send_signal(signal.SIGINT)
    summary, complaints = end(process)
    assert {name: summary[name] for name in ZEROS} == dict.fromkeys(ZEROS, 0), complaints
    assert process.returncode == 130
