"""A pool of a client with a limit, against a service that has one: all is whole, and what it waited is measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from cartesia_sync import Cartesia, SpokenContext
from cartesia_sync.limits import Learned
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Hold

from ..support.processes import VOICE

BOUND = 30.0
FORMAT: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SLOTS = 3


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", pace=100, concurrency_limit=SLOTS) as server:
        yield server


def pool_of(client: Cartesia) -> Any:
    return client.tts.pool(voice=VOICE, output_format=FORMAT)


@pytest.mark.parametrize("as_completed", [False, True])
def test_a_map_waits_for_the_limits_slots(server: LocalServer, as_completed: bool) -> None:
    texts = [f"This is number {number}." for number in range(30)]
    with Cartesia(api_key="any", base_url=server.url, limit=SLOTS) as client, pool_of(client) as pool:
        spoken = list(pool.map(texts, as_completed=as_completed))
        assert client.limit is not None
        assert client.limit.seen_429 == 0
    assert sorted(each.transcript for each in spoken) == sorted(texts)
    assert all(each.audio and each.metrics.refused == 0 for each in spoken)
    assert any(each.metrics.waited_for_slot for each in spoken)


def test_what_the_service_refuses_is_whole_and_counted(server: LocalServer) -> None:
    ends: list[SpokenContext] = []
    texts = [f"This is number {number}." for number in range(30)]
    made = Cartesia(api_key="any", base_url=server.url, limit=Learned(most=12), on_spoken=ends.append)
    with made as client, pool_of(client) as pool:
        spoken = list(pool.map(texts))
        assert client.limit is not None
        seen = client.limit.seen_429
    assert [each.transcript for each in spoken] == texts
    assert seen > 0
    assert sum(each.metrics.refused for each in spoken) == seen
    assert all(each.metrics.waited_for_slot > 0 for each in spoken if each.metrics.refused)
    assert {(each.context_id, each.outcome, each.metrics) for each in ends} == {
        (each.context_id, "done", each.metrics) for each in spoken
    }


def test_closing_a_pool_ends_the_wait_for_a_slot(server: LocalServer) -> None:
    until = threading.Event()
    server.inject(Hold(until, times=None))
    with Cartesia(api_key="any", base_url=server.url, limit=1) as client:
        pool = pool_of(client)
        futures = [pool.submit(f"Number {number}.") for number in range(6)]
        pool.close(cancel=True)
        for future in futures:
            with pytest.raises(CancelledError):
                future.result(BOUND)
        until.set()
        assert client.limit is not None
        ticket = client.limit.acquire(BOUND)
        assert ticket is not None
        assert (client.limit.in_use, client.limit.waiting) == (1, 0)
        ticket.release()
