"""The client under gevent, where every thread is a greenlet and no wait may hold the others up."""

from __future__ import annotations

from gevent import monkey  # type: ignore[import,unused-ignore]  # no type hints are published for it

monkey.patch_all()

import gevent  # noqa: E402  # nothing may be imported before the patch
from scene import FORMAT, VOICE, connect, context_of, play, rest_of, speaking  # noqa: E402  # as above

from cartesia_sync import TruncatedError  # noqa: E402  # as above


def contexts_on_one_connection(url: str) -> None:
    texts = [f"Speaker number {number} has something of her own to say." for number in range(6)]

    def alone(text: str) -> bytes:
        with connect(url) as connection:
            context = context_of(connection)
            context.push(text, continue_=False)
            return rest_of(context)

    said_alone = [alone(text) for text in texts]
    assert len(set(said_alone)) == len(texts)
    with connect(url) as connection:

        def speak(text: str) -> bytes:
            context = context_of(connection)
            for word in text.split():
                context.push(f"{word} ")
            context.no_more_inputs()
            return rest_of(context)

        greenlets = [gevent.spawn(speak, text) for text in texts]
        gevent.joinall(greenlets, raise_error=True)
        in_pieces = [greenlet.value for greenlet in greenlets]
        assert all(in_pieces)

        def speak_whole(text: str) -> bytes:
            context = connection.context(voice=VOICE, output_format=FORMAT)
            context.push(text, continue_=False)
            return rest_of(context)

        greenlets = [gevent.spawn(speak_whole, text) for text in texts]
        gevent.joinall(greenlets, raise_error=True)
        assert [greenlet.value for greenlet in greenlets] == said_alone


def others_run_while_one_waits(url: str) -> None:
    connection = connect(url)
    context = speaking(connection)
    next(context.receive())

    def wait() -> str:
        try:
            next(context.receive())
        except TruncatedError:
            return "woken"
        return "heard"

    waiting = gevent.spawn(wait)
    gevent.spawn(lambda: None).join()  # runs only if the other gives way
    gevent.spawn(connection.close).join()
    assert waiting.get() == "woken"


def a_speech(url: str) -> None:
    with connect(url) as connection:
        events = list(context_of(connection).speak(iter(["One. ", "Two. ", "Three."])))
        assert events[-1].type == "done"


def an_open_connection_at_exit(url: str) -> None:
    globals()["kept"] = connect(url)


if __name__ == "__main__":
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
