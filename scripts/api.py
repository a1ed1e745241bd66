"""List what users call, with arguments and errors, in cartesia_sync/docs/api.md.

    .venv/bin/python scripts/api.py [--check]

Status 1 with --check: the listing there is not the one that the code gives.
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cartesia_sync.types
from cartesia_sync import (
    APIResponse,
    Cartesia,
    Cue,
    Frame,
    Heard,
    LongSpeech,
    Metrics,
    Microphone,
    Phoneme,
    SpokenContext,
    Timeout,
    Word,
    batch,
    frames_of,
    text,
)
from cartesia_sync.listening.feed import Feed
from cartesia_sync.listening.session import Session, SessionManager
from cartesia_sync.local import LocalServer, ServerOptions, faults
from cartesia_sync.pool import Pool, Spoken
from cartesia_sync.protocol.requests import omit
from cartesia_sync.resources.base import Resource
from cartesia_sync.resources.binary import BinaryAPIResponse
from cartesia_sync.resources.events import Stream
from cartesia_sync.resources.pages import SyncCursorIDPage
from cartesia_sync.speech.captions import Captions
from cartesia_sync.speech.frames import Frames
from cartesia_sync.speech.joining import Paragraph
from cartesia_sync.speech.player import Playback, Player
from cartesia_sync.speech.recording import Recording
from cartesia_sync.streaming.audio_stream import AudioStream
from cartesia_sync.streaming.connection import Connection, ConnectionManager
from cartesia_sync.streaming.context import Context
from cartesia_sync.streaming.pump import Speech
from cartesia_sync.streaming.receiver import Receiver

FILE = Path(__file__).resolve().parent.parent / "cartesia_sync" / "docs" / "api.md"
WIDTH = 112
WHOLE_ARGUMENTS: Any = {"break_long_words": False, "break_on_hyphens": False}
BEGINNING = """\
# Reference

Made by `scripts/api.py` from the code: do not edit. `help(client.voices.list)` shows a method's whole docstring, with
what it says of threads.

An argument whose default is `omit` is not sent unless it is given. `**options` are `extra_headers`, `extra_query`,
`extra_body` and `timeout` of the one request, and what the method says besides. `FileTypes` is a file's bytes, a binary
file object, a path, or a tuple (file name, content[, content type]). The exceptions are explained in
[errors.md](errors.md).

`client.voices.with_raw_response.list(...)`, and so on for each method over HTTP, returns an `APIResponse`;
`with_streaming_response` gives one in a `with` block, whose body is read as it arrives.
"""
TYPES = """\
# Types

`cartesia_sync.types` holds the types of events, answers and parameters, under the official client's names. A field with
`= None` may be missing. Answers and events keep fields that they do not know in `extra`.
"""
TAGS = """\
# Tags

`cartesia_sync.text` makes the service's tags of values; see [captions.md](captions.md).
"""
BATCH = """\
# Batch

`cartesia_sync.batch`: very many texts to files; see [batch.md](batch.md).
"""
LOCAL = """\
# The local server

`cartesia_sync.local` needs the extra `[local]`. See [testing.md](testing.md) for how to test with it.
"""
FAULTS = """\
# Faults

