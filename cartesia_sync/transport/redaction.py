"""Which parts of our requests are secret, and how they are kept out of exceptions and logs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..exchange import Headers

SECRET_HEADERS = ("authorization", "proxy-authorization", "x-api-key", "cookie")
"""In lower case."""
_SHORTEST_SECRET = 8


def secrets_in(headers: Mapping[str, str]) -> list[bytes]:
    """Return what a service that echoes our request must not bring into an exception.

    What is too short to be a credential is left: it may stand in an honest answer by chance.
    """
    values = [value for name, value in headers.items() if name.lower() in SECRET_HEADERS]
    words = {word.encode() for value in values for word in re.split(r"[\s;,]+", value)}  # a scheme and a credential
    words |= {word.partition(b"=")[2] for word in words}  # a cookie's value
    return _Secrets(sorted((word for word in words if len(word) >= _SHORTEST_SECRET), key=len, reverse=True))


def redacted(answer: bytes, secrets: Sequence[bytes]) -> bytes:
    """Return an answer without the secrets."""
    for secret in secrets:
        answer = answer.replace(secret, b"[redacted]")
    return answer


class Concealed(dict[str, str]):
    """Headers as they are sent. The repr has their names alone: tools print what a frame holds."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class _Secrets(list[bytes]):
    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


class SentHeaders(Headers):
    """The headers of a request, found under any spelling of their names; their repr shows no credential."""

    def __repr__(self) -> str:
        secrets = secrets_in(self)
        shown = {
            name: "[redacted]" if name in SECRET_HEADERS else redacted(value.encode(), secrets).decode()
            for name, value in self.items()
        }
        return f"{type(self).__name__}({shown!r})"
