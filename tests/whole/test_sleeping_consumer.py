"""One of 64 consumers falls asleep among the busy: nobody else notices, and it is told the truth when it wakes."""

from __future__ import annotations

import functools
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Optional

import pytest
import trustme

from cartesia_sync import Cartesia, CartesiaError, MailboxFullError
from cartesia_sync.streaming import channel as line
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.context import Context
from cartesia_sync.types import Chunk, RawOutputFormatParam

from ..support.peer import PING, PONG, TEXT, Far, Peer, chunk, done, frame

BOUND = 20.0
HOUR = 3600.0
KEY = "sk_car_test_sleeping"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
BUSY = [f"busy-{number:02}" for number in range(63)]
SLEEPER = "sleeper"
ROUNDS = 80
"""More chunks for the sleeper alone than the connection's limit lets wait."""
CHUNK_BYTES = 1000


@functools.lru_cache(None)
def audio_of(context_id: str) -> bytes:
    return hashlib.shake_128(context_id.encode()).digest(ROUNDS * CHUNK_BYTES)


def piece(context_id: str, number: int) -> bytes:
    return audio_of(context_id)[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]


class Service:
    """Speaks 64 contexts by turns. After each round it waits for its ping's answer, and for the busy to have heard."""

    def __init__(self) -> None:
        self.is_asleep = threading.Event()
        self.cancels: list[dict[str, Any]] = []
        self._has_taken = threading.Condition()
        self._taken = 0

    def take_note(self) -> None:
        """A busy consumer has taken a chunk."""
        with self._has_taken:
            self._taken += 1
            self._has_taken.notify()

    def __call__(self, far: Far) -> None:
        far.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far.upgrade()
        ids = [self._hear_text(far) for _ in range(len(BUSY) + 1)]
        for number in range(ROUNDS):
            far.send(*(chunk(context_id, piece(context_id, number)) for context_id in ids))
            self._await_pong(far, str(number).encode())
            with self._has_taken:
                assert self._has_taken.wait_for(lambda: self._taken == (number + 1) * len(BUSY), BOUND)  # noqa: B023  # asked here and now
            assert self.is_asleep.wait(BOUND)
        far.send(*map(done, ids))
        late = self._hear_text(far)
        far.send(chunk(late, piece(late, 0)), done(late))
        assert far.part() == []

    def _hear_text(self, far: Far) -> str:
        said = far.hear()
        assert said.opcode == TEXT
        context_id: str = json.loads(said.data)["context_id"]
        return context_id

    def _await_pong(self, far: Far, payload: bytes) -> None:
        far.send(frame(payload, PING))
        while True:
            said = far.hear()
            if said.opcode == PONG:
                assert said.data == payload
                return
            self.cancels.append(json.loads(said.data))


@dataclass
class Heard:
    """What one consumer got."""

    audio: bytearray = field(default_factory=bytearray)
    chunks: int = 0
    last: str = ""
    error: Optional[CartesiaError] = None


def stay_awake(context: Context, service: Service) -> Heard:
    heard = Heard()
    for event in context.receive():
        if isinstance(event, Chunk):
            heard.audio += event.audio
            service.take_note()
        heard.last = event.type
    return heard


def fall_asleep(context: Context, service: Service, alarm: threading.Event) -> Heard:
    """Take one event, sleep, and take the rest."""
    heard = Heard()
    try:
        for event in context.receive():
            if isinstance(event, Chunk):
                heard.audio += event.audio
                heard.chunks += 1
            heard.last = event.type
            if not service.is_asleep.is_set():
                service.is_asleep.set()
                assert alarm.wait(3 * BOUND)
    except CartesiaError as error:
        heard.error = error
    return heard


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def trust(request: pytest.FixtureRequest) -> tuple[Optional[ssl.SSLContext], Optional[ssl.SSLContext]]:
    """Return the service's context and the client's."""
    if not request.param:
        return None, None
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def connect(service: Service, trust: tuple[Optional[ssl.SSLContext], Optional[ssl.SSLContext]]) -> Iterator[Any]:
    peer = Peer(service, tls=trust[0])
    base_url = f"http{'s' if trust[0] else ''}://127.0.0.1:{peer.port}"
    yield Cartesia(api_key=KEY, base_url=base_url, ssl_context=trust[1], max_retries=0).tts.websocket_connect
    peer.stop()
    assert peer.accepted == 1


