"""The clocks that a user can set, as one value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Optional, Union

from .messages import Omit, omit

_MOST_SECONDS = 2_000_000
"""Some three weeks: poll() counts milliseconds in 31 bits, and a lock refuses infinity."""


@dataclass(frozen=True)
class Timeout:
    """How long to wait for what, in seconds; None is no limit.

    None of these is a socket timeout: each context's clocks run on that context's own events, so that a busy
    neighbour neither delays nor feeds them.

    Attributes:
        connect: Name resolution, TCP, TLS and the upgrade together.
        read: Between two pieces of an HTTP answer.
        write: For one message to leave.
        first_event: From a context's first push to its first event.
        gap: From a context's latest event or push, whichever is later, to its next event.
        whole: From a context's first push to its end.
        close: For the service to answer our goodbye.
    """

    connect: Optional[float] = 5.0
    read: Optional[float] = 60.0
    write: Optional[float] = 10.0
    first_event: Optional[float] = 60.0
    gap: Optional[float] = 60.0
    whole: Optional[float] = None
    close: Optional[float] = 2.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (is_number and value >= 0):
                raise ValueError(f"timeout {field.name} is a number of seconds, 0 or more, or None; got {value!r}")
            if value is not None and value > _MOST_SECONDS:
                raise ValueError(f"timeout {field.name} is at most {_MOST_SECONDS} seconds; None is no limit")

    @classmethod
    def of(cls, value: Union[float, tuple[Optional[float], Optional[float]], Timeout, None]) -> Timeout:
        """Read what a user passes as ``timeout``: one number stands for connect, read, first event and gap.

        A pair is (connect, read), as users of requests write it.
        """
        if isinstance(value, Timeout):
            return value
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ValueError(f"timeout: expected (connect, read), got {len(value)} values")
            return cls(connect=value[0], read=value[1])
        return cls(connect=value, read=value, first_event=value, gap=value)

    def replace(self, **clocks: Union[float, Omit, None]) -> Timeout:
        """Make a copy with some clocks set otherwise; those that are ``omit`` stay."""
        given = {name: value for name, value in clocks.items() if not isinstance(value, Omit)}
        return dataclasses.replace(self, **given) if given else self

    def of_context(
        self,
        *,
        timeout: Union[float, Omit, None],
        first_event_timeout: Union[float, Omit, None],
        whole_timeout: Union[float, Omit, None],
    ) -> Timeout:
        """Make a copy with what a context or a call of its own says.

        ``timeout`` means the first event too unless that has a clock of its own: so it does in the official client.
        """
        if timeout is first_event_timeout is whole_timeout is omit:
            return self  # as nearly all
        first_event = timeout if isinstance(first_event_timeout, Omit) else first_event_timeout
        return self.replace(gap=timeout, first_event=first_event, whole=whole_timeout)
