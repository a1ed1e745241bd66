"""Attaches a stream's audio format to its chunks, so that each chunk can return its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.events import Chunk
from ..protocol.formats import RawFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SampleFramer:
    """Attaches its encoding to each chunk of one stream.

    A sample that is split between two chunks counts as the later one's.

    Threads: the stream's receiver alone.
    """

    __slots__ = ("_split_sample",)

    def __init__(self) -> None:
        self._split_sample = b""

    def attach(self, chunk: Chunk, audio_format: RawFormat) -> None:
        """Attach to the chunk its encoding, and the start of its first sample if that came with the chunk before."""
        start = self._split_sample
        rest = (len(start) + len(chunk.audio)) % audio_format.sample_bytes
        split = (start + chunk.audio[-rest:])[-rest:] if rest else b""
        chunk_format = _ChunkFormat(audio_format, start, rest)
        attached = chunk.__dict__
        self._split_sample = split  # one step with the store below: an interrupt finds neither or both
        attached["audio_format"] = chunk_format


class _ChunkFormat:
    """The encoding of a chunk, and the bytes that its first sample began with in the chunk before."""

    __slots__ = ("_rest", "_start", "format")

    def __init__(self, audio_format: RawFormat, start: bytes, rest: int) -> None:
        self.format = audio_format
        self._start = start
        self._rest = rest

    def samples(self, audio: bytes) -> NDArray[np.float32]:
        from .samples import to_samples

        return to_samples(self._whole(audio), self.format.encoding)

    def raw(self, audio: bytes) -> NDArray[np.int16]:
        from .samples import to_integers

        return to_integers(self._whole(audio), self.format.encoding)

    def _whole(self, audio: bytes) -> bytes:
        joined = self._start + audio
        return joined[: len(joined) - self._rest]


def format_of(chunk: Chunk) -> RawFormat:
    """Return what was attached to a chunk.

    Raises:
        ValueError: Nothing was.
    """
    attached = chunk.__dict__.get("audio_format")
    if not isinstance(attached, _ChunkFormat):
        raise ValueError(
            "this chunk does not know its encoding, since it did not come out of a context's receive(), or that is "
            "none that we know"
        )
    return attached.format
