"""The 25 traps of websocket-client that we know of, and the tests that hold the way round each.

Each test fails where the way round is taken out. Modules without a room are this one's neighbours.

     1  a socket timeout shared by a reader and writers loses TLS connections
            test_traps::test_recv_and_send_exclude_each_other
            test_duplex::test_one_reader_and_three_writers_lose_nothing_under_load
            scripts/test_tls_race::test_one_reader_and_three_writers_on_one_tls_connection_lose_neither_it_nor_a_message
     2  close() waits for the lock that a blocked reader holds
            whole/test_faults::test_close_does_not_wait_for_ever_for_a_service_that_does_not_answer
     3  abort() does nothing after the close frame was sent
            test_traps::test_a_reader_is_woken_though_our_close_was_sent
     4  shutdown() only closes, and leaves the reader blocked
            test_traps::test_a_reader_is_woken_though_our_close_was_sent
            test_duplex::test_shut_wakes_a_waiting_reader
            test_stream::test_nothing_is_sent_in_clear_after_the_end
     5  recv() returns "" for a close frame
            test_wire::test_a_close_is_told_and_answered_with_the_same_code
            test_wire::test_an_end_without_a_close_is_told_apart
     6  a close is always answered with code 1000
            test_wire::test_a_close_is_told_and_answered_with_the_same_code
     7  the check of UTF-8 is slow
            test_traps::test_utf8_is_not_checked_by_the_library_and_checked_all_the_same
     8  a frame may be of any size
            test_wire::test_a_message_over_the_limit_is_refused_before_it_is_read
            test_wire::test_the_fragment_that_is_too_much_is_refused_before_it_is_read
     9  a message costs four recv calls, a handshake two hundred
            test_wire::test_small_frames_cost_one_recv_together
            test_handshake::test_an_upgrade_costs_few_recvs
    10  each fragment copies all of those before it
            test_traps::test_fragments_are_put_together_in_one_place
    11  after a torn frame the connection counts as open, and the next frame lands in it
            test_wire::test_nothing_follows_a_frame_that_was_torn
            test_wire::test_a_peer_that_stops_reading_ends_the_connection_for_everybody
            test_wire::test_a_write_that_fails_in_any_way_ends_the_connection
    12  a writer that is stuck stops the reader, by way of the pong
            test_wire::test_a_pong_that_cannot_leave_at_once_leaves_while_the_reader_waits_for_the_next_message
            test_stalling_proxy::test_a_text_that_is_stalled_holds_up_nobody_who_receives_and_arrives_whole
    13  one timeout for reading, writing and closing
            test_traps::test_no_timeout_is_set_on_the_socket
    14  a reset is a bare OSError, and the connection counts as open
            test_wire::test_a_reset_is_an_end_without_a_code
            test_wire::test_writing_to_a_service_that_has_gone_ends_the_connection
            test_wire::test_use_after_the_end_raises_our_exceptions
    15  a timeout in mid-frame must go on there
            test_wire::test_a_frame_may_be_split_anywhere
            test_stalling_proxy::test_a_stall_in_the_middle_of_frames_loses_nothing
    16  a second reader takes the bytes of the first one's frame
            test_traps::test_only_the_reader_thread_reads
            whole/test_whole::test_one_connection_has_one_reader_thread_which_is_gone_after_close
    17  no compression is understood
            test_handshake::test_the_request_holds_nothing_that_was_not_asked_for
            test_wire::test_what_a_service_must_not_send_is_refused
    18  masking costs 5 ms a megabyte
            test_traps::test_a_message_is_masked_once_in_however_many_parts_it_leaves
    19  an Origin is sent, cookies are kept for the whole process, redirects take the key along
            test_handshake::test_the_request_holds_nothing_that_was_not_asked_for
            test_handshake::test_a_cookie_of_one_connection_is_not_sent_on_the_next
            test_handshake::test_a_redirect_is_not_followed
    20  the exception of an error response shows all headers and the body
            test_handshake::test_an_error_response_has_its_exception
            test_handshake::test_no_exception_holds_the_key
            test_handshake::test_foreign_exceptions_end_here
    21  the connect timeout is counted for each address anew
            test_traps::test_no_address_is_tried_when_the_time_of_all_is_over
            test_dial::test_all_addresses_of_a_name_share_one_deadline
            test_dial::test_an_address_that_does_not_answer_holds_up_nobody
    22  a TLS context for each connection reads the trust store each time
            package/test_client::test_one_ssl_context_serves_all_connections
    23  WebSocketApp sleeps where nobody can wake it, and swallows errors
            test_traps::test_of_the_library_only_the_upgrade_and_the_framing_are_used
    24  the trace shows the key
            test_traps::test_the_librarys_log_does_not_hold_the_key_and_its_trace_stays_off
    25  a forked child shares the TLS state; gevent replaces locks
            test_duplex::test_drop_gives_back_the_descriptor_and_leaves_the_connection_alone
            process/test_process::test_a_forked_child_is_refused_at_once_and_disturbs_nobody_with
            process/test_process::test_greenlets_are_threads_enough_for
"""

