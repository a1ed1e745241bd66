from __future__ import annotations

import pytest

from cartesia_sync import AuthenticationError, Cartesia
from cartesia_sync.types import AccessTokenCreateResponse, Grants

from ..support.rest_service import REFUSED, Service


def test_what_goes_out(service: Service, client: Cartesia) -> None:
    grants: Grants = {"tts": True, "stt": False, "agent": None}
    client.access_token.create(expires_in=60, grants=grants)
    assert (service.last.line, service.last.sent) == (
        "POST /access-token",
        {"expires_in": 60, "grants": {"tts": True, "stt": False, "agent": None}},
    )
    client.access_token.create()
    assert service.last.sent == {}
    client.access_token.create(expires_in=None, grants=None)
    assert service.last.sent == {"expires_in": None, "grants": None}


def test_a_token_comes_back_and_is_not_shown(service: Service, client: Cartesia) -> None:
    service.will_answer({"token": "a-very-secret-token", "expires_at": 3})
    made = client.access_token.create(grants={"tts": True})
    assert isinstance(made, AccessTokenCreateResponse)
    assert made.token == "a-very-secret-token"
    assert "secret" not in f"{made!r} {made} {[made]}"
    assert made.extra == {"expires_at": 3}


def test_a_refusal_is_raised(service: Service, client: Cartesia) -> None:
    service.will_answer(REFUSED._replace(status=401))
    with pytest.raises(AuthenticationError):
        client.access_token.create()
