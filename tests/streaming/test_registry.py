"""Which channels there are, by the ids that they have on the wire, one after another."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from cartesia_sync.errors import ContextStateError
from cartesia_sync.streaming.channel import Channel
from cartesia_sync.streaming.registry import Registry


def opened(context_id: str) -> tuple[Registry, Channel]:
    registry, channel = Registry(), Channel(context_id)
    with registry.lock:
        registry.open_locked(channel)
    return registry, channel


def test_a_channel_may_speak_under_one_id_after_another() -> None:
    registry, channel = opened("first")
    with registry.lock:
        registry.rename_locked(channel, "second")
        assert registry.route_locked("second") is channel
        assert registry.is_live_locked(channel)
        assert registry.route_locked("first") is None
        assert registry.has_ended_locked("first")
        registry.end_locked(channel)
        assert registry.has_ended_locked("second")
    assert (channel.context_id, registry.late_events, registry.live()) == ("first", 1, [])


@pytest.mark.parametrize("taken", ["live", "ended"])
def test_an_id_that_is_taken_is_no_new_name_and_the_old_one_stays(taken: str) -> None:
    registry, channel = opened("a")
    other = Channel(taken)
    with registry.lock:
        registry.open_locked(other)
        if taken == "ended":
            registry.end_locked(other)
        with pytest.raises(ContextStateError, match=taken):
            registry.rename_locked(channel, taken)
        assert registry.route_locked("a") is channel
    assert channel.wire_id == "a"


def test_another_channel_with_the_id_of_one_that_was_refused_is_not_taken_for_it() -> None:
    registry, channel = opened("a")
    with registry.lock:
        assert registry.is_live_locked(channel)
        assert not registry.is_live_locked(Channel("a"))


def test_what_the_service_speaks_under_the_second_id_is_the_contexts(stage: Any) -> None:
    context = stage.context("a")
    context.push("x")
    with stage.link.registry.lock:
        stage.link.registry.rename_locked(context._channel, "a-2")
    stage.wire.feed_chunk("a", b"\1\1")
    stage.wire.feed_chunk("a-2", b"\0\0")
    event = next(context.receive())
    assert (event.context_id, event.audio) == ("a", b"\0\0")
    context.push("y")
    assert stage.wire.wait_sent(2)[1]["context_id"] == "a-2"
    context.cancel()
    assert stage.wire.wait_sent(3)[2] == {"context_id": "a-2", "cancel": True}
    assert stage.connection.stats.late_events == 1


def test_a_channel_that_nobody_holds_is_not_readable() -> None:
    registry, channel = opened("a")
    with registry.lock:
        registry.end_locked(channel)
    assert registry.readable() == [channel]
    del channel
    gc.collect()
    assert registry.readable() == []
