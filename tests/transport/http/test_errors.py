"""What a user learns of a request over HTTP that failed, and what no exception may show."""

from __future__ import annotations

import json
import pickle
import socket
import traceback
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from cartesia_sync import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Cartesia,
    ConflictError,
    IncompleteAnswerError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from cartesia_sync.errors import APIResponseValidationError, ProtocolError, ProxySettingError
from cartesia_sync.exchange import HTTPRequest
from cartesia_sync.transport.error_response import MAX_BODY_BYTES

from ...support.http_service import Asked, Out, Service, answer

KEY = "sk_car_a-key-for-errors"
FACTS = {
    "error_code": "voice_not_found",
    "title": "Voice not found",
    "message": "No such voice.",
    "request_id": "11111111-2222-3333-4444-555555555555",
    "doc_url": "https://docs.example/errors",
}


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def failure_of(given: Any, **options: Any) -> APIError:
    with Service(given) as service, client_of(service) as client, pytest.raises(APIError) as failed:
        client.get("/voices/x", **options)
    return failed.value


def words_of(error: Optional[BaseException]) -> Iterator[str]:
    """Return all that an exception, and what is behind it, can be made to show."""
    todo, seen = [error], set()
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
        yield "".join(traceback.format_exception_only(type(each), each))
        todo += [each.__cause__, each.__context__]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, APIStatusError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (599, InternalServerError),
    ],
)
def test_an_error_response_keeps_all_that_the_service_said(status: int, kind: type[APIStatusError]) -> None:
    error = failure_of(answer(status, FACTS, X_More="1"))
    assert type(error) is kind
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.body == FACTS
    names = ("error_code", "title", "request_id", "doc_url")
    assert {name: getattr(error, name) for name in names} == {name: FACTS[name] for name in names}
    assert error.headers["x-more"] == "1"
    assert str(error) == (f"The service refused GET /voices/x with status {status}: Voice not found: No such voice.")


def test_older_versions_refuse_in_plain_text() -> None:
    error = failure_of(answer(404, "Not found: no such voice", X_Request_Id="from-header"))
    assert isinstance(error, NotFoundError)
    assert (error.body, error.request_id) == ("Not found: no such voice", "from-header")
    assert str(error).endswith("404: Not found: no such voice")


@pytest.mark.parametrize(("body", "kept"), [(b"", None), (b"<html>No</html>", "<html>No</html>"), (b"\xff", "\ufffd")])
def test_any_other_body_is_kept_as_text(body: bytes, kept: Optional[str]) -> None:
    assert failure_of(answer(502, body)).body == kept


def test_a_body_that_breaks_off_leaves_the_status() -> None:
    def broken(asked: Asked, out: Out) -> None:
        out.say(answer(403, b"A lot of words")[:-4])
        out.hang_up()

    error = failure_of(broken)
    assert isinstance(error, PermissionDeniedError)
    assert error.body is None


def test_a_body_without_end_is_read_in_part_and_the_connection_given_up() -> None:
    def endless(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n")
        out.flood(b"x" * MAX_BODY_BYTES)

    assert failure_of(endless).body == "x" * MAX_BODY_BYTES


@pytest.mark.parametrize("status", [400, 200])
@pytest.mark.parametrize("where", ["body", "json", "header"])
def test_an_answer_that_echoes_the_key_does_not_bring_it_into_an_exception(status: int, where: str) -> None:
    def echo(asked: Asked, out: Out) -> None:
        credential = asked.headers["authorization"]
        if where == "json":
            out.say(answer(status, [{"title": credential, "message": f"{credential} {credential}"}][status == 200 :]))
        elif where == "body":
            out.say(answer(status, f"you sent {credential}"))
        else:
            out.say(answer(status, "not json", X_Echo=credential, X_Request_Id=credential))

    from cartesia_sync.types import Voice

    error = failure_of(echo, cast_to=Voice)
    assert isinstance(error, APIStatusError if status == 400 else APIResponseValidationError)
    assert not [words for words in words_of(error) if KEY in words]
    if where == "body":
        assert "[redacted]" in repr(vars(error))


def test_an_echo_that_lies_across_the_end_of_what_is_kept_shows_no_half_of_the_key() -> None:
    def echo(asked: Asked, out: Out) -> None:
        out.say(answer(400, b"x" * (MAX_BODY_BYTES - 12) + KEY.encode() + b"x" * 100))

    assert "sk_car" not in repr(failure_of(echo).body)


@pytest.mark.parametrize(
    ("header", "value", "secret"),
    [
        ("X-API-Key", "a-second-s3cret", "a-second-s3cret"),
        ("Cookie", "short=1; session=a-third-s3cret; other=2", "a-third-s3cret"),
        ("Authorization", "Digest user, response=a-fourth-s3cret", "a-fourth-s3cret"),
    ],
)
def test_other_credentials_are_not_told_either(header: str, value: str, secret: str) -> None:
    def echo(asked: Asked, out: Out) -> None:
        out.say(answer(400, f"<{secret}>"))

    with (
        Service(echo) as service,
        client_of(service, default_headers={header: value}) as client,
        pytest.raises(BadRequestError) as failed,
    ):
        client.get("/x")
    assert failed.value.body == "<[redacted]>"


def test_no_failed_connection_tells_the_key_or_the_query() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0)
        with pytest.raises(APIConnectionError) as failed:
            client.get("/x", query={"access_token": "what-was-asked"})
    words = list(words_of(failed.value))
    assert words[0].startswith("GET /x: ")
    assert not [each for each in words if KEY in each or "what-was-asked" in each]
    assert failed.value.request == HTTPRequest("GET", f"http://127.0.0.1:{port}/x")
    # Nor does what is behind it hold requests' own, where a debugger or a reporter would find the key.
    behind: Optional[BaseException] = failed.value
    while behind is not None:
        assert isinstance(getattr(behind, "request", None), (HTTPRequest, type(None)))
        behind = behind.__cause__ or behind.__context__


