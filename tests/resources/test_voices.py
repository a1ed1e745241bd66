from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, NotFoundError
from cartesia_sync.types import Accent, Voice, VoiceMetadata

from ..support.rest_service import REFUSED, Part, Service

VOICE = {
    "id": "v1",
    "name": "Ada",
    "description": "Calm.",
    "tagline": "calm",
    "language": "en",
    "locales": [{"locale": "en-GB", "is_native": True}],
    "access": "private",
    "visibility": "owner",
    "is_owner": True,
    "created_at": "2026-08-14T10:00:00Z",
    "gender": None,
    "accent": "british",
    "country": None,
    "preview_file_url": None,
}
REQUESTS: list[tuple[Callable[[Cartesia], object], str, Any]] = [
    (lambda client: client.voices.list(), "GET /voices", None),
    (
        lambda client: client.voices.list(q="a b", gender="masculine", is_owner=False, limit=3, expand=["x", "y"]),
        "GET /voices?expand%5B%5D=x&expand%5B%5D=y&gender=masculine&is_owner=false&limit=3&q=a+b",
        None,
    ),
    (lambda client: client.voices.list(q=None, expand=None), "GET /voices", None),
    (lambda client: client.voices.get("a/b c"), "GET /voices/a%2Fb%20c", None),
    (lambda client: client.voices.get("v", expand=["x"]), "GET /voices/v?expand%5B%5D=x", None),
    (lambda client: client.voices.update("v"), "PATCH /voices/v", {}),
    (
        lambda client: client.voices.update("v", name="n", description="d", gender=None, accent="british"),
        "PATCH /voices/v",
        {"name": "n", "description": "d", "gender": None, "accent": "british"},
    ),
    (lambda client: client.voices.delete("v"), "DELETE /voices/v", None),
    (
        lambda client: client.voices.localize(voice_id="v", name="n", accent="a", dialect=None, tagline="t"),
        "POST /voices/localize",
        {"voice_id": "v", "name": "n", "accent": "a", "dialect": None, "tagline": "t"},
    ),
    (lambda client: client.voices.list_accents(), "GET /accents", None),
    (
        lambda client: client.voices.add_accents("v", accents=["a", "b"]),
        "PATCH /voices/v/accents",
        {"accents": ["a", "b"]},
    ),
    (lambda client: client.voices.delete_accent("a", id="v"), "DELETE /voices/v/accents/a", None),
    (
        lambda client: client.voices.clone(clip=b"RIFF", name="n", language="en", description=None),
        "POST /voices/clone",
        {"name": "n", "language": "en", "clip": Part("upload", b"RIFF", "application/octet-stream")},
    ),
]


@pytest.mark.parametrize(
    ("ask", "line", "sent"), REQUESTS, ids=[f"{line}-{index}" for index, (_, line, _) in enumerate(REQUESTS)]
)
def test_what_goes_out(
    service: Service, client: Cartesia, ask: Callable[[Cartesia], object], line: str, sent: Any
) -> None:
    ask(client)
    assert (service.last.line, service.last.sent) == (line, sent)
    assert service.last.headers["authorization"] == "Bearer sk_car_resources"


def test_a_voice_comes_back_typed_with_what_we_do_not_know(service: Service, client: Cartesia) -> None:
    service.will_answer({**VOICE, "mood": {"now": "good"}})
    voice = client.voices.get("v1")
    assert isinstance(voice, Voice)
    assert voice.created_at == datetime(2026, 8, 14, 10, tzinfo=timezone.utc)
    assert voice.locales is not None
    assert voice.locales[0].is_native
    assert voice.extra == {"mood": {"now": "good"}}
    assert voice.to_dict()["mood"] == {"now": "good"}


def test_a_field_that_does_not_fit_stays_as_it_came(service: Service, client: Cartesia) -> None:
    service.will_answer({**VOICE, "created_at": "yesterday", "locales": "all"})
    voice = client.voices.get("v1").to_dict()
    assert (voice["created_at"], voice["locales"]) == ("yesterday", "all")


def test_all_pages_are_gone_through(service: Service, client: Cartesia) -> None:
    pages = [["a", "b"], ["c"], []]
    service.will_answer(*({"data": [{**VOICE, "id": id} for id in page], "has_more": bool(page)} for page in pages))
    assert [voice.id for voice in client.voices.list(limit=2)] == ["a", "b", "c"]
    assert [asked.line for asked in service.asked] == [
        "GET /voices?limit=2",
        "GET /voices?limit=2&starting_after=b",
        "GET /voices?limit=2&starting_after=c",
    ]


