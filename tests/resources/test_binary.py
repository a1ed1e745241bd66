"""Answers that are more than JSON: audio as it arrives, events, pages."""

from __future__ import annotations

import io
import os
import pathlib
import struct
import threading
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cartesia_sync import APIResponseValidationError, Cartesia
from cartesia_sync.audio.wav import wav_bytes
from cartesia_sync.errors import APITimeoutError, IncompleteAnswerError, MalformedEventError, MessageTooBigError
from cartesia_sync.resources import binary as answers

from ..support.http_service import Asked, Out, Service, answer, chunk, event

KEY = "sk_car_a-key-for-answers"
BOUND = 10.0
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
WAV = {**RAW, "container": "wav"}
MP3 = {"container": "mp3", "sample_rate": 8000, "bit_rate": 32000}
SOUND = struct.pack("<4h", 0, 16384, -16384, -32768)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = {"type": "chunk", "context_id": "c", "data": "AAA=", "done": False, "status_code": 206, "step_time": 1.0}
DONE = {"type": "done", "context_id": "c", "done": True, "status_code": 206}
ERROR = {"type": "error", "context_id": "c", "done": True, "status_code": 500, "title": "Oh", "message": "no"}


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def said_by(client: Cartesia, output_format: Any = RAW) -> answers.BinaryAPIResponse:
    return client.tts.generate(model_id="m", output_format=output_format, transcript="t", voice="v")


def events_of(client: Cartesia, **more: Any) -> answers.Stream[Any]:
    return client.tts.generate_sse(model_id="m", output_format=RAW, transcript="t", voice="v", **more)


def cut(content: bytes) -> Callable[[Asked, Out], None]:
    def say(asked: Asked, out: Out) -> None:
        out.say(content)
        out.hang_up()

    return say


# ---- bytes


def test_what_was_read_is_kept_and_can_be_had_again_in_every_form(tmp_path: pathlib.Path) -> None:
    with (
        Service(answer(200, SOUND, Content_Type="audio/x", Cartesia_File_Id="f")) as service,
        client_of(service) as client,
    ):
        said = said_by(client)
        assert said.read() == said.read() == said.content == SOUND
        assert b"".join(said.iter_bytes()) == b"".join(said.iter_bytes(3)) == SOUND
        said.write_to_file(tmp_path / "a")
        assert said.samples().tolist() == [0, 0.5, -0.5, -1]
        assert (said.status_code, said.headers["cartesia-file-id"]) == (200, "f")
        assert repr(said) == "<BinaryAPIResponse 200 audio/x>"
    assert (tmp_path / "a").read_bytes() == SOUND
    assert len(service.asked) == 1


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_pieces_are_of_the_size_that_was_asked_for(size: int) -> None:
    with Service(answer(200, chunks=[SOUND[:5], SOUND[5:]])) as service, client_of(service) as client:
        pieces = list(said_by(client).iter_bytes(size))
    assert pieces == [SOUND[at : at + size] for at in range(0, len(SOUND), size)]


def test_what_went_by_cannot_be_had_again() -> None:
    with Service(answer(200, SOUND)) as service, client_of(service) as client:
        said = said_by(client)
        with pytest.raises(ValueError, match="chunk_size: expected 1 byte or more"):
            said.iter_bytes(0)
        list(said.iter_bytes())
        for again in (said.read, said.samples, said.iter_bytes, lambda: said.write_to_file(io.BytesIO())):
            with pytest.raises(ValueError, match="has been read"):
                again()


@pytest.mark.parametrize("before", [None, b"an older file"])
@pytest.mark.parametrize(
    "given",
    [
        cut(answer(200, SOUND)[:-1]),
        cut(STREAM + chunk(SOUND)),
        cut(b"HTTP/1.1 200 OK\r\n\r\n" + SOUND),
        cut(answer(200, SOUND, Content_Encoding="gzip")[:-1]),
    ],
    ids=["length", "chunks", "no length", "gzip"],
)
def test_no_part_of_an_answer_becomes_a_file(given: Any, before: Any, tmp_path: pathlib.Path) -> None:
    path, target = tmp_path / "a.wav", io.BytesIO()
    if before is not None:
        path.write_bytes(before)
    for file in (path, target):
        with Service(given) as service, client_of(service) as client, pytest.raises(Exception, match=r"/tts/bytes"):
            said_by(client).write_to_file(file)
    assert target.getvalue() == b""
    assert os.listdir(tmp_path) == ([] if before is None else ["a.wav"])
    assert before is None or path.read_bytes() == before


