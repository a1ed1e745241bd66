from __future__ import annotations

import base64
import contextlib
import copy
import gc
import json
import pickle
from types import MappingProxyType, SimpleNamespace
from typing import Any, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartesia_sync.errors import APIConnectionError, ProtocolError
from cartesia_sync.protocol import codec
from cartesia_sync.protocol.codec import MalformedEventError
from cartesia_sync.protocol.events import (
    BaseEvent,
    Chunk,
    Done,
    Error,
    Event,
    FlushDone,
    PhonemeTimestamps,
    PhonemeTimestampsEvent,
    Timestamps,
    Unknown,
    WordTimestamps,
)

CHUNK = (
    b'{"type":"chunk","data":"AAABAAIA","done":false,"status_code":206,"step_time":41.7,'
    b'"context_id":"turn-17","flush_id":1}'
)
TIMESTAMPS = (
    b'{"type":"timestamps","done":false,"status_code":206,"context_id":"turn-17","word_timestamps":'
    b'{"words":["Good","morning."],"start":[0.02,0.31],"end":[0.29,0.80]},"flush_id":1}'
)
PHONEMES = (
    '{"type":"phoneme_timestamps","done":false,"status_code":206,"context_id":"turn-17","phoneme_timestamps":'
    '{"phonemes":["\u0261","\u028a","d"],"start":[0.02,0.08,0.15],"end":[0.08,0.15,0.22]}}'
).encode()
FLUSH_DONE = (
    b'{"type":"flush_done","done":false,"flush_done":true,"flush_id":1,"status_code":206,"context_id":"turn-17"}'
)
DONE = b'{"type":"done","done":true,"status_code":206,"context_id":"turn-17"}'
ERROR = (
    b'{"type":"error","done":true,"status_code":429,"error_code":"concurrency_limited",'
    b'"title":"Too many concurrent requests","message":"At most 2.","request_id":"r-1","doc_url":"https://d/e",'
    b'"context_id":"turn-17"}'
)
LEGACY_ERROR = b'{"type":"error","done":true,"error":"Title: message","status_code":400,"context_id":"turn-17"}'
SAMPLES = (CHUNK, TIMESTAMPS, PHONEMES, FLUSH_DONE, DONE, ERROR, LEGACY_ERROR)
KNOWN: tuple[type[BaseEvent], ...] = (Chunk, Timestamps, PhonemeTimestampsEvent, FlushDone, Done, Error)
TYPES = ("chunk", "timestamps", "phoneme_timestamps", "flush_done", "done", "error")
EVERY_SAMPLE = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: json.loads(sample)["type"])


