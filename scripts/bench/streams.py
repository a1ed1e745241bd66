"""A crowd of listeners for ``scripts/bench serve``: bare sockets, so that on two cores the server has most of them.

Run with one JSON object, prints another: when each context had its first audio, and how late each later chunk was for
somebody who plays them as they come (the server, at its pace, sends a chunk when the one before has been heard).
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any, Optional

UPGRADE = (
    b"GET /tts/websocket?api_key=x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SENTENCE = "This is a sentence of about five seconds, which a client sends to be spoken by the local server. "
RATE_HZ = 24000
BOUND = 120.0
BYTES_A_SECOND = 2 * RATE_HZ
CHUNK, DONE, ERROR = b'{"type":"chunk"', b'{"type":"done"', b'{"type":"error"'


class Stream:
    """One context: when it was asked for, its first audio, and how late the others were."""

    def __init__(self) -> None:
        self.asked = 0.0
        self.first: Optional[float] = None
        self.late: list[float] = []
        self.is_done = False
        self._plays_until = 0.0

    def hear(self, now: float, audio_bytes: float) -> None:
        if self.first is None:
            self.first = now
        else:
            self.late.append(max(0.0, now - self._plays_until))
        self._plays_until = max(now, self._plays_until) + audio_bytes / BYTES_A_SECOND


class Listener:
    """One connection and its contexts."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), BOUND)
        self.socket.sendall(UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(head.decode())
        self.streams: dict[bytes, Stream] = {}
        self.failed = 0
        self._data = bytearray()

    def ask(self, name: str, text: str) -> Stream:
        request = {
            "model_id": "sonic-3",
            "transcript": text,
            "voice": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE_HZ},
            "context_id": name,
        }
        data = json.dumps(request).encode()
        stream = self.streams[name.encode()] = Stream()
        stream.asked = time.perf_counter()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self.socket.sendall(b"\x81" + size + b"\0\0\0\0" + data)
        return stream

    def read(self) -> None:
        """Take what has come."""
        received = self.socket.recv(1 << 20)
        if not received:
            raise RuntimeError("the server has closed the connection")
        now = time.perf_counter()
        self._data += received
        data, start = self._data, 0
        while len(data) - start >= 2:
            size, head = data[start + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[start + 2 : start + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(data[start + 2 : start + 10], "big"), 10
            if len(data) - start < head + size:
                break
            begin, start = start + head, start + head + size
            self._take(data, begin, start, now)
        del data[:start]

    def _take(self, data: bytearray, begin: int, end: int, now: float) -> None:
        named = data.rfind(b'"context_id":"', begin, end)
        stream = self.streams.get(bytes(data[named + 14 : data.find(b'"', named + 14)]))
        if stream is None:
            return
        if data.startswith(CHUNK, begin):
            text = data.rfind(b'","done"', begin, end) - begin - len(b'{"type":"chunk","data":"')
            stream.hear(now, 0.75 * text)
        elif data.startswith(DONE, begin):
            stream.is_done = True
        elif data.startswith(ERROR, begin):
            stream.is_done = True
            self.failed += 1


def listen(port: int, contexts: int, sentences: int, within: float, busy: int) -> dict[str, Any]:
    """Let contexts ask within so many seconds, each for some sentences, and hear them to the end.

    With ``busy``, so many others ask for much first, and are heard meanwhile; they are given up at the end.
    """
    selector = selectors.DefaultSelector()
    listeners = [Listener(port) for _ in range(-(-contexts // 50))]
    crowd = [Listener(port) for _ in range(-(-busy // 50))]
    for each in (*listeners, *crowd):
        selector.register(each.socket, selectors.EVENT_READ, each)

    def take(seconds: float) -> None:
        for key, _ in selector.select(max(0.0, seconds)):
            key.data.read()

    busy_streams = [crowd[number // 50].ask(f"b{number}", SENTENCE * 400) for number in range(busy)]
    bound = time.perf_counter() + BOUND
    while any(stream.first is None for stream in busy_streams):
        take(bound - time.perf_counter())
    begun, streams = time.perf_counter(), []
    for number in range(contexts):
        while time.perf_counter() < begun + within * number / contexts:
            take(begun + within * number / contexts - time.perf_counter())
        streams.append(listeners[number // 50].ask(f"c{number}", SENTENCE * sentences))
    bound = time.perf_counter() + BOUND
    while not all(stream.is_done for stream in streams):
        take(bound - time.perf_counter())
        if time.perf_counter() > bound:
            raise TimeoutError(f"{sum(not stream.is_done for stream in streams)} contexts have not ended")
    first = sorted(stream.first - stream.asked for stream in streams if stream.first is not None)
    late = sorted(late for stream in streams for late in stream.late) or [0.0]
    return {
        "first_p50_ms": 1e3 * first[len(first) // 2],
        "first_p99_ms": 1e3 * first[int(0.99 * (len(first) - 1))],
        "late_p50_ms": 1e3 * late[len(late) // 2],
        "late_p99_ms": 1e3 * late[int(0.99 * (len(late) - 1))],
        "late_max_ms": 1e3 * late[-1],
        "failed": float(sum(each.failed for each in listeners)),
    }


if __name__ == "__main__":
    print(json.dumps(listen(**json.loads(sys.argv[1]))))
