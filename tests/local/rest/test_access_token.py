"""Access tokens: given by one request, and taken by both transports."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from websockets.exceptions import InvalidStatus

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]
Dial = Callable[..., Any]
SPEECH = {
    "model_id": "sonic-3",
    "transcript": "Hi.",
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}


def token_of(ask: Ask, server: LocalServer, **grants: Any) -> str:
    answer = ask(server, "POST", "/access-token", json={"grants": grants, "expires_in": 60})
    assert answer.status_code == 200
    token: str = answer.json()["token"]
    return token


def test_a_token_for_speech_opens_speech_on_both_transports(ask: Ask, dial: Dial) -> None:
    with LocalServer(engine="signal", api_keys={"any"}) as server:
        token = token_of(ask, server, tts=True, stt=None)
        bearer = {"Authorization": f"Bearer {token}"}
        for path, headers in ((f"?access_token={token}", {}), ("", bearer)):
            peer = dial(server, path, headers)
            peer.ask("a", "Hello.")
            assert peer.until("a")[-1]["type"] == "done"
            answer = ask(server, "POST", f"/tts/bytes{path}", key=None, headers=headers, json=SPEECH)
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("POST", "/tts/bytes", "'tts'"),
        ("POST", "/tts/sse", "'tts'"),
        ("POST", "/voice-changer/bytes", "'tts'"),
        ("POST", "/stt", "'stt'"),
        ("GET", "/agents", "'agent'"),
        ("GET", "/voices", "an API key"),
        ("POST", "/access-token", "an API key"),
    ],
)
def test_a_token_without_the_grant_is_forbidden(ask: Ask, method: str, path: str, needed: str) -> None:
    with LocalServer(engine="signal") as server:
        token = token_of(ask, server, tts=False, **{"'agent'": {"stt": True}, "'stt'": {"agent": True}}.get(needed, {}))
        answer = ask(server, method, path, key=None, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403
        assert needed in answer.json()["message"]


def test_a_socket_needs_the_grant_too(ask: Ask, dial: Dial) -> None:
    with LocalServer(engine="signal") as server:
        token = token_of(ask, server, stt=True)
        with pytest.raises(InvalidStatus) as caught:
            dial(server, f"?access_token={token}", {})
        assert caught.value.response.status_code == 403


def test_a_token_of_another_server_is_no_key_here(ask: Ask) -> None:
    """Even where any key will do: it once had to be valid, and is not."""
    with LocalServer(engine="signal") as one, LocalServer(engine="signal") as other:
        token = token_of(ask, one, tts=True)
        assert ask(one, "POST", "/tts/bytes", key=token, json=SPEECH).status_code == 200
        assert ask(other, "POST", "/tts/bytes", key=token, json=SPEECH).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_in": 3601},
        {"expires_in": 0},
        {"expires_in": True},
        {"expires_in": "60"},
        {"grants": {"everything": True}},
        {"grants": {"tts": "yes"}},
        {"grants": ["tts"]},
    ],
)
def test_impossible_tokens_are_refused(ask: Ask, wrong: Any) -> None:
    with LocalServer(engine="signal") as server:
        answer = ask(server, "POST", "/access-token", json=wrong)
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["message"]
