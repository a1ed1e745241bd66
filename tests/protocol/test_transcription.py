from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.errors import MalformedEventError
from cartesia_sync.protocol.events import Unknown, WordTimestamps
from cartesia_sync.protocol.lifecycle import TURN, TurnState
from cartesia_sync.protocol.requests import omit
from cartesia_sync.protocol.transcription import (
    ENCODINGS,
    Hearing,
    Mode,
    Request,
    STTAutoFinalizeConnected,
    STTAutoFinalizeTurnEnd,
    STTErrorResponse,
    STTManualFinalizeTranscriptResponse,
    TimedWord,
    decode,
    encode_request,
    meaning_of,
    query_of,
    silence,
)

MANUAL, AUTO = Mode.MANUAL, Mode.AUTO
SETTINGS: dict[str, Any] = {"encoding": "pcm_s16le", "model": "ink-2", "sample_rate": 16000}


def read(mode: Mode, **fields: Any) -> Any:
    return decode(json.dumps(fields).encode(), mode)


def test_a_transcript_has_the_official_fields() -> None:
    event = read(MANUAL, type="transcript", text=" Hello", is_final=True, request_id="r", duration=1.5, language="en")
    assert isinstance(event, STTManualFinalizeTranscriptResponse)
    assert (event.text, event.is_final, event.request_id, event.duration, event.language, event.words, event.type) == (
        *(" Hello", True, "r", 1.5, "en", None, "transcript"),
    )


@pytest.mark.parametrize(
    "words",
    [
        [{"word": "a", "start": 0.0, "end": 0.1}, {"word": "b", "start": 0.2, "end": 0.3}],
        [{"words": ["a", "b"], "start": [0.0, 0.2], "end": [0.1, 0.3]}],
    ],
    ids=["one by one", "in lists"],
)
def test_words_are_read_in_both_shapes(words: Any) -> None:
    event = read(MANUAL, type="transcript", text="a b", is_final=True, request_id="r", words=words)
    assert event.words == [WordTimestamps(["a", "b"], [0.0, 0.2], [0.1, 0.3])]
    assert event.timed_words == [TimedWord("a", 0.0, 0.1), TimedWord("b", 0.2, 0.3)]


def test_an_odd_field_costs_itself_and_is_counted() -> None:
    counted: Counter[str] = Counter()
    message = json.dumps({"type": "transcript", "text": "a", "is_final": True, "words": [{"word": "a"}, 7]}).encode()
    event: Any = decode(message, MANUAL, counted)
    assert (event.text, event.words, event.unreadable) == ("a", None, {"words": [{"word": "a"}, 7]})
    assert counted == {"words": 1}


@pytest.mark.parametrize(
    "older", [{"message": "no", "status_code": 400}, {"error": "no", "code": 400}, {"message": "no", "code": 400}]
)
def test_errors_are_read_in_each_shape_that_was_documented(older: dict[str, Any]) -> None:
    event = read(AUTO, type="error", title="Bad", **older)
    assert isinstance(event, STTErrorResponse)
    assert (event.message, event.status_code, event.error) == ("no", 400, "Bad: no")


@pytest.mark.parametrize("mode", Mode)
def test_a_type_that_is_not_known_is_unknown_and_no_other_event(mode: Mode) -> None:
    event = read(mode, type="future.thing", zz=1)
    assert type(event) is Unknown
    assert (event.type, event.fields) == ("future.thing", {"type": "future.thing", "zz": 1})


def test_the_events_of_the_other_endpoint_are_unknown() -> None:
    assert type(read(MANUAL, type="turn.end", transcript="x")) is Unknown
    assert type(read(AUTO, type="done")) is Unknown


@pytest.mark.parametrize("message", [b"\xff", b"{", b"[]", b"{}", b'{"type":7}'])
def test_what_is_no_event_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedEventError):
        decode(message, AUTO)


def test_new_fields_are_kept_through_copies() -> None:
    event = read(AUTO, type="turn.end", transcript="x", request_id="r", confidence=0.5)
    for each in (event, copy.copy(event), pickle.loads(pickle.dumps(event))):
        assert isinstance(each, STTAutoFinalizeTurnEnd)
        assert (each.transcript, each.extra) == ("x", {"confidence": 0.5})


# ---- what they add up to


def test_final_pieces_are_joined_as_they_are_and_a_preview_is_replaced() -> None:
    heard = Hearing()
    for text, is_final in ((" He", False), (" Hello wor", True), ("l", False), ("ld.", True)):
        heard.add(STTManualFinalizeTranscriptResponse(text=text, is_final=is_final))
    assert heard.text == " Hello world."
    assert heard.text_since(1) == "ld."
    heard.add(STTManualFinalizeTranscriptResponse(text=" And", is_final=False))
    assert heard.text == " Hello world. And"
    assert heard.final_pieces == 2


def turns(*said: Any) -> Hearing:
    heard = Hearing()
    for kind, *transcript in said:
        heard.add(read(AUTO, type=kind, **({"transcript": transcript[0]} if transcript else {})))
    return heard