def say(connection: Connection, context_id: str, **limits: Any) -> Context:
    context = connection.context(context_id, voice=VOICE, output_format=FORMAT, **limits)
    context.push("Hello.", continue_=False)
    return context


def sleep_among_the_busy(
    connection: Connection, service: Service, monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> Heard:
    """Let one consumer sleep for an hour, and check that it changes nothing; give what the sleeper heard at last."""
    alarm = threading.Event()
    sleeper = say(connection, SLEEPER, **limits)
    busy = [say(connection, context_id) for context_id in BUSY]
    with ThreadPoolExecutor(len(BUSY) + 1) as pool:
        sleeping = pool.submit(fall_asleep, sleeper, service, alarm)
        try:
            listening = [pool.submit(stay_awake, context, service) for context in busy]
            for context_id, each in zip(BUSY, listening):
                heard = each.result(3 * BOUND)
                assert heard.last == "done"
                assert heard.audio == audio_of(context_id)
            assert say(connection, "late").audio() == piece("late", 0)
            assert connection._link.is_open
            assert not sleeping.done()
            real = time.monotonic
            monkeypatch.setattr(line, "time", SimpleNamespace(monotonic=lambda: real() + HOUR))
        finally:
            alarm.set()
        return sleeping.result(BOUND)


def test_a_sleeper_with_room_enough_hears_everything_when_it_wakes(
    connect: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect() as connection:
        heard = sleep_among_the_busy(connection, service, monkeypatch)
    assert heard.error is None
    assert heard.last == "done"
    assert heard.audio == audio_of(SLEEPER)
    assert service.cancels == []
    assert connection.stats.late_events == 0


def test_a_sleeper_over_its_limit_ends_alone_and_is_told_which_limit(
    connect: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 10 * CHUNK_BYTES + 1  # what waits is weighed by its audio
    with connect() as connection:
        heard = sleep_among_the_busy(connection, service, monkeypatch, max_queued_bytes=limit)
    assert heard.chunks == 1 + 10  # one before it fell asleep, and as many as there was room for
    assert heard.audio == audio_of(SLEEPER)[: 11 * CHUNK_BYTES]
    assert isinstance(heard.error, MailboxFullError)
    assert heard.error.limit_bytes == limit
    assert f"the context's limit of {limit} bytes (max_queued_bytes)" in str(heard.error)
    assert (heard.error.context_id, heard.error.audio_bytes) == (SLEEPER, len(heard.audio))
    assert service.cancels == [{"context_id": SLEEPER, "cancel": True}]
    assert connection.stats.late_events == ROUNDS - 12 + 1  # what was said of it after the cancel, and its done


def test_where_the_connections_limit_is_reached_the_sleeper_ends_and_not_the_busy(
    connect: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = (len(BUSY) + 7) * CHUNK_BYTES
    with connect(max_queued_bytes=limit) as connection:
        heard = sleep_among_the_busy(connection, service, monkeypatch)
    assert heard.chunks == 1  # before it fell asleep; what waited made room for the others
    assert audio_of(SLEEPER).startswith(heard.audio)
    assert isinstance(heard.error, MailboxFullError)
    assert heard.error.limit_bytes == limit
    assert f"the connection's limit of {limit} bytes (max_queued_bytes)" in str(heard.error)
    assert heard.error.context_id == SLEEPER
    assert 7 * CHUNK_BYTES < heard.error.audio_bytes <= limit + CHUNK_BYTES  # what had arrived: most of what waited
    assert service.cancels == [{"context_id": SLEEPER, "cancel": True}]
