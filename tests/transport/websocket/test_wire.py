"""Frames in and out of an open connection, with the far end under the test's own hand."""

from __future__ import annotations

import errno
import select
import socket
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cartesia_sync.errors import (
    APIConnectionError,
    MessageTooBigError,
    ProtocolError,
    WebSocketConnectionClosedError,
    WriteTimeoutError,
)
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import READ_AHEAD_BYTES, Duplex
from cartesia_sync.transport.websocket.stream import Stream
from cartesia_sync.transport.websocket.wire import BinaryMessage, Wire

from ...support.peer import BINARY, BOUND, CLOSE, CONT, PING, PONG, TEXT, Said, close_frame, frame
from ..conftest import Ends, Waits, being_read

NOW = 0.0
LARGE = bytes(range(256)) * 4096
"""A megabyte: more than small buffers hold."""


def soon() -> Deadline:
    return Deadline(BOUND)


def read(ends: Ends) -> Any:
    """Read, as one who was woken reads on."""
    while True:
        message = ends.wire.read(soon())
        if message is not None or not ends.wire.was_woken:
            return message


def read_the_end(ends: Ends) -> WebSocketConnectionClosedError:
    with pytest.raises(WebSocketConnectionClosedError) as caught:
        read(ends)
    return caught.value


def let_arrive(ends: Ends) -> None:
    """Wait until what the far end sent can be read."""
    assert select.select([ends.sock], [], [], BOUND)[0]


# ---- framing

WHOLE = [
    pytest.param(frame(b"hello"), b"hello", id="text"),
    pytest.param(frame(b"h\x00\xff", BINARY), b"h\x00\xff", id="binary"),
    pytest.param(frame(b"m" * 300), b"m" * 300, id="length of two bytes"),
    pytest.param(frame(b"beat", PING), b"", id="ping"),
    pytest.param(frame(b"beat", PONG), b"", id="pong"),
    pytest.param(frame(b"hel", fin=False) + frame(b"lo", CONT), b"hello", id="fragments"),
]


@pytest.mark.parametrize(("sent", "message"), WHOLE)
def test_a_frame_may_be_split_anywhere(connect_ends: Callable[..., Ends], sent: bytes, message: bytes) -> None:
    """The first half is a sign of life; then there is silence. Reading goes on in the middle later."""
    ends = connect_ends()
    for position in range(1, len(sent)):
        calls = ends.duplex.recv_calls
        ends.far.send(sent[:position])
        let_arrive(ends)
        assert ends.wire.read(Deadline(NOW)) == b""
        assert ends.wire.read(Deadline(NOW)) is None
        assert ends.duplex.recv_calls == calls + 1
        ends.far.send(sent[position:])
        assert read(ends) == message


@pytest.mark.parametrize("position", range(1, len(close_frame(1011, "tired"))))
def test_a_close_frame_may_be_split_anywhere(ends: Ends, position: int) -> None:
    sent = close_frame(1011, "tired")
    ends.far.send(sent[:position])
    let_arrive(ends)
    assert ends.wire.read(Deadline(NOW)) == b""
    assert ends.wire.read(Deadline(NOW)) is None
    ends.far.send(sent[position:])
    end = read_the_end(ends)
    assert (end.code, end.reason) == (1011, "tired")


def test_frames_in_one_segment_are_given_one_by_one(either: Ends) -> None:
    either.far.send(frame(b"one"), frame(b"beat", PING), frame(b"two"), frame(b"", PONG), frame(b"three"))
    assert [read(either) for _ in range(5)] == [b"one", b"", b"two", b"", b"three"]
    assert either.wire.read(Deadline(NOW)) is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537, 300_000])
def test_every_form_of_length_is_read(either: Ends, threads: ThreadPoolExecutor, size: int) -> None:
    data = LARGE[:size]
    sent = threads.submit(either.far.send, frame(data), frame(b"next"))
    assert read(either) == data
    assert read(either) == b"next"
    sent.result(BOUND)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537, 300_000])
def test_every_form_of_length_is_written(either: Ends, threads: ThreadPoolExecutor, size: int) -> None:
    data = LARGE[:size]
    with being_read(either.wire):
        written = threads.submit(either.wire.write, data, soon())
        assert either.far.hear() == Said(TEXT, data)
        written.result(BOUND)


def test_a_message_in_fragments_is_given_whole(ends: Ends) -> None:
    ends.far.send(frame(b"a", fin=False), frame(b"", CONT, fin=False), frame(b"b", CONT, fin=False))
    ends.far.send(frame(b"c", CONT), frame(b"d"))
    assert [read(ends), read(ends)] == [b"abc", b"d"]


