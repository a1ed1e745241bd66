"""The official client, unchanged, sync and async: it must be content with the local server."""

from __future__ import annotations

import asyncio
from typing import Any, Callable

import pytest
from cartesia import AsyncCartesia, Cartesia
from websockets.exceptions import InvalidStatus

from cartesia_sync.local import LocalServer

FORMAT: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
COMMON: Any = {"model_id": "sonic-latest", "voice": VOICE, "output_format": FORMAT, "timeout": 10.0}
Dial = Callable[..., Any]


def client_of(server: LocalServer, **options: Any) -> Cartesia:
    return Cartesia(**{"api_key": "any", "websocket_base_url": server.websocket_url, **options})


def async_client_of(server: LocalServer) -> AsyncCartesia:
    return AsyncCartesia(api_key="any", websocket_base_url=server.websocket_url)


def audio_of(events: list[Any]) -> bytes:
    return b"".join(event.audio for event in events if event.type == "chunk")


@pytest.fixture
def spoken(dial: Dial, audio_of: Callable[..., bytes]) -> Callable[[LocalServer, str], bytes]:
    """What a plain peer hears for a text: the reference for the others."""

    def speak(server: LocalServer, text: str) -> bytes:
        peer = dial(server)
        peer.ask("a", text, output_format=FORMAT)
        return audio_of(peer.until("a"))

    return speak


# ---- sync


def test_two_contexts_pushed_and_received(spoken: Callable[[LocalServer, str], bytes]) -> None:
    with LocalServer() as server, client_of(server) as client, client.tts.websocket_connect() as connection:
        one, other = connection.context(**COMMON), connection.context(**COMMON)
        for piece in ("Hello, ", "world. ", "How are you?"):
            one.push(piece)
        other.push("Something else.")
        one.no_more_inputs()
        other.no_more_inputs()
        first, second = list(one.receive()), list(other.receive())
        assert [events[-1].type for events in (first, second)] == ["done", "done"]
        assert audio_of(first) == spoken(server, "Hello, world. How are you?")
        assert audio_of(second) == spoken(server, "Something else.")
        assert server.handshakes[0].headers["Authorization"] == "Bearer any"
        assert server.handshakes[0].headers["Cartesia-Version"] == "2026-08-14"


def test_flushes_and_timestamps() -> None:
    with LocalServer() as server, client_of(server) as client, client.tts.websocket_connect() as connection:
        context = connection.context(**COMMON, add_timestamps=True, add_phoneme_timestamps=True)
        for text in ("One. ", "Two. ", "Three. "):
            context.push(text)
            context.push("", flush=True)
        context.no_more_inputs()
        events: list[Any] = list(context.receive())
    assert [event.flush_id for event in events if event.type == "flush_done"] == [1, 2, 3]
    words: list[str] = []
    starts: list[float] = []
    for event in events:
        if event.type == "timestamps":
            words += event.word_timestamps.words
            starts += event.word_timestamps.start
    assert words == ["One.", "Two.", "Three."]
    assert starts == sorted(starts)
    assert starts[2] > starts[0]
    assert any(event.type == "phoneme_timestamps" and event.phoneme_timestamps.phonemes for event in events)
    assert {event.flush_id for event in events if event.type == "chunk"} == {1, 2, 3}


def test_a_cancel_leaves_the_connection_usable() -> None:
    with LocalServer(pace=1.0) as server, client_of(server) as client, client.tts.websocket_connect() as connection:
        context = connection.context(**COMMON)
        context.push("A long sentence that nobody will hear to its end.")
        assert next(iter(context.receive())).type == "chunk"
        context.cancel()
        server.wait_for(lambda server: len(server.heard) == 2, 10.0)
        assert set(server.heard[1].message) == {"context_id", "cancel"}
        other = connection.context(**COMMON)
        other.send(model_id="sonic-latest", transcript="Hi", voice=VOICE, output_format=FORMAT, continue_=False)
        events = list(other.receive())
    assert events[-1].type == "done"


