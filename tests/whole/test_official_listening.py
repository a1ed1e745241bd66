"""Streaming speech to text: the official client and ours say the same on the wire, and the official examples run."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Callable, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import cartesia
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import cartesia_sync
from cartesia_sync.local import LocalServer

from ..support.voices import FORMAT, loud, quiet

BOUND = 10.0
SETTINGS: dict[str, Any] = {"model": "ink-2", **FORMAT}
OURS_BESIDES = {"timeout", "ping_interval", "max_queued_bytes"}
MODES = ("manual_finalize", "auto_finalize")


class Asked(NamedTuple):
    """A session, in the parts that mean something."""

    path: str
    query: list[tuple[str, str]]
    headers: dict[str, Any]
    frames: list[Any]


class Recorder:
    """A WebSocket server that writes down what it is told, and closes when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.raw_queries: list[str] = []
        self._written = threading.Semaphore(0)
        self._server = serve(self._serve, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        parts = urlsplit(socket.request.path)
        names = ("authorization", "cartesia-version", "x-own", "sec-websocket-protocol")
        headers = {name: socket.request.headers.get(name) for name in names}
        frames: list[Any] = []
        with suppress(ConnectionClosed):
            for frame in socket:
                frames.append(frame)
                if frame in ("close", "done") or (isinstance(frame, str) and '"close"' in frame):
                    if not frame.startswith("{"):
                        socket.send('{"type":"done","request_id":"r"}')
                    break
        self.raw_queries.append(parts.query)
        self.asked.append(Asked(parts.path, parse_qsl(parts.query, keep_blank_values=True), headers, frames))
        self._written.release()

    def wait(self) -> None:
        """Wait until it has written down two sessions."""
        for _ in range(2):
            assert self._written.acquire(timeout=BOUND)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(BOUND)
        for number in (self._server.shutdown_watcher, self._server.shutdown_notifier):
            with suppress(OSError):  # which the library leaves open, and a test may have closed before
                os.close(number)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.close()


CALLS: list[tuple[str, dict[str, Any]]] = [
    (mode, options)
    for mode in MODES
    for options in (
        {},
        {"keyterm": ["ink two", "caf\u00e9 & bar", "1+1"]},
        {"extra_query": {"timestamp_granularities[]": "word", "model": "ink-preview"}},
        {"extra_headers": {"x-own": "yes", "cartesia-version": "2026-03-01"}},
    )
] + [
    ("manual_finalize", {"language": "en", "max_silence_duration_secs": 0.4, "min_volume": 0.2}),
    (
        "auto_finalize",
        {
            "turn_eager_end_threshold": 0.5,
            "turn_end_threshold": 0.3,
            "turn_end_timeout_ms": 700,
            "turn_start_threshold": 0.7,
        },
    ),
]


@pytest.mark.parametrize(("mode", "options"), CALLS)
def test_the_handshake_and_the_frames_are_the_same(recorder: Recorder, mode: str, options: dict[str, Any]) -> None:
    for package in (cartesia, cartesia_sync):
        client = package.Cartesia(api_key="any", base_url=recorder.url)
        manager = getattr(client.stt, mode).websocket(**SETTINGS, **options)
        early: Any = "finalize" if mode == "manual_finalize" else {"type": "config", "turn": {"end_threshold": 0.3}}
        close: Any = "close" if mode == "manual_finalize" else {"type": "close"}
        manager.send(early)
        with manager as connection:
            connection.send_raw(loud(0.1))
            connection.send_raw("text as it is")
            connection.send(early)
            connection.send(close)
            list(connection)
        client.close()
    recorder.wait()
    official, ours = recorder.asked
    assert ours._replace(frames=[_plain(each) for each in ours.frames]) == official._replace(
        frames=[_plain(each) for each in official.frames]
    )
    assert "+" not in recorder.raw_queries[1]  # a space is %20, which no reader takes for a plus


def _plain(frame: Any) -> Any:
    return frame.replace(" ", "") if isinstance(frame, str) and frame.startswith("{") else frame


@pytest.mark.parametrize("mode", MODES)
def test_the_parameters_and_methods_are_the_official_ones_and_ours_besides(mode: str) -> None:
    official, ours = (getattr(package.Cartesia(api_key="any").stt, mode) for package in (cartesia, cartesia_sync))
    theirs = inspect.signature(official.websocket).parameters
    mine = inspect.signature(ours.websocket).parameters
    assert set(mine) - set(theirs) == OURS_BESIDES
    assert set(theirs) <= set(mine)
    for name, each in theirs.items():
        required = each.default is inspect.Parameter.empty
        assert (mine[name].default is inspect.Parameter.empty) == required
        if isinstance(each.default, (int, float)):
            assert mine[name].default == each.default
    managers = official.websocket(**SETTINGS), ours.websocket(**SETTINGS)
    assert public(managers[0]) <= public(managers[1])
    module = inspect.getmodule(official)
    connection = vars(module)[type(official).__name__ + "Connection"]
    assert {name for name in dir(connection) if not name.startswith("_")} <= public(cartesia_sync_session())


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def cartesia_sync_session() -> Any:
    from cartesia_sync.listening.session import Session

    return Session


# ---- the official examples, with the import changed


@pytest.fixture(params=[cartesia, cartesia_sync], ids=["official", "ours"])
def package(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_example_of_push_to_talk(package: Any) -> None:
    with LocalServer(engine="signal", hears=["One.", "Two."]) as server:
        client = package.Cartesia(api_key="any", base_url=server.url)
        text = ""
        with client.stt.manual_finalize.websocket(**SETTINGS) as connection:
            connection.send_raw(loud(0.3))
            connection.send("finalize")
            for event in connection:
                if event.type == "transcript" and event.is_final:
                    text += event.text
                elif event.type == "flush_done":
                    break
            connection.send_raw(loud(0.3))
            connection.send("close")
            for event in connection:
                if event.type == "transcript" and event.is_final:
                    text += event.text
        client.close()
    assert text == "One. Two."


def test_the_example_of_turns_with_a_thread_that_sends(package: Any) -> None:
    with LocalServer(engine="signal", hears=["One.", "Two."]) as server:
        client = package.Cartesia(api_key="any", base_url=server.url)
        said = []
        with client.stt.auto_finalize.websocket(**SETTINGS) as connection:

            def send() -> None:
                for piece in (loud(0.3), quiet(0.8), loud(0.3), quiet(0.8)):
                    connection.send_raw(piece)
                connection.send({"type": "close"})

            sender = threading.Thread(target=send)
            sender.start()
            for event in connection:
                if event.type == "turn.end":
                    said.append(event.transcript)
            sender.join(BOUND)
        client.close()
    assert said == ["One.", " Two."]


def test_the_example_of_handlers(package: Any) -> None:
    calls: list[str] = []
    record: Callable[[Any], Any] = lambda event: calls.append(event.type)  # noqa: E731  # one object, as a handler is
    with LocalServer(engine="signal", hears=["One."]) as server:
        client = package.Cartesia(api_key="any", base_url=server.url)
        manager = client.stt.auto_finalize.websocket(**SETTINGS)
        manager.on("turn.start", record).once("turn.end", record)
        connection = manager.enter()
        connection.on("connected", record)

        @connection.on("turn.eager_end")  # type: ignore[untyped-decorator]  # the official one has no types here
        def eager(event: Any) -> None:
            calls.append(event.type)

        connection.send_raw(loud(0.3) + quiet(0.8))
        connection.send({"type": "close"})
        connection.dispatch_events()
        connection.close()
        client.close()
    assert calls == ["connected", "turn.start", "turn.eager_end", "turn.end"]
