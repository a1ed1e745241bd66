"""A short run of ``scripts/stress/tls_race.py``, on this Python and on those that have the dependencies already.

The script's full run, on every Python of the machine and with the ways that lose connections, is made by hand.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import Any

import pytest

MESSAGES = 1000
"""Of each writer."""


def load() -> Any:
    path = Path(__file__).resolve().parents[2] / "scripts" / "stress" / "tls_race.py"
    spec = importlib.util.spec_from_file_location("tls_race", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tls_race = load()


def test_one_reader_and_three_writers_on_one_tls_connection_lose_neither_it_nor_a_message() -> None:
    equipped = {version: path for version, path in tls_race.interpreters().items() if tls_race.has_dependencies(path)}
    print("on Python", *equipped)
    assert equipped
    for python in equipped.values():
        result = tls_race.run_on(python, "--ways", "ours", "--trials", "1", "--messages", str(MESSAGES))
        assert result["ways"] == {"ours": {"lost": 0, "losses": {}, "messages": tls_race.WRITERS * MESSAGES}}


@pytest.mark.parametrize("name", tls_race.WAYS)
def test_a_connection_that_the_server_drops_counts_as_lost(name: str, tmp_path: Path) -> None:
    with tls_race.serving(str(tmp_path), drops_after=20) as (url, tls):
        way = tls_race.WAYS[name](url, tls)
        trial = tls_race.Trial(way, messages=MESSAGES)
        way.release()
    assert trial.loss is not None
    assert trial.messages <= 20


class Echo:
    """A connection that gives back what it was told, or what a test makes of it."""

    def __init__(self, change: Any = lambda message: message) -> None:
        self._change = change
        self._said: list[str] = []
        self._has_more = threading.Condition()
        self._is_shut = False

    def read(self) -> bytes:
        with self._has_more:
            while True:
                self._has_more.wait_for(lambda: self._said or self._is_shut, tls_race.BOUND)
                if not self._said:
                    raise EOFError
                message = self._change(self._said.pop(0))
                if message is not None:
                    return bytes(message.encode())

    def write(self, message: str) -> None:
        with self._has_more:
            self._said.append(message)
            self._has_more.notify()

    def shutdown(self) -> None:
        with self._has_more:
            self._is_shut = True
            self._has_more.notify()


def test_a_connection_that_gives_everything_back_is_not_lost() -> None:
    trial = tls_race.Trial(Echo(), messages=10)
    assert (trial.loss, trial.messages) == (None, 30)


def test_a_message_that_comes_back_changed_counts_as_a_loss() -> None:
    trial = tls_race.Trial(Echo(lambda message: message.replace(" 5 ", " 6 ")), messages=10)
    assert "ValueError: message 5 of writer" in trial.loss


def test_a_message_that_does_not_come_back_counts_as_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_race, "STALL", 0.1)
    trial = tls_race.Trial(Echo(lambda message: None), messages=10)
    assert trial.loss == "stall of 0.1 s"
