"""``/datasets`` and ``/fine-tunes``: kept in memory, and never trained. A fine-tune stays ``created``."""

from __future__ import annotations

from aiohttp import web

from ..recorder import Upload
from ..requests import RefusedError
from .responder import Exchange, Route
from .store import Shelf, new_id, now, page, texts

__all__ = ["Training"]


class Training:
    """All datasets and fine-tunes of one server. Of a dataset's files only names and sizes are kept."""

    def __init__(self) -> None:
        self._datasets = Shelf("dataset")
        self._files: dict[str, Shelf] = {}  # by their dataset's id
        self._fine_tunes = Shelf("fine-tune")
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

    async def _list_datasets(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(page(list(self._datasets), exchange.request.query))

    async def _create_dataset(self, exchange: Exchange) -> web.StreamResponse:
        said = {"description": "", **texts(exchange.json, ["name"], ["description"])}
        dataset = self._datasets.add({"id": new_id(), **said, "created_at": now()})
        self._files[dataset["id"]] = Shelf("file")
        return exchange.reply(dataset)

    async def _get_dataset(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(self._datasets.find(exchange.request.match_info["id"]))

    async def _update_dataset(self, exchange: Exchange) -> web.StreamResponse:
        dataset = self._datasets.find(exchange.request.match_info["id"])
        dataset.update(texts(exchange.json, optional=["name", "description"]))
        return exchange.no_content()

    async def _delete_dataset(self, exchange: Exchange) -> web.StreamResponse:
        self._datasets.remove(exchange.request.match_info["id"])
        del self._files[exchange.request.match_info["id"]]
        return exchange.no_content()

    def _files_of(self, exchange: Exchange) -> Shelf:
        return self._files[self._datasets.find(exchange.request.match_info["id"])["id"]]

    async def _list_files(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(page(list(self._files_of(exchange)), exchange.request.query))

    async def _upload_file(self, exchange: Exchange) -> web.StreamResponse:
        files, file = self._files_of(exchange), exchange.form.get("file")
        if not isinstance(file, Upload):
            raise RefusedError(400, "Invalid request", "file is required, as a file.")
        files.add({"id": new_id(), "filename": file.filename, "size": len(file.data), "created_at": now()})
        return exchange.no_content()

    async def _delete_file(self, exchange: Exchange) -> web.StreamResponse:
        self._files_of(exchange).remove(exchange.request.match_info["file_id"])
        return exchange.no_content()

    # ---- fine-tunes

    async def _list_fine_tunes(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(page(list(self._fine_tunes), exchange.request.query))

    async def _create_fine_tune(self, exchange: Exchange) -> web.StreamResponse:
        required = ["name", "description", "language", "model_id", "dataset"]
        said = texts(exchange.json, required, ["accent"])
        self._datasets.find(said["dataset"])
        return exchange.reply(self._fine_tunes.add({"id": new_id(), **said, "status": "created"}))

    async def _get_fine_tune(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(self._fine_tunes.find(exchange.request.match_info["id"]))

    async def _delete_fine_tune(self, exchange: Exchange) -> web.StreamResponse:
        self._fine_tunes.remove(exchange.request.match_info["id"])
        return exchange.no_content()

    async def _list_voices(self, exchange: Exchange) -> web.StreamResponse:
        self._fine_tunes.find(exchange.request.match_info["id"])
        return exchange.reply(page([], exchange.request.query))  # it is never trained, so it speaks with none
