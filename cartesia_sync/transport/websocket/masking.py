"""Frames of audio: masked by numpy, since websocket-client's own masking costs four times as much for 100 ms.

Loaded with the first of them: a program that only speaks needs no numpy for its wire.
"""

from __future__ import annotations

import os
import struct

import numpy as np

_FINAL, _MASKED = 0x80, 0x80
_LONGEST_IN_ONE_BYTE, _LONGEST_IN_TWO_BYTES = 125, 0xFFFF


def masked_frame(data: bytes, opcode: int) -> bytes:
    """Make a client's frame of one message (RFC 6455, section 5.2), with a mask that cannot be foretold."""
    size, mask = len(data), os.urandom(4)
    if size <= _LONGEST_IN_ONE_BYTE:
        head = struct.pack("!BB", _FINAL | opcode, _MASKED | size)
    elif size <= _LONGEST_IN_TWO_BYTES:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size)
    words = np.frombuffer(data, np.uint32, size // 4) ^ np.frombuffer(mask, np.uint32)
    rest = bytes(byte ^ key for byte, key in zip(data[size - size % 4 :], mask))
    return b"".join((head, mask, words.data, rest))
