"""A SOCKS proxy under the test's own hand: versions 5 (RFC 1928, 1929), 4 and 4a; what it is asked is kept."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import NamedTuple, Optional

from .proxy import Proxy

_NAME = 3


class Asked(NamedTuple):
    """What a client asked for: a name where the proxy is to resolve it, else an address."""

    version: int
    host: str
    port: int
    user: str


class SocksProxy(Proxy):
    """A SOCKS proxy on loopback.

    Args:
        names: The port behind each host name or address. Others are refused.
        credential: ``user:password`` that it asks for in version 5, or the user in version 4.
        refuses: What version 5 answers to every request, in place of 0, which grants it; version 4 answers 0x5B then.
        named_answer: Whether version 5 gives its own address as a name.

    Attributes:
        asked: What it was asked, in order.
        offered: The ways to say who asks that each client offered.
    """

    def __init__(
        self,
        *,
        names: Optional[Mapping[str, int]] = None,
        credential: Optional[str] = None,
        refuses: int = 0,
        named_answer: bool = False,
    ) -> None:
        self.asked: list[Asked] = []
        self.offered: list[bytes] = []
        self._refuses = refuses
        self._named_answer = named_answer
        super().__init__(names=names, credential=credential)

    def socks_url(self, scheme: str, credential: str = "") -> str:
        return self.url(credential).replace("http", scheme, 1)

    def _asked(self, near: socket.socket) -> Optional[int]:
        try:
            version = _read(near, 1)[0]
            return self._asked_in_5(near) if version == 5 else self._asked_in_4(near)
        except (EOFError, ConnectionError):
            return None  # the client did not like something

    def _asked_in_5(self, near: socket.socket) -> Optional[int]:
        ways = _read(near, _read(near, 1)[0])
        self.offered.append(ways)
        user = ""
        if self._credential is None:
            near.sendall(b"\x05\x00")
        elif 2 not in ways:
            near.sendall(b"\x05\xff")
            return None
        else:
            near.sendall(b"\x05\x02")
            assert _read(near, 1) == b"\x01"
            user, password = (_read(near, _read(near, 1)[0]).decode() for _ in range(2))
            is_right = f"{user}:{password}" == self._credential
            near.sendall(b"\x01\x00" if is_right else b"\x01\x01")
            if not is_right:
                return None
        assert _read(near, 3) == b"\x05\x01\x00"
        kind = _read(near, 1)[0]
        if kind == _NAME:
            host = _read(near, _read(near, 1)[0]).decode("ascii")
        else:
            host = str(ipaddress.ip_address(_read(near, 4 if kind == 1 else 16)))
        port = int.from_bytes(_read(near, 2), "big")
        self.asked.append(Asked(5, host, port, user))
        leads_to = self._names.get(host)
        failure = self._refuses or (0 if leads_to is not None else 4)
        address = b"\x03\x05proxy" if self._named_answer else b"\x01\0\0\0\0"
        near.sendall(bytes([5, failure, 0]) + address + b"\0\0")
        return None if failure else leads_to

    def _asked_in_4(self, near: socket.socket) -> Optional[int]:
        assert _read(near, 1) == b"\x01"
        port = int.from_bytes(_read(near, 2), "big")
        address = _read(near, 4)
        user = _read_to_zero(near)
        host = _read_to_zero(near) if address[:3] == b"\0\0\0" else str(ipaddress.ip_address(address))
        self.asked.append(Asked(4, host, port, user))
        leads_to = self._names.get(host)
        is_granted = leads_to is not None and not self._refuses and self._credential in (None, user)
        near.sendall(b"\0" + (b"\x5a" if is_granted else b"\x5b") + b"\0" * 6)
        return leads_to if is_granted else None


def _read(near: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = near.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _read_to_zero(near: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\0"):
        data += _read(near, 1)
    return data[:-1].decode()
