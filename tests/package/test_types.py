from __future__ import annotations

import importlib
import typing
from typing import Any

import msgspec
import pytest

from cartesia_sync import types
from cartesia_sync.protocol.formats import ENCODINGS, SAMPLE_RATES_HZ
from cartesia_sync.protocol.messages import GenerationRequest

OURS_ALONE = {
    "Event": "the short name of WebsocketResponse",
    "PhonemeTimestampsEvent": "the official client has two classes of the name PhonemeTimestamps",
    "Unknown": "the official client gives an object of no class of its own",
    "VoiceObjectParam": "the official client says TTSRequestVoiceObject",
}
"""What the official client does not have under that name, and why."""


def official(module: str, name: str) -> Any:
    pytest.importorskip("cartesia")
    return getattr(importlib.import_module(f"cartesia.types.{module}"), name)


def keys(typed_dict: Any) -> tuple[set[str], set[str]]:
    """Give the required keys and the others; Python reads no ``Required`` that stands in a text, so we do."""
    hints = typing.get_type_hints(typed_dict, include_extras=True)
    marked = {key for key, hint in hints.items() if "Required" in str(typing.get_origin(hint))}
    required = marked or set(typed_dict.__required_keys__)
    return required, hints.keys() - required


def test_every_name_exists_and_every_class_is_explained() -> None:
    for name in types.__all__:
        thing = getattr(types, name)
        assert not isinstance(thing, type) or thing.__doc__, name


def test_names_are_the_official_clients() -> None:
    pytest.importorskip("cartesia")
    package = importlib.import_module("cartesia.types")
    events = importlib.import_module("cartesia.types.websocket_response")
    unknown = {name for name in types.__all__ if not hasattr(package, name) and not hasattr(events, name)}
    assert unknown == OURS_ALONE.keys()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("raw_output_format_param", "RawOutputFormatParam"),
        ("generation_config_param", "GenerationConfigParam"),
        ("generation_request_param", "GenerationRequestParam"),
    ],
)
def test_parameters_have_the_official_clients_keys(module: str, name: str) -> None:
    assert keys(getattr(types, name)) == keys(official(module, name))


def test_a_voice_has_an_id_and_maybe_a_mode() -> None:
    assert keys(types.VoiceObjectParam) == ({"id"}, {"mode"})


def test_the_choices_are_the_official_clients() -> None:
    assert typing.get_args(types.RawEncoding) == typing.get_args(official("raw_encoding", "RawEncoding"))
    assert typing.get_args(types.ModelSpeed) == typing.get_args(official("model_speed", "ModelSpeed"))


def test_the_choices_are_those_that_the_protocol_room_knows() -> None:
    rates = typing.get_type_hints(types.RawOutputFormatParam)["sample_rate"]
    assert typing.get_args(rates) == SAMPLE_RATES_HZ
    assert typing.get_args(types.RawEncoding) == tuple(ENCODINGS)


def test_a_requests_keys_are_those_that_are_sent() -> None:
    required, optional = keys(types.GenerationRequestParam)
    assert {field.encode_name for field in msgspec.structs.fields(GenerationRequest)} == required | optional


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Chunk", "Chunk"),
        ("Done", "Done"),
        ("Error", "Error"),
        ("FlushDone", "FlushDone"),
        ("Timestamps", "Timestamps"),
        ("PhonemeTimestampsEvent", "PhonemeTimestamps"),
    ],
)
def test_events_have_every_attribute_of_the_official_clients(ours: str, theirs: str) -> None:
    model = official("websocket_response", theirs)
    event = getattr(types, ours)()
    properties = {name for name, value in vars(model).items() if isinstance(value, property)}
    for name in model.model_fields.keys() | properties:
        assert hasattr(event, name), name
    assert (event.type,) == typing.get_args(model.model_fields["type"].annotation)


@pytest.mark.parametrize("name", ["WordTimestamps", "PhonemeTimestamps"])
def test_timings_have_the_official_clients_fields(name: str) -> None:
    pytest.importorskip("cartesia")
    model = getattr(importlib.import_module("cartesia.types"), name)
    assert set(getattr(types, name).__struct_fields__) == set(model.model_fields)
