"""``/datasets``: kept in memory. Of a dataset's files only names and sizes are kept."""

from __future__ import annotations

from aiohttp import web

from ..recorder import Upload
from ..requests import invalid_request, text_of
from .responder import UPLOAD_BYTES, Responder, Route
from .store import Store, new_id, now, page, texts

__all__ = ["Datasets"]


class Datasets:
    """All datasets of one server.

    Attributes:
        store: The datasets' records.
    """

    def __init__(self) -> None:
        self.store = Store("dataset")
        self._files: dict[str, Store] = {}  # by their dataset's id
        self.routes = [
            Route("GET", "/datasets/", self._list),
            Route("POST", "/datasets/", self._create),
            Route("GET", "/datasets/{id}", self._get),
            Route("PATCH", "/datasets/{id}", self._update),
            Route("DELETE", "/datasets/{id}", self._delete),
            Route("GET", "/datasets/{id}/files", self._list_files),
            Route("POST", "/datasets/{id}/files", self._upload_file, most_bytes=UPLOAD_BYTES),
            Route("DELETE", "/datasets/{id}/files/{file_id}", self._delete_file),
        ]

    async def _list(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self.store), responder.query))

    async def _create(self, responder: Responder) -> web.StreamResponse:
        dataset = self.store.add({"id": new_id(), **self._fields(responder), "created_at": now()})
        self._files[dataset["id"]] = Store("file")
        return responder.reply(dataset)

    def _fields(self, responder: Responder) -> dict[str, str]:
        return {**texts(responder.json, ["name"]), "description": text_of(responder.json, "description")}

    async def _get(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(self.store.get(responder.path_value()))

    async def _update(self, responder: Responder) -> web.StreamResponse:
        dataset = self.store.get(responder.path_value())
        self.store.change(dataset, self._fields(responder))
        return responder.no_content()

    async def _delete(self, responder: Responder) -> web.StreamResponse:
        self.store.remove(responder.path_value())
        del self._files[responder.path_value()]
        return responder.no_content()

    # ---- files

    def _files_of(self, responder: Responder) -> Store:
        return self._files[self.store.get(responder.path_value())["id"]]

    async def _list_files(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self._files_of(responder)), responder.query))

    async def _upload_file(self, responder: Responder) -> web.StreamResponse:
        files, file = self._files_of(responder), responder.form.get("file")
        if not isinstance(file, Upload):
            raise invalid_request("file is required, as a file.")
        files.add({"id": new_id(), "filename": file.filename, "size": len(file.data), "created_at": now()})
        return responder.no_content()

    async def _delete_file(self, responder: Responder) -> web.StreamResponse:
        self._files_of(responder).remove(responder.path_value("file_id"))
        return responder.no_content()
