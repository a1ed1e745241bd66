"""A process with an open connection forks."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import ssl
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable

from scene import (
    LARGE,
    TEXT,
    VOICE,
    Child,
    announce,
    audio_of,
    await_parent,
    client_of,
    connect,
    context_of,
    daemon,
    half_heard,
    play,
    rest_of,
    say_when_a_push_waits,
    speaking,
)

import cartesia_sync
from cartesia_sync import CartesiaError, ForkedError

if TYPE_CHECKING:
    from cartesia_sync.protocol.events import Event
    from cartesia_sync.streaming.connection import Connection
    from cartesia_sync.streaming.context import Context

# Python 3.12 warns of every fork of a process that has threads. This client has one, and is what is tested here.
warnings.filterwarnings("ignore", message="This process .* is multi-threaded", category=DeprecationWarning)


def whole(url: str) -> bytes:
    """Open a connection, and hear one context from its first byte to its last."""
    with connect(url) as connection:
        return rest_of(speaking(connection))


def refused(call: Callable[[], object]) -> None:
    """Make a call that must end at once with ForkedError, and with nothing else."""
    try:
        result = call()
    except ForkedError:
        return
    raise AssertionError(f"no ForkedError, but {result!r}")


def use_context(connection: Connection, context: Context) -> None:
    connection.send({"context_id": context.context_id, "cancel": True})
    refused(lambda: next(context.receive()))
    refused(lambda: context.push(TEXT))
    refused(lambda: context.flush())
    refused(lambda: context.audio())
    refused(lambda: context.samples())
    refused(lambda: list(context.receive_flushes()))
    refused(lambda: context.speak([TEXT]))
    refused(lambda: context.no_more_inputs())
    context.cancel()
    context.cancel(discard=False)
    with context:
        pass
    repr(context)


def use_all(connection: Connection, *contexts: Context) -> None:
    """In the child: ask everything of what belongs to the parent."""
    refused(lambda: connection.context())
    refused(lambda: connection.recv())
    refused(lambda: next(iter(connection)))
    refused(lambda: next(connection.receive_any(*contexts)))
    refused(lambda: connection.send({"context_id": "new", "transcript": TEXT, "voice": VOICE}))
    for context in contexts:
        use_context(connection, context)
    repr(connection)
    connection.close()
    connection.close()
    refused(lambda: connection.context())


def parts(connection: Connection) -> tuple[Context, bytes, Context, Context]:
    """Return a half-heard context, what was heard of it, one of which nothing was heard, and one that is new."""
    half, heard = half_heard(connection, "half")
    return half, heard, speaking(connection, "unheard"), context_of(connection, "new")


def assert_goes_on(url: str, heard: bytes, half: Context, unheard: Context, fresh: Context) -> None:
    """In the parent, once the server goes on: all contexts are heard to their end, and are what they should be."""
    announce("forked")
    await_parent()
    assert_whole(whole(url), heard, half, unheard, fresh)


def assert_whole(said_alone: bytes, heard: bytes, half: Context, unheard: Context, fresh: Context) -> None:
    fresh.push(TEXT, continue_=False)
    assert heard + rest_of(half) == said_alone
    assert unheard.audio() == said_alone
    assert fresh.audio() == said_alone


def the_child_is_refused_and_the_parent_goes_on(url: str) -> None:
    with connect(url) as connection:
        half, heard, unheard, fresh = parts(connection)
        Child(lambda: use_all(connection, half, unheard, fresh)).join()
        assert_goes_on(url, heard, half, unheard, fresh)


def a_child_that_leaves_by_sys_exit(url: str) -> None:
    with connect(url) as connection, connection.context("unused"):
        half, heard, unheard, fresh = parts(connection)
        # In the child this raises SystemExit: every block is left, and everything runs that runs at exit.
        Child(lambda: None, leave=sys.exit).join()
        assert_goes_on(url, heard, half, unheard, fresh)


def a_child_that_drops_all(url: str) -> None:
    with connect(url) as connection:
        half, heard, unheard, fresh = parts(connection)
        held: list[Any] = [half_heard(connect(url)), connect(url), context_of(connection).speak(iter([]))]

        def drop() -> None:
            held.clear()
            gc.collect()

        Child(drop).join()
        assert_goes_on(url, heard, half, unheard, fresh)
        held.clear()


def the_child_speaks_on_its_own(url: str) -> None:
    client = client_of(url)
    with client.tts.websocket_connect() as connection:
        said_alone = rest_of(speaking(connection))

        def speak() -> None:
            with client.tts.websocket_connect() as own:
                assert rest_of(speaking(own)) == said_alone
                refused(lambda: connection.context())
                assert rest_of(speaking(own)) == said_alone

        children = [Child(speak) for _ in range(2)]
        assert rest_of(speaking(connection)) == said_alone
        for child in children:
            child.join()
        assert rest_of(speaking(connection)) == said_alone


def a_grandchild(url: str) -> None:
    with connect(url) as connection:
        context = context_of(connection)

        def child() -> None:
            own = connect(url)
            own_context = context_of(own)

            def grandchild() -> None:
                use_all(connection, context)
                use_all(own, own_context)
                assert whole(url)

            Child(grandchild).join()
            own_context.push(TEXT, continue_=False)
            assert rest_of(own_context)
            own.close()

        Child(child).join()
        context.push(TEXT, continue_=False)
        assert rest_of(context)


def the_child_keeps_no_descriptor(url: str) -> None:
    def sockets() -> list[str]:
        names = []
        for number in os.listdir("/proc/self/fd"):
            try:
                names.append(os.readlink(f"/proc/self/fd/{number}"))
            except FileNotFoundError:
                continue  # the listing's own
        return [name for name in names if name.startswith("socket:")]

    before = sockets()
    with connect(url), connect(url):
        assert len(sockets()) == len(before) + 2 * 3  # each has a socket, and a pair that wakes its reader

        def look() -> None:
            assert sockets() == before

        Child(look).join()


def the_parent_closes_while_the_child_lives(url: str) -> None:
    inward, outward = os.pipe()

    def wait() -> None:
        os.close(outward)
        os.read(inward, 1)  # until the parent's end is closed

    with connect(url):
        child = Child(wait)
    announce("closed")
    await_parent()  # until the server has seen it go
    os.close(outward)
    child.join()


def a_lost_connection(url: str) -> None:
    with connect(url) as connection:
        context = speaking(connection)
        try:
            rest_of(context)
        except cartesia_sync.TruncatedError:
            pass
        else:
            raise AssertionError("the server was to drop it")
        fresh = context_of(connection)
        Child(lambda: use_all(connection, fresh)).join()
        fresh.push(TEXT, continue_=False)  # the parent's opens another one
        assert rest_of(fresh)


def an_ended_context_that_nobody_read(url: str) -> None:
    """What the child may read of it is not said; it must neither hang nor be less than whole."""
    with connect(url) as connection:
        context = speaking(connection, "ended")
        while not context._channel.mailbox.is_sealed:
            rest_of(speaking(connection))  # which takes about as long
        inward, outward = os.pipe()
        said: list[bytes] = []

        def read() -> None:
            try:
                said.append(context.audio())
            except ForkedError:
                return
            os.write(outward, len(said[0]).to_bytes(8, "big"))

        child = Child(read)
        os.close(outward)
        count = os.read(inward, 8)
        os.close(inward)
        child.join()
        audio = context.audio()
        assert audio
        assert count in (b"", len(audio).to_bytes(8, "big"))


# ---- other threads at the fork


class Held:
    """A lock that another thread holds, for as long as the block lasts."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._is_held, self._is_over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._lock:
            self._is_held.set()
            self._is_over.wait()

    def __enter__(self) -> None:
        self._thread.start()
        self._is_held.wait()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def io_lock(connection: Connection) -> Any:
    wire = connection._link._wire
    assert wire is not None
    return wire._duplex._io_lock


