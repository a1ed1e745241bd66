"""A short run of ``scripts/stress/fuzz.py``, and a proof that it sees what it looks for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync.protocol import codec
from cartesia_sync.protocol.router import Router
from cartesia_sync.streaming.link import Link
from cartesia_sync.streaming.reader import Reader
from cartesia_sync.transport.websocket.wire import Wire

SEED = 1
INPUTS = 600
FEW = 50
SEARCHED = 100


def load() -> Any:
    path = Path(__file__).resolve().parents[2] / "scripts" / "stress" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = load()


def test_whatever_the_service_sends_every_receiver_ends_and_no_event_goes_astray() -> None:
    seen = fuzz.run(SEED, range(INPUTS)).outcomes
    assert {
        "reader: ProtocolError",
        "reader: MessageTooBigError",
        "reader: WebSocketConnectionClosedError",
        "reader: WebSocketConnectionClosedError with a code",
        "receiver: done event",
        "receiver: error event",
        "receiver: our cancel",
        "receiver: MalformedEventError from MalformedEventError",
        "receiver: TruncatedError from ProtocolError",
        "receiver: TruncatedError from WebSocketConnectionClosedError",
        "events for no context",
        "events for an ended context",
    } <= {outcome for outcome, count in seen.items() if count}


def test_an_input_is_made_by_its_seed_and_number_alone() -> None:
    one, other = fuzz.numbered(SEED, 7), fuzz.numbered(SEED, 7)
    assert vars(one) == vars(other)
    assert vars(one) != vars(fuzz.numbered(SEED, 8))


def test_hypothesis_finds_nothing_either() -> None:
    seen = fuzz.search(SEED, SEARCHED).outcomes
    assert len([outcome for outcome, count in seen.items() if count]) > 5


def bug(*_: object) -> Any:
    raise KeyError("bug")


BUGS = {
    "a decoder with a bug": (codec, "decode", bug, "the reader had a bug: KeyError"),
    "a router that mixes contexts up": (Router, "route", lambda self, name: next(iter(self.live()), None), "heard"),
    "a reader that tells nobody of its end": (Link, "lose", lambda self, wire, loss: None, "left .* open"),
    "a reader that dies": (Reader, "_read_to_the_end", bug, "left .* open"),
    "a wire that loses messages": (Wire, "_assemble", lambda self, frame, data: None, "the wire gave"),
    "a wire that makes messages up": (Wire, "_assemble", lambda self, frame, data: b"{}", "the wire gave"),
    "a wire that keeps its socket": (Wire, "release", lambda self: None, "the socket is not closed"),
}


@pytest.mark.parametrize("name", BUGS)
def test_the_fuzzer_sees(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, method, replacement, failure = BUGS[name]
    monkeypatch.setattr(where, method, replacement)
    with pytest.raises(
        fuzz.FailureError, match=rf"(?s){failure}.*again: scripts/stress/fuzz.py --seed {SEED} --only \d+\n"
    ):
        fuzz.run(SEED, range(FEW))


def test_hypothesis_sees_a_bug_too(monkeypatch: pytest.MonkeyPatch) -> None:
    where, method, replacement, failure = BUGS["a router that mixes contexts up"]
    monkeypatch.setattr(where, method, replacement)
    with pytest.raises(fuzz.FailureError, match=rf"(?s){failure}.*stream, its first"):
        fuzz.search(SEED, FEW, shrinks=False)  # to make it small takes ten seconds
