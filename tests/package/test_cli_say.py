"""``cartesia-sync say``."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import tempfile
import wave
from pathlib import Path

import pytest

from cartesia_sync.audio.files import WholeFile
from cartesia_sync.cli import say
from cartesia_sync.local import LocalServer
from cartesia_sync.streaming.context import DEFAULT_MODEL_ID

from ..support.command import Command, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def seconds_of(content: bytes) -> float:
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnframes() * 2 == len(content) - 44  # the header's length is true
        return float(file.getnframes() / file.getframerate())


def test_it_writes_a_file_with_the_local_server(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    status, out, err = run("say", "Hello, it is me.", "-o", str(path), "--local")
    assert (status, err) == (0, "")
    seconds = seconds_of(path.read_bytes())
    assert out == f"{path}: {seconds:.2f} s\n"
    assert 0.5 < seconds < 4


def test_it_speaks_to_the_service_that_the_environment_names(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.wav"
    with LocalServer(api_keys={"the key"}) as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", "the key")
        monkeypatch.setattr(sys, "stdin", io.StringIO("From standard input."))
        voice = "694f9389-aac1-45b6-b726-9d9369183238"
        assert run("say", "-", "-o", str(path), "--voice", voice, "--model", "sonic-3")[0] == 0
        heard = server.heard[0].message
        monkeypatch.setenv("CARTESIA_API_KEY", "a wrong key")
        status, out, err = run("say", "x", "-o", str(tmp_path / "y.wav"))
    assert isinstance(heard, dict)
    assert (heard["transcript"], heard["voice"], heard["model_id"]) == ("From standard input.", voice, "sonic-3")
    assert (status, out) == (1, "")
    assert "401" in err
    assert "a wrong key" not in err
    assert len(err.splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["x.wav"]


def test_the_help_names_the_model_that_is_used(run: Command) -> None:
    assert f"(default: {DEFAULT_MODEL_ID})" in run("say", "--help")[1]


def test_a_dash_writes_the_wav_to_standard_output_and_nothing_else(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from cartesia_sync import cli

    assert cli.main(["say", "Hello.", "-o", "-", "--local"]) == 0
    out, err = capfdbinary.readouterr()
    assert 0.2 < seconds_of(out) < 4
    assert err == b""


def test_a_terminal_gets_no_audio(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    status, out, err = run("say", "Hello.", "-o", "-", "--local")
    assert (status, out) == (2, "")
    assert err.startswith("cartesia-sync: -o -: standard output is a terminal")


def test_the_suffix_of_a_wav_file_is_no_matter_of_case_or_not_there(run: Command, tmp_path: Path) -> None:
    for name in ("A.WAV", "b.wave", "c"):
        assert run("say", "Hello.", "-o", str(tmp_path / name), "--local")[0] == 0
        assert (tmp_path / name).read_bytes().startswith(b"RIFF")


class Input:
    """Standard input with these bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_standard_input_is_utf_8_whatever_the_locale_and_may_say_so(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalServer() as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", "x")
        for content in (b"Gr\xc3\xbc\xc3\x9fe.", b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe."):
            monkeypatch.setattr(sys, "stdin", Input(content))
            assert run("say", "-", "-o", str(tmp_path / "x.wav"))[0] == 0
        heard = [each.message for each in server.heard]
    assert [each["transcript"] for each in heard if isinstance(each, dict)] == ["Gr\xfc\xdfe."] * 2


def test_standard_input_that_is_not_utf_8_is_refused_by_the_place(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Input(b"Gr\xfc\xdfe"))
    status, out, err = run("say", "-", "-o", str(tmp_path / "x.wav"), "--local")
    words = "standard input is not UTF-8: the byte at 2 begins no character"
    assert (status, out, err) == (2, "", f"cartesia-sync: {words}\n")


def test_a_disk_that_is_full_is_named_by_what_was_typed(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cartesia_sync.audio.wav.WavWriter.write", refuse)
    assert run("say", "x", "-o", "x.wav", "--local") == (1, "", "cartesia-sync: x.wav: No space left on device\n")
    monkeypatch.setattr(say, "_player", lambda: ("true",))
    expected = "cartesia-sync: the audio for the player: No space left on device\n"
    assert run("say", "x", "--play", "--local") == (1, "", expected)


def test_a_file_that_is_written_by_another_at_the_same_time_is_no_business_of_ours(
    run: Command, tmp_path: Path
) -> None:
    path = tmp_path / "x.wav"
    with WholeFile(path) as file:
        file.write(b"another's")
        assert run("say", "Hello.", "-o", str(path), "--local")[0] == 0
        assert path.read_bytes().startswith(b"RIFF")
    assert path.read_bytes() == b"another's"


# ---- progress


def test_progress_is_shown_on_a_terminal_and_wiped_away(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(say, "_BETWEEN_SHOWS", 0.0)
    status, out, err = run("say", "One sentence. " * 30, "-o", str(tmp_path / "x.wav"), "--local")
    assert status == 0
    *shown, wiped, end = err.split("\r")[1:]
    amounts = [float(line.split()[1]) for line in shown]
    assert amounts == sorted(amounts)
    assert amounts[-1] == pytest.approx(float(out.split()[-2]), abs=0.06)
    assert (wiped.strip(" "), end) == ("", "")
    assert len(wiped) >= max(map(len, shown))


def test_an_error_stands_in_a_line_of_its_own_after_progress(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cartesia_sync.local import Close

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with LocalServer(faults=[Close(1011, after=3)]) as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", "x")
        status, _, err = run("say", "One sentence. " * 30, "-o", str(tmp_path / "x.wav"))
    assert status == 1
    assert "\r" in err
    assert err.split("\r")[-1].startswith("cartesia-sync: ")


# ---- aloud


def make_player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    player = folder / "aplay"
    player.write_text(f"#!/bin/sh\nshift\n{script}\n")
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setattr(say, "PLAYERS", (("aplay", "-q"),))


def test_play_hands_the_whole_file_to_a_player(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_player(tmp_path, monkeypatch, f'cp "$1" {tmp_path}/played.wav')
    assert run("say", "Play me.", "--play", "--local") == (0, "", "")
    assert seconds_of((tmp_path / "played.wav").read_bytes()) > 0.3


def test_what_is_played_can_be_kept_too(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cartesia_sync import cli

    make_player(tmp_path, monkeypatch, f'cp "$1" {tmp_path}/played.wav')
    assert cli.main(["say", "Play me.", "--play", "--local", "-o", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert (out, err) == ((tmp_path / "played.wav").read_bytes(), b"")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('echo "no device for $1" >&2; exit 3', "failed with status 3: no device for the audio"),
        ("exit 1", "failed with status 1"),
        ("kill -9 $$", "failed with signal 9"),
    ],
)
def test_a_player_that_fails_is_said_in_one_line(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    make_player(tmp_path, monkeypatch, script)
    expected = f"cartesia-sync: the player aplay {words}\n"
    assert run("say", "Play me.", "--play", "--local") == (1, "", expected)


def test_a_player_that_fails_leaves_the_file_that_was_asked_for(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_player(tmp_path, monkeypatch, 'echo "cannot play $1" >&2; exit 1')
    path = tmp_path / "x.wav"
    status, out, err = run("say", "Play me.", "--play", "--local", "-o", str(path))
    assert (status, out.split(":")[0]) == (1, str(path))
    assert err == f"cartesia-sync: the player aplay failed with status 1: cannot play {path}\n"
    assert path.exists()


def test_without_a_player_play_says_which_it_knows(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = run("say", "x", "--play", "--local")
    assert status == 1
    assert "aplay" in err


def test_nothing_is_left_in_the_temporary_folder(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_player(tmp_path, monkeypatch, "exit 1")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    assert run("say", "Play me.", "--play", "--local")[0] == 1
    assert list((tmp_path / "tmp").iterdir()) == []
