"""Open a TCP or TLS socket to the service, within one deadline: the name, all its addresses, a proxy, TLS.

An exception from outside (Ctrl-C, a signal handler's, a time limit's) may be raised anywhere in here. So a socket is
in the list ``made`` before it has a descriptor, and ``dial`` alone closes what is in there.
"""

from __future__ import annotations

import base64
import errno
import functools
import queue
import selectors
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Callable, Optional, Union
from urllib.parse import unquote, urlsplit

from ..deadline import Deadline
from .stream import SecureStream, Stream

_Address = tuple[Any, ...]  # as socket.getaddrinfo returns them

HEAD_START = 0.25
"""Seconds after which the next address is tried too, beside the first (RFC 8305 advises 250 ms)."""
_MAX_PROXY_HEAD_BYTES = 16 << 10
_MSG_NOSIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)
_SO_NOSIGPIPE: Optional[int] = getattr(socket, "SO_NOSIGPIPE", {"darwin": 0x1022}.get(sys.platform))
"""Where the peer has gone, a send fails, and no SIGPIPE reaches the process, whose default action is to kill it without
a word. On Linux that is a flag of each send; on macOS an option of the socket, whose number Python does not name."""

# With no descriptor of its own, unlike epoll's, which would stay open after an interrupt until it is collected.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def dial(
    host: str, port: int, ssl_context: Optional[ssl.SSLContext], deadline: Deadline, *, proxy: Optional[str] = None
) -> Stream:
    """Connect, and shake hands over TLS where a context is given.

    Args:
        host: A name or an address.
        port: The port.
        ssl_context: How to verify the service; None connects without TLS.
        deadline: For everything together.
        proxy: The URL of an HTTP proxy that is asked for a tunnel (CONNECT), with its user name and password.

    Raises:
        TimeoutError: The deadline passed first.
        OSError: The name, the addresses, the proxy or the certificate does not allow a connection.
        ValueError: The proxy's URL is not one of an HTTP proxy.

    Threads: any. Waits until the deadline.
    """
    made: list[socket.socket] = []
    # One call into C, prepared here: no second interrupt comes between two sockets. And C's own close, which also
    # accepts a socket whose __init__ was interrupted.
    close_all: Callable[[], object] = functools.partial(deque, map(socket.SocketType.close, made), 0)
    try:
        if proxy:
            sock = _tunnel(proxy, host, port, deadline, made)
        else:
            sock = _connect(_resolve(host, port, deadline), deadline, made)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ssl_context is None:
            stream = Stream(sock)
        else:
            stream = secure = SecureStream(sock, host, ssl_context)
            shake_hands(secure, deadline)
        return stream
    except BaseException:  # Ctrl-C too: nothing stays open
        close_all()
        raise


# ---- the name


def _resolve(host: str, port: int, deadline: Deadline) -> list[_Address]:
    """Return a name's addresses. The system's resolver cannot be cut short, so it runs in a thread of its own."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass  # a name, then, or not even that
    answers: queue.SimpleQueue[Union[list[_Address], OSError]] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            answers.put(error)
        except UnicodeError as error:
            answers.put(OSError(f"{host!r} is no host name: {error}"))
        except BaseException as error:  # whatever it is: somebody waits, perhaps without a limit
            answers.put(OSError(f"the resolver failed on the name {host}: {error!r}"))

    try:
        threading.Thread(target=resolve, name="cartesia-sync-resolver", daemon=True).start()
    except RuntimeError as error:  # the system gives no more threads, or the interpreter is on its way out
        raise OSError(f"the name {host} cannot be resolved: {error}") from error
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _interleaved(addresses: Sequence[_Address]) -> list[_Address]:
    """Order them so that the families alternate, the resolver's first choice first (RFC 8305, section 4)."""
    first = addresses[0][0]
    ours = [each for each in addresses if each[0] == first]
    others = [each for each in addresses if each[0] != first]
    return [each for each in chain.from_iterable(zip_longest(ours, others)) if each is not None]


# ---- the addresses


