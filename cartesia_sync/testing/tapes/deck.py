"""What the two transports of one tape share: what is on it, what may be recorded, and what went wrong."""

from __future__ import annotations

import asyncio
from typing import Any, Optional

from ..errors import TapeError, TapeMismatchError
from ..seen import OrderedRecorder
from .calls import Call, comparable, described
from .conversations import Conversation, Key, Script, difference, key_of
from .reel import Reel
from .secrets import Secrets

__all__ = ["Deck", "Opening"]


class Opening:
    """One recorded handshake.

    Attributes:
        key: What handshakes of its kind have in common.
        line: Its line.
        is_used: Whether a program has made it already.
    """

    def __init__(self, line: dict[str, Any]) -> None:
        self.key: Key = key_of(line["open"], line["query"], line["version"])
        self.line = line
        self.is_used = False


class Deck:
    """A tape that runs.

    Args:
        reel: What is on it.
        seen: Where what was asked is recorded for assertions.
        service: Where to record from; None where nothing may be recorded.
        is_paced: Whether answers come at the times at which they were recorded.

    Attributes:
        has_recorded: Whether the reel has more on it than before.
        problem: The first thing that went wrong.

    Threads: the proxy's loop; before its start and after its end any one.
    """

    def __init__(self, reel: Reel, seen: OrderedRecorder, *, service: Optional[str], is_paced: bool) -> None:
        self.reel = reel
        self.seen = seen
        self.service = service
        self.is_paced = is_paced
        self.secrets = Secrets()
        self.has_recorded = False
        self.problem: Optional[TapeError] = None
        self._scripts = Script.all_of(reel)
        self._calls = Call.all_of(reel)
        self._openings = [Opening(line) for line in reel.lines if "open" in line]
        self._began = 0.0
        self._first = reel.lines[-1]["at"] + 1.0 if reel.lines else 0.0

    def begin(self) -> None:
        """Start the tape's clock; on the loop."""
        self._began = asyncio.get_running_loop().time()

    def record(self, **line: Any) -> None:
        """Add a line to the reel, now."""
        self.has_recorded = True
        self.reel.add(self._first + asyncio.get_running_loop().time() - self._began, **line)

    def report(self, problem: TapeError) -> TapeError:
        """Take down that something went wrong; return it."""
        if self.problem is None:
            self.problem = problem
        return problem

    # ---- what is on it

    def opening(self, key: Key) -> Optional[Opening]:
        """Take the next handshake of this kind; where all are taken, the last that was granted."""
        equal = [each for each in self._openings if each.key == key]
        for each in equal:
            if not each.is_used:
                each.is_used = True
                return each
        granted = [each for each in equal if "refused" not in each.line]
        return granted[-1] if granted else None

    def opening_mismatch(self, key: Key) -> TapeMismatchError:
        """Return what is to be said of a handshake of which none is on the tape."""
        recorded = [Conversation(each.key, None).described()[:2] for each in self._openings]
        sent = Conversation(key, None).described()[:2]
        return self._mismatch("A WebSocket", sent, recorded, recorded)

    def scripts(self, said: Conversation) -> list[Script]:
        """Return the conversations that this one may become, and that nobody holds."""
        return [each for each in self._scripts if not each.is_used and said.may_become(each.said)]

    def conversation_mismatch(self, said: Conversation) -> TapeMismatchError:
        """Return what is to be said of a conversation that is not on the tape."""
        kind = [each for each in self._scripts if (each.said.context_id is None) is (said.context_id is None)]
        return self._mismatch(
            "A context" if said.context_id is not None else "What was said on a WebSocket",
            said.described(),
            [each.said.described() for each in kind],
            [each.said.described() for each in kind if not each.is_used],
        )

    def call(self, asked: dict[str, Any]) -> Optional[Call]:
        """Take the next request that is equal to this one."""
        for each in self._calls:
            if not each.is_used and comparable(each.asked) == comparable(asked):
                each.is_used = True
                return each
        return None

    def call_mismatch(self, asked: dict[str, Any]) -> TapeMismatchError:
        """Return what is to be said of a request that is not on the tape."""
        return self._mismatch(
            "A request",
            described(asked),
            [described(each.asked) for each in self._calls],
            [described(each.asked) for each in self._calls if not each.is_used],
        )

    def _mismatch(
        self, what: str, sent: list[str], recorded: list[list[str]], free: list[list[str]]
    ) -> TapeMismatchError:
        return TapeMismatchError(f"{what} is not on the tape: {difference(sent, recorded, free)}")
