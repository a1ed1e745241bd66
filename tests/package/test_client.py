from __future__ import annotations

import gc
import socket
import ssl
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional
from urllib.parse import parse_qs, urlsplit

import pytest

import cartesia_sync
from cartesia_sync import NOT_GIVEN, APIConnectionError, Cartesia, CartesiaError, MissingCredentialsError, Timeout
from cartesia_sync.core import DEFAULT_TIMEOUT, DEFAULT_VERSION
from cartesia_sync.resources.base import Requester
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket import handshake

KEY = "sk_car_a-very-secret-key"
TOKEN = "a-very-secret-token"


class Dialled(Exception):  # noqa: N818  # no error: what a connection would have been opened with
    def __init__(self, url: str, headers: Mapping[str, str], facts: dict[str, Any]) -> None:
        super().__init__(url)
        self.url = url
        self.headers = headers
        self.facts = facts


@pytest.fixture
def _dial_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(url: str, headers: Mapping[str, str], **facts: Any) -> None:
        raise Dialled(url, headers, facts)

    monkeypatch.setattr(handshake, "connect", connect)


def dialled(client: Cartesia, **options: Any) -> Dialled:
    with pytest.raises(Dialled) as caught:
        client.tts.websocket_connect(**options).enter()
    return caught.value


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    names = [name.lower() for name in headers]
    assert len(names) == len(set(names))  # none is sent twice
    return {name.lower(): value for name, value in headers.items()}


# ---- credentials


@pytest.mark.usefixtures("_dial_nobody")
@pytest.mark.parametrize(
    ("arguments", "environment", "credential"),
    [
        ({"api_key": KEY}, None, KEY),
        ({"token": TOKEN}, None, TOKEN),
        ({"api_key": KEY, "token": TOKEN}, None, KEY),
        ({"api_key": KEY}, "another", KEY),
        ({"token": TOKEN}, "another", TOKEN),
        ({}, KEY, KEY),
        ({"api_key": None, "token": None}, KEY, KEY),
        ({"api_key": "", "token": TOKEN}, "another", TOKEN),
    ],
)
def test_a_key_wins_over_a_token_and_both_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], environment: Optional[str], credential: str
) -> None:
    if environment is not None:
        monkeypatch.setenv("CARTESIA_API_KEY", environment)
    assert lower(dialled(Cartesia(**arguments)).headers)["authorization"] == f"Bearer {credential}"


@pytest.mark.parametrize(
    ("arguments", "environment"), [({}, None), ({}, ""), ({"api_key": ""}, KEY), ({"token": ""}, KEY)]
)
def test_without_a_credential_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], environment: Optional[str]
) -> None:
    """An empty one that was given is not made up for by the environment: somebody meant another one."""
    if environment is not None:
        monkeypatch.setenv("CARTESIA_API_KEY", environment)
    with pytest.raises(MissingCredentialsError) as missing:
        Cartesia(**arguments)
    message = str(missing.value)
    assert all(word in message for word in ("api_key=", "token=", "CARTESIA_API_KEY"))
    assert isinstance(missing.value, ValueError)


