"""A client with a limit against a local server with one: every text becomes a whole file, and nobody sees a 429."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync import Cartesia, RateLimitError
from cartesia_sync.errors import SlotTimeoutError
from cartesia_sync.limits import Learned, SameMachine
from cartesia_sync.local import LocalServer, faults

BOUND = 30.0
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
WAV: Any = {**RAW, "container": "wav"}
LONG = "Hello, this is a sentence of some length. " * 500  # half a minute at the server's pace
SPOKEN: dict[str, Any] = {"model_id": "sonic-latest", "voice": VOICE}
CLIP = (
    b"RIFF"
    + (36 + 1600).to_bytes(4, "little")
    + b"WAVEfmt "
    + bytes.fromhex("1000000001000100401f0000803e00000200 1000".replace(" ", ""))
    + b"data"
    + (1600).to_bytes(4, "little")
    + bytes(1600)
)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", pace=100, concurrency_limit=3) as server:
        yield server


@pytest.fixture
def make(server: LocalServer) -> Iterator[Callable[..., Cartesia]]:
    made: list[Cartesia] = []

    def make(**settings: Any) -> Cartesia:
        made.append(Cartesia(api_key="any", base_url=server.url, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()


def is_free(client: Cartesia) -> bool:
    """Whether all slots are free, once what is on its way back has come."""
    gate = client.limit
    assert gate is not None
    tickets = [gate.acquire(BOUND) for _ in range(gate.allowed or 0)]
    is_free = gate.in_use == len(tickets)
    for ticket in tickets:
        assert ticket is not None
        ticket.release()
    return is_free and gate.waiting == 0


@pytest.mark.parametrize(
    "limit", [3, Learned(most=8), threading.Semaphore(3)], ids=["a number", "Learned", "Semaphore"]
)
def test_many_threads_get_whole_files_over_websocket_and_http(
    make: Callable[..., Cartesia], tmp_path: Path, limit: Any
) -> None:
    client = make(limit=limit)

    def over_websocket(number: int) -> None:
        context = connection.context(**SPOKEN, output_format=RAW)
        context.push(f"This is number {number}.", continue_=False)
        context.save(tmp_path / f"{number}.wav")

    def over_http(number: int) -> None:
        client.tts.generate(**SPOKEN, output_format=WAV, transcript=f"This is number {number}.").write_to_file(
            tmp_path / f"{number}.wav"
        )

    with client.tts.websocket_connect() as connection, ThreadPoolExecutor(16) as threads:
        both = [over_websocket, over_http]
        for done in [threads.submit(both[number % 2], number) for number in range(60)]:
            done.result(BOUND)
    assert len(list(tmp_path.iterdir())) == 60
    assert client.limit is not None
    if not isinstance(limit, Learned):
        assert client.limit.seen_429 == 0
        assert is_free(client) if client.limit.allowed else client.limit.in_use == 0


def test_the_documentations_program_runs_with_a_limit_of_one(make: Callable[..., Cartesia]) -> None:
    with make(limit=1).tts.websocket_connect() as connection:
        contexts = [connection.context(**SPOKEN, output_format=RAW) for _ in range(2)]
        for context in contexts:
            context.push("Hello.", continue_=False)
        assert all(context.audio() for context in contexts)


WAYS: dict[str, Callable[[Cartesia], Any]] = {
    "generate": lambda client: client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello."),
    "generate_sse": lambda client: client.tts.generate_sse(**SPOKEN, output_format=RAW, transcript="Hello."),
    "infill": lambda client: client.tts.infill(
        model_id="sonic-latest", voice_id=VOICE, output_format=RAW, transcript="Hello.", left_audio=CLIP, language="en"
    ),
    "a request without a name": lambda client: client.post(
        "/tts/bytes",
        body={**SPOKEN, "voice": {"id": VOICE}, "output_format": WAV, "transcript": "Hello."},
        cast_to=bytes,
    ),
}


def read(answer: Any) -> None:
    if hasattr(answer, "read"):
        answer.read()
    elif not isinstance(answer, bytes):
        for _ in answer:
            pass


ENDS: dict[str, Callable[[Any], Any]] = {
    "read to its end": read,
    "closed": lambda answer: answer.close() if hasattr(answer, "close") else None,
    "left to the collector": lambda answer: None,
}


# What nobody closes is closed by the collector, and Python says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_an_answer_holds_its_slot_until_its_end(make: Callable[..., Cartesia], way: str, end: str) -> None:
    client = make(limit=1)
    answer = WAYS[way](client)
    ENDS[end](answer)
    del answer
    gc.collect()
    assert is_free(client)


def test_while_an_answer_is_read_nobody_else_is_answered(make: Callable[..., Cartesia]) -> None:
    client = make(limit=1, limit_wait=0.05)
    answer = client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello, this is long enough. " * 20)
    with pytest.raises(SlotTimeoutError, match="limit_wait"):
        client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello.")
    assert client.voices.list(limit=1).data  # which needs none
    answer.close()
    client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello.").read()


def test_an_error_gives_the_slot_back(make: Callable[..., Cartesia]) -> None:
    client = make(limit=1, max_retries=0)
    for _ in range(2):
        with pytest.raises(Exception, match="voice"):
            client.tts.generate(
                **{**SPOKEN, "voice": "00000000-0000-4000-8000-000000000000"}, output_format=WAV, transcript="x"
            )
    assert is_free(client)


def test_a_request_that_is_refused_for_want_of_a_slot_is_sent_again(make: Callable[..., Cartesia]) -> None:
    """More often than max_retries says, since it is no failure."""
    other, client = make(), make(limit=8, max_retries=0)
    answers = [other.tts.generate(**SPOKEN, output_format=WAV, transcript=LONG) for _ in range(3)]
    gate, refusals = client.limit, threading.Semaphore(0)
    assert gate is not None
    refused = gate.refused

    def watched(retry_after: Any = None) -> None:
        refused(retry_after)
        refusals.release()

    gate.refused = watched  # type: ignore[method-assign]  # to know when
    with ThreadPoolExecutor() as threads:
        asking = threads.submit(client.tts.generate, **SPOKEN, output_format=WAV, transcript="Hello.")
        for _ in range(2):
            assert refusals.acquire(timeout=BOUND)
        for answer in answers:
            answer.close()
        assert asking.result(BOUND).read()
    assert is_free(client)


def test_a_refusal_that_lasts_is_told(make: Callable[..., Cartesia]) -> None:
    other, client = make(), make(limit=8, limit_wait=0.3)
    answers = [other.tts.generate(**SPOKEN, output_format=WAV, transcript=LONG) for _ in range(3)]
    with pytest.raises(RateLimitError):
        client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello.")
    for answer in answers:
        answer.close()
    assert is_free(client)


def test_an_error_says_which_limit_was_exceeded(make: Callable[..., Cartesia]) -> None:
    with LocalServer(engine="signal", concurrency_limit=1) as server, contextlib.ExitStack() as stack:
        client = Cartesia(api_key="any", base_url=server.url, max_retries=0)
        for _ in range(10):
            stack.enter_context(client.tts.websocket_connect())
        with pytest.raises(RateLimitError) as caught:
            client.tts.websocket_connect().enter()
        assert caught.value.exceeded == "connections"
        answer = client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello. " * 200)
        with pytest.raises(RateLimitError) as caught:
            client.tts.generate(**SPOKEN, output_format=WAV, transcript="Hello.")
        assert caught.value.exceeded == "contexts"
        answer.close()
        client.close()


def test_the_error_of_a_context_has_its_facts(make: Callable[..., Cartesia]) -> None:
    with make().tts.websocket_connect() as connection:
        others = [connection.context(**SPOKEN, output_format=RAW) for _ in range(3)]
        for context in others:
            context.push(LONG)
            next(iter(context))
        refused = connection.context("mine", **SPOKEN, output_format=RAW)
        refused.push("Hello, ")
        with pytest.raises(RateLimitError) as caught:
            refused.audio()
        for context in others:
            context.cancel()
    error = caught.value
    assert (error.exceeded, error.context_id, error.transcripts) == ("contexts", "mine", ("Hello, ",))
    assert error.retry_after is None  # an event has no headers
    assert "limit" in str(error)


def test_where_the_service_says_when_to_come_again_the_error_has_it(
    make: Callable[..., Cartesia], server: LocalServer
) -> None:
    server.inject(faults.RefuseRequest(status=429, headers={"Retry-After": "7"}))
    with pytest.raises(RateLimitError) as caught:
        make(max_retries=0).tts.generate(**SPOKEN, output_format=WAV, transcript="Hello.")
    assert caught.value.retry_after == 7


# ---- whose limit it is


def test_clients_made_from_each_other_share_it_and_another_account_does_not(make: Callable[..., Cartesia]) -> None:
    client = make(limit=3)
    assert client.with_options(max_retries=5).limit is client.limit
    assert client.with_options(api_key="other").limit is not client.limit
    assert client.with_options(limit=None).limit is None
    assert make().limit is None
    semaphore = threading.Semaphore(2)
    assert make(limit=semaphore).limit is make(limit=semaphore).limit
    with pytest.raises(ValueError, match="counts for its own account"):
        make(limit=semaphore).with_options(api_key="other")


def test_a_limit_that_processes_share_gets_its_name_from_the_key(
    make: Callable[..., Cartesia], server: LocalServer, tmp_path: Path
) -> None:
    pytest.importorskip("portalocker")
    limits = [SameMachine(2, directory=tmp_path) for _ in range(3)]
    for limit, key in zip(limits, ("one", "one", "other")):
        Cartesia(api_key=key, base_url=server.url, limit=limit)
    assert limits[0].name == limits[1].name != limits[2].name
    assert "one" not in limits[0].name
    with pytest.raises(ValueError, match="name="):
        Cartesia(token=lambda: "t", base_url=server.url, limit=SameMachine(2, directory=tmp_path))
    Cartesia(token=lambda: "t", base_url=server.url, limit=SameMachine(2, directory=tmp_path, name="mine"))


def test_a_client_travels_with_its_limit(make: Callable[..., Cartesia], tmp_path: Path) -> None:
    pytest.importorskip("portalocker")
    for limit in (4, Learned(most=8, least=2), SameMachine(2, directory=tmp_path)):
        client = make(limit=limit, limit_wait=5.0, limit_idle=None)
        again = pickle.loads(pickle.dumps(client))
        assert again.limit is not None
        assert client.limit is not None
        assert again.limit is not client.limit
        assert (again.limit.allowed, again.limit_wait, again.limit_idle) == (client.limit.allowed, 5.0, None)
        assert copy.copy(client).limit is copy.deepcopy(client).limit is client.limit
        again.close()
    with pytest.raises(TypeError, match="because of its limit"):
        pickle.dumps(make(limit=threading.Semaphore(2)))


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "4", object()])
def test_what_is_no_limit_is_refused(make: Callable[..., Cartesia], limit: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="limit"):
        make(limit=limit)
