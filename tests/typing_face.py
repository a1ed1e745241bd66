"""The public face as a user writes it: type-checked by ``mypy --strict``, never run.

A line that a user would expect to pass must pass; one that mypy must refuse has a ``type: ignore`` with its code, and
mypy complains if that is not needed.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Optional, Union

import numpy as np
from numpy.typing import NDArray

import cartesia_sync
from cartesia_sync import (
    APIConnectionError,
    APIError,
    APIStatusError,
    Cartesia,
    CartesiaError,
    GapTimeoutError,
    MailboxFullError,
    RateLimitError,
    Timeout,
    TruncatedError,
    WebSocketConnectionClosedError,
    batch,
)
from cartesia_sync.types import (
    Accent,
    AgentCall,
    AgentSummary,
    Chunk,
    Deployment,
    Done,
    Error,
    Event,
    FineTune,
    FlushDone,
    GenerationConfigParam,
    GenerationRequestParam,
    Grants,
    Metric,
    MP3OutputFormatParam,
    PhonemeTimestampsEvent,
    PronunciationDict,
    PronunciationDictItemParam,
    RawOutputFormatParam,
    STTTranscribeResponse,
    Timestamps,
    TTSSSEEvent,
    Unknown,
    Voice,
    VoiceChangerSSEChunk,
    VoiceChangerSSEEvent,
    VoiceMetadata,
    VoiceObjectParam,
    VoiceSpecifierParam,
    WAVOutputFormatParam,
    WebsocketResponse,
    WordTimestamps,
)


def the_official_example() -> bytes:
    """Speak as the official client's README does, with the import changed."""
    client = Cartesia()
    audio = b""
    with client.tts.websocket_connect() as connection:
        ctx = connection.context(
            model_id="sonic-3",
            voice={"mode": "id", "id": "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"},
            output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100},
        )
        for part in ("Hi there! ", "Welcome to ", "Cartesia Sonic."):
            ctx.push(part)
        ctx.no_more_inputs()
        for event in ctx.receive():
            if event.type == "chunk":
                if event.audio:
                    audio += event.audio
            elif event.type == "error":
                raise RuntimeError(event.message, event.error, event.title, event.status_code)
            elif event.type == "done":
                break
    return audio


def narrowed_by_the_type(event: WebsocketResponse) -> None:
    """Each name of a type leads to its class, and to no other."""
    if event.type == "chunk":
        chunk: Chunk = event
        audio: bytes = event.audio
        data: str = event.data
        samples: NDArray[np.float32] = event.samples()
        raw: NDArray[np.int16] = event.raw()
        step_time: Optional[float] = event.step_time
        print(chunk, audio, data, samples, raw, step_time)
    elif event.type == "timestamps":
        timestamps: Timestamps = event
        word_timestamps: Optional[WordTimestamps] = event.word_timestamps
        if event.word_timestamps is not None:
            for word, start, end in zip(
                event.word_timestamps.words, event.word_timestamps.start, event.word_timestamps.end
            ):
                print(word.upper(), end - start)
        print(timestamps, word_timestamps)
    elif event.type == "phoneme_timestamps":
        phonemes: PhonemeTimestampsEvent = event
        print(phonemes.phoneme_timestamps)
    elif event.type == "flush_done":
        flush_done: FlushDone = event
        print(flush_done.flush_id)
    elif event.type == "error":
        error: Error = event
        message: Optional[str] = event.message
        words: str = event.error
        print(error, message, words, event.error_code, event.request_id, event.doc_url)
    elif event.type == "done":
        done: Done = event
        print(done)
    else:
        unknown: Unknown = event
        print(unknown.fields)


def narrowed_by_the_class(event: Event) -> Optional[bytes]:
    """The same by ``isinstance``."""
    if isinstance(event, Chunk):
        return event.audio
    if isinstance(event, Unknown):
        name: str = event.type
        print(name, event.fields["anything"])
    return None


