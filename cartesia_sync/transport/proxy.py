"""A proxy as the environment names it: read and checked once, for both transports, and shown without its credential."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import unquote, urlsplit

from ..errors import ProxySettingError

PORTS: Mapping[str, int] = {"http": 80, "https": 443, "socks5h": 1080, "socks5": 1080, "socks4a": 1080, "socks4": 1080}
"""The schemes that are known, with the port that each has where its URL names none."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LONGEST_WORD = 255
"""Bytes of a user name or a password in SOCKS 5 (RFC 1929), which gives their length in one."""


@dataclass(frozen=True)
class Proxy:
    """A proxy, and what named it.

    Attributes:
        scheme: One of ``PORTS``. By ``socks5`` and ``socks4`` names are resolved here, by the others there.
        host: Its name or address.
        port: Its port.
        source: The environment's variable that named it, or another place.
        username: What it asks for, or None.
        password: Likewise; empty where a user name alone was given.
    """

    scheme: str
    host: str
    port: int
    source: str
    username: Optional[str] = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, source: str) -> Proxy:
        """Read a proxy's URL; one without a scheme is of an HTTP proxy, as requests has it.

        Raises:
            ProxySettingError: It is none that is known; the error shows the scheme alone.
        """
        begins = _SCHEME.match(url)
        if begins is None and "://" in url:
            raise ProxySettingError(f"{source} names a proxy, but not by a URL")
        scheme = begins[1].lower() if begins else "http"
        if scheme not in PORTS:
            raise ProxySettingError(
                f"{source} names a proxy with the scheme {scheme!r}; those that are known are {', '.join(PORTS)}"
            )
        try:
            parts = urlsplit(url if begins else f"http://{url}")
            host, port = parts.hostname, parts.port  # the port raises where it is no number
        except ValueError:  # its message may show a part of the password
            host = port = None
        if not host:
            raise ProxySettingError(
                f"{source} names a proxy with the scheme {scheme!r} by a URL without a host, or with a port that is "
                "none; a slash in a password is written %2F there, a question mark %3F, a number sign %23"
            )
        # An empty user name is one, where there is a password.
        username = unquote(parts.username or "") if parts.username or parts.password else None
        password = unquote(parts.password or "")
        longest = max(len(word.encode("utf-8", "replace")) for word in (username or "", password))
        if scheme.startswith("socks") and (longest > _LONGEST_WORD or "\0" in f"{username}{password}"):
            raise ProxySettingError(
                f"{source} names a proxy with the scheme {scheme!r} and a user name or password that SOCKS cannot carry"
            )
        return cls(scheme, host, port or PORTS[scheme], source, username, password)

    @property
    def shown(self) -> str:
        """How messages name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {self.scheme}://{host}:{self.port} ({self.source})"

    @property
    def basic(self) -> Optional[str]:
        """What says to an HTTP proxy who asks; None where nobody is named."""
        if self.username is None:
            return None
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @property
    def secrets(self) -> list[bytes]:
        """What a proxy that echoes our request must not bring into an exception."""
        words = (self.basic or "", self.password, f"{self.username}:{self.password}")
        return sorted((word.encode() for word in words if self.password and word), key=len, reverse=True)


def chosen(url: str, proxies: Mapping[str, str]) -> Optional[Proxy]:
    """Return the proxy for a URL, as requests chooses it; None where there is none.

    Args:
        url: With ``http`` or ``https`` as its scheme.
        proxies: URLs by what they are for, as ``urllib.request.getproxies`` returns them.

    Raises:
        ProxySettingError: It is none that is known.
    """
    parts = urlsplit(url)
    for key in (f"{parts.scheme}://{parts.hostname}", parts.scheme, f"all://{parts.hostname}", "all"):
        if proxies.get(key):
            return Proxy.of(proxies[key], _source_of(key, proxies[key]))
    return None


def _source_of(key: str, proxy: str) -> str:
    for name, value in os.environ.items():
        if name.lower() == f"{key}_proxy" and value == proxy:
            return name
    return "the system's settings"


def secrets_of(proxies: Mapping[str, str]) -> list[bytes]:
    """Return the secrets of all that are proxies."""
    found: set[bytes] = set()
    for proxy in proxies.values():
        try:
            found.update(Proxy.of(proxy, "").secrets)
        except ProxySettingError:
            pass  # such as what stands in NO_PROXY; nobody was told its credential
    return sorted(found, key=len, reverse=True)
