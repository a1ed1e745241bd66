"""Opening a socket: every way in which that fails, and nothing left open after it."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
import trustme

from cartesia_sync.errors import APIConnectionError, ConnectTimeoutError
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.proxy import Proxy
from cartesia_sync.transport.websocket import dial as dial_module
from cartesia_sync.transport.websocket import handshake
from cartesia_sync.transport.websocket.dial import dial
from cartesia_sync.transport.websocket.duplex import Duplex
from cartesia_sync.transport.websocket.stream import Stream
from cartesia_sync.transport.websocket.wire import Wire

from ...support.peer import BOUND, Far, Peer, Script, Trust
from ..conftest import write

SHORT = 0.2
"""The timeout of a test in which it must run out."""

Serve = Callable[..., Peer]


def soon() -> Deadline:
    return Deadline(BOUND)


def connect(url: str, trust: Any = None, seconds: float = BOUND) -> Wire:
    return handshake.connect(url, {"Authorization": "Bearer sk_secret"}, ssl_context=trust, deadline=Deadline(seconds))


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


def known(*addresses: tuple[str, int]) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let every name have these addresses."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: known(*addresses))


def a_refusing_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    return host, port


def echo(far: Far) -> None:
    far.send(far.read(5))
    far.wait_until_gone()


def silent(far: Far) -> None:
    far.wait_until_gone()


@contextlib.contextmanager
def dialled(host: str, port: int, tls: Optional[ssl.SSLContext], deadline: Deadline, **options: Any) -> Iterator[Any]:
    """Dial; return the socket and what carries bytes over it."""
    stream = dial(host, port, tls, deadline, **options)
    duplex = Duplex(stream)
    try:
        yield stream._sock, duplex
    finally:
        duplex.close()


def assert_carries_bytes(duplex: Duplex) -> None:
    write(duplex, b"hello", soon())
    assert duplex.take(5, soon()) == b"hello"


# ---- TCP


def test_a_plain_socket_carries_bytes_and_does_not_wait_to_fill_segments(serve: Serve) -> None:
    with dialled("127.0.0.1", serve(echo).port, None, soon()) as (sock, duplex):
        assert_carries_bytes(duplex)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_refuses_is_a_connection_error() -> None:
    _, port = a_refusing_address()
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


def test_the_next_address_is_tried_where_one_refuses(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = serve(echo)
    resolve_to(monkeypatch, a_refusing_address(), a_refusing_address(), ("127.0.0.1", peer.port))
    with dialled("three.invalid", peer.port, None, soon()) as (sock, duplex):
        assert sock.getpeername() == ("127.0.0.1", peer.port)
        assert_carries_bytes(duplex)


def test_an_address_that_does_not_answer_holds_up_nobody(
    serve: Serve, full_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no limit in time: who waited for the first one would wait for as long as the system does."""
    monkeypatch.setattr(dial_module, "HEAD_START", 0.01)
    peer = serve(silent)
    resolve_to(monkeypatch, ("127.0.0.1", full_port), ("127.0.0.1", full_port), ("127.0.0.1", peer.port))
    with dialled("three.invalid", peer.port, None, Deadline(None)) as (sock, _):
        assert sock.getpeername() == ("127.0.0.1", peer.port)


