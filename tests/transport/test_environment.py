from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest
import trustme

from cartesia_sync.transport.environment import default_trust, proxy_for
from cartesia_sync.transport.proxy import Proxy

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    trustme.CA(organization_name="A test's own").cert_pem.write_to_path(str(path))
    return str(path)


def names(context: ssl.SSLContext) -> set[str]:
    return {str(each["subject"]) for each in context.get_ca_certs()}


def test_trust_is_strict_and_holds_what_requests_trusts() -> None:
    context = default_trust()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert names(ssl.create_default_context(cafile=certifi.where())) <= names(context)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_is_named_is_the_only_one_trusted(
    monkeypatch: pytest.MonkeyPatch, authority: str, variable: str
) -> None:
    monkeypatch.setenv(variable, authority)
    context = default_trust()
    assert len(context.get_ca_certs()) == 1
    assert "A test's own" in names(context).pop()
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_openssls_own_variable_is_honoured(monkeypatch: pytest.MonkeyPatch, authority: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    assert any("A test's own" in name for name in names(default_trust()))
    assert not names(ssl.create_default_context(cafile=certifi.where())) & names(default_trust())


@pytest.mark.parametrize(
    ("variable", "url", "is_taken"),
    [
        ("HTTPS_PROXY", "wss://api.example/x", True),
        ("HTTPS_PROXY", "ws://api.example/x", False),
        ("HTTP_PROXY", "ws://api.example/x", True),
        ("ALL_PROXY", "wss://api.example/x", True),
        ("https_proxy", "wss://api.example/x", True),
    ],
)
def test_a_websocket_takes_the_proxy_of_the_http_scheme_that_it_is_like(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, is_taken: bool
) -> None:
    monkeypatch.setenv(variable, "http://p:1")
    assert proxy_for(url) == (Proxy("http", "p", 1, variable) if is_taken else None)


@pytest.mark.parametrize("exceptions", ["api.example", ".example", "*", "10.0.0.1,api.example"])
def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch, exceptions: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert proxy_for("wss://api.example/x") is None
    assert proxy_for("wss://other.test/x") == (None if exceptions == "*" else Proxy("http", "p", 1, "HTTPS_PROXY"))
