from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cartesia_sync.local.events import error_event
from cartesia_sync.local.requests import (
    ApiError,
    CancelRequest,
    GenerationRequest,
    RequestRules,
    parse_json,
    parse_message,
    parse_speech,
)
from cartesia_sync.local.voice.audio_format import AudioFormat

NEW, FIRST_STRUCTURED, OLD = "2026-08-14", "2026-03-01", "2025-11-04"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
GOOD: dict[str, Any] = {
    "model_id": "sonic-3.5",
    "transcript": "Hello.",
    "voice": VOICE,
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
    "context_id": "turn-17",
}


def parsed(version: str = NEW, **fields: Any) -> GenerationRequest:
    request = parse_message({**GOOD, **fields}, version)
    assert isinstance(request, GenerationRequest)
    return request


def error_of(message: Any, version: str = NEW) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_message(message, version)
    return caught.value


def test_what_is_not_said_has_a_default() -> None:
    request = parsed()
    assert request.audio_format == AudioFormat("pcm_s16le", 24000)
    assert not any((request.continue_, request.flush, request.add_timestamps, request.add_phoneme_timestamps))
    assert (request.max_buffer_delay, request.speed, request.volume) == (None, 1.0, 1.0)
    assert request.voice.language == "en-us"


def test_null_is_as_good_as_nothing() -> None:
    names = ("continue", "flush", "max_buffer_delay_ms", "add_timestamps", "language", "locale", "generation_config")
    assert parsed(**dict.fromkeys(names)) == parsed()


def test_what_is_said_is_read() -> None:
    request = parsed(
        **{"continue": True},
        flush=True,
        max_buffer_delay_ms=250,
        add_timestamps=True,
        add_phoneme_timestamps=True,
        generation_config={"speed": 1.2, "volume": 0.5, "emotion": "calm"},
        language="de",
    )
    assert request.continue_
    assert request.flush
    assert request.add_timestamps
    assert request.add_phoneme_timestamps
    assert (request.max_buffer_delay, request.speed, request.volume) == (0.25, 1.2, 0.5)
    assert request.voice.language == "de"


@pytest.mark.parametrize("version", [OLD, FIRST_STRUCTURED, NEW])
@pytest.mark.parametrize("voice", [VOICE, VOICE.upper(), {"id": VOICE}, {"mode": "id", "id": VOICE, "new": 1}])
def test_a_voice_may_have_any_shape_in_any_version(voice: Any, version: str) -> None:
    assert parsed(version, voice=voice) == parsed()


@pytest.mark.parametrize("field", ["speed", "stream", "accent", "whatever"])
def test_other_fields_are_passed_over(field: str) -> None:
    assert parsed(**{field: {"x": [1]}}) == parsed()


@pytest.mark.parametrize(
    ("fields", "language"),
    [
        ({"language": "zh"}, "cmn"),
        ({"language": "en-GB"}, "en"),  # eSpeak NG's name of British English
        ({"language": "es-419"}, "es-419"),
        ({"language": "de-AT"}, "de"),  # a region that sounds like the language
        ({"locale": "en-gb"}, "en"),
        ({"locale": "PT-br"}, "pt-br"),
        ({"locale": "pt-PT"}, "pt"),
        ({"locale": "en-Latn-US"}, "en-us"),
        ({}, "en-us"),
    ],
)
def test_language_and_locale_choose_the_language(fields: dict[str, str], language: str) -> None:
    assert parsed(**fields).voice.language == language


def test_a_cancel_needs_nothing_but_its_context() -> None:
    assert parse_message({"context_id": "a", "cancel": True}, NEW) == CancelRequest("a")


@pytest.mark.parametrize(
    "message", [None, 7, "text", [], {}, {"context_id": None}, {"context_id": 7}, {"context_id": ""}]
)
def test_without_a_readable_context_the_error_names_none(message: Any) -> None:
    refused = error_of(message)
    assert (refused.status, refused.context_id) == (400, None)


@pytest.mark.parametrize(
    "fields",
    [
        *({missing: None} for missing in ("model_id", "transcript", "voice", "output_format")),
        {"transcript": 7},
        {"model_id": "whisper", "code": "model_not_found"},
        {"language": "xx", "code": "language_not_supported"},
        {"language": "EN", "code": "language_not_supported"},
        {"locale": "xx-YY", "code": "language_not_supported"},
        {"language": "xx-YY", "code": "language_not_supported"},
        {"language": "en-gb", "code": "language_not_supported"},
        {"language": "en_GB", "code": "language_not_supported"},
        {"language": "en-", "code": "language_not_supported"},
        {"language": "en-England", "code": "language_not_supported"},
        {"language": 7},
        {"language": "en", "locale": "en-GB"},
        {"voice": 7},
        {"voice": {}},
        {"voice": {"mode": "embedding", "embedding": [0.0]}},
        {"output_format": {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 24000}},
        {
            "output_format": {"container": "raw", "encoding": "mp3", "sample_rate": 24000},
            "code": "unsupported_audio_format",
        },
        {
            "output_format": {"container": "raw", "encoding": [], "sample_rate": 24000},
            "code": "unsupported_audio_format",
        },
        {
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 11025},
            "code": "unsupported_audio_format",
        },
        {
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000.0},
            "code": "unsupported_audio_format",
        },
        {"continue": "yes"},
        {"flush": 1},
        {"cancel": "yes"},
        {"max_buffer_delay_ms": 5001},
        {"max_buffer_delay_ms": -1},
        {"max_buffer_delay_ms": True},
        {"max_buffer_delay_ms": "3000"},
        {"generation_config": []},
        {"generation_config": {"speed": 1.6}},
        {"generation_config": {"volume": 0.4}},
        {"generation_config": {"volume": float("nan")}},
        {"context_id": "with space"},
        {"context_id": "ü"},
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any]) -> None:
    code = fields.get("code")
    refused = error_of({**GOOD, **fields})
    assert (refused.status, refused.error_code) == (400, code)
    assert refused.context_id == fields.get("context_id", "turn-17")