from __future__ import annotations

import ast
import logging
import re
import selectors
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import websocket
from websocket import _abnf, _logging

from cartesia_sync import Cartesia
from cartesia_sync.errors import MalformedEventError, WebSocketConnectionClosedError
from cartesia_sync.protocol import codec
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket import dial as dial_module
from cartesia_sync.transport.websocket import handshake as handshake_module
from cartesia_sync.transport.websocket import wire as wire_module
from cartesia_sync.transport.websocket.duplex import Duplex
from cartesia_sync.transport.websocket.stream import Stream
from cartesia_sync.transport.websocket.wire import Wire

from ...support.peer import BOUND, CLOSE, CONT, PING, PONG, TEXT, Far, Peer, Said, chunk, close_frame, done, frame
from ..conftest import Ends, Waits, being_read, write

KEY = "sk_car_test_of_traps"
LARGE = bytes(range(256)) * 4096
NOW = 0.0
TESTS = Path(__file__).resolve().parents[2]


def soon() -> Deadline:
    return Deadline(BOUND)


# ---- the table


def table() -> dict[int, list[str]]:
    """Read the docstring: the tests of each trap."""
    found: dict[int, list[str]] = {}
    for line in (__doc__ or "").splitlines():
        number = re.match(r" {4} ?(\d+)  \w", line)
        if number:
            found[int(number[1])] = []
        elif "::" in line:
            found[max(found)].append(line.strip())
    return found


def test_every_trap_has_a_test() -> None:
    assert list(table()) == list(range(1, 26))
    assert [number for number, tests in table().items() if not tests] == []


@pytest.mark.parametrize("name", sorted({name for names in table().values() for name in names}))
def test_every_test_that_holds_a_trap_is_there(name: str) -> None:
    module, _, test = name.partition("::")
    path = TESTS / f"{module}.py" if "/" in module else TESTS / "transport" / "websocket" / f"{module}.py"
    assert test in {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef)}


# ---- 1


class Busy(socket.socket):
    """A socket in which a recv lasts until somebody has tried to send, and which sees whether one comes in."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(fileno=sock.detach())
        self.is_in_recv = threading.Event()
        self.has_tried = threading.Event()
        self.met: list[bool] = []

    def recv_into(self, *args: Any) -> int:
        self.is_in_recv.set()
        assert self.has_tried.wait(BOUND)
        try:
            return super().recv_into(*args)
        finally:
            self.is_in_recv.clear()

    def send(self, *args: Any) -> int:
        self.met.append(self.is_in_recv.is_set())
        self.has_tried.set()
        return super().send(*args)


class Door:
    """The duplex's lock, which notes that somebody waits for it while a recv goes on."""

    def __init__(self, sock: Busy) -> None:
        self._sock = sock
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if self._sock.is_in_recv.is_set():
            self._sock.has_tried.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _is_owned(self) -> bool:
        return self._lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # as the duplex asks it


