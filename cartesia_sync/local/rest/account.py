"""``/usage/credits`` and ``/api-keys``: what an organization's admin asks for, with an admin key alone.

A credit is a character that was spoken. Nothing here says a key: the ids are made from them and lead nowhere.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Set
from typing import Any, Optional

from aiohttp import web

from ..admission import ADMIN
from ..generation import ConcurrencyLimit
from ..requests import invalid_request
from .responder import Responder, Route
from .store import Store, now, page

__all__ = ["Account"]

_DEFAULT_WINDOW = datetime.timedelta(days=3)
_LONGEST_WINDOW = datetime.timedelta(days=366)
_GROUPS = ("capability", "model", "voice", "api_key")
_DAY = datetime.timedelta(days=1)


class Account:
    """The server's own account.

    Args:
        api_keys: The keys that are accepted, or ``None`` for any.
        concurrency: What counts the characters.
    """

    def __init__(self, api_keys: Optional[Set[str]], concurrency: ConcurrencyLimit) -> None:
        self._concurrency = concurrency
        self._keys = Store("API key")
        for key in sorted(api_keys or ()):
            if not key.startswith("sk_car_admin_"):
                self._keys.add(
                    {
                        "id": str(uuid.uuid4()),
                        "description": "A key of the local server",
                        "created_at": now(),
                        "creator_email": "nobody@localhost",
                        "creator_still_in_org": True,
                    }
                )
        self.routes = [
            Route("GET", "/usage/credits", self._credits, ADMIN),
            Route("GET", "/api-keys", self._list_keys, ADMIN),
            Route("GET", "/api-keys/{id}", self._get_key, ADMIN),
        ]

    async def _credits(self, responder: Responder) -> web.StreamResponse:
        query = responder.query
        end = _time(query, "end_ts") or datetime.datetime.now(datetime.timezone.utc)
        start = _time(query, "start_ts") or end - _DEFAULT_WINDOW
        start, whole_end = _midnight(start), _midnight(end)
        end = whole_end if whole_end == end else whole_end + _DAY
        if not datetime.timedelta(0) < end - start <= _LONGEST_WINDOW:
            raise invalid_request("start_ts is before end_ts, by a year at most.")
        interval = query.get("interval")
        if interval not in (None, "", "day", "week", "month"):
            raise invalid_request("interval is one of day, week, month.")
        if query.get("group_by") not in (None, "", *_GROUPS):
            raise invalid_request(f"group_by is one of {', '.join(_GROUPS)}.")
        data, begin = [], start
        while begin < end:
            following = min(_next(begin, interval) if interval else end, end)
            spoken = sum(
                count for day, count in self._concurrency.spoken.items() if begin.date() <= day < following.date()
            )
            data.append({"start_ts": _written(begin), "end_ts": _written(following), "credits": spoken})
            begin = following
        return responder.reply({"data": data})

    async def _list_keys(self, responder: Responder) -> web.StreamResponse:
        wanted = responder.query.get("q", "").casefold()
        found = [key for key in self._keys if wanted in f"{key['description']} {key['creator_email']}".casefold()]
        return responder.reply(page(found, {"limit": "20", **responder.query}))

    async def _get_key(self, responder: Responder) -> web.StreamResponse:
        return responder.reply(self._keys.get(responder.path_value()))


def _time(query: Mapping[str, Any], name: str) -> Optional[datetime.datetime]:
    text = query.get(name)
    if not text:
        return None
    try:  # "Z" is read from Python 3.11 on
        time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise invalid_request(f"{name} is a time with its zone, such as 2026-01-01T00:00:00Z (RFC 3339).")
    return time.astimezone(datetime.timezone.utc)


def _midnight(time: datetime.datetime) -> datetime.datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _next(time: datetime.datetime, interval: str) -> datetime.datetime:
    if interval == "day":
        return time + _DAY
    if interval == "week":
        return time + (7 - time.weekday()) * _DAY
    return (time.replace(day=1) + 32 * _DAY).replace(day=1)


def _written(time: datetime.datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
