"""Events of an HTTP answer, as they come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.errors import APITimeoutError, IncompleteAnswerError, MalformedEventError, MessageTooBigError
from cartesia_sync.exchange import HTTPRequest
from cartesia_sync.resources import events as events_module

from ..support.http_service import Asked, Out, Service, answer, chunk, event

KEY = "sk_car_a-key-for-answers"
BOUND = 10.0
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = {"type": "chunk", "context_id": "c", "data": "AAA=", "done": False, "status_code": 206, "step_time": 1.0}
DONE = {"type": "done", "context_id": "c", "done": True, "status_code": 206}
ERROR = {"type": "error", "context_id": "c", "done": True, "status_code": 500, "title": "Oh", "message": "no"}


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def events_of(client: Cartesia, **more: Any) -> events_module.Stream[Any]:
    return client.tts.generate_sse(model_id="m", output_format=RAW, transcript="t", voice="v", **more)


def cut(content: bytes) -> Callable[[Asked, Out], None]:
    def say(asked: Asked, out: Out) -> None:
        out.say(content)
        out.hang_up()

    return say


def test_events_are_the_sockets_own_and_their_connection_is_used_again() -> None:
    stream = answer(200, chunks=[event(CHUNK), b": ping\n\n", event({**CHUNK, "data": "AA=="}) + event(DONE)])
    with Service(stream) as service, client_of(service) as client:
        for _ in range(2):
            with events_of(client) as events:
                assert events.status_code == 200
                heard = list(events)
                assert [each.type for each in heard] == ["chunk", "chunk", "done"]
                assert heard[0].samples().tolist() == [0.0]
                assert heard[1].samples().tolist() == []
                assert list(events) == []
    assert len({each.connection for each in service.asked}) == 1
    assert service.asked[0].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_events_come_whole_wherever_the_pieces_end(end: bytes) -> None:
    whole = event(CHUNK, end=end) + event(DONE, end=end)
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    with Service(answer(200, chunks=pieces)) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["chunk", "done"]


def test_an_error_event_is_given_and_is_the_last() -> None:
    with (
        Service(answer(200, chunks=[event(CHUNK), b"event: error\n" + event(ERROR)])) as service,
        client_of(service) as client,
    ):
        *_, last = list(events_of(client))
    assert (last.type, last.error, last.done) == ("error", "Oh: no", True)


def test_an_error_event_that_says_it_is_not_the_last_is_not() -> None:
    stream = answer(200, chunks=[event({**ERROR, "done": False}), event(DONE)])
    with Service(stream) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["error", "done"]


@pytest.mark.parametrize(
    "given",
    [
        answer(200, chunks=[event(CHUNK)]),
        answer(200, chunks=[event(CHUNK), event(DONE)[:-1]]),
        cut(STREAM + chunk(event(CHUNK))),
        cut(STREAM + chunk(event(CHUNK)) + chunk(event(DONE))[:-9]),
        cut(b"HTTP/1.1 200 OK\r\n\r\n" + event(CHUNK)),
        answer(200, event(CHUNK)),
    ],
    ids=["ends early", "ends within the last", "cut", "cut within the last", "no length", "length"],
)
def test_a_stream_that_ends_before_its_last_event_is_no_whole_one(given: Any) -> None:
    heard: list[Any] = []
    with Service(given) as service, client_of(service) as client:
        events = events_of(client)
        with pytest.raises(IncompleteAnswerError, match="POST /tts/sse") as ended:
            heard.extend(events)
        assert events._response.is_closed
    assert [each.type for each in heard] == ["chunk"]
    assert ended.value.received_bytes >= len(event(CHUNK))


def test_a_stream_without_length_is_whole_with_its_last_event() -> None:
    with Service(cut(b"HTTP/1.1 200 OK\r\n\r\n" + event(CHUNK) + event(DONE))) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["chunk", "done"]


def test_events_are_given_as_they_arrive() -> None:
    has_got = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(CHUNK)))
        assert has_got.wait(BOUND)
        out.say(chunk(event(DONE)) + chunk(b""))

    with Service(say) as service, client_of(service) as client:
        events = events_of(client)
        assert next(events).type == "chunk"
        has_got.set()
        assert next(events).type == "done"
        assert list(events) == []


def test_after_the_last_event_nobody_waits_for_the_end_of_the_answer() -> None:
    """Which may not come: the client would hang here, for as long as its clock runs."""
    has_ended = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(DONE)))
        assert has_ended.wait(BOUND)

    with Service(say) as service, client_of(service, timeout=(BOUND, None)) as client:
        events = events_of(client)
        assert [each.type for each in events] == ["done"]
        has_ended.set()
        assert events._response.is_closed


def test_after_the_last_event_nobody_reads_whatever_comes() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(DONE)))
        out.flood(chunk(b": more\n\n" * 10_000))

    with Service(say) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["done"]


def test_leaving_or_closing_early_ends_the_connection() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM)
        out.flood(chunk(event(CHUNK)))

    with Service(say) as service, client_of(service) as client:
        with events_of(client) as events:
            next(events)
        with pytest.raises(IncompleteAnswerError):
            list(events)
        events.close()
        unread = events_of(client)
        unread.close()
        with pytest.raises(IncompleteAnswerError):
            next(unread)


def test_silence_between_events_is_a_matter_of_the_read_clock() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(CHUNK)))
        out.wait_until_gone()

    with Service(say) as service, client_of(service) as client:
        events = events_of(client, timeout=(BOUND, 0.05))
        next(events)
        with pytest.raises(APITimeoutError, match=r"nothing was heard for 0\.05 seconds"):
            next(events)


def test_a_stream_shows_its_answer() -> None:
    stream = answer(200, chunks=[event(CHUNK), event(DONE)], X_Request_Id="r")
    with Service(stream) as service, client_of(service) as client:
        events = events_of(client)
        assert (events.response.request_id, events.response.status_code) == ("r", 200)
        assert events.response.headers["X-REQUEST-ID"] == events.headers["x-request-id"] == "r"
        assert events.response.parse() is events
        with pytest.raises(ValueError, match="has been read"):
            events.response.read()
        assert next(events).type == "chunk"
        events.response.close()
        assert events.response.is_closed
        with pytest.raises(IncompleteAnswerError, match="was closed"):
            next(events)


@pytest.mark.parametrize("data", [b"data: no json\n\n", b"data: [1]\n\n", b"data: {}\n\n", b"data: \xff\n\n"])
def test_an_event_that_is_none_is_told(data: bytes) -> None:
    with (
        Service(answer(200, chunks=[data, event(DONE)])) as service,
        client_of(service) as client,
        pytest.raises(MalformedEventError) as failed,
    ):
        list(events_of(client))
    assert failed.value.request == HTTPRequest("POST", f"{service.url}/tts/sse")


def test_an_event_of_any_size_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MAX_EVENT_BYTES", 100_000)

    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(b"data: "))
        out.flood(chunk(b"x" * 50_000))

    with Service(say) as service, client_of(service) as client, pytest.raises(MessageTooBigError) as refused:
        next(events_of(client))
    assert refused.value.limit_bytes == 100_000
