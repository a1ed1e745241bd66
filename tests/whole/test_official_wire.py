"""The official client and ours are called alike: the same request on the wire, the same answer in the hand.

Every method of every resource that the official synchronous client has is called with many sets of arguments (see
``official_table``), against a server that writes down what it is asked and answers what the official types say. What
is not compared, and why, stands in that table too.
"""

from __future__ import annotations

import collections.abc
import datetime
import inspect
import itertools
import json
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, NamedTuple, Union, get_args, get_origin
from urllib.parse import parse_qsl, unquote, urlsplit

import cartesia
import pydantic
import pytest
from cartesia._response import BinaryAPIResponse
from cartesia.pagination import SyncCursorIDPage
from cartesia.types import VoiceChangerSSEEvent
from typing_extensions import Literal

import cartesia_sync
from cartesia_sync.errors import ContextFacts

from ..support.official_table import (
    BINARY,
    LEFT,
    PARAMETERS_LEFT,
    TABLE,
    TESTED_BY_HAND,
    Arguments,
    answer_type_of,
    calls_of,
    method_of,
    official_methods,
    parameters_of,
)

# ---- the server that writes down what it is asked


class Asked(NamedTuple):
    """A request, in the parts that mean something."""

    method: str
    path: tuple[str, ...]
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    """What the server says."""

    body: bytes = b"{}"
    content_type: str = "application/json"
    status: int = 200


class Recorder:
    """A server on a loopback socket; a test's own while it runs."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Answer] = []
        self._connections: list[socket.socket] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False  # so that closing waits for them
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # one that a client keeps as long as an answer lives
        self._server.server_close()

    def script(self, *answers: Answer) -> None:
        """Forget what was asked, and answer these; the last one for ever."""
        self.asked, self.answers = [], list(answers)

    def take(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one segment

            def setup(self) -> None:
                super().setup()
                recorder._connections.append(self.connection)

            def do(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body, content_type = _and_status(recorder.take(_understood(self, content)))
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Type", content_type)
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  # so http.server calls them

            def log_message(self, *args: object) -> None:
                """Keep standard error clean."""

        return Handler


def _and_status(answer: Answer) -> tuple[int, bytes, str]:
    return answer.status, b"" if answer.status == 204 else answer.body, answer.content_type


HEADERS_THAT_MATTER = ("authorization", "cartesia-version", "accept", "x-own")


def _understood(handler: BaseHTTPRequestHandler, content: bytes) -> Asked:
    parts = urlsplit(handler.path)
    headers = {name: handler.headers[name] for name in HEADERS_THAT_MATTER if name in handler.headers}
    if content:  # without one, a content type says nothing
        headers["content-type"] = handler.headers.get_content_type()
    return Asked(
        handler.command,
        # Which harmless characters are percent-encoded means nothing; a slash within an id does.
        tuple(unquote(part) for part in parts.path.split("/")),
        grouped(parse_qsl(parts.query, keep_blank_values=True)),
        headers,
        _body(handler.headers, content),
    )


def grouped(pairs: Any) -> dict[str, list[Any]]:
    """Return the values of each name in their order: that of the names means nothing."""
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _body(headers: Message, content: bytes) -> Any:
    kind = headers.get_content_type()
    if not content:
        return None
    if kind == "application/json":
        return json.loads(content)
    if kind == "multipart/form-data":
        return grouped(_parts(str(headers.get_boundary()).encode(), content))
    return content


def _parts(boundary: bytes, content: bytes) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Part a form by hand: a mail parser may take the line ends within a file for its own."""
    opening, *parts, closing = (b"\r\n" + content).split(b"\r\n--" + boundary)
    assert (opening, closing.strip()) == (b"", b"--")
    for part in parts:
        head, blank, value = part[2:].partition(b"\r\n\r\n")
        assert blank
        fields = BytesParser().parsebytes(head + b"\r\n\r\n")
        file_name = next((words for words in head.split(b"\r\n")[0].split(b"; ") if words.startswith(b"filename")), b"")
        name = fields.get_param("name", header="content-disposition")
        assert isinstance(name, str)
        yield name, (file_name.decode(), fields["content-type"], value)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture(scope="module")
