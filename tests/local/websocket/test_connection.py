"""One socket: what it answers to nonsense, how it ends, and every fault that can apply to it."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import uuid
from typing import Any, Callable, ClassVar, Optional

import pytest
from aiohttp import WSMessage, WSMsgType
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from cartesia_sync.local import (
    Binary,
    Close,
    Delay,
    Eof,
    ErrorEvent,
    ExtraFields,
    Garbage,
    Hold,
    InvalidFrame,
    LateFrames,
    LocalServer,
    Reset,
    Silence,
    StopReading,
    Unfinished,
    UnknownEvent,
)
from cartesia_sync.local.fault_plan import FaultPlan
from cartesia_sync.local.generation import Backlog, ConcurrencyLimit
from cartesia_sync.local.recorder import Recorder
from cartesia_sync.local.requests import RequestRules
from cartesia_sync.local.rest.pronunciation_dicts import PronunciationDicts
from cartesia_sync.local.settings import ServerOptions
from cartesia_sync.local.voice.audio_format import AudioFormat
from cartesia_sync.local.voice.speech import Speaker, Spoken, choose_voice
from cartesia_sync.local.voice.transcript import Pause
from cartesia_sync.local.websocket.connection import Connection

BOUND = 10.0
Dial = Callable[..., Any]
AudioOf = Callable[..., bytes]


@pytest.mark.parametrize(
    "nonsense", ["", "{", "nonsense", "[1]", "7", "null", '{"a":', "[" * 100_000, b"\x00\x01", '{"context_id":7}']
)
def test_nonsense_is_an_error_without_a_context_and_ends_nothing(dial: Dial, nonsense: Any) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.send(nonsense)
        event = peer.event()
        assert (event["type"], event["status_code"], event["done"]) == ("error", 400, True)
        assert "context_id" not in event
        peer.ask("a", "Hello.")
        assert peer.until("a")[-1]["type"] == "done"


def test_an_error_names_the_connection_and_the_context(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", "Hello.", voice="nobody")
        event = peer.event()
        assert event["request_id"] == peer.websocket.response.headers["X-Request-Id"]
    assert (event["context_id"], event["error_code"], event["status_code"]) == ("a", "voice_not_found", 404)


def test_an_error_ends_the_context_that_it_names_and_no_other(dial: Dial) -> None:
    go_on = threading.Event()
    with LocalServer(faults=[Hold(go_on, after=1)], chunk_bytes=512) as server:
        peer = dial(server)
        for context_id in ("a", "b"):
            peer.ask(context_id, "A sentence that takes a while.")
        peer.event()
        peer.ask("a", "More.", model_id="none")
        server.wait_for(lambda server: len(server.heard) == 3, BOUND)
        go_on.set()
        events = peer.until("a", "b")
    ends = {event["context_id"]: event["type"] for event in events if event["done"]}
    assert ends == {"a": "error", "b": "done"}
    assert [event["type"] for event in events if event["context_id"] == "a"] == ["error"]


def test_what_is_heard_is_written_down_by_connection(dial: Dial) -> None:
    with LocalServer() as server:
        one, other = dial(server), dial(server)
        one.send({"context_id": "x", "cancel": True})
        server.wait_for(lambda server: len(server.heard) == 1, BOUND)
        for message in ("nonsense", "[1]", b"\x00"):
            other.send(message)
        server.wait_for(lambda server: len(server.heard) == 4, BOUND)
        assert server.heard == [
            (0, {"context_id": "x", "cancel": True}),
            (1, "nonsense"),
            (1, "[1]"),
            (1, b"\x00"),
        ]


def test_a_ping_is_answered_with_its_payload(dial: Dial) -> None:
    with LocalServer() as server:
        pong = dial(server).websocket.ping(b"payload")
        assert pong.wait(BOUND)


def test_a_bug_of_the_server_is_reported_to_the_client_and_printed(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Spoken:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Speaker, "speak", broken)
    with LocalServer() as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        event = peer.event()
    assert (event["status_code"], event["context_id"]) == (500, "a")
    assert "a bug" in caplog.text


@pytest.mark.parametrize("code", [1000, 1001, 4321])
def test_a_close_is_answered_with_its_code(dial: Dial, code: int) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.websocket.close(code, "bye")
        assert peer.websocket.protocol.close_rcvd.code == code
        server.wait_for(lambda server: server.open_connections == 0, BOUND)


def test_a_peer_that_vanishes_is_noticed(dial: Dial) -> None:
    with LocalServer(pace=0.001) as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        peer.event()
        peer.websocket.socket.shutdown(socket.SHUT_RDWR)
        server.wait_for(lambda server: server.open_connections == 0, BOUND)


def test_a_peer_that_breaks_the_framing_is_told_so(dial: Dial) -> None:
    with LocalServer() as server:
        peer = dial(server)
        peer.websocket.socket.sendall(b"\xff\x85\x00\x00\x00\x00wrong")
        with pytest.raises(ConnectionClosedError) as caught:
            peer.event()
        assert caught.value.rcvd.code == 1002
        server.wait_for(lambda server: server.open_connections == 0, BOUND)


class FullSocket:
    """A WebSocket whose buffers are full until ``drained`` is set."""

    def __init__(self, *messages: str) -> None:
        self.messages = list(messages)
        self.sent: list[str] = []
        self.stuck, self.drained = asyncio.Event(), asyncio.Event()

    async def receive(self) -> WSMessage:
        if not self.messages:
            await asyncio.get_running_loop().create_future()
        return WSMessage(WSMsgType.TEXT, self.messages.pop(0), None)

    async def send_str(self, text: str) -> None:
        self.sent.append(text)
        self.stuck.set()
        await self.drained.wait()


class Pinging:
    """A WebSocket on which a ping comes in."""

    def __init__(self) -> None:
        self.pings = 1
        self.answered = asyncio.Event()

    async def receive(self) -> WSMessage:
        if not self.pings:
            await asyncio.get_running_loop().create_future()
        self.pings -= 1
        return WSMessage(WSMsgType.PING, b"payload", None)

    async def pong(self, payload: bytes) -> None:
        assert payload == b"payload"
        self.answered.set()


class NoTransport:
    def abort(self) -> None:
        pass


class CountingSpeaker(Speaker):
    spoken_count = 0

    async def speak(self, *arguments: Any, **options: Any) -> Spoken:
        self.spoken_count += 1
        return await super().speak(*arguments, **options)


def connection_on(
    websocket: Any, speaker: Speaker, concurrency: Optional[ConcurrencyLimit] = None, **options: Any
) -> Connection:
    """A connection on a socket of the test's making; it does not listen."""
    return Connection(
        number=0,
        request_id="r",
        version="2026-08-14",
        rules=RequestRules(),
        socket=websocket,
        transport=NoTransport(),  # type: ignore[arg-type]  # no more of it is used
        options=ServerOptions(idle_timeout=None, **options),
        recorder=Recorder(record=False),
        fault_plan=FaultPlan(()),
        speaker=speaker,
        concurrency=concurrency or ConcurrencyLimit(None),
        find_pronunciation=PronunciationDicts("me", has_pronunciation=True).pronunciation,
    )


