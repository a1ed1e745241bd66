"""The life of the process around a connection: its exit, Ctrl-C, fork, and what nobody holds any more.

The scenes are scripts in ``scenes``, each run in a process of its own. Unless a test says otherwise it has to
end with status 0 and must not have written a word to stderr.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, CartesiaError, TruncatedError
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Fault, Hold, Reset, StopReading
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.transport.deadline import Deadline

from ..support.processes import BOUND, SCENES, STRICT, VOICE, WARNED, Run, assert_goes_on, assert_quiet, script, serving

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@contextlib.contextmanager
def staged(
    name: str, scene: str, *faults: Fault, options: tuple[str, ...] = WARNED
) -> Iterator[tuple[LocalServer, Run]]:
    with serving(*faults) as server, script(name, scene, server.url, *options) as run:
        yield server, run


@pytest.fixture
def holding() -> Iterator[LocalServer]:
    """A server that sends one event on each connection, and then no more."""
    with serving(Hold(until=threading.Event(), after=1, times=None)) as server:
        yield server


# ---- exit


@pytest.mark.parametrize(
    "scene",
    [
        "an_open_connection",
        "a_connection_that_was_dropped_just_now",
        "a_context_half_heard",
        "an_iterator_half_used",
        "a_daemon_thread_in_receive",
        "a_daemon_thread_in_recv",
        "a_daemon_thread_that_pushes",
        "a_daemon_thread_that_connects",
        "a_daemon_thread_in_close",
        "a_pump_that_waits_for_text",
        "a_pump_that_pushes",
        "an_exit_callback_that_closes",
        "an_earlier_exit_callback_that_closes",
    ],
)
def test_the_interpreter_exits_at_once_and_in_silence_with(scene: str, holding: LocalServer) -> None:
    with script("leaving", scene, holding.url, *STRICT) as run:
        assert_quiet(run)


def test_the_interpreter_exits_so_without_the_checks_of_its_developer_mode_too(holding: LocalServer) -> None:
    scenes = ("a_context_half_heard", "a_daemon_thread_in_receive", "a_pump_that_waits_for_text")
    with contextlib.ExitStack() as stack:
        for run in [stack.enter_context(script("leaving", scene, holding.url)) for scene in scenes]:
            assert_quiet(run)


def test_the_interpreter_exits_while_a_push_waits_for_a_server_that_does_not_read() -> None:
    with staged("leaving", "a_daemon_thread_in_a_push_that_cannot_leave", StopReading(), options=STRICT) as (_, run):
        assert_quiet(run)


def test_an_exit_callback_can_hear_a_context_to_its_end() -> None:
    until = threading.Event()
    with staged("leaving", "an_exit_callback_that_hears_to_the_end", Hold(until, after=1), options=STRICT) as (_, run):
        assert run.line() == "exiting"
        until.set()
        run.go()
        assert_quiet(run, output="heard\n")


@pytest.mark.parametrize("scene", ["sys_exit_inside_with", "sys_exit_with_nothing_closed"])
def test_sys_exit_keeps_its_status(scene: str, holding: LocalServer) -> None:
    with script("leaving", scene, holding.url, *STRICT) as run:
        assert_quiet(run, status=3)


@pytest.mark.parametrize("scene", ["an_exception_inside_with", "an_exception_with_nothing_closed"])
def test_an_unhandled_exception_is_all_that_stderr_shows(scene: str, holding: LocalServer) -> None:
    with script("leaving", scene, holding.url, *STRICT) as run:
        status, _, errors = run.end()
    assert status == 1
    first, *_, last = errors.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last == "RuntimeError: the user's own"
    assert errors.count("Traceback") == 1


# ---- Ctrl-C


def interrupt(run: Run, number: int = signal.SIGINT) -> None:
    """Send a signal, once the process waits where it is to be interrupted."""
    wait_until_asleep(run.process.pid)
    run.process.send_signal(number)


def wait_until_asleep(pid: int) -> None:
    """Wait until each thread of a process waits for something, as far as the system tells.

    CPython does not see a signal that comes in the instant before a thread blocks; whoever presses Ctrl-C presses it
    again. Nothing tells of a thread's falling asleep, so this looks until it is.
    """
    deadline = Deadline(BOUND)
    before, now = {"": "R"}, states_of(pid)
    while before != now or any("(sleeping)" not in state for state in now.values()):
        assert not deadline.expired
        before, now = now, states_of(pid)


def states_of(pid: int) -> dict[str, str]:
    """Return each thread's state, and how many times it has fallen asleep; nothing where there is no /proc."""
    found = {}
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            lines = status.read_text().splitlines()
            found[status.parent.name] = " ".join(line for line in lines if line.startswith(("State:", "voluntary")))
    return found


