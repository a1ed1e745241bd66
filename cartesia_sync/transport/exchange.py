"""One HTTP call, and its answer as it arrives: whole, or known to have broken off."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import urllib3.exceptions

from ..errors import APITimeoutError, IncompleteAnswerError, ProtocolError

if TYPE_CHECKING:
    import requests

PIECE_BYTES = 64 << 10
LAST_WAIT = 0.5
"""Seconds that an answer's end may come late, once all of it that matters has been read."""
_GZIP = ("gzip", "x-gzip")


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
        self.call = call
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
            raise read_timeout(self.call) from error
        except zlib.error as error:
            raise ProtocolError(f"{self.call.what}: the answer is no gzip: {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(f"broke off: {error}") from error
        finally:
            self.close()

    def check_length_was_said(self) -> None:
        """Refuse what was read to its end, unless that can be told from its breaking off.

        Raises:
            IncompleteAnswerError: The answer did not say its length.
        """
        if not self.says_its_length:
            raise IncompleteAnswerError(
                f"The answer to {self.call.what} ended after {self.received_bytes} bytes without having said its "
                "length: it cannot be told from one that broke off",
                received_bytes=self.received_bytes,
            )

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
                raise ProtocolError(f"{self.call.what}: the answer is compressed by {encoding[:20]!r}")
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
            f"The answer to {self.call.what} {how}, after {self.received_bytes} bytes",
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


def read_timeout(call: Call) -> APITimeoutError:
    """Make the exception for an answer of which nothing more came in time."""
    return APITimeoutError(f"{call.what}: nothing was heard for {call.read_timeout} seconds", timeout=call.read_timeout)
