"""Files and streams of other kinds than WAV: read again by the library that made them, and by one that did not."""

from __future__ import annotations

import errno
import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import soundfile

from cartesia_sync.audio import encoders
from cartesia_sync.audio.encoders import EncodedWriter, StreamEncoder
from cartesia_sync.audio.wav import read_wav
from cartesia_sync.protocol.formats import ENCODINGS, RawFormat

FORMAT = RawFormat("pcm_s16le", 24000)
ENCODED: tuple[Any, ...] = ("mp3", "ogg", "opus", "flac")
STREAMED: tuple[Any, ...] = ("mp3", "ogg", "opus", "wav", "raw")


def tone(seconds: float, rate: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 0.5 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate)


def audio_of(fmt: RawFormat, seconds: float = 2.0) -> bytes:
    """Return a tone in an encoding; in mu-law and A-law by the table that is looked up the other way round."""
    wave = tone(seconds, fmt.sample_rate)
    if fmt.encoding == "pcm_f32le":
        return wave.astype("<f4").tobytes()
    if fmt.encoding == "pcm_s16le":
        return (wave * 32767).astype("<i2").tobytes()
    from cartesia_sync.audio.samples import to_samples

    table = to_samples(bytes(range(256)), fmt.encoding)
    return np.abs(table[None, :] - wave[:, None]).argmin(axis=1).astype(np.uint8).tobytes()


def write_all(writer: EncodedWriter, *pieces: bytes, then: BaseException | None = None) -> None:
    with writer:
        for piece in pieces:
            writer.write(piece)
        if then is not None:
            raise then


def pieces_of(audio: bytes, size: int = 999) -> list[bytes]:
    """Return pieces that do not end with whole samples."""
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def decoded(content: bytes) -> tuple[Any, int]:
    samples, rate = soundfile.read(io.BytesIO(content))
    return samples, rate


