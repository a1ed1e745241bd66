"""``cartesia-sync serve``; its signals are in tests/process, its options in tests/local/test_settings.py."""

from __future__ import annotations

import ast
import sys
from typing import Any

import pytest

from cartesia_sync.local import Close, Delay, Hold, Refuse, __main__, faults

from ..support.command import Command, runner
from ..support.processes import WARNED, Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def serve_options(run: Command, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    received: dict[str, Any] = {}
    monkeypatch.setattr(__main__, "serve", lambda **options: received.update(options))
    assert run("serve", *arguments) == (0, "", "")
    return received


def test_limits_and_faults_reach_the_server(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("--concurrency-limit", "3", "--idle-timeout", "1.5", "--fault", "Close(1001, after=2)")
    more = ("--fault", " Refuse(429, headers={'Retry-After': '1'}, times=None)", "--fault", "Delay(1)")
    options = serve_options(run, monkeypatch, *given, *more)
    assert (options["concurrency_limit"], options["idle_timeout"]) == (3, 1.5)
    assert options["faults"] == [
        Close(1001, after=2),
        Refuse(429, headers={"Retry-After": "1"}, times=None),
        Delay(1),
    ]
    assert serve_options(run, monkeypatch, "--idle-timeout", "never")["idle_timeout"] is None
    assert serve_options(run, monkeypatch)["faults"] == []


def test_what_holds_until_somebody_lets_go_holds_for_ever(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    (hold,) = serve_options(run, monkeypatch, "--fault", "Hold(after=1)")["faults"]
    assert isinstance(hold, Hold)
    assert (hold.after, hold.until.is_set()) == (1, False)


NEEDED = {"Refuse": "(500)", "RefuseRequest": "(500)", "Delay": "(0.1)"}


@pytest.mark.parametrize("name", sorted(set(faults.__all__) - {"Fault", "ContextFault", "RequestFault"}))
def test_every_fault_can_be_asked_for(name: str) -> None:
    assert type(__main__._fault(name + NEEDED.get(name, ""))) is getattr(faults, name)


def test_without_the_extra_it_says_how_to_get_it(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cartesia_sync.local")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    expected = (1, "", "cartesia-sync: the local server needs aiohttp: pip install 'cartesia-sync[local]'\n")
    for arguments in (["serve"], ["say", "x", "-o", "-", "--local"], ["voices", "--local"]):
        assert run(*arguments) == expected


@pytest.mark.parametrize(
    ("url", "pasted"),
    [
        ("http://0.0.0.0:1", "http://127.0.0.1:1"),
        ("http://[::]:1", "http://[::1]:1"),
        ("https://10.0.0.1:1", "https://10.0.0.1:1"),
    ],
)
def test_what_is_pasted_leads_somewhere(url: str, pasted: str) -> None:
    first, *lines = __main__._told(url, "ws" + url[len("http") :], "a-key").splitlines()
    assert first == f"listening on {url}"
    assert lines[0] == f"export CARTESIA_BASE_URL={pasted}"
    assert f'websocket_base_url="ws{pasted[len("http") :]}"' in lines[-1]
    assert lines[1] == "export CARTESIA_API_KEY=a-key"
    assert any("SSL_CERT_FILE" in line for line in lines) == url.startswith("https")


CLIENT = """
import json, sys
{line}
with client.tts.websocket_connect() as connection:
    context = connection.context(
        model_id="sonic-latest",
        voice={{"mode": "id", "id": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"}},
        output_format={{"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}},
    )
    context.push("Hello.")
    context.no_more_inputs()
    print(sum(len(event.audio or b"") for event in context.receive() if event.type == "chunk") > 1000)
"""


def test_the_lines_to_paste_lead_both_clients_to_it() -> None:
    """Each in a process of its own, with nothing but the lines."""
    with Run(*WARNED, "-m", "cartesia_sync", "serve", "--port", 0, "--engine", "signal") as server:
        url = server.line().rpartition(" ")[2]
        pasted = [server.line() for _ in range(3)]
        environment = dict(line[len("export ") :].split("=", 1) for line in pasted[:2])
        assert environment == {"CARTESIA_BASE_URL": url, "CARTESIA_API_KEY": "any"}
        ours = CLIENT.format(line="from cartesia_sync import Cartesia\nclient = Cartesia()")
        with Run(*WARNED, "-c", ours, **environment) as client:
            assert client.end() == (0, "True\n", "")
        call = pasted[2].partition(": ")[2]
        ast.parse(call, mode="eval")
        theirs = CLIENT.format(line=f"from cartesia import Cartesia\nclient = {call}")
        with Run("-c", theirs) as client:
            status, out, err = client.end()
            assert (status, out) == (0, "True\n"), err
