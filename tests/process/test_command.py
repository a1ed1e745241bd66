"""The command as a process: signals, terminals, and what a kill leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Hold

from ..support.processes import BOUND, SCENES, STRICT, WARNED, Run, serving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and terminals")
ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


@pytest.fixture
def holding() -> Iterator[LocalServer]:
    """A server that sends one event on each connection, and then no more."""
    with serving(Hold(until=threading.Event(), after=1, times=None)) as server:
        yield server


def to(server: LocalServer) -> dict[str, str]:
    return {"CARTESIA_API_KEY": "x", "CARTESIA_BASE_URL": server.url}


@pytest.mark.parametrize("number", ENDS)
def test_both_signals_end_it_with_a_line_a_status_and_no_file(
    number: signal.Signals, holding: LocalServer, tmp_path: Path
) -> None:
    command = (SCENES / "interrupted.py", "in_say_with_half_a_file", tmp_path / "out.wav")
    with Run(*STRICT, *command, **to(holding)) as run:
        assert run.line() == "waiting"
        assert len(list(tmp_path.iterdir())) == 1
        run.process.send_signal(number)
        status, words = ENDS[number]
        assert run.end() == (status, "", f"cartesia-sync: {words}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize(
    "module",
    [
        "cartesia_sync.cli.parsing",
        "argparse",
        "cartesia_sync.cli.say",
        "msgspec",
        "cartesia_sync.client",
        "cartesia_sync.streaming.connection",
        "websocket",
        "cartesia_sync.local",
        "aiohttp",
    ],
)
def test_a_signal_during_an_import_ends_it_so_too(module: str, number: signal.Signals, tmp_path: Path) -> None:
    arguments = ("say", "One sentence.", "-o", tmp_path / "out.wav", "--local")
    with Run(*WARNED, SCENES / "struck_import.py", module, number.value, *arguments) as run:
        status, words = ENDS[number]
        assert run.end() == (status, "", f"cartesia-sync: {words}\n")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_before_the_command_has_its_handlers_ends_it_so_too() -> None:
    arguments = ("cartesia_sync.cli.interrupts", signal.SIGINT.value, "--help")
    with Run(*WARNED, SCENES / "struck_import.py", *arguments) as run:
        assert run.end() == (130, "", "cartesia-sync: interrupted\n")


def test_a_second_signal_ends_it_at_once_and_says_nothing() -> None:
    code = (
        "import os, signal, sys; from cartesia_sync.cli import interrupts\n"
        "with interrupts.as_exceptions(to_the_end=True), interrupts.held_back():\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('first', flush=True); os.kill(os.getpid(), signal.SIGINT)\n"
    )
    with Run(*WARNED, "-c", code) as run:
        assert run.end() == (-signal.SIGINT, "first\n", "")


def test_signals_that_are_ignored_stay_so() -> None:
    """As Ctrl-C is in a background job of a shell, and SIGTERM by whoever asked for it."""
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from cartesia_sync import cli\n"
        "from cartesia_sync.cli import voices\n"
        "run = voices.run\n"
        "voices.run = lambda options: (os.kill(os.getpid(), signal.SIGINT), run(options))[1]\n"
        "print(cli.main(['voices', '--local']) == 0, signal.getsignal(signal.SIGINT) == signal.SIG_IGN,\n"
        "      signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
    )
    with Run(*WARNED, "-c", code) as run:
        status, out, err = run.end()
    assert (status, out.splitlines()[-1], err) == (0, "True True True", "")


def test_what_a_killed_say_leaves_the_next_takes_away(holding: LocalServer, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with Run(*WARNED, SCENES / "interrupted.py", "in_say_with_half_a_file", path, **to(holding)) as run:
        assert run.line() == "waiting"
        run.process.kill()
        run.process.wait(BOUND)
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".out.wav.")
    with serving() as server, Run(*WARNED, "-m", "cartesia_sync", "say", "Hello.", "-o", path, **to(server)) as run:
        status, out, err = run.end()
    assert (status, out.partition(":")[0], err) == (0, str(path), "")
    assert os.listdir(tmp_path) == ["out.wav"]


# ---- on a terminal


def on_a_terminal(
    *arguments: object, environment: dict[str, str], typed: bytes = b"", after: bytes = b""
) -> tuple[int, str]:
    """Run the command on a terminal of its own, and type when something has been shown; return all that was shown."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        [sys.executable, *WARNED, "-m", "cartesia_sync", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **environment},
        start_new_session=True,
        preexec_fn=take_terminal,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while True:
                try:
                    piece = os.read(ours, 1024)
                except OSError:  # how Linux says that nobody is there any more
                    break
                if not piece:
                    break
                shown += piece
                if typed and after in shown:
                    os.write(ours, typed)
                    typed = b""
            return process.wait(BOUND), shown.decode()
        finally:
            process.kill()
            os.close(ours)


def test_a_terminal_shows_how_far_it_is_and_then_only_the_result(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    with serving() as server:
        status, shown = on_a_terminal("say", "One sentence. " * 50, "-o", path, environment=to(server))
    assert status == 0
    assert "\rspeaking: " in shown
    assert shown.split("\r")[-2].startswith(f"{path}: ")


def test_ctrl_c_on_a_terminal_ends_it_with_a_line(holding: LocalServer, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    status, shown = on_a_terminal(
        "say", "One sentence. " * 50, "-o", path, environment=to(holding), typed=b"\x03", after=b"speaking: "
    )
    assert status == 130
    assert shown.split("\r")[-2:] == ["cartesia-sync: interrupted", "\n"]
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_audio_is_not_written_to_a_terminal() -> None:
    status, shown = on_a_terminal("say", "Hello.", "-o", "-", "--local", environment={})
    assert status == 2
    assert shown.startswith("cartesia-sync: -o -: standard output is a terminal")
