"""An answer that is closed before its end: nobody takes what came for the whole, and nobody waits for a lock."""

from __future__ import annotations

import contextlib
import gc
import gzip
import os
import pathlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.errors import ForkedError, IncompleteAnswerError, MalformedEventError
from cartesia_sync.resources.binary import BinaryAPIResponse
from cartesia_sync.transport.http.tls_adapter import IdleConnections

from ...support.http_service import Asked, Out, Service, answer, chunk, event
from ...support.peer import BOUND

KEY = "sk_car_a-key-for-closing"
SOUND = bytes(range(256)) * 40
PRESSED = gzip.compress(os.urandom(4000) + SOUND)
CHUNK = {"type": "chunk", "context_id": "c", "data": "AAA=", "done": False, "status_code": 206, "step_time": 1.0}
DONE = {"type": "done", "context_id": "c", "done": True, "status_code": 206}
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


def half(head: bytes, content: bytes) -> Callable[[Asked, Out], None]:
    """Send the beginning of an answer, and wait until the client has gone."""

    def say(asked: Asked, out: Out) -> None:
        out.say(head, b"\r\n", content)
        out.wait_until_gone()

    return say


HALVES = {
    "chunked": half(CHUNKED, chunk(SOUND)),
    "length": half(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n", SOUND),
    "gzip": half(CHUNKED + b"Content-Encoding: gzip\r\n", chunk(PRESSED[:-100])),
    "gzip by length": half(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n" % len(PRESSED), PRESSED[:-100]
    ),
    "no length": half(b"HTTP/1.1 200 OK\r\n", SOUND),
}


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def asked_for(client: Cartesia) -> BinaryAPIResponse:
    return client.tts.generate(model_id="m", output_format=RAW, transcript="t", voice="v")


def by_thread(close: Callable[[], None]) -> None:
    closer = threading.Thread(target=close)
    closer.start()
    closer.join(BOUND)
    assert not closer.is_alive()


def by_signal(close: Callable[[], None]) -> None:
    was = signal.signal(signal.SIGUSR1, lambda *_: close())
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, was)


def by_collector(close: Callable[[], None]) -> None:
    def leave() -> Iterator[None]:
        try:
            yield
        finally:
            close()

    circle: list[Any] = [leave()]
    next(circle[0])
    circle.append(circle)
    del circle
    gc.collect()


CLOSERS: list[Any] = [by_thread, by_signal, by_collector, lambda close: close()]
IDS = ["thread", "signal", "collector", "itself"]


def close_between_pieces(said: BinaryAPIResponse, close: Callable[[Callable[[], None]], None]) -> None:
    """Let an answer be closed when its first piece has been given."""
    pieces = said._response.pieces

    def closing() -> Iterator[bytes]:
        for piece in pieces():
            yield piece
            close(said.close)

    said._response.pieces = closing  # type: ignore[method-assign]  # whoever reads it, and in whatever way


@pytest.mark.parametrize("given", HALVES.values(), ids=HALVES)
@pytest.mark.parametrize("close", CLOSERS, ids=IDS)
def test_an_answer_that_is_closed_between_two_reads_is_no_whole_one(
    given: Any, close: Any, tmp_path: pathlib.Path
) -> None:
    readers: list[Callable[[BinaryAPIResponse], object]] = [
        BinaryAPIResponse.read,
        lambda said: list(said.iter_bytes()),
        lambda said: list(said.iter_bytes(3000)),
        lambda said: said.write_to_file(tmp_path / "a"),
        BinaryAPIResponse.samples,
    ]
    with Service(given) as service, client_of(service) as client:
        for reader in readers:
            said = asked_for(client)
            close_between_pieces(said, close)
            with pytest.raises(IncompleteAnswerError, match=r"was closed, after [1-9]") as ended:
                reader(said)
            assert said.is_closed
            assert ended.value.received_bytes > 0
            with pytest.raises((IncompleteAnswerError, ValueError)):  # nor later
                said.read()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("close", CLOSERS, ids=IDS)