def _connect(addresses: Sequence[_Address], deadline: Deadline, made: list[socket.socket]) -> socket.socket:
    """Connect to the first address that answers; one that does not delays the others only a moment.

    All sockets are in ``made``; those that are not needed are closed, unless this is interrupted.
    """
    waiting = _interleaved(addresses)
    failures: list[OSError] = []
    selector = _Selector()
    while True:
        if waiting:
            _start(waiting.pop(0), selector, failures, made)
        if not selector.get_map():
            if not waiting:
                raise failures[0]
            continue
        left = deadline.left()
        pause = left if not waiting else HEAD_START if left is None else min(left, HEAD_START)
        for key, _ in selector.select(pause):
            sock: socket.socket = key.fileobj  # type: ignore[assignment]  # what _start registered
            selector.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                for other in made:
                    if other is not sock:
                        other.close()
                return sock
            failures.append(OSError(code, f"{errno.errorcode.get(code, code)} from {key.data}"))
            sock.close()
        if deadline.expired:
            raise TimeoutError("no address answered in time")


def _start(
    address: _Address, selector: selectors.BaseSelector, failures: list[OSError], made: list[socket.socket]
) -> None:
    family, kind, protocol, _, where = address
    sock = socket.socket.__new__(socket.socket)  # without a descriptor yet
    made.append(sock)
    try:
        socket.socket.__init__(sock, family, kind, protocol)
    except OSError as error:  # a family that this machine does not have
        made.remove(sock)
        failures.append(error)
        return
    if _SO_NOSIGPIPE is not None:
        sock.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)
    sock.setblocking(False)
    try:
        sock.connect(where)
    except (BlockingIOError, InterruptedError):
        pass  # connecting
    except OSError as error:
        sock.close()
        failures.append(error)
        return
    selector.register(sock, selectors.EVENT_WRITE, data=where[0])


# ---- the proxy


def _tunnel(proxy: str, host: str, port: int, deadline: Deadline, made: list[socket.socket]) -> socket.socket:
    """Ask an HTTP proxy for a tunnel. The sockets are in ``made``, as for ``_connect``."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        proxy_port: Optional[int] = parts.port or 80
    except ValueError:
        proxy_port = None
    if proxy_port is None:  # the message of urlsplit would show part of a password with a slash in it
        raise ValueError("the port in the proxy's URL is no number; a password there is written with %2F for a slash")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"a WebSocket goes through an http:// proxy; got one with the scheme {parts.scheme!r}")
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise OSError(f"{host!r} is no host name: {error}") from None
    where = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    request = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n"
    if parts.username:
        credential = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request += f"Proxy-Authorization: Basic {base64.b64encode(credential.encode()).decode()}\r\n"
    sock = _connect(_resolve(parts.hostname, proxy_port, deadline), deadline, made)
    sock.settimeout(_proxy_timeout(deadline))  # nobody else uses it yet
    sock.sendall(f"{request}\r\n".encode("ascii"), _MSG_NOSIGNAL)
    head = bytearray()
    while True:
        sock.settimeout(_proxy_timeout(deadline))
        piece = sock.recv(1)  # no byte of what comes through the tunnel
        if not piece:
            raise ConnectionError("the proxy closed the connection")
        head += piece
        if head.endswith(b"\r\n\r\n"):
            break
        if len(head) > _MAX_PROXY_HEAD_BYTES:
            raise ConnectionError("the proxy did not answer in HTTP")
    status = bytes(head.split(b"\r\n", 1)[0]).decode("latin-1")
    if status.split(" ", 2)[1:2] != ["200"]:
        raise ConnectionError(f"the proxy {parts.hostname} refused the tunnel: {status}")
    return sock


def _proxy_timeout(deadline: Deadline) -> Optional[float]:
    """Return the time left, for ``settimeout``, to which 0 would mean not to wait at all."""
    left = deadline.left()
    if left == 0:
        raise TimeoutError("the proxy did not answer in time")
    return left


# ---- TLS


def shake_hands(stream: SecureStream, deadline: Deadline) -> None:
    """Do the whole TLS handshake.

    Raises:
        TimeoutError: The deadline passed first.
        OSError: The peer is not to be trusted (ssl.SSLError included), or has gone.
    """
    with _Selector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            try:
                stream.do_handshake()
                return
            except BlockingIOError:
                also = selectors.EVENT_WRITE if stream.has_unsent else 0
            selector.modify(stream, selectors.EVENT_READ | also)
            if not selector.select(deadline.left()):
                raise TimeoutError("the TLS handshake was not done in time")
