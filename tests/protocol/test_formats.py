from __future__ import annotations

import copy
import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartesia_sync.protocol.formats import (
    DEFAULT_OUTPUT_FORMAT,
    ENCODINGS,
    SAMPLE_RATES_HZ,
    RawFormat,
    bytes_per_sample,
    voice_on_the_wire,
)

OLD = ("2024-06-10", "2025-11-04", "2026-03-01", "2026-08-13")
NEW = ("2026-08-14", "2026-08-15", "2027-01-01")

# ---- formats


def test_default_output_format_is_the_official_clients_and_can_be_sent() -> None:
    as_sent = json.loads(json.dumps(DEFAULT_OUTPUT_FORMAT))
    assert as_sent == {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}
    assert RawFormat.of(DEFAULT_OUTPUT_FORMAT) == RawFormat("pcm_f32le", 44100)


@pytest.mark.parametrize(
    ("encoding", "sample_bytes"), [("pcm_f32le", 4), ("pcm_s16le", 2), ("pcm_mulaw", 1), ("pcm_alaw", 1)]
)
def test_encodings_know_their_sample_size(encoding: str, sample_bytes: int) -> None:
    assert bytes_per_sample(encoding) == sample_bytes
    assert RawFormat(encoding, 8000).sample_bytes == sample_bytes
    assert len(ENCODINGS) == 4


def test_seconds_count_whole_samples_at_the_sample_rate() -> None:
    assert RawFormat("pcm_f32le", 44100).seconds(4 * 44100) == 1.0
    assert RawFormat("pcm_s16le", 16000).seconds(8000) == 0.25
    assert RawFormat("pcm_mulaw", 8000).seconds(0) == 0.0


@pytest.mark.parametrize("sample_rate", [*SAMPLE_RATES_HZ, 1, 11025, 192000])
def test_any_positive_sample_rate_is_left_to_the_service(sample_rate: int) -> None:
    output_format = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": sample_rate, "new_key": 1}
    assert RawFormat.of(output_format) == RawFormat("pcm_s16le", sample_rate)


def test_unknown_encoding_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(ValueError, match=r"'opus'.*pcm_f32le, pcm_s16le, pcm_mulaw, pcm_alaw"):
        RawFormat("opus", 8000)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"container": "mp3"}, ValueError, "container 'raw', got 'mp3'"),
        ({"encoding": "mp3"}, ValueError, "unknown encoding 'mp3'"),
        ({"sample_rate": 0}, ValueError, "more than 0 Hz, got 0"),
        ({"sample_rate": -8000}, ValueError, "more than 0 Hz, got -8000"),
        ({"sample_rate": True}, TypeError, "whole number of Hz, got True"),
        ({"sample_rate": 8000.0}, TypeError, "whole number of Hz, got 8000.0"),
        ({"sample_rate": "8000"}, TypeError, "whole number of Hz, got '8000'"),
    ],
)
def test_unreadable_output_format_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RawFormat.of({**DEFAULT_OUTPUT_FORMAT, **changes})


@pytest.mark.parametrize("key", ["container", "encoding", "sample_rate"])
def test_missing_key_is_named(key: str) -> None:
    incomplete = {k: value for k, value in DEFAULT_OUTPUT_FORMAT.items() if k != key}
    with pytest.raises(ValueError, match=f"expected {key} too"):
        RawFormat.of(incomplete)


def test_output_format_must_be_a_mapping() -> None:
    with pytest.raises(TypeError, match="expected a mapping, got 'pcm_f32le'"):
        RawFormat.of("pcm_f32le")  # type: ignore[arg-type]  # the mistake under test


# ---- voices


@pytest.mark.parametrize("version", NEW)
@pytest.mark.parametrize(
    ("voice", "sent"),
    [
        ("x", "x"),
        ({"id": "x"}, {"id": "x"}),
        ({"mode": "id", "id": "x"}, {"id": "x"}),
        ({"mode": "id", "id": "x", "later": 1}, {"id": "x", "later": 1}),
        ({"mode": "new", "id": "x"}, {"mode": "new", "id": "x"}),
        ({"mode": "embedding", "embedding": [0.5]}, {"mode": "embedding", "embedding": [0.5]}),
    ],
)
def test_newer_versions_get_voices_without_the_id_mode(voice: Any, sent: Any, version: str) -> None:
    assert voice_on_the_wire(voice, version) == sent


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize(
    ("voice", "sent"),
    [
        ("x", {"mode": "id", "id": "x"}),
        ({"id": "x"}, {"mode": "id", "id": "x"}),
        ({"id": "x", "later": 1}, {"mode": "id", "id": "x", "later": 1}),
        ({"mode": "id", "id": "x"}, {"mode": "id", "id": "x"}),
        ({"mode": "new", "id": "x"}, {"mode": "new", "id": "x"}),
        ({"mode": "embedding", "embedding": [0.5]}, {"mode": "embedding", "embedding": [0.5]}),
    ],
)
def test_older_versions_get_voices_with_a_mode(voice: Any, sent: Any, version: str) -> None:
    assert voice_on_the_wire(voice, version) == sent


@pytest.mark.parametrize("version", [OLD[-1], NEW[0]])
@pytest.mark.parametrize(
    ("voice", "error", "message"),
    [
        (None, TypeError, "an id or a mapping with one, got None"),
        (7, TypeError, "an id or a mapping with one, got 7"),
        (["x"], TypeError, r"an id or a mapping with one, got \['x'\]"),
        ({}, ValueError, r"an 'id', got the keys \[\]"),
        ({"mode": "id", "name": "Ann"}, ValueError, r"an 'id', got the keys \['mode', 'name'\]"),
        ({"id": None}, TypeError, "the id as a string, got None"),
        ("", ValueError, "got an empty string"),
        ({"id": ""}, ValueError, "got an empty string"),
    ],
)
def test_what_is_no_voice_is_refused(voice: Any, error: type[Exception], message: str, version: str) -> None:
    with pytest.raises(error, match=message):
        voice_on_the_wire(voice, version)


@given(
    voice=st.dictionaries(st.sampled_from(["mode", "speed", "later"]), st.text()).map(lambda d: {**d, "id": "x"}),
    version=st.sampled_from(OLD + NEW),
)
def test_the_callers_mapping_is_never_changed_nor_handed_on(voice: dict[str, Any], version: str) -> None:
    before = copy.deepcopy(voice)
    sent = voice_on_the_wire(voice, version)
    assert isinstance(sent, dict)
    sent["more"] = 1
    assert voice == before


def test_any_mapping_will_do_for_a_voice() -> None:
    assert voice_on_the_wire(MappingProxyType({"mode": "id", "id": "x"}), NEW[0]) == {"id": "x"}
