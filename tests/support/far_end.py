"""A WebSocket's far end in the standard library alone: frames, good and bad, and the upgrade (RFC 6455).

For the tests and for the scripts; those run by hand, and put this folder on their path.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from typing import BinaryIO

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3


def frame(
    data: bytes = b"",
    opcode: int = TEXT,
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
    length: int = -1,
    form: int = 0,
) -> bytes:
    """Make a frame as a service does, or as it must not.

    Args:
        data: What is in it.
        opcode: Its kind.
        fin: Whether it is the last of its message.
        rsv: The three reserved bits.
        mask: Four bytes that are announced as the mask; the data is not masked by them.
        length: Is announced in place of the true one.
        form: Asks for a longer form of the length than is needed: 1 for two bytes, 2 for eight.
    """
    length = len(data) if length < 0 else length
    first, masked = fin << 7 | rsv << 4 | opcode, 0x80 if mask else 0
    if length < 126 and not form:
        head = struct.pack("!BB", first, masked | length)
    elif length < 1 << 16 and form < 2:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first, masked | 127, length)
    return head + mask + data


def read_frame(file: BinaryIO) -> tuple[int, bytes]:
    """Read one frame of a client; return its opcode and its data, unmasked.

    Raises:
        EOFError: The stream has ended.
    """
    first, second = exactly(file, 2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(exactly(file, 2 if length == 126 else 8), "big")
    mask, data = exactly(file, 4), exactly(file, length)
    pad = (mask * (length // 4 + 1))[:length]
    return first & 0x0F, (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(length, "big")


def exactly(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes; an EOFError where there are fewer."""
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def accept_key(head: bytes) -> bytes:
    """Return the answer to the key of a request, as section 4.2.2 asks."""
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def switching(head: bytes, *more: bytes) -> bytes:
    """Return the answer that accepts the upgrade, with more header lines."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_key(head),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def upgrade(sock: socket.socket, file: BinaryIO) -> bytes:
    """Read a request and accept its upgrade; return its head."""
    head = b"".join(iter(file.readline, b"\r\n"))
    sock.sendall(switching(head))
    return head