def frame(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


# ---- each event as the service sends it


@pytest.mark.parametrize(
    ("sample", "event"),
    [
        (
            CHUNK,
            Chunk(audio=b"\x00\x00\x01\x00\x02\x00", step_time=41.7, flush_id=1, context_id="turn-17", status_code=206),
        ),
        (
            TIMESTAMPS,
            Timestamps(
                word_timestamps=WordTimestamps(words=["Good", "morning."], start=[0.02, 0.31], end=[0.29, 0.8]),
                flush_id=1,
                context_id="turn-17",
                status_code=206,
            ),
        ),
        (
            PHONEMES,
            PhonemeTimestampsEvent(
                phoneme_timestamps=PhonemeTimestamps(
                    phonemes=["\u0261", "\u028a", "d"], start=[0.02, 0.08, 0.15], end=[0.08, 0.15, 0.22]
                ),
                context_id="turn-17",
                status_code=206,
            ),
        ),
        (FLUSH_DONE, FlushDone(flush_done=True, flush_id=1, context_id="turn-17", status_code=206)),
        (DONE, Done(done=True, context_id="turn-17", status_code=206)),
        (
            ERROR,
            Error(
                error_code="concurrency_limited",
                title="Too many concurrent requests",
                message="At most 2.",
                request_id="r-1",
                doc_url="https://d/e",
                context_id="turn-17",
                status_code=429,
            ),
        ),
    ],
    ids=TYPES,
)
def test_each_event_is_read_as_documented(sample: bytes, event: Event) -> None:
    heard = codec.decode(sample)
    assert type(heard) is type(event)
    assert heard == event
    assert heard.extra == {}
    assert heard.type == json.loads(sample)["type"]


@EVERY_SAMPLE
def test_the_order_of_the_fields_and_the_space_between_them_mean_nothing(sample: bytes) -> None:
    backwards = dict(reversed(json.loads(sample).items()))
    assert codec.decode(b" \r\n\t" + json.dumps(backwards, indent=2).encode() + b"\n") == codec.decode(sample)


@pytest.mark.parametrize(
    ("name", "kind"),
    list(zip(TYPES, KNOWN)),
    ids=TYPES,
)
def test_all_fields_but_the_type_may_be_missing(name: str, kind: type[BaseEvent]) -> None:
    event = codec.decode(frame(type=name))
    assert event == kind()
    assert type(event) is kind
    assert (event.context_id, event.status_code, event.done) == (None, None, name in ("done", "error"))


@EVERY_SAMPLE
def test_null_is_as_good_as_missing_in_every_field(sample: bytes) -> None:
    """One null that we do not expect must not cost a context: the official client reads it too."""
    fields = json.loads(sample)
    for key in fields.keys() - {"type"}:
        without = {name: value for name, value in fields.items() if name != key}
        assert codec.decode(frame(**{**fields, key: None})) == codec.decode(frame(**without)), key


@pytest.mark.parametrize("step_time", [41, 0, -1, 41.0, 1e-9, 2**70])
def test_step_time_may_be_whole(step_time: float) -> None:
    event = codec.decode(frame(type="chunk", step_time=step_time))
    assert isinstance(event, Chunk)
    assert event.step_time == step_time
    assert isinstance(event.step_time, float)


# ---- audio


def test_empty_data_is_no_audio() -> None:
    for sample in (frame(type="chunk", data=""), frame(type="chunk")):
        event = codec.decode(sample)
        assert isinstance(event, Chunk)
        assert (event.audio, event.data) == (b"", "")


@given(st.binary(max_size=5000))
def test_audio_arrives_as_it_was_sent(audio: bytes) -> None:
    data = base64.b64encode(audio).decode()
    for more in ({}, {"new": 1}):
        event = codec.decode(frame(type="chunk", context_id="a", data=data, **more))
        assert isinstance(event, Chunk)
        assert event.audio == audio
        assert event.data == data


@pytest.mark.parametrize(
    "data", ["A", "AA", "AAA", "A===", "AA-_", "AAAA\n", " AAAA", "AA==AA==", "\u00e9AAA", "AA AA="]
)
def test_what_is_no_base64_spoils_the_context_that_it_names(data: str) -> None:
    for more in ({}, {"new": 1}):
        with pytest.raises(MalformedEventError, match=r"chunk event of the wrong shape: .*data") as malformed:
            codec.decode(frame(type="chunk", context_id="a", data=data, **more))
        assert malformed.value.context_id == "a"


# ---- errors


LARGE = base64.b64encode(bytes(range(256)) * 16).decode()


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"chunk","data":"%s","done":false,"context_id":"turn-17"}',
        '{"data":"%s","type":"chunk","done":false,"context_id":"turn-17"}',
        '{ "type" : "chunk" , "context_id" : "turn-17" , "data" :\n"%s" }',
        '{"type":"chunk","data":"%s","context_id":"turn-17","new":{"data":"AAAA"}}',
        '{"type":"chunk","context_id":"turn-17","new":{"data":"AAAA"},"data":"%s"}',
        '{"type":"chunk","data":"AAAA","context_id":"turn-17","data":"%s"}',
        '{"type":"chunk","data":"","context_id":"turn-17","data":"%s"}',
        r'{"type":"chunk","new":",\"data\":\"AAAA","context_id":"turn-17","data":"%s"}',
        r'{"type":"chunk","new\",\"data":"AAAA","context_id":"turn-17","data":"%s"}',
        r'{"type":"chunk","d\u0061ta":"%s","context_id":"turn-17"}',
        '{"type":"chunk","context_id":"turn-17","new":"' + "x" * 2000 + '","data":"%s"}',
    ],
    ids=lambda message: message[:60],
)
def test_a_large_message_is_read_as_a_small_one(message: str) -> None:
    event = codec.decode((message % LARGE).encode())
    assert isinstance(event, Chunk)
    assert event.audio == bytes(range(256)) * 16
    assert event.context_id == "turn-17"


@pytest.mark.parametrize(
    ("message", "audio"),
    [
        ('{"type":"chunk","data":"%s","context_id":"turn-17","data":"AAAA"}', bytes(3)),
        ('{"type":"chunk","data":"%s","context_id":"turn-17","data":""}', b""),
        ('{"type":"chunk","new":{"data":"%s"},"context_id":"turn-17"}', b""),
        ('{"type":"chunk","new":[{"data":"%s"}],"context_id":"turn-17","data":"AAAA"}', bytes(3)),
    ],
)
def test_what_is_not_the_audio_of_a_large_message_is_not_given_as_such(message: str, audio: bytes) -> None:
    event = codec.decode((message % LARGE).encode())
    assert isinstance(event, Chunk)
    assert event.audio == audio


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_of_a_large_message_msgspec_reads_all_but_the_audio(
    monkeypatch: pytest.MonkeyPatch, separators: tuple[str, str]
) -> None:
    read: list[str] = []
    decoder = codec._decoder
    monkeypatch.setattr(
        codec, "_decoder", SimpleNamespace(decode=lambda text: (read.append(text), decoder.decode(text))[1])
    )
    codec.decode(json.dumps({"type": "chunk", "data": LARGE, "context_id": "a"}, separators=separators).encode())
    assert [len(text) < 100 for text in read] == [True]