@posix
@pytest.mark.parametrize("scene", ["in_receive", "in_audio", "in_recv", "in_receive_any", "in_speak"])
def test_an_interrupt_ends_a_wait_and_the_block_closes_the_connection(scene: str, holding: LocalServer) -> None:
    with script("interrupted", scene, holding.url, *STRICT) as run:
        assert run.line() == "waiting"
        interrupt(run)
        assert_quiet(run, status=130)
    holding.wait_for(lambda server: not server.open_connections, BOUND)


@posix
def test_an_interrupt_ends_a_push_that_cannot_leave() -> None:
    with staged("interrupted", "in_a_push_that_cannot_leave", StopReading(), options=STRICT) as (_, run):
        assert run.line() == "waiting"
        interrupt(run)
        assert_quiet(run, status=130)


@posix
def test_an_interrupt_ends_an_attempt_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # answers nothing
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with script("interrupted", "while_connecting", url, *STRICT) as run:
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(1)  # it asks for the upgrade, and waits
                interrupt(run)
                assert_quiet(run, status=130)


@posix
def test_an_interrupt_that_nobody_catches_ends_the_process_as_it_does_elsewhere(holding: LocalServer) -> None:
    with script("interrupted", "not_caught", holding.url, *STRICT) as run:
        assert run.line() == "waiting"
        interrupt(run)
        status, _, errors = run.end()
    assert status == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert errors.count("Traceback") == 1


@posix
def test_an_interrupted_say_ends_with_130_and_leaves_no_file(holding: LocalServer, tmp_path: Path) -> None:
    command = ("-m", "cartesia_sync", "say", "One sentence.", "-o", tmp_path / "out.wav")
    with Run(*STRICT, *command, CARTESIA_API_KEY="x", CARTESIA_BASE_URL=holding.url) as run:
        holding.wait_for(lambda server: bool(server.heard), BOUND)
        interrupt(run)
        assert run.end() == (130, "", "cartesia-sync: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_say_that_is_interrupted_in_the_middle_of_its_file_leaves_none_and_keeps_the_old(
    holding: LocalServer, tmp_path: Path
) -> None:
    (tmp_path / "out.wav").write_bytes(b"old")
    command = (SCENES / "interrupted.py", "in_say_with_half_a_file", tmp_path / "out.wav")
    with Run(*STRICT, *command, CARTESIA_API_KEY="x", CARTESIA_BASE_URL=holding.url) as run:
        assert run.line() == "waiting"
        assert len(list(tmp_path.iterdir())) == 2  # the part too
        interrupt(run)
        assert run.end() == (130, "", "cartesia-sync: interrupted\n")
    assert [each.name for each in tmp_path.iterdir()] == ["out.wav"]
    assert (tmp_path / "out.wav").read_bytes() == b"old"


def children_of(pid: int) -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if f"\nPPid:\t{pid}\n" in text:
            found.add(int(status.parent.name))
    return found


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the speech process in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_serve_and_its_speech_process(number: int) -> None:
    with Run(*WARNED, "-m", "cartesia_sync", "serve", "--port", 0) as run:
        url = run.line().split()[-1]
        pasted = [run.line() for _ in range(3)]
        assert [url in line for line in pasted] == [True, False, True]
        with Cartesia(api_key="x", base_url=url).tts.websocket_connect() as connection:
            context = connection.context(voice=VOICE)
            context.push("One sentence.", continue_=False)
            assert context.audio()
            children = children_of(run.process.pid)
            assert children  # eSpeak NG's
            interrupt(run, number)  # while a client is connected
            status, output, errors = run.end()
            assert (status, output) == (0, "")
            assert errors.count("\n") == 2  # the lines that say where to see it, and how to end it
        assert not any(is_running(pid) for pid in children)


