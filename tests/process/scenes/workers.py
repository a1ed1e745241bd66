"""Worker processes of ``multiprocessing``, made by a process with an open connection."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor

from scene import connect, context_of, play, rest_of, speaking

from cartesia_sync import ForkedError
from cartesia_sync.streaming.connection import Connection

# Python 3.12 warns of every fork of a process that has threads. This client has one, and is what is tested here.
warnings.filterwarnings("ignore", message="This process .* is multi-threaded", category=DeprecationWarning)

inherited: list[Connection] = []


def speak(url: str) -> tuple[int, bytes]:
    with connect(url) as connection:
        return os.getpid(), rest_of(speaking(connection))


def misuse() -> None:
    context_of(inherited[0])


def pool(url: str, method: str) -> None:
    with connect(url) as connection:
        said_alone = rest_of(speaking(connection))
        context = context_of(connection)
        inherited.append(connection)
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as workers:
            for pid, audio in workers.map(speak, [url] * 4):
                assert pid != os.getpid()
                assert audio == said_alone
            if method == "fork":
                error = workers.submit(misuse).exception()
                assert isinstance(error, ForkedError), error
        context.push("It speaks on. ", continue_=False)
        assert rest_of(context)
        inherited.clear()


def forked_pool(url: str) -> None:
    pool(url, "fork")


def spawned_pool(url: str) -> None:
    pool(url, "spawn")


def forked_process_with_a_pipe(url: str) -> None:
    with connect(url) as connection:
        here, there = multiprocessing.Pipe()

        def work() -> None:
            there.send(speak(url))

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        there.close()
        _, audio = here.recv()
        process.join()
        assert process.exitcode == 0
        assert audio == rest_of(speaking(connection))


if __name__ == "__main__":
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
