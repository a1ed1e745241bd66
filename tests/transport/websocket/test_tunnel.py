"""Ways through a proxy: SOCKS of all kinds, TLS inside of TLS; with one deadline, and no credential in any error."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from cartesia_sync import APIConnectionError, Cartesia, ConnectTimeoutError, Timeout
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.proxy import Proxy
from cartesia_sync.transport.websocket.dial import dial
from cartesia_sync.transport.websocket.duplex import Duplex

from ...support.peer import BOUND, Far, Peer, Trust, chunk, done
from ...support.proxy import Proxy as HTTPProxy
from ...support.socks_proxy import Asked, SocksProxy
from ...support.tls_front import TLSFront
from ..conftest import being_read, write

SHORT = 0.2
"""The timeout of a test in which it must run out."""
KEY = "sk_car_not_for_a_proxy"
LONG = 5_000_000
"""Bytes: more than the system's buffers hold."""

Serve = Callable[..., Peer]
by_both = pytest.mark.parametrize("scheme", ["socks5", "socks5h"])


def soon() -> Deadline:
    return Deadline(BOUND)


def named(url: str) -> Proxy:
    return Proxy.of(url, "ALL_PROXY")


def echo(far: Far) -> None:
    far.send(far.read(5))
    far.wait_until_gone()


def silent(far: Far) -> None:
    far.wait_until_gone()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def service_trust(trust: Trust, authority: trustme.CA) -> Trust:
    """A service that proves to be service.invalid, and not what the proxy is."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("service.invalid").configure_cert(server)
    return Trust(server, trust.client)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were resolved here; each has the addresses of service.invalid, which are two."""
    names: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "service.invalid":
            return real(host, port, *args, **options)
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not in numbers")
        names.append(host)
        v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", port, 0, 0))
        return [v6, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


def assert_carries_bytes(host: str, proxy: Proxy, **options: Any) -> None:
    duplex = Duplex(dial(host, 443, options.pop("tls", None), soon(), proxy=proxy, **options))
    try:
        write(duplex, b"hello", soon())
        assert duplex.take(5, soon()) == b"hello"
    finally:
        duplex.close()


# ---- SOCKS


@pytest.mark.parametrize(
    ("scheme", "asked"),
    [
        ("socks5h", Asked(5, "service.invalid", 443, "")),
        ("socks5", Asked(5, "2001:db8::7", 443, "")),
        ("socks4a", Asked(4, "service.invalid", 443, "")),
        ("socks4", Asked(4, "192.0.2.7", 443, "")),
    ],
)
@pytest.mark.parametrize("named_answer", [False, True])
def test_a_name_is_resolved_where_the_scheme_says(
    serve: Serve, stack: ExitStack, resolved: list[str], scheme: str, asked: Asked, named_answer: bool
) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={asked.host: peer.port}, named_answer=named_answer))
    assert_carries_bytes("service.invalid", named(proxy.socks_url(scheme)))
    assert proxy.asked == [asked]
    assert resolved == ([] if asked.host == "service.invalid" else ["service.invalid"])


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4"])
def test_an_address_goes_as_an_address(serve: Serve, stack: ExitStack, scheme: str) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={"192.0.2.1": peer.port}))
    assert_carries_bytes("192.0.2.1", named(proxy.socks_url(scheme)))
    assert [each.host for each in proxy.asked] == ["192.0.2.1"]


@by_both
def test_an_address_of_the_sixth_version_does_too(serve: Serve, stack: ExitStack, scheme: str) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={"2001:db8::1": peer.port}))
    assert_carries_bytes("2001:db8::1", named(proxy.socks_url(scheme)))


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_socks_4_has_no_room_for_an_address_of_the_sixth_version(stack: ExitStack, scheme: str) -> None:
    proxy = stack.enter_context(SocksProxy())
    with pytest.raises(OSError, match="no room for an address of IPv6"):
        dial("2001:db8::1", 443, None, soon(), proxy=named(proxy.socks_url(scheme)))


