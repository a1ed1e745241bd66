"""Keys and tokens: how they may be written, and a function that is asked for a token whenever one is needed."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Optional, Union

import pytest

from cartesia_sync import (
    APIConnectionError,
    APIResponseValidationError,
    AuthenticationError,
    Cartesia,
    MissingCredentialsError,
    RateLimitError,
)

from ..support.http_service import Asked, Out, Service, answer
from ..support.peer import BOUND, Far, Peer, Script, chunk, done

KEY = "sk_car_a-very-secret-key"
TOKEN = "a-very-secret-token"
OK = answer(200, {"ok": True})
NAMES = ["api_key", "token", "CARTESIA_API_KEY"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., Peer]]:
    """Start a scripted service for WebSockets; what goes wrong in a script fails the test."""
    with ExitStack() as stack:

        def start(*scripts: Script) -> Peer:
            peer = Peer(*scripts)
            stack.callback(peer.stop)
            return peer

        yield start


# ---- how they may be written


def made_with(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> Cartesia:
    if name == "CARTESIA_API_KEY":
        monkeypatch.setenv(name, value)
        return Cartesia()
    options: dict[str, Any] = {name: value}
    return Cartesia(**options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("before", "after"), [("", "\n"), ("", "\r\n"), (" ", " "), ("\t", ""), ("\u00a0", "\u2003")])
def test_white_space_around_a_credential_is_taken_off(
    name: str, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = made_with(name, f"{before}{KEY}{after}", monkeypatch)
    assert client._headers["Authorization"] == f"Bearer {KEY}"
    assert KEY in (client.api_key, client.token)
    assert client.with_options(max_retries=0)._headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ("\rX-Injected: 1", "a line break"),
        ("\nx", "a line break"),
        ("\0", "a control character"),
        ("\x7f", "a control character"),
        ("\x1b[0m", "a control character"),
        ("\u200b", "not ASCII"),
        ("\u2019", "not ASCII"),
        ("\ud83d", "not ASCII"),
    ],
)
def test_a_credential_with_anything_else_that_no_header_may_hold_is_named_and_not_shown(
    name: str, bad: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "CARTESIA_API_KEY" and ("\0" in bad or "\ud83d" in bad):
        pytest.skip("no environment holds that")
    with pytest.raises(ValueError, match=f"{name} holds .*{what}") as refused:
        made_with(name, KEY + bad, monkeypatch)
    assert "secret" not in repr(refused.value)
    with pytest.raises(ValueError, match="api_key holds") as refused:
        Cartesia(api_key="any").with_options(api_key=KEY + bad)
    assert "secret" not in repr(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_credential_of_white_space_alone_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingCredentialsError):
        made_with(name, " \n", monkeypatch)


@pytest.mark.parametrize("value", [KEY.encode(), 7, {"key": KEY}])
@pytest.mark.parametrize("name", ["api_key", "token"])
def test_a_credential_that_is_no_text_is_named_and_not_shown(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected a text, got a value of type {type(value).__name__}") as no:
        Cartesia(**{name: value})
    assert "secret" not in repr(no.value)


def test_a_key_is_no_function() -> None:
    wrong: Any = lambda: KEY  # noqa: E731  # what is wrong is that it is one
    with pytest.raises(TypeError, match="api_key: expected a text"):
        Cartesia(api_key=wrong)


# ---- a function that is asked


class Tokens:
    """Gives tokens one after the other; raises what is an exception.

    Attributes:
        threads: The names of those that asked.
    """

    def __init__(self, *given: Any) -> None:
        self._given = list(given)
        self.threads: list[str] = []

    def __call__(self) -> str:
        self.threads.append(threading.current_thread().name)
        given = self._given.pop(0) if self._given else f"{TOKEN}-{len(self.threads)}"
        if isinstance(given, BaseException):
            raise given
        made: str = given
        return made


def authorizations(service: Service) -> list[Optional[str]]:
    return [each.headers.get("authorization") for each in service.asked]


def bearer(*numbers: int) -> list[str]:
    return [f"Bearer {TOKEN}-{number}" for number in numbers]


def test_each_request_and_each_attempt_asks() -> None:
    soon = {"retry_after_ms": "1"}
    with (
        Service(answer(503, **soon), answer(429, **soon), OK) as service,
        Cartesia(token=Tokens(), base_url=service.url) as client,
    ):
        assert client.get("/x") == {"ok": True}
        client.get("/y")
        assert client.tts.generate(model_id="m", transcript="Hi.", voice="v", output_format={"container": "raw"}).read()
        assert authorizations(service) == bearer(1, 2, 3, 4, 5)


def test_each_page_asks() -> None:
    def page(asked: Asked, out: Out) -> None:
        is_first = "starting_after" not in asked.target
        out.say(answer(200, {"data": [{"id": "b" if is_first else "c"}], "has_more": is_first}))

    with Service(page) as service, Cartesia(token=Tokens(), base_url=service.url) as client:
        assert len(list(client.voices.list())) == 2
        assert authorizations(service) == bearer(1, 2)


def refusing(far: Far) -> None:
    far.read_head()
    far.send(b"HTTP/1.1 503 Busy\r\nRetry-After-Ms: 1\r\nContent-Length: 0\r\n\r\n")
    far.wait_until_gone()


def upgrading(heads: list[bytes], then: Callable[[Far], object]) -> Script:
    def script(far: Far) -> None:
        heads.append(far.upgrade())
        then(far)

    return script


def speaking(far: Far) -> None:
    """Speak one context, and say goodbye when the client does."""
    context_id = json.loads(far.hear().data)["context_id"]
    far.send(chunk(context_id, b"...."), done(context_id))
    far.part()


def speaking_once(far: Far) -> None:
    """Speak one context, and end the connection."""
    context_id = json.loads(far.hear().data)["context_id"]
    far.send(chunk(context_id, b"...."), done(context_id))


def listening_once(far: Far) -> None:
    far.hear()


def tokens_in(heads: list[bytes]) -> list[str]:
    lines = [line for head in heads for line in head.decode().split("\r\n")]
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization")]


def say(connection: Any, **options: Any) -> bytes:
    context = connection.context(voice="v", output_format={"container": "raw"}, **options)
    context.push("Hi.", continue_=False)
    audio: bytes = context.audio()
    return audio


def connecting(peer: Peer, token: Union[Tokens, str], **options: Any) -> Cartesia:
    return Cartesia(token=token, base_url=f"http://127.0.0.1:{peer.port}", **options)


def wait_for_loss(connection: Any) -> None:
    reader = connection._link.reader
    reader.join(BOUND)
    assert not reader.is_alive()


def test_each_dial_and_each_attempt_of_one_asks_and_the_reader_never_does(serve: Callable[..., Peer]) -> None:
    heads: list[bytes] = []
    peer = serve(refusing, upgrading(heads, speaking_once), refusing, upgrading(heads, speaking))
    tokens = Tokens()
    with connecting(peer, tokens).tts.websocket_connect() as connection:
        assert say(connection) == b"...."
        wait_for_loss(connection)
        assert say(connection) == b"...."
    assert tokens_in(heads) == bearer(2, 4)
    assert tokens.threads == [threading.current_thread().name] * 4


def test_where_a_speech_pushes_first_its_own_thread_asks(serve: Callable[..., Peer]) -> None:
    heads: list[bytes] = []

    def speak_all(far: Far) -> None:
        far.hear()
        speaking(far)

    peer = serve(upgrading(heads, lambda far: None), upgrading(heads, speak_all))
    tokens = Tokens()
    with connecting(peer, tokens).tts.websocket_connect() as connection:
        wait_for_loss(connection)
        context = connection.context(voice="v", output_format={"container": "raw"})
        assert [event.type for event in context.speak(["Hi."])] == ["chunk", "done"]
    assert tokens_in(heads) == bearer(1, 2)
    assert tokens.threads[1].startswith("cartesia-sync-pump")


class Refused(Exception):  # noqa: N818  # a user's own name
    pass


ERRORS = [
    Refused("no more tokens"),
    APIConnectionError("the other client's"),
    RateLimitError("the other client's", status_code=429),
    RuntimeError("of the kind that locks raise"),
]
errors = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def assert_untouched(caught: BaseException, error: BaseException) -> None:
    assert caught is error
    assert error.__cause__ is error.__context__ is None


@errors
def test_what_it_raises_comes_out_as_it_is_and_is_not_tried_again(error: Exception) -> None:
    tokens = Tokens(error)
    with Service(OK) as service, Cartesia(token=tokens, base_url=service.url) as client:
        for call in (
            lambda: client.get("/x"),
            lambda: client.tts.generate(model_id="m", transcript="Hi.", voice="v", output_format={"container": "raw"}),
            lambda: client.tts.websocket_connect().enter(),
        ):
            tokens._given[:] = [error]
            tokens.threads.clear()
            with pytest.raises(type(error)) as caught:
                call()
            assert_untouched(caught.value, error)
            assert len(tokens.threads) == 1
        assert service.asked == []


@errors
def test_what_it_raises_after_a_loss_reaches_who_pushes_and_the_next_push_asks_again(
    error: Exception, serve: Callable[..., Peer]
) -> None:
    heads: list[bytes] = []
    peer = serve(upgrading(heads, lambda far: None), upgrading(heads, speaking))
    with connecting(peer, Tokens("one", error, "two")).tts.websocket_connect() as connection:
        wait_for_loss(connection)
        context = connection.context(voice="v", output_format={"container": "raw"})
        with pytest.raises(type(error)) as caught:
            context.push("Hi.", continue_=False)
        assert_untouched(caught.value, error)
        context.push("Hi.", continue_=False)
        assert context.audio() == b"...."
    assert tokens_in(heads) == ["Bearer one", "Bearer two"]


@errors
def test_what_it_raises_at_a_replay_reaches_who_receives_and_the_next_receive_asks_again(
    error: Exception, serve: Callable[..., Peer]
) -> None:
    heads: list[bytes] = []
    peer = serve(upgrading(heads, listening_once), upgrading(heads, speaking))
    with connecting(peer, Tokens("one", error, "two")).tts.websocket_connect() as connection:
        context = connection.context(voice="v", output_format={"container": "raw"}, on_disconnect="replay")
        context.push("Hi.", continue_=False)
        with pytest.raises(type(error)) as caught:
            list(context.receive())
        assert_untouched(caught.value, error)
        assert [event.type for event in context.receive()] == ["chunk", "done"]
    assert tokens_in(heads) == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (None, TypeError, "what the function given as token returned: expected a text, got a value of type NoneType"),
        (TOKEN.encode(), TypeError, "of type bytes"),
        ("", ValueError, "returned an empty text"),
        (" \n", ValueError, "returned an empty text"),
        (f"{TOKEN}\r\nX: y", ValueError, "returned holds a line break"),
    ],
)
def test_what_is_no_token_is_refused_without_being_shown(given: Any, kind: type[Exception], words: str) -> None:
    tokens = Tokens(given, given)
    with Service(OK) as service, Cartesia(token=tokens, base_url=service.url) as client:
        for call in (lambda: client.get("/x"), lambda: client.tts.websocket_connect().enter()):
            with pytest.raises(kind, match=words) as refused:
                call()
            assert "secret" not in repr(refused.value)
        assert service.asked == []


def test_white_space_around_what_it_gives_is_taken_off() -> None:
    with Service(OK) as service, Cartesia(token=Tokens(f" {TOKEN}\n"), base_url=service.url) as client:
        client.get("/x")
        assert authorizations(service) == [f"Bearer {TOKEN}"]


def test_it_is_not_asked_where_a_key_or_a_header_says_who_asks() -> None:
    tokens = Tokens()
    with Service(OK) as service:
        with Cartesia(api_key=KEY, token=tokens, base_url=service.url) as client:
            client.get("/x")
        with Cartesia(token=tokens, base_url=service.url, default_headers={"authorization": "Basic x"}) as client:
            client.get("/x")
        with Cartesia(token=tokens, base_url=service.url) as client:
            client.get("/x", options={"headers": {"AUTHORIZATION": "Basic y"}})
        assert authorizations(service) == [f"Bearer {KEY}", "Basic x", "Basic y"]
    assert tokens.threads == []


def test_a_client_that_is_closed_does_not_ask() -> None:
    tokens = Tokens()
    client = Cartesia(token=tokens, base_url="http://127.0.0.1:1")
    client.close()
    with pytest.raises(APIConnectionError, match="closed"):
        client.get("/x")
    assert tokens.threads == []


@pytest.mark.parametrize("status", [401, 200])
def test_a_service_that_echoes_the_token_brings_it_into_no_exception(status: int) -> None:
    def echo(asked: Asked, out: Out) -> None:
        out.say(answer(status, f"no: {asked.headers['authorization']}"))

    with (
        Service(echo) as service,
        Cartesia(token=Tokens(), base_url=service.url) as client,
        pytest.raises((AuthenticationError, APIResponseValidationError)) as refused,
    ):
        client.get("/x")
    assert "secret" not in f"{refused.value!r} {refused.value.body!r}"
    assert "redacted" in str(refused.value.body)


def test_with_options_keeps_it_replaces_it_and_sets_it() -> None:
    with Service(OK) as service, Cartesia(token=Tokens(), base_url=service.url) as client:
        client.with_options(max_retries=0).get("/x")
        client.with_options(token=Tokens("another")).get("/x")
        client.with_options(token="fixed").get("/x")
        client.with_options(api_key=KEY).with_options(token=Tokens("again")).get("/x")
        assert authorizations(service) == [*bearer(1), "Bearer another", "Bearer fixed", "Bearer again"]


# ---- copies


def module_level() -> str:
    return "of-a-module"


class Holder:
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked = 0

    def token(self) -> str:
        self.asked += 1
        return f"held-{self.asked}"


def test_a_function_of_a_module_travels() -> None:
    with Service(OK) as service, Cartesia(token=module_level, base_url=service.url) as client:
        for made in (pickle.loads(pickle.dumps(client)), copy.copy(client), copy.deepcopy(client)):
            with made:
                made.get("/x")
        assert authorizations(service) == ["Bearer of-a-module"] * 3


@pytest.mark.parametrize("token", [lambda: TOKEN, functools.partial(lambda given: given, TOKEN), Holder().token])
def test_what_cannot_be_pickled_is_named_and_not_shown(token: Callable[[], str]) -> None:
    with pytest.raises(TypeError, match=r"because of its token \(.*leave token out") as refused:
        pickle.dumps(Cartesia(token=token))
    assert "secret" not in str(refused.value)


def test_copies_in_this_process_ask_the_same_object() -> None:
    holder = Holder()
    with Service(OK) as service, Cartesia(token=holder.token, base_url=service.url) as client:
        for made in (client, copy.copy(client), copy.deepcopy(client)):
            with made:
                made.get("/x")
        assert authorizations(service) == ["Bearer held-1", "Bearer held-2", "Bearer held-3"]


class Plain:
    """Could be copied, and must not be: what it keeps would be kept twice."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return "plain"


