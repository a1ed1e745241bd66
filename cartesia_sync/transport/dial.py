"""Open a TCP or TLS socket to the service, within one deadline."""

from __future__ import annotations

import selectors
import socket
import ssl
from typing import Optional, Union

from .deadline import Deadline

Stream = Union[socket.socket, ssl.SSLSocket]


def dial(host: str, port: int, ssl_context: Optional[ssl.SSLContext], deadline: Deadline) -> Stream:
    """Connect, and shake hands over TLS where a context is given.

    Raises:
        TimeoutError: The deadline passed first.
        OSError: The name, the address or the certificate is not one to talk to.

    Threads: any. Waits until the deadline; the name's resolution is the system's and cannot be cut short.
    """
    sock = socket.create_connection((host, port), timeout=deadline.left())
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if ssl_context is None else _secure(sock, host, ssl_context, deadline)
    except BaseException:
        sock.close()
        raise


def _secure(sock: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline) -> ssl.SSLSocket:
    """Shake hands; a socket timeout would bound each step of it, and not the whole."""
    sock.setblocking(False)
    secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                secure.do_handshake()
                return secure
            except ssl.SSLWantReadError:
                wanted = selectors.EVENT_READ
            except ssl.SSLWantWriteError:
                wanted = selectors.EVENT_WRITE
            with selectors.DefaultSelector() as selector:
                selector.register(secure, wanted)
                if not selector.select(deadline.left()):
                    raise TimeoutError("the TLS handshake was not done in time")
    except BaseException:
        secure.close()
        raise
