"""Sessions that listen, against the local server on real sockets: the round trip, faults, many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, NamedTuple

import pytest

from cartesia_sync import (
    BadRequestError,
    Cartesia,
    GapTimeoutError,
    Timeout,
    TruncatedError,
    WriteTimeoutError,
)
from cartesia_sync.audio.wav import wav_bytes
from cartesia_sync.local import (
    Binary,
    Close,
    Delay,
    Eof,
    ExtraFields,
    Garbage,
    Hold,
    InvalidFrame,
    LocalServer,
    Reset,
    Silence,
    StopReading,
)
from cartesia_sync.protocol.formats import RawFormat
from cartesia_sync.protocol.transcription import ENCODINGS

from ..support.voices import FORMAT, loud, quiet

BOUND = 20.0
SHORT = 0.3
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
SENTENCES = (
    "Hello there, how are you today?",
    "I am fine, thank you.",
    "The quick brown fox jumps over the lazy dog.",
    "I would like to cancel my subscription, please.",
    "What time is it in New York?",
    "She sells sea shells by the sea shore.",
    "My number is 42.",
    "Please call me back tomorrow morning.",
    "It rains in Spain.",
    "We have no bananas today.",
    "Yes.",
    "No.",
    "Open the door.",
    "Close the window.",
    "This is a longer sentence, with several parts, and a pause or two.",
    "Who are you?",
    "How are you?",
    "Let us go then, you and I.",
    "The end is near.",
    "Good bye!",
)
MakeServer = Callable[..., LocalServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    servers = []

    def make(*faults: Any, **options: Any) -> LocalServer:
        server = LocalServer(**{"engine": "signal", "faults": faults, "hears": ["One two."], **options}).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


def client(server: LocalServer, **options: Any) -> Cartesia:
    return Cartesia(api_key="any", base_url=server.url, **options)


def auto(server: LocalServer, **options: Any) -> Any:
    return client(server, max_retries=0).stt.auto_finalize.websocket(model="ink-2", **{**FORMAT, **options})


def manual(server: LocalServer, **options: Any) -> Any:
    return client(server, max_retries=0).stt.manual_finalize.websocket(model="ink-2", **{**FORMAT, **options})


# ---- the round trip


class Sentence(NamedTuple):
    audio: bytes
    words: list[tuple[str, float, float]]


@pytest.fixture(scope="module")
def speaking() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def spoken(server: LocalServer, audio_format: dict[str, Any]) -> list[Sentence]:
    found = []
    with client(server) as speaker, speaker.tts.websocket_connect() as connection:
        for sentence in SENTENCES:
            context = connection.context(
                model_id="sonic-latest", voice=VOICE, output_format=audio_format, add_timestamps=True
            )
            context.push(sentence, continue_=False)
            audio, words = b"", []
            for event in context.receive():
                if event.type == "chunk":
                    audio += event.audio
                elif event.type == "timestamps" and event.word_timestamps is not None:
                    times = event.word_timestamps
                    words += list(zip(times.words, times.start, times.end))
            found.append(Sentence(audio, words))
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("encoding", "rate"), [("pcm_s16le", 16000), ("pcm_f32le", 44100), ("pcm_mulaw", 8000), ("pcm_alaw", 8000)]
)
def test_twenty_sentences_are_spoken_and_heard_again_with_their_times(
    speaking: LocalServer, encoding: str, rate: int
) -> None:
    sentences = spoken(speaking, {"container": "raw", "encoding": encoding, "sample_rate": rate})
    others = [each for each in ENCODINGS if each == encoding or encoding == "pcm_f32le"]  # from the finest to all
    with client(speaking) as listener:
        for sent in others:
            worst = 0.0
            for sentence, text in zip(sentences, SENTENCES):
                with listener.stt.manual_finalize.websocket(
                    model="ink-whisper",
                    encoding=sent,
                    sample_rate=rate,
                    extra_query={"timestamp_granularities[]": "word"},
                ) as session:
                    session.feed(sentence.audio, realtime=False, encoding=encoding)
                    list(session)
                assert session.transcript == text
                assert [word.word for word in session.words] == [word for word, _, _ in sentence.words]
                for heard, (_, start, end) in zip(session.words, sentence.words):
                    worst = max(worst, abs(heard.start - start), abs(heard.end - end))
            assert worst <= 0.1, (sent, worst)


def test_a_wav_file_is_transcribed_whole(speaking: LocalServer, tmp_path: Any) -> None:
    with client(speaking) as both:
        path = tmp_path / "a.wav"
        both.tts.generate(
            model_id="sonic-latest",
            voice=VOICE,
            transcript=SENTENCES[0],
            output_format={"container": "wav", "encoding": "pcm_f32le", "sample_rate": 44100},
        ).write_to_file(path)
        heard = both.stt.manual_finalize.transcribe(path, model="ink-whisper", realtime=False, word_timestamps=True)
        assert (heard.text, heard.language, heard.type) == (SENTENCES[0], "en", "transcript")
        assert heard.words is not None
        assert [word.word for word in heard.words] == SENTENCES[0].split()
        assert heard.duration == pytest.approx(2.07, abs=0.1)


def test_turns_are_heard_as_they_are_spoken(speaking: LocalServer) -> None:
    sentences = spoken(speaking, {"container": "raw", **FORMAT})
    pieces = [each for number in (0, 1, 4) for each in (sentences[number].audio, quiet(0.8))]
    with auto(speaking) as session:
        session.feed(pieces, realtime=False)
        turns = list(session.turns())
    assert [turn.text for turn in turns] == [SENTENCES[0], f" {SENTENCES[1]}", f" {SENTENCES[4]}"]
    assert all(turn.ended is not None for turn in turns)
    assert session.transcript == " ".join(SENTENCES[number] for number in (0, 1, 4))


# ---- ends and faults


EARLY: dict[str, Any] = {
    "a close frame": Close,
    "a close frame with 1000": lambda after: Close(1000, after=after),
    "a reset": Reset,
    "the end of the stream": Eof,
    "what is no JSON": Garbage,
    "a binary message": Binary,
    "what is no frame": InvalidFrame,
}


@pytest.mark.parametrize("fault", EARLY)
@pytest.mark.parametrize("after", [1, 3])
def test_whatever_ends_a_session_early_is_an_error_with_the_text_so_far(
    make_server: MakeServer, fault: str, after: int
) -> None:
    with auto(make_server(EARLY[fault](after=after))).enter() as session:
        feed = session.feed([loud(0.5)] * 6, realtime=False, then=None)
        with pytest.raises(TruncatedError) as raised:
            list(session)
        assert raised.value.transcript == session.transcript
        assert feed.wait(BOUND)


@pytest.mark.parametrize("fault", [ExtraFields(), Delay(0.01)], ids=repr)
def test_what_is_odd_and_no_end_ends_nothing(make_server: MakeServer, fault: Any) -> None:
    with auto(make_server(fault)) as session:
        session.feed([loud(0.3), quiet(0.8)], realtime=False)
        assert [turn.text for turn in session.turns()] == ["One two."]


def test_an_error_in_place_of_connected_is_raised(make_server: MakeServer) -> None:
    query = {"turn_end_threshold": "0.95"}
    with auto(make_server(), extra_query=query).enter() as session:
        with pytest.raises(BadRequestError, match="start > eager_end > end"):
            list(session.turns())
        with pytest.raises(BadRequestError, match="start > eager_end > end"):
            list(session)


def test_a_service_that_vanishes_is_found_by_the_clock_or_by_ping(make_server: MakeServer) -> None:
    with (
        manual(make_server(Silence()), timeout=SHORT).enter() as session,
        pytest.raises(Exception, match="said nothing"),
    ):
        session.finalize()
    with manual(
        make_server(Silence()), timeout=Timeout(gap=None, first_event=None), ping_interval=0.1
    ).enter() as session:
        session.send("finalize")  # so that the fault strikes
        with pytest.raises(TruncatedError, match="no sign of life"):
            session.recv()


def test_a_service_that_does_not_read_stops_the_sender(make_server: MakeServer) -> None:
    server = make_server(StopReading())
    with manual(server, timeout=Timeout(write=SHORT, close=0.1)).enter() as session:
        feed = session.feed([bytes(1 << 20)] * 100, realtime=False)
        with pytest.raises(TruncatedError, match="did not take a message"):
            list(session)
        assert feed.wait(BOUND)
        with pytest.raises((TruncatedError, WriteTimeoutError)):
            session.send("finalize")


def test_a_consumer_that_sleeps_holds_nobody_up(make_server: MakeServer) -> None:
    server = make_server(hears=["One.", "Two.", "Three."])
    with auto(server) as session:
        for _ in range(3):
            session.send_raw(loud(0.3) + quiet(0.8))
        session.finish()
        assert session._line.reader is not None
        session._line.reader.join(BOUND)  # it has read all, and nobody has received
        assert session.transcript == "One. Two. Three."
        assert [turn.text for turn in session.turns()] == ["One.", " Two.", " Three."]


def test_close_from_another_thread_ends_everything(make_server: MakeServer) -> None:
    server = make_server()
    with ThreadPoolExecutor(3) as pool:
        session = manual(server).enter()
        receiving = pool.submit(lambda: list(session))
        feed = session.feed(iter(lambda: loud(0.1), None))
        server.wait_for(lambda server: bool(server.heard), BOUND)
        session.close()
        assert isinstance(receiving.exception(BOUND), TruncatedError)
        assert feed.wait(BOUND)
    server.wait_for(lambda server: server.open_connections == 0, BOUND)


def test_a_held_answer_runs_into_the_gap_clock(make_server: MakeServer) -> None:
    until = threading.Event()
    server = make_server(Hold(until, after=1))
    with manual(server, timeout=Timeout(gap=SHORT, first_event=BOUND, close=0.1)).enter() as session:
        session.send_raw(loud(0.2))
        with pytest.raises(GapTimeoutError, match="nothing more"):
            session.finalize()  # the transcript comes, flush_done does not
    until.set()


@pytest.mark.timeout(120)
def test_fifty_sessions_at_once_with_fifty_feeds(make_server: MakeServer) -> None:
    server = make_server(hears=["One two."])
    shared = client(server)
    start = threading.Barrier(50)

    def listen(number: int) -> str:
        start.wait(BOUND)
        manager = shared.stt.auto_finalize.websocket(model="ink-2", encoding="pcm_s16le", sample_rate=16000)
        with manager as session, session.feed([loud(0.1)] * 3 + [quiet(0.1)] * 8, realtime=False):
            return "".join(turn.text for turn in session.turns())

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(listen, range(50))) == ["One two."] * 50
    server.wait_for(lambda server: server.open_connections == 0, BOUND)


def test_the_form_of_version_2(make_server: MakeServer) -> None:
    server = make_server(hears=["One.", "Two."])
    with client(server) as shared:
        with shared.stt.websocket(model="ink-whisper") as socket:
            socket.connect()
            socket.send(loud(0.2))
            socket.send("finalize")
            socket.send("done")
            events = list(socket.receive())
        assert [event["type"] for event in events] == ["transcript", "flush_done", "done"]
        assert events[0]["text"] == "One."
        with shared.stt.websocket() as socket:
            pieces = [loud(0.1)] * 2
            assert [each["type"] for each in socket.transcribe(pieces)] == ["transcript", "flush_done", "done"]
        with shared.stt.websocket() as socket:
            socket.send("nonsense")
            with pytest.raises(RuntimeError, match="A command is"):
                list(socket.receive())
    path, query = server.handshakes[0].path, dict(server.handshakes[0].query)
    assert (path, query["language"], query["sample_rate"]) == ("/stt/websocket", "en", "16000")


def test_a_stereo_recording_of_another_rate_is_mixed_and_resampled(make_server: MakeServer) -> None:
    server = make_server()
    mono = wav_bytes(loud(0.5, 8000), RawFormat("pcm_s16le", 8000))
    with client(server) as shared:
        heard = shared.stt.manual_finalize.transcribe(mono, model="ink-2", realtime=False)
    assert heard.text == "One two."
    assert sum(len(each.message) for each in server.heard if isinstance(each.message, bytes)) == 16000
