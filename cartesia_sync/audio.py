"""Raw audio as numpy arrays and as WAV files; the only file that imports numpy."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import struct
from types import TracebackType
from typing import IO, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from .protocol.formats import RawFormat, bytes_per_sample

Buffer = Union[bytes, bytearray, memoryview]

_FULL_SCALE = 32768  # the 16-bit integer that stands for 1.0

# RIFF counts in 32 bits. 64 bytes below that leave room for the longest header and the padding byte.
_MAX_AUDIO_BYTES = 2**32 - 64

_WAV_FORMAT_TAGS = {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}


def _mulaw_expansion() -> NDArray[np.int16]:
    """Make the G.711 mu-law table: code -> 16-bit linear sample."""
    code = ~np.arange(256) & 0xFF  # sent with all bits inverted
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_expansion() -> NDArray[np.int16]:
    """Make the G.711 A-law table: code -> 16-bit linear sample."""
    code = np.arange(256) ^ 0x55  # sent with every other bit inverted
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    # The first two segments are one straight line; from the second on there is a hidden leading bit.
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_EXPANSIONS = {"pcm_mulaw": _mulaw_expansion(), "pcm_alaw": _alaw_expansion()}


def _require_whole_samples(audio_bytes: int, encoding: str) -> None:
    left_over = audio_bytes % bytes_per_sample(encoding)
    if left_over:
        raise ValueError(
            f"expected whole samples of {bytes_per_sample(encoding)} bytes each ({encoding}): "
            f"{left_over} of {audio_bytes} bytes are left over"
        )


def to_samples(audio: Buffer, encoding: str) -> NDArray[np.float32]:
    """Turn raw audio into floating-point samples, -1 to 1 whatever the encoding.

    ``pcm_f32le`` is taken as it was sent, not clipped: what lies beyond -1 and 1 (or is NaN) stays.

    Returns:
        float32, shape ``(n,)``, in native byte order; a copy, the caller's own to change.

    Raises:
        ValueError: An unknown encoding, or audio that does not hold whole samples.
    """
    if encoding == "pcm_f32le":
        _require_whole_samples(memoryview(audio).nbytes, encoding)
        return np.frombuffer(audio, "<f4").astype(np.float32)
    return np.divide(to_integers(audio, encoding), _FULL_SCALE, dtype=np.float32)


def to_integers(audio: Buffer, encoding: str) -> NDArray[np.int16]:
    """Turn raw audio into 16-bit linear samples.

    ``pcm_s16le`` is taken as it was sent; mu-law and A-law are expanded as G.711 says. ``pcm_f32le`` is
    multiplied by 32768, rounded half to even and clipped to -32768 ... 32767; NaN becomes 0.

    Returns:
        int16, shape ``(n,)``, in native byte order; a copy, the caller's own to change.

    Raises:
        ValueError: An unknown encoding, or audio that does not hold whole samples.
    """
    _require_whole_samples(memoryview(audio).nbytes, encoding)
    if encoding == "pcm_s16le":
        return np.frombuffer(audio, "<i2").astype(np.int16)
    if encoding in _EXPANSIONS:
        return _EXPANSIONS[encoding][np.frombuffer(audio, np.uint8)]
    samples = np.nan_to_num(to_samples(audio, encoding), copy=False, nan=0.0)
    # Clipped before too, for the largest floats would overflow when multiplied.
    scaled = np.rint(np.clip(samples, -1, 1) * np.float32(_FULL_SCALE))
    integers: NDArray[np.int16] = np.minimum(scaled, _FULL_SCALE - 1).astype(np.int16)
    return integers


def _wav_header(fmt: RawFormat, audio_bytes: int) -> bytes:
    """Make everything that stands before the samples; its length depends on the encoding alone."""
    sample_bytes = fmt.sample_bytes
    byte_rate = fmt.sample_rate * sample_bytes
    tag = _WAV_FORMAT_TAGS[fmt.encoding]
    description = struct.pack("<HHIIHH", tag, 1, fmt.sample_rate, byte_rate, sample_bytes, 8 * sample_bytes)
    if fmt.encoding == "pcm_s16le":
        fact = b""
    else:
        # All but plain PCM say how long their extension is (0), and how many samples there are ("fact").
        description += struct.pack("<H", 0)
        fact = struct.pack("<4sII", b"fact", 4, audio_bytes // sample_bytes)
    chunks = struct.pack("<4sI", b"fmt ", len(description)) + description + fact
    chunks += struct.pack("<4sI", b"data", audio_bytes)
    riff_bytes = len(b"WAVE") + len(chunks) + audio_bytes + audio_bytes % 2
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + chunks


class BinaryTarget(Protocol):
    """What takes bytes, as a file opened with ``"wb"`` does."""

    def write(self, content: bytes, /) -> object:
        """Take all of the bytes."""


class WavWriter:
    """Write a WAV file as the audio comes; it appears under its name only when whole.

    If the ``with`` block ends with an exception, no file is made, and one that was there stays as it was::

        with WavWriter("hello.wav", fmt) as wav:
            for chunk in chunks:
                wav.write(chunk)

    Threads: one writer belongs to one thread; waits for the disk alone.
    """

    def __init__(self, target: str | os.PathLike[str] | BinaryTarget, fmt: RawFormat) -> None:
        """Take note of the target; nothing is opened before the ``with`` block begins.

        Args:
            target: The file's name, or a writable binary file object. Such an object need not be seekable:
                the audio is collected in memory and written in one piece at the end; it is left open.
            fmt: What the audio is, and so what the header says.
        """
        if isinstance(target, io.TextIOBase):
            raise TypeError("expected a file opened for binary writing ('wb'), got one opened for text")
        self._target: BinaryTarget | None = None
        self._path = ""
        if isinstance(target, (str, os.PathLike)):
            self._path = os.fspath(target)
        elif hasattr(target, "write"):
            self._target = target
        else:
            raise TypeError(f"expected a path or a binary file object, got {target!r}")
        self._format = fmt
        # Inside the block: the file under work, and for a path also its name and the one it will get.
        self._file: IO[bytes] | None = None
        self._part_path = self._whole_path = ""
        #: How much audio has been written.
        self.audio_bytes = 0

    @property
    def seconds(self) -> float:
        """How long the audio written so far plays."""
        return self._format.seconds(self.audio_bytes)

    def __enter__(self) -> WavWriter:
        self.audio_bytes = 0
        header = _wav_header(self._format, 0)  # keeps the place of the true one
        self._file = io.BytesIO() if self._target is not None else self._open_part()
        self._file.write(header)
        return self

    def write(self, audio: Buffer) -> None:
        """Add audio; the pieces need not end with whole samples, only all of them together.

        Raises:
            ValueError: More than a WAV file can hold (4 GiB), or not inside the ``with`` block.
        """
        if self._file is None:
            raise ValueError("a WavWriter writes only inside its `with` block")
        audio_bytes = self.audio_bytes + memoryview(audio).nbytes
        if audio_bytes > _MAX_AUDIO_BYTES:
            raise ValueError(f"a WAV file holds at most {_MAX_AUDIO_BYTES} bytes of audio, got {audio_bytes}")
        self._file.write(audio)
        self.audio_bytes = audio_bytes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        assert file is not None
        try:
            if error is None:
                self._finish(file)
        finally:
            # Nothing of this may hide what went wrong. After success there is nothing left to do.
            with contextlib.suppress(OSError):
                file.close()
            if self._target is None:
                with contextlib.suppress(OSError):
                    os.unlink(self._part_path)

    def _open_part(self) -> IO[bytes]:
        # Links are followed, as `open` would; and a later chdir does not matter.
        path = os.path.realpath(self._path)
        if os.path.exists(path) and not os.path.isfile(path):
            # Renaming would put a file in place of, say, /dev/null.
            raise FileExistsError(f"{self._path!r} is no ordinary file; open it and pass the file object")
        # Not by tempfile: its files are for the owner alone, and the umask, by which to widen that, can only
        # be read by changing it, for all threads. "x" is as exclusive, and takes the umask into account.
        self._part_path = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.part")
        self._whole_path = path
        return open(self._part_path, "xb")

    def _finish(self, file: IO[bytes]) -> None:
        _require_whole_samples(self.audio_bytes, self._format.encoding)
        if self.audio_bytes % 2:
            file.write(b"\0")  # chunks begin at even places
        file.seek(0)
        file.write(_wav_header(self._format, self.audio_bytes))
        if self._target is None:
            file.close()
            # Without fsync: no other process ever sees a part of the file, and audio that can be made again
            # is not worth a wait for the disk to survive a power cut.
            os.replace(self._part_path, self._whole_path)
            return
        file.seek(0)
        whole = file.read()
        written = self._target.write(whole)
        if isinstance(written, int) and written < len(whole):  # an unbuffered file raises nothing itself
            raise OSError(f"only {written} of {len(whole)} bytes could be written")


def wav_bytes(audio: Buffer, fmt: RawFormat) -> bytes:
    """Put a WAV header before raw audio.

    Raises:
        ValueError: The audio does not hold whole samples, or is too long for a WAV file (4 GiB).
    """
    whole = io.BytesIO()
    with WavWriter(whole, fmt) as wav:
        wav.write(audio)
    return whole.getvalue()