def test_a_large_message_of_another_type_may_have_data() -> None:
    event = codec.decode(json.dumps({"type": "done", "context_id": "turn-17", "data": LARGE}).encode())
    assert isinstance(event, Done)
    assert event.extra == {"data": LARGE}


@given(
    audio=st.binary(min_size=2400, max_size=5000),
    fields=st.dictionaries(
        st.sampled_from(["type", "context_id", "done", "new", "step_time", "flush_id", "data"]),
        st.sampled_from(["chunk", "done", "a", None, 1, 1.5, True, {"data": "AAAA"}, "\u00e4", '","data":"']),
    ),
    damage=st.none() | st.tuples(st.integers(0, 8000), st.sampled_from([*b'"\\=,:{}A\xff\n-'])),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_a_large_message_is_read_as_msgspec_reads_it(
    audio: bytes, fields: dict[str, Any], damage: tuple[int, int] | None, separators: tuple[str, str]
) -> None:
    sent = {"type": "chunk", "context_id": "turn-17", "data": base64.b64encode(audio).decode(), **fields}
    message = bytearray(json.dumps(sent, separators=separators).encode())
    if damage is not None:
        message[damage[0] % len(message)] = damage[1]
    event = codec._decode_large(bytes(message))
    if event is not None:
        assert event == codec._decoder.decode(str(message, "utf-8"))


def test_an_error_of_old_is_parted_into_title_and_message() -> None:
    event = codec.decode(LEGACY_ERROR)
    assert isinstance(event, Error)
    assert (event.title, event.message, event.error) == ("Title", "message", "Title: message")
    assert (event.status_code, event.context_id, event.done) == (400, "turn-17", True)


@pytest.mark.parametrize(
    ("fields", "title", "message", "words"),
    [
        ({"error": "T: a: b"}, "T", "a: b", "T: a: b"),
        ({"error": "no colon"}, None, "no colon", "no colon"),
        ({"error": "10:30 is late"}, None, "10:30 is late", "10:30 is late"),
        ({"error": "T: a", "message": "m"}, None, "m", "T: a"),
        ({"error": "T: a", "title": "t"}, "t", None, "T: a"),
        ({"title": "t", "message": "m"}, "t", "m", "t: m"),
        ({"title": "t"}, "t", None, "t"),
        ({"message": "m"}, None, "m", "m"),
        ({"title": "", "message": "m"}, "", "m", "m"),
        ({}, None, None, "unknown error"),
        ({"error": None}, None, None, "unknown error"),
    ],
    ids=repr,
)
def test_an_error_says_what_it_can(fields: dict[str, Any], title: str | None, message: str | None, words: str) -> None:
    event = codec.decode(frame(type="error", **fields))
    assert isinstance(event, Error)
    assert (event.title, event.message, event.error) == (title, message, words)


def test_an_error_is_never_without_words() -> None:
    event = codec.decode(frame(type="error", error=""))
    assert isinstance(event, Error)
    assert event.error == "unknown error"


def test_an_error_may_say_that_it_ends_nothing() -> None:
    assert codec.decode(frame(type="error", done=False, message="m")).done is False
    assert codec.decode(frame(type="error", message="m")).done is True


# ---- what we do not know


@EVERY_SAMPLE
def test_unknown_fields_are_kept_on_every_event(sample: bytes) -> None:
    new = {
        "new": {"deep": [1, None, "x"]},
        "audio": "not ours",
        "legacy_text": 1,
        "extra_fields": True,
        "audio_format": "loud",
    }
    event = codec.decode(frame(**{**json.loads(sample), **new}))
    assert event == codec.decode(sample)
    assert event.extra == new


@EVERY_SAMPLE
def test_an_event_with_unknown_fields_survives_copying_and_pickling(sample: bytes) -> None:
    event = codec.decode(frame(**json.loads(sample), new=1))
    for again in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert again == event
        assert again.extra == {"new": 1}


def test_extra_fields_of_the_timings_are_no_trouble() -> None:
    timings = {"words": ["a"], "start": [1], "end": [2], "confidence": [0.5]}
    event = codec.decode(frame(type="timestamps", word_timestamps=timings))
    assert isinstance(event, Timestamps)
    assert event.word_timestamps == WordTimestamps(words=["a"], start=[1.0], end=[2.0])


@pytest.mark.parametrize("name", ["visemes", "", "Chunk", "chunk ", "unknown", "\u00e9", "heard"])
def test_an_unknown_type_arrives_whole_and_ends_nothing(name: str) -> None:
    fields = {"type": name, "context_id": "a", "done": True, "more": [1, {"x": None}]}
    event = codec.decode(frame(**fields))
    assert isinstance(event, Unknown)
    assert event.fields == fields
    assert event.type == name
    assert (event.context_id, event.done, event.extra) == ("a", False, {})


@pytest.mark.parametrize("context_id", [None, 7, ["a"], {}, True])
def test_an_unknown_type_may_name_no_context(context_id: Any) -> None:
    assert codec.decode(frame(type="visemes", context_id=context_id)).context_id is None


# ---- what is no event


@pytest.mark.parametrize(
    "sample", [b"", b" ", b"\x00", b"x", b"{", b'{"type":"done"', b'{"type":"done"}x', b"{'type':1}"]
)
def test_what_is_not_json_is_malformed(sample: bytes) -> None:
    with pytest.raises(MalformedEventError, match=f"a message of {len(sample)} bytes is not JSON") as malformed:
        codec.decode(sample)
    assert (malformed.value.context_id, malformed.value.close_code) == (None, 1002)
    assert malformed.value.__cause__ is not None


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", [], [{"type": "done"}]])
def test_what_is_no_object_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedEventError, match="an event is a JSON object") as malformed:
        codec.decode(json.dumps(value).encode())
    assert (malformed.value.context_id, malformed.value.close_code) == (None, 1002)


