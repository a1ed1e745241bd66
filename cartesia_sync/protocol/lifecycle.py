"""The states of a channel, of a connection, of a replay, of a listening session and of a turn in it, as tables.

A pair that is not in its table is an error of the caller, and the state stays as it was. Each table has one writer:
``Channel.move``, ``Channel._move_replay``, ``Link._move_locked``, ``Line._move_locked`` and ``Hearing.add``; that of
turns is the service's, so that what is not in it is counted and no error.

What the tables do not hold: who gets which event (the router), and what a receiver is told (the mailbox).
``cancel()`` and ``close()`` take no lock, since a signal handler may call them. They leave a request, which the state
shows from then on; the reader commits the move.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import ContextStateError

_S = TypeVar("_S", bound=enum.Enum)


class ChannelState(enum.Enum):
    """The state of a channel, which its user knows as a context.

    OPEN: text may be sent, whether or not any was. FINISHING: after ``no_more_inputs()``; all text is sent, and audio
    is still coming. CANCELLED: after ``cancel()``; what still comes is dropped. ENDED: by the service's last event, by
    an error, or with the connection.
    """

    OPEN = "open"
    FINISHING = "finishing"
    CANCELLED = "cancelled"
    ENDED = "ended"


class ChannelMove(enum.Enum):
    """What can happen to a channel."""

    SEND = "send to"
    FINISH = "finish"
    CANCEL = "cancel"
    END = "end"


CHANNEL: dict[ChannelState, dict[ChannelMove, ChannelState]] = {
    ChannelState.OPEN: {
        ChannelMove.SEND: ChannelState.OPEN,
        ChannelMove.FINISH: ChannelState.FINISHING,
        ChannelMove.CANCEL: ChannelState.CANCELLED,
        ChannelMove.END: ChannelState.ENDED,
    },
    ChannelState.FINISHING: {ChannelMove.CANCEL: ChannelState.CANCELLED, ChannelMove.END: ChannelState.ENDED},
    # The service's last event may come before the reader has seen the request to cancel.
    ChannelState.CANCELLED: {ChannelMove.END: ChannelState.ENDED},
    ChannelState.ENDED: {},
}


class ConnectionState(enum.Enum):
    """The state of a connection, which may have several wires, one after another.

    NEW: no wire was opened yet. OPEN: there is one. LOST: it has ended; the next push may open another. CLOSED: after
    ``close()``. FORKED: it belongs to the parent process.
    """

    NEW = "new"
    OPEN = "open"
    LOST = "lost"
    CLOSED = "closed"
    FORKED = "forked"


class ConnectionMove(enum.Enum):
    """What can happen to a connection."""

    CONNECT = "connect"
    LOSE = "lose"
    CLOSE = "close"
    FORK = "fork"


CONNECTION: dict[ConnectionState, dict[ConnectionMove, ConnectionState]] = {
    ConnectionState.NEW: {
        ConnectionMove.CONNECT: ConnectionState.OPEN,
        ConnectionMove.CLOSE: ConnectionState.CLOSED,
        ConnectionMove.FORK: ConnectionState.FORKED,
    },
    ConnectionState.OPEN: {
        ConnectionMove.LOSE: ConnectionState.LOST,
        ConnectionMove.CLOSE: ConnectionState.CLOSED,
        ConnectionMove.FORK: ConnectionState.FORKED,
    },
    ConnectionState.LOST: {
        ConnectionMove.CONNECT: ConnectionState.OPEN,
        ConnectionMove.LOSE: ConnectionState.LOST,  # the sender's reason, and then the reader's
        ConnectionMove.CLOSE: ConnectionState.CLOSED,
        ConnectionMove.FORK: ConnectionState.FORKED,
    },
    ConnectionState.CLOSED: {
        ConnectionMove.CLOSE: ConnectionState.CLOSED,
        ConnectionMove.FORK: ConnectionState.FORKED,
    },
    ConnectionState.FORKED: {},
}


class ReplayState(enum.Enum):
    """Whether a channel may be sent again, from its first message on, when its wire is lost.

    NEVER: only if nothing of it had left. ARMED: also after it had left, once all its text was sent and nothing of it
    was heard (``on_disconnect="replay"``). SET_ASIDE: its wire was lost, and it waits for another. MOVED: it was sent
    on another wire, since nothing of it had left on the first. REPLAYED: it was sent again although it had left.
    """

    NEVER = "never"
    ARMED = "armed"
    SET_ASIDE = "set aside"
    MOVED = "moved"
    REPLAYED = "replayed"


class ReplayMove(enum.Enum):
    """What can happen to a replay."""

    SET_ASIDE = "set aside"
    MOVE = "move"
    REPLAY = "replay"


REPLAY: dict[ReplayState, dict[ReplayMove, ReplayState]] = {
    ReplayState.NEVER: {ReplayMove.SET_ASIDE: ReplayState.SET_ASIDE},
    ReplayState.ARMED: {ReplayMove.SET_ASIDE: ReplayState.SET_ASIDE},
    ReplayState.SET_ASIDE: {ReplayMove.MOVE: ReplayState.MOVED, ReplayMove.REPLAY: ReplayState.REPLAYED},
    ReplayState.MOVED: {ReplayMove.SET_ASIDE: ReplayState.SET_ASIDE},
    ReplayState.REPLAYED: {},
}


class SessionState(enum.Enum):
    """The state of a session that listens; it has one wire, and ends with it.

    OPEN: audio may be sent. FINISHING: the word ``close`` is in line; what is still to be heard comes. ENDED: nothing
    follows. FORKED: it belongs to the parent process.
    """

    OPEN = "open"
    FINISHING = "finishing"
    ENDED = "ended"
    FORKED = "forked"


class SessionMove(enum.Enum):
    """What can happen to a session."""

    SEND = "send to"
    FINISH = "finish"
    END = "end"
    FORK = "fork"


SESSION: dict[SessionState, dict[SessionMove, SessionState]] = {
    SessionState.OPEN: {
        SessionMove.SEND: SessionState.OPEN,
        SessionMove.FINISH: SessionState.FINISHING,
        SessionMove.END: SessionState.ENDED,
        SessionMove.FORK: SessionState.FORKED,
    },
    SessionState.FINISHING: {
        SessionMove.END: SessionState.ENDED,
        SessionMove.FORK: SessionState.FORKED,
    },
    SessionState.ENDED: {SessionMove.FORK: SessionState.FORKED},
    SessionState.FORKED: {},
}


class TurnState(enum.Enum):
    """Whether the user is speaking, as the service says it.

    IDLE: no. SPEAKING: yes. EAGER_ENDED: perhaps not any more.
    """

    IDLE = "idle"
    SPEAKING = "speaking"
    EAGER_ENDED = "eager-ended"


class TurnMove(enum.Enum):
    """What the service can say of a turn; the value is the event's type."""

    START = "turn.start"
    UPDATE = "turn.update"
    EAGER_END = "turn.eager_end"
    RESUME = "turn.resume"
    END = "turn.end"


