"""One limit for all machines, with a real Redis that is stopped, frozen, and started again without its data."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
import redis

from cartesia_sync.errors import LimitError, LimitUnreachableError
from cartesia_sync.limits import Redis

from ..support.judge import Judge
from ..support.redis_server import PROGRAM, WHY_NOT, RedisServer
from .working import working

BOUND = 20.0
LEASE = 1.5
pytestmark = [pytest.mark.timeout(60), pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that the test may stop."""
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)[:60].translate({ord(each): "-" for each in "[]=/ "})


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count(server: RedisServer, name: str, what: str) -> int:
    with redis.Redis(port=server.port) as client:
        return int(client.zcard(f"{{cartesia-sync:{name}}}:{what}"))


_taken: list[Any] = []


@pytest.fixture(autouse=True)
def _all_is_released() -> Iterator[None]:
    yield
    while _taken:
        _taken.pop().release()


def got(limit: Redis, count: int) -> list[Any]:
    """Take so many slots, which the test's end releases."""
    slots = [limit.acquire(BOUND) for _ in range(count)]
    assert all(slots)
    _taken.extend(slots)
    return slots


# ---- one after the other


def test_several_processes_share_the_slots(shared: RedisServer, name: str) -> None:
    one, two = Redis(shared.url, 3, lease=LEASE, name=name), Redis(shared.url, 3, lease=LEASE, name=name)
    slots = [*got(one, 2), *got(two, 1)]
    assert (one.acquire(timeout=0), two.acquire(timeout=0)) == (None, None)
    slots[0].release()
    got(two, 1)
    assert (one.in_use, two.in_use, one.waiting) == (1, 2, 0)
    one.release()
    two.release()
    two.release()
    three = Redis(shared.url, 3, lease=LEASE, name=name)
    for slot in got(three, 3):
        slot.release()


def test_a_slot_that_is_held_is_renewed_for_as_long(shared: RedisServer, name: str) -> None:
    one, two = Redis(shared.url, 1, lease=0.6, name=name), Redis(shared.url, 1, lease=0.6, name=name)
    (slot,) = got(one, 1)
    assert two.acquire(2) is None  # three leases later
    slot.release()
    got(two, 1)[0].release()
    assert (one.lost, one.excess) == (0, 0)


def test_the_scripts_are_loaded_once_and_run_by_their_digest(server: RedisServer) -> None:
    limit = Redis(server.url, 2, name="scripts")
    for _ in range(5):
        got(limit, 1)[0].release()
    wait_until(lambda: not count(server, "scripts", "leases"))
    with redis.Redis(port=server.port) as client:
        stats = client.info("commandstats")
    assert stats["cmdstat_script|load"]["calls"] == 2  # to take, and to give back
    assert "cmdstat_eval" not in stats


def test_another_number_under_the_same_name_is_an_error_until_nobody_uses_it(shared: RedisServer, name: str) -> None:
    three, five = Redis(shared.url, 3, lease=LEASE, name=name), Redis(shared.url, 5, lease=LEASE, name=name)
    (slot,) = got(three, 1)
    with pytest.raises(LimitError, match="in use by other processes with 3 slots, and here with 5"):
        five.acquire(1)
    slot.release()
    wait_until(lambda: not count(shared, name, "leases"))
    for slot in got(five, 5):
        slot.release()


