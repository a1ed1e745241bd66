"""What the official client's types accept ours accept, and what they refuse ours refuse, by mypy and by pyright."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cartesia")
pytest.importorskip("pyright")

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ["typing_user.py", "typing_user_raw.py"]
BOUND = 240.0
OURS, OFFICIAL = "for_ours", "for_the_official_client"
pytestmark = pytest.mark.timeout(2 * BOUND)

Found = dict[str, dict[int, str]]
"""By program: the lines that are errors, and what was said about each."""


def written(program: str, folder: Path) -> str:
    """Write a program twice, the second time for the official client; line for line the same."""
    text = (ROOT / "tests" / program).read_text(encoding="utf-8")
    (folder / f"{OURS}.py").write_text(text, encoding="utf-8")
    (folder / f"{OFFICIAL}.py").write_text(text.replace("cartesia_sync", "cartesia"), encoding="utf-8")
    return text


def expected(text: str) -> dict[str, set[int]]:
    """Return the lines that must be errors."""
    found: dict[str, set[int]] = {OURS: set(), OFFICIAL: set()}
    for number, line in enumerate(text.splitlines(), start=1):
        marked = re.search(r"  # refused( by ours: .+| by the official client: .+)?$", line)
        if marked is None:
            continue
        by = marked[1] or ""
        if not by.startswith(" by the"):
            found[OURS].add(number)
        if not by.startswith(" by ours"):
            found[OFFICIAL].add(number)
    return found


def checked_by_mypy(folder: Path, cache: Path) -> Found:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--output=json", f"--cache-dir={cache}"]
    found: Found = {OURS: {}, OFFICIAL: {}}
    for line in run([*command, f"{OURS}.py", f"{OFFICIAL}.py"], folder).splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            found[Path(error["file"]).stem][error["line"]] = error["message"]
    return found


def checked_by_pyright(folder: Path) -> Found:
    settings = {
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT)],
        "include": ["*.py"],
        "reportDeprecated": "none",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    answer = run([sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable], folder)
    if "{" not in answer:
        pytest.skip(f"pyright does not run here (it fetches its Node program when it is first used): {answer[-300:]}")
    found: Found = {OURS: {}, OFFICIAL: {}}
    for error in json.loads(answer[answer.index("{") :])["generalDiagnostics"]:
        if error["severity"] == "error":
            found[Path(error["file"]).stem][error["range"]["start"]["line"] + 1] = error["message"]
    return found


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BOUND)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def check(text: str, found: Found) -> None:
    for program, lines in expected(text).items():
        wrong = {number: found[program][number] for number in found[program].keys() - lines}
        missed = {number: text.splitlines()[number - 1] for number in lines - found[program].keys()}
        assert (program, wrong, missed) == (program, {}, {})


@pytest.mark.parametrize("program", PROGRAMS)
def test_mypy_says_the_same_of_both_clients(program: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    check(written(program, tmp_path), checked_by_mypy(tmp_path, pytestconfig.cache.mkdir("mypy-user")))


@pytest.mark.parametrize("program", PROGRAMS)
def test_pyright_says_the_same_of_both_clients(program: str, tmp_path: Path) -> None:
    check(written(program, tmp_path), checked_by_pyright(tmp_path))
