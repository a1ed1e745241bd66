"""Audio, and other bytes, as they arrive."""

from __future__ import annotations

import io
import os
import pathlib
import struct
import threading
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cartesia_sync import Cartesia
from cartesia_sync.audio.wav import wav_bytes
from cartesia_sync.resources.binary import BinaryAPIResponse

from ..support.http_service import Asked, Out, Service, answer, chunk

KEY = "sk_car_a-key-for-answers"
BOUND = 10.0
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
WAV = {**RAW, "container": "wav"}
MP3 = {"container": "mp3", "sample_rate": 8000, "bit_rate": 32000}
SOUND = struct.pack("<4h", 0, 16384, -16384, -32768)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def client_of(service: Service, **options: Any) -> Cartesia:
    return Cartesia(api_key=KEY, base_url=service.url, max_retries=0, **options)


def said_by(client: Cartesia, output_format: Any = RAW) -> BinaryAPIResponse:
    return client.tts.generate(model_id="m", output_format=output_format, transcript="t", voice="v")


def cut(content: bytes) -> Callable[[Asked, Out], None]:
    def say(asked: Asked, out: Out) -> None:
        out.say(content)
        out.hang_up()

    return say


def test_what_was_read_is_kept_and_can_be_had_again_in_every_form(tmp_path: pathlib.Path) -> None:
    with (
        Service(answer(200, SOUND, Content_Type="audio/x", Cartesia_File_Id="f")) as service,
        client_of(service) as client,
    ):
        said = said_by(client)
        assert said.read() == said.read() == said.content == SOUND
        assert b"".join(said.iter_bytes()) == b"".join(said.iter_bytes(3)) == SOUND
        said.write_to_file(tmp_path / "a")
        assert said.samples().tolist() == [0, 0.5, -0.5, -1]
        assert (said.status_code, said.headers["cartesia-file-id"]) == (200, "f")
        assert repr(said) == "<BinaryAPIResponse 200 audio/x>"
    assert (tmp_path / "a").read_bytes() == SOUND
    assert len(service.asked) == 1


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_pieces_are_of_the_size_that_was_asked_for(size: int) -> None:
    with Service(answer(200, chunks=[SOUND[:5], SOUND[5:]])) as service, client_of(service) as client:
        pieces = list(said_by(client).iter_bytes(size))
    assert pieces == [SOUND[at : at + size] for at in range(0, len(SOUND), size)]


def test_what_went_by_cannot_be_had_again() -> None:
    with Service(answer(200, SOUND)) as service, client_of(service) as client:
        said = said_by(client)
        with pytest.raises(ValueError, match="chunk_size: expected 1 byte or more"):
            said.iter_bytes(0)
        list(said.iter_bytes())
        for again in (said.read, said.samples, said.iter_bytes, lambda: said.write_to_file(io.BytesIO())):
            with pytest.raises(ValueError, match="has been read"):
                again()


@pytest.mark.parametrize("before", [None, b"an older file"])
@pytest.mark.parametrize(
    "given",
    [
        cut(answer(200, SOUND)[:-1]),
        cut(STREAM + chunk(SOUND)),
        cut(b"HTTP/1.1 200 OK\r\n\r\n" + SOUND),
        cut(answer(200, SOUND, Content_Encoding="gzip")[:-1]),
    ],
    ids=["length", "chunks", "no length", "gzip"],
)
def test_no_part_of_an_answer_becomes_a_file(given: Any, before: Any, tmp_path: pathlib.Path) -> None:
    path, target = tmp_path / "a.wav", io.BytesIO()
    if before is not None:
        path.write_bytes(before)
    for file in (path, target):
        with Service(given) as service, client_of(service) as client, pytest.raises(Exception, match=r"/tts/bytes"):
            said_by(client).write_to_file(file)
    assert target.getvalue() == b""
    assert os.listdir(tmp_path) == ([] if before is None else ["a.wav"])
    assert before is None or path.read_bytes() == before