def what_all_events_share(event: Event) -> tuple[Optional[str], bool, Optional[int], dict[str, object]]:
    event.audio  # type: ignore[union-attr]  # noqa: B018  # not every event has it
    return event.context_id, event.done, event.status_code, event.extra


def with_the_parameter_types(client: Cartesia, voice: VoiceSpecifierParam) -> None:
    output_format: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
    config: GenerationConfigParam = {"speed": 1.1, "emotion": "calm"}
    by_id: VoiceObjectParam = {"id": "x"}
    request: GenerationRequestParam = {
        "context_id": "a",
        "model_id": "sonic-3",
        "output_format": output_format,
        "transcript": "Hello.",
        "voice": voice,
        "continue": True,
    }
    with client.tts.websocket_connect(timeout=Timeout(gap=5), ping_interval=None, reconnect=False) as connection:
        ctx = connection.context(
            "turn-17", voice=voice, output_format=output_format, generation_config=config, language="en", timeout=3
        )
        ctx.push("Hello. ", voice=by_id, flush=True, locale="en-GB")
        ctx.send(transcript="x", voice=voice, output_format=output_format, language=None, add_timestamps=True)
        ctx.send(voice=voice)  # type: ignore[call-arg]  # no transcript
        ctx.push(request["transcript"], continue_=False)
        wrong: RawOutputFormatParam = {
            "container": "raw",
            "encoding": "mp3",  # type: ignore[typeddict-item]
            "sample_rate": 24000,
        }
        connection.context(output_format=wrong)
        connection.close(code=1000, reason="done")


def the_whole_at_once(client: Cartesia, path: Path) -> NDArray[np.float32]:
    with client.tts.websocket_connect() as connection, connection.context(voice="x") as ctx:
        ctx.push("Hello.")
        ctx.no_more_inputs()
        seconds: float = ctx.save(path) + ctx.save("speech.wav")
        audio: bytes = ctx.audio()
        print(seconds, audio)
        samples: NDArray[np.float32] = ctx.samples()
        return samples


def without_a_with_block(client: Cartesia) -> Iterator[Union[bytes, str]]:
    connection = client.tts.websocket_connect(
        extra_headers={"X-A": "1"}, extra_query={"a": "b"}, websocket_connection_options={"max_size": 1 << 20}
    ).enter()
    ctx = connection.context()
    yield ctx.context_id
    ctx.push("Hello.")
    ctx.flush()
    receiver = ctx.receive(raise_on_error=True, timeout=None, first_event_timeout=2, whole_timeout=60.0)
    for event in receiver:
        if event.type == "chunk":
            yield event.audio
    receiver.close()
    for event in ctx:
        print(event.type)
    ctx.cancel()
    ctx.cancel(discard=False)
    connection.close()


def what_can_be_caught(client: Cartesia) -> None:
    try:
        the_whole_at_once(client, Path("speech.wav"))
    except RateLimitError as refused:
        wait: Optional[float] = refused.retry_after
        print(wait, refused.headers["retry-after"])
    except APIStatusError as refused:
        print(refused.status_code + 1, refused.error_code, refused.request_id, refused.body)
    except TruncatedError as cut:
        print(cut.context_id.upper(), cut.audio_seconds * 2, cut.transcripts[0], cut.code, cut.heard)
    except GapTimeoutError as silent:
        print(silent.timeout, silent.audio_bytes, silent.message)
    except WebSocketConnectionClosedError as closed:
        print(closed.code, closed.reason, closed.unsent_messages)
    except APIConnectionError as unreachable:
        print(unreachable.message)
    except MailboxFullError as full:
        print(full.limit_bytes, full.context_id)
    except (APIError, CartesiaError, TimeoutError) as error:
        print(error)


def ways_to_make_a_client() -> list[Cartesia]:
    Cartesia("key")  # type: ignore[call-arg]  # by name only
    Cartesia(api_key=1)  # type: ignore[arg-type]
    return [
        Cartesia(),
        Cartesia(api_key="k", token=None, base_url="http://127.0.0.1:8765", websocket_base_url=None),
        Cartesia(token=lambda: "t"),
        Cartesia(token="t", cartesia_version="2026-03-01", default_headers={"X-A": "1"}),
        Cartesia(timeout=5),
        Cartesia(timeout=None),
        Cartesia(timeout=Timeout(connect=1, whole=30.0), ssl_context=ssl.create_default_context()),
    ]


