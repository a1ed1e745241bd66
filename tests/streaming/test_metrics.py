"""What is measured of a context, and who is told of its end."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from cartesia_sync import (
    APIStatusError,
    Cartesia,
    FirstEventTimeoutError,
    Metrics,
    RateLimitError,
    SpokenContext,
    TruncatedError,
)
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import ErrorEvent, Hold, Reset
from cartesia_sync.streaming import reader as reader_module
from cartesia_sync.streaming.channel import Channel

from ..support.processes import VOICE, serving
from .conftest import Stage

BOUND = 10.0
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


class Listener:
    """Hears what is told, and by which thread."""

    def __init__(self) -> None:
        self.told: list[SpokenContext] = []
        self.threads: list[int] = []

    def __call__(self, spoken: SpokenContext) -> None:
        self.told.append(spoken)
        self.threads.append(threading.get_ident())

    @property
    def outcomes(self) -> list[str]:
        return [spoken.outcome for spoken in self.told]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def client(server: LocalServer, listener: Listener) -> Cartesia:
    return Cartesia(api_key="x", base_url=server.url, on_spoken=listener)


def speaking(connection: Any, text: str = "Hello there.", **options: Any) -> Any:
    context = connection.context(voice=VOICE, output_format=FORMAT, **options)
    context.push(text, continue_=False)
    return context


# ---- what is measured


class Clock:
    """The reader's time, which the test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_the_first_audio_and_the_longest_gap_are_the_wires(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(reader_module, "time", clock)
    context = stage.context("a")
    assert context.metrics == Metrics()
    context.push("Hello.", continue_=False)
    began_at = context._channel.began_at
    events = context.receive()
    audio = base64.b64encode(bytes(100)).decode()
    for after, data in ((1.0, ""), (1.5, audio), (2.0, audio), (5.0, audio), (6.0, audio)):
        clock.now = began_at + after
        stage.wire.feed({"type": "chunk", "context_id": "a", "data": data, "done": False, "status_code": 206})
        next(events)
    clock.now = began_at + 60
    stage.wire.feed({"type": "done", "context_id": "a", "done": True, "status_code": 200})
    assert next(events).type == "done"
    metrics = context.metrics
    assert (round(metrics.first_audio, 6), round(metrics.longest_gap, 6)) == (1.5, 3.0)
    assert metrics.audio_seconds == 400 / 2 / 44100
    assert metrics.characters == 6
    assert (metrics.reused_connection, metrics.connected_in) == (True, 0.0)
    assert (metrics.refused, metrics.waited_for_slot) == (0, 0.0)


def test_who_opens_a_connection_has_waited_for_it(client: Cartesia, server: LocalServer) -> None:
    connection = client.tts.connection()
    first, second = speaking(connection), speaking(connection)
    assert first.audio() == second.audio()
    assert first.metrics.connected_in > 0
    assert not first.metrics.reused_connection
    assert second.metrics.connected_in == 0
    assert second.metrics.reused_connection
    assert first.request_id == second.request_id
    connection.close()


def test_a_refusal_is_counted(client: Cartesia, server: LocalServer, listener: Listener) -> None:
    with client.tts.websocket_connect() as connection:
        server.inject(ErrorEvent(status_code=429))
        context = speaking(connection)
        with pytest.raises(RateLimitError) as caught:
            context.audio()
    assert context.metrics.refused == listener.told[0].metrics.refused == 1
    assert context.request_id == caught.value.request_id == listener.told[0].request_id


def test_a_text_that_is_not_sent_has_measured_nothing(client: Cartesia, listener: Listener) -> None:
    with client.tts.websocket_connect() as connection:
        context = speaking(connection, "...")
        assert context.audio() == b""
        assert context.metrics == Metrics()
        assert listener.outcomes == ["done"]


def test_what_went_on_under_another_id_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(expiry=0.05) as quick:
        client = Cartesia(api_key="x", base_url=quick.url)
        with client.tts.websocket_connect() as connection:
            context = connection.context(voice=VOICE, output_format=FORMAT, max_buffer_delay_ms=0)
            resumed = threading.Event()
            go_on = Channel.go_on

            def went_on(*args: Any) -> None:
                go_on(*args)
                resumed.set()

            monkeypatch.setattr(Channel, "go_on", went_on)

            def text() -> Iterator[str]:
                yield "Hello there. "
                assert resumed.wait(BOUND)
                yield "Good day."

            with context.speak(text()) as events:
                heard = list(events)
            metrics = events.metrics
    assert heard[-1].type == "done"
    assert metrics.characters == len("Hello there. Good day.")
    assert metrics.first_audio is not None
    assert metrics == context.metrics


