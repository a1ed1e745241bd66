from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cartesia_sync.errors import ContextStateError
from cartesia_sync.protocol.router import TOMBSTONES, Router


def test_an_event_reaches_its_own_context_or_nobody() -> None:
    router: Router[str] = Router()
    router.open("a", "A")
    router.open("b", "B")
    assert (router.route("a"), router.route("b"), router.route("c"), router.route("")) == ("A", "B", None, None)
    assert router.late == 0
    assert len(router) == 2


def test_an_id_in_use_is_refused_and_keeps_its_context() -> None:
    router: Router[str] = Router()
    router.open("a", "first")
    with pytest.raises(ContextStateError, match="a context with the id 'a' is open on this connection already"):
        router.open("a", "second")
    assert router.route("a") == "first"
    assert len(router) == 1


def test_an_id_that_was_used_is_refused_and_the_message_says_what_to_do() -> None:
    router: Router[str] = Router()
    router.open("a", "first")
    assert router.end("a") == "first"
    with pytest.raises(ContextStateError, match=r"the id 'a' was used on this connection before: .*; use a new id"):
        router.open("a", "second")
    assert router.route("a") is None
    assert not router.is_live("a")


def test_late_events_are_counted_and_strangers_are_not() -> None:
    router: Router[str] = Router()
    router.open("a", "A")
    router.end("a")
    for context_id in ("a", "stranger", "a"):
        assert router.route(context_id) is None
    assert router.late == 2
    assert (router.has_ended("a"), router.has_ended("stranger")) == (True, False)


def test_an_end_is_told_once() -> None:
    router: Router[str] = Router()
    router.open("a", "A")
    assert [router.end("a"), router.end("a"), router.end("stranger")] == ["A", None, None]
    assert not router.has_ended("stranger")


def test_asking_whether_it_ended_counts_nothing() -> None:
    router: Router[str] = Router()
    router.open("a", "A")
    assert (router.is_live("a"), router.has_ended("a")) == (True, False)
    router.end("a")
    assert (router.is_live("a"), router.has_ended("a")) == (False, True)
    assert router.late == 0


def test_a_context_that_is_falsy_is_one_all_the_same() -> None:
    router: Router[int] = Router()
    router.open("a", 0)
    assert router.route("a") == 0
    assert router.end("a") == 0
    assert router.has_ended("a")


def test_live_contexts_come_in_the_order_in_which_they_were_opened() -> None:
    router: Router[str] = Router()
    for context_id in "cabd":
        router.open(context_id, context_id.upper())
    router.end("a")
    live = router.live()
    assert live == ["C", "B", "D"]
    router.end("c")  # the list is the caller's own: it is walked without a lock
    assert live == ["C", "B", "D"]


def test_only_the_latest_ends_are_remembered() -> None:
    router: Router[int] = Router(tombstones=2)
    for number in range(4):
        router.open(str(number), number)
        router.end(str(number))
    assert [router.has_ended(str(number)) for number in range(4)] == [False, False, True, True]
    router.open("0", 0)  # forgotten, and free again
    assert router.route("0") == 0


def test_a_router_remembers_so_many_ends_and_no_more() -> None:
    router: Router[int] = Router()
    for number in range(TOMBSTONES + 5):
        router.open(str(number), number)
        router.end(str(number))
    remembered = [number for number in range(TOMBSTONES + 5) if router.has_ended(str(number))]
    assert remembered == list(range(5, TOMBSTONES + 5))
    assert len(router) == 0


class RouterAgainstModel(RuleBasedStateMachine):
    """The router does what two plain lists do."""

    @initialize(tombstones=st.integers(0, 3))
    def begin(self, tombstones: int) -> None:
        self.router: Router[int] = Router(tombstones)
        self.tombstones = tombstones
        self.live: dict[str, int] = {}
        self.ended: list[str] = []
        self.late = 0
        self.count = 0

    def remembered(self) -> list[str]:
        return self.ended[len(self.ended) - min(self.tombstones, len(self.ended)) :]

    @rule(context_id=st.sampled_from("abcdef"))
    def open(self, context_id: str) -> None:
        self.count += 1
        if context_id in self.live or context_id in self.remembered():
            with pytest.raises(ContextStateError, match=f"'{context_id}'"):
                self.router.open(context_id, self.count)
        else:
            self.router.open(context_id, self.count)
            self.live[context_id] = self.count

    @rule(context_id=st.sampled_from("abcdef"))
    def hear(self, context_id: str) -> None:
        self.late += context_id in self.remembered() and context_id not in self.live
        assert self.router.route(context_id) == self.live.get(context_id)

    @rule(context_id=st.sampled_from("abcdef"))
    def end(self, context_id: str) -> None:
        target = self.live.pop(context_id, None)
        if target is not None:
            self.ended.append(context_id)
        assert self.router.end(context_id) == target

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end_a_live_one(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.live))))

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "router"):
            return
        assert self.router.live() == list(self.live.values())
        assert len(self.router) == len(self.live)
        assert self.router.late == self.late
        for context_id in "abcdef":
            assert self.router.is_live(context_id) == (context_id in self.live)
            assert self.router.has_ended(context_id) == (context_id in self.remembered())


TestRouterAgainstModel = RouterAgainstModel.TestCase
TestRouterAgainstModel.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
