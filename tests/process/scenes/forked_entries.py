"""A process with an open connection forks, and what the child asks first is the one thing that is tried.

Before it the child knows of nothing: with FORK=bare no hook has told it that it is one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from forking import LOCKS, Held, io_lock, parts, refused, whole
from scene import TEXT, VOICE, Child, announce, await_parent, client_of, connect, context_of, play, rest_of, speaking

from cartesia_sync.streaming.context import Context
from cartesia_sync.transport.websocket.duplex import Duplex

if TYPE_CHECKING:
    from cartesia_sync.streaming.connection import Connection

ENTRIES: dict[str, Callable[[Connection, Context], object]] = {
    "context": lambda connection, context: connection.context(),
    "recv": lambda connection, context: connection.recv(),
    "recv with a bound": lambda connection, context: connection.recv(timeout=0.0),
    "iterating": lambda connection, context: next(iter(connection)),
    "receive_any": lambda connection, context: next(connection.receive_any(context)),
    "send": lambda connection, context: connection.send({"context_id": "a", "transcript": TEXT, "voice": VOICE}),
    "push": lambda connection, context: context.push(TEXT),
    "flush": lambda connection, context: context.flush(),
    "no_more_inputs": lambda connection, context: context.no_more_inputs(),
    "receive": lambda connection, context: next(context.receive()),
    "iterating a context": lambda connection, context: list(context),
    "receive_flushes": lambda connection, context: next(context.receive_flushes()),
    "audio": lambda connection, context: context.audio(),
    "samples": lambda connection, context: context.samples(),
    "save": lambda connection, context: context.save("/nonexistent/never-opened.wav"),
    "speak": lambda connection, context: context.speak(never_asked()),
}
"""Each must raise ForkedError, whatever the context's state."""

SILENT: dict[str, Callable[[Connection, Context], object]] = {
    "cancel": lambda connection, context: context.cancel(),
    "cancel that keeps": lambda connection, context: context.cancel(discard=False),
    "the end of a block": lambda connection, context: context.__exit__(None, None, None),
    "a cancel by hand": lambda connection, context: connection.send({"context_id": context.context_id, "cancel": True}),
    "close": lambda connection, context: connection.close(),
    "close with a code": lambda connection, context: connection.close(code=3000, reason="bye"),
    "the end of a connection's block": lambda connection, context: connection.__exit__(None, None, None),
    "repr": lambda connection, context: (repr(connection), repr(context)),
}
"""Each must return at once, and say nothing to anybody."""


def never_asked() -> Iterator[str]:
    yield from map(_taken, [TEXT])


def _taken(text: str) -> str:
    raise AssertionError(f"the child took {text!r}")


class WakeCount:
    """Counts how often the reader of a connection was woken."""

    def __init__(self, connection: Connection) -> None:
        self.count = 0
        wire = connection._link._wire
        assert wire is not None
        self._duplex = wire._duplex
        self._duplexes: Any = Duplex
        self._drain = self._duplexes._drain_waker

    def __enter__(self) -> WakeCount:
        def counted(duplex: Duplex) -> None:
            self.count += duplex is self._duplex
            self._drain(duplex)

        self._duplexes._drain_waker = counted
        return self

    def __exit__(self, *_: object) -> None:
        self._duplexes._drain_waker = self._drain


def assert_goes_on(url: str, connection: Connection, heard: bytes, *contexts: Context) -> None:
    """In the parent, once the server goes on: all contexts are whole."""
    half, unheard, ended, fresh = contexts
    announce("forked")
    await_parent()
    said_alone = whole(url)
    fresh.push(TEXT, continue_=False)
    assert heard + rest_of(half) == said_alone
    assert unheard.audio() == said_alone
    assert ended.audio() == said_alone
    assert fresh.audio() == said_alone
    assert connection.stats.stray_events == connection.stats.late_events == 0


def all_parts(url: str, connection: Connection) -> tuple[bytes, Context, Context, Context, Context]:
    """Return what was heard of the first, a half-heard context, an unheard one, an ended and unread one, and a new one.

    The server holds the half-heard and the unheard one.
    """
    ended = speaking(connection, "ended")
    while not ended._channel.mailbox.is_sealed:
        rest_of(speaking(connection))  # which takes about as long
    half, heard, unheard, fresh = parts(connection)
    return heard, half, unheard, ended, fresh


def in_turn(entries: dict[str, Callable[[Connection, Context], object]], use: Callable[..., object], url: str) -> None:
    with connect(url) as connection, WakeCount(connection) as wakes:
        heard, *contexts = all_parts(url, connection)
        woken = wakes.count
        for name, entry in entries.items():
            for context in contexts:
                try:
                    Child(lambda: use(entry, connection, context)).join()  # noqa: B023  # it runs here and now
                except AssertionError as error:
                    raise AssertionError(f"{error} that asked for {name} of {context!r}") from None
        assert_goes_on(url, connection, heard, *contexts)
        assert wakes.count == woken