@pytest.mark.parametrize("proxy", ["http://user:a-s3cret@127.0.0.1:port", "socks9://u:s3cret@h"])
def test_a_proxy_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    client = Cartesia(api_key=KEY, base_url="https://api.example", max_retries=0)
    with pytest.raises(ProxySettingError, match=r"HTTPS_PROXY names a proxy with the scheme '(http|socks9)'") as failed:
        client.get("/x")
    assert not [words for words in words_of(failed.value) if "s3cret" in words]


@pytest.mark.parametrize("given", [answer(404, FACTS), answer(200, "no json"), lambda asked, out: out.hang_up()])
def test_what_is_raised_survives_pickling(given: Any) -> None:
    error = failure_of(given)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_a_compression_that_was_not_asked_for_or_is_none_is_no_answer(head: bytes) -> None:
    assert isinstance(failure_of(head), ProtocolError)


@pytest.mark.parametrize(
    "head",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:port/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http:///\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://..a/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://*a/\r\n\r\n",
    ],
)
def test_whatever_the_service_says_no_foreign_exception_reaches_the_user(head: bytes) -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(head)
        out.hang_up()

    assert isinstance(failure_of(say), APIConnectionError)


# ---- what was asked, and what was answered


def test_a_refusal_shows_its_request_and_its_answer() -> None:
    said = {"title": "Oh", "message": "No."}
    with Service(answer(404, said, X_Thing="a", Content_Type="application/json")) as service:
        client = Cartesia(api_key=KEY, base_url=service.url, max_retries=0)
        with client, pytest.raises(NotFoundError) as failed:
            client.request("PATCH", "/voices/v", query={"access_token": "secret"}, body={})
    error = failed.value
    assert error.request == HTTPRequest("PATCH", f"{service.url}/voices/v")
    assert (error.response.status_code, error.response.headers["X-Thing"]) == (404, "a")
    assert error.response.headers.get("CONTENT-TYPE") == "application/json"
    assert error.response.json() == json.loads(error.response.text) == said
    assert error.response.content == error.response.text.encode()
    assert error.response.request is error.request
    assert error.response.url == error.request.url
    again = pickle.loads(pickle.dumps(error))
    assert (again.request, again.response) == (error.request, error.response)
    assert KEY not in f"{error.response!r}{error.request!r}{vars(error)!r}"


def test_whatever_goes_wrong_with_an_answer_shows_its_request() -> None:
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf"
    ways: list[tuple[Any, type[APIError]]] = [
        (broken, IncompleteAnswerError),
        (answer(200, b"not JSON"), APIResponseValidationError),
        (answer(200, b"not gzip", Content_Encoding="gzip"), ProtocolError),
        (answer(200, b"who knows", Content_Encoding="br"), ProtocolError),
    ]
    for said, kind in ways:
        with Service(said) as service, Cartesia(api_key=KEY, base_url=service.url, max_retries=0) as client:
            with pytest.raises(kind) as failed:
                client.get("/thing")
            assert failed.value.request == HTTPRequest("GET", f"{service.url}/thing")
        with Service(said) as service, Cartesia(api_key=KEY, base_url=service.url, max_retries=0) as client:
            if kind is not APIResponseValidationError:
                audio = client.agents.calls.download_audio("c")
                with pytest.raises(kind) as failed:
                    audio.read()
                assert failed.value.request == HTTPRequest("GET", f"{service.url}/agents/calls/c/audio")


def test_a_refused_handshake_shows_its_request_and_its_answer() -> None:
    with Service(answer(401, {"title": "Who?"}, X_Thing="a")) as service:
        client = Cartesia(api_key=KEY, base_url=service.url, max_retries=0)
        with pytest.raises(AuthenticationError) as failed:
            client.tts.websocket_connect(extra_query={"a": "secret"}).enter()
    assert failed.value.request == HTTPRequest("GET", f"ws{service.url[4:]}/tts/websocket")
    assert failed.value.response.json() == {"title": "Who?"}
    assert failed.value.response.headers["x-thing"] == "a"
