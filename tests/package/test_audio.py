from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync import audio
from cartesia_sync.audio import WavWriter, to_integers, to_samples, wav_bytes
from cartesia_sync.protocol.formats import ENCODINGS, RawFormat

ALL_CODES = bytes(range(256))
TELEPHONE = RawFormat("pcm_mulaw", 8000)


def expand_mulaw(code: int) -> int:
    """Decode as the G.711 recommendation tells it: 14-bit magnitudes, one code at a time."""
    code ^= 0xFF
    magnitude = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return 4 * (-magnitude if code & 0x80 else magnitude)


def expand_alaw(code: int) -> int:
    """Decode as the G.711 recommendation tells it: 13-bit magnitudes, one code at a time."""
    code ^= 0x55
    mantissa, exponent = code & 15, code >> 4 & 7
    magnitude = 2 * mantissa + 1 if exponent == 0 else (2 * mantissa + 33) << (exponent - 1)
    return 8 * (magnitude if code & 0x80 else -magnitude)


def riff_chunks(content: bytes) -> dict[bytes, bytes]:
    """Take a WAV file apart; what a strict reader would refuse, fails."""
    assert content[:4] == b"RIFF"
    assert content[8:12] == b"WAVE"
    assert struct.unpack("<I", content[4:8]) == (len(content) - 8,)
    chunks: dict[bytes, bytes] = {}
    place = 12
    while place < len(content):
        name, size = struct.unpack("<4sI", content[place : place + 8])
        chunks[name] = content[place + 8 : place + 8 + size]
        assert len(chunks[name]) == size
        place += 8 + size + size % 2
    assert place == len(content)
    return chunks


# ---- samples


def test_mulaw_expands_as_g711_says() -> None:
    assert to_integers(ALL_CODES, "pcm_mulaw").tolist() == [expand_mulaw(code) for code in ALL_CODES]
    assert to_integers(b"\x00\x7f\x80\xff", "pcm_mulaw").tolist() == [-32124, 0, 32124, 0]


def test_alaw_expands_as_g711_says() -> None:
    assert to_integers(ALL_CODES, "pcm_alaw").tolist() == [expand_alaw(code) for code in ALL_CODES]
    assert to_integers(b"\x2a\x55\xaa\xd5", "pcm_alaw").tolist() == [-32256, -8, 32256, 8]


@given(st.lists(st.integers(-32768, 32767)))
def test_16_bit_samples_are_taken_as_sent(integers: list[int]) -> None:
    content = struct.pack(f"<{len(integers)}h", *integers)
    assert to_integers(content, "pcm_s16le").tolist() == integers
    assert to_samples(content, "pcm_s16le").tolist() == [integer / 32768 for integer in integers]


@given(st.lists(st.floats(width=32)))
def test_float_samples_are_taken_as_sent(floats: list[float]) -> None:
    content = struct.pack(f"<{len(floats)}f", *floats)
    np.testing.assert_array_equal(to_samples(content, "pcm_f32le"), np.array(floats, np.float32))


@given(st.lists(st.floats(width=32)))
def test_float_samples_are_rounded_and_clipped_to_16_bits(floats: list[float]) -> None:
    def integer(sample: float) -> int:
        if sample != sample:
            return 0
        return round(max(-32768.0, min(sample * 32768, 32767.0)))

    content = struct.pack(f"<{len(floats)}f", *floats)
    assert to_integers(content, "pcm_f32le").tolist() == [integer(sample) for sample in floats]


def test_float_samples_at_the_edges_of_16_bits() -> None:
    largest = 3.4028234663852886e38
    edges = [1.0, -1.0, 0.5 / 32768, 1.5 / 32768, -0.5 / 32768, float("nan"), float("inf"), -largest, largest]
    content = struct.pack(f"<{len(edges)}f", *edges)
    assert to_integers(content, "pcm_f32le").tolist() == [32767, -32768, 0, 2, 0, 0, 32767, -32768, 32767]


