"""The sessions that listen, asked by a WebSocket library alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cartesia_sync.local import ErrorEvent, LocalServer

from ...support.voices import FORMAT, loud, quiet

BOUND = 10.0
MANUAL, AUTO = "/stt/websocket", "/stt/turns/websocket"
SETTINGS: dict[str, Any] = {"model": "ink-2", **FORMAT}


@contextmanager
def dialled(server: LocalServer, path: str, **query: Any) -> Iterator[ClientConnection]:
    address = f"{server.websocket_url}{path}?{urlencode({**SETTINGS, **query}, doseq=True)}"
    with connect(address, additional_headers={"X-API-Key": "any"}) as socket:
        yield socket


def rest(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """Return what comes to the end, and the close code."""
    events: list[dict[str, Any]] = []
    while True:
        try:
            events.append(json.loads(socket.recv(BOUND)))
        except ConnectionClosed as closed:
            return events, closed.rcvd.code if closed.rcvd else 0


def told(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(event["type"], event.get("text", event.get("transcript"))) for event in events]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", hears=["One two three.", "Four."]) as made:
        yield made


def test_manual_tells_what_was_said_when_it_is_asked_and_at_the_end(server: LocalServer) -> None:
    with dialled(server, MANUAL) as socket:
        for command in (loud(0.5), "finalize", "finalize", loud(0.25), "close"):
            socket.send(command)
        events, code = rest(socket)
    assert told(events) == [
        ("transcript", "One two three."),
        ("flush_done", None),
        ("flush_done", None),
        ("transcript", " Four."),
        ("done", None),
    ]
    assert code == 1000
    assert (events[0]["is_final"], events[0]["duration"], events[0]["language"]) == (True, 0.5, "en")
    assert len({event["request_id"] for event in events}) == 1


def test_the_older_word_for_close_works_and_no_other(server: LocalServer) -> None:
    with dialled(server, MANUAL) as socket:
        socket.send("flush")
        error = json.loads(socket.recv(BOUND))
        assert (error["type"], error["status_code"], error["title"]) == ("error", 400, "Invalid request")
        socket.send("done")
        assert told(rest(socket)[0]) == [("done", None)]


def test_whisper_transcribes_after_silence_without_being_asked(server: LocalServer) -> None:
    with dialled(server, MANUAL, model="ink-whisper", max_silence_duration_secs=0.3) as socket:
        socket.send(loud(0.5))
        socket.send(quiet(0.5))
        assert json.loads(socket.recv(BOUND))["text"] == "One two three."
        socket.send("close")
        assert told(rest(socket)[0])[-1] == ("done", None)


def test_auto_finds_the_turns_and_holds_the_last_second_back(server: LocalServer) -> None:
    with dialled(server, AUTO) as socket:
        for _ in range(25):
            socket.send(loud(0.1))
        socket.send(quiet(1.0))
        socket.send(loud(0.2))
        socket.send('{"type":"close"}')
        events, code = rest(socket)
    assert code == 1000
    kinds = [kind for kind, _ in told(events)]
    updates = [text for kind, text in told(events) if kind == "turn.update"]
    assert kinds[:2] == ["connected", "turn.start"]
    assert updates[-1] == "One two"
    assert told(events)[-4:] == [
        ("turn.eager_end", "One two three."),
        ("turn.end", "One two three."),
        ("turn.start", None),
        ("turn.end", " Four."),
    ]


def test_settings_of_turns_can_be_changed_and_wrong_ones_are_refused(server: LocalServer) -> None:
    with dialled(server, AUTO) as socket:
        for command in ({"type": "config", "turn": {"end_threshold": 0.9}}, {"type": "stop"}):
            socket.send(json.dumps(command))
        socket.send("close")
        socket.send('{"type":"config","turn":{"end_threshold":0.3}}')
        socket.send('{"type":"close"}')
        assert told(rest(socket)[0]) == [("connected", None)] + [("error", None)] * 3


def test_thresholds_out_of_order_get_an_error_in_place_of_connected(server: LocalServer) -> None:
    with dialled(server, AUTO, turn_end_threshold=0.9) as socket:
        events, _ = rest(socket)
    assert [event["type"] for event in events] == ["error"]
    assert "start > eager_end > end" in events[0]["message"]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (MANUAL, {"encoding": "mp3"}),
        (MANUAL, {"model": ""}),
        (MANUAL, {"sample_rate": "fast"}),
        (MANUAL, {"keyterm": ["x"] * 101}),
        (MANUAL, {"model": "ink-whisper", "max_silence_duration_secs": "long"}),
        (AUTO, {"model": "ink-whisper"}),
    ],
)
def test_a_handshake_that_asks_for_what_there_is_not_is_refused(server: LocalServer, path: str, wrong: Any) -> None:
    with pytest.raises(InvalidStatus) as refused, dialled(server, path, **wrong):
        pass
    assert refused.value.response.status_code == 400


def test_limits_are_its_own() -> None:
    with LocalServer(engine="signal", listen_limit=1, concurrency_limit=1) as server, dialled(server, AUTO):
        with pytest.raises(InvalidStatus) as refused, dialled(server, MANUAL):
            pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.body is not None
        assert json.loads(refused.value.response.body)["error_code"] == "concurrency_limited"
    with pytest.raises(ValueError, match="listen_limit"):
        LocalServer(listen_limit=0)
    with pytest.raises(ValueError, match="hears is a list"):
        LocalServer(hears="One.")


def test_an_idle_session_is_closed() -> None:
    with LocalServer(engine="signal", listen_idle_timeout=0.1) as server, dialled(server, MANUAL) as socket:
        assert rest(socket) == ([], 1000)


def test_an_error_that_a_test_asks_for_has_the_sessions_shape() -> None:
    fault = ErrorEvent(500, "x_y", after=1)
    with LocalServer(engine="signal", faults=[fault]) as server, dialled(server, AUTO) as socket:
        assert json.loads(socket.recv(BOUND))["type"] == "connected"
        error = json.loads(socket.recv(BOUND))
    assert set(error) == {"type", "title", "message", "status_code", "error_code", "request_id"}


def test_what_comes_is_recorded(server: LocalServer) -> None:
    count = len(server.heard)
    with dialled(server, AUTO) as socket:
        socket.send(b"ab")
        socket.send('{"type":"close"}')
        rest(socket)
    assert [each.message for each in server.heard[count:]] == [b"ab", {"type": "close"}]


def test_what_nobody_knows_is_not_made_up(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with LocalServer(engine="signal") as server, dialled(server, MANUAL) as socket:
        for command in (loud(0.5), "close"):
            socket.send(command)
        assert told(rest(socket)[0]) == [("done", None)]
    assert capsys.readouterr().err.count("pip install 'cartesia-sync[recognise]'") == 1
