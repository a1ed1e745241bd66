from __future__ import annotations

import copy
import itertools
import pickle
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from cartesia_sync import (
    APIConnectionError,
    Cartesia,
    ContextStateError,
    NotFoundError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import ErrorEvent, Hold, Reset
from cartesia_sync.pool import Pool, Spoken, Word
from cartesia_sync.types import Chunk

from ..support.processes import VOICE, serving

FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
BOUND = 10.0


def pool_of(client: Cartesia, **options: Any) -> Pool:
    return client.tts.pool(**{"voice": VOICE, "output_format": FORMAT, **options})


@pytest.fixture
def pool(client: Cartesia) -> Pool:
    return pool_of(client)


def held(server: LocalServer, **options: Any) -> threading.Event:
    """Have all contexts wait until the event is set."""
    until = threading.Event()
    server.inject(Hold(until, times=None, **options))
    return until


# ---- one text


def test_say_gives_all_that_was_spoken(client: Cartesia, tmp_path: Path) -> None:
    pool = pool_of(client, add_timestamps=True, add_phoneme_timestamps=True)
    spoken = pool.say("Hello there, world.")
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice=VOICE, output_format=FORMAT)
        context.push("Hello there, world.", continue_=False)
        assert spoken.audio == context.audio()
    assert [each.text for each in spoken.words] == ["Hello", "there,", "world."]
    assert isinstance(spoken.words[0], Word)
    times = [(start, end) for _, start, end, *_ in (*spoken.words, *spoken.phonemes)]
    assert all(0 <= start < end <= spoken.seconds + 0.1 for start, end in times)
    assert spoken.phonemes
    assert spoken.seconds == len(spoken.audio) / 2 / 8000 == spoken.metrics.audio_seconds
    assert spoken.samples().shape == (len(spoken.audio) // 2,)
    assert spoken.save(tmp_path / "a.wav") == spoken.seconds
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.readframes(file.getnframes())) == (8000, spoken.audio)
    assert spoken.transcript == "Hello there, world."
    assert spoken.metrics.characters == len(spoken.transcript)


def test_what_was_spoken_becomes_a_file_of_any_kind_captions_and_a_picture(pool: Pool, tmp_path: Path) -> None:
    text = 'Hello  there, "you". <break time="100ms"/>Again!'
    spoken = pool.say(text, add_timestamps=True)
    assert [(word.text, text[word.text_start : word.text_end]) for word in spoken.words] == [
        (each, each) for each in ("Hello", "there,", '"you".', "Again!")
    ]
    assert spoken.aligned_to == len(text)
    assert [cue.text for cue in spoken.captions()] == ['Hello there, "you". Again!']
    assert [cue.text for cue in spoken.captions(max_lines=1, max_chars=20)] == ['Hello there, "you".', "Again!"]
    begins = {"a.mp3": b"\xff", "a.opus": b"OggS", "a.flac": b"fLaC", "a.srt": b"1\n00:00:00", "a.vtt": b"WEBVTT"}
    for name, begin in begins.items():
        assert spoken.save(tmp_path / name) == spoken.seconds
        assert (tmp_path / name).read_bytes().startswith(begin)
    spoken.save(tmp_path / "b", kind="ogg")
    assert (tmp_path / "b").read_bytes().startswith(b"OggS")
    spoken.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="sound is written to"):
        spoken.save(tmp_path / "a.m4a")
    with pytest.raises(ContextStateError, match="add_timestamps=True"):
        pool.say("Hello.").save(tmp_path / "c.srt")
    assert {path.name for path in tmp_path.iterdir()} == {*begins, "b", "a.png"}


def test_what_was_spoken_travels(pool: Pool) -> None:
    spoken = pool.say("Hello.", add_timestamps=True)
    assert pickle.loads(pickle.dumps(spoken)) == spoken
    assert len(repr(spoken)) < 600


def test_the_options_of_a_call_win(pool: Pool) -> None:
    spoken = pool.say("Hello.", output_format={**FORMAT, "sample_rate": 16000})
    assert spoken.sample_rate == 16000
    assert pool.say("Hello.").sample_rate == 8000


