"""HTTP to the service: one pooled session, its retries and its errors; the one file that imports requests."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.utils
import urllib3.exceptions
from urllib3.filepost import encode_multipart_formdata

from ..errors import (
    APIConnectionError,
    APITimeoutError,
    CartesiaError,
    ConnectTimeoutError,
    IncompleteAnswerError,
    ProtocolError,
)
from .loopback import is_this_machine
from .refusal import MAX_BODY_BYTES, redacted, refusal, secrets_in
from .retry import pause_after

MAX_IDLE_CONNECTIONS = 100
"""To one host; more threads at once than this open connections that are not kept."""
PIECE_BYTES = 64 << 10
LAST_WAIT = 0.5
"""Seconds that an answer's end may come late, once all of it that matters has been read."""
SHORTEST_TIMEOUT = 0.001
"""For a clock of 0: a socket timeout of 0 would mean not to wait, which urllib3 refuses."""
_GZIP = ("gzip", "x-gzip")
_HARMLESS = {"accept", "accept-encoding", "connection", "content-length", "content-type", "range", "user-agent"}
_T = TypeVar("_T")
_log = logging.getLogger("cartesia_sync.http")


@dataclass(frozen=True)
class Call:
    """One request, as often as it is attempted.

    Attributes:
        method: GET, POST, PATCH, PUT or DELETE.
        url: Without the query.
        path: The URL's path, for messages.
        query: Names and values.
        headers: All of them, the key's included.
        body: What is sent, or None.
        connect_timeout: Seconds for each address of the host, and again for TLS; None is no limit.
        read_timeout: Seconds without any byte of the answer; None is no limit.
        max_retries: How often a failed attempt is repeated at most.
    """

    method: str
    url: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: Optional[bytes]
    connect_timeout: Optional[float]
    read_timeout: Optional[float]
    max_retries: int

    @property
    def what(self) -> str:
        """Name it in messages. The query is left out: it may hold a credential."""
        return f"{self.method} {self.path}"


