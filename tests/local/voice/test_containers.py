from __future__ import annotations

import io
import struct
import sys
import wave

import pytest

from cartesia_sync.local.voice.audio_format import AudioFormat
from cartesia_sync.local.voice.containers import Container, NoEncoderError


def test_raw_is_left_as_it_is() -> None:
    container = Container(AudioFormat("pcm_alaw", 8000))
    assert [container.wrap(b"ab"), container.wrap(b"c"), container.end()] == [b"ab", b"c", b""]


def test_wav_is_what_the_standard_library_reads() -> None:
    container = Container(AudioFormat("pcm_s16le", 24000, "wav"))
    data = container.wrap(b"abcd") + container.wrap(b"ef") + container.end()
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(100) == b"abcdef"


@pytest.mark.parametrize(
    ("encoding", "number", "width"), [("pcm_f32le", 3, 4), ("pcm_alaw", 6, 1), ("pcm_mulaw", 7, 1)]
)
def test_other_encodings_have_their_number_and_room_for_settings(encoding: str, number: int, width: int) -> None:
    head = Container(AudioFormat(encoding, 8000, "wav")).wrap(b"")
    assert head[:16] == b"RIFF\xff\xff\xff\xffWAVEfmt "
    assert struct.unpack("<IHHIIHHH", head[16:38]) == (18, number, 1, 8000, 8000 * width, width, 8 * width, 0)
    assert head[38:] == b"data\xff\xff\xff\xff"


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("bit_rate", [32000, 192000])
def test_mp3_is_made_at_every_rate(rate: int, bit_rate: int) -> None:
    pytest.importorskip("lameenc")
    container = Container(AudioFormat("pcm_s16le", rate, "mp3", bit_rate))
    data = container.wrap(bytes(2 * rate)) + container.end()
    assert data[0] == 0xFF
    assert data[1] & 0xE0 == 0xE0
    assert len(data) > 2000


def test_without_an_encoder_mp3_is_refused_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lameenc", None)
    with pytest.raises(NoEncoderError, match="pip install 'cartesia-sync"):
        Container(AudioFormat("pcm_s16le", 44100, "mp3", 128000))