def test_a_file_appears_only_when_it_is_whole_and_is_not_collected_in_memory(tmp_path: pathlib.Path) -> None:
    has_looked = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(SOUND)), SOUND)
        assert has_looked.wait(BOUND)
        out.say(SOUND)

    seen: list[list[str]] = []
    with Service(say) as service, client_of(service) as client:
        said = said_by(client)
        pieces = said._response.pieces

        def watched() -> Any:
            for piece in pieces():
                yield piece
                seen.append(os.listdir(tmp_path))
                has_looked.set()

        said._response.pieces = watched  # type: ignore[method-assign]  # to look at the folder between two pieces
        said.write_to_file(tmp_path / "a.raw")
    assert "a.raw" not in seen[0]
    assert len(seen[0]) == 1
    assert os.listdir(tmp_path) == ["a.raw"]
    assert (tmp_path / "a.raw").read_bytes() == SOUND * 2


def streamed(encoding: str = "pcm_s16le", length: int = 0xFFFFFFFF) -> bytes:
    from cartesia_sync.protocol.formats import RawFormat

    whole = bytearray(wav_bytes(SOUND, RawFormat(encoding, 8000)))
    struct.pack_into("<I", whole, 4, length)
    struct.pack_into("<I", whole, len(whole) - len(SOUND) - 4, length)
    return bytes(whole)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0, 0x7FFFFFFF])
def test_a_streamed_wav_files_lengths_are_made_true(tmp_path: pathlib.Path, length: int) -> None:
    with Service(answer(200, chunks=[streamed(length=length)])) as service, client_of(service) as client:
        said_by(client, WAV).write_to_file(tmp_path / "a.wav")
        target = io.BytesIO()
        said_by(client, WAV).stream_to_file(target)
        assert said_by(client, WAV).read() == streamed(length=length)  # as it came
        assert said_by(client, WAV).samples().tolist() == [0, 0.5, -0.5, -1]
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (4, 8000, 1)
        assert file.readframes(9) == SOUND
    assert target.getvalue() == (tmp_path / "a.wav").read_bytes()


def test_what_is_no_wav_is_written_byte_for_byte(tmp_path: pathlib.Path) -> None:
    for content in (b"ID3\x04" + SOUND, b"", b"R", b"RIFF" + b"\xff" * 60, streamed()[:20]):
        with Service(answer(200, content)) as service, client_of(service) as client:
            said_by(client, MP3).write_to_file(tmp_path / "a.mp3")
        assert (tmp_path / "a.mp3").read_bytes() == content


def test_mp3_has_no_samples_and_still_its_bytes() -> None:
    with Service(answer(200, b"ID3")) as service, client_of(service) as client:
        said = said_by(client, MP3)
        with pytest.raises(ValueError, match="expected raw audio or WAV, got 'mp3'"):
            said.samples()
        assert said.read() == b"ID3"
        with client.tts.infill(model_id="m") as said, pytest.raises(ValueError, match="expected a WAV file"):
            said.samples()


def test_samples_are_of_the_encoding_that_was_asked_for() -> None:
    floats = np.array([0.25, -2.0], "<f4")
    with Service(answer(200, floats.tobytes())) as service, client_of(service) as client:
        assert said_by(client, {**RAW, "encoding": "pcm_f32le"}).samples().tolist() == [0.25, -2.0]
        with pytest.raises(ValueError, match="unknown encoding"):
            said_by(client, {**RAW, "encoding": "opus"}).samples()
    with (
        Service(answer(200, SOUND[:-1])) as service,
        client_of(service) as client,
        pytest.raises(ValueError, match="expected whole samples"),
    ):
        said_by(client).samples()


# ---- events


def test_events_are_the_sockets_own_and_their_connection_is_used_again() -> None:
    stream = answer(200, chunks=[event(CHUNK), b": ping\n\n", event({**CHUNK, "data": "AA=="}) + event(DONE)])
    with Service(stream) as service, client_of(service) as client:
        for _ in range(2):
            with events_of(client) as events:
                assert events.status_code == 200
                heard = list(events)
                assert [each.type for each in heard] == ["chunk", "chunk", "done"]
                assert heard[0].samples().tolist() == [0.0]
                assert heard[1].samples().tolist() == []
                assert list(events) == []
    assert len({each.connection for each in service.asked}) == 1
    assert service.asked[0].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_events_come_whole_wherever_the_pieces_end(end: bytes) -> None:
    whole = event(CHUNK, end=end) + event(DONE, end=end)
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    with Service(answer(200, chunks=pieces)) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["chunk", "done"]