@pytest.mark.parametrize("more", [{}, {"type": None}, {"type": 1}, {"type": ["chunk"]}, {"type": {}}])
def test_an_event_without_a_type_spoils_the_context_that_it_names(more: dict[str, Any]) -> None:
    with pytest.raises(MalformedEventError, match="an event has a type") as malformed:
        codec.decode(frame(context_id="a", **more))
    assert (malformed.value.context_id, malformed.value.close_code) == ("a", None)


@pytest.mark.parametrize("more", [{}, {"context_id": None}, {"context_id": 7}, {"context_id": ["a"]}])
def test_an_event_without_a_type_and_a_context_cannot_be_attributed(more: dict[str, Any]) -> None:
    with pytest.raises(MalformedEventError, match="an event has a type") as malformed:
        codec.decode(frame(data="AAAA", **more))
    assert (malformed.value.context_id, malformed.value.close_code) == (None, 1002)


@pytest.mark.parametrize("data", [1, ["AAAA"], {"data": "AAAA"}, True, 1.5, "A"], ids=repr)
def test_audio_that_cannot_be_decoded_spoils_the_context_that_it_names_and_says_where(data: Any) -> None:
    for more in ({}, {"new": 1}, {"status_code": "odd"}):
        with pytest.raises(MalformedEventError) as malformed:
            codec.decode(frame(type="chunk", context_id="a", data=data, **more))
        assert (malformed.value.context_id, malformed.value.close_code) == ("a", None)
        assert "the service sent a chunk event of the wrong shape: " in str(malformed.value)
        assert "$.data" in str(malformed.value)
        assert isinstance(malformed.value, ProtocolError)
        assert isinstance(malformed.value, APIConnectionError)


# ---- what can be read of an event is given

WORDS = {"words": ["a", "b"], "start": [0, 1], "end": [1, 2]}