@pytest.mark.parametrize(("version", "status"), [(OLD, 400), (FIRST_STRUCTURED, 404), (NEW, 404), ("soon", 404)])
@pytest.mark.parametrize("voice", ["nobody", "{" + VOICE + "}", VOICE.replace("-", ""), ""])
def test_what_is_no_uuid_is_no_voice(voice: str, version: str, status: int) -> None:
    refused = error_of({**GOOD, "voice": voice}, version)
    assert (refused.status, refused.error_code) == (status, "voice_not_found")


def test_context_ids_may_be_anything_if_the_switch_says_so() -> None:
    request = parse_message({**GOOD, "context_id": "with space"}, NEW, RequestRules(strict_context_ids=False))
    assert request.context_id == "with space"


def test_a_language_has_no_region_if_the_switch_says_so() -> None:
    with pytest.raises(ApiError) as caught:
        parse_message({**GOOD, "language": "en-GB"}, NEW, RequestRules(regional_languages=False))
    assert (caught.value.status, caught.value.error_code) == (400, "language_not_supported")


@pytest.mark.parametrize(("version", "status"), [(OLD, 400), (FIRST_STRUCTURED, 404), (NEW, 404)])
def test_an_id_that_no_voice_has_is_refused(version: str, status: int) -> None:
    with pytest.raises(ApiError) as caught:
        parse_message(GOOD, version, RequestRules(has_voice=lambda voice_id: str(voice_id) != VOICE))
    assert (caught.value.status, caught.value.error_code) == (status, "voice_not_found")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow at making them
@given(st.dictionaries(st.sampled_from([*GOOD, "continue", "flush", "language", "generation_config", "cancel"]), JSON))
def test_whatever_a_field_holds_the_answer_is_a_request_or_an_error(fields: dict[str, Any]) -> None:
    try:
        parse_message({**GOOD, **fields}, NEW)
    except ApiError as refused:
        json.loads(error_event(refused, NEW, "r"))


LONG = "x" * 40_000


@pytest.mark.parametrize(
    "value",
    [LONG, "\\" * 40_000, '"' * 40_000, [",[{" * 20_000], {"a": [1, LONG, {LONG: None}]}, ["\\", LONG, "\\\\"]],
    ids=lambda value: str(value)[:10],
)
def test_large_json_is_read_as_json(value: Any) -> None:
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode()) == parse_json(text.encode("utf-16")) == value


@pytest.mark.parametrize("piece", ["[],", "{},", "0,", '"",', '"a":0,', '""', "[", '{"":', "::"])
def test_json_of_very_many_values_is_not_read(piece: str) -> None:
    """Sixteen megabytes of them would be half a gigabyte of objects."""
    with pytest.raises(ValueError, match=r"values|Expecting"):
        parse_json(f"[{piece * 200_000}0]")
    assert len(parse_json(json.dumps([[]] * 40_000))) == 40_000


def test_a_transcript_has_an_end() -> None:
    assert parsed(transcript="x" * 1024**2)
    assert error_of({**GOOD, "transcript": "x" * 1024**2 + "x"}).status == 400


def test_an_id_has_an_end_and_so_has_what_an_error_repeats() -> None:
    too_long = {**GOOD, "context_id": "x" * 257}
    error = error_of(too_long)
    assert (error.title, error.context_id) == ("Invalid context_id", None)
    with pytest.raises(ApiError, match="256"):
        parse_speech(too_long, NEW, RequestRules(), ("raw",))
    assert parsed(context_id="x" * 256).context_id == "x" * 256
    assert len(str(error_of({**GOOD, "model_id": "x" * 10_000}))) < 600


@pytest.mark.parametrize("model", ["sonic", "sonic-2", "sonic-2-2025-03-07", "sonic-turbo", "sonic-english"])
def test_models_that_are_no_more_are_refused_as_such(model: str) -> None:
    error = error_of({**GOOD, "model_id": model})
    assert (error.status, error.error_code) == (400, "model_sunsetted")
    assert '"doc_url"' in error_event(error, NEW, "r")


@pytest.mark.parametrize(
    "model", ["sonic-latest", "sonic-preview", "sonic-3", "sonic-3.6", "sonic-3-2026-01-12", "sonic-3.5-2026-05-04"]
)
def test_models_that_there_are(model: str) -> None:
    assert parsed(model_id=model).model_id == model


@pytest.mark.parametrize("model", ["", "sonic-", "sonic-x", "sonic-3-old", "ink-2", "gpt", "sonic-3.5-2026-05-04 "])
def test_models_that_there_are_not(model: str) -> None:
    assert error_of({**GOOD, "model_id": model}).error_code == "model_not_found"


@pytest.mark.parametrize("emotion", ["calm", "Calm", "Joking/Comedic", None])
def test_emotions_of_any_case(emotion: Any) -> None:
    parsed(generation_config={"emotion": emotion}, duration=3.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"generation_config": {"emotion": "hungry"}},
        {"generation_config": {"emotion": 7}},
        {"generation_config": {"emotion": ""}},
        {"duration": 0},
        {"duration": -1.0},
        {"duration": "3"},
        {"duration": True},
    ],
    ids=str,
)
def test_emotions_and_durations_that_are_none(fields: dict[str, Any]) -> None:
    assert error_of({**GOOD, **fields}).status == 400
