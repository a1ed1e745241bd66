"""The interpreter exits, and nobody has closed anything."""

from __future__ import annotations

import atexit
import itertools
import socket
import sys
import threading
from collections.abc import Iterator

from scene import (
    LARGE,
    announce,
    await_parent,
    connect,
    context_of,
    daemon,
    half_heard,
    play,
    say_when_a_push_waits,
    speaking,
)

kept: list[object] = []
"""Holds what a scene leaves behind, as a module's global names do."""


def an_open_connection(url: str) -> None:
    kept.append(connect(url))


def a_connection_that_was_dropped_just_now(url: str) -> None:
    connect(url)


def a_context_half_heard(url: str) -> None:
    kept.append(half_heard(connect(url)))


def an_iterator_half_used(url: str) -> None:
    events = speaking(connect(url)).receive()
    kept.append((events, next(events)))


def a_daemon_thread_in_receive(url: str) -> None:
    context, waits = speaking(connect(url)), threading.Event()

    def hear() -> None:
        events = context.receive()
        next(events)
        waits.set()
        next(events)

    daemon(hear)
    waits.wait()


def a_daemon_thread_in_recv(url: str) -> None:
    connection, waits = connect(url), threading.Event()
    kept.append(speaking(connection))

    def hear() -> None:
        connection.recv()
        waits.set()
        connection.recv()

    daemon(hear)
    waits.wait()


def a_daemon_thread_that_pushes(url: str) -> None:
    context, pushes = context_of(connect(url)), threading.Event()

    def push() -> None:
        for _ in range(10):
            context.push("Word. ")
        pushes.set()
        while True:
            context.push("Word. ")

    daemon(push)
    pushes.wait()


def a_daemon_thread_in_a_push_that_cannot_leave(url: str) -> None:
    context, waits = context_of(connect(url)), threading.Event()
    say_when_a_push_waits(waits.set)
    daemon(lambda: context.push(LARGE))
    waits.wait()


def a_daemon_thread_that_connects(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # answers nothing
        silent = f"http://127.0.0.1:{listener.getsockname()[1]}"
        daemon(lambda: connect(silent))
        peer, _ = listener.accept()
        kept.append(peer)
        assert peer.recv(1)


def a_daemon_thread_in_close(url: str) -> None:
    connection, closes = connect(url), threading.Event()

    def close() -> None:
        closes.set()
        connection.close()

    daemon(close)
    closes.wait()


def a_pump_that_waits_for_text(url: str) -> None:
    never, waits = threading.Event(), threading.Event()

    def text() -> Iterator[str]:
        yield "One sentence. "
        waits.set()
        never.wait()

    kept.append(context_of(connect(url)).speak(text()))
    waits.wait()


def a_pump_that_pushes(url: str) -> None:
    waits = threading.Event()

    def text() -> Iterator[str]:
        for number in itertools.count():
            if number == 10:
                waits.set()
            yield "Word. "

    kept.append(context_of(connect(url)).speak(text()))
    waits.wait()


def an_exit_callback_that_closes(url: str) -> None:
    connection = connect(url)
    kept.append(half_heard(connection))
    atexit.register(connection.close)


def an_earlier_exit_callback_that_closes(url: str) -> None:
    atexit.register(lambda: connection.close())  # registered before the client's own: runs after it
    connection = connect(url)
    kept.append(half_heard(connection))


def an_exit_callback_that_hears_to_the_end(url: str) -> None:
    def hear() -> None:
        announce("exiting")
        await_parent()
        assert [event.type for event in context.receive()][-1] == "done"
        announce("heard")

    atexit.register(hear)
    context, _ = half_heard(connect(url))


def sys_exit_inside_with(url: str) -> None:
    with connect(url) as connection:
        kept.append(half_heard(connection))
        sys.exit(3)


def sys_exit_with_nothing_closed(url: str) -> None:
    kept.append(half_heard(connect(url)))
    sys.exit(3)


def an_exception_inside_with(url: str) -> None:
    with connect(url) as connection, context_of(connection) as context:
        context.push("One sentence. ")
        raise RuntimeError("the user's own")


def an_exception_with_nothing_closed(url: str) -> None:
    kept.append(half_heard(connect(url)))
    raise RuntimeError("the user's own")


if __name__ == "__main__":
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