def test_a_name_without_an_address_of_the_fourth_version_is_an_error_of_socks_4(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "six.invalid":
            return real(host, port, *args, **options)
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    proxy = stack.enter_context(SocksProxy())
    with pytest.raises(OSError, match="no address of IPv4"):
        dial("six.invalid", 443, None, soon(), proxy=named(proxy.socks_url("socks4")))


def test_a_name_of_other_letters_goes_in_its_ascii_form(serve: Serve, stack: ExitStack) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={"xn--bcher-kva.invalid": peer.port}))
    assert_carries_bytes("b\u00fccher.invalid", named(proxy.socks_url("socks5h")))


@pytest.mark.parametrize("host", ["\u00fc" * 64 + ".invalid", "a." * 130 + "invalid"])
def test_a_name_that_cannot_be_one_is_an_error(stack: ExitStack, host: str) -> None:
    proxy = stack.enter_context(SocksProxy())
    with pytest.raises(OSError, match="no host name"):
        dial(host, 443, None, soon(), proxy=named(proxy.socks_url("socks5h")))


@by_both
def test_socks_5_is_told_who_asks(serve: Serve, stack: ExitStack, scheme: str) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={"192.0.2.1": peer.port}, credential="m\u00e9:p@ss:w/rd"))
    assert_carries_bytes("192.0.2.1", named(proxy.socks_url(scheme, "m%C3%A9:p%40ss:w%2Frd")))
    assert proxy.asked[0].user == "m\u00e9"
    assert proxy.offered == [b"\x00\x02"]


def test_who_asks_is_not_told_to_a_proxy_that_does_not_want_to_know(serve: Serve, stack: ExitStack) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={"192.0.2.1": peer.port}))
    assert_carries_bytes("192.0.2.1", named(proxy.socks_url("socks5", "me:s3cret")))
    assert proxy.asked[0].user == ""


def test_socks_4_is_told_the_user(serve: Serve, stack: ExitStack) -> None:
    peer = serve(echo)
    proxy = stack.enter_context(SocksProxy(names={"service.invalid": peer.port}, credential="me"))
    assert_carries_bytes("service.invalid", named(proxy.socks_url("socks4a", "me")))
    with pytest.raises(ConnectionError, match="it refused the connection, or it failed"):
        dial("service.invalid", 443, None, soon(), proxy=named(proxy.socks_url("socks4a", "another")))


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        ("", "it asks for a user name and password"),
        ("me:wrong-s3cret", "it refused the user name and password"),
        ("me", "it refused the user name and password"),
    ],
)
def test_a_proxy_that_does_not_know_who_asks_is_an_error_without_the_password(
    stack: ExitStack, credential: str, words: str
) -> None:
    proxy = stack.enter_context(SocksProxy(credential="me:right-s3cret"))
    with pytest.raises(ConnectionError, match=words) as refused:
        dial("192.0.2.1", 443, None, soon(), proxy=named(proxy.socks_url("socks5", credential)))
    assert "s3cret" not in repr(refused.value)
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (1, "it failed"),
        (2, "it does not allow the connection"),
        (3, "it cannot reach the network"),
        (4, "it cannot reach the host"),
        (5, "it was refused by the host"),
        (8, "it does not know the kind of address"),
        (99, r"it failed \(SOCKS 5 reply 99\)"),
    ],
)
def test_a_refusal_says_why(stack: ExitStack, failure: int, words: str) -> None:
    proxy = stack.enter_context(SocksProxy(refuses=failure))
    with pytest.raises(ConnectionError, match=words):
        dial("192.0.2.1", 443, None, soon(), proxy=named(proxy.socks_url("socks5")))


GRANTED_5 = b"\x05\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"
GRANTED_4 = b"\x00\x5a" + b"\0" * 6


