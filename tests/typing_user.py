"""A user's program, as it is written for the official client but for the import: type-checked, never run.

tests/package/test_typing_user.py gives it to ``mypy --strict`` and to pyright twice, as it stands and with the official
client's import. A line with ``# refused`` must be an error with both clients, one with ``# refused by ours`` or ``#
refused by the official client`` with that one alone, and the reason follows; any other line is an error with neither.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union

import httpx

import cartesia_sync
from cartesia_sync import (
    DEFAULT_MAX_RETRIES,
    NOT_GIVEN,
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    Cartesia,
    CartesiaError,
    Client,
    ConflictError,
    InternalServerError,
    NoneType,
    NotFoundError,
    NotGiven,
    Omit,
    PermissionDeniedError,
    RateLimitError,
    RequestOptions,
    Stream,
    Timeout,
    UnprocessableEntityError,
    WebSocketConnectionClosedError,
    not_given,
    omit,
)
from cartesia_sync.pagination import SyncCursorIDPage
from cartesia_sync.resources import TTSResource, VoicesResource
from cartesia_sync.resources.tts import TTSResourceConnection, WebSocketContext
from cartesia_sync.types import (
    Accent,
    AccessTokenCreateParams,
    Dataset,
    DatasetCreateParams,
    FineTune,
    FineTuneCreateParams,
    GenerationConfigParam,
    GenerationRequestParam,
    GetStatusResponse,
    MP3OutputFormatParam,
    PronunciationDict,
    PronunciationDictCreateParams,
    PronunciationDictItemParam,
    RawOutputFormatParam,
    STTTranscribeParams,
    STTTranscribeResponse,
    TTSGenerateParams,
    TTSGenerateSSEParams,
    TTSInfillParams,
    TTSSSEEvent,
    Voice,
    VoiceChangerGenerateParams,
    VoiceChangerSSEEvent,
    VoiceCloneParams,
    VoiceListParams,
    VoiceLocalizeParams,
    VoiceMetadata,
    VoiceSpecifierParam,
    VoiceUpdateParams,
    WAVOutputFormatParam,
    WebsocketClientEventParam,
    WebsocketConnectionOptions,
    WebsocketResponse,
    WordTimestamps,
)

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
RAW: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
WAV: WAVOutputFormatParam = {"container": "wav", "encoding": "pcm_f32le", "sample_rate": 8000}
MP3: MP3OutputFormatParam = {"container": "mp3", "bit_rate": 128000, "sample_rate": 44100}


# ---- the client


def clients() -> list[Cartesia]:
    Cartesia("a key")  # refused
    Cartesia(api_key=1)  # refused
    Cartesia(tiemout=1)  # refused
    Cartesia(max_retries="2")  # refused
    Cartesia(timeout="a minute")  # refused
    Cartesia(http_client=httpx.Client())  # refused by ours: no httpx inside
    Timeout("a minute")  # refused
    Timeout(60.0, conect=1.0)  # refused
    one: Client = Cartesia(api_key=os.getenv("CARTESIA_API_KEY"), token=None)
    two = one.with_options(max_retries=5, timeout=5.0)
    two.with_options(timeout="long")  # refused
    return [
        one,
        two,
        one.copy(timeout=None, default_headers={"X-A": "1"}),
        Cartesia(base_url="http://127.0.0.1:1", websocket_base_url=None, max_retries=DEFAULT_MAX_RETRIES),
        Cartesia(timeout=20.0, default_headers={"cartesia-version": "2026-03-01"}, default_query={"a": 1}),
        Cartesia(timeout=NOT_GIVEN),
        Cartesia(timeout=not_given),
        Cartesia(http_client=None),
        Cartesia(timeout=httpx.Timeout(60.0, read=5.0, write=10.0, connect=2.0)),
        Cartesia(timeout=Timeout(60.0, connect=2.0)).with_options(timeout=httpx.Timeout(None)),
    ]


def closed() -> bool:
    with Cartesia() as client:
        status: GetStatusResponse = client.get_status(timeout=5, extra_headers={"X-A": "1"}, extra_query={"a": 1})
        ok: bool = status.ok
        print(ok, status.nonsense)  # refused
    client.close()
    return client.is_closed()


def not_given_in_its_place(wait: Union[float, NotGiven] = NOT_GIVEN, language: Union[str, Omit] = omit) -> None:
    Cartesia().voices.list(timeout=wait)
    Cartesia().voices.list(timeout=httpx.Timeout(60.0, connect=2.0), extra_headers={"X-A": omit})
    Cartesia().voices.list(extra_headers={"X-A": None})  # refused
    Cartesia().voices.list(extra_headers={"X-A": 1})  # refused
    Cartesia().tts.generate(
        model_id="sonic-3", output_format=RAW, transcript="a", voice=VOICE, language=language, timeout=NOT_GIVEN
    )


# ---- speech over HTTP


def speech(client: Cartesia, path: Path) -> bytes:
    generated = client.tts.generate(
        model_id="sonic-latest",
        output_format={"container": "wav", "encoding": "pcm_f32le", "sample_rate": 44100},
        transcript="Hi there!",
        voice=VOICE,
        language="en",
        generation_config={"speed": 1.1, "volume": 0.9, "emotion": "calm"},
        save=True,
        pronunciation_dict_id=None,
        speed="slow",
        timeout=5,
        extra_body={"a": 1},
    )
    generated.write_to_file(path)
    for piece in generated.iter_bytes():
        piece.hex()
    for each in (RAW, WAV, MP3):
        client.tts.generate(model_id="sonic-3", output_format=each, transcript="a", voice={"id": VOICE})
    return generated.read()


def mistaken_speech(client: Cartesia) -> None:
    client.tts.generate(model_id="m", output_format={"container": "ogg"}, transcript="a", voice=VOICE)  # refused
    client.tts.generate(model_id="m", output_format={"container": "raw"}, transcript="a", voice=VOICE)  # refused
    client.tts.generate(model_id="m", output_format="wav", transcript="a", voice=VOICE)  # refused
    client.tts.generate(model_id="m", output_format=RAW, transcript="a", voice=VOICE, speed="slowly")  # refused
    client.tts.generate_sse(model_id="m", output_format=RAW, transcript="a", voice=VOICE, context_id=7)  # refused
    paced: GenerationConfigParam = {"pace": 1}  # refused
    print(paced)
    client.tts.generate(model_id="m", output_format=RAW, transcript="a", voice=7)  # refused
    client.tts.generate(model_id="m", output_format=RAW, transcript="a", voice={"name": "x"})  # refused
    client.tts.generate(model_id="m", output_format=RAW, transcript=b"a", voice=VOICE)  # refused
    client.tts.generate(model_id="m", output_format=RAW, voice=VOICE)  # refused
    client.tts.generate(model_id="m", output_format=RAW, transcript="a", voice=VOICE, save="yes")  # refused
    client.tts.generate(model_id="m", output_format=RAW, transcript="a", voice=VOICE, pitch=2)  # refused
    client.tts.generate_sse(model_id="m", output_format=WAV, transcript="a", voice=VOICE)  # refused
    client.tts.infill(output_format={"container": "ogg"})  # refused
    client.tts.infill(left_audio="a.wav")  # refused
    wrong: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44000}  # refused
    also: MP3OutputFormatParam = {"container": "mp3", "sample_rate": 44100}  # refused
    print(wrong, also)


def arguments(client: Cartesia, clip: Path) -> None:
    spoken: TTSGenerateParams = {"model_id": "m", "output_format": WAV, "transcript": "a", "voice": VOICE}
    spoken["output_format"] = MP3
    client.tts.generate(**spoken).read()
    events: TTSGenerateSSEParams = {
        "model_id": "m",
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
        "transcript": "a",
        "voice": VOICE,
        "add_timestamps": True,
        "context_id": "c",
    }
    client.tts.generate_sse(**events)
    between: TTSInfillParams = {"left_audio": clip, "output_format": RAW, "language": "en"}
    client.tts.infill(**between)
    listed: VoiceListParams = {"limit": 10, "q": "calm", "gender": "feminine", "expand": ["preview_file_url"]}
    client.voices.list(**listed)
    cloned: VoiceCloneParams = {"clip": b"RIFF", "name": "n", "language": "en"}
    client.voices.clone(**cloned)
    localized: VoiceLocalizeParams = {"accent": "british", "name": "n", "voice_id": VOICE, "language": "de"}
    client.voices.localize(**localized)
    updated: VoiceUpdateParams = {"name": "n", "gender": None}
    client.voices.update(VOICE, **updated)
    dataset: DatasetCreateParams = {"name": "n", "description": "d"}
    client.datasets.create(**dataset)
    tuned: FineTuneCreateParams = {"dataset": "d", "description": "", "language": "en", "model_id": "m", "name": "n"}
    client.fine_tunes.create(**tuned)
    words: PronunciationDictCreateParams = {"name": "n", "items": [{"text": "a", "alias": "b"}]}
    client.pronunciation_dicts.create(**words)
    transcribed: STTTranscribeParams = {"file": clip, "model": "ink-whisper", "timestamp_granularities": ["word"]}
    client.stt.transcribe(**transcribed)
    changed: VoiceChangerGenerateParams = {"clip": clip, "voice_id": VOICE, "output_format_container": "raw"}
    client.voice_changer.generate(**changed)
    token: AccessTokenCreateParams = {"grants": {"tts": True}, "expires_in": 60}
    client.access_token.create(**token)
    wrong: VoiceListParams = {"limit": "10"}  # refused
    more: TTSGenerateParams = {"model_id": "m"}  # refused
    print(wrong, more)


def events_over_http(client: Cartesia) -> bytes:
    audio = b""
    stream: Stream[TTSSSEEvent] = client.tts.generate_sse(
        model_id="m", output_format=RAW, transcript="a", voice=VOICE, add_phoneme_timestamps=True
    )
    for event in stream:
        if event.type == "chunk":
            if event.audio:
                audio += event.audio
        elif event.type == "timestamps":
            spoken: Optional[WordTimestamps] = event.word_timestamps
            if spoken:
                print(spoken.words[0].upper(), spoken.start[0] + spoken.end[0])
        elif event.type == "phoneme_timestamps":
            if event.phoneme_timestamps:
                print(event.phoneme_timestamps.phonemes)
        elif event.type == "done":
            print(event.audio)  # refused
        elif event.type == "error":
            raise RuntimeError(f"{event.title}: {event.message}")
    return audio


# ---- speech on a WebSocket


def on_a_websocket(client: Cartesia) -> bytes:
    audio = b""
    with client.tts.websocket_connect() as connection:
        context = connection.context(model_id="sonic-3", voice=VOICE, output_format=RAW, language="en", timeout=5)
        other = connection.context("an-id", voice={"id": VOICE}, add_timestamps=True, max_buffer_delay_ms=0)
        for part in ("The road ", "goes ever on."):
            context.push(part)
        context.push("", flush=True)
        context.push("Now so.", generation_config={"emotion": "angry"}, voice=VOICE, continue_=True)
        context.send(transcript="And so.", voice=VOICE, output_format=RAW, language=None, speed="fast")
        context.no_more_inputs()
        for event in context.receive():
            if event.type == "chunk" and event.audio:
                audio += event.audio
            elif event.type == "flush_done":
                print(event.flush_id)
            elif event.type == "error":
                print(event.message or event.title, event.error_code, event.status_code)
            if event.done:
                break
        other.cancel()
    return audio


def annotated(tts: TTSResource, nouns: VoicesResource) -> WebSocketContext:
    with tts.websocket_connect() as opened:
        connection: TTSResourceConnection = opened
        page: SyncCursorIDPage[Voice] = nouns.list()
        wrong: WebSocketContext = connection  # refused
        print(page.data[0].name, wrong)
        return connection.context()


def mistaken_contexts(client: Cartesia) -> None:
    with client.tts.websocket_connect({"a": "b"}, {"X-A": "1"}) as connection:
        connection.context(voice=7)  # refused
        connection.context(voice={"name": "x"})  # refused
        connection.context(model_id=3)  # refused
        connection.context(output_format="raw")  # refused
        connection.context(langauge="en")  # refused
        connection.context(add_timestamps="yes")  # refused
        connection.context(generation_config={"pace": 1})  # refused
        connection.context(output_format={"container": "ogg"})  # refused by ours: the official type is any mapping too
        context = connection.context(voice=VOICE)
        context.send(transcript="a", voice=VOICE, output_format={"container": "ogg"})  # refused by ours: as above
        context.push()  # refused
        context.push(7)  # refused
        context.send(voice=VOICE)  # refused
        context.no_more_inputs("now")  # refused
        context.recieve()  # refused


def by_hand(client: Cartesia, request: GenerationRequestParam) -> WebsocketResponse:
    options: WebsocketConnectionOptions = {"max_size": 1 << 20, "compression": None}
    config: GenerationConfigParam = {"speed": 1.0}
    with client.tts.websocket_connect(websocket_connection_options=options) as connection:
        message: WebsocketClientEventParam = {
            "context_id": "a",
            "model_id": "m",
            "transcript": "Hello.",
            "voice": VOICE,
            "output_format": RAW,
            "continue": False,
            "generation_config": config,
        }
        connection.send(message)
        connection.send(request)
        connection.send({"context_id": "a", "cancel": True})
        connection.send(7)  # refused
        for event in connection:
            print(event.context_id)
        connection.close(code=1000, reason="done")
        return connection.recv()


def old_forms(client: Cartesia) -> Iterator[bytes]:
    voice: dict[str, str] = {"mode": "id", "id": VOICE}
    client.tts.websocket().send(model_id="m", transcript="a", voice=voice, output_format=RAW, stream=True)
    return client.tts.bytes(model_id="m", transcript="a", voice=VOICE, output_format=WAV)


# ---- the other nouns


def voices(client: Cartesia, path: Path) -> list[Voice]:
    page = client.voices.list(limit=10, q=None, is_owner=True, expand=["preview_file_url"])
    found: list[Voice] = list(page.data)
    while page.has_next_page():
        page = page.get_next_page()
        found.extend(page.data)
    for voice in client.voices.list():
        each: Voice = voice
        made: datetime.datetime = each.created_at
        print(each.id, each.name, each.description, made)
        print(each.nonsense)  # refused
    clone: VoiceMetadata = client.voices.clone(clip=path, name="n", language="en", description=None)
    with path.open("rb") as clip:
        client.voices.clone(clip=clip, name="n", language="en", base_voice_id=None)
        client.voices.clone(clip=("a.wav", clip, "audio/wav"), name="n", language="en")
    client.voices.clone(clip="a.wav", name="n", language="en")  # refused
    client.voices.clone(clip=path, name="n")  # refused
    client.voices.list(limit="ten")  # refused
    client.voices.list(gender="robotic")  # refused
    client.voices.list(pages=2)  # refused
    client.voices.get()  # refused
    client.voices.get(7)  # refused
    client.voices.update(clone.id, description="d", name="n")
    client.voices.update("x", name=None)  # refused
    client.voices.localize(name="n", voice_id="v", accent="british", language="klingon")  # refused
    accents: list[Accent] = client.voices.list_accents().accents
    client.voices.add_accents("x", accents=["british"])
    client.voices.delete_accent("british", id="x")
    client.voices.delete("x")
    print(accents[0].id)
    return found


def the_rest(client: Cartesia, path: Path) -> None:
    item: PronunciationDictItemParam = {"text": "Cartesia", "alias": "car tee zha", "case_sensitive": True}
    words: PronunciationDict = client.pronunciation_dicts.create(name="n", items=[item])
    print(client.pronunciation_dicts.update(words.id, items=(each for each in [item])).items[0].alias)
    client.pronunciation_dicts.create(name="n", items=[{"text": "a"}])  # refused
    said: STTTranscribeResponse = client.stt.transcribe(file=path, model="ink-whisper", language="en")
    for word in said.words or []:
        print(word.word.upper(), word.end - word.start)
    client.stt.transcribe(file=path, model="ink-whisper", encoding="mp3")  # refused
    for change in client.voice_changer.generate_sse(clip=path, voice_id="v", output_format_container="raw"):
        event: VoiceChangerSSEEvent = change
        print(event.done, event.status_code)
    client.voice_changer.generate(clip=path, voice_id="v", output_format_sample_rate=1)  # refused
    client.voice_changer.generate(clip=path, voice_id="v", output_format_container="ogg")  # refused
    token: str = client.access_token.create(grants={"tts": True}, expires_in=60).token
    client.access_token.create(grants={"sing": True})  # refused
    dataset: Dataset = client.datasets.create(name="n", description=token)
    client.datasets.files.upload(dataset.id, file=b"RIFF", purpose="fine_tune")
    tuned: FineTune = client.fine_tunes.create(
        dataset=dataset.id, description="d", language="en", model_id="sonic-3-2026-01-12", name="n"
    )
    print(tuned.status, [voice.name for voice in client.fine_tunes.list_voices(tuned.id)])
    for call in client.agents.calls.list(agent_id="a", expand="transcript"):
        print(call.id, [turn.text for turn in call.transcript or []])
    client.agents.calls.list()  # refused
    client.agents.metrics.create(name="n", prompt="p", display_name=None)
    client.agents.metrics.results.list(start_date=datetime.datetime.now(), end_date="2026-09-01")
    client.agents.metrics.results.list(start_date=7)  # refused


def endpoints_without_a_name(client: Cartesia) -> dict[str, Any]:
    options: RequestOptions = {"timeout": 5, "max_retries": 0, "headers": {"X-A": "1"}, "params": {"a": 1}}
    client.delete("/x", cast_to=NoneType, options=options)
    body: Mapping[str, object] = {"my_param": True}
    found: dict[str, Any] = client.post("/x", cast_to=dict[str, Any], body=body)
    return found


# ---- errors


def caught(client: Cartesia) -> Optional[int]:
    try:
        client.voices.list()
    except (BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError) as refused:
        return refused.status_code
    except (ConflictError, UnprocessableEntityError, RateLimitError, InternalServerError) as refused:
        return refused.status_code
    except APIStatusError as refused:
        print(refused.message, refused.body, refused.status_code)
    except APITimeoutError as late:
        print(late.message)
    except APIConnectionError as unreachable:
        print(unreachable.__cause__, unreachable.status_code)  # refused
    except APIResponseValidationError as unreadable:
        print(unreadable.status_code)
    except cartesia_sync.APIError as error:
        print(error.message)
    except (APIError, CartesiaError) as error:
        print(error)
    return None


def closed_by_the_service(error: WebSocketConnectionClosedError, voice: VoiceSpecifierParam) -> str:
    print(voice)
    return str(error)
