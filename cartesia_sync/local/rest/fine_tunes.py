"""``/fine-tunes``: kept in memory and never trained. A fine-tune stays ``created``."""

from __future__ import annotations

from aiohttp import web

from .datasets import Datasets
from .responder import Responder, Route
from .store import Store, new_id, page, texts

__all__ = ["FineTunes"]


class FineTunes:
    """All fine-tunes of one server.

    Args:
        datasets: What they may name as their dataset.
    """

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets
        self._store = Store("fine-tune")
        self.routes = [
            Route("GET", "/fine-tunes/", self._list),
            Route("POST", "/fine-tunes/", self._create),
            Route("GET", "/fine-tunes/{id}", self._get),
            Route("DELETE", "/fine-tunes/{id}", self._delete),
            Route("GET", "/fine-tunes/{id}/voices", self._list_voices),
        ]

    async def _list(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self._store), responder.query))

    async def _create(self, responder: Responder) -> web.StreamResponse:
        required = ["name", "description", "language", "model_id", "dataset"]
        fields = texts(responder.json, required, ["accent"])
        self._datasets.store.get(fields["dataset"])
        return responder.reply(self._store.add({"id": new_id(), **fields, "status": "created"}))

    async def _get(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(self._store.get(responder.path_value()))

    async def _delete(self, responder: Responder) -> web.StreamResponse:
        self._store.remove(responder.path_value())
        return responder.no_content()

    async def _list_voices(self, responder: Responder) -> web.StreamResponse:
        self._store.get(responder.path_value())
        return responder.reply(page([], responder.query))  # it is never trained, so it has no voices
