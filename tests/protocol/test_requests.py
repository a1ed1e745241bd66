"""What is sent, beside what the official client sends for the same arguments."""

from __future__ import annotations

import contextlib
import functools
import json
import queue
import re
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from cartesia_sync import Cartesia
from cartesia_sync.errors import WebSocketConnectionClosedError
from cartesia_sync.protocol import codec
from cartesia_sync.protocol.requests import (
    CancelRequest,
    CommonSpeechOptions,
    EventSpeechOptions,
    GenerationRequest,
    SpeechOptions,
)
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket import handshake
from cartesia_sync.transport.websocket.duplex import Frame

BOUND = 10.0
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
OTHER_FORMAT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
FULL_CONTEXT: dict[str, Any] = {
    "model_id": "sonic-3.5",
    "voice": "voice-1",
    "output_format": FORMAT,
    "language": "en",
    "add_timestamps": True,
    "add_phoneme_timestamps": False,
    "generation_config": {"speed": 1.2},
    "max_buffer_delay_ms": 0,
    "pronunciation_dict_id": "dict-1",
    "use_normalized_timestamps": True,
}
OLD, NEW = "2026-03-01", "2026-08-14"


# ---- the two clients, with the test at the far end


class RecordingWire:
    """The far end is the test: it takes everything, and says nothing until the connection is closed."""

    tap = None
    was_woken = True

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.unsent: list[Frame] = []
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._has_ended = False

    def read(self, deadline: Deadline) -> Optional[bytes]:
        self._wakes.get(timeout=BOUND)
        if self._has_ended:
            raise WebSocketConnectionClosedError("closed")
        return None

    @staticmethod
    def frame(message: bytes) -> Frame:
        return Frame(message)

    def tell(self, messages: Iterable[Any]) -> None:
        """Nobody looks on."""

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        self.messages.append(frame.data)
        frame.has_left = True

    def post(self, message: bytes) -> None:
        self.messages.append(message)

    def send_close(self, code: int, reason: str = "") -> None:
        self.shutdown()

    def wake(self) -> None:
        self._wakes.put(None)

    def shutdown(self) -> None:
        self._has_ended = True
        self.wake()

    def release(self) -> None:
        pass

    @property
    def is_in_use_here(self) -> bool:
        return False


