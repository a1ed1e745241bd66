"""WAV files: written as the audio comes, and read back, streamed ones too."""

from __future__ import annotations

import io
import os
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.audio import wav
from cartesia_sync.audio.wav import MAX_HEADER_BYTES, WavWriter, read_wav, wav_bytes, with_true_lengths
from cartesia_sync.protocol.formats import ENCODINGS, RawFormat

TELEPHONE = RawFormat("pcm_mulaw", 8000)
UNKNOWN = [0, 0xFFFFFFFF]


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


# ---- a format that is known late, and a writing that is interrupted

PCM = RawFormat("pcm_s16le", 8000)


def test_the_format_may_be_said_when_the_file_is_open(tmp_path: Path) -> None:
    for target in (tmp_path / "a.wav", io.BytesIO()):
        with WavWriter(target) as wav:
            assert wav.format is None
            assert (wav.seconds, wav.written()) == (0.0, b"")
            if isinstance(target, Path):
                assert len(os.listdir(tmp_path)) == 1
            wav.format = PCM
            wav.write(b"abc")
            wav.format = PCM
            with pytest.raises(ValueError, match=r"cannot become .*pcm_mulaw.* has been written"):
                wav.format = TELEPHONE
            wav.write(b"d")
        content = target.read_bytes() if isinstance(target, Path) else target.getvalue()
        assert content == wav_bytes(b"abcd", PCM)
        assert wav.seconds == 2 / 8000


def test_a_format_may_change_until_there_is_audio_and_for_the_next_block() -> None:
    target = io.BytesIO()
    wav = WavWriter(target, PCM)
    wav.format = TELEPHONE
    with wav:
        wav.format = PCM
        wav.write(b"ab")
    wav.format = TELEPHONE
    with wav:
        wav.write(b"abc")
    assert target.getvalue() == wav_bytes(b"ab", PCM) + wav_bytes(b"abc", TELEPHONE)


def test_without_a_format_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format is not known"), WavWriter(tmp_path / "a.wav"):
        pass
    with pytest.raises(ValueError, match="before the first write"), WavWriter(tmp_path / "a.wav") as wav:
        wav.write(b"a")
    assert os.listdir(tmp_path) == []


