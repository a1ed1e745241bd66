"""How a method's arguments become one HTTP request."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import pickle
import tempfile
import tracemalloc
import zlib
from email.parser import BytesParser
from typing import Any, Optional
from urllib.parse import parse_qsl, urlsplit

import pytest

from cartesia_sync import APIConnectionError, APIResponseValidationError, Cartesia, Timeout, omit
from cartesia_sync.core import MAX_ANSWER_BYTES, merged
from cartesia_sync.resources.base import Requester, path
from cartesia_sync.types import Voice

from ..support.http_service import Asked, Out, Service, answer, chunk

KEY = "sk_car_a-key-for-requests"
LIMIT = 100_000
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}


def asked_by(ask: Any, *, given: Any = None, **options: Any) -> Asked:
    """Return the one request that was made."""
    reply = answer(200, {} if given is None else given)
    with Service(reply) as service, Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options) as client:
        ask(client)
    (asked,) = service.asked
    return asked


def query_of(asked: Asked) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(asked.target).query, keep_blank_values=True)


def parts_of(asked: Asked) -> list[tuple[str, str, str, bytes]]:
    """Read a form: name, file name, content type and content of each part."""
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    form: Any = BytesParser().parsebytes(head + asked.body)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            str(part.get_filename("")),
            part.get_content_type() if part["content-type"] else "",
            part.get_payload(decode=True),
        )
        for part in form.get_payload()
    ]


# ---- what wins


def test_the_calls_own_headers_query_and_body_win() -> None:
    asked = asked_by(
        lambda client: client.voices.list(
            limit=5,
            extra_headers={"AUTHORIZATION": "Bearer another", "accept": "text/plain", "X-More": "1"},
            extra_query={"limit": 7, "more": "yes"},
        ),
        given={"data": []},
        default_headers={"X-More": "0", "X-Default": "d"},
        default_query={"limit": 1, "default": "q"},
    )
    assert asked.headers["authorization"] == "Bearer another"
    assert (asked.headers["accept"], asked.headers["x-more"], asked.headers["x-default"]) == ("text/plain", "1", "d")
    assert sorted(query_of(asked)) == [("default", "q"), ("limit", "7"), ("more", "yes")]
    asked = asked_by(
        lambda client: client.tts.generate(
            model_id="m", output_format=FORMAT, transcript="t", voice="v", extra_body={"model_id": "n", "more": [1]}
        ).close()
    )
    assert b'"model_id":"n"' in asked.body
    assert b'"more":[1]' in asked.body
    assert b'"m"' not in asked.body


def test_a_body_of_extras_alone_is_sent() -> None:
    asked = asked_by(lambda client: client.voices.delete("v", extra_body={"a": 1}))
    assert (asked.method, asked.body, asked.headers["content-type"]) == ("DELETE", b'{"a":1}', "application/json")


def test_a_form_takes_extras_too() -> None:
    asked = asked_by(
        lambda client: client.tts.infill(model_id="m", extra_body={"model_id": "n", "more": {"a": 1}}).close()
    )
    assert [(name, content) for name, _, _, content in parts_of(asked)] == [("model_id", b"n"), ("more[a]", b"1")]


def test_an_argument_that_no_method_has_is_refused_before_anything_is_sent() -> None:
    with Service(answer(200)) as service, Cartesia(api_key=KEY, base_url=service.url) as client:
        with pytest.raises(TypeError, match="GET /voices: unexpected argument colour, size"):
            client.voices.list(size=1, colour="red")  # type: ignore[call-arg]  # the point of the test
        with pytest.raises(TypeError, match="unexpected argument extra_heads"):
            client.tts.generate(  # type: ignore[call-arg]  # the point of the test
                model_id="m", output_format=FORMAT, transcript="t", voice="v", extra_heads={}
            )
        with pytest.raises(
            TypeError, match="options: expected headers, params, timeout or max_retries; got extra_body"
        ):
            client.get("/x", options={"extra_body": {}})
    assert service.asked == []


# ---- query and form


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ({"a": "b c&d=é"}, [("a", "b c&d=é")]),
        ({"a": True, "b": False, "c": 0, "d": 1.5}, [("a", "true"), ("b", "false"), ("c", "0"), ("d", "1.5")]),
        ({"a": None, "b": ""}, [("b", "")]),
        ({"a": ["x", None, 1, True]}, [("a", "x"), ("a", "1"), ("a", "true")]),
        ({"a[]": ("x", "y")}, [("a[]", "x"), ("a[]", "y")]),
        ({"a": {"b": {"c": 1, "d": [2, 3]}}}, [("a[b][c]", "1"), ("a[b][d]", "2"), ("a[b][d]", "3")]),
        ({}, []),
    ],
)
def test_a_query_is_flattened_as_the_official_client_does(query: Any, sent: list[tuple[str, str]]) -> None:
    assert query_of(asked_by(lambda client: client.get("/x", query=query))) == sent


def test_a_path_may_bring_a_query_of_its_own() -> None:
    asked = asked_by(lambda client: client.get("/x?a=1", query={"b": 2}))
    assert query_of(asked) == [("a", "1"), ("b", "2")]


FILES: list[Any] = [
    pytest.param(lambda _: b"sound", ("upload", b"sound"), id="bytes"),
    pytest.param(lambda _: bytearray(b"sound"), ("upload", b"sound"), id="bytearray"),
    pytest.param(lambda folder: folder / "a.wav", ("a.wav", b"sound"), id="path"),
    pytest.param(lambda _: io.BytesIO(b"sound"), ("upload", b"sound"), id="file object"),
    pytest.param(lambda _: ("b.wav", b"sound"), ("b.wav", b"sound"), id="name and bytes"),
    pytest.param(lambda folder: ("b.wav", folder / "a.wav"), ("b.wav", b"sound"), id="name and path"),
    pytest.param(lambda folder: (None, folder / "a.wav"), ("a.wav", b"sound"), id="no name and path"),
    pytest.param(lambda _: ('q"\u00e9.wav', b"sound", "audio/x-own"), (None, b"sound"), id="name, bytes and type"),
]


@pytest.mark.parametrize(("file", "expected"), FILES)
def test_a_file_may_be_given_in_many_ways(tmp_path: pathlib.Path, file: Any, expected: tuple[Any, bytes]) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    asked = asked_by(lambda client: client.post("/x", form={"a": 1}, files={"clip": file(tmp_path)}))
    (first, second) = parts_of(asked)
    assert (first[0], first[3]) == ("a", b"1")
    assert second[0] == "clip"
    assert second[3] == expected[1]
    if expected[0] is not None:
        assert second[1] == expected[0]
    else:
        assert second[2] == "audio/x-own"


def test_an_open_file_gives_its_name_and_stays_open(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    with open(tmp_path / "a.wav", "rb") as file:
        asked = asked_by(lambda client: client.post("/x", files={"clip": file}))
        assert not file.closed
    assert parts_of(asked)[0][1] == "a.wav"


def sent_at(place: int, clip: Any) -> bytes:
    """Send a file object that stands somewhere, and return what came."""
    clip.seek(place)
    return parts_of(asked_by(lambda client: client.post("/x", files={"clip": clip})))[-1][-1]


@pytest.mark.parametrize(("place", "sent"), [(0, b"sound"), (2, b"und"), (5, b"sound")])
def test_a_file_object_that_stands_at_its_end_is_rewound(tmp_path: pathlib.Path, place: int, sent: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    with open(tmp_path / "a.wav", "rb") as file:
        assert sent_at(place, file) == sent_at(place, io.BytesIO(b"sound")) == sent
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"sound")
        assert sent_at(place, spooled) == sent


def test_a_file_object_that_was_just_written_is_sent_whole() -> None:
    clip = io.BytesIO()
    clip.write(b"sound")
    for _ in range(2):  # and again, where the first request has read it
        asked = asked_by(lambda client: client.post("/x", files={"clip": ("a.wav", clip)}))
        assert parts_of(asked)[-1][-1] == b"sound"


def test_a_file_object_that_has_nothing_more_to_give_is_refused_and_nothing_is_sent() -> None:
    class Once:
        def __init__(self, *pieces: bytes) -> None:
            self.pieces = [*pieces, b""]

        def read(self) -> bytes:
            return self.pieces.pop(0)

    assert parts_of(asked_by(lambda client: client.post("/x", files={"clip": Once(b"sound")})))[-1][-1] == b"sound"
    read, write = os.pipe()
    os.close(write)
    with open(read, "rb") as pipe:
        for clip in (Once(), io.BytesIO(), pipe):
            with pytest.raises(ValueError, match="clip: the file is empty, or was read to its end"):
                Cartesia(api_key=KEY).post("/x", files={"clip": clip})
    with pytest.raises(ValueError, match="closed file"):
        Cartesia(api_key=KEY).post("/x", files={"clip": pipe})


@pytest.mark.parametrize("file", ["a.wav", 7, None, io.StringIO("text"), ("a.wav", "text")])
def test_what_is_no_file_is_refused(file: Any) -> None:
    with pytest.raises(TypeError, match="clip: expected bytes, a binary file object, a path"):
        Cartesia(api_key=KEY).post("/x", files={"clip": file})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_no_form_for_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Cartesia(api_key=KEY).post("/x", body={"speed": number})


# ---- paths and URLs


def test_an_id_becomes_one_part_of_a_path() -> None:
    assert path("/a/{id}/b", id="x y/z?#%é..") == "/a/x%20y%2Fz%3F%23%25%C3%A9../b"
    asked = asked_by(lambda client: client.voices.get("a/../b?c=d"), given={"id": "i"})
    assert asked.target == "/voices/a%2F..%2Fb%3Fc%3Dd"


@pytest.mark.parametrize("wrong", ["", ".", ".."])
def test_an_id_that_leads_elsewhere_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="id: expected an id"):
        Cartesia(api_key=KEY).voices.get(wrong)


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="id: expected an id as text, got 7"):
        path("/a/{id}", id=7)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "https://api.cartesia.ai.evil.example/x",
        "https://evil.example/.cartesia.ai",
        "https://evil.example?.cartesia.ai",
        "https://evil.example#.cartesia.ai",
        "https://evil.example\\.cartesia.ai/x",
        "https://api.cartesia.ai@evil.example/x",
        "https://user:pass@api.cartesia.ai/x",
        "https://evil.example\t.cartesia.ai/x",
        "https://evil.example\n.cartesia.ai/x",
        "https://evil.example /.cartesia.ai/x",
        "http://api.cartesia.ai/x",
        "ftp://api.cartesia.ai/x",
        "https://notcartesia.ai/x",
        "https://cartesia.ai.evil/x",
    ],
)
def test_a_url_of_another_host_is_refused_for_the_key_would_go_there(url: str) -> None:
    with pytest.raises(ValueError, match=r"the key goes with it|is not asked for"):
        Cartesia(api_key=KEY).get(url)


def test_a_url_of_another_port_is_refused_on_this_machine() -> None:
    with pytest.raises(ValueError, match="the key goes with it"):
        Cartesia(api_key=KEY, base_url="http://127.0.0.1:1").get("http://127.0.0.1:2/x")


def test_a_whole_url_of_the_same_service_is_taken() -> None:
    with Service(answer(200, b"sound")) as service:
        client = Cartesia(api_key=KEY, base_url=f"{service.url}/below/")
        assert client.get(f"{service.url}/preview.wav?sign=1", cast_to=bytes) == b"sound"
        client.get("under", cast_to=bytes)
        client.get("//evil.example/x", cast_to=bytes)
        client.close()
    assert [each.target for each in service.asked] == ["/preview.wav?sign=1", "/below/under", "/below/evil.example/x"]


def test_files_of_the_service_come_from_its_other_hosts() -> None:
    requester = Requester(Cartesia(api_key=KEY))
    assert requester._url("https://files.cartesia.ai/a.wav?x=://y") == "https://files.cartesia.ai/a.wav?x=://y"


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1\r\nX: y", "GET ", "", "G-T"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="the method of a request is a word"):
        Cartesia(api_key=KEY).request(method, "/x")


# ---- headers


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ({"X-A": "a\r\nX-B: b"}, ValueError, "line break"),
        ({"X-A": "a\0"}, ValueError, "line break"),
        ({"X-A\n": "a"}, ValueError, "line break"),
        ({"X A": "a"}, ValueError, "no name of a header"),
        ({"X:A": "a"}, ValueError, "no name of a header"),
        ({"": "a"}, ValueError, "no name of a header"),
        ({"X-\u00e9": "a"}, ValueError, "no name of a header"),
        ({"X-A": "half \ud83d"}, ValueError, "half a character"),
        ({"X-A": 7}, TypeError, "a value of type int"),
        ({"X-A": b"a"}, TypeError, "a value of type bytes"),
        ({"X-A": None}, TypeError, "a value of type NoneType"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(wrong: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        Cartesia(api_key=KEY, default_headers=wrong)
    with pytest.raises(kind, match=words):
        Cartesia(api_key=KEY).get("/x", options={"headers": wrong})


def test_a_credential_that_cannot_be_sent_is_not_shown() -> None:
    with pytest.raises(ValueError, match="not ASCII") as refused:
        Cartesia(api_key=f"{KEY}\ud83d")
    assert KEY not in repr(refused.value)


def test_a_header_in_other_letters_goes_as_utf_8_and_without_the_spaces_around_it() -> None:
    asked = asked_by(lambda client: client.get("/x", options={"headers": {"X-A": " \u00e9\u4e2d ", "X-B": ""}}))
    assert asked.headers["x-a"].encode("latin-1").decode() == "\u00e9\u4e2d"
    assert asked.headers["x-b"] == ""


def test_later_headers_win_whatever_their_case() -> None:
    assert merged({"X-A": "1", "X-B": "1"}, {"x-a": "2"}) == {"x-a": "2", "X-B": "1"}


def test_a_header_that_is_omitted_is_not_sent() -> None:
    """As with the official client."""
    without = {"accept": omit, "x-cartesia-client": omit, "X-Never": omit}
    asked = asked_by(lambda client: client.voices.list(extra_headers=without))
    assert "accept" not in asked.headers
    assert "x-cartesia-client" not in asked.headers
    assert asked.headers["cartesia-version"]
    asked = asked_by(lambda client: client.get("/x", options={"headers": {"X-CARTESIA-CLIENT": omit}}))
    assert "x-cartesia-client" not in asked.headers
    with pytest.raises(ValueError, match="'X A' is no name of a header"):
        merged({"X A": omit})


# ---- clocks


@pytest.mark.parametrize(
    ("given", "expected"),
    [(7, (7, 7)), ((1, None), (1, None)), (None, (None, None)), (Timeout(connect=1, read=2), (1, 2))],
)
def test_a_timeout_of_the_request_takes_the_place_of_the_clients(given: Any, expected: tuple[Any, Any]) -> None:
    requester = Requester(Cartesia(api_key=KEY, timeout=(3, 4)))
    request = requester._prepared("GET", "/x", {}, "*/*")
    assert (request.connect_timeout, request.read_timeout) == (3, 4)
    request = requester._prepared("GET", "/x", {"timeout": given}, "*/*")
    assert (request.connect_timeout, request.read_timeout) == expected


# ---- answers


@pytest.mark.parametrize(
    ("body", "cast_to", "words"),
    [
        ("no json", object, "is not JSON"),
        ("", object, "is not JSON"),
        (b"\xff", object, "is not JSON"),
        ("[" * 100_000, object, "is not JSON"),
        ([1], Voice, "should be a JSON object"),
        ("null", Voice, "should be a JSON object"),
        ({"a": 1}, list[Voice], "should be a JSON array"),
        ({"a": 1}, list, "should be a JSON array"),
        ([1], dict, "should be a JSON object"),
        ("7", dict[str, Voice], "should be a JSON object"),
    ],
)
def test_an_answer_that_cannot_be_read_is_said_so(body: Any, cast_to: Any, words: str) -> None:
    with (
        Service(answer(200, body)) as service,
        Cartesia(api_key=KEY, base_url=service.url) as client,
        pytest.raises(APIResponseValidationError, match=f"The answer to GET /x {words}") as unreadable,
    ):
        client.get("/x?token=1", cast_to=cast_to)
    assert unreadable.value.status_code == 200
    assert isinstance(unreadable.value.body, str)
    assert len(unreadable.value.body) <= 1000
    assert len(service.asked) == 1


def test_a_list_that_is_none_is_an_answer_that_cannot_be_read() -> None:
    for body in ([1], {"data": 7}, "null"):
        with (
            Service(answer(200, body)) as service,
            Cartesia(api_key=KEY, base_url=service.url) as client,
            pytest.raises(APIResponseValidationError),
        ):
            client.voices.list()


@pytest.mark.parametrize(
    ("cast_to", "expected"),
    [
        (object, {"id": "v", "new": 1}),
        (dict, {"id": "v", "new": 1}),
        (bytes, b'{"id": "v", "new": 1}'),
        (None, None),
        (type(None), None),
    ],
)
def test_the_user_says_what_an_answer_is_made_into(cast_to: Any, expected: Any) -> None:
    with Service(answer(200, {"id": "v", "new": 1})) as service, Cartesia(api_key=KEY, base_url=service.url) as client:
        assert client.get("/x", cast_to=cast_to) == expected
        voice = client.get("/x", cast_to=Voice)
        assert (voice.id, voice.name, voice.extra) == ("v", None, {"new": 1})


def test_a_host_that_is_no_name_is_no_connection() -> None:
    client = Cartesia(api_key=KEY, base_url="https://..", max_retries=0)
    with pytest.raises(APIConnectionError):
        client.get("/x")


# ---- how long an answer may be


def fetched(reply: Any, kind: Any = dict, limit: Optional[int] = LIMIT) -> Any:
    with (
        Service(reply) as service,
        Cartesia(api_key=KEY, base_url=service.url, max_retries=2, max_answer_bytes=limit) as client,
    ):
        try:
            return Requester(client).fetch("GET", "/x", kind, {})
        finally:
            assert len(service.asked) == 1  # not again: it would be as long


def text_of(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


def endless(asked: Asked, out: Out) -> None:
    out.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b'{"a":"'))
    out.flood(chunk(b"x" * 65536))


def announced(asked: Asked, out: Out) -> None:
    """Which is refused before any of it is read."""
    out.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
    out.wait_until_gone()


def bomb(asked: Asked, out: Out) -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    block = b"x" * (1 << 20)
    content = b"".join([deflater.compress(b'{"a":"'), *(deflater.compress(block) for _ in range(64)), deflater.flush()])
    out.say(answer(200, content, Content_Encoding="gzip"))


@pytest.mark.parametrize("kind", [dict, str, bytes, None])
@pytest.mark.parametrize("reply", [endless, announced, bomb, answer(200, text_of(LIMIT + 1))])
def test_an_answer_that_is_too_long_is_refused_before_it_is_held(reply: Any, kind: Any) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(APIResponseValidationError) as refused:
            fetched(reply, kind)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(refused.value) == (
        "The answer to GET /x is longer than the client's max_answer_bytes allows, 100000 bytes; the rest was not read"
    )
    assert refused.value.status_code == 200
    assert pickle.loads(pickle.dumps(refused.value)).status_code == 200
    assert reply is bomb or most < 4 << 20


@pytest.mark.parametrize("pressed", [False, True])
def test_an_answer_may_be_as_long_as_the_limit_says(pressed: bool) -> None:
    text = text_of(LIMIT)
    reply = answer(200, gzip.compress(text), Content_Encoding="gzip") if pressed else answer(200, text)
    assert fetched(reply) == {"a": "x" * (LIMIT - 8)}
    assert fetched(answer(200, text_of(LIMIT + 1)), limit=None) == {"a": "x" * (LIMIT - 7)}
    assert fetched(answer(200, chunks=[text[:9], text[9:]]), str) == text.decode()


def test_audio_and_events_are_not_bounded_by_it() -> None:
    sound = bytes(LIMIT + 2)
    with (
        Service(answer(200, sound)) as service,
        Cartesia(api_key=KEY, base_url=service.url, max_answer_bytes=LIMIT) as client,
    ):
        opened = Requester(client).open("GET", "/x", {}, accept="audio/wav")
        assert len(b"".join(opened.pieces())) == len(sound)


def test_the_limit_is_64_mib_unless_it_is_set() -> None:
    assert MAX_ANSWER_BYTES == 64 * 1024 * 1024
    with Cartesia(api_key=KEY) as client:
        assert client.max_answer_bytes == MAX_ANSWER_BYTES