def test_nobody_gets_ahead_of_a_slow_reader(request_for: Callable[..., dict[str, Any]]) -> None:
    """While the socket is full, one event waits, one sentence is spoken and the next one, and the rest stays text."""
    request = request_for("a", "One sentence. Another. And a third.")
    speaker = CountingSpeaker("signal")

    async def scene() -> None:
        websocket: Any = FullSocket(json.dumps(request))
        serving = asyncio.ensure_future(connection_on(websocket, speaker).serve())
        await websocket.stuck.wait()
        # Speech is made in the order of asking: had more been asked for, it would be counted before this is made.
        await Speaker.speak(speaker, [Pause(0.1)], choose_voice(uuid.UUID(int=1), "en"), AudioFormat("pcm_s16le", 8000))
        assert (speaker.spoken_count, len(websocket.sent)) == (2, 1)
        websocket.drained.set()
        while json.loads(websocket.sent[-1])["type"] != "done":
            websocket.stuck.clear()
            await websocket.stuck.wait()
        assert speaker.spoken_count == 3
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    try:
        asyncio.run(asyncio.wait_for(scene(), BOUND))
    finally:
        speaker.close()


def test_idle_connections_are_closed_with_the_services_words(dial: Dial) -> None:
    with LocalServer(idle_timeout=0.05) as server:
        peer = dial(server)
        with pytest.raises(ConnectionClosed) as caught:
            peer.event()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "connection idle timeout")


