from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cartesia_sync
from cartesia_sync import types
from cartesia_sync.protocol.formats import ENCODINGS, SAMPLE_RATES_HZ
from cartesia_sync.protocol.models.base import Record
from cartesia_sync.protocol.requests import GenerationRequest
from cartesia_sync.protocol.voice_changer import VoiceChangerSSEChunk

OURS_ALONE = {
    "Event": "the short name of WebsocketResponse",
    "STTReconnected": "the official client's iterator goes on without a word",
    "Unknown": "the official client gives an object of no class of its own",
    "VoiceObjectParam": "the official client says TTSRequestVoiceObject",
}
"""What the official client does not have under that name, and why."""


def official(module: str, name: str) -> Any:
    pytest.importorskip("cartesia")
    return getattr(importlib.import_module(f"cartesia.types.{module}"), name)


def keys(typed_dict: Any) -> tuple[set[str], set[str]]:
    """Return the required keys and the others; Python reads no ``Required`` that stands in a text, so we do."""
    hints = typing.get_type_hints(typed_dict, include_extras=True)
    marked = {key for key, hint in hints.items() if "Required" in str(typing.get_origin(hint))}
    required = marked or set(typed_dict.__required_keys__)
    return required, hints.keys() - required


def test_every_name_exists_and_every_class_is_explained() -> None:
    for name in types.__all__:
        thing = getattr(types, name)
        assert not isinstance(thing, type) or thing.__doc__, name


def test_names_are_the_official_clients() -> None:
    """Theirs lie in many modules, some of which the package does not show; ours lie in one."""
    theirs = {name for module in official_modules() for name in vars(module)}
    assert set(types.__all__) - theirs == OURS_ALONE.keys()


def official_modules() -> list[Any]:
    package = pytest.importorskip("cartesia.types")
    names = [each.name for each in pkgutil.walk_packages(package.__path__, "cartesia.types.")]
    return [package, *(importlib.import_module(name) for name in names)]


def test_a_name_that_is_not_there_is_not_made_up() -> None:
    assert not hasattr(types, "Nonsense")
    assert set(types.__all__) <= set(dir(types))


LOADED = """
import sys, cartesia_sync
from cartesia_sync import types
print([name for name in sys.modules
       if (".models." in name and not name.endswith((".base", ".plain"))) or "parameters" in name])
types.Voice, types.RawEncoding
print([name for name in sys.modules if ".models." in name and not name.endswith((".base", ".plain"))])
"""


def test_answers_are_loaded_when_they_are_asked_for() -> None:
    """They cost as much as a third of the rest of the import."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n['cartesia_sync.protocol.models.core']\n"


ANSWERS = [
    name
    for name in types.__all__
    if isinstance(getattr(types, name), type) and issubclass(getattr(types, name), (Record, VoiceChangerSSEChunk))
]
ONLY_IN_SOME_VERSIONS = {
    "Voice": {"access", "locales", "tagline", "visibility", "is_public"},
    "VoiceMetadata": {"access", "tagline", "visibility", "is_public"},
}


def official_class(name: str) -> Any:
    found = {getattr(module, name) for module in official_modules() if hasattr(module, name)}
    assert len(found) == 1, name
    return found.pop()


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_official_clients_attributes(name: str) -> None:
    ours = {each.name: each for each in msgspec.structs.fields(getattr(types, name))}
    theirs = official_class(name).model_fields
    some_versions = ONLY_IN_SOME_VERSIONS.get(name, set())
    if name == "VoiceChangerSSEChunk":  # made as a chunk is, whose bytes are decoded
        assert theirs.keys() <= {*ours, "data"}
        return
    assert theirs.keys() | some_versions == ours.keys() | (some_versions & theirs.keys())
    for field, model in theirs.items():
        assert ours[field].encode_name == (model.alias or field)
        assert ("datetime" in str(ours[field].type)) == ("datetime" in str(model.annotation)), field
        optional = type(None) in typing.get_args(ours[field].type) or ours[field].type is Any
        assert optional == (field in some_versions or not model.is_required()), field


def test_lists_that_are_answers_are_lists_of_the_same() -> None:
    for name in ("AgentListPhoneNumbersResponse", "DeploymentListResponse"):
        (ours,), (theirs,) = typing.get_args(getattr(types, name)), typing.get_args(official_class(name))
        assert ours.__name__ == theirs.__name__


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("raw_output_format_param", "RawOutputFormatParam"),
        ("generation_config_param", "GenerationConfigParam"),
        ("generation_request_param", "GenerationRequestParam"),
        ("wav_output_format_param", "WAVOutputFormatParam"),
        ("mp3_output_format_param", "MP3OutputFormatParam"),
        ("pronunciation_dict_item_param", "PronunciationDictItemParam"),
        ("access_token_create_params", "Grants"),
    ],
)
def test_parameters_have_the_official_clients_keys(module: str, name: str) -> None:
    required, optional = keys(getattr(types, name))
    if name == "GenerationRequestParam":
        optional -= {"locale", "normalization"}  # the API's since 2026-08-14; the official type does not have them yet
    assert (required, optional) == keys(official(module, name))


ARGUMENTS = [name for name in types.__all__ if name.endswith("Params") and name != "TelephonyParams"]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_have_the_official_clients_keys(name: str) -> None:
    assert keys(getattr(types, name)) == keys(official_class(name))


def test_every_type_of_arguments_of_the_official_client_is_there() -> None:
    """But for those of streaming speech to text, which is not in this package."""
    theirs = {name for module in official_modules() for name in vars(module) if name.endswith("Params")}
    left = {name for name in theirs if "Websocket" in name}
    assert theirs - left <= {*types.__all__}
    assert left == {"AutoFinalizeWebsocketParams", "ManualFinalizeWebsocketParams"}


def test_a_voice_has_an_id_and_maybe_a_mode() -> None:
    assert keys(types.VoiceObjectParam) == ({"id"}, {"mode"})


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("raw_encoding", "RawEncoding"),
        ("model_speed", "ModelSpeed"),
        ("output_format_container", "OutputFormatContainer"),
        ("stt_encoding", "STTEncoding"),
        ("gender", "Gender"),
        ("gender_presentation", "GenderPresentation"),
        ("localize_dialect", "LocalizeDialect"),
        ("localize_target_language", "LocalizeTargetLanguage"),
        ("attach_voice_accent", "AttachVoiceAccent"),
    ],
)
def test_the_choices_are_the_official_clients(module: str, name: str) -> None:
    assert set(typing.get_args(getattr(types, name))) == set(typing.get_args(official(module, name)))


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


def test_a_file_is_read_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    assert cartesia_sync.file_from_path(path) == cartesia_sync.file_from_path(str(path)) == ("a.wav", b"RIFF")