LOCKS: dict[str, Callable[[Connection, Sequence[Context]], Iterable[Any]]] = {
    "connect": lambda connection, contexts: [connection._link._connect_lock._lock],
    "state": lambda connection, contexts: [connection._link.registry.lock],
    "io": lambda connection, contexts: [io_lock(connection)],
    "receiving": lambda connection, contexts: [connection._receiving._lock],
    "taking": lambda connection, contexts: [context._turn._lock._lock for context in contexts],
}


def a_lock_that_another_thread_holds(url: str) -> None:
    with contextlib.ExitStack() as connections:
        forked = []
        for name, locks in LOCKS.items():
            connection = connections.enter_context(connect(url))
            half, heard, unheard, fresh = parts(connection)

            def use(connection: Connection, *contexts: Context) -> None:
                use_all(connection, *contexts)
                context_of(connect(url)).push(TEXT)

            with contextlib.ExitStack() as held:
                for lock in locks(connection, (half, unheard, fresh)):
                    held.enter_context(Held(lock))
                try:
                    Child(functools.partial(use, connection, half, unheard, fresh)).join()
                except AssertionError as error:
                    raise AssertionError(f"{error} that found the {name} lock held") from None
            forked.append((heard, half, unheard, fresh))
        announce("forked")
        await_parent()
        said_alone = whole(url)
        for heard, half, unheard, fresh in forked:
            assert_whole(said_alone, heard, half, unheard, fresh)


