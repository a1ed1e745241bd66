"""The links of this process, and what becomes of them in its forked children.

At exit nothing is done: a reader is a daemon, and ends with the process. To end it before would raise in whatever
daemon thread still receives or pushes, over the program's last words, and would cut off exit callbacks that still do.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .link import Link

_links: weakref.WeakSet[Link] = weakref.WeakSet()


def remember(link: Link) -> None:
    """See to a link after a fork."""
    _links.add(link)


def live_links() -> list[Link]:
    """Give the links whose reader is running, for tests and the curious."""
    return [link for link in _links if link.reader is not None and link.reader.is_alive()]


def _in_child() -> None:
    for link in list(_links):
        link.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
