"""What a stream of chunks knows of its encoding, so that each chunk can give its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.events import Chunk
from ..protocol.formats import RawFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Tuner:
    """Tells each chunk of one stream its encoding; a sample that is split between two chunks is the later one's.

    Threads: the stream's receiver alone.
    """

    __slots__ = ("_split_sample",)

    def __init__(self) -> None:
        self._split_sample = b""

    def tune(self, chunk: Chunk, sound: RawFormat) -> None:
        """Let the chunk know its encoding, and the start of its first sample if that came with the chunk before."""
        start = self._split_sample
        rest = (len(start) + len(chunk.audio)) % sound.sample_bytes
        split = (start + chunk.audio[-rest:])[-rest:] if rest else b""
        chunk_sound = _ChunkSound(sound.encoding, start, rest)
        known = chunk.__dict__
        self._split_sample = split  # with the store below one step: an interrupt finds none of them or both
        known["sound"] = chunk_sound


class _ChunkSound:
    """The encoding of a chunk, and the bytes that its first sample began with in the chunk before."""

    __slots__ = ("_encoding", "_rest", "_start")

    def __init__(self, encoding: str, start: bytes, rest: int) -> None:
        self._encoding = encoding
        self._start = start
        self._rest = rest

    def samples(self, audio: bytes) -> NDArray[np.float32]:
        from .samples import to_samples

        return to_samples(self._whole(audio), self._encoding)

    def raw(self, audio: bytes) -> NDArray[np.int16]:
        from .samples import to_integers

        return to_integers(self._whole(audio), self._encoding)

    def _whole(self, audio: bytes) -> bytes:
        joined = self._start + audio
        return joined[: len(joined) - self._rest]
