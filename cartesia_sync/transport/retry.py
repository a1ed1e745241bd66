"""Whether, and after how long, a failed attempt is worth another one.

The rule is the official client's, on both transports. Libraries that retry (urllib3's ``Retry``, tenacity) bring a
sleep of their own; here the caller waits, so that ``close()`` can wake it.
"""

from __future__ import annotations

import random
from typing import Optional

from ..errors import APIConnectionError, APIStatusError, CartesiaError, ConnectTimeoutError, ProtocolError

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
LONGEST_RETRY_AFTER = 60.0
_PASSING = {408, 409, 429}


def pause_after(error: CartesiaError, attempt: int) -> Optional[float]:
    """Give the seconds to wait before the next attempt, or None where another one would fail as well.

    Args:
        error: What the attempt failed with.
        attempt: How many attempts failed before this one.
    """
    if isinstance(error, APIStatusError):
        if error.status_code not in _PASSING and error.status_code < 500:
            return None
        if error.retry_after is not None and 0 < error.retry_after <= LONGEST_RETRY_AFTER:
            return error.retry_after
    elif not isinstance(error, APIConnectionError) or isinstance(error, (ConnectTimeoutError, ProtocolError)):
        return None
    return min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * (1 - 0.25 * random.random())
