"""A peer for the local server: the ``websockets`` package, which shares no code with either side."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Callable, NamedTuple, Optional

import pytest
import requests
import trustme
from websockets.sync.client import connect

from cartesia_sync.local import LocalServer

BOUND = 10.0
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def request(context_id: str, transcript: str, **fields: Any) -> dict[str, Any]:
    return {
        "model_id": "sonic-latest",
        "transcript": transcript,
        "voice": VOICE,
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 22050},
        "context_id": context_id,
        **fields,
    }


class Peer:
    """A plain client: it sends what the test wants, right or wrong."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket

    def send(self, message: Any) -> None:
        self.websocket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def ask(self, context_id: str, transcript: str, **fields: Any) -> None:
        if "continue_" in fields:
            fields["continue"] = fields.pop("continue_")
        self.send(request(context_id, transcript, **fields))

    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.websocket.recv(timeout=BOUND))
        return event

    def until(self, *contexts: str) -> list[dict[str, Any]]:
        """All events until each of these contexts, "a" if none is named, has had its last one."""
        waiting = set(contexts or ("a",))
        events = []
        while waiting:
            events.append(self.event())
            if events[-1]["done"]:
                waiting.discard(events[-1].get("context_id", ""))
        return events

    def fence(self) -> list[dict[str, Any]]:
        """All events that come before the answer to a mistake made now, without that answer."""
        self.send("fence")
        events = []
        while True:
            events.append(self.event())
            if events[-1]["type"] == "error" and "context_id" not in events[-1]:
                return events[:-1]


@pytest.fixture
def dial() -> Iterator[Callable[..., Peer]]:
    """Connect to a server: ``dial(server, path="...", headers={...})``. Closed when the test is over."""
    with ExitStack() as stack:

        def connect_to(server: LocalServer, path: str = "", headers: Optional[dict[str, str]] = None) -> Peer:
            websocket = connect(
                f"{server.websocket_url}/tts/websocket{path}",
                additional_headers={"X-API-Key": "any"} if headers is None else headers,
                max_size=None,
                open_timeout=BOUND,
                close_timeout=BOUND,
                ping_interval=None,
            )
            stack.callback(websocket.close)
            return Peer(websocket)

        yield connect_to


@pytest.fixture
def audio_of() -> Callable[..., bytes]:
    """Join the audio in events: ``audio_of(events, "a")``."""

    def joined(events: list[dict[str, Any]], context_id: str = "a") -> bytes:
        return b"".join(
            base64.b64decode(event["data"])
            for event in events
            if event["type"] == "chunk" and event["context_id"] == context_id
        )

    return joined


@pytest.fixture
def request_for() -> Callable[..., dict[str, Any]]:
    """A good request: ``request_for("a", "Hello.", flush=True)``."""
    return request


@pytest.fixture
def ask() -> Iterator[Callable[..., requests.Response]]:
    """Ask over HTTP: ``ask(server, "POST", "/tts/bytes", json={...}, version="...", key="...")``."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no netrc

        def of(
            server: LocalServer,
            method: str,
            path: str,
            *,
            version: Optional[str] = None,
            key: Optional[str] = "any",
            **options: Any,
        ) -> requests.Response:
            headers = {"X-API-Key": key, "Cartesia-Version": version, **options.pop("headers", {})}
            return session.request(method, server.url + path, headers=headers, timeout=BOUND, **options)

        yield of


class Trust(NamedTuple):
    """A server's certificate, and the client that believes it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    chain: str  # the file of the certificate and its key


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """A server that proves to be this machine, and a client that believes it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    chain = tmp_path_factory.mktemp("tls") / "chain.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(chain))
    return Trust(server, client, str(chain))
