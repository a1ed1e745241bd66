"""The audio beside a tape: WAV where that gives each byte again, else the bytes as they are.

No FLAC: whether a tape can be read would depend on what is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Optional

from cartesia_sync.audio.wav import read_wav, wav_bytes
from cartesia_sync.protocol.formats import RawFormat

from ..errors import TapeError

__all__ = ["Kind", "read", "written"]

_SUFFIXES = {"audio/mpeg": ".mp3", "audio/mp3": ".mp3", "audio/wav": ".wav", "audio/x-wav": ".wav"}
_HEADERLESS = ".bytes"
_WITH_OUR_HEADER = ".raw.wav"


class Kind(NamedTuple):
    """What the bytes of one stream are.

    Attributes:
        raw: The format of audio without a header; None where the bytes bring a header of their own, or are unknown.
        content_type: Of those.
    """

    raw: Optional[RawFormat] = None
    content_type: str = ""

    @classmethod
    def of(cls, output_format: Any) -> Kind:
        """Return the kind of audio without a header; unknown where this is not what the client knows."""
        try:
            return cls(RawFormat.of(output_format))
        except (TypeError, ValueError):
            return cls()


def written(data: bytes, kind: Kind) -> tuple[str, bytes]:
    """Return the suffix and the content of the file that holds these bytes, all of them."""
    if kind.raw is None:
        return _SUFFIXES.get(kind.content_type, _HEADERLESS), data
    try:
        wav = wav_bytes(data, kind.raw)
        if read_wav(wav)[1] == data:
            return _WITH_OUR_HEADER, wav
    except ValueError:
        pass  # no whole samples
    return _HEADERLESS, data


def read(path: Path) -> bytes:
    """Return the bytes that ``written`` was given.

    Raises:
        TapeError: There is no such file, or it is not what its name says.
    """
    try:
        content = path.read_bytes()
        return read_wav(content)[1] if path.name.endswith(_WITH_OUR_HEADER) else content
    except (OSError, ValueError) as error:
        raise TapeError(f"{path}: {error}") from error
