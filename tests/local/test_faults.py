"""A fault is one class: it holds when it applies, and applies itself."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

import cartesia_sync.local
from cartesia_sync.local import LocalServer, faults
from cartesia_sync.local.faults import ContextFault, EventFault, Fault, Moment, RequestFault, SocketPeer

BASES = (Fault, EventFault, ContextFault, RequestFault)
KINDS = [getattr(faults, name) for name in faults.__all__ if getattr(faults, name) not in BASES]
MUST_HAVE = {"until": threading.Event(), "status": 500, "seconds": 0.0}


def made(kind: Any, **fields: Any) -> Fault:
    fault: Fault = kind(**{name: MUST_HAVE[name] for name in MUST_HAVE if name in kind.__struct_fields__}, **fields)
    return fault


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_applies_itself_at_some_moment(kind: Any) -> None:
    assert any(made(kind).is_for(moment) for moment in Moment)
    assert "apply" in vars(kind)


def test_every_moment_has_a_fault() -> None:
    plain = [made(kind) for kind in KINDS]
    of_one_context = [made(kind, context_id="a") for kind in KINDS if "context_id" in kind.__struct_fields__]
    assert {moment for moment in Moment for fault in plain + of_one_context if fault.is_for(moment)} == set(Moment)


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_values(kind: Any) -> None:
    assert made(kind, times=None) == made(kind, times=None) != made(kind, times=2)
    assert hash(made(kind)) == hash(made(kind))
    with pytest.raises(AttributeError):
        made(kind).times = 3  # type: ignore[misc]  # it is frozen
    with pytest.raises(TypeError):
        made(kind, nonsense=1)


class Greet(EventFault, frozen=True):
    """A fault that the server has never seen."""

    moments = (Moment.EVENT,)
    text: str

    async def apply(self, peer: SocketPeer) -> None:
        await peer.put(self.text)


class Teapot(RequestFault, frozen=True):
    """The same for a request."""

    moments = (Moment.REQUEST,)

    async def apply(self, peer: faults.HttpPeer) -> None:
        peer.refuse(418, "short and stout", None)


class Surprise(RequestFault, frozen=True):
    """The same for an answer's body; nobody but it has to know its fields."""

    moments = (Moment.ANSWER,)
    position: int
    sent: threading.Event

    async def apply(self, peer: faults.HttpPeer) -> None:
        async def act() -> None:
            self.sent.set()

        peer.call_after(self.position, act)


def test_a_new_fault_is_one_class(dial: Callable[..., Any], ask: Callable[..., Any]) -> None:
    """Nothing else of the server has to know it."""
    sent = threading.Event()
    new = [Greet('{"type":"hi","done":false}', after=1), Teapot(), Surprise(100, sent)]
    with LocalServer(engine="signal", faults=new) as server:
        peer = dial(server)
        peer.ask("a", "Hello.")
        assert [event["type"] for event in peer.until("a")][:2] == ["chunk", "hi"]
        answer = ask(server, "GET", "/voices")
        assert (answer.status_code, answer.text) == (418, "short and stout")
        assert not sent.is_set()
        assert ask(server, "GET", "/voices").status_code == 200
        assert sent.is_set()


def test_the_package_exports_every_fault() -> None:
    assert set(faults.__all__) <= set(cartesia_sync.local.__all__)
