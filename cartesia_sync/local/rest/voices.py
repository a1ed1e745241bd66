"""``/voices`` and ``/accents``: a small catalogue, and what is cloned and changed, kept in memory.

Names and descriptions are the local server's own; the ids of the English voices are those of the service's examples,
and each is a speaker of its own (``speech.choose_voice``). A clone is a voice with an id of its own, so it too has a
speaker of its own: the clip is required, but not used.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Optional

from aiohttp import web

from ..recorder import Upload
from ..requests import ApiError, invalid_request, is_at_least
from ..voice.accents import ACCENTS
from ..voice.speech import LANGUAGES
from .responder import UPLOAD_BYTES, Responder, Route
from .store import Record, Store, new_id, now, page, texts

__all__ = ["Voices"]

_FIRST_WITH_ACCESS = "2026-08-14"
_GENDERS = ("masculine", "feminine", "gender_neutral")
_SPEAKER_GENDERS = {"male": "masculine", "female": "feminine"}  # by the names that localizing uses
_MOST_ACCENTS = 10
_MOST_TAGLINE = 32
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_MADE_AT = "2025-01-01T00:00:00.000Z"

# Id, name, gender, accent.
_BUILT_IN = (
    ("6ccbfb76-1fc6-48f7-b71d-91ac6298247b", "Ada", "feminine", "general-american"),
    ("a0e99841-438c-4a64-b679-ae501e7d6091", "Bruno", "masculine", "general-american"),
    ("694f9389-aac1-45b6-b726-9d9369183238", "Clara", "feminine", "general-american"),
    ("f786b574-daa5-4673-aa0c-cbe3e8534c02", "Dora", "feminine", "california"),
    ("9626c31c-bec5-4cca-baa8-f8ba9e84c8bc", "Edith", "feminine", "british"),
    ("e07c00bc-4134-4eae-9ea4-1a55fb45746b", "Flora", "feminine", "southern-us"),
    ("228fca29-3a0a-435c-8728-5cb483251068", "Gustav", "masculine", "british"),
    ("5ee9feff-1265-424a-9d7f-8e4d431a12c7", "Hugo", "masculine", "australian"),
    *(
        (str(uuid.uuid5(uuid.NAMESPACE_URL, f"cartesia-sync-local:{name}")), name, gender, accent)
        for name, gender, accent in (
            ("Ines", "feminine", "castilian"),
            ("Jakob", "masculine", "high-german"),
            ("Karine", "feminine", "parisian"),
            ("Luca", "masculine", "italian"),
            ("Mei", "feminine", "mandarin"),
            ("Naoki", "masculine", "standard-japanese"),
        )
    ),
)


class Voices:
    """All voices of one server.

    Args:
        owner_id: Who owns the voices that requests make.
        any_voice: Each UUID is that of a voice, though only those of the catalogue are listed.
    """

    def __init__(self, owner_id: str, *, any_voice: bool) -> None:
        self._owner_id = owner_id
        self._any_voice = any_voice
        self._store = Store("voice", "voice_not_found")
        for voice_id, name, gender, accent in _BUILT_IN:
            description = f"A voice of the local server, with the accent {ACCENTS[accent].name}."
            self._store.add(
                _record(
                    voice_id, name, description, gender=gender, accent=accent, is_owner=False, tagline="Local voice"
                )
            )
        self.routes = [
            Route("GET", "/voices", self._list),
            Route("GET", "/voices/{id}", self._get),
            Route("PATCH", "/voices/{id}", self._update),
            Route("DELETE", "/voices/{id}", self._delete),
            Route("POST", "/voices/clone", self._clone, most_bytes=UPLOAD_BYTES),
            Route("POST", "/voices/localize", self._localize),
            Route("PATCH", "/voices/{id}/accents", self._add_accents),
            Route("DELETE", "/voices/{id}/accents/{accent_id}", self._remove_accent),
            Route("GET", "/accents", self._list_accents),
            Route("GET", "/locales", self._list_locales),
        ]

    def has(self, voice_id: uuid.UUID) -> bool:
        """Whether there is a voice with this id."""
        return self._any_voice or str(voice_id) in self._store

    def _find(self, voice_id: str) -> Record:
        """Return the voice with this id, which may be written in capitals.

        Raises:
            ApiError: 404, there is none.
        """
        voice_id = voice_id.lower()
        if self._any_voice and voice_id not in self._store and _UUID.fullmatch(voice_id):
            return _record(voice_id, "Any", "A voice that is not in the catalogue.", is_owner=False)
        return self._store.get(voice_id)

    # ---- one voice

    async def _list(self, responder: Responder) -> web.StreamResponse:
        query = responder.query
        wanted = query.get("q", "").casefold()
        gender, language, is_owner = query.get("gender"), query.get("language"), query.get("is_owner")
        if gender and gender not in _GENDERS:
            raise invalid_request(f"gender is one of {', '.join(_GENDERS)}.")
        found = [
            voice
            for voice in self._store
            if any(wanted in voice[field].casefold() for field in ("id", "name", "description", "tagline"))
            and gender in (None, "", voice["gender"])
            and language in (None, "", voice["language"])
            and is_owner in (None, "", str(voice["is_owner"]).lower())
        ]
        listed = page(found, query)
        return responder.reply({**listed, "data": [_view(voice, responder) for voice in listed["data"]]})

    async def _get(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(_view(self._find(responder.path_value()), responder))

    async def _update(self, responder: Responder) -> web.StreamResponse:
        voice = self._own(responder)
        changes = texts(responder.json, optional=["name", "description", "gender", "accent"])
        if not changes:
            raise invalid_request("There is nothing to change: name, description, gender or accent is required.")
        if changes.get("gender", _GENDERS[0]) not in _GENDERS:
            raise invalid_request(f"gender is one of {', '.join(_GENDERS)}.")
        if "accent" in changes:
            _check_accent(changes["accent"])
        self._store.change(voice, changes)
        return responder.reply(_view(voice, responder))

    async def _delete(self, responder: Responder) -> web.StreamResponse:
        self._store.remove(self._own(responder)["id"])
        return responder.no_content()

    def _own(self, responder: Responder) -> Record:
        voice = self._find(responder.path_value())
        if not voice["is_owner"]:
            raise ApiError(403, "Forbidden", "Only your own voices can be changed.")
        return voice

    # ---- voices made from others

    async def _clone(self, responder: Responder) -> web.StreamResponse:
        form = responder.form
        fields = texts(form, ["name", "language"], ["description", "base_voice_id", "accent"])
        clip = form.get("clip")
        if not isinstance(clip, Upload) or not clip.data:
            raise invalid_request("clip is required, as a file that is not empty.")
        _check_language(fields["language"])
        if "base_voice_id" in fields:
            self._find(fields["base_voice_id"])
        if "accent" in fields:
            _check_accent(fields["accent"])
        voice = self._store.add(
            _record(
                new_id(),
                fields["name"],
                fields.get("description", ""),
                language=fields["language"],
                accent=fields.get("accent"),
            )
        )
        return responder.reply(self._metadata(voice, responder))

    async def _localize(self, responder: Responder) -> web.StreamResponse:
        by_accent = is_at_least(responder.version, _FIRST_WITH_ACCESS)
        required = ["accent"] if by_accent else ["description", "language", "original_speaker_gender"]
        rest = ["description", "tagline", "dialect", "language", "original_speaker_gender"]
        fields = texts(responder.json, ["voice_id", "name", *required], [name for name in rest if name not in required])
        original = self._find(fields["voice_id"])
        gender = _SPEAKER_GENDERS.get(fields.get("original_speaker_gender", ""), original["gender"])
        if by_accent:
            _check_accent(fields["accent"])
            if not ACCENTS[fields["accent"]].is_localizable:
                raise invalid_request(f"No voice can be brought to the accent {fields['accent']!r}.")
        else:
            _check_language(fields["language"])
        if len(fields.get("tagline", "")) > _MOST_TAGLINE:
            raise invalid_request(f"tagline has {_MOST_TAGLINE} characters at most.")
        defaults: dict[str, str] = {
            "tagline": "",
            "description": original["description"],
            "language": original["language"],
        }
        made = {**defaults, **fields}
        voice = self._store.add(
            _record(
                new_id(),
                made["name"],
                made["description"],
                language=made["language"],
                gender=gender,
                accent=made.get("accent"),
                tagline=made["tagline"],
            )
        )
        return responder.reply(self._metadata(voice, responder))

    def _metadata(self, voice: Record, responder: Responder) -> Record:
        fields = ["id", "name", "description", "language", "created_at"]
        if is_at_least(responder.version, _FIRST_WITH_ACCESS):
            own: Record = {name: voice[name] for name in ("tagline", "access", "visibility")}
        else:
            own = {"is_public": voice["access"] == "public"}
        return {**{name: voice[name] for name in fields}, "user_id": self._owner_id, **own}

    # ---- accents

    async def _add_accents(self, responder: Responder) -> web.StreamResponse:
        voice = self._own(responder)
        accents = responder.json.get("accents")
        if not isinstance(accents, list) or not all(isinstance(accent, str) for accent in accents):
            raise invalid_request("accents is a list of accents' ids.")
        if not 1 <= len(accents) <= _MOST_ACCENTS:
            raise invalid_request(f"accents holds from 1 to {_MOST_ACCENTS} ids.")
        for accent in accents:
            _check_accent(accent)
        has = [known["locale"] for known in voice["locales"]]
        new = dict.fromkeys(ACCENTS[accent].locale for accent in accents)
        added = [{"locale": locale, "is_native": False} for locale in new if locale not in has]
        self._store.change(voice, {"locales": voice["locales"] + added})
        return responder.reply(_view(voice, responder))

    async def _remove_accent(self, responder: Responder) -> web.StreamResponse:
        voice, accent = self._own(responder), responder.path_value("accent_id")
        _check_accent(accent)
        gone = {"locale": ACCENTS[accent].locale, "is_native": False}
        if gone not in voice["locales"]:
            raise ApiError(404, "Accent not found", f"The voice has no attached accent {accent!r}.")
        self._store.change(voice, {"locales": [locale for locale in voice["locales"] if locale != gone]})
        return responder.reply(_view(voice, responder))

    async def _list_accents(self, responder: Responder) -> web.StreamResponse:
        accents = [
            {"id": accent_id, "language": accent.language, **accent._asdict()}
            for accent_id, accent in sorted(ACCENTS.items())
        ]
        return responder.reply({"accents": accents})

    async def _list_locales(self, responder: Responder) -> web.StreamResponse:
        locales = sorted({accent.locale for accent in ACCENTS.values()})
        return responder.reply(
            {"locales": [{"locale": locale, "language": locale.partition("-")[0]} for locale in locales]}
        )


def _record(
    voice_id: str,
    name: str,
    description: str,
    *,
    language: str = "en",
    gender: Optional[str] = None,
    accent: Optional[str] = None,
    tagline: str = "",
    is_owner: bool = True,
) -> Record:
    known = ACCENTS.get(accent or "")
    locale = known.locale if known else None
    return {
        "id": voice_id,
        "name": name,
        "description": description,
        "tagline": tagline,
        "language": known.language if known else language,
        "locales": [{"locale": locale or language, "is_native": True}],
        "access": "private" if is_owner else "public",
        "visibility": "owner" if is_owner else "all",
        "is_owner": is_owner,
        "created_at": now() if is_owner else _MADE_AT,
        "gender": gender,
        "accent": accent,
        "country": locale.partition("-")[2] if locale else None,
    }


def _view(voice: Mapping[str, Any], responder: Responder) -> Record:
    """Return a voice as the API version shows it."""
    view = dict(voice)
    if not is_at_least(responder.version, _FIRST_WITH_ACCESS):
        for name in ("tagline", "access", "visibility", "accent"):
            del view[name]
        view["is_public"] = voice["access"] == "public"
    query = responder.request.query
    if "preview_file_url" in [*query.getall("expand[]", []), *query.getall("expand", [])]:
        view["preview_file_url"] = None  # there are no previews here; the service's answer allows for that
    return view


def _check_accent(accent: str) -> None:
    if accent not in ACCENTS:
        raise invalid_request(f"There is no accent {accent!r} in GET /accents.")


def _check_language(language: str) -> None:
    if language not in LANGUAGES:
        raise ApiError(
            400, "Language not supported", f"{language!r} is not known.", error_code="language_not_supported"
        )
