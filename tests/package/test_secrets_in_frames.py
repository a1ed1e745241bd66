"""Tools that print what the frames of an exception hold (crash reporters, ``pytest -l``) find no credential in ours."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import cartesia_sync
from cartesia_sync import Cartesia, CartesiaError
from cartesia_sync.local import LocalServer, Refuse, RefuseRequest

KEY = "sk_car_made_up_and_in_no_frame"
PASSWORD = "made-up-and-in-no-frame"
OURS = str(Path(cartesia_sync.__file__).parent)
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
SPEECH: dict[str, Any] = {
    "model_id": "sonic-3",
    "transcript": "x",
    "voice": VOICE,
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}

CALLS: dict[str, Callable[[Cartesia], object]] = {
    "http": lambda client: client.voices.get("x"),
    "list": lambda client: list(client.voices.list()),
    "audio": lambda client: client.tts.generate(**SPEECH).read(),
    "raw": lambda client: client.with_raw_response.voices.get("x"),
    "websocket": lambda client: client.tts.websocket_connect().__enter__(),
}


def shown(error: BaseException, secret: str) -> Iterator[tuple[str, str]]:
    """Yield the functions of the package, and the names in them, whose repr shows the secret."""
    left: list[Any] = [error]
    while left:
        each = left.pop()
        left += [behind for behind in (each.__cause__, each.__context__) if behind is not None]
        trace = each.__traceback__
        while trace is not None:
            frame, trace = trace.tb_frame, trace.tb_next
            if frame.f_code.co_filename.startswith(OURS):
                for name, value in frame.f_locals.items():
                    if secret in repr(value):
                        yield frame.f_code.co_name, name


@pytest.fixture(scope="module")
def refusing() -> Iterator[LocalServer]:
    with LocalServer(engine="signal", faults=[RefuseRequest(400, times=None), Refuse(403, times=None)]) as server:
        yield server


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("by", ["key", "function"])
def test_a_refusal_shows_no_key(refusing: LocalServer, name: str, by: str) -> None:
    given: dict[str, Any] = {"api_key": KEY} if by == "key" else {"token": lambda: KEY}
    with Cartesia(base_url=refusing.url, max_retries=0, **given) as client, pytest.raises(CartesiaError) as caught:
        CALLS[name](client)
    assert list(shown(caught.value, KEY)) == []


@pytest.mark.parametrize("name", CALLS)
def test_a_service_that_cannot_be_reached_shows_no_key(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Cartesia(api_key=KEY, base_url=url, max_retries=0) as client, pytest.raises(CartesiaError) as caught:
            CALLS[name](client)
    assert list(shown(caught.value, KEY)) == []


@pytest.mark.parametrize("name", CALLS)
def test_a_proxy_that_cannot_be_reached_shows_no_password(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://somebody:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}"
        for variable in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, proxy)
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(variable, raising=False)
        client = Cartesia(api_key=KEY, base_url="https://service.invalid", max_retries=0)
        with client, pytest.raises(CartesiaError) as caught:
            CALLS[name](client)
    assert list(shown(caught.value, KEY)) == []
    # From the exception and what is behind it, attribute by attribute, no way leads there.
    left: list[Any] = [caught.value]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, (str, bytes)):
            assert PASSWORD not in str(each)
        elif isinstance(each, BaseException):
            left += [*each.args, *vars(each).values(), each.__cause__, each.__context__]
        elif isinstance(each, dict):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            left += each
        elif hasattr(each, "__dict__") and not isinstance(each, type):
            left += vars(each).values()
