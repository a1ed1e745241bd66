"""Where the official client fails a threaded user, and what ours does there.

Each of the failures has a test of ours and, in a class of its own, one that shows it on the official client, version
4.2.0. If one of those fails, the official client has been mended: then the table in the documentation is to change.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import cartesia
import pytest
from websockets.exceptions import ConcurrencyError as WebsocketsConcurrencyError
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from cartesia_sync import (
    APIStatusError,
    AuthenticationError,
    Cartesia,
    CartesiaError,
    ContextStateError,
    ContextTimeoutError,
    FirstEventTimeoutError,
    GapTimeoutError,
    NotFoundError,
    ProtocolError,
    TruncatedError,
)
from cartesia_sync.local import Close, ErrorEvent, Garbage, Hold, LateFrames, LocalServer, Refuse, Unfinished

BOUND = 20.0
PATIENCE = 0.3
"""Seconds after which a call of the official client that should have ended counts as hanging."""
SHORT = 0.1
"""A clock of ours that is to run out."""
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
OTHER_VOICE = "694f9389-aac1-45b6-b726-9d9369183238"
FORMAT: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
OPTIONS: Any = {"model_id": "sonic-latest", "voice": VOICE, "output_format": FORMAT, "max_buffer_delay_ms": 0}
LONG = "This is a text that goes on for a while, so that it comes in many chunks. " * 3

MakeServer = Callable[..., LocalServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    servers = []

    def make(*faults: Any, **options: Any) -> LocalServer:
        server = LocalServer(
            **{"engine": "signal", "faults": faults, "chunk_bytes": 800, "expiry": None, **options}
        ).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


class Call:
    """One call on a thread of its own, whose hanging can be seen and outlived."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._result: Future[Any] = Future()
        self._call = call
        self._arguments = arguments
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._result.set_result(self._call(*self._arguments))
        except BaseException as error:  # whatever it is, the test asks for it
            self._result.set_exception(error)

    def result(self) -> Any:
        return self._result.result(BOUND)

    def error(self) -> Optional[BaseException]:
        return self._result.exception(BOUND)

    @property
    def hangs(self) -> bool:
        self.thread.join(PATIENCE)
        return self.thread.is_alive()


class Official:
    """The official client, and its connections, which are let go of whatever state they are in."""

    def __init__(self) -> None:
        self._opened: list[Any] = []
        self._clients: list[Any] = []
        self._calls: list[Call] = []

    def connect(self, server: LocalServer, *, version: str = "2026-08-14", **options: Any) -> Any:
        """Return a connection."""
        client = cartesia.Cartesia(
            api_key="any", websocket_base_url=server.websocket_url, default_headers={"Cartesia-Version": version}
        )
        self._clients.append(client)
        connection = client.tts.websocket_connect(**options).enter()
        self._opened.append(connection)
        return connection

    def call(self, call: Callable[..., Any], *arguments: Any) -> Call:
        """Begin a call that may never end."""
        self._calls.append(Call(call, *arguments))
        return self._calls[-1]

    def let_go(self) -> None:
        for connection in self._opened:
            websocket = connection._connection
            websocket.close_socket()
            websocket.recv_events_thread.join(BOUND)
            if websocket.keepalive_thread is not None:
                websocket.keepalive_thread.join(BOUND)
                assert not websocket.keepalive_thread.is_alive()
            assert not websocket.recv_events_thread.is_alive()
        for call in self._calls:
            call.thread.join(BOUND)
            assert not call.thread.is_alive()
        for client in self._clients:
            client.close()


@pytest.fixture
def official() -> Iterator[Official]:
    opened = Official()
    yield opened
    opened.let_go()


def ours(server: LocalServer, **options: Any) -> Any:
    """Return a connection of ours, to be used in ``with``."""
    return Cartesia(api_key="any", base_url=server.url).tts.websocket_connect(**options)


def context_of(
    connection: Any, context_id: str, text: str = "Hello there.", *, continue_: bool = True, **options: Any
) -> Any:
    """Open a context with either client, and push its text."""
    context = connection.context(context_id, **{**OPTIONS, **options})
    context.push(text, continue_=continue_)
    return context


