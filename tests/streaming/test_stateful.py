"""One connection against a model of plain lists, in whatever order things happen."""

from __future__ import annotations

import base64
import gc
import importlib.util
import itertools
import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cartesia_sync import (
    CartesiaError,
    ContextStateError,
    GapTimeoutError,
    ProtocolError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.transport.websocket.wire import BinaryMessage

BOUND = 10.0
QUIET, LOST, SPOILED = "quiet", "lost", "spoiled"

_spec = importlib.util.spec_from_file_location("step_wire", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
_stages: Any = importlib.util.module_from_spec(_spec)  # a copy of our own, whose wires are those below
_spec.loader.exec_module(_stages)


class Wire(_stages.StepWire):  # type: ignore[misc]  # it was loaded just now
    """A step wire that knows when the reader has seen to everything and waits for more."""

    def __init__(self) -> None:
        super().__init__()
        self._asking = threading.Condition()
        self._asked = 0
        self._given = 0

    def read(self, deadline: Any) -> Any:
        with self._asking:
            self._asked += 1
            self._asking.notify_all()
        return super().read(deadline)

    def give(self, message: bytes) -> None:
        """Let the reader hear a message, and wait until it has passed it on."""
        self._given += 1
        self.feed_bytes(message)
        self.settle()

    def wake(self) -> None:
        self._given += 1
        super().wake()

    def settle(self) -> None:
        with self._asking:
            assert self._asking.wait_for(lambda: self._asked > self._given, BOUND)


_stages.StepWire = Wire

Item = tuple[int, str, Any]
"""The number of arrival, the type, and what tells it from others of the type."""


@dataclass
class Known:
    """What the model knows of one context."""

    context_id: str
    context: Any
    state: str = "open"
    registered: bool = True
    wire: Optional[int] = None
    transcripts: list[str] = field(default_factory=list)
    pending: list[Item] = field(default_factory=list)
    audio_bytes: int = 0
    heard: bool = False
    end: Optional[str] = None
    end_number: int = 0
    end_is_taken: bool = False

    @property
    def head(self) -> Optional[int]:
        """The number of arrival of what is next to be taken."""
        if self.pending:
            return self.pending[0][0]
        return self.end_number if self.end is not None and not self.end_is_taken else None


class Conversation(RuleBasedStateMachine):
    """Pushes, events, losses and cancels in any order; between two of them the reader is at rest."""

    def __init__(self) -> None:
        super().__init__()
        self.stage: Any = None
        self.known: dict[str, Known] = {}
        self.wire: Optional[int] = 0  # the one in use
        self.sent: dict[int, list[tuple[str, str]]] = {0: []}
        self.strays = 0
        self.late = 0
        self.forgotten: list[Known] = []
        self.last_notice: Any = None
        self.numbers = itertools.count()

    @initialize()
    def connect(self) -> None:
        self.stage = _stages.Stage(Timeout())
        self.stage.wire.settle()

    def teardown(self) -> None:
        if self.stage is None:
            return
        self.stage.connection.close()
        for known in self.known.values():
            if known.registered:
                self.end(known, LOST)
        for known in self.held():
            self.hear_to_the_end(known)
        self.agrees_with_the_model()

    # ---- the model's own steps

    def held(self) -> list[Known]:
        return [known for known in self.known.values() if known.context is not None]

    def end(self, known: Known, end: str) -> None:
        known.registered, known.state = False, "ended"
        known.end, known.end_number = end, next(self.numbers)

    def put(self, known: Known, kind: str, told: Any) -> None:
        known.pending.append((next(self.numbers), kind, told))
        known.heard = known.heard or kind != "notice"  # what all hear is no event of its own

    def forget_dropped(self) -> None:
        """What the reader does after each message, and ``open`` before it opens."""
        for known in self.forgotten:
            if known.registered:
                known.registered = False
                known.pending.clear()
                if self.wire is not None and known.wire == self.wire:
                    self.sent[self.wire].append((known.context_id, "cancel"))
        self.forgotten.clear()

    # ---- helpers

    def draw(self, data: st.DataObject, choice: list[Known]) -> Known:
        return self.known[data.draw(st.sampled_from([known.context_id for known in choice]))]

    def give(self, event: Any) -> None:
        self.stage.wire.give(event if isinstance(event, bytes) else json.dumps(event).encode())

    def target(self, known: Known) -> Optional[Known]:
        """Return the context if an event of it is to be heard, and count the event if it comes too late."""
        if known.registered:
            return known
        self.late += 1
        return None

    def next_item(self, known: Known) -> None:
        """Receive one item by the context, which has one, and compare."""
        mailbox = known.context._channel.mailbox
        assert mailbox.is_used_up or mailbox.next_number() is not None  # else it would wait for ever
        got = outcome(lambda: next(known.context.receive()))
        if known.pending:
            number, kind, told = known.pending.pop(0)
            del number
            assert told_by(got) == (kind, told)
        else:
            known.end_is_taken = True
            self.is_the_end(known, got)

    def is_the_end(self, known: Known, got: Any) -> None:
        if known.end == QUIET:
            assert isinstance(got, StopIteration)
        elif known.end == SPOILED:
            assert isinstance(got, ProtocolError)
            assert known.context_id in str(got)
        else:
            self.is_truncated(known, got)
            assert got.audio_bytes == known.audio_bytes
            assert got.heard == known.heard
            assert got.transcripts == tuple(known.transcripts)

    def is_truncated(self, known: Known, got: Any) -> None:
        assert isinstance(got, TruncatedError)
        assert got.context_id == known.context_id

    def hear_to_the_end(self, known: Known) -> None:
        while known.pending:
            self.next_item(known)
        assert known.end is not None
        for _ in range(2):  # it is given again to whoever asks again, and nothing comes after it
            self.next_item(known)

    # ---- rules: the user

    @rule()
    def open(self) -> None:
        self.forget_dropped()
        context_id = f"c{len(self.known)}"
        self.known[context_id] = Known(context_id, self.stage.context(context_id))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def open_by_an_id_that_was_used(self, data: st.DataObject) -> None:
        known = self.draw(data, list(self.known.values()))
        self.forget_dropped()
        assert isinstance(outcome(lambda: self.stage.context(known.context_id)), ContextStateError)

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def push(self, data: st.DataObject) -> None:
        known = self.draw(data, self.held())
        text = f"text {next(self.numbers)}"
        got = outcome(lambda: known.context.push(text))
        if known.state == "open":
            assert got is None
            if self.wire is None:
                self.forget_dropped()  # by the new reader
                self.wire = len(self.sent)
                self.sent[self.wire] = []
                self.stage.wire.settle()
            known.wire = self.wire
            known.transcripts.append(text)
            self.sent[self.wire].append((known.context_id, text))
        elif known.wire is not None and known.end == LOST:
            self.is_truncated(known, got)
        else:
            assert isinstance(got, (ContextStateError, TruncatedError))

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        known = self.draw(data, self.held())
        assert outcome(known.context.no_more_inputs) is None
        if known.state != "open":
            return
        if known.wire is None:
            self.end(known, QUIET)
        else:
            known.state = "finishing"
            self.sent[known.wire].append((known.context_id, "finish"))

    @precondition(lambda self: self.held())
    @rule(data=st.data(), discard=st.booleans())
    def cancel(self, data: st.DataObject, discard: bool) -> None:
        known = self.draw(data, self.held())
        assert outcome(lambda: known.context.cancel(discard=discard)) is None
        if known.registered and known.wire is not None and known.wire == self.wire:
            self.sent[self.wire].append((known.context_id, "cancel"))
        self.settle()
        known.registered, known.state = False, "ended"
        if discard:
            known.pending.clear()
        if discard or known.end is None:
            known.end_number = next(self.numbers)
        known.end = QUIET

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        known = self.draw(data, self.held())
        gone = weakref.ref(known.context)
        known.context = None
        if gone() is not None:
            gc.collect()  # an exception that it raised may have held it
        assert gone() is None
        if known.end is None:
            self.forgotten.append(known)
        if self.wire is not None:
            self.forget_dropped()
            self.settle()

    @precondition(lambda self: any(known.head is not None for known in self.held()))
    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        self.next_item(self.draw(data, [known for known in self.held() if known.head is not None]))

    @precondition(lambda self: any(known.end_is_taken for known in self.held()))
    @rule(data=st.data())
    def receive_after_the_end(self, data: st.DataObject) -> None:
        self.next_item(self.draw(data, [known for known in self.held() if known.end_is_taken]))

    # What was dropped unread is no more to be read, but may be until the collector has been.
    @precondition(
        lambda self: not any(known.context is None and known.head is not None for known in self.known.values())
    )
    @rule()
    def receive_any_context_by_hand(self) -> None:
        got = outcome(lambda: self.stage.connection.recv(timeout=0))
        while True:
            ready = [known for known in self.held() if known.head is not None]
            if not ready:
                if self.wire is not None:
                    assert isinstance(got, GapTimeoutError)
                else:
                    assert isinstance(got, WebSocketConnectionClosedError)
                    assert not isinstance(got, TruncatedError)
                return
            known = min(ready, key=lambda known: known.head or 0)
            if known.pending and known.pending[0][1] == "notice":
                # It stands in all contexts with one number, and whose copy is given is not laid down.
                notice = known.pending[0][1:]
                copies = [each for each in ready if each.pending and each.pending[0][1:] == notice]
                known = next(each for each in copies if each.context._channel.mailbox.qsize() < len(each.pending))
            if known.pending:
                _, kind, told = known.pending.pop(0)
                if kind == "notice" and told == self.last_notice:
                    continue  # it is given once
                if kind == "notice":
                    self.last_notice = told
                assert told_by(got) == (kind, told)
                return
            known.end_is_taken = True
            if known.end != QUIET:
                self.is_the_end(known, got)
                return

    # ---- rules: the service

    @precondition(lambda self: self.wire is not None and self.known)
    @rule(data=st.data(), size=st.integers(0, 5))
    def chunk(self, data: st.DataObject, size: int) -> None:
        known = self.draw(data, list(self.known.values()))
        audio = f"{next(self.numbers)}".encode() * size
        self.give({"type": "chunk", "context_id": known.context_id, "data": base64.b64encode(audio).decode()})
        if self.target(known):
            self.put(known, "chunk", audio)
            known.audio_bytes += len(audio)
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None and self.known)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        known = self.draw(data, list(self.known.values()))
        self.give({"type": "done", "context_id": known.context_id, "done": True})
        if self.target(known):
            self.put(known, "done", None)
            self.end(known, QUIET)
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None and self.known)
    @rule(data=st.data(), is_last=st.booleans())
    def error(self, data: st.DataObject, is_last: bool) -> None:
        known = self.draw(data, list(self.known.values()))
        words = f"error {next(self.numbers)}"
        self.give({"type": "error", "context_id": known.context_id, "done": is_last, "message": words})
        if self.target(known):
            self.put(known, "error", words)
            if is_last:
                self.end(known, QUIET)
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None and self.known)
    @rule(data=st.data())
    def event_of_an_unknown_type(self, data: st.DataObject) -> None:
        known = self.draw(data, list(self.known.values()))
        self.give({"type": "weather", "context_id": known.context_id, "done": True})
        if self.target(known):
            self.put(known, "unknown", None)
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None and self.known)
    @rule(data=st.data())
    def event_that_cannot_be_read(self, data: st.DataObject) -> None:
        known = self.draw(data, list(self.known.values()))
        self.give({"type": "chunk", "context_id": known.context_id, "data": 5})
        if self.target(known):
            self.end(known, SPOILED)
            assert self.wire is not None
            self.sent[self.wire].append((known.context_id, "cancel"))
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None)
    @rule()
    def error_of_the_connection(self) -> None:
        words = f"notice {next(self.numbers)}"
        self.give({"type": "error", "context_id": None, "done": True, "message": words})
        for known in self.known.values():
            if known.registered and known.wire is not None:
                self.put(known, "notice", words)
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None)
    @rule(
        message=st.sampled_from(
            [
                b'{"type":"weather"}',
                b'{"type":"flush_done"}',
                b'{"type":"chunk","context_id":"nobody"}',
                b'{"type":"error","context_id":"nobody"}',
            ]
        )
    )
    def stranger(self, message: bytes) -> None:
        self.give(message)
        self.strays += 1
        self.forget_dropped()

    @precondition(lambda self: self.wire is not None)
    @rule(
        message=st.sampled_from(
            [b"{", b"\xff", b"[]", b'{"type":"chunk"}', b'{"type":"done"}', b'{"context_id":5}', BinaryMessage(b"1")]
        )
    )
    def what_nobody_can_attribute(self, message: bytes) -> None:
        wire = self.stage.wire
        wire.feed_bytes(message)
        self.lost(wire)

    @precondition(lambda self: self.wire is not None)
    @rule(code=st.sampled_from([1000, 1001, 1011, None]))
    def lose(self, code: Optional[int]) -> None:
        wire = self.stage.wire
        wire.lose(WebSocketConnectionClosedError("lost", code=code, reason="as it goes"))
        self.lost(wire)

    def lost(self, wire: Any) -> None:
        assert wire.is_free.wait(BOUND)
        self.stage.link.reader.join(BOUND)
        for known in self.known.values():
            if known.registered and known.wire == self.wire:
                self.end(known, LOST)
        self.wire = None

    def settle(self) -> None:
        if self.wire is not None:
            self.stage.wire.settle()

    # ---- what always holds

    @invariant()
    def agrees_with_the_model(self) -> None:
        if self.stage is None:
            return
        link = self.stage.link
        for known in self.known.values():
            if known not in self.forgotten:  # these are seen to at some time before the next open
                assert (link.registry.get(known.context_id) is not None) == known.registered
        for known in self.held():
            mailbox = known.context._channel.mailbox
            assert mailbox.is_sealed == (known.end is not None)
            assert mailbox.is_used_up == known.end_is_taken
            assert (mailbox.next_number() is not None) == (known.head is not None)
            assert mailbox.audio_bytes == known.audio_bytes
        assert (link.stats.stray_events, link.registry.late_events) == (self.strays, self.late)
        assert len(self.stage.wires) == len(self.sent)
        for number, wire in enumerate(self.stage.wires):
            assert [meaning(message) for message in wire.sent] == self.sent[number]


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call gives or raises."""
    try:
        return call()
    except (CartesiaError, StopIteration) as error:
        return error.with_traceback(None)


def told_by(event: Any) -> tuple[str, Any]:
    if event.type == "chunk":
        return "chunk", event.audio
    if event.type == "error":
        return ("error" if event.context_id else "notice"), event.message
    return ("done" if event.type == "done" else "unknown"), None


def meaning(message: dict[str, Any]) -> tuple[str, str]:
    if message.get("cancel"):
        return message["context_id"], "cancel"
    return message["context_id"], message["transcript"] or ("flush" if message["continue"] else "finish")


TestConversation = Conversation.TestCase
TestConversation.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # To make a failure smaller takes longer than a test may run: the timeout would then stand in the failure's place.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


# ---- what the machine has found, in short


def open_and_push(stage: Any, context_id: str) -> Any:
    context = stage.context(context_id)
    context.push("x")
    return context


def test_an_id_that_is_refused_leaves_the_context_alone_that_has_it(stage: Any) -> None:
    context = open_and_push(stage, "a")
    assert isinstance(outcome(lambda: stage.context("a")), ContextStateError)
    gc.collect()
    stage.wire.feed_chunk("a", b"1")
    stage.wire.feed_done("a")
    assert [event.type for event in context.receive(first_event_timeout=BOUND, timeout=BOUND)] == ["chunk", "done"]


def test_a_cancel_after_the_end_was_received_leaves_nothing_to_read(stage: Any) -> None:
    context = open_and_push(stage, "a")
    stage.wire.feed_done("a")
    assert [event.type for event in context.receive()] == ["done"]
    context.cancel()
    assert context._channel.mailbox.next_number() is None  # else recv() would look at it for ever
    assert isinstance(outcome(lambda: stage.connection.recv(timeout=0)), GapTimeoutError)


def test_a_dropped_context_is_cancelled_even_if_the_next_one_is_refused(stage: Any) -> None:
    kept = open_and_push(stage, "a")
    dropped = open_and_push(stage, "b")
    del dropped
    gc.collect()
    assert isinstance(outcome(lambda: stage.context("a")), ContextStateError)
    assert stage.wire.wait_sent(3)[-1] == {"context_id": "b", "cancel": True}
    del kept


def test_the_reader_holds_nothing_of_a_context_that_was_dropped(stage: Any) -> None:
    dropped = open_and_push(stage, "a")
    line = weakref.ref(dropped._channel)
    del dropped
    kept = open_and_push(stage, "b")  # forgets the other
    last = open_and_push(stage, "d")
    also_dropped = open_and_push(stage, "c")
    another_line = weakref.ref(also_dropped._channel)
    del also_dropped
    gc.collect()
    stage.wire.feed_chunk("b", b"1")  # by which the reader forgets that one
    stage.wire.feed_done("b")
    assert [event.type for event in kept.receive()] == ["chunk", "done"]
    stage.wire.feed_done("d")
    assert [event.type for event in last.receive()] == ["done"]  # now the reader has been through with that
    assert [message["context_id"] for message in stage.wire.sent if message.get("cancel")] == ["a", "c"]
    assert line() is None
    gc.collect()
    assert another_line() is None
