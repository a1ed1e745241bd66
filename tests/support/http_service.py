"""The service's side of HTTP, played by a script: each request gets the next answer, on a real socket."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Optional, Union

from .peer import BOUND, FLOOD_BYTES

REASON = {200: "OK", 204: "No Content", 302: "Found", 307: "Temporary Redirect"}


class Asked(NamedTuple):
    """A request as it came; header names in lower case.

    Attributes:
        connection: The client's port, which tells one connection from another.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class Out:
    """Where an answer is written by hand."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self._handler = handler

    def say(self, *content: bytes) -> None:
        """Send it now."""
        self._handler.wfile.write(b"".join(content))

    def flood(self, content: bytes) -> None:
        """Send the same again and again until the client is gone."""
        with suppress(ConnectionError):
            for _ in range(FLOOD_BYTES // len(content)):
                self.say(content)
            raise AssertionError("the client took it all")

    def hang_up(self) -> None:
        """End the connection after this answer."""
        self._handler.close_connection = True

    def wait_until_gone(self) -> None:
        """Wait until the client has ended the connection."""
        self._handler.connection.settimeout(BOUND)
        with suppress(ConnectionError):
            assert self._handler.connection.recv(1) == b"", "the client said more"


Answer = Union[bytes, Callable[[Asked, Out], None]]


def answer(status: int = 200, body: Union[bytes, str, Any] = b"", *, chunks: Any = None, **headers: str) -> bytes:
    """Make an answer; what is neither bytes nor text goes as JSON. Underscores in header names stand for hyphens."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {REASON.get(status, 'Words')}"]
    if chunks is None:
        lines.append(f"Content-Length: {len(body)}")
    else:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(chunk(each) for each in chunks) + chunk(b"")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def event(content: Any, *, end: bytes = b"\n") -> bytes:
    """Make one server-sent event of JSON."""
    return b"data: " + json.dumps(content).encode() + end + end


class Service(http.server.ThreadingHTTPServer):
    """A server on loopback that gives the answers in turn, the last of them again and again.

    Attributes:
        asked: The requests in their order.
    """

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, *answers: Answer, tls: Optional[ssl.SSLContext] = None) -> None:
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self._change = threading.Lock()  # guards the lists
        self._sockets: list[socket.socket] = []
        self._failures: list[BaseException] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self._tls = tls
        self.port: int = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="service", daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.shutdown()
        self.cut()
        self.server_close()
        self._thread.join(BOUND)
        for failure in self._failures:
            raise failure

    def cut(self) -> None:
        """End all connections, as a service does that has waited too long for the next request."""
        with self._change:
            for sock in self._sockets:
                with suppress(OSError):  # ended already
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def get_request(self) -> Any:
        sock, where = super().get_request()
        sock.settimeout(BOUND)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._change:
            self._sockets.append(sock)
        return sock, where

    def handle_error(self, request: Any, client_address: Any) -> None:
        failure = sys.exc_info()[1]
        if isinstance(failure, AssertionError) or not isinstance(failure, OSError):  # the client may go as it likes
            self._failures.append(failure or RuntimeError("none"))

    def next_answer(self, asked: Asked) -> Answer:
        with self._change:
            self.asked.append(asked)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        assert len(headers) == len(self.headers.items()), "a header came twice"
        asked = Asked(self.command, self.path, headers, body, self.client_address[1])
        chosen = self.server.next_answer(asked)
        if callable(chosen):
            chosen(asked, Out(self))
            return
        if b"\r\nConnection: close" in chosen.partition(b"\r\n\r\n")[0]:
            self.close_connection = True
        self.wfile.write(chosen)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815  # the library's names