def answering(answer: bytes, *, trickles: bool = False, ends: bool = False) -> Callable[[Far], None]:
    def script(far: Far) -> None:
        if trickles:
            far.trickle(answer)
            return
        far.send(answer)
        if ends:
            far.stop_sending()
        far.wait_until_gone()

    return script


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer in SOCKS 5"),
        ("socks5", b"\x05\x03", "did not answer in SOCKS 5"),
        ("socks5", b"\x05\x02", "did not answer in SOCKS 5"),  # which was not offered
        ("socks5", b"\x05\x00\x04\x00\x00\x01", "did not answer in SOCKS 5"),
        ("socks5", b"\x05\x00\x05\x00\x00\x09", "did not answer in SOCKS 5"),
        ("socks4", b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer in SOCKS 4"),
        ("socks4", b"\x00\x5d", "does not believe who asks"),
    ],
)
def test_what_is_no_answer_of_socks_is_an_error(serve: Serve, scheme: str, answer: bytes, words: str) -> None:
    peer = serve(answering(answer))
    with pytest.raises(ConnectionError, match=words):
        dial("192.0.2.1", 443, None, soon(), proxy=named(f"{scheme}://127.0.0.1:{peer.port}"))


WHOLE = [("socks5", GRANTED_5), ("socks4", GRANTED_4)]
cut = pytest.mark.parametrize(
    ("scheme", "answer"), [(scheme, whole[:size]) for scheme, whole in WHOLE for size in range(len(whole))]
)


@cut
def test_a_proxy_that_goes_in_the_middle_is_an_error(serve: Serve, scheme: str, answer: bytes) -> None:
    peer = serve(answering(answer, ends=True))
    with pytest.raises(ConnectionError, match="it closed the connection") as gone:
        dial("192.0.2.1", 443, None, soon(), proxy=named(f"{scheme}://127.0.0.1:{peer.port}"))
    assert not isinstance(gone.value, TimeoutError)


@cut
def test_a_proxy_that_stalls_is_left_at_the_deadline(serve: Serve, scheme: str, answer: bytes) -> None:
    peer = serve(answering(answer))
    with pytest.raises(TimeoutError, match="the proxy did not answer in time"):
        dial("192.0.2.1", 443, None, Deadline(0.02), proxy=named(f"{scheme}://127.0.0.1:{peer.port}"))


@pytest.mark.parametrize("scheme", ["socks5h", "https"])
def test_a_proxy_that_trickles_is_left_at_the_deadline_too(serve: Serve, trust: Trust, scheme: str) -> None:
    """A timeout for each read, as PySocks has it, would never run out."""
    endless = {
        "socks5h": GRANTED_5[:5] + b"\x03\xff" + b"x" * 300,
        "https": b"HTTP/1.1 200 OK\r\n" + b"Name: value\r\n" * 1000,
    }[scheme]

    def script(far: Far) -> None:
        far.trickle(endless)
        far.wait_until_gone()

    peer = serve(script, tls=trust.server if scheme == "https" else None)
    with pytest.raises(TimeoutError):
        dial(
            "service.invalid",
            443,
            None,
            Deadline(SHORT),
            proxy=named(f"{scheme}://127.0.0.1:{peer.port}"),
            proxy_trust=lambda: trust.client,
        )


def test_nothing_that_follows_the_answer_is_lost(serve: Serve) -> None:
    peer = serve(answering(GRANTED_5 + b"early"))
    duplex = Duplex(dial("192.0.2.1", 443, None, soon(), proxy=named(f"socks5://127.0.0.1:{peer.port}")))
    assert duplex.take(5, soon()) == b"early"
    duplex.close()


def test_tls_is_spoken_with_the_service_behind_socks(serve: Serve, stack: ExitStack, service_trust: Trust) -> None:
    peer = serve(echo, tls=service_trust.server)
    proxy = stack.enter_context(SocksProxy(names={"service.invalid": peer.port}))
    assert_carries_bytes("service.invalid", named(proxy.socks_url("socks5h")), tls=service_trust.client)
    assert b"hello" not in proxy.recorded()


# ---- a proxy that is reached by TLS


@pytest.fixture
def secure_proxy(stack: ExitStack, trust: Trust) -> Callable[..., tuple[HTTPProxy, TLSFront]]:
    """Start one; return the proxy, and the TLS before it."""

    def start(**options: Any) -> tuple[HTTPProxy, TLSFront]:
        proxy = stack.enter_context(HTTPProxy(**options))
        return proxy, stack.enter_context(TLSFront(trust.server, proxy.port))

    return start