def error_of(heard: Any, wanted: Any) -> float:
    """Return how much of the wanted sound is not in what is heard, 0 to 1, wherever that begins."""
    middle = wanted[len(wanted) // 4 : len(wanted) // 2]
    spectrum_of_middle = np.abs(np.fft.rfft(middle))
    there = np.abs(np.fft.rfft(heard[len(wanted) // 4 : len(wanted) // 2]))
    return float(np.abs(there - spectrum_of_middle).max() / spectrum_of_middle.max())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", ENCODED)
def test_a_file_holds_the_audio_whatever_its_encoding_and_however_it_came(
    kind: Any, encoding: str, tmp_path: Path
) -> None:
    fmt, path = RawFormat(encoding, 24000), tmp_path / f"a.{kind}"
    with EncodedWriter(path, kind) as writer:
        for piece in pieces_of(audio_of(fmt)):
            writer.format = fmt
            writer.write(piece)
        assert not path.exists()
    samples, rate = decoded(path.read_bytes())
    assert (rate, len(samples), writer.seconds) == (24000, 48000, 2.0)
    assert error_of(samples, tone(2.0, 24000)) < 0.05
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", STREAMED)
@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_a_stream_is_right_without_being_written_again_and_has_all_of_the_audio(kind: Any, rate: int) -> None:
    fmt = RawFormat("pcm_s16le", rate)
    audio = audio_of(fmt)
    encoder = StreamEncoder(kind, fmt)
    content = b"".join([*(encoder.write(piece) for piece in pieces_of(audio)), encoder.finish()])
    encoder.close()
    if kind == "raw":
        assert content == audio
        return
    if kind == "wav":
        assert read_wav(content) == (fmt, audio)
    samples, found_rate = decoded(content)
    assert found_rate == rate
    assert 0 <= len(samples) - 2 * rate < 4000  # an MP3 has frames of one length, and a decoder's delay
    assert error_of(samples, tone(2.0, rate)) < 0.1


def frame_bytes(head: bytes) -> int:
    """Return the length of an MPEG-1 layer III frame by its head."""
    (word,) = struct.unpack(">I", head)
    assert word >> 17 == 0xFFFB >> 1, head
    kbits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[word >> 12 & 15]
    return 144000 * kbits // (44100, 48000, 32000)[word >> 10 & 3] + (word >> 9 & 1)


def test_an_mp3_stream_is_frames_of_one_bit_rate_from_its_first_byte_on_and_none_holds_a_length() -> None:
    fmt = RawFormat("pcm_s16le", 44100)
    encoder = StreamEncoder("mp3", fmt)
    content = encoder.write(audio_of(fmt)) + encoder.finish()
    at, rates = 0, set()
    while at < len(content):
        rates.add(content[at + 2] >> 4)
        at += frame_bytes(content[at : at + 4])
    assert at == len(content)
    assert rates == {9}  # 128 kbit/s
    assert b"Xing" not in content
    assert b"Info" not in content
    assert any(content[4 : frame_bytes(content[:4])])  # nor is there an empty one, which kept its place


def test_a_stream_leaves_as_it_is_made() -> None:
    encoder = StreamEncoder("mp3", FORMAT)
    ready = [len(encoder.write(piece)) for piece in pieces_of(audio_of(FORMAT), 4800)]
    assert sum(map(bool, ready)) > len(ready) / 2


@pytest.mark.parametrize(
    ("kind", "rate", "words"),
    [
        ("opus", 44100, r"opus takes the sample rates 8000, 12000, 16000, 24000, 48000 Hz; the audio has 44100 Hz"),
        ("mp3", 96000, r"mp3 takes the sample rates 8000, .* 48000 Hz; the audio has 96000 Hz"),
    ],
)
def test_a_rate_that_a_kind_does_not_take_is_said_before_a_file_is_begun(
    kind: Any, rate: int, words: str, tmp_path: Path
) -> None:
    fmt = RawFormat("pcm_s16le", rate)
    with pytest.raises(ValueError, match=words):
        EncodedWriter(tmp_path / "a", kind, fmt)
    with pytest.raises(ValueError, match=words):
        StreamEncoder(kind, fmt)
    writer = EncodedWriter(tmp_path / "a", kind)
    writer.format = fmt
    with pytest.raises(ValueError, match=words):
        write_all(writer, b"1234")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_streamed_and_what_is_unknown_says_so() -> None:
    with pytest.raises(ValueError, match="FLAC cannot be streamed"):
        encoders.check_stream("flac", FORMAT)
    with pytest.raises(ValueError, match="expected 'raw', 'wav', 'mp3', 'ogg' or 'opus'; got 'm4a'"):
        encoders.check_stream("m4a", None)
    with pytest.raises(ValueError, match="expected 'wav', 'mp3', 'ogg', 'opus' or 'flac'; got 'm4a'"):
        EncodedWriter("x", "m4a")  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("kind", ENCODED)
def test_a_file_that_ends_within_a_sample_or_was_never_begun_is_not_made(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whole samples"), EncodedWriter(tmp_path / "a", kind, FORMAT) as writer:
        writer.write(b"12345")
    with pytest.raises(ValueError, match="format is not known"), EncodedWriter(tmp_path / "a", kind):
        pass
    with pytest.raises(ValueError, match="only inside its `with` block"):
        EncodedWriter(tmp_path / "a", kind, FORMAT).write(b"12")
    with pytest.raises(KeyError):
        write_all(EncodedWriter(tmp_path / "a", kind, FORMAT), audio_of(FORMAT), then=KeyError())
    assert list(tmp_path.iterdir()) == []


class Full(io.BytesIO):
    """A disk that is full after so many bytes, or a signal that comes then."""

    def __init__(self, room: int, error: BaseException) -> None:
        super().__init__()
        self.room, self.error = room, error

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > self.room:
            raise self.error
        return super().write(content)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", ENCODED)
def test_what_is_raised_inside_of_the_library_is_raised_outside(
    kind: Any, error: BaseException, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = EncodedWriter(io.BytesIO(), kind, FORMAT)
    monkeypatch.setattr(type(writer._whole), "__enter__", lambda _: Full(1000, error))
    with pytest.raises(type(error)) as caught:
        write_all(writer, *[audio_of(FORMAT)] * 20)
    assert caught.value is error
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ENCODED)
def test_floats_that_no_sound_has_are_clipped(kind: Any) -> None:
    samples = tone(1.0, 24000).astype("<f4")
    samples[100:103] = (np.nan, 1e30, -np.inf)
    target = io.BytesIO()
    with EncodedWriter(target, kind, RawFormat("pcm_f32le", 24000)) as writer:
        writer.write(samples.tobytes())
    heard, _ = decoded(target.getvalue())
    assert len(heard) == 24000
    assert np.isfinite(heard).all()


def without_soundfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)


@pytest.mark.parametrize(
    "make", [lambda: EncodedWriter("x.mp3", "mp3"), lambda: StreamEncoder("ogg", FORMAT)], ids=["file", "stream"]
)
def test_without_the_extra_the_error_names_it(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    without_soundfile(monkeypatch)
    with pytest.raises(ImportError, match=r"pip install 'cartesia-sync\[audio\]'"):
        make()


def test_wav_and_raw_need_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without_soundfile(monkeypatch)
    for kind in ("wav", "raw"):
        encoder = StreamEncoder(kind, FORMAT)  # type: ignore[arg-type]  # a loop's variable is any text
        assert (encoder.write(b"1234") + encoder.finish()).endswith(b"1234")


def test_the_library_is_loaded_when_it_is_needed() -> None:
    code = "import sys, cartesia_sync.audio.encoders; assert 'soundfile' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
