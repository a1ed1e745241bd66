"""Answers that are more than JSON: audio that arrives while it is read, events, and lists in pages."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, TypeVar, Union

from ..audio.files import BinaryTarget, WholeFile
from ..audio.framing import SampleFramer
from ..errors import APIConnectionError, APIResponseValidationError
from ..protocol.events import Chunk
from ..protocol.formats import RawFormat
from ..protocol.models.base import read
from ..protocol.sse import EventStreamReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..transport.http.response import Response

_T = TypeVar("_T")
_IS_READ = "the answer has been read; read() keeps what it gives"
MAX_EVENT_BYTES = 16 << 20
MAX_LAST_PIECES = 8
"""How much of what follows the last event is read, in pieces as they arrive."""
REMEMBERED_PAGES = 100
"""How many pages before one are compared with it; a longer circle is found too, though later."""


class _Checked(Iterator[_T]):
    """An iterator of an answer that ends in ``StopIteration`` only where the answer is whole.

    A generator that has raised, or was interrupted, ends as if whole when it is asked again. This one raises
    ``IncompleteAnswerError`` then, as often as it is asked.

    Threads: one at a time; ``close`` from any.
    """

    def __init__(self, source: Iterator[_T], response: Response) -> None:
        self._source = source
        self._response = response
        self._is_under_way = False  # stays, where what was under way is lost

    def __next__(self) -> _T:
        if self._is_under_way:
            raise self._response.broken("has failed, was interrupted, or is being read by another thread")
        self._is_under_way = True
        try:
            item = next(self._source)
        except StopIteration:
            self._is_under_way = False
            raise
        self._is_under_way = False  # as the last act: until here nobody has lost anything unnoticed
        return item

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()


class BinaryAPIResponse:
    """An answer of bytes, mostly audio, which arrives while it is read: a long one need not sit in memory.

    Use it in a ``with`` block, or read it to its end: until then it keeps a connection.

    Attributes:
        status_code: The HTTP status.
        headers: The answer's, lower-case names; ``content-type`` is the audio's.

    Threads: one at a time; ``close`` from any, which ends the reading with an ``IncompleteAnswerError``. Reading waits
    for each piece at most ``timeout.read``.
    """

    def __init__(self, response: Response, output_format: Optional[Mapping[str, Any]] = None) -> None:
        self._response = response
        self._output_format = output_format
        self._content: Optional[bytes] = None
        self._is_begun = False
        self._reading: Optional[Iterator[bytes]] = None  # read()'s, with what it has got so far
        self._got: list[bytes] = []
        self.status_code = response.status_code
        self.headers = response.headers

    def __repr__(self) -> str:
        return f"<BinaryAPIResponse {self.status_code} {self.headers.get('content-type', '')}>"

    def iter_bytes(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        """Give the bytes as they arrive, once; or again and again after ``read``.

        Args:
            chunk_size: Bytes in each piece but the last; by default the pieces are as they arrive.

        Raises:
            IncompleteAnswerError: The answer broke off, was closed before its end, or does not say where it ends, so
                that nobody can tell. Also whenever it is asked for more after it raised anything.
            APITimeoutError: Nothing more of it came in time.
            ValueError: It has been read before, and not by ``read``.
        """
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size: expected 1 byte or more, got {chunk_size}")
        if self._content is None:
            if self._is_begun:
                raise ValueError(_IS_READ)
            self._is_begun = True
        pieces = self._pieces() if self._content is None else iter([self._content] if self._content else [])
        return _Checked(pieces if chunk_size is None else _in_sizes(pieces, chunk_size), self._response)

    def _pieces(self) -> Iterator[bytes]:
        yield from self._response.pieces()
        self._response.check_length_was_said()

    def read(self) -> bytes:
        """Give all of it, and keep it; for the errors see ``iter_bytes``.

        Where an exception from outside interrupts it (Ctrl-C, a time limit), it may be called again: it goes on and
        gives the whole, or raises ``IncompleteAnswerError`` where something was lost.
        """
        if self._content is None:
            if self._reading is None:
                if self._is_begun:
                    raise ValueError(_IS_READ)
                self._reading = _Checked(self._pieces(), self._response)
            self._is_begun = True
            # extend() stores each piece before anything can interrupt it; a loop of ours could lose one.
            self._got.extend(self._reading)
            self._content = b"".join(self._got)
            self._got = []
        return self._content

    @property
    def content(self) -> bytes:
        """All of it; see ``read``."""
        return self.read()

    def write_to_file(self, file: Union[str, os.PathLike[str], BinaryTarget]) -> None:
        """Write it to a file, which appears under its name when it is whole; memory holds one piece at a time.

        The lengths in a streamed WAV file's header, which the service cannot know when it sends that, are made true.

        Args:
            file: A path, or a binary file object, which gets all in one piece.

        Raises:
            OSError: The file cannot be written; where it cannot even be begun, the answer is still unread, and can be
                written elsewhere. For the other errors see ``iter_bytes``; none leaves a file behind.
        """
        from ..audio.wav import MAX_HEADER_BYTES, with_true_lengths

        with WholeFile(file) as whole:
            for piece in self.iter_bytes():
                whole.write(piece)
            length = whole.tell()
            whole.seek(0)
            head = whole.read(MAX_HEADER_BYTES)
            corrected = with_true_lengths(head, length)
            if corrected != head:
                whole.seek(0)
                whole.write(corrected)

    stream_to_file = write_to_file

    def samples(self) -> NDArray[np.float32]:
        """Read all of it as float32 samples, shape (n,), -1 to 1; raw audio and WAV can be read so.

        Raises:
            ValueError: It is MP3, or something else that is no raw audio; ``read`` gives it as it is. For the other
                errors see ``iter_bytes``.
        """
        from ..audio.samples import to_samples
        from ..audio.wav import read_wav

        container = (self._output_format or {}).get("container")
        if container == "raw":
            encoding = RawFormat.of(self._output_format or {}).encoding
            return to_samples(self.read(), encoding)
        if container not in ("wav", None):
            raise ValueError(f"samples: expected raw audio or WAV, got {container!r}; read() gives its bytes")
        fmt, audio = read_wav(self.read())
        return to_samples(audio, fmt.encoding)

    @property
    def is_closed(self) -> bool:
        """Whether it keeps no connection any more."""
        return self._response.is_closed

    def close(self) -> None:
        """Let go of the connection; what was not read is lost. Idempotent."""
        self._response.close()

    def __enter__(self) -> BinaryAPIResponse:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.close()


def _in_sizes(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    kept = bytearray()
    for piece in pieces:
        kept += piece
        whole = len(kept) - len(kept) % size
        for start in range(0, whole, size):
            yield bytes(kept[start : start + size])
        del kept[:whole]
    if kept:
        yield bytes(kept)


class Stream(Generic[_T]):
    """Events of one HTTP answer, as they come; iterate it once.

    An error event is given like any other, and is the last, as in the official client.

    Attributes:
        status_code: The HTTP status.
        headers: The answer's, lower-case names.

    Raises, when it is iterated:
        IncompleteAnswerError: The answer broke off or was closed before its last event. Also whenever it is asked for
            more after it raised anything.
        APITimeoutError: Nothing more of it came in time.
        ProtocolError: It holds what is no event, or one that is too large.

    Threads: one at a time; ``close`` from any. Waits for each piece of the answer at most ``timeout.read``.
    """

    def __init__(self, response: Response, event_of: Callable[[bytes], _T]) -> None:
        self._response = response
        self._event_of = event_of
        self.status_code = response.status_code
        self.headers = response.headers
        self._events = _Checked(self._read(), response)

    def __iter__(self) -> Iterator[_T]:
        return self

    def __next__(self) -> _T:
        return next(self._events)

    def _read(self) -> Iterator[_T]:
        reader = EventStreamReader(MAX_EVENT_BYTES)
        pieces = self._response.pieces()
        try:
            for piece in pieces:
                for data in reader.feed(piece):
                    event = self._event_of(data)
                    yield event
                    if getattr(event, "done", False):
                        # The answer's end follows at once; a connection whose answer was not read to it is lost. But
                        # where it does not follow, a new connection costs less than to wait.
                        self._response.hurry()
                        with contextlib.suppress(APIConnectionError):
                            collections.deque(itertools.islice(pieces, MAX_LAST_PIECES), maxlen=0)
                        return
        finally:
            self._response.close()
        raise self._response.broken("ended before its last event")

    def close(self) -> None:
        """End it, and let go of the connection. Idempotent."""
        self._response.close()

    def __enter__(self) -> Stream[_T]:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.close()


class EventOf(Generic[_T]):
    """Decodes an answer's events, and tells its chunks their encoding.

    Args:
        output_format: As it was asked for; where it is none of raw audio the service decides, and chunks know nothing.
        decoder: Makes an event of its JSON.
    """

    def __init__(self, output_format: Mapping[str, Any], decoder: Callable[[bytes], _T]) -> None:
        self._decoder = decoder
        self._framer = SampleFramer()
        self._audio_format = RawFormat.if_known(output_format)

    def __call__(self, data: bytes) -> _T:
        """Decode one event."""
        event = self._decoder(data)
        if isinstance(event, Chunk) and self._audio_format is not None:
            self._framer.attach(event, self._audio_format)
        return event


@dataclass(frozen=True)
class _Trail:
    """The pages before one, by what the next was asked for by; finds a circle of any length in bounded memory.

    Attributes:
        last: The most recent ones: a circle that is no longer than they are is found at its first repetition.
        mark: One that is kept, to find longer circles.
        steps: How many pages ago that was.
        limit: After how many steps another one is kept, twice as long (Brent's way).
    """

    last: tuple[str, ...] = ()
    mark: Optional[str] = None
    steps: int = 0
    limit: int = 1

    def __contains__(self, cursor: str) -> bool:
        return cursor == self.mark or cursor in self.last

    def followed_by(self, cursor: str) -> _Trail:
        last = (*self.last, cursor)[-REMEMBERED_PAGES:]
        if self.mark is None or self.steps + 1 == self.limit:
            return _Trail(last, cursor, 0, self.limit * 2)
        return _Trail(last, self.mark, self.steps + 1, self.limit)


class SyncCursorIDPage(Generic[_T]):
    """One page of a list; iterate it for the items of this page and of all that follow.

    Attributes:
        data: This page's items.
        has_more: Whether the service has more; None where it does not say.
        next_page: The id that the service would have the next page begin after, or None.

    Threads: one at a time. Going on to the next page calls the service.
    """

    def __init__(self, answer: Mapping[str, Any], kind: Any, fetch: Callable[[Mapping[str, object]], Any]) -> None:
        data = answer.get("data")
        if data is not None and not isinstance(data, list):
            raise APIResponseValidationError("a page's data should be a JSON array", status_code=200, body=dict(answer))
        self.data: list[_T] = read(list[kind], data or [])
        self.has_more: Optional[bool] = answer.get("has_more")
        self.next_page: Optional[str] = answer.get("next_page")
        self._fetch = fetch
        self._is_backwards = False
        self._trail = _Trail()

    @classmethod
    def fetched(
        cls, ask: Callable[[Mapping[str, object]], Any], kind: Any, query: Mapping[str, object]
    ) -> SyncCursorIDPage[_T]:
        """Get a page, and know how to get the one after it.

        Args:
            ask: Calls the service with a query.
            kind: What the items are.
            query: The first page's.
        """

        def fetch(cursor: Mapping[str, object]) -> SyncCursorIDPage[_T]:
            asked = {**query, **cursor}
            page = cls(ask(asked), kind, fetch)
            page._is_backwards = isinstance(asked.get("ending_before"), str)
            return page

        return fetch({})

    def __repr__(self) -> str:
        return f"<SyncCursorIDPage of {len(self.data)}>"

    def __iter__(self) -> Iterator[_T]:
        for page in self.iter_pages():
            yield from page.data

    def iter_pages(self) -> Iterator[SyncCursorIDPage[_T]]:
        """Give this page and all that follow, each when it is asked for."""
        page = self
        yield page
        while page.has_next_page():
            page = page.get_next_page()
            yield page

    def has_next_page(self) -> bool:
        """Whether another page may follow: not after an empty one, nor where the service says that it has no more."""
        return bool(self.data) and self.has_more is not False and self._cursor() is not None

    def get_next_page(self) -> SyncCursorIDPage[_T]:
        """Get the page that follows.

        Raises:
            RuntimeError: None follows; see ``has_next_page``.
            APIResponseValidationError: The service gave the same page again, or one of those before it, which would
                never end.
        """
        cursor = self._cursor()
        if cursor is None or not self.has_next_page():
            raise RuntimeError("no page follows this one; has_next_page() says so beforehand")
        page: SyncCursorIDPage[_T] = self._fetch(cursor)
        page._trail = self._trail.followed_by(repr(cursor))
        if repr(page._cursor()) in page._trail:
            raise APIResponseValidationError(f"the service gave the same page again, for {cursor!r}", status_code=200)
        return page

    def _cursor(self) -> Optional[dict[str, object]]:
        """Give what the next page is asked for by: as the official client, by the id of the item at this one's end."""
        item = (self.data[0] if self._is_backwards else self.data[-1]) if self.data else None
        found = getattr(item, "id", None)
        if found is None:
            return None
        return {"ending_before": found} if self._is_backwards else {"starting_after": found}