def words_of(error: Optional[BaseException]) -> Iterator[str]:
    """Yield all that an exception and its causes can be made to say."""
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "nonsense"},
        {"websocket_base_url": "nonsense"},
        {"timeout": -1},
        {"default_headers": {"X-A": "a\nb"}},
        {"default_headers": {"Authorization": f"Bearer {KEY}\n"}},
        {"base_url": f"http://{KEY}@127.0.0.1"},
        {"base_url": f"http://user:{KEY}@127.0.0.1"},
        {"base_url": f"http://127.0.0.1/?api_key={KEY}"},
        {"base_url": f"ftp://user:{KEY}@127.0.0.1"},
        {"base_url": f"127.0.0.1/?api_key={KEY}"},
        {"websocket_base_url": f"http://127.0.0.1/?access_token={KEY}"},
    ],
    ids=repr,
)
def test_no_exception_of_the_constructor_shows_a_secret(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Cartesia(api_key=KEY, token=TOKEN, **wrong)
    assert not [words for words in words_of(refused.value) if KEY in words or TOKEN in words]


def test_no_repr_shows_a_secret() -> None:
    client = Cartesia(api_key=KEY, token=TOKEN)
    for thing in (client, client.tts, client.tts.websocket_connect()):
        assert KEY not in f"{thing!r} {thing}"
        assert TOKEN not in f"{thing!r} {thing}"
    assert client.base_url in repr(client)
    assert client.cartesia_version in repr(client)


def test_no_exception_of_a_failed_connection_shows_a_secret() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Cartesia(api_key=KEY, base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(APIConnectionError) as failed:  # bound, and not listening
            client.tts.websocket_connect().enter()
    words = list(words_of(failed.value))
    assert "127.0.0.1" in words[0]
    assert not [each for each in words if KEY in each]


# ---- URLs


@pytest.mark.parametrize(
    ("base_url", "websocket_base_url"),
    [
        ("http://127.0.0.1:8765", "ws://127.0.0.1:8765"),
        ("https://api.example", "wss://api.example"),
        ("https://api.example/", "wss://api.example"),
        ("https://api.example/v1//", "wss://api.example/v1"),
        ("http://[::1]:8765", "ws://[::1]:8765"),
        ("https://http.example/https", "wss://http.example/https"),
    ],
)
def test_the_websocket_url_follows_from_the_base_url(base_url: str, websocket_base_url: str) -> None:
    client = Cartesia(api_key=KEY, base_url=base_url)
    assert client.base_url == base_url.rstrip("/")
    assert client.websocket_base_url == websocket_base_url


@pytest.mark.usefixtures("_dial_nobody")
@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://localhost:1", "ws://localhost:1/tts/websocket"),
        ("https://h/a/b/", "wss://h/a/b/tts/websocket"),
        ("HTTPS://h", "wss://h/tts/websocket"),
    ],
)
def test_the_path_is_added_to_the_base_urls_own(base_url: str, url: str) -> None:
    heard = dialled(Cartesia(api_key=KEY, base_url=base_url))
    assert heard.url == url
    assert (heard.facts["ssl_context"] is None) is url.startswith("ws:")


@pytest.mark.usefixtures("_dial_nobody")
def test_a_websocket_url_of_its_own_wins() -> None:
    client = Cartesia(api_key=KEY, base_url="https://api.example", websocket_base_url="ws://127.0.0.1:1/x/")
    assert (client.base_url, client.websocket_base_url) == ("https://api.example", "ws://127.0.0.1:1/x")
    assert dialled(client).url == "ws://127.0.0.1:1/x/tts/websocket"


def test_the_base_url_is_the_argument_the_environments_or_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cartesia(api_key=KEY).base_url == "https://api.cartesia.ai"
    assert Cartesia(api_key=KEY).websocket_base_url == "wss://api.cartesia.ai"
    monkeypatch.setenv("CARTESIA_BASE_URL", "http://127.0.0.1:8765/")
    assert Cartesia(api_key=KEY).base_url == "http://127.0.0.1:8765"
    assert Cartesia(api_key=KEY).websocket_base_url == "ws://127.0.0.1:8765"
    assert Cartesia(api_key=KEY, base_url="http://[::1]").base_url == "http://[::1]"
    monkeypatch.setenv("CARTESIA_BASE_URL", "")
    assert Cartesia(api_key=KEY).base_url == "https://api.cartesia.ai"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8765",
        "localhost",
        "ftp://h",
        "ws://h",
        "http:h",
        "http://",
        "http:///path",
        "http://[::1",
        "http://user@h",
        "http://user:password@h",
        "http://h/?a=b",
        "http://h/#part",
        "http://h:port",
        "http://h:99999",
        "http://h:-1",
        "http://h\n",
        "http://h/a\r\nX: y",
        "http://h /a b",
        " http://h",
        "http://h ",
    ],
)
def test_a_base_url_that_is_none_is_refused_by_its_name(url: str) -> None:
    with pytest.raises(ValueError, match=r"^base_url "):
        Cartesia(api_key=KEY, base_url=url)


@pytest.mark.parametrize("url", ["http://h", "h:80", "ws://", "ws://u:p@h", "ws://h/?a=b", "ws://h:port", "ws://h\n"])
def test_a_websocket_url_that_is_none_is_refused_by_its_name(url: str) -> None:
    with pytest.raises(ValueError, match=r"^websocket_base_url "):
        Cartesia(api_key=KEY, websocket_base_url=url)


# ---- headers


@pytest.mark.usefixtures("_dial_nobody")
def test_a_client_says_who_it_is_and_which_version_it_speaks() -> None:
    headers = lower(dialled(Cartesia(api_key=KEY)).headers)
    assert headers["cartesia-version"] == DEFAULT_VERSION == "2026-08-14"
    assert headers["user-agent"] == f"cartesia-sync/{cartesia_sync.__version__}"
    assert (
        lower(dialled(Cartesia(api_key=KEY, cartesia_version="2026-03-01")).headers)["cartesia-version"] == "2026-03-01"
    )


