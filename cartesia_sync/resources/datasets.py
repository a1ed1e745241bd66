"""Datasets, and the files in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..protocol.models.core import Dataset, FileListResponse
from ..protocol.requests import Omit, omit
from .base import Resource, path
from .pages import SyncCursorIDPage
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .base import FileTypes, RequestOptions


class DatasetsResource(Resource):
    """Collections of recordings to fine-tune with; reached as ``client.datasets``."""

    @property
    def with_raw_response(self) -> DatasetsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return DatasetsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> DatasetsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return DatasetsResourceWithStreamingResponse(self)

    @property
    def files(self) -> FilesResource:
        """The files of a dataset."""
        return self._client._resource(FilesResource)

    def create(self, *, description: str, name: str, **options: Unpack[RequestOptions]) -> Dataset:
        """Make an empty dataset (``POST /datasets/``).

        Args:
            description: A sentence or more.
            name: For people.
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        return self._fetch("POST", "/datasets/", Dataset, options, body={"description": description, "name": name})

    def retrieve(self, id: str, **options: Unpack[RequestOptions]) -> Dataset:
        """Get one dataset (``GET /datasets/{id}``).

        Args:
            id: The dataset's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dataset.

        Source: official client 4.2.0.
        """
        return self._fetch("GET", path("/datasets/{id}", id=id), Dataset, options)

    def update(self, id: str, *, description: str, name: str, **options: Unpack[RequestOptions]) -> None:
        """Change what is said of a dataset (``PATCH /datasets/{id}``).

        Args:
            id: The dataset's.
            description: A sentence or more.
            name: For people.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dataset.

        Source: official client 4.2.0.
        """
        body = {"description": description, "name": name}
        return self._fetch("PATCH", path("/datasets/{id}", id=id), None, options, accept="*/*", body=body)

    def list(
        self,
        *,
        ending_before: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[Dataset]:
        """List the user's datasets; iterate the answer for all of them (``GET /datasets/``).

        Args:
            ending_before: The id of the dataset that the page ends before; pages then go backwards.
            limit: How many a page holds, 1 to 100.
            starting_after: The id of the dataset that the page begins after.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/datasets/list``.
        """
        query = {"ending_before": ending_before, "limit": limit, "starting_after": starting_after}
        return self._page("/datasets/", Dataset, query, options)

    def delete(self, id: str, **options: Unpack[RequestOptions]) -> None:
        """Delete a dataset (``DELETE /datasets/{id}``).

        Args:
            id: The dataset's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dataset.

        Source: official client 4.2.0.
        """
        return self._fetch("DELETE", path("/datasets/{id}", id=id), None, options, accept="*/*")


class FilesResource(Resource):
    """The files of a dataset; reached as ``client.datasets.files``."""

    @property
    def with_raw_response(self) -> FilesResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return FilesResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> FilesResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return FilesResourceWithStreamingResponse(self)

    def list(
        self,
        id: str,
        *,
        ending_before: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[FileListResponse]:
        """List a dataset's files; iterate the answer for all of them (``GET /datasets/{id}/files``).

        Args:
            id: The dataset's.
            ending_before: The id of the file that the page ends before; pages then go backwards.
            limit: How many a page holds, 1 to 100.
            starting_after: The id of the file that the page begins after.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dataset.

        Source: official client 4.2.0.
        """
        query = {"ending_before": ending_before, "limit": limit, "starting_after": starting_after}
        return self._page(path("/datasets/{id}/files", id=id), FileListResponse, query, options)

    def upload(
        self,
        id: str,
        *,
        file: Union[FileTypes, Omit] = omit,
        purpose: Union[str, Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> None:
        """Put a file into a dataset (``POST /datasets/{id}/files``).

        Args:
            id: The dataset's.
            file: The file; see ``FileTypes``. It is read whole into memory.
            purpose: What it is for, such as ``fine_tune``.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dataset.
            TypeError: The file is none, or one opened for text.
            OSError: The file cannot be read.

        Source: official client 4.2.0.
        """
        where = path("/datasets/{id}/files", id=id)
        return self._fetch("POST", where, None, options, accept="*/*", form={"purpose": purpose}, files={"file": file})

    def delete(self, file_id: str, *, id: str, **options: Unpack[RequestOptions]) -> None:
        """Take a file out of a dataset (``DELETE /datasets/{id}/files/{file_id}``).

        Args:
            file_id: The file's.
            id: The dataset's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such dataset, or no such file in it.

        Source: official client 4.2.0.
        """
        where = path("/datasets/{id}/files/{file_id}", id=id, file_id=file_id)
        return self._fetch("DELETE", where, None, options, accept="*/*")


class DatasetsResourceWithRawResponse(WithRawResponse):
    """See ``client.datasets.with_raw_response``."""

    create = raw(DatasetsResource.create)
    retrieve = raw(DatasetsResource.retrieve)
    update = raw(DatasetsResource.update)
    list = raw(DatasetsResource.list)
    delete = raw(DatasetsResource.delete)

    @property
    def files(self) -> FilesResourceWithRawResponse:
        """The files of a dataset."""
        return FilesResourceWithRawResponse(FilesResource(self._resource._client))


class DatasetsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.datasets.with_streaming_response``."""

    create = streamed(DatasetsResource.create)
    retrieve = streamed(DatasetsResource.retrieve)
    update = streamed(DatasetsResource.update)
    list = streamed(DatasetsResource.list)
    delete = streamed(DatasetsResource.delete)

    @property
    def files(self) -> FilesResourceWithStreamingResponse:
        """The files of a dataset."""
        return FilesResourceWithStreamingResponse(FilesResource(self._resource._client))


class FilesResourceWithRawResponse(WithRawResponse):
    """See ``client.datasets.files.with_raw_response``."""

    list = raw(FilesResource.list)
    upload = raw(FilesResource.upload)
    delete = raw(FilesResource.delete)


class FilesResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.datasets.files.with_streaming_response``."""

    list = streamed(FilesResource.list)
    upload = streamed(FilesResource.upload)
    delete = streamed(FilesResource.delete)
