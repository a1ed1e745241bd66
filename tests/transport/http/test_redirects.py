"""Where a redirect leads, and what goes there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import APIConnectionError, Cartesia
from cartesia_sync.errors import ProtocolError

from ...support.http_service import Asked, Out, Service, answer
from ...support.proxy import Proxy

KEY = "sk_car_a-key-for-redirects"
OK = answer(200, {"ok": True})
SECRET_HEADERS = {
    "X-API-Key": "a-second-s3cret",
    "X-Custom": "a-third-s3cret",
    "Proxy-Authorization": "a-fourth-s3cret",
}


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_same_host_gets_the_key_again(status: int) -> None:
    with Service(answer(status, Location="/there?a=b"), OK) as service, client_of(service) as client:
        assert client.get("/here") == {"ok": True}
    first, second = service.asked
    assert (first.target, second.target) == ("/here", "/there?a=b")
    assert second.headers["authorization"] == f"Bearer {KEY}"
    assert second.headers["cartesia-version"] == client.cartesia_version


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("other", ["port", "host"])
def test_another_host_or_port_gets_no_credential_of_any_kind(status: int, other: str) -> None:
    with Service(OK) as elsewhere:
        host = "127.0.0.1" if other == "port" else "localhost"
        turn = answer(status, Location=f"http://{host}:{elsewhere.port}/there")
        with Service(turn) as service, client_of(service, default_headers=SECRET_HEADERS) as client:
            assert client.post("/here", body={"a": 1}) == {"ok": True}
    (asked,) = elsewhere.asked
    assert set(asked.headers) <= {
        "host", "accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent",
    }  # fmt: skip
    assert "s3cret" not in repr(asked)
    assert KEY not in repr(asked)


def test_what_was_left_out_on_the_way_does_not_come_back() -> None:
    with Service(OK) as elsewhere, Service(OK) as service:
        elsewhere._answers = [answer(302, Location=f"{service.url}/back")]
        service._answers = [answer(302, Location=f"{elsewhere.url}/there"), OK]
        with client_of(service) as client:
            client.get("/here")
    assert "authorization" not in service.asked[1].headers


def test_a_redirect_that_repeats_the_request_sends_the_body_again() -> None:
    with Service(answer(307, Location="/there"), OK) as service, client_of(service) as client:
        client.post("/here", form={"a": "b"}, files={"clip": b"sound"})
    first, second = service.asked
    assert (second.method, second.target) == ("POST", "/there")
    assert b"sound" in first.body
    assert second.body == first.body
    assert second.headers["content-type"] == first.headers["content-type"]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A proxy that to all appearances is on another machine."""
    proxy, resolve = Proxy(), socket.getaddrinfo

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "proxy.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://me:a-proxys-s3cret@proxy.example:{proxy.port}")
    return proxy


@pytest.mark.parametrize("status", [302, 303, 307])
def test_after_a_redirect_the_proxy_is_chosen_by_the_same_rule(elsewhere: Proxy, status: int) -> None:
    """What is sent in clear to this machine reaches no other one's proxy."""
    with elsewhere, Service(answer(status, Location="/there"), OK) as service, client_of(service) as client:
        assert client.get("/here") == {"ok": True}
        assert elsewhere.accepted == 0
    assert [each.headers.get("proxy-authorization") for each in service.asked] == [None, None]
    assert service.asked[1].headers["authorization"] == f"Bearer {KEY}"


def test_the_other_machines_proxy_is_one_that_calls_do_go_to(elsewhere: Proxy) -> None:
    """The test above would see it: a host that is not this machine is asked for through it."""
    with elsewhere, Cartesia(api_key=KEY, base_url="https://api.example", max_retries=0) as client:
        with pytest.raises(APIConnectionError):
            client.get("/here")
        assert elsewhere.accepted == 1


def test_a_proxys_credential_goes_to_that_proxy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(OK) as target, Service(answer(302, Location=f"http://localhost:{target.port}/there")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:a-proxys-s3cret@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "localhost")
        with Cartesia(api_key=KEY, base_url="http://127.0.0.1:9", max_retries=0) as client:
            assert client.get("/here") == {"ok": True}
    assert proxy.asked[0].target == "http://127.0.0.1:9/here"
    assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
    assert "proxy-authorization" not in target.asked[0].headers
    assert "authorization" not in target.asked[0].headers


def test_a_proxy_is_asked_after_a_redirect_too_and_told_its_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(answer(302, Location="/there"), OK) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:a-proxys-s3cret@127.0.0.1:{proxy.port}")
        with Cartesia(api_key=KEY, base_url="http://127.0.0.1:9", max_retries=0) as client:
            assert client.get("/here") == {"ok": True}
    assert [each.target for each in proxy.asked] == ["http://127.0.0.1:9/here", "http://127.0.0.1:9/there"]
    assert len({each.headers["proxy-authorization"] for each in proxy.asked}) == 1


def test_a_circle_is_left() -> None:
    with (
        Service(answer(302, Location="/again")) as service,
        client_of(service) as client,
        pytest.raises(ProtocolError, match="too many redirects"),
    ):
        client.get("/here")
    assert len(service.asked) == 31


def test_a_redirect_to_what_is_no_http_is_no_answer(tmp_path: Path) -> None:
    with (
        Service(answer(302, Location=f"file://{tmp_path}")) as service,
        client_of(service) as client,
        pytest.raises(ProtocolError, match="none to ask"),
    ):
        client.get("/here")


def test_a_redirect_of_any_size_is_not_read() -> None:
    def endless(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n")
        out.flood(b"x" * 100_000)

    with Service(endless, OK) as service, client_of(service) as client:
        assert client.get("/here") == {"ok": True}


def test_a_netrc_takes_the_place_of_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(
        "machine 127.0.0.1 login user password a-netrc-s3cret\nmachine localhost login u password s3cret\n"
    )
    monkeypatch.setenv("NETRC", str(netrc))
    with Service(OK) as service, client_of(service) as client:
        service._answers = [
            answer(302, Location="/there"),
            answer(302, Location=f"http://localhost:{service.port}/"),
            OK,
        ]
        client.get("/here")
    assert [each.headers.get("authorization") for each in service.asked] == [f"Bearer {KEY}", f"Bearer {KEY}", None]


def test_cookies_are_not_kept() -> None:
    biscuit = {"Set_Cookie": "session=1; Path=/"}
    turn = answer(302, Location="/there", **biscuit)
    with Service(answer(200, {}, **biscuit), turn, OK) as service, client_of(service) as client:
        client.get("/a")
        client.get("/b")
        client.get("/c")
    assert len(service.asked) == 4
    assert not [each for each in service.asked if "cookie" in each.headers]


def test_a_service_that_is_gone_after_a_redirect_is_a_lost_connection() -> None:
    with Service(OK) as elsewhere:
        gone = elsewhere.url
    with (
        Service(answer(302, Location=gone)) as service,
        client_of(service) as client,
        pytest.raises(APIConnectionError, match="GET /here: "),
    ):
        client.get("/here")
