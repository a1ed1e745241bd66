"""The official client and ours, the same calls against one server: the same JSON on the wire, the same bytes heard."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable

import cartesia
import pytest

import cartesia_sync
from cartesia_sync.local import Hold, LocalServer

BOUND = 20.0
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
OTHER_VOICE = "694f9389-aac1-45b6-b726-9d9369183238"
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
TEXTS = {"a": ("Hello, this ", "is one voice. ", "And its rest."), "b": ("Something else ", "is said here.", "")}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", reuse_ended_ids=True) as server:
        yield server


def official(server: LocalServer, version: str = "2026-08-14") -> Any:
    return cartesia.Cartesia(
        api_key="any", websocket_base_url=server.websocket_url, default_headers={"Cartesia-Version": version}
    )


def ours(server: LocalServer, version: str = "2026-08-14") -> Any:
    return cartesia_sync.Cartesia(api_key="any", base_url=server.url, cartesia_version=version)


# ---- the bytes that are heard


def hear_both(client: Any) -> dict[str, bytes]:
    """Let a client speak two contexts on one connection, from one thread, and give the audio of each."""
    heard = {}
    with client.tts.websocket_connect() as connection:
        contexts = {
            name: connection.context(name, model_id="sonic-latest", voice=VOICE, output_format=FORMAT) for name in TEXTS
        }
        for pieces in zip(*TEXTS.values()):
            for context, piece in zip(contexts.values(), pieces):
                context.push(piece)
        for context in contexts.values():
            context.no_more_inputs()
        for name, context in contexts.items():
            events = list(context.receive())
            assert events[-1].type == "done"
            assert {event.context_id for event in events} == {name}
            heard[name] = b"".join(event.audio for event in events if event.type == "chunk")
    return heard


async def hear_both_async(server: LocalServer) -> dict[str, bytes]:
    async def hear(context: Any) -> bytes:
        events = [event async for event in context.receive()]
        assert events[-1].type == "done"
        return b"".join(event.audio for event in events if event.type == "chunk")

    client: Any = cartesia.AsyncCartesia(api_key="any", websocket_base_url=server.websocket_url)
    async with client, client.tts.websocket_connect() as connection:
        contexts = {
            name: connection.context(name, model_id="sonic-latest", voice=VOICE, output_format=FORMAT) for name in TEXTS
        }
        for pieces in zip(*TEXTS.values()):
            for context, piece in zip(contexts.values(), pieces):
                await context.push(piece)
        for context in contexts.values():
            await context.no_more_inputs()
        return dict(zip(contexts, await asyncio.gather(*(hear(context) for context in contexts.values()))))


def test_both_clients_hear_the_same_bytes_for_two_contexts(server: LocalServer) -> None:
    with official(server) as client:
        theirs = hear_both(client)
    assert theirs == hear_both(ours(server))
    assert len(theirs["a"]) > len(theirs["b"]) > 16000


def test_the_official_async_client_hears_the_same_bytes(server: LocalServer) -> None:
    assert asyncio.run(hear_both_async(server)) == hear_both(ours(server))


def test_two_threads_of_ours_hear_what_one_thread_of_theirs_hears(server: LocalServer) -> None:
    start = threading.Barrier(len(TEXTS))
    with ours(server).tts.websocket_connect() as connection, ThreadPoolExecutor(len(TEXTS)) as pool:

        def speak(name: str) -> bytes:
            context = connection.context(name, voice=VOICE, output_format=FORMAT)
            start.wait(BOUND)
            for piece in TEXTS[name]:
                context.push(piece)
            context.no_more_inputs()
            audio: bytes = context.audio()
            return audio

        heard = dict(zip(TEXTS, pool.map(speak, TEXTS)))
    with official(server) as client:
        assert heard == hear_both(client)


def test_both_clients_hear_the_same_events_with_flushes_and_timestamps(server: LocalServer) -> None:
    def events_of(client: Any) -> list[tuple[Any, ...]]:
        with client.tts.websocket_connect() as connection:
            context = connection.context(
                "a", voice=VOICE, output_format=FORMAT, add_timestamps=True, add_phoneme_timestamps=True
            )
            for text in ("One. ", "Two. "):
                context.push(text)
                context.push("", flush=True)
            context.no_more_inputs()
            return [told(event) for event in context.receive()]

    def told(event: Any) -> tuple[Any, ...]:
        words, phonemes = getattr(event, "word_timestamps", None), getattr(event, "phoneme_timestamps", None)
        return (
            event.type,
            event.context_id,
            event.done,
            event.status_code,
            getattr(event, "flush_id", None),
            getattr(event, "data", None),
            words and (words.words, words.start, words.end),
            phonemes and (phonemes.phonemes, phonemes.start, phonemes.end),
        )

    with official(server) as client:
        theirs = events_of(client)
    assert theirs == events_of(ours(server))
    assert {event[0] for event in theirs} == {"chunk", "timestamps", "phoneme_timestamps", "flush_done", "done"}


@pytest.mark.parametrize("version", ["2026-03-01", "2026-08-14"])
def test_both_clients_read_the_same_error(server: LocalServer, version: str) -> None:
    def error_of(client: Any) -> tuple[Any, ...]:
        with client.tts.websocket_connect() as connection:
            context = connection.context("a", voice={"mode": "id", "id": "nobody"}, output_format=FORMAT)
            context.push("Hello.")
            (event,) = context.receive()
            return event.type, event.context_id, event.status_code, event.done, event.error

    with official(server, version) as client:
        assert error_of(client) == error_of(ours(server, version))


# ---- the JSON that is said

Calls = Callable[[Any], Any]
"""What is done with a connection; gives the context, to be held."""


def made(**context_options: Any) -> Calls:
    """Make a context with these options, push twice and finish."""

    def call(connection: Any) -> Any:
        context = connection.context("a", **{"voice": VOICE, **context_options})
        context.push("One. ")
        context.push("Two.")
        context.no_more_inputs()
        return context

    return call


def pushed(*pushes: dict[str, Any], finish: bool = True, **context_options: Any) -> Calls:
    """Push with these options, and finish."""

    def call(connection: Any) -> Any:
        context = connection.context("a", **{"voice": VOICE, "output_format": FORMAT, **context_options})
        for push in pushes:
            context.push("One. ", **push)
        if finish:
            context.no_more_inputs()
        return context

    return call


def sent(**options: Any) -> Calls:
    """Send once, with everything in the call."""

    def call(connection: Any) -> Any:
        context = connection.context("a")
        context.send(**{"transcript": "One. ", "voice": VOICE, "model_id": "sonic-3", **options})
        return context

    return call


def finished_twice(connection: Any) -> Any:
    context = connection.context("a", voice=VOICE)
    context.push("One.")
    context.no_more_inputs()
    context.no_more_inputs()
    return context


def cancelled(connection: Any) -> Any:
    context = connection.context("a", voice=VOICE)
    context.push("One. ")
    context.cancel()
    return context


def finished_with_the_default_voice(connection: Any) -> Any:
    context = connection.context("a")
    context.push("One. ", voice=OTHER_VOICE)
    context.no_more_inputs()
    return context


def without_a_context(connection: Any) -> Any:
    connection.send(
        {
            "context_id": "a",
            "model_id": "sonic-3",
            "transcript": "One.",
            "voice": {"id": VOICE},
            "output_format": FORMAT,
            "continue": False,
        }
    )


CALLS: dict[str, Calls] = {
    "defaults": made(),
    "model": made(model_id="sonic-turbo"),
    "voice as a mapping": made(voice={"id": VOICE}),
    "voice with a mode": made(voice={"mode": "id", "id": VOICE}),
    "format": made(output_format={"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}),
    "language": made(language="en"),
    "timestamps": made(add_timestamps=True, add_phoneme_timestamps=False),
    "generation config": made(generation_config={"speed": 1.1, "volume": 0.9, "emotion": "angry"}),
    "buffer delay": made(max_buffer_delay_ms=0),
    "pronunciation": made(pronunciation_dict_id="dict", use_normalized_timestamps=True),
    "everything": made(
        model_id="sonic-3",
        output_format=FORMAT,
        language="de",
        add_timestamps=True,
        add_phoneme_timestamps=True,
        generation_config={"speed": 1.2},
        max_buffer_delay_ms=200,
        pronunciation_dict_id="dict",
        use_normalized_timestamps=False,
    ),
    "last push says so": pushed({}, {"continue_": False}, finish=False),
    "flush": pushed({"flush": True}, {"flush": False}, {"flush": None}),
    "push overrides": pushed(
        {"language": "fr", "add_timestamps": False, "add_phoneme_timestamps": True, "speed": "fast"},
        language="en",
        add_timestamps=True,
    ),
    "push takes back": pushed(
        {"language": None, "add_timestamps": None, "add_phoneme_timestamps": None, "generation_config": None},
        language="en",
        add_timestamps=True,
        add_phoneme_timestamps=True,
        generation_config={"speed": 1.1},
    ),
    "push with other fields": pushed({"locale": "en-GB", "duration": 2.5}),
    "push with its own voice, model and format": pushed(
        {"voice": OTHER_VOICE, "model_id": "sonic-3", "output_format": FORMAT}, output_format=None
    ),
    "send": sent(),
    "send with all": sent(
        output_format=FORMAT,
        continue_=False,
        language="en",
        speed="slow",
        add_timestamps=True,
        add_phoneme_timestamps=True,
        flush=True,
        generation_config={"volume": 1.5},
    ),
    "send without": sent(language=None, flush=None, generation_config=None, speed=None),
    "finished twice": finished_twice,
    "cancelled": cancelled,
    "finished with the default voice": finished_with_the_default_voice,
    "by hand": without_a_context,
}


@pytest.mark.parametrize("calls", [pytest.param(calls, id=name) for name, calls in CALLS.items()])
def test_the_same_calls_say_the_same_on_the_wire_but_for_the_voices_shape(server: LocalServer, calls: Calls) -> None:
    def said_by(client: Any) -> list[dict[str, Any]]:
        before, all_is_said = len(server.heard), threading.Event()
        server.inject(Hold(all_is_said))  # or a refusal could end a context before all of it is said
        with client.tts.websocket_connect() as connection:
            try:
                kept = calls(connection)  # ours would cancel a context that nobody holds
                end = connection.context("the end", voice=VOICE)
                end.push("x")
                server.wait_for(lambda server: any(is_end(each.message) for each in server.heard[before:]), BOUND)
            finally:
                all_is_said.set()
            said = [with_plain_voice(each.message) for each in server.heard[before:-1]]
            del kept
        return said

    def is_end(message: Any) -> bool:
        return bool(message["context_id"] == "the end")

    with official(server) as client:
        theirs = said_by(client)
    assert said_by(ours(server)) == theirs
    assert theirs


def with_plain_voice(message: Any) -> dict[str, Any]:
    """Write the voice as its id, as API version 2026-08-14 takes it in either shape."""
    voice = message.get("voice")
    return {**message, "voice": voice["id"]} if isinstance(voice, dict) else dict(message)


def has_heard(count: int, server: LocalServer) -> bool:
    return len(server.heard) == count


def test_texts_of_every_kind_go_out_the_same(server: LocalServer) -> None:
    texts = ['Grüße, "Welt"! ', "你好。", "a\nb\tc\\", "🙂", "\x00\x1f"]
    said: list[list[Any]] = []
    for client in (official(server), ours(server)):
        before = len(server.heard)
        with client.tts.websocket_connect() as connection:
            context = connection.context("a", voice=VOICE, output_format=FORMAT)
            for text in texts:
                context.push(text)
            server.wait_for(partial(has_heard, before + len(texts)), BOUND)
        said.append([each.message for each in server.heard[before:]])
    theirs, our_own = said
    assert [each["transcript"] for each in our_own] == texts
    assert our_own == theirs
