"""A client is copied, pickled, and handed to other processes, whatever was done with it before."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cartesia_sync import APIConnectionError, Cartesia, Timeout, core
from cartesia_sync.local import LocalServer

from ..support.processes import STRICT, assert_quiet, script, serving

KEY = "sk_car_a-very-secret-key"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
WAV = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000}
BOUND = 20.0
Travel = Callable[[Cartesia], Cartesia]


def pickled(protocol: int) -> Travel:
    return lambda client: pickle.loads(pickle.dumps(client, protocol))


WAYS: dict[str, Travel] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": pickled(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


def over_http(client: Cartesia) -> int:
    return len(client.tts.generate(model_id="sonic-latest", transcript="Hi.", voice=VOICE, output_format=WAV).read())


def over_a_websocket(client: Cartesia) -> int:
    with client.tts.websocket_connect() as connection:
        context = connection.context(voice=VOICE)
        context.push("Hi.", continue_=False)
        return len(context.audio())


def close(client: Cartesia) -> None:
    over_http(client)
    client.close()


HISTORIES: dict[str, Callable[[Cartesia], object]] = {
    "fresh": lambda client: client,
    "over HTTP": over_http,
    "over a WebSocket": over_a_websocket,
    "closed": close,
    "closed unused": Cartesia.close,
}


@ways
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_what_comes_out_works_whatever_was_done_before(
    way: Travel, history: Callable[[Cartesia], object], server: LocalServer
) -> None:
    client = Cartesia(api_key=KEY, base_url=server.url)
    history(client)
    was_closed = client.is_closed()
    with way(client) as made:
        assert not made.is_closed()
        assert over_http(made)
        assert over_a_websocket(made)
    assert made.is_closed()
    assert client.is_closed() is was_closed  # the connections are each one's own
    client.close()
    with way(made) as again:
        assert over_http(again)


@ways
def test_every_setting_travels(way: Travel) -> None:
    client = Cartesia(
        token="a-very-secret-token",
        base_url="http://one.example/v1",
        websocket_base_url="wss://two.example",
        cartesia_version="2026-03-01",
        default_headers={"X-A": "1"},
        default_query={"a": ["1", "2"]},
        timeout=Timeout(connect=3, whole=4),
        max_retries=7,
        max_answer_bytes=1000,
        allow_insecure=True,
    ).with_options(default_headers={"X-B": "2"})
    client.max_retries = 8  # as some set it afterwards
    made = way(client)
    live = ("_shared", "_resources")
    assert {name: value for name, value in vars(made).items() if name not in live} == {
        name: value for name, value in vars(client).items() if name not in live
    }
    assert made._headers["Authorization"] == "Bearer a-very-secret-token"
    assert made.tts is made.tts is not client.tts
    assert made.with_options(base_url="http://three.example").websocket_base_url == "wss://two.example"


def test_every_argument_is_known_to_those_that_can_be_named() -> None:
    arguments = set(inspect.signature(Cartesia.__init__).parameters) - {"self", "ssl_context", "http_client"}
    arguments -= {"inspector"}  # it stays behind: copies are not shown
    assert set(core._SETTINGS.values()) == arguments
    assert set(core._SETTINGS) <= set(vars(Cartesia(api_key=KEY)))


@ways
def test_a_key_of_the_environment_travels_too(way: Travel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    monkeypatch.setenv("CARTESIA_BASE_URL", "http://127.0.0.1:1")
    client = Cartesia()
    monkeypatch.delenv("CARTESIA_API_KEY")
    monkeypatch.delenv("CARTESIA_BASE_URL")
    made = way(client)
    assert (made.api_key, made.base_url, made.websocket_base_url) == (KEY, "http://127.0.0.1:1", "ws://127.0.0.1:1")


def test_the_docstring_says_that_the_key_is_in_the_pickle_in_clear() -> None:
    assert KEY.encode() in pickle.dumps(Cartesia(api_key=KEY))
    assert "The key is in the pickle in clear" in " ".join((Cartesia.__doc__ or "").split())


class Unwilling:
    """Can neither be pickled nor copied."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("unwilling")


UNWILLING: list[Any] = [lambda: 1, threading.Lock(), Unwilling()]