TURN: dict[TurnState, dict[TurnMove, TurnState]] = {
    TurnState.IDLE: {TurnMove.START: TurnState.SPEAKING},
    TurnState.SPEAKING: {
        TurnMove.UPDATE: TurnState.SPEAKING,
        TurnMove.EAGER_END: TurnState.EAGER_ENDED,
        TurnMove.END: TurnState.IDLE,
    },
    TurnState.EAGER_ENDED: {TurnMove.RESUME: TurnState.SPEAKING, TurnMove.END: TurnState.IDLE},
}


def step(state: ChannelState, move: ChannelMove, context_id: str) -> ChannelState:
    """Return the state that follows.

    Raises:
        ContextStateError: The move is not allowed in that state.
    """
    try:
        return CHANNEL[state][move]
    except KeyError:
        raise ContextStateError(
            f"cannot {move.value} context {context_id!r}: it is {state.value}"
            + (" (all its text has been sent)" if state is ChannelState.FINISHING else "")
        ) from None


def followed(table: Mapping[_S, Mapping[Any, _S]], state: _S, move: enum.Enum) -> _S:
    """Return the state that follows in a table whose moves are ours alone.

    Raises:
        AssertionError: The move is not allowed in that state: a fault of this library.
    """
    try:
        return table[state][move]
    except KeyError:
        raise AssertionError(f"{move} in {state}") from None
