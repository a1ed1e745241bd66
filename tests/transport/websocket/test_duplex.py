"""Bytes to and from a real socket: one reader, writers one at a time, nothing lost and nobody left waiting."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import (
    MOST_READ_AHEAD_BYTES,
    READ_AHEAD_BYTES,
    Duplex,
    Frame,
    SilenceError,
    WokenError,
)
from cartesia_sync.transport.websocket.stream import Stream

from ...support.peer import BOUND
from ..conftest import Ends, Waits, being_read, write

NOW = 0.0
LARGE = bytes(range(256)) * 4096
"""A megabyte: more than small buffers hold."""


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def either(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """Without TLS in TLS: these tests watch the system's sockets, and between two layers of TLS there are others."""
    return connect_ends(tls=request.param)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def narrow(request: pytest.FixtureRequest, connect_ends: Callable[..., Ends]) -> Ends:
    """The same with small buffers."""
    return connect_ends(tls=request.param, small_buffers=True)


def soon() -> Deadline:
    return Deadline(BOUND)


def take(duplex: Duplex, size: int) -> bytes:
    """Take so many bytes, as one who was woken reads on."""
    while True:
        try:
            return duplex.take(size, soon())
        except WokenError:
            pass  # what stands in line was sent


def take_what_is_there(ends: Ends, size: int) -> None:
    """Let the bytes that were sent arrive, and read them into the read-ahead, though they are not enough."""
    assert select.select([ends.sock], [], [], BOUND)[0]
    calls = ends.duplex.recv_calls
    with pytest.raises(SilenceError):
        ends.duplex.take(size, Deadline(NOW))
    assert ends.duplex.recv_calls == calls + 1


# ---- reading


def test_bytes_arrive_in_the_pieces_that_are_asked_for(either: Ends) -> None:
    either.far.send(b"abc", b"defgh")
    assert either.duplex.take(2, soon()) == b"ab"
    assert either.duplex.take(5, soon()) == b"cdefg"
    assert either.duplex.take(1, soon()) == b"h"


def test_some_bytes_are_at_least_one_and_at_most_what_was_asked_for(ends: Ends) -> None:
    ends.far.send(b"abcde")
    assert ends.duplex.take(1, soon()) == b"a"
    assert ends.duplex.take_some(3, soon()) == b"bcd"
    assert ends.duplex.take_some(3, soon()) == b"e"
    with pytest.raises(SilenceError):
        ends.duplex.take_some(3, Deadline(NOW))


def test_silence_is_distinguished_from_the_end(either: Ends) -> None:
    with pytest.raises(SilenceError):
        either.duplex.take(1, Deadline(NOW))
    either.far.stop_sending()
    with pytest.raises(EOFError):
        either.duplex.take(1, soon())


def test_what_came_before_a_silence_is_kept(ends: Ends) -> None:
    ends.far.send(b"abc")
    take_what_is_there(ends, 5)
    ends.far.send(b"d")
    take_what_is_there(ends, 5)
    ends.far.send(b"efg")
    assert ends.duplex.take(5, soon()) == b"abcde"
    assert ends.duplex.take(2, soon()) == b"fg"


def test_bytes_before_the_end_are_given_first(either: Ends) -> None:
    either.far.send(b"abc")
    either.far.stop_sending()
    assert either.duplex.take(3, soon()) == b"abc"
    with pytest.raises(EOFError):
        either.duplex.take(1, soon())


def test_a_reset_is_an_error_of_the_system_or_an_end(either: Ends) -> None:
    """TLS may report the one as the other."""
    either.far.reset()
    with pytest.raises((EOFError, OSError)) as caught:
        either.duplex.take(1, soon())
    assert not isinstance(caught.value, TimeoutError)


def test_small_pieces_cost_one_recv_together(ends: Ends) -> None:
    ends.far.send(b"abcd" * 1000)
    for _ in range(1000):
        assert ends.duplex.take(4, soon()) == b"abcd"
    assert ends.duplex.recv_calls <= 2


def test_the_system_is_not_asked_for_bytes_that_cannot_be_there(either: Ends, reads: list[int]) -> None:
    """A recv that left nothing is followed by a wait and not by another one."""
    del reads[:]
    for _ in range(20):
        either.far.send(b"a")
        assert either.duplex.take(1, soon()) == b"a"
    assert len(reads) <= 22  # the first may have come before the byte, and over TLS before the tickets of its session


