"""The example of a bot that lets itself be interrupted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOUND = 60


@pytest.mark.timeout(BOUND)
def test_the_voice_bot_is_interrupted_and_knows_what_was_heard() -> None:
    process = subprocess.Popen(
        [sys.executable, "scripts/examples/voice_bot.py"],
        cwd=ROOT,
        env={**os.environ, "DEVICE": "null", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(BOUND / 2, process.kill)
    watchdog.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Type something")
        process.stdin.write("tell me a story\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.5)  # seconds of real speech, which nothing hastens
        process.stdin.write("\n")
        process.stdin.flush()
        said = process.stdout.readline()
        out, err = process.communicate(timeout=BOUND / 2)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "", "")
    found = re.fullmatch(r"\[interrupted after ([\d.]+) s: 'You said: tell me.*'\]\n", said)
    assert found, said
    assert 0.5 < float(found[1]) < 3
