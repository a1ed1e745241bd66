"""Sessions that listen, in processes that fork, exit and are interrupted; the scenes are in ``scenes/listening.py``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Hold

from ..support.processes import SCENES, STRICT, WARNED, Run, assert_quiet, script, serving

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork without exec is for Linux here")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with serving(hears=["One."]) as made:
        yield made


@pytest.mark.parametrize("fork", ["os", "bare"])
@pytest.mark.parametrize(
    "scene",
    [
        "the_child_is_refused_and_the_parent_goes_on",
        "the_child_has_a_session_of_its_own",
        "the_child_drops_it",
        "a_thread_that_receives_and_a_lock_that_is_held",
    ],
)
def test_a_fork_disturbs_nobody_where(server: LocalServer, scene: str, fork: str) -> None:
    with Run(*WARNED, SCENES / "listening.py", scene, server.url, FORK=fork) as run:
        assert_quiet(run)


@pytest.mark.parametrize("scene", ["leaves_an_open_session", "leaves_a_feed_that_waits_and_a_receiver"])
def test_the_exit_is_quiet_where_the_process(server: LocalServer, scene: str) -> None:
    with script("listening", scene, server.url, *STRICT) as run:
        assert_quiet(run)


def test_ctrl_c_in_recv_leaves_a_session_that_goes_on(server: LocalServer) -> None:
    with script("listening", "is_interrupted_while_it_receives", server.url, *STRICT) as run:
        assert run.line() == "receiving"
        os.kill(run.process.pid, signal.SIGINT)
        assert run.line() == "interrupted"
        assert_quiet(run)


def test_ctrl_c_in_finalize_leaves_a_session_that_goes_on() -> None:
    until = threading.Event()
    scene = "is_interrupted_while_it_finalizes"
    with serving(Hold(until), hears=["One."]) as server, script("listening", scene, server.url, *STRICT) as run:
        assert run.line() == "finalizing"
        server.wait_for(lambda server: len(server.heard) == 2, 10)
        os.kill(run.process.pid, signal.SIGINT)
        assert run.line() == "interrupted"
        until.set()
        run.go()
        assert_quiet(run)


def test_a_signals_handler_may_close(server: LocalServer) -> None:
    with script("listening", "closes_in_a_signal_handler", server.url, *STRICT) as run:
        assert run.line() == "TruncatedError"
        assert_quiet(run)
