"""The service's objects over REST but for those of agents, one class each; see ``base`` for how they are read.

Names and fields are the official client's (4.2.0), for API version 2026-08-14; a field that only some answers have is
Optional, and so are those which older versions lack. Times are ``datetime`` where the official client has them so.
"""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from msgspec import field

from .base import Record


class GetStatusResponse(Record):
    """Whether the service is up.

    Attributes:
        ok: True.
        version: The API version that is used where a request names none.
    """

    ok: bool
    version: str


class VoiceLocale(Record):
    """A locale that a voice speaks.

    Attributes:
        locale: As BCP 47 writes it, such as ``en-GB``.
        is_native: Whether the voice was made for it, rather than given its accent later.
    """

    locale: str
    is_native: bool


class Voice(Record):
    """A voice of the catalogue, or one of the user's.

    Attributes:
        id: What ``voice=`` takes.
        name: For people.
        description: A sentence or more.
        tagline: At most 32 characters; empty where there is none. From API version 2026-08-14 on.
        language: Its language, such as ``en``.
        locales: What it speaks, its own locale first.
        access: ``private`` or ``public``: who may use it. From API version 2026-08-14 on.
        visibility: ``owner`` or ``all``: in whose lists it stands. From API version 2026-08-14 on.
        is_owner: Whether it is the caller's.
        is_public: Whether all may use it; before API version 2026-08-14.
        created_at: When it was made.
        gender: ``masculine``, ``feminine`` or ``gender_neutral``.
        accent: An accent's id; see ``voices.list_accents``.
        country: Two letters; deprecated by the service.
        preview_file_url: Where to listen to it, by ``client.get(url, cast_to=bytes)``; only where it was asked for by
            ``expand``.
    """

    id: str
    name: str
    description: str
    language: str
    is_owner: bool
    created_at: datetime
    tagline: Optional[str] = None
    locales: Optional[list[VoiceLocale]] = None
    access: Optional[str] = None
    visibility: Optional[str] = None
    is_public: Optional[bool] = None
    gender: Optional[str] = None
    accent: Optional[str] = None
    country: Optional[str] = None
    preview_file_url: Optional[str] = None


class VoiceMetadata(Record):
    """A voice that was just made, by ``voices.clone`` or ``voices.localize``; ``voices.get`` tells more.

    Attributes:
        id: What ``voice=`` takes.
        user_id: Whose it is.
        name: For people.
        description: A sentence or more.
        language: Its language, such as ``en``.
        created_at: When it was made.
        tagline: At most 32 characters; empty where there is none. From API version 2026-08-14 on.
        access: ``private`` or ``public``: who may use it. From API version 2026-08-14 on.
        visibility: ``owner`` or ``all``: in whose lists it stands. From API version 2026-08-14 on.
        is_public: Whether all may use it; before API version 2026-08-14.
    """

    id: str
    user_id: str
    name: str
    description: str
    language: str
    created_at: datetime
    tagline: Optional[str] = None
    access: Optional[str] = None
    visibility: Optional[str] = None
    is_public: Optional[bool] = None


class Accent(Record):
    """An accent of the catalogue.

    Attributes:
        id: What ``accent=`` takes, such as ``southern-us``.
        name: For people; not taken in place of the id.
        language: Two letters, such as ``en``.
        locale: The locale that it belongs to, such as ``en-US``.
        is_locale_default: Whether it is what one hears where only the locale is asked for.
        is_localizable: Whether ``voices.localize`` can give it to a voice.
    """

    id: str
    name: str
    language: str
    locale: str
    is_locale_default: bool
    is_localizable: bool


class ListAccentsResponse(Record):
    """All accents.

    Attributes:
        accents: In the order of their ids.
    """

    accents: list[Accent]


class PronunciationDictItem(Record):
    """How one word is to be said.

    Attributes:
        text: The word as it is written.
        alias: What is said in its place: other words, or phonemes.
        case_sensitive: Whether it stands for this spelling alone, rather than for any capitals; None means no.
    """

    text: str
    alias: str
    case_sensitive: Optional[bool] = None


class PronunciationDict(Record):
    """A dictionary that says how words are to be said.

    Attributes:
        id: What ``pronunciation_dict_id=`` takes.
        name: For people.
        owner_id: Whose it is.
        items: Its words.
        pinned: Whether the user has pinned it.
        created_at: When it was made, in ISO 8601.
    """

    id: str
    name: str
    owner_id: str
    items: list[PronunciationDictItem]
    pinned: bool
    created_at: str


class AccessTokenCreateResponse(Record):
    """A new access token.

    Attributes:
        token: What ``Cartesia(token=...)`` takes. It is a secret, and so is not shown in the record's repr.
    """

    token: str

    def __repr__(self) -> str:
        return "AccessTokenCreateResponse(token=...)"


class Word(Record):
    """When a word of a transcription was said.

    Attributes:
        word: As it is written.
        start: Seconds from the recording's start.
        end: Seconds from the recording's start.
    """

    word: str
    start: float
    end: float


class STTTranscribeResponse(Record):
    """What was said in a recording.

    Attributes:
        text: All of it.
        type: ``transcript``.
        duration: The recording's length in seconds.
        is_final: Means nothing here; streaming transcripts have it.
        language: That of the recording, as it was asked for.
        request_id: To quote to the service's support.
        words: When each word was said; only where ``timestamp_granularities`` asks for it.
    """

    text: str
    type: str
    duration: Optional[float] = None
    is_final: Optional[bool] = None
    language: Optional[str] = None
    request_id: Optional[str] = None
    words: Optional[list[Word]] = None


SttTranscribeResponse = STTTranscribeResponse


class Dataset(Record):
    """A collection of recordings to fine-tune with.

    Attributes:
        id: What ``fine_tunes.create(dataset=...)`` takes.
        name: For people.
        description: A sentence or more.
        created_at: When it was made, as the service writes it.
    """

    id: str
    name: str
    description: str
    created_at: str


class FileListResponse(Record):
    """A file of a dataset.

    Attributes:
        id: What ``datasets.files.delete`` takes.
        filename: Its name when it was uploaded.
        size: In bytes.
        created_at: When it was uploaded, as the service writes it.
    """

    id: str
    filename: str
    size: int
    created_at: str


class FineTune(Record):
    """A model that is, or is being, fine-tuned with a dataset.

    Attributes:
        id: Its own.
        name: For people.
        description: A sentence or more.
        language: Such as ``en``.
        llm_model_id: The model that it began as; ``model_id`` in the service's JSON.
        dataset: The dataset's id.
        status: ``created``, ``training``, ``completed`` or ``failed``.
        accent: An accent's id; see ``voices.list_accents``.
    """

    id: str
    name: str
    description: str
    language: str
    llm_model_id: str = field(name="model_id")
    dataset: str
    status: str
    accent: Optional[str] = None
