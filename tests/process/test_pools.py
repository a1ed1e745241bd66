"""A pool and the one connection at module level: before any fork, in spawned processes, and at exit.

``bare`` is a fork by C code, as uWSGI does: no hook of Python's tells the child that it is one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Hold

from ..support.processes import SCENES, STRICT, WARNED, Run, assert_quiet, serving

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork without exec is for Linux here")
BOUND = 10.0


@pytest.fixture
def plain() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


def pooled(scene: str, server: LocalServer, *options: str, fork: str = "os") -> Run:
    return Run(*(options or WARNED), SCENES / "pooled.py", scene, server.url, FORK=fork)


# By a bare fork, of which the interpreter is not told, only while no thread of the pool's is there. Where threads were
# waiting for the interpreter's own lock, it has waiters in the child that do not exist, and the child may stand still.
@linux
@pytest.mark.parametrize(
    ("scene", "processes", "fork"),
    [("unused", 3, "os"), ("unused", 3, "bare"), ("used", 3, "os"), ("closed", 2, "os"), ("grandchild", 3, "os")],
)
def test_each_process_has_one_set_of_connections(scene: str, processes: int, fork: str, plain: LocalServer) -> None:
    with pooled(scene, plain, fork=fork) as run:
        assert_quiet(run)
    assert len(plain.handshakes) == 2 * processes  # the pool's, and the one connection


@linux
def test_a_fork_disturbs_nobody_while_the_pool_is_at_work() -> None:
    until = threading.Event()
    with serving() as server, pooled("at_work", server) as run:
        assert run.line() == "said"
        server.inject(Hold(until))  # the pool's connection, and no other
        run.go()
        assert run.line() == "forked"
        until.set()
        run.go()
        assert_quiet(run)


def test_a_spawned_process_has_its_own(plain: LocalServer) -> None:
    with pooled("spawned", plain) as run:
        assert_quiet(run)
    assert len(plain.handshakes) <= 1 + 2 * 3


@pytest.mark.parametrize("scene", ["left_at_exit", "closed_by_an_exit_callback"])
def test_the_exit_is_quiet_where_it_is(scene: str, plain: LocalServer) -> None:
    with pooled(scene, plain, *STRICT) as run:
        assert_quiet(run)


def test_nobody_waits_at_exit_for_what_is_not_done() -> None:
    until = threading.Event()
    with serving() as server, pooled("at_work_at_exit", server, *STRICT) as run:
        server.wait_for(lambda server: len(server.handshakes) >= 1, BOUND)
        assert_quiet(run)
        server.inject(Hold(until, times=None))
        with pooled("at_work_at_exit", server, *STRICT) as stuck:
            server.wait_for(lambda server: len(server.handshakes) >= 4, BOUND)
            until.set()
            assert_quiet(stuck)


def test_a_thread_that_the_exit_waits_for_gets_what_it_waits_for(plain: LocalServer) -> None:
    with pooled("in_a_thread_at_exit", plain, *STRICT) as run:
        assert_quiet(run, output="done\n")


def test_threads_that_come_first_at_once_open_one_connection(plain: LocalServer) -> None:
    with pooled("one_set", plain, *STRICT) as run:
        assert_quiet(run)
    assert len(plain.handshakes) == 1