def test_recv_and_send_exclude_each_other(ends: Ends, threads: ThreadPoolExecutor) -> None:
    with Busy(ends.sock) as sock:
        duplex = Duplex(Stream(sock))
        duplex._io_lock = Door(sock)  # type: ignore[assignment]  # as far as it is used
        reading = threads.submit(duplex.take, 5, soon())
        assert sock.is_in_recv.wait(BOUND)
        write(duplex, b"from us", soon())
        assert ends.far.read(7) == b"from us"
        ends.far.send(b"hello")
        assert reading.result(BOUND) == b"hello"
        assert sock.met == [False]


# ---- 3 and 4


def test_a_reader_is_woken_though_our_close_was_sent(
    waits: Waits, connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor
) -> None:
    for tls in (False, True):
        waits.reader.clear()
        ends = connect_ends(tls=tls)
        reading = threads.submit(ends.wire.read, Deadline(None))
        assert waits.reader.wait(BOUND)
        ends.wire.send_close(1000)
        ends.wire.shutdown()
        with pytest.raises(WebSocketConnectionClosedError):
            reading.result(BOUND)


# ---- 7


def test_utf8_is_not_checked_by_the_library_and_checked_all_the_same(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_data: bytes) -> bool:
        raise AssertionError("the library's check, which takes 30 ms for 64 KiB")

    monkeypatch.setattr(_abnf, "validate_utf8", refuse)
    broken = b'{"type": "error", "done": true, "context_id": "a", "title": "\xff"}'
    ends.far.send(frame(b"caf\xc3\xa9"), frame(b"caf", fin=False), frame(b"\xc3\xa9", CONT), frame(broken))
    assert ends.wire.read(soon()) == ends.wire.read(soon()) == b"caf\xc3\xa9"
    message = ends.wire.read(soon())
    assert message == broken
    with pytest.raises(MalformedEventError):
        codec.decode(message)
    ends.far.send(close_frame(1011, "caf\u00e9"))
    with pytest.raises(WebSocketConnectionClosedError) as caught:
        ends.wire.read(soon())
    assert caught.value.reason == "caf\u00e9"


# ---- 10


def test_fragments_are_put_together_in_one_place(ends: Ends) -> None:
    """They are added to what is there, which is not made anew for each."""
    ends.far.send(frame(b"first", fin=False), frame(b"beat", PING))
    assert ends.wire.read(soon()) == b""
    place = ends.wire._part
    for number in range(100):
        ends.far.send(frame(b"%d" % number, CONT, fin=False), frame(b"beat", PING))
        assert ends.wire.read(soon()) == b""
        assert ends.wire._part is place
    ends.far.send(frame(b"last", CONT))
    assert ends.wire.read(soon()) == b"first" + b"".join(b"%d" % number for number in range(100)) + b"last"


# ---- 13


class Clockless(socket.socket):
    """A socket whose timeout nobody may set any more."""

    is_open = False

    def settimeout(self, value: Any) -> None:
        assert not self.is_open, "a timeout was set on an open connection"
        super().settimeout(value)

    def setblocking(self, flag: bool) -> None:
        assert not self.is_open, "a timeout was set on an open connection"
        super().setblocking(flag)


def test_no_timeout_is_set_on_the_socket(ends: Ends) -> None:
    """Not for a read that ends in silence, a write, a ping, a pong or a goodbye: each has a deadline of its own."""
    with Clockless(fileno=ends.sock.detach()) as sock:
        wire = Wire(Duplex(Stream(sock)), response_headers={})
        sock.is_open = True
        assert wire.read(Deadline(NOW)) is None
        wire.write(b"hello", Deadline(3.0))
        ends.far.send(frame(b"beat", PING), frame(b"hello"))
        assert [wire.read(Deadline(4.0)), wire.read(Deadline(5.0))] == [b"", b"hello"]
        wire.ping()
        wire.send_close(1000)
        assert sock.gettimeout() == 0.0
    assert [ends.far.hear().opcode for _ in range(4)] == [TEXT, PONG, PING, CLOSE]


