"""``/pronunciation-dicts``: how words are to be spoken, for the requests for speech that name a dictionary."""

from __future__ import annotations

from typing import Any, Optional

from aiohttp import web

from ..requests import ApiError, invalid_request, unknown_status
from ..voice.pronunciation import Item, Pronunciation
from .responder import Responder, Route
from .store import Store, new_id, now, page, texts

__all__ = ["PronunciationDicts"]


class PronunciationDicts:
    """All pronunciation dictionaries of one server.

    An item says how its ``text`` is spoken in ``pronunciation``: other text, or phonemes in double angle brackets. The
    field's former name is ``alias``. Both are taken and answered; where they differ, the newer name counts.

    Args:
        owner_id: Whose they are.
        has_pronunciation: Otherwise there is only ``alias``.
    """

    def __init__(self, owner_id: str, *, has_pronunciation: bool) -> None:
        self._owner_id = owner_id
        self._has_pronunciation = has_pronunciation
        self._store = Store("pronunciation dictionary")
        self._read: dict[str, Pronunciation] = {}  # those that were asked for, as they are now
        self.routes = [
            Route("GET", "/pronunciation-dicts/", self._list),
            Route("POST", "/pronunciation-dicts/", self._create),
            Route("GET", "/pronunciation-dicts/{id}", self._get),
            Route("PATCH", "/pronunciation-dicts/{id}", self._update),
            Route("DELETE", "/pronunciation-dicts/{id}", self._delete),
        ]

    def pronunciation(self, dictionary_id: Optional[str], version: str) -> Optional[Pronunciation]:
        """Return the dictionary that a request for speech names, as it is now; ``None`` if it names none.

        Raises:
            ApiError: There is no such dictionary.
        """
        if dictionary_id is None:
            return None
        try:
            items = self._store.get(dictionary_id)["items"]
        except ApiError as exc:
            exc.status = unknown_status(version)
            raise
        if dictionary_id not in self._read:
            self._read[dictionary_id] = Pronunciation(
                Item(item["text"], item["alias"], item["case_sensitive"]) for item in items
            )
        return self._read[dictionary_id]

    async def _list(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(page(list(self._store), responder.query))

    async def _create(self, responder: Responder) -> web.StreamResponse:
        dictionary = {
            "id": new_id(),
            **texts(responder.json, ["name"]),
            "owner_id": self._owner_id,
            "pinned": False,
            "items": self._items(responder.json) or [],
            "created_at": now(),
        }
        return responder.reply(self._store.add(dictionary))

    async def _get(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(self._store.get(responder.path_value()))

    async def _update(self, responder: Responder) -> web.StreamResponse:
        dictionary = self._store.get(responder.path_value())
        changes: dict[str, Any] = {**texts(responder.json, optional=["name"])}
        items = self._items(responder.json)
        if items is not None:
            changes["items"] = items
        if not changes:
            raise invalid_request("There is nothing to change: name or items is required.")
        self._store.change(dictionary, changes)
        self._read.pop(dictionary["id"], None)
        return responder.reply(dictionary)

    async def _delete(self, responder: Responder) -> web.StreamResponse:
        self._store.remove(responder.path_value())
        self._read.pop(responder.path_value(), None)
        return responder.no_content()

    def _items(self, body: dict[str, Any]) -> Optional[list[dict[str, Any]]]:
        given = body.get("items")
        if given is None:
            return None
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            raise invalid_request("items is a list of objects.")
        return [self._item(item) for item in given]

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        case_sensitive = item.get("case_sensitive")
        if case_sensitive not in (True, False, None):
            raise invalid_request("case_sensitive is a boolean.")
        text = texts(item, ["text"])["text"].strip()
        if not text:
            raise invalid_request("text is required, and not empty.")
        names = ["pronunciation", "alias"] if self._has_pronunciation else ["alias"]
        given = texts(item, optional=names)
        spoken = next((given[name] for name in names if name in given), None)
        if spoken is None:
            raise invalid_request(f"{names[0]} is required, as a string.")
        return {"text": text, **dict.fromkeys(names, spoken), "case_sensitive": bool(case_sensitive)}
