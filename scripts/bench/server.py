"""The service's side of ``scripts/bench``: frames that are encoded beforehand, sent as fast as they go or by the clock.

It does the same for every client. A transcript is an order, in JSON: how many chunks of how many bytes, for how many
contexts together, and how many milliseconds lie between two chunks of a context (0: as fast as they go). When as many
contexts as belong together have asked, their chunks leave in turns, and then their ``done``s. Or, with ``after_ms``, a
context is answered whole after so many milliseconds, beside all others; a ``name`` makes texts differ.
"""

from __future__ import annotations

import argparse
import base64
import heapq
import itertools
import json
import queue
import random
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Optional, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from far_end import CLOSE, PING, PONG, TEXT, frame, read_frame, upgrade  # found by the line before

STAMP_BYTES = 9
"""At the start of a chunk's audio that is sent by the clock: the nanosecond of the send. Nine are twelve in base64."""

ONE_SEND_BYTES = 1 << 18

EVENTS_HEADER = "x-bench-events"
"""How many events a session that listens is sent at its command, after a few before."""

SAID = "the quick brown fox jumps over the lazy dog, and so it does again"
WARM_EVENTS = 200


class Order(NamedTuple):
    """What a transcript asks for."""

    context_id: str
    chunks: int
    audio_bytes: int
    together: int = 1
    every_ms: float = 0.0
    after_ms: float = 0.0
    name: str = ""


def order(chunks: int, audio_bytes: int, together: int = 1, every_ms: float = 0.0) -> str:
    """Write an order down, as a client pushes it."""
    return json.dumps({"chunks": chunks, "audio_bytes": audio_bytes, "together": together, "every_ms": every_ms})


@cache
def audio_in_base64(audio_bytes: int) -> bytes:
    """Make audio once for all chunks of that size: none of the server's time is to count as a client's."""
    return base64.b64encode(random.Random(audio_bytes).randbytes(audio_bytes))


def chunk(context_id: str, audio_bytes: int) -> bytes:
    """Return a chunk's frame as the service writes it."""
    return frame(
        b'{"type":"chunk","data":"%b","done":false,"status_code":206,"step_time":12.5,"context_id":"%b"}'
        % (audio_in_base64(audio_bytes), context_id.encode())
    )


def done(context_id: str) -> bytes:
    return frame(b'{"type":"done","done":true,"status_code":200,"context_id":"%b"}' % context_id.encode())


def speak(sock: socket.socket, orders: list[Order]) -> None:
    """Send what the contexts that belong together have asked for."""
    first = orders[0]
    if first.every_ms:
        speak_by_the_clock(sock, orders)
    else:
        turn = b"".join(chunk(each.context_id, each.audio_bytes) for each in orders)
        at_once = max(ONE_SEND_BYTES // len(turn), 1)
        several = turn * at_once
        for _ in range(first.chunks // at_once):
            sock.sendall(several)
        sock.sendall(turn * (first.chunks % at_once))
    sock.sendall(b"".join(done(each.context_id) for each in orders))


def speak_by_the_clock(sock: socket.socket, orders: list[Order]) -> None:
    """Send each context's chunks at an even beat of its own; how the beats lie to each other is random, but fixed."""
    seconds = orders[0].every_ms / 1000
    phases = random.Random(len(orders))
    begun = time.monotonic() + 0.05
    due = [(begun + phases.random() * seconds, number, 0) for number in range(len(orders))]
    heapq.heapify(due)
    frames = [bytearray(chunk(each.context_id, each.audio_bytes)) for each in orders]
    places = [each.index(b'"data":"') + len(b'"data":"') for each in frames]
    while due:
        at, number, count = due[0]
        time.sleep(max(at - time.monotonic(), 0.0))  # the pace that was asked for
        place = places[number]
        stamp = base64.b64encode(time.monotonic_ns().to_bytes(STAMP_BYTES, "big"))
        frames[number][place : place + len(stamp)] = stamp
        sock.sendall(frames[number])
        if count + 1 < orders[number].chunks:
            heapq.heapreplace(due, (at + seconds, number, count + 1))
        else:
            heapq.heappop(due)


def listen(sock: socket.socket, file: BinaryIO, events: int) -> None:
    """Serve one session of speech to text, which hears the same all the time."""
    update = frame(b'{"type":"turn.update","transcript":"%b","request_id":"r"}' % SAID.encode())
    ends = frame(b'{"type":"turn.end","transcript":"%b","request_id":"r"}' % SAID.encode())
    if events:
        start = b'{"type":"%b","request_id":"r"}'
        sock.sendall(frame(start % b"connected") + frame(start % b"turn.start") + update * (WARM_EVENTS - 2))
    while True:
        opcode, data = read_frame(file)
        if opcode == CLOSE:
            return
        if opcode == PING:
            sock.sendall(frame(data, PONG))
        elif opcode == TEXT and b'"close"' in data:
            sock.sendall(frame(b"\x03\xe8", CLOSE))
        elif opcode == TEXT:
            at_once = update * 100
            for _ in range(events // 100):
                sock.sendall(at_once)
            sock.sendall(ends)


class Later:
    """Answers contexts of one connection when it is time, by a thread of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._orders: queue.SimpleQueue[Optional[tuple[float, Order]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, each: Optional[Order]) -> None:
        self._orders.put(None if each is None else (time.monotonic() + each.after_ms / 1000, each))

    def _run(self) -> None:
        due: list[tuple[float, int, Order]] = []
        numbers = itertools.count()
        with suppress(OSError):
            while True:
                try:
                    found = self._orders.get(timeout=max(due[0][0] - time.monotonic(), 0.0) if due else None)
                    if found is None:
                        return
                    heapq.heappush(due, (found[0], next(numbers), found[1]))
                except queue.Empty:
                    pass
                while due and due[0][0] <= time.monotonic():
                    each = heapq.heappop(due)[2]
                    self._sock.sendall(chunk(each.context_id, each.audio_bytes) * each.chunks + done(each.context_id))


def serve_one(sock: socket.socket, tls: Optional[ssl.SSLContext]) -> None:
    """Serve one connection until it ends."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError, EOFError), sock if tls is None else tls.wrap_socket(sock, server_side=True) as open_sock:
        file = cast(BinaryIO, open_sock.makefile("rb", 1 << 16))
        head = upgrade(open_sock, file).lower()
        if b"/stt/" in head.partition(b"\r\n")[0]:
            listen(open_sock, file, int(head.partition(EVENTS_HEADER.encode() + b":")[2].partition(b"\r\n")[0]))
            return
        waiting: list[Order] = []
        later: Optional[Later] = None
        while True:
            opcode, data = read_frame(file)
            if opcode in (CLOSE, PING):
                open_sock.sendall(frame(data, CLOSE if opcode == CLOSE else PONG))
            if opcode == CLOSE:
                if later is not None:
                    later.put(None)
                return
            if opcode != TEXT:
                continue
            request: dict[str, Any] = json.loads(data)
            asked = Order(request["context_id"], **json.loads(request["transcript"]))
            if asked.after_ms:
                later = Later(open_sock) if later is None else later
                later.put(asked)
                continue
            waiting.append(asked)
            if len(waiting) == waiting[0].together:
                speak(open_sock, waiting)
                waiting = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="serve TLS with this key and certificate")
    certificate = parser.parse_args().certificate
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve_one, args=(sock, tls), daemon=True).start()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