def a_thread_in_receive(url: str) -> None:
    with connect(url) as connection:
        half, heard, unheard, fresh = parts(connection)
        waits = threading.Event()
        rest: list[Event] = []

        def hear() -> None:
            events = half.receive(raise_on_error=True)
            waits.set()
            rest.extend(events)

        thread = daemon(hear)
        waits.wait()
        Child(lambda: use_all(connection, half, unheard, fresh)).join()
        announce("forked")
        await_parent()
        thread.join()
        assert heard + audio_of(rest) == unheard.audio()


def a_thread_in_recv(url: str) -> None:
    with connect(url) as connection:
        context = context_of(connection)
        waits = threading.Event()
        heard: list[Event] = []

        def hear() -> None:
            waits.set()
            while not heard or heard[-1].type != "done":
                heard.append(connection.recv())

        thread = daemon(hear)
        waits.wait()
        Child(lambda: use_all(connection, context)).join()
        announce("forked")
        await_parent()
        context.push(TEXT, continue_=False)
        thread.join()
        assert audio_of(heard) == whole(url)


def a_thread_in_a_push_that_cannot_leave(url: str) -> None:
    connection = connect(url, reconnect=False)
    context, fresh = context_of(connection), context_of(connection)
    waits = threading.Event()
    say_when_a_push_waits(waits.set)

    def push() -> None:
        try:
            context.push(LARGE)
        except CartesiaError:
            pass  # the end of the scene

    thread = daemon(push)
    waits.wait()
    Child(lambda: use_all(connection, context, fresh)).join()
    connection._link.abandon()  # a polite close would wait for an answer, of a server that does not read
    thread.join()


def a_pump(url: str) -> None:
    with connect(url) as connection:
        waits, more = threading.Event(), threading.Event()

        def text() -> Iterator[str]:
            yield TEXT
            waits.set()
            more.wait()

        context = context_of(connection)
        speech = context.speak(text())
        heard = [next(speech)]
        waits.wait()

        def use() -> None:
            refused(lambda: next(speech))
            speech.close()
            connection.close()

        Child(use).join()
        announce("forked")
        await_parent()
        more.set()
        heard.extend(speech)
        assert audio_of(heard) == whole(url)


# ---- without a connection


def nothing_but_the_import(url: str) -> None:
    assert "cartesia_sync.streaming.link" not in sys.modules
    before = threading.active_count()
    Child(lambda: None).join()
    assert whole(url)
    Child(lambda: None, leave=sys.exit).join()
    assert threading.active_count() == before


def a_client_that_never_connected(url: str) -> None:
    client = client_of(url)

    def speak() -> None:
        with client.tts.websocket_connect() as connection:
            assert rest_of(speaking(connection))

    Child(speak).join()
    speak()


def a_thread_that_reads_the_trust_store(url: str) -> None:
    reads, goes_on = threading.Event(), threading.Event()
    make = ssl.create_default_context

    def slow(**arguments: Any) -> ssl.SSLContext:
        reads.set()
        goes_on.wait()
        return make(**arguments)

    client = client_of(url)
    ssl.create_default_context = slow  # type: ignore[assignment]  # one that takes its time
    thread = daemon(lambda: client._trust)
    reads.wait()
    ssl.create_default_context = make
    Child(lambda: client_of(url)._trust).join()
    Child(lambda: client._trust).join()
    goes_on.set()
    thread.join()


def workers_that_open_their_own_when_they_need_it(url: str) -> None:
    """The shape of a prefork server: one process loads everything, and its children serve."""
    client = client_of(url)
    warm_up = client.tts.websocket_connect().enter()
    said_alone = rest_of(speaking(warm_up))
    inward, outward = os.pipe()

    def serve() -> None:
        own: Connection | None = None
        for _ in range(3):
            if own is None:
                own = client.tts.websocket_connect().enter()
            assert rest_of(speaking(own)) == said_alone
        os.write(outward, b".")
        # and ends as a killed worker does, with everything open

    children = [Child(serve) for _ in range(3)]
    os.close(outward)
    for child in children:
        child.join()
    assert os.read(inward, 100) == b"..."
    assert rest_of(speaking(warm_up)) == said_alone
    warm_up.close()


if __name__ == "__main__":
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
