"""A real server, a client, and a bound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer

from ..support.processes import serving

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Cartesia]:
    client = Cartesia(api_key="x", base_url=server.url)
    yield client
    client.close()
