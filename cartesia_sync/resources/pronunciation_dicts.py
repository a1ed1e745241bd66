"""Pronunciation dictionaries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Union

from ..protocol.models.core import PronunciationDict
from ..protocol.requests import Omit, omit
from .base import Resource, path
from .pages import SyncCursorIDPage
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..types import PronunciationDictItemParam
    from .base import RequestOptions


class PronunciationDictsResource(Resource):
    """Dictionaries that say how words are pronounced; reached as ``client.pronunciation_dicts``."""

    @property
    def with_raw_response(self) -> PronunciationDictsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return PronunciationDictsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> PronunciationDictsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return PronunciationDictsResourceWithStreamingResponse(self)

    def create(
        self,
        *,
        name: str,
        items: Union[Iterable[PronunciationDictItemParam], Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> PronunciationDict:
        """Make a dictionary (``POST /pronunciation-dicts/``).

        Args:
            name: For people.
            items: Its words: ``{"text": "Cartesia", "alias": "car tee zha"}``, and ``"case_sensitive": True`` where it
                is for this spelling alone.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/pronunciation-dicts/create``.
        """
        body = {"name": name, "items": _listed(items)}
        return self._fetch("POST", "/pronunciation-dicts/", PronunciationDict, options, body=body)

    def retrieve(self, id: str, **options: Unpack[RequestOptions]) -> PronunciationDict:
        """Get one dictionary (``GET /pronunciation-dicts/{id}``).

        Args:
            id: The dictionary's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dictionary.

        Source: docs page ``api-reference/pronunciation-dicts/get``.
        """
        return self._fetch("GET", path("/pronunciation-dicts/{id}", id=id), PronunciationDict, options)

    def update(
        self,
        id: str,
        *,
        items: Union[Iterable[PronunciationDictItemParam], Omit, None] = omit,
        name: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> PronunciationDict:
        """Change a dictionary (``PATCH /pronunciation-dicts/{id}``); what is not given stays.

        Args:
            id: The dictionary's.
            items: All of its words, in place of those that it has; as for ``create``.
            name: For people.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dictionary.

        Source: docs page ``api-reference/pronunciation-dicts/update``.
        """
        body = {"items": _listed(items), "name": name}
        return self._fetch("PATCH", path("/pronunciation-dicts/{id}", id=id), PronunciationDict, options, body=body)

    def list(
        self,
        *,
        ending_before: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[PronunciationDict]:
        """List the user's dictionaries; iterate the answer for all of them (``GET /pronunciation-dicts/``).

        Args:
            ending_before: The id of the dictionary that the page ends before; pages then go backwards.
            limit: How many a page holds, 1 to 100.
            starting_after: The id of the dictionary that the page begins after.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/pronunciation-dicts/list``.
        """
        query = {"ending_before": ending_before, "limit": limit, "starting_after": starting_after}
        return self._page("/pronunciation-dicts/", PronunciationDict, query, options)

    def delete(self, id: str, **options: Unpack[RequestOptions]) -> None:
        """Delete a dictionary (``DELETE /pronunciation-dicts/{id}``).

        Args:
            id: The dictionary's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dictionary.

        Source: docs page ``api-reference/pronunciation-dicts/delete``.
        """
        return self._fetch("DELETE", path("/pronunciation-dicts/{id}", id=id), None, options, accept="*/*")


def _listed(items: object) -> object:
    """Make a list of what can be gone through once only."""
    return list(items) if isinstance(items, Iterable) else items


class PronunciationDictsResourceWithRawResponse(WithRawResponse):
    """See ``client.pronunciation_dicts.with_raw_response``."""

    create = raw(PronunciationDictsResource.create)
    retrieve = raw(PronunciationDictsResource.retrieve)
    update = raw(PronunciationDictsResource.update)
    list = raw(PronunciationDictsResource.list)
    delete = raw(PronunciationDictsResource.delete)


class PronunciationDictsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.pronunciation_dicts.with_streaming_response``."""

    create = streamed(PronunciationDictsResource.create)
    retrieve = streamed(PronunciationDictsResource.retrieve)
    update = streamed(PronunciationDictsResource.update)
    list = streamed(PronunciationDictsResource.list)
    delete = streamed(PronunciationDictsResource.delete)
