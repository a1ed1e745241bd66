"""An iterator of an answer that ends as if whole only where the answer is whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ..errors import APIError

if TYPE_CHECKING:
    from ..transport.http.response import Response

_T = TypeVar("_T")


class CheckedIterator(Iterator[_T]):
    """An iterator of an answer that ends in ``StopIteration`` only where the answer is whole.

    A generator that has raised, or was interrupted, ends as if whole when it is asked again. This one raises
    ``IncompleteAnswerError`` then, as often as it is asked.

    Threads: one at a time; ``close`` from any.
    """

    def __init__(self, source: Iterator[_T], response: Response) -> None:
        self._source = source
        self._response = response
        self._is_under_way = False  # stays, where what was under way is lost

    def __next__(self) -> _T:
        if self._is_under_way:
            raise self._response.broken("has failed, was interrupted, or is being read by another thread")
        self._is_under_way = True
        try:
            item = next(self._source)
        except StopIteration:
            self._is_under_way = False
            raise
        except APIError as error:
            self._response.request.failed(error)
            raise
        self._is_under_way = False  # as the last act: until here nobody has lost anything unnoticed
        return item

    def close(self) -> None:
        """Release the connection."""
        self._response.close()
