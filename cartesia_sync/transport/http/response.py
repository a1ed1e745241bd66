"""An HTTP response as it arrives: whole, or known to have broken off."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

import urllib3.exceptions

from ...errors import (
    APIResponseValidationError,
    APITimeoutError,
    ForkedError,
    IncompleteAnswerError,
    LimitError,
    ProtocolError,
)
from ...exchange import Headers
from .request import Request, Slot

if TYPE_CHECKING:
    import requests

    from ..mirror import Call
log = logging.getLogger("cartesia_sync.http")

PIECE_BYTES = 64 << 10
LAST_WAIT = 0.5
"""Seconds to wait for an answer's end, once all of it that matters has been read."""
_GZIP = ("gzip", "x-gzip")


class Response:
    """An answer that is not an error: its head is here, and its body arrives as it is read, once.

    Threads: one reads; any may close, which also wakes the one that reads. ``close`` takes no lock: a signal handler
    and a finalizer may call it anywhere.
    """

    def __init__(
        self, response: requests.Response, request: Request, *, retries_taken: int = 0, call: Optional[Call] = None
    ) -> None:
        self._response = response
        self.retries_taken = retries_taken
        self.elapsed = response.elapsed
        self._raw: Any = response.raw
        self._lease = _ConnectionLease(self._raw)
        self._is_begun = False
        self._encoding = response.headers.get("content-encoding", "identity").strip().lower()
        self.request = request
        self.status_code: int = response.status_code
        self.headers = Headers(response.headers)
        self.has_known_length: bool = bool(self._raw.chunked) or self._raw.length_remaining is not None
        """Whether the end of the body can be distinguished from its breaking off."""
        self.received_bytes = 0
        self._call = call
        if call is not None:
            self._content_type = str(response.headers.get("content-type", ""))
            call.answered(self.status_code, self._content_type, b"")

    def hold(self, slot: Slot) -> None:
        """Keep a slot until the body's end, ``close()``, or the collector."""
        self._lease.hold(slot)

    @property
    def is_closed(self) -> bool:
        """Whether it holds no connection any more."""
        return self._lease.is_closed or bool(self._raw.closed)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives, decompressed, in pieces of at most 64 KiB.

        Raises:
            IncompleteAnswerError: It broke off, or was closed before its end, or was read in part before.
            APITimeoutError: Nothing more of it came in time.
            ProtocolError: It is compressed in a way that was not requested, or wrongly.
            ForkedError: The request was made by the parent process.
        """
        if self._is_begun:
            raise self.broken("was read before, in part at least")
        self._is_begun = True
        failure: Exception
        cause: Optional[BaseException]
        try:
            for piece in self._inflated(self._raw_pieces()):
                self.received_bytes += len(piece)
                if self._call is not None:
                    self._call.answered(self.status_code, self._content_type, piece)
                yield piece
            if self._call is not None:
                self._call.ended("whole")
            return
        except urllib3.exceptions.ReadTimeoutError as error:
            failure, cause = read_timeout(self.request), system_error_behind(error)
        except zlib.error as error:
            failure = self.request.failed(ProtocolError(f"{self.request.what}: the answer is no gzip: {error}"))
            cause = error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            failure, cause = self.broken(f"broke off: {error}"), system_error_behind(error)
        finally:
            self.close()
            if self._call is not None:
                self._call.ended("left")
        raise failure from cause  # outside of the handler: urllib3's exceptions hold the pool, and with it a proxy

    def check_length_was_said(self) -> None:
        """Refuse a body whose end cannot be distinguished from its breaking off. Call it once it was read to its end.

        Raises:
            IncompleteAnswerError: The answer did not declare its length.
        """
        if not self.has_known_length:
            raise self.broken("ended without having said its length, so that it cannot be told from one that broke off")

    def _raw_pieces(self) -> Iterator[bytes]:
        lease = self._lease
        while True:
            lease.is_reading = True  # set before is_closed is looked at; close() does the two in the opposite order
            broken: Optional[Exception] = None
            piece = b""
            try:
                # Without a length the end is found by a read. If the file is closed before that, somebody else closed
                # it, and a read would return b"", as at the end.
                if lease.is_closed or (self._raw.closed and self._raw.length_remaining is None):
                    raise self.broken("was closed")
                if lease.is_parents:
                    failure = ForkedError(f"The answer to {self.request.what} belongs to the parent process")
                    raise self.request.failed(failure)
                # read() would wait until it has all the bytes that it was asked for.
                piece = self._raw.read1(PIECE_BYTES, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                broken = error
            finally:
                lease.is_reading = False
            if lease.is_closed:  # what was read meanwhile may be wrong
                raise self.broken("was closed") from (broken and system_error_behind(broken))
            if broken is not None:
                raise broken
            if not piece:
                return
            yield piece

    def _inflated(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Decompress. Not by urllib3, which takes truncated gzip for whole, and sets no limit to a piece."""
        if self._encoding not in _GZIP:
            if self._encoding != "identity":
                failure = ProtocolError(f"{self.request.what}: the answer is compressed by {self._encoding[:20]!r}")
                raise self.request.failed(failure)
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
            raise self.broken("broke off within its gzip")

    def broken(self, how: str) -> IncompleteAnswerError:
        """Make the exception for a body of which we do not have the whole."""
        error = IncompleteAnswerError(
            f"The answer to {self.request.what} {how}, after {self.received_bytes} bytes",
            received_bytes=self.received_bytes,
        )
        return self.request.failed(error)

    def read(self) -> bytes:
        """Return the whole body; for the other errors see ``pieces``.

        Raises:
            APIResponseValidationError: It is longer than ``max_answer_bytes``; no more of it than that is held.
        """
        limit = self.request.max_answer_bytes
        body = bytearray()
        with contextlib.closing(self.pieces()) as pieces:  # type: ignore[type-var]  # it is a generator
            if limit is not None and self._encoding == "identity" and (self._raw.length_remaining or 0) > limit:
                raise self._too_long(limit)
            for piece in pieces:
                if limit is not None and len(body) + len(piece) > limit:
                    raise self._too_long(limit)
                body += piece
        return bytes(body)

    def read_beginning(self, at_most: int) -> bytes:
        """Return the body's first bytes, and close it; for the errors see ``pieces``."""
        body = bytearray()
        with contextlib.closing(self.pieces()) as pieces:  # type: ignore[type-var]  # it is a generator
            for piece in pieces:
                body += piece
                if len(body) >= at_most:
                    break
        return bytes(body[:at_most])

    def _too_long(self, limit: int) -> APIResponseValidationError:
        self.close()  # pieces() does so only once it has begun
        return APIResponseValidationError(
            f"The answer to {self.request.what} is longer than the client's max_answer_bytes allows, {limit} bytes; "
            "the rest was not read",
            status_code=self.status_code,
        )

    def hurry(self) -> None:
        """Wait at most ``LAST_WAIT`` for each further piece: all that matters has been read. For the reader alone."""
        self._lease.hurry()

    def close(self) -> None:
        """Close the connection, unless the body was read to its end; wakes a thread that reads. Idempotent."""
        if self._lease.close():
            self._lease.dispose(self._response)