def over_http(client: Cartesia, path: Path) -> None:
    """Each noun as the official client's users write it."""
    wav: WAVOutputFormatParam = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 44100}
    mp3: MP3OutputFormatParam = {"container": "mp3", "bit_rate": 128000, "sample_rate": 44100}
    with client.tts.generate(model_id="sonic-3", transcript="Hi.", voice="x", output_format=wav) as audio:
        audio.write_to_file(path)
    pieces: Iterator[bytes] = client.tts.generate(
        model_id="sonic-3",
        transcript="Hi.",
        voice={"id": "x"},
        output_format=mp3,
        timeout=5,
        extra_headers={"X-A": "1"},
    ).iter_bytes()
    print(b"".join(pieces))
    client.tts.generate(model_id="sonic-3", transcript="Hi.", voice="x")  # type: ignore[call-arg]  # no format
    client.tts.generate(model_id="sonic-3", transcript="Hi.", voice="x", output_format=wav, tiemout=5)  # type: ignore[call-arg]
    raw: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}
    client.tts.generate_sse(model_id="sonic-3", transcript="Hi.", voice="x", output_format=wav)  # type: ignore[arg-type]
    with client.tts.generate_sse(model_id="sonic-3", transcript="Hi.", voice="x", output_format=raw) as stream:
        for event in stream:
            heard: TTSSSEEvent = event
            print(heard.type)
    ok: bool = client.get_status().ok
    print(ok)


def voices_and_dictionaries(client: Cartesia, path: Path) -> None:
    for voice in client.voices.list(limit=10, q=None, expand=["preview_file_url"]):
        each: Voice = voice
        made: datetime = each.created_at
        print(each.tagline, made, each.extra["new"])
    page = client.voices.list()
    data: list[Voice] = page.data
    print(data, page.has_next_page(), page.get_next_page().data[0].name)
    clone: VoiceMetadata = client.voices.clone(clip=path, name="n", language="en", description=None)
    with path.open("rb") as file:
        client.voices.clone(clip=file, name="n", language="en", accent="british")
    client.voices.clone(clip=("a.wav", b"RIFF", "audio/wav"), name="n", language="en")
    client.voices.clone(clip="a.wav", name="n", language="en")  # type: ignore[arg-type]  # a path is no text
    client.voices.clone(name="n", language="en")  # type: ignore[call-arg]  # no clip
    client.voices.update("x", name=None)  # type: ignore[arg-type]
    accents: list[Accent] = client.voices.list_accents().accents
    voice = client.voices.add_accents(clone.id, accents=[accent.id for accent in accents])
    print(client.voices.delete_accent("british", id=voice.id).gender)
    client.voices.delete(clone.id)
    item: PronunciationDictItemParam = {"text": "Cartesia", "alias": "car tee zha"}
    words: PronunciationDict = client.pronunciation_dicts.create(name="n", items=[item])
    client.pronunciation_dicts.create(name="n", items=[{"text": "a"}])  # type: ignore[typeddict-item]  # no alias
    print(client.pronunciation_dicts.update(words.id, items=(each for each in [item])).items[0].alias)


def changed_voices_and_transcripts(client: Cartesia, path: Path) -> None:
    for event in client.voice_changer.generate_sse(clip=path, voice_id="x", output_format_container="raw"):
        either: VoiceChangerSSEEvent = event
        print(either.done)
        if event.type == "chunk":
            chunk: VoiceChangerSSEChunk = event
            audio: bytes = event.audio
            rate: Optional[int] = event.sample_rate
            print(chunk, audio, rate, event.samples())
        elif event.type == "error":
            print(event.error, event.error_code)
    samples: NDArray[np.float32] = client.voice_changer.generate(clip=b"RIFF", voice_id="x").samples()
    said: STTTranscribeResponse = client.stt.transcribe(
        file=path, model="ink-whisper", timestamp_granularities=["word"], timeout=(5, None)
    )
    for word in said.words or []:
        print(word.word.upper(), word.end - word.start, samples)


