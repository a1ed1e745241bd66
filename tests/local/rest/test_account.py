"""What an admin key opens, and nothing else does."""

from __future__ import annotations

import datetime
from typing import Any, Callable

import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]
ADMIN = "sk_car_admin_one"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def test_an_admin_key_opens_its_own_routes_alone(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        for path in ("/usage/credits", "/api-keys", "/api-keys/x"):
            assert ask(server, "GET", path).status_code == 403
        for path in ("/voices", "/pronunciation-dicts/"):
            answer = ask(server, "GET", path, key=ADMIN)
            assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")
        token = ask(server, "POST", "/access-token", json={"grants": {"tts": True}}).json()["token"]
        assert ask(server, "GET", "/usage/credits", key=token).status_code == 403
        assert ask(server, "GET", "/usage/credits", key=ADMIN).status_code == 200
        assert ask(server, "GET", "/voices").status_code == 200


def test_keys_are_listed_without_themselves(ask: Ask) -> None:
    with LocalServer(engine="signal", api_keys={ADMIN, "sk_car_one", "sk_car_two"}) as server:
        assert ask(server, "GET", "/api-keys", key="sk_car_admin_other").status_code == 401
        listed = ask(server, "GET", "/api-keys", key=ADMIN)
        assert "sk_car" not in listed.text
        keys = listed.json()
        assert (len(keys["data"]), keys["has_more"]) == (2, False)
        assert set(keys["data"][0]) == {"id", "description", "created_at", "creator_email", "creator_still_in_org"}
        path = f"/api-keys/{keys['data'][0]['id']}"
        assert ask(server, "GET", path, key=ADMIN).json() == keys["data"][0]
        assert ask(server, "GET", "/api-keys/nobody", key=ADMIN).status_code == 404
        assert ask(server, "GET", "/api-keys?q=somebody", key=ADMIN).json()["data"] == []


def test_credits_are_characters_in_whole_days(ask: Ask) -> None:
    body = {
        "model_id": "sonic-3",
        "transcript": "Ten chars.",
        "voice": VOICE,
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
    }
    with LocalServer(engine="signal") as server:
        assert ask(server, "POST", "/tts/bytes", json=body).status_code == 200
        (bucket,) = ask(server, "GET", "/usage/credits", key=ADMIN).json()["data"]
        assert set(bucket) == {"start_ts", "end_ts", "credits"}
        assert bucket["credits"] == 10
        assert bucket["start_ts"].endswith("T00:00:00.000Z")
        days = ask(server, "GET", "/usage/credits?interval=day", key=ADMIN).json()["data"]
        assert len(days) in (4, 5)  # midnight may have passed
        assert sum(day["credits"] for day in days) == 10
        assert [day["end_ts"] for day in days[:-1]] == [day["start_ts"] for day in days[1:]]
        query = "start_ts=2026-01-15T10:00:00Z&end_ts=2026-03-02T00:00:00%2B00:00&interval=month"
        months = ask(server, "GET", f"/usage/credits?{query}", key=ADMIN).json()["data"]
        assert [month["start_ts"][:10] for month in months] == ["2026-01-15", "2026-02-01", "2026-03-01"]
        assert months[-1]["end_ts"][:10] == "2026-03-02"
        weeks = ask(server, "GET", f"/usage/credits?{query.replace('month', 'week')}", key=ADMIN).json()["data"]
        starts = [datetime.date.fromisoformat(week["start_ts"][:10]) for week in weeks]
        assert all(start.weekday() == 0 for start in starts[1:])


@pytest.mark.parametrize(
    "query",
    [
        "start_ts=yesterday",
        "start_ts=2026-01-01",
        "start_ts=2026-01-02T00:00:00Z&end_ts=2026-01-01T00:00:00Z",
        "start_ts=2020-01-01T00:00:00Z&end_ts=2026-01-01T00:00:00Z",
        "interval=hour",
        "group_by=mood",
    ],
)
def test_windows_that_are_none_are_refused(ask: Ask, query: str) -> None:
    with LocalServer(engine="signal") as server:
        assert ask(server, "GET", f"/usage/credits?{query}", key=ADMIN).status_code == 400
