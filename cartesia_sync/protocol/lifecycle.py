"""A context's states, as one table.

A context starts OPEN, whether or not anything was sent. FINISHING is after ``no_more_inputs()``: all text is sent, the
audio is still coming. CANCELLING is after ``cancel()``: nobody listens any more, and what still comes is dropped.
ENDED is final. A pair that is not in the table is an error of the caller, and the state stays as it was.

What the table does not hold: who may see which event (the router), and what a receiver is told (the mailbox).
"""

from __future__ import annotations

import enum

from ..errors import ContextStateError


class State(enum.Enum):
    """Where a context is in its life."""

    OPEN = "open"
    FINISHING = "finishing"
    CANCELLING = "cancelled"
    ENDED = "ended"


class Move(enum.Enum):
    """What can happen to a context."""

    SEND = "send to"
    FINISH = "finish"
    CANCEL = "cancel"
    END = "end"


TABLE: dict[State, dict[Move, State]] = {
    State.OPEN: {
        Move.SEND: State.OPEN,
        Move.FINISH: State.FINISHING,
        Move.CANCEL: State.CANCELLING,
        Move.END: State.ENDED,
    },
    State.FINISHING: {Move.CANCEL: State.CANCELLING, Move.END: State.ENDED},
    State.CANCELLING: {Move.END: State.ENDED},
    State.ENDED: {},
}


def step(state: State, move: Move, context_id: str) -> State:
    """Say which state follows.

    Raises:
        ContextStateError: If the move is not allowed in that state.
    """
    try:
        return TABLE[state][move]
    except KeyError:
        raise ContextStateError(
            f"cannot {move.value} context {context_id!r}: it is {state.value}"
            + (" (all its text has been sent)" if state is State.FINISHING else "")
        ) from None