@pytest.mark.parametrize("count", [False, True])
def test_pings_are_traffic_only_if_the_switch_says_so(count: bool) -> None:
    """Asked of the clock itself: how fast a real ping is would decide otherwise."""

    async def scene() -> None:
        websocket: Any = Pinging()
        connection = connection_on(websocket, Speaker("signal"), pings_keep_open=count)
        connection._last_traffic = -1.0
        serving = asyncio.ensure_future(connection.serve())
        await websocket.answered.wait()
        assert (connection._last_traffic > 0) is count
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(asyncio.wait_for(scene(), BOUND))


# ---- faults


def events_and_end(peer: Any) -> tuple[list[dict[str, Any]], ConnectionClosed]:
    """All events up to the end of the connection."""
    events = []
    while True:
        try:
            events.append(peer.event())
        except ConnectionClosed as end:
            return events, end


WAYS = {
    "close": (Close, lambda end: end.rcvd is not None and (end.rcvd.code, end.rcvd.reason) == (1011, "oops")),
    "eof": (Eof, lambda end: end.rcvd is None),
    "reset": (Reset, lambda end: end.rcvd is None and isinstance(end.__cause__, ConnectionResetError)),
}


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_a_connection_ends_after_so_many_events(dial: Dial, way: str, after: int) -> None:
    kind, is_right = WAYS[way]
    fault = Close(1011, "oops", after=after) if kind is Close else kind(after=after)
    with LocalServer(faults=[fault], chunk_bytes=512) as server:
        peer = dial(server)
        peer.ask("a", "Hello there, how are you?")
        events, end = events_and_end(peer)
        assert is_right(end), end
        # A reset may overtake what was sent before it.
        assert len(events) == after or (way == "reset" and len(events) < after)
        assert all(event["type"] == "chunk" for event in events)
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        again = dial(server)
        again.ask("a", "Hello.")
        assert again.until("a")[-1]["type"] == "done"


def test_a_long_reason_is_cut_to_what_a_frame_holds(dial: Dial) -> None:
    with LocalServer(faults=[Close(4000, "ä" * 100)]) as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        _, end = events_and_end(peer)
    assert end.rcvd is not None
    assert end.rcvd.reason == "ä" * 61


def test_a_connection_may_end_when_everything_is_sent(dial: Dial) -> None:
    with LocalServer(engine="signal") as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        count = len(peer.until("a"))
        peer.websocket.close()
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        server.inject(Close(1012, after=count))
        peer = dial(server)
        peer.ask("a", "Hello.")
        events, end = events_and_end(peer)
    assert len(events) == count
    assert events[-1]["type"] == "done"
    assert end.rcvd is not None
    assert end.rcvd.code == 1012


def test_a_fault_of_one_context_counts_its_events_only(dial: Dial) -> None:
    with LocalServer(faults=[Close(1011, "oops", after=2, context_id="b")], chunk_bytes=512) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        peer.until("a")
        peer.ask("b", "Hello there.")
        events, _ = events_and_end(peer)
    assert [event["context_id"] for event in events] == ["b", "b"]


