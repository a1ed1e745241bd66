"""Ctrl-C wherever it can strike in a pool: nothing hangs after it, and the pool goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer
from cartesia_sync.pool import Pool

from ..support.interrupts import LOCKS_LEAK, Strike, Struck, strikes
from ..support.processes import VOICE

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
BOUND = 10.0
CODE = ("/pool/pool.py", "/pool/tasks.py", "/pool/members.py", "/pool/processes.py", "/pool/workers.py")

pytestmark = [
    pytest.mark.skipif(LOCKS_LEAK, reason="on this Python an interrupt may leave any lock taken"),
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # in a finalizer it may strike, too
]


def each_strike(client: Cartesia) -> Iterator[tuple[Strike, Pool]]:
    """Yield a strike for each place, and a pool that must work when the body is through with it."""
    count = 0
    for strike in strikes(*CODE):
        pool = client.tts.pool(voice=VOICE, output_format=FORMAT)
        yield strike, pool
        closer = threading.Thread(target=pool.close, daemon=True)
        assert pool.say("After.").audio, str(strike.place)
        assert pool.submit("After.").result(BOUND).audio, str(strike.place)
        closer.start()
        closer.join(BOUND)
        assert not closer.is_alive(), str(strike.place)
        count += strike.place is not None
    assert count > 10


WAYS: dict[str, Callable[[Pool], Any]] = {
    "say": lambda pool: pool.say("Hi."),
    "submit": lambda pool: pool.submit("Hi."),
    "map": lambda pool: list(pool.map(["Hi.", "Ho."])),
    "map as completed": lambda pool: list(pool.map(["Hi.", "Ho."], as_completed=True)),
    "context": lambda pool: pool.context(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_after_an_interrupt_a_pool_works_and_can_be_closed(
    way: Callable[[Pool], Any], client: Cartesia, server: LocalServer
) -> None:
    for strike, pool in each_strike(client):
        with contextlib.suppress(Struck):
            strike.run(way, pool)


def test_a_close_that_is_interrupted_can_be_repeated(client: Cartesia, server: LocalServer) -> None:
    for strike in strikes(*CODE):
        pool = client.tts.pool(voice=VOICE, output_format=FORMAT)
        future = pool.submit("Hi.")
        with contextlib.suppress(Struck):
            strike.run(pool.close)
        closer = threading.Thread(target=pool.close, daemon=True)
        closer.start()
        closer.join(BOUND)
        assert not closer.is_alive(), str(strike.place)
        future.exception(0) if not future.cancelled() else None
