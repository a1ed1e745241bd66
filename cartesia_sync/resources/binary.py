"""Answers of bytes, mostly audio, which are read as they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..audio.files import BinaryTarget, WholeFile
from ..closing import Closing
from ..protocol.formats import RawFormat
from .checked import CheckedIterator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..transport.http.response import Response

_IS_READ = "the answer has been read; read() keeps what it gives"


class BinaryAPIResponse(Closing):
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
        """Iterate over the bytes as they arrive, once; or as often as wanted after ``read``.

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
        return CheckedIterator(pieces if chunk_size is None else _in_sizes(pieces, chunk_size), self._response)

    def _pieces(self) -> Iterator[bytes]:
        yield from self._response.pieces()
        self._response.check_length_was_said()

    def read(self) -> bytes:
        """Return all of it, and keep it; for the errors see ``iter_bytes``.

        Where an exception from outside interrupts it (Ctrl-C, a time limit), it may be used again: it goes on and
        returns the whole, or raises ``IncompleteAnswerError`` where something was lost.
        """
        if self._content is None:
            if self._reading is None:
                if self._is_begun:
                    raise ValueError(_IS_READ)
                self._reading = CheckedIterator(self._pieces(), self._response)
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
        """Release the connection; what was not read is lost. Idempotent."""
        self._response.close()


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