def test_a_message_whose_first_fragment_is_empty_is_given_whole(ends: Ends) -> None:
    ends.far.send(frame(b"", fin=False), frame(b"a", CONT), frame(b"", fin=False), frame(b"", CONT), frame(b"b"))
    assert [read(ends), read(ends), read(ends)] == [b"a", b"", b"b"]


def test_a_ping_between_fragments_does_not_part_the_message(ends: Ends) -> None:
    ends.far.send(frame(b"a", fin=False), frame(b"beat", PING), frame(b"b", CONT))
    assert [read(ends), read(ends)] == [b"", b"ab"]
    assert ends.far.hear() == Said(PONG, b"beat")


def test_a_silence_between_fragments_does_not_part_the_message(ends: Ends) -> None:
    ends.far.send(frame(b"a", fin=False))
    let_arrive(ends)
    assert ends.wire.read(Deadline(NOW)) == b""
    assert ends.wire.read(Deadline(NOW)) is None
    ends.far.send(frame(b"b", CONT))
    assert read(ends) == b"ab"


def test_small_frames_cost_one_recv_together(ends: Ends) -> None:
    """Read one by one from the socket, a frame costs two calls, and a handshake some two hundred."""
    ends.far.send(frame(b"small") * 1000)
    for _ in range(1000):
        assert read(ends) == b"small"
    assert ends.duplex.recv_calls <= 2


def test_the_read_ahead_shrinks_after_a_large_message(ends: Ends, threads: ThreadPoolExecutor) -> None:
    sent = threads.submit(ends.far.send, frame(LARGE), frame(b"small"))
    assert read(ends) == LARGE
    assert read(ends) == b"small"
    sent.result(BOUND)
    for _ in range(2):  # the first silence shows that it is one
        assert ends.wire.read(Deadline(NOW)) is None
    assert len(ends.duplex.ahead) == READ_AHEAD_BYTES


# ---- signs of life


def test_each_piece_of_a_frame_that_comes_slowly_is_a_sign_of_life(either: Ends) -> None:
    """Else a large frame that comes slowly would be taken for silence, and end the connection."""
    either.far.send(frame(b"first"))  # with which what TLS itself has to say has come too
    assert read(either) == b"first"
    sent = frame(b"slow" * 5000)
    pieces = [sent[start : start + 1000] for start in range(0, len(sent), 1000)]
    for piece in pieces[:-1]:
        either.far.send(piece)
        let_arrive(either)
        assert either.wire.read(Deadline(NOW)) == b""
        assert either.wire.read(Deadline(NOW)) is None
    either.far.send(pieces[-1], frame(b"next"))
    assert read(either) == b"slow" * 5000
    assert read(either) == b"next"


def test_what_came_with_an_earlier_message_is_no_sign_of_life_of_now(ends: Ends) -> None:
    ends.far.send(frame(b"first"), frame(b"second")[:3])
    assert read(ends) == b"first"
    assert ends.wire.read(Deadline(NOW)) is None


def test_fragments_that_keep_coming_do_not_keep_the_reader_for_ever(ends: Ends) -> None:
    """Empty ones would never reach the limit of a message, and the reader has others to see to."""
    ends.far.send(frame(b"a", fin=False), frame(b"", CONT, fin=False) * 20, frame(b"b", CONT))
    let_arrive(ends)
    received = [ends.wire.read(Deadline(NOW)) for _ in range(22)]
    assert received == [b""] * 21 + [b"ab"]


@pytest.mark.parametrize(
    ("sent", "kind", "message"),
    [
        (frame(b""), bytes, b""),
        (frame(b"", fin=False) + frame(b"", CONT), bytes, b""),
        (frame(b"", BINARY), BinaryMessage, b""),
        (frame(b"a\xff", BINARY), BinaryMessage, b"a\xff"),
        (frame(b"a", BINARY, fin=False) + frame(b"\xff", CONT), BinaryMessage, b"a\xff"),
        (frame(b"", BINARY, fin=False) + frame(b"", CONT), BinaryMessage, b""),
        (frame(b"a"), bytes, b"a"),
        (frame(b"a", fin=False) + frame(b"b", CONT), bytes, b"ab"),
    ],
    ids=repr,
)
def test_a_message_is_true_and_tells_whether_it_is_binary(ends: Ends, sent: bytes, kind: type, message: bytes) -> None:
    """An empty one is no sign of life: it may be what is left of an event."""
    ends.far.send(sent)
    received = read(ends)
    assert received
    assert received == message
    assert isinstance(received, BinaryMessage) == (kind is BinaryMessage)
    for sign in (PING, PONG):
        ends.far.send(frame(b"beat", sign))
        assert not read(ends)


