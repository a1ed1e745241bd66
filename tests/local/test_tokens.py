from __future__ import annotations

import base64
import json

import pytest

from cartesia_sync.local.tokens import Tokens


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_opens_what_it_was_made_for_until_its_time_is_over() -> None:
    clock = Clock()
    tokens = Tokens(clock=clock)
    token = tokens.issue(["tts", "agent"], 60)
    assert tokens.read(token) == {"tts", "agent"}
    clock.now += 59
    assert tokens.read(token) == {"tts", "agent"}
    clock.now += 1
    with pytest.raises(ValueError, match="expired"):
        tokens.read(token)


def test_a_token_has_the_form_of_a_jwt() -> None:
    parts = Tokens(clock=Clock()).issue(["stt"], 5).split(".")
    head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    assert (head["alg"], head["typ"]) == ("HS256", "JWT")
    assert (claims["iat"], claims["exp"], claims["grants"]) == (1_000_000, 1_000_005, {"stt": True})
    assert len(base64.urlsafe_b64decode(parts[2] + "==")) == 32


def test_two_tokens_are_never_the_same() -> None:
    tokens = Tokens(clock=Clock())
    assert tokens.issue(["tts"], 5) != tokens.issue(["tts"], 5)


@pytest.mark.parametrize("part", [1, 2])
def test_a_changed_token_is_worth_nothing(part: int) -> None:
    tokens = Tokens()
    parts = tokens.issue(["stt"], 60).split(".")
    parts[part] = Tokens().issue(["tts"], 60).split(".")[part]
    with pytest.raises(ValueError, match="not this server's"):
        tokens.read(".".join(parts))


def test_another_servers_token_is_worth_nothing() -> None:
    with pytest.raises(ValueError, match="not this server's"):
        Tokens().read(Tokens().issue(["tts"], 60))


@pytest.mark.parametrize("text", ["", "sk_car_123", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30.x"])
def test_what_is_no_token_of_ours_is_none(text: str) -> None:
    assert Tokens().read(text) is None
