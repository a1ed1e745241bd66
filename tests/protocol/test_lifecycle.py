from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping
from typing import Any, Optional

import pytest

from cartesia_sync.errors import CartesiaError, ContextStateError
from cartesia_sync.protocol.lifecycle import (
    CHANNEL,
    CONNECTION,
    REPLAY,
    SESSION,
    TURN,
    ChannelMove,
    ChannelState,
    ConnectionMove,
    ConnectionState,
    ReplayMove,
    ReplayState,
    SessionMove,
    SessionState,
    TurnMove,
    TurnState,
    followed,
    step,
)

# The rules once more, written apart from the tables: for each state, move by move, the state that follows; None where
# the move may not be.
RULES: dict[str, tuple[type[enum.Enum], type[enum.Enum], Mapping[Any, Mapping[Any, Any]], str]] = {
    "channel": (
        ChannelState,
        ChannelMove,
        CHANNEL,
        """
        -           send     finish     cancel     end
        open        open     finishing  cancelled  ended
        finishing   None     None       cancelled  ended
        cancelled   None     None       None       ended
        ended       None     None       None       None
        """,
    ),
    "connection": (
        ConnectionState,
        ConnectionMove,
        CONNECTION,
        """
        -       connect  lose  close   fork
        new     open     None  closed  forked
        open    None     lost  closed  forked
        lost    open     lost  closed  forked
        closed  None     None  closed  forked
        forked  None     None  None    None
        """,
    ),
    "replay": (
        ReplayState,
        ReplayMove,
        REPLAY,
        """
        -          set_aside  move   replay
        never      set_aside  None   None
        armed      set_aside  None   None
        set_aside  None       moved  replayed
        moved      set_aside  None   None
        replayed   None       None   None
        """,
    ),
    "session": (
        SessionState,
        SessionMove,
        SESSION,
        """
        -          send  finish     end    fork
        open       open  finishing  ended  forked
        finishing  None  None       ended  forked
        ended      None  None       None   forked
        forked     None  None       None   None
        """,
    ),
    "turn": (
        TurnState,
        TurnMove,
        TURN,
        """
        -            start     update    eager_end    resume    end
        idle         speaking  None      None         None      None
        speaking     None      speaking  eager_ended  None      idle
        eager_ended  None      None      None         speaking  idle
        """,
    ),
}


def expected(name: str) -> dict[tuple[enum.Enum, enum.Enum], Optional[enum.Enum]]:
    states, moves, _, text = RULES[name]
    (_, *columns), *rows = (line.split() for line in text.strip().splitlines())
    return {
        (states[state.upper()], moves[move.upper()]): None if following == "None" else states[following.upper()]
        for state, *cells in rows
        for move, following in zip(columns, cells)
    }


@pytest.mark.parametrize("name", RULES)
def test_every_pair_of_state_and_move_is_in_the_rules(name: str) -> None:
    states, moves, table, _ = RULES[name]
    assert expected(name).keys() == set(itertools.product(states, moves))
    assert table.keys() == set(states)


@pytest.mark.parametrize("name", RULES)
def test_a_move_leads_where_the_rules_say(name: str) -> None:
    _, _, table, _ = RULES[name]
    assert {(state, move): table[state].get(move) for state, move in expected(name)} == expected(name)


@pytest.mark.parametrize(("state", "move"), expected("channel"), ids=lambda each: each.name)
def test_a_move_of_a_channel_that_may_not_be_is_refused_by_name(state: ChannelState, move: ChannelMove) -> None:
    following = expected("channel")[state, move]
    if following is not None:
        assert step(state, move, "turn-17") is following
        return
    with pytest.raises(ContextStateError) as refused:
        step(state, move, "turn-17")
    message = str(refused.value)
    assert message.startswith(f"cannot {move.value} context 'turn-17': it is {state.value}")
    assert ("all its text has been sent" in message) is (state is ChannelState.FINISHING)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, CartesiaError)
    assert refused.value.__suppress_context__  # the KeyError of the table tells a user nothing


@pytest.mark.parametrize("name", ["connection", "replay", "session", "turn"])
def test_a_move_of_ours_that_may_not_be_is_a_fault_of_ours(name: str) -> None:
    _, _, table, _ = RULES[name]
    for (state, move), following in expected(name).items():
        if following is not None:
            assert followed(table, state, move) is following
            continue
        with pytest.raises(AssertionError, match=move.name):
            followed(table, state, move)


def test_a_context_never_becomes_open_again() -> None:
    others = set(ChannelState) - {ChannelState.OPEN}
    assert not [state for state in others if ChannelState.OPEN in CHANNEL[state].values()]


def test_an_id_with_odd_characters_can_be_told_from_the_sentence() -> None:
    with pytest.raises(ContextStateError, match=r"""cannot send to context "it's\\n": it is ended"""):
        step(ChannelState.ENDED, ChannelMove.SEND, "it's\n")
