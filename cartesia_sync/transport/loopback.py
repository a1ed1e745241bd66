"""Which hosts are this machine, so that nobody else receives what is sent to them in clear."""

from __future__ import annotations

import ipaddress


def is_this_machine(host: str) -> bool:
    """Whether a name or an address means the machine that we are on, whatever the resolver answers."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761