@pytest.mark.parametrize("encoding", ["pcm_mulaw", "pcm_alaw"])
def test_companded_samples_are_the_integers_over_full_scale(encoding: str) -> None:
    samples = to_samples(ALL_CODES, encoding)
    assert (samples * 32768).tolist() == to_integers(ALL_CODES, encoding).tolist()
    assert 0.98 < samples.max() < 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("convert", [to_samples, to_integers])
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_arrays_are_the_callers_own(encoding: str, convert: Any, buffer: Any) -> None:
    content = bytearray(b"\x11\x22\x33\x3f" * 3)
    sent = memoryview(content) if buffer is memoryview else buffer(content)
    array = convert(sent, encoding)
    assert array.dtype == (np.float32 if convert is to_samples else np.int16)
    assert array.dtype.isnative
    assert array.shape == (12 // ENCODINGS[encoding],)
    array[:] = 1
    assert content == b"\x11\x22\x33\x3f" * 3
    assert convert(sent, encoding)[0] != 1
    assert convert(buffer(b""), encoding).shape == (0,)


def test_memoryviews_are_counted_in_bytes_not_in_items() -> None:
    view = memoryview(np.array([0.25, -0.5, 0.75], np.dtype("<f4")).data)
    assert to_samples(view, "pcm_f32le").tolist() == [0.25, -0.5, 0.75]
    view = memoryview(np.array([1, -2, 3], np.dtype("<i2")).data)
    assert to_integers(view, "pcm_s16le").tolist() == [1, -2, 3]


@pytest.mark.parametrize("convert", [to_samples, to_integers])
def test_broken_samples_are_refused_with_their_numbers(convert: Any) -> None:
    with pytest.raises(ValueError, match=r"4 bytes each \(pcm_f32le\): 3 of 19 bytes"):
        convert(bytes(19), "pcm_f32le")
    with pytest.raises(ValueError, match=r"2 bytes each \(pcm_s16le\): 1 of 7 bytes"):
        convert(bytes(7), "pcm_s16le")
    with pytest.raises(ValueError, match="unknown encoding 'opus'"):
        convert(b"", "opus")


# ---- WAV


@given(content=st.binary().map(lambda b: b[: len(b) // 2 * 2]), rate=st.integers(1, 192000))
def test_plain_pcm_is_read_back_by_the_standard_library(content: bytes, rate: int) -> None:
    fmt = RawFormat("pcm_s16le", rate)
    with wave.open(io.BytesIO(wav_bytes(content, fmt))) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, rate)
        assert read.readframes(read.getnframes()) == content


def test_plain_pcm_has_the_shortest_header() -> None:
    assert len(wav_bytes(b"", RawFormat("pcm_s16le", 8000))) == 44


@pytest.mark.parametrize(("encoding", "tag"), [("pcm_f32le", 3), ("pcm_alaw", 6), ("pcm_mulaw", 7)])
@pytest.mark.parametrize("samples", [0, 1, 7, 8])
def test_other_encodings_have_their_tag_and_a_fact_chunk(encoding: str, tag: int, samples: int) -> None:
    size = ENCODINGS[encoding]
    content = os.urandom(samples * size)
    chunks = riff_chunks(wav_bytes(content, RawFormat(encoding, 22050)))
    assert list(chunks) == [b"fmt ", b"fact", b"data"]
    assert struct.unpack("<HHIIHHH", chunks[b"fmt "]) == (tag, 1, 22050, 22050 * size, size, 8 * size, 0)
    assert struct.unpack("<I", chunks[b"fact"]) == (samples,)
    assert chunks[b"data"] == content


@given(pieces=st.lists(st.binary(max_size=9)), encoding=st.sampled_from(sorted(ENCODINGS)))
def test_pieces_need_not_be_whole_samples(pieces: list[bytes], encoding: str) -> None:
    total = sum(map(len, pieces))
    pieces.append(bytes(-total % ENCODINGS[encoding]))
    fmt = RawFormat(encoding, 16000)
    target = io.BytesIO()
    with WavWriter(target, fmt) as wav:
        for piece in pieces:
            wav.write(piece)
    content = b"".join(pieces)
    assert riff_chunks(target.getvalue())[b"data"] == content
    assert wav.audio_bytes == len(content)
    assert wav.seconds == fmt.seconds(len(content))


@pytest.mark.parametrize("as_path", [str, Path])
def test_file_appears_only_when_whole(tmp_path: Path, as_path: Any) -> None:
    path = tmp_path / "a.wav"
    with WavWriter(as_path(path), TELEPHONE) as wav:
        wav.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == wav_bytes(b"abc", TELEPHONE)
    assert os.listdir(tmp_path) == ["a.wav"]


def test_relative_path_means_the_folder_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with WavWriter("a.wav", TELEPHONE) as wav:
        monkeypatch.chdir(tmp_path / "elsewhere")
        wav.write(b"abc")
    assert (tmp_path / "a.wav").read_bytes() == wav_bytes(b"abc", TELEPHONE)


def fail_in_the_block(wav: WavWriter) -> None:
    raise KeyboardInterrupt("stop")


def write_half_a_sample(wav: WavWriter) -> None:
    wav.write(b"\0")


def write_too_much(wav: WavWriter) -> None:
    # Four gigabytes of one byte: nothing is copied, for the sum is looked at first.
    wav.write(memoryview(np.broadcast_to(np.uint8(0), 2**32 - 65).data))


@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [
        (fail_in_the_block, KeyboardInterrupt, "stop"),
        (write_half_a_sample, ValueError, "1 of 5 bytes are left over"),
        (write_too_much, ValueError, "at most 4294967232 bytes of audio, got 4294967235"),
    ],
)
@pytest.mark.parametrize("before", [None, b"an older file"])
def test_failure_leaves_the_folder_as_it_was(
    tmp_path: Path, fail: Any, error: type[BaseException], message: str, before: bytes | None
) -> None:
    path = tmp_path / "a.wav"
    if before is not None:
        path.write_bytes(before)
    listing = os.listdir(tmp_path)

    def run() -> None:
        with WavWriter(path, RawFormat("pcm_s16le", 8000)) as wav:
            wav.write(b"abcd")
            fail(wav)

    with pytest.raises(error, match=message):
        run()
    assert os.listdir(tmp_path) == listing
    assert before is None or path.read_bytes() == before


def test_failed_rename_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError("in use")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError, match="in use"), WavWriter(tmp_path / "a.wav", TELEPHONE) as wav:
        wav.write(b"abc")
    assert os.listdir(tmp_path) == []


def test_older_file_is_replaced_through_its_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.wav", tmp_path / "link.wav"
    real.write_bytes(b"an older file")
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("links are not allowed here")
    with WavWriter(link, TELEPHONE) as wav:
        wav.write(b"abc")
    assert link.is_symlink()
    assert real.read_bytes() == wav_bytes(b"abc", TELEPHONE)


@pytest.mark.parametrize("path", [os.devnull, os.curdir])
def test_devices_and_folders_are_never_replaced(path: str) -> None:
    with pytest.raises(FileExistsError, match="no ordinary file"), WavWriter(path, TELEPHONE):
        pytest.fail("the block was entered")


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_an_ordinary_new_files(tmp_path: Path, umask: int, mode: int) -> None:
    """In a process of its own, for the umask belongs to all threads."""
    program = (
        "import os, sys; from cartesia_sync.audio import WavWriter; "
        "from cartesia_sync.protocol.formats import RawFormat\n"
        "os.umask(int(sys.argv[2]))\n"
        "with WavWriter(sys.argv[1], RawFormat('pcm_alaw', 8000)): pass"
    )
    path = tmp_path / "a.wav"
    subprocess.run([sys.executable, "-c", program, str(path), str(umask)], check=True, timeout=20)
    assert stat.S_IMODE(path.stat().st_mode) == mode


class OneWay(io.RawIOBase):
    """A raw file that cannot seek, and takes only so many bytes at once."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.most = most
        self.writes: list[bytes] = []

    def write(self, content: Any) -> int:
        self.writes.append(bytes(content)[: self.most])
        return len(self.writes[-1])


def test_file_object_gets_the_whole_once_and_stays_open() -> None:
    target = OneWay()
    with WavWriter(target, TELEPHONE) as wav:
        wav.write(b"abc")
        wav.write(b"de")
        assert target.writes == []
    assert target.writes == [wav_bytes(b"abcde", TELEPHONE)]
    assert not target.closed


def test_file_object_that_takes_a_part_only_is_an_error() -> None:
    with pytest.raises(OSError, match="only 40 of 62 bytes"), WavWriter(OneWay(most=40), TELEPHONE) as wav:
        wav.write(b"abc")


def test_file_object_gets_nothing_of_a_failed_block() -> None:
    target = OneWay()
    with pytest.raises(KeyboardInterrupt), WavWriter(target, TELEPHONE) as wav:
        fail_in_the_block(wav)
    assert target.writes == []


@pytest.mark.parametrize("target", [io.StringIO(), 3, None])
def test_what_cannot_be_written_to_is_refused_at_once(target: Any) -> None:
    with pytest.raises(TypeError, match="expected a"):
        WavWriter(target, TELEPHONE)


def test_writing_outside_the_block_is_refused_and_a_second_block_starts_anew() -> None:
    target = io.BytesIO()
    wav = WavWriter(target, TELEPHONE)
    with pytest.raises(ValueError, match="inside its `with` block"):
        wav.write(b"a")
    with wav:
        wav.write(b"abc")
    with pytest.raises(ValueError, match="inside its `with` block"):
        wav.write(b"a")
    with wav:
        wav.write(b"de")
    assert target.getvalue() == wav_bytes(b"abc", TELEPHONE) + wav_bytes(b"de", TELEPHONE)


def test_header_of_the_longest_audio_fits_into_32_bits() -> None:
    for encoding in ENCODINGS:
        header = audio._wav_header(RawFormat(encoding, 48000), audio._MAX_AUDIO_BYTES)
        (riff_bytes,) = struct.unpack("<I", header[4:8])
        assert riff_bytes == len(header) - 8 + audio._MAX_AUDIO_BYTES
