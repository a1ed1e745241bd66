"""Interrupts in a thread that writes: every frame leaves whole, and once, and no lock is left."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Duplex, Frame, SilenceError, WokenError
from cartesia_sync.transport.websocket.stream import Stream

from ...support.interrupts import LOCKS_LEAK, Strike, strikes
from ...support.peer import BOUND, frame
from ..conftest import Ends, Reader, Waits, being_read, write

ROOT = Path(__file__).resolve().parents[3]
FILES = ("/transport/websocket/duplex.py", "/transport/websocket/stream.py")
LARGE = bytes(range(256)) * 1200
"""300 KB: more than small buffers hold."""

FEWEST_PLACES = 12
"""In how many a writer can be struck at the least, on any version; with fewer, they were not looked for."""


def soon() -> Deadline:
    return Deadline(BOUND)


def is_owned(duplex: Duplex) -> bool:
    """Whether this thread has the lock."""
    owned: bool = duplex._io_lock._is_owned()  # type: ignore[attr-defined]  # as the duplex asks it
    return owned


def is_free(duplex: Duplex, threads: ThreadPoolExecutor) -> bool:
    """Whether another thread gets the lock; the reader holds it for no longer than a send or a recv takes."""

    def take() -> bool:
        is_ours = duplex._io_lock.acquire(timeout=BOUND)
        if is_ours:
            duplex._io_lock.release()
        return is_ours

    return threads.submit(take).result(2 * BOUND)


def read_when_woken(ends: Ends, reader: Reader, size: int) -> bytes:
    """Read at the far end, and nothing before the writer has given its frame up to the reader, struck or not."""
    assert reader.woken.wait(BOUND)
    return ends.far.read(size)


def strike_everywhere(ends: Ends, body: bytes, threads: ThreadPoolExecutor, *, in_main: bool) -> None:
    """Write a frame, and another one behind it, until the first was struck at every place; see both arrive."""

    def finish(strike: Strike, waiting: Frame) -> None:
        strike.run(ends.duplex.finish, waiting, soon())
        if LOCKS_LEAK and is_owned(ends.duplex):
            ends.duplex._io_lock.release()
        ends.duplex.wake()  # as the one who catches it does

    with being_read(ends.duplex) as reader:
        for number, strike in enumerate(strikes(*FILES)):
            first, second = b"first %d " % number + body, b"second %d" % number
            waiting = Frame(first)
            reader.woken.clear()
            arriving = threads.submit(read_when_woken, ends, reader, len(first + second))
            ends.duplex.unsent.append(waiting)
            if in_main:
                finish(strike, waiting)
            else:
                threads.submit(finish, strike, waiting).result(2 * BOUND)
            assert is_free(ends.duplex, threads), strike.place
            write(ends.duplex, second, soon())
            assert arriving.result(BOUND) == first + second, strike.place
            assert waiting.has_left
    assert number >= FEWEST_PLACES


@pytest.mark.parametrize("in_main", [True, False], ids=["by a signal", "by another thread"])
def test_a_frame_that_gets_stuck_leaves_whole_and_once_wherever_its_writer_is_struck(
    narrow: Ends, threads: ThreadPoolExecutor, in_main: bool
) -> None:
    """In the main thread TLS's own call runs the handler, behind its work."""
    strike_everywhere(narrow, LARGE, threads, in_main=in_main)


@pytest.mark.parametrize("in_main", [True, False], ids=["by a signal", "by another thread"])
def test_a_frame_that_leaves_at_once_leaves_whole_and_once_wherever_its_writer_is_struck(
    either: Ends, threads: ThreadPoolExecutor, in_main: bool
) -> None:
    """Of three records, over TLS."""
    strike_everywhere(either, LARGE[:40_000], threads, in_main=in_main)


def test_a_handler_that_writes_in_the_middle_of_a_write_tears_no_frame(
    narrow: Ends, threads: ThreadPoolExecutor
) -> None:
    """It cannot wait there for its own frame, which this very thread holds up; that leaves behind the other."""
    number, called = 0, 0

    def handle() -> None:
        nonlocal called
        called += 1
        write(narrow.duplex, b"second %d" % number, soon())

    with being_read(narrow.duplex) as reader:
        for number, strike in enumerate(strikes(*FILES, call=handle)):
            first, second = b"first %d " % number + LARGE, b"second %d" % number
            waiting = Frame(first)
            reader.woken.clear()
            called = 0
            arriving = threads.submit(read_when_woken, narrow, reader, len(first + second))
            narrow.duplex.unsent.append(waiting)
            strike.run(narrow.duplex.finish, waiting, soon())
            if not called:
                assert strike.place is None
                handle()
            assert called == 1
            assert arriving.result(BOUND) == first + second, strike.place
            assert is_free(narrow.duplex, threads), strike.place
    assert number >= FEWEST_PLACES


