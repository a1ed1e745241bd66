"""When a call over HTTP is tried again, how often, after how long, and with what."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any, Optional

import pytest

from cartesia_sync import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    Cartesia,
    CartesiaError,
    InternalServerError,
)
from cartesia_sync.errors import ConnectTimeoutError, IncompleteAnswerError
from cartesia_sync.transport import retry
from cartesia_sync.transport.http import session as http
from cartesia_sync.transport.retry import pause_after

from ...support.http_service import Asked, Out, Service, answer
from ...support.peer import BOUND

KEY = "sk_car_a-key-for-retries"
OK = answer(200, {"ok": True})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait between attempts, and note for how long it would have been."""
    noted: list[float] = []

    def pause(error: CartesiaError, attempt: int, **facts: Any) -> Optional[float]:
        found = pause_after(error, attempt, **facts)
        if found is None:
            return None
        noted.append(found)
        return 0.0

    monkeypatch.setattr(retry, "pause_after", pause)
    return noted


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, **options)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 599])
def test_a_status_that_may_pass_is_tried_twice_more(pauses: list[float], status: int, method: str) -> None:
    with Service(answer(status), answer(status), OK) as service, client_of(service) as client:
        assert client.request(method, "/x") == {"ok": True}
    assert len(service.asked) == 3
    assert 0.375 <= pauses[0] <= 0.5 < 0.75 <= pauses[1] <= 1


@pytest.mark.parametrize("status", [300, 304, 400, 401, 402, 403, 404, 418, 422])
def test_a_status_that_will_not_pass_is_told_at_once(pauses: list[float], status: int) -> None:
    with Service(answer(status), OK) as service, client_of(service) as client, pytest.raises(APIStatusError) as refused:
        client.get("/x")
    assert refused.value.status_code == status
    assert len(service.asked) == 1


def test_after_the_last_attempt_its_error_is_raised(pauses: list[float]) -> None:
    with (
        Service(answer(500), answer(502), answer(503, "Third: time")) as service,
        client_of(service) as client,
        pytest.raises(InternalServerError, match="Third: time") as refused,
    ):
        client.get("/x")
    assert refused.value.status_code == 503
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {"Retry_After": "7"}, 7.0),
        (503, {"Retry_After": "0.25"}, 0.25),
        (429, {"Retry_After_Ms": "1500"}, 1.5),
        (429, {"Retry_After_Ms": "1500", "Retry_After": "7"}, 1.5),
        (429, {"Retry_After_Ms": "soon", "Retry_After": "7"}, 7.0),
        (429, {"Retry_After": "61"}, None),
        (429, {"Retry_After": "-1"}, None),
        (429, {"Retry_After": "nan"}, None),
        (429, {"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        (429, {"Retry_After": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
    ],
)
def test_the_service_says_how_long_to_wait(
    pauses: list[float], status: int, headers: dict[str, str], pause: Optional[float]
) -> None:
    with Service(answer(status, **headers), OK) as service, client_of(service) as client:
        client.post("/x", body={})
    if pause is None:
        assert pauses[0] <= 0.5  # our own
    else:
        assert pauses == [pause]


