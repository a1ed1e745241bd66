"""Ask a proxy for a way to the service: CONNECT of HTTP, SOCKS 5 (RFC 1928, 1929), SOCKS 4 and 4a.

PySocks, by which requests does it, bounds each of its reads alone, so that a proxy that trickles is waited for without
end, and resolves names without a bound; here one deadline is for all.
"""

from __future__ import annotations

import ipaddress
import selectors
from typing import Callable, Optional, Union

from ..deadline import Deadline
from ..proxy import Proxy
from ..redaction import redacted
from .stream import Stream

_MAX_HEAD_BYTES = 16 << 10
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # no descriptor of its own, unlike epoll

Address = str
"""An address in its numbers, as text."""
_Where = Optional[Union[ipaddress.IPv4Address, ipaddress.IPv6Address]]
"""The service's address; None leaves its name to the proxy."""

_SOCKS_5_FAILURES = {
    1: "failed",
    2: "does not allow the connection",
    3: "cannot reach the network",
    4: "cannot reach the host",
    5: "was refused by the host",
    6: "had no answer from the host in time",
    7: "does not know the command",
    8: "does not know the kind of address",
}
_SOCKS_4_FAILURES = {
    0x5B: "refused the connection, or it failed",
    0x5C: "cannot find out who asks (identd)",
    0x5D: "does not believe who asks (identd)",
}
_SOCKS_4_GRANTED = 0x5A
_NO_CREDENTIAL, _USERNAME_AND_PASSWORD, _NONE_OF_THEM = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_ADDRESS_BYTES = {_IPV4: 4, _IPV6: 16}


def ask(
    stream: Stream, proxy: Proxy, host: str, port: int, deadline: Deadline, *, resolve: Callable[[], list[Address]]
) -> None:
    """Ask for a way, and return once it is there; what comes by it has not been read.

    Args:
        stream: The connection to the proxy, on which nothing was said.
        proxy: What it is.
        host: The service's name or address.
        port: The service's.
        deadline: For all of it.
        resolve: Returns the addresses of the host; called where the proxy is not to resolve its name.

    Raises:
        TimeoutError: The deadline passed first.
        OSError: The proxy refused, or has gone, or does not speak so.

    Threads: any. Waits until the deadline.
    """
    talk = _Talk(stream, deadline)
    name = _ascii_name(host)
    if proxy.scheme in ("http", "https"):
        _ask_http(talk, proxy, name, port)
    elif proxy.scheme in ("socks5", "socks5h"):
        where = _address(name) or (None if proxy.scheme == "socks5h" else _address(resolve()[0]))
        _ask_socks_5(talk, proxy, where, name, port)
    else:
        where = _address(name) or (None if proxy.scheme == "socks4a" else _first_ipv4(name, resolve()))
        _ask_socks_4(talk, proxy, where, name, port)


