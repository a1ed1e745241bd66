"""Clients that are handed to another process, whatever was done with them before."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from scene import FORMAT, TEXT, VOICE, client_of, connect, context_of, play, rest_of, speaking

from cartesia_sync import Cartesia

WAV = {**FORMAT, "container": "wav"}


def over_http(client: Cartesia) -> int:
    return len(client.tts.generate(model_id="sonic-latest", transcript=TEXT, voice=VOICE, output_format=WAV).read())


def over_a_websocket(client: Cartesia) -> bytes:
    with client.tts.websocket_connect() as connection:
        return rest_of(speaking(connection))


def speak(client: Cartesia) -> tuple[bool, int, bytes]:
    return client.is_closed(), over_http(client), over_a_websocket(client)


def hand_over(url: str, method: str) -> None:
    with connect(url) as connection:
        context = context_of(connection)  # a connection of the parent's is no matter
        fresh, used, closed = client_of(url), client_of(url), client_of(url)
        for client in (used, closed):
            expected = (False, over_http(client), over_a_websocket(client))
        closed.close()
        clients = [fresh, used, closed, fresh.with_options(max_retries=0), used.with_options(max_retries=0)]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as workers:
            for heard in workers.map(speak, clients):
                assert heard == expected
            assert workers.submit(over_http, fresh).result() == expected[1]
            assert workers.submit(over_a_websocket, fresh).result() == expected[2]
        context.push(TEXT, continue_=False)
        assert rest_of(context) == expected[2]
        assert over_http(used) == expected[1]
        used.close()
        fresh.close()


def spawned(url: str) -> None:
    hand_over(url, "spawn")


def from_a_fork_server(url: str) -> None:
    hand_over(url, "forkserver")


if __name__ == "__main__":
    play({name: scene for name, scene in globals().items() if callable(scene) and name != "play"})
