from __future__ import annotations

import base64
import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartesia_sync import BadRequestError, Cartesia, IncompleteAnswerError, MalformedEventError
from cartesia_sync.types import Unknown, VoiceChangerSSEChunk, VoiceChangerSSEDone, VoiceChangerSSEError

from ..support.rest_service import REFUSED, Answer, Part, Service, events

FORMAT: Any = {
    "output_format_container": "raw",
    "output_format_encoding": "pcm_s16le",
    "output_format_sample_rate": 44100,
}
SAMPLES = np.array([0, 1000, -1000, 32767], "<i2")
DONE = {"done": True, "status_code": 200}


def chunk(audio: bytes, **more: Any) -> dict[str, Any]:
    data = base64.b64encode(audio).decode()
    return {"data": data, "done": False, "status_code": 206, "sample_rate": 44100, "step_time": 12.5, **more}


@pytest.mark.parametrize("name", ["generate", "change_voice_bytes", "generate_sse", "change_voice_sse"])
def test_what_goes_out(service: Service, client: Cartesia, name: str) -> None:
    is_sse = "sse" in name
    service.will_answer(events(DONE) if is_sse else Answer(b"", "audio/wav"))
    ask = getattr(client.voice_changer, name)
    with ask(clip=("c.wav", b"RIFF", "audio/wav"), voice_id="v", output_format_bit_rate=128000, **FORMAT) as answer:
        assert (list(answer) if is_sse else [answer.read()]) == [
            VoiceChangerSSEDone(status_code=200) if is_sse else b""
        ]
    assert service.last.line == f"POST /voice-changer/{'sse' if is_sse else 'bytes'}"
    assert service.last.headers["accept"] == ("text/event-stream" if is_sse else "audio/wav")
    assert service.last.sent == {
        "clip": Part("c.wav", b"RIFF", "audio/wav"),
        "voice[id]": "v",
        "output_format[container]": "raw",
        "output_format[encoding]": "pcm_s16le",
        "output_format[sample_rate]": "44100",
        "output_format[bit_rate]": "128000",
    }


def test_what_is_not_given_or_none_does_not_go_out(service: Service, client: Cartesia) -> None:
    service.will_answer(Answer(b"", "audio/wav"))
    client.voice_changer.generate().close()
    assert service.last.sent == {}
    client.voice_changer.generate(voice_id="v", output_format_bit_rate=None, output_format_encoding=None).close()
    assert service.last.sent == {"voice[id]": "v"}


def test_the_audio_can_be_read_as_samples_and_written(service: Service, client: Cartesia, tmp_path: Path) -> None:
    service.will_answer(Answer(SAMPLES.tobytes(), "audio/wav"))
    with client.voice_changer.generate(clip=b"x", voice_id="v", **FORMAT) as answer:
        np.testing.assert_allclose(answer.samples(), SAMPLES / 32768)
        answer.write_to_file(tmp_path / "changed.pcm")
    assert (tmp_path / "changed.pcm").read_bytes() == SAMPLES.tobytes()


def test_events_have_types_bytes_and_samples(service: Service, client: Cartesia) -> None:
    """Also where a sample is split between two chunks."""
    audio = SAMPLES.tobytes()
    service.will_answer(events(chunk(audio[:3], mood="good"), chunk(audio[3:]), DONE))
    with client.voice_changer.generate_sse(clip=b"x", voice_id="v", **FORMAT) as stream:
        first, second, done = stream
    assert isinstance(first, VoiceChangerSSEChunk)
    assert isinstance(second, VoiceChangerSSEChunk)
    assert isinstance(done, VoiceChangerSSEDone)
    assert (first.type, second.type, done.type) == ("chunk", "chunk", "done")
    assert (first.audio, second.audio) == (audio[:3], audio[3:])
    assert first.data == base64.b64encode(audio[:3]).decode()
    assert (first.sample_rate, first.step_time, first.status_code, first.done) == (44100, 12.5, 206, False)
    assert first.extra == {"mood": "good"}
    heard = np.concatenate([first.samples(), second.samples()])
    np.testing.assert_allclose(heard, SAMPLES / 32768)
    for again in (copy.copy(first), pickle.loads(pickle.dumps(first))):
        assert (again, again.extra) == (first, first.extra)


