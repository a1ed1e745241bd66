"""List the public methods, with their arguments and what each does, in cartesia_sync/api.md.

    .venv/bin/python scripts/api.py [--check]

Status 1 with --check: the listing there is not the one that the code gives.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cartesia_sync import Cartesia, Timeout
from cartesia_sync.protocol.requests import omit
from cartesia_sync.resources.base import Resource
from cartesia_sync.resources.binary import BinaryAPIResponse, Stream, SyncCursorIDPage
from cartesia_sync.streaming.connection import Connection, ConnectionManager
from cartesia_sync.streaming.context import Context, Receiver

FILE = Path(__file__).resolve().parent.parent / "cartesia_sync" / "api.md"
WIDTH = 112
WHOLE_ARGUMENTS: Any = {"break_long_words": False, "break_on_hyphens": False}
BEGINNING = """\
# The public methods

Made by `scripts/api.py` from the code: do not edit. A method's docstring tells more, by `help(client.voices.list)`.
An argument whose default is `omit` is not sent unless it is given. `**options` are `extra_headers`, `extra_query`,
`extra_body` and `timeout` of the one call.
"""
NOT_FOR_USERS = {"dialler"}
"""What rooms of the package call on each other's public classes."""
OTHERS = (ConnectionManager, Connection, Context, Receiver, BinaryAPIResponse, Stream, SyncCursorIDPage)


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
    return "\n".join(parts)


def nouns(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """Give the client or a resource, and what hangs below it, each with the words that reach it."""
    yield name, thing
    for below, value in vars(type(thing)).items():
        if isinstance(value, property) and not below.startswith("_"):
            found = value.__get__(thing)
            if isinstance(found, Resource):
                yield from nouns(f"{name}.{below}", found)


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Give what a user may call, an alias under its own name too."""
    for name, value in vars(kind).items():
        if inspect.isfunction(value) and not name.startswith("_") and name not in NOT_FOR_USERS:
            yield name, value


def section(name: str, kind: type) -> str:
    entries = [signature(kind.__name__, kind.__init__)] if kind is Cartesia else []
    for method, function in methods(kind):
        if function.__name__ != method:
            entries.append([f"{method} = {function.__name__}"])
            continue
        words = textwrap.wrap(first_paragraph(function), WIDTH, initial_indent="    ", subsequent_indent="    ")
        entries.append([*signature(method, function), *words])
    code = "\n\n".join("\n".join(entry) for entry in entries)
    return f"## `{name}`\n\n{first_paragraph(kind)}\n\n```text\n{code}\n```\n"


def first_paragraph(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("``", "`")


def signature(name: str, function: Any) -> list[str]:
    """Write it in one line, or the arguments in as many as they need, broken between them alone."""
    arguments, star = [], False
    for each in list(inspect.signature(function).parameters.values())[1:]:
        if each.kind is each.KEYWORD_ONLY and not star:
            arguments.append("*")
            star = True
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            arguments.append(str(each).partition(":")[0])
            star = True
            continue
        default = "" if each.default is each.empty else f" = {shown(each.default)}"
        arguments.append(f"{each.name}: {readable(each.annotation)}{default}")
    answer = inspect.signature(function).return_annotation
    end = ")" if answer in ("None", inspect.Signature.empty) else f") -> {readable(answer)}"
    whole = f"{name}({', '.join(arguments)}{end}"
    if len(whole) <= WIDTH:
        return [whole]
    kept = ", ".join(argument.replace(" ", "\0") for argument in arguments)
    wrapped = textwrap.wrap(kept, WIDTH, initial_indent="    ", subsequent_indent="    ", **WHOLE_ARGUMENTS)
    return [f"{name}(", *(line.replace("\0", " ") for line in wrapped), end]


def shown(default: object) -> str:
    if default is omit:
        return "omit"
    if default == Timeout():
        return "Timeout()"
    return default.__name__ if isinstance(default, type) else repr(default)


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
