"""``cartesia-sync doctor``: what it finds, and what it says to do."""

from __future__ import annotations

import importlib.metadata
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from cartesia_sync.cli import doctor
from cartesia_sync.local import LocalServer, Refuse, RefuseRequest

from ..support.command import Command, runner

ALL = ["version", "extras", "proxy", "address", "TLS", "API", "clock", "key", "speech"]
KEY = "sk_car_a_key_that_is_told_to_nobody"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with LocalServer(engine="signal", api_keys={KEY}) as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", KEY)
        yield server


def found(result: tuple[int, str, str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the status, and each line's mark and text by what it is about."""
    status, out, err = result
    assert err == ""
    assert KEY not in out
    lines: dict[str, tuple[str, str]] = {}
    for line in out.splitlines():
        mark, what, text = line.split(None, 2)
        assert mark in ("ok", "BAD", "-")
        assert ("To do: " in text) == (mark == "BAD")
        lines[what] = mark, text
    assert len(lines) == len(out.splitlines())
    return status, lines


def bad(lines: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {what: text for what, (mark, text) in lines.items() if mark != "ok"}


def test_where_all_is_well_each_thing_has_its_line(run: Command, server: LocalServer) -> None:
    status, lines = found(run("doctor"))
    assert (status, bad(lines)) == (0, {})
    assert list(lines) == ALL
    assert f"{server.url} (CARTESIA_BASE_URL)" in lines["address"][1]
    assert re.fullmatch(r"'Hello\.' in \d+\.\d\d s of audio, after \d+\.\d\d s", lines["speech"][1])
    assert [each.message["transcript"] for each in server.heard if isinstance(each.message, dict)] == ["Hello."]


def test_the_local_server_needs_no_key(run: Command) -> None:
    status, lines = found(run("doctor", "--local"))
    assert (status, bad(lines), list(lines)) == (0, {}, ALL)
    assert "(the local server)" in lines["address"][1]


def test_without_a_key_the_rest_is_looked_at(
    run: Command, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARTESIA_API_KEY")
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["key"])
    assert "CARTESIA_API_KEY is not set" in lines["key"][1]
    assert set(lines) == set(ALL) - {"speech"}


def test_a_key_that_is_refused_is_not_spoken_with(
    run: Command, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "sk_car_another_one")
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["key"])
    assert "the service refuses it" in lines["key"][1]
    assert server.handshakes == []


def test_a_key_that_no_header_may_hold_is_found_before_anything_is_sent(
    run: Command, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", f"{KEY[:9]}\n{KEY[9:]}")
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["key"])
    assert server.requests == []


def test_an_address_where_nobody_is(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["address"])
    assert "http://127.0.0.1:9 (CARTESIA_BASE_URL)" in lines["address"][1]


@pytest.mark.parametrize("has_key", [True, False])
def test_an_address_that_is_none(run: Command, monkeypatch: pytest.MonkeyPatch, has_key: bool) -> None:
    monkeypatch.setenv("CARTESIA_BASE_URL", "api.cartesia.ai")
    if has_key:
        monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["address"] if has_key else ["key", "address"])


def test_an_address_that_is_another_service(run: Command, server: LocalServer) -> None:
    server.inject(RefuseRequest(404, body="<html>no such page</html>", path="/", times=None))
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["address"])
    assert "check whether this is Cartesia's address" in lines["address"][1]


def test_a_proxy_is_shown_without_its_credentials_and_blamed(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_BASE_URL", "https://api.example.org")
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    result = run("doctor")
    assert "secret" not in result[1]
    status, lines = found(result)
    assert (status, list(bad(lines))) == (1, ["address"])
    assert lines["proxy"] == ("ok", "http://127.0.0.1:9 (https_proxy), with credentials that are not shown")
    assert "check the proxy" in lines["address"][1]


# ---- TLS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with LocalServer(engine="signal", ssl_context=context) as server:
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        monkeypatch.setenv("CARTESIA_API_KEY", KEY)
        yield server


def test_a_certificate_of_an_unknown_authority(run: Command, secure: LocalServer) -> None:
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["TLS"])
    assert "the certificate is not accepted" in lines["TLS"][1]
    assert "REQUESTS_CA_BUNDLE" in lines["TLS"][1]


def test_an_authority_that_is_named(
    run: Command, secure: LocalServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    status, lines = found(run("doctor"))
    assert (status, bad(lines)) == (0, {})
    assert lines["TLS"][1].startswith("verified, ")
    assert lines["TLS"][1].endswith("by the authorities of REQUESTS_CA_BUNDLE")


def test_a_file_of_authorities_that_is_not_there(
    run: Command, secure: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "none.pem")
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["TLS"])
    assert "REQUESTS_CA_BUNDLE names 'none.pem'" in lines["TLS"][1]


def test_tls_where_there_is_none(run: Command, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_BASE_URL", server.url.replace("http:", "https:"))
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["TLS"])


# ---- the clock, the extras, the word


@pytest.mark.parametrize(("skew", "words"), [(3600, "3600 s ahead of"), (-120, "120 s behind")])
def test_a_clock_that_is_wrong(
    run: Command, server: LocalServer, monkeypatch: pytest.MonkeyPatch, skew: float, words: str
) -> None:
    report: list[Any] = []
    look = doctor._look_at_the_clock

    def looked(date: Any, now: float, to: Any) -> None:
        report.append(date)
        look(date, now + skew, to)

    monkeypatch.setattr(doctor, "_look_at_the_clock", looked)
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["clock"])
    assert re.sub(r"\d+", lambda each: str(round(int(each[0]), -1)), lines["clock"][1]).startswith(words)
    assert report[0]  # the server says it


@pytest.mark.parametrize("date", [None, "soon"])
def test_a_service_that_does_not_say_the_time(date: Any, capsys: pytest.CaptureFixture[str]) -> None:
    report = doctor._Report()
    doctor._look_at_the_clock(date, time.time(), report)
    assert not report.has_bad
    assert capsys.readouterr().out.startswith("- ")


def test_extras_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["msgspec>=0.18", 'none-such>=1; extra == "socks"', 'msgspec; extra == "local"', 'numpy; extra == "both"']
    more = ['none-such; (sys_platform == "linux") and extra == "both"', 'none-such; extra == "test"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: there + more)
    assert doctor._extras() == (
        "both: without none-such, which not every system has; local: installed; "
        "socks: not installed (pip install 'cartesia-sync[socks]')"
    )


def test_a_package_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert doctor._extras().startswith("unknown: ")


def test_a_websocket_that_is_refused_is_the_speechs_line(run: Command, server: LocalServer) -> None:
    server.inject(Refuse(503, times=None))
    status, lines = found(run("doctor"))
    assert (status, list(bad(lines))) == (1, ["speech"])
    assert "503" in lines["speech"][1]
