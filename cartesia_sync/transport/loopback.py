"""Which hosts are this machine, so that what is said to them in clear is heard by nobody else."""

from __future__ import annotations

import ipaddress


def is_this_machine(host: str) -> bool:
    """Tell whether a name or an address means the machine that we are on, whatever the resolver says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761
