"""What a client tells an inspector, and that nothing of that holds it up."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import signal
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import cartesia_sync
from cartesia_sync import Cartesia
from cartesia_sync.local import LocalServer
from cartesia_sync.transport import mirror as room
from cartesia_sync.transport.mirror import Mirror

from ..local.inspector.conftest import Looker

KEY = "sk_car_never-told-to-anybody"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
SPEECH: Any = {
    "model_id": "sonic-latest",
    "voice": VOICE,
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
}


@pytest.fixture
def service() -> Iterator[LocalServer]:
    with LocalServer(engine="signal") as service:
        yield service


@pytest.fixture
def looker() -> Iterator[Looker]:
    with LocalServer(engine="signal", inspector=True) as server:
        assert server.inspector_url is not None
        looker = Looker(server.inspector_url)
        looker.enter()
        yield looker


def url_of(looker: Looker) -> str:
    return f"http://127.0.0.1:{looker.port}/inspector?t={looker.token}"


def say(client: Cartesia, text: str) -> bytes:
    with client.tts.websocket_connect() as connection:
        context = connection.context(**SPEECH)
        context.push(text, continue_=False)
        return bytes(context.audio())


def dead_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/?t=token"


def test_the_page_sees_what_the_client_says_and_hears(service: LocalServer, looker: Looker) -> None:
    with Cartesia(api_key=KEY, base_url=service.url, inspector=url_of(looker)) as client:
        audio = say(client, "Mirrored.")
        called = client.tts.generate(transcript="By HTTP.", **SPEECH).read()
        token = client.access_token.create(expires_in=60, grants={"tts": True}).token
    entries = looker.entries("end")
    row = next(each["row"] for each in entries if each.get("text") == "Mirrored.")
    assert looker.row(row, "audio")[44:] == audio
    kinds = [each.get("type", each["kind"]) for each in entries if each["row"] == row]
    assert kinds[0] == "sent"
    assert kinds[-1] == "done"
    calls = looker.entries(len(entries) + 3)  # the call for a token
    row = next(each["row"] for each in calls if each.get("text") == "By HTTP.")
    assert looker.row(row, "audio")[44:] == called
    everything = json.dumps(calls) + "".join(looker.row(each["row"]).decode() for each in calls)
    assert "/access-token" in everything
    assert KEY not in everything
    assert token not in everything


def test_a_cancel_a_loss_and_a_refusal_are_told(service: LocalServer, looker: Looker) -> None:
    client = Cartesia(api_key=KEY, base_url=service.url, max_retries=0)
    cartesia_sync.inspect(client, url_of(looker))
    with client, client.tts.websocket_connect() as connection:
        context = connection.context(**SPEECH)
        context.push("Cancelled. ")
        context.cancel()
        service.wait_for(
            lambda server: any(isinstance(e.message, dict) and e.message.get("cancel") for e in server.heard), 10
        )
        with pytest.raises(cartesia_sync.NotFoundError):
            client.voices.get("nobody")
    entries = looker.entries("close")
    assert [each["cancel"] for each in entries if "cancel" in each] == [True]
    assert [each["status"] for each in entries if each["kind"] == "answer"] == [404]
    assert [each["how"] for each in entries if each["kind"] == "end"] == ["whole"]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "http://127.0.0.1:1/inspector",
        "http://192.0.2.1:1/?t=x",
        "https://127.0.0.1/?t=x",
        "http://e.example/?t=x",
        "http://[::1/?t=x",
    ],
)
def test_only_this_machine_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match="inspector: "):
        Cartesia(api_key=KEY, inspector=wrong)
    client = Cartesia(api_key=KEY)
    with pytest.raises(ValueError, match="inspector: "):
        cartesia_sync.inspect(client, wrong)


def test_a_dead_inspector_is_tried_once_in_five_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert room.RETRY_AFTER == 5.0
    pauses, goes_on, tried = threading.Semaphore(0), threading.Semaphore(0), []
    post, pause = room._Outbox._post, room._Outbox._pause
    resumed = threading.Semaphore(0)

    def posting(self: Any, *given: Any) -> str:
        tried.append(1)
        return post(self, *given)

    def pausing(self: Any) -> None:
        pauses.release()
        assert goes_on.acquire(timeout=10)
        pause(self)
        resumed.release()

    monkeypatch.setattr(room, "RETRY_AFTER", 0.0)
    monkeypatch.setattr(room._Outbox, "_post", posting)
    monkeypatch.setattr(room._Outbox, "_pause", pausing)
    mirror = Mirror(dead_url())
    tap = mirror.tap("/tts/websocket", "v")
    assert pauses.acquire(timeout=10)
    for _ in range(100):
        tap.heard(b"x")
    assert len(tried) == 1
    assert mirror._outbox._bytes == 0
    assert mirror.dropped == 101
    goes_on.release()
    assert resumed.acquire(timeout=10)
    tap.heard(b"x")
    assert pauses.acquire(timeout=10)
    assert len(tried) == 2
    assert mirror.dropped == 102
    thread = mirror._outbox._threads["thread"]
    mirror.close()
    goes_on.release()
    thread.join(10)
    assert len(tried) == 2  # nothing is tried at the end
    assert [record.levelname for record in caplog.records if record.name == "cartesia_sync.inspector"] == ["WARNING"]


def test_a_pause_ends_with_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Semaphore(0)
    pause = room._Outbox._pause

    def pausing(self: Any) -> None:
        silent.release()
        pause(self)

    monkeypatch.setattr(room._Outbox, "_pause", pausing)
    monkeypatch.setattr(room, "RETRY_AFTER", 600.0)
    mirror = Mirror(dead_url())
    mirror.tap("/tts/websocket", "v")
    assert silent.acquire(timeout=10)
    mirror.close()
    mirror._outbox._threads["thread"].join(10)
    assert not mirror._outbox._threads["thread"].is_alive()


def test_what_finds_no_room_is_dropped_and_counted(looker: Looker) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    mirror = Mirror(f"http://127.0.0.1:{silent.getsockname()[1]}/?t=x")
    tap = mirror.tap("/tts/websocket", "v")
    peer, _ = silent.accept()  # the thread waits for an answer from now on
    for _ in range(100):
        tap.heard(bytes(2**20))
    assert mirror._outbox._bytes <= room.MOST_BYTES
    assert 92 <= mirror.dropped <= 93
    peer.close()
    silent.close()
    mirror.close()


def test_the_page_is_told_what_was_dropped(looker: Looker) -> None:
    mirror = Mirror(url_of(looker))
    mirror._outbox.dropped = 7
    mirror.tap("/tts/websocket", "v")
    entries = looker.entries("dropped")
    assert "7 entries dropped" in entries[-1]["text"]
    mirror.close()


def test_a_wrong_token_is_told_in_the_log(looker: Looker, caplog: pytest.LogCaptureFixture) -> None:
    mirror = Mirror(url_of(looker) + "x")
    mirror.tap("/tts/websocket", "v")
    thread = mirror._outbox._threads["thread"]
    mirror.close()
    thread.join(10)
    assert "with status 403" in caplog.text
    assert looker.token not in caplog.text


def test_no_proxy_is_used(service: LocalServer, looker: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", dead_url())
    monkeypatch.setenv("ALL_PROXY", dead_url())
    monkeypatch.setenv("NO_PROXY", "")
    mirror = Mirror(url_of(looker))
    mirror.tap("/tts/websocket", "v").closed()
    looker.entries("close")
    mirror.close()


def test_an_inspector_that_answers_nonsense_harms_nobody(
    service: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nonsense:

        def answer() -> None:
            peer, _ = nonsense.accept()
            with peer:
                peer.recv(1)
                peer.sendall(b"\x00\xff nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{nonsense.getsockname()[1]}/?t=x"
        with Cartesia(api_key=KEY, base_url=service.url, inspector=url) as client:
            assert say(client, "Heard.")
            assert client.get_status().ok
        thread.join(10)
        client._shared.mirror._outbox._threads["thread"].join(10)  # type: ignore[union-attr]  # it has one
    assert "does not answer" in caplog.text


def test_it_ends_with_its_client(service: LocalServer, looker: Looker) -> None:
    client = Cartesia(api_key=KEY, base_url=service.url, inspector=url_of(looker))
    assert client.get_status().ok
    thread = client._shared.mirror._outbox._threads["thread"]  # type: ignore[union-attr]  # it has one
    assert thread.daemon
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
    thread.join(10)
    assert not thread.is_alive()


def test_copies_tell_nobody_and_options_share(looker: Looker) -> None:
    with Cartesia(api_key=KEY, inspector=url_of(looker)) as client:
        assert client.with_options(max_retries=1)._shared.mirror is client._shared.mirror
        for each in (copy.copy(client), copy.deepcopy(client), pickle.loads(pickle.dumps(client))):
            assert each._shared.mirror is None
        cartesia_sync.inspect(client, None)
        assert client._shared.mirror is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_tells_nothing(looker: Looker) -> None:
    mirror = Mirror(url_of(looker))
    tap = mirror.tap("/tts/websocket", "v")
    child = os.fork()
    if not child:
        signal.alarm(10)
        tap.heard(b"child")
        mirror.tap("/child", "v")
        mirror.close()
        room._at_the_end()
        os._exit(0 if not mirror._outbox._items or mirror._outbox._items[-1].do != "heard" else 1)
    assert os.waitpid(child, 0)[1] == 0
    tap.closed()
    entries = looker.entries("close")
    assert [each["kind"] for each in entries] == ["open", "close"]
    mirror.close()


def test_nothing_is_loaded_or_started_without_it(service: LocalServer) -> None:
    with Cartesia(api_key=KEY, base_url=service.url) as client:
        assert say(client, "Nobody looks on.")
        assert client._shared.mirror is None
    assert not [each for each in threading.enumerate() if "inspector" in each.name]
