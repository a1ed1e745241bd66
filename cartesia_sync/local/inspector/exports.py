"""One context or call in a form that goes elsewhere: JSON in order, a Python program, a tape."""

from __future__ import annotations

import base64
import json
import keyword
import re
from collections.abc import Sequence
from typing import Any

from .history import Entry

__all__ = ["as_audio", "as_json", "as_python", "as_tape"]

_MARK = re.compile(r'("data"\s*:\s*")@(?=")')


def as_json(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return what was said and heard, in order, with what the page knows of it."""
    return [{**json.loads(entry.line), "raw": entry.raw} for entry in entries]


def as_audio(entries: Sequence[Entry]) -> tuple[bytes, Any, str]:
    """Return all audio of a row, its format where it has no header, and its type where it has."""
    content_type = ""
    for entry in entries:
        if entry.direction == "answer":
            content_type = str(json.loads(entry.line).get("type", ""))
    audio_format = next((entry.audio_format for entry in entries if entry.audio_format is not None), None)
    return b"".join(entry.sound for entry in entries), audio_format, content_type


def as_python(entries: Sequence[Entry]) -> str:
    """Return a program that says the same."""
    lines = ["from cartesia_sync import Cartesia", "", "client = Cartesia()"]
    asked = [entry for entry in entries if entry.direction == "call"]
    if asked:
        line = json.loads(asked[0].line)
        lines.append(f"# {line.get('method')} {line.get('path')}")
        body = _object(asked[0].raw)
        if line.get("path", "").startswith("/tts/"):
            method = "generate_sse" if line["path"].startswith("/tts/sse") else "generate"
            lines.append(f"answer = client.tts.{method}(")
            lines += [f"    {name}={value!r}," for name, value in body.items() if _is_name(name)]
            lines.append(")")
        return "\n".join(lines) + "\n"
    sent = [_object(entry.raw) for entry in entries if entry.direction == "sent"]
    options = {name: value for name, value in (sent[0] if sent else {}).items() if name not in _NOT_OPTIONS}
    lines += ["with client.tts.websocket_connect() as connection:", "    context = connection.context("]
    lines += [f"        {name}={value!r}," for name, value in options.items() if _is_name(name)]
    lines.append("    )")
    for message in sent:
        text = message.get("transcript", "")
        if message.get("cancel"):
            lines.append("    context.cancel()")
        elif text == "" and not message.get("continue") and not message.get("flush"):
            lines.append("    context.no_more_inputs()")
        else:
            more = ", flush=True" if message.get("flush") else ""
            more += "" if message.get("continue") else ", continue_=False"
            lines.append(f"    context.push({text!r}{more})")
    lines += ["    for event in context:", "        print(event)"]
    return "\n".join(lines) + "\n"


_NOT_OPTIONS = ("context_id", "transcript", "continue", "flush", "cancel")


def as_tape(entries: Sequence[Entry], opening: Sequence[Entry]) -> str:
    """Return ``tape.jsonl`` of one row; its audio stays inside of the lines.

    Args:
        entries: Of the row.
        opening: Of its connection; where that is forgotten, the path is that of speech.
    """
    opened: dict[str, Any] = next((json.loads(entry.line) for entry in opening if entry.direction == "open"), {})
    lines: list[dict[str, Any]] = [{"tape": 1, "made_by": "the inspector of cartesia-sync"}]
    start = entries[0].at if entries else 0.0
    calls = [entry for entry in entries if entry.direction == "call"]
    if not calls:
        path, version = opened.get("path", "/tts/websocket"), opened.get("version", "")
        lines.append({"at": 0.0, "socket": 1, "open": path, "query": [], "version": version, "status": 101})
    for entry in entries:
        at = round(entry.at - start, 4)
        if not calls and entry.direction in ("sent", "got"):
            lines.append({"at": at, "socket": 1, entry.direction: _with_audio(entry)})
    return "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)


def _with_audio(entry: Entry) -> str:
    if not entry.audio:
        return entry.raw
    audio = entry.audio if isinstance(entry.audio, str) else base64.b64encode(entry.audio).decode()
    return _MARK.sub(lambda match: match[1] + audio, entry.raw, count=1)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
