from __future__ import annotations

import itertools
from typing import Optional

import pytest

from cartesia_sync.errors import CartesiaError, ContextStateError
from cartesia_sync.protocol.lifecycle import TABLE, Move, State, step

# The rules once more, written apart from the table: (state, move) to the state that follows, None where it may not be.
EXPECTED: dict[tuple[State, Move], Optional[State]] = {
    (State.OPEN, Move.SEND): State.OPEN,
    (State.OPEN, Move.FINISH): State.FINISHING,
    (State.OPEN, Move.CANCEL): State.CANCELLING,
    (State.OPEN, Move.END): State.ENDED,
    (State.FINISHING, Move.SEND): None,
    (State.FINISHING, Move.FINISH): None,
    (State.FINISHING, Move.CANCEL): State.CANCELLING,
    (State.FINISHING, Move.END): State.ENDED,
    (State.CANCELLING, Move.SEND): None,
    (State.CANCELLING, Move.FINISH): None,
    (State.CANCELLING, Move.CANCEL): None,
    (State.CANCELLING, Move.END): State.ENDED,
    (State.ENDED, Move.SEND): None,
    (State.ENDED, Move.FINISH): None,
    (State.ENDED, Move.CANCEL): None,
    (State.ENDED, Move.END): None,
}


def test_every_pair_of_state_and_move_is_expected_to_do_something() -> None:
    assert EXPECTED.keys() == set(itertools.product(State, Move))
    assert TABLE.keys() == set(State)


@pytest.mark.parametrize(("state", "move"), EXPECTED, ids=lambda each: each.name)
def test_a_move_leads_where_the_rules_say_or_is_refused_by_name(state: State, move: Move) -> None:
    following = EXPECTED[state, move]
    if following is not None:
        assert step(state, move, "turn-17") is following
        return
    with pytest.raises(ContextStateError) as refused:
        step(state, move, "turn-17")
    message = str(refused.value)
    assert message.startswith(f"cannot {move.value} context 'turn-17': it is {state.value}")
    assert ("all its text has been sent" in message) is (state is State.FINISHING)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, CartesiaError)
    assert refused.value.__suppress_context__  # the KeyError of the table tells a user nothing


def test_every_state_but_the_last_can_end_and_the_last_is_final() -> None:
    assert {state for state in State if Move.END in TABLE[state]} == set(State) - {State.ENDED}
    assert TABLE[State.ENDED] == {}


def test_a_context_never_becomes_open_again() -> None:
    assert not [state for state in State if state is not State.OPEN and State.OPEN in TABLE[state].values()]


def test_an_id_with_odd_characters_can_be_told_from_the_sentence() -> None:
    with pytest.raises(ContextStateError, match=r"""cannot send to context "it's\\n": it is ended"""):
        step(State.ENDED, Move.SEND, "it's\n")
