"""The example of a telephone call, with a test in Twilio's place."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from cartesia_sync.local import LocalServer

ROOT = Path(__file__).resolve().parents[2]
BOUND = 30
pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(sys.platform == "win32", reason="it is ended by a signal"),
]


@pytest.fixture
def service() -> Iterator[LocalServer]:
    with LocalServer(pace=20.0) as server:
        yield server


@pytest.fixture
def example(service: LocalServer) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(ROOT / "scripts" / "examples" / "twilio_stream.py"), "0"],
        env={**os.environ, "CARTESIA_API_KEY": "any", "CARTESIA_BASE_URL": service.url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=BOUND)
        assert said.strip().splitlines()[-1:] == ["KeyboardInterrupt"]
    finally:
        process.kill()
        process.communicate()


def call(process: subprocess.Popen[str]) -> ClientConnection:
    assert process.stdout is not None
    return connect(f"ws://127.0.0.1:{process.stdout.readline().split()[-1]}", proxy=None)


def tell(twilio: ClientConnection, event: str, **fields: Any) -> None:
    twilio.send(json.dumps({"event": event, "streamSid": "MZ1", **fields}))


def start(twilio: ClientConnection) -> None:
    twilio.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    tell(twilio, "start", start={"streamSid": "MZ1", "customParameters": {"city": "Bern"}})


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_caller_hears_all_of_it_in_frames(example: subprocess.Popen[str]) -> None:
    audio, marks = b"", []
    with call(example) as twilio:
        start(twilio)
        while len(marks) < 8:
            message = json.loads(twilio.recv(timeout=BOUND))
            assert message["streamSid"] == "MZ1"
            if message["event"] == "media":
                audio += base64.b64decode(message["media"]["payload"])
                assert len(audio) % 160 == 0
            elif message["event"] == "mark":
                marks.append(message["mark"]["name"])
                tell(twilio, "mark", mark=message["mark"])
        tell(twilio, "stop")
        assert heard(example) == "heard: Hello. You are calling from Bern, I think."
    assert 1.5 < len(audio) / 8000 < 6


def test_a_digit_interrupts(example: subprocess.Popen[str], service: LocalServer) -> None:
    with call(example) as twilio:
        start(twilio)
        json.loads(twilio.recv(timeout=BOUND))
        tell(twilio, "dtmf", dtmf={"digit": "1"})
        while json.loads(twilio.recv(timeout=BOUND))["event"] != "clear":
            pass
        tell(twilio, "stop")
        assert heard(example) == "heard:"
    assert any(each.message.get("cancel") for each in service.heard if isinstance(each.message, dict))
