"""Places that no other test held: each of these fails when one line below is changed (see scripts/stress/mutate.py)."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.dial import shake_hands
from cartesia_sync.transport.websocket.duplex import Duplex, Frame, SilenceError, WokenError
from cartesia_sync.transport.websocket.stream import SecureStream

from ...support.peer import BOUND, Trust
from ..conftest import Ends, Waits

DATA = bytes(range(256)) * 64


def soon() -> Deadline:
    return Deadline(BOUND)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    far.settimeout(BOUND)
    with near, far:
        yield near, far


@pytest.fixture
def old_tls(trust: Trust, authority: trustme.CA) -> ssl.SSLContext:
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    return client


# ---- TLS that has to receive before it can send


def test_what_tls_cannot_send_yet_waits_and_leaves_once(
    sockets: tuple[socket.socket, socket.socket], old_tls: ssl.SSLContext, trust: Trust, threads: ThreadPoolExecutor
) -> None:
    """To write before the handshake is to write in the midst of one: OpenSSL wants to read first."""
    near, far = sockets
    stream = SecureStream(near, "localhost", old_tls)
    counts: list[int] = []
    with pytest.raises(BlockingIOError):
        stream.send(memoryview(DATA), counts)
    assert counts == []
    duplex = Duplex(stream)
    served = threads.submit(serve, far, trust, len(DATA))
    frame = Frame(DATA)
    duplex.unsent.append(frame)
    finished = threads.submit(duplex.finish, frame, soon())
    assert take(duplex, 2) == b"ok"
    assert finished.result(BOUND) is None
    assert served.result(BOUND) == DATA
    assert sum(frame.counts) == len(DATA)
    duplex.close()


def take(duplex: Duplex, size: int) -> bytes:
    """Read so many bytes, however often a writer wakes the reader."""
    deadline = soon()
    while True:
        with contextlib.suppress(WokenError):
            return duplex.take(size, deadline)
        assert not deadline.expired


def serve(far: socket.socket, trust: Trust, size: int) -> bytes:
    """Shake hands, receive so many bytes, and nothing after them."""
    with trust.server.wrap_socket(far.dup(), server_side=True) as service:
        service.settimeout(BOUND)
        received = b""
        while len(received) < size:
            received += service.recv(size - len(received))
        service.sendall(b"ok")
        service.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            received += service.recv(1)
        return received


@pytest.fixture
def openssl(authority: trustme.CA, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """OpenSSL's own server, and its port: Python's cannot ask for a renegotiation."""
    chain = tmp_path / "chain.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-tls1_2", "-accept", f"127.0.0.1:{port}", "-cert", str(chain), "-naccept", "1"]
    try:
        service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    with service:
        try:
            yield service, port
        finally:
            service.kill()


def read_output(service: subprocess.Popen[bytes], what: bytes) -> bytes:
    """Read what the server prints until something is among it."""
    assert service.stdout is not None
    output = b""
    while what not in output:
        assert select.select([service.stdout], [], [], BOUND)[0], output
        piece = os.read(service.stdout.fileno(), 1 << 16)
        assert piece, output
        output += piece
    return output


def test_a_renegotiation_of_tls_1_2_holds_messages_up_and_loses_none(
    openssl: tuple[subprocess.Popen[bytes], int], old_tls: ssl.SSLContext
) -> None:
    service, port = openssl
    read_output(service, b"ACCEPT")
    with socket.create_connection(("127.0.0.1", port), BOUND) as sock:
        stream = SecureStream(sock, "localhost", old_tls)
        shake_hands(stream, soon())
        read_output(service, b"Secure Renegotiation IS supported")
        assert service.stdin is not None
        service.stdin.write(b"R\n")  # begins a renegotiation
        service.stdin.flush()
        assert select.select([sock], [], [], BOUND)[0]
        with pytest.raises(BlockingIOError):
            stream.recv_into(memoryview(bytearray(100)))  # the request; the answer to it leaves, and no more is read
        with pytest.raises(BlockingIOError):
            stream.send(memoryview(b"message 0\n"), [])
        duplex = Duplex(stream)
        duplex.unsent.extend(Frame(b"message %d\n" % number) for number in range(20))
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            duplex.send_ready()
            while duplex.unsent:
                assert selector.select(BOUND)
                with contextlib.suppress(SilenceError):
                    duplex.read_ahead(Deadline(0.0))
                duplex.send_ready()
        lines = read_output(service, b"message 19\n").splitlines()
        assert [line for line in lines if line.startswith(b"message ")] == [b"message %d" % n for n in range(20)]
        duplex.close()


# ---- a failure that is kept until what came before it was read


def test_a_failure_that_is_kept_is_met_without_a_wait(
    sockets: tuple[socket.socket, socket.socket], trust: Trust, threads: ThreadPoolExecutor
) -> None:
    """Nothing more comes that could end the wait: it stands in memory, and not in the socket."""
    near, far = sockets
    stream = SecureStream(near, "localhost", trust.client)
    service, outgoing = shake_hands_by_hand(stream, far, trust, threads)
    service.write(b"the reason")
    good = outgoing.read()
    service.write(b"tampered")
    bad = bytearray(outgoing.read())
    bad[-1] ^= 1
    far.sendall(good + bad)
    room = memoryview(bytearray(1 << 16))
    assert stream.recv_into(room) == len(b"the reason")
    assert not stream.is_drained
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            stream.recv_into(room)
    assert not stream.is_drained
    stream.close()


def test_a_failure_of_the_system_that_came_behind_bytes_is_raised_after_them(
    sockets: tuple[socket.socket, socket.socket], trust: Trust, threads: ThreadPoolExecutor
) -> None:
    """The system reports it once, and an end from then on."""
    near, far = sockets
    stream = SecureStream(near, "localhost", trust.client)
    service, outgoing = shake_hands_by_hand(stream, far, trust, threads)
    room = memoryview(bytearray(1 << 16))
    with pytest.raises(BlockingIOError):
        stream.recv_into(room)
    service.write(b"the reason")
    ciphertext = outgoing.read()
    stream._read_buffer = memoryview(bytearray(len(ciphertext)))  # so that there may be more behind what one read takes
    stream.send(memoryview(b"nobody reads this"), [])
    far.sendall(ciphertext)
    far.close()  # with that unread: a reset
    assert stream.recv_into(room) == len(b"the reason")
    assert not stream.is_drained
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            stream.recv_into(room)
    stream.close()


def shake_hands_by_hand(
    stream: SecureStream, far: socket.socket, trust: Trust, threads: ThreadPoolExecutor
) -> tuple[ssl.SSLObject, ssl.MemoryBIO]:
    """Return the far end, and where its records come out."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    service = trust.server.wrap_bio(incoming, outgoing, server_side=True)
    shaken = threads.submit(shake_hands, stream, soon())
    while True:
        try:
            service.do_handshake()
            break
        except ssl.SSLWantReadError:
            far.sendall(outgoing.read())
            incoming.write(far.recv(1 << 16))
    far.sendall(outgoing.read())
    shaken.result(BOUND)
    return service, outgoing


# ---- a writer and the reader


def test_a_frame_that_is_stuck_leaves_though_the_reader_waits_already(
    waits: Waits, narrow: Ends, threads: ThreadPoolExecutor
) -> None:
    """It is woken to look for room as well."""
    received = threads.submit(take, narrow.duplex, 2)
    assert waits.reader.wait(BOUND)
    frame = Frame(DATA * 64)
    narrow.duplex.unsent.append(frame)
    finished = threads.submit(narrow.duplex.finish, frame, soon())
    assert narrow.far.read(len(frame.data)) == frame.data
    assert finished.result(BOUND) is None
    narrow.far.send(b"ok")
    assert received.result(BOUND) == b"ok"
    narrow.duplex.close()
