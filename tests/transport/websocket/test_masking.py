from __future__ import annotations

import io

import pytest

from cartesia_sync.transport.websocket.masking import masked_frame

from ...support.far_end import BINARY, read_frame


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 3200, 65535, 65536, 70001])
def test_a_frame_of_each_length_says_what_it_was_given(size: int) -> None:
    data = bytes(number * 7 % 256 for number in range(size))
    frames = io.BytesIO(masked_frame(data, BINARY) + masked_frame(data[::-1], BINARY))
    assert [read_frame(frames), read_frame(frames), frames.read()] == [(BINARY, data), (BINARY, data[::-1]), b""]


def test_each_frame_has_a_mask_of_its_own() -> None:
    assert len({masked_frame(bytes(8), BINARY) for _ in range(20)}) == 20
