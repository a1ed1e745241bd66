from __future__ import annotations

import base64
import json

import pytest

from cartesia_sync.local.events import (
    chunk_event,
    done_event,
    error_body,
    error_event,
    flush_done_event,
    timestamps_event,
)
from cartesia_sync.local.requests import ApiError
from cartesia_sync.local.voice.timing import Timed

NEW, FIRST_STRUCTURED, OLD = "2026-08-14", "2026-03-01", "2025-11-04"


def test_a_chunk_says_what_the_service_says() -> None:
    audio = bytes(range(256))
    event = json.loads(chunk_event('a"b', audio, 2, 41.69999))
    assert base64.b64decode(event.pop("data"), validate=True) == audio
    assert event == {
        "type": "chunk",
        "done": False,
        "status_code": 206,
        "step_time": 41.7,
        "context_id": 'a"b',
        "flush_id": 2,
    }
    assert "flush_id" not in json.loads(chunk_event("a", audio, None, 0))


def test_timestamps_are_three_arrays_cut_to_milliseconds() -> None:
    times = [Timed("Good", 0.0204, 0.2999), Timed("morning.", 0.3, 0.8)]
    event = json.loads(timestamps_event("a", times, None, phonemes=False))
    assert event["type"] == "timestamps"
    assert event["word_timestamps"] == {"words": ["Good", "morning."], "start": [0.02, 0.3], "end": [0.299, 0.8]}
    event = json.loads(timestamps_event("a", times[:1], 3, phonemes=True))
    assert event["type"] == "phoneme_timestamps"
    assert event["phoneme_timestamps"] == {"phonemes": ["Good"], "start": [0.02], "end": [0.299]}
    assert event["flush_id"] == 3


def test_ends_say_what_the_service_says() -> None:
    assert json.loads(flush_done_event("a", 1)) == {
        "type": "flush_done",
        "done": False,
        "flush_done": True,
        "flush_id": 1,
        "status_code": 206,
        "context_id": "a",
    }
    assert json.loads(done_event("a")) == {"type": "done", "done": True, "status_code": 206, "context_id": "a"}


@pytest.mark.parametrize("version", [FIRST_STRUCTURED, NEW, "nonsense", ""])
def test_errors_are_structured_since_2026_03_01(version: str) -> None:
    refused = ApiError(404, "Voice not found", "None.", error_code="voice_not_found", context_id="a")
    assert json.loads(error_event(refused, version, "r-1")) == {
        "type": "error",
        "done": True,
        "status_code": 404,
        "error_code": "voice_not_found",
        "title": "Voice not found",
        "message": "None.",
        "request_id": "r-1",
        "doc_url": "https://docs.cartesia.ai/use-the-api/api-errors",
        "context_id": "a",
    }
    body, content_type = error_body(refused, version, "r-1")
    assert content_type == "application/json"
    assert json.loads(body) == {
        "error_code": "voice_not_found",
        "title": "Voice not found",
        "message": "None.",
        "request_id": "r-1",
        "doc_url": "https://docs.cartesia.ai/use-the-api/api-errors",
    }


@pytest.mark.parametrize("version", ["2024-06-10", OLD, "2026-02-28"])
def test_older_versions_get_the_legacy_error(version: str) -> None:
    refused = ApiError(400, "Invalid transcript", "It is empty.")
    assert json.loads(error_event(refused, version, "r-1", done=False)) == {
        "type": "error",
        "done": False,
        "status_code": 400,
        "error": "Invalid transcript: It is empty.",
    }
    assert error_body(refused, version, "r-1") == ("Invalid transcript: It is empty.", "text/plain")
