"""What the running objects do, pair by pair, is what the tables say; and nothing else moves a state."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import cartesia_sync
from cartesia_sync import ContextStateError, ForkedError, Timeout, WebSocketConnectionClosedError
from cartesia_sync.errors import CartesiaError
from cartesia_sync.protocol.lifecycle import (
    CHANNEL,
    CONNECTION,
    REPLAY,
    ChannelMove,
    ChannelState,
    ConnectionMove,
    ConnectionState,
    ReplayMove,
    ReplayState,
)
from cartesia_sync.streaming.channel import Channel, Message
from cartesia_sync.streaming.link import Link
from cartesia_sync.streaming.receiver import Turn
from cartesia_sync.streaming.registry import Registry
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Duplex, Frame

from .conftest import BOUND, Stage, StepWire

PACKAGE = Path(cartesia_sync.__file__).parent


# ---- channel


CHANNEL_WAYS: dict[ChannelState, tuple[ChannelMove, ...]] = {
    ChannelState.OPEN: (),
    ChannelState.FINISHING: (ChannelMove.FINISH,),
    ChannelState.CANCELLED: (ChannelMove.CANCEL,),
    ChannelState.ENDED: (ChannelMove.END,),
}


@pytest.mark.parametrize(("state", "move"), [*itertools.product(ChannelState, ChannelMove)], ids=lambda each: each.name)
def test_a_channel_moves_as_its_table_says(state: ChannelState, move: ChannelMove) -> None:
    channel = Channel("a")
    for step in CHANNEL_WAYS[state]:
        channel.move(step)
    assert channel.state is state
    following = CHANNEL[state].get(move)
    if following is None:
        with pytest.raises(ContextStateError):
            channel.move(move, loss=WebSocketConnectionClosedError())
        assert (channel.state, channel.loss) == (state, None)  # nothing is half done
        return
    channel.move(move)
    assert channel.state is following


CALLS: dict[ChannelMove, Callable[[Any], object]] = {
    ChannelMove.SEND: lambda context: context.push("x"),
    ChannelMove.FINISH: lambda context: context.push("x", continue_=False),
    ChannelMove.CANCEL: lambda context: context.cancel(),
}


@pytest.mark.parametrize("state", ChannelState, ids=lambda each: each.name)
@pytest.mark.parametrize("move", CALLS, ids=lambda each: each.name)
def test_what_a_user_may_call_is_what_the_table_says(stage: Any, state: ChannelState, move: ChannelMove) -> None:
    context = stage.context("a")
    context.push("x", continue_=state is not ChannelState.FINISHING)
    if state is ChannelState.CANCELLED:
        context.cancel()
    elif state is ChannelState.ENDED:
        context.push("y", continue_=False)
        stage.wire.feed_done("a")
        list(context.receive())
    assert context._channel.state is state
    following = CHANNEL[state].get(move)
    if following is None and move is not ChannelMove.CANCEL:  # a second cancel does nothing
        with pytest.raises(ContextStateError):
            CALLS[move](context)
    else:
        CALLS[move](context)
    assert context._channel.state is (following or state)


# ---- connection


def closed(stage: Stage) -> None:
    stage.connection.close()


def lost(stage: Stage) -> None:
    stage.wire.lose()
    stage.link.reader.join(BOUND)  # type: ignore[union-attr]  # there is one


CONNECTION_WAYS: dict[ConnectionState, Callable[[Stage], object]] = {
    ConnectionState.OPEN: lambda stage: None,
    ConnectionState.LOST: lost,
    ConnectionState.CLOSED: closed,
    ConnectionState.FORKED: lambda stage: stage.link.leave_to_parent(),
}
CONNECTION_CALLS: dict[ConnectionMove, Callable[[Stage], object]] = {
    ConnectionMove.CONNECT: lambda stage: stage.link.connect(),
    ConnectionMove.LOSE: lambda stage: stage.link.lose(stage.wires[0], WebSocketConnectionClosedError("lost")),  # type: ignore[arg-type]  # a double
    ConnectionMove.CLOSE: closed,
    ConnectionMove.FORK: lambda stage: stage.link.leave_to_parent(),
}


@pytest.mark.parametrize("state", CONNECTION_WAYS, ids=lambda each: each.name)
@pytest.mark.parametrize("move", ConnectionMove, ids=lambda each: each.name)
def test_a_connection_moves_as_its_table_says(
    make_stage: Callable[..., Stage], state: ConnectionState, move: ConnectionMove
) -> None:
    stage = make_stage()
    thread = stage.link.reader
    CONNECTION_WAYS[state](stage)
    assert stage.link.state is state
    following = CONNECTION[state].get(move)
    is_refused = following is None and move is ConnectionMove.CONNECT and state is not ConnectionState.OPEN
    if is_refused:
        with pytest.raises(ForkedError if state is ConnectionState.FORKED else WebSocketConnectionClosedError):
            CONNECTION_CALLS[move](stage)
    else:
        CONNECTION_CALLS[move](stage)  # where the table has no such move, it does nothing
    assert stage.link.state is (following or state)
    assert stage.link.is_open is (stage.link.state is ConnectionState.OPEN)
    for wire in stage.wires:
        wire.lose()  # a double's shutdown wakes once, and not after it was detached
    assert thread is not None
    thread.join(BOUND)


def test_a_connection_is_new_until_it_is_opened() -> None:
    def refuse(_deadline: object) -> Any:
        raise WebSocketConnectionClosedError("not there")

    for end, state in ((Link.close, ConnectionState.CLOSED), (Link.leave_to_parent, ConnectionState.FORKED)):
        link = Link(refuse, timeout=Timeout(), ping_interval=None, reconnect=True)
        assert link.state is ConnectionState.NEW
        with pytest.raises(WebSocketConnectionClosedError, match="not there"):
            link.connect()
        assert link.state is ConnectionState.NEW
        end(link)
        assert link.state is state


# ---- replay


def message(move: ChannelMove = ChannelMove.SEND) -> Message:
    return Message(b"{}", wire_id="c", transcript="x", move=move)


def spoken(*, replays: bool, has_left: bool) -> Channel:
    """Return a channel that has sent all its text on a wire."""
    channel, wire, frame = Channel("a", replays=replays), StepWire(), Frame(b"{}")
    channel.send_all(wire, [message(ChannelMove.FINISH)], [frame], move=ChannelMove.FINISH)  # type: ignore[arg-type]  # a double
    frame.has_left = has_left
    return channel


def again(channel: Channel) -> None:
    channel.send_all(StepWire(), channel.messages, [Frame(b"{}")], move=None)  # type: ignore[arg-type]  # a double


def in_replay_state(state: ReplayState) -> Channel:
    channel = spoken(replays=state is not ReplayState.NEVER, has_left=state is ReplayState.REPLAYED)
    if state in (ReplayState.SET_ASIDE, ReplayState.MOVED, ReplayState.REPLAYED):
        channel.set_aside()
    if state in (ReplayState.MOVED, ReplayState.REPLAYED):
        again(channel)
    return channel


@pytest.mark.parametrize(("state", "move"), [*itertools.product(ReplayState, ReplayMove)], ids=lambda each: each.name)
def test_a_replay_moves_as_its_table_says(state: ReplayState, move: ReplayMove) -> None:
    channel = in_replay_state(state)
    assert channel.replay is state
    for frame in channel.frames:
        frame.has_left = move is ReplayMove.REPLAY
    following = REPLAY[state].get(move)
    act = channel.set_aside if move is ReplayMove.SET_ASIDE else lambda: again(channel)
    if following is None:
        kept = (channel.messages, channel.frames, channel.wire)
        with pytest.raises(AssertionError):
            act()
        assert (channel.replay, channel.messages, channel.frames, channel.wire) == (state, *kept)
        return
    act()
    assert channel.replay is following
    assert channel.is_set_aside is (following is ReplayState.SET_ASIDE)
    assert (channel.wire is None) is (following is ReplayState.SET_ASIDE)


@pytest.mark.parametrize("has_left", [False, True])
@pytest.mark.parametrize("state", [ReplayState.NEVER, ReplayState.ARMED, ReplayState.MOVED, ReplayState.REPLAYED])
def test_what_may_be_set_aside(state: ReplayState, has_left: bool) -> None:
    channel = in_replay_state(state)
    for frame in channel.frames:
        frame.has_left = has_left
    may = {
        ReplayState.NEVER: not has_left,
        ReplayState.ARMED: True,
        ReplayState.MOVED: has_left,  # it was asked for, and once is for nothing had left
        ReplayState.REPLAYED: False,
    }
    assert channel.can_be_set_aside is may[state]


# ---- one writer each, and who holds the lock


def test_nothing_else_moves_a_state() -> None:
    written = re.compile(r"(\w+)\._(state|replay)(?:, [\w.]+)* = |[\"(,]\s*_?\"?_(state|replay)\"?\s*[=:]")
    found: dict[str, list[str]] = {}
    for path in (PACKAGE / "streaming").glob("*.py"):
        function = ""
        for line in path.read_text().splitlines():
            function = line.split("(")[0].split()[-1] if line.lstrip().startswith("def ") else function
            if written.search(line):
                found.setdefault(path.name, []).append(function)
    assert {name: sorted(set(functions)) for name, functions in found.items()} == {
        "channel.py": ["__init__", "_move_replay", "move"],
        "link.py": ["__init__", "_move_locked"],
    }


def locked_methods() -> Iterator[tuple[type, str]]:
    for kind in (Registry, Link, Turn, Duplex):
        for name, _ in inspect.getmembers(kind, inspect.isfunction):
            if name.endswith("_locked"):
                yield kind, name


@pytest.mark.parametrize(("kind", "name"), [*locked_methods()], ids=lambda each: getattr(each, "__name__", each))
def test_a_method_that_needs_a_lock_refuses_a_caller_without_it(stage: Any, kind: type, name: str) -> None:
    context = stage.context("a")
    owners: dict[type, Any] = {Registry: stage.link.registry, Link: stage.link, Turn: context._turn}
    owner = owners[kind] if kind in owners else Duplex.__new__(Duplex)
    if kind is Duplex:
        owner._io_lock = threading.RLock()
        owner._waker = None
    method = getattr(owner, name)
    required = [
        each
        for each in inspect.signature(method).parameters.values()
        if each.default is inspect.Parameter.empty and each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    positional = [None for each in required if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    keywords = {each.name: None for each in required if each.kind is inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(AssertionError):
        method(*positional, **keywords)


# ---- the order on the wire is the order kept


class MeetingWire(StepWire):
    """A wire on which two messages stand in line before either is sent."""

    meeting: Optional[threading.Barrier] = None

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        if self.meeting is not None:
            with contextlib.suppress(threading.BrokenBarrierError):  # the other one was refused, or is at its end
                self.meeting.wait(BOUND)
        super().finish(frame, deadline)


class MeetingStage(Stage):
    """A connection over such wires."""

    def _dial(self, deadline: Deadline) -> StepWire:
        self.wires.append(MeetingWire())
        return self.wires[-1]


class Orders(RuleBasedStateMachine):
    """Two threads push, one cancels, wires are lost: what left, left in the order that the channel keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = MeetingStage(Timeout(close=2.0))
        self.pool = ThreadPoolExecutor(2)
        self.numbers = itertools.count()
        self.contexts: dict[str, Any] = {}
        self.sent: dict[str, set[str]] = {}
        self.ended: set[str] = set()

    def teardown(self) -> None:
        self.stage.connection.close()
        self.pool.shutdown()

    def context(self) -> Any:
        live = [name for name in self.contexts if name not in self.ended]
        return self.contexts[live[-1]] if live else None

    @rule(replays=st.booleans())
    def open(self, replays: bool) -> None:
        name = f"c{next(self.numbers)}"
        self.contexts[name] = self.stage.context(name, on_disconnect="replay" if replays else "raise")
        self.sent[name] = set()

    def push(self, context: Any, *, continue_: bool = True, start: threading.Barrier) -> None:
        text = f"t{next(self.numbers)} "
        start.wait(BOUND)
        try:
            context.push(text, continue_=continue_)
        except CartesiaError:
            if text not in context.transcripts:
                return  # it was refused, and must not be on any wire
        finally:
            assert MeetingWire.meeting is not None
            MeetingWire.meeting.abort()
        self.sent[context.context_id].add(text)

    @precondition(lambda self: self.context() is not None)
    @rule(finishes=st.booleans(), is_lost=st.booleans())
    def two_push(self, finishes: bool, is_lost: bool) -> None:
        context, start = self.context(), threading.Barrier(3)
        MeetingWire.meeting = threading.Barrier(2)
        pushes = [
            self.pool.submit(self.push, context, start=start),
            self.pool.submit(self.push, context, continue_=not finishes, start=start),
        ]
        start.wait(BOUND)
        if is_lost:
            self.stage.wire.lose()
        for each in pushes:
            each.result(BOUND)
        MeetingWire.meeting = None
        if is_lost:
            self.settle()

    @precondition(lambda self: self.context() is not None)
    @rule()
    def cancel(self) -> None:
        context = self.context()
        self.ended.add(context.context_id)
        context.cancel()

    @rule()
    def lose(self) -> None:
        self.stage.wire.lose()
        self.settle()

    def settle(self) -> None:
        """Wait until every reader whose wire was lost has told of it."""
        for thread in threading.enumerate():
            if thread.name.startswith("cartesia-sync-reader") and thread is not self.stage.link.reader:
                thread.join(BOUND)
        if not self.stage.link.is_open and self.stage.link.reader is not None:
            self.stage.link.reader.join(BOUND)

    @precondition(lambda self: self.context() is not None)
    @rule()
    def replay(self) -> None:
        channel = self.context()._channel
        if channel.is_set_aside:  # which depends on what the threads did first, so that no precondition may ask
            self.stage.link.resume(channel)

    @invariant()
    def the_order_on_each_wire_is_the_order_kept(self) -> None:
        for name, context in self.contexts.items():
            kept = [json.loads(each.payload)["transcript"] for each in context._channel.messages if each.payload]
            assert set(kept) == self.sent[name]
            for wire in self.stage.wires:
                messages = [each for each in list(wire.sent) if each.get("context_id") == name]
                said = [each["transcript"] for each in messages if "transcript" in each]
                assert said == kept[: len(said)], (name, said, kept)
                if context._channel.wire is wire and context._channel.state is not ChannelState.CANCELLED:
                    assert said == kept or wire.is_shut  # nobody is sending now


Orders.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestOrders = Orders.TestCase
