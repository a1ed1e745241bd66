from __future__ import annotations

import base64
import json
import socket
from typing import Any, Optional

import jwt
import pytest

from cartesia_sync.local.admission import Admission, Neighbours
from cartesia_sync.local.requests import ApiError


def problem(admission: Admission, credential: str, grant: Optional[str] = "tts") -> Optional[tuple[int, str]]:
    """What is wrong with a credential, wherever it is put: it is the same everywhere."""
    found = set()
    for query, headers in (
        ({"access_token": credential}, {}),
        ({"api_key": credential}, {}),
        ({}, {"Authorization": f"Bearer {credential}"}),
        ({}, {"X-API-Key": credential}),
    ):
        try:
            admission.admit(query, headers, grant)
        except ApiError as exc:
            found.add((exc.status, exc.message))
        else:
            found.add(None)
    (answer,) = found
    return answer


def test_a_token_allows_what_it_was_issued_for_and_no_more() -> None:
    admission = Admission(set())
    token = admission.issue_token(["tts", "agent"], 60)
    assert [problem(admission, token, grant) for grant in ("tts", "agent")] == [None, None]
    assert problem(admission, token, "stt") == (403, "This needs the grant 'stt'; the access token does not give it.")
    assert problem(admission, token, None) == (403, "This needs an API key; the access token does not give it.")


@pytest.mark.parametrize("seconds", [0, -1, -1000])
def test_a_token_is_worth_nothing_once_its_time_is_over(seconds: int) -> None:
    admission = Admission(None)  # even where any key will do
    token = admission.issue_token(["tts"], seconds)
    assert problem(admission, token) == (401, "The access token has expired.")


def test_a_token_has_the_form_of_a_jwt() -> None:
    parts = Admission(None).issue_token(["stt"], 5).split(".")
    head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    assert (head["alg"], head["typ"]) == ("HS256", "JWT")
    assert (claims["exp"] - claims["iat"], claims["grants"]) == (5, {"stt": True})
    assert len(base64.urlsafe_b64decode(parts[2] + "==")) == 32


def test_two_tokens_are_never_the_same() -> None:
    admission = Admission(None)
    assert admission.issue_token(["tts"], 5) != admission.issue_token(["tts"], 5)


@pytest.mark.parametrize("part", [1, 2])
def test_a_changed_token_is_worth_nothing(part: int) -> None:
    admission = Admission(None)
    parts = admission.issue_token(["stt"], 60).split(".")
    parts[part] = Admission(None).issue_token(["tts"], 60).split(".")[part]
    assert problem(admission, ".".join(parts)) == (401, "The access token is not this server's.")


def test_another_servers_token_is_worth_nothing() -> None:
    token = Admission(None).issue_token(["tts"], 60)
    assert problem(Admission(None), token) == (401, "The access token is not this server's.")


@pytest.mark.parametrize("algorithm", ["none", "HS512"])
def test_a_token_cannot_choose_its_algorithm(algorithm: str) -> None:
    admission = Admission(None)
    claims = jwt.decode(admission.issue_token(["stt"], 60), options={"verify_signature": False})
    key = None if algorithm == "none" else "k" * 64
    forged = jwt.encode({**claims, "grants": {"tts": True}}, key, algorithm, headers={"kid": "cartesia-sync-local"})
    assert problem(admission, forged) == (401, "The access token is not this server's.")


@pytest.mark.parametrize("claims", [{"grants": {"tts": True}}, {"exp": 9_999_999_999}])
def test_a_token_without_its_claims_is_worth_nothing(claims: dict[str, object]) -> None:
    admission = Admission(None)
    forged = jwt.encode(claims, admission._secret, "HS256", headers={"kid": "cartesia-sync-local"})
    assert problem(admission, forged) == (401, "The access token is not this server's.")


@pytest.mark.parametrize(
    "text", ["sk_car_123", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30.x", "..", "é.é.é", "W10.e30.x", "." * 10]
)
def test_what_is_not_our_token_is_a_key_like_any_other(text: str) -> None:
    assert problem(Admission(None), text) is None
    assert problem(Admission({text}), text) is None
    assert problem(Admission({"another"}), text) == (401, "The credential is not valid.")


def test_a_credential_is_required() -> None:
    assert problem(Admission(None), "") == (401, "A credential is required.")


FOREIGN = "https://evil.example"


@pytest.mark.parametrize(
    ("headers", "allow_origins"),
    [
        ({}, ()),
        ({"Host": "127.0.0.1:8765"}, ()),
        ({"Host": "localhost"}, ()),
        ({"Host": "[::1]:8765"}, ()),
        ({"Host": "a.localhost:1"}, ()),
        ({"Host": socket.gethostname()}, ()),
        ({"Host": "localhost:1", "Origin": "http://localhost:3000"}, ()),
        ({"Origin": "https://127.0.0.1"}, ()),
        ({"Origin": FOREIGN}, [FOREIGN]),
        ({"Origin": FOREIGN.upper()}, [f"{FOREIGN}/"]),
        ({"Host": "evil.example", "Origin": FOREIGN}, [FOREIGN]),
        ({"Host": "evil.example", "Origin": FOREIGN}, ["*"]),
        ({"Origin": "null"}, ["null"]),
    ],
    ids=str,
)
def test_this_machine_and_the_pages_that_are_welcome_are_admitted(headers: Any, allow_origins: Any) -> None:
    Neighbours("127.0.0.1", allow_origins).check(headers)
    Neighbours("localhost", allow_origins).check(headers)


@pytest.mark.parametrize(
    ("headers", "allow_origins"),
    [
        ({"Host": "evil.example"}, ()),
        ({"Host": "127.0.0.1.evil.example:8765"}, ()),
        ({"Host": "[::1"}, ()),
        ({"Host": ""}, ()),
        ({"Host": "127.0.0.1@evil.example"}, ()),
        ({"Host": "127.0.0.1", "Origin": FOREIGN}, ()),
        ({"Host": "127.0.0.1", "Origin": "null"}, ()),
        ({"Host": "127.0.0.1", "Origin": "file://"}, ()),
        ({"Host": "127.0.0.1", "Origin": "localhost"}, ()),
        ({"Host": "127.0.0.1", "Origin": "http://evil.example"}, [FOREIGN]),
        ({"Host": "other.example"}, [FOREIGN]),
    ],
    ids=str,
)
def test_pages_of_elsewhere_are_refused_and_the_log_says_what_to_do(
    headers: Any, allow_origins: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ApiError) as caught:
        Neighbours("127.0.0.1", allow_origins).check(headers)
    assert caught.value.status == 403
    (record,) = caplog.records
    assert record.name == "cartesia_sync.local"
    assert "allow_origins" in record.getMessage()


def test_a_long_name_is_not_logged_at_length(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ApiError):
        Neighbours("127.0.0.1", ()).check({"Origin": "x" * 8000 + "\n"})
    (record,) = caplog.records
    assert len(record.getMessage()) < 300


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_where_other_machines_are_welcome_so_are_their_names(host: str) -> None:
    Neighbours(host, ()).check({"Host": "this.example", "Origin": FOREIGN})