def test_the_service_may_say_a_date(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    date = formatdate(1_800_000_009, usegmt=True)
    with Service(answer(429, Retry_After=date), OK) as service, client_of(service) as client:
        client.get("/x")
    assert pauses == [9.0]


@pytest.mark.parametrize(
    ("status", "wish", "attempts"), [(400, "true", 2), (503, "false", 1), (503, "perhaps", 2), (404, "perhaps", 1)]
)
def test_the_service_says_whether_another_attempt_helps(
    pauses: list[float], status: int, wish: str, attempts: int
) -> None:
    with Service(answer(status, X_Should_Retry=wish), OK) as service, client_of(service) as client:
        if attempts == 1:
            with pytest.raises(APIStatusError):
                client.get("/x")
        else:
            client.get("/x")
    assert len(service.asked) == attempts


def hang_up(asked: Asked, out: Out) -> None:
    out.hang_up()


def hang_up_within_the_head(asked: Asked, out: Out) -> None:
    out.say(b"HTTP/1.1 2")
    out.hang_up()


def hang_up_within_the_json(asked: Asked, out: Out) -> None:
    out.say(OK[:-3])
    out.hang_up()


@pytest.mark.parametrize("broken", [hang_up, hang_up_within_the_head, hang_up_within_the_json])
def test_a_connection_that_breaks_is_made_anew(pauses: list[float], broken: Callable[[Asked, Out], None]) -> None:
    with Service(broken, broken, OK) as service, client_of(service) as client:
        assert client.post("/x", body={"a": 1}) == {"ok": True}
    assert [each.body for each in service.asked] == [b'{"a":1}'] * 3
    assert len({each.connection for each in service.asked}) == 3


def test_json_that_breaks_off_every_time_is_raised(pauses: list[float]) -> None:
    with (
        Service(hang_up_within_the_json) as service,
        client_of(service) as client,
        pytest.raises(IncompleteAnswerError) as broken,
    ):
        client.get("/x")
    assert broken.value.received_bytes == len(b'{"ok": true}') - 3
    assert len(service.asked) == 3


def test_silence_is_tried_again_since_each_attempt_has_a_timeout_of_its_own(pauses: list[float]) -> None:
    def say_nothing(asked: Asked, out: Out) -> None:
        out.wait_until_gone()

    with Service(say_nothing, OK) as service, client_of(service, timeout=(BOUND, 0.05)) as client:
        assert client.get("/x") == {"ok": True}
        assert len(pauses) == 1
    with (
        Service(say_nothing) as service,
        client_of(service, timeout=(BOUND, 0.05), max_retries=1) as client,
        pytest.raises(APITimeoutError, match=r"nothing was heard for 0\.05 seconds") as silent,
    ):
        client.get("/x")
    assert silent.value.timeout == 0.05
    assert len(service.asked) == 2


def test_a_port_that_refuses_is_tried_again(pauses: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        client = Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(APIConnectionError, match="refused"):
            client.get("/x")
    assert len(pauses) == 2


def test_an_address_that_does_not_answer_is_a_matter_of_the_connect_timeout(pauses: list[float]) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(3)]  # more than it takes: what comes then is left without an answer
        try:
            for other in others:
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            port = full.getsockname()[1]
            client = Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{port}", timeout=(0.05, BOUND), max_retries=1)
            with pytest.raises(ConnectTimeoutError, match=r"no connection within 0\.05 seconds") as late:
                client.get("/x")
        finally:
            for other in others:
                other.close()
    assert late.value.timeout == 0.05
    assert len(pauses) == 1


def test_a_connection_that_went_stale_in_the_pool_costs_nothing_but_an_attempt(pauses: list[float]) -> None:
    with Service(OK) as service, client_of(service) as client:
        client.get("/x")
        service.cut()
        assert client.post("/x") == {"ok": True}


def test_the_shortest_timeout_is_over_at_once(pauses: list[float]) -> None:
    def say_nothing(asked: Asked, out: Out) -> None:
        out.wait_until_gone()

    with Service(say_nothing) as service, client_of(service, max_retries=0) as client, pytest.raises(APITimeoutError):
        client.get("/x", options={"timeout": (BOUND, 1e-9)})


# ---- how often


@pytest.mark.parametrize(
    ("of_client", "of_copy", "of_call", "attempts"),
    [(0, None, None, 1), (5, None, None, 6), (5, 1, None, 2), (0, 3, None, 4), (5, 4, 0, 1), (0, 0, 2, 3)],
)
def test_the_number_of_retries_is_the_calls_the_copys_or_the_clients(
    pauses: list[float], of_client: int, of_copy: Optional[int], of_call: Optional[int], attempts: int
) -> None:
    with Service(answer(503)) as service, client_of(service, max_retries=of_client) as client:
        if of_copy is not None:
            client = client.with_options(max_retries=of_copy)
        with pytest.raises(InternalServerError):
            client.get("/x", options={} if of_call is None else {"max_retries": of_call})
    assert len(service.asked) == attempts


@pytest.mark.parametrize("wrong", [-1, True, "2", 1.0])
def test_a_number_of_retries_that_is_none_is_refused(wrong: Any) -> None:
    client = Cartesia(api_key=KEY)
    with pytest.raises(ValueError, match="max_retries"):
        Cartesia(api_key=KEY, max_retries=wrong)
    with pytest.raises(ValueError, match="max_retries"):
        client.with_options(max_retries=wrong)
    with pytest.raises(ValueError, match="max_retries"):
        client.get("/x", options={"max_retries": wrong})


# ---- with what


def test_a_form_with_a_file_object_is_sent_whole_each_time(pauses: list[float]) -> None:
    file = io.BytesIO(b"before" + b"sound" * 1000)
    file.seek(6)
    with Service(answer(503), hang_up, OK) as service, client_of(service) as client:
        client.post("/x", form={"name": "n"}, files={"clip": file})
    assert b"sound" * 1000 in service.asked[0].body
    assert b"before" not in service.asked[0].body
    assert len({each.body for each in service.asked}) == 1
    assert len({each.headers["content-type"] for each in service.asked}) == 1


def test_the_answer_that_was_asked_for_as_a_stream_is_tried_again_until_its_head_is_there(pauses: list[float]) -> None:
    with Service(hang_up, answer(503), answer(200, b"sound")) as service, client_of(service) as client:
        said = client.tts.generate(model_id="m", output_format={}, transcript="t", voice="v")
        assert said.read() == b"sound"
    assert len(service.asked) == 3


# ---- close


def test_close_wakes_who_waits_for_another_attempt(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()
    wait = http._Closing.wait
    closings: list[http._Closing] = []

    def watched(self: http._Closing, seconds: float) -> None:
        assert seconds == 60.0
        closings.append(self)
        waits.set()
        wait(self, seconds)

    monkeypatch.setattr(http._Closing, "wait", watched)
    with Service(answer(503, Retry_After="60")) as service:
        client = client_of(service)
        failing = threads.submit(client.get, "/x")
        assert waits.wait(BOUND)
        client.close()
        with pytest.raises(APIConnectionError, match="the client is closed"):
            failing.result(BOUND)
    assert len(service.asked) == 1
    assert closings[0]._waiting == {}


def test_who_comes_to_wait_after_the_close_does_not_wait(threads: ThreadPoolExecutor) -> None:
    closing = http._Closing()
    closing.set()
    threads.submit(closing.wait, 60.0).result(BOUND)


def test_a_closed_client_asks_nobody() -> None:
    with Service(OK) as service:
        client = client_of(service)
        client.get("/x")
        assert not client.is_closed()
        client.close()
        client.close()
        assert client.is_closed()
        with pytest.raises(APIConnectionError, match="the client is closed"):
            client.get("/x")
        with pytest.raises(APIConnectionError, match="the client is closed"):
            client.tts.generate(model_id="m", output_format={}, transcript="t", voice="v")
    assert len(service.asked) == 1