class _ConnectionLease:
    """The connection that an answer comes over, for as long as it does.

    A thread that waits in a read holds the file's own lock, so that nobody else can close the file; and once the body
    is read, the connection is in the pool, and may soon carry another answer. So whoever closes meanwhile shuts down
    the socket, the reader does the rest, and both happen only while the connection is this answer's.

    No lock guards that: ``close`` may be called by a signal handler or a finalizer, in the middle of anything that its
    own thread does. Instead each question is decided by who comes first, with ``dict.setdefault``, which is one step.

    Attributes:
        is_reading: Whether a thread is in a read, or about to look whether it may. Only the reader sets it.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = weakref.ref(raw)  # which refers to this lease
        # Below the file, since http.client keeps no socket of its own where the service closes after the answer.
        sock = getattr(getattr(getattr(getattr(raw, "_fp", None), "fp", None), "raw", None), "_sock", None)
        sock = getattr(sock, "socket", sock)  # below urllib3's TLS inside of the TLS with a proxy
        self._sock: Optional[socket.socket] = sock if isinstance(sock, socket.socket) else None
        self._process = os.getpid()
        self.is_reading = False
        self._end: dict[str, str] = {}  # "how": "released" or "closed", for good
        self._closer: dict[str, int] = {}  # "thread": the one that closes the file and the socket
        self._is_disposing = False  # only that thread uses it
        self._slots: deque[Slot] = deque()  # of the client's limit; none or one
        self._release = type(raw).release_conn
        raw.release_conn = self.release

    @property
    def is_closed(self) -> bool:
        """Whether it was closed before the body was read to its end."""
        return self._end.get("how") == "closed"

    @property
    def is_parents(self) -> bool:
        """Whether it was opened before a fork: what is read here would be missing there."""
        return os.getpid() != self._process

    def release(self) -> None:
        """Return the connection to the pool; urllib3 calls it at the body's end, in the thread that reads."""
        raw = self._raw()
        if raw is None or self._end.setdefault("how", "released") != "released":
            return  # its socket was shut down, or will be at once
        self._sock = None
        self._free_slot()
        try:
            self._release(raw)
        finally:
            raw._connection = None  # whatever is raised, or raw would close the connection, which is another's now

    def close(self) -> bool:
        """Note that nothing more is to be read, and wake the reader; return whether to ``dispose`` here and now."""
        if self._end.setdefault("how", "closed") != "closed":
            return False
        self._free_slot()
        if self.is_reading and self._sock is not None and not self.is_parents:
            with contextlib.suppress(OSError):
                # SSLSocket's own shutdown would first drop its TLS object, which the reader uses.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        return not self.is_reading

    def hold(self, slot: Slot) -> None:
        """Keep a slot until the end; give it back at once where that has come."""
        self._slots.append(slot)
        if self._end:
            self._free_slot()

    def _free_slot(self) -> None:
        with contextlib.suppress(IndexError):  # there is none, or another thread had it
            give_back(self._slots.pop())

    def dispose(self, response: requests.Response) -> None:
        """Close the file and the socket, in one thread alone and not re-entered: http.client supports neither."""
        thread = threading.get_ident()
        if self._closer.setdefault("thread", thread) != thread or self._is_disposing:
            return
        self._is_disposing = True
        try:
            response.close()
        finally:
            self._is_disposing = False

    def hurry(self) -> None:
        """Shorten the timeout of each read. The pool sets it again for the next answer."""
        if self._sock is not None and not self._end:
            with contextlib.suppress(OSError):  # closed meanwhile
                self._sock.settimeout(LAST_WAIT)


def give_back(slot: Slot) -> None:
    """Give a slot back. Threads: any. Does not wait."""
    try:
        slot.release()
    except LimitError as error:  # the system gives no thread to do it; the next who asks does it
        log.warning("a slot could not be given back at once: %s", error)


def read_timeout(request: Request) -> APITimeoutError:
    """Make the exception for an answer of which nothing more came in time."""
    what = f"{request.what}: nothing was heard for {request.read_timeout} seconds"
    return request.failed(APITimeoutError(what, timeout=request.read_timeout))


def system_error_behind(error: BaseException) -> Optional[BaseException]:
    """Return what the system or Python's own libraries said, without where; None where that is not known.

    The exceptions of requests, urllib3 and PySocks hold requests and pools, and with them the key, URLs, and a proxy's
    user name and password; so do the variables of the functions that a traceback leads to.
    """
    todo, seen = [error], set()
    while todo:
        each = todo.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        if type(each).__module__.partition(".")[0] not in ("requests", "urllib3", "socks"):
            each.__cause__ = each.__context__ = None
            return each.with_traceback(None)
        behind = [getattr(each, "reason", None), *each.args, each.__cause__, each.__context__]
        todo += [one for one in behind if isinstance(one, BaseException)]
    return None
