"""The official client's surface, name by name and argument by argument, and what of it ours has not.

A test walks it (tests/package/test_official_surface.py), and the table in docs/moving.md is made from it:

    .venv/bin/python tests/support/official_surface.py
    .venv/bin/python tests/support/official_surface.py --names    # each name that is missing
"""

from __future__ import annotations

import dis
import fnmatch
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cartesia
import cartesia._response
import cartesia.lib._tts
import cartesia.pagination
import cartesia.resources
import cartesia.resources.stt.auto_finalize
import cartesia.resources.stt.manual_finalize
import cartesia.types
import cartesia.types.stt
from cartesia._resource import SyncAPIResource

import cartesia_sync
import cartesia_sync.pagination
import cartesia_sync.resources
import cartesia_sync.types
from cartesia_sync.listening.session import Session, SessionManager
from cartesia_sync.streaming.compat_v2 import TtsContext, TtsWebsocket, WebSocketTtsOutput
from cartesia_sync.streaming.connection import ConnectionManager

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Row(NamedTuple):
    """What is missing, by patterns of dotted names, and why."""

    names: tuple[str, ...]
    why: str


MISSING = (
    Row(
        ("cartesia*.Async*", "cartesia.DefaultAsyncHttpxClient", "cartesia.DefaultAioHttpClient"),
        "asyncio: use threads",
    ),
    Row(
        ("cartesia.DefaultHttpxClient", "cartesia.Transport", "cartesia.ProxiesTypes"),
        "httpx's, which is not inside: `timeout=`, `ssl_context=`, `default_headers=`, HTTPS_PROXY",
    ),
    Row(("cartesia.resources.*With*Response",), "made by `with_raw_response` and its like; no name to annotate with"),
    Row(
        ("BinaryAPIResponse.http_response", "BinaryAPIResponse.http_version"),
        "httpx's own answer; its status, headers and body are this one's",
    ),
    Row(("cartesia.DEFAULT_CONNECTION_LIMITS",), "httpx's: connections are made as threads need them"),
    Row(
        ("cartesia.BaseModel", "cartesia.types.GenerationConfig", "cartesia.types.VoiceSpecifier"),
        "pydantic models: plain dicts, with the types that end in `Param`",
    ),
    Row(
        (
            "answers.*.construct",
            "answers.*.copy",
            "answers.*.dict",
            "answers.*.from_orm",
            "answers.*.json",
            "answers.*.model_[cpr]*",
            "answers.*.model_extra",
        ),
        "pydantic's: `copy.copy`, `extra` for fields that are new, `to_dict`",
    ),
    Row(
        (
            "answers.*.model_fields",
            "answers.*.model_json_schema",
            "answers.*.model_validate*",
            "answers.*.parse_*",
            "answers.*.schema*",
            "answers.*.validate",
        ),
        "pydantic's, of its classes: answers are read by msgspec",
    ),
    Row(("answers.*.update_forward_refs", "answers.*.model_dump*(*)"), "pydantic's, as above"),
    Row(("answers.Output of version 2.model_*",), "plain records: their fields are attributes"),
    Row(("client.copy(_*)", "client.with_options(_*)", "cartesia.Cartesia(_*)"), "the official client's private ones"),
    Row(("client.custom_auth", "client.qs", "client.default_query"), "insides; `default_query=` is an argument"),
    Row(
        ("client.client_header", "client.platform_headers", "client.user_agent"), "telemetry: headers say this package"
    ),
    Row(("client.request(*)",), "takes the official client's own options; ours takes a method and a path"),
    Row(("Connection.recv_bytes",), "events are decoded once, in the reader; `recv` gives them"),
    Row(("Context of version 2.*",), "version 2 had `send` alone; for the others `websocket_connect()`"),
)
"""What the test of the surface finds."""

