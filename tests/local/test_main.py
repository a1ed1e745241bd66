from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from websockets.sync.client import connect

from cartesia_sync.local import LocalServer
from cartesia_sync.local.__main__ import main

BOUND = 10.0


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_ends_quietly(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cartesia_sync.local", "--port", "0", "--engine", "signal"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"^listening on http(://\S+)$", line.strip())
            assert found is not None, line
            with connect(f"ws{found.group(1)}/tts/websocket", additional_headers={"X-API-Key": "any"}) as websocket:
                websocket.send("?")
                assert "error" in str(websocket.recv(timeout=BOUND))
                process.send_signal(number)
                _, errors = process.communicate(timeout=BOUND)
        finally:
            process.kill()
    assert process.returncode == 0
    inspector, rest = errors.split("\n", 1)
    assert re.fullmatch(r"see what is said and heard, in a browser: http://\S+/inspector\?t=\S{32}", inspector)
    assert rest == "any API key will do; Ctrl-C ends it\n"


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_it_speaks_tls_with_a_certificate(trust: Any) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cartesia_sync.local", "--port", "0", "--engine", "signal", "--tls-cert", trust.chain],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"^listening on (https://\S+)$", process.stdout.readline().strip())
            assert found is not None
            with urllib.request.urlopen(found.group(1), timeout=BOUND, context=trust.client) as response:
                assert response.status == 200
            process.terminate()
            assert process.wait(BOUND) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("arguments", [["--tls-key", "x"], ["--tls-cert", "no such file"], ["--tls-cert", __file__]])
def test_a_certificate_that_is_none_is_a_message_and_no_traceback(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["--port", "0", *arguments]) == 1
    assert capsys.readouterr().err.startswith("cartesia_sync.local: ")


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--allow-anyone"], "any API key will do"), (["--api-key", "one,two"], "the API keys that were given will do")],
    ids=lambda value: str(value),
)
def test_a_wildcard_is_warned_of_and_the_address_is_one_to_connect_to(arguments: list[str], said: str) -> None:
    options = ["--port", "0", "--engine", "signal", "--host", "0.0.0.0", *arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartesia_sync.local", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"^listening on (http://127\.0\.0\.1:\d+)$", process.stdout.readline().strip())
            assert found is not None
            with urllib.request.urlopen(found.group(1), timeout=BOUND) as response:
                assert response.status == 200
            process.terminate()
            _, errors = process.communicate(timeout=BOUND)
        finally:
            process.kill()
    assert "other machines reach this server" in errors
    assert re.search(r"^from other machines: http://(?!0\.0\.0\.0)\S+:\d+$", errors, re.MULTILINE)
    assert said in errors
    assert "two" not in errors


def test_a_wildcard_alone_is_a_message_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--host", "0.0.0.0"]) == 1
    assert "--api-key" in capsys.readouterr().err


def test_a_taken_port_is_a_message_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with LocalServer() as server:
        assert main(["--port", str(server.port), "--engine", "signal"]) == 1
    assert str(server.port) in capsys.readouterr().err
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
