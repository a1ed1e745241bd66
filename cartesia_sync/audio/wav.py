"""Raw audio as WAV files, and back; without numpy."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Optional, Union

from ..protocol.formats import RawFormat, require_whole_samples
from .files import BinaryTarget, WholeFile

Buffer = Union[bytes, bytearray, memoryview]

# RIFF counts in 32 bits. 64 bytes below that leave room for the longest header and the padding byte.
MAX_AUDIO_BYTES = 2**32 - 64

_WAV_FORMAT_TAGS = {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}
_EXTENSIBLE = 0xFFFE
_UNKNOWN_LENGTH = 0xFFFFFFFF
MAX_HEADER_BYTES = 64 << 10


def _wav_header(fmt: RawFormat, audio_bytes: int) -> bytes:
    """Make everything that stands before the samples; its length depends on the encoding alone."""
    sample_bytes = fmt.sample_bytes
    byte_rate = fmt.sample_rate * sample_bytes
    tag = _WAV_FORMAT_TAGS[fmt.encoding]
    description = struct.pack("<HHIIHH", tag, 1, fmt.sample_rate, byte_rate, sample_bytes, 8 * sample_bytes)
    if fmt.encoding == "pcm_s16le":
        fact = b""
    else:
        # All but plain PCM hold the length of their extension (0), and the number of samples ("fact").
        description += struct.pack("<H", 0)
        fact = struct.pack("<4sII", b"fact", 4, audio_bytes // sample_bytes)
    chunks = struct.pack("<4sI", b"fmt ", len(description)) + description + fact
    chunks += struct.pack("<4sI", b"data", audio_bytes)
    riff_bytes = len(b"WAVE") + len(chunks) + audio_bytes + audio_bytes % 2
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + chunks


class WavWriter:
    """Write a WAV file as the audio comes; it appears under its name only when whole.

    If the ``with`` block ends with an exception, no file is made, and one that was there stays as it was::

        with WavWriter("hello.wav", fmt) as wav:
            for chunk in chunks:
                wav.write(chunk)

    The file is opened when the block begins, so that a path which cannot be written to is found before there is any
    audio; the format may be set later, before the first ``write``: ``wav.format = fmt``. For the errors of the
    file, its permissions and its links see ``WholeFile``.

    Threads: one writer belongs to one thread; waits for the disk alone.
    """

    def __init__(self, target: str | os.PathLike[str] | BinaryTarget, fmt: Optional[RawFormat] = None) -> None:
        """Take note of the target; nothing is opened before the ``with`` block begins.

        Args:
            target: The file's name, or a writable binary file object; see ``WholeFile``.
            fmt: The audio's format, which the header states; None where it is not known yet.
        """
        self._whole = WholeFile(target)
        self._format = fmt
        self._file: IO[bytes] | None = None  # inside the block
        self._is_at_end = False  # whether the file's place is where the audio written so far ends
        #: How much audio has been written, in bytes. A ``write`` that was interrupted counts whole or not at all.
        self.audio_bytes = 0

    @property
    def format(self) -> Optional[RawFormat]:
        """What the audio is; None where that is not known yet.

        Raises, when it is set:
            ValueError: Audio of another format has been written.
        """
        return self._format

    @format.setter
    def format(self, fmt: RawFormat) -> None:
        if self._file is not None and self.audio_bytes and fmt != self._format:
            raise ValueError(f"the format cannot become {fmt}: audio of the format {self._format} has been written")
        self._format = fmt

    @property
    def seconds(self) -> float:
        """How long the audio written so far plays."""
        return 0.0 if self._format is None else self._format.seconds(self.audio_bytes)

    def __enter__(self) -> WavWriter:
        self.audio_bytes, self._is_at_end = 0, False
        self._file = self._whole.__enter__()
        return self

    def write(self, audio: Buffer) -> None:
        """Add audio; the pieces need not end with whole samples, only all of them together.

        Where it is interrupted (Ctrl-C, a time limit), ``audio_bytes`` shows whether the piece was added; the next
        one follows what was.

        Raises:
            ValueError: More than a WAV file can hold (4 GiB), no format was set, or not inside the ``with`` block.
        """
        file, fmt = self._open_file(), self._known_format()
        audio_bytes = self.audio_bytes + memoryview(audio).nbytes
        if audio_bytes > MAX_AUDIO_BYTES:
            raise ValueError(f"a WAV file holds at most {MAX_AUDIO_BYTES} bytes of audio, got {audio_bytes}")
        self._go_to_end(file, fmt)
        self._is_at_end = False  # until it is known how much of it is there
        file.write(audio)
        self.audio_bytes = audio_bytes
        self._is_at_end = True

    def written(self) -> bytes:
        """Read back the audio written so far, without the header; more can be written then.

        For callers that were interrupted, and want at least that.

        Raises:
            ValueError: Not inside the ``with`` block.
        """
        file = self._open_file()
        if not self.audio_bytes:
            return b""
        self._is_at_end = False
        file.seek(len(_wav_header(self._known_format(), 0)))
        return file.read(self.audio_bytes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if error is None and file is not None:
            try:
                self._finish(file)
            except BaseException as failure:  # Ctrl-C too: what is not finished is no file
                self._whole.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._whole.__exit__(kind, error, traceback)

    def _finish(self, file: IO[bytes]) -> None:
        fmt = self._known_format()
        require_whole_samples(self.audio_bytes, fmt.encoding)
        self._go_to_end(file, fmt)
        if self.audio_bytes % 2:
            file.write(b"\0")  # chunks begin at even places
        file.seek(0)
        file.write(_wav_header(fmt, self.audio_bytes))

    def _go_to_end(self, file: IO[bytes], fmt: RawFormat) -> None:
        """Go to where the audio written so far ends; what an interrupted write has left behind it is cut off."""
        if self._is_at_end:
            return
        file.seek(0)
        file.write(_wav_header(fmt, 0))  # keeps the place of the true one
        file.seek(self.audio_bytes, os.SEEK_CUR)
        file.truncate()
        self._is_at_end = True

    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError("a WavWriter writes only inside its `with` block")
        return self._file

    def _known_format(self) -> RawFormat:
        if self._format is None:
            raise ValueError("the WAV file's format is not known: set the writer's `format` before the first write")
        return self._format


def wav_bytes(audio: Buffer, fmt: RawFormat) -> bytes:
    """Put a WAV header before raw audio.

    Raises:
        ValueError: The audio does not hold whole samples, or is too long for a WAV file (4 GiB).
    """
    whole = io.BytesIO()
    with WavWriter(whole, fmt) as wav:
        wav.write(audio)
    return whole.getvalue()


def streamed_wav_header(fmt: RawFormat) -> bytes:
    """Make the head of a WAV file whose length nobody knows yet: open, which those who play it read to its end."""
    header = bytearray(_wav_header(fmt, 0))
    struct.pack_into("<I", header, 4, _UNKNOWN_LENGTH)
    struct.pack_into("<I", header, len(header) - 4, _UNKNOWN_LENGTH)
    if fmt.encoding != "pcm_s16le":
        struct.pack_into("<I", header, len(header) - 12, _UNKNOWN_LENGTH)  # the number of samples ("fact")
    return bytes(header)


def read_wav(content: Buffer) -> tuple[RawFormat, bytes]:
    """Take the header off a WAV file; a streamed one, whose header has no true length, is read to the end.

    Returns:
        The audio's format, and the audio.

    Raises:
        ValueError: It is no WAV file, or of a kind that the service does not make.
    """
    layout = _layout(content)
    audio = memoryview(content)[layout.data_start :]
    if layout.data_bytes is not None:
        audio = audio[: layout.data_bytes]
    return layout.format, bytes(audio)


def with_true_lengths(head: bytes, file_bytes: int) -> bytes:
    """Correct the lengths in the head of a streamed WAV file, once it is known how long it is.

    Args:
        head: The file's beginning, up to ``MAX_HEADER_BYTES``.
        file_bytes: The whole file's length.

    Returns:
        What to put in the head's place; the head itself where the audio is as long as it states, or it cannot be
        read.
    """
    try:
        layout = _layout(head)
    except ValueError:
        return head
    audio_bytes = file_bytes - layout.data_start
    is_true = layout.data_bytes is not None and layout.data_bytes <= audio_bytes
    if is_true or not 0 <= audio_bytes <= MAX_AUDIO_BYTES:
        return head
    corrected = bytearray(head)
    struct.pack_into("<I", corrected, 4, file_bytes - 8)
    struct.pack_into("<I", corrected, layout.data_start - 4, audio_bytes)
    if layout.fact_start is not None:
        struct.pack_into("<I", corrected, layout.fact_start, audio_bytes // layout.format.sample_bytes)
    return bytes(corrected)


@dataclass(frozen=True)
class _Layout:
    format: RawFormat
    data_start: int
    data_bytes: Optional[int]  # None where the header has no true length
    fact_start: Optional[int]


def _layout(content: Buffer) -> _Layout:
    """Find the parts of a WAV file."""
    view = memoryview(content).cast("B")
    if bytes(view[:4]) != b"RIFF" or bytes(view[8:12]) != b"WAVE":
        raise ValueError(f"expected a WAV file, got one that begins with {bytes(view[:12])!r}")
    at, fmt, fact_start = 12, None, None
    while at + 8 <= len(view):
        name, length = struct.unpack_from("<4sI", view, at)
        at += 8
        if name == b"fmt ":
            fmt = _format_of(bytes(view[at : at + length]))
        elif name == b"fact" and length >= 4:
            fact_start = at
        elif name == b"data":
            if fmt is None:
                raise ValueError("expected a WAV file that says its format before its audio")
            return _Layout(fmt, at, None if length in (0, _UNKNOWN_LENGTH) else length, fact_start)
        at += length + length % 2
    raise ValueError("expected a WAV file with audio, got one without")


def _format_of(description: bytes) -> RawFormat:
    if len(description) < 16:
        raise ValueError(f"expected a WAV file's format in 16 bytes or more, got {len(description)}")
    tag, channels, sample_rate, _, _, bits = struct.unpack_from("<HHIIHH", description)
    if tag == _EXTENSIBLE and len(description) >= 26:
        (tag,) = struct.unpack_from("<H", description, 24)  # the sub-format's first two bytes
    for encoding, known in _WAV_FORMAT_TAGS.items():
        fmt = RawFormat(encoding, sample_rate or 1)
        if (tag, channels, bits) == (known, 1, 8 * fmt.sample_bytes):
            return fmt
    raise ValueError(f"expected a WAV file of one channel, PCM, float or G.711; got {tag=}, {channels=}, {bits=}")