def test_faults_apply_to_one_connection_each(dial: Dial) -> None:
    with LocalServer(faults=[Close(1011), Close(1012)]) as server:
        codes = []
        for _ in range(2):
            peer = dial(server)
            peer.ask("a", "Hello.")
            _, end = events_and_end(peer)
            assert end.rcvd is not None
            codes.append(end.rcvd.code)
    assert codes == [1011, 1012]


def test_silence_is_deaf_to_nothing_and_says_nothing(dial: Dial) -> None:
    with LocalServer(faults=[Silence(after=1)], chunk_bytes=512) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        peer.event()
        pong = peer.websocket.ping()
        peer.send("still heard")
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        # Events, a pong, and an error would all have come before an answer on a second connection.
        other = dial(server)
        other.ask("a", "Hello there.")
        other.until("a")
        with pytest.raises(TimeoutError):
            peer.websocket.recv(timeout=0)
        assert not pong.is_set()
        peer.websocket.socket.shutdown(socket.SHUT_RDWR)  # a close frame would not be answered
        server.wait_for(lambda server: server.open_connections == 1, BOUND)


def test_stop_reading_hears_so_many_messages_and_goes_on_sending(dial: Dial) -> None:
    with LocalServer(faults=[StopReading(after=1)]) as server:
        peer, other = dial(server), dial(server)
        peer.ask("a", "Hello.")
        assert peer.until("a")[-1]["type"] == "done"
        peer.send("not heard")
        other.ask("b", "Hello.")  # the fault applies once, and this one is first to read its first message
        other.until("b")
        assert [heard.connection for heard in server.heard] == [0, 1]
        peer.websocket.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("fault", "frame"),
    [(Garbage(after=1), '{"type":"chunk","data":'), (Binary(after=1), b'{"type":"chunk"}')],
)
def test_a_wrong_message_comes_once_and_all_goes_on(dial: Dial, fault: Any, frame: Any) -> None:
    with LocalServer(faults=[fault]) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        assert peer.event()["type"] == "chunk"
        assert peer.websocket.recv(timeout=BOUND) == frame
        assert peer.until("a")[-1]["type"] == "done"


def test_an_invalid_frame_is_invalid(dial: Dial) -> None:
    with LocalServer(faults=[InvalidFrame(after=1)]) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        events, end = events_and_end(peer)
        assert len(events) == 1
        assert end.rcvd is None
        assert end.sent is not None
        assert end.sent.code == 1002  # the peer could not read it


def test_an_unknown_event_names_its_context(dial: Dial) -> None:
    with LocalServer(faults=[UnknownEvent(after=1)]) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        events = peer.until("a")
    assert events[1]["type"] not in ("chunk", "timestamps", "phoneme_timestamps", "flush_done", "done", "error")
    assert events[1]["context_id"] == "a"
    assert set(events[1]) - {"type", "context_id", "done", "status_code"}
    assert events[-1]["type"] == "done"


def test_extra_fields_are_in_every_event_of_their_connection(dial: Dial) -> None:
    with LocalServer(faults=[ExtraFields()]) as server:
        peer, other = dial(server), dial(server)
        peer.ask("a", "Hello there.", add_timestamps=True, flush=True)
        assert all("zz_new_field" in event for event in peer.until("a"))
        other.ask("a", "Hello there.")
        assert not any("zz_new_field" in event for event in other.until("a"))


@pytest.mark.parametrize(("after", "types"), [(0, ["error"]), (2, ["chunk", "chunk", "error"])])
def test_an_error_event_ends_its_context(dial: Dial, after: int, types: list[str]) -> None:
    fault = ErrorEvent(429, "concurrency_limited", "Too many", "Wait.", after=after)
    with LocalServer(faults=[fault], chunk_bytes=512, expiry=0.001) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        events = peer.until("a")
        assert [event["type"] for event in events] == types
        error = events[-1]
        assert (error["status_code"], error["error_code"], error["title"], error["message"], error["context_id"]) == (
            429,
            "concurrency_limited",
            "Too many",
            "Wait.",
            "a",
        )
        assert peer.fence() == []
        peer.ask("b", "Hello there.")
        assert peer.until("b")[-1]["type"] == "done"