# ---- what a service must not send

NOT_ALLOWED = [
    *(pytest.param(frame(b"x", rsv=bits), id=f"reserved bits {bits:03b}") for bits in range(1, 8)),
    *(pytest.param(frame(b"x", opcode), id=f"opcode {opcode}") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    pytest.param(frame(b"x", mask=bytes(4)), id="masked"),
    pytest.param(frame(b"", mask=bytes(4)), id="masked and empty"),
    pytest.param(frame(b"x" * 126, PING), id="ping of 126 bytes"),
    pytest.param(frame(b"x" * 126, PONG), id="pong of 126 bytes"),
    pytest.param(frame(b"\x03\xe8" + b"x" * 124, CLOSE), id="close of 126 bytes"),
    pytest.param(frame(b"x", PING, fin=False), id="ping in fragments"),
    pytest.param(frame(b"x", PONG, fin=False), id="pong in fragments"),
    pytest.param(frame(b"\x03\xe8", CLOSE, fin=False), id="close in fragments"),
    pytest.param(frame(b"x", CONT), id="the end of a message that did not begin"),
    pytest.param(frame(b"x", CONT, fin=False), id="the middle of a message that did not begin"),
    pytest.param(frame(b"x", fin=False) + frame(b"y"), id="a message inside another"),
    pytest.param(frame(b"", fin=False) + frame(b"y", fin=False), id="a message in fragments inside another"),
    pytest.param(frame(b"\x03", CLOSE), id="close of one byte"),
    *(
        pytest.param(close_frame(code), id=f"close with code {code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    pytest.param(b"HTTP/1.1 500 Oh no\r\n\r\n", id="HTTP"),
]


@pytest.mark.parametrize("sent", NOT_ALLOWED)
def test_what_a_service_must_not_send_is_refused(ends: Ends, sent: bytes) -> None:
    ends.far.send(sent)
    with pytest.raises(ProtocolError) as caught:
        read(ends)
    assert caught.value.close_code == 1002
    assert ends.far.hear() == Said(CLOSE, b"\x03\xea")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"\xff"], id="at once"),
        pytest.param([b"ok", b"\xc0"], id="later"),
        pytest.param([b"\xe2", b"\x28"], id="between two fragments"),
        pytest.param([b"\xed", b"\xa0"], id="half of a pair"),
        pytest.param([b"\xf4", b"\x90"], id="too large"),
    ],
)
def test_text_that_is_not_utf8_is_refused_at_the_fragment_that_shows_it(ends: Ends, parts: list[bytes]) -> None:
    """The message's end never comes."""
    ends.far.send(*(frame(part, CONT if number else TEXT, fin=False) for number, part in enumerate(parts)))
    with pytest.raises(ProtocolError, match="not UTF-8") as caught:
        read(ends)
    assert caught.value.close_code == 1007
    assert ends.far.hear() == Said(CLOSE, b"\x03\xef")


def test_text_that_ends_inside_a_character_is_refused_at_its_end(ends: Ends) -> None:
    ends.far.send(frame(b"a", fin=False), frame(b"\xe2\x82", CONT))
    with pytest.raises(ProtocolError, match="not UTF-8"):
        read(ends)
    assert ends.far.hear() == Said(CLOSE, b"\x03\xef")


def test_fragments_may_part_a_character_and_the_next_message_begins_anew(ends: Ends) -> None:
    euro = "\u20ac".encode()
    for _ in range(2):
        ends.far.send(frame(euro[:1], fin=False), frame(euro[1:2], CONT, fin=False), frame(euro[2:], CONT))
        ends.far.send(frame(b"\xff", BINARY, fin=False), frame(b"\xe2", CONT))
        assert [read(ends), read(ends)] == [euro, b"\xff\xe2"]