def test_accounts_have_names_and_slots_of_their_own(shared: RedisServer, name: str) -> None:
    one, two, unnamed = (
        Redis(shared.url, 1, name=f"{name}1"),
        Redis(shared.url, 1, name=f"{name}2"),
        Redis(shared.url, 1),
    )
    unnamed.bind(f"{name}1")
    unnamed.bind("other")
    slots = [*got(one, 1), *got(two, 1)]
    assert (unnamed.name, unnamed.acquire(timeout=0)) == (f"{name}1", None)
    for slot in slots:
        slot.release()


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("redis://127.0.0.1/0", {"lease": 0}, "lease must be from 0.1"),
        ("redis://127.0.0.1/0", {"on_unreachable": "wait"}, 'must be "refuse" or "local"'),
        ("redis://127.0.0.1/0", {"name": "a b"}, "letters, digits"),
        ("http://127.0.0.1/0", {}, "needs a URL such as"),
        ("redis://:s3cret/word@127.0.0.1:6379/0", {}, "needs a URL such as"),
        (None, {}, "needs a URL such as"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(url: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Redis(url, 3, **options)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Redis("redis://127.0.0.1/0", 0)


def test_no_password_is_shown() -> None:
    limit = Redis("redis://user:s3cret@127.0.0.1:1/2", 3, name="all", lease=LEASE)
    assert repr(limit) == "<Redis 'all' at 127.0.0.1:1/2, <Gate 0 of 3 in use, 0 waiting, 0 refused>>"
    with pytest.raises(LimitUnreachableError, match=r"Redis at 127\.0\.0\.1:1/2 does not answer \(ConnectionError\)"):
        limit.acquire(1)


# ---- processes


def expression(server: RedisServer, name: str, **options: object) -> str:
    more = "".join(f", {key}={value!r}" for key, value in options.items())
    return f"Redis({server.url!r}, 3, name={name!r}, lease={LEASE}{more})"


def test_there_are_never_more_than_three_whatever_the_processes_do(shared: RedisServer, name: str) -> None:
    with Judge() as judge, working(judge.port, "abc", 4, 0.02, expression(shared, name)) as processes:
        judge.wait_for(lambda seen: min(seen.counts[name] for name in "abc") >= 30)
        assert judge.most == 3
        for process in processes:
            assert process.end() == ("in use 0 waiting 0", "")
        assert judge.most == 3
    got(Redis(shared.url, 3, name=name, lease=LEASE), 3)


def test_three_processes_with_endless_work_get_a_third_each(shared: RedisServer, name: str) -> None:
    with Judge() as judge, working(judge.port, "abc", 4, 0.02, expression(shared, name)):
        judge.wait_for(lambda seen: all(seen.counts[each] > 5 for each in "abc"))
        judge.forget()
        judge.wait_for(lambda seen: sum(seen.counts.values()) >= 300)
        third = sum(judge.counts.values()) / 3
        assert all(abs(judge.counts[each] - third) <= third / 10 for each in "abc"), judge.counts


def test_a_killed_process_gives_its_slots_back_after_the_lease(shared: RedisServer, name: str) -> None:
    with Judge() as judge, working(judge.port, "a", 4, BOUND, expression(shared, name)) as (process,):
        judge.wait_for(lambda seen: seen.total == 3)
        time.sleep(LEASE)  # they are renewed
        process.kill()
        began = time.monotonic()
        limit = Redis(shared.url, 3, name=name, lease=LEASE)
        assert limit.acquire(timeout=0) is None
        slots = got(limit, 3)
        assert LEASE / 3 < time.monotonic() - began < LEASE + 3
        for slot in slots:
            slot.release()


def test_a_process_that_ends_gives_its_slots_back_before_the_lease_is_over(shared: RedisServer, name: str) -> None:
    code = f"""
from cartesia_sync.limits import Redis
limit = Redis({shared.url!r}, 3, name={name!r}, lease=60)
slots = [limit.acquire(10) for _ in range(3)]
assert all(slots)
slots[0].release()
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=BOUND)
    assert (run.returncode, run.stderr) == (0, "")
    began = time.monotonic()
    got(Redis(shared.url, 3, name=name, lease=60), 3)
    assert time.monotonic() - began < BOUND


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_a_process_may_be_wrong(shared: RedisServer, name: str, hours: int) -> None:
    wrong = f"skew({3600 * hours}) or {expression(shared, name)}"
    with Judge() as judge, working(judge.port, "a", 4, 0.02, wrong):
        with working(judge.port, "b", 4, 0.02, expression(shared, name)):
            judge.wait_for(lambda seen: min(seen.counts[each] for each in "ab") >= 5)  # b has begun later
            judge.forget()
            judge.wait_for(lambda seen: min(seen.counts[each] for each in "ab") >= 60)
            assert judge.most == 3
            assert 0.5 < judge.counts["a"] / judge.counts["b"] < 2
        limit = Redis(shared.url, 3, name=name, lease=LEASE)
        got(limit, 1)[0].release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_child_gives_nothing_of_its_parents_back(shared: RedisServer, name: str) -> None:
    limit = Redis(shared.url, 2, name=name, lease=LEASE)
    slots = got(limit, 1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            slots[0].release()
            mine = limit.acquire(BOUND)
            if mine is not None and limit.in_use == 1 and limit.acquire(timeout=0) is None:
                mine.release()
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert limit.in_use == 1
    slots[0].release()
    for slot in got(limit, 2):
        slot.release()


def test_200_who_wait_cost_the_server_at_most_500_calls_a_second(shared: RedisServer, name: str) -> None:
    holder, *limits = (Redis(shared.url, 1, name=name, lease=30) for _ in range(201))
    (slot,) = got(holder, 1)
    with ThreadPoolExecutor(200) as threads:
        end = time.monotonic() + 8
        futures = [threads.submit(limit.gate.acquire, end - time.monotonic()) for limit in limits]
        wait_until(lambda: count(shared, name, "queue") == 200)
        time.sleep(1)  # each has been told how long to wait
        calls, began = shared.calls(), time.monotonic()
        time.sleep(2)
        rate = (shared.calls() - calls) / (time.monotonic() - began)
        assert 20 < rate <= 500
        assert all(future.result(BOUND) is None for future in futures)
    slot.release()


# ---- the server


def test_a_stopped_server_refuses_those_who_wait_and_ends_nothing(server: RedisServer) -> None:
    limit, other = (Redis(server.url, 2, name="all", lease=LEASE) for _ in range(2))
    slots = got(limit, 2)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(other.acquire, BOUND) for _ in range(4)]
        wait_until(lambda: other.waiting == 4)
        server.stop()
        for future in waiting:
            with pytest.raises(LimitUnreachableError, match='on_unreachable="local" would go on'):
                future.result(BOUND)
    assert all(slot.is_granted for slot in slots)
    server.start()
    wait_until(lambda: limit.lost == 2)  # filled again by the renewal
    assert other.acquire(timeout=0) is None
    for slot in slots:
        slot.release()
    got(other, 2)


def test_a_frozen_server_hangs_nobody(server: RedisServer) -> None:
    limit = Redis(server.url, 2, name="all", lease=LEASE)
    (slot,) = got(limit, 1)
    server.freeze()
    began = time.monotonic()
    assert limit.acquire(0.2) is None
    assert time.monotonic() - began < 0.4
    with pytest.raises(LimitUnreachableError, match="TimeoutError"):
        limit.acquire()
    assert time.monotonic() - began < 2 * LEASE
    began = time.monotonic()
    slot.release()  # which waits for nobody
    assert time.monotonic() - began < 0.1
    server.thaw()
    got(limit, 2)


def test_without_a_server_each_process_may_count_for_itself(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "cartesia_sync")
    limits = [Redis(server.url, 2, name="all", lease=LEASE, on_unreachable="local") for _ in range(2)]
    slots = got(limits[0], 1)
    server.stop()
    for limit in limits:
        slots += got(limit, 2 - limit.in_use)
        assert limit.acquire(timeout=0.3) is None
    assert "slots are counted here meanwhile" in caplog.text
    server.start()
    wait_until(lambda: max(limit.excess for limit in limits) == 2)  # four, where two are allowed
    assert "2 slots more than the limit's 2 are in use" in caplog.text
    for slot in slots:
        slot.release()
    wait_until(lambda: not count(server, "all", "leases"))
    got(limits[0], 2)
    assert limits[1].acquire(0.3) is None


def test_a_frozen_server_is_waited_for_once_where_each_may_count_for_itself(server: RedisServer) -> None:
    limit = Redis(server.url, 2, name="all", lease=LEASE, on_unreachable="local")
    server.freeze()
    began = time.monotonic()
    got(limit, 2)
    assert time.monotonic() - began < 2 * LEASE / 3 + 1
    assert limit.acquire(timeout=0.1) is None
    server.thaw()


def test_a_server_that_lost_its_data_is_filled_again_by_the_renewals(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "cartesia_sync")
    limit, other = (Redis(server.url, 2, name="all", lease=LEASE) for _ in range(2))
    slots = got(limit, 2)
    server.stop()
    server.start()
    more = got(other, 1)  # nobody has told it yet
    wait_until(lambda: limit.lost == 2 and max(limit.excess, other.excess) == 1)
    assert "did not know 2 slots" in caplog.text
    assert other.acquire(timeout=0) is None
    for slot in (*slots, *more):
        slot.release()
    got(other, 2)


def test_processes_go_on_by_themselves_when_the_server_is_back(server: RedisServer) -> None:
    with Judge() as judge, working(judge.port, "ab", 4, 0.02, expression(server, "all")) as processes:
        judge.wait_for(lambda seen: min(seen.counts[each] for each in "ab") >= 10)
        server.freeze()
        time.sleep(LEASE)
        server.thaw()
        judge.forget()
        judge.wait_for(lambda seen: min(seen.counts[each] for each in "ab") >= 10)
        server.stop()
        time.sleep(LEASE / 3)
        server.start()
        judge.forget()
        judge.wait_for(lambda seen: min(seen.counts[each] for each in "ab") >= 30)
        time.sleep(LEASE)
        judge.forget()
        judge.wait_for(lambda seen: min(seen.counts[each] for each in "ab") >= 30)
        assert judge.most == 3
        for process in processes:
            assert process.end()[0] == "in use 0 waiting 0"


def test_a_slot_that_is_given_back_while_it_is_renewed_is_no_excess(
    shared: RedisServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "cartesia_sync")
    limit, other = (Redis(shared.url, 1, name=name, lease=30) for _ in range(2))
    (slot,) = got(limit, 1)
    process = limit._leases._process()
    renew = process.renew

    def give_back_first(**arguments: Any) -> Any:
        slot.release()
        got(other, 1)  # at once another has it
        return renew(**arguments)

    process.renew = give_back_first
    process.next_renewal = 0.0
    limit._leases.renew(process)
    assert (limit.excess, limit.lost, caplog.text) == (0, 0, "")
    assert count(shared, name, "leases") == 1


def test_one_thread_of_a_process_renews_and_ends_with_the_last_slot(shared: RedisServer, name: str) -> None:
    limit = Redis(shared.url, 8, name=name, lease=LEASE)
    slots = got(limit, 8)

    def renewing() -> int:
        return sum(each.name.startswith("cartesia-sync-limit-renew") for each in threading.enumerate())

    assert renewing() == 1
    for slot in slots:
        slot.release()
    wait_until(lambda: not renewing())