@pytest.mark.parametrize("size", [READ_AHEAD_BYTES - 1, READ_AHEAD_BYTES, READ_AHEAD_BYTES + 1, 1 << 20])
def test_a_piece_larger_than_the_read_ahead_arrives_whole(either: Ends, threads: ThreadPoolExecutor, size: int) -> None:
    data = (LARGE * 2)[:size]
    sent = threads.submit(either.far.send, b"head", data, b"tail")
    assert either.duplex.take(4, soon()) == b"head"
    assert either.duplex.take(size, soon()) == data
    assert either.duplex.take(4, soon()) == b"tail"
    sent.result(BOUND)


def test_the_read_ahead_shrinks_after_a_large_piece(ends: Ends, threads: ThreadPoolExecutor) -> None:
    """One large message must not be paid for ever after."""
    size = 4 * MOST_READ_AHEAD_BYTES
    sent = threads.submit(ends.far.send, LARGE * 4, b"ab")
    assert ends.duplex.take(size, soon()) == LARGE * 4
    assert ends.duplex.take(2, soon()) == b"ab"
    sent.result(BOUND)
    assert len(ends.duplex.ahead) <= MOST_READ_AHEAD_BYTES


def test_the_read_ahead_grows_while_more_is_waiting_and_shrinks_in_silence(
    ends: Ends, threads: ThreadPoolExecutor
) -> None:
    sent = threads.submit(ends.far.send, LARGE)
    assert select.select([ends.sock], [], [], BOUND)[0]
    while len(ends.sock.recv(READ_AHEAD_BYTES, socket.MSG_PEEK)) < READ_AHEAD_BYTES:
        pass  # until as much as the read-ahead holds has come
    taken = b"".join(ends.duplex.take(4096, soon()) for _ in range(READ_AHEAD_BYTES // 4096 + 1))
    assert len(ends.duplex.ahead) == 2 * READ_AHEAD_BYTES
    assert taken + ends.duplex.take(len(LARGE) - len(taken), soon()) == LARGE
    sent.result(BOUND)
    for _ in range(2):  # the first silence shows that it is one
        with pytest.raises(SilenceError):
            ends.duplex.take(1, Deadline(NOW))
    assert len(ends.duplex.ahead) == READ_AHEAD_BYTES


def test_reading_goes_round_the_read_ahead_without_mixing_bytes(ends: Ends, threads: ThreadPoolExecutor) -> None:
    """Pieces of a size that does not divide the read-ahead fall across its end again and again."""
    sent = threads.submit(ends.far.send, LARGE)
    taken = b"".join(ends.duplex.take(1021, soon()) for _ in range(len(LARGE) // 1021))
    assert taken == LARGE[: len(taken)]
    sent.result(BOUND)


# ---- writing


def test_frames_leave_in_the_order_in_which_they_were_put_in_line(narrow: Ends, threads: ThreadPoolExecutor) -> None:
    narrow.duplex.queue(Frame(b"first"))
    with being_read(narrow.duplex):
        written = threads.submit(write, narrow.duplex, LARGE, soon())
        assert narrow.far.read(5 + 2) == b"first" + LARGE[:2]  # so that the writer is in the middle of its frame
        narrow.duplex.unsent.append(Frame(b"second"))
        narrow.duplex.send_ready()
        assert narrow.far.read(len(LARGE) - 2) == LARGE[2:]
        written.result(BOUND)
        write(narrow.duplex, b"third", soon())
        assert narrow.far.read(11) == b"secondthird"


def test_a_queued_frame_that_cannot_leave_at_once_leaves_while_the_reader_waits(
    narrow: Ends, threads: ThreadPoolExecutor
) -> None:
    """Nobody writes: only the reader can move the line on."""
    narrow.duplex.queue(Frame(LARGE))
    narrow.duplex.queue(Frame(b"second"))
    answer = threads.submit(narrow.duplex.take, 6, soon())
    assert narrow.far.read(len(LARGE)) == LARGE
    assert narrow.far.read(6) == b"second"
    narrow.far.send(b"answer")
    assert answer.result(BOUND) == b"answer"


def test_the_reader_reads_on_while_its_line_stands_still(narrow: Ends) -> None:
    narrow.duplex.queue(Frame(LARGE))
    narrow.far.send(b"hello")
    assert narrow.duplex.take(5, soon()) == b"hello"
    with pytest.raises(SilenceError):
        narrow.duplex.take(1, Deadline(NOW))


def test_a_peer_that_does_not_read_is_silence_to_the_writer(narrow: Ends) -> None:
    with pytest.raises(SilenceError):
        write(narrow.duplex, LARGE, Deadline(NOW))


def test_writing_to_a_peer_that_has_gone_is_an_error_of_the_system(either: Ends) -> None:
    either.far.reset()
    with pytest.raises(OSError, match=r".") as caught:
        write(either.duplex, LARGE * 8, soon())
    assert not isinstance(caught.value, TimeoutError)


def test_many_writers_that_take_turns_write_whole_frames(narrow: Ends, threads: ThreadPoolExecutor) -> None:
    """Each frame is one letter 1 to 9,000 times, with its length before it."""
    turn = threading.Lock()

    def write_all(letter: int) -> None:
        for number in range(20):
            size = 1 + (letter * 7919 + number * 4507) % 9000
            with turn:
                write(narrow.duplex, size.to_bytes(2, "big") + bytes([letter]) * size, soon())

    received = []
    with being_read(narrow.duplex):
        writers = [threads.submit(write_all, letter) for letter in range(8)]
        for _ in range(8 * 20):
            body = narrow.far.read(int.from_bytes(narrow.far.read(2), "big"))
            assert len(set(body)) == 1
            received.append((body[0], len(body)))
        for writer in writers:
            writer.result(BOUND)
    for letter in range(8):
        sizes = [size for who, size in received if who == letter]
        assert sizes == [1 + (letter * 7919 + number * 4507) % 9000 for number in range(20)]


def test_one_reader_and_three_writers_lose_nothing_under_load(either: Ends, threads: ThreadPoolExecutor) -> None:
    """A socket timeout that they shared would lose healthy TLS connections on CPython 3.10 to 3.12."""
    count, size = 800, 4096
    turn = threading.Lock()

    def write_all(letter: int) -> None:
        for _ in range(count):
            with turn:
                write(either.duplex, bytes([letter]) * size, soon())

    def echo_all() -> None:
        for _ in range(3 * count):
            either.far.send(either.far.read(size))

    jobs = [threads.submit(write_all, letter) for letter in range(3)]
    jobs.append(threads.submit(echo_all))
    received = [0, 0, 0]
    for _ in range(3 * count):
        body = take(either.duplex, size)
        assert body == body[:1] * size
        received[body[0]] += 1
    for job in jobs:
        job.result(BOUND)
    assert received == [count] * 3


# ---- the end


def test_shut_wakes_a_waiting_reader(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    for tls in (False, True):
        waits.reader.clear()
        ends = connect_ends(tls=tls)
        reading = threads.submit(ends.duplex.take, 1, Deadline(None))
        assert waits.reader.wait(BOUND)
        ends.duplex.shutdown()
        with pytest.raises((EOFError, OSError)):
            reading.result(BOUND)


def test_shut_wakes_a_waiting_writer(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    """By way of the reader, who meets the end and wakes the writer."""
    for tls in (False, True):
        waits.writer.clear()
        ends = connect_ends(tls=tls, small_buffers=True)
        with being_read(ends.duplex):
            writing = threads.submit(write, ends.duplex, LARGE, Deadline(None))
            assert waits.writer.wait(BOUND)
            ends.duplex.shutdown()
            with pytest.raises(OSError, match=r".") as caught:
                writing.result(BOUND)
        assert not isinstance(caught.value, TimeoutError)


def test_shut_ends_the_connection_for_the_peer_and_sends_nothing_in_clear(either: Ends) -> None:
    either.duplex.shutdown()
    with pytest.raises(OSError, match="shut"):
        write(either.duplex, b"secret", soon())
    with pytest.raises(OSError, match="shut"):
        either.duplex.queue(Frame(b"secret"))
    raw = socket.socket(fileno=either.far.sock.detach())  # below TLS: a TLS object would hide what came in clear
    with raw, contextlib.suppress(ConnectionResetError):
        assert raw.recv(100) == b""


@pytest.mark.parametrize("first", ["shutdown", "close"])
def test_the_end_can_be_asked_for_again_and_again(either: Ends, first: str) -> None:
    getattr(either.duplex, first)()
    either.duplex.shutdown()
    either.duplex.close()
    either.duplex.close()
    either.duplex.shutdown()
    assert either.sock.fileno() == -1


def test_shut_after_the_peer_was_faster_is_no_error(either: Ends) -> None:
    either.far.reset()
    with pytest.raises((EOFError, OSError)):
        either.duplex.take(1, soon())
    either.duplex.shutdown()
    either.duplex.close()


def test_a_finalizer_may_shut_in_the_thread_that_holds_the_lock(ends: Ends) -> None:
    with ends.duplex._io_lock:
        assert ends.duplex._io_lock.acquire(blocking=False)  # else the next line would wait for ever
        ends.duplex.shutdown()
        ends.duplex._io_lock.release()


def test_close_wakes_every_writer_that_waits(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    """They wait on no descriptor, so that this one is given back at once."""
    for tls in (False, True):
        ends = connect_ends(tls=tls, small_buffers=True)
        writing = []
        for data in (LARGE, b"second", b"third"):
            waits.writer.clear()
            writing.append(threads.submit(write, ends.duplex, data, Deadline(None)))
            assert waits.writer.wait(BOUND)
        ends.duplex.close()
        assert ends.sock.fileno() == -1
        for each in writing:
            with pytest.raises(OSError, match="shut"):
                each.result(BOUND)


def test_close_wakes_a_writer_that_is_about_to_wait(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    ends = connect_ends(small_buffers=True)
    waits.let_writer_go.clear()
    writing = threads.submit(write, ends.duplex, LARGE, Deadline(None))
    assert waits.writer.wait(BOUND)
    ends.duplex.close()
    waits.let_writer_go.set()
    with pytest.raises(OSError, match="shut"):
        writing.result(BOUND)


def test_use_after_close_is_an_error_of_the_system(either: Ends) -> None:
    either.duplex.close()
    for use in (
        lambda: either.duplex.take(1, soon()),
        lambda: either.duplex.queue(Frame(b"x")),
        lambda: write(either.duplex, b"x", soon()),
    ):
        with pytest.raises(OSError, match=r"."):
            use()


def test_drop_gives_back_the_descriptor_and_leaves_the_connection_alone(either: Ends) -> None:
    """What a forked child does: the peer must not see an end. Here a second descriptor plays the parent's."""
    parents = socket.socket(fileno=socket.dup(either.sock.fileno()))
    with parents:
        either.duplex.detach()
        assert either.sock.fileno() == -1
        with pytest.raises(OSError, match="shut"):
            write(either.duplex, b"x", soon())
        assert not either.far.is_gone()


def test_drop_does_not_wait_for_a_lock_that_another_thread_held(ends: Ends, threads: ThreadPoolExecutor) -> None:
    with ends.duplex._io_lock:
        threads.submit(ends.duplex.detach).result(BOUND)
    assert ends.sock.fileno() == -1


# ---- when one direction fails before the other


def test_what_came_before_a_reset_is_read_though_the_line_can_no_longer_leave(narrow: Ends) -> None:
    """The reason why the service ended the connection may be among it."""
    narrow.duplex.queue(Frame(LARGE))
    narrow.far.send(b"the reason")
    assert narrow.duplex.take(4, soon()) == b"the "
    narrow.far.send(b" at length")
    assert select.select([narrow.sock], [], [], BOUND)[0]
    narrow.far.reset()
    assert narrow.duplex.take(16, soon()) == b"reason at length"
    with pytest.raises((EOFError, OSError)):
        narrow.duplex.take(1, soon())


def test_what_came_before_shut_is_read_though_a_frame_was_torn(narrow: Ends) -> None:
    with pytest.raises(SilenceError):
        write(narrow.duplex, LARGE, Deadline(NOW))
    narrow.far.send(b"the reason")
    assert select.select([narrow.sock], [], [], BOUND)[0]
    narrow.duplex.shutdown()
    assert narrow.duplex.take(10, soon()) == b"the reason"
    with pytest.raises((EOFError, OSError)):
        narrow.duplex.take(1, soon())


def test_a_socket_that_was_blocking_no_longer_is(either: Ends) -> None:
    """A blocking send would hold the lock, and with it the reader."""
    assert either.sock.gettimeout() == 0.0


def test_a_socket_that_never_connected_can_be_given_back_too() -> None:
    duplex = Duplex(Stream(socket.socket()))
    duplex.shutdown()
    duplex.close()