def test_tls_runs_inside_of_tls(
    serve: Serve, secure_proxy: Callable[..., tuple[HTTPProxy, TLSFront]], trust: Trust, service_trust: Trust
) -> None:
    peer = serve(echo, tls=service_trust.server)
    proxy, front = secure_proxy(names={"service.invalid": peer.port}, credential="me:s3cret")
    assert_carries_bytes(
        "service.invalid",
        named(front.url("me:s3cret")),
        tls=service_trust.client,
        proxy_trust=lambda: trust.client,
    )
    assert proxy.heads[0].startswith(b"CONNECT service.invalid:443 HTTP/1.1\r\n")
    assert b"hello" not in proxy.recorded()


def test_what_is_in_clear_for_the_service_goes_by_tls_to_the_proxy(
    serve: Serve, secure_proxy: Callable[..., tuple[HTTPProxy, TLSFront]], trust: Trust
) -> None:
    peer = serve(echo)
    proxy, front = secure_proxy(names={"service.invalid": peer.port})
    assert_carries_bytes("service.invalid", named(front.url()), proxy_trust=lambda: trust.client)
    assert front.taken == 1
    assert b"hello" in proxy.recorded()


@pytest.mark.parametrize("name", ["authority", "host"])
def test_a_proxy_that_is_not_to_be_trusted_is_told_nothing(
    stack: ExitStack, authority: trustme.CA, trust: Trust, name: str
) -> None:
    server, client = trust.server, ssl.create_default_context()
    if name == "host":
        server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), trust.client
        authority.issue_cert("another.invalid").configure_cert(server)
    proxy = stack.enter_context(HTTPProxy(credential="me:s3cret"))
    front = stack.enter_context(TLSFront(server, proxy.port))
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        dial(
            "service.invalid",
            443,
            None,
            soon(),
            proxy=named(front.url("me:s3cret")),
            proxy_trust=lambda: client,
        )
    assert "s3cret" not in repr(refused.value)
    assert proxy.heads == []


def test_a_service_that_is_not_to_be_trusted_is_told_nothing_either(
    serve: Serve, secure_proxy: Callable[..., tuple[HTTPProxy, TLSFront]], trust: Trust
) -> None:
    received: list[Far] = []
    peer = serve(received.append, tls=trust.server)  # which proves to be another
    _, front = secure_proxy(names={"service.invalid": peer.port})
    with pytest.raises(ssl.SSLCertVerificationError):
        dial(
            "service.invalid",
            443,
            trust.client,
            soon(),
            proxy=named(front.url()),
            proxy_trust=lambda: trust.client,
        )
    assert received == []


@pytest.mark.parametrize("inner", [False, True], ids=["to the proxy", "to the service"])
def test_a_tls_handshake_that_is_not_answered_ends_at_the_deadline(
    serve: Serve, secure_proxy: Callable[..., tuple[HTTPProxy, TLSFront]], trust: Trust, inner: bool
) -> None:
    peer = serve(silent)
    _, front = secure_proxy(names={"service.invalid": peer.port})
    url = front.url() if inner else f"https://127.0.0.1:{peer.port}"
    with pytest.raises(TimeoutError, match="TLS handshake"):
        dial(
            "service.invalid",
            443,
            trust.client,
            Deadline(SHORT),
            proxy=named(url),
            proxy_trust=lambda: trust.client,
        )


@pytest.mark.parametrize("tls", [False, True], ids=["one TLS", "two"])
def test_what_is_long_arrives_whole_both_ways_at_once(
    serve: Serve,
    secure_proxy: Callable[..., tuple[HTTPProxy, TLSFront]],
    trust: Trust,
    service_trust: Trust,
    tls: bool,
) -> None:
    ours, theirs = (hashlib.shake_128(name).digest(LONG) for name in (b"ours", b"theirs"))
    heard: list[bytes] = []

    def exchange(far: Far) -> None:
        heard.append(far.read(LONG))
        far.send(theirs)
        heard.append(far.read(LONG))
        far.wait_until_gone()

    peer = serve(exchange, tls=service_trust.server if tls else None)
    _, front = secure_proxy(names={"service.invalid": peer.port})
    context = service_trust.client if tls else None
    proxy = named(front.url())
    duplex = Duplex(dial("service.invalid", 443, context, soon(), proxy=proxy, proxy_trust=lambda: trust.client))
    with being_read(duplex) as reader:
        write(duplex, ours, soon())
        arrived = bytearray()
        while len(arrived) < LONG:
            arrived += reader.arrived.get(timeout=BOUND)
        write(duplex, ours, soon())
    peer.stop()
    assert bytes(arrived) == theirs
    assert heard == [ours, ours]