@pytest.mark.parametrize(
    ("fields", "event", "unreadable"),
    [
        ({"type": "chunk", "data": "AAAA", "done": "odd"}, Chunk(audio=bytes(3)), ["done"]),
        ({"type": "chunk", "data": "AAAA", "done": 2}, Chunk(audio=bytes(3)), ["done"]),
        ({"type": "chunk", "data": "AAAA", "status_code": "odd"}, Chunk(audio=bytes(3)), ["status_code"]),
        ({"type": "chunk", "data": "AAAA", "status_code": [206]}, Chunk(audio=bytes(3)), ["status_code"]),
        ({"type": "chunk", "data": "AAAA", "status_code": 206.5}, Chunk(audio=bytes(3)), ["status_code"]),
        ({"type": "chunk", "data": "AAAA", "flush_id": True}, Chunk(audio=bytes(3)), ["flush_id"]),
        ({"type": "chunk", "data": "AAAA", "flush_id": "f-1"}, Chunk(audio=bytes(3)), ["flush_id"]),
        ({"type": "chunk", "data": "AAAA", "step_time": "nan"}, Chunk(audio=bytes(3)), ["step_time"]),
        ({"type": "chunk", "data": "AAAA", "step_time": "-inf"}, Chunk(audio=bytes(3)), ["step_time"]),
        ({"type": "chunk", "data": "AAAA", "step_time": {}}, Chunk(audio=bytes(3)), ["step_time"]),
        (
            {"type": "chunk", "data": "AAAA", "step_time": {}, "done": [], "flush_id": 2},
            Chunk(audio=bytes(3), flush_id=2),
            ["done", "step_time"],
        ),
        ({"type": "timestamps", "word_timestamps": []}, Timestamps(), ["word_timestamps"]),
        ({"type": "timestamps", "word_timestamps": "a"}, Timestamps(), ["word_timestamps"]),
        ({"type": "timestamps", "word_timestamps": 1, "flush_id": 3}, Timestamps(flush_id=3), ["word_timestamps"]),
        (
            {"type": "timestamps", "word_timestamps": WORDS, "flush_id": [], "done": 7},
            Timestamps(word_timestamps=WordTimestamps(["a", "b"], [0, 1], [1, 2])),
            ["done", "flush_id"],
        ),
        ({"type": "flush_done", "flush_id": 1.5}, FlushDone(), ["flush_id"]),
        ({"type": "flush_done", "flush_id": "one", "flush_done": "odd"}, FlushDone(), ["flush_done", "flush_id"]),
        ({"type": "done", "done": "odd", "status_code": {}}, Done(), ["done", "status_code"]),
        ({"type": "error", "message": {"text": "m"}, "title": "t"}, Error(title="t"), ["message"]),
        ({"type": "error", "done": [], "status_code": "x", "error": "T: m"}, Error(legacy_text="T: m"), None),
        ({"type": "error", "error": {"m": 1}, "message": "m"}, Error(message="m"), ["error"]),
    ],
    ids=repr,
)
def test_of_an_odd_event_the_rest_is_given(fields: dict[str, Any], event: Event, unreadable: list[str] | None) -> None:
    event.context_id = "a"
    for more in ({}, {"new": 1}):
        heard = codec.decode(frame(context_id="a", **fields, **more))
        assert type(heard) is type(event)
        assert heard == event
        assert heard.extra == more
        assert heard.unreadable == {name: fields[name] for name in unreadable or ("done", "status_code")}


@pytest.mark.parametrize(
    ("sent", "event"),
    [
        ({"type": "chunk", "status_code": "206"}, Chunk(status_code=206)),
        ({"type": "chunk", "flush_id": "1", "step_time": "41.5"}, Chunk(flush_id=1, step_time=41.5)),
        ({"type": "chunk", "done": "false"}, Chunk(done=False)),
        ({"type": "done", "done": 1}, Done(done=True)),
        ({"type": "error", "done": "false", "status_code": "400"}, Error(done=False, status_code=400)),
        ({"type": "flush_done", "flush_done": "true", "flush_id": "2"}, FlushDone(flush_id=2)),
        (
            {"type": "timestamps", "word_timestamps": {"words": ["a"], "start": ["0.5"], "end": ["1"]}},
            Timestamps(word_timestamps=WordTimestamps(["a"], [0.5], [1.0])),
        ),
    ],
    ids=repr,
)
def test_a_text_that_stands_for_a_number_is_read_as_one(sent: dict[str, Any], event: Event) -> None:
    heard = codec.decode(frame(**sent))
    assert heard == event
    assert heard.unreadable == {}


@pytest.mark.parametrize(
    ("names", "start", "end", "readable"),
    [
        (["a"], [0], None, []),
        (["a"], None, [1], []),
        (None, [0], [1], []),
        (["a"], [0], [], []),
        (["a", "b"], [0, 1], [1], [("a", 0, 1)]),
        (["a"], [0, 1], [1, 2], [("a", 0, 1)]),
        (["a", "b", "c"], [0, None, 2], [1, 2, 3], [("a", 0, 1), ("c", 2, 3)]),
        (["a", 7, "c"], [0, 1, 2], [1, 2, 3], [("a", 0, 1), ("c", 2, 3)]),
        (["a", "b"], [0, "soon"], [1, 2], [("a", 0, 1)]),
        (["a", "b"], [0, "nan"], ["1", 2], [("a", 0, 1)]),
        (["a", "b"], [0, 1], [True, 2], [("b", 1, 2)]),
        (["a", "b"], [[0], 1], [1, 2], [("b", 1, 2)]),
        ("ab", [0, 1], [1, 2], []),
        (["a"], 0, 1, []),
        ({"0": "a"}, [0], [1], []),
        ([], [], [1], []),
    ],
)
def test_of_timestamps_the_entries_with_a_name_and_both_times_are_given(
    names: Any, start: Any, end: Any, readable: list[tuple[str, float, float]]
) -> None:
    columns = [[entry[index] for entry in readable] for index in range(3)]
    for name, field in (("timestamps", "words"), ("phoneme_timestamps", "phonemes")):
        sent_name = "word_timestamps" if name == "timestamps" else name
        sent = {key: each for key, each in ((field, names), ("start", start), ("end", end)) if each is not None}
        event = codec.decode(frame(type=name, context_id="a", **{sent_name: sent}))
        assert isinstance(event, (Timestamps, PhonemeTimestampsEvent))
        timings = event.timestamps
        assert timings is not None
        assert [getattr(timings, each) for each in (field, "start", "end")] == columns
        assert (event.context_id, event.unreadable) == ("a", {sent_name: sent})