class _Talk:
    """Says and hears bytes on a stream, by one deadline."""

    def __init__(self, stream: Stream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def say(self, data: bytes) -> None:
        """Send all of it."""
        counts: list[int] = []
        while sum(counts) < len(data):
            try:
                self._stream.send(memoryview(data)[sum(counts) :], counts)
            except BlockingIOError:
                self._wait(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def hear(self, size: int) -> bytes:
        """Return so many bytes, and read no more: what follows may be the service's."""
        heard = bytearray(size)
        count = 0
        while count < size:
            try:
                more = self._stream.recv_into(memoryview(heard)[count:])
            except BlockingIOError:
                self._wait(selectors.EVENT_READ | (selectors.EVENT_WRITE if self._stream.has_unsent else 0))
                continue
            if not more:
                raise ConnectionError("it closed the connection")
            count += more
        return bytes(heard)

    def _wait(self, events: int) -> None:
        with _Selector() as selector:
            selector.register(self._stream, events)
            if not selector.select(self._deadline.left()):
                raise TimeoutError("the proxy did not answer in time")


# ---- HTTP


def _ask_http(talk: _Talk, proxy: Proxy, name: str, port: int) -> None:
    where = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    request = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n"
    if proxy.basic is not None:
        request += f"Proxy-Authorization: Basic {proxy.basic}\r\n"
    talk.say(f"{request}\r\n".encode("ascii"))
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        head += talk.hear(1)
        if len(head) > _MAX_HEAD_BYTES:
            raise ConnectionError("it did not answer in HTTP")
    status = redacted(bytes(head.split(b"\r\n", 1)[0]), proxy.secrets).decode("latin-1")
    if status.split(" ", 2)[1:2] != ["200"]:
        raise ConnectionError(f"it refused the tunnel: {status}")


# ---- SOCKS


def _ask_socks_5(talk: _Talk, proxy: Proxy, where: _Where, name: str, port: int) -> None:
    ways = [_NO_CREDENTIAL] if proxy.username is None else [_NO_CREDENTIAL, _USERNAME_AND_PASSWORD]
    talk.say(bytes([5, len(ways), *ways]))
    version, way = talk.hear(2)
    if version != 5:
        raise ConnectionError("it did not answer in SOCKS 5")
    if way == _USERNAME_AND_PASSWORD and proxy.username is not None:
        words = [word.encode() for word in (proxy.username, proxy.password)]
        talk.say(b"\x01" + b"".join(bytes([len(word)]) + word for word in words))
        if talk.hear(2)[1]:
            raise ConnectionError("it refused the user name and password")
    elif way == _NONE_OF_THEM:
        raise ConnectionError(
            "it asks for a user name and password" if proxy.username is None else "it takes no user name and password"
        )
    elif way != _NO_CREDENTIAL:
        raise ConnectionError("it did not answer in SOCKS 5")
    if where is not None:
        target = bytes([_IPV4 if where.version == 4 else _IPV6]) + where.packed
    else:
        target = bytes([_NAME, len(name)]) + name.encode("ascii")
    talk.say(b"\x05\x01\x00" + target + port.to_bytes(2, "big"))
    version, failure = talk.hear(2)
    if version != 5:
        raise ConnectionError("it did not answer in SOCKS 5")
    if failure:
        raise ConnectionError(f"it {_SOCKS_5_FAILURES.get(failure, 'failed')} (SOCKS 5 reply {failure})")
    _, kind = talk.hear(2)
    size = talk.hear(1)[0] if kind == _NAME else _ADDRESS_BYTES.get(kind)
    if size is None:
        raise ConnectionError("it did not answer in SOCKS 5")
    talk.hear(size + 2)  # where it connects from, which nobody needs


def _ask_socks_4(talk: _Talk, proxy: Proxy, where: _Where, name: str, port: int) -> None:
    if where is not None and where.version != 4:
        raise ConnectionError("SOCKS 4 has no room for an address of IPv6")
    packed = where.packed if where is not None else b"\0\0\0\1"  # which says that a name follows
    user = (proxy.username or "").encode() + b"\0"
    talk.say(
        b"\x04\x01" + port.to_bytes(2, "big") + packed + user + (b"" if where is not None else name.encode() + b"\0")
    )
    version, answer = talk.hear(2)
    if version != 0:
        raise ConnectionError("it did not answer in SOCKS 4")
    if answer != _SOCKS_4_GRANTED:
        raise ConnectionError(f"it {_SOCKS_4_FAILURES.get(answer, 'failed')} (SOCKS 4 reply {answer})")
    talk.hear(6)  # a port and an address, which mean nothing here


def _ascii_name(host: str) -> str:
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise OSError(f"{host!r} is no host name: {error}") from None
    if len(name) > 255:
        raise OSError(f"{host[:20]!r}... is no host name: it is too long")
    return name


def _address(name: str) -> _Where:
    try:
        return ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None


def _first_ipv4(name: str, addresses: list[Address]) -> _Where:
    for address in addresses:
        where = _address(address)
        if where is not None and where.version == 4:
            return where
    raise OSError(f"the name {name} has no address of IPv4, and SOCKS 4 knows no other")