def the_rest(client: Cartesia) -> None:
    grants: Grants = {"tts": True}
    token: str = client.access_token.create(grants=grants, expires_in=60).token
    client.access_token.create(grants={"sing": True})  # type: ignore[arg-type]  # no such grant
    dataset = client.datasets.create(name="n", description=token)
    client.datasets.files.upload(dataset.id, file=b"RIFF", purpose="fine_tune")
    sizes: list[int] = [file.size for file in client.datasets.files.list(dataset.id)]
    tuned: FineTune = client.fine_tunes.create(
        dataset=dataset.id, description="d", language="en", model_id="sonic-3-2026-01-12", name="n"
    )
    print(sizes, tuned.llm_model_id, [voice.name for voice in client.fine_tunes.list_voices(tuned.id)])
    agent: AgentSummary = client.agents.list().summaries[0]
    for call in client.agents.calls.list(agent_id=agent.id, expand="transcript"):
        one: AgentCall = call
        print([turn.text for turn in one.transcript or []], one.telephony_params and one.telephony_params.from_)
        client.agents.calls.download_audio(call.id).write_to_file("call.wav")
    deployments: list[Deployment] = client.agents.deployments.list(agent.id)
    metric: Metric = client.agents.metrics.create(name="n", prompt="p")
    client.agents.metrics.add_to_agent(metric.id, agent_id=agent.id)
    csv: str = client.agents.metrics.results.export(start_date=datetime(2026, 8, 14), end_date="2026-09-01")
    print(deployments[0].is_live, csv, [result.value for result in client.agents.metrics.results.list()])


def answers_themselves(client: Cartesia, path: Path) -> None:
    """Use the forms that give the answer: the arguments are checked, and what ``parse()`` gives is known."""
    answer = client.voices.with_raw_response.get("v", expand=["preview_file_url"], timeout=3)
    header: str = answer.headers["x-request-id"]
    request_id: Optional[str] = answer.request_id
    voice: Voice = answer.parse()
    plain: dict[str, object] = answer.parse(to=dict[str, object])
    for each in client.with_raw_response.voices.list(limit=3).parse():
        one: Voice = each
        print(one.name, header, request_id, voice, plain)
    client.voices.with_raw_response.get(5)  # type: ignore[arg-type]  # an id is a text
    client.voices.with_raw_response.get("v", colour="red")  # type: ignore[call-arg]  # no such argument
    client.datasets.with_raw_response.sing()  # type: ignore[attr-defined]  # no such method
    csv: str = client.agents.metrics.results.with_raw_response.export().parse()
    client.datasets.with_raw_response.files.upload("d", file=path).parse()
    sound: bytes = client.tts.with_raw_response.infill(model_id="m", left_audio=path).parse()
    with client.with_streaming_response.tts.infill(model_id="m") as audio:
        audio.stream_to_file("a.wav", chunk_size=4096)
    with client.agents.calls.with_streaming_response.list(agent_id="a") as calls:
        lines: list[str] = list(calls.iter_lines())
        first: AgentCall = calls.parse().data[0]
    ok: bool = client.with_raw_response.get_status().parse().ok
    print(csv, sound, lines, first, ok, client.auth_headers["authorization"], client.default_headers)
    for thing in client.get_api_list("/voices", model=Voice):
        also: Voice = thing
        print(also)


def what_went_wrong(error: APIStatusError) -> str:
    text: str = error.response.text + error.response.headers["x-request-id"]
    return f"{error.request.method} {error.request.url}: {error.response.status_code} {text} {error.response.json()}"


VERSION: str = cartesia_sync.__version__


class OwnClient(Cartesia):
    """As a user derives one."""

    name = "own"


def derived() -> str:
    """Use a ``with`` block of a derived class."""
    with OwnClient(api_key="any") as client:
        return client.name