def test_a_message_in_many_fragments_takes_memory_for_itself_and_not_for_each(ends: Ends) -> None:
    def take(count: int) -> int:
        ends.far.send(frame(b"x", fin=False), frame(b"x", CONT, fin=False) * (count - 2), frame(b"x", CONT))
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert read(ends) == b"x" * count
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        take(3000)
        assert take(3000) < take(100) + 20_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(frame(rsv=4, length=1 << 20)[:10], id="reserved bit"),
        pytest.param(frame(opcode=3, length=1 << 20)[:10], id="opcode"),
        pytest.param(frame(mask=bytes(4), length=1 << 20)[:10], id="masked"),
        pytest.param(frame(opcode=PING, length=1 << 20)[:10], id="ping of a megabyte"),
    ],
)
def test_what_a_service_must_not_send_is_refused_by_its_head_alone(ends: Ends, head: bytes) -> None:
    """None of the payload comes: who waited for it would receive nothing."""
    ends.far.send(head)
    with pytest.raises(ProtocolError):
        read(ends)


@pytest.mark.parametrize("length", [1001, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_message_over_the_limit_is_refused_before_it_is_read(connect_ends: Callable[..., Ends], length: int) -> None:
    ends = connect_ends(max_message_bytes=1000)
    ends.far.send(frame(b"", length=length))
    with pytest.raises(MessageTooBigError, match="max_message_bytes") as caught:
        read(ends)
    assert (caught.value.limit_bytes, caught.value.close_code) == (1000, 1009)
    assert ends.far.hear() == Said(CLOSE, b"\x03\xf1")
    assert ends.duplex.recv_calls == 1
    assert len(ends.duplex.ahead) == READ_AHEAD_BYTES


def test_a_message_of_exactly_the_limit_is_taken(connect_ends: Callable[..., Ends]) -> None:
    ends = connect_ends(max_message_bytes=1000)
    ends.far.send(frame(b"x" * 1000), frame(b"y" * 600, fin=False), frame(b"y" * 400, CONT))
    assert [read(ends), read(ends)] == [b"x" * 1000, b"y" * 1000]


def test_a_message_that_grows_over_the_limit_is_refused(connect_ends: Callable[..., Ends]) -> None:
    ends = connect_ends(max_message_bytes=1000)
    ends.far.send(frame(b"x" * 600, fin=False), frame(b"x" * 300, CONT, fin=False), frame(b"x" * 101, CONT))
    with pytest.raises(MessageTooBigError) as caught:
        read(ends)
    assert caught.value.limit_bytes == 1000


def test_the_fragment_that_is_too_much_is_refused_before_it_is_read(connect_ends: Callable[..., Ends]) -> None:
    """Its payload never comes: who waited for it would receive nothing."""
    ends = connect_ends(max_message_bytes=1000)
    ends.far.send(frame(b"x" * 600, fin=False), frame(b"", CONT, length=401))
    with pytest.raises(MessageTooBigError):
        read(ends)


def test_the_limit_counts_each_message_for_itself(connect_ends: Callable[..., Ends]) -> None:
    ends = connect_ends(max_message_bytes=1000)
    for _ in range(3):
        ends.far.send(frame(b"x" * 500, fin=False), frame(b"x" * 500, CONT))
        assert read(ends) == b"x" * 1000


# ---- the service closes


@pytest.mark.parametrize(
    ("sent", "code", "reason", "answer"),
    [
        pytest.param(frame(b"", CLOSE), 1005, "", b"", id="no code"),
        pytest.param(close_frame(1000), 1000, "", b"\x03\xe8", id="code"),
        pytest.param(
            close_frame(1000, "connection idle timeout"), 1000, "connection idle timeout", b"\x03\xe8", id="r"
        ),
        pytest.param(close_frame(4999, "x" * 123), 4999, "x" * 123, b"\x13\x87", id="the longest reason"),
        *(pytest.param(close_frame(c), c, "", c.to_bytes(2, "big"), id=str(c)) for c in (1012, 1013, 1014, 3000)),
    ],
)
def test_a_close_is_told_and_answered_with_the_same_code(
    either: Ends, sent: bytes, code: int, reason: str, answer: bytes
) -> None:
    either.far.send(sent)
    end = read_the_end(either)
    assert (end.code, end.reason) == (code, reason)
    assert str(code) in str(end)
    assert reason in str(end)
    assert either.far.hear() == Said(CLOSE, answer)
    either.wire.send_close(1002)  # too late for another
    either.wire.release()
    assert either.far.sock.recv(100) == b""


@pytest.mark.parametrize("reason", [b"\xff\xfe", b"ok\xc3", b"\xed\xa0\x80"], ids=repr)
def test_a_close_whose_reason_is_not_utf8_is_a_violation(either: Ends, reason: bytes) -> None:
    either.far.send(frame(b"\x03\xf3" + reason, CLOSE))
    with pytest.raises(ProtocolError, match="code 1011 that is not UTF-8") as caught:
        read(either)
    assert caught.value.close_code == 1007
    assert either.far.hear() == Said(CLOSE, b"\x03\xef")


def test_a_goodbye_that_is_posted_is_said_once(either: Ends) -> None:
    either.wire.send_close(1002, "a reason")
    either.wire.send_close(1003)
    assert either.far.hear() == Said(CLOSE, b"\x03\xeaa reason")
    either.far.send(close_frame(1002))
    assert read_the_end(either).code == 1002
    either.wire.release()
    assert either.far.sock.recv(100) == b""


def test_no_second_goodbye_after_our_own_though_the_service_breaks_the_protocol(ends: Ends) -> None:
    ends.wire.send_close(1000)
    ends.far.send(frame(b"x", 3))
    with pytest.raises(ProtocolError):
        read(ends)
    ends.wire.release()
    assert ends.far.hear() == Said(CLOSE, b"\x03\xe8")
    assert ends.far.sock.recv(100) == b""


def test_a_goodbye_does_not_wait_and_leaves_when_it_can(narrow: Ends, threads: ThreadPoolExecutor) -> None:
    narrow.wire.post(LARGE)  # gets stuck
    narrow.wire.send_close(1003)
    reading = threads.submit(narrow.wire.read, soon())
    assert [narrow.far.hear(), narrow.far.hear()] == [Said(TEXT, LARGE), Said(CLOSE, b"\x03\xeb")]
    narrow.far.send(close_frame(1003))
    with pytest.raises(WebSocketConnectionClosedError):
        reading.result(BOUND)


def test_a_close_leaves_what_follows_it_unread(ends: Ends) -> None:
    ends.far.send(frame(b"before"), close_frame(1001), frame(b"after"))
    assert read(ends) == b"before"
    assert read_the_end(ends).code == 1001


def test_a_service_that_does_not_wait_for_the_answer_has_closed_all_the_same(either: Ends) -> None:
    either.far.send(frame(b"first"), close_frame(1011, "tired"))
    assert read(either) == b"first"
    either.far.reset()
    end = read_the_end(either)
    assert (end.code, end.reason) == (1011, "tired")


def test_the_answer_to_our_own_close_is_not_answered_again(ends: Ends) -> None:
    ends.wire.send_close(1000, "bye")
    assert ends.far.hear() == Said(CLOSE, b"\x03\xe8bye")
    ends.far.send(close_frame(1000))
    assert read_the_end(ends).code == 1000
    ends.wire.release()
    assert ends.far.sock.recv(100) == b""


def test_an_end_without_a_close_is_told_apart(either: Ends) -> None:
    either.far.stop_sending()
    end = read_the_end(either)
    assert (end.code, end.reason) == (None, "")
    assert "without a close frame" in str(end)
    assert isinstance(end.__cause__, EOFError)


@pytest.mark.parametrize("sent", [b"", b"\x81", b"\x81\x05he", frame(b"he", fin=False)])
def test_an_end_in_the_middle_is_an_end(either: Ends, sent: bytes) -> None:
    either.far.send(sent)
    either.far.stop_sending()
    assert read_the_end(either).code is None


def test_a_reset_is_an_end_without_a_code(either: Ends) -> None:
    either.far.reset()
    end = read_the_end(either)
    assert (end.code, end.reason) == (None, "")
    assert isinstance(end.__cause__, (OSError, EOFError))


def test_messages_and_the_reason_are_received_though_a_pong_could_not_be_sent(either: Ends) -> None:
    """A service that restarts says why, and does not wait; its pings were on their way before."""
    either.far.send(frame(b"one"), frame(b"beat", PING), frame(b"beat", PING), frame(b"two"), close_frame(1012, "bye"))
    assert read(either) == b"one"
    either.far.reset()
    assert [read(either), read(either), read(either)] == [b"", b"", b"two"]
    end = read_the_end(either)
    assert (end.code, end.reason) == (1012, "bye")


def test_the_reason_is_received_though_a_writer_was_in_the_middle_of_its_frame(
    direct: Ends, threads: ThreadPoolExecutor
) -> None:
    """A service that finds a message too big says so, and reads no further."""
    writing = threads.submit(direct.wire.write, LARGE, soon())
    assert select.select([direct.far.sock], [], [], BOUND)[0]  # so that the rest of it is on its way
    direct.far.send(close_frame(1009, "too big"))
    let_arrive(direct)
    direct.far.reset()
    with being_read(direct.wire) as reader:
        with pytest.raises(WebSocketConnectionClosedError):
            writing.result(BOUND)
        end = reader.end()
    assert isinstance(end, WebSocketConnectionClosedError)
    assert (end.code, end.reason) == (1009, "too big")


# ---- pings


def test_a_ping_is_answered_with_its_payload(either: Ends) -> None:
    for payload in (b"", b"beat", b"x" * 125):
        either.far.send(frame(payload, PING))
        assert read(either) == b""
        assert either.far.hear() == Said(PONG, payload)


def test_our_ping_is_one_that_a_service_answers(either: Ends) -> None:
    either.wire.ping()
    assert either.far.hear() == Said(PING, b"")


def test_a_pong_leaves_after_the_frame_that_is_on_its_way_and_before_the_next(
    direct: Ends, threads: ThreadPoolExecutor
) -> None:
    turn = threading.Lock()

    def write(message: bytes) -> None:
        with turn:
            direct.wire.write(message, soon())

    first = threads.submit(write, LARGE)
    assert select.select([direct.far.sock], [], [], BOUND)[0]  # the first frame is on its way, and stuck
    direct.far.send(frame(b"a", PING), frame(b"b", PING))
    assert [read(direct), read(direct)] == [b"", b""]
    second = threads.submit(write, b"second")
    with being_read(direct.wire):
        received = [direct.far.hear() for _ in range(4)]
        first.result(BOUND)
        second.result(BOUND)
    assert received == [Said(TEXT, LARGE), Said(PONG, b"a"), Said(PONG, b"b"), Said(TEXT, b"second")]


def test_a_pong_that_cannot_leave_at_once_leaves_while_the_reader_waits_for_the_next_message(
    narrow: Ends, threads: ThreadPoolExecutor
) -> None:
    """Nobody writes, and the peer does not read: the reader gives the ping, and goes on."""
    narrow.wire.post(LARGE)
    narrow.far.send(frame(b"a", PING), frame(b"hello"))
    assert [read(narrow), read(narrow)] == [b"", b"hello"]
    assert narrow.wire.read(Deadline(NOW)) is None
    reading = threads.submit(narrow.wire.read, soon())
    assert [narrow.far.hear(), narrow.far.hear()] == [Said(TEXT, LARGE), Said(PONG, b"a")]
    narrow.far.send(frame(b"done"))
    assert reading.result(BOUND) == b"done"


@pytest.mark.parametrize("by", ["a wake", "a message"])
def test_what_another_thread_leaves_in_line_leaves_at_the_readers_next_turn(
    waits: Waits, connect_ends: Callable[..., Ends], by: str
) -> None:
    for tls in (False, True):
        waits.reader.clear()
        ends = connect_ends(tls=tls, small_buffers=True)
        with being_read(ends.wire) as reader:
            assert waits.reader.wait(BOUND)
            ends.wire.unsent.append(ends.wire.frame(LARGE))
            if by == "a wake":
                ends.wire.wake()
            else:
                ends.far.send(frame(b"turn"))
            assert ends.far.hear() == Said(TEXT, LARGE)
            ends.far.send(frame(b"done"))
            if by == "a message":
                assert reader.arrived.get(timeout=BOUND) == b"turn"
            assert reader.arrived.get(timeout=BOUND) == b"done"


def test_a_post_leaves_at_once_where_it_can(either: Ends) -> None:
    either.wire.post(b"cancel")
    assert either.far.hear() == Said(TEXT, b"cancel")


# ---- writers


def test_writers_that_take_turns_write_whole_messages(narrow: Ends, threads: ThreadPoolExecutor) -> None:
    turn = threading.Lock()
    sizes = [1, 125, 126, 3000, 20_000, 70_000]

    def write_all(letter: bytes) -> None:
        for size in sizes:
            with turn:
                narrow.wire.write(letter * size, soon())

    writers = [threads.submit(write_all, letter) for letter in (b"a", b"b", b"c", b"d", b"e", b"f")]
    with being_read(narrow.wire):
        received = [narrow.far.hear() for _ in range(len(writers) * len(sizes))]
        for writer in writers:
            writer.result(BOUND)
    assert {said.opcode for said in received} == {TEXT}
    for letter in (b"a", b"b", b"c", b"d", b"e", b"f"):
        assert [said.data for said in received if said.data[:1] == letter] == [letter * size for size in sizes]


def test_a_reader_and_writers_and_pings_do_not_disturb_each_other(either: Ends, threads: ThreadPoolExecutor) -> None:
    """Each message is echoed, with a ping before it: so every frame of either side crosses one of the other."""
    count = 150
    turn = threading.Lock()
    messages = {bytes([letter]) * 3000 + str(number).encode() for letter in b"abc" for number in range(count)}

    def write_all(letter: int) -> None:
        for number in range(count):
            with turn:
                either.wire.write(bytes([letter]) * 3000 + str(number).encode(), soon())

    def echo_all() -> int:
        left, pongs = len(messages), 0
        while left:
            said = either.far.hear()
            if said.opcode == PONG:
                pongs += 1
            else:
                either.far.send(frame(b"beat", PING), frame(said.data))
                left -= 1
        while pongs < len(messages):
            assert either.far.hear() == Said(PONG, b"beat")
            pongs += 1
        return pongs

    jobs = [threads.submit(write_all, letter) for letter in b"abc"]
    echoing = threads.submit(echo_all)
    received = [read(either) for _ in range(2 * len(messages))]
    for job in jobs:
        job.result(BOUND)
    assert echoing.result(BOUND) == len(messages)
    assert received.count(b"") == len(messages)
    assert set(received) - {b""} == messages


def test_a_peer_that_stops_reading_ends_the_connection_for_everybody(narrow: Ends) -> None:
    with pytest.raises(WriteTimeoutError, match=r"did not take a message of \d+ bytes") as caught:
        narrow.wire.write(LARGE, Deadline(NOW))
    assert caught.value.timeout == NOW
    with pytest.raises(WebSocketConnectionClosedError):  # at once: half of the frame before may be out
        narrow.wire.write(b"next", Deadline(None))
    end = read_the_end(narrow)
    assert "did not take a message" in str(end)
    assert end.code is None
    with pytest.raises(WebSocketConnectionClosedError):
        narrow.wire.ping()
    narrow.far.wait_until_gone()


def test_a_reader_that_waits_learns_why_the_writer_ended_the_connection(
    waits: Waits, connect_ends: Callable[..., Ends]
) -> None:
    for tls in (False, True):
        waits.reader.clear()
        ends = connect_ends(tls=tls, small_buffers=True)
        with being_read(ends.wire) as reader:
            assert waits.reader.wait(BOUND)
            with pytest.raises(WriteTimeoutError):
                ends.wire.write(LARGE, Deadline(NOW))
            end = reader.end()
        assert isinstance(end, WebSocketConnectionClosedError)
        assert "did not take a message" in str(end)


def test_nothing_follows_a_frame_that_was_torn(narrow: Ends) -> None:
    """The peer would take it for the rest of that frame."""
    with pytest.raises(WriteTimeoutError):
        narrow.wire.write(b"a" * len(LARGE), Deadline(NOW))
    narrow.wire.post(b"b" * 1000)
    with pytest.raises(EOFError, match="the client was gone"):
        narrow.far.hear()


def test_writing_to_a_service_that_has_gone_ends_the_connection(either: Ends) -> None:
    either.far.reset()
    with pytest.raises(WebSocketConnectionClosedError) as caught:
        either.wire.write(LARGE * 8, soon())
    assert isinstance(caught.value.__cause__, OSError)
    assert read_the_end(either).code is None


class Failing(socket.socket):
    """A socket that does not send, though the connection is alive."""

    def send(self, *_args: Any) -> int:
        raise OSError(errno.ENOBUFS, "No buffer space available")


def test_a_write_that_fails_in_any_way_ends_the_connection(ends: Ends) -> None:
    """Half of the message may be out; the peer, which noticed nothing, must see an end."""
    wire = Wire(Duplex(Stream(Failing(fileno=ends.sock.detach()))), response_headers={})
    with pytest.raises(WebSocketConnectionClosedError, match="No buffer space"):
        wire.write(b"x", soon())
    ends.far.wait_until_gone()
    with pytest.raises(WebSocketConnectionClosedError):
        wire.read(soon())
    wire.release()


# ---- the end, from this side


def test_shut_wakes_a_waiting_reader_and_a_waiting_writer(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    for tls in (False, True):
        waits.reader.clear()
        waits.writer.clear()
        ends = connect_ends(tls=tls, small_buffers=True)
        with being_read(ends.wire) as reader:
            writing = threads.submit(ends.wire.write, LARGE, Deadline(None))
            assert waits.reader.wait(BOUND)
            assert waits.writer.wait(BOUND)
            ends.wire.shutdown()
            assert isinstance(reader.end(), WebSocketConnectionClosedError)
            with pytest.raises(WebSocketConnectionClosedError):
                writing.result(BOUND)


def test_free_tells_a_writer_that_waits(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    """It waits on no descriptor, so that this one is given back at once."""
    for tls in (False, True):
        waits.writer.clear()
        ends = connect_ends(tls=tls, small_buffers=True)
        writing = threads.submit(ends.wire.write, LARGE, Deadline(None))
        assert waits.writer.wait(BOUND)
        ends.wire.release()
        assert ends.sock.fileno() == -1
        with pytest.raises(WebSocketConnectionClosedError):
            writing.result(BOUND)


@pytest.mark.parametrize("end", ["shutdown", "release"])
def test_the_end_can_be_asked_for_again_and_again(either: Ends, end: str) -> None:
    getattr(either.wire, end)()
    either.wire.shutdown()
    either.wire.release()
    either.wire.release()
    either.wire.shutdown()
    assert either.sock.fileno() == -1


@pytest.mark.parametrize("end", ["shutdown", "release"])
def test_use_after_the_end_raises_our_exceptions(either: Ends, end: str) -> None:
    getattr(either.wire, end)()
    uses: list[Callable[[], object]] = [
        lambda: either.wire.read(Deadline(None)),
        lambda: either.wire.write(b"x", Deadline(None)),
        either.wire.ping,
    ]
    for use in uses:
        with pytest.raises(APIConnectionError):
            use()
    either.wire.post(b"x")  # says nothing: the next read does
    either.wire.send_close(1000)
    either.wire.send_close(1003)  # the same


def test_drop_leaves_the_connection_alone(either: Ends) -> None:
    either.wire.detach()
    assert either.sock.fileno() == -1
    with pytest.raises(APIConnectionError):
        either.wire.write(b"x", soon())


# ---- work, counted


def test_whole_text_messages_cost_no_call_of_the_librarys_and_few_of_the_systems(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(type(ends.wire._frames), "recv_frame", lambda self: calls.append(1))
    messages = [bytes([65 + number % 26]) * (number * 31 % 700 + 1) for number in range(100)]
    ends.far.send(*(frame(message) for message in messages))
    while ends.duplex.end - ends.duplex.start < sum(len(frame(message)) for message in messages):
        ends.duplex._fill(1, soon())  # until all of it has come
    recv_calls = ends.duplex.recv_calls
    for message in messages:
        assert ends.wire.has_message
        assert read(ends) == message
    assert not ends.wire.has_message
    assert (calls, ends.duplex.recv_calls) == ([], recv_calls)


def test_a_text_message_that_comes_alone_costs_one_recv_and_no_call_of_the_librarys(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(type(ends.wire._frames), "recv_frame", lambda self: calls.append(1))
    recv_calls = ends.duplex.recv_calls
    for message in (b"a", b"b" * 300):
        ends.far.send(frame(message))
        let_arrive(ends)
        assert read(ends) == message
    assert (calls, ends.duplex.recv_calls) == ([], recv_calls + 2)


@pytest.mark.parametrize(
    "behind",
    [
        frame(b"x", PING),
        frame(b"x", opcode=0x2),
        frame(b"x", fin=False),
        frame(b"x", rsv=4),
        frame(b"x", mask=bytes(4)),
        frame(b"x" * 65536),
        frame(b"x" * 200)[:100],
        frame(b"x" * 200)[:3],
        frame(b"x" * 20)[:1],
        close_frame(1000),
        b"",
    ],
    ids=[
        "ping",
        "binary",
        "part",
        "reserved bit",
        "masked",
        "long",
        "torn",
        "torn length",
        "torn head",
        "close",
        "none",
    ],
)
def test_only_a_whole_text_message_is_one_that_is_here_already(ends: Ends, behind: bytes) -> None:
    ends.far.send(frame(b"first"), behind)
    assert read(ends) == b"first"
    assert not ends.wire.has_message


def test_a_text_inside_a_message_in_parts_is_refused_though_it_is_here(ends: Ends) -> None:
    ends.far.send(frame(b"a", fin=False), frame(b"b"))
    with pytest.raises(ProtocolError, match="inside another"):
        read(ends)


def test_a_text_message_over_the_limit_is_refused_though_it_is_here(connect_ends: Callable[..., Ends]) -> None:
    ends = connect_ends(max_message_bytes=100)
    ends.far.send(frame(b"x" * 100), frame(b"x" * 101))
    assert read(ends) == b"x" * 100
    assert not ends.wire.has_message
    with pytest.raises(MessageTooBigError):
        read(ends)