# ---- 16


def test_only_the_reader_thread_reads(
    serve: Callable[..., Peer], threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever receives, pushes, cancels and closes."""
    readers = set()
    fill = Duplex._fill

    def watched(self: Duplex, size: int, deadline: Deadline) -> None:
        readers.add(threading.current_thread())
        fill(self, size, deadline)

    def script(far: Far) -> None:
        far.upgrade()
        for name in ("a", "b", "c"):
            while far.hear().opcode != TEXT:
                pass  # the pong
            far.send(chunk(name, b"audio"), frame(b"", PING), *([] if name == "c" else [done(name)]))
        far.part()

    client = Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{serve(script).port}")
    with client.tts.websocket_connect() as connection:
        monkeypatch.setattr(Duplex, "_fill", watched)
        contexts = [connection.context(name, voice="v") for name in ("a", "b", "c")]
        for context in contexts:
            context.push("Hello.", continue_=False)
        receiving = [threads.submit(context.audio) for context in contexts[:2]]
        assert [each.result(BOUND) for each in receiving] == [b"audio", b"audio"]
        assert next(contexts[2].receive()).type == "chunk"
        contexts[2].cancel()
        reader = connection._link.reader
    assert readers == {reader}


# ---- 18


def test_a_message_is_masked_once_in_however_many_parts_it_leaves(
    narrow: Ends, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked: list[int] = []
    mask = _abnf.ABNF.mask

    def count(key: Any, data: Any) -> bytes:
        masked.append(len(data))
        return mask(key, data)

    monkeypatch.setattr(_abnf.ABNF, "mask", staticmethod(count))
    with being_read(narrow.wire):
        writing = threads.submit(narrow.wire.write, LARGE, soon())
        assert narrow.far.hear() == Said(TEXT, LARGE)
        writing.result(BOUND)
    assert masked == [len(LARGE)]


# ---- 21


def test_no_address_is_tried_when_the_time_of_all_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """None answers, and each is given a twentieth of a second: in a tenth there is time for three, and not for 100."""
    tried = []
    silence, nobody = socket.socketpair()

    def start(
        address: Any, selector: selectors.BaseSelector, failures: list[OSError], made: list[socket.socket]
    ) -> None:
        tried.append(address)
        if len(tried) == 1:
            made.append(silence)
            selector.register(silence, selectors.EVENT_READ)

    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in range(1, 101)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: addresses)
    monkeypatch.setattr(dial_module, "_start", start)
    monkeypatch.setattr(dial_module, "HEAD_START", 0.05)
    with nobody, pytest.raises(TimeoutError):
        dial_module.dial("hundred.invalid", 443, None, Deadline(0.1))
    assert silence.fileno() == -1
    assert 1 <= len(tried) <= 3


# ---- 23


def test_of_the_library_only_the_upgrade_and_the_framing_are_used() -> None:
    trees = [ast.parse(Path(module.__file__ or "").read_bytes()) for module in (handshake_module, wire_module)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "websocket"
    }
    imported = {
        name.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("websocket")
        for name in node.names
    }
    assert used | imported == {"WebSocket", "WebSocketException", "frame_buffer", "ABNF"}
    of_the_upgrade = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "upgrade"
    }
    assert of_the_upgrade == {"connect", "headers"}


# ---- 24


def test_the_librarys_log_does_not_hold_the_key_and_its_trace_stays_off(
    serve: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    def script(far: Far) -> None:
        far.upgrade()
        far.part()

    client = Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{serve(script).port}")
    with caplog.at_level(logging.DEBUG, logger="websocket"), client.tts.websocket_connect():
        pass
    assert KEY not in caplog.text
    assert not websocket.isEnabledForTrace()
    assert not _logging._traceEnabled