def finished(connection: Any, context_id: str, text: str = "Hello there.", **options: Any) -> Any:
    """The same with its text in one message, which is the last."""
    return context_of(connection, context_id, text, continue_=False, **options)


def ids_and_kinds(events: Any) -> list[tuple[Optional[str], str]]:
    return [(event.context_id, event.type) for event in events]


def whole(events: Any, context_id: str) -> bool:
    """Whether the events are of that context alone, and all of them."""
    heard = ids_and_kinds(events)
    return len(heard) > 1 and heard[-1] == (context_id, "done") and {each for each, _ in heard} == {context_id}


def first_events(context: Any, count: int) -> list[Any]:
    """Take some events and leave by ``break``."""
    taken = []
    for event in context.receive():
        taken.append(event)
        if len(taken) == count:
            break
    return taken


# ---- 1


class TestTwoThreadsInReceive:
    def test_both_hear_their_own(self, make_server: MakeServer) -> None:
        ready = threading.Event()
        with ours(make_server(Hold(ready))) as connection, ThreadPoolExecutor(2) as pool:
            contexts = {name: finished(connection, name) for name in "ab"}
            heard = {name: pool.submit(list, context.receive()) for name, context in contexts.items()}
            ready.set()
            assert all(whole(events.result(BOUND), name) for name, events in heard.items())

    def test_official_one_of_them_dies(self, make_server: MakeServer, official: Official) -> None:
        ready = threading.Event()
        connection = official.connect(make_server(Hold(ready)))
        ended: queue.Queue[str] = queue.Queue()

        def hear(name: str, context: Any) -> list[Any]:
            try:
                return list(context.receive())
            finally:
                ended.put(name)

        contexts = {name: finished(connection, name) for name in "ab"}
        calls = {name: official.call(hear, name, context) for name, context in contexts.items()}
        first = ended.get(timeout=BOUND)
        assert isinstance(calls[first].error(), WebsocketsConcurrencyError)
        ready.set()
        survivor = ended.get(timeout=BOUND)
        assert whole(calls[survivor].result(), survivor)


# ---- 2


class TestCancel:
    """Late frames of a cancelled context."""

    def scene(self, make_server: MakeServer) -> tuple[LocalServer, threading.Event]:
        ready = threading.Event()
        never = Hold(threading.Event(), after=1, context_id="a")
        return make_server(never, LateFrames(count=19, context_id="a"), Hold(ready, context_id="b")), ready

    def test_late_frames_reach_nobody(self, make_server: MakeServer) -> None:
        server, ready = self.scene(make_server)
        with ours(server) as connection:
            one, other = context_of(connection, "a", LONG), finished(connection, "b")
            assert len(first_events(one, 1)) == 1
            one.cancel()
            assert list(one.receive()) == []
            assert whole(list(finished(connection, "c", LONG).receive()), "c")  # by then the late ones have come
            assert connection.stats.late_events == 20
            ready.set()
            assert whole(list(other.receive()), "b")

    def test_official_another_context_gets_them_and_ends_by_them(
        self, make_server: MakeServer, official: Official
    ) -> None:
        server, _ = self.scene(make_server)
        connection = official.connect(server)
        one, other = context_of(connection, "a", LONG), finished(connection, "b")
        first_events(one, 1)
        one.cancel()
        heard = ids_and_kinds(official.call(list, other.receive()).result())
        assert heard == [("a", "chunk")] * 19 + [("a", "done")]


# ---- 3


