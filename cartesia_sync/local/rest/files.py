"""``/files`` and ``/links``: what ``"save": true`` keeps of an answer of ``/tts/bytes``.

The service has them on a host of their own, files.cartesia.ai; here they stand beside all else.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple, Optional

from aiohttp import web

from ..requests import ApiError, invalid_request
from .responder import Responder, Route
from .store import new_id, now, texts

__all__ = ["Files", "Saving"]

_MOST_BYTES = 64 * 1024**2
_LIVES_S = {"1h": 3600, "24h": 86_400, "7d": 604_800}


class _File(NamedTuple):
    content_type: str
    created_at: str
    data: bytes


class Saving:
    """A file while it comes. One that is larger than all files may be is not kept."""

    def __init__(self) -> None:
        self.id = new_id()
        self.pieces: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        self.size += len(data)
        if self.size > _MOST_BYTES:
            self.pieces.clear()
        else:
            self.pieces.append(data)


class Files:
    """All saved files of one server: the newest, 64 MiB in all."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._links: dict[str, tuple[str, float]] = {}  # by the word in their URL: a file's id, and when it ends
        self._bytes = 0
        self.routes = [
            Route("GET", "/files/{id}/info", self._info),
            Route("GET", "/files/{id}/download", self._download),
            Route("POST", "/links", self._link),
        ]
        self.linked = self._linked  # for a route that needs no key

    def save(self, saving: Saving, content_type: str) -> None:
        """Keep a file that is complete; the oldest others go where there is no room."""
        if saving.size > _MOST_BYTES:
            return
        self._files[saving.id] = _File(content_type, now(), b"".join(saving.pieces))
        self._bytes += saving.size
        while self._bytes > _MOST_BYTES:
            _, gone = self._files.popitem(last=False)
            self._bytes -= len(gone.data)

    def _get(self, file_id: str) -> _File:
        try:
            return self._files[file_id]
        except KeyError:
            raise ApiError(404, "File not found", f"There is no file {file_id!r}.") from None

    async def _info(self, responder: Responder) -> web.StreamResponse:
        file_id = responder.path_value()
        file = self._get(file_id)
        return responder.reply(
            {"id": file_id, "content_type": file.content_type, "size": len(file.data), "created_at": file.created_at}
        )

    async def _download(self, responder: Responder) -> web.StreamResponse:
        file = self._get(responder.path_value())
        return web.Response(body=file.data, content_type=file.content_type)

    async def _link(self, responder: Responder) -> web.StreamResponse:
        file_id = texts(responder.json, ["file_id"])["file_id"]
        self._get(file_id)
        lifetime: Optional[object] = responder.json.get("lifetime", "24h")
        if lifetime not in _LIVES_S:
            raise invalid_request(f"lifetime is one of {', '.join(_LIVES_S)}.")
        self._links = {word: link for word, link in self._links.items() if link[1] > time.monotonic()}
        if len(self._links) >= 10_000:
            raise ApiError(403, "Limit reached", "There are too many links.")
        word = new_id()
        self._links[word] = (file_id, time.monotonic() + _LIVES_S[str(lifetime)])
        request = responder.request
        return responder.reply({"url": f"{request.scheme}://{request.host}/links/{word}"})

    async def _linked(self, responder: Responder) -> web.StreamResponse:
        file_id, ends = self._links.get(responder.path_value("word"), ("", 0.0))
        if ends <= time.monotonic():
            raise ApiError(404, "Link not found", "There is no such link, or its time is over.")
        file = self._get(file_id)
        return web.Response(body=file.data, content_type=file.content_type)