def test_an_error_event_is_given_and_is_the_last() -> None:
    with (
        Service(answer(200, chunks=[event(CHUNK), b"event: error\n" + event(ERROR)])) as service,
        client_of(service) as client,
    ):
        *_, last = list(events_of(client))
    assert (last.type, last.error, last.done) == ("error", "Oh: no", True)


def test_an_error_event_that_says_it_is_not_the_last_is_not() -> None:
    stream = answer(200, chunks=[event({**ERROR, "done": False}), event(DONE)])
    with Service(stream) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["error", "done"]


@pytest.mark.parametrize(
    "given",
    [
        answer(200, chunks=[event(CHUNK)]),
        answer(200, chunks=[event(CHUNK), event(DONE)[:-1]]),
        cut(STREAM + chunk(event(CHUNK))),
        cut(STREAM + chunk(event(CHUNK)) + chunk(event(DONE))[:-9]),
        cut(b"HTTP/1.1 200 OK\r\n\r\n" + event(CHUNK)),
        answer(200, event(CHUNK)),
    ],
    ids=["ends early", "ends within the last", "cut", "cut within the last", "no length", "length"],
)
def test_a_stream_that_ends_before_its_last_event_is_no_whole_one(given: Any) -> None:
    heard: list[Any] = []
    with Service(given) as service, client_of(service) as client:
        events = events_of(client)
        with pytest.raises(IncompleteAnswerError, match="POST /tts/sse") as ended:
            heard.extend(events)
        assert events._response.is_closed
    assert [each.type for each in heard] == ["chunk"]
    assert ended.value.received_bytes >= len(event(CHUNK))


def test_a_stream_without_length_is_whole_with_its_last_event() -> None:
    with Service(cut(b"HTTP/1.1 200 OK\r\n\r\n" + event(CHUNK) + event(DONE))) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["chunk", "done"]


def test_events_are_given_as_they_arrive() -> None:
    has_got = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(CHUNK)))
        assert has_got.wait(BOUND)
        out.say(chunk(event(DONE)) + chunk(b""))

    with Service(say) as service, client_of(service) as client:
        events = events_of(client)
        assert next(events).type == "chunk"
        has_got.set()
        assert next(events).type == "done"
        assert list(events) == []


def test_after_the_last_event_nobody_waits_for_the_end_of_the_answer() -> None:
    """Which may not come: the client would hang here, for as long as its clock runs."""
    has_ended = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(DONE)))
        assert has_ended.wait(BOUND)

    with Service(say) as service, client_of(service, timeout=(BOUND, None)) as client:
        events = events_of(client)
        assert [each.type for each in events] == ["done"]
        has_ended.set()
        assert events._response.is_closed


def test_after_the_last_event_nobody_reads_whatever_comes() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(DONE)))
        out.flood(chunk(b": more\n\n" * 10_000))

    with Service(say) as service, client_of(service) as client:
        assert [each.type for each in events_of(client)] == ["done"]


def test_leaving_or_closing_early_ends_the_connection() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM)
        out.flood(chunk(event(CHUNK)))

    with Service(say) as service, client_of(service) as client:
        with events_of(client) as events:
            next(events)
        with pytest.raises(IncompleteAnswerError):
            list(events)
        events.close()
        unread = events_of(client)
        unread.close()
        with pytest.raises(IncompleteAnswerError):
            next(unread)


def test_silence_between_events_is_a_matter_of_the_read_clock() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(event(CHUNK)))
        out.wait_until_gone()

    with Service(say) as service, client_of(service) as client:
        events = events_of(client, timeout=(BOUND, 0.05))
        next(events)
        with pytest.raises(APITimeoutError, match=r"nothing was heard for 0\.05 seconds"):
            next(events)


@pytest.mark.parametrize("data", [b"data: no json\n\n", b"data: [1]\n\n", b"data: {}\n\n", b"data: \xff\n\n"])
def test_an_event_that_is_none_is_told(data: bytes) -> None:
    with (
        Service(answer(200, chunks=[data, event(DONE)])) as service,
        client_of(service) as client,
        pytest.raises(MalformedEventError),
    ):
        list(events_of(client))


