"""``/datasets`` and ``/fine-tunes``: kept in memory, and never trained. A fine-tune stays ``created``."""

from __future__ import annotations

from aiohttp import web

from ..recorder import Upload
from ..requests import ApiError
from .responder import Responder, Route
from .store import Store, new_id, now, page, texts

__all__ = ["Training"]


class Training:
    """All datasets and fine-tunes of one server. Of a dataset's files only names and sizes are kept."""

    def __init__(self) -> None:
        self._datasets = Store("dataset")
        self._files: dict[str, Store] = {}  # by their dataset's id
        self._fine_tunes = Store("fine-tune")
        self.routes = [
            Route("GET", "/datasets/", self._list_datasets),
            Route("POST", "/datasets/", self._create_dataset),
            Route("GET", "/datasets/{id}", self._get_dataset),
            Route("PATCH", "/datasets/{id}", self._update_dataset),
            Route("DELETE", "/datasets/{id}", self._delete_dataset),
            Route("GET", "/datasets/{id}/files", self._list_files),
            Route("POST", "/datasets/{id}/files", self._upload_file),
            Route("DELETE", "/datasets/{id}/files/{file_id}", self._delete_file),
            Route("GET", "/fine-tunes/", self._list_fine_tunes),
            Route("POST", "/fine-tunes/", self._create_fine_tune),
            Route("GET", "/fine-tunes/{id}", self._get_fine_tune),
            Route("DELETE", "/fine-tunes/{id}", self._delete_fine_tune),
            Route("GET", "/fine-tunes/{id}/voices", self._list_voices),
        ]

    # ---- datasets

    async def _list_datasets(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self._datasets), responder.request.query))

    async def _create_dataset(self, responder: Responder) -> web.StreamResponse:
        said = {"description": "", **texts(responder.json, ["name"], ["description"])}
        dataset = self._datasets.add({"id": new_id(), **said, "created_at": now()})
        self._files[dataset["id"]] = Store("file")
        return responder.reply(dataset)

    async def _get_dataset(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(self._datasets.find(responder.request.match_info["id"]))

    async def _update_dataset(self, responder: Responder) -> web.StreamResponse:
        dataset = self._datasets.find(responder.request.match_info["id"])
        dataset.update(texts(responder.json, optional=["name", "description"]))
        return responder.no_content()

    async def _delete_dataset(self, responder: Responder) -> web.StreamResponse:
        self._datasets.remove(responder.request.match_info["id"])
        del self._files[responder.request.match_info["id"]]
        return responder.no_content()

    def _files_of(self, responder: Responder) -> Store:
        return self._files[self._datasets.find(responder.request.match_info["id"])["id"]]

    async def _list_files(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self._files_of(responder)), responder.request.query))

    async def _upload_file(self, responder: Responder) -> web.StreamResponse:
        files, file = self._files_of(responder), responder.form.get("file")
        if not isinstance(file, Upload):
            raise ApiError(400, "Invalid request", "file is required, as a file.")
        files.add({"id": new_id(), "filename": file.filename, "size": len(file.data), "created_at": now()})
        return responder.no_content()

    async def _delete_file(self, responder: Responder) -> web.StreamResponse:
        self._files_of(responder).remove(responder.request.match_info["file_id"])
        return responder.no_content()

    # ---- fine-tunes

    async def _list_fine_tunes(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self._fine_tunes), responder.request.query))

    async def _create_fine_tune(self, responder: Responder) -> web.StreamResponse:
        required = ["name", "description", "language", "model_id", "dataset"]
        said = texts(responder.json, required, ["accent"])
        self._datasets.find(said["dataset"])
        return responder.reply(self._fine_tunes.add({"id": new_id(), **said, "status": "created"}))

    async def _get_fine_tune(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(self._fine_tunes.find(responder.request.match_info["id"]))

    async def _delete_fine_tune(self, responder: Responder) -> web.StreamResponse:
        self._fine_tunes.remove(responder.request.match_info["id"])
        return responder.no_content()

    async def _list_voices(self, responder: Responder) -> web.StreamResponse:
        self._fine_tunes.find(responder.request.match_info["id"])
        return responder.reply(page([], responder.request.query))  # it is never trained, so it speaks with none
