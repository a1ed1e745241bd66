"""Limits that are shared and limits that are learned, as the server counts what speaks."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import Cartesia, SlotDeadlockError
from cartesia_sync.limits import Learned, Redis, SameMachine
from cartesia_sync.local import LocalServer, faults

from ..support.counting import BOUND, counting
from ..support.processes import Run
from ..support.redis_server import PROGRAM, WHY_NOT, RedisServer

RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPOKEN: dict[str, Any] = {
    "model_id": "sonic-latest",
    "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    "output_format": RAW,
}
SCENE = Path(__file__).parent / "scenes" / "limited.py"
SLOTS = 3
WINDOW = 210
pytestmark = pytest.mark.timeout(60)


# ---- over processes


@pytest.fixture(params=["SameMachine", "Redis"])
def expression(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "SameMachine":
        yield f"SameMachine({SLOTS}, directory={str(tmp_path)!r}, name='all')"
        return
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    with RedisServer(tmp_path) as redis:
        yield f"Redis({redis.url!r}, {SLOTS}, name='all', lease=2)"


def speakers(server: LocalServer, first: int = 0) -> list[str]:
    """Who said the texts that the server heard, in order."""
    heard = [each.message for each in server.heard[first:]]
    return [each["transcript"][0] for each in heard if isinstance(each, dict) and each.get("transcript")]


@pytest.mark.skipif(sys.platform == "win32", reason="one is killed")
def test_three_processes_of_four_threads_share_three_slots_and_one_may_be_killed(expression: str) -> None:
    with counting(pace=50, chunk_bytes=1600) as (server, count), contextlib.ExitStack() as stack:
        runs = [stack.enter_context(Run("-W", "error", SCENE, server.url, expression, f"{name}:4")) for name in "abc"]
        assert [run.line() for run in runs] == ["speaking"] * 3
        server.wait_for(lambda each: min(Counter("abc" + "".join(speakers(each))).values()) > 10, BOUND)
        first = len(server.heard)
        server.wait_for(lambda each: len(each.heard) >= first + WINDOW, 2 * BOUND)
        shares = Counter(speakers(server, first)[:WINDOW])
        assert all(abs(shares[name] - WINDOW / 3) <= WINDOW / 30 for name in "abc"), shares
        assert count.most == SLOTS
        runs[0].process.kill()
        runs[0].process.wait(BOUND)
        first = len(server.heard)
        server.wait_for(lambda each: len(each.heard) >= first + 30, BOUND)
        assert set(speakers(server, first + 4)) == {"b", "c"}  # what the killed one had sent may come behind
        count.wait_for(lambda each: each.now == SLOTS)  # its slots came back
        count.forget()
        for run in runs[1:]:
            assert run.end() == (0, "in use 0 waiting 0\n", "")
        count.wait_for(lambda each: each.now == 0)
        assert (count.most, count.refused) == (SLOTS, 0)
        others = eval(expression, {"Redis": Redis, "SameMachine": SameMachine})
        slots = [others.acquire(BOUND) for _ in range(SLOTS)]
        assert all(slots)
        for slot in slots:
            slot.release()
        if isinstance(others, Redis):
            others._leases._by_process.clear()  # its sockets


# ---- learned


def speak(connection: Any, transcript: str) -> None:
    context = connection.context(**SPOKEN)
    context.push(transcript, continue_=False)
    assert context.audio()


def test_a_limit_is_learned_and_found_when_it_rises() -> None:
    """300 texts of 32 threads; the server allows 4, and 8 from the 100th on."""
    limit, numbers = Learned(most=32), itertools.count()
    with (
        counting(concurrency_limit=4, pace=100) as (server, count),
        Cartesia(api_key="any", base_url=server.url, limit=limit, limit_idle=None) as client,
        client.tts.websocket_connect() as connection,
    ):

        def work(number: int) -> None:
            speak(connection, f"This is text number {number}, and it is spoken.")
            if next(numbers) == 100:
                assert count.most == 4
                assert count.refused <= 60
                server.concurrency_limit = 8

        with ThreadPoolExecutor(32) as threads:
            for done in [threads.submit(work, number) for number in range(300)]:
                done.result(2 * BOUND)
        assert count.most >= 7
        assert limit.allowed >= 7
        assert count.refused <= 100
        assert (limit.in_use, limit.waiting, limit.seen_429) == (0, 0, count.refused)


def take_one(server: LocalServer, connection: Any, until: threading.Event) -> Any:
    """Begin a context that holds its slot until then, as often as it takes: this client has no limit, and sees 429."""
    for _ in range(1000):
        context = connection.context(**SPOKEN)
        server.inject(faults.Hold(until=until, context_id=context.context_id, after=1))
        context.push("And this is somebody else's.", continue_=False)
        if next(iter(context)).type == "chunk":
            return context
    raise AssertionError("there was never one free")


def test_another_client_is_given_way_to() -> None:
    """It takes two of four slots."""
    limit, is_over, until = Learned(most=32), threading.Event(), threading.Event()
    with counting(concurrency_limit=4, pace=100, chunk_bytes=1600) as (server, count), contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(Cartesia(api_key="any", base_url=server.url, limit=each, limit_idle=None))
            for each in (limit, None)
        )
        connections = [stack.enter_context(each.tts.websocket_connect()) for each in (one, two)]

        def work() -> None:
            while not is_over.is_set():
                speak(connections[0], "This is a text, and it is spoken.")

        with ThreadPoolExecutor(10) as threads:
            working = [threads.submit(work) for _ in range(8)]
            try:
                count.wait_for(lambda seen: seen.begun >= 40)
                assert limit.allowed in (4, 5)
                held = [take_one(server, connections[1], until) for _ in range(2)]
                count.forget()
                count.wait_for(lambda seen: seen.begun >= 40)
                assert limit.allowed in (2, 3)  # the third is on trial
                assert count.refused <= 25
                until.set()
                assert all(list(context)[-1].type == "done" for context in held)
                count.forget()
                count.wait_for(lambda seen: seen.begun >= 100)
                assert limit.allowed in (4, 5)
            finally:
                is_over.set()
                until.set()
            for future in working:
                future.result(BOUND)
        assert count.most == 4


# ---- of one thread


def test_two_contexts_pushed_to_in_turns_by_one_thread_are_told_at_once() -> None:
    with (
        counting() as (server, count),
        Cartesia(api_key="any", base_url=server.url, limit=1, limit_idle=None) as client,
        client.tts.websocket_connect() as connection,
    ):
        one, two = (connection.context(**SPOKEN) for _ in range(2))
        one.push("One. ")
        with pytest.raises(SlotDeadlockError, match=r"no_more_inputs\(\)"):
            two.push("Two. ")
        one.no_more_inputs()
        two.push("Two.", continue_=False)
        assert one.audio()
        assert two.audio()
        assert count.most == 1
