"""Open a TCP or TLS socket to the service, within one deadline: the name, all its addresses, a proxy, TLS.

An exception from outside (Ctrl-C, a signal handler's, a time limit's) may be raised anywhere in here. So a socket is
in the list ``made`` before it has a descriptor, and ``dial`` alone closes what is in there.
"""

from __future__ import annotations

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

from ..deadline import Deadline
from ..environment import default_trust
from ..proxy import Proxy
from . import tunnel
from .stream import SecureStream, Stream

_Address = tuple[Any, ...]  # as socket.getaddrinfo returns them

HEAD_START = 0.25
"""Seconds after which the next address is tried too, beside the first (RFC 8305 advises 250 ms)."""
_SO_NOSIGPIPE: Optional[int] = getattr(socket, "SO_NOSIGPIPE", {"darwin": 0x1022}.get(sys.platform))
"""Where the peer has gone, a send fails, and no SIGPIPE reaches the process, whose default action is to kill it without
a word. On Linux that is a flag of each send; on macOS an option of the socket, whose number Python does not name."""

# With no descriptor of its own, unlike epoll's, which would stay open after an interrupt until it is collected.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def dial(
    host: str,
    port: int,
    ssl_context: Optional[ssl.SSLContext],
    deadline: Deadline,
    *,
    proxy: Optional[Proxy] = None,
    proxy_trust: Callable[[], ssl.SSLContext] = default_trust,
) -> Stream:
    """Connect, and shake hands over TLS where a context is given.

    Args:
        host: A name or an address.
        port: The port.
        ssl_context: How to verify the service; None connects without TLS.
        deadline: For everything together.
        proxy: What is asked for a way to the service; None goes there directly.
        proxy_trust: Returns how to verify a proxy that is reached by TLS; called for such a one alone.

    Raises:
        TimeoutError: The deadline passed first.
        OSError: The name, the addresses, the proxy or the certificate does not allow a connection.

    Threads: any. Waits until the deadline.
    """
    made: list[socket.socket] = []
    # One call into C, prepared here: no second interrupt comes between two sockets. And C's own close, which also
    # accepts a socket whose __init__ was interrupted.
    close_all: Callable[[], object] = functools.partial(deque, map(socket.SocketType.close, made), 0)
    try:
        where = (host, port) if proxy is None else (proxy.host, proxy.port)
        sock = _connect(_resolve(*where, deadline), deadline, made)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream, below = Stream(sock), None
        if proxy is not None:
            if proxy.scheme == "https":
                stream = below = SecureStream(sock, proxy.host, proxy_trust())
                shake_hands(below, deadline)
            tunnel.ask(stream, proxy, host, port, deadline, resolve=lambda: _addresses(host, port, deadline))
        if ssl_context is not None:
            stream = secure = SecureStream(sock, host, ssl_context, below=below)
            shake_hands(secure, deadline)
        return stream  # a call here would be a place where an interrupt is not caught below
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


def _addresses(host: str, port: int, deadline: Deadline) -> list[str]:
    """Return a name's addresses in their numbers, the resolver's first choice first."""
    return [where[0] for *_, where in _resolve(host, port, deadline)]


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
