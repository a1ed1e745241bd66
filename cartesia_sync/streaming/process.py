"""The links of this process, at its exit and in its forked children."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING

from ..transport.deadline import Deadline

if TYPE_CHECKING:
    from .link import Link

EXIT_TIMEOUT = 1.0
"""Seconds that all readers together are given at exit; they are daemons, and end with the process in any case."""

_links: weakref.WeakSet[Link] = weakref.WeakSet()


def remember(link: Link) -> None:
    """See to a link at exit and after a fork."""
    _links.add(link)


def live_links() -> list[Link]:
    """Give the links whose reader is running, for tests and the curious."""
    return [link for link in _links if link.reader is not None and link.reader.is_alive()]


def _at_exit() -> None:
    links = live_links()
    for link in links:
        link.abandon_at_exit()
    deadline = Deadline(EXIT_TIMEOUT)
    for link in links:
        if link.reader is not None:
            link.reader.join(deadline.left())


def _in_child() -> None:
    for link in list(_links):
        link.leave_to_parent()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
