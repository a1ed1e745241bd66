"""What is saved, and the ways to it."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]
BODY = {
    "model_id": "sonic-3",
    "transcript": "Hello.",
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 8000},
}


def test_an_answer_is_saved_and_can_be_had_again(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        plain = ask(server, "POST", "/tts/bytes", json=BODY)
        assert "Cartesia-File-ID" not in plain.headers
        answer = ask(server, "POST", "/tts/bytes", json={**BODY, "save": True})
        file_id = answer.headers["Cartesia-File-ID"]
        assert answer.content == plain.content
        info = ask(server, "GET", f"/files/{file_id}/info").json()
        assert (info["id"], info["size"], info["content_type"]) == (file_id, len(plain.content), "audio/wav")
        again = ask(server, "GET", f"/files/{file_id}/download?format=playback")
        assert (again.content, again.headers["Content-Type"]) == (plain.content, "audio/wav")
        link = ask(server, "POST", "/links", json={"file_id": file_id, "lifetime": "24h"}).json()["url"]
        assert link.startswith(server.url)
        assert ask(server, "GET", link[len(server.url) :], key=None).content == plain.content


def test_what_is_not_there_is_not_found(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        assert ask(server, "POST", "/tts/bytes", json={**BODY, "save": "yes"}).status_code == 400
        for method, path, body in (
            ("GET", "/files/x/info", None),
            ("GET", "/files/x/download", None),
            ("GET", "/links/x", None),
            ("POST", "/links", {"file_id": "x"}),
        ):
            assert ask(server, method, path, json=body).status_code == 404
        file_id = ask(server, "POST", "/tts/bytes", json={**BODY, "save": True}).headers["Cartesia-File-ID"]
        wrong = {"file_id": file_id, "lifetime": "for ever"}
        assert ask(server, "POST", "/links", json=wrong).status_code == 400


def test_files_have_an_end(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer(engine="signal") as server:
        size = len(ask(server, "POST", "/tts/bytes", json=BODY).content)
        monkeypatch.setattr("cartesia_sync.local.rest.files._MOST_BYTES", 2 * size)

        def save(**fields: Any) -> str:
            found: str = ask(server, "POST", "/tts/bytes", json={**BODY, "save": True, **fields}).headers[
                "Cartesia-File-ID"
            ]
            return found

        ids = [save() for _ in range(3)]
        found = [ask(server, "GET", f"/files/{file_id}/info").status_code for file_id in ids]
        assert found == [404, 200, 200]
        too_long = save(transcript="Hello. " * 20)
        assert ask(server, "GET", f"/files/{too_long}/info").status_code == 404
        assert ask(server, "GET", f"/files/{ids[-1]}/info").status_code == 200
