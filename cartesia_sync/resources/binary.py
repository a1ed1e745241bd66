"""Answers of bytes, mostly audio, which are read as they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ..audio.files import BinaryTarget, WholeFile
from ..protocol.formats import RawFormat
from .answer import IS_READ, APIResponse
from .checked import CheckedIterator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..transport.http.response import Response


class BinaryAPIResponse(APIResponse[bytes]):
    """An ``APIResponse`` of bytes, mostly audio, which arrives while it is read: a long one need not sit in memory.

    Use it in a ``with`` block, or read it to its end: until then it keeps a connection.

    Attributes:
        status_code: The HTTP status.
        headers: The answer's, found under any spelling of their names; ``content-type`` is the audio's.
        retries_taken: How many attempts failed before this one.

    Threads: one at a time; ``close`` from any, which ends the reading with an ``IncompleteAnswerError``. Reading waits
    for each piece at most ``timeout.read``.
    """

    def __init__(self, response: Response, output_format: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(response, _as_bytes)
        self._output_format = output_format
        self._reading: Optional[Iterator[bytes]] = None  # read()'s, with what it has got so far
        self._got: list[bytes] = []

    def read(self) -> bytes:
        """Return all of it, and keep it; for the errors see ``iter_bytes``.

        The lengths in a streamed WAV file's header, which the service cannot know when it sends that, are made true.

        Where an exception from outside interrupts it (Ctrl-C, a time limit), it may be used again: it goes on and
        returns the whole, or raises ``IncompleteAnswerError`` where something was lost.
        """
        if self._content is None:
            if self._reading is None:
                if self._is_begun:
                    raise ValueError(IS_READ)
                self._reading = CheckedIterator(self._arriving(), self._response)
            self._is_begun = True
            # extend() stores each piece before anything can interrupt it; a loop of ours could lose one.
            self._got.extend(self._reading)
            self._content = _with_true_lengths(b"".join(self._got))
            self._got = []
        return self._content

    def _whole(self) -> bytes:
        """Return what ``read`` does: of audio nothing else says whether it is whole."""
        return self.read()

    def write_to_file(
        self, file: Union[str, os.PathLike[str], BinaryTarget], *, chunk_size: Optional[int] = None
    ) -> None:
        """Write it to a file, which appears under its name when it is whole; memory holds one piece at a time.

        The lengths in a streamed WAV file's header, which the service cannot know when it sends that, are made true.

        Args:
            file: A path, or a binary file object, which gets all in one piece.
            chunk_size: How many bytes are written at once; by default as they arrive.

        Raises:
            OSError: The file cannot be written; where it cannot even be begun, the answer is still unread, and can be
                written elsewhere. For the other errors see ``iter_bytes``; none leaves a file behind.
        """
        from ..audio.wav import MAX_HEADER_BYTES, with_true_lengths

        with WholeFile(file) as whole:
            for piece in self.iter_bytes(chunk_size):
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


def _as_bytes(answer: APIResponse[bytes], to: Any) -> Any:
    if to in (None, bytes):
        return answer.read()
    if to is str:
        return answer.text()
    raise TypeError(f"parse: expected to=bytes or to=str for an answer of bytes, got {to!r}")


def _with_true_lengths(content: bytes) -> bytes:
    from ..audio.wav import MAX_HEADER_BYTES, with_true_lengths

    head = content[:MAX_HEADER_BYTES]
    corrected = with_true_lengths(head, len(content))
    return content if corrected == head else b"".join((corrected, memoryview(content)[len(head) :]))