def test_a_file_appears_only_when_it_is_whole_and_is_not_collected_in_memory(tmp_path: pathlib.Path) -> None:
    has_looked = threading.Event()

    def say(asked: Asked, out: Out) -> None:
        out.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(SOUND)), SOUND)
        assert has_looked.wait(BOUND)
        out.say(SOUND)

    seen: list[list[str]] = []
    with Service(say) as service, client_of(service) as client:
        said = said_by(client)
        pieces = said._response.pieces

        def watched() -> Any:
            for piece in pieces():
                yield piece
                seen.append(os.listdir(tmp_path))
                has_looked.set()

        said._response.pieces = watched  # type: ignore[method-assign]  # to look at the folder between two pieces
        said.write_to_file(tmp_path / "a.raw")
    assert "a.raw" not in seen[0]
    assert len(seen[0]) == 1
    assert os.listdir(tmp_path) == ["a.raw"]
    assert (tmp_path / "a.raw").read_bytes() == SOUND * 2


def streamed(encoding: str = "pcm_s16le", length: int = 0xFFFFFFFF) -> bytes:
    from cartesia_sync.protocol.formats import RawFormat

    whole = bytearray(wav_bytes(SOUND, RawFormat(encoding, 8000)))
    struct.pack_into("<I", whole, 4, length)
    struct.pack_into("<I", whole, len(whole) - len(SOUND) - 4, length)
    return bytes(whole)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0, 0x7FFFFFFF])
def test_a_streamed_wav_files_lengths_are_made_true(tmp_path: pathlib.Path, length: int) -> None:
    with Service(answer(200, chunks=[streamed(length=length)])) as service, client_of(service) as client:
        said_by(client, WAV).write_to_file(tmp_path / "a.wav")
        target = io.BytesIO()
        said_by(client, WAV).stream_to_file(target)
        assert b"".join(said_by(client, WAV).iter_bytes()) == streamed(length=length)  # as it came
        said = said_by(client, WAV)
        assert said.read() == said.content == b"".join(said.iter_bytes(7)) == target.getvalue()
        assert said_by(client, WAV).samples().tolist() == [0, 0.5, -0.5, -1]
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (4, 8000, 1)
        assert file.readframes(9) == SOUND
    assert target.getvalue() == (tmp_path / "a.wav").read_bytes()


def test_what_is_no_wav_is_written_byte_for_byte(tmp_path: pathlib.Path) -> None:
    for content in (b"ID3\x04" + SOUND, b"", b"R", b"RIFF" + b"\xff" * 60, streamed()[:20]):
        with Service(answer(200, content)) as service, client_of(service) as client:
            said_by(client, MP3).write_to_file(tmp_path / "a.mp3", chunk_size=3)
            assert said_by(client, MP3).read() == content
        assert (tmp_path / "a.mp3").read_bytes() == content


def test_mp3_has_no_samples_and_still_its_bytes() -> None:
    with Service(answer(200, b"ID3")) as service, client_of(service) as client:
        said = said_by(client, MP3)
        with pytest.raises(ValueError, match="expected raw audio or WAV, got 'mp3'"):
            said.samples()
        assert said.read() == b"ID3"
        with client.tts.infill(model_id="m") as said, pytest.raises(ValueError, match="expected a WAV file"):
            said.samples()


def test_samples_are_of_the_encoding_that_was_asked_for() -> None:
    floats = np.array([0.25, -2.0], "<f4")
    with Service(answer(200, floats.tobytes())) as service, client_of(service) as client:
        assert said_by(client, {**RAW, "encoding": "pcm_f32le"}).samples().tolist() == [0.25, -2.0]
        with pytest.raises(ValueError, match="unknown encoding"):
            said_by(client, {**RAW, "encoding": "opus"}).samples()
    with (
        Service(answer(200, SOUND[:-1])) as service,
        client_of(service) as client,
        pytest.raises(ValueError, match="expected whole samples"),
    ):
        said_by(client).samples()
