"""The client as its user has it, against the local server on real sockets."""

from __future__ import annotations

import logging
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartesia_sync import AuthenticationError, Cartesia, NotFoundError, TruncatedError
from cartesia_sync.local import LocalServer
from cartesia_sync.types import RawOutputFormatParam

BOUND = 20.0
KEY = "sk_car_a_key_that_nobody_may_see"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
OTHER_VOICE = "694f9389-aac1-45b6-b726-9d9369183238"
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=server.url)


def speak_alone(client: Cartesia, text: str, **fields: Any) -> bytes:
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice=VOICE, output_format=FORMAT, **fields)
        context.push(text)
        context.no_more_inputs()
        return context.audio()


ONE = "Context one is speaking now. The quick brown fox jumps over the lazy dog."
TWO = "Context two has a different message. Pack my box with five dozen liquor jugs."


def test_the_documented_example_runs_unchanged_but_for_the_import(client: Cartesia, tmp_path: Path) -> None:
    with client.tts.websocket_connect() as connection:
        ctx1 = connection.context(model_id="sonic-latest", voice={"mode": "id", "id": VOICE}, output_format=FORMAT)
        ctx2 = connection.context(model_id="sonic-latest", voice={"mode": "id", "id": VOICE}, output_format=FORMAT)
        ctx1.push(ONE)
        ctx1.no_more_inputs()
        ctx2.push(TWO)
        ctx2.no_more_inputs()
        for name, ctx in (("1", ctx1), ("2", ctx2)):
            with open(tmp_path / name, "wb") as f:
                for response in ctx.receive():
                    if response.type == "chunk" and response.audio:
                        f.write(response.audio)
                    elif response.type == "error":
                        print(response.message or response.title)
    assert (tmp_path / "1").read_bytes() == speak_alone(client, ONE)
    assert (tmp_path / "2").read_bytes() == speak_alone(client, TWO)


def test_contexts_in_many_threads_hear_the_bytes_that_each_hears_alone(client: Cartesia) -> None:
    texts = [f"This is speaker number {n}, who has something of her own to say." for n in range(8)]
    alone = [speak_alone(client, text) for text in texts]
    assert len(set(alone)) == len(alone)
    start = threading.Barrier(len(texts))
    with client.tts.websocket_connect() as connection:

        def speak(text: str) -> bytes:
            context = connection.context(voice=VOICE, output_format=FORMAT)
            start.wait(BOUND)
            context.push(text)
            context.no_more_inputs()
            return context.audio()

        with ThreadPoolExecutor(len(texts)) as pool:
            assert list(pool.map(speak, texts)) == alone


def test_one_connection_has_one_reader_thread_which_is_gone_after_close(client: Cartesia) -> None:
    def readers() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("cartesia-sync-reader")]

    manager = client.tts.websocket_connect()
    assert readers() == []
    connection = manager.enter()
    assert len(readers()) == 1
    contexts = [connection.context(voice=VOICE) for _ in range(5)]
    assert len(readers()) == 1
    del contexts
    connection.close()
    assert readers() == []
    connection.close()


def test_saved_speech_is_a_playable_file_of_the_right_length_and_loudness(client: Cartesia, tmp_path: Path) -> None:
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice=VOICE, output_format=FORMAT, add_timestamps=True)
        context.push(ONE)
        context.no_more_inputs()
        seconds = context.save(tmp_path / "one.wav")
    with wave.open(str(tmp_path / "one.wav")) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (44100, 2, 1)
        assert file.getnframes() / 44100 == pytest.approx(seconds)
        loudness = np.sqrt(np.mean((np.frombuffer(file.readframes(1 << 30), "<i2") / 32768) ** 2))
    assert 3 < seconds < 8  # fourteen words
    assert 0.02 < loudness < 0.3


@pytest.mark.parametrize("encoding", ["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"])
def test_every_encoding_gives_the_same_sound(client: Cartesia, encoding: str) -> None:
    def samples(encoding: str) -> Any:
        with client.tts.websocket_connect() as connection:
            context = connection.context(
                voice=VOICE, output_format={"container": "raw", "encoding": encoding, "sample_rate": 8000}
            )
            context.push("The same words.")
            context.no_more_inputs()
            return context.samples()

    ours, exact = samples(encoding), samples("pcm_f32le")
    assert ours.dtype == np.float32
    assert len(ours) == len(exact)
    assert np.max(np.abs(ours - exact)) < 0.04  # the coarsest step of the companded encodings, at full scale


def test_word_times_lie_within_the_audio_and_in_order(client: Cartesia) -> None:
    with client.tts.websocket_connect() as connection:
        context = connection.context(
            voice=VOICE, output_format=FORMAT, add_timestamps=True, add_phoneme_timestamps=True
        )
        context.push(ONE)
        context.no_more_inputs()
        words: list[str] = []
        times: list[float] = []
        phonemes = audio_bytes = 0
        for event in context.receive():
            if event.type == "chunk":
                audio_bytes += len(event.audio)
            elif event.type == "timestamps" and event.word_timestamps:
                words += event.word_timestamps.words
                for start, end in zip(event.word_timestamps.start, event.word_timestamps.end):
                    times += [start, end]
            elif event.type == "phoneme_timestamps" and event.phoneme_timestamps:
                phonemes += len(event.phoneme_timestamps.phonemes)
    assert words == ONE.split()
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= audio_bytes / 2 / 44100
    assert phonemes > len(words)


def test_flushes_number_the_chunks(client: Cartesia) -> None:
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice=VOICE, output_format=FORMAT)
        for text in ("One. ", "Two. ", "Three. "):
            context.push(text)
            context.flush()
        context.no_more_inputs()
        events = list(context.receive())
    assert [event.flush_id for event in events if event.type == "flush_done"] == [1, 2, 3]
    assert sorted({event.flush_id for event in events if event.type == "chunk"}) == [1, 2, 3]
    assert events[-1].type == "done"


