from __future__ import annotations

import json
import uuid
from typing import Any, Optional
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from cartesia_sync.local import LocalServer

SENTENCE = "Hello there, how are you today?"
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"


def spoken(server: LocalServer, container: str, encoding: str = "pcm_s16le") -> bytes:
    body = {
        "model_id": "sonic-latest",
        "transcript": SENTENCE,
        "voice": {"id": VOICE},
        "output_format": {"container": container, "encoding": encoding, "sample_rate": 16000},
    }
    headers = {"X-API-Key": "any", "Content-Type": "application/json"}
    with urlopen(Request(f"{server.url}/tts/bytes", json.dumps(body).encode(), headers)) as answer:
        content: bytes = answer.read()
        return content


def ask(server: LocalServer, query: str = "", *, file: Optional[bytes], **fields: str) -> tuple[int, Any]:
    boundary = uuid.uuid4().hex
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if file is not None:
        parts.append(b'name="file"; filename="a"\r\nContent-Type: application/octet-stream\r\n\r\n' + file)
    body = b"".join(b"--%b\r\nContent-Disposition: form-data; %b\r\n" % (boundary.encode(), part) for part in parts)
    body += b"--%b--\r\n" % boundary.encode()
    headers = {"X-API-Key": "any", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    try:
        with urlopen(Request(f"{server.url}/stt{query}", body, headers)) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_recording_of_the_servers_own_voice_is_written_down() -> None:
    with LocalServer() as server:
        status, answer = ask(
            server, file=spoken(server, "wav"), model="ink-whisper", **{"timestamp_granularities[]": "word"}
        )
        assert status == 200
        assert (answer["text"], answer["type"], answer["language"]) == (SENTENCE, "transcript", "en")
        assert [each["word"] for each in answer["words"]] == SENTENCE.split()
        bare = spoken(server, "raw", "pcm_mulaw")
        query = "?encoding=pcm_mulaw&sample_rate=16000"
        status, answer = ask(server, query, file=bare, model="ink-whisper", language="de")
        assert (status, answer["text"], answer["language"]) == (200, SENTENCE, "de")
        assert "words" not in answer
        assert answer["duration"] == pytest.approx(len(bare) / 16000, abs=0.001)


@pytest.mark.parametrize("encoding", ["pcm_f32le", "pcm_mulaw", "pcm_alaw"])
def test_a_recording_may_be_of_floats_or_g711(encoding: str) -> None:
    with LocalServer() as server:
        recording = spoken(server, "wav", encoding)
        assert ask(server, file=recording, model="ink-whisper")[1]["text"] == SENTENCE
        at = recording.index(b"data") + 8
        stereo = bytearray(recording[:at])
        stereo[22:24] = b"\2\0"
        width = 4 if encoding == "pcm_f32le" else 1
        frames = [recording[start : start + width] for start in range(at, len(recording), width)]
        stereo += b"".join(frame * 2 for frame in frames)
        stereo[at - 4 : at] = len(stereo[at:]).to_bytes(4, "little")
        answer = ask(server, file=bytes(stereo), model="ink-whisper")[1]
        assert (answer["text"], answer["duration"]) == (SENTENCE, pytest.approx(len(frames) / 16000, abs=0.001))


def test_a_test_gives_the_words() -> None:
    with LocalServer(engine="signal", hears=["One.", "Two."]) as server:
        assert ask(server, file=spoken(server, "wav"), model="ink-whisper")[1]["text"] == "One. Two."


@pytest.mark.parametrize(
    ("query", "file", "fields", "message"),
    [
        ("", None, {"model": "m"}, "file is required"),
        ("", b"ab", {}, "model is required"),
        ("", b"ab", {"model": "m"}, "no WAV file"),
        ("", b"RIFF____WAVEfmt " + bytes(30), {"model": "m"}, "no WAV file"),
        ("", b"RIFF____WAVEfmt \x10\0\0\0\3\0\1\0" + bytes(10) + b"\x20\0", {"model": "m"}, "no WAV file with audio"),
        ("?encoding=mp3&sample_rate=8000", b"ab", {"model": "m"}, "encoding is one of"),
        ("?encoding=pcm_s16le", b"ab", {"model": "m"}, "needs a sample_rate"),
        ("?encoding=pcm_s16le&sample_rate=1", b"ab", {"model": "m"}, "4000 to 192000"),
    ],
)
def test_what_cannot_be_heard_is_refused(query: str, file: Any, fields: dict[str, str], message: str) -> None:
    with LocalServer(engine="signal") as server:
        status, answer = ask(server, query, file=file, **fields)
    assert status == 400
    assert message in answer["message"]
