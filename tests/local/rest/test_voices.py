"""The catalogue of voices, and what is made of it; in the shape of each version."""

from __future__ import annotations

import importlib.metadata
import re
import uuid
from pathlib import Path
from typing import Any, Callable, Optional

import cartesia
import pytest

from cartesia_sync.local import LocalServer

Ask = Callable[..., Any]
EXAMPLE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
NEW, OLD = "2026-08-14", "2025-11-04"
COMMON = {"id", "name", "description", "language", "locales", "is_owner", "created_at", "gender", "country"}


@pytest.fixture
def clone(ask: Ask) -> Callable[..., Any]:
    def make(server: LocalServer, **fields: Any) -> Any:
        version = fields.pop("version", None)
        data = {"name": "Mine", "language": "en", **fields}
        return ask(server, "POST", "/voices/clone", data=data, files={"clip": ("c.wav", b"RIFF")}, version=version)

    return make


def test_the_examples_ids_are_in_the_catalogue(ask: Ask) -> None:
    with LocalServer() as server:
        voice = ask(server, "GET", f"/voices/{EXAMPLE}").json()
        listed = ask(server, "GET", "/voices?limit=100").json()
    assert voice["id"] == EXAMPLE
    assert voice in listed["data"]
    assert len({voice["id"] for voice in listed["data"]}) == len(listed["data"]) > 10
    assert all(str(uuid.UUID(voice["id"])) == voice["id"] for voice in listed["data"])
    assert (listed["has_more"], listed["next_page"]) == (False, None)


# In the README, the examples, the tests or the source of the official client 4.2.0, or in the service's documents.
OFFICIAL_IDS = (
    EXAMPLE,
    "e07c00bc-4134-4eae-9ea4-1a55fb45746b",
    "694f9389-aac1-45b6-b726-9d9369183238",
    "a0e99841-438c-4a64-b679-ae501e7d6091",
    "f786b574-daa5-4673-aa0c-cbe3e8534c02",
    "9626c31c-bec5-4cca-baa8-f8ba9e84c8bc",
    "228fca29-3a0a-435c-8728-5cb483251068",
    "5ee9feff-1265-424a-9d7f-8e4d431a12c7",
)
UNKNOWN = "11111111-2222-3333-4444-555555555555"


def speak(ask: Ask, server: LocalServer, voice: str, version: Optional[str] = None) -> Any:
    body = {
        "model_id": "sonic-3",
        "transcript": "Hello.",
        "voice": {"mode": "id", "id": voice},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
    }
    return ask(server, "POST", "/tts/bytes", json=body, version=version)


def test_the_ids_that_official_texts_use_speak(ask: Ask) -> None:
    with LocalServer(engine="signal") as server:
        for voice_id in (*OFFICIAL_IDS, EXAMPLE.upper()):
            assert speak(ask, server, voice_id).status_code == 200, voice_id
            assert ask(server, "GET", f"/voices/{voice_id}").json()["id"] == voice_id.lower()


def test_the_ids_of_the_installed_official_client_are_in_the_catalogue(ask: Ask) -> None:
    found = set()
    for path in Path(cartesia.__file__).parent.rglob("*.py"):
        found |= set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", path.read_text(encoding="utf-8")))
    described = importlib.metadata.metadata("cartesia").get_payload()
    found |= set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(described)))
    assert EXAMPLE in found
    with LocalServer(engine="signal") as server:
        for voice_id in found:
            assert ask(server, "GET", f"/voices/{voice_id}").status_code == 200, voice_id


@pytest.mark.parametrize(("version", "status"), [(NEW, 404), ("2026-03-01", 404), (OLD, 400)])
def test_a_uuid_that_no_voice_has_is_refused_wherever_it_stands(
    ask: Ask, clone: Any, dial: Callable[..., Any], version: str, status: int
) -> None:
    with LocalServer(engine="signal") as server:
        refused = [
            speak(ask, server, UNKNOWN, version),
            ask(
                server,
                "POST",
                "/infill/bytes",
                data={"model_id": "sonic-3", "transcript": "Hello.", "voice_id": UNKNOWN},
                files={"left_audio": ("l.wav", b"RIFF")},
                version=version,
            ),
            ask(
                server,
                "POST",
                "/voice-changer/bytes",
                data={"voice[id]": UNKNOWN},
                files={"clip": ("c.wav", b"RIFF")},
                version=version,
            ),
        ]
        for answer in refused:
            assert answer.status_code == status
            if version != OLD:
                assert answer.json()["error_code"] == "voice_not_found"
        for path in (f"/voices/{UNKNOWN}", "/voices/nobody"):
            assert ask(server, "GET", path, version=version).status_code == 404
        assert clone(server, base_voice_id=UNKNOWN, version=version).status_code == 404
        peer = dial(server, f"?cartesia_version={version}")
        peer.ask("a", "Hello.", voice=UNKNOWN)
        event = peer.event()
        assert (event["type"], event["status_code"], event["context_id"]) == ("error", status, "a")
        peer.ask("b", "Hello.")
        assert peer.until("b")[-1]["type"] == "done"


