"""A pool and the one connection, at module level: forked, spawned, left behind at exit."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from scene import FORMAT, TEXT, VOICE, Child, announce, await_parent, client_of, daemon, play

from cartesia_sync import Cartesia, ForkedError
from cartesia_sync.pool import Pool
from cartesia_sync.streaming.connection import Connection

# Python 3.12 warns of every fork of a process that has threads. This client has some, and is what is tested here.
warnings.filterwarnings("ignore", message="This process .* is multi-threaded", category=DeprecationWarning)

URL = os.environ.get("SCENE_URL") or sys.argv[2]
os.environ["SCENE_URL"] = URL  # for a spawned child, which imports this file again
client = client_of(URL)
pool = client.tts.pool(voice=VOICE, output_format=FORMAT)
connection = client.tts.connection()
CLIENT, POOL = client, pool


def say_by(connection: Connection) -> bytes:
    context = connection.context(voice=VOICE, output_format=FORMAT)
    context.push(TEXT, continue_=False)
    return context.audio()


def all_ways(client: Cartesia = client) -> set[bytes]:
    pool = client.tts.pool(voice=VOICE, output_format=FORMAT) if client is not CLIENT else POOL
    connection = client.tts.connection()
    mapped = [spoken.audio for spoken in pool.map([TEXT] * 3)]
    return {pool.say(TEXT).audio, pool.submit(TEXT).result().audio, *mapped, say_by(connection)}


def work() -> None:
    assert len(all_ways()) == 1


def end() -> None:
    pool.close()
    client.close()


def unused(url: str) -> None:
    children = [Child(work) for _ in range(2)]
    work()
    for child in children:
        child.join()
    end()


def used(url: str) -> None:
    work()
    children = [Child(work) for _ in range(2)]
    work()
    for child in children:
        child.join()
    work()
    end()


def closed(url: str) -> None:
    """A child of a process whose pool is closed has one of its own, as a client's connections are."""
    work()
    end()
    Child(work).join()


def at_work(url: str) -> None:
    """Threads of the pool and of the user's speak while the process forks."""
    spoken = pool.map([TEXT] * 20)
    first = next(spoken)
    announce("said")
    await_parent()
    futures = [pool.submit(TEXT) for _ in range(3)]
    said: list[Any] = []
    saying = daemon(lambda: said.append(pool.say(TEXT)))

    def misuse_and_work() -> None:
        work()
        for call in (lambda: next(spoken), lambda: held.push("More.")):
            try:
                call()
            except ForkedError:
                continue
            raise AssertionError("what is the parent's was not refused")

    held = pool.context()
    held.push(TEXT)
    child = Child(misuse_and_work)
    child.join()
    announce("forked")
    await_parent()
    assert {future.result().audio for future in futures} == {first.audio}
    saying.join()
    assert said[0].audio == first.audio
    held.no_more_inputs()
    assert held.audio() == first.audio
    assert len(list(spoken)) == 19
    work()
    end()


def grandchild(url: str) -> None:
    def child() -> None:
        work()
        Child(work).join()
        work()

    work()
    Child(child).join()
    work()
    end()


def spawned(url: str) -> None:
    said_here = pool.say(TEXT).audio
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        for result in [workers.submit(all_ways) for _ in range(4)]:
            assert result.result() == {said_here}
        for mine in (pool, connection):
            error = workers.submit(type, mine).exception()
            assert isinstance(error, TypeError), error
            assert "send the client, which can" in str(error), error
        assert workers.submit(all_ways, client).result() == {said_here}
    end()


def left_at_exit(url: str) -> None:
    """Nothing is closed."""
    work()


def at_work_at_exit(url: str) -> None:
    """What is not done is dropped: nobody waits for it, and nothing is said."""
    for _ in range(30):
        pool.submit(TEXT)
    spoken = pool.map([TEXT] * 20)
    daemon(lambda: list(spoken))
    daemon(lambda: pool.say(TEXT))
    say_by(connection)


def in_a_thread_at_exit(url: str) -> None:
    """A thread that the interpreter waits for gets what it waits for."""
    futures = [pool.submit(TEXT) for _ in range(3)]

    def wait() -> None:
        threading.main_thread().join()
        assert len({future.result().audio for future in futures}) == 1
        announce("done")

    threading.Thread(target=wait).start()


def closed_by_an_exit_callback(url: str) -> None:
    atexit.register(end)
    work()


def one_set(url: str) -> None:
    """Many threads come first at once."""
    start = threading.Barrier(8)

    def speak() -> None:
        start.wait()
        pool.say(TEXT)

    threads = [threading.Thread(target=speak) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end()


if __name__ == "__main__":
    names = [name for name, scene in globals().items() if getattr(scene, "__annotations__", {}).get("url") == "str"]
    assert isinstance(pool, Pool)
    play({name: globals()[name] for name in names})
