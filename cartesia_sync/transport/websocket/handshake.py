"""The opening of a WebSocket: dial, and the upgrade request with its answer.

websocket-client makes the upgrade request and checks the answer. It takes its socket from here, so that one deadline
binds each step, and so that its trace sees no credential. Foreign exceptions end here: what leaves this file is ours.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Mapping
from typing import Callable, Optional
from urllib.parse import urlsplit

import websocket

from ...errors import APIConnectionError, ConnectTimeoutError, ProtocolError
from ..deadline import Deadline
from ..environment import default_trust, proxy_for
from ..error_response import MAX_BODY_BYTES, error_response
from ..redaction import SECRET_HEADERS, redacted, secrets_in
from .dial import dial
from .duplex import Duplex, Frame, SilenceError
from .wire import MAX_MESSAGE_BYTES, Wire

_MAX_HEAD_BYTES = 64 << 10


def connect(
    url: str,
    headers: Mapping[str, str],
    *,
    ssl_context: Optional[ssl.SSLContext],
    deadline: Deadline,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    proxy_trust: Callable[[], ssl.SSLContext] = default_trust,
) -> Wire:
    """Open a WebSocket connection.

    Args:
        url: ``ws://`` or ``wss://``, with the query. Credentials do not belong here, but into the headers.
        headers: Sent with the upgrade request, and to nobody else: redirects are not followed.
        ssl_context: For ``wss://``.
        deadline: For name resolution, TCP, TLS and the upgrade together.
        max_message_bytes: How large a single message may be.
        proxy_trust: Returns how to verify a proxy that is reached by TLS; called for such a one alone.

    Raises:
        ProxySettingError: The environment names a proxy that is none.
        APIStatusError: The service answered with anything but an upgrade.
        ConnectTimeoutError: Not done by the deadline.
        ProtocolError: The answer is not a WebSocket upgrade.
        APIConnectionError: The service cannot be reached.

    Threads: any. Waits until the deadline.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    proxy = proxy_for(url)
    where = f"{host}:{port}" if proxy is None else f"{host}:{port} through {proxy.shown}"
    if secure and ssl_context is None:
        raise ValueError("a wss:// address needs an ssl_context")  # never in clear
    try:
        stream = dial(host, port, ssl_context if secure else None, deadline, proxy=proxy, proxy_trust=proxy_trust)
        duplex = Duplex(stream)
    except TimeoutError as error:
        raise _connect_timeout(where, deadline) from error
    except socket.timeout as error:  # not a TimeoutError before Python 3.10
        raise _connect_timeout(where, deadline) from error
    except OSError as error:
        raise APIConnectionError(f"Cannot connect to {where}: {error}") from error
    try:
        response_headers = _upgrade(duplex, url, headers, where, deadline)
    except BaseException:  # Ctrl-C too: nothing stays open
        duplex.close()
        raise
    return Wire(duplex, response_headers=response_headers, max_message_bytes=max_message_bytes)


def _upgrade(duplex: Duplex, url: str, headers: Mapping[str, str], where: str, deadline: Deadline) -> Mapping[str, str]:
    """Send the upgrade request, and return the answer's headers."""
    upgrade = websocket.WebSocket(enable_multithread=False)
    try:
        upgrade.connect(  # type: ignore[no-untyped-call]  # the library's own hints leave it out
            url,
            socket=_UpgradeSocket(
                duplex,
                deadline,
                secrets_in(headers),
                unseen="".join(f"{line}\r\n" for line in _lines(headers, secret=True)).encode(),
            ),
            header=_lines(headers, secret=False),
            suppress_origin=True,
            redirect_limit=0,
        )
    except SilenceError:
        raise _connect_timeout(where, deadline) from None
    except (websocket.WebSocketException, ValueError) as error:  # 1.9.0 of the library lets UnicodeDecodeError out
        raise ProtocolError(f"{where} did not answer as a WebSocket server: {error}") from error
    except (OSError, EOFError) as error:
        raise APIConnectionError(f"The connection to {where} ended during the upgrade: {error}") from error
    return dict(upgrade.headers or {})