def test_a_bad_voice_is_an_error_event() -> None:
    with LocalServer() as server, client_of(server) as client, client.tts.websocket_connect() as connection:
        context = connection.context(**{**COMMON, "voice": "nobody"})
        context.push("Hello.")
        (event,) = list(context.receive())
        assert event.type == "error"
        assert event.error_code == "voice_not_found"
        assert event.status_code == 404
        assert event.error.startswith("Voice not found: ")


def test_without_a_key_the_handshake_is_refused() -> None:
    with LocalServer(api_keys={"right"}) as server:
        for options in ({"api_key": None}, {"api_key": "wrong"}):
            with client_of(server, **options) as client, pytest.raises(InvalidStatus) as caught:
                client.tts.websocket_connect().enter()
            assert caught.value.response.status_code == 401


def test_the_old_form_of_one_call_works() -> None:
    with LocalServer() as server, client_of(server) as client:
        websocket = client.tts.websocket()
        websocket.connect()
        try:
            outputs = list(
                websocket.send(
                    model_id="sonic-3",
                    transcript="Hello there.",
                    voice={"mode": "id", "id": VOICE},
                    output_format=FORMAT,
                    stream=True,
                )
            )
        finally:
            websocket.close()
    assert sum(len(output.audio or b"") for output in outputs) > 44100


# ---- async


async def collect(context: Any) -> list[Any]:
    return [event async for event in context.receive()]


def test_async_contexts_side_by_side(spoken: Callable[[LocalServer, str], bytes]) -> None:
    async def scene(server: LocalServer) -> list[list[Any]]:
        async with async_client_of(server) as client, client.tts.websocket_connect() as connection:
            contexts = [connection.context(**COMMON) for _ in range(4)]
            receivers = [asyncio.ensure_future(collect(context)) for context in contexts]
            for number, context in enumerate(contexts):
                await context.push(f"This is number {number}. ")
                await context.push("And this is its rest.")
                await context.no_more_inputs()
            return list(await asyncio.gather(*receivers))

    with LocalServer() as server:
        heard = asyncio.run(scene(server))
        for number, events in enumerate(heard):
            assert events[-1].type == "done"
            assert audio_of(events) == spoken(server, f"This is number {number}. And this is its rest.")


def test_async_flush_timestamps_cancel_and_error() -> None:
    async def scene(server: LocalServer) -> None:
        async with async_client_of(server) as client, client.tts.websocket_connect() as connection:
            flushed = connection.context(**COMMON, add_timestamps=True)
            await flushed.push("One. ")
            await flushed.push("", flush=True)
            await flushed.push("Two.")
            await flushed.no_more_inputs()
            events = await collect(flushed)
            kinds = [event.type for event in events]
            assert kinds.count("flush_done") == 1
            assert kinds.count("timestamps") >= 2
            assert kinds[-1] == "done"

            wrong = connection.context(**{**COMMON, "voice": "nobody"})
            await wrong.push("Hello.")
            (error,) = await collect(wrong)
            assert (error.type, error.error_code) == ("error", "voice_not_found")

            cancelled = connection.context(**COMMON)
            await cancelled.push("A sentence that is cancelled.")
            await cancelled.cancel()
            last = connection.context(**COMMON)
            await last.push("Hello.")
            await last.no_more_inputs()
            assert (await collect(last))[-1].type == "done"

    with LocalServer() as server:
        asyncio.run(scene(server))


def test_async_without_a_key_the_handshake_is_refused() -> None:
    async def scene(server: LocalServer) -> int:
        async with AsyncCartesia(websocket_base_url=server.websocket_url) as client:
            with pytest.raises(InvalidStatus) as caught:
                await client.tts.websocket_connect().enter()
            return caught.value.response.status_code

    with LocalServer() as server:
        assert asyncio.run(scene(server)) == 401
