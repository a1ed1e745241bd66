"""The client's limit of sessions that listen: a slot each, from the handshake to the wire's end."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Callable, Optional

from ..errors import RateLimitError, SlotTimeoutError
from ..transport.websocket.wire import Wire

if TYPE_CHECKING:
    from ..limits.gate import Gate, Ticket

log = logging.getLogger("cartesia_sync")

_REFUSALS = (None, "concurrency_limited")
"""Error codes of a handshake that was refused with 429 because too many sessions are open."""


def dial_in_turn(
    gate: Gate,
    wait: Optional[float],
    dial: Callable[[Callable[[Callable[[], Wire]], Wire]], Wire],
    *,
    has_waited_before: bool = False,
    check: Optional[Callable[[], object]] = None,
) -> tuple[Wire, Ticket]:
    """Wait for a slot, and open a wire with it; one that the service refuses all the same waits again.

    Args:
        gate: The line of this process in front of the limit.
        wait: Seconds that all waits together may last; None is no limit.
        dial: Opens the wire. It calls each attempt by what it is given, by which a refusal leaves it at once: nobody
            keeps a slot in a pause.
        has_waited_before: Whether it comes before others: a session that follows a lost one.
        check: Called now and then while it waits; what it raises ends the wait.

    Raises:
        SlotTimeoutError: No slot became free in time.
        RateLimitError: The same, and the service had refused before.
        LimitError: The limit cannot say.
        CartesiaError: As ``dial``.

    Threads: the one that connects.
    """
    began, refusal = time.monotonic(), None
    while True:
        left = None if wait is None else max(began + wait - time.monotonic(), 0.0)
        ticket = gate.acquire(left, at_head=has_waited_before or refusal is not None, check=check)
        if ticket is None:
            if refusal is not None:
                raise refusal
            raise SlotTimeoutError(
                f"The session waited {wait} s (limit_wait) for a slot of the client's stt_limit, and none became free: "
                f"{gate!r}.",
                timeout=wait,
            )
        log.debug("a session waited %.3f s for a slot of %r", time.monotonic() - began, gate)
        try:
            wire = dial(_attempt)
        except _RefusedError as refused:
            refusal = refused.error
            ticket.refused(refusal.retry_after)
            ticket.release()
        except BaseException:  # an interrupt too, and what a user's function for tokens raised
            ticket.release()
            raise
        else:
            ticket.succeeded()
            return wire, ticket


class _RefusedError(Exception):
    """A handshake that the service refused because too many sessions are open; no failure that is tried again."""

    def __init__(self, error: RateLimitError) -> None:
        super().__init__()
        self.error = error


def _attempt(dial: Callable[[], Wire]) -> Wire:
    try:
        return dial()
    except RateLimitError as error:
        if error.error_code in _REFUSALS:
            raise _RefusedError(error) from error
        raise
