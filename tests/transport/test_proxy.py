from __future__ import annotations

import pickle
from base64 import b64encode

import pytest

from cartesia_sync import APIConnectionError, CartesiaError, ProxySettingError
from cartesia_sync.transport.proxy import PORTS, Proxy, chosen, secrets_of
from cartesia_sync.transport.retry import pause_after


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://p:1", ("http", "p", 1, None, "")),
        ("p:1", ("http", "p", 1, None, "")),
        ("p", ("http", "p", 80, None, "")),
        ("HTTPS://P", ("https", "p", 443, None, "")),
        ("socks5://[::1]", ("socks5", "::1", 1080, None, "")),
        ("socks5h://me@p", ("socks5h", "p", 1080, "me", "")),
        ("socks4a://me@p:2/", ("socks4a", "p", 2, "me", "")),
        ("socks4://p:2", ("socks4", "p", 2, None, "")),
        ("http://me:pa%3Ass%2Fword%40@p:1", ("http", "p", 1, "me", "pa:ss/word@")),
        ("http://:word@p:1", ("http", "p", 1, "", "word")),
        ("me:word@p:1", ("http", "p", 1, "me", "word")),
    ],
)
def test_a_proxys_url_is_read(url: str, expected: tuple[object, ...]) -> None:
    proxy = Proxy.of(url, "ALL_PROXY")
    assert (proxy.scheme, proxy.host, proxy.port, proxy.username, proxy.password) == expected
    assert proxy.source == "ALL_PROXY"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("socks://me:s3cret@p:1", "scheme 'socks'; those that are known are http, https, socks5h"),
        ("ftp://p", "scheme 'ftp'"),
        ("me:s3cret://p", "not by a URL"),
        ("http://me:s3c/ret@p:1", "scheme 'http' by a URL without a host"),
        ("http://p:1s3cret", "scheme 'http' by a URL without a host, or with a port"),
        ("http://p:99999", "or with a port"),
        ("socks5://", "scheme 'socks5'"),
        ("http://[::1", "scheme 'http'"),
        (f"socks5://me:{'s3cret' * 43}@p", "scheme 'socks5' and a user name or password that SOCKS cannot carry"),
        ("socks4://s3cret%00x@p", "cannot carry"),
    ],
)
def test_what_is_none_is_named_by_its_variable_and_its_scheme_and_not_shown(url: str, words: str) -> None:
    with pytest.raises(ProxySettingError, match=words) as refused:
        Proxy.of(url, "HTTPS_PROXY")
    assert str(refused.value).startswith("HTTPS_PROXY names a proxy")
    assert "s3c" not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert "s3c" not in repr(refused.value.__context__)
    assert isinstance(refused.value, (APIConnectionError, CartesiaError))
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
    assert pause_after(refused.value, 0, timeout_per_attempt=True) is None  # another attempt would meet the same


def test_neither_its_repr_nor_its_name_in_messages_shows_the_password() -> None:
    proxy = Proxy.of("socks5h://someone:s3cret@[::1]:1", "ALL_PROXY")
    assert proxy.shown == "the proxy socks5h://[::1]:1 (ALL_PROXY)"
    assert "s3cret" not in repr(proxy)
    assert "someone" not in repr(proxy)


def test_its_secrets_are_known() -> None:
    basic = b64encode(b"me:s3cret").decode()
    proxy = Proxy.of("http://me:s3cret@p", "HTTPS_PROXY")
    assert proxy.basic == basic
    assert set(proxy.secrets) == {basic.encode(), b"s3cret", b"me:s3cret"}
    assert Proxy.of("http://p", "HTTPS_PROXY").secrets == []
    assert set(secrets_of({"https": "http://me:s3cret@p", "no": "a,b", "all": "socks9://x"})) == set(proxy.secrets)


@pytest.mark.parametrize("key", ["https://h", "https", "all://h", "all"])
def test_the_nearest_is_chosen_as_requests_does(key: str) -> None:
    keys = ["https://h", "https", "all://h", "all"]
    proxies = {each: f"http://p{number}" for number, each in enumerate(keys) if keys.index(key) <= number}
    found = chosen("https://h/x", {**proxies, "http": "http://another"})
    assert found is not None
    assert found.host == f"p{keys.index(key)}"
    assert chosen("https://h/x", {"http": "http://another"}) is None


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "All_Proxy"])
def test_its_source_is_the_variable_as_it_is_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://p")
    found = chosen("https://h/x", {"all": "http://p"})
    assert found is not None
    assert found.source == name
    found = chosen("https://h/x", {"all": "http://of.the.system"})
    assert found is not None
    assert found.source == "the system's settings"


def test_every_scheme_has_a_port() -> None:
    assert all(Proxy.of(f"{scheme}://p", "x").port == port for scheme, port in PORTS.items())
