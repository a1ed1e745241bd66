"""Ctrl-C in a main thread that waits. The parent sends the signal once the scene has said that it waits."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, Callable, cast

from scene import CLOCKS, LARGE, VOICE, announce, client_of, context_of, play, say_when_a_push_waits, speaking

import cartesia_sync.audio.wav
from cartesia_sync import Cartesia, Timeout
from cartesia_sync.cli import main
from cartesia_sync.streaming.connection import Connection


def interrupted(url: str, wait: Callable[[Connection], object], timeout: Timeout = CLOCKS) -> None:
    """Wait inside ``with`` until the interrupt comes; then everything is closed, and the exit status is 130."""
    try:
        with client_of(url).tts.websocket_connect(timeout=timeout) as connection:
            wait(connection)
    except KeyboardInterrupt:
        reader = connection._link.reader
        assert reader is not None
        assert not reader.is_alive()
        assert not connection._link.is_open
        sys.exit(130)


class AnnouncedQueue:
    """A queue whose receiver says when it is just about to block."""

    def __init__(self, queue: SimpleQueue[None]) -> None:
        self._queue = queue
        self.put = queue.put

    def get(self, *, timeout: float | None) -> None:
        announce("waiting")
        return self._queue.get(timeout=timeout)


def in_receive(url: str) -> None:
    def wait(connection: Connection) -> None:
        context = speaking(connection)
        events = context.receive()
        next(events)
        mailbox = context._channel.mailbox
        mailbox._wake = cast("Any", AnnouncedQueue(mailbox._wake))
        next(events)

    interrupted(url, wait)


def in_audio(url: str) -> None:
    def wait(connection: Connection) -> None:
        context = speaking(connection)
        announce("waiting")
        context.audio()

    interrupted(url, wait)


def in_recv(url: str) -> None:
    def wait(connection: Connection) -> None:
        context = speaking(connection)
        next(context.receive())
        announce("waiting")
        connection.recv()

    interrupted(url, wait)


def in_receive_any(url: str) -> None:
    def wait(connection: Connection) -> None:
        for _ in connection.receive_any(speaking(connection), speaking(connection)):
            announce("waiting")

    interrupted(url, wait)


def in_speak(url: str) -> None:
    never = threading.Event()

    def text() -> Iterator[str]:
        yield "One sentence. "
        never.wait()

    def wait(connection: Connection) -> None:
        with context_of(connection).speak(text()) as events:
            next(events)
            announce("waiting")
            next(events)

    interrupted(url, wait)


def in_a_push_that_cannot_leave(url: str) -> None:
    def wait(connection: Connection) -> None:
        context = context_of(connection)
        say_when_a_push_waits(lambda: announce("waiting"))
        context.push(LARGE)

    # A server that does not read does not answer our goodbye either.
    interrupted(url, wait, CLOCKS.replace(write=None, close=0.1))


def while_connecting(url: str) -> None:
    client = Cartesia(api_key="x", base_url=url, timeout=CLOCKS.replace(connect=None))
    try:
        client.tts.websocket_connect().enter()
    except KeyboardInterrupt:
        assert not [each for each in threading.enumerate() if each.name.startswith("cartesia-sync")]
        sys.exit(130)


def not_caught(url: str) -> None:
    with client_of(url).tts.websocket_connect() as connection:
        context = speaking(connection)
        announce("waiting")
        context.audio()


def in_say_with_half_a_file(path: str) -> None:
    write = cartesia_sync.audio.wav.WavWriter.write

    def announced_write(wav: cartesia_sync.audio.wav.WavWriter, audio: bytes) -> None:
        write(wav, audio)
        announce("waiting")

    cartesia_sync.audio.wav.WavWriter.write = announced_write  # type: ignore[assignment,method-assign]  # says when it wrote
    sys.exit(main(["say", "One sentence.", "--voice", VOICE, "-o", path]))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