def test_a_turns_text_is_what_came_last_and_its_end_counts() -> None:
    heard = turns(["connected"], ["turn.start"], ["turn.update", "One"], ["turn.eager_end", "One."])
    assert (heard.text, heard.turn) == ("One.", TurnState.EAGER_ENDED)
    heard.add(read(AUTO, type="turn.resume"))
    heard.add(read(AUTO, type="turn.update", transcript="One. And"))
    assert (heard.text, heard.turn) == ("One. And", TurnState.SPEAKING)
    heard.add(read(AUTO, type="turn.end", transcript="One. And two."))
    assert (heard.text, heard.turn, heard.final_pieces, heard.out_of_turn) == ("One. And two.", TurnState.IDLE, 1, 0)
    heard.add(read(AUTO, type="turn.start"))
    heard.add(read(AUTO, type="turn.end", transcript=" Three."))
    assert heard.text == "One. And two. Three."


def test_a_turn_that_does_not_follow_the_table_is_counted_and_its_text_taken() -> None:
    heard = turns(["turn.update", "Late"], ["turn.resume"], ["turn.end", "Later."], ["turn.end", " More."])
    assert (heard.text, heard.turn, heard.out_of_turn) == ("Later. More.", TurnState.IDLE, 3)


@given(st.lists(st.sampled_from(["turn.start", "turn.update", "turn.eager_end", "turn.resume", "turn.end"])))
def test_whatever_comes_the_state_is_one_of_the_table(kinds: list[str]) -> None:
    heard = turns(*([kind, "x"] for kind in kinds))
    assert heard.turn in TURN
    assert heard.final_pieces == kinds.count("turn.end")


# ---- what the service is told


@pytest.mark.parametrize("word", ["finalize", "close", "done"])
def test_manual_commands_are_bare_words(word: str) -> None:
    assert encode_request(word, MANUAL) == word.encode()
    assert meaning_of(word.encode(), MANUAL) is (Request.FINALIZE if word == "finalize" else Request.CLOSE)


def test_auto_commands_are_json() -> None:
    assert encode_request({"type": "close"}, AUTO) == b'{"type":"close"}'
    config = {"type": "config", "turn": {"end_threshold": 0.3}, "zz": None}
    assert encode_request(config, AUTO) == b'{"type":"config","turn":{"end_threshold":0.3}}'
    assert meaning_of(b' {"type": "close"}', AUTO) is Request.CLOSE
    assert [meaning_of(each, AUTO) for each in (b"close", b"[1]", b'{"type":"config"}')] == [Request.OTHER] * 3


@pytest.mark.parametrize(("event", "mode"), [("flush", MANUAL), (b"close", MANUAL), ("close", AUTO), (b"{}", AUTO)])
def test_what_is_no_command_is_refused(event: Any, mode: Mode) -> None:
    with pytest.raises((TypeError, ValueError), match="a command is"):
        encode_request(event, mode)


def test_the_query_has_the_official_order_and_numbers() -> None:
    query = query_of(
        {**SETTINGS, "keyterm": ["ink two", "b"], "language": omit, "min_volume": 0.2},
        {"model": "ink-preview", "timestamp_granularities[]": ["word"], "flag": True},
    )
    assert query == [
        ("encoding", "pcm_s16le"),
        ("model", "ink-preview"),
        ("sample_rate", "16000"),
        ("keyterm", "ink two"),
        ("keyterm", "b"),
        ("min_volume", "0.2"),
        ("timestamp_granularities[]", "word"),
        ("flag", "true"),
    ]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"encoding": "mp3"}, "encoding: expected one of pcm_s16le"),
        ({"encoding": omit}, "encoding: expected one of"),
        ({"sample_rate": 0}, "sample_rate: expected a whole number"),
        ({"sample_rate": True}, "sample_rate: expected a whole number"),
        ({"model": ""}, "model: expected a name"),
        ({"keyterm": "one"}, "keyterm: expected a list"),
        ({"keyterm": ["x"] * 101}, "at most 100 terms of 1200 characters together; got 101 of 101"),
        ({"keyterm": ["x" * 1201]}, "got 1 of 1201"),
        ({"turn_end_threshold": "low"}, "turn_end_threshold: expected a number"),
        (
            {"turn_end_threshold": 0.5, "turn_start_threshold": 0.5},
            "turn_end_threshold has to be below turn_start_threshold; got 0.5 and 0.5",
        ),
        (
            {"turn_eager_end_threshold": 0.1, "turn_end_threshold": 0.2},
            "turn_end_threshold has to be below turn_eager_end_threshold; got 0.2 and 0.1",
        ),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_by_name(wrong: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        query_of({**SETTINGS, **wrong}, {})


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_silence_is_whole_samples_of_the_encodings_zero(encoding: str) -> None:
    sound = silence(encoding, 8000, 0.1)
    assert len(sound) == 800 * ENCODINGS[encoding]
    assert len(set(sound)) == 1


def test_the_names_are_the_official_ones() -> None:
    import cartesia.types
    import cartesia.types.stt

    from cartesia_sync.protocol import transcription

    for name in (*dir(cartesia.types.stt), "STTErrorResponse"):
        official = vars(cartesia.types.stt).get(name) or vars(cartesia.types)[name]
        ours = vars(transcription).get(name)
        if (isinstance(official, type) and "Response" in name) or name.startswith("STTAutoFinalizeTurn"):
            assert ours is not None, name
            if hasattr(official, "model_fields"):
                assert set(official.model_fields) <= {*ours.__struct_fields__, "type"}, name
    assert STTAutoFinalizeConnected.type == "connected"
