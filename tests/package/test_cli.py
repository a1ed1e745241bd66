from __future__ import annotations

import io
import os
import stat
import sys
import wave
from pathlib import Path

import pytest

from cartesia_sync import __version__, cli
from cartesia_sync.cli import say
from cartesia_sync.local import LocalServer


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = cli.main(arguments)
    except SystemExit as exit_:  # how argparse ends
        status = int(str(exit_.code))
    out, err = capsys.readouterr()
    return status, out, err


def test_help_fits_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], *([name, "--help"] for name in cli.COMMANDS)):
        status, out, err = run(capsys, *arguments)
        assert (status, err) == (0, "")
        assert len(out.splitlines()) <= 32
        assert max(map(len, out.splitlines())) <= 80


def test_version_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"cartesia-sync {__version__}\n", "")


def test_say_writes_a_file_with_the_local_server(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    status, out, err = run(capsys, "say", "Hello, it is me.", "-o", str(path), "--local")
    assert (status, err) == (0, "")
    with wave.open(str(path)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert out == f"{path}: {seconds:.2f} s\n"
    assert 0.5 < seconds < 4


def test_say_speaks_to_the_service_that_the_environment_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.wav"
    with LocalServer(api_keys={"the key"}) as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", "the key")
        monkeypatch.setattr(sys, "stdin", io.StringIO("From standard input."))
        voice = "694f9389-aac1-45b6-b726-9d9369183238"
        assert run(capsys, "say", "-", "-o", str(path), "--voice", voice, "--model", "sonic-3")[0] == 0
        heard = server.heard[0].message
        monkeypatch.setenv("CARTESIA_API_KEY", "a wrong key")
        status, out, err = run(capsys, "say", "x", "-o", str(tmp_path / "y.wav"))
    assert isinstance(heard, dict)
    assert (heard["transcript"], heard["voice"], heard["model_id"]) == ("From standard input.", voice, "sonic-3")
    assert (status, out) == (1, "")
    assert "401" in err
    assert "a wrong key" not in err
    assert len(err.splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["say", "x", "-o", "x.wav"], 2, "set CARTESIA_API_KEY, or speak without one by --local"),
        (["say", "x", "--local"], 2, "-o FILE, or --play"),
        (["say", " ", "-o", "x.wav", "--local"], 2, "the text is empty"),
        (["say", "x", "-o", "x.wav", "--local", "--voice", "nobody"], 1, "nobody"),
        (["say", "x", "-o", "no/such/folder/x.wav", "--local"], 1, "no/such/folder"),
        (["serve", "--port", "70000"], 2, "--port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_goes_wrong_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (status, "")
    assert err.startswith("cartesia-sync: ")
    assert words in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys)
    assert status == 2
    assert "COMMAND" in err


def test_play_hands_the_whole_file_to_a_player(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    player = tmp_path / "aplay"
    player.write_text(f'#!/bin/sh\nshift\ncp "$1" {tmp_path}/played.wav\n')
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setattr(say, "PLAYERS", (("aplay", "-q"),))
    assert run(capsys, "say", "Play me.", "--play", "--local") == (0, "", "")
    with wave.open(str(tmp_path / "played.wav")) as file:
        assert file.getnframes() > 10_000


def test_without_a_player_play_says_which_it_knows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = run(capsys, "say", "x", "--play", "--local")
    assert status == 1
    assert "aplay" in err
