"""HTTP answers that refuse, as exceptions."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from cartesia_sync.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from cartesia_sync.transport.error_response import error_response
from cartesia_sync.transport.redaction import redacted, secrets_in

STATUSES = [
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
    (503, InternalServerError),
    (599, InternalServerError),
    (200, APIStatusError),
    (302, APIStatusError),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_each_status_has_its_exception(status: int, kind: type[APIStatusError]) -> None:
    error = error_response(status, {}, b"", what="this")
    assert type(error) is kind
    assert error.status_code == status
    assert str(error) == f"The service refused this with status {status}."
    assert error.body is None


FACTS = {
    "error_code": "voice_not_found",
    "title": "Voice not found",
    "message": "No such voice.",
    "request_id": "from-body",
    "doc_url": "https://docs.example/errors",
}

BODIES: list[Any] = [
    # body, decoded body, words in the message, attributes
    pytest.param(
        json.dumps(FACTS).encode(),
        FACTS,
        ": Voice not found: No such voice.",
        {key: FACTS[key] for key in ("error_code", "title", "request_id", "doc_url")},
        id="all facts",
    ),
    pytest.param(b'{"message": "No."}', {"message": "No."}, ": No.", {}, id="message only"),
    pytest.param(b'{"title": "Oh"}', {"title": "Oh"}, ": Oh", {"title": "Oh"}, id="title only"),
    pytest.param(b'{"title": "", "message": null}', {"title": "", "message": None}, ".", {"title": ""}, id="no words"),
    pytest.param(b'{"error": {"a": 1}}', {"error": {"a": 1}}, ".", {}, id="another object"),
    pytest.param(b'{"title": 7, "error_code": [1]}', {"title": 7, "error_code": [1]}, ": 7", {}, id="not text"),
    pytest.param(b"Forbidden: no such plan\n", "Forbidden: no such plan", ": Forbidden: no such plan", {}, id="text"),
    pytest.param(b"<html>\xff</html>", "<html>\ufffd</html>", ": <html>\ufffd</html>", {}, id="not UTF-8"),
    pytest.param(b"", None, ".", {}, id="empty"),
    pytest.param(b" \r\n", None, ".", {}, id="blank"),
    pytest.param(b'"No."', "No.", ': "No."', {}, id="JSON text"),
    pytest.param(b"[1, 2]", [1, 2], ": [1, 2]", {}, id="JSON list"),
    pytest.param(b"null", None, ": null", {}, id="JSON null"),
    pytest.param(b'{"title": "cut', '{"title": "cut', ': {"title": "cut', {}, id="cut off"),
    pytest.param(b"[" * 60_000, "[" * 60_000, ": " + "[" * 60_000, {}, id="nested too deep"),
]


@pytest.mark.parametrize(("body", "decoded", "words", "facts"), BODIES)
def test_each_shape_of_body_is_read(body: bytes, decoded: object, words: str, facts: dict[str, str]) -> None:
    error = error_response(404, {}, body, what="this")
    assert error.body == decoded
    assert error.response.text == body.decode("utf-8", "replace")
    assert str(error) == f"The service refused this with status 404{words}"
    attributes = {key: getattr(error, key) for key in ("error_code", "title", "request_id", "doc_url")}
    assert attributes == {"error_code": None, "title": None, "request_id": None, "doc_url": None, **facts}


def test_the_request_id_comes_from_the_headers_where_the_body_has_none() -> None:
    headers = {"x-request-id": "from-header"}
    assert error_response(500, headers, b"", what="this").request_id == "from-header"
    assert error_response(500, headers, b'{"request_id": 5}', what="this").request_id == "from-header"
    assert error_response(500, headers, b'{"request_id": "from-body"}', what="this").request_id == "from-body"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_time_to_wait_is_told_where_the_service_said_it(headers: dict[str, str], seconds: float) -> None:
    assert error_response(429, headers, b"", what="this").retry_after == seconds


def test_headers_are_a_copy() -> None:
    headers = {"x-request-id": "one"}
    error = error_response(500, headers, b"", what="this")
    headers["x-request-id"] = "two"
    assert error.headers == {"x-request-id": "one"}


def test_the_exception_of_an_error_response_survives_pickling() -> None:
    error = error_response(404, {"retry-after": "3"}, json.dumps(FACTS).encode(), what="this")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({}, []),
        ({"Authorization": "Bearer sk_car_abc"}, [b"sk_car_abc"]),
        ({"AUTHORIZATION": "sk_car_abc"}, [b"sk_car_abc"]),
        ({"X-API-Key": " sk_car_abc "}, [b"sk_car_abc"]),
        ({"X-API-Key": "short"}, []),
        ({"X-API-Key": ""}, []),
        ({"Cookie": "a=1; b=12345678"}, [b"b=12345678", b"12345678"]),
        ({"Proxy-Authorization": "Basic dXNlcjpwYXNz"}, [b"dXNlcjpwYXNz"]),
        ({"User-Agent": "cartesia-sync/1.0.0"}, []),
        ({"Authorization": "sk_car_abc", "X-API-Key": "sk_car_abcdef"}, [b"sk_car_abcdef", b"sk_car_abc"]),
    ],
)
def test_the_credentials_of_a_request_are_known_the_longest_first(
    headers: dict[str, str], secrets: list[bytes]
) -> None:
    assert secrets_in(headers) == secrets


def test_a_secret_within_another_leaves_no_rest() -> None:
    secrets = secrets_in({"Authorization": "sk_car_abc", "X-API-Key": "sk_car_abcdef"})
    assert redacted(b"<sk_car_abcdef> <sk_car_abc>", secrets) == b"<[redacted]> <[redacted]>"
