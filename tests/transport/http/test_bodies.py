"""How an answer's body comes: as it arrives, in small pieces, whole or not at all; and what its connection becomes."""

from __future__ import annotations

import gc
import gzip
import os
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3.response

from cartesia_sync import APITimeoutError, Cartesia
from cartesia_sync.errors import IncompleteAnswerError, NotFoundError, ProtocolError
from cartesia_sync.resources.binary import BinaryAPIResponse
from cartesia_sync.transport.http import response as response_module

from ...support.http_service import Asked, Out, Service, answer, chunk
from ...support.peer import BOUND, Trust

KEY = "sk_car_a-key-for-bodies"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def asked_for(client: Cartesia) -> BinaryAPIResponse:
    return client.tts.generate(model_id="m", output_format={}, transcript="t", voice="v")


def cut(content: bytes) -> Callable[[Asked, Out], None]:
    def say(asked: Asked, out: Out) -> None:
        out.say(content)
        out.hang_up()

    return say


# ---- whole or not at all

SOUND = bytes(range(256)) * 10
PRESSED = gzip.compress(SOUND)
WHOLE: list[Any] = [
    pytest.param(answer(200, SOUND), id="length"),
    pytest.param(answer(200, chunks=[SOUND]), id="one chunk"),
    pytest.param(answer(200, chunks=[SOUND[:1], SOUND[1:100], SOUND[100:]]), id="chunks"),
    pytest.param(answer(200, PRESSED, Content_Encoding="gzip"), id="gzip"),
    pytest.param(answer(200, chunks=[PRESSED[:9], PRESSED[9:]], Content_Encoding="gzip"), id="gzip in chunks"),
    pytest.param(
        answer(200, gzip.compress(SOUND[:99]) + gzip.compress(SOUND[99:]), Content_Encoding="x-gzip"), id="two gzips"
    ),
    pytest.param(answer(200, SOUND, Content_Encoding="identity"), id="identity"),
]


@pytest.mark.parametrize("given", WHOLE)
def test_a_whole_body_is_given_whole_and_its_connection_used_again(given: bytes) -> None:
    with Service(given) as service, client_of(service) as client:
        for _ in range(3):
            said = asked_for(client)
            assert b"".join(said.iter_bytes()) == SOUND
            assert said.is_closed
        assert client.get("/x", cast_to=bytes) == SOUND
    assert len({each.connection for each in service.asked}) == 1


CUT: list[Any] = [
    pytest.param(answer(200, SOUND)[:-1], id="length"),
    pytest.param(answer(200, SOUND)[: -len(SOUND)], id="length, nothing came"),
    pytest.param(CUT_IN_CHUNK := CHUNKED + b"\r\n" + chunk(SOUND)[:-9], id="within a chunk"),
    pytest.param(CHUNKED + b"\r\n" + chunk(SOUND), id="after a chunk"),
    pytest.param(CHUNKED + b"\r\n" + chunk(SOUND) + b"1", id="within a chunk's length"),
    pytest.param(CHUNKED + b"\r\n", id="before the first chunk"),
    pytest.param(answer(200, PRESSED, Content_Encoding="gzip")[:-1], id="gzip by its length"),
    pytest.param(answer(200, PRESSED[:-1], Content_Encoding="gzip"), id="gzip within its end"),
    pytest.param(answer(200, PRESSED[:20], Content_Encoding="gzip"), id="gzip"),
    pytest.param(answer(200, PRESSED + PRESSED[:30], Content_Encoding="gzip"), id="the second gzip"),
    pytest.param(answer(200, chunks=[PRESSED[:20]], Content_Encoding="gzip"), id="gzip in chunks"),
    pytest.param(HEAD + b"\r\n" + SOUND, id="no length is said"),
    pytest.param(HEAD + b"Content-Length: many\r\n\r\n" + SOUND, id="a length that is none"),
    pytest.param(HEAD + b"Content-Length: -1\r\n\r\n" + SOUND, id="a length below nothing"),
]


@pytest.mark.parametrize("given", CUT)
@pytest.mark.parametrize("cast_to", [None, bytes, str])
def test_a_part_is_never_given_for_the_whole(given: bytes, cast_to: Any) -> None:
    with Service(cut(given)) as service, client_of(service) as client, pytest.raises(IncompleteAnswerError) as broken:
        asked_for(client).read() if cast_to is None else client.get("/x", cast_to=cast_to)
    assert f" {service.asked[0].target} " in str(broken.value)
    assert 0 <= broken.value.received_bytes <= 2 * len(SOUND)