def test_close_leaves_no_lock_wherever_it_is_struck_and_the_next_close_wakes_the_writers(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    """On 3.13 an ``if`` at the end of a loop under the lock would be a place where it is lost."""
    waits.let_writer_go.clear()
    for strike in strikes(*FILES):
        ends = connect_ends(small_buffers=True)
        waits.writer.clear()
        ends.duplex.unsent.append(Frame(LARGE))  # nobody waits for this one
        writing = threads.submit(write, ends.duplex, b"waited for", soon())
        assert waits.writer.wait(BOUND)
        waker = ends.duplex._waker  # whose finalizer is not to be struck: Python drops what is raised in one
        strike.run(ends.duplex.close)
        if LOCKS_LEAK and is_owned(ends.duplex):
            ends.duplex._io_lock.release()
        assert is_free(ends.duplex, threads), strike.place
        ends.duplex.close()
        del waker
        waits.let_writer_go.set()
        with pytest.raises(OSError, match="shut"):
            writing.result(BOUND)


# ---- what an interrupted writer leaves over


def test_half_a_frame_that_its_writer_left_is_finished_by_the_reader_who_is_woken(
    waits: Waits, connect_ends: Callable[..., Ends]
) -> None:
    for tls in (False, True):
        waits.reader.clear()
        ends = connect_ends(tls=tls, small_buffers=True)
        with being_read(ends.duplex):
            assert waits.reader.wait(BOUND)  # and it knows of nothing to send
            half = Frame(LARGE)
            ends.duplex.unsent.append(half)
            ends.duplex.send_ready()  # as far as a writer has come who is struck then
            assert not half.has_left
            assert ends.stream.has_unsent or half.has_begun_to_leave
            ends.duplex.wake()
            assert ends.far.read(len(LARGE)) == LARGE
            write(ends.duplex, b"second", soon())
            assert ends.far.read(6) == b"second"


def test_ctrl_c_ends_the_wait_for_a_frame_which_leaves_all_the_same(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    main = threading.get_ident()
    struck = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if not struck.is_set():
            struck.set()
            raise KeyboardInterrupt

    def strike() -> None:
        """Again and again: one that comes right before the system's wait is noticed with the next, in any program."""
        assert waits.writer.wait(BOUND)
        deadline = Deadline(BOUND)
        while not struck.is_set() and not deadline.expired:
            signal.pthread_kill(main, signal.SIGINT)
            struck.wait(0.05)

    before = signal.signal(signal.SIGINT, handle)
    try:
        for tls in (False, True):
            struck.clear()
            waits.writer.clear()
            ends = connect_ends(tls=tls, small_buffers=True)
            with being_read(ends.duplex):
                striking = threads.submit(strike)
                with pytest.raises(KeyboardInterrupt):
                    write(ends.duplex, LARGE, Deadline(None))
                striking.result(2 * BOUND)
                ends.duplex.wake()
                assert ends.far.read(len(LARGE)) == LARGE
                assert is_free(ends.duplex, threads)
                write(ends.duplex, b"second", soon())
                assert ends.far.read(6) == b"second"
    finally:
        signal.signal(signal.SIGINT, before)


# ---- wake


def test_a_wake_waits_for_no_lock_whoever_holds_it(ends: Ends, threads: ThreadPoolExecutor) -> None:
    with ends.duplex._io_lock:
        threads.submit(ends.duplex.wake).result(BOUND)
    with pytest.raises(WokenError):
        ends.duplex.take(1, soon())


def test_a_signals_handler_may_wake_in_the_thread_that_holds_the_lock(ends: Ends) -> None:
    before = signal.signal(signal.SIGINT, lambda _number, _frame: ends.duplex.wake())
    try:
        with ends.duplex._io_lock:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(WokenError):
        ends.duplex.take(1, soon())


def test_a_finalizer_may_wake_in_the_thread_that_holds_the_lock(ends: Ends) -> None:
    class Forgotten:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            ends.duplex.wake()

    with ends.duplex._io_lock:
        Forgotten()
        gc.collect()
    with pytest.raises(WokenError):
        ends.duplex.take(1, soon())


def test_many_wakes_never_wait_take_no_memory_and_are_one(ends: Ends) -> None:
    ends.duplex.wake()
    tracemalloc.start()
    try:
        for _ in range(50_000):
            ends.duplex.wake()
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
    with pytest.raises(WokenError):
        ends.duplex.take(1, soon())
    with pytest.raises(SilenceError) as caught:
        ends.duplex.take(1, Deadline(0.0))
    assert not isinstance(caught.value, WokenError)


def test_a_wake_that_comes_before_the_wait_is_not_lost(either: Ends) -> None:
    either.wire.wake()
    assert either.wire.read(Deadline(None)) is None
    assert either.wire.was_woken
    assert either.wire.read(Deadline(0.0)) is None
    assert not either.wire.was_woken


def test_a_wake_in_the_middle_of_a_frame_is_not_lost_and_parts_no_frame(either: Ends) -> None:
    sent = frame(b"x" * 300)
    either.far.send(sent)
    assert either.wire.read(soon()) == b"x" * 300  # with which what TLS itself has to say has come too
    for position in (1, 3, 100):
        either.far.send(sent[:position])
        assert select.select([either.sock], [], [], BOUND)[0]
        assert either.wire.read(Deadline(0.0)) == b""  # a sign of life
        either.wire.wake()
        assert either.wire.read(Deadline(None)) is None
        assert either.wire.was_woken
        either.far.send(sent[position:])
        assert either.wire.read(soon()) == b"x" * 300


def test_a_wake_that_comes_together_with_a_message_is_told_behind_it(ends: Ends) -> None:
    for _ in range(3):
        ends.far.send(frame(b"message"))
        assert select.select([ends.sock], [], [], BOUND)[0]
        ends.wire.wake()
        received = [ends.wire.read(soon()), ends.wire.read(soon())]
        assert sorted(received, key=bool) == [None, b"message"]  # which of the two is found first is undefined
        assert ends.wire.read(Deadline(0.0)) is None
        assert not ends.wire.was_woken


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_wake_is_noticed_beside_messages_that_come(
    connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor, tls: bool
) -> None:
    ends = connect_ends(tls=tls)
    count = 500
    with being_read(ends.wire) as reader:
        sending = threads.submit(lambda: [ends.far.send(frame(b"x" * 100)) for _ in range(count)])
        for _ in range(count):
            reader.woken.clear()
            ends.wire.wake()
            assert reader.woken.wait(BOUND)
        sending.result(BOUND)
        assert [reader.arrived.get(timeout=BOUND) for _ in range(count)] == [b"x" * 100] * count


def test_the_write_end_of_the_waker_is_closed_with_the_last_reference_and_not_before() -> None:
    """A thread may be in ``wake`` while the reader closes, and the number of what it holds must not be given out."""
    duplex = Duplex(Stream(socket.socket()))
    waker = duplex._waker
    assert waker is not None
    write_end, read_end = waker._write_end, waker.read_end
    duplex.close()
    assert read_end.fileno() == -1
    assert write_end.fileno() != -1
    waker.wake()
    duplex.wake()
    del waker
    assert write_end.fileno() == -1


def test_a_duplex_that_nobody_closed_gives_its_descriptors_back() -> None:
    stream = Stream(socket.socket())
    duplex = Duplex(stream)
    assert duplex._waker is not None
    held = [stream._sock, duplex._wake_socket, duplex._waker._write_end]
    del duplex
    assert [each.fileno() for each in held] == [-1, -1, -1]


# ---- SIGPIPE

PIPE_IS_DEADLY = """
import select, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
import ssl, trustme
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Duplex
from tests.transport.conftest import write
from tests.support.peer import Trust, connected

trust = None
if sys.argv[1] == "tls":
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    trust = Trust(server, client)
with connected(trust, small_buffers=False) as (near, far):
    duplex = Duplex(near)
    waker = duplex._waker
    far.reset()
    assert select.select([near], [], [], 10)[0]
    for _ in range(3):  # the first meets the reset, and the others write into what is closed
        try:
            write(duplex, b"x", Deadline(10.0))
        except OSError as error:
            print(type(error).__name__)
    duplex.close()
    waker.wake()
print("alive")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="a system without SIGPIPE")
@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_writing_to_a_peer_that_has_gone_is_an_error_where_sigpipe_is_deadly(transport: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PIPE_IS_DEADLY, transport],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=3 * BOUND,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout.split()[1:] == ["BrokenPipeError", "BrokenPipeError", "alive"]


def test_where_it_is_a_setting_of_the_socket_every_socket_of_ours_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS; any other setting that is off plays the part of that one."""
    monkeypatch.setattr(socket, "SO_NOSIGPIPE", socket.SO_KEEPALIVE, raising=False)
    duplex = Duplex(Stream(socket.socket()))
    waker = duplex._waker
    assert waker is not None
    for sock in (duplex._stream._sock, waker.read_end, waker._write_end):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    duplex.close()
