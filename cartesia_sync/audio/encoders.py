"""Audio as MP3, Ogg Vorbis, Ogg Opus and FLAC, in files and as streams; the only file that imports soundfile."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Union, cast

from ..extras import missing
from ..protocol.formats import RawFormat, require_whole_samples
from .files import BinaryTarget, WholeFile
from .kinds import EncodedKind, Kind, StreamKind, sound_kind_of
from .wav import WavWriter, streamed_wav_header

if TYPE_CHECKING:
    from typing import IO

Buffer = Union[bytes, bytearray, memoryview]
_LIBRARY_NAMES = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "flac": ("FLAC", "PCM_16"),
}
_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATES: dict[str, tuple[int, ...]] = {"mp3": _MPEG_RATES, "opus": (8000, 12000, 16000, 24000, 48000)}
"""Sample rates in Hz that a kind takes, where it does not take any."""

_STREAM_LEVEL = 0.65
"""Of libsndfile's range for MP3 of a constant bit rate: 128 kbit/s from 32 kHz on, 64 from 16 kHz on, 24 below."""

_SLICE_BYTES = 1 << 17
"""What is encoded at a time: some versions of libvorbis keep all that they are given on the stack."""
_LEAST_BYTES = 1 << 14
"""And of a file at least: a call costs as much as encoding a tenth of a small chunk."""


def check(kind: str, fmt: Optional[RawFormat]) -> None:
    """Find what keeps audio from being written so, before there is any.

    Args:
        kind: One of ``Kind`` or ``StreamKind``.
        fmt: The audio's format; None where it is not known yet.

    Raises:
        ImportError: The extra ``audio`` is not installed, and it is needed.
        ValueError: The kind does not take the sample rate.
    """
    if kind in ("raw", "wav"):
        return
    if kind not in _LIBRARY_NAMES:
        raise ValueError(f"expected 'wav', 'mp3', 'ogg', 'opus' or 'flac'; got {kind!r}")
    _soundfile()
    rates = _RATES.get(kind)
    if fmt is not None and rates is not None and fmt.sample_rate not in rates:
        raise ValueError(
            f"{kind} takes the sample rates {', '.join(map(str, rates))} Hz; the audio has {fmt.sample_rate} Hz: ask "
            "for one of them in output_format, or write another kind"
        )


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # it raises OSError where its wheel brings no libsndfile
        raise missing("audio", "MP3, Ogg, Opus and FLAC need soundfile", cause=error) from error
    return soundfile


class _Outlet:
    """The file that libsndfile sees. What is raised in here it cannot pass on: it is kept, and raised afterwards."""

    def __init__(self, write: Callable[[bytes, int], object], read: Optional[Callable[[int, int], bytes]]) -> None:
        self._write = write
        self._read = read
        self._at = self._end = 0
        self.failure: Optional[BaseException] = None

    def write(self, content: bytes) -> int:
        if self.failure is not None:
            return 0
        try:
            self._write(content, self._at)
            self._at += len(content)
            self._end = max(self._end, self._at)
        except BaseException as error:  # Ctrl-C too: out of a callback of C nothing else would come of it
            self.failure = error
            return 0
        return len(content)

    def read(self, count: int) -> bytes:
        content = b"" if self._read is None else self._read(self._at, count)
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