@pytest.mark.parametrize("container", ["mp3", "wav", None])
def test_chunks_of_a_file_give_bytes_alone(service: Service, client: Cartesia, container: Any) -> None:
    service.will_answer(events(chunk(b"ID3"), DONE))
    given = {} if container is None else {**FORMAT, "output_format_container": container}
    first, _ = client.voice_changer.generate_sse(clip=b"x", voice_id="v", **given)
    assert isinstance(first, VoiceChangerSSEChunk)
    assert first.audio == b"ID3"
    with pytest.raises(ValueError, match="encoding"):
        first.samples()


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "done": True, "status_code": 400, "title": "Bad", "message": "No clip.", "request_id": "r"},
        {"done": True, "status_code": 400, "title": "Bad", "message": "No clip."},
        {"status_code": 400, "error": "Bad: No clip."},
    ],
)
def test_an_error_is_an_event_and_the_last(service: Service, client: Cartesia, event: dict[str, Any]) -> None:
    """Also where it does not say its type: it must never pass for the end."""
    service.will_answer(events(event, chunk(b"never")))
    (error,) = client.voice_changer.generate_sse(clip=b"x", voice_id="v", **FORMAT)
    assert isinstance(error, VoiceChangerSSEError)
    assert (error.type, error.error, error.status_code, error.done) == ("error", "Bad: No clip.", 400, True)


def test_an_event_that_we_do_not_know_ends_nothing(service: Service, client: Cartesia) -> None:
    service.will_answer(events({"type": "progress", "percent": 3}, {"percent": 4}, DONE))
    named, nameless, done = client.voice_changer.generate_sse(clip=b"x", voice_id="v")
    assert isinstance(named, Unknown)
    assert isinstance(nameless, Unknown)
    assert (named.fields, str(named.type), str(nameless.type)) == (
        {"type": "progress", "percent": 3},
        "progress",
        "unknown",
    )
    assert done.done


@pytest.mark.parametrize(
    "wrong",
    [b"{", b"[1]", b'"chunk"', b'{"data": "%%%"}', b'{"data": 3}', b"\xff"],
)
def test_an_event_of_the_wrong_shape_is_an_error_of_ours(service: Service, client: Cartesia, wrong: bytes) -> None:
    service.will_answer(Answer(b"data: " + wrong + b"\n\n", "text/event-stream"))
    stream = client.voice_changer.generate_sse(clip=b"x", voice_id="v")
    with pytest.raises(MalformedEventError):
        next(stream)


def test_a_field_of_an_odd_type_costs_no_audio(service: Service, client: Cartesia) -> None:
    service.will_answer(events({"type": "chunk", "data": "AAAA", "step_time": "x", "sample_rate": []}, {"done": True}))
    heard, _ = client.voice_changer.generate_sse(clip=b"x", voice_id="v")
    assert isinstance(heard, VoiceChangerSSEChunk)
    assert heard.audio == bytes(3)
    assert heard.unreadable == {"step_time": "x", "sample_rate": []}


def test_a_stream_that_ends_too_soon_is_no_end(service: Service, client: Cartesia) -> None:
    service.will_answer(events(chunk(b"half")))
    with pytest.raises(IncompleteAnswerError):
        list(client.voice_changer.generate_sse(clip=b"x", voice_id="v", **FORMAT))


def test_what_is_wrong_is_refused_here_or_there(service: Service, client: Cartesia) -> None:
    wrong: Any = "clip.wav"
    with pytest.raises(TypeError, match="clip"):
        client.voice_changer.generate(clip=wrong)
    with pytest.raises(TypeError, match="clip"):
        client.voice_changer.generate_sse(clip=wrong)
    assert service.asked == []
    service.will_answer(REFUSED._replace(status=400))
    with pytest.raises(BadRequestError):
        client.voice_changer.generate_sse(clip=b"x")
