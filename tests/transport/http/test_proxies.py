"""Proxies for requests over HTTP: by SOCKS, by TLS, and those that cannot be used; no credential in any exception."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from cartesia_sync import APIConnectionError, APITimeoutError, Cartesia, IncompleteAnswerError, ProxySettingError
from cartesia_sync.transport.http import response as response_module

from ...support.http_service import Asked, Out, Service, answer
from ...support.peer import BOUND, Trust
from ...support.proxy import Proxy
from ...support.socks_proxy import SocksProxy
from ...support.tls_front import TLSFront
from ..websocket.test_tunnel import everything_behind

KEY = "sk_car_not_for_a_proxy"
OK = answer(200, {"ok": True})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve_https(stack: ExitStack, authority: trustme.CA) -> Callable[..., Service]:
    """Start a service that proves to be api.test."""

    def start(*answers: Any) -> Service:
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("api.test").configure_cert(server)
        return stack.enter_context(Service(*answers, tls=server))

    return start


def client_of(trust: Trust, **options: Any) -> Cartesia:
    options = {"base_url": "https://api.test", "max_retries": 0, **options}
    return Cartesia(api_key=KEY, ssl_context=trust.client, **options)


def secured(stack: ExitStack, trust: Trust, proxy: Proxy) -> TLSFront:
    stack.enter_context(proxy)
    return stack.enter_context(TLSFront(trust.server, proxy.port))


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a"])
def test_a_request_goes_through_socks_which_resolves_its_name(
    serve_https: Callable[..., Service], stack: ExitStack, trust: Trust, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    service = serve_https(OK)
    proxy = SocksProxy(names={"api.test": service.port}, credential="me:s3cret" if scheme == "socks5h" else "me")
    stack.enter_context(proxy)
    monkeypatch.setenv("ALL_PROXY", proxy.socks_url(scheme, "me:s3cret"))
    with client_of(trust) as client:
        assert client.get("/x") == client.get("/y") == {"ok": True}
    assert [(each.host, each.user) for each in proxy.asked] == [("api.test", "me")]  # and the connection is kept
    assert KEY.encode() not in proxy.recorded()


@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
def test_a_name_that_is_resolved_here_goes_as_an_address(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    service = stack.enter_context(Service(OK))
    proxy = stack.enter_context(SocksProxy(names={"127.0.0.1": service.port, "::1": service.port}))
    monkeypatch.setenv("ALL_PROXY", proxy.socks_url(scheme))
    with Cartesia(api_key=KEY, base_url=f"http://localhost:{service.port}", max_retries=0) as client:
        assert client.get("/x") == {"ok": True}
    assert proxy.asked[0].host in ("127.0.0.1", "::1")


def test_a_request_goes_by_tls_to_the_proxy_and_by_tls_inside_of_it_to_the_service(
    serve_https: Callable[..., Service], stack: ExitStack, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve_https(OK)
    proxy = Proxy(names={"api.test": service.port}, credential="me:s3cret")
    monkeypatch.setenv("HTTPS_PROXY", secured(stack, trust, proxy).url("me:s3cret"))
    with client_of(trust) as client:
        assert client.get("/x") == client.get("/y") == {"ok": True}
    assert [head.split(b" ")[:2] for head in proxy.heads] == [[b"CONNECT", b"api.test:443"]]
    assert KEY.encode() not in proxy.recorded()


@pytest.mark.parametrize("url", ["https://api.test", "http://127.0.0.1:1"])
def test_a_proxy_that_is_not_to_be_trusted_is_told_nothing(
    stack: ExitStack, authority: trustme.CA, trust: Trust, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Whichever way the service is reached; and by the client's own trust."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("another.test").configure_cert(server)
    proxy = stack.enter_context(Proxy(credential="me:s3cret"))
    front = stack.enter_context(TLSFront(server, proxy.port))
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, front.url("me:s3cret"))
    with client_of(trust, base_url=url) as client, pytest.raises(APIConnectionError, match="certificate") as refused:
        client.get("/x")
    assert "s3cret" not in everything_behind(refused.value)
    assert proxy.heads == []


def test_closing_an_answer_wakes_who_reads_it_through_two_layers_of_tls(
    serve_https: Callable[..., Service], stack: ExitStack, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, reading = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun", threading.Event()

    def begin(asked: Asked, out: Out) -> None:
        out.say(begun)
        out.wait_until_gone()

    service = serve_https(begin)
    front = secured(stack, trust, Proxy(names={"api.test": service.port}))
    monkeypatch.setenv("HTTPS_PROXY", front.url())
    with client_of(trust) as client:
        made = client.tts.generate(model_id="m", transcript="Hi.", voice="v", output_format={"container": "raw"})
        failures: list[BaseException] = []

        def read() -> None:
            pieces = made.iter_bytes()
            assert next(pieces) == b"begun"
            reading.set()
            try:
                list(pieces)
            except IncompleteAnswerError as failure:
                failures.append(failure)

        thread = threading.Thread(target=read)
        thread.start()
        assert reading.wait(BOUND)
        made.close()
        thread.join(BOUND)
        assert not thread.is_alive()
    assert len(failures) == 1


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h", "socks4", "socks4a"])
def test_what_fails_names_the_proxy_and_its_variable_and_leads_to_no_credential(
    trust: Trust, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://someone:s3cret@127.0.0.1:{port}")
    host = "127.0.0.1" if scheme in ("socks5", "socks4") else "api.test"
    with (
        client_of(trust, base_url=f"https://{host}") as client,
        pytest.raises(
            APIConnectionError,
            match=rf"GET /x through the proxy {scheme}://127\.0\.0\.1:{port} \(ALL_PROXY\): .*refused",
        ) as failed,
    ):
        client.get("/x")
    assert "s3cret" not in everything_behind(failed.value)
    assert "someone" not in everything_behind(failed.value)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_refused_credential_is_reached_from_no_exception(
    stack: ExitStack, trust: Trust, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    kind: Any = SocksProxy if scheme == "socks5h" else Proxy
    proxy = stack.enter_context(kind(credential="me:right-s3cret"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url("someone:wrong-s3cret").replace("http", scheme, 1))
    with client_of(trust) as client, pytest.raises(APIConnectionError, match=r"407|authentication") as refused:
        client.get("/x")
    assert "s3cret" not in everything_behind(refused.value)
    assert "someone" not in everything_behind(refused.value)


def test_a_proxy_that_repeats_the_credential_brings_it_into_no_exception(
    trust: Trust, monkeypatch: pytest.MonkeyPatch, serve: Any
) -> None:
    def script(far: Any) -> None:
        credential = far.read_head().decode().partition("Basic ")[2].split("\r\n")[0]
        far.send(f"HTTP/1.1 407 not me:s3cret, {credential}\r\nContent-Length: 0\r\n\r\n".encode())
        far.wait_until_gone()

    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@127.0.0.1:{serve(script).port}")
    with client_of(trust) as client, pytest.raises(APIConnectionError, match=r"407 not \[redacted\]") as refused:
        client.get("/x")
    assert "s3cret" not in everything_behind(refused.value)


def test_an_answer_that_stops_leads_to_no_credential(
    serve_https: Callable[..., Service], stack: ExitStack, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        out.wait_until_gone()

    proxy = stack.enter_context(Proxy(names={"api.test": serve_https(begin).port}, credential="someone:s3cret"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url("someone:s3cret"))
    with client_of(trust, timeout=(BOUND, 0.1)) as client, pytest.raises(APITimeoutError) as stopped:
        client.get("/x")
    assert "s3cret" not in everything_behind(stopped.value)
    assert "someone" not in everything_behind(stopped.value)


def test_what_cannot_be_used_is_named_and_not_tried_again(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks://me:s3cret@127.0.0.1:1/")
    waited: list[float] = []
    monkeypatch.setattr("cartesia_sync.transport.http.session._Closing.wait", lambda _, seconds: waited.append(seconds))
    with client_of(trust, max_retries=5) as client:
        for call in (lambda: client.get("/x"), lambda: client.tts.websocket_connect().enter()):
            with pytest.raises(ProxySettingError, match="all_proxy names a proxy with the scheme 'socks'") as refused:
                call()
            assert "s3cret" not in everything_behind(refused.value)
    assert waited == []


def test_without_pysocks_the_error_names_the_extra(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:1")
    with (
        client_of(trust) as client,
        pytest.raises(ProxySettingError, match=r"ALL_PROXY .* 'socks5h', .* install cartesia-sync\[socks\]"),
    ):
        client.get("/x")


def test_of_what_lies_behind_only_what_the_system_said_is_kept() -> None:
    try:
        raise ConnectionRefusedError(111, "refused")
    except ConnectionRefusedError as error:
        import requests

        outer = requests.exceptions.ConnectionError("outer")
        outer.__cause__ = error
    found = response_module.system_error_behind(outer)
    assert isinstance(found, ConnectionRefusedError)
    assert found.__traceback__ is found.__context__ is None
    assert response_module.system_error_behind(requests.exceptions.ConnectionError("alone")) is None
