"""An answer over HTTP as a whole: its status, its headers, and its body, as it came or as what it stands for."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, TypeVar, overload

from ..closing import Closing
from ..exchange import Headers, HTTPRequest
from ..protocol import codec
from .checked import CheckedIterator

if TYPE_CHECKING:
    from ..transport.http.response import Response

_R = TypeVar("_R", covariant=True)
_T = TypeVar("_T")
_A = TypeVar("_A", bound=Closing)

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)
IS_READ = "the answer has been read; read() keeps what it gives"


class APIResponse(Generic[_R], Closing):
    """An answer over HTTP; what ``with_raw_response`` and ``with_streaming_response`` give.

    Use it in a ``with`` block, or read it to its end: until then it may keep a connection.

    Attributes:
        status_code: The HTTP status.
        headers: The answer's, found under any spelling of their names.
        retries_taken: How many attempts failed before this one.

    Threads: one at a time; ``close`` from any, which ends the reading with an ``IncompleteAnswerError``. Reading waits
    for each piece at most ``timeout.read``.
    """

    def __init__(
        self,
        response: Response,
        parse: Callable[[APIResponse[Any], Any], Any],
        content: Optional[bytes] = None,
    ) -> None:
        self._response = response
        self._parse = parse
        self._parsed: dict[Any, Any] = {}
        self._content = content
        self._is_begun = content is not None
        self._was_closed = False
        self._is_being_read = False  # by read(), which may be used again where it was interrupted
        self.status_code: int = response.status_code
        self.headers: Headers = response.headers
        self.retries_taken: int = response.retries_taken

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code} {self.headers.get('content-type', '')}>"

    # ---- of the answer

    @property
    def request_id(self) -> Optional[str]:
        """The service's identifier of the request (``X-Request-Id``), for its support; None where it gave none."""
        found: Optional[str] = self.headers.get("x-request-id")
        return found

    @property
    def http_request(self) -> HTTPRequest:
        """What was asked for: ``method`` and ``url``."""
        return self._response.request.shown

    @property
    def method(self) -> str:
        """The request's method, such as ``GET``."""
        return self.http_request.method

    @property
    def url(self) -> str:
        """The request's URL, without its query, which may hold a credential."""
        return self.http_request.url

    @property
    def elapsed(self) -> timedelta:
        """The time from the last attempt's beginning to the answer's headers."""
        return self._response.elapsed

    @property
    def is_closed(self) -> bool:
        """Whether its body was read to its end, or closed: until then it may keep a connection."""
        return self._response.is_closed and (self._is_begun or self._was_closed)

    # ---- what it stands for

    @overload
    def parse(self) -> _R: ...

    @overload
    def parse(self, *, to: type[_T]) -> _T: ...

    def parse(self, *, to: Any = None) -> Any:
        """Return what the method returns that was asked with ``with_raw_response``; made once, and kept.

        Args:
            to: What to make of it instead: a class of ``cartesia_sync.types``, a list or dict of them, ``dict``,
                ``str`` or ``bytes``.

        Raises:
            APIResponseValidationError: It cannot be read, or is longer than ``max_answer_bytes``.
            TypeError: Events are to be something else.
            ValueError: Its body was iterated over.
        """
        if to not in self._parsed:
            self._parsed[to] = self._parse(self, to)
        return self._parsed[to]

    # ---- the body

    def read(self) -> bytes:
        """Return the whole body, and keep it.

        Raises:
            IncompleteAnswerError: It broke off, was closed before its end, or does not say where it ends, so that
                nobody can tell.
            APIResponseValidationError: It is longer than ``max_answer_bytes``.
            APITimeoutError: Nothing more of it came in time.
            ValueError: It was iterated over.
        """
        content = self._whole()
        self._response.check_length_was_said()
        return content

    def _whole(self) -> bytes:
        """Return the body, which may have broken off where its length was not declared; of JSON, JSON says that."""
        if self._content is None:
            if not self._is_being_read:
                self._begin()
            self._is_being_read = True
            self._content = self._response.read()
        return self._content

    @property
    def content(self) -> bytes:
        """The whole body; see ``read``."""
        return self.read()

    def text(self) -> str:
        """Return the whole body as text, by the charset of its content type, or UTF-8; see ``read``."""
        return self.read().decode(self._charset(), "replace")

    def json(self) -> Any:
        """Return what the body's JSON says, without a class; see ``read``.

        Raises:
            ValueError: It is not JSON.
        """
        return codec.decode_answer(self._whole())

    def iter_bytes(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        """Iterate over the bytes as they arrive, once; or as often as wanted after ``read``.

        Args:
            chunk_size: Bytes in each piece but the last; by default the pieces are as they arrive.

        Raises:
            IncompleteAnswerError: The answer broke off, was closed before its end, or does not say where it ends, so
                that nobody can tell. Also whenever it is asked for more after it raised anything.
            APITimeoutError: Nothing more of it came in time.
            ValueError: It has been read before, and not by ``read``.
        """
        size = _checked_size(chunk_size, "byte")
        pieces = self._pieces()
        return self._checked(pieces if size is None else _cut(pieces, size, b"".join))

    def iter_text(self, chunk_size: Optional[int] = None) -> Iterator[str]:
        """Iterate over the text as it arrives, once; for the rest see ``iter_bytes``.

        Args:
            chunk_size: Characters in each piece but the last.
        """
        size = _checked_size(chunk_size, "character")
        pieces = self._texts()
        return self._checked(pieces if size is None else _cut(pieces, size, "".join))

    def iter_lines(self) -> Iterator[str]:
        """Iterate over the lines of the text, without their ends, as they arrive, once; see ``iter_bytes``."""
        return self._checked(_lines(self._texts()))

    def close(self) -> None:
        """Release the connection; what was not read is lost. Idempotent."""
        self._was_closed = True
        self._response.close()

    def _begin(self) -> None:
        if self._is_begun:
            raise ValueError(IS_READ)
        self._is_begun = True

    def _checked(self, source: Iterator[_T]) -> Iterator[_T]:
        return CheckedIterator(source, self._response)

    def _pieces(self) -> Iterator[bytes]:
        if self._content is not None:
            return iter([self._content] if self._content else [])
        self._begin()
        return self._arriving()

    def _arriving(self) -> Iterator[bytes]:
        yield from self._response.pieces()
        self._response.check_length_was_said()

    def _texts(self) -> Iterator[str]:
        return _decoded(self._pieces(), self._charset())

    def _charset(self) -> str:
        named = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            return codecs.lookup(named.group(1)).name if named else "utf-8"
        except LookupError:
            return "utf-8"


class ResponseContextManager(Generic[_A]):
    """A request that is made when the ``with`` block is entered; its answer is closed at the end of the block."""

    def __init__(self, request: Callable[[], _A]) -> None:
        self._request = request
        self._answers: list[_A] = []

    def __enter__(self) -> _A:
        answer = self._request()
        self._answers.append(answer)
        return answer

    def __exit__(self, *error: object) -> None:
        while self._answers:
            self._answers.pop().close()


def _checked_size(size: Optional[int], unit: str) -> Optional[int]:
    if size is not None and size < 1:
        raise ValueError(f"chunk_size: expected 1 {unit} or more, got {size}")
    return size


def _cut(pieces: Iterator[Any], size: int, join: Callable[[list[Any]], Any]) -> Iterator[Any]:
    kept: list[Any] = []
    length = 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length >= size:
            have = join(kept)
            whole = length - length % size
            for start in range(0, whole, size):
                yield have[start : start + size]
            kept, length = [have[whole:]], length - whole
    if length:
        yield join(kept)


def _decoded(pieces: Iterator[bytes], charset: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(charset)("replace")
    for piece in pieces:
        text = decoder.decode(piece)
        if text:
            yield text
    rest = decoder.decode(b"", True)
    if rest:
        yield rest


def _lines(texts: Iterator[str]) -> Iterator[str]:
    """Part a text as ``str.splitlines`` does, whatever the pieces that it comes in."""
    kept: list[str] = []  # of one line; joined once, so that a long one costs no more than its length
    held = ""  # a carriage return, whose line feed may follow
    for piece in texts:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        for part in text[: len(text) - len(held)].splitlines(keepends=True):
            (line,) = part.splitlines()
            kept.append(line)
            if len(line) < len(part):
                yield "".join(kept)
                kept = []
    if kept or held:
        yield "".join(kept)
