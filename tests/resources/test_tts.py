"""Text to speech over HTTP: what is sent. What comes back is in test_binary and test_events."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.protocol.requests import CommonSpeechOptions, EventSpeechOptions
from cartesia_sync.resources.tts import TTSResource

from ..support.http_service import Service, answer, event

KEY = "sk_car_a-key-for-speech"
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPOKEN: dict[str, Any] = {"model_id": "m", "output_format": FORMAT, "transcript": "t", "voice": "v"}
DONE = event({"type": "done", "done": True})


def sent_by(ask: Any, reply: bytes = b"", **options: Any) -> tuple[str, Any]:
    """Return the target and the body that a method sent."""
    with Service(answer(200, reply)) as service, Cartesia(api_key=KEY, base_url=service.url, **options) as client:
        ask(client)
    (asked,) = service.asked
    assert asked.method == "POST"
    assert asked.headers["content-type"] == "application/json"
    return asked.target, json.loads(asked.body)


@pytest.mark.parametrize(("method", "target"), [("generate", "/tts/bytes"), ("generate_sse", "/tts/sse")])
def test_what_was_not_given_is_not_sent_and_none_is_null(method: str, target: str) -> None:
    def ask(**more: Any) -> tuple[str, Any]:
        return sent_by(lambda client: list(iter_of(getattr(client.tts, method)(**SPOKEN, **more))), DONE)

    assert ask() == (target, SPOKEN)
    more = {"generation_config": {"speed": 1.2}, "language": None, "normalization": "off", "pronunciation_dict_id": "d"}
    assert ask(**more, speed="fast") == (target, {**SPOKEN, **more, "speed": "fast"})


@pytest.mark.parametrize(("method", "kind"), [("generate", CommonSpeechOptions), ("generate_sse", EventSpeechOptions)])
def test_a_field_of_the_options_is_sent_and_stands_nowhere_else(method: str, kind: Any) -> None:
    """A new field is added to the type and to ``GenerationRequest``; the methods over HTTP follow."""
    assert not set(inspect.signature(getattr(TTSResource, method)).parameters) & set(kind.__annotations__)
    for name in kind.__annotations__:
        asked = {**SPOKEN, name: "given"}
        _, sent = sent_by(lambda client, asked=asked: list(iter_of(getattr(client.tts, method)(**asked))), DONE)
        assert sent == asked


@pytest.mark.parametrize(("method", "unknown"), [("generate", "add_timestamps"), ("generate_sse", "save")])
def test_a_field_of_another_endpoint_is_an_unexpected_argument(method: str, unknown: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected argument {unknown}"):
        getattr(Cartesia(api_key=KEY).tts, method)(**SPOKEN, **{unknown: True})


def iter_of(said: Any) -> Any:
    return said.iter_bytes() if hasattr(said, "iter_bytes") else said


@pytest.mark.parametrize(("version", "voice"), [("2026-08-14", "v"), ("2026-03-01", {"mode": "id", "id": "v"})])
def test_a_voice_goes_out_in_the_shape_of_its_version(version: str, voice: Any) -> None:
    for ask in (
        lambda client: client.tts.generate(**SPOKEN).read(),
        lambda client: list(client.tts.generate_sse(**SPOKEN)),
    ):
        _, sent = sent_by(ask, DONE, cartesia_version=version)
        assert sent["voice"] == voice


def test_events_have_parameters_of_their_own() -> None:
    more = {
        "add_timestamps": True,
        "add_phoneme_timestamps": False,
        "context_id": "c",
        "use_normalized_timestamps": True,
    }
    _, sent = sent_by(lambda client: list(client.tts.sse(**SPOKEN, **more)), DONE)
    assert sent == {**SPOKEN, **more}


def test_the_old_form_gives_the_bytes_and_takes_a_duration() -> None:
    got: list[bytes] = []
    target, sent = sent_by(lambda client: got.extend(client.tts.bytes(**SPOKEN, duration=2.5)), b"sound")
    assert (target, sent, got) == ("/tts/bytes", {**SPOKEN, "duration": 2.5}, [b"sound"])
    _, sent = sent_by(lambda client: list(client.tts.bytes(**SPOKEN, duration=2.5, extra_body={"duration": 3})), b"")
    assert sent["duration"] == 3


@pytest.mark.parametrize("method", ["generate", "generate_sse"])
def test_a_language_and_a_locale_exclude_each_other(method: str) -> None:
    speak = getattr(Cartesia(api_key=KEY).tts, method)
    with pytest.raises(ValueError, match="language and locale exclude each other"):
        speak(**SPOKEN, language="en", locale="en-GB")
    with pytest.raises((TypeError, ValueError), match="voice"):
        speak(**{**SPOKEN, "voice": ""})


def test_an_infill_is_a_form_with_its_recordings() -> None:
    with Service(answer(200, b"middle")) as service, Cartesia(api_key=KEY, base_url=service.url) as client:
        said = client.tts.infill(
            left_audio=("left.wav", b"before"),
            right_audio=b"after",
            model_id="m",
            language="en",
            transcript="t",
            voice_id="v",
            output_format={**FORMAT, "container": "wav"},
        )
        assert said.read() == b"middle"
    (asked,) = service.asked
    assert asked.target == "/infill/bytes"
    for part in (
        b'name="left_audio"; filename="left.wav"',
        b"before",
        b'name="right_audio"; filename="upload"',
        b"after",
    ):
        assert part in asked.body
    for name, value in (("output_format[container]", "wav"), ("output_format[sample_rate]", "8000"), ("voice_id", "v")):
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in asked.body
