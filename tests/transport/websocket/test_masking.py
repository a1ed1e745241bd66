from __future__ import annotations

import io
import os

import pytest

from cartesia_sync.transport.websocket import masking
from cartesia_sync.transport.websocket.masking import masked_frame

from ...support.far_end import BINARY, read_frame


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 3200, 65535, 65536, 70001])
def test_a_frame_of_each_length_says_what_it_was_given(size: int) -> None:
    data = bytes(number * 7 % 256 for number in range(size))
    frames = io.BytesIO(masked_frame(data, BINARY) + masked_frame(data[::-1], BINARY))
    assert [read_frame(frames), read_frame(frames), frames.read()] == [(BINARY, data), (BINARY, data[::-1]), b""]


def test_each_frame_has_a_mask_of_its_own() -> None:
    count = 3 * masking._MASKS_AT_ONCE
    frames = {masked_frame(bytes(8), BINARY)[2:] for _ in range(count)}
    assert len(frames) > count - 3  # two of so many may be the same
    assert {frame[4:] == frame[:4] * 2 for frame in frames} == {True}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_masks_of_its_own() -> None:
    masked_frame(b"", BINARY)
    assert masking._masks
    child = os.fork()
    if child == 0:
        os._exit(len(masking._masks) > 0)
    assert os.waitpid(child, 0)[1] == 0
    assert masking._masks