def test_a_text_without_words_is_whole_without_audio(pool: Pool, server: LocalServer, tmp_path: Path) -> None:
    spoken = pool.say(" ... ")
    assert (spoken.audio, spoken.seconds, spoken.samples().shape) == (b"", 0.0, (0,))
    with pytest.raises(ContextStateError, match="no letter or digit"):
        spoken.save(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []
    assert server.heard == []


def test_a_failure_is_raised_and_leaves_the_pool_as_it_was(pool: Pool, server: LocalServer) -> None:
    server.inject(ErrorEvent(status_code=404))
    with pytest.raises(NotFoundError):
        pool.say("One.")
    server.inject(Reset(after=0))
    with pytest.raises(TruncatedError):
        pool.say("Two.")
    assert pool.say("Three.").audio


@pytest.mark.parametrize("call", [Pool.say, Pool.submit], ids=["say", "submit"])
def test_bad_input_is_refused_before_anything_is_sent(
    call: Callable[..., Any], pool: Pool, server: LocalServer
) -> None:
    with pytest.raises(TypeError, match="a transcript is a str; got int"):
        call(pool, 3)
    with pytest.raises(TypeError, match=r"a pool takes no 'speeed'; the options are .*model_id.*on_disconnect"):
        call(pool, "Hello.", speeed=3)
    assert server.handshakes == []


def test_a_pool_without_a_voice_says_so_when_it_speaks(client: Cartesia) -> None:
    with pytest.raises(ValueError, match="needs a voice"):
        client.tts.pool().say("Hello.")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"connections": 0}, "connections: expected a number, 1 or more, got 0"),
        ({"connections": True}, "connections"),
        ({"max_age": -1}, "max_age"),
    ],
)
def test_bad_settings_are_refused(client: Cartesia, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        client.tts.pool(**options)
    with pytest.raises(TypeError, match="a pool takes no 'gap'"):
        client.tts.pool(gap=3)  # type: ignore[call-arg]  # which is tested


# ---- futures


def test_futures_are_settled_by_threads_of_the_pool(pool: Pool, server: LocalServer) -> None:
    until = held(server)
    names: list[str] = []
    futures = [pool.submit(f"Text {number}.") for number in range(3)]
    for future in futures:
        future.add_done_callback(lambda _: names.append(threading.current_thread().name))
    server.wait_for(lambda server: len(server.heard) == 3, BOUND)
    until.set()
    assert [future.result(BOUND).transcript for future in futures] == ["Text 0.", "Text 1.", "Text 2."]
    assert all(name.startswith("cartesia-sync-pool-") for name in names)


def test_a_future_that_has_not_begun_can_be_taken_out(pool: Pool, server: LocalServer) -> None:
    until = held(server)
    futures = [pool.submit(f"Text {number}.") for number in range(12)]  # ten threads at the most
    server.wait_for(lambda server: len(server.heard) == 10, BOUND)
    assert futures[11].cancel()
    assert not futures[0].cancel()
    until.set()
    assert len(wait_for_futures(futures, BOUND).done) == 12
    assert [future for future in futures if future.cancelled()] == [futures[11]]
    assert "Text 11." not in [heard.message["transcript"] for heard in server.heard if isinstance(heard.message, dict)]


def test_a_failure_is_the_futures(pool: Pool, server: LocalServer) -> None:
    server.inject(ErrorEvent(status_code=404))
    assert isinstance(pool.submit("One.").exception(BOUND), NotFoundError)
    assert pool.submit("Two.").result(BOUND).audio


def test_many_threads_may_say_at_once(pool: Pool, server: LocalServer) -> None:
    texts = [f"Text number {number}." for number in range(40)]
    with ThreadPoolExecutor(16) as threads:
        spoken = list(threads.map(pool.say, texts))
    assert [each.transcript for each in spoken] == texts
    assert len(server.handshakes) == 1


# ---- maps


@pytest.mark.parametrize("as_completed", [False, True])
def test_a_map_of_an_endless_text_takes_little_ahead(pool: Pool, as_completed: bool) -> None:
    taken: list[str] = []
    ahead: list[int] = []

    def texts() -> Iterator[str]:
        while True:
            taken.append(f"Text {len(taken)}.")
            yield taken[-1]

    spoken = pool.map(texts(), as_completed=as_completed)
    assert taken == []  # nothing before the first next()
    for given, _ in enumerate(itertools.islice(spoken, 50), 1):
        ahead.append(len(taken) - given)
    assert max(ahead) <= 8 + 2
    spoken.close()  # type: ignore[attr-defined]  # a generator is closed so


def test_a_map_minds_the_clients_limit(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as it allows now, and no more than without one where it does not say."""
    without = pool._window()
    for allowed, window in ((3, 5), (2, 4), (None, without)):
        monkeypatch.setattr(Cartesia, "limit", SimpleNamespace(allowed=allowed), raising=False)
        assert pool._window() == window


def test_a_map_gives_in_the_order_of_the_texts_or_of_the_speaking(client: Cartesia, server: LocalServer) -> None:
    pool = pool_of(client, connections=8)
    texts = [f"Text {number}." for number in range(8)]
    until = threading.Event()
    server.inject(Hold(until))  # one of the connections, and there is one for each text
    spoken = pool.map(texts, as_completed=True)
    given = [next(spoken).transcript for _ in range(7)]
    until.set()
    last = next(spoken).transcript
    assert last not in given
    assert sorted([*given, last]) == texts
    assert [spoken.transcript for spoken in pool.map(texts)] == texts


def test_a_text_that_fails_raises_or_is_given(pool: Pool, server: LocalServer) -> None:
    server.inject(ErrorEvent(status_code=404))
    got = list(pool.map(["One.", "Two."], errors="give", as_completed=True))
    assert sorted(type(each).__name__ for each in got) == ["NotFoundError", "Spoken"]
    texts: Any = ["One.", 2, "Three."]
    got = list(pool.map(texts, errors="give"))
    assert [type(each) for each in got] == [Spoken, TypeError, Spoken]
    spoken = pool.map(texts)
    assert next(spoken).transcript == "One."
    with pytest.raises(TypeError, match="a transcript is a str"):
        next(spoken)


def test_a_map_that_is_left_cancels_what_it_has_begun(pool: Pool, server: LocalServer) -> None:
    until = held(server)
    spoken = pool.map(f"Text {number}." for number in range(20))
    taker = threading.Thread(target=lambda: next(spoken, None))
    taker.start()
    server.wait_for(lambda server: len(server.heard) == 10, BOUND)
    until.set()
    taker.join(BOUND)
    held(server)
    spoken.close()  # type: ignore[attr-defined]  # a generator is closed so
    assert pool.context(context_id="other").context_id == "other"
    pool.close()  # waits for what goes on, and nothing does
    assert len({heard.message["context_id"] for heard in server.heard if isinstance(heard.message, dict)}) <= 11


def test_what_the_texts_raise_is_raised(pool: Pool) -> None:
    def texts() -> Iterator[str]:
        yield "One."
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(pool.map(texts()))


def test_a_map_is_checked_when_it_is_called(pool: Pool) -> None:
    with pytest.raises(ValueError, match="errors is 'raise' or 'give'; got 'ignore'"):
        pool.map(["One."], errors="ignore")  # type: ignore[call-overload]  # which is tested
    with pytest.raises(TypeError, match="an iterable of texts"):
        pool.map("One.")
    with pytest.raises(TypeError, match="a pool takes no 'speeed'"):
        pool.map(["One."], speeed=1)  # type: ignore[call-overload]  # which is tested


# ---- everything else


def test_a_stream_speaks_what_an_iterable_yields(pool: Pool) -> None:
    with pool.stream(iter(["Hello ", "there."])) as events:
        got = list(events)
    assert got[-1].type == "done"
    assert b"".join(each.audio for each in got if isinstance(each, Chunk)) == pool.say("Hello there.").audio
    assert events.metrics.characters == len("Hello there.")
    assert events.context_id == got[-1].context_id


def test_a_context_is_one_like_any_other(pool: Pool) -> None:
    with pool.context("mine", add_timestamps=True) as context:
        context.push("Hello ")
        context.push("there.", continue_=False)
        assert {event.type for event in context} == {"chunk", "timestamps", "done"}
    assert context.context_id == "mine"


# ---- connections


def test_nothing_is_opened_before_it_is_needed(client: Cartesia, server: LocalServer) -> None:
    pool = pool_of(client, connections=3)
    context = pool.context()
    assert server.handshakes == []
    pool.open(2)
    assert len(server.handshakes) == 2
    pool.open(2)
    assert len(server.handshakes) == 2
    assert pool.say("Hello.").metrics.reused_connection
    context.push("Hello.", continue_=False)
    assert context.audio()
    pool.open()
    assert len(server.handshakes) == 3
    with pytest.raises(ValueError, match="open\\(\\) takes a number up to the pool's 3 connections; got 4"):
        pool.open(4)


def test_contexts_are_spread_evenly(client: Cartesia, server: LocalServer) -> None:
    pool = pool_of(client, connections=3)
    until = held(server)
    contexts = [pool.context() for _ in range(9)]
    for context in contexts:
        context.push("Hello.", continue_=False)
    server.wait_for(lambda server: len(server.heard) == 9, BOUND)
    counts = [[heard.connection for heard in server.heard].count(number) for number in range(3)]
    assert sorted(counts) == [3, 3, 3], counts
    until.set()
    assert all(context.audio() for context in contexts)


def test_one_after_the_other_needs_one_connection(client: Cartesia, server: LocalServer) -> None:
    pool = pool_of(client, connections=3)
    for _ in range(5):
        pool.say("Hello.")
    assert len(server.handshakes) == 1


class Clock:
    """The pool's time, which the test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_connection_is_replaced_when_it_is_old_and_idle_alone(
    client: Cartesia, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    pool = pool_of(client, max_age=60)
    pool.say("Hello.")
    link = pool._here().members.choose()._link
    opened_at = link.opened_at
    assert opened_at is not None
    monkeypatch.setattr("cartesia_sync.pool.members.time", clock)
    clock.now = opened_at + 53.0  # sooner than a tenth before
    pool.say("Hello.")
    assert len(server.handshakes) == 1
    until = held(server)
    speaking = pool.context()
    speaking.push("Hello.", continue_=False)
    clock.now = opened_at + 61.0
    other = pool.context()
    other.push("Hello.", continue_=False)
    assert len(server.handshakes) == 1  # somebody speaks
    until.set()
    assert speaking.audio() == other.audio()
    pool.say("Hello.")
    assert len(server.handshakes) == 2
    del speaking, other, link
    server.wait_for(lambda server: server.open_connections == 1, BOUND)


def test_a_connection_that_was_lost_is_opened_again(pool: Pool, server: LocalServer) -> None:
    pool.say("Hello.")
    server.drop_connections()
    server.wait_for(lambda server: server.open_connections == 0, BOUND)
    link = pool._here().members.choose()._link
    assert link.reader is not None
    link.reader.join(BOUND)
    assert pool.say("Hello.").audio
    assert len(server.handshakes) == 2


# ---- the end


def test_close_finishes_what_was_taken(pool: Pool, server: LocalServer) -> None:
    until = held(server)
    futures = [pool.submit(f"Text {number}.") for number in range(15)]
    server.wait_for(lambda server: len(server.heard) == 10, BOUND)
    closer = threading.Thread(target=pool.close)
    closer.start()
    until.set()
    closer.join(BOUND)
    assert all(future.result(0).audio for future in futures)
    server.wait_for(lambda server: server.open_connections == 0, BOUND)
    for call in (pool.say, pool.submit, pool.stream, lambda text: list(pool.map([text]))):
        with pytest.raises(WebSocketConnectionClosedError, match="The pool was closed"):
            call("Hello.")
    with pytest.raises(WebSocketConnectionClosedError):
        pool.context()
    pool.close()


def test_close_may_cancel_what_was_taken(pool: Pool, server: LocalServer) -> None:
    held(server)
    futures = [pool.submit(f"Text {number}.") for number in range(15)]
    server.wait_for(lambda server: len(server.heard) == 10, BOUND)
    pool.close(cancel=True)
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(BOUND)


def test_close_waits_no_longer_than_it_is_told(pool: Pool, server: LocalServer) -> None:
    held(server)
    future = pool.submit("Text.")
    server.wait_for(lambda server: len(server.heard) == 1, BOUND)
    pool.close(timeout=0.0)
    with pytest.raises(CancelledError):
        future.result(BOUND)


def test_a_block_finishes_and_one_that_fails_cancels(client: Cartesia, server: LocalServer) -> None:
    with pool_of(client) as pool:
        future = pool.submit("Hello.")
    assert future.result(0).audio
    held(server)
    futures = []

    def work() -> None:
        with pool_of(client) as pool:
            futures.append(pool.submit("Hello."))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        work()
    with pytest.raises(CancelledError):
        futures[0].result(BOUND)


def test_a_pool_ends_with_its_client(pool: Pool, client: Cartesia, server: LocalServer) -> None:
    held(server)
    future = pool.submit("Hello.")
    server.wait_for(lambda server: len(server.heard) == 1, BOUND)
    client.close()
    with pytest.raises(CancelledError):
        future.result(BOUND)
    with pytest.raises(WebSocketConnectionClosedError, match="The pool was closed"):
        pool.say("Hello.")
    with pytest.raises(WebSocketConnectionClosedError, match="The pool was closed"):
        pool_of(client).say("Hello.")


def test_a_pool_may_be_closed_by_whom_it_calls(server: LocalServer) -> None:
    pools: list[Pool] = []
    client = Cartesia(api_key="x", base_url=server.url, on_spoken=lambda _: pools[0].close())
    pools.append(pool_of(client))
    future = pools[0].submit("Hello.")
    future.exception(BOUND)
    assert future.done()


def test_a_pool_that_nobody_holds_finishes_what_it_has(client: Cartesia, server: LocalServer) -> None:
    until = held(server)
    pool = pool_of(client)
    future = pool.submit("Hello.")
    server.wait_for(lambda server: len(server.heard) == 1, BOUND)
    del pool
    until.set()
    assert future.result(BOUND).audio
    server.wait_for(lambda server: server.open_connections == 0, BOUND)


def test_a_pool_does_not_travel(pool: Pool) -> None:
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"send the client, which can, and call client\.tts\.pool"):
            travel(pool)


def test_where_there_are_no_threads_a_future_says_so(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(APIConnectionError, match="The pool's thread cannot be started"):
            pool.submit("Hello.")
    assert pool.submit("Hello.").result(BOUND).audio
    pool.close()


def test_a_service_that_is_not_there_is_said_by_each_way(tmp_path: Path) -> None:
    with serving() as server:
        client = Cartesia(api_key="x", base_url=server.url, max_retries=0)
    pool = pool_of(client)
    with pytest.raises(APIConnectionError):
        pool.say("Hello.")
    assert isinstance(pool.submit("Hello.").exception(BOUND), APIConnectionError)
    got = list(pool.map(["One.", "Two."], errors="give"))
    assert [isinstance(each, APIConnectionError) for each in got] == [True, True]
    pool.close()


def test_a_text_that_comes_just_as_the_pool_is_closed_is_refused(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands behind the end of the queue, and no thread would come to it."""
    here = pool._here()
    put = here.workers.put

    def put_late(work: Callable[[], None]) -> None:
        here.end()
        put(work)

    monkeypatch.setattr(here.workers, "put", put_late)
    with pytest.raises(WebSocketConnectionClosedError, match="The pool was closed"):
        pool.submit("Hello.")