@posix
def test_an_interrupted_demo_ends_with_130_and_leaves_no_file(tmp_path: Path) -> None:
    with Run(*WARNED, ROOT / "scripts" / "demo.py", tmp_path) as run:
        while "#" not in run.line():
            assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)  # wherever it is
        status, _, errors = run.end()
    assert (status, errors) == (130, "")
    assert list(tmp_path.iterdir()) == []


@posix
def test_an_interrupted_demo_waits_for_its_threads_to_take_their_files_away(tmp_path: Path) -> None:
    with Run(*WARNED, SCENES / "interrupted_demo.py", ROOT / "scripts" / "demo.py", tmp_path) as run:
        status, output, errors = run.end()
    assert (status, output.splitlines()[-1], errors) == (0, "0", "")


# ---- what nobody holds any more


@pytest.fixture(scope="module")
def plain() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


def connect(server: LocalServer) -> Connection:
    return Cartesia(api_key="x", base_url=server.url).tts.websocket_connect().enter()


def reader_of(connection: Connection) -> threading.Thread:
    reader = connection._link.reader
    assert reader is not None
    assert reader.is_alive()
    return reader


def assert_ends(reader: threading.Thread) -> None:
    gc.collect()  # for interpreters that do not count references
    reader.join(BOUND)
    assert not reader.is_alive()


def test_the_reader_of_a_connection_that_nobody_holds_ends(plain: LocalServer) -> None:
    connection = connect(plain)
    reader = reader_of(connection)
    del connection
    assert_ends(reader)


def test_a_connection_in_a_cycle_ends_with_it(plain: LocalServer) -> None:
    connection = connect(plain)
    reader = reader_of(connection)
    connection.itself = connection  # type: ignore[attr-defined]  # as an object of the user's would
    del connection
    assert_ends(reader)


def test_a_context_that_was_dropped_does_not_hold_its_connection(plain: LocalServer) -> None:
    connection = connect(plain)
    reader = reader_of(connection)
    for text in ("", "One sentence."):
        context = connection.context(voice=VOICE)
        if text:
            context.push(text)
            next(context.receive())
        del context
    del connection
    assert_ends(reader)


@pytest.mark.parametrize("kept", ["context", "receiver", "flushes"])
def test_a_connection_lives_as_long_as_somebody_holds_what_hears_it(kept: str, plain: LocalServer) -> None:
    connection = connect(plain)
    reader = reader_of(connection)
    context = connection.context(voice=VOICE)
    context.push("One sentence.", continue_=False)
    held: Any = {"context": context, "receiver": context.receive(), "flushes": context.receive_flushes()}[kept]
    del connection, context
    gc.collect()
    events = next(held)[1] if kept == "flushes" else held
    assert [event.type for event in events][-1] == "done"
    assert reader.is_alive()
    del held, events
    assert_ends(reader)


def test_a_context_that_was_never_used_keeps_its_connection_usable(plain: LocalServer) -> None:
    context = connect(plain).context(voice=VOICE)
    gc.collect()
    context.push("One sentence.", continue_=False)
    assert context.audio()


def test_an_exception_that_is_kept_does_not_hold_the_connection() -> None:
    with serving(Reset(after=1)) as server:
        connection = connect(server)
        reader = reader_of(connection)
        context = connection.context(voice=VOICE)
        context.push("One sentence.", continue_=False)
        with pytest.raises(TruncatedError) as caught:
            list(context.receive())
        kept = caught.value.with_traceback(None)
        del connection, context, caught
        assert_ends(reader)
        assert isinstance(kept.__cause__, CartesiaError)


