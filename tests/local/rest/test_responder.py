"""One request and its answer: what was asked is read and written down, and what can go wrong on the way."""

from __future__ import annotations

import gzip
import http.client
import json
import select
import socket
import threading
import tracemalloc
import zlib
from typing import Any, Callable

import pytest
import requests

from cartesia_sync.local import CutAnswer, LocalServer, RefuseRequest, StallAnswer, Upload
from cartesia_sync.local.rest import responder

BOUND = 10.0
Ask = Callable[..., requests.Response]
SPEECH = {
    "model_id": "sonic-3",
    "transcript": "Hello there, how are you?",
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}


def test_requests_are_written_down(ask: Ask) -> None:
    with LocalServer(api_keys={"right"}) as server:
        ask(server, "GET", "/voices?limit=2&expand[]=a&expand[]=b", key="wrong", headers={"X-Mine": "1"})
        ask(server, "POST", "/access-token", key="right", json={"expires_in": 5})
        ask(server, "POST", "/nowhere", key=None, data=b"\xff")
        form: Any = {"data": {"name": ["a", "b"]}, "files": {"clip": ("x.wav", b"\x00", "audio/wav")}}
        ask(server, "POST", "/voices/clone", key="right", **form)
        ask(server, "POST", "/voices/clone", key="wrong", **form)
        first, second, third, fourth, fifth = server.requests
    assert (first.method, first.path) == ("GET", "/voices")
    assert first.query == {"limit": ["2"], "expand[]": ["a", "b"]}
    assert first.headers["x-mine"] == "1"
    assert first.body is None
    assert second.body == {"expires_in": 5}
    assert third.body == b"\xff"
    assert fourth.body == {"name": ["a", "b"], "clip": [Upload("x.wav", "audio/wav", b"\x00")]}
    assert fifth.body is None  # nobody has looked at it