class TestTimeout:
    """The frames of a context that had timed out."""

    def test_late_frames_reach_nobody(self, make_server: MakeServer) -> None:
        ready, never = threading.Event(), threading.Event()
        server = make_server(
            Hold(never, context_id="a"), LateFrames(count=5, context_id="a"), Hold(ready, context_id="b")
        )
        with ours(server) as connection:
            one, other = finished(connection, "a", first_event_timeout=SHORT), finished(connection, "b")
            with pytest.raises(FirstEventTimeoutError):
                list(one.receive())
            assert whole(list(finished(connection, "c", LONG).receive()), "c")
            assert connection.stats.late_events == 6
            ready.set()
            assert whole(list(other.receive()), "b")

    def test_official_another_context_gets_them_and_ends_by_them(
        self, make_server: MakeServer, official: Official
    ) -> None:
        ready, never = threading.Event(), threading.Event()
        connection = official.connect(make_server(Hold(ready, context_id="a"), Hold(never, context_id="b")))
        one, other = finished(connection, "a", timeout=SHORT), finished(connection, "b")
        assert isinstance(official.call(list, one.receive()).error(), TimeoutError)
        ready.set()
        heard = ids_and_kinds(official.call(list, other.receive()).result())
        assert set(heard) == {("a", "chunk"), ("a", "done")}


# ---- 4


class TestCancelWhileAnotherThreadReceives:
    def test_the_receiver_ends_without_error(self, make_server: MakeServer) -> None:
        with ours(make_server(Unfinished(after=1))) as connection, ThreadPoolExecutor(1) as pool:
            context = context_of(connection, "a", LONG)
            first = next(context.receive())
            assert first.type == "chunk"
            waiting = pool.submit(list, context.receive())
            context.cancel()
            assert waiting.result(BOUND) == []

    def test_official_the_receiver_hangs(self, make_server: MakeServer, official: Official) -> None:
        server = make_server(Unfinished(after=1))
        connection = official.connect(server)
        context = context_of(connection, "a", LONG)
        heard_one = threading.Event()

        def hear() -> None:
            for _ in context.receive():
                heard_one.set()

        waiting = official.call(hear)
        assert heard_one.wait(BOUND)
        context.cancel()
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        assert waiting.hangs


# ---- 5