# ---- a whole connection


def speaking(far: Far) -> None:
    far.upgrade()
    context_id = json.loads(far.hear().data)["context_id"]
    far.send(chunk(context_id, b"...."), done(context_id))
    far.part()


def spoken(client: Cartesia) -> bytes:
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice="v", output_format={"container": "raw"})
        context.push("Hi.", continue_=False)
        return context.audio()


@pytest.mark.parametrize("scheme", ["socks5h", "https"])
def test_a_connection_goes_through_and_the_proxy_sees_no_key(
    serve: Serve,
    stack: ExitStack,
    trust: Trust,
    service_trust: Trust,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    peer = serve(speaking, tls=service_trust.server)
    proxy: HTTPProxy
    if scheme == "https":
        proxy = stack.enter_context(HTTPProxy(names={"service.invalid": peer.port}, credential="me:s3cret"))
        front = stack.enter_context(TLSFront(trust.server, proxy.port))
        monkeypatch.setenv("HTTPS_PROXY", front.url("me:s3cret"))
    else:
        socks = SocksProxy(names={"service.invalid": peer.port}, credential="me:s3cret")
        proxy = stack.enter_context(socks)
        monkeypatch.setenv("ALL_PROXY", socks.socks_url(scheme, "me:s3cret"))
    client = Cartesia(api_key=KEY, base_url="https://service.invalid", ssl_context=trust.client)
    assert spoken(client) == b"...."
    assert KEY.encode() not in proxy.recorded()


def everything_behind(error: BaseException) -> str:
    """Return all that the attributes of an exception and of its causes lead to."""
    texts: list[str] = []
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        each = todo.pop()
        if id(each) in seen or len(seen) > 10_000:
            continue
        seen.add(id(each))
        texts.append(repr(each))
        if isinstance(each, BaseException):
            todo += [each.__cause__, each.__context__, *each.args]
        if isinstance(each, dict):
            todo += each.values()
        elif isinstance(each, (list, tuple, set)):
            todo += each
        elif hasattr(each, "__dict__"):
            todo += vars(each).values()
    return "\n".join(texts)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h", "socks4", "socks4a"])
def test_what_fails_names_the_proxy_and_its_variable_without_the_credential(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://someone:s3cret@127.0.0.1:{port}")
    client = Cartesia(api_key=KEY, base_url="https://service.invalid", max_retries=0)
    with pytest.raises(
        APIConnectionError, match=rf"through the proxy {scheme}://127\.0\.0\.1:{port} \(ALL_PROXY\): .*REFUSED"
    ) as failed:
        client.tts.websocket_connect().enter()
    assert "s3cret" not in everything_behind(failed.value)
    assert "someone" not in everything_behind(failed.value)


def test_a_proxy_that_repeats_the_credential_brings_it_into_no_error(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(far: Far) -> None:
        credential = far.read_head().decode().partition("Basic ")[2].split("\r\n")[0]
        far.send(f"HTTP/1.1 407 not me:s3cret, which is {credential}\r\n\r\n".encode())
        far.wait_until_gone()

    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@127.0.0.1:{serve(script).port}")
    client = Cartesia(api_key=KEY, base_url="https://service.invalid", max_retries=0)
    with pytest.raises(APIConnectionError, match=r"407 not \[redacted\], which is \[redacted\]"):
        client.tts.websocket_connect().enter()


def test_one_deadline_is_for_all_of_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{serve(silent).port}")
    client = Cartesia(api_key=KEY, base_url="https://service.invalid", timeout=Timeout(connect=SHORT), max_retries=0)
    with pytest.raises(ConnectTimeoutError, match=r"the proxy socks5h://.* \(ALL_PROXY\)"):
        client.tts.websocket_connect().enter()
