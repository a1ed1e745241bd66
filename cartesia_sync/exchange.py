"""A request and its answer over HTTP, as answers and exceptions show them: no socket, no credential."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union
from urllib.parse import urlsplit


class Headers(dict[str, str]):
    """An answer's headers: under lower-case names, and found under any spelling of a name."""

    def __init__(self, given: Union[Mapping[str, str], Iterable[tuple[str, str]]] = ()) -> None:
        super().__init__({name.lower(): value for name, value in dict(given).items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name.lower(), value)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.lower() if isinstance(name, str) else name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or the default."""
        return super().get(name.lower(), default)

    def copy(self) -> Headers:
        """Return another one of the same content."""
        return type(self)(self)


@dataclass(frozen=True)
class HTTPRequest:
    """What was asked for; what was sent with it, and the query, may hold a credential, and are not here.

    Attributes:
        method: Such as ``GET``; empty where no request of its own is behind an exception, as for those of a context.
        url: Without user name, password, query and fragment; empty where the method is.
    """

    method: str = ""
    url: str = ""

    @classmethod
    def of(cls, method: str, url: str) -> HTTPRequest:
        """Make one of a URL that may hold more than is to be shown."""
        parts = urlsplit(url)
        return cls(method, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


@dataclass(frozen=True)
class HTTPResponse:
    """The answer behind an exception.

    Attributes:
        status_code: The HTTP status.
        headers: The answer's, found under any spelling of their names; empty for an error event of a WebSocket.
        text: The body, 64 KiB of it at most. Of an error event it is the JSON of what it says.
        request: What was asked for.
    """

    status_code: int
    headers: Headers = field(default_factory=Headers)
    text: str = ""
    request: HTTPRequest = field(default_factory=HTTPRequest)

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.text.encode()

    @property
    def url(self) -> str:
        """The request's URL."""
        return self.request.url

    def json(self) -> Any:
        """Return the body, decoded.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.text)