def test_what_came_before_the_break_is_given_first() -> None:
    got: list[bytes] = []
    with (
        Service(cut(CUT_IN_CHUNK)) as service,
        client_of(service) as client,
        pytest.raises(IncompleteAnswerError) as it,
    ):
        got.extend(asked_for(client).iter_bytes())
    assert it.value.received_bytes > 0


def test_gzip_that_is_damaged_is_a_lie_and_no_loss() -> None:
    damaged = PRESSED[:-8] + bytes(4) + PRESSED[-4:]  # another checksum
    with (
        Service(answer(200, damaged, Content_Encoding="gzip")) as service,
        client_of(service) as client,
        pytest.raises(ProtocolError, match="gzip"),
    ):
        asked_for(client).read()


def test_silence_within_a_body_is_a_matter_of_the_read_timeout() -> None:
    def stop(asked: Asked, out: Out) -> None:
        out.say(answer(200, SOUND)[:-1])
        out.wait_until_gone()

    with (
        Service(stop) as service,
        client_of(service, timeout=(BOUND, 0.05)) as client,
        pytest.raises(APITimeoutError, match=r"nothing was heard for 0\.05 seconds"),
    ):
        asked_for(client).read()


# ---- as it arrives


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_bytes_are_given_while_the_service_has_not_said_the_rest(is_chunked: bool) -> None:
    """The service goes on only when the client has what came before: whoever waits for more waits for ever."""
    has_got = [threading.Event() for _ in range(3)]

    def say(asked: Asked, out: Out) -> None:
        out.say(CHUNKED + b"\r\n" if is_chunked else HEAD + b"Content-Length: 4\r\n\r\n")
        for number, each in enumerate(has_got):
            out.say(chunk(b"%d" % number) if is_chunked else b"%d" % number)
            assert each.wait(BOUND)
        out.say(chunk(b"!") + chunk(b"") if is_chunked else b"!")

    with Service(say) as service, client_of(service) as client:
        pieces = asked_for(client).iter_bytes()
        for number, each in enumerate(has_got):
            assert next(pieces) == b"%d" % number
            each.set()
        assert list(pieces) == [b"!"]


def test_a_part_of_a_chunk_is_given_too() -> None:
    has_got = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        whole = chunk(b"ab")
        out.say(CHUNKED + b"\r\n" + whole[:-3])
        assert has_got.wait(BOUND)
        out.say(whole[-3:] + chunk(b""))

    with Service(say) as service, client_of(service) as client:
        pieces = asked_for(client).iter_bytes()
        assert next(pieces) == b"a"
        has_got.set()
        assert list(pieces) == [b"b"]