def test_an_event_of_any_size_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_EVENT_BYTES", 100_000)

    def say(asked: Asked, out: Out) -> None:
        out.say(STREAM + chunk(b"data: "))
        out.flood(chunk(b"x" * 50_000))

    with Service(say) as service, client_of(service) as client, pytest.raises(MessageTooBigError) as refused:
        next(events_of(client))
    assert refused.value.limit_bytes == 100_000


# ---- pages


def page(*ids: Any, **more: Any) -> bytes:
    return answer(200, {"data": [{"id": each} for each in ids], **more})


def targets(service: Service) -> list[str]:
    return [each.target for each in service.asked]


def test_a_list_goes_on_through_all_its_pages() -> None:
    with (
        Service(page("a", "b", has_more=True), page("c", has_more=True), page()) as service,
        client_of(service) as client,
    ):
        assert [each.id for each in client.voices.list(limit=2)] == ["a", "b", "c"]
    assert targets(service) == [
        "/voices?limit=2",
        "/voices?limit=2&starting_after=b",
        "/voices?limit=2&starting_after=c",
    ]


def test_a_list_may_go_backwards() -> None:
    with Service(page("c", "d"), page("a", "b", has_more=False)) as service, client_of(service) as client:
        first = client.voices.list(ending_before="e")
        assert first.has_next_page()
        second = first.get_next_page()
        assert [each.id for each in second.data] == ["a", "b"]
        assert not second.has_next_page()
    assert targets(service) == ["/voices?ending_before=e", "/voices?ending_before=c"]


@pytest.mark.parametrize("last", [page(), page("a", has_more=False), page(None), answer(200, {})])
def test_after_the_last_page_there_is_none(last: bytes) -> None:
    with Service(last) as service, client_of(service) as client:
        only = client.voices.list()
        assert not only.has_next_page()
        assert [each.data for each in only.iter_pages()] == [only.data]
        with pytest.raises(RuntimeError, match="no page follows"):
            only.get_next_page()
    assert len(service.asked) == 1


def test_the_same_page_again_is_no_next_page() -> None:
    with (
        Service(page("a", has_more=True)) as service,
        client_of(service) as client,
        pytest.raises(APIResponseValidationError, match="the same page again"),
    ):
        list(client.voices.list())
    assert len(service.asked) == 2


def circle(*ids: str) -> Callable[[Asked, Out], None]:
    """Give one page after the other, and then the first again."""

    def say(asked: Asked, out: Out) -> None:
        before = asked.target.partition("starting_after=")[2]
        out.say(page(ids[(ids.index(before) + 1) % len(ids)] if before else ids[0], has_more=True))

    return say


@pytest.mark.parametrize("length", [2, 3, 7])
def test_pages_that_go_in_a_circle_end_with_an_error_when_the_first_comes_again(length: int) -> None:
    ids = [f"id{number}" for number in range(length)]
    got: list[str] = []
    with Service(circle(*ids)) as service, client_of(service) as client:
        with pytest.raises(APIResponseValidationError, match="the same page again"):
            got.extend(each.id for each in client.voices.list())
        assert got == ids
        last = client.voices.list()
        for _ in range(length - 1):
            last = last.get_next_page()
        for _ in range(2):
            with pytest.raises(APIResponseValidationError, match="the same page again"):
                last.get_next_page()
    assert len(targets(service)) == length + 1 + length + 2


def test_a_circle_of_any_length_is_found_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REMEMBERED_PAGES", 2)
    ids = [f"id{number}" for number in range(50)]
    with Service(circle(*ids)) as service, client_of(service) as client:
        got: list[Any] = []
        with pytest.raises(APIResponseValidationError, match="the same page again"):
            got.extend(client.voices.list().iter_pages())
        assert max(len(each._trail.last) for each in got) == 2
    assert 50 < len(service.asked) < 200


def test_the_same_next_page_may_be_asked_for_again_and_long_lists_are_no_circles() -> None:
    pages = [page(f"id{number}", has_more=number < 299) for number in range(300)]
    with Service(page("a", has_more=True), page("b"), page("b"), *pages) as service, client_of(service) as client:
        first = client.voices.list()
        assert [first.get_next_page().data[0].id for _ in range(2)] == ["b", "b"]
        assert len(list(client.voices.list())) == 300


def test_a_page_tells_what_the_service_told() -> None:
    with Service(page("a", has_more=True, next_page="n")) as service, client_of(service) as client:
        told = client.voices.list()
    assert (len(told.data), told.has_more, told.next_page) == (1, True, "n")
    assert repr(told) == "<SyncCursorIDPage of 1>"
