"""The client over HTTP as its user has it, against the local server on real sockets."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cartesia_sync import (
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    Cartesia,
    IncompleteAnswerError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from cartesia_sync.local import (
    CutAnswer,
    ErrorEvent,
    LocalServer,
    RefuseRequest,
    StallAnswer,
    Unfinished,
)

BOUND = 20.0
KEY = "sk_car_a_key_that_nobody_may_see"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 22050}
WAV = {**RAW, "container": "wav"}
TEXT = "The quick brown fox jumps over the lazy dog. It does so every day."


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[Cartesia]:
    with Cartesia(api_key=KEY, base_url=server.url) as client:
        yield client


def on_the_socket(client: Cartesia, **fields: str) -> bytes:
    with client.tts.websocket_connect() as connection:
        context = connection.context(model_id="sonic-latest", voice=VOICE, output_format=RAW, **fields)
        context.push(TEXT)
        context.no_more_inputs()
        return context.audio()


def test_all_three_transports_speak_the_same_bytes(client: Cartesia) -> None:
    over_http = client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW).read()
    events = list(client.tts.generate_sse(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW))
    assert events[-1].type == "done"
    assert b"".join(event.audio for event in events if event.type == "chunk") == over_http
    assert on_the_socket(client) == over_http
    assert 2 < len(over_http) / 2 / 22050 < 8


def test_a_wav_file_that_was_streamed_says_its_true_length(client: Cartesia, tmp_path: Path) -> None:
    answer = client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=WAV)
    assert answer.headers["content-type"].startswith("audio/wav")
    answer.write_to_file(tmp_path / "speech.wav")
    raw = client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW).read()
    with wave.open(str(tmp_path / "speech.wav")) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 22050)
        assert read.getnframes() == len(raw) // 2
        assert read.readframes(read.getnframes()) == raw


@pytest.mark.parametrize("container", ["raw", "wav"])
@pytest.mark.parametrize("encoding", ["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"])
def test_samples_are_the_same_sound_in_every_container_and_encoding(
    client: Cartesia, container: str, encoding: str
) -> None:
    heard = client.tts.generate(
        model_id="sonic-latest",
        transcript=TEXT,
        voice=VOICE,
        output_format={"container": container, "encoding": encoding, "sample_rate": 22050},
    ).samples()
    meant = client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW).samples()
    assert heard.dtype == np.float32
    assert heard.shape == meant.shape
    assert float(np.sqrt(np.mean(meant**2))) > 0.02  # that it is no silence
    assert float(np.max(np.abs(heard - meant))) < 0.05


def test_the_words_times_lie_within_the_audio_and_in_order(client: Cartesia) -> None:
    with client.tts.generate_sse(
        model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW, add_timestamps=True
    ) as events:
        words: list[str] = []
        times: list[float] = []
        seconds = 0.0
        for event in events:
            if event.type == "timestamps" and event.word_timestamps is not None:
                words += event.word_timestamps.words
                times += event.word_timestamps.start
            elif event.type == "chunk":
                seconds += len(event.samples()) / 22050
    assert words == TEXT.split()
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] < seconds


def test_the_audio_is_there_before_the_answer_is_whole(server: LocalServer, client: Cartesia) -> None:
    go_on = threading.Event()
    server.inject(StallAnswer(go_on, after=1000))
    with client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW) as answer:
        pieces = answer.iter_bytes()
        first = next(pieces)
        assert 0 < len(first) <= 1000
        go_on.set()
        assert len(first) + sum(map(len, pieces)) > 1000


def test_a_catalogue_is_read_through_all_its_pages(client: Cartesia) -> None:
    at_once = [voice.id for voice in client.voices.list(limit=100)]
    assert len(at_once) > 6
    assert [voice.id for voice in client.voices.list(limit=3)] == at_once
    page = client.voices.list(limit=3)
    assert len(page.data) == 3
    assert [voice.id for voice in page.get_next_page().data] == at_once[3:6]


def test_a_voice_is_cloned_changed_spoken_with_and_deleted(client: Cartesia) -> None:
    clip = io.BytesIO(
        client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=WAV).read()
    )
    made = client.voices.clone(clip=clip, name="Mine", language="en", description="For a test.")
    try:
        changed = client.voices.update(made.id, name="Ours")
        assert (changed.id, changed.name, changed.is_owner) == (made.id, "Ours", True)
        assert made.id in [voice.id for voice in client.voices.list(is_owner=True)]
        assert client.tts.generate(
            model_id="sonic-latest", transcript="Hello.", voice=made.id, output_format=RAW
        ).read()
    finally:
        client.voices.delete(made.id)
    with pytest.raises(NotFoundError):
        client.voices.get(made.id)


def test_a_dictionary_is_heard_over_http_and_on_the_socket(client: Cartesia) -> None:
    plain = on_the_socket(client)
    made = client.pronunciation_dicts.create(name="animals", items=[{"text": "fox", "alias": "hippopotamus"}])
    try:
        spoken = client.tts.generate(
            model_id="sonic-latest",
            transcript=TEXT,
            voice=VOICE,
            output_format=RAW,
            pronunciation_dict_id=made.id,
        ).read()
        assert len(spoken) > len(plain)
        assert on_the_socket(client, pronunciation_dict_id=made.id) == spoken
    finally:
        client.pronunciation_dicts.delete(made.id)


def test_a_token_opens_what_it_was_granted_on_both_transports(server: LocalServer, client: Cartesia) -> None:
    token = client.access_token.create(grants={"tts": True}, expires_in=60).token
    with Cartesia(token=token, base_url=server.url) as guest:
        said = guest.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW).read()
        assert on_the_socket(guest) == said
        with pytest.raises(PermissionDeniedError):
            guest.voices.list()


def test_sixteen_threads_share_one_client(client: Cartesia) -> None:
    texts = [f"This is speaker number {n}." for n in range(16)]

    def spoken(text: str) -> bytes:
        return client.tts.generate(model_id="sonic-latest", transcript=text, voice=VOICE, output_format=RAW).read()

    with ThreadPoolExecutor(16) as pool:
        at_once = list(pool.map(spoken, texts, timeout=BOUND))
    assert at_once == [spoken(text) for text in texts]
    assert len(set(at_once)) == 16


# ---- what goes wrong


def test_a_wrong_key_a_wrong_voice_and_no_text_say_so() -> None:
    with LocalServer(api_keys=[KEY]) as server:
        with (
            Cartesia(api_key="sk_car_not_this_one", base_url=server.url) as client,
            pytest.raises(AuthenticationError) as caught,
        ):
            client.voices.list()
        assert "not_this_one" not in f"{caught.value!r} {caught.value.body}"
        with Cartesia(api_key=KEY, base_url=server.url) as client:
            with pytest.raises(NotFoundError) as missing:
                client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice="nobody", output_format=RAW)
            assert missing.value.error_code == "voice_not_found"
            assert missing.value.request_id
            with pytest.raises(BadRequestError):
                client.tts.generate(model_id="sonic-latest", transcript=" ", voice=VOICE, output_format=RAW)


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_answer_is_no_file(server: LocalServer, client: Cartesia, tmp_path: Path, reset: bool) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(b"of before")
    server.inject(CutAnswer(after=5000, reset=reset))
    answer = client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=WAV)
    with pytest.raises(IncompleteAnswerError) as caught:
        answer.write_to_file(file)
    assert 0 < caught.value.received_bytes <= 5000
    assert file.read_bytes() == b"of before"
    assert list(tmp_path.iterdir()) == [file]


def test_events_that_end_early_are_told_from_whole_ones(server: LocalServer, client: Cartesia) -> None:
    server.inject(Unfinished(after=2))
    events = client.tts.generate_sse(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW)
    heard: list[str] = []
    with pytest.raises(IncompleteAnswerError):
        heard.extend(event.type for event in events)  # a list that is made of it all would be lost
    assert heard == ["chunk", "chunk"]


def test_an_error_in_mid_stream_is_given_and_is_the_last(server: LocalServer, client: Cartesia) -> None:
    server.inject(ErrorEvent(500, after=2))
    *chunks, error = client.tts.generate_sse(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=RAW)
    assert [event.type for event in chunks] == ["chunk", "chunk"]
    assert error.type == "error"
    assert error.status_code == 500


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(server: LocalServer, client: Cartesia) -> None:
    soon = {"Retry-After": "0.01"}
    server.inject(RefuseRequest(429, times=1, headers=soon), RefuseRequest(503, times=1, headers=soon))
    assert client.voices.get(VOICE).id == VOICE
    assert len(server.requests) == 3
    server.inject(RefuseRequest(429, times=2, headers=soon))
    with pytest.raises(RateLimitError):
        client.with_options(max_retries=1).voices.get(VOICE)
    assert len(server.requests) == 5
    server.inject(RefuseRequest(500, times=1))
    with pytest.raises(InternalServerError):
        client.with_options(max_retries=0).voices.get(VOICE)
    assert len(server.requests) == 6


def test_a_silent_service_ends_by_the_clock(server: LocalServer, client: Cartesia) -> None:
    never = threading.Event()
    server.inject(StallAnswer(never))
    try:
        with pytest.raises(APITimeoutError) as caught:
            client.with_options(max_retries=0).voices.get(VOICE, timeout=(5, 0.1))
        assert caught.value.timeout == 0.1
    finally:
        never.set()


def test_the_service_is_asked_how_it_is(client: Cartesia) -> None:
    status = client.get_status()
    assert status.ok is True
    assert status.version
    assert client.get("/") == status.to_dict()