def test_an_object_that_could_be_copied_is_not() -> None:
    plain = Plain()
    client = Cartesia(token=plain)
    assert copy.deepcopy(client).token is plain
    assert "plain" not in repr(client).lower()


# ---- the version that goes out, and the voice's shape

OLD, NEW = "2025-04-16", "2026-08-14"
OLD_VOICE, NEW_VOICE = {"mode": "id", "id": "v"}, {"id": "v"}
HEADERS = {"older": {"CARTESIA-version": OLD}, "newer": {"cartesia-VERSION": f" {NEW} "}}
versions = pytest.mark.parametrize(
    ("of_client", "of_request", "shape", "sent"),
    [
        ({}, {}, NEW_VOICE, NEW),
        ({"cartesia_version": OLD}, {}, OLD_VOICE, OLD),
        ({"default_headers": HEADERS["older"]}, {}, OLD_VOICE, OLD),
        ({"default_headers": HEADERS["newer"], "cartesia_version": OLD}, {}, NEW_VOICE, NEW),
        ({}, {"extra_headers": HEADERS["older"]}, OLD_VOICE, OLD),
        ({"default_headers": HEADERS["older"]}, {"extra_headers": HEADERS["newer"]}, NEW_VOICE, NEW),
        ({"cartesia_version": OLD}, {"extra_query": {"cartesia_version": NEW}}, NEW_VOICE, OLD),
        (
            {"default_headers": HEADERS["newer"]},
            {"extra_headers": HEADERS["newer"], "extra_query": {"cartesia_version": OLD}},
            OLD_VOICE,
            NEW,
        ),
        ({}, {"extra_query": {"other": OLD}}, NEW_VOICE, NEW),
    ],
)


