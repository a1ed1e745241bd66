"""One HTTP request as a value, and the multipart form that may be its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional, Protocol, TypeVar

from urllib3.filepost import encode_multipart_formdata

from ...errors import APIError
from ...exchange import HTTPRequest

_E = TypeVar("_E", bound=APIError)


class Slot(Protocol):
    """A slot of the client's limit, for as long as an answer is being made."""

    def release(self) -> None:
        """Give it back; a second time does nothing. Threads: any, a finalizer too. Does not wait."""

    def refused(self, retry_after: Optional[float] = None) -> None:
        """Take note that the service refused the request for want of one."""

    def succeeded(self) -> None:
        """Take note that it did not."""


class TakeSlot(Protocol):
    """Waits for a slot."""

    def __call__(self, *, is_again: bool, check: Callable[[], object]) -> Slot:
        """Wait for a slot.

        Args:
            is_again: Whether the service has refused the request before, which lets it come first.
            check: Called now and then; what it raises ends the wait.

        Raises:
            SlotTimeoutError, LimitError: There is none.
        """
        ...


@dataclass(frozen=True)
class Request:
    """One request, as often as it is attempted.

    Attributes:
        method: GET, POST, PATCH, PUT or DELETE.
        url: Without the query.
        path: The URL's path, for messages.
        query: Names and values.
        headers: All of them, the one with the key included, unless ``ask`` gives that.
        body: What is sent, or None.
        connect_timeout: Seconds for each address of the host, and again for TLS; None is no limit.
        read_timeout: Seconds without any byte of the answer; None is no limit.
        max_retries: How often a failed attempt is repeated at most.
        max_answer_bytes: How long an answer may be that is read as a whole, decompressed; None is no limit.
        ask: Gives more headers at each attempt, in the thread that makes it; None where there are none.
        take_slot: Waits at each attempt for a slot of the client's limit; None where the request needs none.
    """

    method: str
    url: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str] = field(repr=False)
    body: Optional[bytes]
    connect_timeout: Optional[float]
    read_timeout: Optional[float]
    max_retries: int
    max_answer_bytes: Optional[int]
    ask: Optional[Callable[[], Mapping[str, str]]] = None
    take_slot: Optional[TakeSlot] = field(default=None, repr=False)

    def attempted(self) -> Request:
        """Return it as one attempt sends it, with all headers.

        Raises:
            RaisedOutside: A user's function raised; see ``credential.ask_for``.
        """
        return self if self.ask is None else replace(self, headers={**self.headers, **self.ask()}, ask=None)

    @property
    def what(self) -> str:
        """Its name in messages. The query is left out: it may hold a credential."""
        return f"{self.method} {self.path}"

    @property
    def shown(self) -> HTTPRequest:
        """What exceptions and answers show of it."""
        return HTTPRequest.of(self.method, self.url)

    def failed(self, error: _E) -> _E:
        """Let an exception know that this is its request, unless it knows one."""
        if not error.request.method:
            error.request = self.shown
        return error


def form(fields: Sequence[tuple[str, Any]]) -> tuple[bytes, str]:
    """Encode a multipart form; return it with its content type.

    Args:
        fields: Names, and texts or (file name, content) or (file name, content, content type). A file's type is
            guessed from its name where none is given.
    """
    body, content_type = encode_multipart_formdata(fields)
    return body, content_type