def test_a_clone_speaks_until_it_is_deleted(ask: Ask, clone: Any) -> None:
    with LocalServer(engine="signal") as server:
        made = clone(server).json()["id"]
        assert speak(ask, server, made).status_code == 200
        assert ask(server, "DELETE", f"/voices/{made}").status_code == 204
        assert speak(ask, server, made).status_code == 404
        assert ask(server, "GET", f"/voices/{made}").status_code == 404


def test_a_switch_lets_any_uuid_be_a_voice(ask: Ask, clone: Any) -> None:
    with LocalServer(engine="signal", any_voice=True) as server:
        before = ask(server, "GET", "/voices?limit=100").json()
        assert speak(ask, server, UNKNOWN).status_code == 200
        known = ask(server, "GET", f"/voices/{EXAMPLE}").json()
        answer = ask(server, "GET", f"/voices/{UNKNOWN}").json()
        assert (answer["id"], answer["is_owner"], set(answer)) == (UNKNOWN, False, set(known))
        assert clone(server, base_voice_id=UNKNOWN).status_code == 200
        assert ask(server, "DELETE", f"/voices/{UNKNOWN}").status_code == 403
        for path in ("/voices/nobody", f"/voices/{UNKNOWN}0"):
            assert ask(server, "GET", path).status_code == 404
        assert speak(ask, server, "nobody").status_code == 404
        assert ask(server, "GET", "/voices?is_owner=false&limit=100").json() == before  # it is not listed


@pytest.mark.parametrize(
    ("version", "own"),
    [(NEW, {"tagline", "access", "visibility", "accent"}), (OLD, {"is_public"}), ("2026-03-01", {"is_public"})],
)
def test_a_voice_has_the_shape_of_the_version(ask: Ask, clone: Any, version: str, own: set[str]) -> None:
    with LocalServer() as server:
        (first,) = ask(server, "GET", "/voices?limit=1", version=version).json()["data"]
        one = ask(server, "GET", f"/voices/{EXAMPLE}?expand[]=preview_file_url", version=version).json()
        made = clone(server, version=version).json()
    assert set(first) == COMMON | own
    assert set(one) == COMMON | own | {"preview_file_url"}
    assert one["preview_file_url"] is None
    metadata = {"id", "user_id", "name", "description", "language", "created_at"}
    assert set(made) == metadata | (own - {"accent"})


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=FLORA", ["Flora"]),  # no id holds these letters
        ("q=parisian", ["Karine"]),
        ("gender=masculine&language=en", ["Bruno", "Gustav", "Hugo"]),
        ("language=fr", ["Karine"]),
        ("is_owner=true", ["Mine"]),
        ("is_owner=false&limit=2", ["Ada", "Bruno"]),
        ("q=nobody", []),
    ],
)
def test_voices_are_found(ask: Ask, clone: Any, query: str, names: list[str]) -> None:
    with LocalServer() as server:
        clone(server)
        found = ask(server, "GET", f"/voices?{query}").json()["data"]
    assert [voice["name"] for voice in found] == names


def test_pages_of_voices_follow_each_other(ask: Ask) -> None:
    with LocalServer() as server:
        every = [voice["id"] for voice in ask(server, "GET", "/voices?limit=100").json()["data"]]
        seen: list[str] = []
        after = ""
        while True:
            listed = ask(server, "GET", f"/voices?limit=4{after}").json()
            seen += [voice["id"] for voice in listed["data"]]
            if not listed["has_more"]:
                break
            after = f"&starting_after={listed['next_page']}"
        back = ask(server, "GET", f"/voices?limit=2&ending_before={every[5]}").json()
    assert seen == every
    assert [voice["id"] for voice in back["data"]] == every[3:5]


def test_a_clone_lives_and_is_changed_and_dies(ask: Ask, clone: Any) -> None:
    with LocalServer() as server, LocalServer() as other:
        made = clone(server, description="A friend", accent="british", base_voice_id=EXAMPLE).json()
        assert (made["name"], made["description"], made["access"], made["visibility"]) == (
            "Mine",
            "A friend",
            "private",
            "owner",
        )
        path = f"/voices/{made['id']}"
        voice = ask(server, "GET", path).json()
        assert (voice["is_owner"], voice["accent"], voice["locales"][0]["locale"]) == (True, "british", "en-GB")
        changed = ask(server, "PATCH", path, json={"name": "Yours", "gender": "gender_neutral"}).json()
        assert changed == {**voice, "name": "Yours", "gender": "gender_neutral"}
        assert ask(server, "GET", path).json() == changed
        assert ask(other, "GET", path).status_code == 404
        gone = ask(server, "DELETE", path)
        assert (gone.status_code, gone.content) == (204, b"")
        assert ask(server, "GET", path).json()["error_code"] == "voice_not_found"


