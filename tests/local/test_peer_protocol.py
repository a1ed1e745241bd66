"""Peers that are slow, or break the rules below the messages; and a machine without file descriptors."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.local import LocalServer
from cartesia_sync.local.peer_protocol import MaskCheck

BOUND = 10.0
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
UPGRADE = (
    b"GET /tts/websocket?api_key=x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(payload: bytes, *, masked: bool = True, opcode: int = 1) -> bytes:
    bit, mask = (0x80, b"\0\0\0\0") if masked else (0, b"")
    if len(payload) < 126:
        size = bytes([bit | len(payload)])
    elif len(payload) < 65536:
        size = bytes([bit | 126]) + len(payload).to_bytes(2, "big")
    else:
        size = bytes([bit | 127]) + len(payload).to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + mask + payload


SIZES = st.lists(st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536, 70000]), max_size=4)


@given(SIZES, st.lists(st.integers(0, 300_000), max_size=8), st.booleans())
def test_frames_are_told_apart_however_they_are_cut(sizes: list[int], cuts: list[int], is_good: bool) -> None:
    data = b"".join(frame(b"\x01" * size) for size in sizes) + frame(b"last", masked=is_good)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    check = MaskCheck()
    assert all(check.add(data[start:end]) for start, end in zip(edges, edges[1:])) is is_good


@pytest.mark.parametrize("opcode", [1, 2, 8, 9])
def test_a_frame_that_is_not_masked_is_a_protocol_error(opcode: int) -> None:
    with LocalServer(engine="signal") as server, socket.create_connection((server.host, server.port), BOUND) as raw:
        raw.sendall(UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1)
        raw.sendall(frame(b"?") + frame(b"{}", masked=False, opcode=opcode) + frame(b"!"))
        got = b""
        while b"\x03\xea" not in got:  # 1002
            received = raw.recv(4096)
            assert received, got
            got += received
        raw.close()
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        assert [heard.message for heard in server.heard] in ([], ["?"])


def test_a_message_has_an_end() -> None:
    """A larger one ends the connection, whether it comes in one frame or in many."""
    half = b"x" * (8 * 1024**2)
    with LocalServer(engine="signal") as server:
        for first, rest in ((half, half[:-100]), (half, half + half), (half + half + half, b"")):
            begun = bytearray(frame(first))
            begun[0] &= 0x7F  # not the last frame
            with socket.create_connection((server.host, server.port), BOUND) as raw:
                raw.sendall(UPGRADE)
                assert raw.recv(12) == b"HTTP/1.1 101"
                got = b""
                with contextlib.suppress(ConnectionError):  # it may be reset before all has left
                    raw.sendall(begun + frame(rest, opcode=0))
                    while b"The message is not JSON" not in got:
                        received = raw.recv(65536)
                        got += received
                        if not received:
                            break
            assert (b"The message is not JSON" in got) is (len(first) + len(rest) < 2 * len(half))
        server.wait_for(lambda server: server.open_connections == 0, BOUND)
        assert [len(heard.message) for heard in server.heard] == [2 * len(half) - 100]


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_head_that_does_not_come_in_time_is_not_waited_for(sent: bytes) -> None:
    with LocalServer(engine="signal", request_timeout=0.2) as server:
        with socket.create_connection((server.host, server.port), BOUND) as raw:
            raw.sendall(sent)
            assert raw.recv(1) == b""
        with socket.create_connection((server.host, server.port), BOUND) as raw:
            raw.sendall(UPGRADE)
            assert raw.recv(12) == b"HTTP/1.1 101"
            # Half a second later it is still there: only the first head has this clock.
            assert not select.select([], [], [raw], 0.5)[2]
            assert server.open_connections == 1


def long_speech(**fields: Any) -> dict[str, Any]:
    """Eight minutes, 85 MB: more than the sockets hold."""
    return {
        "model_id": "sonic-3",
        "transcript": "One" + '<break time="30s"/>' * 16,
        "voice": VOICE,
        "output_format": {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100},
        **fields,
    }


@pytest.mark.skipif(not hasattr(select, "poll"), reason="no poll")
@pytest.mark.parametrize("path", ["/tts/bytes", "/tts/sse"])
def test_an_answer_that_nobody_reads_is_cut(path: str) -> None:
    body = json.dumps(long_speech()).encode()
    head = f"POST {path}?api_key=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    server = LocalServer(engine="signal", idle_timeout=0.3)
    with server, socket.create_connection((server.host, server.port), BOUND) as raw:
        raw.sendall(head + body)
        poll = select.poll()
        poll.register(raw, 0)  # not for what comes; only for the end
        assert poll.poll(BOUND * 1000)


def test_a_socket_that_nobody_reads_is_closed() -> None:
    server = LocalServer(engine="signal", idle_timeout=0.3)
    with server, socket.create_connection((server.host, server.port), BOUND) as raw:
        raw.sendall(UPGRADE)
        assert raw.recv(12) == b"HTTP/1.1 101"
        raw.sendall(frame(json.dumps(long_speech(context_id="a")).encode()))
        server.wait_for(lambda server: len(server.heard) == 1, BOUND)
        server.wait_for(lambda server: server.open_connections == 0, BOUND)


@pytest.mark.skipif(os.name != "posix", reason="POSIX limits")
def test_no_more_descriptors_are_one_line_a_second() -> None:
    program = (
        "import resource, sys\n"
        "from cartesia_sync.local import LocalServer\n"
        "with LocalServer(engine='signal') as server:\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\n"
        "    print(server.url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stdout.readline().strip()
            address = ("127.0.0.1", int(url.rpartition(":")[2]))
            sockets = [socket.create_connection(address, BOUND) for _ in range(60)]
            lines = [process.stderr.readline() for _ in range(2)]
            assert all("no more connections can be accepted" in line for line in lines), lines
            for each in sockets:
                each.close()
            with urllib.request.urlopen(url, timeout=BOUND) as response:  # it has recovered
                assert response.status == 200
            _, rest = process.communicate(timeout=BOUND)
            assert len(rest.splitlines()) < 5, rest
        finally:
            process.kill()
