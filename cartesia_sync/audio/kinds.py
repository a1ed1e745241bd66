"""What a file's name says it is to hold: sound, captions or a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, Optional, TypeVar

Kind = Literal["wav", "mp3", "ogg", "opus", "flac"]
EncodedKind = Literal["mp3", "ogg", "opus", "flac"]
StreamKind = Literal["raw", "wav", "mp3", "ogg", "opus"]
CaptionKind = Literal["srt", "vtt", "ass", "ssa", "json"]
PictureKind = Literal["png", "svg", "pdf"]
K = TypeVar("K", bound=str)

SOUNDS: dict[str, Kind] = {
    ".wav": "wav",
    ".wave": "wav",
    ".mp3": "mp3",
    ".ogg": "ogg",
    ".oga": "ogg",
    ".opus": "opus",
    ".flac": "flac",
}
CAPTIONS: dict[str, CaptionKind] = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa", ".json": "json"}
PICTURES: dict[str, PictureKind] = {".png": "png", ".svg": "svg", ".pdf": "pdf"}

_OTHER_SOUNDS = (".aac", ".aif", ".aiff", ".amr", ".au", ".caf", ".m4a", ".mp4", ".mov", ".weba", ".webm", ".wma")
"""The ends of names of sound that is not written here."""


def sound_kind_of(path: Any) -> Kind:
    """Return the kind of sound that a name asks for; WAV for a file object, and for names that say nothing.

    Raises:
        ValueError: It is that of a kind that is not written here, of captions, or of a picture.
    """
    suffix = suffix_of(path)
    if suffix in _OTHER_SOUNDS:
        raise ValueError(f"sound is written to {', '.join(SOUNDS)}; got {suffix!r}")
    if suffix in CAPTIONS:
        raise ValueError(f"{suffix} is a file of captions, which context.record() saves; got it for sound")
    if suffix in PICTURES:
        raise ValueError(f"{suffix} is a picture, which context.record() plots; got it for sound")
    return SOUNDS.get(suffix, "wav")


def asks_for_captions(path: Any, kind: Optional[str]) -> bool:
    """Whether it is captions that a kind, or where that is None a name, asks for."""
    return suffix_of(path) in CAPTIONS if kind is None else kind in CAPTIONS.values()


def kind_among(kinds: Mapping[str, K], path: Any, what: str) -> K:
    """Return the kind that a name asks for, of those that these suffixes stand for; ``what`` is said of them.

    Raises:
        ValueError: None of them.
    """
    suffix = suffix_of(path)
    if suffix not in kinds:
        name = os.fsdecode(path) if isinstance(path, (str, os.PathLike)) else "a file object without kind="
        raise ValueError(f"{what} {', '.join(kinds)}; got {name!r}")
    return kinds[suffix]


def suffix_of(path: Any) -> str:
    """Return the end of a name, in small letters; "" for a file object."""
    if not isinstance(path, (str, os.PathLike)):
        return ""
    return os.path.splitext(os.fsdecode(path))[1].lower()