Values for `LocalServer(faults=...)` and `server.inject(...)`, from `cartesia_sync.local` or
`cartesia_sync.local.faults`.
"""
BATCH_TYPES = (batch.Item, batch.Report, batch.Failure, batch.Slow, batch.Outlook, batch.Progress)
NOT_FOR_USERS = {"dialler", "link", "line", "clocks"}
"""Names that were never meant to be public, and warn until version 0.3."""
LISTENING = (SessionManager, Session, Feed, Microphone)
OTHERS = (
    *(ConnectionManager, Connection, Context, Receiver, Speech, Pool, Spoken),
    *LISTENING,
    *(AudioStream, Recording, Captions, Frames, Player, Playback),
    *(APIResponse, BinaryAPIResponse, Stream, SyncCursorIDPage),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        if FILE.read_text(encoding="utf-8") != listing():
            sys.exit(f"{FILE.name} is not what the code gives: run scripts/api.py")
        return
    FILE.write_text(listing(), encoding="utf-8")


def listing() -> str:
    client = Cartesia(api_key="none")
    parts = [BEGINNING, *(section(name, type(thing)) for name, thing in nouns("client", client))]
    parts += [section(kind.__name__, kind) for kind in OTHERS]
    parts += [entry(kind.__name__, kind) for kind in (Cue, Frame, Heard, LongSpeech, Paragraph, Phoneme, Word)]
    parts += [functions("frames_of", frames_of), TAGS]
    parts += [functions(name, getattr(text, name)) for name in text.__all__]
    parts += [BATCH, *(functions(f"batch.{name}", getattr(batch, name)) for name in ("run", "plan", "read_items"))]
    parts += [entry(kind.__name__, kind) for kind in BATCH_TYPES]
    parts += [TYPES, entry("Timeout", Timeout), entry("Metrics", Metrics), entry("SpokenContext", SpokenContext)]
    parts += [
        entry(name, vars(cartesia_sync.types).get(name) or getattr(cartesia_sync.types, name)) for name in types()
    ]
    parts += [LOCAL, section("LocalServer", LocalServer), entry("ServerOptions", ServerOptions)]
    parts += [FAULTS, *(entry(name, getattr(faults, name)) for name in faults.__all__)]
    return "\n".join(parts)


def nouns(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the client or a resource, and what hangs below it, each with the words that reach it."""
    yield name, thing
    for below, value in vars(type(thing)).items():
        if isinstance(value, property) and not below.startswith("_") and below not in NOT_FOR_USERS:
            found = value.__get__(thing)
            if isinstance(found, Resource):
                yield from nouns(f"{name}.{below}", found)


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield what a user may call, an alias under its own name too."""
    for name, value in vars(kind).items():
        if inspect.isfunction(value) and not name.startswith("_") and name not in NOT_FOR_USERS:
            yield name, value


def attributes(kind: type) -> Iterator[tuple[str, property]]:
    """Yield the properties of a class and its bases that a user may read, but for those that lead to a resource."""
    for each in reversed(kind.__mro__):
        for name, value in vars(each).items():
            is_public = not name.startswith("_") and name not in NOT_FOR_USERS
            if isinstance(value, property) and is_public and "Resource" not in annotation_of(value):
                yield name, value


def annotation_of(value: property) -> str:
    return str(inspect.signature(value.fget).return_annotation) if value.fget else ""


def types() -> list[str]:
    return sorted(cartesia_sync.types.__all__, key=str.lower)


def section(name: str, kind: type) -> str:
    """Write down what a class does: its attributes and its methods."""
    entries = [[line] for line in property_lines(kind)]
    if kind in (Cartesia, LocalServer):
        whole = signature(kind.__name__, kind.__init__) if kind is Cartesia else ["LocalServer(**options)"]
        entries.append([*whole, *indented(details(kind))])
    for method, function in methods(kind):
        if function.__name__ != method:
            entries.append([f"{method} = {function.__name__}"])
            continue
        words = textwrap.wrap(first_paragraph(function), WIDTH)
        entries.append([*signature(method, function), *indented([*words, *details(function)])])
    code = "\n\n".join("\n".join(entry) for entry in entries)
    return f"## `{name}`\n\n{first_paragraph(kind)}\n\n```text\n{code}\n```\n"


def functions(name: str, function: Any) -> str:
    """Write down a function that belongs to no class."""
    lines = [*signature(name, function, skipped=0), *indented(details(function))]
    return f"## `{name}`\n\n{first_paragraph(function)}\n\n```text\n" + "\n".join(lines) + "\n```\n"


def details(thing: Any) -> list[str]:
    """Return the sections of a docstring about arguments and errors, as they stand there."""
    lines: list[str] = []
    is_wanted = False
    for line in (inspect.getdoc(thing) or "").replace("``", "`").splitlines():
        if line and not line.startswith(" "):
            is_wanted = line in ("Args:", "Attributes:", "Raises:")
        if is_wanted and line:
            lines.append(line)
    return lines


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def property_lines(kind: type) -> list[str]:
    found = []
    for name, value in attributes(kind):
        words = textwrap.wrap(first_paragraph(value), WIDTH)
        found.append("\n".join([f"{name}: {readable(annotation_of(value))}", *indented(words)]))
    return found


# ---- classes that are mostly fields, and other types: as they stand in the source


def entry(name: str, kind: Any) -> str:
    """Write down a type: its fields, or what an alias stands for."""
    here = definition(cartesia_sync.types, name)
    statement = here or (definition(sys.modules[kind.__module__], name) if inspect.isclass(kind) else None)
    if statement is None or isinstance(statement, ast.Assign):
        meaning = ast.unparse(statement.value) if statement is not None else kind.__name__
        return f"## `{name}`\n\n`{name} = {readable(meaning)}`\n"
    lines = [*fields(kind), *property_lines(kind)]
    lines += [
        line for method, function in methods(kind) if method not in BEHIND for line in described(method, function)
    ]
    more = details(kind)
    words = [*lines, *([""] if lines and more else []), *more]
    code = "\n\n```text\n" + "\n".join(words) + "\n```" if words else ""
    return f"## `{name}`\n\n{first_paragraph(kind)}{code}\n"


BEHIND = {"apply", "target", "is_for"}
"""What the local server calls on a fault."""


def described(method: str, function: Any) -> list[str]:
    return [*signature(method, function), *indented(textwrap.wrap(first_paragraph(function), WIDTH))]


@functools.cache
def tree(module: Any) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = statement
    return found


def definition(module: Any, name: str) -> Any:
    return tree(module).get(name)


def fields(kind: type) -> list[str]:
    """Return a class's fields, those of its bases first; what may be given by name alone stands behind a star."""
    if issubclass(kind, dict):
        return list(keys(cartesia_sync.types, kind.__name__))
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        statement = (
            definition(sys.modules[each.__module__], each.__name__) if "cartesia_sync" in each.__module__ else None
        )
        for line in statement.body if isinstance(statement, ast.ClassDef) else []:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                annotation = ast.unparse(line.annotation)
                if not line.target.id.startswith("_") and "ClassVar" not in annotation:
                    found[line.target.id] = f"{line.target.id}: {readable(annotation)}{default(line)}"
    if not issubclass(kind, faults.Fault):
        return list(found.values())
    parameters = inspect.signature(kind).parameters.values()
    by_place = [found[each.name] for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    by_name = [found[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY]
    return wrapped(kind.__name__, [*by_place, "*", *by_name], ")")


def default(line: ast.AnnAssign) -> str:
    if line.value is None:
        return ""
    if not isinstance(line.value, ast.Call):
        return f" = {ast.unparse(line.value)}"
    given = [ast.unparse(each.value) for each in line.value.keywords if each.arg == "default"]
    return f" = {given[0]}" if given else ""


def keys(module: Any, name: str) -> Iterator[str]:
    """Yield a TypedDict's keys with their types; ``?`` where it may be left out."""
    statement = definition(module, name)
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
        for key, value in zip(statement.value.args[1].keys, statement.value.args[1].values):  # type: ignore[attr-defined]  # a dict
            yield f"{key.value}?: {ast.unparse(value)}"
        return
    if not isinstance(statement, ast.ClassDef):
        return
    for base in statement.bases:
        yield from keys(module, ast.unparse(base))
    mark = "?" if any(each.arg == "total" for each in statement.keywords) else ""
    for line in statement.body:
        if isinstance(line, ast.AnnAssign):
            yield f"{ast.unparse(line.target)}{mark}: {readable(ast.unparse(line.annotation))}"


# ---- words


def first_paragraph(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("``", "`")


def signature(name: str, function: Any, *, skipped: int = 1) -> list[str]:
    """Write it in one line, or the arguments in as many as they need, broken between them alone."""
    arguments, star = [], False
    for each in list(inspect.signature(function).parameters.values())[skipped:]:
        if each.kind is each.KEYWORD_ONLY and not star:
            arguments.append("*")
            star = True
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            arguments.append(str(each).partition(":")[0])
            star = True
            continue
        given = "" if each.default is each.empty else f" = {shown(each.default)}"
        arguments.append(f"{each.name}: {readable(each.annotation)}{given}")
    answer = inspect.signature(function).return_annotation
    end = ")" if answer in ("None", inspect.Signature.empty) else f") -> {readable(answer)}"
    return wrapped(name, arguments, end)


def wrapped(name: str, arguments: list[str], end: str) -> list[str]:
    whole = f"{name}({', '.join(arguments)}{end}"
    if len(whole) <= WIDTH:
        return [whole]
    kept = ", ".join(argument.replace(" ", "\0") for argument in arguments)
    lines = textwrap.wrap(kept, WIDTH, initial_indent="    ", subsequent_indent="    ", **WHOLE_ARGUMENTS)
    return [f"{name}(", *(line.replace("\0", " ") for line in lines), end]


def shown(value: object) -> str:
    if value is omit:
        return "omit"
    if value == Timeout():
        return "Timeout()"
    return value.__name__ if isinstance(value, type) else repr(value)


def readable(annotation: Any) -> str:
    """Leave out what says only that an argument may be omitted, which its default says too."""
    tree = ast.parse(str(annotation), mode="eval")
    return re.sub(r"\bcollections\.abc\.|\btyping\.", "", ast.unparse(_WithoutOmit().visit(tree)))


class _WithoutOmit(ast.NodeTransformer):
    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.value) != "Union" or not isinstance(node.slice, ast.Tuple):
            return node
        rest = [each for each in node.slice.elts if ast.unparse(each) not in ("Omit", "UnsetType")]
        given = [each for each in rest if ast.unparse(each) != "None"]
        if len(given) == len(rest) == 1:
            return given[0]
        if len(given) == 1:
            return ast.Subscript(ast.Name("Optional", ast.Load()), given[0], ast.Load())
        return ast.Subscript(node.value, ast.Tuple(rest, ast.Load()), ast.Load())


if __name__ == "__main__":
    main()
