"""Voices: the catalogue, clones and accents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

from ..protocol.models.core import ListAccentsResponse, Voice, VoiceMetadata
from ..protocol.requests import Omit, omit
from .base import Resource, path
from .pages import SyncCursorIDPage
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..parameters import (
        Gender,
        GenderPresentation,
        LocalizeDialect,
        LocalizeTargetLanguage,
        VoiceExpansion,
    )
    from .base import FileTypes, RequestOptions


class VoicesResource(Resource):
    """Voices; reached as ``client.voices``."""

    @property
    def with_raw_response(self) -> VoicesResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return VoicesResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> VoicesResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return VoicesResourceWithStreamingResponse(self)

    def list(
        self,
        *,
        ending_before: Union[str, Omit, None] = omit,
        expand: Union[Sequence[VoiceExpansion], Omit, None] = omit,
        gender: Union[GenderPresentation, Omit, None] = omit,
        is_owner: Union[bool, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        q: Union[str, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[Voice]:
        """List the voices that one can use; iterate the answer for all of them (``GET /voices``).

        Args:
            ending_before: The id of the voice that the page ends before; pages then go backwards.
            expand: ``preview_file_url``, to have that in the answer.
            gender: ``masculine``, ``feminine`` or ``gender_neutral``.
            is_owner: Only the user's own, or only others'.
            limit: How many a page holds, 1 to 100.
            q: Words to look for in name and description.
            starting_after: The id of the voice that the page begins after.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/voices/list``.
        """
        query = {
            "ending_before": ending_before,
            "expand[]": expand,
            "gender": gender,
            "is_owner": is_owner,
            "limit": limit,
            "q": q,
            "starting_after": starting_after,
        }
        return self._page("/voices", Voice, query, options)

    def get(
        self, id: str, *, expand: Union[Sequence[VoiceExpansion], Omit, None] = omit, **options: Unpack[RequestOptions]
    ) -> Voice:
        """Get one voice (``GET /voices/{id}``).

        Args:
            id: The voice's.
            expand: ``preview_file_url``, to have that in the answer.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such voice.

        Source: docs page ``api-reference/voices/get``.
        """
        return self._fetch("GET", path("/voices/{id}", id=id), Voice, options, query={"expand[]": expand})

    def clone(
        self,
        *,
        clip: FileTypes,
        language: str,
        name: str,
        accent: Union[str, Omit, None] = omit,
        base_voice_id: Union[str, Omit, None] = omit,
        description: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> VoiceMetadata:
        """Make a voice that sounds as the one in a recording does (``POST /voices/clone``).

        Args:
            clip: The recording; see ``FileTypes``. It is read whole into memory.
            language: What is spoken in it, such as ``en``.
            name: For people.
            accent: An accent's id; see ``list_accents``.
            base_voice_id: The id of a voice that the new one is made from.
            description: A sentence or more.
            **options: See ``RequestOptions``.

        Raises:
            TypeError: The clip is no file, or one opened for text.
            OSError: The clip cannot be read.

        Source: docs page ``api-reference/voices/clone``.
        """
        form = {
            "language": language,
            "name": name,
            "accent": accent,
            "base_voice_id": base_voice_id,
            "description": description,
        }
        return self._fetch("POST", "/voices/clone", VoiceMetadata, options, form=form, files={"clip": clip})

    def update(
        self,
        id: str,
        *,
        accent: Union[str, Omit, None] = omit,
        description: Union[str, Omit] = omit,
        gender: Union[GenderPresentation, Omit, None] = omit,
        name: Union[str, Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> Voice:
        """Change what is said of a voice of the user's (``PATCH /voices/{id}``); what is not given stays.

        Args:
            id: The voice's.
            accent: An accent's id; see ``list_accents``.
            description: A sentence or more.
            gender: ``masculine``, ``feminine`` or ``gender_neutral``.
            name: For people.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such voice.

        Source: docs page ``api-reference/voices/update``.
        """
        body = {"accent": accent, "description": description, "gender": gender, "name": name}
        return self._fetch("PATCH", path("/voices/{id}", id=id), Voice, options, body=body)

    def delete(self, id: str, **options: Unpack[RequestOptions]) -> None:
        """Delete a voice of the user's (``DELETE /voices/{id}``).

        Args:
            id: The voice's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such voice.

        Source: docs page ``api-reference/voices/delete``.
        """
        return self._fetch("DELETE", path("/voices/{id}", id=id), None, options, accept="*/*")

    def localize(
        self,
        *,
        accent: str,
        name: str,
        voice_id: str,
        description: Union[str, Omit] = omit,
        dialect: Union[LocalizeDialect, Omit, None] = omit,
        language: Union[LocalizeTargetLanguage, Omit] = omit,
        original_speaker_gender: Union[Gender, Omit] = omit,
        tagline: Union[str, Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> VoiceMetadata:
        """Make a voice that sounds as another does, in another accent or language (``POST /voices/localize``).

        Args:
            accent: An accent's id; ``list_accents`` says which are ``is_localizable``.
            name: The new voice's, for people.
            voice_id: The id of the voice to begin with.
            description: A sentence or more.
            dialect: Such as ``uk`` for English; see ``LocalizeDialect`` in ``cartesia_sync.types``.
            language: What the new voice is to speak; see ``LocalizeTargetLanguage`` there.
            original_speaker_gender: ``male`` or ``female``.
            tagline: At most 32 characters.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such voice.

        Source: docs page ``api-reference/voices/localize``.
        """
        body = {
            "accent": accent,
            "name": name,
            "voice_id": voice_id,
            "description": description,
            "dialect": dialect,
            "language": language,
            "original_speaker_gender": original_speaker_gender,
            "tagline": tagline,
        }
        return self._fetch("POST", "/voices/localize", VoiceMetadata, options, body=body)

    def list_accents(self, **options: Unpack[RequestOptions]) -> ListAccentsResponse:
        """List all accents that voices can have (``GET /accents``).

        Args:
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        return self._fetch("GET", "/accents", ListAccentsResponse, options)

    def add_accents(self, id: str, *, accents: Sequence[str], **options: Unpack[RequestOptions]) -> Voice:
        """Teach a voice accents (``PATCH /voices/{id}/accents``).

        Args:
            id: The voice's.
            accents: The accents' ids; with those that it has there may be 10. ``AttachVoiceAccent`` in
                ``cartesia_sync.types`` names those that can be added.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such voice.

        Source: official client 4.2.0.
        """
        return self._fetch("PATCH", path("/voices/{id}/accents", id=id), Voice, options, body={"accents": accents})

    def delete_accent(self, accent_id: str, *, id: str, **options: Unpack[RequestOptions]) -> Voice:
        """Take an accent from a voice (``DELETE /voices/{id}/accents/{accent_id}``).

        Args:
            accent_id: The accent's.
            id: The voice's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such voice, or it has no such accent.

        Source: official client 4.2.0.
        """
        where = path("/voices/{id}/accents/{accent_id}", id=id, accent_id=accent_id)
        return self._fetch("DELETE", where, Voice, options)


class VoicesResourceWithRawResponse(WithRawResponse):
    """See ``client.voices.with_raw_response``."""

    list = raw(VoicesResource.list)
    get = raw(VoicesResource.get)
    clone = raw(VoicesResource.clone)
    update = raw(VoicesResource.update)
    delete = raw(VoicesResource.delete)
    localize = raw(VoicesResource.localize)
    list_accents = raw(VoicesResource.list_accents)
    add_accents = raw(VoicesResource.add_accents)
    delete_accent = raw(VoicesResource.delete_accent)


class VoicesResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.voices.with_streaming_response``."""

    list = streamed(VoicesResource.list)
    get = streamed(VoicesResource.get)
    clone = streamed(VoicesResource.clone)
    update = streamed(VoicesResource.update)
    delete = streamed(VoicesResource.delete)
    localize = streamed(VoicesResource.localize)
    list_accents = streamed(VoicesResource.list_accents)
    add_accents = streamed(VoicesResource.add_accents)
    delete_accent = streamed(VoicesResource.delete_accent)
