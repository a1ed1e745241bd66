"""The catalogue of voices, and what is made of it; in the shape of each version."""

from __future__ import annotations

import uuid
from typing import Any, Callable

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
        ("q=ADA", ["Ada"]),
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