@EVERY_SAMPLE
def test_what_could_not_be_read_survives_copying_and_pickling(sample: bytes) -> None:
    event = codec.decode(frame(**{**json.loads(sample), "status_code": ["odd"]}))
    for again in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert again == event
        assert again.unreadable == {"status_code": ["odd"]}


@pytest.mark.parametrize("context_id", [7, ["a"], {"id": "a"}, True])
@pytest.mark.parametrize("name", ["timestamps", "phoneme_timestamps", "flush_done", "error"])
def test_a_context_id_that_is_no_text_names_no_context(name: str, context_id: Any) -> None:
    event = codec.decode(frame(type=name, context_id=context_id))
    assert (event.type, event.context_id, event.unreadable) == (name, None, {"context_id": context_id})


@pytest.mark.parametrize("context_id", [7, ["a"], {"id": "a"}, True])
@pytest.mark.parametrize("name", ["chunk", "done"])
def test_audio_and_its_end_cannot_be_attributed_by_a_context_id_that_is_no_text(name: str, context_id: Any) -> None:
    with pytest.raises(MalformedEventError, match=r"\$.context_id") as malformed:
        codec.decode(frame(type=name, context_id=context_id))
    assert (malformed.value.context_id, malformed.value.close_code) == (None, 1002)


@pytest.mark.parametrize("sent", [{}, {"context_id": None}, {"context_id": None, "new": 1}])
def test_on_a_shared_connection_audio_and_its_end_need_a_context(sent: dict[str, Any]) -> None:
    """An answer over SSE has one speaker, and need not name it."""
    for name in ("chunk", "done"):
        event = codec.decode(frame(type=name, **sent))
        with pytest.raises(MalformedEventError, match=f"a {name} event that names no context") as malformed:
            codec.require_context(event)
        assert (malformed.value.context_id, malformed.value.close_code) == (None, 1002)
    for name in ("timestamps", "phoneme_timestamps", "flush_done", "error", "new"):
        codec.require_context(codec.decode(frame(type=name, **sent)))
    for name in TYPES:
        codec.require_context(codec.decode(frame(type=name, context_id="")))


INVALID_UTF8 = (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82")


@pytest.mark.parametrize("bad", INVALID_UTF8, ids=repr)
@pytest.mark.parametrize(
    "template",
    [
        b'{"type":"%s"}',
        b'{"type":"done","context_id":"%s"}',
        b'{"type":"chunk","data":"%s"}',
        b'{"type":"done","new":"%s"}',
        b'{"type":"done","%s":1}',
        b'{"type":"new","x":["%s"]}',
        b'{"type":"error","message":"%s"}',
        b'{"type":"timestamps","word_timestamps":{"words":["%s"],"start":[0],"end":[1]}}',
        b'{"type":"done"}%s',
        b'%s{"type":"done"}',
    ],
    ids=repr,
)
def test_text_that_is_not_utf8_is_malformed_wherever_it_stands(template: bytes, bad: bytes) -> None:
    with pytest.raises(MalformedEventError, match="is not UTF-8") as malformed:
        codec.decode(template.replace(b"%s", bad))
    assert (malformed.value.context_id, malformed.value.close_code) == (None, 1007)


def test_text_that_is_not_utf8_is_malformed_even_where_nobody_reads_it() -> None:
    for bad in INVALID_UTF8:
        timings = b'{"words":["a"],"start":[0],"end":[1],"new":"' + bad + b'"}'
        with pytest.raises(MalformedEventError):
            codec.decode(b'{"type":"timestamps","word_timestamps":' + timings + b"}")


@pytest.mark.parametrize(
    ("escape", "text"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"\udc00", "\ufffd"),
        (rb"\udc00\ud800", "\ufffd\ufffd"),
        (rb"\ud800x", "\ufffdx"),
        (rb"\ud83d\ude00\ud83d", "\U0001f600\ufffd"),
    ],
)
def test_half_a_character_is_replaced_wherever_it_stands(escape: bytes, text: str) -> None:
    """It could be neither printed nor sent back; but it is JSON, and a side event's must cost nobody anything."""

    def read(template: bytes) -> Any:
        return codec.decode(template.replace(b"%s", escape))

    assert read(b'{"type":"%s"}').type == text
    assert read(b'{"type":"done","context_id":"a","new":"%s"}') == Done(context_id="a")
    assert read(b'{"type":"done","new":["%s"]}').extra == {"new": [text]}
    assert read(b'{"type":"done","%s":1}').extra == {text: 1}
    assert read(b'{"type":"new","x":["%s"]}').fields == {"type": "new", "x": [text]}
    assert read(b'{"type":"error","message":"%s"}').message == text
    phonemes = read(b'{"type":"phoneme_timestamps","phoneme_timestamps":{"phonemes":["%s"],"start":[0],"end":[1]}}')
    assert phonemes.phoneme_timestamps == PhonemeTimestamps([text], [0], [1])
    with pytest.raises(MalformedEventError, match=r"\$.data"):
        read(b'{"type":"chunk","context_id":"a","data":"%s"}')


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert codec.decode(rb'{"type":"done","context_id":"\ud83d\ude00"}').context_id == "\U0001f600"


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=repr)
@pytest.mark.parametrize("name", [b"new", b"done"])
def test_deep_nesting_is_malformed_and_does_not_crash(brackets: tuple[bytes, bytes], name: bytes) -> None:
    opening, closing = brackets
    nested = opening * 100_000 + b"1" + closing * 100_000
    for sample in (nested, b'{"type":"' + name + b'","x":' + nested + b"}", opening * 100_000):
        with pytest.raises(MalformedEventError, match=r"is not JSON|is nested more than 100 deep") as malformed:
            codec.decode(sample)
        assert (malformed.value.context_id, malformed.value.close_code) == (None, 1002)


