"""A server with an inspector, and who looks on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, Optional, Union
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from cartesia_sync.local import LocalServer


class Looker:
    """Asks for the page, and what belongs to it, as a browser does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        self.token = parse_qs(parts.query)["t"][0]
        self.cookie = ""

    def ask(
        self, path: str, method: str = "GET", body: Optional[str] = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Cookie": self.cookie, **given})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def enter(self) -> bytes:
        """Open the page; keep the cookie."""
        status, headers, page = self.ask(f"/inspector?t={self.token}")
        assert status == 200
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        return page

    def entries(self, until: Union[int, str]) -> list[dict[str, Any]]:
        """Return the first entries of the stream: so many, or to the first of this kind."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request("GET", "/inspector/events", headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            assert answer.headers["Content-Type"] == "text/event-stream"
            found: list[dict[str, Any]] = []
            while len(found) != until and (not found or found[-1]["kind"] != until):
                line = answer.readline().decode()
                assert line, "the stream has ended"
                if line.startswith("data: "):
                    found.append(json.loads(line[6:]))
            return found
        finally:
            connection.close()

    def row(self, row: str, what: str = "row") -> bytes:
        """Return what is known of a row."""
        status, _, body = self.ask(f"/inspector/{what}?row={quote(row)}")
        assert status == 200, body
        return body


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", inspector=True, concurrency_limit=8) as server:
        yield server


@pytest.fixture
def looker(server: LocalServer) -> Looker:
    assert server.inspector_url is not None
    looker = Looker(server.inspector_url)
    looker.enter()
    return looker