class OfficialSocket:
    """What the official connection sends on: the ``websockets`` library, as far as it is used."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def send(self, message: str) -> None:
        self.messages.append(message)


@contextlib.contextmanager
def our_connection(version: str = NEW) -> Iterator[tuple[Connection, list[bytes]]]:
    far_end = RecordingWire()
    client = Cartesia(api_key="k", cartesia_version=version)
    manager = client.tts.websocket_connect(ping_interval=None, reconnect=False)
    with mock.patch.object(handshake, "connect", return_value=far_end), manager as connection:
        yield connection, far_end.messages


def official_connection() -> tuple[Any, list[str]]:
    tts = pytest.importorskip("cartesia.lib._tts")
    socket = OfficialSocket()
    return tts.TTSResourceConnection(socket), socket.messages


def read(message: Any) -> list[tuple[str, Any]]:
    """Read a message as pairs, so that the order of the keys counts, and leave the voice for a test of its own."""
    pairs = list(json.loads(message).items())
    return [(key, "the voice" if key == "voice" else value) for key, value in pairs]


def both(context: dict[str, Any], talk: Callable[[Any], None]) -> tuple[list[Any], list[Any]]:
    """Return what our client and the official one send when the same is said."""
    with our_connection() as (connection, our_messages):
        ours = connection.context("turn-17", **context)  # held: one that nobody holds is cancelled
        talk(ours)
    official, official_messages = official_connection()
    talk(official.context("turn-17", **context))
    return [read(message) for message in our_messages], [read(message) for message in official_messages]


def say(words: dict[str, Any], context: Any) -> None:
    context.send(**words)


# ---- beside the official client

CONTEXTS: dict[str, dict[str, Any]] = {
    "bare": {},
    "with a voice": {"voice": "voice-1"},
    "with all": FULL_CONTEXT,
    "with False and 0": {
        "add_timestamps": False,
        "add_phoneme_timestamps": False,
        "use_normalized_timestamps": False,
        "max_buffer_delay_ms": 0,
        "generation_config": {},
        "language": "",
        "pronunciation_dict_id": "",
    },
    "with None": dict.fromkeys(FULL_CONTEXT),
}
SENDS: dict[str, dict[str, Any]] = {
    "the least": {},
    "empty text": {"transcript": ""},
    "text of all kinds": {"transcript": 'He said: "\u00e9\u4f60\U0001f600"\n\t\\ \x7f\u2028</script>'},
    "the last": {"continue_": False},
    "flush": {"flush": True},
    "no flush": {"flush": False},
    "flush None": {"flush": None},
    "speed": {"speed": "fast"},
    "speed None": {"speed": None},
    "flush and speed": {"flush": True, "speed": "slow"},
    "model and format": {"model_id": "sonic-turbo", "output_format": OTHER_FORMAT},
    "model and format None": {"model_id": None, "output_format": None},
    "a format with more": {"output_format": {**FORMAT, "bit_depth": 24}},
    "language": {"language": "de"},
    "language None": {"language": None},
    "timestamps": {"add_timestamps": True, "add_phoneme_timestamps": True},
    "no timestamps": {"add_timestamps": False, "add_phoneme_timestamps": False},
    "timestamps None": {"add_timestamps": None, "add_phoneme_timestamps": None},
    "config": {"generation_config": {"volume": 0.5, "speed": 1, "emotion": "calm"}},
    "empty config": {"generation_config": {}},
    "config None": {"generation_config": None},
    "fields of no name": {"locale": "en-GB", "duration": 3.5, "normalization": None, "accent": ["a", {"b": 1}]},
    "fields that win": {"max_buffer_delay_ms": 100, "pronunciation_dict_id": "dict-2", "duration": 1},
    "fields that are None": {"max_buffer_delay_ms": None, "use_normalized_timestamps": None},
    "a context id in the push": {"context_id": "another"},
    "all": {
        "flush": False,
        "speed": "normal",
        "language": "fr",
        "add_timestamps": False,
        "add_phoneme_timestamps": True,
        "generation_config": {"emotion": "sad"},
        "continue_": False,
        "stream": True,
    },
}


@pytest.mark.parametrize("which", SENDS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_send_says_what_the_official_client_says(context: str, which: str) -> None:
    words = {"transcript": "Hello. ", "voice": "voice-2", **SENDS[which]}
    ours, official = both(CONTEXTS[context], lambda each: each.send(**words))
    assert ours == official
    assert len(ours) == 1


@pytest.mark.parametrize(
    "which", [each for each in SENDS if each != "empty text"]
)  # which is held back: the service refuses it
def test_push_says_what_the_official_client_says(which: str) -> None:
    words = {"transcript": "Hello. ", **SENDS[which]}
    for context in (FULL_CONTEXT, {"voice": "voice-1"}):
        ours, official = both(context, lambda each: each.push(**words))
        assert ours == official
    ours, official = both({}, lambda each: each.push(**words, voice="voice-2"))
    assert ours == official


@pytest.mark.parametrize("empty", [{"model_id": ""}, {"output_format": {}}], ids=repr)
def test_an_empty_model_or_format_is_the_services_to_refuse(empty: dict[str, Any]) -> None:
    """As with the official client: a setting that was read as "" must not turn into another model unnoticed."""
    for context, fields in (({}, empty), (empty, {}), (FULL_CONTEXT, empty)):
        words = {"transcript": "x", "voice": "v", **fields}
        ours, official = both(context, functools.partial(say, words))
        assert ours == official


@pytest.mark.parametrize("context", [{"voice": "voice-1"}, FULL_CONTEXT, {}], ids=["voice", "all", "bare"])
def test_a_whole_conversation_is_the_official_clients(context: dict[str, Any]) -> None:
    def talk(each: Any) -> None:
        each.send(transcript="One. ", voice="voice-2")
        each.send(transcript="Two. ", voice="voice-2", flush=True, generation_config={"speed": 0.7})
        each.no_more_inputs()
        each.no_more_inputs()

    ours, official = both(context, talk)
    assert ours == official
    assert len(ours) == 3


def test_flush_is_an_empty_push_with_the_word() -> None:
    with our_connection() as (connection, our_messages):
        context = connection.context("turn-17", **FULL_CONTEXT)
        context.flush()  # of nothing: the service would refuse it
        context.push("x")
        context.flush()
    official, official_messages = official_connection()
    their_context = official.context("turn-17", **FULL_CONTEXT)
    their_context.push("x")
    their_context.push("", flush=True)
    assert [read(message) for message in our_messages] == [read(message) for message in official_messages]


def test_cancel_has_the_official_clients_two_keys() -> None:
    def talk(each: Any) -> None:
        each.push("Hello.")
        each.cancel()

    ours, official = both({"voice": "v"}, talk)
    assert [dict(message) for message in ours] == [dict(message) for message in official]
    assert dict(ours[1]) == {"context_id": "turn-17", "cancel": True}


def test_a_context_on_which_nothing_was_said_is_not_closed_aloud() -> None:
    """The one message of the official client that is left out: the service refuses an empty first transcript."""
    ours, official = both({"voice": "v"}, lambda each: each.no_more_inputs())
    assert (len(ours), len(official)) == (0, 1)


def optional(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


flags = st.none() | st.booleans()
texts = st.none() | st.text(min_size=1, max_size=5)
formats = st.sampled_from([None, FORMAT, OTHER_FORMAT])
configs = st.none() | optional(speed=st.floats(0.6, 1.5), volume=st.floats(0.5, 2), emotion=st.text(max_size=3))
contexts = optional(
    model_id=texts,
    voice=texts,
    output_format=formats,
    language=texts,
    add_timestamps=flags,
    add_phoneme_timestamps=flags,
    generation_config=configs,
    max_buffer_delay_ms=st.none() | st.integers(0, 5000),
    pronunciation_dict_id=texts,
    use_normalized_timestamps=flags,
)
pushes = optional(
    model_id=texts,
    output_format=formats,
    continue_=st.booleans(),
    language=texts,
    speed=st.sampled_from([None, "slow", "normal", "fast"]),
    add_timestamps=flags,
    add_phoneme_timestamps=flags,
    flush=flags,
    generation_config=configs,
    max_buffer_delay_ms=st.none() | st.integers(0, 5000),
    locale=texts,
    duration=st.floats(0, 9),
)


def test_any_call_on_any_context_says_what_the_official_client_says() -> None:
    official, official_messages = official_connection()
    with our_connection() as (connection, our_messages):

        @settings(max_examples=300, deadline=None)
        @given(context=contexts, fields=pushes, transcript=st.text())
        def say_both(context: dict[str, Any], fields: dict[str, Any], transcript: str) -> None:
            ours = connection.context(**context)
            ours.send(transcript=transcript, voice="v", **fields)
            official.context(ours.context_id, **context).send(transcript=transcript, voice="v", **fields)
            assert read(our_messages.pop()) == read(official_messages.pop())
            ours.cancel()
            our_messages.clear()

        say_both()


# ---- the voice


@pytest.mark.parametrize(
    ("voice", "old", "new"),
    [
        ("v", {"mode": "id", "id": "v"}, "v"),
        ({"id": "v"}, {"mode": "id", "id": "v"}, {"id": "v"}),
        ({"mode": "id", "id": "v"}, {"mode": "id", "id": "v"}, {"id": "v"}),
        ({"id": "v", "new": 1}, {"mode": "id", "id": "v", "new": 1}, {"id": "v", "new": 1}),
        ({"mode": "embedding", "embedding": [0.5]},) * 3,
    ],
    ids=repr,
)
def test_a_voice_goes_out_in_the_shape_of_the_version(voice: Any, old: Any, new: Any) -> None:
    for version, shape in ((OLD, old), (NEW, new)):
        with our_connection(version) as (connection, messages):
            bare, own, other = (connection.context(voice=each) for each in (None, voice, "other"))
            bare.send(transcript="x", voice=voice)
            own.push("x")
            other.push("x", voice=voice)
        assert [json.loads(message)["voice"] for message in messages] == [shape] * 3


def test_a_closing_message_keeps_the_contexts_voice_or_names_the_official_one() -> None:
    with our_connection() as (connection, messages):
        contexts = [connection.context("a", voice="mine"), connection.context("b")]
        for context in contexts:
            context.send(transcript="x", voice="other")
            context.no_more_inputs()
    voices = [json.loads(message)["voice"] for message in messages]
    assert voices == ["other", "mine", "other", "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"]


# ---- the requests by themselves

LEAST: dict[str, Any] = {
    "context_id": "a",
    "model_id": "m",
    "transcript": "t",
    "voice": "v",
    "output_format": FORMAT,
    "continue_": True,
}


def test_a_request_sends_what_is_set_and_no_more() -> None:
    assert json.loads(codec.encode(GenerationRequest(**LEAST))) == {
        "context_id": "a",
        "model_id": "m",
        "transcript": "t",
        "voice": "v",
        "output_format": FORMAT,
        "continue": True,
    }


def test_every_speech_option_is_a_field_of_the_request_and_documented() -> None:
    """A new field is added in the two types and nowhere else."""
    options = list(SpeechOptions.__annotations__)
    fields = [each.encode_name for each in structs.fields(GenerationRequest)]
    of_one_request = {"context_id", "transcript", "continue", "flush", "speed"}
    assert sorted(options) == sorted(set(fields) - of_one_request)
    sections = [
        (each.__doc__ or "").partition("Attributes:")[2].partition("Source:")[0]
        for each in (CommonSpeechOptions, EventSpeechOptions, SpeechOptions)
    ]
    assert re.findall(r"^ {8}(\w+): ", "".join(sections), re.MULTILINE) == options


def test_a_request_without_more_fields_is_itself() -> None:
    request = GenerationRequest(**LEAST)
    assert request.with_fields({}) is request


def test_more_fields_win_in_place_and_new_ones_come_last() -> None:
    more = {"locale": "en-GB", "transcript": "another", "continue": False}
    message = json.loads(codec.encode(GenerationRequest(**LEAST, language="en").with_fields(more)))
    assert list(message) == [
        *("context_id", "model_id", "transcript", "voice", "output_format", "continue", "language", "locale"),
    ]
    assert (message["transcript"], message["continue"], message["language"]) == ("another", False, "en")


def test_a_cancel_is_two_keys() -> None:
    assert codec.encode(CancelRequest(context_id="a")) == b'{"context_id":"a","cancel":true}'


def test_what_cannot_be_sent_leaves_the_context_as_it_was() -> None:
    with our_connection() as (connection, messages):
        context = connection.context("a", voice="v")
        for bad in ({"locale": object()}, {"generation_config": {"speed": object()}}):
            with pytest.raises(TypeError):
                context.push("x", continue_=False, **bad)
        with pytest.raises(ValueError, match="surrogates"):
            context.push("\ud800", continue_=False)
        assert messages == []
        context.push("x")
    assert len(messages) == 1


@pytest.mark.parametrize("transcript", [None, 1, b"bytes", ["x"]])
def test_a_transcript_that_is_no_text_is_refused(transcript: Any) -> None:
    with our_connection() as (connection, messages), pytest.raises(TypeError, match="a transcript is a str; got"):
        connection.context("a", voice="v").push(transcript)
    assert messages == []
