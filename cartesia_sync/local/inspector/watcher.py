"""Makes entries of what is said and heard: the server's observer, and one for each client that mirrors itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Optional, Union

from .history import History
from .sounds import Format, format_of, seconds_of

__all__ = ["Watcher"]

_DATA = re.compile(r'("data"\s*:\s*")([A-Za-z0-9+/]+={0,2})(?=")')
_SHOWN = 2000
"""Characters of a text that the list has; all of it is in what is asked for one row."""

_MOST_KNOWN = 2_000
_SECRET_PATHS = ("/access-token",)
_SECRET_NAMES = ("api_key", "access_token", "token")


class Watcher:
    """Watches one program.

    Args:
        history: Where the entries go.
        source: Whose they are: ``server`` for all that this server serves, else the name of a client.
        clock: Gives the time of what happens now, in seconds since the server began.
        slots: Gives how many slots are taken, and of how many.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        history: History,
        source: str,
        clock: Callable[[], float],
        slots: Callable[[], tuple[int, Optional[int]]] = lambda: (0, None),
    ) -> None:
        self._history = history
        self._source = source
        self._clock = clock
        self._slots = slots
        self._told_slots: Optional[tuple[int, Optional[int]]] = None
        self._formats: dict[str, Optional[Format]] = {}  # of the newest rows that are not at their end
        self._paths: dict[int, str] = {}
        self._calls: dict[int, str] = {}
        self._secret_calls: set[int] = set()

    # ---- WebSockets

    def opened(self, number: int, path: str, version: str) -> None:
        """A WebSocket was granted."""
        self._remember(self._paths, number, path)
        self._add(self._row(number), "open", conn=number, path=path, version=version)

    def refused(self, number: int, path: str, version: str, status: int) -> None:
        """A WebSocket was refused."""
        self._add(self._row(number), "refused", conn=number, path=path, version=version, status=status)

    def said(self, number: int, data: Union[str, bytes]) -> None:
        """The client said something on a WebSocket."""
        if isinstance(data, bytes):
            self._add(self._row(number), "sent", conn=number, bytes=len(data))
            return
        message = _object(data)
        context_id = _text(message.get("context_id"))
        row = self._row(number, context_id)
        if row not in self._formats and "output_format" in message:
            self._remember(self._formats, row, format_of(message["output_format"]))
        fields: dict[str, Any] = {"conn": number, "ctx": context_id, "text": _text(message.get("transcript"))}
        if not message:
            fields["text"] = data
        for name in ("flush", "cancel", "continue"):
            if name in message:
                fields[name] = bool(message[name])
        voice = message.get("voice")
        fields.update(
            model=_text(message.get("model_id")),
            voice=_text(voice.get("id") if isinstance(voice, Mapping) else voice),
            language=_text(message.get("language")),
            format=message.get("output_format") if isinstance(message.get("output_format"), dict) else None,
        )
        self._add(row, "sent", raw=data, **fields)

    def heard(self, number: int, event: str) -> None:
        """The client is told something on a WebSocket."""
        raw, audio = _without_audio(event)
        message = _object(raw)
        context_id = _text(message.get("context_id"))
        row = self._row(number, context_id)
        self._add_event(row, raw, audio, message, conn=number, ctx=context_id)
        if message.get("type") == "done" or (message.get("type") == "error" and message.get("done")):
            self._formats.pop(row, None)

    def closing(self, number: int, code: Optional[int], reason: str) -> None:
        """The server ends a WebSocket."""
        self._add(self._row(number), "closing", conn=number, code=code, text=reason)

    def closed(self, number: int) -> None:
        """A WebSocket has ended."""
        self._paths.pop(number, None)
        self._add(self._row(number), "close", conn=number)

    # ---- HTTP

    def asked(self, number: int, method: str, path: str, body: Any) -> None:
        """An HTTP request was read."""
        row = self._row(number)
        if path.rstrip("/") in _SECRET_PATHS:
            self._secret_calls.add(number)
            body = None
        self._remember(self._calls, number, "")
        shown = _shown_body(body)
        fields: dict[str, Any] = {"call": number, "method": method, "path": path, "text": ""}
        if isinstance(body, dict):
            transcript = body.get("transcript")
            fields["text"] = _text(transcript[0] if isinstance(transcript, list) and transcript else transcript)
            self._remember(self._formats, row, format_of(body.get("output_format")))
            voice = body.get("voice")
            fields.update(
                model=_text(body.get("model_id")),
                voice=_text(voice.get("id") if isinstance(voice, Mapping) else voice),
                format=body.get("output_format") if isinstance(body.get("output_format"), dict) else None,
            )
        self._add(row, "call", raw=shown, **fields)

    def answered(self, number: int, status: int, content_type: str, data: bytes) -> None:
        """Some of the answer leaves, or all of it."""
        if number not in self._calls:
            return
        row = self._row(number)
        if not self._calls[number]:
            self._calls[number] = content_type or "-"
            self._add(row, "answer", call=number, status=status, type=content_type)
        if not data or number in self._secret_calls:
            return
        kind = content_type.partition(";")[0]
        if kind == "text/event-stream":
            for line in data.decode("utf-8", "replace").split("\n"):
                if line.startswith("data: "):
                    raw, audio = _without_audio(line[len("data: ") :])
                    self._add_event(row, raw, audio, _object(raw), call=number)
        elif kind.startswith("audio/") or kind == "application/octet-stream":
            audio_format = self._formats.get(row)
            self._add(
                row,
                "got",
                audio=data,
                audio_format=audio_format,
                call=number,
                type="chunk",
                bytes=len(data),
                seconds=seconds_of(len(data), audio_format),
            )
        else:
            self._add(row, "got", raw=data.decode("utf-8", "replace"), call=number, type=kind, bytes=len(data))

    def ended(self, number: int, how: str) -> None:
        """The answer is at its end. Of several ends the first counts."""
        if self._calls.pop(number, None) is None:
            return
        self._secret_calls.discard(number)
        self._formats.pop(self._row(number), None)
        self._add(self._row(number), "end", call=number, how=how)

    # ---- both

    def told(self, kind: str, text: str, **fields: Any) -> None:
        """Something else happened that the page is to show: a fault was injected, a mirror has dropped entries."""
        self._add("", kind, text=text, **fields)

    def _add_event(self, row: str, raw: str, audio: str, message: Mapping[str, Any], **fields: Any) -> None:
        audio_format = self._formats.get(row)
        kind = _text(message.get("type"))
        if audio:
            count = len(audio) // 4 * 3 - audio.count("=", -2)
            fields.update(bytes=count, seconds=seconds_of(count, audio_format))
        for name in ("status_code", "error_code", "title", "message", "error", "flush_id", "request_id"):
            value = message.get(name)
            if isinstance(value, (str, int)) and kind in ("error", "flush_done"):
                fields[name] = value[:_SHOWN] if isinstance(value, str) else value
        if kind == "error":
            fields["done"] = bool(message.get("done"))
        words = message.get("word_timestamps")
        if isinstance(words, dict) and all(isinstance(words.get(name), list) for name in ("words", "start", "end")):
            fields["words"] = [words["words"], words["start"], words["end"]]
        self._add(row, "got", raw=raw, audio=audio, audio_format=audio_format, type=kind, **fields)

    def _row(self, number: int, context_id: str = "") -> str:
        return f"{self._source} {number} {context_id}"

    def _add(
        self,
        row: str,
        kind: str,
        *,
        raw: str = "",
        audio: Union[bytes, str] = b"",
        audio_format: Optional[Format] = None,
        **fields: Any,
    ) -> None:
        text = fields.get("text")
        if isinstance(text, str) and len(text) > _SHOWN:
            fields.update(text=text[:_SHOWN], characters=len(text))
        slots = self._slots()
        if slots != self._told_slots:
            self._told_slots = slots
            fields["slots"] = slots
        kept = {name: value for name, value in fields.items() if value is not None and value != ""}
        kept["source"] = self._source
        self._history.add(row, self._clock(), kind, kept, raw=raw, audio=audio, audio_format=audio_format)

    @staticmethod
    def _remember(known: dict[Any, Any], key: Any, value: Any) -> None:
        known[key] = value
        while len(known) > _MOST_KNOWN:
            del known[next(iter(known))]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _without_audio(event: str) -> tuple[str, str]:
    """Return a message without its audio, and that in base64."""
    match = _DATA.search(event)
    if match is None or len(match[2]) % 4:
        return event, ""
    return f"{event[: match.start(2)]}@{event[match.end(2) :]}", match[2]


def _shown_body(body: Any) -> str:
    if body is None:
        return ""
    if isinstance(body, bytes):
        return f"({len(body)} bytes)"

    def shown(value: Any) -> Any:
        if isinstance(value, bytes):
            return f"({len(value)} bytes)"
        data = getattr(value, "data", None)  # an upload
        return f"{getattr(value, 'filename', '')} ({len(data)} bytes)" if isinstance(data, bytes) else str(value)

    if isinstance(body, dict):
        body = {name: "-" if name in _SECRET_NAMES else value for name, value in body.items()}
    try:
        return json.dumps(_plain(body), default=shown, ensure_ascii=False)
    except RecursionError:
        return "(nested too deep to be shown)"


def _plain(value: Any) -> Any:
    """Return uploads, which are tuples, as what they are shown as."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    data = getattr(value, "data", None)
    return f"{getattr(value, 'filename', '')} ({len(data)} bytes)" if isinstance(data, bytes) else value
