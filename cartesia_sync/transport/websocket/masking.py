"""Frames of audio: masked by numpy, since websocket-client's own masking costs four times as much for 100 ms.

Loaded with the first of them: a program that only speaks needs no numpy for its wire.
"""

from __future__ import annotations

import os
import struct

import numpy as np

_FINAL, _MASKED = 0x80, 0x80
_LONGEST_IN_ONE_BYTE, _LONGEST_IN_TWO_BYTES = 125, 0xFFFF
_MASKS_AT_ONCE = 512
_WORD = np.dtype(np.uint32)
_head, _long_head, _longest_head = (struct.Struct(layout).pack for layout in ("!BB4s", "!BBH4s", "!BBQ4s"))


_masks: list[bytes] = []
"""Those of the frames to come: asked of the system one by one they cost a fifth of a frame."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_masks.clear)  # its parent uses them


def _next_mask() -> bytes:
    try:
        return _masks.pop()
    except IndexError:
        entropy = os.urandom(_MASKS_AT_ONCE * 4)
        _masks.extend([entropy[start : start + 4] for start in range(4, len(entropy), 4)])
        return entropy[:4]


def masked_frame(data: bytes, opcode: int) -> bytes:
    """Make a client's frame of one message (RFC 6455, section 5.2), with a mask that cannot be foretold."""
    size, mask = len(data), _next_mask()
    if size <= _LONGEST_IN_ONE_BYTE:
        head = _head(_FINAL | opcode, _MASKED | size, mask)
    elif size <= _LONGEST_IN_TWO_BYTES:
        head = _long_head(_FINAL | opcode, _MASKED | 126, size, mask)
    else:
        head = _longest_head(_FINAL | opcode, _MASKED | 127, size, mask)
    if not size % 4:  # as is all audio but that of one byte or two a sample, of an odd length
        return head + (np.frombuffer(data, _WORD) ^ np.frombuffer(mask, _WORD)).data
    words = np.frombuffer(data, _WORD, size // 4) ^ np.frombuffer(mask, _WORD)
    return b"".join((head, words.data, bytes(byte ^ key for byte, key in zip(data[size - size % 4 :], mask))))