@pytest.mark.parametrize("pressed", [False, True], ids=["plain", "gzip"])
def test_a_long_body_never_sits_in_memory(pressed: bool) -> None:
    size = 64 << 20
    block = bytes(1 << 20)

    def say(asked: Asked, out: Out) -> None:
        if pressed:  # as small as it can be: a bomb
            deflater = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            content = b"".join([*(deflater.compress(block) for _ in range(size >> 20)), deflater.flush()])
            out.say(answer(200, content, Content_Encoding="gzip"))
            return
        out.say(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            out.say(block)

    with Service(say) as service, client_of(service) as client:
        said = asked_for(client)
        tracemalloc.start()
        try:
            lengths = [len(piece) for piece in said.iter_bytes()]
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sum(lengths) == size
    assert max(lengths) <= response_module.PIECE_BYTES
    assert most < 8 << 20


def test_an_answer_without_content_is_one() -> None:
    with Service(b"HTTP/1.1 204 No Content\r\n\r\n") as service, client_of(service) as client:
        assert client.delete("/x", cast_to=None) is None
        assert client.delete("/x", cast_to=bytes) == b""
    assert len({each.connection for each in service.asked}) == 1


# ---- left early


def endless(asked: Asked, out: Out) -> None:
    out.say(CHUNKED + b"\r\n")
    out.flood(chunk(SOUND))


def test_leaving_early_ends_the_connection() -> None:
    with Service(endless, answer(200, {})) as service, client_of(service) as client:
        with asked_for(client) as said:
            pieces = said.iter_bytes()
            next(pieces)
            was_open = not said.is_closed
        assert was_open
        assert said.is_closed
        said.close()
        client.get("/x")
    assert len({each.connection for each in service.asked}) == 2


def test_who_breaks_out_of_the_loop_has_ended_it() -> None:
    with Service(endless) as service, client_of(service) as client:
        said = asked_for(client)
        for _ in said.iter_bytes():
            break
        gc.collect()
        assert said.is_closed


def test_an_answer_that_nobody_reads_is_let_go_without_a_warning(trust: Trust) -> None:
    for tls in (None, trust.server):
        with Service(endless, tls=tls) as service, client_of(service, ssl_context=trust.client) as client:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                asked_for(client)
                begun = asked_for(client).iter_bytes()
                next(begun)
                del begun
                gc.collect()
            assert [str(each.message) for each in told] == []


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("ends_after", [False, True], ids=["stays", "closes after it"])
def test_close_wakes_the_thread_that_reads(
    threads: ThreadPoolExecutor,
    trust: Trust,
    monkeypatch: pytest.MonkeyPatch,
    is_secure: bool,
    ends_after: bool,
) -> None:
    waits = threading.Event()
    read1 = urllib3.response.HTTPResponse.read1

    def tell_and_read1(self: Any, *arguments: Any, **options: Any) -> bytes:
        waits.set()
        return read1(self, *arguments, **options)

    monkeypatch.setattr(urllib3.response.HTTPResponse, "read1", tell_and_read1)

    def say_nothing_more(asked: Asked, out: Out) -> None:
        out.say(CHUNKED + (b"Connection: close\r\n\r\n" if ends_after else b"\r\n"))
        out.wait_until_gone()

    tls = trust.server if is_secure else None
    with Service(say_nothing_more, tls=tls) as service, client_of(service, ssl_context=trust.client) as client:
        said = asked_for(client)
        reading = threads.submit(said.read)
        assert waits.wait(BOUND)
        said.close()
        with pytest.raises(IncompleteAnswerError, match="closed"):
            reading.result(BOUND)
        assert said.is_closed


def test_close_after_the_end_leaves_the_connection_to_whom_it_belongs_now() -> None:
    going_on, has_closed = threading.Event(), threading.Event()

    def slowly(asked: Asked, out: Out) -> None:
        out.say(CHUNKED + b"\r\n" + chunk(b"a"))
        going_on.set()
        assert has_closed.wait(BOUND)
        out.say(chunk(b"b") + chunk(b""))

    with Service(answer(200, b"first"), slowly) as service, client_of(service) as client:
        first = asked_for(client)
        assert first.read() == b"first"
        second = asked_for(client)
        assert going_on.wait(BOUND)
        shared = second._response._lease._sock
        assert shared is not None
        first._response._lease.is_reading = True  # as if close came while the end was being read
        first.close()
        first._response.hurry()
        assert shared.gettimeout() != response_module.LAST_WAIT
        has_closed.set()
        assert second.read() == b"ab"
    assert len({each.connection for each in service.asked}) == 1


# ---- many threads


def test_many_threads_each_get_their_own_answers() -> None:
    def echo(asked: Asked, out: Out) -> None:
        out.say(answer(200, chunks=[asked.body[:5], asked.body[5:]] if b"odd" in asked.body else None, body=asked.body))

    def call(client: Cartesia, number: int) -> bool:
        word = f"{number} {'odd' if number % 2 else 'even'} " + "x" * (number * 37)
        return bool(client.post("/x", body={"word": word}) == {"word": word})

    with Service(echo) as service, client_of(service) as client, ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda number: call(client, number), range(100)))
    assert len(service.asked) == 100
    assert len({each.connection for each in service.asked}) <= 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_the_connections_are_made_by_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(answer(200, {})) as service, client_of(service) as client:
        client.get("/x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            client.get("/x")
            client.close()  # the child's
            assert client.is_closed()
        assert not client.is_closed()
        client.get("/x")
    assert service.asked[0].connection == service.asked[2].connection != service.asked[1].connection


@pytest.mark.parametrize("status", [200, 404])
def test_closing_the_client_closes_what_a_kept_answer_or_error_still_knows(status: int) -> None:
    gone = threading.Event()

    def once(asked: Asked, out: Out) -> None:
        out.say(answer(status, b"12"))
        out.wait_until_gone()
        gone.set()

    with Service(once) as service:
        client = client_of(service)
        kept: object
        try:
            kept = asked_for(client)
            assert kept.read() == b"12"
        except NotFoundError as error:
            kept = error
        client.close()
        assert gone.wait(BOUND)
        assert kept