@pytest.mark.parametrize("fault", [ErrorEvent(with_context=False, after=1), ErrorEvent(done=False, after=1)])
def test_an_error_event_that_ends_nothing_ends_nothing(dial: Dial, fault: ErrorEvent) -> None:
    with LocalServer(faults=[fault], chunk_bytes=512) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        events = peer.until("a")
    assert events[1]["type"] == "error"
    assert events[1]["done"] is fault.done
    assert ("context_id" in events[1]) is fault.with_context
    assert events[-1]["type"] == "done"


def test_an_error_event_has_the_shape_of_the_version(dial: Dial) -> None:
    with LocalServer(faults=[ErrorEvent(500, None, "Broken", "Badly.")]) as server:
        peer = dial(server, "?cartesia_version=2025-11-04")
        peer.ask("a", "Hello there.")
        assert peer.event() == {
            "type": "error",
            "done": True,
            "status_code": 500,
            "error": "Broken: Badly.",
            "context_id": "a",
        }


def test_every_context_has_its_error_if_times_has_no_end(dial: Dial) -> None:
    with LocalServer(faults=[ErrorEvent(times=None)]) as server:
        peer = dial(server)
        for context_id in ("a", "b", "c"):
            peer.ask(context_id, "Hello.")
            assert peer.event()["type"] == "error"


def test_an_unfinished_context_just_stops(dial: Dial) -> None:
    with LocalServer(faults=[Unfinished(after=2)], chunk_bytes=512, expiry=0.001, concurrency_limit=1) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.", continue_=True)
        assert [peer.event()["type"] for _ in range(2)] == ["chunk", "chunk"]
        peer.ask("b", "Hello there.")  # has the place that the other held
        assert {event["context_id"] for event in peer.until("b")} == {"b"}
        assert peer.fence() == []


def test_late_frames_follow_a_cancel(dial: Dial, audio_of: AudioOf) -> None:
    with LocalServer(faults=[LateFrames(2), LateFrames(0, done=False)], pace=1.0, chunk_bytes=1000) as server:
        peer = dial(server)
        for context_id, types in (("a", ["chunk", "chunk", "done"]), ("b", [])):
            peer.ask(context_id, "A long sentence, cancelled early.")
            assert peer.event()["context_id"] == context_id
            peer.send({"context_id": context_id, "cancel": True})
            # Chunks may be on their way already; the late ones hold silence.
            events = [
                event for event in peer.fence() if event["type"] == "done" or set(audio_of([event], context_id)) == {0}
            ]
            assert [event["type"] for event in events] == types
            assert all(event["context_id"] == context_id for event in events)


def test_a_hold_of_the_connection_holds_all_contexts_but_pongs(dial: Dial) -> None:
    go_on = threading.Event()
    with LocalServer(faults=[Hold(go_on, after=1)], chunk_bytes=512) as server:
        peer, other = dial(server), dial(server)
        peer.ask("a", "Hello there.")
        assert peer.event()["context_id"] == "a"
        peer.ask("b", "Hello there.")
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        other.ask("c", "Hello there.")  # spoken after both
        other.until("c")
        assert peer.websocket.ping().wait(BOUND)
        with pytest.raises(TimeoutError):
            peer.websocket.recv(timeout=0)
        go_on.set()
        assert {event["context_id"] for event in peer.until("a", "b")} == {"a", "b"}


def test_a_hold_of_one_context_holds_no_other(dial: Dial) -> None:
    go_on = threading.Event()
    with LocalServer(faults=[Hold(go_on, context_id="a")]) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        peer.ask("b", "Hello there.")
        assert {event["context_id"] for event in peer.until("b")} == {"b"}
        go_on.set()
        assert peer.until("a")[-1]["type"] == "done"


