"""Which faults apply to what, and how often."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Optional

import pytest

from cartesia_sync.local import faults
from cartesia_sync.local.fault_plan import FaultPlan
from cartesia_sync.local.faults import (
    Close,
    CutAnswer,
    Delay,
    ErrorEvent,
    ExtraFields,
    Fault,
    Garbage,
    Hold,
    LateFrames,
    Moment,
    Place,
    RefuseRequest,
    StallAnswer,
    StopReading,
)

BOUND = 10.0


class Peer:
    """Somebody to whom nothing happens: it only notes what is applied."""

    has_ended = False

    def __init__(
        self,
        number: int = 0,
        context_id: Optional[str] = None,
        sent: int = 0,
        sent_in_context: Optional[int] = None,
        path: str = "",
    ) -> None:
        self.place = Place(number, context_id, sent, sent if sent_in_context is None else sent_in_context, path)
        self.applied: list[Fault] = []


async def note(fault: Fault, peer: Peer) -> None:
    peer.applied.append(fault)


@pytest.fixture(autouse=True)
def faults_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fault does is not the plan's affair."""
    for name in faults.__all__:
        monkeypatch.setattr(getattr(faults, name), "apply", note)


def applied(plan: FaultPlan, *where: Any, moment: Moment = Moment.EVENT, **more: Any) -> list[Fault]:
    peer = Peer(*where, **more)
    asyncio.run(asyncio.wait_for(plan.apply(moment, peer), BOUND))
    return peer.applied


def applies(plan: FaultPlan, *where: Any, **more: Any) -> bool:
    return applied(plan, *where, **more) != []


def test_a_fault_is_due_after_so_many_frames_and_once() -> None:
    fault = Garbage(after=2)
    plan = FaultPlan([fault])
    assert [applied(plan, sent=sent) for sent in range(4)] == [[], [], [fault], []]


def test_a_fault_applies_at_its_moments_only() -> None:
    plan = FaultPlan([Garbage(times=None)])
    assert {moment for moment in Moment if applies(plan, moment.value, moment=moment)} == set(Garbage.moments)


def test_times_counts_targets() -> None:
    plan = FaultPlan([Garbage(times=2)])
    assert [applies(plan, number) for number in (0, 0, 1, 2)] == [True, False, True, False]


def test_without_times_a_fault_applies_once_to_every_target() -> None:
    plan = FaultPlan([Close(times=None)])
    assert [applies(plan, number) for number in (0, 0, 1, 1, 2)] == [True, False, True, False, True]


def test_a_context_fault_counts_every_context_by_itself() -> None:
    plan = FaultPlan([ErrorEvent(after=2, times=None)])
    assert not applies(plan, 0, "a", sent=9, sent_in_context=1)
    assert applies(plan, 0, "b", sent=9, sent_in_context=2)
    assert applies(plan, 0, "a", sent=9, sent_in_context=2)
    assert not applies(plan, 0, None, sent=9)


def test_a_context_id_leaves_the_others_alone() -> None:
    for fault in (Close(context_id="b", after=1, times=None), ErrorEvent(context_id="b", after=1, times=None)):
        plan = FaultPlan([fault])
        assert not applies(plan, 0, "a", sent=9, sent_in_context=9)
        assert not applies(plan, 0, None, sent=9)
        assert not applies(plan, 0, "b", sent=9, sent_in_context=0)
        assert applies(plan, 0, "b", sent=9, sent_in_context=1)


def test_a_fault_applies_once_to_a_request_and_only_on_its_path() -> None:
    refuse = RefuseRequest(500, path="/a", times=2)
    plan = FaultPlan([refuse, CutAnswer()])
    assert applied(plan, -1, path="/b", moment=Moment.REQUEST) == []
    counted = [applied(plan, number, path="/a", moment=Moment.REQUEST) for number in (-1, -1, -2, -3)]
    assert counted == [[refuse], [], [refuse], []]
    assert applied(plan, -1, path="/anything", moment=Moment.ANSWER) == [CutAnswer()]
    plan.clear()
    assert applied(plan, -9, path="/", moment=Moment.ANSWER) == []


