"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Generic, Optional, TypeVar

from ..errors import APIResponseValidationError
from ..protocol.models.base import read
from ..protocol.models.plain import Member, Plain

_T = TypeVar("_T")
REMEMBERED_PAGES = 100
"""How many earlier pages a page is compared with; a longer circle is found too, though later."""


@dataclass(frozen=True)
class _Trail:
    """The cursors of the pages before one; finds a circle of any length in bounded memory.

    Attributes:
        last: The most recent ones: a circle that is no longer than they are is found at its first repetition.
        mark: One that is kept, to find longer circles.
        steps: How many pages ago that was.
        limit: After how many steps another one is kept, twice as long (Brent's way).
    """

    last: tuple[str, ...] = ()
    mark: Optional[str] = None
    steps: int = 0
    limit: int = 1

    def __contains__(self, cursor: str) -> bool:
        return cursor == self.mark or cursor in self.last

    def followed_by(self, cursor: str) -> _Trail:
        last = (*self.last, cursor)[-REMEMBERED_PAGES:]
        if self.mark is None or self.steps + 1 == self.limit:
            return _Trail(last, cursor, 0, self.limit * 2)
        return _Trail(last, self.mark, self.steps + 1, self.limit)


@dataclass(frozen=True)
class PageInfo:
    """How the next page of a list is asked for.

    Attributes:
        params: What is put into the query.
        url: None here: the page has the same URL.
        json: None here: lists have no body.
    """

    params: Mapping[str, object]
    url: Optional[str] = None
    json: Optional[Mapping[str, object]] = None


class SyncCursorIDPage(Generic[_T], Plain):
    """One page of a list; iterate it for the items of this page and of all that follow.

    Attributes:
        data: This page's items.
        has_more: Whether the service has more; None where it does not say.
        next_page: The id that the service would have the next page begin after, or None.

    Threads: one at a time. Going on to the next page sends a request to the service.
    """

    def __init__(self, answer: Mapping[str, Any], kind: Any, fetch: Callable[[Mapping[str, object]], Any]) -> None:
        data = answer.get("data")
        if data is not None and not isinstance(data, list):
            raise APIResponseValidationError("a page's data should be a JSON array", status_code=200, body=dict(answer))
        self.data: list[_T] = read(list[kind], data or [])
        self.has_more: Optional[bool] = answer.get("has_more")
        self.next_page: Optional[str] = answer.get("next_page")
        self._answer = answer
        self._fetch = fetch
        self._is_backwards = False
        self._trail = _Trail()

    @classmethod
    def fetched(
        cls, ask: Callable[[Mapping[str, object]], Any], kind: Any, query: Mapping[str, object]
    ) -> SyncCursorIDPage[_T]:
        """Fetch a page, which can fetch the one after it.

        Args:
            ask: Sends a request with a query, and returns the decoded answer.
            kind: What the items are.
            query: The first page's.
        """
        return cls.answered(ask(query), ask, kind, query)

    @classmethod
    def answered(
        cls,
        answer: Mapping[str, Any],
        ask: Callable[[Mapping[str, object]], Any],
        kind: Any,
        query: Mapping[str, object],
    ) -> SyncCursorIDPage[_T]:
        """Make a page of the answer to a query; for the rest see ``fetched``."""

        def fetch(cursor: Mapping[str, object]) -> SyncCursorIDPage[_T]:
            return cls.fetched(ask, kind, {**query, **cursor})

        page = cls(answer, kind, fetch)
        page._is_backwards = isinstance(query.get("ending_before"), str)
        return page

    def _members(self) -> Iterator[Member]:
        yield Member("data", "data", self.data, "data" in self._answer, None)
        for name, value in self._answer.items():
            if name != "data":
                yield Member(name, name, value)

    def _settable(self) -> set[str]:
        return {"data"}  # as the official client has it: the others are fields that it does not know

    def __repr__(self) -> str:
        return f"<SyncCursorIDPage of {len(self.data)}>"

    def __iter__(self) -> Iterator[_T]:
        for page in self.iter_pages():
            yield from page.data

    def iter_pages(self) -> Iterator[SyncCursorIDPage[_T]]:
        """Iterate over this page and all that follow, each fetched when it is needed."""
        page = self
        yield page
        while page.has_next_page():
            page = page.get_next_page()
            yield page

    def has_next_page(self) -> bool:
        """Whether another page may follow: not after an empty one, nor where the service says that it has no more."""
        return self.next_page_info() is not None

    def next_page_info(self) -> Optional[PageInfo]:
        """Return how the page that follows is asked for; None where none follows."""
        cursor = self._cursor() if self.data and self.has_more is not False else None
        return None if cursor is None else PageInfo(cursor)

    def get_next_page(self) -> SyncCursorIDPage[_T]:
        """Get the page that follows.

        Raises:
            RuntimeError: None follows; see ``has_next_page``.
            APIResponseValidationError: The service gave the same page again, or one of those before it, which would
                never end.
        """
        info = self.next_page_info()
        if info is None:
            raise RuntimeError("no page follows this one; has_next_page() says so beforehand")
        cursor = info.params
        page: SyncCursorIDPage[_T] = self._fetch(cursor)
        page._trail = self._trail.followed_by(repr(cursor))
        if repr(page._cursor()) in page._trail:
            raise APIResponseValidationError(f"the service gave the same page again, for {cursor!r}", status_code=200)
        return page

    def _cursor(self) -> Optional[dict[str, object]]:
        """Return the query for the next page: by the id of the last item here, as the official client asks."""
        item = (self.data[0] if self._is_backwards else self.data[-1]) if self.data else None
        found = getattr(item, "id", None)
        if found is None:
            return None
        return {"ending_before": found} if self._is_backwards else {"starting_after": found}