class _Encoder:
    """Gives audio to libsndfile, in whole samples of 16 bits."""

    def __init__(self, kind: str, fmt: RawFormat, outlet: _Outlet, **settings: Any) -> None:
        check(kind, fmt)
        container, encoding = _LIBRARY_NAMES[kind]
        self._encoding = fmt.encoding
        self._sample_bytes = fmt.sample_bytes
        self._rest = b""  # of a sample that is split between two pieces
        self._outlet = outlet
        self._file: Any = _soundfile().SoundFile(
            outlet, "w", fmt.sample_rate, 1, format=container, subtype=encoding, **settings
        )

    def write(self, audio: Buffer) -> None:
        from .samples import to_integers

        joined = self._rest + bytes(audio) if self._rest else audio
        whole = memoryview(joined).nbytes // self._sample_bytes * self._sample_bytes
        view = memoryview(joined).cast("B")
        for start in range(0, whole, _SLICE_BYTES):
            integers = to_integers(view[start : min(start + _SLICE_BYTES, whole)], self._encoding)
            self._do(functools.partial(self._file.buffer_write, integers, "int16"))
        self._rest = bytes(view[whole:])

    def finish(self) -> None:
        """Let all of it out."""
        self._do(self._file.close)

    def close(self) -> None:
        """Give the library's memory back, whatever became of the audio."""
        self._outlet.failure = self._outlet.failure or ValueError("nothing is to be written any more")
        if not self._file.closed:
            self._file.close()

    def _do(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception:  # it says no more than that it failed; what failed is kept by the outlet
            if self._outlet.failure is None:
                raise
        if self._outlet.failure is not None:
            raise self._outlet.failure


class EncodedWriter:
    """Write an MP3, Ogg, Opus or FLAC file as the audio comes; it appears under its name only when whole.

    As ``WavWriter``, and for the errors of the file see ``WholeFile``. FLAC has 16 bits here, whatever came.
    An interrupt in the instant in which libsndfile hands over its bytes may come out as a
    ``soundfile.LibsndfileError``, since no exception passes through it; there is no file then either.

    Threads: one writer belongs to one thread; waits for the disk alone.
    """

    def __init__(
        self, target: str | os.PathLike[str] | BinaryTarget, kind: EncodedKind, fmt: Optional[RawFormat] = None
    ) -> None:
        """Take note of the target; nothing is opened before the ``with`` block begins.

        Args:
            target: The file's name, or a writable binary file object; see ``WholeFile``.
            kind: What to write.
            fmt: The audio's format; None where it is not known yet: set it before the first ``write``.

        Raises:
            ImportError: The extra ``audio`` is not installed.
            ValueError: The kind does not take the sample rate.
        """
        check(kind, fmt)
        self._whole = WholeFile(target)
        self._kind = kind
        self._encoder: Optional[_Encoder] = None
        self._waiting = bytearray()  # for more, so that the encoder is not called for each chunk
        self._file: Optional[IO[bytes]] = None  # inside the block
        self.format = fmt
        #: How much audio has been written, in bytes.
        self.audio_bytes = 0

    @property
    def seconds(self) -> float:
        """How long the audio written so far plays."""
        return 0.0 if self.format is None else self.format.seconds(self.audio_bytes)

    def __enter__(self) -> EncodedWriter:
        self.audio_bytes, self._encoder, self._waiting = 0, None, bytearray()
        self._file = self._whole.__enter__()
        return self

    def write(self, audio: Buffer) -> None:
        """Add audio; the pieces need not end with whole samples, only all of them together.

        Raises:
            ValueError: The kind does not take the sample rate, no format was set, or not inside the ``with`` block.
            OSError: The file cannot be written.
        """
        if self._file is None:
            raise ValueError("an EncodedWriter writes only inside its `with` block")
        encoder = self._begun(self._file)
        self._waiting += audio
        self.audio_bytes += memoryview(audio).nbytes
        if len(self._waiting) >= _LEAST_BYTES:
            waiting, self._waiting = self._waiting, bytearray()
            encoder.write(waiting)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        try:
            if error is None and file is not None:
                encoder = self._begun(file)
                assert self.format is not None
                require_whole_samples(self.audio_bytes, self.format.encoding)
                encoder.write(self._waiting)
                encoder.finish()
        except BaseException as failure:  # Ctrl-C too: what is not finished is no file
            self._whole.__exit__(type(failure), failure, failure.__traceback__)
            raise
        finally:
            if self._encoder is not None:
                self._encoder.close()
        self._whole.__exit__(kind, error, traceback)

    def _begun(self, file: IO[bytes]) -> _Encoder:
        if self._encoder is None:
            if self.format is None:
                raise ValueError("the audio's format is not known: set the writer's `format` before the first write")

            def write(content: bytes, at: int) -> None:
                if file.tell() != at:
                    file.seek(at)
                file.write(content)

            def read(at: int, count: int) -> bytes:
                file.seek(at)
                return file.read(count)

            self._encoder = _Encoder(self._kind, self.format, _Outlet(write, read))
        return self._encoder


def writer(
    target: str | os.PathLike[str] | BinaryTarget, kind: Kind, fmt: Optional[RawFormat] = None
) -> Union[WavWriter, EncodedWriter]:
    """Return what writes a kind of file; both are used alike.

    Raises: as ``EncodedWriter``.
    """
    return WavWriter(target, fmt) if kind == "wav" else EncodedWriter(target, kind, fmt)


def save_sound(
    target: str | os.PathLike[str] | BinaryTarget, kind: Optional[str], fmt: RawFormat, audio: Iterable[Buffer]
) -> float:
    """Write all of it to a file; return its length in seconds.

    Args:
        target: The file's name, or a writable binary file object.
        kind: One of ``Kind``; None goes by the name's suffix, and writes WAV where that says nothing.
        fmt: The audio's format.
        audio: It, in pieces.

    Raises: as ``check`` and ``sound_kind_of``; OSError where the file cannot be written.
    """
    chosen = sound_kind_of(target) if kind is None else cast("Kind", kind)
    with writer(target, chosen, fmt) as file:
        for piece in audio:
            file.write(piece)
    return file.seconds


class StreamEncoder:
    """Turn audio into the bytes of a file that are right as they leave: nothing in it is written again at its end.

    ``raw`` is the audio itself. ``wav`` has a head of open length (0xFFFFFFFF), which players read to the end. ``mp3``
    has a constant bit rate, and no Xing frame, which would hold the length. ``ogg`` (Vorbis) and ``opus`` leave page by
    page, and a page of quiet speech may hold a few seconds. FLAC cannot be streamed so: its head holds a length and a
    sum.

    Threads: one.
    """

    def __init__(self, kind: StreamKind, fmt: RawFormat) -> None:
        """Take the kind of bytes, and the audio's format.

        Raises:
            ImportError: The extra ``audio`` is not installed, and it is needed.
            ValueError: The kind cannot be streamed, or does not take the sample rate.
        """
        check_stream(kind, fmt)
        self._format = fmt
        self._pieces: list[bytes] = [streamed_wav_header(fmt)] if kind == "wav" else []
        self._encoder: Optional[_Encoder] = None
        self._sent = 0
        self._skips_first = kind == "mp3"
        if kind in _LIBRARY_NAMES:
            # Without a level soundfile drops the mode.
            settings = {"bitrate_mode": "CONSTANT", "compression_level": _STREAM_LEVEL} if kind == "mp3" else {}
            self._encoder = _Encoder(kind, fmt, _Outlet(self._keep, None), **settings)
        self.audio_bytes = 0

    def _keep(self, content: bytes, at: int) -> None:
        if at < self._sent:
            return  # the head once more, which has left
        self._sent = at + len(content)
        if self._skips_first:
            self._skips_first = False  # the Xing frame, still empty, is written by itself
            return
        self._pieces.append(content)

    def write(self, audio: Buffer) -> bytes:
        """Take audio, whose pieces need not end with whole samples, and return the bytes that are ready; maybe none."""
        self.audio_bytes += memoryview(audio).nbytes
        if self._encoder is None:
            self._pieces.append(bytes(audio))
        else:
            self._encoder.write(audio)
        return self._ready()

    def finish(self) -> bytes:
        """Return the rest.

        Raises:
            ValueError: The audio does not end with a whole sample.
        """
        require_whole_samples(self.audio_bytes, self._format.encoding)
        if self._encoder is not None:
            self._encoder.finish()
        return self._ready()

    def close(self) -> None:
        """Give the library's memory back. Idempotent."""
        if self._encoder is not None:
            self._encoder.close()

    def _ready(self) -> bytes:
        ready, self._pieces = b"".join(self._pieces), []
        return ready


def check_stream(kind: str, fmt: Optional[RawFormat]) -> None:
    """Find what keeps audio from being streamed so, before there is any. Raises as ``check``."""
    if kind == "flac":
        raise ValueError(
            "FLAC cannot be streamed: its head holds a length and a sum, which are known at the end alone; "
            "save it as a file, or stream 'wav', 'mp3', 'ogg', 'opus' or 'raw'"
        )
    if kind not in ("raw", "wav", "mp3", "ogg", "opus"):
        raise ValueError(f"expected 'raw', 'wav', 'mp3', 'ogg' or 'opus'; got {kind!r}")
    check(kind, fmt)