def versions_in(head: bytes) -> list[str]:
    lines = [line.partition(": ") for line in head.decode().split("\r\n")]
    return [value.strip() for name, _, value in lines if name.lower() == "cartesia-version"]


@versions
@pytest.mark.parametrize("by_hand", [False, True])
def test_on_a_websocket_the_voice_has_the_shape_of_the_version_that_goes_out(
    of_client: dict[str, Any],
    of_request: dict[str, Any],
    shape: object,
    sent: str,
    by_hand: bool,
    serve: Callable[..., Peer],
) -> None:
    heads: list[bytes] = []
    voices: list[object] = []

    def hear(far: Far) -> None:
        voices.append(json.loads(far.hear().data)["voice"])
        far.part()

    client = connecting(serve(upgrading(heads, hear)), "any", **of_client)
    with client.tts.websocket_connect(**of_request) as connection:
        if by_hand:
            connection.send({"context_id": "a", "transcript": "Hi.", "voice": {"mode": "id", "id": "v"}})
        else:
            connection.context(voice={"mode": "id", "id": "v"}).push("Hi.", continue_=False)
    assert voices == [shape]
    assert versions_in(heads[0]) == [sent]


@versions
@pytest.mark.parametrize("method", ["generate", "generate_sse", "bytes"])
def test_over_http_the_voice_has_the_shape_of_the_version_that_goes_out(
    of_client: dict[str, Any], of_request: dict[str, Any], shape: object, sent: str, method: str
) -> None:
    with Service(answer(200, b"....")) as service, Cartesia(api_key=KEY, base_url=service.url, **of_client) as client:
        arguments: dict[str, Any] = {"model_id": "m", "transcript": "Hi.", "output_format": {"container": "raw"}}
        made = getattr(client.tts, method)(voice={"mode": "id", "id": "v"}, **arguments, **of_request)
        close = getattr(made, "close", None)
        if close is not None:
            close()
        [asked] = service.asked  # which asserts that no header came twice
    assert json.loads(asked.body)["voice"] == shape
    assert asked.headers["cartesia-version"].strip() == sent


def test_a_default_query_counts_over_http_alone_since_it_is_sent_there_alone(serve: Callable[..., Peer]) -> None:
    voices: list[object] = []

    def hear(far: Far) -> None:
        voices.append(json.loads(far.hear().data)["voice"])
        far.part()

    client = connecting(serve(upgrading([], hear)), "any", default_query={"cartesia_version": OLD})
    with client.tts.websocket_connect() as connection:
        connection.context(voice={"id": "v"}).push("Hi.", continue_=False)
    assert voices == [NEW_VOICE]
    with Service(answer(200, b"....")) as service:
        over_http = client.with_options(base_url=service.url)
        arguments: dict[str, Any] = {"model_id": "m", "transcript": "Hi.", "output_format": {"container": "raw"}}
        over_http.tts.generate(voice={"id": "v"}, **arguments).read()
        over_http.tts.generate(voice={"id": "v"}, extra_query={"cartesia_version": NEW}, **arguments).read()
        client.close()
        assert [json.loads(each.body)["voice"] for each in service.asked] == [OLD_VOICE, NEW_VOICE]
