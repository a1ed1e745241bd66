"""Pronunciation dictionaries: kept, listed, changed, and heard on every transport."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable

import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]
Dial = Callable[..., Any]
AudioOf = Callable[..., bytes]
ITEMS = [{"text": "SQL", "alias": "sequel"}, {"text": "us", "alias": "you ess", "case_sensitive": True}]


def make(ask: Ask, server: LocalServer, items: Any = ITEMS) -> str:
    answer = ask(server, "POST", "/pronunciation-dicts/", json={"name": "Mine", "items": items})
    assert answer.status_code == 200
    made: str = answer.json()["id"]
    return made


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_dictionary_lives_and_is_changed_and_dies(ask: Ask, slash: str) -> None:
    with LocalServer() as server:
        made = ask(server, "POST", f"/pronunciation-dicts{slash}", json={"name": "Mine", "items": ITEMS}).json()
        assert set(made) == {"id", "name", "owner_id", "pinned", "items", "created_at"}
        assert made["items"] == [
            {**ITEMS[0], "pronunciation": "sequel", "case_sensitive": False},
            {**ITEMS[1], "pronunciation": "you ess"},
        ]
        path = f"/pronunciation-dicts/{made['id']}"
        assert ask(server, "GET", path).json() == made
        renamed = ask(server, "PATCH", path, json={"name": "Yours"}).json()
        assert renamed == {**made, "name": "Yours"}
        assert ask(server, "PATCH", path, json={"items": []}).json() == {**renamed, "items": []}
        assert ask(server, "GET", f"/pronunciation-dicts{slash}").json()["data"] == [{**renamed, "items": []}]
        assert ask(server, "DELETE", path).status_code == 204
        for method in ("GET", "DELETE"):
            assert ask(server, method, path).status_code == 404
        assert ask(server, "PATCH", path, json={}).status_code == 404


def test_dictionaries_are_listed_in_pages(ask: Ask) -> None:
    with LocalServer() as server:
        made = [make(ask, server) for _ in range(5)]
        first = ask(server, "GET", "/pronunciation-dicts/?limit=3").json()
        rest = ask(server, "GET", f"/pronunciation-dicts/?limit=3&starting_after={first['next_page']}").json()
    assert [one["id"] for one in first["data"] + rest["data"]] == made
    assert (first["has_more"], rest["has_more"]) == (True, False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x", "items": "y"},
        {"name": "x", "items": ["y"]},
        {"name": "x", "items": [{"text": "a"}]},
        {"name": "x", "items": [{"text": " ", "alias": "b"}]},
        {"name": "x", "items": [{"text": "a", "pronunciation": 7}]},
        {"name": "x", "items": [{"text": "a", "pronunciation": 7, "alias": "b"}]},
        {"name": "x", "items": [{"text": "a", "pronunciation": "b", "alias": 7}]},
        {"name": "x", "items": [{"text": "a", "alias": "b", "case_sensitive": "no"}]},
    ],
)
def test_what_is_wrong_is_refused(ask: Ask, body: Any) -> None:
    with LocalServer() as server:
        assert ask(server, "POST", "/pronunciation-dicts/", json=body).status_code == 400


@pytest.mark.parametrize(
    "given",
    [{"pronunciation": "sequel"}, {"alias": "sequel"}, {"pronunciation": "sequel", "alias": "no"}],
    ids=lambda given: "+".join(given),
)
def test_an_item_has_its_new_name_and_its_former_one(
    ask: Ask, request_for: Callable[..., dict[str, Any]], given: dict[str, str]
) -> None:
    with LocalServer(engine="signal") as server:
        dictionary = make(ask, server, [{"text": "SQL", **given}])
        kept = ask(server, "GET", f"/pronunciation-dicts/{dictionary}").json()["items"]
        assert kept == [{"text": "SQL", "pronunciation": "sequel", "alias": "sequel", "case_sensitive": False}]
        spoken = ask(
            server, "POST", "/tts/bytes", json={**request_for("a", "SQL."), "pronunciation_dict_id": dictionary}
        )
        assert spoken.content == ask(server, "POST", "/tts/bytes", json=request_for("a", "sequel.")).content


def test_an_item_may_hold_phonemes(
    ask: Ask, dial: Dial, audio_of: AudioOf, request_for: Callable[..., dict[str, Any]]
) -> None:
    with LocalServer() as server:
        dictionary = make(ask, server, [{"text": "bayou", "pronunciation": "<<ˈ|b|ɑ|ˈ|j|u>>"}])
        peer = dial(server)
        peer.ask("a", "The Bayou.", pronunciation_dict_id=dictionary, add_timestamps=True)
        events = peer.until("a")
        assert [word for event in events for word in event.get("word_timestamps", {}).get("words", [])] == [
            "The",
            "Bayou.",
        ]
        peer.ask("b", "The <<ˈ|b|ɑ|ˈ|j|u>>.")
        assert audio_of(events) == audio_of(peer.until("b"), "b")


def test_an_item_has_its_former_name_alone_if_the_switch_says_so(ask: Ask) -> None:
    with LocalServer(engine="signal", pronunciation_items=False) as server:
        body = {"name": "x", "items": [{"text": "SQL", "pronunciation": "sequel"}]}
        assert ask(server, "POST", "/pronunciation-dicts/", json=body).status_code == 400
        body["items"] = [{"text": "SQL", "pronunciation": "no", "alias": "sequel"}]
        made = ask(server, "POST", "/pronunciation-dicts/", json=body).json()
        assert made["items"] == [{"text": "SQL", "alias": "sequel", "case_sensitive": False}]


def test_words_sound_as_the_dictionary_says_and_are_timed_as_they_are_written(
    ask: Ask, dial: Dial, audio_of: AudioOf, request_for: Callable[..., dict[str, Any]]
) -> None:
    with LocalServer() as server:
        dictionary = make(ask, server)
        peer = dial(server)
        peer.ask("plain", "Ask sql about US.")
        plain = audio_of(peer.until("plain"), "plain")
        peer.ask("respelled", "Ask sequel about US.")
        reference = audio_of(peer.until("respelled"), "respelled")
        assert plain != reference
        peer.ask("a", "Ask sql ", continue_=True, add_timestamps=True, pronunciation_dict_id=dictionary)
        peer.ask("a", "about US.", add_timestamps=True)  # the first request's counts
        events = peer.until("a")
        assert audio_of(events) == reference
        words = [word for event in events for word in event.get("word_timestamps", {}).get("words", [])]
        assert words == ["Ask", "sql", "about", "US."]

        body = {**request_for("a", "Ask sql about US."), "pronunciation_dict_id": dictionary, "add_timestamps": True}
        assert ask(server, "POST", "/tts/bytes", json=body).content == reference
        frames = ask(server, "POST", "/tts/sse", json=body).text.split("\n\n")[:-1]
        streamed = [json.loads(frame[len("data: ") :]) for frame in frames]
        audio = b"".join(base64.b64decode(event["data"]) for event in streamed if event["type"] == "chunk")
        assert audio == reference
        words = [word for event in streamed for word in event.get("word_timestamps", {}).get("words", [])]
        assert words == ["Ask", "sql", "about", "US."]


@pytest.mark.parametrize(("version", "status"), [("2026-08-14", 404), ("2026-03-01", 404), ("2025-11-04", 400)])
def test_a_dictionary_that_is_not_there_is_an_error_event(dial: Dial, version: str, status: int) -> None:
    with LocalServer(engine="signal") as server:
        peer = dial(server, f"?cartesia_version={version}")
        peer.ask("a", "Hello.", pronunciation_dict_id="none")
        event = peer.event()
        assert (event["type"], event["context_id"], event["status_code"]) == ("error", "a", status)
        peer.ask("b", "Hello.")
        assert peer.until("b")[-1]["type"] == "done"


def test_a_change_without_fields_is_refused(ask: Ask) -> None:
    with LocalServer() as server:
        made = ask(server, "POST", "/pronunciation-dicts/", json={"name": "n"}).json()
        for body in ({}, {"unknown": 1}):
            assert ask(server, "PATCH", f"/pronunciation-dicts/{made['id']}", json=body).status_code == 400
