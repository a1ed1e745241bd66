"""A socket that does not block, over TCP and over TLS; the far end of TLS is decrypted by hand, record by record."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket import stream as stream_module
from cartesia_sync.transport.websocket.dial import shake_hands
from cartesia_sync.transport.websocket.duplex import Duplex, SilenceError
from cartesia_sync.transport.websocket.stream import SecureStream, Stream

from ...support.peer import BOUND, SMALL_BUFFER, Trust
from ..conftest import Ends, write

NOW = Deadline(0.0)


def soon() -> Deadline:
    return Deadline(BOUND)


def send(stream: Stream, data: bytes) -> int:
    """Send what leaves at once, and return how much it was."""
    counts: list[int] = []
    stream.send(memoryview(data), counts)
    (count,) = counts
    return count


def room(size: int = 1 << 16) -> memoryview:
    return memoryview(bytearray(size))


class Service:
    """The far end of a TLS connection, whose records are sent when and as the test says."""

    def __init__(self, trust: Trust, *, client: ssl.SSLContext, small_buffers: bool = False) -> None:
        near, self.sock = socket.socketpair()
        if small_buffers:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        self.sock.settimeout(BOUND)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust.server.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.near = near
        self.stream = SecureStream(near, "localhost", client)
        self.duplex = Duplex(self.stream)  # which closes the stream at its own end
        self._shake_hands()

    def _shake_hands(self) -> None:
        left = [self.stream.do_handshake, self.tls.do_handshake]
        while left:
            step = left.pop(0)
            try:
                step()
            except (BlockingIOError, ssl.SSLWantReadError):
                left.append(step)
            self.sock.sendall(self._outgoing.read())
            if select.select([self.sock], [], [], 0)[0]:
                self._incoming.write(self.sock.recv(1 << 16))

    def encrypt(self, *messages: bytes) -> bytes:
        """Return the records of some messages, and of whatever TLS itself has to send."""
        for message in messages:
            self.tls.write(message)
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    def receive(self, size: int) -> bytes:
        """Read so many bytes of what our side sends."""
        received = b""
        while len(received) < size:
            try:
                received += self.tls.read(size - len(received))
            except ssl.SSLWantReadError:
                self._incoming.write(self.sock.recv(1 << 16))
        return received


@pytest.fixture
def start(trust: Trust) -> Iterator[Callable[..., Service]]:
    """Start a service; both of its ends are closed after the test."""
    services: list[Service] = []

    def make(**options: Any) -> Service:
        options.setdefault("client", trust.client)
        services.append(Service(trust, **options))
        return services[-1]

    yield make
    for service in services:
        service.duplex.close()
        service.sock.close()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """One that has sent all that TLS sends by itself, and our side has received it."""
    made = start()
    made.sock.sendall(made.encrypt(b"x"))
    assert made.duplex.take(1, soon()) == b"x"
    return made


def test_nothing_there_is_no_end(either: Ends) -> None:
    with pytest.raises(BlockingIOError):
        either.stream.recv_into(room())


def test_a_socket_of_a_class_of_its_own_is_read_by_its_own_method(ends: Ends) -> None:
    class Own(socket.socket):
        def recv_into(self, *_: Any) -> int:
            return 42

    with Own(fileno=ends.sock.detach()) as sock:
        assert Stream(sock).recv_into(room()) == 42


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_where_the_systems_own_call_cannot_be_had_the_sockets_is_used(
    connect_ends: Callable[..., Ends], monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    """As on Windows."""
    monkeypatch.setattr(stream_module, "_recv", None)
    ends = connect_ends(tls=tls)
    ends.far.send(b"hello")
    assert ends.duplex.take(5, soon()) == b"hello"
    with pytest.raises(SilenceError):
        ends.duplex.take(1, NOW)
    ends.far.stop_sending()
    with pytest.raises(EOFError):
        ends.duplex.take(1, soon())


def test_the_systems_own_call_is_used_where_it_can_be_had(either: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ``recv_into`` lets the interpreter go, and a thread that computes keeps it for 5 ms."""
    calls: list[int] = []
    recv = stream_module._find_recv()
    if recv is None:
        pytest.skip("the C library's recv is not to be had here")

    def counted(descriptor: int, into: memoryview) -> int:
        calls.append(descriptor)
        return recv(descriptor, into)

    monkeypatch.setattr(stream_module, "_recv", counted)
    either.far.send(b"hello")
    assert either.duplex.take(5, soon()) == b"hello"
    assert set(calls) == {either.sock.fileno()}


def test_an_error_of_the_systems_own_call_is_of_its_kind(ends: Ends) -> None:
    ends.far.reset()
    assert select.select([ends.sock], [], [], BOUND)[0]
    with pytest.raises(ConnectionResetError, match=r"."):
        ends.stream.recv_into(room())
    ends.stream.close()
    with pytest.raises(OSError, match="descriptor"):
        ends.stream.recv_into(room())


# ---- TLS


