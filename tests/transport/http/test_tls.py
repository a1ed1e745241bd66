"""TLS and proxies for calls over HTTP: what the WebSockets do, the calls do."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3.util.ssl_
from cryptography import x509  # trustme brings it

from cartesia_sync import APIConnectionError, Cartesia
from cartesia_sync.transport.http.session import environment_proxies

from ...support.http_service import Service, answer
from ...support.peer import Trust
from ...support.proxy import Proxy

KEY = "sk_car_a-key-for-tls"
OK = answer(200, {"ok": True})
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service(trust: Trust) -> Iterator[Service]:
    """One that proves to be localhost and 127.0.0.1."""
    with Service(OK, tls=trust.server) as service:
        yield service


def client_of(service: Service, host: str = "127.0.0.1", **options: Any) -> Cartesia:
    options = {"api_key": KEY, "max_retries": 0, **options}
    return Cartesia(base_url=f"https://{host}:{service.port}", **options)


# ---- trust


class Watched(ssl.SSLContext):
    """A context that takes down what is set on it."""

    changes: list[str]

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "changes" and "changes" in self.__dict__:
            self.changes.append(name)
        super().__setattr__(name, value)

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        self.changes.append("ALPN")


def test_the_clients_own_context_is_used_and_stays_as_it_is(service: Service, authority: trustme.CA) -> None:
    context = Watched(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    context.changes = []
    before = context.get_ca_certs()
    with client_of(service, ssl_context=context) as client:
        assert client.get("/x") == {"ok": True}
        assert client.with_options(max_retries=1).get("/x") == {"ok": True}
    assert context.get_ca_certs() == before
    assert context.changes == []
    assert len({each.connection for each in service.asked}) == 1  # both clients share it


def test_what_urllib3_switches_off_on_some_pythons_stays_on_for_all_others(
    service: Service, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OpenSSL is another library, urllib3 compares the names itself and switches it off in the context."""
    monkeypatch.setattr(urllib3.util.ssl_, "HAS_NEVER_CHECK_COMMON_NAME", False)
    with client_of(service, ssl_context=trust.client) as client:
        assert client.get("/x") == {"ok": True}
    assert trust.client.check_hostname


def test_an_unknown_authority_is_refused_and_receives_no_key(service: Service) -> None:
    with client_of(service) as client, pytest.raises(APIConnectionError, match="certificate"):
        client.get("/x")
    assert service.asked == []


def test_a_certificate_of_another_name_is_refused(authority: trustme.CA, trust: Trust) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("another.example").configure_cert(server)
    with (
        Service(OK, tls=server) as service,
        client_of(service, ssl_context=trust.client) as client,
        pytest.raises(APIConnectionError, match="certificate"),
    ):
        client.get("/x")
    assert service.asked == []


