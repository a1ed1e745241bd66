"""What holds for every test: no network but loopback, nothing left over, and no key in what was told."""

from __future__ import annotations

import gc
import ipaddress
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from typing import Any, Callable

import hypothesis
import pytest

from cartesia_sync.streaming import forks as process
from cartesia_sync.transport.deadline import Deadline

from .support import leaks

BOUND = 10.0
"""Seconds within which anything that is to happen happens; reaching it is a failure."""


def pytest_configure(config: pytest.Config) -> None:
    """Set the process up: SWITCH_INTERVAL=1e-6 makes threads take turns as often as they can, to hunt for races."""
    interval = os.environ.get("SWITCH_INTERVAL")
    if interval:
        sys.setswitchinterval(float(interval))
    # A shell's background job ignores Ctrl-C, and so would the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.add_cleanup(leaks.install(leaks.SUITE))
    hypothesis.settings.register_profile("suite", deadline=None)  # how long an example takes is the machine's matter
    hypothesis.settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """Set the imported modules aside: collecting garbage after each module then costs nothing to speak of."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take down what a test failed with, and what it printed."""
    if call.excinfo is not None:
        leaks.SUITE.tell_error(call.excinfo.value)
    report = yield
    for name, text in report.sections:
        if name.startswith("Captured std") and name.endswith(report.when):  # each once; the log is heard itself
            leaks.SUITE.tell(text)
    return report


def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Take down what was warned of."""
    leaks.SUITE.tell(str(warning_message.message))


@pytest.fixture(autouse=True, scope="session")
def _no_secret_is_told_at_the_end() -> Iterator[None]:
    """After the last test, what the servers of the modules told at their end included."""
    yield
    gc.collect()
    leaks.SUITE.check()


@pytest.fixture(autouse=True)
def _no_secret_is_told() -> Iterator[None]:
    """After each test: no key in any log record, warning, exception or URL, of this test or of the end of the last."""
    yield
    leaks.SUITE.check()


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine, and every key of the environment."""
    connect = socket.socket.connect

    def guarded(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test tried to reach {address}")
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in ("CARTESIA_API_KEY", "CARTESIA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_reader_left_over() -> Iterator[None]:
    """After each test: no thread of the client, and no live link."""
    yield
    if process.live_links():
        gc.collect()  # one that nobody holds goes with its handle
    _assert_ended(lambda name: name.startswith("cartesia-sync") and not name.startswith("cartesia-sync-local"))
    assert not process.live_links()


@pytest.fixture(autouse=True, scope="module")
def _no_descriptor_left_over() -> Iterator[None]:
    """After each module, its servers included: no thread of ours, and no descriptor more than before."""
    gc.collect()
    before = _descriptors()
    yield
    gc.collect()
    _assert_ended(lambda name: name.startswith("cartesia-sync"))
    assert _descriptors() <= before


def _assert_ended(is_ours: Callable[[str], bool]) -> None:
    deadline = Deadline(BOUND)
    for thread in threading.enumerate():
        if is_ours(thread.name):
            thread.join(deadline.left())  # one that is on its way out may take its time
            assert not thread.is_alive(), thread.name


def _descriptors() -> set[str]:
    """Return the sockets and pipes of this process, as the system names them."""
    names: set[str] = set()
    try:
        numbers = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return names  # no such list on this system
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
        if target.startswith(("socket:", "pipe:")):
            names.add(target)
    return names
