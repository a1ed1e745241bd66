"""The command as a whole: its help, its errors, its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cartesia_sync import __version__, cli
from cartesia_sync.cli import voices

from ..support.command import Command, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def test_help_fits_one_screen(run: Command) -> None:
    for arguments in (["--help"], *([name, "--help"] for name in cli.COMMANDS)):
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        assert len(out.splitlines()) <= 32
        assert max(map(len, out.splitlines())) <= 80


def test_version_says_which(run: Command) -> None:
    assert run("--version") == (0, f"cartesia-sync {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "COMMAND"),
        (["sing"], 2, "'sing'"),
        (["say"], 2, "TEXT"),
        (["say", "x", "-o", "x.wav"], 2, "set CARTESIA_API_KEY, or speak without one by --local"),
        (["voices"], 2, "set CARTESIA_API_KEY"),
        (["say", "x", "--local"], 2, "-o FILE, or --play"),
        (["say", " ", "-o", "x.wav", "--local"], 2, "the text is empty"),
        (["say", "\udce4", "-o", "x.wav", "--local"], 2, "the text is not UTF-8"),
        (["say", "x", "-o", "x.mp3", "--local"], 2, "-o x.mp3: only WAV can be written"),
        (["say", "x", "-o", "/dev/null", "--local"], 2, "-o /dev/null: this is no ordinary file"),
        (["say", "x", "-o", "x.wav", "--local", "--voice", "nobody"], 1, "nobody"),
        (["say", "?!", "-o", "x.wav", "--local"], 1, ""),
        (["say", "x", "-o", "no/such/folder/x.wav", "--local"], 1, "no/such/folder/x.wav: No such file"),
        (["say", "x", "-o", ".", "--local"], 1, ".: "),
        (["serve", "--port", "70000"], 2, "--port: expected a port, 0 to 65535, got 70000"),
        (["serve", "--pace", "0"], 2, "--pace: expected a number above 0, got 0"),
        (["serve", "--pace", "nan"], 2, "--pace: expected a number above 0, got nan"),
        (["serve", "--pace", "x"], 2, "--pace: "),
        (["serve", "--concurrency-limit", "0"], 2, "--concurrency-limit: expected 1 or more, got 0"),
        (["serve", "--idle-timeout", "0"], 2, "--idle-timeout: expected a number above 0, got 0"),
        (["serve", "--fault", "Nothing()"], 2, "--fault: expected a fault such as Close(1011, after=3)"),
        (["serve", "--fault", "Close("], 2, "got Close("),
        (["serve", "--fault", "Close('x')"], 2, "Close('x'): Expected `int`, got `str`"),
        (["serve", "--fault", "Close(code=exit())"], 2, "a fault's arguments are numbers"),
        (["serve", "--fault", "Refuse(503, body=3)"], 2, "body: expected a text"),
        (["serve", "--fault", "Refuse"], 2, "'status'"),
        (["serve", "--tls-cert", "none.pem"], 1, "--tls-cert none.pem: No such file"),
        (["serve", "--tls-cert", __file__, "--tls-key", "none.pem"], 1, "--tls-key none.pem: No such file"),
        (["serve", "--tls-cert", __file__], 2, f"--tls-cert {__file__}: no certificate chain"),
        (["serve", "--host", "no.such.invalid", "--port", "0"], 1, "--host no.such.invalid: "),
        (["serve", "--tls-key", "x.pem"], 2, "--tls-key needs --tls-cert"),
    ],
    ids=lambda value: " ".join(value).encode(errors="replace").decode() if isinstance(value, list) else None,
)
def test_what_goes_wrong_is_said_in_one_line(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    got, out, err = run(*arguments)
    assert (got, out) == (status, "")
    assert err.startswith("cartesia-sync: ")
    assert words in err
    assert len(err.splitlines()) == 1
    assert ".part" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_missing_is_said_in_one_line(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(options: object) -> int:
        raise ModuleNotFoundError("No module named 'msgspec'", name="msgspec")

    monkeypatch.setattr(voices, "run", fail)
    expected = "cartesia-sync: msgspec is not installed, and is needed: pip install cartesia-sync\n"
    assert run("voices") == (1, "", expected)


def test_a_mistake_of_ours_is_shown_in_full(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "run", lambda options: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run("voices")


# ---- in a process of its own


def process(*arguments: str, **settings: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-m", "cartesia_sync", *arguments]
    return subprocess.run(command, timeout=25, check=False, **{"capture_output": True, **settings})  # type: ignore[call-overload, no-any-return]  # settings may hold any of run's


def test_help_loads_neither_the_client_nor_the_server() -> None:
    code = (
        "import sys; from cartesia_sync.cli import main; main(['--help']); main(['say', '--help'])\n"
        "print(sorted({'cartesia_sync.client', 'cartesia_sync.local', 'msgspec'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_goes_is_no_error() -> None:
    """As ``| head -1`` does; the status is a shell's for SIGPIPE."""
    for arguments in (["voices", "--local"], ["say", "Hello.", "-o", "-", "--local"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            run = process(*arguments, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
        finally:
            os.close(writing)
        assert (run.returncode, run.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a Linux device")
@pytest.mark.parametrize(
    "arguments", [["voices", "--local"], ["voices", "--local", "--json"], ["say", "Hello.", "-o", "-", "--local"]]
)
def test_a_full_disk_under_standard_output_is_said_in_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        run = process(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (run.returncode, run.stderr) == (1, b"cartesia-sync: standard output: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("say - -o x.wav --local <&-", 2, "standard input is closed"),
        ("say Hello -o - --local >&-", 2, "-o -: standard output is closed"),
    ],
)
def test_what_a_shell_has_closed_is_said_in_one_line(tmp_path: Path, line: str, status: int, words: str) -> None:
    command = f'"{sys.executable}" -m cartesia_sync {line}'
    run = subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.PIPE, cwd=tmp_path, timeout=25, text=True)
    assert (run.returncode, run.stderr) == (status, f"cartesia-sync: {words}\n")
    assert list(tmp_path.iterdir()) == []


def test_what_the_encoding_does_not_have_is_shown_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "ä.wav"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    run = process("say", "Hello.", "-o", str(path), "--local", env=environment)
    assert run.returncode == 0
    assert b"\\xe4.wav: " in run.stdout
    assert path.exists()