def test_a_request_has_one_cut_and_one_stall_and_the_rest_stays_for_the_next() -> None:
    never = threading.Event()
    early, late, stall = CutAnswer(1), CutAnswer(2), StallAnswer(never)
    plan = FaultPlan([late, stall, early])
    assert applied(plan, -1, moment=Moment.ANSWER) == [late, stall]
    assert applied(plan, -2, moment=Moment.ANSWER) == [early]
    assert applied(plan, -3, moment=Moment.ANSWER) == []


def test_lasting_faults_last_on_their_target_until_cleared() -> None:
    plan = FaultPlan([Delay(0.1)])
    assert [applies(plan, number, moment=Moment.READY) for number in (0, 0, 1, 0)] == [True, True, False, True]
    plan.clear()
    assert not applies(plan, 0, moment=Moment.READY)


def test_a_hold_begins_after_its_frames_and_keeps_the_turn_unless_it_is_for_one_context() -> None:
    for context_id, moment in ((None, Moment.TURN), ("a", Moment.READY)):
        plan = FaultPlan([Hold(threading.Event(), after=1, context_id=context_id)])
        held = [applies(plan, 0, "a", sent=sent, sent_in_context=sent, moment=moment) for sent in (0, 1, 2)]
        assert held == [False, True, True]
        assert not applies(plan, 1, "a", 9, 9, moment=Moment.READY if moment is Moment.TURN else Moment.TURN)


def test_all_that_is_due_is_applied_in_the_order_given() -> None:
    plan = FaultPlan([Close(1001), Garbage(), LateFrames(), Close(1002, after=1)])
    plan.add([StopReading(), Close(1003)])
    assert applied(plan) == [Close(1001), Garbage(), Close(1003)]
    assert applied(plan, moment=Moment.READ) == [StopReading()]


def test_nothing_applies_to_a_peer_that_has_ended() -> None:
    class Ended(Peer):
        @property
        def has_ended(self) -> bool:  # type: ignore[override]  # here it changes
            return self.applied != []

    peer, other = Ended(0), Ended(1)
    plan = FaultPlan([Close(1001), Close(1002)])
    asyncio.run(plan.apply(Moment.EVENT, peer))
    asyncio.run(plan.apply(Moment.EVENT, other))
    assert (peer.applied, other.applied) == ([Close(1001)], [Close(1002)])


def test_a_lasting_fault_is_applied_once_an_event_and_as_often_as_it_was_given() -> None:
    fault = ExtraFields()
    plan, peer = FaultPlan([fault, fault]), Peer()
    for events in (1, 2):
        asyncio.run(plan.apply(Moment.SEND, peer))
        assert peer.applied == [fault] * (2 * events)


def test_while_one_lasting_fault_waits_no_other_peer_can_take_the_next() -> None:
    async def scene() -> None:
        go_on = asyncio.Event()

        class Wait(Fault, frozen=True):
            moments = (Moment.READY,)
            lasts = True

            async def apply(self, peer: Peer) -> None:
                await go_on.wait()
                peer.applied.append(self)

        plan, first, second = FaultPlan([Wait(), Wait()]), Peer(0), Peer(1)
        waiting = asyncio.ensure_future(plan.apply(Moment.READY, first))
        await asyncio.sleep(0)  # one round of the loop: now it waits
        await asyncio.wait_for(plan.apply(Moment.READY, second), BOUND)
        go_on.set()
        await waiting
        assert (len(first.applied), second.applied) == (2, [])

    asyncio.run(scene())


def test_a_fault_is_armed_until_it_is_cleared() -> None:
    fault = Garbage()
    plan = FaultPlan([fault])
    assert plan.is_armed(fault)
    assert not plan.is_armed(Garbage())
    plan.clear()
    assert not plan.is_armed(fault)
