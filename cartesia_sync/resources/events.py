"""Answers of events, which are read as they come."""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from ..audio.framing import SampleFramer
from ..closing import Closing
from ..errors import APIConnectionError
from ..protocol.events import Chunk
from ..protocol.formats import RawFormat
from ..protocol.sse import EventStreamReader
from .answer import APIResponse
from .checked import CheckedIterator

if TYPE_CHECKING:
    from ..transport.http.response import Response

_T = TypeVar("_T")
MAX_EVENT_BYTES = 16 << 20
MAX_LAST_PIECES = 8
"""How much of what follows the last event is read, in pieces as they arrive."""


class Stream(Generic[_T], Closing):
    """Events of one HTTP answer, as they come; iterate it once.

    An error event is yielded like any other, and is the last, as in the official client.

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
        self._events = CheckedIterator(self._read(), response)

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

    @property
    def response(self) -> APIResponse[Stream[_T]]:
        """The answer that the events come in: ``headers``, ``request_id``, ``close()``; its body is this stream's."""
        answer: APIResponse[Stream[_T]] = APIResponse(self._response, lambda *_: self)
        answer._begin()
        return answer

    def close(self) -> None:
        """End it, and release the connection. Idempotent."""
        self._response.close()


class EventOf(Generic[_T]):
    """Decodes an answer's events, and attaches their encoding to its chunks.

    Args:
        output_format: As it was asked for; where it is not raw audio, chunks do not know their encoding.
        decoder: Makes an event from its JSON.
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
