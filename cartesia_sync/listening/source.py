"""What audio is fed from: recordings, bare samples, file objects, iterables; cut into pieces of 100 ms."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Callable, NamedTuple, Optional, Union

from ..protocol.transcription import ENCODINGS, AudioFormat, check_encoding, check_sample_rate

PIECE_SECONDS = 0.1
"""As the service advises."""

Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, Iterable[bytes], Any]


def pieces_of(
    source: Source,
    target: AudioFormat,
    *,
    encoding: Optional[str] = None,
    sample_rate: Optional[int] = None,
    announce: Optional[Callable[[float], None]] = None,
) -> Iterator[bytes]:
    """Return a source's audio in the session's format, in pieces of whole samples.

    Where its length is known beforehand ``announce`` is called with the seconds.

    Raises:
        TypeError: It is no source.
        ValueError: A setting is none, or the recording cannot be read or is empty. What an iterable or a file object
            gives is looked at when it is taken: then the iterator raises.
        OSError: The file cannot be read.
    """
    told = Told(encoding, sample_rate)
    usual = target if not is_live(source) else AudioFormat(*_format_of(source))
    given = AudioFormat(encoding or usual.encoding, usual.sample_rate if sample_rate is None else sample_rate)
    check_encoding(given.encoding)
    check_sample_rate(given.sample_rate)
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            content = file.read()
        if is_recording(content, may_be_mp3=encoding is None):
            return _cut(_recorded(content, target, told), target, announce)
        if encoding is None:
            raise ValueError(
                f"{os.fspath(source)!r} is no recording that can be read without being told more: "
                "for bare samples give encoding= and sample_rate="
            )
    elif hasattr(source, "read"):
        return _from_file(source, given, target, told)
    elif isinstance(source, Iterable):
        return _converted(_checked(source), given, target)
    else:
        raise TypeError(
            f"a source is a path, bytes, a binary file object or an iterable of bytes; got {type(source).__name__}"
        )
    if is_recording(content):
        return _cut(_recorded(content, target, told), target, announce)
    if not content:
        raise ValueError("the source is empty: it has no audio")
    _require_whole(len(content), given.encoding)
    if announce is not None:
        announce(len(content) / ENCODINGS[given.encoding] / given.sample_rate)
    return _converted(iter([content]), given, target)


def is_live(source: Source) -> bool:
    """Whether it gives audio as it is said, and knows what it gives, as ``Microphone`` does."""
    return bool(getattr(source, "is_live", False))


def _format_of(source: Any) -> tuple[str, int]:
    return source.encoding, source.sample_rate


def is_recording(content: bytes, *, may_be_mp3: bool = False) -> bool:
    """Whether it begins as a file that says what it holds: WAV, FLAC, Ogg, MP3.

    Args:
        content: Of the file, or of what may be bare samples.
        may_be_mp3: Whether a frame of MP3 without a tag before it is one. Two bytes tell it, which bare samples may
            begin with too: in mu-law they are next to silence.
    """
    is_mp3 = content[:3] == b"ID3" or (may_be_mp3 and content[:2] in _MP3_FRAMES)
    return content[:4] in (b"RIFF", b"fLaC", b"OggS") or is_mp3


_MP3_FRAMES = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2")


class Told(NamedTuple):
    """What the user says of a source's samples; None where nothing."""

    encoding: Optional[str]
    sample_rate: Optional[int]


def _recorded(content: bytes, target: AudioFormat, told: Told) -> bytes:
    from ..audio.recording import read_recording

    recording = read_recording(content)
    if told.encoding not in (None, recording.encoding) or told.sample_rate not in (None, recording.sample_rate):
        raise ValueError(
            f"encoding= and sample_rate= say {told.encoding or 'nothing'} and {told.sample_rate or 'nothing'}, and the "
            f"recording says of itself {recording.encoding}, {recording.sample_rate} Hz: leave them out"
        )
    audio = recording.encoded(target.encoding, target.sample_rate)
    if not audio:
        raise ValueError("the recording is empty: it has no audio")
    return audio


def _from_file(file: Any, given: AudioFormat, target: AudioFormat, told: Told) -> Iterator[bytes]:
    size = _piece_bytes(*given)
    first = _checked_piece(file.read(size))
    if is_recording(first):
        yield from _cut(_recorded(first + file.read(), target, told), target)
        return
    yield from _converted(itertools.chain([first], iter(lambda: _checked_piece(file.read(size)), b"")), given, target)


def _checked(pieces: Iterable[Any]) -> Iterator[bytes]:
    iterator = iter(pieces)
    try:
        for piece in iterator:
            yield _checked_piece(piece)
    finally:
        if isinstance(iterator, Generator):  # what else has close() is its user's to close
            iterator.close()


def _checked_piece(piece: Any) -> bytes:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a source gives bytes; got {type(piece).__name__}")


def _piece_bytes(encoding: str, sample_rate: int) -> int:
    return ENCODINGS[encoding] * max(round(sample_rate * PIECE_SECONDS), 1)


def _require_whole(size: int, encoding: str) -> None:
    if size % ENCODINGS[encoding]:
        raise ValueError(
            f"expected whole samples of {ENCODINGS[encoding]} bytes each ({encoding}); got {size} bytes, so that "
            "either some are missing or the encoding is another one"
        )


def _cut(audio: bytes, target: AudioFormat, announce: Optional[Callable[[float], None]] = None) -> Iterator[bytes]:
    size = _piece_bytes(*target)
    if announce is not None:
        announce(len(audio) / ENCODINGS[target.encoding] / target.sample_rate)
    return (audio[start : start + size] for start in range(0, len(audio), size))


def _converted(pieces: Iterator[bytes], given: AudioFormat, target: AudioFormat) -> Iterator[bytes]:
    """Join and cut pieces of any size to pieces of whole samples, converted where they have to be.

    Raises:
        ValueError: There is no audio at all, or the end is in the middle of a sample.
    """
    encoding, sample_rate = given
    convert = None
    if given != target:
        from ..audio.recording import Converter

        convert = Converter(encoding, sample_rate, *target)
    size, width = _piece_bytes(encoding, sample_rate), ENCODINGS[encoding]
    rest, total = b"", 0
    for piece in pieces:
        total += len(piece)
        rest += piece
        # What a live source gives leaves at once, however short it is.
        whole = len(rest) - len(rest) % width
        for start in range(0, whole, size):
            part = rest[start : min(start + size, whole)]
            out = part if convert is None else convert.feed(part)
            if out:
                yield out
        rest = rest[whole:]
    if not total:
        raise ValueError("the source is empty: it gave no audio")
    _require_whole(total, encoding)
    if convert is not None:
        tail = convert.finish()
        if tail:
            yield tail
