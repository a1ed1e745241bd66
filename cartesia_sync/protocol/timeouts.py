"""The clocks that a user can set, as one value, and the checks of every clock and limit that is given."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Optional, Protocol, Union

from .requests import Omit, omit

_MOST_SHOWN = 80
_MOST_SECONDS = 2_000_000
"""Some three weeks: poll() counts milliseconds in 31 bits, and a lock refuses infinity."""


def checked_seconds(name: str, value: object, *, also: str = "") -> Optional[float]:
    """Return a clock as it is, if it is one: a number of seconds above 0, or None where there is no clock.

    Args:
        name: What the user calls it; the error begins with that.
        value: What the user gave.
        also: What else the user may give here, for the error.

    Raises:
        ValueError: It is no clock: 0, negative, not finite, longer than three weeks, or no number at all.
    """
    if value is None:
        return None
    # True and False are no numbers here, though Python counts them among the integers.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _MOST_SECONDS:
        return value
    raise ValueError(
        f"{name}: expected a number of seconds above 0 and at most {_MOST_SECONDS},{also} or None to switch it off;"
        f" got {_shown(value)}"
    )


def checked_size(name: str, value: object) -> int:
    """Return a limit as it is, if it is one: a whole number of bytes, 1 or more.

    Args:
        name: What the user calls it; the error begins with that.
        value: What the user gave.

    Raises:
        ValueError: It is no limit.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError(f"{name}: expected a whole number of bytes, 1 or more; got {_shown(value)}")


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except ValueError:  # an integer of thousands of digits, which Python 3.11 does not write out
        return "a number that is far too large"
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."


class HttpxTimeout(Protocol):
    """An ``httpx.Timeout``, as users of the official client write it; httpx itself is not imported here."""

    @property
    def connect(self) -> Optional[float]:
        """Seconds to connect."""

    @property
    def read(self) -> Optional[float]:
        """Seconds between two pieces of an answer."""

    @property
    def write(self) -> Optional[float]:
        """Seconds to send."""

    @property
    def pool(self) -> Optional[float]:
        """Seconds to wait for a free connection; means nothing here, where nobody waits for one."""


@dataclass(frozen=True, init=False)
class Timeout:
    """How long to wait for what, in seconds above 0; None is no limit.

    None of these is a socket timeout: each context's clocks run on that context's own events, so that a busy
    neighbour neither delays nor feeds them.

    Args:
        timeout: In place of the defaults of ``connect``, ``read`` and ``write``, as ``httpx.Timeout`` has it; and of
            ``first_event`` and ``gap``, which are then as ``read`` is.
        pool: Of ``httpx.Timeout``; means nothing here, where nobody waits for a free connection.

    And each attribute by its name:

    Attributes:
        connect: Name resolution, TCP, TLS and the upgrade together.
        read: Between two pieces of an HTTP answer.
        write: For one message to leave.
        first_event: From a context's first push to its first event.
        gap: From a context's latest event or push, whichever is later, to its next event.
        whole: From a context's first push to its end.
        close: For the service to answer our goodbye.

    Raises:
        ValueError: A clock is no number of seconds above 0; the error names it. Three weeks are the longest.
    """

    connect: Optional[float] = 5.0
    read: Optional[float] = 60.0
    write: Optional[float] = 10.0
    first_event: Optional[float] = 60.0
    gap: Optional[float] = 60.0
    whole: Optional[float] = None
    close: Optional[float] = 2.0

    def __init__(
        self,
        timeout: Union[float, Omit, None] = omit,
        *,
        connect: Union[float, Omit, None] = omit,
        read: Union[float, Omit, None] = omit,
        write: Union[float, Omit, None] = omit,
        first_event: Union[float, Omit, None] = omit,
        gap: Union[float, Omit, None] = omit,
        whole: Union[float, Omit, None] = omit,
        close: Union[float, Omit, None] = omit,
        pool: Union[float, Omit, None] = omit,
    ) -> None:
        general: dict[str, Optional[float]] = {}
        if not isinstance(timeout, Omit):
            general = dict.fromkeys(("connect", "read", "write"), checked_seconds("timeout", timeout))
            events = timeout if isinstance(read, Omit) else read
            general.update(first_event=events, gap=events)
        named = {
            "connect": connect,
            "read": read,
            "write": write,
            "first_event": first_event,
            "gap": gap,
            "whole": whole,
            "close": close,
        }
        for field in dataclasses.fields(self):
            given = named[field.name]
            value = general.get(field.name, field.default) if given is omit else checked_seconds(field.name, given)
            object.__setattr__(self, field.name, value)  # frozen to all others

    @classmethod
    def of(
        cls, value: Union[float, tuple[Optional[float], Optional[float]], Timeout, HttpxTimeout, Omit, None]
    ) -> Timeout:
        """Read what a user passes as ``timeout``: one number stands for connect, read, first event and gap.

        A pair is (connect, read), as users of requests write it. An ``httpx.Timeout`` gives its ``connect``, ``read``
        and ``write``; its ``read`` stands for the first event and the gap too. ``omit`` is the default.

        Raises:
            ValueError: It is none of these; the error says "timeout", as the user did.
        """
        if isinstance(value, Timeout):
            return value
        if isinstance(value, Omit):
            return cls()
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ValueError(f"timeout: expected (connect, read), got {len(value)} values")
            connect, read = value
            return cls(
                connect=checked_seconds("timeout[0], the connect clock", connect),
                read=checked_seconds("timeout[1], the read clock", read),
            )
        if all(hasattr(value, clock) for clock in ("connect", "read", "write", "pool")):
            connect, read, write = (
                checked_seconds(f"timeout.{clock}", getattr(value, clock)) for clock in ("connect", "read", "write")
            )
            return cls(connect=connect, read=read, write=write, first_event=read, gap=read)
        seconds = checked_seconds("timeout", value, also=" a pair (connect, read), a Timeout,")
        return cls(connect=seconds, read=seconds, first_event=seconds, gap=seconds)

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
        """Make a copy with the timeouts of one context, or of one ``receive``.

        ``timeout`` means the first event too unless that has a clock of its own: so it does in the official client.

        Raises:
            ValueError: One is no clock; the error names the argument, and not our field.
        """
        if timeout is first_event_timeout is whole_timeout is omit:
            return self  # as nearly all
        for name, value in (
            ("timeout", timeout),
            ("first_event_timeout", first_event_timeout),
            ("whole_timeout", whole_timeout),
        ):
            if value is not omit:
                checked_seconds(name, value)
        first_event = timeout if isinstance(first_event_timeout, Omit) else first_event_timeout
        return self.replace(gap=timeout, first_event=first_event, whole=whole_timeout)