@pytest.mark.usefixtures("_dial_nobody")
@pytest.mark.parametrize("change_case", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("name", ["Authorization", "Cartesia-Version", "User-Agent", "X-Cartesia-Client"])
def test_default_headers_and_then_those_of_the_request_win_whatever_their_case(name: str, change_case: Any) -> None:
    client = Cartesia(api_key=KEY, default_headers={change_case(name): "client's", "X-More": "1"})
    assert lower(dialled(client).headers)[name.lower()] == "client's"
    headers = lower(dialled(client, extra_headers={name.swapcase(): "request's", "x-most": "2"}).headers)
    assert headers[name.lower()] == "request's"
    assert (headers["x-more"], headers["x-most"]) == ("1", "2")
    assert lower(dialled(client).headers)[name.lower()] == "client's"  # the request's are the request's alone


@pytest.mark.parametrize("bad", ["a\nb", "a\r\nb", "a\r", "\n", "a\0"])
def test_a_line_break_in_a_header_is_refused_with_its_name_and_without_its_value(bad: str) -> None:
    with pytest.raises(ValueError, match="the header 'X-A' holds a line break"):
        Cartesia(api_key=KEY, default_headers={"X-A": bad})
    with pytest.raises(ValueError, match="the header 'X-A' holds a line break"):
        Cartesia(api_key=KEY).tts.websocket_connect(extra_headers={"X-A": bad})
    with pytest.raises(ValueError, match="holds a line break"):
        Cartesia(api_key=KEY, default_headers={f"X{bad}": "a"})


def test_a_line_break_in_the_version_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        Cartesia(api_key=KEY, cartesia_version="2026-08-14\r\nX-Injected: 1")


@pytest.mark.usefixtures("_dial_nobody")
def test_the_callers_headers_are_copied() -> None:
    headers = {"X-A": "1"}
    client = Cartesia(api_key=KEY, default_headers=headers)
    headers["X-A"] = "2"
    assert dialled(client).headers["X-A"] == "1"


# ---- what else goes to the wire


@pytest.mark.usefixtures("_dial_nobody")
def test_the_query_of_a_request_is_escaped() -> None:
    url = dialled(Cartesia(api_key=KEY), extra_query={"a b": "c&d=\u00e9", "e": ""}).url
    assert parse_qs(urlsplit(url).query, keep_blank_values=True) == {"a b": ["c&d=\u00e9"], "e": [""]}
    assert " " not in url


@pytest.mark.usefixtures("_dial_nobody")
def test_the_largest_message_is_the_callers_or_16_mib() -> None:
    client = Cartesia(api_key=KEY)
    assert dialled(client).facts["max_message_bytes"] == 16 << 20
    assert dialled(client, websocket_connection_options={"max_size": 1000}).facts["max_message_bytes"] == 1000


@pytest.mark.usefixtures("_dial_nobody")
def test_one_ssl_context_serves_all_connections() -> None:
    own = ssl.create_default_context()
    client = Cartesia(api_key=KEY, ssl_context=own)
    assert dialled(client).facts["ssl_context"] is own
    client = Cartesia(api_key=KEY)
    made = dialled(client).facts["ssl_context"]
    assert isinstance(made, ssl.SSLContext)
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert dialled(client).facts["ssl_context"] is made


# ---- clocks


@pytest.mark.parametrize(
    ("given", "expected"),
    [(7, Timeout.of(7)), (0.5, Timeout.of(0.5)), (None, Timeout.of(None)), (Timeout(gap=3), Timeout(gap=3))],
    ids=repr,
)
def test_a_timeout_is_a_number_a_timeout_or_none(given: Any, expected: Timeout) -> None:
    assert Cartesia(api_key=KEY, timeout=given).timeout == expected


def test_the_clocks_run_by_default() -> None:
    assert Cartesia(api_key=KEY).timeout == DEFAULT_TIMEOUT == Timeout()


NO_CLOCKS: tuple[Any, ...] = (0, -1, float("nan"), float("inf"), "5", True, [], Deadline(1))
NO_SIZES: tuple[Any, ...] = (0, -1, 1.5, float("nan"), float("inf"), "5", True, [])


def kind(value: object) -> str:
    return type(value).__name__ if isinstance(value, (Deadline, list)) else repr(value)


@pytest.mark.parametrize("wrong", NO_CLOCKS, ids=kind)
def test_a_timeout_that_is_none_is_refused_wherever_it_is_given(wrong: Any) -> None:
    client = Cartesia(api_key=KEY)
    places: tuple[Callable[..., object], ...] = (
        lambda **given: Cartesia(api_key=KEY, **given),
        client.with_options,
        client.copy,
        client.tts.websocket_connect,
        client.tts.websocket,
        client.voices.list,
        client.get_status,
    )
    for place in places:
        with pytest.raises(ValueError, match=r"^timeout: expected a number of seconds above 0"):
            place(timeout=wrong)
        with pytest.raises(ValueError, match=r"^timeout\[1\], the read clock: expected a number of seconds above 0"):
            place(timeout=(1, wrong))
    with pytest.raises(ValueError, match=r"^timeout: expected a number of seconds above 0"):
        client.get("/x", options={"timeout": wrong})


@pytest.mark.parametrize("wrong", NO_CLOCKS, ids=kind)
def test_a_ping_interval_that_is_none_is_refused_by_its_name(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^ping_interval: expected a number of seconds above 0.* or None .*; got "):
        Cartesia(api_key=KEY).tts.websocket_connect(ping_interval=wrong)


@pytest.mark.parametrize("wrong", NO_SIZES, ids=kind)
def test_a_limit_that_is_none_is_refused_by_its_name(wrong: Any) -> None:
    connect = Cartesia(api_key=KEY).tts.websocket_connect
    for limit in ("max_message_bytes", "max_queued_bytes"):
        with pytest.raises(ValueError, match=rf"^{limit}: expected a whole number of bytes, 1 or more; got "):
            connect(**{limit: wrong})
    with pytest.raises(ValueError, match=r"^websocket_connection_options max_size: expected a whole number of bytes"):
        connect(websocket_connection_options={"max_size": wrong})


@pytest.mark.parametrize("wrong", [-1, 1.0, float("nan"), float("inf"), "5", True, None, []], ids=kind)
def test_a_number_of_retries_that_is_none_is_refused_wherever_it_is_given(wrong: Any) -> None:
    client = Cartesia(api_key=KEY)
    with pytest.raises(ValueError, match=r"^max_retries: expected a number, 0 or more, got "):
        Cartesia(api_key=KEY, max_retries=wrong)
    with pytest.raises(ValueError, match=r"^max_retries: "):
        client.with_options(max_retries=wrong)
    if wrong is not None:  # the client's, there
        with pytest.raises(ValueError, match=r"^max_retries: "):
            client.get("/x", options={"max_retries": wrong})
    assert Cartesia(api_key=KEY, max_retries=0).max_retries == 0


@pytest.mark.parametrize("wrong", NO_SIZES, ids=kind)
def test_a_limit_of_answers_that_is_none_is_refused_by_its_name(wrong: Any) -> None:
    for make in (lambda **given: Cartesia(api_key=KEY, **given), Cartesia(api_key=KEY).with_options):
        with pytest.raises(ValueError, match=r"^max_answer_bytes: expected a whole number of bytes, 1 or more; got "):
            make(max_answer_bytes=wrong)


@pytest.mark.parametrize("limit", [1, 5 << 20, None])
def test_the_limit_of_answers_is_64_mib_or_the_users_and_goes_to_the_requests(limit: Optional[int]) -> None:
    usual, own = Cartesia(api_key=KEY), Cartesia(api_key=KEY, max_answer_bytes=limit)
    assert usual.max_answer_bytes == prepared(usual).max_answer_bytes == 64 << 20
    assert own.max_answer_bytes == prepared(own).max_answer_bytes == limit
    assert prepared(own.with_options(max_retries=0)).max_answer_bytes == limit
    assert prepared(own.with_options(max_answer_bytes=7)).max_answer_bytes == 7
    assert prepared(usual.with_options(max_answer_bytes=limit)).max_answer_bytes == limit


def test_none_is_no_clock_no_ping_and_the_usual_limit() -> None:
    Cartesia(api_key=KEY, timeout=None).tts.websocket_connect(
        timeout=Timeout(connect=None, close=None),
        ping_interval=None,
        max_message_bytes=None,
        max_queued_bytes=None,
        websocket_connection_options={"max_size": None},
    )


@pytest.mark.usefixtures("_dial_nobody")
def test_the_connect_clock_is_the_clients_or_the_requests() -> None:
    client = Cartesia(api_key=KEY, timeout=7)
    assert dialled(client).facts["deadline"].seconds == 7
    assert dialled(client, timeout=3).facts["deadline"].seconds == 3
    assert dialled(client, timeout=Timeout(connect=None)).facts["deadline"].seconds is None


# ---- the client itself


def test_arguments_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        Cartesia(KEY)  # type: ignore[call-arg]  # the point of the test


def test_resources_are_made_once() -> None:
    client = Cartesia(api_key=KEY)
    assert client.tts is client.tts


def test_what_a_wrong_client_raises_can_be_caught_as_ours_where_it_is_about_credentials() -> None:
    with pytest.raises(CartesiaError):
        Cartesia()


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://10.0.0.1:80", "http://127.0.0.1.example.com", "http://[2001:db8::1]"]
)
def test_a_key_is_not_sent_in_clear_to_another_machine_unless_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="allow_insecure=True"):
        Cartesia(api_key=KEY, base_url=url)
    with pytest.raises(ValueError, match="allow_insecure=True"):
        Cartesia(api_key=KEY, websocket_base_url="ws" + url[len("http") :])
    assert Cartesia(api_key=KEY, base_url=url, allow_insecure=True).base_url == url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://127.8.9.1", "http://localhost", "http://[::1]:8", "http://a.localhost"]
)
def test_a_key_may_be_sent_in_clear_to_this_machine(url: str) -> None:
    assert Cartesia(api_key=KEY, base_url=url).base_url == url


