"""The links of this process, and what becomes of them in its forked children.

At exit nothing is done: a reader is a daemon, and ends with the process. To end it before would raise in whatever
daemon thread still receives or pushes, over the program's last words, and would cut off exit callbacks that still do.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Optional, Protocol


class Link(Protocol):
    """What a fork concerns; see ``link.Link``."""

    @property
    def reader(self) -> Optional[threading.Thread]:
        """The thread that reads."""

    def leave_to_parent(self) -> None:
        """End everything here, in a child, without touching the parent's connection."""


_links: dict[int, weakref.ref[Link]] = {}
"""By id(). Not a WeakSet: to iterate that is not safe beside a thread that adds."""


def remember(link: Link) -> None:
    """Have a link leave its connection to the parent after a fork."""
    key = id(link)
    _links[key] = weakref.ref(link, lambda gone: _forget(key, gone))


def _forget(key: int, gone: weakref.ref[Link]) -> None:
    if _links.get(key) is gone:  # another link may have the number by now
        _links.pop(key, None)


def _all_links() -> list[Link]:
    return [link for link in (who() for who in list(_links.values())) if link is not None]


def live_links() -> list[Link]:
    """Return the links whose reader is running, for tests and the curious."""
    return [link for link in _all_links() if link.reader is not None and link.reader.is_alive()]


def _in_child() -> None:
    for link in _all_links():
        link.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