def official(recorder: Recorder) -> Iterator[Any]:
    with cartesia.Cartesia(api_key="any", base_url=recorder.url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def ours(recorder: Recorder) -> Iterator[Any]:
    with cartesia_sync.Cartesia(api_key="any", base_url=recorder.url, max_retries=0) as client:
        yield client


@pytest.fixture(autouse=True)
def _old_names_may_be_used() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*is deprecated; use .*")
        yield


# ---- answers, made out of the official types


_PLAIN: Mapping[Any, Callable[[str, int], Any]] = {
    str: lambda name, number: f"{name} {number}",
    int: lambda name, number: number,
    float: lambda name, number: number + 0.5,
    bool: lambda name, number: number % 2 == 0,
    datetime.datetime: lambda name, number: f"2026-08-14T12:{number % 60:02}:45.25{'Z' if number % 2 else '-05:00'}",
    object: lambda name, number: {"any": [number, None, "thing"]},
}


class Maker:
    """Fills the official types: every string and number is another one, so that none can stand for its neighbour.

    Args:
        optional: What is done with fields that may be missing: ``filled``, ``null`` or ``missing``.
        is_newer: Whether the service is newer than the clients: fields and values that they do not know.
    """

    def __init__(self, optional: str, *, is_newer: bool = False) -> None:
        self._optional = optional
        self._is_newer = is_newer
        self._numbers = itertools.count(1)

    def fill(self, kind: Any, name: str = "") -> Any:
        origin = get_origin(kind)
        if origin is Union:
            return self.fill(next(each for each in get_args(kind) if each is not type(None)), name)
        if origin is Literal:
            value = get_args(kind)[0]
            tells_apart = name in ("type", "done", "status_code")
            return "newer than this client" if self._is_newer and isinstance(value, str) and not tells_apart else value
        if origin is list:
            return [self.fill(get_args(kind)[0], name) for _ in range(2)]
        if origin is dict:
            return {"first": next(self._numbers), "second": [None, {"deep": True}]}
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            return dict(self._fields(kind))
        made: Any = _PLAIN[kind](name, next(self._numbers))
        return made

    def _fields(self, kind: type[pydantic.BaseModel]) -> Iterator[tuple[str, Any]]:
        for name, each in kind.model_fields.items():
            on_the_wire = each.alias or name
            if (kind.__name__, name) in NOT_ON_THE_WIRE or (self._optional == "missing" and not each.is_required()):
                continue
            if self._optional == "null" and not each.is_required():
                yield on_the_wire, None
            else:
                yield on_the_wire, self.fill(each.annotation, name)
        if self._is_newer:
            yield "added_later", {"deep": [next(self._numbers)]}


ANSWERS: Mapping[str, Maker] = {
    "with all fields": Maker("filled"),
    "with null in optional fields": Maker("null"),
    "without optional fields": Maker("missing"),
    "with fields and values of a newer service": Maker("filled", is_newer=True),
}
_SPEECH_EVENTS = ("Chunk", "Timestamps", "PhonemeTimestamps", "Done", "Error")
NOT_ON_THE_WIRE = {(f"TTSSSE{event}Event", name) for event in _SPEECH_EVENTS for name in ("id", "retry")}
"""Fields of the official types that are always None, and not used, as it says itself; ours have none."""
NOT_KEPT = ("WordTimestamps", "PhonemeTimestamps")
"""Where ours does not keep what it does not know: the lists of a timestamps event are decoded in one pass."""


def answers_for(kind: Any, maker: Maker) -> list[list[Answer]]:
    """Return the answers to a method that returns this: all of one call each."""
    origin = get_origin(kind)
    if kind in (None, type(None)):
        return [[Answer(status=204)]]
    if kind is str:
        return [[Answer("a,b\r\n1,é\r\n".encode(), "text/csv")]]
    if kind is BinaryAPIResponse or origin is collections.abc.Iterator:
        return [[Answer(BINARY, "audio/wav")]]
    if origin is cartesia.Stream:
        return [[_events(kinds, maker)] for kinds in _ways_through(get_args(kind)[0])]
    if is_paged(kind):
        (item,) = kind.__pydantic_generic_metadata__["args"]
        return [[_page(item, maker), _page(item, maker), Answer(b'{"data": []}')]]
    return [[Answer(json.dumps(maker.fill(kind)).encode())]]


def _page(kind: Any, maker: Maker) -> Answer:
    items = [maker.fill(kind) for _ in range(2)]
    return Answer(json.dumps({"data": items, "has_more": True, "next_page": items[-1].get("id")}).encode())


def _ways_through(union: Any) -> Iterator[list[Any]]:
    """Return the events of a stream that goes well, and of one that goes wrong."""
    union = get_args(union)[0] if get_origin(union) is not Union else union
    kinds = {each.__name__: each for each in get_args(union)}
    first = [each for name, each in kinds.items() if not name.endswith(("Done", "DoneEvent", "Error", "ErrorEvent"))]
    for last in (each for each in kinds.values() if each not in first):
        yield [*first, *first, last]


def _events(kinds: list[Any], maker: Maker) -> Answer:
    events = []
    for kind in kinds:
        event = {**maker.fill(kind), **({"data": "AAECAwQF/v8="} if "data" in kind.model_fields else {})}
        if kind.__name__.endswith(("Error", "ErrorEvent")):
            event["done"] = True
            events.append("event: error\n")
        events.append(f"data: {json.dumps(event)}\n\n")
    return Answer("".join(events).encode(), "text/event-stream")


# ---- what both give


def asked_by(client: Any, name: str, arguments: Arguments, recorder: Recorder, folder: Path) -> tuple[Any, list[Asked]]:
    """Call a method; give its answer, read to its end, and what the server was asked."""
    with ExitStack() as stack:
        by_position, by_name = arguments.made(folder, stack)
        result = method_of(client, name)(*by_position, **by_name)
        return read_out(result), recorder.asked


class Pages(NamedTuple):
    """A list, looked at in every way there is."""

    pages: list[Any]
    items: list[Any]
    ends: list[bool]


class Listed(NamedTuple):
    """Events or pieces of audio."""

    whole: list[Any]


def read_out(result: Any) -> Any:
    """Read what is more than JSON to its end."""
    if hasattr(result, "has_next_page"):
        pages = [result]
        while pages[-1].has_next_page():
            assert len(pages) < 4, "pages without end"
            pages.append(pages[-1].get_next_page())
        ends = [page.has_next_page() for page in pages]
        return Pages([page.data for page in pages], [each for page in pages for each in page.data], ends)
    if hasattr(result, "write_to_file"):
        return result.read()
    if isinstance(result, (str, bytes, list, dict)) or result is None or not hasattr(result, "__next__"):
        return result
    found = list(result)
    return b"".join(found) if found and isinstance(found[0], bytes) else Listed(found)


def differences(official: Any, ours: Any, where: str) -> Iterator[str]:
    """Name every place in which ours is not what the official client gave."""
    if isinstance(official, pydantic.BaseModel):
        kind = type(official)
        aliases = {each.alias for each in kind.model_fields.values()}
        unknown = {name: each for name, each in (official.model_extra or {}).items() if name not in aliases}
        if kind.__name__ not in NOT_KEPT:
            yield from differences(unknown, ours.extra, f"{where}.extra")
        for name in [*kind.model_fields, *_computed(kind)]:
            if (kind.__name__, name) in NOT_ON_THE_WIRE:
                continue
            if not hasattr(ours, name):
                yield f"{where}.{name}: ours has none ({kind.__name__})"
            else:
                yield from differences(getattr(official, name), getattr(ours, name), f"{where}.{name}")
    elif isinstance(official, dict) and isinstance(ours, dict) and official.keys() == ours.keys():
        for name in official:
            yield from differences(official[name], ours[name], f"{where}[{name!r}]")
    elif isinstance(official, (Pages, Listed, Asked)):
        for name in official._fields:
            yield from differences(getattr(official, name), getattr(ours, name), f"{where}.{name}")
    elif isinstance(official, list) and isinstance(ours, list) and len(official) == len(ours):
        for number, pair in enumerate(zip(official, ours)):
            yield from differences(*pair, f"{where}[{number}]")
    elif official != ours or (isinstance(official, datetime.datetime) and official.tzinfo != ours.tzinfo):
        yield f"{where}: official {official!r}, ours {ours!r}"


def _computed(kind: type[pydantic.BaseModel]) -> list[str]:
    """Return the names of the properties that an official type has beside its fields."""
    return [
        name
        for owner in kind.__mro__
        if owner.__module__.startswith("cartesia.types")
        for name, each in vars(owner).items()
        if isinstance(each, property)
    ]


# ---- the comparison

GIVES_MORE: Mapping[str, Any] = {
    "agents.calls.download_audio": BinaryAPIResponse,
    "voice_changer.change_voice_sse": cartesia.Stream[VoiceChangerSSEEvent],
}
"""Where the official client gives None and ours the answer; and what that is."""


def answer_type(name: str, official: Any) -> Any:
    return GIVES_MORE.get(name) or answer_type_of(method_of(official, name))


def is_paged(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, SyncCursorIDPage)


with cartesia.Cartesia(api_key="any") as _client:
    CALLS = [
        pytest.param(name, arguments, id=f"{name}, {what}")
        for name in TABLE
        for what, arguments in calls_of(name, method_of(_client, name))
    ]
    PAGED = [
        pytest.param(name, cursor, id=f"{name}, {', '.join(cursor) or 'from the first'}")
        for name in TABLE
        if is_paged(answer_type(name, _client))
        for cursor in ({}, {"starting_after": "an id"}, {"ending_before": "an id"})
    ]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_the_same_call_asks_the_same_and_gives_the_same(
    name: str, arguments: Arguments, official: Any, ours: Any, recorder: Recorder, tmp_path: Path
) -> None:
    kind = answer_type(name, official)
    for answers in answers_for(kind, ANSWERS["with fields and values of a newer service"]):
        recorder.script(*answers)
        wanted, asked = asked_by(official, name, arguments, recorder, tmp_path)
        recorder.script(*answers)
        got, asked_by_ours = asked_by(ours, name, arguments, recorder, tmp_path)

        expected = Listed([as_ours(name, arguments, each) for each in asked])
        found = [*differences(expected, Listed(asked_by_ours), "asked")]
        if not (name in GIVES_MORE and wanted is None):
            found += differences(wanted, got, name)
        assert found == []


def as_ours(name: str, arguments: Arguments, asked: Asked) -> Asked:
    """Return what the official client asked with the differences that are meant, and no others."""
    headers, body = dict(asked.headers), asked.body
    accept = TABLE[name].accept
    if accept and "Accept" not in (arguments.by_name.get("extra_headers") or {}):
        headers["accept"] = accept
    if isinstance(body, dict) and isinstance(body.get("voice"), dict):
        body = {**body, "voice": {key: each for key, each in body["voice"].items() if key != "mode"}}
    if name == "tts.bytes" and "duration" in arguments.by_name:
        body = {**body, "duration": arguments.by_name["duration"]}
    return asked._replace(headers=headers, body=body)


@pytest.mark.parametrize("how", ANSWERS)
@pytest.mark.parametrize("name", TABLE)
def test_every_field_of_an_answer_is_read_alike(
    name: str, how: str, official: Any, ours: Any, recorder: Recorder, tmp_path: Path
) -> None:
    _, arguments = next(calls_of(name, method_of(official, name)))
    for answers in answers_for(answer_type(name, official), ANSWERS[how]):
        recorder.script(*answers)
        wanted, _ = asked_by(official, name, arguments, recorder, tmp_path)
        recorder.script(*answers)
        got, _ = asked_by(ours, name, arguments, recorder, tmp_path)
        assert list(differences(wanted, got, name)) == [] or (name in GIVES_MORE and wanted is None)


@pytest.mark.parametrize("name", TABLE)
def test_the_endpoint_is_the_one_that_the_table_names(
    name: str, ours: Any, official: Any, recorder: Recorder, tmp_path: Path
) -> None:
    _, arguments = next(calls_of(name, method_of(official, name)))
    recorder.script(*answers_for(answer_type(name, official), Maker("filled"))[0])
    asked_by(ours, name, arguments, recorder, tmp_path)
    method, path = TABLE[name].endpoint.split(" ")
    ids = dict(zip(parameters_of(method_of(official, name)), arguments.by_position))
    expected = tuple(part.format(**ids, **arguments.by_name) for part in path.split("/"))
    assert recorder.asked[0][:2] == (method, expected)


# ---- lists in pages


@pytest.mark.parametrize(("name", "cursor"), PAGED)
def test_iterating_a_list_asks_for_the_same_pages(
    name: str, cursor: Mapping[str, str], official: Any, ours: Any, recorder: Recorder
) -> None:
    method, kind = method_of(official, name), answer_type(name, official)
    _, arguments = next(calls_of(name, method))
    (answers,) = answers_for(kind, ANSWERS["with all fields"])
    recorder.script(*answers)
    wanted = Listed(list(method(*arguments.by_position, **arguments.by_name, **cursor)))
    asked = Listed(recorder.asked)
    recorder.script(*answers)
    got = Listed(list(method_of(ours, name)(*arguments.by_position, **arguments.by_name, **cursor)))
    assert len(wanted.whole) == 4
    assert len(asked.whole) == 3
    assert [*differences(asked, Listed(recorder.asked), "asked"), *differences(wanted, got, name)] == []


def test_a_page_says_how_the_next_one_is_asked_for(official: Any, ours: Any, recorder: Recorder) -> None:
    (answers,) = answers_for(answer_type("voices.list", official), ANSWERS["with all fields"])
    for cursor in ({}, {"ending_before": "an id"}):
        both = []
        for client in (official, ours):
            recorder.script(*answers)
            page = client.voices.list(**cursor)
            infos = [page.next_page_info()]
            while page.has_next_page():
                page = page.get_next_page()
                infos.append(page.next_page_info())
            both.append([info and info.params for info in infos])
        assert len(both[0]) == 3
        assert both[1] == both[0]


def test_a_list_without_a_name_is_asked_for_alike(official: Any, ours: Any, recorder: Recorder) -> None:
    both = []
    for client, module in ((official, cartesia), (ours, cartesia_sync)):
        recorder.script(*answers_for(answer_type("voices.list", official), Maker("filled"))[0])
        page_kind = SyncCursorIDPage if module is cartesia else cartesia_sync.resources.pages.SyncCursorIDPage
        voice = module.types.Voice
        given = {"params": {"limit": 2, "expand[]": ["a", "b"]}, "headers": {"X-Own": "own"}}
        pages = client.get_api_list("/voices", model=voice, page=page_kind[voice], options=given)
        both.append((read_out(pages), recorder.asked))
    assert [*differences(*(Listed(each[1]) for each in both), "asked")] == []
    assert [*differences(both[0][0], both[1][0], "pages")] == []


# ---- the answers themselves

HOW = ("with_raw_response", "with_streaming_response")
RAW_METHODS = [name for name in TABLE if name != "tts.bytes"]
"""All but the one of which the official client has no such form."""


def answering(client: Any, how: str, name: str, *, of_the_client: bool) -> Callable[..., Any]:
    """Give a method that gives the answer itself: of the client's form of it, or of the resource's."""
    if of_the_client:
        return method_of(getattr(client, how), name)
    prefix, _, last = name.rpartition(".")
    return method_of(client, ".".join(each for each in (prefix, how, last) if each))


LOOKS: Mapping[str, Callable[[Any], Any]] = {
    "parse()": lambda answer: read_out(answer.parse()),
    "parse() twice": lambda answer: answer.parse() is answer.parse(),
    "parse(to=dict)": lambda answer: answer.parse(to=dict[str, object]),
    "read()": lambda answer: (answer.read(), answer.read(), b"".join(answer.iter_bytes(7))),
    "text()": lambda answer: answer.text(),
    "iter_bytes()": lambda answer: b"".join(answer.iter_bytes()),
    "iter_bytes(7)": lambda answer: [*answer.iter_bytes(7)],
    "iter_text()": lambda answer: "".join(answer.iter_text()),
    "iter_text(7)": lambda answer: [*answer.iter_text(7)],
    "iter_lines()": lambda answer: [*answer.iter_lines()],
    "of it": lambda answer: (
        answer.status_code,
        {name: answer.headers[name] for name in ("Content-Type", "content-length") if name in answer.headers},
        answer.method,
        unquote(str(answer.url)).partition("?")[0],
        answer.http_request.method,
        answer.retries_taken,
        answer.is_closed,
    ),
    "close()": lambda answer: (answer.close(), answer.is_closed, answer.close()),
}
"""What is done with an answer, each with one of its own."""
NOT_OF_ALL = {
    "parse()": lambda name, kind: name in GIVES_MORE,
    "parse() twice": lambda name, kind: name in GIVES_MORE,
    "of it": lambda name, kind: name == "voice_changer.change_voice_sse",  # which the official client reads
    "parse(to=dict)": lambda name, kind: (
        kind in (None, type(None), str, BinaryAPIResponse)
        or get_origin(kind) in (cartesia.Stream, list)
        # The official client raises an AttributeError of its own.
        or is_paged(kind)
    ),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("how", HOW)
def test_the_answers_themselves_are_alike(how: str, look: str, official: Any, ours: Any, recorder: Recorder) -> None:
    """With the bodies that the service's answers have, and under both ways to ask for them."""
    found: list[str] = []
    for number, name in enumerate(RAW_METHODS):
        kind = answer_type(name, official)
        if look in NOT_OF_ALL and NOT_OF_ALL[look](name, kind):
            continue
        answers = answers_for(kind, ANSWERS["with fields and values of a newer service"])[0]
        both: list[Any] = []
        for client in (official, ours):
            recorder.script(*answers)
            _, arguments = next(calls_of(name, method_of(official, name)))
            with ExitStack() as stack:
                by_position, by_name = arguments.made(Path(), stack)
                method = answering(client, how, name, of_the_client=number % 2 == 0)
                answer = method(*by_position, **by_name)
                if how == "with_streaming_response":
                    assert recorder.asked == []
                    answer = stack.enter_context(answer)
                stack.callback(answer.close)
                both.append((LOOKS[look](answer), [as_ours(name, arguments, each) for each in recorder.asked]))
        found += differences(Listed(both[0][1]), Listed(both[1][1]), f"{name} asked")
        found += differences(_listed(both[0][0]), _listed(both[1][0]), name)
    assert found == []


def _listed(value: Any) -> Any:
    return Listed(list(value)) if type(value) is tuple else value


@pytest.mark.parametrize("how", HOW)
def test_every_method_that_has_such_a_form_there_has_it_here(how: str, official: Any, ours: Any) -> None:
    there = {name: None for name in TABLE if hasattr_of(official, how, name)}
    assert list(there) == RAW_METHODS
    for name in RAW_METHODS:
        for of_the_client in (True, False):
            plain = inspect.signature(method_of(ours, name))
            assert inspect.signature(answering(ours, how, name, of_the_client=of_the_client)) == plain


def hasattr_of(client: Any, how: str, name: str) -> bool:
    try:
        answering(client, how, name, of_the_client=False)
    except AttributeError:
        return False
    return True


# ---- as plain dicts, and as JSON

DUMPS: Mapping[str, Callable[[Any], Any]] = {
    "to_dict()": lambda made: made.to_dict(),
    "to_dict(json)": lambda made: made.to_dict(mode="json"),
    "to_dict(own names)": lambda made: made.to_dict(use_api_names=False),
    "to_dict(no None)": lambda made: made.to_dict(exclude_none=True),
    "to_dict(no defaults)": lambda made: made.to_dict(exclude_defaults=True),
    "to_json()": lambda made: json.loads(made.to_json()),
    "model_dump(no unset)": lambda made: made.model_dump(exclude_unset=True),
    "model_dump_json(no unset)": lambda made: json.loads(made.model_dump_json(exclude_unset=True)),
    "model_dump(some)": lambda made: made.model_dump(include={"id", "data"}, exclude_unset=True),
    "model_dump(some not)": lambda made: made.model_dump(exclude={"id", "type"}, exclude_unset=True),
    "model_fields_set": lambda made: sorted(made.model_fields_set),
}


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("how", ANSWERS)
def test_what_is_made_of_answers_is_dumped_alike(
    how: str, dump: str, official: Any, ours: Any, recorder: Recorder, tmp_path: Path
) -> None:
    found: list[str] = []
    compared = 0
    warnings.filterwarnings("ignore", message="(?s).*PydanticSerializationUnexpectedValue")
    for name in TABLE:
        _, arguments = next(calls_of(name, method_of(official, name)))
        for answers in answers_for(answer_type(name, official), ANSWERS[how]):
            made = []
            for client in (official, ours):
                recorder.script(*answers)
                made.append(things_in(asked_by(client, name, arguments, recorder, tmp_path)[0]))
            for wanted, got in zip(*made):
                if how == "with null in optional fields" and hasattr(got, "unreadable"):
                    continue  # of an event null is as good as missing
                if any(each.alias for each in type(wanted).model_fields.values()):
                    continue  # the official client has such a field twice, the second time as it came
                compared += 1
                expected = without_what_is_not_kept(DUMPS[dump](wanted))
                found += differences(expected, DUMPS[dump](got), f"{name}: {type(wanted).__name__}")
    assert compared > 40
    assert found == []


def without_what_is_not_kept(dumped: Any) -> Any:
    """See ``NOT_KEPT``."""
    for name in ("word_timestamps", "phoneme_timestamps") if isinstance(dumped, dict) else ():
        if isinstance(dumped.get(name), dict):
            dumped[name].pop("added_later", None)
    return dumped


def things_in(value: Any) -> list[Any]:
    """Give the objects of an answer, the first page of a list among them."""
    values = [*value.whole] if isinstance(value, Listed) else [*value.items] if isinstance(value, Pages) else [value]
    return [each for each in values if hasattr(each, "to_dict")]


def test_a_page_is_dumped_alike(official: Any, ours: Any, recorder: Recorder) -> None:
    (answers,) = answers_for(answer_type("voices.list", official), ANSWERS["with fields and values of a newer service"])
    for dump in DUMPS.values():
        pages = []
        for client in (official, ours):
            recorder.script(*answers)
            pages.append(client.voices.list())
        assert [*differences(*map(dump, pages), "page")] == []


def test_json_is_written_alike(official: Any, ours: Any, recorder: Recorder) -> None:
    body = {"name": "Größe \u2028 \U0001f600", "deep": {"a": [1, {}], "b": [], "none": None}}
    written = []
    for client in (official, ours):
        recorder.script(Answer(json.dumps(body).encode()))
        voice = client.voices.get("v")
        written.append(
            [voice.to_json(), voice.to_json(indent=None), voice.model_dump_json(indent=1, exclude_none=True)]
        )
    assert written[1] == written[0]


# ---- errors

ERROR_BODIES = {
    "structured": Answer(
        json.dumps(
            {"error_code": "voice_not_found", "title": "No", "message": "None.", "request_id": "r", "doc_url": "u"}
        ).encode()
    ),
    "text": Answer(b"  Invalid voice: no such voice\n", "text/plain; charset=utf-8"),
    "other JSON": Answer(b'["a list", null]'),
    "page": Answer("<h1>Bad gateway ü</h1>".encode(), "text/html; charset=utf-8"),
}


@pytest.mark.parametrize("body", ERROR_BODIES)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("name", ["voices.get", "tts.generate", "tts.generate_sse"])
def test_the_same_error_is_raised(
    name: str, status: int, body: str, official: Any, ours: Any, recorder: Recorder
) -> None:
    _, arguments = next(calls_of(name, method_of(official, name)))
    raised = []
    for client, module in ((official, cartesia), (ours, cartesia_sync)):
        recorder.script(ERROR_BODIES[body]._replace(status=status))
        with pytest.raises(module.APIStatusError) as caught:
            method_of(client, name)(*arguments.by_position, **arguments.by_name)
        # ContextFacts is ours alone, and no exception.
        kinds = [each for each in type(caught.value).__mro__ if each is not ContextFacts]
        names = [each.__name__ for each in kinds if each.__module__.startswith(module.__name__)]
        raised.append((names, caught.value.status_code, caught.value.body, len(recorder.asked)))
    assert raised[1] == raised[0]


# ---- endpoints without a name, and settings

RAW = {"options": {"headers": {"X-Own": "own"}, "params": {"own": ["1", "2"], "more": {"key": True}}, "timeout": 3.0}}


@pytest.mark.parametrize("body", [None, {"name": "ü", "list": [1, None], "deep": {"key": False}}])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_an_endpoint_without_a_name_is_asked_the_same(
    method: str, body: Any, official: Any, ours: Any, recorder: Recorder
) -> None:
    given = RAW if method == "get" or body is None else {**RAW, "body": body}
    both = []
    for client in (official, ours):
        recorder.script(Answer(b'{"some": ["json", 1.5]}'))
        both.append((method_of(client, method)("/some/path?fixed=1", cast_to=object, **given), recorder.asked))
    assert both[1] == both[0]


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "nothing": {},
    "another key": {"api_key": "another"},
    "another base URL": {"base_url": "{url}/below/"},
    "headers": {"default_headers": {"X-Own": "new"}},
    "headers in place of the old": {"set_default_headers": {"X-Other": "new"}},
    "a query": {"default_query": {"new": [1, 2], "old": "newer"}},
    "a query in place of the old": {"set_default_query": {"new": True}},
    "clocks": {"timeout": 3.0, "max_retries": 0},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", ["copy", "with_options"])
def test_a_client_with_other_settings_asks_the_same(name: str, settings: str, recorder: Recorder) -> None:
    given = dict(SETTINGS[settings])
    if "base_url" in given:
        given["base_url"] = given["base_url"].format(url=recorder.url)
    asked = []
    for module in (cartesia, cartesia_sync):
        recorder.script(Answer(b'{"ok": true, "version": "2026-08-14"}'))
        client: Any = module.Cartesia(
            api_key="any", base_url=recorder.url, default_headers={"X-Own": "old"}, default_query={"old": "old"}
        )
        with client:
            getattr(client, name)(**given).get_status(extra_query={"last": "1"})
            client.get_status()  # which is as it was
        asked.append(recorder.asked)
    assert asked[1] == asked[0]


def test_a_client_refuses_two_ways_to_set_the_same(official: Any, ours: Any) -> None:
    for client in (official, ours):
        for name in ("headers", "query"):
            with pytest.raises(ValueError, match="exclu"):
                client.copy(**{f"default_{name}": {}, f"set_default_{name}": {}})


def test_a_closed_client_says_so_and_asks_nothing(recorder: Recorder) -> None:
    recorder.script(Answer())
    for module in (cartesia, cartesia_sync):
        client: Any = module.Cartesia(api_key="any", base_url=recorder.url, max_retries=0)
        assert not client.is_closed()
        client.close()
        client.close()
        assert client.is_closed()
        with pytest.raises(module.APIConnectionError if module is cartesia_sync else Exception):
            client.get_status()
    assert recorder.asked == []


@pytest.mark.parametrize(
    "given",
    [{}, {"extra_query": {"own": "a b&c"}, "extra_headers": {"X-Own": "own", "cartesia-version": "2026-03-01"}}],
    ids=["nothing", "extras"],
)
def test_a_websocket_is_asked_for_alike(given: Mapping[str, Any], recorder: Recorder) -> None:
    asked = []
    for module in (cartesia, cartesia_sync):
        recorder.script(ERROR_BODIES["structured"]._replace(status=403))
        client: Any = module.Cartesia(
            api_key="any", base_url=recorder.url, websocket_base_url=recorder.url.replace("http", "ws"), max_retries=0
        )
        with client, pytest.raises(Exception, match="403"):
            client.tts.websocket_connect(**given).enter()
        asked.append(recorder.asked)
    for each in asked[0]:
        each.headers.pop("accept", None)  # of JSON, which an upgrade does not give
    assert asked[1] == asked[0]


# ---- what there is


def test_every_method_of_the_official_client_is_in_the_table_or_left_for_a_reason() -> None:
    there = list(official_methods())
    assert sorted([*TABLE, *TESTED_BY_HAND, *LEFT]) == there
    assert all(LEFT.values())


NAMED_HERE = ("tts.websocket", "tts.websocket_connect")
"""Where ours takes by name what the official client also takes by position; in all else it takes names alone."""


@pytest.mark.parametrize("name", sorted({*TABLE, *TESTED_BY_HAND}))
def test_ours_takes_every_parameter_of_the_official_method(name: str, official: Any, ours: Any) -> None:
    theirs = inspect.signature(method_of(official, name)).parameters
    mine = inspect.signature(method_of(ours, name)).parameters
    takes_options = any(each.kind is each.VAR_KEYWORD for each in mine.values())
    by_position = [each for each, it in mine.items() if it.kind is it.POSITIONAL_OR_KEYWORD]
    for place, (parameter, it) in enumerate(theirs.items()):
        if parameter in PARAMETERS_LEFT:
            continue
        assert parameter in mine or takes_options, parameter
        if it.kind is it.POSITIONAL_OR_KEYWORD and name not in NAMED_HERE:
            assert by_position[place : place + 1] == [parameter]
        if parameter in mine:
            assert it.default is it.empty or mine[parameter].default is not it.empty, f"{parameter} is required by ours"
    for parameter, it in mine.items():
        assert parameter in theirs or it.default is not it.empty or it.kind is it.VAR_KEYWORD, f"{parameter} is new"


@pytest.mark.parametrize("name", TABLE)
def test_what_is_required_there_is_required_here(name: str, official: Any, ours: Any, recorder: Recorder) -> None:
    recorder.script(Answer())
    _, (by_position, by_name) = next(calls_of(name, method_of(official, name)))
    for client in (official, ours):
        for left_out in by_name:
            with pytest.raises(TypeError):
                method_of(client, name)(*by_position, **{key: each for key, each in by_name.items() if key != left_out})
        for end in range(len(by_position)):
            with pytest.raises(TypeError):
                method_of(client, name)(*by_position[:end], **by_name)
        with pytest.raises(TypeError):
            method_of(client, name)(*by_position, **by_name, no_such_argument=1)
    assert recorder.asked == []
