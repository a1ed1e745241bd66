"""``/pronunciation-dicts``: how words are to be spoken, and the speech that keeps to it."""

from __future__ import annotations

from typing import Any, Optional

from aiohttp import web

from ..requests import RefusedError, text_of, unknown_status
from ..voice.pronunciation import Item, Respelling
from .responder import Exchange, Route
from .store import Shelf, new_id, now, page, texts

__all__ = ["Dictionaries"]


class Dictionaries:
    """All dictionaries of one server.

    Args:
        owner_id: Whose they are.
    """

    def __init__(self, owner_id: str) -> None:
        self._owner_id = owner_id
        self._shelf = Shelf("pronunciation dictionary")
        self.routes = [
            Route("GET", "/pronunciation-dicts/", self._list),
            Route("POST", "/pronunciation-dicts/", self._create),
            Route("GET", "/pronunciation-dicts/{id}", self._get),
            Route("PATCH", "/pronunciation-dicts/{id}", self._update),
            Route("DELETE", "/pronunciation-dicts/{id}", self._delete),
        ]

    def respelling(self, dictionary_id: Optional[str], version: str) -> Optional[Respelling]:
        """What a request for speech names, as it is now; ``None`` if it names none.

        Raises:
            RefusedError: There is no such dictionary.
        """
        if dictionary_id is None:
            return None
        try:
            items = self._shelf.find(dictionary_id)["items"]
        except RefusedError as exc:
            exc.status = unknown_status(version)
            raise
        return Respelling(Item(item["text"], item["alias"], item["case_sensitive"]) for item in items)

    async def _list(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(page(list(self._shelf), exchange.request.query))

    async def _create(self, exchange: Exchange) -> web.StreamResponse:
        dictionary = {
            "id": new_id(),
            **texts(exchange.json, ["name"]),
            "owner_id": self._owner_id,
            "pinned": False,
            "items": _items(exchange.json) or [],
            "created_at": now(),
        }
        return exchange.reply(self._shelf.add(dictionary))

    async def _get(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(self._shelf.find(exchange.request.match_info["id"]))

    async def _update(self, exchange: Exchange) -> web.StreamResponse:
        dictionary = self._shelf.find(exchange.request.match_info["id"])
        changes: dict[str, Any] = {**texts(exchange.json, optional=["name"])}
        items = _items(exchange.json)
        if items is not None:
            changes["items"] = items
        dictionary.update(changes)
        return exchange.reply(dictionary)

    async def _delete(self, exchange: Exchange) -> web.StreamResponse:
        self._shelf.remove(exchange.request.match_info["id"])
        return exchange.no_content()


def _items(body: dict[str, Any]) -> Optional[list[dict[str, Any]]]:
    given = body.get("items")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise RefusedError(400, "Invalid request", "items is a list of objects.")
    items = []
    for item in given:
        case_sensitive = item.get("case_sensitive")
        if case_sensitive not in (True, False, None):
            raise RefusedError(400, "Invalid request", "case_sensitive is a boolean.")
        text = texts(item, ["text"])["text"].strip()
        if not text:
            raise RefusedError(400, "Invalid request", "text is required, and not empty.")
        items.append({"text": text, "alias": text_of(item, "alias"), "case_sensitive": bool(case_sensitive)})
    return items