def test_without_records_no_request_is_kept(ask: Ask) -> None:
    with LocalServer(record=False) as server:
        ask(server, "GET", "/voices")
        assert server.requests == []


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b"null", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"name=x", "application/x-www-form-urlencoded"),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=b"),
        (b"--b\r\n\r\nx", "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_a_body_of_the_wrong_kind_is_a_bad_request(ask: Ask, data: bytes, content_type: str) -> None:
    with LocalServer() as server:
        for path in ("/pronunciation-dicts/", "/voices/clone"):
            answer = ask(server, "POST", path, data=data, headers={"Content-Type": content_type})
            assert answer.status_code == 400, answer.text
            assert answer.json()["title"] == "Invalid request"


def test_a_body_that_is_not_what_its_headers_say_is_a_bad_request(ask: Ask) -> None:
    with LocalServer() as server:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        good = ask(server, "POST", "/pronunciation-dicts", data=gzip.compress(b'{"name":"x"}'), headers=headers)
        assert good.status_code == 200
        assert ask(server, "POST", "/pronunciation-dicts", data=b"no gzip", headers=headers).status_code == 400


MIB = 1024**2
JSON_PATHS = ("/tts/bytes", "/tts/sse", "/pronunciation-dicts/", "/voices/localize", "/access-token", "/nowhere")
UPLOAD_PATHS = ("/voices/clone", "/infill/bytes", "/voice-changer/bytes", "/voice-changer/sse", "/datasets/x/files")


def raw_answer(server: LocalServer, path: str, *headers: str, key: str = "any", body: bytes = b"") -> bytes:
    """The status line of what comes while no more is sent."""
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {key}", *headers, "", ""])
    with socket.create_connection((server.host, server.port), BOUND) as raw:
        raw.sendall(head.encode() + body)
        with raw.makefile("rb") as file:
            return file.readline()


@pytest.mark.parametrize("path", [*JSON_PATHS, *UPLOAD_PATHS])
def test_a_body_that_is_too_large_is_refused_before_it_has_come(path: str) -> None:
    most = MIB if path in JSON_PATHS else 100 * MIB
    with LocalServer(engine="signal") as server:
        assert b" 413 " in raw_answer(server, path, f"Content-Length: {most + 1}", "Content-Type: application/json")
        chunked = ("Transfer-Encoding: chunked", "Content-Type: application/json")
        if path in JSON_PATHS:
            body = b"%x\r\n" % (most + 1) + b"x" * (most + 1) + b"\r\n"
            assert b" 413 " in raw_answer(server, path, *chunked, body=body)


def test_an_upload_may_be_larger_than_json(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        clip = {"clip": ("c.wav", b"x" * 2 * MIB)}
        answer = ask(server, "POST", "/voices/clone", data={"name": "Mine", "language": "en"}, files=clip)
        assert answer.status_code == 200
        assert len(server.requests[0].body["clip"][0].data) == 2 * MIB
        answer = ask(server, "POST", "/pronunciation-dicts/", json={"name": "x" * 2 * MIB})
        assert (answer.status_code, answer.json()["error_code"]) == (413, "file_too_large")


@pytest.mark.parametrize("path", ["/tts/bytes", "/voices/clone", "/stt"])
def test_the_credential_is_looked_at_before_the_body(path: str) -> None:
    with LocalServer(engine="signal", api_keys={"right"}) as server:
        for headers in (["Content-Length: 60000000"], ["Transfer-Encoding: chunked"]):
            assert b" 401 " in raw_answer(server, path, *headers, key="wrong")
        assert [request.body for request in server.requests] == [None, None]


@pytest.mark.parametrize("how", ["gzip", "deflate", "raw deflate"])
def test_what_a_body_inflates_to_counts(ask: Ask, how: str) -> None:
    def deflated(data: bytes) -> bytes:
        deflator = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw deflate": -15}[how])
        return deflator.compress(data) + deflator.flush()

    headers = {"Content-Encoding": how.rpartition(" ")[2], "Content-Type": "application/json"}
    bomb = deflated(b" " * 200 * MIB)
    assert len(bomb) < MIB
    with LocalServer(engine="signal") as server:
        tracemalloc.start()
        try:
            answer = ask(server, "POST", "/pronunciation-dicts/", data=bomb, headers=headers)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (answer.status_code, answer.json()["error_code"]) == (413, "file_too_large")
        assert peak < 32 * MIB
        for good in (b'{"name": "x"}', b'{"name": "' + b"x" * 100_000 + b'"}'):
            assert ask(server, "POST", "/pronunciation-dicts/", data=deflated(good), headers=headers).ok
            cut = deflated(good)[:-9]
            assert ask(server, "POST", "/pronunciation-dicts/", data=cut, headers=headers).status_code == 400


@pytest.mark.parametrize(("encoding", "form"), [("br", False), ("zstd", False), ("gzip", True)])
def test_other_encodings_are_refused(ask: Ask, encoding: str, form: bool) -> None:
    with LocalServer(engine="signal") as server:
        body: Any = {"files": {"clip": b"x"}} if form else {"data": b"x"}
        answer = ask(server, "POST", "/voices/clone", headers={"Content-Encoding": encoding}, **body)
        assert answer.status_code == 415


def test_a_large_body_is_read_on_another_thread(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    parsed = responder._parsed

    def parse(data: bytes) -> Any:
        threads.append(threading.current_thread().name)
        return parsed(data)

    monkeypatch.setattr(responder, "_parsed", parse)
    with LocalServer(engine="signal") as server:
        for size in (10, 500_000):
            assert ask(server, "POST", "/pronunciation-dicts/", json={"name": "x" * size}).status_code == 200
    assert [name.startswith("cartesia-sync-local-server") for name in threads] == [True, False]


def test_a_body_that_does_not_come_in_time_is_not_waited_for() -> None:
    with LocalServer(engine="signal", request_timeout=0.2) as server:
        for headers in (
            ["Content-Length: 10", "Content-Type: application/json"],
            ["Content-Length: 10", "Content-Type: multipart/form-data; boundary=b"],
        ):
            assert b" 408 " in raw_answer(server, "/voices/clone", *headers, body=b"{")


def test_every_answer_has_an_id_of_its_own(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        answers = [
            ask(server, "GET", "/voices"),
            ask(server, "POST", "/tts/bytes", json=SPEECH),
            ask(server, "GET", "/x"),
        ]
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3
    assert answers[2].json()["request_id"] == answers[2].headers["X-Request-Id"]


# ---- faults


def test_the_first_requests_are_refused(ask: Ask) -> None:
    with LocalServer(faults=[RefuseRequest(429, headers={"Retry-After": "1"}, times=2), RefuseRequest(503)]) as server:
        answers = [ask(server, "GET", "/voices") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 503, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["1", "1", None, None]
    assert answers[0].json()["title"] == "Refused"


def test_a_refusal_has_the_body_that_it_is_given(ask: Ask) -> None:
    bodies: list[Any] = ["busy", b"\xff", {"tea": "pot"}]
    with LocalServer(faults=[RefuseRequest(402, body) for body in bodies]) as server:
        answers = [ask(server, "GET", "/voices", key=None) for _ in bodies]  # even without a credential
    assert [answer.status_code for answer in answers] == [402] * 3
    assert (answers[0].text, answers[1].content, answers[2].json()) == ("busy", b"\xff", {"tea": "pot"})


def test_a_fault_of_one_path_spares_the_others(ask: Ask) -> None:
    with LocalServer(faults=[RefuseRequest(500, path="/voices", times=None)]) as server:
        assert ask(server, "GET", "/accents").status_code == 200
        assert ask(server, "GET", "/voices").status_code == 500
        assert ask(server, "GET", "/voices?limit=1").status_code == 500
        server.clear_faults()
        assert ask(server, "GET", "/voices").status_code == 200


def test_a_refused_request_meets_no_other_fault(ask: Ask) -> None:
    with LocalServer(faults=[CutAnswer(), RefuseRequest(500)]) as server:
        assert ask(server, "GET", "/voices").status_code == 500
        with pytest.raises(requests.ConnectionError):
            ask(server, "GET", "/voices")


def test_a_refusal_of_requests_spares_sockets(dial: Callable[..., Any]) -> None:
    with LocalServer(faults=[RefuseRequest(500)]) as server:
        dial(server)


class Caller:
    """A client which sees every byte of an answer as it comes."""

    def __init__(self, server: LocalServer, method: str, path: str, body: Any = None) -> None:
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=BOUND)
        headers = {"X-API-Key": "any", "Content-Type": "application/json"}
        self.connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)

    def answer(self) -> http.client.HTTPResponse:
        return self.connection.getresponse()

    def cut(self) -> bytes:
        """The body up to where it is cut."""
        with pytest.raises(http.client.IncompleteRead) as caught:
            self.answer().read()
        self.connection.close()
        return caught.value.partial

    def hears_nothing(self) -> bool:
        return not select.select([self.connection.sock], [], [], 0)[0]


@pytest.mark.parametrize("after", [1, 700, 4000])
def test_an_answer_is_cut_after_so_many_bytes(ask: Ask, after: int) -> None:
    with LocalServer(engine="signal", chunk_bytes=512, faults=[CutAnswer(after)] * 2) as server:
        cut = [Caller(server, "POST", "/tts/bytes", SPEECH).cut(), Caller(server, "GET", "/accents").cut()]
        whole = [ask(server, "POST", "/tts/bytes", json=SPEECH).content, ask(server, "GET", "/accents").content]
    assert cut == [body[:after] for body in whole]
    assert all(len(body) > after for body in whole)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_ends_before_the_answer(reset: bool) -> None:
    with LocalServer(faults=[CutAnswer(reset=reset)]) as server:
        asking = http.client.HTTPConnection(server.host, server.port, timeout=BOUND)
        asking.request("GET", "/")
        with pytest.raises(ConnectionResetError) as caught:
            asking.getresponse()
        # One says that there was nothing at all, the other that the stream was reset.
        assert isinstance(caught.value, http.client.RemoteDisconnected) is not reset
        asking.close()


def test_a_reset_in_mid_answer_is_a_reset() -> None:
    with LocalServer(engine="signal", faults=[CutAnswer(100, reset=True)]) as server:
        caller = Caller(server, "POST", "/tts/bytes", SPEECH)
        with pytest.raises(ConnectionResetError):
            caller.answer().read()  # the reset may overtake all of it
        caller.connection.close()


@pytest.mark.parametrize("after", [0, 1, 700])
@pytest.mark.parametrize(("method", "path", "body"), [("POST", "/tts/bytes", SPEECH), ("GET", "/accents", None)])
def test_an_answer_stalls_until_it_may_go_on(ask: Ask, after: int, method: str, path: str, body: Any) -> None:
    go_on = threading.Event()
    with LocalServer(engine="signal", faults=[StallAnswer(go_on, after=after)]) as server:
        caller = Caller(server, method, path, body)
        if after:
            answer = caller.answer()
            begun = answer.read(after)
        server.wait_for(lambda server: len(server.requests) == 1, BOUND)
        # A second request is answered whole meanwhile, so the first could have been.
        whole = ask(server, method, path, json=body).content
        assert caller.hears_nothing()
        go_on.set()
        assert (begun + answer.read() if after else caller.answer().read()) == whole
        caller.connection.close()


def test_a_stall_and_a_cut_come_in_their_order() -> None:
    go_on = threading.Event()
    go_on.set()
    with LocalServer(faults=[CutAnswer(200), StallAnswer(go_on, after=100)]) as server:
        assert len(Caller(server, "GET", "/accents").cut()) == 200


def test_an_answer_without_a_body_can_be_cut_too(ask: Ask) -> None:
    with LocalServer() as server:
        made = ask(server, "POST", "/pronunciation-dicts/", json={"name": "x"}).json()
        server.inject(CutAnswer(path=f"/pronunciation-dicts/{made['id']}"))
        with pytest.raises(requests.ConnectionError):
            ask(server, "DELETE", f"/pronunciation-dicts/{made['id']}")
        # It was done all the same: only the answer was lost.
        assert ask(server, "DELETE", f"/pronunciation-dicts/{made['id']}").status_code == 404


@pytest.mark.parametrize(("key", "status"), [("x", b"100"), ("", b"401")])
def test_a_body_that_is_held_back_is_asked_for_if_it_is_welcome(key: str, status: bytes) -> None:
    head = f"POST /tts/bytes HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nExpect: 100-continue\r\n"
    with LocalServer(engine="signal") as server, socket.create_connection((server.host, server.port), BOUND) as raw:
        raw.sendall(f"{head}Content-Length: 2\r\n\r\n".encode())
        assert raw.recv(65536).split()[1] == status
        if status == b"100":
            raw.sendall(b"{}")
            assert raw.recv(65536).split()[1] == b"400"