# ---- copies


def prepared(client: Cartesia, **options: Any) -> Any:
    """Return what a request over HTTP would be made of."""
    return Requester(client)._prepared("GET", "/x", options, "*/*")  # type: ignore[arg-type]  # as a user gives them


def test_a_copy_has_its_own_settings_and_leaves_the_clients() -> None:
    client = Cartesia(
        api_key=KEY,
        base_url="https://one.example",
        default_headers={"X-A": "1", "X-B": "1"},
        default_query={"a": 1, "b": 1},
        timeout=(1, 2),
        max_retries=5,
    )
    copy = client.with_options(
        base_url="https://two.example/",
        cartesia_version="2026-03-01",
        default_headers={"x-b": "2"},
        default_query={"b": 2},
        timeout=7,
        max_retries=0,
    )
    request, other = prepared(client), prepared(copy)
    assert (request.url, other.url) == ("https://one.example/x", "https://two.example/x")
    assert copy.websocket_base_url == "wss://two.example"
    assert (lower(request.headers)["x-b"], lower(other.headers)["x-b"], lower(other.headers)["x-a"]) == ("1", "2", "1")
    assert (request.query, other.query) == ([("a", "1"), ("b", "1")], [("a", "1"), ("b", "2")])
    assert (request.connect_timeout, request.read_timeout, other.connect_timeout, other.read_timeout) == (1, 2, 7, 7)
    assert (request.max_retries, other.max_retries) == (5, 0)
    assert lower(other.headers)["cartesia-version"] == "2026-03-01"
    assert lower(other.headers)["authorization"] == f"Bearer {KEY}"
    assert prepared(client.with_options()) == request


