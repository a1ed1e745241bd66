"""HTTP to the service; the one file that imports requests."""

from __future__ import annotations

import requests.utils


def environment_proxies(url: str) -> dict[str, str]:
    """Give the proxies that the environment names for a URL, by scheme; none where NO_PROXY covers it."""
    proxies: dict[str, str] = requests.utils.get_environ_proxies(url)
    return proxies
