"""The official client, unchanged, sync and async: it must be content with the local server."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import wave
from pathlib import Path
from typing import Any, Callable

import cartesia
import pytest
from cartesia import AsyncCartesia, Cartesia
from websockets.exceptions import InvalidStatus

from cartesia_sync.local import CutAnswer, ErrorEvent, LocalServer, RefuseRequest

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
    """What a plain peer receives for a text: the reference for the others."""

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


# ---- sync, over HTTP


def http_client_of(server: LocalServer, **options: Any) -> Cartesia:
    return Cartesia(**{"api_key": "any", "base_url": server.url, **options})


SPEECH: Any = {"model_id": "sonic-latest", "voice": VOICE, "transcript": "Hello, world. How are you?"}


def test_speech_in_bytes_and_in_events_is_that_of_a_socket(spoken: Callable[[LocalServer, str], bytes]) -> None:
    with LocalServer() as server, http_client_of(server) as client:
        reference = spoken(server, SPEECH["transcript"])
        assert client.tts.generate(**SPEECH, output_format=FORMAT).read() == reference
        with client.tts.generate_sse(
            **SPEECH, output_format=FORMAT, add_timestamps=True, add_phoneme_timestamps=True, context_id="turn-1"
        ) as stream:
            events: list[Any] = list(stream)
        assert server.requests[0].headers["Cartesia-Version"] == "2026-08-14"
    assert audio_of(events) == reference
    assert events[-1].type == "done"
    assert {event.context_id for event in events} == {"turn-1"}
    words = [word for event in events if event.type == "timestamps" for word in event.word_timestamps.words]
    assert words == ["Hello,", "world.", "How", "are", "you?"]
    assert any(event.type == "phoneme_timestamps" and event.phoneme_timestamps.phonemes for event in events)


def test_files_are_written_in_every_container(tmp_path: Path) -> None:
    with LocalServer() as server, http_client_of(server) as client:
        path = tmp_path / "speech.wav"
        form: Any = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000}
        with client.tts.with_streaming_response.generate(**SPEECH, output_format=form) as response:
            response.stream_to_file(path)
        with wave.open(str(path)) as file:
            seconds = len(file.readframes(10**6)) / 2 / file.getframerate()
        assert 1.0 < seconds < 4.0
        if importlib.util.find_spec("lameenc") is not None:
            mp3: Any = {"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}
            data = client.tts.generate(**SPEECH, output_format=mp3).read()
            assert abs(len(data) * 8 / 128000 - seconds) < 0.15


def test_an_error_in_mid_stream_is_an_error_event_and_before_it_an_exception() -> None:
    with LocalServer(faults=[ErrorEvent(500, "oops", after=1)]) as server, http_client_of(server) as client:
        events: list[Any] = list(client.tts.generate_sse(**SPEECH, output_format=FORMAT))
        assert [event.type for event in events] == ["chunk", "error"]
        assert events[-1].error == "Internal server error: Something went wrong."
        with pytest.raises(cartesia.NotFoundError, match="voice_not_found"):
            client.tts.generate(**{**SPEECH, "voice": "nobody"}, output_format=FORMAT)
        with pytest.raises(cartesia.BadRequestError, match="Invalid transcript"):
            client.tts.generate_sse(**{**SPEECH, "transcript": "."}, output_format=FORMAT)


def test_refusals_are_tried_again_as_long_as_it_does() -> None:
    times = [RefuseRequest(429, headers={"Retry-After-Ms": "1"}), CutAnswer()]
    with LocalServer(faults=times) as server, http_client_of(server) as client:
        assert client.voices.get(VOICE).id == VOICE
        assert [request.headers["X-Stainless-Retry-Count"] for request in server.requests] == ["0", "1", "2"]
        server.inject(RefuseRequest(402, times=None))
        with pytest.raises(cartesia.APIStatusError) as caught:
            client.voices.get(VOICE)
        assert caught.value.status_code == 402
        assert len(server.requests) == 4


def test_voices() -> None:
    with LocalServer() as server, http_client_of(server) as client:
        voices = list(client.voices.list(limit=4))
        assert len(voices) > 10
        assert len({voice.id for voice in voices}) == len(voices)
        assert voices[0] == client.voices.get(voices[0].id)
        assert [voice.gender for voice in client.voices.list(gender="masculine", is_owner=False)] == ["masculine"] * 6

        made = client.voices.clone(clip=b"RIFF", name="Mine", language="en", description="d", base_voice_id=VOICE)
        assert (made.access, made.visibility, made.description) == ("private", "owner", "d")
        assert client.voices.update(made.id, name="Yours", gender="feminine", accent="british").name == "Yours"
        voice = client.voices.add_accents(made.id, accents=["parisian"])
        assert [locale.locale for locale in voice.locales] == ["en", "fr-FR"]
        voice = client.voices.delete_accent("parisian", id=made.id)
        assert [locale.locale for locale in voice.locales] == ["en"]
        other = client.voices.localize(voice_id=made.id, name="Theirs", accent="castilian")
        assert other.language == "es"
        assert {voice.id for voice in client.voices.list(is_owner=True)} == {made.id, other.id}
        client.voices.delete(made.id)
        with pytest.raises(cartesia.NotFoundError):
            client.voices.get(made.id)
        accents = client.voices.list_accents().accents
        assert "parisian" in {accent.id for accent in accents}


def test_dictionaries_and_what_they_do_to_speech() -> None:
    with LocalServer() as server, http_client_of(server) as client:
        made = client.pronunciation_dicts.create(name="Mine", items=[{"text": "world", "alias": "whirled"}])
        assert made == client.pronunciation_dicts.retrieve(made.id)
        assert [one.id for one in client.pronunciation_dicts.list(limit=1)] == [made.id]
        assert client.pronunciation_dicts.update(made.id, name="Yours").name == "Yours"
        respelled = client.tts.generate(**SPEECH, output_format=FORMAT, pronunciation_dict_id=made.id).read()
        aliased = {**SPEECH, "transcript": SPEECH["transcript"].replace("world", "whirled")}
        assert respelled == client.tts.generate(**aliased, output_format=FORMAT).read()
        client.pronunciation_dicts.delete(made.id)
        with pytest.raises(cartesia.NotFoundError):
            client.tts.generate(**SPEECH, output_format=FORMAT, pronunciation_dict_id=made.id)


def test_an_access_token_speaks_and_does_nothing_else() -> None:
    with LocalServer(api_keys={"any"}) as server, http_client_of(server) as client:
        token = client.access_token.create(grants={"tts": True}, expires_in=60).token
        with http_client_of(server, api_key=None, token=token) as other:
            assert len(other.tts.generate(**SPEECH, output_format=FORMAT).read()) > 100_000
            with pytest.raises(cartesia.PermissionDeniedError):
                other.voices.list()
        with client_of(server, api_key=None, token=token) as other, other.tts.websocket_connect() as connection:
            context = connection.context(**COMMON)
            context.push("Hi.")
            context.no_more_inputs()
            assert list(context.receive())[-1].type == "done"
        forged = http_client_of(server, api_key=None, token=token + "x")
        with forged, pytest.raises(cartesia.AuthenticationError):
            forged.tts.generate(**SPEECH, output_format=FORMAT)


def test_infill_and_the_voice_changer() -> None:
    raw: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
    with LocalServer() as server, http_client_of(server) as client:
        clip = client.tts.generate(**SPEECH, output_format={**raw, "container": "wav"}).read()
        infilled = client.tts.infill(
            left_audio=clip, model_id="sonic-3", language="en", transcript="Hello.", voice_id=VOICE, output_format=raw
        )
        assert infilled.read() == client.tts.generate(**{**SPEECH, "transcript": "Hello."}, output_format=raw).read()
        output: Any = {
            "output_format_container": "raw",
            "output_format_encoding": "pcm_s16le",
            "output_format_sample_rate": 24000,
        }
        assert client.voice_changer.generate(clip=clip, voice_id=VOICE, **output).read() == clip[44:]
        events: list[Any] = list(client.voice_changer.generate_sse(clip=clip, voice_id=VOICE, **output))
        assert b"".join(base64.b64decode(event.data) for event in events[:-1]) == clip[44:]
        assert (events[-1].done, events[-1].status_code) == (True, 200)


def test_datasets_and_fine_tunes() -> None:
    with LocalServer() as server, http_client_of(server) as client:
        dataset = client.datasets.create(name="n", description="d")
        client.datasets.update(dataset.id, name="m", description="e")
        assert [one.name for one in client.datasets.list()] == ["m"]
        client.datasets.files.upload(dataset.id, file=b"123")
        (file,) = client.datasets.files.list(dataset.id)
        assert file.size == 3
        client.datasets.files.delete(file.id, id=dataset.id)
        tune = client.fine_tunes.create(
            name="n", description="d", language="en", model_id="sonic-3", dataset=dataset.id
        )
        assert (client.fine_tunes.retrieve(tune.id).status, list(client.fine_tunes.list())) == ("created", [tune])
        assert list(client.fine_tunes.list_voices(tune.id)) == []
        client.fine_tunes.delete(tune.id)
        client.datasets.delete(dataset.id)
        assert list(client.datasets.list()) == []


def test_what_is_not_here_says_so_at_once() -> None:
    with LocalServer() as server, http_client_of(server) as client:
        assert client.get_status().ok
        for ask in (
            client.agents.list,
            lambda: client.agents.calls.list(agent_id="a"),
        ):
            with pytest.raises(cartesia.InternalServerError, match="does not do"):
                ask()
        assert len(server.requests) == 3  # none was tried again


def test_the_former_version_reads_its_own_shapes() -> None:
    with LocalServer() as server, http_client_of(server) as client:
        older = client.with_options(default_headers={"cartesia-version": "2025-11-04"})
        voice: Any = older.voices.get(VOICE)
        assert voice.is_public is True
        with pytest.raises(cartesia.NotFoundError) as caught:
            older.voices.get("nobody")
        assert caught.value.body == "Voice not found: There is no voice 'nobody'."


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
        received = asyncio.run(scene(server))
        for number, events in enumerate(received):
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
