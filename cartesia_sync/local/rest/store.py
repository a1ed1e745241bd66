"""Records with an id, kept in memory and listed in pages: what most of the service's resources are."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from ..requests import ApiError, invalid_request, text_of

__all__ = ["Record", "Store", "new_id", "now", "page", "texts"]

Record = dict[str, Any]

_LIMITS, _DEFAULT_LIMIT = (1, 100), 10


class Store:
    """Records by id, in the order in which they were added. Not thread-safe: the server's loop only.

    Args:
        noun: What errors call a record.
        error_code: The service's code for one that is missing, if it has one.
    """

    def __init__(self, noun: str, error_code: Optional[str] = None) -> None:
        self._noun = noun
        self._error_code = error_code
        self._records: dict[str, Record] = {}

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __contains__(self, record_id: str) -> bool:
        return record_id in self._records

    def add(self, record: Record) -> Record:
        """Add a record behind the others, and return it."""
        self._records[record["id"]] = record
        return record

    def get(self, record_id: str) -> Record:
        """Return the record with this id.

        Raises:
            ApiError: 404, there is none.
        """
        try:
            return self._records[record_id]
        except KeyError:
            raise ApiError(
                404,
                f"{self._noun.capitalize()} not found",
                f"There is no {self._noun} {record_id!r}.",
                error_code=self._error_code,
            ) from None

    def remove(self, record_id: str) -> None:
        """Remove a record.

        Raises:
            ApiError: 404, there is none.
        """
        del self._records[self.get(record_id)["id"]]


def page(records: Sequence[Record], query: Mapping[str, str]) -> Record:
    """Return the page that ``limit``, ``starting_after`` and ``ending_before`` ask for; 10 records if none does.

    Raises:
        ApiError: 400, they do not fit the list, or each other.
    """
    limit_text = query.get("limit", str(_DEFAULT_LIMIT))
    low, high = _LIMITS
    if not (limit_text.isascii() and limit_text.isdigit() and low <= int(limit_text) <= high):
        raise invalid_request(f"limit is a number from {low} to {high}.")
    limit = int(limit_text)
    after, before = query.get("starting_after"), query.get("ending_before")
    if after and before:
        raise invalid_request("starting_after and ending_before exclude each other.")
    ids = [record["id"] for record in records]
    cursor = after or before
    if cursor and cursor not in ids:
        raise invalid_request(f"{cursor!r} is not in the list.")
    if before:
        end = ids.index(before)
        start = max(0, end - limit)
        has_more, edge = start > 0, start
    else:
        start = ids.index(after) + 1 if after else 0
        end = min(start + limit, len(ids))
        has_more, edge = end < len(ids), end - 1
    return {"data": records[start:end], "has_more": has_more, "next_page": ids[edge] if has_more else None}


def texts(body: Mapping[str, Any], required: Sequence[str] = (), optional: Sequence[str] = ()) -> dict[str, str]:
    """Return the fields of a body that hold text; of the optional ones only those that are there and not null.

    Raises:
        ApiError: 400, a required one is missing or empty, or one is not text.
    """
    found = {name: text_of(body, name) for name in required}
    for name, value in found.items():
        if not value:
            raise invalid_request(f"{name} is required, and not empty.")
    found.update({name: text_of(body, name) for name in optional if body.get(name) is not None})
    return found


def new_id() -> str:
    """Return an id that nothing else has."""
    return str(uuid.uuid4())


def now() -> str:
    """Return the time, in the service's form (RFC 3339)."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
