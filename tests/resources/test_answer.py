"""An answer over HTTP: its body in every form, whole or an exception."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync import (
    APIResponse,
    APIResponseValidationError,
    Cartesia,
    IncompleteAnswerError,
    NotFoundError,
)
from cartesia_sync.exchange import HTTPRequest
from cartesia_sync.resources.answer import _cut, _decoded, _lines
from cartesia_sync.types import Voice

from ..support.http_service import Asked, Out, Service, answer, chunk

KEY = "sk_car_a-key-for-answers"
VOICE = {"id": "v", "name": "Anna", "colour": "red"}
ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, **{"max_retries": 0, **options})


# ---- of the answer


def test_an_answer_shows_what_was_asked_and_what_came() -> None:
    said = answer(200, VOICE, X_Request_Id="r-1", X_Thing="a", Content_Type="application/json")
    with Service(answer(500), said) as service, client_of(service, max_retries=1) as client:
        voice = client.voices.with_raw_response.get("v", extra_query={"token": "secret"})
        assert isinstance(voice, APIResponse)
        assert (voice.status_code, voice.request_id, voice.retries_taken) == (200, "r-1", 1)
        assert (voice.headers["X-THING"], voice.headers.get("x-thing")) == ("a", "a")
        assert voice.http_request == HTTPRequest("GET", f"{service.url}/voices/v")
        assert (voice.method, voice.url) == ("GET", f"{service.url}/voices/v")
        assert timedelta(0) < voice.elapsed < timedelta(seconds=30)
        assert repr(voice) == "<APIResponse 200 application/json>"
        assert client.with_raw_response.get_status().retries_taken == 0
        assert client.tts.generate(model_id="m", output_format=RAW, transcript="t", voice="v").request_id == "r-1"
    with Service(answer(200, VOICE)) as service, client_of(service) as client:
        assert client.voices.with_raw_response.get("v").request_id is None


RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}


def test_an_answer_that_has_been_read_keeps_no_connection() -> None:
    with Service(answer(200, VOICE)) as service, client_of(service) as client:
        first = client.voices.with_raw_response.get("v")
        assert first.is_closed
        assert first.parse().name == "Anna"
        client.voices.with_raw_response.get("v")
    assert len({asked.connection for asked in service.asked}) == 1


def test_an_answer_without_a_body_is_open_until_it_is_read_or_closed() -> None:
    """As that of the official client; it keeps no connection meanwhile."""
    with Service(answer(204)) as service, client_of(service) as client:
        assert client.voices.with_raw_response.delete("v").is_closed
        with client.voices.with_streaming_response.delete("v") as said:
            assert not said.is_closed
            assert said.parse() is None
            assert said.is_closed
        with client.voices.with_streaming_response.delete("v") as said:
            assert not said.is_closed
        assert said.is_closed
    assert len({asked.connection for asked in service.asked}) == 1


def test_a_refusal_is_raised_in_every_form() -> None:
    with Service(answer(404, {"title": "No"})) as service, client_of(service) as client:
        with pytest.raises(NotFoundError):
            client.voices.with_raw_response.get("v")
        manager = client.voices.with_streaming_response.get("v")
        assert len(service.asked) == 1  # not before the block is entered
        with pytest.raises(NotFoundError), manager:
            pass


# ---- what it stands for


def test_an_answer_is_made_into_what_was_asked_for_once() -> None:
    with Service(answer(200, VOICE)) as service, client_of(service) as client:
        voice = client.voices.with_raw_response.get("v")
        assert voice.parse() is voice.parse()
        assert (voice.parse().name, voice.parse().extra) == ("Anna", {"colour": "red"})
        assert voice.parse(to=dict) == voice.json() == VOICE
        assert voice.parse(to=str) == voice.text()
        assert voice.parse(to=bytes) == voice.read() == voice.content
        with pytest.raises(APIResponseValidationError, match="should be a JSON array"):
            voice.parse(to=list[Voice])
        assert client.voices.with_raw_response.delete("v").parse() is None
        with pytest.raises(TypeError, match="expected to=bytes or to=str"):
            client.tts.generate(model_id="m", output_format=RAW, transcript="t", voice="v").parse(to=Voice)


def test_events_are_parsed_as_they_come_and_into_nothing_else() -> None:
    events = b'data: {"type": "done", "done": true, "context_id": "c"}\n\n'
    with Service(answer(200, chunks=[events])) as service, client_of(service) as client:
        for method in (client.tts.with_raw_response.sse, client.tts.with_raw_response.generate_sse):
            with method(model_id="m", output_format=RAW, transcript="t", voice="v") as said:
                with pytest.raises(TypeError, match="events are given as they are, or by iter_lines"):
                    said.parse(to=dict)
                assert [event.type for event in said.parse()] == ["done"]
                assert said.parse() is said.parse()
            with method(model_id="m", output_format=RAW, transcript="t", voice="v") as said:
                assert [line for line in said.iter_lines() if line] == [events.decode().strip()]


def test_the_pages_that_follow_a_parsed_one_are_asked_for_as_ever() -> None:
    pages = [answer(200, {"data": [{"id": "a"}], "has_more": True}), answer(200, {"data": [], "has_more": False})]
    with Service(*pages) as service, client_of(service) as client:
        asking = client.voices.with_streaming_response.list(limit=1, extra_headers={"X-Own": "own"})
        with asking as said:
            assert [voice.id for voice in said.parse()] == ["a"]
    assert [asked.target for asked in service.asked] == ["/voices?limit=1", "/voices?limit=1&starting_after=a"]
    assert [asked.headers["x-own"] for asked in service.asked] == ["own", "own"]


def test_what_an_endpoint_without_a_name_answers_can_be_had_too() -> None:
    with Service(answer(200, VOICE, X_Thing="a")) as service, client_of(service) as client:
        said = client.get("/voices/v", cast_to=APIResponse)
        assert (said.headers["X-Thing"], said.parse()) == ("a", VOICE)
        typed = client.post("/voices/v", cast_to=APIResponse[Voice], body={})
        assert typed.parse().name == "Anna"
        assert client.get("/voices/v", cast_to=APIResponse[str]).parse() == typed.text()
    assert [asked.headers["accept"] for asked in service.asked] == ["application/json", "application/json", "*/*"]


# ---- the body


def test_a_body_is_read_as_it_arrives_within_the_block() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b'{"id": '))
        out.wait_until_gone()

    with Service(say) as service, client_of(service) as client:
        with client.voices.with_streaming_response.get("v") as said:
            pieces = said.iter_bytes()
            assert next(pieces) == b'{"id": '
            assert not said.is_closed
        assert said.is_closed
        with pytest.raises(IncompleteAnswerError, match="was closed"):
            next(pieces)


def test_a_body_goes_by_once_unless_it_was_read() -> None:
    with Service(answer(200, VOICE)) as service, client_of(service) as client:
        with client.voices.with_streaming_response.get("v") as said:
            with pytest.raises(ValueError, match="expected 1 byte or more, got 0"):
                said.iter_bytes(0)
            with pytest.raises(ValueError, match="expected 1 character or more, got -1"):
                said.iter_text(-1)
            list(said.iter_bytes())
            for again in (said.read, said.iter_bytes, said.iter_text, said.iter_lines, said.json, said.parse):
                with pytest.raises(ValueError, match="has been read"):
                    again()
        with client.voices.with_streaming_response.get("v") as said:
            assert said.parse().id == "v"
            assert "".join(said.iter_text()) == "".join(said.iter_text(2)) == said.text()
            assert list(said.iter_lines()) == [said.text()]


@pytest.mark.parametrize("how", ["read", "iter_bytes", "iter_text", "iter_lines", "text"])
def test_a_body_that_broke_off_or_may_have_is_not_taken_for_whole(how: str) -> None:
    def cut(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf\n")
        out.hang_up()

    def without_length(asked: Asked, out: Out) -> None:
        out.say(ENDLESS, b"a line\n")
        out.hang_up()

    for say in (cut, without_length):
        with Service(say) as service, client_of(service) as client:
            asking = client.voices.with_streaming_response.get("v")
            with asking as said:
                found = getattr(said, how)() if how.startswith("iter") else None
                with pytest.raises(IncompleteAnswerError):
                    _ = list(found) if found else getattr(said, how)()
                with pytest.raises(IncompleteAnswerError):
                    _ = next(found) if found else getattr(said, how)()


def test_json_says_itself_whether_it_is_whole() -> None:
    def say(asked: Asked, out: Out) -> None:
        out.say(ENDLESS, b'{"id": "v"}')
        out.hang_up()

    with Service(say) as service, client_of(service) as client:
        for said in (client.voices.with_raw_response.get("v"),):
            assert said.parse().id == "v"
            assert said.json() == {"id": "v"}
        with client.voices.with_streaming_response.get("v") as said:
            assert said.parse().id == "v"


def test_an_answer_that_is_too_long_is_not_held() -> None:
    with Service(answer(200, b"x" * 1000)) as service, client_of(service, max_answer_bytes=100) as client:
        with pytest.raises(APIResponseValidationError, match="longer than the client's max_answer_bytes"):
            client.voices.with_raw_response.get("v")
        with client.voices.with_streaming_response.get("v") as said:
            for read in (said.parse, said.read):
                with pytest.raises((APIResponseValidationError, IncompleteAnswerError)):
                    read()
        with client.voices.with_streaming_response.get("v") as said:
            assert sum(map(len, said.iter_bytes())) == 1000  # none of it is held


def test_audio_is_streamed_to_a_file() -> None:
    with Service(answer(200, b"ID3" * 100)) as service, client_of(service) as client:
        target = io.BytesIO()
        asked: Any = {"model_id": "m", "output_format": RAW, "transcript": "t", "voice": "v"}
        with client.tts.with_streaming_response.generate(**asked) as said:
            said.stream_to_file(target, chunk_size=7)
        assert target.getvalue() == b"ID3" * 100
        audio = client.tts.with_raw_response.generate(**asked)
        assert audio.is_closed
        assert audio.parse() == b"ID3" * 100
        assert client.tts.with_raw_response.generate(**asked).parse(to=str) == "ID3" * 100


def test_the_charset_is_that_of_the_content_type() -> None:
    for kind, body in [
        ("text/csv", "é".encode()),
        ("text/csv; charset=latin-1", "é".encode("latin-1")),
        ('text/csv; header=present; Charset="ISO-8859-1"', "é".encode("latin-1")),
        ("text/csv; charset=no-such", "é".encode()),
    ]:
        with Service(answer(200, body, Content_Type=kind)) as service, client_of(service) as client:
            said = client.agents.metrics.results.with_raw_response.export()
            assert said.text() == "".join(said.iter_text()) == "é"


# ---- pieces

TEXTS = st.text("ab\r\n\v\x1c\x85\u2028é\U0001f600", max_size=12)


@given(TEXTS, st.lists(st.integers(1, 4), max_size=12))
def test_lines_are_those_of_splitlines_whatever_the_pieces(text: str, sizes: list[int]) -> None:
    assert list(_lines(iter(list(pieces_of(text, sizes))))) == text.splitlines()


@given(TEXTS, st.lists(st.integers(1, 4), max_size=12))
def test_text_is_decoded_whatever_the_pieces(text: str, sizes: list[int]) -> None:
    found = list(_decoded(iter(list(pieces_of(text.encode(), sizes))), "utf-8"))
    assert "".join(found) == text
    assert all(found)


@given(st.binary(max_size=20), st.lists(st.integers(1, 4), max_size=12), st.integers(1, 7))
def test_pieces_are_of_the_size_that_was_asked_for(content: bytes, sizes: list[int], size: int) -> None:
    found = list(_cut(iter(list(pieces_of(content, sizes))), size, b"".join))
    assert found == [content[at : at + size] for at in range(0, len(content), size)]


def test_half_a_character_at_the_end_is_replaced() -> None:
    assert "".join(_decoded(iter(["é".encode()[:1]]), "utf-8")) == "\ufffd"


def pieces_of(whole: Any, sizes: list[int]) -> Iterator[Any]:
    for size in sizes:
        if whole:
            yield whole[:size]
        whole = whole[size:]
    if whole:
        yield whole