@pytest.mark.parametrize("size", [None, 100])
def test_an_iterator_of_a_closed_answer_raises_as_often_as_it_is_asked(close: Any, size: Any) -> None:
    for given in HALVES.values():
        with Service(given) as service, client_of(service) as client:
            said = asked_for(client)
            pieces = said.iter_bytes(size)
            got = [next(pieces)]
            close(said.close)
            for _ in range(3):
                with pytest.raises(IncompleteAnswerError):
                    got.extend(pieces)
            assert len(b"".join(got)) <= said._response.received_bytes


@pytest.mark.parametrize("close", CLOSERS, ids=IDS)
def test_events_that_are_closed_between_two_reads_are_no_whole_answer(close: Any) -> None:
    given = half(CHUNKED + b"Content-Type: text/event-stream\r\n", chunk(event(CHUNK)))
    with Service(given) as service, client_of(service) as client:
        events = client.tts.generate_sse(model_id="m", output_format=RAW, transcript="t", voice="v")
        assert next(events).type == "chunk"
        close(events.close)
        for _ in range(3):
            with pytest.raises(IncompleteAnswerError, match="POST /tts/sse"):
                next(events)


def test_events_that_failed_do_not_end_as_if_whole() -> None:
    given = answer(200, chunks=[event(CHUNK), b"data: no json\n\n", event(DONE)])
    with Service(given) as service, client_of(service) as client:
        events = client.tts.generate_sse(model_id="m", output_format=RAW, transcript="t", voice="v")
        assert next(events).type == "chunk"
        with pytest.raises(MalformedEventError):
            next(events)
        for _ in range(2):
            with pytest.raises(IncompleteAnswerError):
                next(events)


def test_an_answer_that_is_closed_before_it_is_read_is_no_empty_one() -> None:
    for given in (answer(200, b""), answer(200, chunks=[]), answer(200, SOUND)):
        with Service(given) as service, client_of(service) as client:
            said = asked_for(client)
            said.close()
            with pytest.raises(IncompleteAnswerError, match="was closed, after 0 bytes"):
                said.read()


def test_an_answer_that_was_received_to_its_end_stays_whole_when_it_is_closed() -> None:
    sound = SOUND[:2000]  # comes with the head, in one read
    given = (answer(200, sound), answer(200, chunks=[event(CHUNK) + event(DONE)]))
    with Service(*given) as service, client_of(service) as client:
        said = asked_for(client)
        pieces = said.iter_bytes(500)
        got = [next(pieces)]
        said.close()
        assert b"".join([*got, *pieces]) == sound
        events = client.tts.generate_sse(model_id="m", output_format=RAW, transcript="t", voice="v")
        next(events)
        events.close()
        assert [each.type for each in events] == ["done"]


def test_a_file_that_urllib3_has_lost_without_us_is_no_end() -> None:
    """Whatever closes it: only a connection that was returned has met its end."""
    with Service(HALVES["chunked"]) as service, client_of(service) as client:
        said = asked_for(client)
        pieces = said.iter_bytes()
        next(pieces)
        said._response._raw.close()
        with pytest.raises(IncompleteAnswerError, match="closed"):
            next(pieces)


def test_many_answers_that_are_closed_beside_their_readers_are_whole_or_raise(
    threads: ThreadPoolExecutor, tmp_path: pathlib.Path
) -> None:
    whole = SOUND * 8

    def slowly(asked: Asked, out: Out) -> None:
        with contextlib.suppress(OSError):
            out.say(CHUNKED + b"\r\n")
            for at in range(0, len(whole), 4096):
                out.say(chunk(whole[at : at + 4096]))
            out.say(chunk(b""))

    def write(said: BinaryAPIResponse, number: int) -> bool:
        start.wait(BOUND)
        try:
            said.write_to_file(tmp_path / str(number))
        except IncompleteAnswerError:
            return False
        return True

    with Service(slowly) as service, client_of(service) as client:
        for number in range(150):
            said, start = asked_for(client), threading.Barrier(2)
            writing = threads.submit(write, said, number)
            start.wait(BOUND)
            for _ in range(number % 5):
                list(range(number * 10))
            said.close()
            assert writing.result(BOUND) == (tmp_path / str(number)).exists()
    assert {each.read_bytes() for each in tmp_path.iterdir()} <= {whole}


