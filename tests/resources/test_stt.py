from __future__ import annotations

from typing import Any

import pytest

from cartesia_sync import BadRequestError, Cartesia
from cartesia_sync.types import STTTranscribeResponse, Word

from ..support.rest_service import REFUSED, Part, Service

CLIP = Part("c.wav", b"RIFF", "audio/wav")


def test_what_goes_out(service: Service, client: Cartesia) -> None:
    client.stt.transcribe(file=CLIP, model="ink-whisper")
    assert service.last.line == "POST /stt"
    assert service.last.sent == {"file": CLIP, "model": "ink-whisper"}


def test_bare_samples_are_described_in_the_query(service: Service, client: Cartesia) -> None:
    client.stt.transcribe(
        file=b"\0\0",
        model="ink-whisper",
        encoding="pcm_s16le",
        sample_rate=16000,
        language="de",
        timestamp_granularities=["word"],
    )
    assert service.last.line == "POST /stt?encoding=pcm_s16le&sample_rate=16000"
    assert service.last.sent == {
        "file": Part("upload", b"\0\0", "application/octet-stream"),
        "model": "ink-whisper",
        "language": "de",
        "timestamp_granularities[]": "word",
    }
    client.stt.transcribe(file=b"x", model="m", encoding=None, sample_rate=None, timestamp_granularities=["a", "b"])
    assert service.last.line == "POST /stt"
    assert service.last.sent["timestamp_granularities[]"] == ["a", "b"]


def test_a_transcript_comes_back_typed(service: Service, client: Cartesia) -> None:
    words = [{"word": "Hello", "start": 0, "end": 0.4, "confidence": 0.9}]
    service.will_answer(
        {"type": "transcript", "text": "Hello", "language": "en", "duration": 3, "words": words, "x": 1}
    )
    found = client.stt.transcribe(file=b"x", model="m")
    assert isinstance(found, STTTranscribeResponse)
    assert (found.text, found.type, found.duration, found.is_final) == ("Hello", "transcript", 3.0, None)
    assert found.words == [Word(word="Hello", start=0.0, end=0.4)]
    assert found.words[0].extra == {"confidence": 0.9}
    assert found.extra == {"x": 1}


def test_what_is_wrong_is_refused_here_or_there(service: Service, client: Cartesia) -> None:
    wrong: Any = "clip.wav"
    with pytest.raises(TypeError, match="file"):
        client.stt.transcribe(file=wrong, model="m")
    with pytest.raises(TypeError, match="model"):
        client.stt.transcribe(file=b"x")  # type: ignore[call-arg]  # no model
    assert service.asked == []
    service.will_answer(REFUSED._replace(status=400))
    with pytest.raises(BadRequestError):
        client.stt.transcribe(file=b"x", model="m")