@pytest.mark.parametrize("depth", [codec.MAX_DEPTH - 1, codec.MAX_DEPTH])
def test_an_event_may_be_nested_to_a_hundred_levels_and_brackets_in_texts_are_none(depth: int) -> None:
    text = json.dumps('[{"' * codec.MAX_DEPTH + "\\")
    event = b'{"type":"new","text":%s,"x":' % text.encode() + b"[" * depth + b"]" * depth + b',"y":[[],[]]}'
    if depth < codec.MAX_DEPTH:
        assert codec.decode(event).fields["text"] == json.loads(text)
    else:
        with pytest.raises(MalformedEventError, match="nested more than 100 deep"):
            codec.decode(event)


@pytest.mark.parametrize("name", [b"new", b"done"])
def test_what_the_collector_calls_has_room_whatever_is_read(name: bytes) -> None:
    """It may run while a message is read, in the reader's thread; with no room it would fail there."""
    ran: list[bool] = []

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)

    def collected(_phase: str, _info: object) -> None:
        try:
            descend(100)
        except RecursionError:
            ran.append(False)
        else:
            ran.append(True)

    thresholds = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(20)
    try:
        for depth in range(90, 1000, 7):
            with contextlib.suppress(MalformedEventError):
                codec.decode(b'{"type":"' + name + b'","x":' + b"[" * depth + b"]" * depth + b"}")
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(collected)
    assert ran
    assert all(ran)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 5000, b"-" + b"1" * 5000, b"1" * 5000 + b".5"])
def test_a_number_out_of_range_cannot_be_read_and_costs_nothing_else(number: bytes) -> None:
    text = number.decode()
    event = codec.decode(b'{"type":"chunk","context_id":"a","data":"AAAA","step_time":%s}' % number)
    assert event == Chunk(context_id="a", audio=bytes(3))
    assert event.unreadable == {"step_time": text}
    assert codec.decode(b'{"type":"new","x":%s}' % number).fields == {"type": "new", "x": text}
    timings = b'{"words":["a","b"],"start":[0,1],"end":[%s,2]}' % number
    event = codec.decode(b'{"type":"timestamps","word_timestamps":%s}' % timings)
    assert event == Timestamps(word_timestamps=WordTimestamps(["b"], [1], [2]))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"+1", b"01", b".5", b"1.", b"0x1"])
def test_numbers_that_json_does_not_have_are_malformed(number: bytes) -> None:
    with pytest.raises(MalformedEventError, match="is not JSON") as malformed:
        codec.decode(b'{"type":"chunk","step_time":' + number + b"}")
    assert malformed.value.close_code == 1002


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    event = codec.decode(b'{"type":"chunk","context_id":"a","context_id":"b","type":"done","x":1,"x":2}')
    assert isinstance(event, Done)
    assert (event.context_id, event.extra) == ("b", {"x": 2})


# ---- anything at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
event_keys = st.sampled_from(
    [
        *("type", "data", "done", "status_code", "step_time", "context_id", "flush_id", "word_timestamps"),
        *("phoneme_timestamps", "flush_done", "error", "title", "message", "audio", "words", "start", "end", "new"),
    ]
)