def test_a_bad_path_is_found_before_there_is_audio(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing, WavWriter(tmp_path / "none" / "a.wav"):
        pytest.fail("the block was entered")
    assert missing.value.filename == str(tmp_path / "none" / "a.wav")


@given(pieces=st.lists(st.binary(max_size=9), min_size=1), encoding=st.sampled_from(sorted(ENCODINGS)))
def test_what_was_written_can_be_had_back_at_any_time(pieces: list[bytes], encoding: str) -> None:
    pieces.append(bytes(-sum(map(len, pieces)) % ENCODINGS[encoding]))
    fmt, target, so_far = RawFormat(encoding, 8000), io.BytesIO(), b""
    with WavWriter(target, fmt) as wav:
        for piece in pieces:
            wav.write(piece)
            so_far += piece
            assert wav.written() == so_far
    assert target.getvalue() == wav_bytes(so_far, fmt)
    with pytest.raises(ValueError, match="inside its `with` block"):
        wav.written()


class Struck(io.BytesIO):
    """A file whose next write is interrupted when half of it is there."""

    is_struck = False

    def write(self, content: Any) -> int:
        if self.is_struck:
            self.is_struck = False
            super().write(memoryview(content)[: len(content) // 2])
            raise KeyboardInterrupt("in the midst")
        return super().write(content)


def test_a_piece_that_was_interrupted_is_written_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartesia_sync.audio.files.io.BytesIO", Struck)
    again, given_up = io.BytesIO(), io.BytesIO()
    for target in (again, given_up):
        with WavWriter(target, PCM) as wav:
            wav.write(b"abcd")
            file: Any = wav._file
            file.is_struck = True
            with pytest.raises(KeyboardInterrupt):
                wav.write(b"efghij")
            assert wav.audio_bytes == 4
            if target is again:
                wav.write(b"ef")
                assert wav.written() == b"abcdef"
    assert again.getvalue() == wav_bytes(b"abcdef", PCM)
    assert given_up.getvalue() == wav_bytes(b"abcd", PCM)


def test_header_of_the_longest_audio_fits_into_32_bits() -> None:
    for encoding in ENCODINGS:
        header = wav._wav_header(RawFormat(encoding, 48000), wav.MAX_AUDIO_BYTES)
        (riff_bytes,) = struct.unpack("<I", header[4:8])
        assert riff_bytes == len(header) - 8 + wav.MAX_AUDIO_BYTES


# ---- read


def fields(name: bytes, content: bytes, *, length: int = -1) -> bytes:
    """Make one part of a WAV file; ``length`` stands in place of the true one."""
    padding = b"\0" * (len(content) % 2)
    return struct.pack("<4sI", name, len(content) if length < 0 else length) + content + padding


def streamed(
    audio: bytes, fmt: RawFormat, *, length: int, extensible: bool = False, between: bytes = b"", fact: bytes = bytes(4)
) -> bytes:
    """Make a WAV file whose header was sent before anybody knew how long it would be."""
    size = fmt.sample_bytes
    tag = {"pcm_s16le": 1, "pcm_f32le": 3, "pcm_alaw": 6, "pcm_mulaw": 7}[fmt.encoding]
    first = 0xFFFE if extensible else tag
    description = struct.pack("<HHIIHH", first, 1, fmt.sample_rate, fmt.sample_rate * size, size, 8 * size)
    if extensible:
        kind = bytes.fromhex("000000001000800000aa00389b71")  # behind the tag, in every such sub-format
        description += struct.pack("<HHIH", 22, 8 * size, 4, tag) + kind
    parts = fields(b"fmt ", description) + fields(b"fact", fact) + between
    return struct.pack("<4sI4s", b"RIFF", length, b"WAVE") + parts + struct.pack("<4sI", b"data", length) + audio


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("samples", [0, 1, 8])
def test_what_was_written_is_read_back(encoding: str, samples: int) -> None:
    fmt, audio = RawFormat(encoding, 22050), os.urandom(samples * ENCODINGS[encoding])
    for kind in (bytes, bytearray, memoryview):
        assert read_wav(kind(wav_bytes(audio, fmt))) == (fmt, audio)


LIST = fields(b"LIST", b"INFOISFT\x05\0\0\0sox12") + fields(b"odd ", b"123")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("length", UNKNOWN)
@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("between", [b"", LIST], ids=["", "LIST"])
def test_a_streamed_file_goes_to_its_end_and_its_lengths_are_made_true(
    encoding: str, length: int, extensible: bool, between: bytes
) -> None:
    fmt, audio = RawFormat(encoding, 8000), os.urandom(24)
    whole = streamed(audio, fmt, length=length, extensible=extensible, between=between)
    assert read_wav(whole) == (fmt, audio)
    corrected = with_true_lengths(whole[:MAX_HEADER_BYTES], len(whole))
    chunks = riff_chunks(corrected)  # which is strict
    assert chunks[b"data"] == audio
    assert chunks[b"fact"] == struct.pack("<I", 24 // ENCODINGS[encoding])
    assert (b"LIST" in chunks) is bool(between)
    assert with_true_lengths(corrected, len(corrected)) == corrected
    assert with_true_lengths(whole[:-24], len(whole)) == corrected[:-24]  # of the head alone, as for a long file


@pytest.mark.parametrize("length", [*UNKNOWN, 0x7FFFFFFF, 1000])
def test_a_length_beyond_the_files_end_is_made_true_too(length: int) -> None:
    whole = streamed(b"abcd", RawFormat("pcm_s16le", 8000), length=length)
    with wave.open(io.BytesIO(with_true_lengths(whole, len(whole)))) as read:
        assert (read.getnframes(), read.readframes(9)) == (2, b"abcd")


def test_what_stands_behind_the_audio_is_no_audio() -> None:
    whole = wav_bytes(b"abcd", RawFormat("pcm_s16le", 8000)) + LIST
    assert read_wav(whole)[1] == b"abcd"
    assert with_true_lengths(whole, len(whole)) == whole


def test_a_count_of_samples_that_has_no_place_is_left_alone() -> None:
    whole = streamed(b"abcd", RawFormat("pcm_mulaw", 8000), length=0, fact=b"")
    assert riff_chunks(with_true_lengths(whole, len(whole)))[b"data"] == b"abcd"


def test_an_odd_number_of_bytes_is_read_whole() -> None:
    whole = streamed(b"abc", TELEPHONE, length=0xFFFFFFFF)
    assert read_wav(with_true_lengths(whole, len(whole))) == (TELEPHONE, b"abc")


def test_a_file_that_is_too_long_for_its_own_lengths_stays_as_it_came() -> None:
    head = streamed(b"", TELEPHONE, length=0xFFFFFFFF)
    assert with_true_lengths(head, 2**32) == head
    assert with_true_lengths(head, 3) == head


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected a WAV file, got one that begins with b''"),
        (b"ID3\x04 and so on", "expected a WAV file, got one that begins with b'ID3"),
        (b"RIFF\0\0\0\0AVI and so on", "expected a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "expected a WAV file with audio"),
        (b"RIFF\0\0\0\0WAVE" + fields(b"data", b"ab"), "says its format before its audio"),
        (b"RIFF\0\0\0\0WAVE" + fields(b"fmt ", b"short"), "format in 16 bytes or more, got 5"),
        (b"RIFF\0\0\0\0WAVE" + fields(b"fmt ", struct.pack("<HHIIHH", 1, 2, 8000, 0, 4, 16)), "channels=2"),
        (b"RIFF\0\0\0\0WAVE" + fields(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 0, 3, 24)), "bits=24"),
        (b"RIFF\0\0\0\0WAVE" + fields(b"fmt ", struct.pack("<HHIIHH", 85, 1, 8000, 0, 1, 8)), "tag=85"),
    ],
)
def test_what_cannot_be_read_is_said_so_and_written_as_it_came(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_wav(content)
    assert with_true_lengths(content, len(content)) == content


@given(
    st.lists(
        st.sampled_from(
            [b"RIFF", b"WAVE", b"fmt ", b"data", b"fact", bytes(4), b"\xff" * 4, b"\x10\0\0\0", b"\1\0\1\0"]
        )
        | st.binary(max_size=6),
        max_size=20,
    ).map(b"".join),
    st.booleans(),
)
def test_no_bytes_at_all_make_it_raise_another_exception(content: bytes, is_wav: bool) -> None:
    content = (b"RIFF1234WAVE" if is_wav else b"") + content
    corrected = with_true_lengths(content, len(content))
    assert len(corrected) == len(content)
    try:
        fmt, audio = read_wav(content)
    except ValueError:
        assert corrected == content
    else:
        assert content.endswith(audio) or audio in content
        assert fmt.encoding in ENCODINGS
