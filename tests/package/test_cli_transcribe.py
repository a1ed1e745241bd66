"""``cartesia-sync transcribe`` and ``listen``."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cartesia_sync.audio.wav import wav_bytes
from cartesia_sync.cli import transcribe
from cartesia_sync.local import LocalServer
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.speech import microphone as microphone_module

from ..support.command import Command, runner
from ..support.processes import Run
from ..support.voices import loud, quiet

SENTENCE = "Hello there, how are you today?"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with LocalServer() as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", "any")
        yield server


@pytest.fixture
def recording(server: LocalServer, run: Command, tmp_path: Path) -> str:
    path = tmp_path / "a.wav"
    assert run("say", SENTENCE, "-o", str(path))[0] == 0
    return str(path)


def test_it_prints_what_is_said_at_once_or_live(run: Command, server: LocalServer, recording: str) -> None:
    assert run("transcribe", recording) == (0, f"{SENTENCE}\n", "")
    assert run("transcribe", recording, "--live", "--language", "en") == (0, f"{SENTENCE}\n", "")
    paths = [each.path for each in server.handshakes]
    assert paths.count("/stt/websocket") == 1
    assert dict(server.handshakes[-1].query)["model"] == "ink-2"


def test_it_prints_turns_with_their_times(run: Command, recording: str) -> None:
    status, out, err = run("transcribe", recording, "--turns")
    assert (status, err) == (0, "")
    assert re.fullmatch(rf" +0\.\d +2\.\d  {re.escape(SENTENCE)}\n", out)
    status, out, err = run("transcribe", recording, "--turns", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["text"] == SENTENCE


def test_it_prints_all_as_json_and_writes_captions(run: Command, recording: str, tmp_path: Path) -> None:
    target = tmp_path / "a.srt"
    for mode in ([], ["--live"]):
        status, out, err = run("transcribe", recording, "--json", "--captions", str(target), *mode)
        assert (status, err) == (0, "")
        assert [word["word"] for word in json.loads(out)["words"]] == SENTENCE.split()
        number, times, text, *rest = target.read_text(encoding="utf-8").splitlines()
        assert (number, text, rest) == ("1", SENTENCE, [""])
        assert re.fullmatch(r"00:00:00,\d{3} --> 00:00:0[12],\d{3}", times)
        target.unlink()
    assert run("transcribe", recording, "--turns", "--captions", str(target))[0] == 0
    assert SENTENCE in target.read_text(encoding="utf-8")


def test_standard_input_is_read(run: Command, recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Path(recording).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert run("transcribe", "-") == (0, f"{SENTENCE}\n", "")


def test_how_long_it_takes_is_said_before(run: Command, recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe, "LONG_SECONDS", 1.0)
    status, out, err = run("transcribe", recording, "--live")
    assert (status, out) == (0, f"{SENTENCE}\n")
    assert err == "cartesia-sync: 2 s of audio take as long; without --live and --turns it goes at once\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nowhere.wav"], 1, "nowhere.wav: No such file"),
        (["empty.wav"], 1, "empty.wav: the recording is empty"),
        (["text.wav", "--live"], 1, "the recording cannot be read: Format not recognised"),
        (["text.wav"], 1, "400"),
        (["text.wav", "--captions", "a.txt"], 2, "--captions: "),
        (["text.wav", "--captions", "no/a.srt"], 1, "no/a.srt: "),
        (["text.wav", "--captions", "d.srt"], 1, "d.srt: "),
        (["text.wav", "--turns", "--language", "de"], 2, "--language: turns are found in English alone"),
        (["silent.wav", "--captions", "a.srt"], 1, "--captions a.srt: the service told no times"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    run: Command,
    server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.wav").touch()
    Path("text.wav").write_text("RIFF and no more")
    Path("silent.wav").write_bytes(wav_bytes(bytes(3200), RawFormat("pcm_s16le", 16000)))
    Path("d.srt").mkdir()
    got, out, err = run("transcribe", *arguments)
    assert (got, out) == (status, "")
    assert err.startswith("cartesia-sync: ")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not Path("a.srt").exists()


class Microphone:
    """What gives two utterances, and then Ctrl-C."""

    is_live, encoding, sample_rate = True, "pcm_s16le", 16000

    def __init__(self, device: Any) -> None:
        if device == "none":
            raise ImportError("a microphone needs miniaudio: pip install 'cartesia-sync[play]'")

    def __enter__(self) -> Microphone:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[bytes]:
        yield loud(0.3) + quiet(0.8)
        yield loud(0.3)


def test_it_listens_to_a_microphone(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone_module, "Microphone", Microphone)
    monkeypatch.setenv("CARTESIA_API_KEY", "any")
    with LocalServer(engine="signal", hears=["One.", "Two."]) as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        status, out, err = run("listen", "--device", "x")
        assert (status, err) == (0, "cartesia-sync: listening; Ctrl-C ends it\n")
        assert [line.split()[-1] for line in out.splitlines()] == ["One.", "Two."]
    status, out, err = run("listen", "--device", "none")
    assert (status, out) == (1, "")
    assert "cartesia-sync[play]" in err


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_ends_it_as_it_is_meant_to() -> None:
    pytest.importorskip("miniaudio")
    with Run("-m", "cartesia_sync", "listen", "--device", "null", "--local") as listening:
        assert listening.process.stderr is not None
        assert listening.process.stderr.readline() == "cartesia-sync: listening; Ctrl-C ends it\n"
        listening.process.send_signal(signal.SIGINT)
        assert listening.end() == (0, "", "")
