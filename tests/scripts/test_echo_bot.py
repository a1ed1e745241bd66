"""``scripts/examples/echo_bot.py``: speech to text to speech, on one machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOUND = 100


@pytest.mark.timeout(BOUND)
def test_it_says_again_what_it_hears(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARTESIA_")}
    done = subprocess.run(
        [sys.executable, "scripts/examples/echo_bot.py"],
        cwd=ROOT,
        env={**environment, "FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = re.findall(r"'(.*?)', said again in ([\d.]+) s: (echo-\d\.wav)", done.stdout)
    assert [text for text, _, _ in said] == [
        "Hello there, how are you today?",
        "What time is it in New York?",
        "Good bye!",
    ]
    for _, seconds, name in said:
        with wave.open(str(tmp_path / name)) as file:
            assert file.getnframes() / 16000 == pytest.approx(float(seconds), abs=0.05)
