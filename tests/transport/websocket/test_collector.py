"""Finalizers and signals' handlers that run in the midst of a send or a read: over real sockets, at every step."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import CartesiaError, Timeout
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.link import Link
from cartesia_sync.streaming.reader import Reader
from cartesia_sync.transport.websocket import duplex, stream, wire

from ...support.peer import BOUND, CLOSE, chunk, done, frame
from ..conftest import Ends

FILES = frozenset(module.__file__ for module in (duplex, stream, wire))
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}


class Steps:
    """Does something at one step of the transport, or at each, in the caller's thread or in those that start."""

    def __init__(self, *, of_reader: bool) -> None:
        self.act: Callable[[], object] = lambda: None
        self._of_reader = of_reader
        self.count = 0
        self.failures: list[str] = []

    def _enter(self, frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: Any, event: str, _: Any) -> Any:
        if event == "opcode":
            self.count += 1
            try:
                self.act()
            except BaseException as error:  # none may come out of a trace function: that would end the tracing
                self.failures.append(f"{error!r} at {frame.f_code.co_name}:{frame.f_lineno}")
        return self._step

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        before = sys.gettrace()
        if self._of_reader:
            threading.settrace(self._enter)
        else:
            sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)
            threading.settrace(None)
            self.act = lambda: None


def open_connection(ends: Ends) -> Connection:
    timeout = Timeout(first_event=BOUND, gap=BOUND)
    link = Link(lambda deadline: ends.wire, timeout=timeout, ping_interval=BOUND, reconnect=False)
    link.connect()
    return Connection(link, api_version="2026-08-14", timeout=timeout)


def converse(connection: Connection) -> None:
    context = connection.context("a", voice="v", output_format=FORMAT)
    context.push("One. ")
    context.push("Two.", continue_=False)
    assert context.audio() == b"1234"


def serve(ends: Ends) -> list[bytes]:
    """Answer the conversation and the goodbye; return the texts that were received."""
    texts: list[bytes] = []
    with contextlib.suppress(EOFError, OSError):
        while True:
            said = ends.far.hear()
            if said.opcode == CLOSE:
                ends.far.send(frame(said.data, CLOSE))
                break
            texts.append(said.data)
            if b"Two." in said.data:
                ends.far.send(chunk("a", b"1234"), done("a"))
    return texts


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("of_reader", [False, True], ids=["the caller", "the reader"])
def test_a_cancel_at_every_step_takes_no_lock_and_hurts_nobody(
    connect_ends: Callable[..., Ends], threads: ThreadPoolExecutor, tls: bool, of_reader: bool
) -> None:
    ends = connect_ends(tls=tls)
    steps = Steps(of_reader=of_reader)
    with steps.everywhere():
        connection = open_connection(ends)
        victim = connection.context("victim", voice="v", output_format=FORMAT)
        received = threads.submit(serve, ends)
        victim.push("x")

        def act() -> None:
            if len(connection._link.notes) < 10:
                victim.cancel()
            ends.wire.wake()

        steps.act = act
        converse(connection)
    assert steps.failures == []
    assert steps.count > 50
    connection.close()
    said = received.result(BOUND)
    assert sum(b'"cancel":true' in each for each in said) == 1
    assert sum(b'"One. "' in each for each in said) == sum(b'"Two."' in each for each in said) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("of_reader", [False, True], ids=["the caller", "the reader"])
def test_close_at_any_step_does_not_wait_for_a_reader_that_waits_for_it(
    connect_ends: Callable[..., Ends],
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    tls: bool,
    of_reader: bool,
) -> None:
    waits: list[tuple[int, bool]] = []
    has_ended_within = Reader.has_ended_within

    def wait(reader: Reader, seconds: Optional[float]) -> bool:
        waits.append((step, has_ended_within(reader, seconds)))
        return waits[-1][1]

    monkeypatch.setattr(Reader, "has_ended_within", wait)
    step, count = 0, 1  # the first time all goes well, and the steps are counted
    while step < count:
        ends = connect_ends(tls=tls)
        steps = Steps(of_reader=of_reader)
        received = threads.submit(serve, ends)
        with steps.everywhere():
            connection = open_connection(ends)
            steps.count = 0
            steps.act = close_at(step, steps, connection)
            with contextlib.suppress(CartesiaError):
                converse(connection)
        assert steps.failures == [], step
        count = max(count, steps.count)
        connection.close()
        received.result(BOUND)
        reader = connection._link.reader
        assert reader is not None
        assert not reader.is_alive()
        step += 1 + count // 40
    assert [number for number, in_time in waits if not in_time] == []


def close_at(step: int, steps: Steps, connection: Connection) -> Callable[[], object]:
    def act() -> None:
        if steps.count == step:
            connection.close()

    return act
