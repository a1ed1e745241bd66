"""What a server was told, as assertions ask for it."""

from __future__ import annotations

import copy
import os
import pickle

import pytest

from cartesia_sync import Cartesia, RateLimitError
from cartesia_sync.local import Refuse
from cartesia_sync.testing import CartesiaServer, ServedCartesia, local_client

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}


def test_contexts_and_calls_are_seen_whole_and_in_order() -> None:
    with local_client() as client:
        generate = {"model_id": "sonic-latest", "voice": VOICE, "output_format": FORMAT}
        client.tts.generate(transcript="First.", **generate).read()  # type: ignore[arg-type]  # plain dicts, as users write
        with client.tts.websocket_connect() as connection:
            context = connection.context(model_id="sonic-latest", voice=VOICE, output_format=FORMAT, language="en")
            context.push("Second, ")
            context.push("whole. ", flush=True)
            context.no_more_inputs()
            context.audio()
            client.tts.generate(transcript="Third.", **generate).read()  # type: ignore[arg-type]  # see above
        server = client.server
        assert server.spoken == ["First.", "Second, whole. ", "Third."]
        (seen,) = server.contexts
        assert seen.pieces == ["Second, ", "whole. "]
        assert (seen.finished, seen.flushes, seen.cancelled) == (True, 1, False)
        assert (seen.id, seen.voice, seen.model_id) == (context.context_id, VOICE, "sonic-latest")
        assert (seen.language, seen.output_format) == ("en", FORMAT)
    assert server.spoken == ["First.", "Second, whole. ", "Third."]  # after its end, too


def test_what_was_just_sent_is_seen() -> None:
    with local_client() as client, client.tts.websocket_connect() as connection:
        for number in range(1, 21):
            context = connection.context(model_id="sonic-latest", voice=VOICE, output_format=FORMAT)
            context.push("Hello. ")
            assert len(client.server.contexts) == number
            context.cancel()
            assert client.server.contexts[-1].cancelled


def test_a_server_that_goes_wrong() -> None:
    with local_client(faults=[Refuse(429, times=None)]) as client:
        with pytest.raises(RateLimitError):
            client.with_options(max_retries=0).tts.websocket_connect().enter()
        assert client.server.contexts == []


def test_the_environment_leads_to_the_server_and_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "mine")
    with local_client() as client:
        assert Cartesia().base_url == client.server.url
        assert Cartesia().api_key == "any"
    assert os.environ["CARTESIA_API_KEY"] == "mine"
    assert "CARTESIA_BASE_URL" not in os.environ


def test_copies_know_no_server() -> None:
    with local_client() as client:
        copies = [copy.copy(client), copy.deepcopy(client), pickle.loads(pickle.dumps(client))]
        for each in copies:
            assert isinstance(each, ServedCartesia)
            with each:
                assert each.get_status().ok
                with pytest.raises(AttributeError, match="a copy of the client"):
                    assert each.server
        assert isinstance(client.server, CartesiaServer)