@st.composite
def mutated_samples(draw: st.DrawFn) -> bytes:
    """Take a sample of the service's and cut, swap and insert bytes in it."""
    sample = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(sample)))
        end = min(len(sample), start + draw(st.integers(0, 8)))
        sample[start:end] = draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"}", b"null", b"[]", b"\\u", b"1e9"])
        )
    return bytes(sample)


@st.composite
def misfilled_samples(draw: st.DrawFn) -> bytes:
    """Take a sample of the service's and put other values into some of its fields."""
    fields = json.loads(draw(st.sampled_from(SAMPLES)))
    fields.update(draw(st.dictionaries(event_keys, json_values, max_size=3)))
    return json.dumps(fields).encode()


anything = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()) | mutated_samples()


def hear(sample: bytes) -> Union[Event, MalformedEventError]:
    """Return what decode gives or raises; any other exception is a failure of the test."""
    try:
        return codec.decode(sample)
    except MalformedEventError as malformed:
        return malformed


@settings(max_examples=700, deadline=None)
@given(anything | misfilled_samples())
def test_decode_gives_an_event_or_says_that_it_is_malformed(sample: bytes) -> None:
    event = hear(sample)
    assert event.context_id is None or isinstance(event.context_id, str)
    assert repr(event)
    if isinstance(event, MalformedEventError):
        assert str(event)
        assert (event.close_code is None) == (event.context_id is not None)
        return
    assert isinstance(event.unreadable, dict)
    assert isinstance(event, (*KNOWN, Unknown))
    assert isinstance(event.done, bool)
    assert isinstance(event.type, str)
    assert isinstance(event.extra, dict)
    if isinstance(event, Chunk):
        assert base64.b64decode(event.data) == event.audio
    if isinstance(event, Error):
        assert isinstance(event.error, str)


@settings(max_examples=500, deadline=None)
@given(misfilled_samples())
def test_no_event_but_a_chunk_costs_its_context_anything(sample: bytes) -> None:
    fields = json.loads(sample)
    event = hear(sample)
    if isinstance(event, MalformedEventError) and "is not JSON" not in str(event):
        is_chunk = fields.get("type") == "chunk"
        is_done_of_nobody = fields.get("type") == "done" and not isinstance(fields.get("context_id"), str)
        assert is_chunk or is_done_of_nobody or not isinstance(fields.get("type"), str)


@settings(max_examples=500, deadline=None)
@given(misfilled_samples())
def test_a_message_that_is_json_names_its_context_however_malformed_it_is(sample: bytes) -> None:
    fields = json.loads(sample)
    event = hear(sample)
    if not (isinstance(event, MalformedEventError) and "is not JSON" in str(event)):
        context_id = fields.get("context_id")
        assert event.context_id == (context_id if isinstance(context_id, str) else None)


# ---- what we say


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": None, "b": [True, 1, 1.5, "\u00e9\U0001f600\n"]}, '{"a":null,"b":[true,1,1.5,"\u00e9\U0001f600\\n"]}'),
        ({"z": 1, "a": 2}, '{"z":1,"a":2}'),
        ((1, 2), "[1,2]"),
    ],
    ids=repr,
)
def test_requests_are_written_in_utf8_without_spaces_in_their_own_order(value: Any, written: str) -> None:
    assert codec.encode(value) == written.encode()


class Text(str):
    """Text of a library's own class, as parsers of HTML and templates give it."""

    __slots__ = ()


class Number(float):
    """A number of a library's own class; numpy's float64 is one."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Text("Good morning."), "Good morning."),
        ({Text("speed"): 1}, {"speed": 1}),
        (Number(1.5), 1.5),
        (MappingProxyType({"speed": 1}), {"speed": 1}),
        ({"voice": MappingProxyType({"id": "v"})}, {"voice": {"id": "v"}}),
    ],
    ids=repr,
)
def test_what_is_a_text_a_number_or_a_mapping_by_its_class_is_written_as_one(value: Any, plain: Any) -> None:
    """The annotations allow it, and the official client sends it."""
    assert json.loads(codec.encode(value)) == plain


@pytest.mark.parametrize(
    "value", [object(), print, 1j, {(1, 2): 3}, {"a": [object()]}], ids=lambda value: type(value).__name__
)
def test_what_json_has_no_form_for_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        codec.encode(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udc00": 1}, ["a\ud800b"]], ids=ascii)
def test_a_lone_surrogate_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        codec.encode(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_a_value_error_and_not_null(number: float) -> None:
    """``{"speed": nan}`` would be sent as ``{"speed": null}``, and spoken at another speed than asked for."""
    with pytest.raises(ValueError, match=r"."):
        codec.encode({"generation_config": {"speed": number}})


def test_a_list_in_itself_is_a_value_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"."):
        codec.encode(endless)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_written_can_be_read_by_another_reader(value: Any) -> None:
    assert json.loads(codec.encode(value)) == value