def test_a_speech_that_was_dropped_stops_its_pump_and_frees_the_connection(plain: LocalServer) -> None:
    stopped = threading.Event()

    def text() -> Iterator[str]:
        try:
            while True:
                yield "Word. "
        finally:
            stopped.set()

    connection = connect(plain)
    reader = reader_of(connection)
    speech = connection.context(voice=VOICE).speak(text())
    next(speech)
    del connection, speech
    gc.collect()
    assert stopped.wait(BOUND)
    assert_ends(reader)


def test_a_speech_keeps_its_connection(plain: LocalServer) -> None:
    connection = connect(plain)
    reader = reader_of(connection)
    speech = connection.context(voice=VOICE).speak(iter(["One sentence. ", "Another."]))
    del connection
    gc.collect()
    assert [event.type for event in speech][-1] == "done"
    assert reader.is_alive()
    del speech
    assert_ends(reader)


# ---- fork

needs_fork = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork without exec is for Linux here")


@needs_fork
@pytest.mark.parametrize(
    "scene",
    [
        "the_child_is_refused_and_the_parent_goes_on",
        "a_child_that_leaves_by_sys_exit",
        "a_child_that_drops_all",
        "a_lock_that_another_thread_holds",
        "a_thread_in_receive",
        "a_thread_in_recv",
        "a_pump",
    ],
)
def test_a_forked_child_is_refused_at_once_and_disturbs_nobody_with(scene: str) -> None:
    until = threading.Event()
    with staged("forking", scene, Hold(until, after=1, times=None)) as (_, run):
        assert_goes_on(run, until)


@needs_fork
@pytest.mark.parametrize(
    "scene",
    [
        "the_child_speaks_on_its_own",
        "a_grandchild",
        "the_child_keeps_no_descriptor",
        "an_ended_context_that_nobody_read",
        "nothing_but_the_import",
        "a_client_that_never_connected",
        "a_thread_that_reads_the_trust_store",
        "workers_that_open_their_own_when_they_need_it",
    ],
)
def test_parent_and_child_speak_with(scene: str, plain: LocalServer) -> None:
    with script("forking", scene, plain.url, *WARNED) as run:
        assert_quiet(run)


@needs_fork
def test_a_fork_while_a_push_cannot_leave() -> None:
    with staged("forking", "a_thread_in_a_push_that_cannot_leave", StopReading(times=None)) as (_, run):
        assert_quiet(run)


@needs_fork
def test_a_fork_after_the_connection_was_lost() -> None:
    with staged("forking", "a_lost_connection", Reset(after=1)) as (_, run):
        assert_quiet(run)


@needs_fork
def test_a_connection_ends_at_its_close_while_a_child_lives() -> None:
    with staged("forking", "the_parent_closes_while_the_child_lives") as (server, run):
        assert run.line() == "closed"
        server.wait_for(lambda server: not server.open_connections, BOUND)
        run.go()
        assert_quiet(run)


@needs_fork
@pytest.mark.parametrize("scene", ["forked_pool", "spawned_pool", "forked_process_with_a_pipe"])
def test_worker_processes_speak_beside_their_parent_in_a(scene: str, plain: LocalServer) -> None:
    with script("workers", scene, plain.url, *WARNED) as run:
        assert_quiet(run)


# ---- gevent

needs_gevent = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="gevent has no wheel for this Python, or is not installed"
)


@needs_gevent
@pytest.mark.parametrize("scene", ["contexts_on_one_connection", "a_speech"])
def test_greenlets_are_threads_enough_for(scene: str, plain: LocalServer) -> None:
    with script("greenlets", scene, plain.url) as run:
        assert_quiet(run)


@needs_gevent
@pytest.mark.parametrize("scene", ["others_run_while_one_waits", "an_open_connection_at_exit"])
def test_greenlets_that_wait_hold_nobody_up_in(scene: str, holding: LocalServer) -> None:
    with script("greenlets", scene, holding.url) as run:
        assert_quiet(run)
