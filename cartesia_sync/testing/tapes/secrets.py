"""What may stand in no tape: keys and tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["TAKEN_OUT", "Secrets", "without_secrets"]

TAKEN_OUT = "TAKEN-OUT"

_NAMES = frozenset({"access_token", "api_key", "token"})
_HEADERS = ("authorization", "x-api-key")
_SHORTEST = 8  # a key such as "any" stands in many texts, and is none
_KEY = re.compile(r"(?<![A-Za-z0-9_])sk_(?:car_[A-Za-z0-9_-]{4,}|[A-Za-z0-9_-]{20,})")


def without_secrets(query: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return a query without the names that hold credentials, sorted: the order says nothing."""
    return sorted([name, value] for name, value in query if name not in _NAMES)


class Secrets:
    """The credentials that came by while a tape was recorded.

    Threads: the proxy's loop, and after its end whoever writes the tape.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()

    def note(self, headers: Mapping[str, str], query: Iterable[tuple[str, str]]) -> None:
        """Take down what a request came with."""
        for name in _HEADERS:
            value = headers.get(name, "")
            self.add(value.partition(" ")[2] if value[:7].lower() == "bearer " else value)
        for name, value in query:
            if name in _NAMES:
                self.add(value)

    def note_json(self, value: Any) -> None:
        """Take down the tokens in a JSON document, such as the answer to ``POST /access-token``."""
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in _NAMES and isinstance(inner, str):
                    self.add(inner)
                self.note_json(inner)
        elif isinstance(value, list):
            for inner in value:
                self.note_json(inner)

    def add(self, value: str) -> None:
        """Take down one."""
        if len(value.strip()) >= _SHORTEST:
            self._values.add(value.strip())

    def taken_out(self, text: str) -> str:
        """Return lines of JSON without them, and without all that looks like a key of the service."""
        for value in sorted(self._values, key=len, reverse=True):
            for written in (value, json.dumps(value)[1:-1]):
                text = text.replace(written, TAKEN_OUT)
        return _KEY.sub(TAKEN_OUT, text)

    def is_in(self, data: bytes) -> bool:
        """Whether one of them stands in these bytes."""
        return any(value.encode() in data for value in self._values)