def test_a_clone_can_be_heard(ask: Ask, clone: Any) -> None:
    speech = {
        "model_id": "sonic-3",
        "transcript": "Hello.",
        "voice": {"id": ""},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
    }
    with LocalServer(engine="signal") as server:
        speech["voice"] = {"id": clone(server).json()["id"]}
        assert len(ask(server, "POST", "/tts/bytes", json=speech).content) > 2000


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": ""}, 400),
        ({"language": "xx"}, 400),
        ({"accent": "martian"}, 400),
        ({"base_voice_id": "nobody"}, 404),
    ],
)
def test_a_clone_that_cannot_be_is_refused(clone: Any, fields: dict[str, str], status: int) -> None:
    with LocalServer() as server:
        assert clone(server, **fields).status_code == status


def test_a_clone_needs_a_clip(ask: Ask) -> None:
    form = {"name": (None, "x"), "language": (None, "en")}
    with LocalServer() as server:
        for clip in ({}, {"clip": ("c.wav", b"")}, {"clip": (None, "text")}):
            answer = ask(server, "POST", "/voices/clone", files={**form, **clip})
            assert answer.status_code == 400
            assert "clip" in answer.json()["message"]


@pytest.mark.parametrize("version", [NEW, OLD])
def test_others_voices_cannot_be_changed(ask: Ask, version: str) -> None:
    with LocalServer() as server:
        for method, rest in (("PATCH", ""), ("DELETE", ""), ("PATCH", "/accents"), ("DELETE", "/accents/parisian")):
            body = {"name": "x"} if method == "PATCH" else None
            answer = ask(server, method, f"/voices/{EXAMPLE}{rest}", json=body, version=version)
            assert answer.status_code == 403


def test_a_voice_is_brought_to_an_accent(ask: Ask) -> None:
    body = {"voice_id": EXAMPLE, "name": "Adele", "accent": "parisian", "tagline": "from Paris"}
    with LocalServer() as server:
        made = ask(server, "POST", "/voices/localize", json=body).json()
        voice = ask(server, "GET", f"/voices/{made['id']}").json()
        for wrong in ({"accent": "irish"}, {"accent": None}, {"tagline": "x" * 33}):
            assert ask(server, "POST", "/voices/localize", json={**body, **wrong}).status_code == 400
        assert ask(server, "POST", "/voices/localize", json={**body, "voice_id": "nobody"}).status_code == 404
    assert (made["language"], made["tagline"]) == ("fr", "from Paris")
    assert (voice["accent"], voice["gender"], voice["country"]) == ("parisian", "feminine", "FR")


def test_older_versions_bring_a_voice_to_a_language(ask: Ask) -> None:
    body = {
        "voice_id": EXAMPLE,
        "name": "Adele",
        "description": "d",
        "language": "fr",
        "original_speaker_gender": "male",
    }
    with LocalServer() as server:
        made = ask(server, "POST", "/voices/localize", json=body, version=OLD).json()
        voice = ask(server, "GET", f"/voices/{made['id']}", version=OLD).json()
        assert ask(server, "POST", "/voices/localize", json={**body, "language": None}, version=OLD).status_code == 400
    assert (made["language"], made["is_public"]) == ("fr", False)
    assert voice["gender"] == "masculine"


def test_accents_come_and_go(ask: Ask, clone: Any) -> None:
    with LocalServer() as server:
        path = f"/voices/{clone(server, accent='british').json()['id']}/accents"
        added = ask(server, "PATCH", path, json={"accents": ["parisian", "castilian", "british"]}).json()
        assert [(entry["locale"], entry["is_native"]) for entry in added["locales"]] == [
            ("en-GB", True),
            ("fr-FR", False),
            ("es-ES", False),
        ]
        left = ask(server, "DELETE", f"{path}/parisian").json()
        assert [entry["locale"] for entry in left["locales"]] == ["en-GB", "es-ES"]
        assert ask(server, "DELETE", f"{path}/parisian").status_code == 404
        for wrong in (["martian"], [], ["parisian"] * 11, "parisian", [1]):
            assert ask(server, "PATCH", path, json={"accents": wrong}).status_code == 400


def test_the_accents_are_listed_by_id(ask: Ask) -> None:
    with LocalServer() as server:
        accents = ask(server, "GET", "/accents").json()["accents"]
    assert [accent["id"] for accent in accents] == sorted(accent["id"] for accent in accents)
    (parisian,) = (accent for accent in accents if accent["id"] == "parisian")
    assert parisian == {
        "id": "parisian",
        "name": "Parisian French",
        "language": "fr",
        "locale": "fr-FR",
        "is_locale_default": True,
        "is_localizable": True,
    }
    defaults = [accent["locale"] for accent in accents if accent["is_locale_default"]]
    assert sorted(defaults) == sorted({accent["locale"] for accent in accents})


def test_locales_are_those_of_the_accents(ask: Ask) -> None:
    with LocalServer() as server:
        locales = ask(server, "GET", "/locales").json()["locales"]
        assert {"locale": "en-GB", "language": "en"} in locales
        assert len(locales) == len({each["locale"] for each in locales})


def test_a_change_without_fields_is_refused(ask: Ask, clone: Any) -> None:
    with LocalServer() as server:
        made = clone(server).json()
        for body in ({}, {"unknown": 1}, {"name": None}):
            answer = ask(server, "PATCH", f"/voices/{made['id']}", json=body)
            assert (answer.status_code, "nothing to change" in answer.json()["message"]) == (400, True)