def test_a_hold_is_cancelled_with_its_context_and_ends_with_the_server(dial: Dial) -> None:
    with LocalServer(
        faults=[Hold(threading.Event(), context_id="a"), Hold(threading.Event(), context_id="b")]
    ) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        peer.ask("b", "Hello there.")
        peer.send({"context_id": "a", "cancel": True})
        assert peer.fence() == []


def test_a_delay_comes_before_each_event_and_ends_when_cleared(dial: Dial) -> None:
    with LocalServer(faults=[Delay(0.001, jitter=0.001)], chunk_bytes=512) as server:
        peer = dial(server)
        peer.ask("a", "Hello there.")
        assert peer.until("a")[-1]["type"] == "done"
        server.inject(Delay(3600.0))
        peer.ask("b", "Hello there.")
        other = dial(server)
        other.ask("c", "Hello there.")
        other.until("c")  # the delay's only target is the first connection
        with pytest.raises(TimeoutError):
            peer.websocket.recv(timeout=0)
        server.clear_faults()
        peer.ask("d", "Hello there.")
        assert {event["context_id"] for event in peer.until("d")} == {"d"}


def test_extra_fields_keep_events_what_they_are(dial: Dial) -> None:
    with LocalServer(faults=[ExtraFields(context_id="a", times=None)]) as server:
        peer = dial(server)
        peer.ask("b", "Hello there.")
        assert not any("zz_flag" in event for event in peer.until("b"))
        peer.ask("a", "Hello there.")
        raw = peer.websocket.recv(timeout=BOUND)
        assert json.loads(raw)["type"] == "chunk"
        assert json.loads(raw)["zz_flag"] is True


def test_a_large_message_stops_nobody(request_for: Callable[..., dict[str, Any]]) -> None:
    """It is parsed elsewhere, and its sentences are found a few at a time."""
    sentences = 20_000
    rounds = 0

    class Large:
        messages: ClassVar = [json.dumps(request_for("a", "So. " * sentences)), None]

        async def receive(self) -> WSMessage:
            message = self.messages.pop(0)
            if message is None:
                received.set()
                await asyncio.get_running_loop().create_future()
            return WSMessage(WSMsgType.TEXT, message, None)

        async def send_str(self, event: str) -> None:
            await asyncio.get_running_loop().create_future()

    async def count_rounds() -> None:
        nonlocal rounds
        while not received.is_set():
            rounds += 1
            await asyncio.sleep(0)

    async def scene() -> None:
        nonlocal received
        received = asyncio.Event()
        serving = asyncio.ensure_future(connection_on(Large(), speaker).serve())
        await count_rounds()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    received: asyncio.Event
    speaker = Speaker("signal")
    try:
        asyncio.run(asyncio.wait_for(scene(), BOUND))
    finally:
        speaker.close()
    assert rounds > sentences / 20


def test_a_peer_that_does_not_read_gets_little_made(request_for: Callable[..., dict[str, Any]]) -> None:
    """However many contexts it has: 8 MiB, and what was begun before that was known."""
    messages = [json.dumps(request_for(f"c{number}", "One" + '<break time="30s"/>' * 20)) for number in range(100)]
    speaker, concurrency = CountingSpeaker("signal"), ConcurrencyLimit(None)
    voice = choose_voice(uuid.UUID(int=1), "en")

    async def scene() -> None:
        websocket: Any = FullSocket(*messages)
        connection = connection_on(websocket, speaker, concurrency)
        serving = asyncio.ensure_future(connection.serve())
        await websocket.stuck.wait()
        before = -1
        while websocket.messages or before != speaker.spoken_count:
            before = speaker.spoken_count
            # Who is never due comes last: what has been asked for so far is made when this is.
            await Speaker.speak(speaker, [Pause(0.1)], voice, AudioFormat("pcm_s16le", 8000), due=math.inf)
        # A stretch is 30 s or more here, 1.3 MB: without a limit there would be two of each context.
        assert concurrency.held_bytes < 64 * 1024**2
        assert speaker.spoken_count < 50
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert concurrency.held_bytes == 0

    try:
        asyncio.run(asyncio.wait_for(scene(), BOUND))
    finally:
        speaker.close()