def each_is_refused(url: str) -> None:
    in_turn(ENTRIES, lambda entry, *arguments: refused(lambda: entry(*arguments)), url)


def each_is_silent(url: str) -> None:
    in_turn(SILENT, lambda entry, *arguments: entry(*arguments), url)


def what_was_begun_before_the_fork_is_refused(url: str) -> None:
    with connect(url) as connection:
        heard, *contexts = all_parts(url, connection)
        half = contexts[0]
        events, merged = half.receive(), connection.receive_any(contexts[1])
        never = threading.Event()

        def text() -> Iterator[str]:
            yield TEXT
            never.wait()

        with context_of(connection).speak(text()) as speech:
            Child(lambda: refused(lambda: next(events))).join()
            Child(lambda: refused(lambda: next(merged))).join()
            Child(lambda: refused(lambda: next(speech))).join()
            Child(speech.close).join()
            assert_goes_on(url, connection, heard, *contexts)


def finalizers_are_silent(url: str) -> None:
    connection = connect(url)
    heard, *contexts = all_parts(url, connection)
    with WakeCount(connection) as wakes:
        held: list[Any] = [context_of(connection), context_of(connection).receive()]

        def drop() -> None:
            held.clear()
            gc.collect()

        Child(drop).join()
        assert_goes_on(url, connection, heard, *contexts)
        assert wakes.count == 0
    connection.close()


def a_lock_is_held_at_the_first_call(url: str) -> None:
    with connect(url) as connection:
        heard, *contexts = all_parts(url, connection)
        for lock_name, locks in LOCKS.items():
            with contextlib.ExitStack() as held:
                for lock in locks(connection, contexts):
                    held.enter_context(Held(lock))
                for name, entry in {**ENTRIES, **SILENT}.items():

                    def use() -> None:
                        if name in ENTRIES:  # noqa: B023  # it runs here and now
                            refused(lambda: entry(connection, contexts[0]))  # noqa: B023  # likewise
                        else:
                            entry(connection, contexts[0])  # noqa: B023  # likewise

                    try:
                        Child(use).join()
                    except AssertionError as error:
                        raise AssertionError(f"{error}: {name} with the {lock_name} lock held") from None
        assert_goes_on(url, connection, heard, *contexts)


def the_fork_is_in_a_step_under_our_locks(url: str) -> None:
    """As where a finalizer forks: the child's own thread holds the locks."""
    with connect(url) as connection:
        heard, *contexts = all_parts(url, connection)
        with contexts[0]._turn._lock._lock, connection._link.registry.lock, io_lock(connection):
            child = Child(lambda: refused(lambda: next(contexts[0].receive())))
            other = Child(connection.close)
        child.join()
        other.join()
        assert_goes_on(url, connection, heard, *contexts)


def the_child_has_a_new_connection(url: str) -> None:
    client = client_of(url)
    with client.tts.websocket_connect() as connection:
        said_alone = rest_of(speaking(connection))

        def speak() -> None:
            refused(lambda: connection.context())
            with client.tts.websocket_connect() as own:
                assert rest_of(speaking(own)) == said_alone
                refused(lambda: connection.context())
                assert own.stats.late_events == 0

        children = [Child(speak) for _ in range(3)]
        assert rest_of(speaking(connection)) == said_alone
        for child in children:
            child.join()
        assert rest_of(speaking(connection)) == said_alone


def the_child_calls_over_http(url: str) -> None:
    client = client_of(url)
    voices = [voice.id for voice in client.voices.list(limit=3)]
    assert voices
    with client.tts.websocket_connect() as connection:
        context = speaking(connection)

        def ask() -> None:
            for _ in range(3):
                assert [voice.id for voice in client.voices.list(limit=3)] == voices
            client.close()

        for child in [Child(ask) for _ in range(3)]:
            child.join()
        assert [voice.id for voice in client.voices.list(limit=3)] == voices  # the parent's own is as it was
        assert rest_of(context)


def a_child_of_a_child(url: str) -> None:
    with connect(url) as connection:
        context = context_of(connection)

        def child() -> None:
            own = connect(url)
            own_context = context_of(own)
            Child(lambda: refused(lambda: own.context())).join()
            Child(lambda: refused(lambda: own_context.push(TEXT))).join()
            Child(lambda: refused(lambda: context.push(TEXT))).join()
            Child(own.close).join()
            own_context.push(TEXT, continue_=False)
            assert rest_of(own_context)
            own.close()
            os.write(outward, b".")

        inward, outward = os.pipe()
        Child(child).join()
        assert os.read(inward, 10) == b"."
        context.push(TEXT, continue_=False)
        assert rest_of(context)


if __name__ == "__main__":
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
