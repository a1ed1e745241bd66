"""Which faults apply to what, and how often."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Optional

from cartesia_sync.local.fault_plan import FaultPlan
from cartesia_sync.local.faults import (
    Close,
    CutAnswer,
    Delay,
    ErrorEvent,
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

    def __init__(self, number: int = 0, context_id: Optional[str] = None, sent: int = 0) -> None:
        self.place = Place(number, context_id, sent, sent)
        self.closed: list[int] = []
        self.put_count = 0

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)

    async def put(self, event: str) -> None:
        self.put_count += 1


def applies(plan: FaultPlan, number: int, *where: Any, moment: Moment = Moment.EVENT, **more: Any) -> bool:
    return plan.take(moment, Place(number, *where, **more)) is not None


def test_a_fault_is_due_after_so_many_frames_and_once() -> None:
    fault = Garbage(after=2)
    plan = FaultPlan([fault])
    taken = [plan.take(Moment.EVENT, Place(0, sent=sent)) for sent in range(4)]
    assert taken == [None, None, fault, None]


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
    refusal = RefuseRequest(500, path="/a", times=2)
    plan = FaultPlan([refusal, CutAnswer()])
    assert plan.take(Moment.REQUEST, Place(-1, path="/b")) is None
    taken = [plan.take(Moment.REQUEST, Place(number, path="/a")) for number in (-1, -1, -2, -3)]
    assert taken == [refusal, None, refusal, None]
    assert plan.take(Moment.BODY, Place(-1, path="/anything")) == CutAnswer()
    plan.clear()
    assert plan.take(Moment.BODY, Place(-9, path="/")) is None


def test_each_kind_is_taken_once_for_a_request_and_the_rest_stays_for_the_next() -> None:
    never = threading.Event()
    early, late, stall = CutAnswer(1), CutAnswer(2), StallAnswer(never)
    plan = FaultPlan([late, stall, early])
    assert plan.take_each_kind(Moment.BODY, Place(-1)) == [late, stall]
    assert plan.take_each_kind(Moment.BODY, Place(-2)) == [early]
    assert plan.take_each_kind(Moment.BODY, Place(-3)) == []


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


def test_faults_are_taken_one_by_one_in_the_order_given() -> None:
    plan = FaultPlan([Garbage(), StopReading()])
    plan.add([Close(1001), Close(1002)])
    taken = [plan.take(Moment.EVENT, Place(0)) for _ in range(4)]
    assert taken == [Garbage(), Close(1001), Close(1002), None]
    assert plan.take(Moment.READ, Place(0)) == StopReading()


def test_all_that_is_due_is_applied_in_order() -> None:
    peer = Peer()
    plan = FaultPlan([Close(1001), Garbage(), LateFrames(), Close(1002, after=1), Close(1003)])
    asyncio.run(plan.apply(Moment.EVENT, peer))
    assert (peer.closed, peer.put_count) == ([1001, 1003], 1)


def test_nothing_applies_to_a_peer_that_has_ended() -> None:
    class Ended(Peer):
        @property
        def has_ended(self) -> bool:  # type: ignore[override]  # here it changes
            return bool(self.closed)

    peer, other = Ended(0), Ended(1)
    plan = FaultPlan([Close(1001), Close(1002)])
    asyncio.run(plan.apply(Moment.EVENT, peer))
    asyncio.run(plan.apply(Moment.EVENT, other))
    assert (peer.closed, other.closed) == ([1001], [1002])


def test_a_lasting_fault_is_applied_once_an_event_and_as_often_as_it_was_given() -> None:
    class Count(Fault, frozen=True):
        moments = (Moment.EVENT,)
        lasts = True

        async def apply(self, peer: Peer) -> None:
            peer.put_count += 1

    fault = Count()
    plan, peer = FaultPlan([fault, fault]), Peer()
    for events in (1, 2):
        asyncio.run(plan.apply(Moment.EVENT, peer))
        assert peer.put_count == 2 * events


def test_while_one_lasting_fault_waits_no_other_peer_can_take_the_next() -> None:
    async def scene() -> None:
        go_on = asyncio.Event()

        class Wait(Fault, frozen=True):
            moments = (Moment.READY,)
            lasts = True

            async def apply(self, peer: Peer) -> None:
                await go_on.wait()
                peer.put_count += 1

        plan, first, second = FaultPlan([Wait(), Wait()]), Peer(0), Peer(1)
        waiting = asyncio.ensure_future(plan.apply(Moment.READY, first))
        await asyncio.sleep(0)  # one round of the loop: now it waits
        await asyncio.wait_for(plan.apply(Moment.READY, second), BOUND)
        go_on.set()
        await waiting
        assert (first.put_count, second.put_count) == (2, 0)

    asyncio.run(scene())


def test_a_fault_is_armed_until_it_is_cleared() -> None:
    fault = Garbage()
    plan = FaultPlan([fault])
    assert plan.is_armed(fault)
    assert not plan.is_armed(Garbage())
    plan.clear()
    assert not plan.is_armed(fault)