def test_a_family_that_this_machine_has_not_holds_up_nobody(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = serve(silent)
    addresses = [(-5, socket.SOCK_STREAM, 6, "", ("x", 1)), *known(("127.0.0.1", peer.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: addresses)
    with dialled("two.invalid", peer.port, None, soon()) as (sock, _):
        assert sock.getpeername() == ("127.0.0.1", peer.port)


def test_where_every_address_refuses_the_first_ones_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, a_refusing_address(), a_refusing_address())
    with pytest.raises(ConnectionRefusedError):
        dial("two.invalid", 1, None, soon())


def test_the_families_take_turns() -> None:
    v6, v4 = socket.AF_INET6, socket.AF_INET
    addresses = [
        (family, 0, 0, "", (name,)) for family, name in [(v6, "a"), (v6, "b"), (v6, "c"), (v4, "d"), (v4, "e")]
    ]
    assert [where[0] for *_, where in dial_module._interleaved(addresses)] == ["a", "d", "b", "e", "c"]
    assert [where[0] for *_, where in dial_module._interleaved(addresses[3:])] == ["d", "e"]


def test_a_resolver_that_does_not_answer_is_left_behind_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def getaddrinfo(*_args: Any, flags: int = 0, **_options: Any) -> list[Any]:
        if not flags & socket.AI_NUMERICHOST:
            answer.wait(BOUND)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        with pytest.raises(ConnectTimeoutError):
            connect("ws://slow.invalid/", seconds=SHORT)
    finally:
        answer.set()


@contextlib.contextmanager
def no_more_threads() -> Iterator[None]:
    """Have the system refuse them, for want of memory for their stacks."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_where_the_system_gives_no_more_threads_a_name_is_a_connection_error_with_the_reason() -> None:
    with (
        no_more_threads(),
        pytest.raises(APIConnectionError, match=r"service\.invalid.*can't start new thread") as caught,
    ):
        connect("ws://service.invalid/")
    assert isinstance(caught.value.__cause__, OSError)
    assert isinstance(caught.value.__cause__.__cause__, RuntimeError)
    assert not [thread for thread in threading.enumerate() if thread.name == "cartesia-sync-resolver"]


def test_where_the_system_gives_no_more_threads_an_address_is_dialled_all_the_same(serve: Serve) -> None:
    peer = serve(echo)
    with no_more_threads(), dialled("127.0.0.1", peer.port, None, soon()) as (_, duplex):
        assert_carries_bytes(duplex)


DIAL_AT_EXIT = """
import atexit, sys
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.dial import dial

def dial_a_name():
    try:
        dial("localhost", int(sys.argv[1]), None, Deadline(10.0)).close()
    except OSError as error:
        print(error)
    else:
        print("connected")

atexit.register(dial_a_name)
"""


def test_a_name_that_is_dialled_while_the_interpreter_ends_is_resolved_or_an_os_error(serve: Serve) -> None:
    """Python 3.12 starts no thread any more in an exit callback; older ones do."""
    command = [sys.executable, "-W", "error", "-c", DIAL_AT_EXIT, str(serve(silent).port)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=2 * BOUND, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"connected|the name localhost cannot be resolved: can't .* thread.*", run.stdout.strip())


@pytest.mark.parametrize("error", [MemoryError("none left"), RuntimeError("an audit hook's own"), SystemExit(1)])
def test_whatever_the_resolver_fails_with_is_raised_at_once(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_args: Any, flags: int = 0, **_options: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "no number") if flags & socket.AI_NUMERICHOST else error

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(OSError, match=f"the resolver failed on the name any.invalid: {type(error).__name__}") as caught:
        dial("any.invalid", 1, None, soon())
    assert not isinstance(caught.value, TimeoutError)


def test_a_connection_that_is_neither_taken_nor_refused_ends_at_the_deadline(full_port: int) -> None:
    with pytest.raises(ConnectTimeoutError, match=r"within 0\.2 s") as caught:
        connect(f"ws://127.0.0.1:{full_port}/", seconds=SHORT)
    assert caught.value.timeout == SHORT


def test_all_addresses_of_a_name_share_one_deadline(full_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them answers; that there are more of them than the time would do for, each alone, makes no odds."""
    monkeypatch.setattr(dial_module, "HEAD_START", 0.01)
    resolve_to(monkeypatch, *[("127.0.0.1", full_port)] * 100)
    with pytest.raises(ConnectTimeoutError):
        connect(f"ws://hundred.invalid:{full_port}/", seconds=SHORT)


def test_a_deadline_that_has_passed_already_is_a_timeout(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ConnectTimeoutError):
        connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.0)


# ---- TLS


def test_a_tls_socket_carries_bytes(serve: Serve, trust: Trust) -> None:
    peer = serve(echo, tls=trust.server)
    with dialled("localhost", peer.port, trust.client, soon()) as (_, duplex):
        assert_carries_bytes(duplex)


def test_an_untrusted_certificate_is_refused_before_the_key_is_sent(serve: Serve, trust: Trust) -> None:
    received: list[Far] = []
    peer = serve(received.append, tls=trust.server)
    with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        connect(peer.url, ssl.create_default_context())
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    peer.stop()
    assert peer.accepted == 1
    assert not received


def test_a_certificate_for_another_host_is_refused(serve: Serve, trust: Trust, authority: trustme.CA) -> None:
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("elsewhere.invalid").configure_cert(other)
    peer = serve(silent, tls=other)
    with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        connect(peer.url, trust.client)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_a_certificate_is_compared_with_the_host_that_was_asked_for(
    serve: Serve, trust: Trust, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the address behind it."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("service.invalid").configure_cert(server)
    peer = serve(silent, tls=server)
    resolve_to(monkeypatch, ("127.0.0.1", peer.port))
    dial("service.invalid", peer.port, trust.client, soon()).close()


def test_a_plain_server_behind_a_tls_address_is_a_connection_error(serve: Serve, trust: Trust) -> None:
    def plain(far: Far) -> None:
        far.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        far.wait_until_gone()

    peer = serve(plain)
    with pytest.raises(APIConnectionError) as caught:
        connect(peer.url.replace("ws:", "wss:"), trust.client)
    assert isinstance(caught.value.__cause__, ssl.SSLError)


def test_a_tls_address_without_a_context_is_not_spoken_to_in_clear(serve: Serve) -> None:
    received: list[bytes] = []

    def listen(far: Far) -> None:
        far.sock.settimeout(BOUND)
        with contextlib.suppress(OSError):
            received.append(far.sock.recv(4096))
        far.end()

    peer = serve(listen)
    with pytest.raises((APIConnectionError, ValueError)):
        connect(peer.url.replace("ws:", "wss:"), None)
    peer.stop()
    assert b"sk_secret" not in b"".join(received)


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


def test_a_socket_is_given_back_though_tls_could_not_even_begin(
    serve: Serve, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a host name there is nothing to compare the certificate with."""
    peer = serve(silent)
    resolve_to(monkeypatch, ("127.0.0.1", peer.port))
    with pytest.raises(ValueError, match="hostname"):
        dial("", peer.port, trust.client, soon())


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


# ---- the proxy


def tunnelling(heads: list[bytes], behind: bytes = b"") -> Script:
    """Play the proxy, and the service behind it that speaks first."""

    def script(far: Far) -> None:
        heads.append(far.read_head())
        far.send(b"HTTP/1.1 200 Connection established\r\nVia: proxy\r\n\r\n", behind)
        if not behind:
            far.wait_until_gone()
            return
        assert far.read(5) == b"hello"

    return script


def through(peer: Peer, host: str = "service.invalid", *, user: str = "", seconds: float = BOUND) -> Stream:
    return dial(host, 443, None, Deadline(seconds), proxy=named(f"http://{user}127.0.0.1:{peer.port}"))


def named(url: str) -> Proxy:
    return Proxy.of(url, "HTTPS_PROXY")


def test_a_proxy_is_asked_for_a_tunnel_and_not_for_the_name(serve: Serve) -> None:
    """The name is for the proxy to resolve: it may be one that only the proxy knows."""
    heads: list[bytes] = []
    through(serve(tunnelling(heads))).close()
    assert heads == [b"CONNECT service.invalid:443 HTTP/1.1\r\nHost: service.invalid:443\r\n\r\n"]


def test_nothing_that_comes_through_the_tunnel_is_lost(serve: Serve) -> None:
    duplex = Duplex(through(serve(tunnelling([], b"early"))))
    assert duplex.take(5, soon()) == b"early"
    write(duplex, b"hello", soon())
    duplex.close()


def test_an_address_of_the_sixth_version_stands_in_brackets(serve: Serve) -> None:
    heads: list[bytes] = []
    through(serve(tunnelling(heads)), "2001:db8::1").close()
    assert heads[0].startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n")


def test_the_proxy_is_told_who_asks(serve: Serve) -> None:
    heads: list[bytes] = []
    through(serve(tunnelling(heads)), user="me:pass%40word@").close()
    assert b"\r\nProxy-Authorization: Basic " + b64encode(b"me:pass@word") + b"\r\n" in heads[0]


def test_tls_is_spoken_with_the_service_behind_the_proxy(serve: Serve, trust: Trust, authority: trustme.CA) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("service.invalid").configure_cert(server)

    def script(far: Far) -> None:
        far.read_head()
        far.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with server.wrap_socket(far.sock, server_side=True) as secure:
            echo(Far(secure))

    proxy = named(f"http://127.0.0.1:{serve(script).port}")
    with dialled("service.invalid", 443, trust.client, soon(), proxy=proxy) as (_, duplex):
        assert_carries_bytes(duplex)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno", "502"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "refused"),
        (b"\r\n\r\n", "refused"),
        (b"HTTP/1.1 200 OK\r\nName", "closed the connection"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n" + b"Name: value\r\n" * 2000, "HTTP"),
    ],
)
def test_a_proxy_that_gives_no_tunnel_is_an_error_without_the_password(serve: Serve, answer: bytes, words: str) -> None:
    def script(far: Far) -> None:
        far.read_head()
        far.send(answer)
        far.stop_sending()
        far.wait_until_gone()

    with pytest.raises(OSError, match=words) as caught:
        through(serve(script), user="me:s3cret@")
    assert not isinstance(caught.value, TimeoutError)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("trickles", [False, True])
def test_a_proxy_that_does_not_come_to_an_end_is_a_timeout(serve: Serve, trickles: bool) -> None:
    def script(far: Far) -> None:
        far.read_head()
        if trickles:
            far.trickle(b"HTTP/1.1 200 OK\r\n" + b"Name: value\r\n" * 100)
        else:
            far.wait_until_gone()

    with pytest.raises((TimeoutError, socket.timeout)):  # two of them before Python 3.10
        through(serve(script), seconds=SHORT)


class Passing(Deadline):
    """A deadline that passes right after somebody has asked whether it has."""

    def __init__(self, *left: float) -> None:
        super().__init__(None)
        self._next = iter(left)

    def left(self) -> float:
        return next(self._next)

    @property
    def expired(self) -> bool:
        return False


def test_a_time_that_is_over_while_the_proxy_is_asked_is_a_timeout_too(serve: Serve) -> None:
    """A socket timeout of 0 would mean not to wait, which is another error."""

    def script(far: Far) -> None:
        far.read_head()
        far.wait_until_gone()

    proxy = named(f"http://127.0.0.1:{serve(script).port}")
    with pytest.raises(TimeoutError, match="the proxy did not answer in time"):
        dial("service.invalid", 443, None, Passing(BOUND, 0.0), proxy=proxy)


def test_a_name_of_other_letters_goes_through_a_proxy_in_its_ascii_form(serve: Serve) -> None:
    heads: list[bytes] = []
    through(serve(tunnelling(heads)), "b\u00fccher.invalid").close()
    assert heads[0].startswith(b"CONNECT xn--bcher-kva.invalid:443 ")


# ---- signals


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="a signal of POSIX")
def test_a_proxy_that_has_gone_is_an_error_and_no_signal(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGPIPE at its default action would kill the process; Python ignores it, but command line programs restore it."""
    gone = threading.Event()

    def go(far: Far) -> None:
        far.stop_sending()
        far.reset()
        gone.set()

    reach = dial_module._connect

    def reach_who_goes(*args: Any) -> socket.socket:
        sock = reach(*args)
        assert gone.wait(BOUND)
        return sock

    monkeypatch.setattr(dial_module, "_connect", reach_who_goes)
    signals: list[int] = []
    before = signal.signal(signal.SIGPIPE, lambda number, _: signals.append(number))
    try:
        with pytest.raises(OSError, match=r".") as caught:
            through(serve(go))
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert isinstance(caught.value, (BrokenPipeError, ConnectionResetError))
    assert not signals


def test_where_a_socket_has_an_option_against_the_signal_it_is_set(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS there is one; elsewhere another option, which is off by default, stands for it."""
    monkeypatch.setattr(dial_module, "_SO_NOSIGPIPE", socket.SO_KEEPALIVE)
    with dialled("127.0.0.1", serve(silent).port, None, soon()) as (sock, _):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