class TestContextsThatAreLeft:
    def test_a_context_left_by_break_and_dropped_is_cancelled_and_forgotten(self, make_server: MakeServer) -> None:
        server = make_server(Hold(threading.Event(), after=1, context_id="a"))
        with ours(server) as connection:
            context = context_of(connection, "a", LONG)
            first_events(context, 1)
            del context
            assert whole(list(finished(connection, "b").receive()), "b")
            assert [line.context_id for line in connection._link.registry.readable()] == []
            server.wait_for(lambda server: {"context_id": "a", "cancel": True} in messages(server), BOUND)

    def test_a_context_left_by_break_and_kept_goes_on_where_it_stopped(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection:
            context = finished(connection, "a", LONG)
            events = first_events(context, 1)
            events += list(finished(connection, "b").receive())  # meanwhile
            events += list(context.receive())
            assert whole([event for event in events if event.context_id == "a"], "a")

    def test_contexts_that_nobody_received_are_gone_with_their_handles(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection:
            for _ in range(3000):
                connection.context(**OPTIONS)
            last = connection.context(**OPTIONS)
            assert [line.context_id for line in connection._link.registry.readable()] == [last.context_id]

    def test_official_the_queue_of_a_context_left_by_break_goes_on_filling(
        self, make_server: MakeServer, official: Official
    ) -> None:
        ready = threading.Event()
        connection = official.connect(make_server(Hold(ready, context_id="b")))
        context = finished(connection, "a", LONG)
        first_events(context, 1)
        del context
        later = finished(connection, "b")
        ready.set()
        official.call(list, later.receive()).result()
        (left,) = connection._context_queues.values()
        assert left.qsize() > 10

    def test_official_contexts_that_nobody_received_stay(self, make_server: MakeServer, official: Official) -> None:
        connection = official.connect(make_server())
        for _ in range(3000):
            connection.context(**OPTIONS)
        assert len(connection._context_queues) == 3000


def messages(server: LocalServer) -> list[Any]:
    return [each.message for each in server.heard]


# ---- 6


class TestTheServiceClosesNormally:
    CODES = pytest.mark.parametrize(
        "close", [Close(1000, "connection idle timeout", after=2), Close(1001, "going away", after=2)]
    )

    @CODES
    def test_a_context_in_the_middle_is_truncated_and_says_so(
        self, make_server: MakeServer, close: Close, tmp_path: Path
    ) -> None:
        with ours(make_server(close)) as connection, pytest.raises(TruncatedError) as caught:
            finished(connection, "a", LONG).save(tmp_path / "speech.wav")
        assert (caught.value.code, caught.value.reason, caught.value.audio_bytes) == (close.code, close.reason, 1600)
        assert list(tmp_path.iterdir()) == []

    @CODES
    def test_official_the_context_ends_as_if_whole(
        self, make_server: MakeServer, official: Official, close: Close
    ) -> None:
        connection = official.connect(make_server(close))
        context = finished(connection, "a", LONG)
        assert ids_and_kinds(official.call(list, context.receive()).result()) == [("a", "chunk")] * 2


# ---- 7


class TestTheConnectionBreaks:
    WAYS = pytest.mark.parametrize("way", [{"code": 1011, "reason": "internal error"}, {"reset": True}, {}])

    @WAYS
    def test_the_receiver_gets_an_exception_of_ours_and_nothing_stays_registered(
        self, make_server: MakeServer, way: Any
    ) -> None:
        server = make_server(Hold(threading.Event(), after=1))
        with ours(server) as connection:
            context = context_of(connection, "a", LONG)
            events = context.receive()
            assert next(events).type == "chunk"
            server.drop_connections(**way)
            with pytest.raises(TruncatedError) as caught:
                next(events)
            assert isinstance(caught.value, CartesiaError)
            assert caught.value.code == way.get("code")
            assert connection._link.registry.get("a") is None

    @WAYS
    def test_official_the_receiver_gets_the_transports_exception_and_the_queue_stays(
        self, make_server: MakeServer, official: Official, way: Any
    ) -> None:
        server = make_server(Hold(threading.Event(), after=1))
        connection = official.connect(server)
        context = context_of(connection, "a", LONG)
        events = context.receive()
        assert official.call(next, events).result().type == "chunk"
        server.drop_connections(**way)
        error = official.call(next, events).error()
        assert isinstance(error, ConnectionClosedError)
        assert not isinstance(error, cartesia.CartesiaError)
        assert list(connection._context_queues) == ["a"]


# ---- 8


class TestReconnecting:
    def test_a_push_to_a_new_context_opens_a_new_connection(self, make_server: MakeServer) -> None:
        server = make_server()
        with ours(server) as connection:
            reader = connection._link.reader
            server.drop_connections(1000, "connection idle timeout")
            reader.join(BOUND)
            assert whole(list(finished(connection, "a").receive()), "a")
        assert len(server.handshakes) == 2

    def test_official_it_gets_the_same_dead_connection_after_forgetting_all_contexts(
        self, make_server: MakeServer, official: Official
    ) -> None:
        server = make_server()
        connection = official.connect(server)
        dead = connection._connection
        context = connection.context("a", **OPTIONS)
        server.drop_connections(1000, "connection idle timeout")
        dead.recv_events_thread.join(BOUND)
        assert isinstance(official.call(context.push, "Hello.").error(), ConnectionClosed)
        assert connection._connection is dead
        assert connection._context_queues == {}
        assert len(server.handshakes) == 1


# ---- 9


class TestTheClock:
    """One context is silent, while its neighbour speaks in real time."""

    def test_a_neighbour_does_not_feed_it(self, make_server: MakeServer) -> None:
        server = make_server(Hold(threading.Event(), context_id="a"), pace=1.0)
        with ours(server) as connection:
            silent = finished(connection, "a", first_event_timeout=3 * SHORT)
            talker = context_of(connection, "b", LONG * 20)  # far longer than this test may take
            with pytest.raises(FirstEventTimeoutError):
                list(silent.receive())
            talker.cancel()

    def test_official_a_neighbour_feeds_it(self, make_server: MakeServer, official: Official) -> None:
        server = make_server(Hold(threading.Event(), context_id="a"), pace=1.0)
        connection = official.connect(server)
        silent = finished(connection, "a", timeout=0.4)
        finished(connection, "b", "This takes a second to say.")
        assert isinstance(official.call(list, silent.receive()).error(), TimeoutError)
        talked = list(connection._context_queues["b"].queue)
        assert whole(talked, "b")  # to its end, and the clock was running all the time
        assert sum(len(event.audio) for event in talked if event.type == "chunk") / 2 / 8000 > 2 * 0.4


# ---- 10


class TestASlowReceiver:
    def test_it_does_not_keep_pongs_from_being_read(self, make_server: MakeServer) -> None:
        server = make_server(Hold(threading.Event(), context_id="c"))
        with ours(server, ping_interval=3 * SHORT) as connection:
            slow = finished(connection, "a", LONG)
            playing = slow.receive()
            assert next(playing).type == "chunk"
            # While it plays that, three pings and more are due; this clock is the time.
            with pytest.raises(FirstEventTimeoutError):
                finished(connection, "c", first_event_timeout=12 * SHORT).audio()
            assert whole(list(playing), "a")
            assert whole(list(finished(connection, "b").receive()), "b")
        assert len(server.handshakes) == 1

    def test_official_it_ends_the_connection(self, make_server: MakeServer, official: Official) -> None:
        options: Any = {"ping_interval": SHORT, "ping_timeout": SHORT, "close_timeout": SHORT}
        connection = official.connect(make_server(), websocket_connection_options=options)
        context = finished(connection, "a", LONG)
        playing = context.receive()
        assert official.call(next, playing).result().type == "chunk"
        connection._connection.keepalive_thread.join(BOUND)
        error = official.call(list, playing).error()
        assert isinstance(error, ConnectionClosedError)
        assert error.sent is not None
        assert (error.sent.code, error.sent.reason) == (1011, "keepalive ping timeout")


# ---- 11


class TestAnErrorThatNamesNoContext:
    def scene(self, make_server: MakeServer) -> LocalServer:
        return make_server(ErrorEvent(400, with_context=False, title="Trouble"), Unfinished(times=None))

    def test_all_hear_it_and_end_by_their_clocks_which_name_it(self, make_server: MakeServer) -> None:
        with ours(self.scene(make_server)) as connection, ThreadPoolExecutor(2) as pool:
            contexts = [finished(connection, name, first_event_timeout=SHORT) for name in "ab"]

            def hear(context: Any) -> list[Any]:
                events = context.receive()
                heard = [next(events)]
                with pytest.raises(FirstEventTimeoutError, match="Trouble"):
                    next(events)
                return heard

            for heard in pool.map(hear, contexts):
                assert ids_and_kinds(heard) == [(None, "error")]

    def test_official_whoever_reads_hears_it_and_hangs(self, make_server: MakeServer, official: Official) -> None:
        connection = official.connect(self.scene(make_server))
        contexts = [finished(connection, name) for name in "ab"]
        heard = []
        got_one = threading.Event()

        def hear() -> None:
            for event in contexts[1].receive():
                heard.append(event)
                got_one.set()

        hearing = official.call(hear)
        assert got_one.wait(BOUND)
        assert hearing.hangs
        assert ids_and_kinds(heard) == [(None, "error")]
        assert connection._context_queues["a"].empty()  # whose error it was is told to nobody


# ---- 12


class TestErrorsAreValues:
    def test_speech_as_a_whole_raises_them_and_leaves_no_file(self, make_server: MakeServer, tmp_path: Path) -> None:
        with ours(make_server()) as connection:
            with pytest.raises(NotFoundError):
                finished(connection, "a", voice="nobody").save(tmp_path / "speech.wav")
            with pytest.raises(NotFoundError):
                finished(connection, "b", voice="nobody").audio()
            with pytest.raises(NotFoundError):
                list(finished(connection, "c", voice="nobody").receive(raise_on_error=True))
            assert list(tmp_path.iterdir()) == []

    def test_official_a_loop_over_chunks_writes_an_empty_file(
        self, make_server: MakeServer, official: Official, tmp_path: Path
    ) -> None:
        connection = official.connect(make_server())
        context = finished(connection, "a", voice="nobody")

        def write() -> None:
            with open(tmp_path / "speech.pcm", "wb") as file:
                for event in context.receive():
                    if event.type == "chunk":
                        file.write(event.audio)

        official.call(write).result()
        assert (tmp_path / "speech.pcm").read_bytes() == b""


# ---- 13


class TestCloseByAnotherThread:
    def test_receivers_are_told_that_they_are_not_whole(self, make_server: MakeServer) -> None:
        with ours(make_server(Hold(threading.Event(), after=1))) as connection, ThreadPoolExecutor(1) as pool:
            context = context_of(connection, "a", LONG)
            assert next(context.receive()).type == "chunk"
            waiting = pool.submit(list, context.receive())
            connection.close()
            with pytest.raises(TruncatedError, match=r"close\(\)"):
                waiting.result(BOUND)

    def test_official_receivers_end_as_if_whole(self, make_server: MakeServer, official: Official) -> None:
        connection = official.connect(make_server(Hold(threading.Event(), after=1)))
        context = context_of(connection, "a", LONG)
        heard_one = threading.Event()
        heard = []

        def hear() -> None:
            for event in context.receive():
                heard.append(event)
                heard_one.set()

        receiving = official.call(hear)
        assert heard_one.wait(BOUND)
        official.call(connection.close).result()
        receiving.result()
        assert ids_and_kinds(heard) == [("a", "chunk")]


# ---- 14


class TestOneIdFromManyThreads:
    def test_one_thread_gets_it(self, make_server: MakeServer) -> None:
        threads, ids = 8, [f"id-{n}" for n in range(100)]
        start = threading.Barrier(threads)
        with ours(make_server()) as connection, ThreadPoolExecutor(threads) as pool:

            def grab() -> list[Any]:
                start.wait(BOUND)
                got = []
                for each in ids:
                    try:
                        got.append(connection.context(each, **OPTIONS))
                    except ContextStateError:
                        continue
                return got

            switch_interval = sys.getswitchinterval()
            sys.setswitchinterval(1e-6)
            try:
                got = [each.result(BOUND) for each in [pool.submit(grab) for _ in range(threads)]]
            finally:
                sys.setswitchinterval(switch_interval)
            assert sorted(context.context_id for some in got for context in some) == sorted(ids)

    def test_official_two_threads_get_it(self, make_server: MakeServer, official: Official) -> None:
        connection = official.connect(make_server())
        both_asked = threading.Barrier(2)

        class Queues(dict[str, Any]):
            """What the client looks into before it writes; nothing keeps a second thread from looking too."""

            def __contains__(self, context_id: object) -> bool:
                found = super().__contains__(context_id)
                both_asked.wait(BOUND)
                return found

        connection._context_queues = Queues()
        calls = [official.call(lambda: connection.context("a", **OPTIONS)) for _ in range(2)]
        one, other = (call.result() for call in calls)
        assert one is not other
        assert one._context_id == other._context_id == "a"


# ---- 15


def send_all_at_once(connection: Any) -> Any:
    context = connection.context("a")
    context.send(model_id="sonic-3", transcript="Hello.", voice=OTHER_VOICE, output_format=FORMAT, continue_=False)
    context.no_more_inputs()
    return context


class TestALastSendAndNoMoreInputs:
    def test_the_service_is_told_once(self, make_server: MakeServer) -> None:
        server = make_server()
        with ours(server) as connection:
            assert whole(list(send_all_at_once(connection).receive()), "a")
        assert [message["voice"] for message in messages(server)] == [OTHER_VOICE]

    def test_official_the_service_is_told_twice_and_by_another_voice(
        self, make_server: MakeServer, official: Official
    ) -> None:
        server = make_server()
        send_all_at_once(official.connect(server))
        server.wait_for(lambda server: len(server.heard) == 2, BOUND)
        assert [message["voice"] for message in messages(server)] == [OTHER_VOICE, VOICE]
        assert [message["continue"] for message in messages(server)] == [False, False]


# ---- 16


class TestTheAudioOfAChunk:
    def test_is_decoded_once(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection:
            chunk = next(finished(connection, "a").receive())
            assert chunk.audio is chunk.audio

    def test_official_is_decoded_at_every_access(self, make_server: MakeServer, official: Official) -> None:
        connection = official.connect(make_server())
        chunk = official.call(next, finished(connection, "a").receive()).result()
        assert chunk.audio == chunk.audio
        assert chunk.audio is not chunk.audio


# ---- and three more


class TestConnecting:
    @pytest.mark.parametrize("status", [401, 402])
    def test_a_refused_handshake_is_an_exception_of_ours(self, make_server: MakeServer, status: int) -> None:
        with pytest.raises(APIStatusError) as caught:
            ours(make_server(Refuse(status))).enter()
        assert caught.value.status_code == status
        assert isinstance(caught.value, AuthenticationError) == (status == 401)

    @pytest.mark.parametrize("status", [401, 429])
    def test_official_a_refused_handshake_is_the_transports_exception(
        self, make_server: MakeServer, official: Official, status: int
    ) -> None:
        error = official.call(official.connect, make_server(Refuse(status))).error()
        assert isinstance(error, InvalidStatus)
        assert not isinstance(error, cartesia.CartesiaError)

    def test_the_key_of_the_environment_is_used(self, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        server = make_server(api_keys={"of the environment"})
        monkeypatch.setenv("CARTESIA_API_KEY", "of the environment")
        with Cartesia(base_url=server.url).tts.websocket_connect() as connection:
            assert whole(list(finished(connection, "a").receive()), "a")

    def test_official_the_key_of_the_environment_is_not_used(
        self, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = make_server(api_keys={"of the environment"})
        monkeypatch.setenv("CARTESIA_API_KEY", "of the environment")
        with cartesia.Cartesia(websocket_base_url=server.websocket_url) as client:
            assert client.api_key is None
            with pytest.raises(InvalidStatus):
                client.tts.websocket_connect().enter()

    def test_a_base_url_without_tls_is_dialled_without_tls(self, make_server: MakeServer) -> None:
        server = make_server()
        with Cartesia(api_key="any", base_url=server.url).tts.websocket_connect():
            assert len(server.handshakes) == 1

    def test_official_a_base_url_without_tls_is_dialled_with_tls(self) -> None:
        with cartesia.Cartesia(api_key="any", base_url="http://127.0.0.1:1") as client:
            assert client.tts.websocket_connect()._prepare_url().scheme == "wss"

    def test_an_error_of_an_older_api_version_has_its_words(self, make_server: MakeServer) -> None:
        server = make_server()
        client = Cartesia(api_key="any", base_url=server.url, cartesia_version="2025-11-04")
        with client.tts.websocket_connect() as connection:
            (event,) = finished(connection, "a", voice="nobody").receive()
            assert event.error.startswith("Voice not found: ")

    def test_official_an_error_of_an_older_api_version_has_none(
        self, make_server: MakeServer, official: Official
    ) -> None:
        connection = official.connect(make_server(), version="2025-11-04")
        context = context_of(connection, "a", voice={"mode": "id", "id": "nobody"})
        (event,) = official.call(list, context.receive()).result()
        assert event.error == "None: None"


# ---- what the official TypeScript tests check


class TestAsTheTypeScriptClient:
    def test_events_are_kept_before_anybody_receives(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection:
            context = finished(connection, "a", LONG)
            assert whole(list(finished(connection, "b", LONG * 3).receive()), "b")  # contexts take turns
            reader = connection._link.reader
            connection.close()  # all that was sent has come, and stays readable
            assert not reader.is_alive()
            events = list(context.receive())
            assert whole(events, "a")
            assert len(events) > 51

    def test_interleaved_events_reach_only_their_context_and_the_last_is_done(self, make_server: MakeServer) -> None:
        ready = threading.Event()
        with ours(make_server(Hold(ready))) as connection:
            contexts = {name: finished(connection, name, LONG) for name in "abcd"}
            ready.set()
            assert all(whole(list(context.receive()), name) for name, context in contexts.items())

    def test_a_slow_receiver_does_not_delay_a_fast_one(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection, ThreadPoolExecutor(1) as pool:
            slow, fast = finished(connection, "a", LONG), finished(connection, "b", LONG)
            fast_is_done = threading.Event()

            def hear_slowly() -> list[Any]:
                events = []
                for event in slow.receive():
                    events.append(event)
                    assert fast_is_done.wait(BOUND)  # as slow as can be
                return events

            hearing = pool.submit(hear_slowly)
            assert whole(list(fast.receive()), "b")
            fast_is_done.set()
            assert whole(hearing.result(BOUND), "a")

    def test_a_context_is_not_registered_after_its_done(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection:
            context = finished(connection, "a")
            assert whole(list(context.receive()), "a")
            assert connection._link.registry.get("a") is None
            assert list(context.receive()) == []

    def test_cancel_unregisters_on_a_dead_connection_too(self, make_server: MakeServer) -> None:
        server = make_server(Hold(threading.Event()))
        with ours(server) as connection:
            said, unsaid = context_of(connection, "a"), connection.context("b", **OPTIONS)
            reader = connection._link.reader
            server.drop_connections(reset=True)
            reader.join(BOUND)
            for context in (said, unsaid):
                context.cancel()
                assert list(context.receive()) == []
                assert connection._link.registry.get(context.context_id) is None

    def test_cancel_ends_a_waiting_receiver_without_error(self, make_server: MakeServer) -> None:
        with ours(make_server(Hold(threading.Event()))) as connection, ThreadPoolExecutor(1) as pool:
            context = finished(connection, "a")
            waiting = pool.submit(list, context.receive())
            context.cancel()
            assert waiting.result(BOUND) == []

    def test_a_timeout_is_an_exception_of_ours_after_what_had_arrived(self, make_server: MakeServer) -> None:
        with ours(make_server(Unfinished(after=2))) as connection:
            context = finished(connection, "a", LONG)
            events = context.receive()
            assert [next(events).type for _ in range(2)] == ["chunk"] * 2
            with pytest.raises(GapTimeoutError) as caught:
                next(context.receive(timeout=SHORT))
            assert isinstance(caught.value, (CartesiaError, TimeoutError))
            assert (caught.value.audio_bytes, caught.value.heard) == (1600, True)

    def test_a_timeout_of_the_call_goes_before_the_contexts(self, make_server: MakeServer) -> None:
        with ours(make_server(Hold(threading.Event()))) as connection:
            context = finished(connection, "a", first_event_timeout=BOUND, whole_timeout=None)
            with pytest.raises(ContextTimeoutError) as caught:
                list(context.receive(whole_timeout=SHORT))
            assert caught.value.timeout == SHORT

    def test_a_duplicate_id_is_refused(self, make_server: MakeServer) -> None:
        with ours(make_server()) as connection:
            kept = connection.context("a", **OPTIONS)
            with pytest.raises(ContextStateError):
                connection.context("a", **OPTIONS)
            with pytest.raises(ValueError, match="'a'"):
                connection.context(kept.context_id)

    def test_a_message_that_is_not_json_ends_the_stream_with_an_error(self, make_server: MakeServer) -> None:
        """There it does not; but nobody can tell which context's audio it was to be."""
        with ours(make_server(Garbage(after=1))) as connection:
            events = finished(connection, "a").receive()
            assert next(events).type == "chunk"
            with pytest.raises(TruncatedError, match="Nobody can tell whose it is") as caught:
                list(events)
            assert isinstance(caught.value.__cause__, ProtocolError)
            assert whole(list(finished(connection, "b").receive()), "b")  # on another connection

    def test_a_dropped_connection_does_not_hang_its_receivers(self, make_server: MakeServer) -> None:
        server = make_server(Hold(threading.Event()))
        with ours(server) as connection, ThreadPoolExecutor(4) as pool:
            contexts = [finished(connection, name) for name in "abcd"]
            waiting = [pool.submit(list, context.receive()) for context in contexts]
            server.drop_connections()
            for each in waiting:
                with pytest.raises(TruncatedError):
                    each.result(BOUND)
