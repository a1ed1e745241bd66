"""What is on a tape: a line for each thing that happened, in order, and the audio beside them.

A tape is a folder: ``tape.jsonl``, and a file for the audio of each context and answer. A line has ``at`` (seconds
since the tape began) and ``socket`` or ``call`` (whose it is), and one of these:

    open, query, version, status, headers, refused    a WebSocket's handshake, and how it was answered
    sent, got              one message, to and from the service: JSON, or a text where JSON would not give the same text
    sent_audio, got_audio  one binary message, as [file, start, length]
    closed                 by whom, code and reason; code null: the connection was lost
    asked                  an HTTP request
    answer, piece, end     its answer: status and headers, the body piece by piece, and whether it came whole

Where base64 stood in a text there is ``"@"``, and ``audio`` says what to put there: [[file, start, length], ...].
``spaced`` is true where the JSON has a space behind colons and commas.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

from cartesia_sync._version import __version__

from ..errors import TapeError
from . import audio_files
from .audio_files import Kind
from .secrets import Secrets

__all__ = ["Place", "Reel", "as_value"]

FORMAT = 1
LINES = "tape.jsonl"

Place = tuple[str, int, int]
"""A stream, and where in it: start and length."""

_DATA = re.compile(r'("data"\s*:\s*")([A-Za-z0-9+/]+={0,2})(?=")')
_MARK = re.compile(r'("data"\s*:\s*")@(?=")')


class _Stream:
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.data = bytearray()


class Reel:
    """The lines and streams of one tape.

    Threads: the proxy's loop; before its start and after its end any one.
    """

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._streams: dict[str, _Stream] = {}

    def number(self, name: str) -> int:
        """Return the next number of a ``socket`` or a ``call``."""
        return 1 + max((line.get(name, 0) for line in self.lines), default=0)

    # ---- in

    def add(self, at: float, **line: Any) -> None:
        """Add a line."""
        self.lines.append({"at": round(at, 4), **line})

    def put(self, stream: str, data: bytes, kind: Kind) -> Place:
        """Add bytes to a stream; return where they are."""
        known = self._streams.setdefault(stream, _Stream(kind))
        start = len(known.data)
        known.data += data
        return stream, start, len(data)

    def put_text(self, key: str, text: str, stream: str, kind: Kind) -> dict[str, Any]:
        """Return the part of a line that says ``text`` under ``key``; its audio goes to the stream."""
        places: list[Place] = []
        template = text
        if not _MARK.search(text):

            def moved(match: re.Match[str]) -> str:
                data = _decoded(match[2])
                if data is None:
                    return match[0]
                places.append(self.put(stream, data, kind))
                return f"{match[1]}@"

            template = _DATA.sub(moved, text)
        value, style = as_value(template)
        return {key: value, **style, **({"audio": places} if places else {})}

    # ---- out

    def get(self, place: Place) -> bytes:
        """Return the bytes at a place.

        Raises:
            TapeError: They are not there.
        """
        name, start, length = place
        known = self._streams.get(name)
        data = b"" if known is None else bytes(known.data[start : start + length])
        if len(data) != length:
            raise TapeError(f"the audio {name} is shorter than the tape says")
        return data

    def text(self, line: Mapping[str, Any], key: str, ids: Optional[Mapping[str, str]] = None) -> str:
        """Return the text of a line, byte for byte, with other context ids.

        Args:
            line: The line.
            key: Under which name the text stands.
            ids: What to put in place of which id.
        """
        value = line[key]
        text = value if isinstance(value, str) else _dumps(value, bool(line.get("spaced")))
        for recorded, live in (ids or {}).items():
            text = text.replace(json.dumps(recorded), json.dumps(live))
            if len(recorded) >= 16:  # parts of request ids, too; a short one may stand anywhere by chance
                text = text.replace(recorded, live)
        places = iter(line.get("audio", ()))
        if "audio" not in line:
            return text
        return _MARK.sub(lambda match: match[1] + base64.b64encode(self.get(next(places))).decode(), text)

    # ---- as files

    @classmethod
    def load(cls, folder: Path) -> Reel:
        """Read a tape.

        Raises:
            TapeError: It is none, or it was made by a newer version.
        """
        reel = cls()
        try:
            # Not splitlines(): a text may hold signs that it takes for ends of lines.
            lines = [json.loads(line) for line in (folder / LINES).read_bytes().decode("utf-8").split("\n") if line]
        except (OSError, ValueError) as error:
            raise TapeError(f"{folder / LINES}: {error}") from error
        if not lines or not isinstance(lines[0], dict) or lines[0].get("tape") != FORMAT:
            raise TapeError(f"{folder / LINES}: expected a tape of format {FORMAT} in its first line")
        reel.lines = lines[1:]
        for path in sorted(folder.iterdir()):
            if path.name != LINES:
                stream = reel._streams[path.name] = _Stream(Kind())
                stream.data += audio_files.read(path)
        return reel

    def save(self, folder: Path, secrets: Secrets, kept: frozenset[str]) -> None:
        """Write the tape; it appears when it is whole, in place of one that was there.

        Args:
            folder: Where.
            secrets: What may not stand in it.
            kept: The names of files that the present tape has, whose streams are unchanged.

        Raises:
            TapeError: It cannot be written, or a credential stands in its audio.
        """
        names: dict[str, str] = {}
        contents: dict[str, bytes] = {}
        for stream, known in self._streams.items():
            data = bytes(known.data)
            if secrets.is_in(data):
                raise TapeError(f"{folder}: a credential stands in an answer that is not text; nothing was written")
            if stream in kept:
                names[stream], contents[stream] = stream, (folder / stream).read_bytes()
                continue
            suffix, content = audio_files.written(data, known.kind)
            number = len(names) + 1
            while any(name.startswith(f"{number:03}.") for name in names.values()):
                number += 1
            names[stream] = f"{number:03}{suffix}"
            contents[names[stream]] = content
        head = {"tape": FORMAT, "made_by": f"cartesia-sync {__version__}"}
        lines = "".join(_line(each, names) + "\n" for each in [head, *self.lines])
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            made = _beside(folder)
            made.mkdir()
            try:
                (made / LINES).write_bytes(secrets.taken_out(lines).encode("utf-8"))
                for name, content in contents.items():
                    (made / name).write_bytes(content)
                _put_in_place(made, folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        except OSError as error:
            raise TapeError(f"the tape {folder} cannot be written: {error}") from error

    @property
    def streams(self) -> frozenset[str]:
        """The names of all streams."""
        return frozenset(self._streams)


def as_value(text: str) -> tuple[Any, dict[str, bool]]:
    """Return the JSON object of a text, and its style; or the text, where the object would not give it again."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text, {}
    if isinstance(value, dict):
        for spaced in (False, True):
            if _dumps(value, spaced) == text:
                return value, {"spaced": True} if spaced else {}
    return text, {}


def _dumps(value: Any, spaced: bool) -> str:
    return json.dumps(value, ensure_ascii=False, separators=None if spaced else (",", ":"))


def _decoded(text: str) -> Optional[bytes]:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def _line(line: dict[str, Any], names: Mapping[str, str]) -> str:
    """Return a line as it is written: with the names of files for those of streams."""

    def renamed(place: Union[Place, list[Any]]) -> list[Any]:
        return [names.get(place[0], place[0]), *place[1:]]

    made = dict(line)
    for key in ("sent_audio", "got_audio", "piece_audio"):
        if key in made:
            made[key] = renamed(made[key])
    if "audio" in made:
        made["audio"] = [renamed(place) for place in made["audio"]]
    text = json.dumps(made, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(made)
    return text


def _beside(folder: Path) -> Path:
    """Return a hidden name beside a folder."""
    return folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"


def _put_in_place(made: Path, folder: Path) -> None:
    if not folder.exists():
        made.rename(folder)
        return
    aside = _beside(folder)
    folder.rename(aside)
    try:
        made.rename(folder)
    except BaseException:  # an interrupt too: the tape that was there is there again
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
