"""No connection may leave this machine, while this is switched on."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

from .errors import NetworkForbiddenError

__all__ = ["block", "unblock"]

_LOCAL_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost", "broadcasthost"})

_is_installed = False
_is_blocked = False


def block() -> None:
    """Raise ``NetworkForbiddenError`` from each attempt to connect, send or look up a name that leaves this machine.

    By an audit hook, so that it holds for every library of this process, however it came by its sockets. Unix sockets
    and loopback stay open. Child processes are not covered.

    Threads: all threads of the process; call it from any.
    """
    global _is_installed, _is_blocked
    _is_blocked = True
    if not _is_installed:  # a hook cannot be taken back; it does nothing while nothing is blocked
        _is_installed = True
        sys.addaudithook(_hook)


def unblock() -> None:
    """Let connections out again."""
    global _is_blocked
    _is_blocked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _is_blocked or not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and address and not _is_here(address[0]):
            raise NetworkForbiddenError(f"--cartesia-block-network: this would have connected to {address[0]}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_here(arguments[0]):
        raise NetworkForbiddenError(f"--cartesia-block-network: this would have looked up {arguments[0]!r}")


def _is_here(host: Any) -> bool:
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if host is None or not isinstance(host, str) or host.lower() in _LOCAL_NAMES or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