def test_records_that_arrived_together_take_one_read_of_the_systems(service: Service, reads: list[int]) -> None:
    messages = [bytes([number]) * 1000 for number in range(30)]
    service.sock.sendall(service.encrypt(*messages))
    into = room()
    assert service.stream.recv_into(into) == 30_000
    assert bytes(into[:30_000]) == b"".join(messages)
    assert service.stream.is_drained
    assert len(reads) == 1


def test_a_record_may_be_split_anywhere(service: Service) -> None:
    ciphertext, into = service.encrypt(b"hello"), room()
    for byte in ciphertext[:-1]:
        service.sock.sendall(bytes([byte]))
        with pytest.raises(BlockingIOError):
            service.stream.recv_into(into)
        assert service.stream.is_drained
    service.sock.sendall(ciphertext[-1:])
    assert service.stream.recv_into(into) == 5
    assert bytes(into[:5]) == b"hello"


def test_a_record_that_is_larger_than_the_room_comes_in_parts_without_another_read(
    service: Service, reads: list[int]
) -> None:
    service.sock.sendall(service.encrypt(b"hello world"))
    parts = []
    for size in (4, 4, 3):
        into = room(size)
        assert service.stream.recv_into(into) == size
        parts.append(bytes(into))
    assert b"".join(parts) == b"hello world"
    assert len(reads) == 1


def test_what_came_before_a_record_that_was_tampered_with_is_read_first(service: Service) -> None:
    good, bad = service.encrypt(b"the reason"), bytearray(service.encrypt(b"tampered"))
    bad[-1] ^= 1
    service.sock.sendall(good + bad)
    duplex = service.duplex
    assert duplex.take(10, soon()) == b"the reason"
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            duplex.take(1, soon())


def test_what_came_before_the_goodbye_is_read_first_and_the_end_does_not_wait_for_that_of_tcp(service: Service) -> None:
    service.sock.sendall(service.encrypt(b"the reason") + service.close_notify())
    duplex = service.duplex
    assert duplex.take(10, soon()) == b"the reason"
    for _ in range(2):
        with pytest.raises(EOFError):
            duplex.take(1, soon())


@pytest.mark.parametrize("part", [0, 3, -1])
def test_an_end_without_a_goodbye_is_an_end_wherever_it_comes(service: Service, part: int) -> None:
    whole, cut = service.encrypt(b"the reason"), service.encrypt(b"lost")
    service.sock.sendall(whole + cut[:part])
    service.sock.shutdown(socket.SHUT_WR)
    duplex = service.duplex
    assert duplex.take(10, soon()) == b"the reason"
    for _ in range(2):
        with pytest.raises(EOFError):
            duplex.take(1, soon())


def test_a_record_counts_as_sent_when_all_of_it_has_left(start: Callable[..., Service]) -> None:
    service = start(small_buffers=True)
    data = bytes(range(256)) * 4096
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(data):
            sent += send(service.stream, data[sent:])
    assert sent < len(data)
    assert service.stream.has_unsent
    assert service.receive(sent) == data[:sent]
    while service.stream.has_unsent:
        try:
            service.stream.flush()
        except BlockingIOError:
            service._incoming.write(service.sock.recv(1 << 16))
    count = send(service.stream, data[sent:])  # the rest of the record has left, and nothing more
    assert 0 < count <= 1 << 14
    assert service.receive(count) == data[sent : sent + count]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_carry_bytes(
    start: Callable[..., Service], authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.minimum_version = client.maximum_version = version
    service = start(client=client)
    duplex = service.duplex
    write(duplex, b"hello", soon())
    assert service.receive(5) == b"hello"
    service.sock.sendall(service.encrypt(b"world"))
    assert duplex.take(5, soon()) == b"world"
    assert service.tls.version() == version.name.replace("_", ".")


def test_nothing_is_sent_in_clear_after_the_end(service: Service) -> None:
    service.stream.shutdown()
    with pytest.raises(OSError, match=r"."):
        send(service.stream, b"secret")
    assert service.sock.recv(100) == b""


def test_a_peer_learns_why_its_certificate_was_refused(trust: Trust) -> None:
    near, far = socket.socketpair()
    far.settimeout(BOUND)
    with near, far:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = trust.server.wrap_bio(incoming, outgoing, server_side=True)
        stream = SecureStream(near, "localhost", ssl.create_default_context())
        with pytest.raises(BlockingIOError):
            stream.do_handshake()
        incoming.write(far.recv(1 << 16))
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        far.sendall(outgoing.read())
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(stream, soon())
        incoming.write(far.recv(1 << 16))
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
            server.do_handshake()


def test_a_handshake_waits_for_room_to_send(trust: Trust) -> None:
    """Where the peer takes nothing it ends at the deadline, like one that says nothing."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while near.send(bytes(1 << 16)):
                pass
        stream = SecureStream(near, "localhost", trust.client)
        with pytest.raises(BlockingIOError):
            stream.do_handshake()
        assert stream.has_unsent
        with pytest.raises(TimeoutError):
            shake_hands(stream, Deadline(0.05))
