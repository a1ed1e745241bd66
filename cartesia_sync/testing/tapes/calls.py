"""Which of the recorded HTTP requests a program makes now."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
from typing import Any, Optional

from .reel import Reel

__all__ = ["ANSWER_HEADERS", "Call", "asked_of", "comparable", "described"]

# All others either belong to one connection, or tell the time, or may hold what nobody should read.
ANSWER_HEADERS = (
    "Allow",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Retry-After",
    "Retry-After-Ms",
    "X-Request-Id",
    "X-Should-Retry",
)


class Call:
    """One recorded request and its answer.

    Attributes:
        asked: The request, as it is compared.
        answer: The line of the answer's head; None where none came.
        pieces: The lines of its body.
        is_whole: Whether it came to its end.
        is_used: Whether a program has made it already.
    """

    def __init__(self, line: dict[str, Any]) -> None:
        self.at: float = line["at"]
        self.asked: dict[str, Any] = line["asked"]
        self.answer: Optional[dict[str, Any]] = None
        self.pieces: list[dict[str, Any]] = []
        self.is_whole = False
        self.is_used = False

    @classmethod
    def all_of(cls, reel: Reel) -> list[Call]:
        """Return the requests of a tape, in order."""
        calls: dict[int, Call] = {}
        for line in reel.lines:
            number = line.get("call")
            if number is None:
                continue
            if "asked" in line:
                calls[number] = cls(line)
            elif "answer" in line:
                calls[number].answer = line
            elif "end" in line:
                calls[number].is_whole = line["end"] == "whole"
            else:
                calls[number].pieces.append(line)
        return list(calls.values())


def asked_of(
    method: str, path: str, query: list[list[str]], version: str, content_type: str, body: bytes
) -> dict[str, Any]:
    """Return a request in the form in which requests are compared, and stand on a tape.

    JSON is compared as a document, a form by its parts (its boundary differs from one time to the next), uploads and
    all else by length and digest.
    """
    asked: dict[str, Any] = {"method": method, "path": path}
    if query:
        asked["query"] = query
    asked["version"] = version
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return asked
    if kind.startswith("multipart/"):
        asked["form"] = _parts(content_type, body)
    elif kind == "application/json" or kind.endswith("+json"):
        try:
            asked["json"] = json.loads(body)
        except ValueError:
            asked["body"] = _digest(body)
    else:
        asked["body"] = {"content_type": kind, **_digest(body)}
    return asked


def comparable(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what of a request counts: a context's id differs from one time to the next."""
    body = asked.get("json")
    if not isinstance(body, dict) or "context_id" not in body:
        return asked
    return {**asked, "json": {name: value for name, value in body.items() if name != "context_id"}}


def described(asked: dict[str, Any]) -> list[str]:
    """Return a request as lines that people compare."""
    asked = comparable(asked)
    lines = [f"{asked['method']} {asked['path']}"]
    lines += [f"{name}: {value}" for name, value in asked.get("query", [])]
    lines.append(f"version: {asked['version']}")
    for name in ("json", "form", "body"):
        if name in asked:
            lines += json.dumps(asked[name], indent=2, ensure_ascii=False, sort_keys=True).split("\n")
    return lines


def _digest(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _parts(content_type: str, body: bytes) -> list[dict[str, Any]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts = []
    for part in form.iter_parts():
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        filename = part.get_filename()
        made: dict[str, Any] = {"name": str(part.get_param("name", "", "content-disposition"))}
        if filename is None:
            made["value"] = data.decode("utf-8", "replace")
        else:
            made.update(filename=filename, **_digest(data))
        parts.append(made)
    return parts