def test_a_copy_may_have_other_defaults_in_place_of_the_clients() -> None:
    client = Cartesia(api_key=KEY, default_headers={"X-A": "1"}, default_query={"a": 1})
    copy = client.copy(set_default_headers={"X-B": "2"}, set_default_query={})
    headers = lower(prepared(copy).headers)
    assert ("x-a" in headers, headers["x-b"]) == (False, "2")
    assert prepared(copy).query == []
    with pytest.raises(ValueError, match="default_headers and set_default_headers exclude each other"):
        client.with_options(default_headers={}, set_default_headers={})
    with pytest.raises(ValueError, match="default_query and set_default_query exclude each other"):
        client.with_options(default_query={}, set_default_query={})


def test_a_credential_of_the_copy_displaces_the_clients_whichever_it_is() -> None:
    client = Cartesia(api_key=KEY)
    by_token = client.with_options(token=TOKEN)
    assert lower(prepared(by_token).headers)["authorization"] == f"Bearer {TOKEN}"
    assert by_token.api_key is None
    assert lower(prepared(by_token.with_options(api_key=KEY)).headers)["authorization"] == f"Bearer {KEY}"
    assert lower(prepared(by_token.with_options(max_retries=1)).headers)["authorization"] == f"Bearer {TOKEN}"


