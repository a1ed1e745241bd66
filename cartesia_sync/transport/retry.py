"""Whether, and after how long, a failed attempt is worth another one; and the loop that makes it.

The rule is the official client's, on both transports. urllib3's ``Retry`` cannot express it: it knows neither
``x-should-retry`` nor ``retry-after-ms``, obeys a Retry-After of any length, and adds its jitter rather than subtract
it. It and tenacity also sleep by themselves; here the caller waits, so that ``close()`` can wake it.
"""

from __future__ import annotations

import random
from typing import Callable, Optional, TypeVar

from ..errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    CartesiaError,
    ProtocolError,
    ProxySettingError,
)
from .deadline import Deadline

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
LONGEST_RETRY_AFTER = 60.0
_PASSING = {408, 409, 429}
_T = TypeVar("_T")


def with_retries(
    attempt: Callable[[], _T],
    *,
    max_retries: int,
    log: Callable[[CartesiaError, float], None],
    wait: Callable[[float], None],
    deadline: Optional[Deadline] = None,
    timeout_per_attempt: bool = False,
) -> _T:
    """Return what an attempt returns, the first or a later one.

    Args:
        attempt: Does it once.
        max_retries: How often a failed attempt is repeated at most.
        log: Called with a failure and the seconds until the next attempt.
        wait: Called between attempts with these seconds; waits for as long, and raises where another attempt is not
            wanted any more.
        deadline: For all attempts together. A wait that would reach it is not begun.
        timeout_per_attempt: As for ``pause_after``.

    Raises:
        CartesiaError: What the last attempt failed with.
    """
    failed = 0
    while True:
        try:
            return attempt()
        except CartesiaError as error:
            if failed >= max_retries:
                raise
            pause = pause_after(error, failed, timeout_per_attempt=timeout_per_attempt)
            left = None if deadline is None else deadline.left()
            if pause is None or (left is not None and pause >= left):
                raise
            log(error, pause)
            failed += 1
        wait(pause)


def pause_after(error: CartesiaError, attempt: int, *, timeout_per_attempt: bool = False) -> Optional[float]:
    """Return the seconds to wait before the next attempt, or None where another one would fail as well.

    Args:
        error: What the attempt failed with.
        attempt: How many attempts failed before this one.
        timeout_per_attempt: Whether each attempt has a timeout of its own, so that another may help after one.
    """
    if isinstance(error, APIStatusError):
        asked = error.headers.get("x-should-retry")
        passes = error.status_code in _PASSING or error.status_code >= 500
        if not {"true": True, "false": False}.get(asked or "", passes):
            return None
        if error.retry_after is not None and 0 < error.retry_after <= LONGEST_RETRY_AFTER:
            return error.retry_after
    elif isinstance(error, APITimeoutError):
        if not timeout_per_attempt:
            return None
    elif not isinstance(error, APIConnectionError) or isinstance(error, (ProtocolError, ProxySettingError)):
        return None
    return min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * (1 - 0.25 * random.random())
