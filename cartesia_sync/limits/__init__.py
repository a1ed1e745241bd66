"""How many contexts may speak at once: in this process, on this machine, on all machines.

A limit is any object with ``acquire(timeout=None)``, which is called by keyword and gives something true, and
``release()``; where what ``acquire`` gives has a ``release`` of its own, that one is called. ``threading.Semaphore(4)``
and ``distributed.Semaphore`` are limits as they are. Here are three more::

    Learned(most=32)                        # finds out how many the service allows
    SameMachine(15)                         # of all processes of this user on this machine; extra [shared]
    Redis("redis://127.0.0.1:6379/0", 15)   # of all machines that use this Redis; extra [redis]

Each loads its library when it is first used. In front of each stands one ``gate.Gate`` a process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .learned import Learned
    from .machine import SameMachine
    from .redis import Redis

__all__ = ["Learned", "Redis", "SameMachine"]

_PLACES = {"Learned": "learned", "Redis": "redis", "SameMachine": "machine"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
