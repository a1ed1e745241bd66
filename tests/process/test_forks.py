"""A child of a process with an open connection, whoever forked it and how: what it may not use refuses at once.

``os`` is ``os.fork``. ``bare`` is the C library's, as uWSGI uses it: no hook of Python's tells the child that it is a
child.
The scenes are scripts in ``scenes``; their clocks are off, so that a wait on the parent's socket is a hang.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Optional

import pytest

from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Fault, Hold, Reset, StopReading

from ..support.processes import SCENES, WARNED, Run, assert_goes_on, assert_quiet, serving

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork without exec is for Linux here")
forks = pytest.mark.parametrize("fork", ["os", "bare"])


@pytest.fixture(scope="module")
def plain() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


def forking(name: str, scene: str, server: LocalServer, fork: str) -> Run:
    return Run(*WARNED, SCENES / f"{name}.py", scene, server.url, FORK=fork)


def said(server: LocalServer) -> list[str]:
    """Return the ids of the scenes' own contexts, once for each message of theirs that anybody sent."""
    ids = [each.message["context_id"] for each in server.heard if isinstance(each.message, dict)]
    return [each for each in ids if each in ("ended", "half", "unheard", "new", "a")]


@forks
@pytest.mark.parametrize(
    "scene",
    [
        "each_is_refused",
        "each_is_silent",
        "what_was_begun_before_the_fork_is_refused",
        "finalizers_are_silent",
        "a_lock_is_held_at_the_first_call",
        "the_fork_is_in_a_step_under_our_locks",
    ],
)
def test_the_first_call_in_a_child_disturbs_nobody_where(scene: str, fork: str) -> None:
    until = threading.Event()
    holds = [Hold(until, after=1, context_id="half"), Hold(until, context_id="unheard")]
    with serving(*holds) as server, forking("forked_entries", scene, server, fork) as run:
        assert run.line() == "forked"
        assert said(server) == ["ended", "half", "unheard"]
        until.set()
        run.go()
        assert_quiet(run)
        assert said(server) == ["ended", "half", "unheard", "new"]


@forks
@pytest.mark.parametrize("scene", ["the_child_has_a_new_connection", "the_child_calls_over_http", "a_child_of_a_child"])
def test_a_child_has_all_that_is_its_own_where(scene: str, fork: str, plain: LocalServer) -> None:
    with forking("forked_entries", scene, plain, fork) as run:
        assert_quiet(run)


@pytest.mark.parametrize(
    "scene",
    [
        "the_child_is_refused_and_the_parent_goes_on",
        "a_child_that_leaves_by_sys_exit",
        "a_child_that_drops_all",
        "a_lock_that_another_thread_holds",
        "a_thread_in_receive",
        "a_thread_in_recv",
        "a_pump",
    ],
)
def test_a_child_that_no_hook_tells_of_the_fork_disturbs_nobody_with(scene: str) -> None:
    until = threading.Event()
    with serving(Hold(until, after=1, times=None)) as server, forking("forking", scene, server, "bare") as run:
        assert_goes_on(run, until)


@pytest.mark.parametrize(
    ("scene", "fault"),
    [
        ("the_child_speaks_on_its_own", None),
        ("a_grandchild", None),
        ("an_ended_context_that_nobody_read", None),
        ("workers_that_open_their_own_when_they_need_it", None),
        ("a_thread_in_a_push_that_cannot_leave", StopReading(times=None)),
        ("a_lost_connection", Reset(after=1)),
    ],
)
def test_parent_and_child_go_on_after_a_fork_without_hooks_with(scene: str, fault: Optional[Fault]) -> None:
    with serving(*[fault] if fault else []) as server, forking("forking", scene, server, "bare") as run:
        assert_quiet(run)