def test_a_websocket_url_of_its_own_stays_the_copys() -> None:
    client = Cartesia(api_key=KEY, websocket_base_url="wss://ws.example")
    assert client.with_options(base_url="https://two.example").websocket_base_url == "wss://ws.example"


@pytest.mark.parametrize(
    "wrong", [{"base_url": "http://example.com"}, {"timeout": -1}, {"default_headers": {"a b": ""}}]
)
def test_a_copy_is_checked_as_a_client_is(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"allow_insecure|timeout|header"):
        Cartesia(api_key=KEY).with_options(**wrong)
    Cartesia(api_key=KEY).with_options(base_url="http://example.com", allow_insecure=True)


@pytest.mark.usefixtures("_dial_nobody")
def test_a_copy_shares_the_trust_and_the_connections_whoever_needs_them_first() -> None:
    client = Cartesia(api_key=KEY)
    copy = client.with_options(max_retries=1)
    trust = dialled(copy).facts["ssl_context"]
    assert dialled(client).facts["ssl_context"] is trust
    assert dialled(copy.with_options()).facts["ssl_context"] is trust
    copy.close()
    assert client.is_closed()
    with pytest.raises(APIConnectionError, match="the client is closed"):
        client.get("/x")


def test_a_client_that_nobody_holds_is_gone_at_once() -> None:
    client = Cartesia(api_key=KEY)
    assert not client.is_closed()  # which makes its connections
    seen = weakref.ref(client._shared.http)
    gc.disable()
    try:
        del client
        assert seen() is None
    finally:
        gc.enable()


def test_a_with_block_closes_the_client() -> None:
    with Cartesia(api_key=KEY) as client:
        assert not client.is_closed()
    assert client.is_closed()


@pytest.mark.usefixtures("_dial_nobody")
def test_a_name_that_was_never_meant_to_be_public_still_works_and_warns() -> None:
    client = Cartesia(api_key=KEY)
    with pytest.warns(DeprecationWarning, match="dialler is private") as warned:
        dial = client.dialler("/tts/websocket", {"a": "b"}, {}, max_message_bytes=None)
    assert warned[0].filename == __file__
    with pytest.raises(Dialled) as caught:
        dial(Deadline(1))
    assert caught.value.url == "wss://api.cartesia.ai/tts/websocket?a=b"


# ---- as the official client's users write it


def test_an_httpx_client_is_refused_by_what_to_use() -> None:
    for make in (Cartesia, Cartesia(api_key=KEY).with_options):
        with pytest.raises(TypeError, match=r"^http_client: .*timeout=.*ssl_context=.*HTTPS_PROXY"):
            make(http_client=object())  # type: ignore[arg-type]  # refused by its type too
    assert Cartesia(api_key=KEY, http_client=None).api_key == KEY


def test_not_given_leaves_the_timeout_to_the_client() -> None:
    assert Cartesia(api_key=KEY, timeout=NOT_GIVEN).timeout == DEFAULT_TIMEOUT
    client = Cartesia(api_key=KEY, timeout=(3, 4))
    assert client.with_options(timeout=NOT_GIVEN).timeout == client.timeout
    request = Requester(client)._prepared("GET", "/x", {"timeout": NOT_GIVEN}, "*/*")
    assert (request.connect_timeout, request.read_timeout) == (3, 4)
    assert client.tts.websocket_connect(timeout=NOT_GIVEN)._timeout == client.timeout


def test_httpx_clocks_are_taken_by_the_client_by_a_request_and_by_a_connection() -> None:
    httpx = pytest.importorskip("httpx")
    clocks = httpx.Timeout(60.0, read=5.0, write=10.0, connect=2.0)
    client = Cartesia(api_key=KEY, timeout=clocks)
    expected = Timeout(connect=2.0, read=5.0, write=10.0, first_event=5.0, gap=5.0)
    assert client.timeout == expected == Cartesia(api_key=KEY).with_options(timeout=clocks).timeout
    assert Cartesia(api_key=KEY).tts.websocket_connect(timeout=clocks)._timeout == expected
    request = Requester(Cartesia(api_key=KEY))._prepared("GET", "/x", {"timeout": clocks}, "*/*")
    assert (request.connect_timeout, request.read_timeout) == (2.0, 5.0)


def test_an_answer_as_a_class_of_httpx_is_refused_by_what_to_use() -> None:
    httpx = pytest.importorskip("httpx")
    with pytest.raises(TypeError, match=r"^cast_to=Response: this client has no httpx inside\. Give "):
        Cartesia(api_key=KEY).get("/voices", cast_to=httpx.Response)