def _lines(headers: Mapping[str, str], *, secret: bool) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.items() if (name.lower() in SECRET_HEADERS) is secret]


def _connect_timeout(where: str, deadline: Deadline) -> ConnectTimeoutError:
    return ConnectTimeoutError(f"No connection to {where} within {deadline.seconds} s.", timeout=deadline.seconds)


class _UpgradeSocket:
    """The socket that the library is given for the upgrade; one deadline bounds every step.

    The answer's head is read whole first. Any status but 101 is raised from here, with its body. Cookies are hidden
    from the library, which would keep them for the whole process. The headers that hold a credential are added here:
    where somebody has turned the library's trace on, it logs all that it is given.
    """

    def __init__(self, duplex: Duplex, deadline: Deadline, secrets: list[bytes], *, unseen: bytes) -> None:
        self._duplex = duplex
        self._deadline = deadline
        self._secrets = secrets
        self._unseen = unseen
        self._head: Optional[io.BytesIO] = None

    def gettimeout(self) -> None:
        return None

    def send(self, data: bytes) -> int:
        request = bytes(data)
        if request.endswith(b"\r\n\r\n"):  # the end of its headers, which the library sends at once
            request = request[:-2] + self._unseen + b"\r\n"
        self._duplex.unsent.append(Frame(request))
        self._duplex.flush(self._deadline)
        return len(data)

    def recv(self, size: int) -> bytes:
        if self._head is None:
            self._head = io.BytesIO(self._read_head())
        return self._head.read(size)

    def close(self) -> None:
        """Do nothing: ``connect`` owns the socket."""

    def _read_head(self) -> bytes:
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            head += self._duplex.take(1, self._deadline)
            if len(head) > _MAX_HEAD_BYTES:
                raise ProtocolError(f"The answer to the upgrade has more than {_MAX_HEAD_BYTES} bytes of headers.")
        answer = redacted(bytes(head), self._secrets)
        first, *rest = answer.split(b"\r\n")
        if first.split(b" ", 2)[1:2] != [b"101"]:
            self._raise_error_response(answer)
        return b"\r\n".join([first, *(line for line in rest if not line.lower().startswith(b"set-cookie:"))])

    def _raise_error_response(self, head: bytes) -> None:
        answer = http.client.HTTPResponse(_AnswerFile(head, self._duplex, self._deadline))  # type: ignore[arg-type]  # reads it as a file
        with contextlib.closing(answer):  # left to the collector, it writes to stderr on Python 3.13
            try:
                answer.begin()
                headers = {name.lower(): value for name, value in answer.getheaders()}
            except http.client.HTTPException as error:
                raise ProtocolError(f"The service did not answer the upgrade in HTTP: {error!r}") from error
            try:
                body = answer.read(MAX_BODY_BYTES + max(map(len, self._secrets), default=0))
            except (http.client.HTTPException, OSError, EOFError, SilenceError, ValueError):
                body = b""  # the status says enough
        body = redacted(body, self._secrets)[:MAX_BODY_BYTES]
        raise error_response(answer.status, headers, body, what="the WebSocket upgrade")


class _AnswerFile(io.RawIOBase):
    """The head that was read, and the bytes after it, as the file that http.client asks a socket for."""

    def __init__(self, head: bytes, duplex: Duplex, deadline: Deadline) -> None:
        self._head = io.BytesIO(head)
        self._duplex = duplex
        self._deadline = deadline
        self._left = len(head) + 2 * MAX_BODY_BYTES  # http.client takes a chunk of -1 bytes for one without end

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        data = self._head.read(min(len(buffer), self._left))
        if not data and self._left:
            try:
                data = self._duplex.take_some(min(len(buffer), self._left), self._deadline)
            except EOFError:
                return 0
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)