UNSEEN = (
    Row(("CARTESIA_CUSTOM_HEADERS",), "not read: `default_headers=`"),
    Row(("CARTESIA_LOG",), 'not read: `logging.getLogger("cartesia_sync").setLevel(...)`'),
    Row(("http_client=", "cast_to=httpx.Response"), "refused, by a sentence that says what to use"),
    Row(("cartesia.lib",), "`Connection` and `Context` are in `cartesia_sync`"),
)
"""What no list of names shows."""


class Pair(NamedTuple):
    """What stands for what: the official client's object, and ours."""

    name: str
    official: Any
    ours: Any


def _clients() -> tuple[Any, Any]:
    address = {"api_key": "any", "base_url": "http://127.0.0.1:1"}
    return cartesia.Cartesia(**address), cartesia_sync.Cartesia(**address)


def pairs() -> Iterator[Pair]:
    """Give all that is compared: packages, the client and its nouns, and what their methods give."""
    yield Pair("cartesia", cartesia, cartesia_sync)
    yield Pair("cartesia.types", cartesia.types, cartesia_sync.types)
    yield Pair("cartesia.resources", cartesia.resources, cartesia_sync.resources)
    yield Pair("cartesia.pagination", cartesia.pagination, cartesia_sync.pagination)
    yield from _nouns(Pair("client", *_clients()))
    tts = cartesia.lib._tts
    yield Pair("Connection", tts.TTSResourceConnection, cartesia_sync.Connection)
    yield Pair("ConnectionManager", tts.TTSResourceConnectionManager, ConnectionManager)
    yield Pair("Context", tts.WebSocketContext, cartesia_sync.Context)
    yield Pair("Connection of version 2", tts.BackcompatTTSResourceConnection, TtsWebsocket)
    yield Pair("Context of version 2", tts.WebSocketContext, TtsContext)
    yield Pair("answers.Output of version 2", tts.BackcompatWebSocketTtsOutput, WebSocketTtsOutput)
    manual, auto = cartesia.resources.stt.manual_finalize, cartesia.resources.stt.auto_finalize
    yield Pair("cartesia.types.stt", cartesia.types.stt, cartesia_sync.types)
    yield Pair("Session (manual)", manual.ManualFinalizeResourceConnection, Session)
    yield Pair("Session (auto)", auto.AutoFinalizeResourceConnection, Session)
    yield Pair("SessionManager (manual)", manual.ManualFinalizeResourceConnectionManager, SessionManager)
    yield Pair("SessionManager (auto)", auto.AutoFinalizeResourceConnectionManager, SessionManager)
    yield Pair("BinaryAPIResponse", cartesia._response.BinaryAPIResponse, cartesia_sync.BinaryAPIResponse)
    yield Pair("Stream", cartesia.Stream, cartesia_sync.Stream)
    yield Pair("answers.SyncCursorIDPage", cartesia.pagination.SyncCursorIDPage, cartesia_sync.SyncCursorIDPage)
    yield Pair("answers.Voice", cartesia.types.Voice, cartesia_sync.types.Voice)
    yield Pair("answers.Chunk", cartesia.types.websocket_response.Chunk, cartesia_sync.types.Chunk)
    for name in cartesia.__all__:
        kind = getattr(cartesia, name)
        if isinstance(kind, type) and issubclass(kind, Exception) and hasattr(cartesia_sync, name):
            yield Pair(name, kind, getattr(cartesia_sync, name))


def _nouns(pair: Pair) -> Iterator[Pair]:
    yield pair
    for name in _names(pair.official):
        noun = getattr(pair.official, name)
        if isinstance(noun, SyncAPIResource):
            yield from _nouns(Pair(f"{pair.name}.{name}", noun, getattr(pair.ours, name, None)))