def test_a_wrong_voice_is_an_error_event_and_the_connection_goes_on(client: Cartesia) -> None:
    with client.tts.websocket_connect() as connection:
        wrong = connection.context(voice="not-a-voice", output_format=FORMAT)
        wrong.push("Hello.", continue_=False)
        (event,) = wrong.receive()
        assert event.type == "error"
        assert event.error_code == "voice_not_found"
        assert "not-a-voice" in event.error
        wrong = connection.context(voice="not-a-voice", output_format=FORMAT)
        wrong.push("Hello.", continue_=False)
        with pytest.raises(NotFoundError) as caught:
            wrong.audio()
        assert caught.value.error_code == "voice_not_found"
        right = connection.context(voice=VOICE, output_format=FORMAT)
        right.push("Hello.", continue_=False)
        assert len(right.audio()) > 10_000


@pytest.mark.parametrize("version", ["2024-11-13", "2025-11-04", "2026-03-01", "2026-08-14"])
def test_voices_and_errors_are_right_with_every_api_version(server: LocalServer, version: str) -> None:
    client = Cartesia(api_key=KEY, base_url=server.url, cartesia_version=version)
    for voice in (VOICE, {"id": VOICE}, {"mode": "id", "id": VOICE}):
        with client.tts.websocket_connect() as connection:
            context = connection.context(voice=voice, output_format=FORMAT)
            context.push("Hi.", continue_=False)
            assert context.audio()
            sent = server.heard[-1].message["voice"]
            assert sent == (
                voice
                if version >= "2026-08-14" and "mode" not in voice
                else {"id": VOICE}
                if version >= "2026-08-14"
                else {"mode": "id", "id": VOICE}
            )
            context = connection.context(voice=voice, output_format=FORMAT)
            context.send(transcript="  ...", voice=voice, continue_=False)
            (event,) = context.receive()
            assert event.type == "error"
            assert event.title
            assert event.message


def test_a_wrong_key_is_an_authentication_error_with_the_services_words() -> None:
    with LocalServer(api_keys={"the right one"}) as server:
        with pytest.raises(AuthenticationError) as caught:
            Cartesia(api_key=KEY, base_url=server.url).tts.websocket_connect().enter()
        with Cartesia(api_key="the right one", base_url=server.url).tts.websocket_connect():
            pass
    assert caught.value.status_code == 401
    assert caught.value.title
    assert caught.value.request_id
    assert KEY not in str(caught.value) + repr(caught.value.__dict__)


def test_neither_the_log_nor_any_repr_shows_the_key_or_audio(
    client: Cartesia, server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), client.tts.websocket_connect() as connection:
        context = connection.context("visible-id", voice=VOICE, output_format=FORMAT)
        context.push("A secret text.", continue_=False)
        context.audio()
    assert "visible-id" in caplog.text
    shown = caplog.text + repr(client) + repr(connection) + repr(context) + repr(client.tts)
    assert KEY not in shown
    assert "A secret text." not in shown
    assert len(caplog.text) < 2000
    assert f"Bearer {KEY}" in server.handshakes[-1].headers.values()


def test_extra_query_and_headers_reach_the_handshake(client: Cartesia, server: LocalServer) -> None:
    with client.tts.websocket_connect(extra_query={"a": "b c"}, extra_headers={"X-Trace": "7"}):
        pass
    shake = server.handshakes[-1]
    headers = {name.lower(): value for name, value in shake.headers.items()}
    assert shake.query["a"] == "b c"
    assert headers["x-trace"] == "7"
    assert headers["cartesia-version"] == "2026-08-14"
    assert "origin" not in headers


def test_a_connection_that_the_service_drops_truncates_what_is_unfinished(
    client: Cartesia, server: LocalServer
) -> None:
    with client.tts.websocket_connect() as connection:
        whole, part = (connection.context(voice=VOICE, output_format=FORMAT) for _ in range(2))
        whole.push("Hello.", continue_=False)
        assert whole.audio()
        part.push("Hello. ")
        events = part.receive()
        assert next(events).type == "chunk"
        server.drop_connections(1000, "connection idle timeout")
        with pytest.raises(TruncatedError) as caught:
            list(events)
        assert (caught.value.code, caught.value.reason) == (1000, "connection idle timeout")
        assert caught.value.audio_bytes > 0

        again = connection.context(voice=VOICE, output_format=FORMAT)  # reconnects by itself
        again.push("Hello.", continue_=False)
        assert again.audio()


def test_the_form_of_version_2_speaks_too(client: Cartesia) -> None:
    alone = speak_alone(client, ONE)
    request: dict[str, Any] = {"model_id": "sonic-3", "voice": {"mode": "id", "id": VOICE}, "output_format": FORMAT}
    socket = client.tts.websocket()
    with socket:
        streamed: Any = socket.send(**request, transcript=ONE, stream=True)
        joined: Any = socket.send(**request, transcript=ONE, stream=False, add_timestamps=True)
        pieces = socket.context().send(**request, transcript=iter([ONE[:30], ONE[30:]]))
        assert b"".join(output.audio or b"" for output in streamed) == alone
        assert joined.audio == alone
        assert joined.word_timestamps.words == ONE.split()
        assert b"".join(output.audio or b"" for output in pieces) == alone


def test_a_speech_from_pieces_is_the_speech_of_the_whole(client: Cartesia) -> None:
    words = [word + " " for word in ONE.split()]
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice=VOICE, output_format=FORMAT)
        heard = b"".join(event.audio for event in context.speak(words) if event.type == "chunk")
    assert heard == speak_alone(client, "".join(words))
