"""A real server and a client with a limit; texts, and what of them is in a folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer

from ..support.processes import serving


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Cartesia]:
    with Cartesia(api_key="x", base_url=server.url, limit=4) as client:
        yield client
