"""``cartesia-sync voices``: the voices that one can use, for people and for programs."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import service
from .outcome import FAILED, SUCCEEDED, complain, tell

if TYPE_CHECKING:
    import argparse

    from ..types import Voice

_GAP = "  "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--language", metavar="CODE", help="only voices that speak it, such as en or en-GB")
    parser.add_argument("--json", action="store_true", help="all that the service says of them, as a JSON array")
    service.add_local(parser)


def run(options: argparse.Namespace) -> int:
    """Print them, one a line: id, language, name; or all as JSON.

    Raises:
        CartesiaError: The service does not say.
    """
    language = options.language
    with service.client(options) as client:
        # Only the docs have this filter, and for languages alone; so what comes is looked through too.
        query = {"language": _code(language).partition("-")[0]} if language else None
        asked = client.voices.list(limit=100, extra_query=query)
        found = [voice for voice in asked if not language or _speaks(voice, language)]
    if options.json:
        tell(json.dumps([voice.to_dict() for voice in found], ensure_ascii=False, indent=2, default=_plain))
        return SUCCEEDED
    if not found:
        return complain(f"no voice speaks {language}" if language else "there are no voices", FAILED)
    rows = [(voice.id, voice.language, _in_one_line(voice.name)) for voice in found]
    widths = [max(map(len, column)) for column in zip(*rows)]
    tell("\n".join(_GAP.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows))
    return SUCCEEDED


def _speaks(voice: Voice, language: str) -> bool:
    """Return whether the voice is of the language, or has it among its locales; ``en`` is any English."""
    asked = _code(language)
    codes = [_code(code) for code in (voice.language, *(locale.locale for locale in voice.locales or ()))]
    return any(code == asked or code.startswith(f"{asked}-") for code in codes)


def _code(text: str) -> str:
    return text.replace("_", "-").lower()


def _in_one_line(text: str) -> str:
    """Return it without what would move the cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
