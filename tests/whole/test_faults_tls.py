"""The main faults of ``test_faults``, over TLS: every consumer ends, with the truth, as it does in clear."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest
import trustme

from cartesia_sync import Cartesia, Timeout, TruncatedError, WriteTimeoutError
from cartesia_sync.local import (
    Delay,
    ErrorEvent,
    Fault,
    LocalServer,
    Reset,
    Silence,
    StopReading,
    UnknownEvent,
)
from cartesia_sync.types import Error, Unknown

from .test_faults import (
    AFTER,
    BETWEEN,
    BOUND,
    FORMAT,
    PIECES,
    SHORT,
    VOICE,
    Heard,
    Scene,
    Whole,
    consumers,
    ends,
    hear,
    hear_all,
    moments,
    open_context,
    pings,
    push_until_it_fails,
    say,
    struck,
)

KEY = "sk_car_test_faults_over_tls"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[LocalServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with LocalServer(ssl_context=context, engine="signal", chunk_bytes=1600, expiry=None) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LocalServer, authority: trustme.CA) -> Cartesia:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert server.url.startswith("https:")
    return Cartesia(api_key=KEY, base_url=server.url, timeout=Timeout(connect=BOUND), ssl_context=context)


@pytest.fixture(scope="module")
def wholes(server: LocalServer, client: Cartesia) -> list[Whole]:
    """The undisturbed bytes of each text."""
    found = []
    with client.tts.websocket_connect() as connection:
        for pieces in PIECES:
            context = open_context(connection)
            say(context, pieces, finish=True)
            heard = hear(context)
            assert heard.last == "done"
            found.append(Whole(heard.audio, len(heard.events)))
    return found


@pytest.fixture
def make_scene(server: LocalServer, client: Cartesia, wholes: list[Whole]) -> Iterator[Callable[[int], Scene]]:
    yield lambda count: Scene(server, client, wholes, count)
    server.clear_faults()


@consumers
@moments
@ends
def test_a_tls_connection_that_ends_truncates_what_is_not_whole_and_the_next_push_opens_another(
    make_scene: Callable[[int], Scene], fault: Fault, moment: str, count: int
) -> None:
    scene = make_scene(count)
    after = scene.after(moment)
    with scene.play(struck(fault, after=after), finish=moment == AFTER, **pings(fault)) as contexts:
        everything = scene.hear_all()
        cut = [n for n, heard in enumerate(everything) if heard.last != "done"]
        assert cut
        for n, heard in enumerate(everything):
            if n in cut:
                scene.assert_truncated(heard, n, fault)
            else:
                scene.assert_whole(heard, n)
        if not isinstance(fault, (Reset, Silence)):  # a reset may lose what was sent before it
            assert sum(len(heard.events) for heard in everything) == after
        for n in cut:
            with pytest.raises(TruncatedError):
                contexts[n].push("More.")
        scene.assert_still_speaks(dialled=2)


@ends
def test_speech_that_is_cut_short_over_tls_is_said_again_if_nothing_was_heard(
    make_scene: Callable[[int], Scene], fault: Fault
) -> None:
    scene = make_scene(1)
    with scene.play(struck(fault, after=0), replay=True, **pings(fault)):
        (heard,) = scene.hear_all()
        scene.assert_whole(heard, 0)
        assert scene.dialled == 2


@consumers
def test_a_tls_service_that_stops_reading_fails_the_pusher_and_truncates_the_others(
    make_scene: Callable[[int], Scene], count: int
) -> None:
    scene = make_scene(count)
    with scene.play(
        StopReading(after=2 * count), finish=False, timeout=Timeout(connect=BOUND, write=3 * SHORT)
    ) as contexts:
        with ThreadPoolExecutor(count) as pool:
            receiving = [pool.submit(hear, context) for context in contexts]
            scene.ready.set()
            with pytest.raises(WriteTimeoutError):
                push_until_it_fails(contexts[0])
            everything = [each.result(BOUND) for each in receiving]
        for n, heard in enumerate(everything):
            scene.assert_truncated(heard, n, StopReading())
            assert "did not take a message" in str(heard.error)
        scene.assert_still_speaks(dialled=2)


@consumers
@moments
def test_an_error_event_over_tls_ends_its_own_context_alone(
    make_scene: Callable[[int], Scene], moment: str, count: int
) -> None:
    scene = make_scene(count)
    at = scene.after_in_first(moment)
    with scene.play(ErrorEvent(503, "overloaded", "Overloaded", "Later.", after=at, context_id=scene.ids[0])):
        first, *others = scene.hear_all()
        assert first.error is None
        error = first.events[-1]
        assert isinstance(error, Error)
        assert (error.context_id, error.status_code) == (scene.ids[0], 503)
        assert scene.wholes[0].audio.startswith(first.audio)
        for n, heard in enumerate(others, 1):
            scene.assert_whole(heard, n)
        scene.assert_still_speaks(dialled=1)


@consumers
def test_strange_and_late_events_over_tls_change_nothing(make_scene: Callable[[int], Scene], count: int) -> None:
    scene = make_scene(count)
    with scene.play(UnknownEvent(after=1, context_id=scene.ids[0]), Delay(0.001, jitter=0.004)):
        everything = scene.hear_all()
        assert isinstance(everything[0].events.pop(1), Unknown)
        for n, heard in enumerate(everything):
            scene.assert_whole(heard, n)
        scene.assert_still_speaks(dialled=1)


@ends
def test_close_and_a_fault_over_tls_at_one_time_end_every_consumer(
    make_scene: Callable[[int], Scene], fault: Fault
) -> None:
    """In whatever order they meet."""
    scene = make_scene(4)
    start = threading.Barrier(2)

    def close() -> None:
        start.wait(BOUND)
        scene.connection.close()

    with (
        scene.play(struck(fault, after=scene.after(BETWEEN)), **pings(fault)) as contexts,
        ThreadPoolExecutor(1) as pool,
    ):
        closing = pool.submit(close)
        start.wait(BOUND)
        everything = hear_all(contexts, scene.ready)
        closing.result(BOUND)
        for n, heard in enumerate(everything):
            assert isinstance(heard.error, TruncatedError) or heard.last == "done"
            assert scene.wholes[n].audio.startswith(heard.audio)
        scene.server.clear_faults()  # the one that came too late
        scene.assert_reopens()


def test_neither_direction_of_a_tls_connection_loses_a_byte_while_many_push_and_hear(
    client: Cartesia, wholes: list[Whole]
) -> None:
    """One reads while eight write, many small messages each, for longer than one speech takes."""
    start = threading.Barrier(8)

    def speak(number: int, connection: Any) -> list[Heard]:
        start.wait(BOUND)
        heard = []
        for _ in range(5):
            context = connection.context(voice=VOICE, output_format=FORMAT, max_buffer_delay_ms=0)
            say(context, PIECES[number], finish=True)
            heard.append(hear(context))
        return heard

    with client.tts.websocket_connect(reconnect=False) as connection, ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(speak, number, connection) for number in range(8)]
        for number, job in enumerate(jobs):
            for heard in job.result(3 * BOUND):
                assert heard.error is None
                assert heard.audio == wholes[number].audio
