"""Where the official client's streaming speech to text fails a threaded user, and what ours does there.

Each failure is one test of ours and one that shows it on the official client, version 4.2.0. If one of those fails, the
official client has been mended: then the table in docs/transcription.md is to change.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, Callable

import cartesia
import cartesia.types.stt
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from cartesia_sync import (
    AuthenticationError,
    Cartesia,
    FirstEventTimeoutError,
    GapTimeoutError,
    RateLimitError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.local import Close, LocalServer, Refuse, Silence, UnknownEvent
from cartesia_sync.types import Unknown

from ..support.voices import FORMAT, loud, quiet

BOUND = 20.0
PATIENCE = 0.3
"""Seconds after which a call of the official client that should have ended counts as hanging."""
SHORT = 0.2
"""A clock of ours that is to run out."""
AUTO: Any = {"model": "ink-2", **FORMAT}
MakeServer = Callable[..., LocalServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    servers = []

    def make(*faults: Any, **options: Any) -> LocalServer:
        server = LocalServer(**{"engine": "signal", "faults": faults, "hears": ["One two."], **options}).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def official() -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []
    clients: list[Any] = []

    def connect(server: LocalServer, mode: str = "auto_finalize", **options: Any) -> Any:
        client = cartesia.Cartesia(api_key="any", base_url=server.url, websocket_base_url=server.websocket_url)
        clients.append(client)
        manager = getattr(client.stt, mode).websocket(**AUTO, **options)
        opened.append(manager.enter())
        return opened[-1]

    yield connect
    for connection in opened:
        connection._connection.close()
    for client in clients:
        client.close()


def ours(server: LocalServer, mode: str = "auto_finalize", **options: Any) -> Any:
    client = Cartesia(api_key="any", base_url=server.url)
    return getattr(client.stt, mode).websocket(**AUTO, **options)


def types(events: Any) -> list[str]:
    return [event.type for event in events]


class Test1CloseInMidTurn:
    FAULTS = (Close(1001, after=2),)  # connected, turn.start

    def test_the_official_iteration_ends_as_if_complete(self, make_server: MakeServer, official: Any) -> None:
        connection = official(make_server(*self.FAULTS))
        connection.send_raw(loud(0.2))
        assert types(connection) == ["connected", "turn.start"]

    @pytest.mark.parametrize("code", [1000, 1001])
    def test_ours_raises_with_the_text_so_far(self, make_server: MakeServer, code: int) -> None:
        server = make_server(Close(code, after=3), hears=["One two three four."])
        heard = []
        with ours(server).enter() as session:
            session.send_raw(loud(2.5))
            with pytest.raises(TruncatedError) as raised:
                heard.extend(iter(session))  # the list is not filled where it raises
            assert raised.value.code == code
            assert raised.value.transcript == session.transcript == "One two"


class Test2CloseBy1011:
    def test_the_official_exception_is_the_transport_librarys(self, make_server: MakeServer, official: Any) -> None:
        connection = official(make_server(Close(1011, after=1)))
        with pytest.raises(ConnectionClosedError) as raised:
            list(connection)
        assert not isinstance(raised.value, cartesia.CartesiaError)

    def test_ours_is_one_of_ours(self, make_server: MakeServer) -> None:
        with ours(make_server(Close(1011, after=1))).enter() as session, pytest.raises(TruncatedError) as raised:
            list(session)
        assert raised.value.code == 1011


class Test3AudioWhileTheConnectionIsLost:
    def test_the_official_send_takes_bytes_for_text(self, make_server: MakeServer, official: Any) -> None:
        failures: list[BaseException] = []

        def reconnecting(event: Any) -> Any:  # the place where other threads find it reconnecting
            try:
                connection.send_raw(b"\xff\x00")
            except BaseException as error:  # of any kind: the test asks for it
                failures.append(error)
            return {"abort": True}

        connection = official(make_server(Close(1011, after=1)), on_reconnecting=reconnecting)
        with pytest.raises(ConnectionClosed):
            list(connection)
        assert [type(each) for each in failures] == [UnicodeDecodeError]

    def test_ours_says_that_the_session_is_lost_and_another_takes_it(self, make_server: MakeServer) -> None:
        server = make_server(Close(1011, after=1))
        manager = ours(server)
        with manager.enter() as session:
            with pytest.raises(TruncatedError):
                list(session)
            with pytest.raises(TruncatedError, match="1011"):
                session.send_raw(b"\xff\x00")
        with manager.enter() as session:
            session.send_raw(b"\xff\x00")
        assert [each.message for each in server.heard if isinstance(each.message, bytes)] == [b"\xff\x00"]


class Test4WordThatCouldNotLeave:
    def test_the_official_one_raises_and_keeps_it_too(self, make_server: MakeServer, official: Any) -> None:
        server = make_server()
        connection = official(server, "manual_finalize")
        server.drop_connections(1011)
        with pytest.raises(ConnectionClosed):
            connection.recv()
        for _ in range(2):
            with pytest.raises(ConnectionClosed):
                connection.send("finalize")
        assert connection._send_queue.drain() == ["finalize", "finalize"]

    def test_ours_raises_and_nothing_is_sent_later(self, make_server: MakeServer) -> None:
        server = make_server()
        manager = ours(server, "manual_finalize")
        with manager.enter() as session:
            server.drop_connections(1011)
            with pytest.raises(TruncatedError):
                session.recv()
            for _ in range(2):
                with pytest.raises(TruncatedError):
                    session.send("finalize")
        with manager.enter() as session:
            assert session.finalize() == ""
        assert [each.message for each in server.heard] == ["finalize", "close"]


class Test5Reconnect:
    def test_the_official_iterator_goes_on_as_if_nothing_had_been(self, make_server: MakeServer, official: Any) -> None:
        server = make_server(Close(1011, after=2))
        connection = official(server, on_reconnecting=lambda event: None, initial_delay=0.01)
        connection.send_raw(loud(0.2))
        heard = []
        for event in connection:
            heard.append(event.type)
            if heard.count("connected") == 2:
                break
        assert heard == ["connected", "turn.start", "connected"]  # of the turn no word more

    def test_ours_raises_unless_it_is_asked_to_and_then_says_so(self, make_server: MakeServer) -> None:
        server = make_server(Close(1011, after=2), Close(1011, after=2, times=None))
        with ours(server).enter() as session:
            session.send_raw(loud(0.2))
            with pytest.raises(TruncatedError):
                list(session)
        server.clear_faults()
        server.inject(Close(1011, after=3))
        with ours(server, on_reconnecting=lambda event: None, initial_delay=0.01).enter() as session:
            session.send_raw(loud(0.5))
            events = iter(session)
            heard = [next(events) for _ in range(4)]
            assert types(heard) == ["connected", "turn.start", "turn.update", "reconnected"]
            assert (heard[-1].code, heard[-1].lost) == (1011, "")
            session.finish()
            assert types(events) == ["connected"]


class Test6RefusedHandshake:
    def test_the_official_exception_is_the_transport_librarys(self, make_server: MakeServer, official: Any) -> None:
        for status in (401, 429):
            with pytest.raises(InvalidStatus) as raised:
                official(make_server(Refuse(status)))
            assert not isinstance(raised.value, cartesia.CartesiaError)

    @pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (429, RateLimitError)])
    def test_ours_is_the_statuss_own(self, make_server: MakeServer, status: int, kind: Any) -> None:
        with pytest.raises(kind):
            ours(make_server(Refuse(status, times=None), hears=None), timeout=5.0).enter()


class Test7TypeThatIsNotKnown:
    def test_the_official_one_takes_it_for_the_first_of_its_types(self, make_server: MakeServer, official: Any) -> None:
        connection = official(make_server(UnknownEvent(after=1)))
        connection.recv()
        event = connection.recv()
        assert isinstance(event, cartesia.types.stt.STTAutoFinalizeConnected)
        assert event.type == "weather"

    def test_ours_is_unknown_and_ends_nothing(self, make_server: MakeServer) -> None:
        with ours(make_server(UnknownEvent(after=1))).enter() as session:
            session.recv()
            event = session.recv()
            assert type(event) is Unknown
            assert event.fields["type"] == "weather"


class Test8SilentService:
    def test_the_official_one_waits_for_ever(self, make_server: MakeServer, official: Any) -> None:
        server = make_server(Silence())
        connection = official(server)
        thread = threading.Thread(target=_ignore_end, args=(connection.recv,), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert thread.is_alive()
        server.stop()
        thread.join(BOUND)
        assert not thread.is_alive()

    def test_ours_has_clocks(self, make_server: MakeServer) -> None:
        server = make_server(Silence())
        with ours(server, timeout=SHORT).enter() as session, pytest.raises(FirstEventTimeoutError):
            session.recv()

    def test_ours_has_one_for_an_answer_that_is_due(self, make_server: MakeServer) -> None:
        with ours(make_server(Silence(after=1)), timeout=SHORT).enter() as session:
            assert session.recv().type == "connected"
            session.send({"type": "close"})
            with pytest.raises(GapTimeoutError):
                session.recv()


def _ignore_end(call: Callable[[], Any]) -> None:
    try:
        call()
    except ConnectionClosed:
        pass


class Test9OneFunctionTwice:
    def test_the_official_registrations_go_astray(self, make_server: MakeServer, official: Any) -> None:
        assert self.calls(official(make_server())) == 2  # and none for the second turn

    def test_each_of_ours_is_one_of_its_own(self, make_server: MakeServer) -> None:
        with ours(make_server()).enter() as session:
            assert self.calls(session) == 3

    @staticmethod
    def calls(connection: Any) -> int:
        calls: list[Any] = []
        call = calls.append
        connection.once("turn.end", call)
        connection.on("turn.end", call)
        for _ in range(2):
            connection.send_raw(loud(0.2) + quiet(0.8))
        connection.send({"type": "close"})
        connection.dispatch_events()
        return len(calls)


class Test10Logs:
    SECRET = "zanzibar"

    def test_the_official_one_logs_what_was_said(
        self, make_server: MakeServer, official: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        self.listen(official(make_server(hears=[self.SECRET])))
        assert any(self.SECRET in each.getMessage() for each in caplog.records if each.name.startswith("cartesia."))

    def test_ours_does_not(self, make_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        with ours(make_server(hears=[self.SECRET])).enter() as session:
            self.listen(session)
            assert session.transcript == self.SECRET
        assert not any(self.SECRET in each.getMessage() for each in caplog.records)

    @staticmethod
    def listen(connection: Any) -> None:
        connection.send_raw(loud(0.2) + quiet(0.8))
        connection.send({"type": "close"})
        assert "turn.end" in types(connection)


class Test11EndOfTheBlock:
    def test_the_official_one_sends_no_close_word(self, make_server: MakeServer) -> None:
        server = make_server()
        client = cartesia.Cartesia(api_key="any", base_url=server.url, websocket_base_url=server.websocket_url)
        with client.stt.manual_finalize.websocket(**AUTO) as connection:
            connection.send_raw(loud(0.2))
        client.close()
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        assert [each.message for each in server.heard if isinstance(each.message, str)] == []

    def test_ours_does_and_waits_for_the_last_second(self, make_server: MakeServer) -> None:
        server = make_server()
        with ours(server, "manual_finalize") as session:
            session.send_raw(loud(0.2))
        assert [each.message for each in server.heard if isinstance(each.message, str)] == ["close"]
        assert session.transcript == "One two."
        assert types(session) == ["transcript", "done"]
        with pytest.raises(WebSocketConnectionClosedError, match="all was heard"):
            session.recv()
