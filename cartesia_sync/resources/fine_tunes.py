"""Fine-tunes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..protocol.models.core import FineTune, Voice
from ..protocol.requests import Omit, omit
from .base import Resource, path
from .pages import SyncCursorIDPage
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .base import RequestOptions


class FineTunesResource(Resource):
    """Models fine-tuned with a dataset; reached as ``client.fine_tunes``."""

    @property
    def with_raw_response(self) -> FineTunesResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return FineTunesResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> FineTunesResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return FineTunesResourceWithStreamingResponse(self)

    def create(
        self,
        *,
        dataset: str,
        description: str,
        language: str,
        model_id: str,
        name: str,
        accent: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> FineTune:
        """Begin to fine-tune (``POST /fine-tunes/``); its ``status``, from ``retrieve``, says when it is done.

        Args:
            dataset: The dataset's id.
            description: A sentence or more.
            language: What is spoken in the dataset, such as ``en``.
            model_id: The model to begin with, such as ``sonic-3-2026-01-12``.
            name: For people.
            accent: An accent's id; see ``voices.list_accents``.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/fine-tunes/create``.
        """
        body = {
            "dataset": dataset,
            "description": description,
            "language": language,
            "model_id": model_id,
            "name": name,
            "accent": accent,
        }
        return self._fetch("POST", "/fine-tunes/", FineTune, options, body=body)

    def retrieve(self, id: str, **options: Unpack[RequestOptions]) -> FineTune:
        """Get one fine-tune (``GET /fine-tunes/{id}``).

        Args:
            id: The fine-tune's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such fine-tune.

        Source: official client 4.2.0.
        """
        return self._fetch("GET", path("/fine-tunes/{id}", id=id), FineTune, options)

    def list(
        self,
        *,
        ending_before: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[FineTune]:
        """List the user's fine-tunes; iterate the answer for all of them (``GET /fine-tunes/``).

        Args:
            ending_before: The id of the fine-tune that the page ends before; pages then go backwards.
            limit: How many a page holds, 1 to 100.
            starting_after: The id of the fine-tune that the page begins after.
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        query = {"ending_before": ending_before, "limit": limit, "starting_after": starting_after}
        return self._page("/fine-tunes/", FineTune, query, options)

    def delete(self, id: str, **options: Unpack[RequestOptions]) -> None:
        """Delete a fine-tune (``DELETE /fine-tunes/{id}``).

        Args:
            id: The fine-tune's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such fine-tune.

        Source: official client 4.2.0.
        """
        return self._fetch("DELETE", path("/fine-tunes/{id}", id=id), None, options, accept="*/*")

    def list_voices(
        self,
        id: str,
        *,
        ending_before: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[Voice]:
        """List a fine-tune's voices; iterate the answer for all of them (``GET /fine-tunes/{id}/voices``).

        Args:
            id: The fine-tune's.
            ending_before: The id of the voice that the page ends before; pages then go backwards.
            limit: How many a page holds, 1 to 100.
            starting_after: The id of the voice that the page begins after.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such fine-tune.

        Source: official client 4.2.0.
        """
        query = {"ending_before": ending_before, "limit": limit, "starting_after": starting_after}
        return self._page(path("/fine-tunes/{id}/voices", id=id), Voice, query, options)


class FineTunesResourceWithRawResponse(WithRawResponse):
    """See ``client.fine_tunes.with_raw_response``."""

    create = raw(FineTunesResource.create)
    retrieve = raw(FineTunesResource.retrieve)
    list = raw(FineTunesResource.list)
    delete = raw(FineTunesResource.delete)
    list_voices = raw(FineTunesResource.list_voices)


class FineTunesResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.fine_tunes.with_streaming_response``."""

    create = streamed(FineTunesResource.create)
    retrieve = streamed(FineTunesResource.retrieve)
    list = streamed(FineTunesResource.list)
    delete = streamed(FineTunesResource.delete)
    list_voices = streamed(FineTunesResource.list_voices)
