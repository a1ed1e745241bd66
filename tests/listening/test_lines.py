"""Reconnecting, where the user asks for it: another session in the place of a lost one, and the user is told."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest

from cartesia_sync import Cartesia, RateLimitError, TruncatedError
from cartesia_sync.listening.session import Turn
from cartesia_sync.local import Close, LocalServer, Refuse, Reset

from ..support.voices import FORMAT, loud, quiet

BOUND = 10.0
MakeServer = Callable[..., LocalServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    servers = []

    def make(*faults: Any, **options: Any) -> LocalServer:
        server = LocalServer(**{"engine": "signal", "faults": faults, "hears": ["One two three."], **options}).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


def go_on(event: Any) -> None:
    """Let another session begin."""


def auto(server: LocalServer, on_reconnecting: Any = go_on, **options: Any) -> Any:
    client = Cartesia(api_key="any", base_url=server.url, max_retries=0)
    return client.stt.auto_finalize.websocket(
        model="ink-2", **FORMAT, on_reconnecting=on_reconnecting, **{"initial_delay": 0.01, **options}
    )


@pytest.mark.parametrize("fault", [Close(1001, after=7), Close(1011, after=7), Reset(after=7)], ids=repr)
def test_a_feed_goes_on_in_another_session_and_the_receiver_is_told(make_server: MakeServer, fault: Any) -> None:
    server = make_server(fault)
    is_lost = threading.Event()

    def source() -> Iterator[bytes]:
        yield from [loud(0.1)] * 30
        is_lost.wait(BOUND)  # as a microphone that goes on; what it gives now is the next session's
        yield from [loud(0.1)] * 3 + [quiet(0.1)] * 8

    with auto(server, lambda event: is_lost.set()) as session:
        feed = session.feed(source(), realtime=False)
        turns = list(session.turns())
        assert feed.wait(BOUND)
    assert turns[0].ended is None  # the one that was on; what was heard of it by then
    assert "One two three.".startswith(turns[0].text)
    assert turns[-1].text == "One two three."
    assert turns[-1].started >= turns[0].started
    assert session.transcript.endswith("One two three.")
    assert len(server.handshakes) == 2
    sent = sum(len(each.message) for each in server.heard if isinstance(each.message, bytes))
    assert session.audio_seconds >= sent / 32000


def test_what_is_told_has_what_was_heard_of_the_turn_and_the_attempt_is_described(make_server: MakeServer) -> None:
    told: list[Any] = []

    def reconnecting(event: Any) -> dict[str, Any]:
        told.append(event)
        return {"extra_query": {"own": "2"}, "extra_headers": {"X-Own": "3"}}

    server = make_server(Close(1012, after=6))
    with auto(server, reconnecting, extra_query={"own": "1"}, max_retries=7).enter() as session:
        session.send_raw(loud(1.3))
        session.send_raw(loud(0.3))
        session.send_raw(loud(0.3))
        session.send_raw(loud(0.3))
        events = iter(session)
        heard = [next(events) for _ in range(7)]
        assert [event.type for event in heard][:2] == ["connected", "turn.start"]
        assert (heard[-1].type, heard[-1].code, heard[-1].lost) == ("reconnected", 1012, "One two")
    (event,) = told
    assert (event.attempt, event.max_attempts, event.close_code, event.extra_query) == (1, 7, 1012, {"own": "1"})
    assert 0.0074 <= event.delay <= 0.01
    assert [each.query["own"] for each in server.handshakes] == ["1", "2"]
    assert [each.headers.get("X-Own") for each in server.handshakes] == [None, "3"]


def test_words_count_from_the_first_sessions_beginning(make_server: MakeServer) -> None:
    server = make_server(Close(1011, after=2))
    with auto(server).enter() as session:
        session.send_raw(loud(0.5))
        events = iter(session)
        assert [next(events).type for _ in range(4)] == ["connected", "turn.start", "reconnected", "connected"]
        session.send_raw(loud(0.2) + quiet(0.8))
        session.finish()
        assert next(session.turns()) == Turn("One two three.", 1.5, 1.5)
        assert session.audio_seconds == 1.5


@pytest.mark.parametrize("answer", [{"abort": True}, KeyError("own")], ids=["abort", "raises"])
def test_the_user_may_give_up(make_server: MakeServer, answer: Any) -> None:
    def reconnecting(event: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    server = make_server(Close(1011, after=1))
    with auto(server, reconnecting).enter() as session:
        feed = session.feed([loud(0.1)] * 1000)
        with pytest.raises(KeyError if isinstance(answer, Exception) else TruncatedError):
            list(session)
        with pytest.raises(TruncatedError):
            session.recv()
        assert feed.wait(BOUND)
    assert len(server.handshakes) == 1


def test_attempts_that_fail_are_counted_and_the_last_ones_reason_is_kept(make_server: MakeServer) -> None:
    attempts: list[int] = []
    server = make_server(Close(1011, after=1))
    with auto(server, lambda event: attempts.append(event.attempt), max_retries=3, max_delay=0.02).enter() as session:
        server.inject(Refuse(429, times=None))
        with pytest.raises(TruncatedError) as raised:
            list(session)
        assert isinstance(raised.value.__cause__, RateLimitError)
    assert attempts == [1, 2, 3]


@pytest.mark.parametrize("way", ["a normal close", "after close"])
def test_an_end_that_is_none_of_failure_is_not_followed(make_server: MakeServer, way: str) -> None:
    server = make_server(Close(1000 if way == "a normal close" else 1011, after=1))
    with auto(server).enter() as session:
        if way == "after close":
            server.wait_for(lambda server: server.open_connections == 0 or bool(server.handshakes), BOUND)
            session._line._finished_at = 0.0  # as if the word had left just before
        with pytest.raises(TruncatedError):
            list(session)
    assert len(server.handshakes) == 1


def test_close_cuts_the_wait_for_the_next_attempt_short(make_server: MakeServer) -> None:
    waits = threading.Event()
    server = make_server(Close(1011, after=1))
    session = auto(server, lambda event: waits.set(), initial_delay=1000.0, max_delay=1000.0).enter()
    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(lambda: list(session))
        feed = session.feed(iter(lambda: loud(0.1), None), realtime=False)
        assert waits.wait(BOUND)
        session.close()
        assert isinstance(receiving.exception(BOUND), TruncatedError)
        assert feed.wait(BOUND)


def test_the_second_session_ends_with_its_handle_too(make_server: MakeServer) -> None:
    server = make_server(Close(1011, after=1))
    session = auto(server).enter()
    events = iter(session)
    assert [next(events).type for _ in range(3)] == ["connected", "reconnected", "connected"]
    reader = session._line.reader
    del session, events
    gc.collect()
    reader.join(BOUND)
    assert not reader.is_alive()
    server.wait_for(lambda server: server.open_connections == 0, BOUND)