@pytest.mark.parametrize("value", UNWILLING, ids=lambda value: type(value).__name__)
def test_an_argument_that_cannot_be_pickled_is_named_and_copies_share_it(value: Any) -> None:
    client = Cartesia(api_key=KEY, default_query={"a": value})
    for made in (client, client.with_options(max_retries=0), copy.copy(client), copy.deepcopy(client)):
        with pytest.raises(
            TypeError, match=r"because of its default_query \(.*make the client in the process"
        ) as refused:
            pickle.dumps(made)
        assert KEY not in str(refused.value)
        assert made._default_query["a"] is value


def test_an_ssl_context_cannot_be_pickled_and_is_shared_by_copies() -> None:
    context = ssl.create_default_context()
    client = Cartesia(api_key=KEY, ssl_context=context)
    for made in (client, client.with_options(max_retries=0), copy.copy(client), copy.deepcopy(client)):
        with pytest.raises(TypeError, match=r"because of its ssl_context .*make the client in the process"):
            pickle.dumps(made)
        assert made._trust is context


def test_a_trust_that_was_made_by_itself_stays_behind_in_a_pickle() -> None:
    client = Cartesia(api_key=KEY)
    assert copy.copy(client)._trust is copy.deepcopy(client)._trust is client._trust
    assert pickle.loads(pickle.dumps(client))._trust is not client._trust


class Own(Cartesia):
    """As a user derives one."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = [name]
        self.itself = self


@ways
def test_a_derived_client_travels_with_its_attributes(way: Travel) -> None:
    client = Own("a", api_key=KEY)
    made = way(client)
    assert isinstance(made, Own)
    assert made.name == ["a"]
    assert (made.name is client.name) is (way is copy.copy)
    assert made.itself is (client if way is copy.copy else made)


def test_a_derived_clients_attribute_that_cannot_be_copied_is_not_passed_over() -> None:
    client = Own("a", api_key=KEY)
    client.name = threading.Lock()  # type: ignore[assignment]  # the point of the test
    with pytest.raises(TypeError, match="lock"):
        copy.deepcopy(client)


@ways
def test_a_deep_copys_query_is_its_own(way: Travel) -> None:
    client = Cartesia(api_key=KEY, default_query={"a": [1]})
    made = way(client)
    assert made._default_query == {"a": [1]}
    assert (made._default_query["a"] is client._default_query["a"]) is (way is copy.copy)


NOUNS = [
    "tts",
    "voices",
    "pronunciation_dicts",
    "voice_changer",
    "stt",
    "access_token",
    "datasets",
    "fine_tunes",
    "agents",
    "agents.calls",
    "agents.metrics",
    "agents.deployments",
]


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_travels_with_its_client(noun: str) -> None:
    client = Cartesia(api_key=KEY, base_url="http://127.0.0.1:1", max_retries=0)
    thing: Any = client
    for name in noun.split("."):
        thing = getattr(thing, name)
    for made in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing)):
        assert type(made) is type(thing)
        assert made._client is not client
        assert made._client.base_url == client.base_url
    assert copy.copy(thing)._client is client
    refused = Cartesia(api_key=KEY, ssl_context=ssl.create_default_context())
    with pytest.raises(TypeError, match="ssl_context"):
        pickle.dumps(refused.tts)


@pytest.mark.parametrize("scene", ["spawned", "from_a_fork_server"])
@pytest.mark.skipif(os.name != "posix", reason="has no fork server")
def test_a_client_is_handed_to_a_process_that_was(scene: str, server: LocalServer) -> None:
    with script("travelling", scene, server.url, *STRICT) as run:
        assert_quiet(run)


# ---- closing what shares connections, or has none


def test_a_client_that_made_no_request_is_closed_without_making_connections() -> None:
    """Which would import requests: in a signal handler, perhaps in the middle of the same import."""
    code = """
import sys
from cartesia_sync import Cartesia
with Cartesia(api_key="any") as client:
    assert not client.is_closed()
assert client.is_closed()
assert client.with_options(max_retries=0).is_closed()
client.close()
assert "requests" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=BOUND)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_client_that_was_closed_before_its_first_request_refuses_it(server: LocalServer) -> None:
    client = Cartesia(api_key=KEY, base_url=server.url)
    sharing = client.with_options(max_retries=0)
    client.close()
    for each in (client, sharing):
        with pytest.raises(APIConnectionError, match="the client is closed"):
            each.get_status()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("used", [False, True])
def test_a_forked_child_of_a_closed_client_has_connections_of_its_own(used: bool, server: LocalServer) -> None:
    client = Cartesia(api_key=KEY, base_url=server.url)
    if used:
        over_http(client)
    client.close()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if not client.is_closed() and over_http(client) else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert client.is_closed()
