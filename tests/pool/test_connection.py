from __future__ import annotations

import copy
import inspect
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cartesia_sync import Cartesia, WebSocketConnectionClosedError
from cartesia_sync.local import LocalServer
from cartesia_sync.pool.connection import ProcessConnection
from cartesia_sync.streaming.connection import Connection

from ..support.processes import VOICE

BOUND = 10.0


def say(connection: Connection, text: str = "Hello.") -> bytes:
    context = connection.context(voice=VOICE)
    context.push(text, continue_=False)
    return context.audio()


def test_it_is_one_for_all_threads_and_opened_when_it_is_needed(client: Cartesia, server: LocalServer) -> None:
    start = threading.Barrier(16)

    def speak(_: int) -> tuple[Connection, bytes]:
        start.wait(BOUND)
        connection = client.tts.connection()
        return connection, say(connection)

    connection = client.tts.connection()
    assert isinstance(connection, Connection)
    assert server.handshakes == []
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(speak, range(16)))
    assert {id(each) for each, _ in found} == {id(connection)}
    assert len({audio for _, audio in found}) == 1
    assert len(server.handshakes) == 1


def test_each_client_has_its_own_and_closing_one_closes_those_that_share(client: Cartesia) -> None:
    other = client.with_options(max_retries=0)
    mine, others = client.tts.connection(), other.tts.connection()
    assert mine is not others
    assert copy.copy(client).tts.connection() is not mine
    say(mine)
    say(others)
    other.close()
    for connection in (mine, others, client.tts.connection()):
        with pytest.raises(WebSocketConnectionClosedError):
            connection.context(voice=VOICE)


def test_a_client_that_is_closed_has_none(client: Cartesia, server: LocalServer) -> None:
    client.close()
    with pytest.raises(WebSocketConnectionClosedError):
        client.tts.connection().context(voice=VOICE)
    assert server.handshakes == []


def test_it_is_opened_again(client: Cartesia, server: LocalServer) -> None:
    connection = client.tts.connection()
    say(connection)
    server.drop_connections()
    server.wait_for(lambda server: server.open_connections == 0, BOUND)
    reader = connection._link.reader
    assert reader is not None
    reader.join(BOUND)
    say(connection)
    assert len(server.handshakes) == 2
    connection.close()
    connection.close()
    say(connection)
    assert len(server.handshakes) == 3


def test_a_block_leaves_it_to_the_others(client: Cartesia, server: LocalServer) -> None:
    with client.tts.connection() as connection:
        say(connection)
    with client.tts.connection() as connection:
        say(connection)
    assert len(server.handshakes) == 1


def test_all_that_a_connection_can_it_can(client: Cartesia) -> None:
    connection = client.tts.connection()
    connection.send({"context_id": "a", "transcript": "Hi.", "voice": {"mode": "id", "id": VOICE}, **WANTED})
    first = connection.recv(timeout=BOUND)
    assert first.context_id == "a"
    while not first.done:
        first = connection.recv(timeout=BOUND)
    contexts = [connection.context(voice=VOICE) for _ in range(2)]
    for context in contexts:
        context.push("Hello.", continue_=False)
    assert {id(context) for context, _ in connection.receive_any(*contexts)} == set(map(id, contexts))
    assert connection.stats.late_events == 0
    assert repr(connection) == "<Connection open>"
    assert connection.parse_event('{"type": "done", "context_id": "x"}').type == "done"


WANTED = {
    "model_id": "sonic-latest",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000},
}


def test_what_uses_several_attributes_of_a_connection_asks_one_of_them_for_all() -> None:
    """Between two of them the connection may have been replaced."""
    for name, method in vars(Connection).items():
        if inspect.isfunction(method) and name not in vars(ProcessConnection):
            source = inspect.getsource(method)
            assert source.count("self._") < 2 or name in ("__init__", "_first_of", "recv", "_have_told")


def test_it_does_not_travel(client: Cartesia) -> None:
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"send the client, which can, and call client\.tts\.connection"):
            travel(client.tts.connection())
    say(client.tts.connection())
    with pickle.loads(pickle.dumps(client)).tts.connection() as connection:
        assert say(connection)
    connection.close()