def test_who_waits_for_a_reader_goes_on_when_it_reads(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was held back is made, in the end, and it is the same."""
    monkeypatch.setattr("cartesia_sync.local.generation._MOST_HELD", 500_000)
    text = "One sentence of some words, with a break." + '<break time="2s"/>' * 2
    wanted = {}
    with LocalServer(engine="signal") as server:
        peer = dial(server)
        names = [f"c{number}" for number in range(20)]
        for name in names:
            peer.ask(name, f"{text} And another.")
        for name in names:
            wanted[name] = 0
        for event in peer.until(*names):
            if event["type"] == "chunk":
                wanted[event["context_id"]] += len(event["data"])
        assert len(set(wanted.values())) == 1
        assert server._concurrency.held_bytes == 0


def test_there_are_only_so_many_contexts_on_a_connection(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartesia_sync.local.websocket.connection._MOST_CONTEXTS", 3)
    with LocalServer(engine="signal") as server:
        peer = dial(server)
        for name in "abc":
            peer.ask(name, "And", continue_=True)
        peer.ask("d", "And", continue_=True)
        event = peer.event()
        assert (event["context_id"], event["status_code"], event["title"]) == ("d", 429, "Too many contexts")
        peer.send({"context_id": "a", "cancel": True})
        peer.ask("e", "One.")
        assert peer.until("e")[-1]["type"] == "done"


def test_only_so_much_text_waits_on_a_connection(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartesia_sync.local.websocket.context._MOST_WAITING", 100_000)
    never = threading.Event()
    with LocalServer(engine="signal", faults=[Hold(never)]) as server:
        peer = dial(server)
        peer.ask("a", "Oh. " * 200, continue_=True)  # with what it takes to hold them: 52,000
        peer.ask("b", "Oh. " * 200, continue_=True)
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        server.clear_faults()
        events = peer.until("b")
        assert (events[-1]["status_code"], events[-1]["title"]) == (429, "Too much text")
        # What it held is free again.
        for name in "cdef":
            peer.ask(name, "Oh. " * 150)
            assert peer.until(name)[-1]["type"] == "done"


@pytest.mark.parametrize("cancel_stops", [True, False])
def test_a_cancel_drops_what_is_made_ahead(dial: Dial, cancel_stops: bool) -> None:
    with LocalServer(engine="signal", pace=1.0, cancel_stops=cancel_stops, done_after_cancel=True) as server:
        peer = dial(server)
        peer.ask("a", "One. " * 200)
        assert peer.event()["type"] == "chunk"
        peer.send({"context_id": "a", "cancel": True})
        assert peer.until("a")[-1]["type"] == "done"
        assert len(peer.fence()) == 0
        assert server._concurrency.held_bytes == 0


def test_room_goes_to_who_is_due_and_not_to_who_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartesia_sync.local.generation._USUAL_BYTES", 8 * 1024**2)

    async def scene() -> list[str]:
        backlog = Backlog(ConcurrencyLimit(None), is_paced=False)
        order: list[str] = []

        async def make(name: str, due: float, times: int) -> None:
            for _ in range(times):
                counted = await backlog.begin(due)
                order.append(name)
                counted = backlog.change(counted, 8 * 1024**2)  # all there may be
                await asyncio.sleep(0)
                backlog.change(counted, 0)

        making = [
            asyncio.ensure_future(make(name, due, times))
            for name, due, times in (("a", 1, 3), ("b", 1, 1), ("c", 0, 1))
        ]
        gone = asyncio.ensure_future(make("gone", -1, 1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(*making)
        assert (backlog._held, backlog._waiting) == (0, [])
        return order

    assert asyncio.run(asyncio.wait_for(scene(), BOUND)) == ["a", "c", "b", "a", "a"]