# ---- who is told


WAYS: dict[str, Callable[[Any], object]] = {
    "audio": lambda context: context.audio(),
    "samples": lambda context: context.samples(),
    "receive": lambda context: list(context.receive()),
    "until done": lambda context: next(event for event in context if event.type == "done"),
    "flushes": lambda context: [list(events) for _, events in context.receive_flushes()],
    "receive_any": lambda context: list(context._keeps_alive.receive_any(context)),
    "recv": lambda context: next(event for event in iter(context._keeps_alive.recv, None) if event.type == "done"),
    "twice": lambda context: (list(context), list(context)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_thread_that_receives_the_end_tells_once(
    way: Callable[[Any], object], client: Cartesia, listener: Listener
) -> None:
    with client.tts.websocket_connect() as connection:
        context = speaking(connection)
        assert listener.told == []
        way(context)
        assert listener.threads == [threading.get_ident()]
        told = listener.told[0]
        assert (told.context_id, told.outcome, told.transcripts) == (context.context_id, "done", ("Hello there.",))
        assert told.metrics == context.metrics
        assert told.metrics.audio_seconds > 0
        del context
    assert len(listener.told) == 1


def test_it_is_told_how_a_context_ended(client: Cartesia, server: LocalServer, listener: Listener) -> None:
    with client.tts.websocket_connect() as connection:
        server.inject(ErrorEvent(status_code=404))
        with pytest.raises(APIStatusError):
            speaking(connection).audio()
        context = speaking(connection)
        context.cancel()
        assert list(context) == []
        until = threading.Event()
        server.inject(Hold(until))
        with pytest.raises(FirstEventTimeoutError):
            speaking(connection, first_event_timeout=0.01).audio()
        until.set()
        context = connection.context(voice=VOICE)
        with pytest.raises(KeyError), context.speak(_failing()) as events:
            list(events)
    with client.tts.websocket_connect() as connection:
        server.inject(Reset(after=0))
        with pytest.raises(TruncatedError):
            speaking(connection).audio()
    assert listener.outcomes == ["error", "cancelled", "failed", "failed", "lost"]


def _failing() -> Iterator[str]:
    yield str({"yours": 1}["mine"])


def test_recv_tells_of_ends_without_an_event(client: Cartesia, server: LocalServer, listener: Listener) -> None:
    with client.tts.websocket_connect() as connection:
        server.inject(Reset(after=0))
        context = speaking(connection)
        with pytest.raises(TruncatedError):
            connection.recv(timeout=BOUND)
        assert listener.outcomes == ["lost"]
        assert listener.told[0].context_id == context.context_id


def test_a_listener_that_fails_is_logged_and_harms_nobody(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(spoken: SpokenContext) -> None:
        raise KeyError("the listener's own")

    client = Cartesia(api_key="x", base_url=server.url, on_spoken=fail)
    with client.tts.websocket_connect() as connection, caplog.at_level(logging.ERROR, "cartesia_sync"):
        assert speaking(connection).audio() == speaking(connection).audio()
    assert [record.levelname for record in caplog.records if record.name == "cartesia_sync"] == ["ERROR", "ERROR"]
    assert "the listener's own" in caplog.text


def test_a_listener_may_speak(server: LocalServer) -> None:
    """No lock is held round it."""
    heard: list[bytes] = []

    def answer(_: SpokenContext) -> None:
        if not heard:
            heard.append(b"")
            heard[0] = speaking(connection).audio()

    client = Cartesia(api_key="x", base_url=server.url, on_spoken=answer)

    with client.tts.websocket_connect() as connection:
        assert list(speaking(connection))
        assert heard[0]
        heard.clear()
        context = speaking(connection)
        while not heard:
            assert connection.recv(timeout=BOUND).context_id == context.context_id
        assert heard[0]


def test_a_listener_is_a_setting_like_others(listener: Listener) -> None:
    client = Cartesia(api_key="x", on_spoken=listener)
    assert client.with_options(max_retries=0).on_spoken is listener
    assert client.with_options(on_spoken=None).on_spoken is None
    import copy

    assert copy.deepcopy(client).on_spoken is listener
    with pytest.raises(TypeError, match="on_spoken: expected a callable, got 3"):
        Cartesia(api_key="x", on_spoken=3)  # type: ignore[arg-type]  # which is tested
