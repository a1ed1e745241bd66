from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import wave
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOUND = 60


@pytest.mark.timeout(BOUND)
def test_the_demo_writes_two_whole_files_and_shows_them_interleaved(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=BOUND
    )
    assert (done.returncode, done.stderr) == (0, "")
    order = re.findall(r"^ *[\d.]+ s    (.)", done.stdout, flags=re.MULTILINE)
    assert sum(a != b for a, b in zip(order, order[1:])) > 20  # "#" where context 1 spoke
    for number in (1, 2):
        with wave.open(str(tmp_path / f"context-{number}.wav")) as file:
            seconds = file.getnframes() / file.getframerate()
            assert (file.getframerate(), file.getsampwidth()) == (44100, 2)
        assert 5 < seconds < 20
        assert f"{seconds:.2f} s of audio, {tmp_path / f'context-{number}.wav'}" in done.stdout
        assert (tmp_path / f"context-{number}.srt").read_text(encoding="utf-8").startswith("1\n00:00:00,")
    interrupted = re.search(r"interrupted: ([\d.]+) s of ([\d.]+) s were heard: '(.+)'", done.stdout)
    assert interrupted is not None
    assert 1.0 < float(interrupted[1]) < 2.5 < float(interrupted[2])
    assert interrupted[3].startswith("Context one is")
    assert "hears in context-1.wav: 'Context one is speaking now. This is a longer transcript" in done.stdout
    assert "/inspector?t=" in done.stdout


def test_the_demo_fails_with_a_status_and_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/demo.py", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "CARTESIA_API_KEY": "sk_car_x", "CARTESIA_BASE_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("demo: ")
    assert "sk_car_x" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(BOUND)
def test_the_packages_hold_what_they_should_and_the_wheel_no_tests(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=BOUND,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        in_wheel = set(file.namelist())
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cartesia_sync").rglob("*.py")}
    pages = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("docs/*.md", "docs/*.png", "local/inspector/page/*")
        for path in (ROOT / "cartesia_sync").glob(pattern)
    }
    assert "cartesia_sync/local/inspector/page/index.html" in pages
    data = {*pages, "cartesia_sync/py.typed", "cartesia_sync/local/NOTICE"}
    assert modules | data == {name for name in in_wheel if ".dist-info/" not in name}
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)
    assert modules | data | {"README.md", "LICENSE", "setup.cfg", "pyproject.toml"} <= in_sdist
    # What README runs is there too.
    ours = {path.relative_to(ROOT).as_posix() for name in ("tests", "scripts") for path in (ROOT / name).rglob("*.py")}
    assert {"scripts/test", "scripts/demo", "CONTRIBUTING.md"} <= in_sdist
    assert ours <= in_sdist


def test_every_floor_of_the_setup_is_told() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "floors.py"), "local", "socks"],
        check=True,
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    told = dict(line.split("==") for line in done.stdout.split())
    assert {
        "requests",
        "urllib3",
        "msgspec",
        "numpy",
        "websocket-client",
        "aiohttp",
        "PyJWT",
        "soxr",
        "PySocks",
    } <= set(told)
    assert tuple(map(int, told["aiohttp"].split("."))) >= (3, 13, 3)  # those below have holes that are published