def test_pages_go_backwards_from_an_end(service: Service, client: Cartesia) -> None:
    service.will_answer({"data": [{"id": "b"}, {"id": "c"}]}, {"data": [{"id": "a"}], "has_more": False})
    page = client.voices.list(ending_before="d")
    assert [[voice.id for voice in each.data] for each in page.iter_pages()] == [["b", "c"], ["a"]]
    assert service.last.line == "GET /voices?ending_before=b"


def test_new_voices_and_accents_come_back_typed(service: Service, client: Cartesia) -> None:
    service.will_answer({"id": "v2", "user_id": "u", "created_at": "2026-08-14T10:00:00Z", "name": "n"})
    for made in (
        client.voices.clone(clip=b"x", name="n", language="en"),
        client.voices.localize(voice_id="v", name="n", accent="a"),
    ):
        assert isinstance(made, VoiceMetadata)
        assert isinstance(made.created_at, datetime)
    service.will_answer({"accents": [{"id": "british", "is_localizable": True}]})
    (accent,) = client.voices.list_accents().accents
    assert isinstance(accent, Accent)
    assert accent.is_localizable
    service.will_answer(VOICE)
    assert client.voices.add_accents("v1", accents=["british"]).accent == "british"
    assert client.voices.delete_accent("british", id="v1").id == "v1"
    assert client.voices.update("v1", name="Ada").name == "Ada"


@pytest.mark.parametrize("name", ["clip.wav", "Stimme ä.mp3"])
def test_a_clip_may_be_a_path_a_file_bytes_or_named_bytes(
    service: Service, client: Cartesia, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"sound\r\n--")
    content_type = "audio/mpeg" if name.endswith("mp3") else "audio/x-wav"
    seen = []
    with path.open("rb") as file:
        for clip in (path, file, (name, b"sound\r\n--"), (name, io.BytesIO(b"sound\r\n--"), "audio/basic")):
            client.voices.clone(clip=clip, name="n", language="de")
            seen.append(service.last.sent["clip"])
    assert [part.name for part in seen] == [name] * 4
    assert [part.content for part in seen] == [b"sound\r\n--"] * 4
    assert {part.content_type for part in seen[:3]} <= {content_type, "audio/wav", "audio/vnd.wave"}
    assert seen[3].content_type == "audio/basic"


def test_what_is_no_clip_is_refused_before_anything_is_sent(service: Service, client: Cartesia, tmp_path: Path) -> None:
    wrong: Any
    for wrong in ("clip.wav", None, io.StringIO("text"), 3):
        with pytest.raises(TypeError, match="clip"):
            client.voices.clone(clip=wrong, name="n", language="en")
    with pytest.raises(FileNotFoundError):
        client.voices.clone(clip=tmp_path / "none.wav", name="n", language="en")
    assert service.asked == []


@pytest.mark.parametrize("id", ["", ".", "..", None, 3])
def test_an_id_that_is_none_is_refused_before_anything_is_sent(service: Service, client: Cartesia, id: Any) -> None:
    for ask in (
        lambda: client.voices.get(id),
        lambda: client.voices.update(id),
        lambda: client.voices.delete(id),
        lambda: client.voices.add_accents(id, accents=[]),
        lambda: client.voices.delete_accent(id, id="v"),
        lambda: client.voices.delete_accent("a", id=id),
    ):
        with pytest.raises((TypeError, ValueError), match="id: expected an id"):
            ask()
    assert service.asked == []


def test_an_argument_that_is_not_known_is_refused(service: Service, client: Cartesia) -> None:
    unknown: Any = {"langauge": "en"}
    with pytest.raises(TypeError, match="langauge"):
        client.voices.list(**unknown)
    with pytest.raises(TypeError, match="clip"):
        client.voices.clone(name="n", language="en")  # type: ignore[call-arg]  # no clip
    assert service.asked == []


def test_each_call_has_its_own_options(service: Service, client: Cartesia) -> None:
    client.voices.update(
        "v", name="n", extra_headers={"X-Own": "1"}, extra_query={"a": "b"}, extra_body={"name": "m", "c": 1}, timeout=3
    )
    assert service.last.line == "PATCH /voices/v?a=b"
    assert service.last.headers["x-own"] == "1"
    assert service.last.sent == {"name": "m", "c": 1}


def test_a_voice_that_is_not_there_is_said_so(service: Service, client: Cartesia) -> None:
    service.will_answer(REFUSED)
    for ask in (
        lambda: client.voices.get("v"),
        lambda: client.voices.update("v"),
        lambda: client.voices.delete("v"),
        lambda: client.voices.delete_accent("a", id="v"),
    ):
        with pytest.raises(NotFoundError, match="No such thing"):
            ask()
