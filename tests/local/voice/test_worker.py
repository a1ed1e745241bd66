"""The process by itself: asked over its pipes, as ``speech`` does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync.local.voice import worker

pytest.importorskip("espeakng_loader", reason="no eSpeak NG for this machine")

BOUND = 10.0


class Process:
    def __init__(self, *arguments: str, module: bool = False) -> None:
        program = ["-m", "cartesia_sync.local.voice.worker"] if module else ["-I", "-S", worker.__file__, *arguments]
        self.popen = subprocess.Popen([sys.executable, *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.inward, self.out = self.popen.stdin, self.popen.stdout

    def ask(self, text: str, voice: str = "en-us", rate: int = 175, pause: bool = True, phonemes: bool = False) -> None:
        request = {"text": text, "voice": voice, "rate": rate, "pause": pause, "phonemes": phonemes}
        data = json.dumps(request).encode()
        self.inward.write(worker.LENGTHS.pack(len(data), 0) + data)
        self.inward.flush()

    def answer(self) -> tuple[dict[str, Any], bytes]:
        header_bytes, payload_bytes = worker.LENGTHS.unpack(self.out.read(worker.LENGTHS.size))
        return json.loads(self.out.read(header_bytes)), self.out.read(payload_bytes)

    def end(self) -> int:
        self.inward.close()
        try:
            return self.popen.wait(BOUND)
        finally:
            self.popen.kill()
            self.popen.wait()
            self.out.close()


def package_folder() -> str:
    import espeakng_loader

    return str(Path(espeakng_loader.__file__).parent.parent)


@pytest.fixture
def process() -> Iterator[Process]:
    started = Process(package_folder())
    assert started.answer() == ({"ready": True}, b"")
    yield started
    started.end()


def test_it_speaks_and_says_when(process: Process) -> None:
    process.ask("Good morning.")
    header, samples = process.answer()
    assert header["sample_rate_hz"] == 22050
    assert 0.5 < len(samples) / 2 / 22050 < 2.0
    assert [offset for offset, _ in header["words"]] == [0, 5]
    names = [name for name, _ in header["phonemes"]]
    assert names[:3] == ["\u0261", "\u02c8\u028a", "d"]
    times = [sample for _, sample in header["phonemes"]]
    assert times == sorted(times)
    assert times[-1] <= len(samples) // 2


def test_the_same_text_makes_the_same_bytes_whatever_came_between(process: Process) -> None:
    process.ask("She sells sea shells.", "en-us+f2")
    first = process.answer()
    process.ask("Etwas anderes, ganz schnell!", "de+m3", rate=300)
    process.answer()
    process.ask("She sells sea shells.", "en-us+f2")
    assert process.answer() == first


def test_rate_and_voice_are_obeyed(process: Process) -> None:
    answers = []
    for voice, rate in (("en-us", 175), ("en-us", 350), ("en-us+f2", 175)):
        process.ask("A sentence of some length.", voice, rate)
        answers.append(process.answer()[1])
    usual, quick, other = answers
    assert len(quick) < 0.7 * len(usual)
    assert other != usual


def test_an_unknown_voice_is_an_error_and_not_the_voice_before(process: Process) -> None:
    process.ask("Hello.", "de")
    process.answer()
    process.ask("Hello.", "xx-none")
    header, samples = process.answer()
    assert "xx-none" in header["error"]
    assert samples == b""
    process.ask("Hello.")
    assert process.answer()[1]


def test_without_a_pause_the_end_is_the_words_end(process: Process) -> None:
    process.ask("Hello.", pause=True)
    with_pause = process.answer()[1]
    process.ask("Hello.", pause=False)
    assert len(process.answer()[1]) < len(with_pause) - 2 * 22050 // 10


def test_it_ends_with_its_stdin(process: Process) -> None:
    assert process.end() == 0


@pytest.mark.skipif(os.name != "posix", reason="the signal of a POSIX terminal")
def test_the_terminals_interrupt_does_not_end_it(process: Process) -> None:
    process.popen.send_signal(signal.SIGINT)
    process.ask("Still here.")
    assert process.answer()[1]


def test_it_leaves_nothing_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = Process(package_folder())
    started.answer()
    started.ask("Hello.")
    started.answer()
    assert list(tmp_path.iterdir()) == []
    started.end()


def test_a_missing_library_is_reported(tmp_path: Path) -> None:
    started = Process(str(tmp_path))
    header, _ = started.answer()
    assert "espeakng_loader" in header["error"]
    assert started.end() == 0


def test_it_also_runs_as_a_module() -> None:
    started = Process(module=True)
    assert started.answer()[0] == {"ready": True}
    assert started.end() == 0


def test_a_data_folder_with_a_long_path_is_no_trouble(tmp_path: Path) -> None:
    """ESpeak NG refuses paths of 160 bytes and more."""
    deep = tmp_path.joinpath(*["a-folder-with-a-rather-long-name"] * 6)
    deep.mkdir(parents=True)
    (deep / "espeakng_loader").symlink_to(Path(package_folder(), "espeakng_loader"))
    assert len(str(deep)) > 160
    started = Process(str(deep))
    assert started.answer()[0] == {"ready": True}
    started.ask("Hello.")
    assert started.answer()[1]
    assert started.end() == 0
