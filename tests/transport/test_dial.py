"""Opening a socket: every way in which that fails, and nothing left open after it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
import trustme

from cartesia_sync.errors import APIConnectionError, ConnectTimeoutError
from cartesia_sync.transport import wire
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.dial import dial

from .peer import BOUND, Far, Peer, Trust

SHORT = 0.2
"""The clock of a test in which it must run out."""

Serve = Callable[..., Peer]


def soon() -> Deadline:
    return Deadline(BOUND)


def connect(url: str, trust: Any = None, seconds: float = BOUND) -> wire.Wire:
    return wire.connect(url, {"Authorization": "Bearer sk_secret"}, ssl_context=trust, deadline=Deadline(seconds))


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose line of waiting connections is full: the next one is neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Optional[float]]]:
    """Every address that is connected to, and the seconds that it is given."""
    attempts: list[tuple[Any, Optional[float]]] = []
    real = socket.socket.connect

    def connect(sock: socket.socket, address: Any) -> None:
        attempts.append((address, sock.gettimeout()))
        real(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return attempts


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let every name have these addresses."""

    def getaddrinfo(*_args: Any, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def echo(far: Far) -> None:
    far.send(far.read(5))
    far.wait_until_gone()


def silent(far: Far) -> None:
    far.wait_until_gone()


# ---- TCP


def test_a_plain_socket_carries_bytes_and_does_not_wait_to_fill_segments(serve: Serve) -> None:
    with dial("127.0.0.1", serve(echo).port, None, soon()) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_refuses_is_a_connection_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(APIConnectionError, match=f"127.0.0.1:{port}") as caught:
        connect(f"ws://127.0.0.1:{port}/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert not isinstance(caught.value, TimeoutError)


def test_a_name_that_does_not_resolve_is_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_args: Any, **_options: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(APIConnectionError, match="not known") as caught:
        connect("ws://localhost.invalid/")
    assert not isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "double..dot.invalid"])
def test_a_name_that_cannot_be_one_is_a_connection_error(host: str) -> None:
    with pytest.raises(APIConnectionError):
        connect(f"ws://{host}/")


def test_the_next_address_is_tried_where_one_refuses(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tried: list[tuple[Any, Optional[float]]]
) -> None:
    peer = serve(echo)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()
    resolve_to(monkeypatch, refusing, ("127.0.0.1", peer.port))
    with dial("two.invalid", peer.port, None, soon()) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
    assert [address for address, _ in tried] == [refusing, ("127.0.0.1", peer.port)]


def test_a_connection_that_is_neither_taken_nor_refused_ends_at_the_deadline(full_port: int) -> None:
    with pytest.raises(ConnectTimeoutError, match=r"within 0\.2 s") as caught:
        connect(f"ws://127.0.0.1:{full_port}/", seconds=SHORT)
    assert caught.value.timeout == SHORT


def test_all_addresses_of_a_name_share_one_deadline(
    full_port: int, monkeypatch: pytest.MonkeyPatch, tried: list[tuple[Any, Optional[float]]]
) -> None:
    """Each of them neither takes nor refuses: the time of one is not there for the next."""
    resolve_to(monkeypatch, ("127.0.0.1", full_port), ("127.0.0.1", full_port), ("127.0.0.1", full_port))
    with pytest.raises(ConnectTimeoutError):
        connect(f"ws://three.invalid:{full_port}/", seconds=SHORT)
    assert 1 <= len(tried) <= 3
    assert sum(timeout or 0.0 for _, timeout in tried) <= SHORT


def test_a_deadline_that_has_passed_already_is_a_timeout(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ConnectTimeoutError):
        connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.0)


# ---- TLS


def test_a_tls_socket_carries_bytes(serve: Serve, trust: Trust) -> None:
    peer = serve(echo, tls=trust.server)
    sock = dial("localhost", peer.port, trust.client, soon())
    with sock:
        sock.setblocking(True)
        sock.settimeout(BOUND)
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.version() is not None


def test_an_untrusted_certificate_is_refused_before_the_key_is_sent(serve: Serve, trust: Trust) -> None:
    heard: list[Far] = []
    peer = serve(heard.append, tls=trust.server)
    with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        connect(peer.url, ssl.create_default_context())
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    peer.stop()
    assert peer.accepted == 1
    assert not heard


def test_a_certificate_for_another_host_is_refused(serve: Serve, trust: Trust, authority: trustme.CA) -> None:
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("elsewhere.invalid").configure_cert(other)
    peer = serve(silent, tls=other)
    with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        connect(peer.url, trust.client)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_a_plain_server_behind_a_tls_address_is_a_connection_error(serve: Serve, trust: Trust) -> None:
    def plain(far: Far) -> None:
        far.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        far.wait_until_gone()

    peer = serve(plain)
    with pytest.raises(APIConnectionError) as caught:
        connect(peer.url.replace("ws:", "wss:"), trust.client)
    assert isinstance(caught.value.__cause__, ssl.SSLError)


def test_a_tls_address_without_a_context_is_not_spoken_to_in_clear(serve: Serve) -> None:
    heard: list[bytes] = []

    def listen(far: Far) -> None:
        far.sock.settimeout(BOUND)
        with contextlib.suppress(OSError):
            heard.append(far.sock.recv(4096))
        far.end()

    peer = serve(listen)
    with pytest.raises((APIConnectionError, ValueError)):
        connect(peer.url.replace("ws:", "wss:"), None)
    peer.stop()
    assert b"sk_secret" not in b"".join(heard)


@pytest.mark.parametrize("end", [Far.end, Far.reset])
def test_an_end_in_the_middle_of_the_tls_handshake_is_a_connection_error(
    serve: Serve, trust: Trust, end: Callable[[Far], None]
) -> None:
    def hang_up(far: Far) -> None:
        far.read(5)
        end(far)

    peer = serve(hang_up)
    with pytest.raises(APIConnectionError) as caught:
        connect(peer.url.replace("ws:", "wss:"), trust.client)
    assert not isinstance(caught.value, TimeoutError)


def test_a_tls_handshake_that_is_not_answered_ends_at_the_deadline(serve: Serve, trust: Trust) -> None:
    peer = serve(silent)
    with pytest.raises(ConnectTimeoutError) as caught:
        connect(peer.url.replace("ws:", "wss:"), trust.client, seconds=SHORT)
    assert caught.value.timeout == SHORT


def test_a_tls_handshake_that_trickles_ends_at_the_deadline(serve: Serve, trust: Trust) -> None:
    """A socket timeout would bound each step of it, and not the whole."""

    def trickle(far: Far) -> None:
        far.read(5)
        far.trickle(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb" + bytes(16000))  # a server's hello, at great length

    peer = serve(trickle)
    with pytest.raises(ConnectTimeoutError):
        connect(peer.url.replace("ws:", "wss:"), trust.client, seconds=SHORT)