def use_a_pool(client: Cartesia) -> None:
    pool = client.tts.pool(model_id="sonic-latest", voice="id", connections=2, max_age=600, add_timestamps=True)
    spoken = pool.say("Hello.", voice={"id": "other"}, timeout=5.0)
    audio: bytes = spoken.audio
    samples: NDArray[np.float32] = spoken.samples()
    starts: list[float] = [word.start for word in spoken.words]
    first: Optional[float] = spoken.metrics.first_audio
    seconds: float = pool.submit("Hello.").result().save(Path("a.wav"))
    for each in pool.map(["One.", "Two."]):
        audio = each.audio
    for given in pool.map(iter(["One."]), errors="give", as_completed=True):
        if not isinstance(given, Exception):
            audio = given.audio
    with pool.stream(["One."]) as events:
        for event in events:
            if event.type == "chunk":
                audio = event.audio
    with pool.context() as context:
        first = context.metrics.first_audio
    pool.open(1)
    pool.close(cancel=True)
    pool.say("Hello.", speeed=1)  # type: ignore[call-arg]
    pool.map(["One."], errors="ignore")  # type: ignore[call-overload]
    client.tts.pool(connections="2")  # type: ignore[arg-type]
    with client.tts.connection() as connection, connection.context(voice="id") as context:
        context.push("Hello.")
    print(audio, samples, starts, first, seconds)


def many(client: Cartesia) -> None:
    report: batch.Report = batch.run(client, batch.read_items("a.csv"), Path("out"), voice="id", attempts=2)
    failed: list[str] = [failure.error for failure in report.failed]
    outlook: batch.Outlook = batch.plan(client, ["One.", ("b", "Two."), {"text": "Three."}], "out", voice="id")
    batch.run(client, [batch.Item("a", "One.")], "out", voice="id", on_progress=lambda it: print(it.report.done))
    batch.run(client, ["One."], "out", voise="id")  # type: ignore[call-arg]
    batch.run(client, [1], "out")  # type: ignore[list-item]
    print(failed, outlook.characters, report.seconds)


def listen() -> Cartesia:
    def on_spoken(spoken: cartesia_sync.SpokenContext) -> None:
        print(spoken.metrics.characters, spoken.outcome, spoken.request_id)

    return Cartesia(on_spoken=on_spoken)


def keep_what_was_spoken(connection: cartesia_sync.Connection, client: Cartesia) -> None:
    with connection.context(voice="id", add_timestamps=True) as context, cartesia_sync.Player("null") as player:
        recording = context.record(context.speak(["Hello."], split="sentence"))
        playback: cartesia_sync.Playback = player.play(recording)
        heard: cartesia_sync.Heard = playback.wait(5.0)
        seconds: float = recording.save("a.mp3") + recording.save(Path("a.srt")) + recording.save("a", kind="vtt")
        word: cartesia_sync.Word = (*recording.words, *heard.words)[0]
        place: Optional[int] = word.text_start
        captions: cartesia_sync.Captions = recording.captions(max_chars=32)
        captions.save("a.vtt")
        for cue in captions:
            seconds += cue.end - cue.start
        for frame in context.frames(ms=20, events=recording):
            audio: bytes = frame.audio
        with context.stream("mp3") as stream:
            for piece in stream:
                audio = piece
        context.save("a.opus", kind="opus")
        context.save("a", kind="srt")  # type: ignore[arg-type]
        recording.save("a", kind="m4a")  # type: ignore[arg-type]
        context.stream("flac")  # type: ignore[arg-type]
        context.speak("Hello.", split="word")  # type: ignore[arg-type]
    pool = client.tts.pool(voice="id")
    speech: cartesia_sync.LongSpeech = pool.say_long("One.", "a.flac", captions=Path("a.srt"), pause=1, voice="other")
    starts: list[float] = [paragraph.start for paragraph in speech.paragraphs]
    pool.say_long("One.", "a.flac", speeed=1)  # type: ignore[call-arg]
    seconds += pool.say("One.").save("a.ogg")
    print(audio, place, seconds, starts)