def test_a_context_that_does_not_compare_names_does_not_here_either(authority: trustme.CA) -> None:
    """As on the sockets; and still the authority counts."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("another.example").configure_cert(server)
    context = ssl.create_default_context()
    context.check_hostname = False
    with Service(OK, tls=server) as service:
        with client_of(service, ssl_context=context) as client, pytest.raises(APIConnectionError, match="certificate"):
            client.get("/x")
        authority.configure_trust(context)
        with client_of(service, ssl_context=context) as client:
            assert client.get("/x") == {"ok": True}


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_of_the_environment_are_trusted(
    service: Service, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv(variable, str(hashed(file) if variable == "SSL_CERT_DIR" else file))
    with client_of(service) as client:
        assert client.get("/x") == {"ok": True}


def test_a_bundle_may_be_a_folder(
    service: Service, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hashed(file)))
    with client_of(service) as client:
        assert client.get("/x") == {"ok": True}


def hashed(file: Path) -> Path:
    """Return a folder with that certificate, under the name by which OpenSSL looks for it: a hash of its subject."""
    subject = x509.load_pem_x509_certificate(file.read_bytes()).subject
    folder = file.parent / "folder"
    folder.mkdir()
    name = int.from_bytes(hashlib.sha1(canonical(subject)).digest()[:4], "little")
    (folder / f"{name:08x}.0").write_bytes(file.read_bytes())
    return folder


def canonical(name: x509.Name) -> bytes:
    """Write a name as X509_NAME_hash does: texts in UTF-8 and lower case, without the outermost header."""
    sets = b""
    for attribute in name:  # one in each set, as trustme makes them
        first, second, *rest = map(int, attribute.oid.dotted_string.split("."))
        text = " ".join(str(attribute.value).split()).lower().encode()
        sets += der(0x31, der(0x30, der(0x06, bytes([40 * first + second, *rest])) + der(0x0C, text)))
    return sets


def der(tag: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


# ---- proxies


def proxied(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, credential: str = "") -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(credential))


def test_a_call_goes_through_the_proxy_and_the_key_only_through_tls(
    authority: trustme.CA, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("api.test").configure_cert(server)
    with (
        Service(OK, tls=server) as service,
        Proxy(names={"api.test": service.port}, credential="me:p@ss:w/rd") as proxy,
    ):
        proxied(proxy, monkeypatch, "me:p%40ss%3Aw%2Frd")
        with Cartesia(api_key=KEY, base_url="https://api.test", ssl_context=trust.client) as client:
            assert client.get("/x", query={"a": "b"}) == {"ok": True}
            assert client.get("/y") == {"ok": True}
        assert proxy.accepted == 1
        assert proxy.heads[0].startswith(b"CONNECT api.test:443 HTTP/1.")
        seen = proxy.recorded()
    assert KEY.encode() not in seen
    assert b"a=b" not in seen
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert "proxy-authorization" not in service.asked[0].headers


@pytest.mark.parametrize("credential", ["", "me:wrong-s3cret"])
def test_a_proxy_that_refuses_is_told_without_the_password(
    service: Service, trust: Trust, monkeypatch: pytest.MonkeyPatch, credential: str
) -> None:
    with Proxy(credential="me:right-s3cret") as proxy:
        proxied(proxy, monkeypatch, credential)
        with (
            client_of(service, ssl_context=trust.client) as client,
            pytest.raises(APIConnectionError, match="407") as refused,
        ):
            client.get("/x")
    assert "s3cret" not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"
    assert service.asked == []


def test_a_proxy_that_is_not_there_is_told_without_the_password(
    service: Service, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        gone = proxy.url("me:very-s3cret")
    monkeypatch.setenv("HTTPS_PROXY", gone)
    with (
        client_of(service, ssl_context=trust.client) as client,
        pytest.raises(APIConnectionError, match="refused") as failed,
    ):
        client.get("/x")
    assert "s3cret" not in f"{failed.value!r} {failed.value.__cause__!r} {failed.value.__context__!r}"


def test_no_proxy_leads_past_it(service: Service, trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy() as proxy, client_of(service, ssl_context=trust.client) as client:
        proxied(proxy, monkeypatch)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert client.get("/x") == {"ok": True}
        assert proxy.accepted == 0
        monkeypatch.delenv("NO_PROXY")
        client.close()
        with client_of(service, ssl_context=trust.client) as another:
            another.get("/x")
        assert proxy.accepted == 1


def test_what_is_said_in_clear_to_this_machine_does_not_leave_it_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """To this machine the key may go in clear; to a proxy on another one it may not."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    with Service(OK) as service, Cartesia(api_key=KEY, base_url=service.url, max_retries=0) as client:
        assert client.get("/x") == {"ok": True}  # the other machine cannot even be reached


@pytest.mark.parametrize(
    ("url", "proxy", "is_taken"),
    [
        ("http://127.0.0.1:80/x", "http://proxy.example:3128", False),
        ("http://localhost/x", "proxy.example:3128", False),
        ("http://[::1]/x", "http://user:pass@proxy.example:3128", False),
        ("http://[::1]/x", "http://[::1", False),
        ("http://127.0.0.1/x", "http://127.0.0.1:3128", True),
        ("http://127.0.0.1/x", "localhost:3128", True),
        ("http://api.example/x", "http://proxy.example:3128", True),
        ("https://127.0.0.1/x", "http://proxy.example:3128", True),
    ],
)
def test_a_proxy_is_taken_where_it_may_see_what_goes_through_it(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, is_taken: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert (proxy in environment_proxies(url).values()) is is_taken
