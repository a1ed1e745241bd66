from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.audio.samples import to_integers, to_samples
from cartesia_sync.protocol.formats import ENCODINGS, RawFormat

ALL_CODES = bytes(range(256))
TELEPHONE = RawFormat("pcm_mulaw", 8000)


def expand_mulaw(code: int) -> int:
    """Decode as the G.711 recommendation defines it: 14-bit magnitudes, one code at a time."""
    code ^= 0xFF
    magnitude = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return 4 * (-magnitude if code & 0x80 else magnitude)


def expand_alaw(code: int) -> int:
    """Decode as the G.711 recommendation defines it: 13-bit magnitudes, one code at a time."""
    code ^= 0x55
    mantissa, exponent = code & 15, code >> 4 & 7
    magnitude = 2 * mantissa + 1 if exponent == 0 else (2 * mantissa + 33) << (exponent - 1)
    return 8 * (magnitude if code & 0x80 else -magnitude)


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