def test_nothing_is_read_of_an_answer_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be about to close its file."""
    with Service(HALVES["length"]) as service, client_of(service) as client:
        said = asked_for(client)
        pieces = said.iter_bytes()
        next(pieces)
        said.close()
        monkeypatch.setattr(said._response._raw, "read1", lambda *_, **__: pytest.fail("it was read"))
        with pytest.raises(IncompleteAnswerError, match="closed"):
            next(pieces)


def test_a_body_is_read_once() -> None:
    with Service(answer(200, SOUND)) as service, client_of(service) as client:
        response = asked_for(client)._response
        assert response.read() == SOUND
        with pytest.raises(IncompleteAnswerError, match="was read before"):
            response.read()


def test_an_interrupt_while_the_connection_is_given_back_does_not_cost_who_has_it_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once it is back in the pool it is somebody else's, whatever the old answer still knows."""
    go_on = threading.Event()

    def slowly(asked: Asked, out: Out) -> None:
        out.say(CHUNKED + b"\r\n" + chunk(b"a"))
        assert go_on.wait(BOUND)
        out.say(chunk(b"b") + chunk(b""))

    put = IdleConnections.put

    def put_and_stop(*arguments: Any, **options: Any) -> None:
        put(*arguments, **options)
        raise KeyboardInterrupt

    with Service(answer(200, SOUND), slowly) as service, client_of(service) as client:
        first = asked_for(client)
        with monkeypatch.context() as patch:
            patch.setattr(IdleConnections, "put", put_and_stop)
            with pytest.raises(KeyboardInterrupt):
                first.read()
        second = asked_for(client)
        first.close()
        first._response._raw.close()  # as its finalizer does
        go_on.set()
        assert second.read() == b"ab"
    assert len({each.connection for each in service.asked}) == 1


# ---- locks and collectors


def test_a_half_read_answer_may_be_collected_while_its_pool_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An iterator in a circle is closed by the collector, in the midst of whatever its thread does."""
    put, get = IdleConnections.put, IdleConnections.get
    collected: list[str] = []

    def collecting(at: str, call: Any) -> Any:
        def collect_and_call(*arguments: Any, **options: Any) -> Any:
            if at in kept:
                del kept[at]
                gc.collect()
                collected.append(at)
            return call(*arguments, **options)

        return collect_and_call

    kept: dict[str, Any] = {}
    with Service(HALVES["chunked"], HALVES["chunked"], answer(200, {})) as service, client_of(service) as client:
        said = [asked_for(client), asked_for(client)]
        for at, each in zip(("put", "get"), said):
            circle: list[Any] = [each.iter_bytes()]
            next(circle[0])
            circle.append(circle)
            kept[at] = circle
            del circle
        monkeypatch.setattr(IdleConnections, "put", collecting("put", put))
        monkeypatch.setattr(IdleConnections, "get", collecting("get", get))
        assert client.get("/x") == client.get("/x") == {}
        assert sorted(collected) == ["get", "put"]
        assert all(each.is_closed for each in said)


def test_all_pools_keep_their_connections_without_a_lock() -> None:
    with Service(answer(200, {})) as service, client_of(service) as client:
        adapter: Any = client._http._live.session.get_adapter(service.url)
        through = adapter.proxy_manager_for("http://127.0.0.1:9")
        secure: Any = client._http._live.session.get_adapter("https://x")
        managers = (adapter.poolmanager, through, secure.poolmanager, secure.proxy_manager_for("http://127.0.0.1:9"))
        for manager in managers:
            for url in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
                assert type(manager.connection_from_url(url).pool) is IdleConnections


def test_idle_connections_are_taken_last_in_first_out_and_no_more_than_there_is_room_for() -> None:
    import queue

    idle = IdleConnections(2)
    idle.put("a", block=False)
    idle.put("b", block=False)
    with pytest.raises(queue.Full):
        idle.put("c", block=False)
    assert [idle.get(block=False), idle.get(block=False)] == ["b", "a"]
    with pytest.raises(queue.Empty):
        idle.get(block=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_child_reads_nothing_of_its_parents_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(HALVES["chunked"]) as service, client_of(service) as client:
        said = asked_for(client)
        pieces = said.iter_bytes()
        next(pieces)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(ForkedError, match="parent"):
                next(pieces)
