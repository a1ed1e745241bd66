"""Spoken by other processes: what comes home, what is shared, and what a worker's death does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import APIConnectionError, BatchStoppedError, Cartesia
from cartesia_sync.batch import running
from cartesia_sync.batch.places import PARTS
from cartesia_sync.local import LocalServer

from ..support.redis_server import RedisServer
from .commands import ROOT, SCENES, batch_command, serving_apart
from .folders import assert_agrees, files_of, run, spoken

TEXTS = [f"Text {number}." for number in range(40)]
BOUND = 90


def scene(name: str, *arguments: object) -> dict[str, Any]:
    """Run a scene; return what it says at its end."""
    done = subprocess.run(
        [sys.executable, str(SCENES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=BOUND,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(BOUND)
@pytest.mark.parametrize("way", ["speak", "shared"])
def test_other_processes_speak_and_the_owner_has_the_ledger(server: LocalServer, tmp_path: Path, way: str) -> None:
    found = scene("process_pool.py", way, server.url, tmp_path)
    assert (found["done"], found["copied"], found["words"]) == (41, 1, "")
    assert len(found["failed"]) == 1
    assert found["failed"][0].startswith("NotFoundError: ")  # the worker's, with its words
    assert len({heard.connection for heard in server.heard}) == 2  # one of each process
    assert len(assert_agrees(tmp_path)) == 41
    assert not [path for path in files_of(tmp_path) if "part" in path]


class Counting(ThreadPoolExecutor):
    """Counts how many it has at once."""

    most = now = 0

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        future = super().submit(function, *arguments, **more)
        future.add_done_callback(self._count_down)
        return future

    def _count_down(self, future: Future[Any]) -> None:
        self.now -= 1


def test_a_limit_that_is_a_number_counts_for_all_workers_together(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    with Counting(16) as executor:
        assert run(client, TEXTS, tmp_path / "one", executor=executor).done == 40
        assert executor.most == 4
        executor.most = 0
        assert run(client, TEXTS, tmp_path / "two", executor=executor, at_once=7).done == 40
        assert executor.most == 7
    _close_pools()


def _close_pools() -> None:
    """End what this process spoke by as a worker."""
    from cartesia_sync.batch import making

    for pool in making._pools.values():
        pool.close()
    making._pools.clear()


@pytest.mark.timeout(BOUND)
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_worker_that_is_killed_breaks_the_executor_and_the_next_run_goes_on(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    found = scene("process_pool.py", "kill", server.url, tmp_path)
    assert found["words"].startswith("the executor takes no more (BrokenProcessPool")
    assert 5 <= found["done"] < 40
    done = assert_agrees(tmp_path)
    assert len(done) == found["done"]
    whole = {TEXTS[int(item_id) - 1] for item_id in done if int(item_id) <= 40}
    asked = {text: spoken(server).count(text) for text in whole}
    assert run(client, [*TEXTS, TEXTS[1]], tmp_path).done == 41 - len(done)
    assert {text: spoken(server).count(text) for text in whole} == asked
    assert len(assert_agrees(tmp_path)) == 41


def test_an_executor_that_is_shut_down_is_said(client: Cartesia, tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(BatchStoppedError, match="the executor takes no more"):
        run(client, TEXTS, tmp_path, executor=executor)


class Closing(Executor):
    """Fails what it is given first, and takes no more."""

    def __init__(self) -> None:
        self._has_failed = False

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        if self._has_failed:
            raise ConnectionError("the scheduler has gone")
        self._has_failed = True
        future: Future[Any] = Future()
        future.set_exception(APIConnectionError("lost"))
        return future


def test_an_executor_that_goes_while_an_item_rests_is_said(client: Cartesia, tmp_path: Path) -> None:
    with pytest.raises(BatchStoppedError, match="the scheduler has gone") as caught:
        run(client, TEXTS[:1], tmp_path, executor=Closing())
    assert caught.value.report.failed == []
    with pytest.raises(BatchStoppedError, match="the scheduler has gone"):
        run(client, TEXTS, tmp_path, executor=Closing())


class Losing(Executor):
    """Loses each task once, as a cluster may whose worker dies with it."""

    class KilledWorker(Exception):  # noqa: N818  # Dask's name
        """Dask's, for a task whose worker was killed too often."""

    def __init__(self) -> None:
        self._lost: set[str] = set()

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        job = arguments[1]
        if job.text not in self._lost:
            self._lost.add(job.text)
            future.set_exception(self.KilledWorker("killed"))
        else:
            future.set_result(function(*arguments))
        return future


def test_a_task_whose_worker_died_is_given_to_another(
    client: Cartesia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE", 0.01)
    assert run(client, TEXTS[:5], tmp_path, executor=Losing()).done == 5
    _close_pools()


def test_what_workers_have_left_in_the_shared_folder_goes_with_the_next_run(client: Cartesia, tmp_path: Path) -> None:
    (tmp_path / PARTS).mkdir()
    (tmp_path / PARTS / "1-0-0-1-abc.part").write_bytes(b"half")
    run(client, TEXTS[:1], tmp_path)
    assert files_of(tmp_path) == {"000001.wav"}
    assert not (tmp_path / PARTS).exists()


@pytest.mark.timeout(BOUND)
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")
def test_two_commands_share_a_limit_by_redis(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in TEXTS))
    (tmp_path / "redis").mkdir()
    with serving_apart(limit=3) as server, RedisServer(tmp_path / "redis") as redis:
        options = ("--limit", 3, "--limit-redis", redis.url, "--sample-rate", 8000, "--json")
        both = [batch_command(server.url, texts, tmp_path / name, *options) for name in ("one", "two")]
        for process in both:
            output, errors = process.communicate(timeout=BOUND)
            assert (process.returncode, errors) == (0, "")
            summary = json.loads(output.splitlines()[-1])
            assert (summary["done"], summary["refused"]) == (40, 0)


@pytest.mark.timeout(BOUND)
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_dask_cluster_speaks_shares_the_limit_and_loses_a_worker(tmp_path: Path) -> None:
    """In a process of its own, since a cluster leaves threads and sockets behind."""
    with serving_apart(limit=3) as server:
        found = scene("dask_cluster.py", server.url, tmp_path)
        counts = {text: count for text, count in server.counts().items() if text}
    assert (found["workers"], found["killed"]) == (2, 1)
    assert (found["done"], found["failed"], found["status"]) == (120, 0, 0)
    assert (len(counts), sum(counts.values()) <= 120 + 3 * 3) == (120, True)  # what a killed worker was at, again
    assert len(assert_agrees(tmp_path)) == 120