class Response:
    """An answer that is no error: its head is here, and its body comes as it is read.

    Threads: one reads; any may close, which also wakes the one that reads.
    """

    def __init__(self, response: requests.Response, call: Call) -> None:
        self._response = response
        self._raw: Any = response.raw
        self._way = _Way(self._raw)
        self._call = call
        self.status_code: int = response.status_code
        self.headers: dict[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.says_its_length: bool = bool(self._raw.chunked) or self._raw.length_remaining is not None
        """Whether the end of the body can be told from its breaking off."""
        self.received_bytes = 0

    @property
    def is_closed(self) -> bool:
        """Whether it keeps no connection any more."""
        return bool(self._raw.closed)

    def pieces(self) -> Iterator[bytes]:
        """Give the body as it arrives, decompressed, in pieces of at most 64 KiB.

        Raises:
            IncompleteAnswerError: It broke off, or was closed.
            APITimeoutError: Nothing more of it came in time.
            ProtocolError: It is compressed in a way that was not asked for, or wrongly.
        """
        try:
            for piece in self._inflated(self._raw_pieces()):
                self.received_bytes += len(piece)
                yield piece
        except urllib3.exceptions.ReadTimeoutError as error:
            raise _read_timeout(self._call) from error
        except zlib.error as error:
            raise ProtocolError(f"{self._call.what}: the answer is no gzip: {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(f"broke off: {error}") from error
        finally:
            self.close()

    def _raw_pieces(self) -> Iterator[bytes]:
        while True:
            if not self._way.begin_reading():
                raise self._broken("was closed")
            broken: Optional[Exception] = None
            try:
                # read() would wait until it has as much as was asked for.
                piece: bytes = self._raw.read1(PIECE_BYTES, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                broken = error
            if self._way.end_reading():
                raise self._broken("was closed") from broken
            if broken is not None:
                raise broken
            if not piece:
                return
            yield piece

    def _inflated(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Decompress. By ourselves, since urllib3 takes gzip that is cut off for whole, and bounds no piece of it."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in _GZIP:
            if encoding != "identity":
                raise ProtocolError(f"{self._call.what}: the answer is compressed by {encoding[:20]!r}")
            yield from pieces
            return
        inflater, is_begun = zlib.decompressobj(zlib.MAX_WBITS | 16), False
        for piece in pieces:
            is_begun, left = True, piece
            if inflater.eof:  # another member, which gzip allows
                inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            while True:
                inflated = inflater.decompress(left, PIECE_BYTES)
                if inflated:
                    yield inflated
                left = inflater.unconsumed_tail
                if inflater.eof:
                    left = inflater.unused_data
                    if not left:
                        break
                    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
                elif not left and len(inflated) < PIECE_BYTES:
                    break
        if is_begun and not inflater.eof:
            raise self._broken("broke off within its gzip")

    def _broken(self, how: str) -> IncompleteAnswerError:
        return IncompleteAnswerError(
            f"The answer to {self._call.what} {how}, after {self.received_bytes} bytes",
            received_bytes=self.received_bytes,
        )

    def read(self, at_most: Optional[int] = None) -> bytes:
        """Give the body, or its beginning; for the errors see ``pieces``."""
        body = bytearray()
        with contextlib.closing(self.pieces()) as pieces:  # type: ignore[type-var]  # it is a generator
            for piece in pieces:
                body += piece
                if at_most is not None and len(body) >= at_most:
                    del body[at_most:]
                    break
        return bytes(body)

    def hurry(self) -> None:
        """Wait no longer than a moment for each further piece: all that matters has been read."""
        self._way.hurry()

    def close(self) -> None:
        """Give the connection back, or shut it where the body was not read to its end. Idempotent."""
        if not self._way.is_left_to_reader():
            self._response.close()


class _Way:
    """The connection that an answer comes over, for as long as it does.

    A thread that waits in a read holds the file's own lock, so that nobody else can close it; and once the body is
    read, the connection is in the pool, and soon somebody else's. So another thread shuts the socket, and only while
    it is this answer's.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = weakref.ref(raw)  # which holds us
        # Below the file, since http.client keeps no socket of its own where the service closes after the answer.
        sock = getattr(getattr(getattr(getattr(raw, "_fp", None), "fp", None), "raw", None), "_sock", None)
        self._sock: Optional[socket.socket] = sock if isinstance(sock, socket.socket) else None
        self._lock = threading.Lock()  # guards the next two, and whose the socket is; a leaf
        self._is_reading = False
        self._is_shut = False
        self._release = type(raw).release_conn
        raw.release_conn = self.release

    def release(self) -> None:
        """Give the connection back to the pool; urllib3 calls it at the body's end."""
        with self._lock:
            self._sock = None
        raw = self._raw()
        if raw is not None:
            self._release(raw)

    def begin_reading(self) -> bool:
        """Answer whether there is something to read from."""
        with self._lock:
            self._is_reading = not self._is_shut
            return self._is_reading

    def end_reading(self) -> bool:
        """Answer whether another thread has shut it meanwhile; what was read then is not to be relied on."""
        with self._lock:
            self._is_reading = False
            return self._is_shut

    def is_left_to_reader(self) -> bool:
        """Shut the socket under a thread that reads, which then closes; answer whether there is one."""
        with self._lock:
            if self._is_reading:
                self._is_shut = True
                if self._sock is not None:
                    with contextlib.suppress(OSError):
                        # SSLSocket's own would first drop its TLS object, under the reader.
                        socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            return self._is_reading

    def hurry(self) -> None:
        """Shorten the clock of each read. The pool sets it anew."""
        with self._lock:
            if self._sock is not None:
                self._sock.settimeout(LAST_WAIT)


class Http:
    """The connections to the service; all clients that differ in settings alone share one.

    Threads: any, at once. A forked child gets connections of its own.

    Args:
        trust: Gives the TLS context; asked when it is first needed.
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust
        # By process: what stands here for the parent is neither used nor closed in the child. And no lock, which
        # could be held at the fork: of two threads that make a session at once, one is kept.
        self._by_process: dict[int, _Live] = {}

    @property
    def _live(self) -> _Live:
        process = os.getpid()
        return self._by_process.get(process) or self._by_process.setdefault(process, _Live(self._trust))

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._live.closing.is_set()

    def close(self) -> None:
        """Close what is idle, refuse what is new, and wake who waits for another attempt. Idempotent."""
        live = self._live
        live.closing.set()
        for adapter in live.session.adapters.values():
            if isinstance(adapter, requests.adapters.HTTPAdapter):
                # requests only lets go of the pools: one that a kept answer or exception still knows would stay open.
                for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                    for key in manager.pools.keys():  # noqa: SIM118  # it refuses to be iterated
                        pool = manager.pools.get(key)
                        if pool is not None:
                            pool.close()
        live.session.close()

    def open(self, call: Call) -> Response:
        """Send it, as often as the rule allows, and give the first answer that is no error.

        Threads: any. Waits for the answer's head, and between attempts as the service asks, 60 s at most.
        """
        return self._with_retries(call, lambda: self._attempt(call))

    def fetch(self, call: Call) -> tuple[Response, bytes]:
        """Do as ``open`` does, and read the body too, which belongs to the attempt."""

        def attempt() -> tuple[Response, bytes]:
            response = self._attempt(call)
            return response, response.read()

        return self._with_retries(call, attempt)

    def _with_retries(self, call: Call, attempt: Callable[[], _T]) -> _T:
        failed = 0
        while True:
            closing = self._live.closing
            if closing.is_set():
                raise APIConnectionError(f"{call.what}: the client is closed")
            try:
                return attempt()
            except CartesiaError as error:
                if failed >= call.max_retries:
                    raise
                pause = pause_after(error, failed, clock_per_attempt=True)
                if pause is None:
                    raise
                _log.debug("%s: %s; again in %.2f s", call.what, type(error).__name__, pause)
                failed += 1
            closing.wait(pause)

    def _attempt(self, call: Call) -> Response:
        try:
            answer = self._live.session.request(
                call.method,
                call.url,
                params=list(call.query),
                data=call.body,
                # As bytes: http.client would write Latin-1, and show the whole value where it cannot.
                headers={name: value.strip().encode() for name, value in call.headers.items()},
                timeout=(_positive(call.connect_timeout), _positive(call.read_timeout)),
                stream=True,
            )
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            failure, reason = _translated(error, call)
        else:
            return self._accepted(Response(answer, call))
        # Outside of the handler: requests' exceptions hold the request, and with it the key.
        raise failure from reason

    def _accepted(self, response: Response) -> Response:
        call = response._call
        _log.debug("%s: %d", call.what, response.status_code)
        if 200 <= response.status_code < 300:
            return response
        secrets = secrets_in(call.headers)
        try:
            # As much more as a secret is long, which at the end would be known by its whole length alone.
            body = response.read(MAX_BODY_BYTES + max(map(len, secrets), default=0))
        except APIConnectionError:
            body = b""  # the status says enough
        body = redacted(body, secrets)[:MAX_BODY_BYTES]
        headers = {name: redacted(value.encode(), secrets).decode() for name, value in response.headers.items()}
        raise refusal(response.status_code, headers, body, what=call.what)


def environment_proxies(url: str) -> dict[str, str]:
    """Give the proxies that the environment names for a URL, by scheme; none where NO_PROXY covers it.

    What is said in clear to this machine goes through a proxy of this machine at most: there is a key in it, and
    another machine's proxy would not reach us by that name anyway.
    """
    proxies: dict[str, str] = requests.utils.get_environ_proxies(url)
    parts = urlsplit(url)
    if parts.scheme == "http" and is_this_machine(parts.hostname or ""):
        return {name: proxy for name, proxy in proxies.items() if is_this_machine(_host_of(proxy))}
    return proxies


def _host_of(proxy: str) -> str:
    """Give a proxy's host; requests takes one without a scheme too."""
    try:
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname or ""
    except ValueError:
        return ""


def form(fields: Sequence[tuple[str, Any]]) -> tuple[bytes, str]:
    """Encode a multipart form; give it with its content type.

    Args:
        fields: Names, and texts or (file name, content) or (file name, content, content type). A file's type is
            guessed from its name where it is not said.
    """
    body, content_type = encode_multipart_formdata(fields)
    return body, content_type


class _Live:
    """What belongs to one process."""

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self.closing = threading.Event()
        self.session = _Session()
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=MAX_IDLE_CONNECTIONS))
        self.session.mount("https://", _TrustingAdapter(trust))


class _Session(requests.Session):
    """A session that adds nothing of its own, and takes nothing from a host to another."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.clear()
        self.headers["Accept-Encoding"] = "gzip"
        self.auth = _as_it_is  # or requests puts what ~/.netrc says in place of our Authorization
        self.cookies.set_policy(_NO_COOKIES)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Say which proxies the environment names."""
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        found["proxies"] = environment_proxies(url)
        return found

    def get_redirect_target(self, resp: Any) -> Any:
        """Say where to go on. What else the answer holds may be of any size, and is not read."""
        target = super().get_redirect_target(resp)
        if target:
            resp.raw.close()
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Leave out, on the way to another host, all that may be a credential; requests leaves out one header."""
        prepared_request.headers.pop("Cookie", None)  # a redirect sets none, and requests has left out ours
        old, new = response.request.url, prepared_request.url
        if self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]  # untyped in its stubs
            for name in [name for name in prepared_request.headers if name.lower() not in _HARMLESS]:
                del prepared_request.headers[name]


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):  # type: ignore[misc, name-defined]  # untyped there
    """Keeps none: the service needs none, and threads would share them."""

    def set_ok(self, cookie: Any, request: Any) -> bool:
        """Refuse it."""
        return False


_NO_COOKIES = _NoCookies()


class _Lent:
    """A TLS context as urllib3 may have it: what urllib3 sets is not set on the context, which others use too.

    On some Pythons it switches off ``check_hostname``, to compare the names itself; it always sets the ALPN protocols.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.verify_mode = context.verify_mode
        self.check_hostname = context.check_hostname

    def set_alpn_protocols(self, protocols: Any) -> None:
        """Leave those that the context has."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class _TrustingAdapter(requests.adapters.HTTPAdapter):
    """Verifies by the client's TLS context alone, which the WebSockets use too.

    requests would load its own authorities into that context, and the environment's; the context has the latter
    already.
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust
        self._lent: Optional[_Lent] = None
        super().__init__(pool_maxsize=MAX_IDLE_CONNECTIONS)

    def _context(self) -> _Lent:
        if self._lent is None:  # two threads may make one each: the pools would differ, and nothing else
            self._lent = _Lent(self._trust())
        return self._lent

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Say which pool a request takes its connection from: that of its host, with our context."""
        host, _ = super().build_connection_pool_key_attributes(request, True, None)
        context = self._context()
        # urllib3 compares the names by itself, unless told not to, even where the context does not.
        return host, {"ssl_context": context, **({} if context._context.check_hostname else {"assert_hostname": False})}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Add no authorities."""

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Reach a proxy that is itself reached by TLS with our context too."""
        if proxy.lower().startswith("https:"):
            proxy_kwargs["proxy_ssl_context"] = self._context()
        return super().proxy_manager_for(proxy, **proxy_kwargs)


# ---- requests' errors as ours


def _translated(error: Exception, call: Call) -> tuple[Exception, Optional[BaseException]]:
    """Give our exception, and what it comes from where that shows no URL."""
    reason = _reason(error)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        what = f"{call.what}: no connection within {call.connect_timeout} seconds"
        return ConnectTimeoutError(what, timeout=call.connect_timeout), reason
    if isinstance(error, requests.exceptions.ReadTimeout):
        return _read_timeout(call), reason
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return ProtocolError(f"{call.what}: too many redirects"), None
    # A text of these shows a URL, perhaps a proxy's. But a certificate that is refused is a ValueError too.
    if isinstance(error, ValueError) or (isinstance(reason, ValueError) and not isinstance(reason, OSError)):
        return ProtocolError(f"{call.what}: the URL, one that it redirects to, or the proxy's is none to ask"), None
    return APIConnectionError(f"{call.what}: {reason}"), reason


def _read_timeout(call: Call) -> APITimeoutError:
    return APITimeoutError(f"{call.what}: nothing was heard for {call.read_timeout} seconds", timeout=call.read_timeout)


def _reason(error: BaseException) -> BaseException:
    """Give what is behind it: the layers above repeat the URL, whose query may hold a credential."""
    behind = [each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, BaseException)]
    return _reason(behind[0]) if behind else error


def _positive(seconds: Optional[float]) -> Optional[float]:
    return None if seconds is None else max(seconds, SHORTEST_TIMEOUT)
