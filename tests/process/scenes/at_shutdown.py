"""The interpreter shuts down, and an exit callback, or a thread that outlives the main one, wants a connection.

Each scene is played in both: ``callback.SCENE`` and ``thread.SCENE``. Python 3.12 gives no more threads then, others
do: where there is none what needs one must say so, and elsewhere it must do what it always does.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from typing import Callable, Optional

from scene import TEXT, announce, client_of, connect, context_of, half_heard, play, rest_of, speaking

from cartesia_sync import APIConnectionError

Scene = Callable[[], object]


def is_without_threads() -> bool:
    try:
        threading.Thread(target=lambda: None).start()
    except RuntimeError:
        return True
    return False


def needs_a_thread(call: Callable[[], object]) -> None:
    """Make a call that must fail for the lack of a thread, and say so, where there is none; elsewhere it must not."""
    is_to_fail = is_without_threads()
    failure: Optional[APIConnectionError] = None
    try:
        call()
    except APIConnectionError as error:
        failure = error
    assert (failure is not None) == is_to_fail, failure
    if failure is not None:
        assert "interpreter shutdown" in str(failure), failure
        assert isinstance(failure.__cause__, (RuntimeError, OSError)), failure.__cause__


def connecting(url: str) -> Scene:
    return lambda: needs_a_thread(lambda: connect(url).close())


def connecting_by_a_name(url: str) -> Scene:
    """The system's resolver has a thread."""
    return lambda: needs_a_thread(lambda: connect(url.replace("127.0.0.1", "localhost")).close())


def connecting_in_a_block(url: str) -> Scene:
    def connect_in_a_block() -> None:
        with client_of(url).tts.websocket_connect() as connection:
            assert rest_of(speaking(connection))

    return lambda: needs_a_thread(connect_in_a_block)


def speaking_on_an_open_connection(url: str) -> Scene:
    """Where no thread can take the text the context is as it was, and the connection speaks."""
    connection = connect(url)
    context, other = context_of(connection), context_of(connection)
    taken: list[str] = []

    def text() -> Iterator[str]:
        taken.append(TEXT)
        yield TEXT

    def speak() -> None:
        needs_a_thread(lambda: list(context.speak(text())))
        if is_without_threads():
            assert taken == []
            context.push(TEXT, continue_=False)
            assert context.audio() == rest_of(speaking(connection))
        other.push(TEXT, continue_=False)
        assert other.audio()
        connection.close()

    return speak


def hearing_what_was_begun(url: str) -> Scene:
    connection = connect(url)
    context, heard = half_heard(connection)

    def hear() -> None:
        assert heard + rest_of(context) == rest_of(speaking(connection))
        connection.close()

    return hear


def reopening_a_lost_connection(url: str) -> Scene:
    """Its reader has ended, and another one needs a thread."""
    connection = connect(url)
    context = context_of(connection)
    wire = connection._link._wire
    assert wire is not None
    wire.shutdown()
    reader = connection._link.reader
    assert reader is not None
    reader.join()

    def push() -> None:
        needs_a_thread(lambda: context.push(TEXT))
        needs_a_thread(lambda: rest_of(speaking(connection)))
        connection.close()

    return push


def calling_over_http(url: str) -> Scene:
    client = client_of(url)

    def call() -> None:
        assert list(client.voices.list(limit=1))
        client.close()

    return call


def in_a_callback(make: Callable[[str], Scene], url: str) -> None:
    scene = make(url)

    def play_it() -> None:
        scene()
        announce("done")

    atexit.register(play_it)


def in_a_thread(make: Callable[[str], Scene], url: str) -> None:
    scene = make(url)

    def play_it() -> None:
        threading.main_thread().join()
        scene()
        announce("done")

    threading.Thread(target=play_it).start()


SCENES = (
    connecting,
    connecting_by_a_name,
    connecting_in_a_block,
    speaking_on_an_open_connection,
    hearing_what_was_begun,
    reopening_a_lost_connection,
    calling_over_http,
)


def played(where: Callable[[Callable[[str], Scene], str], None], make: Callable[[str], Scene]) -> Callable[[str], None]:
    return lambda url: where(make, url)


if __name__ == "__main__":
    callbacks = {f"callback.{make.__name__}": played(in_a_callback, make) for make in SCENES}
    play({**callbacks, **{f"thread.{make.__name__}": played(in_a_thread, make) for make in SCENES}})