def _names(thing: Any) -> list[str]:
    if inspect.ismodule(thing):
        names = getattr(thing, "__all__", None) or [
            name for name, value in vars(thing).items() if not inspect.ismodule(value) and name != "annotations"
        ]
    else:
        kind = thing if isinstance(thing, type) else type(thing)
        annotated = {name for each in kind.__mro__ if each.__module__.startswith("cartesia") for name in _hints(each)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pydantic, for its old names
            names = [*annotated, *dir(thing)]
    return sorted({name for name in names if not name.startswith("_")})


def _hints(kind: type) -> list[str]:
    return list(vars(kind).get("__annotations__", {}))


def _has(thing: Any, name: str) -> bool:
    if isinstance(thing, type) and (
        name in {each for kind in thing.__mro__ for each in _hints(kind)} or name in getattr(thing, "__slots__", ())
    ):
        return True
    return hasattr(thing, name) or name in _set_by_init(thing)


def _set_by_init(thing: Any) -> set[str]:
    """Return the names that a class's ``__init__`` gives to its objects, read from its code."""
    steps = [
        step
        for kind in getattr(thing, "__mro__", ())
        if hasattr(vars(kind).get("__init__"), "__code__")
        for step in dis.get_instructions(vars(kind)["__init__"])
    ]
    return {step.argval for step in steps if step.opname == "STORE_ATTR"}


def _parameters(thing: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return {}


def _differences(theirs: Any, ours: Any) -> Iterator[str]:
    """Give the arguments that one may give to the official method and not to ours, or leave out there and not here."""
    found, required = _parameters(ours), []
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in found.values())
    by_position = [name for name, each in found.items() if each.kind in _BY_POSITION and name != "self"]
    official = {name: each for name, each in _parameters(theirs).items() if name not in ("self", "args", "kwargs")}
    places = [name for name, each in official.items() if each.kind in _BY_POSITION]
    for place, name in enumerate(places):
        if by_position[place : place + 1] != [name] and name in found:
            yield f"{name} by position"
    for name, each in official.items():
        if name not in found and not takes_any:
            yield name
        required += [name] if each.default is inspect.Parameter.empty else []
    for name, each in found.items():
        is_needed = each.default is inspect.Parameter.empty and each.kind not in _ANY_NUMBER
        if is_needed and name not in (*required, "self"):
            yield f"without {name}"


def missing() -> list[str]:
    """Return what the official client has and ours has not: ``client.tts.x``, or ``client.tts.x(argument)``."""
    found = []
    for pair in pairs():
        for name in _names(pair.official):
            dotted = f"{pair.name}.{name}"
            if pair.ours is None or not _has(pair.ours, name):
                found.append(dotted)
                continue
            theirs, ours = getattr(pair.official, name, None), getattr(pair.ours, name, None)
            if (
                not callable(theirs)
                or isinstance(theirs, SyncAPIResource)
                or (isinstance(theirs, type) and name != "Cartesia")
            ):
                continue
            found += [f"{dotted}({each})" for each in _differences(theirs, ours)]
    return found


def without_a_reason() -> list[str]:
    """Return what is missing and stands in no row."""
    patterns = [pattern for row in MISSING for pattern in row.names]
    return [name for name in missing() if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def stale() -> list[str]:
    """Return the patterns that stand for nothing any more."""
    names = missing()
    patterns = [pattern for row in MISSING for pattern in row.names]
    return [pattern for pattern in patterns if not any(fnmatch.fnmatchcase(name, pattern) for name in names)]


# ---- as Markdown

PAGE = Path(__file__).resolve().parents[2] / "cartesia_sync" / "docs" / "moving.md"
BEGIN, END = "<!-- missing -->\n", "<!-- end -->\n"


def as_markdown() -> str:
    """Return the table of what is not there, for docs/moving.md."""
    rows = [f"| {', '.join(f'`{each}`' for each in row.names)} | {row.why} |" for row in (*MISSING, *UNSEEN)]
    return "\n".join(["| of the official client | why it is not here, and what to use |", "|---|---|", *rows]) + "\n"


def page_with_the_table(page: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{as_markdown()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--names"]:
        print("\n".join(missing()))
    else:
        PAGE.write_text(page_with_the_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
