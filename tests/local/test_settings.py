"""An option is written down once, and reaches everything: checked for each of them, a new one included."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cartesia_sync.local
from cartesia_sync import cli
from cartesia_sync.local import Close, LocalServer, ServerOptions, __main__

DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(ServerOptions)}
SPECIAL: dict[str, Any] = {
    "host": "localhost",
    "ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    "pace": 2.0,
    "faults": (Close(),),
    "concurrency_limit": 4,
    "hears": ("One.",),
    "listen_limit": 4,
    "engine": "signal",
    "api_keys": frozenset({"key"}),
}


def another(name: str) -> Any:
    """A value that is not the default. An option of a new type wants a line in SPECIAL."""
    default = DEFAULTS[name]
    return SPECIAL[name] if name in SPECIAL else not default if isinstance(default, bool) else default + 1


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_is_a_keyword_of_the_server_and_arrives(name: str) -> None:
    parameter = inspect.signature(LocalServer).parameters[name]
    assert (parameter.kind, parameter.default) == (inspect.Parameter.KEYWORD_ONLY, DEFAULTS[name])
    fields: dict[str, Any] = {name: another(name)}
    server = LocalServer(**fields)
    server.stop()
    assert server._options == ServerOptions(**fields) != ServerOptions()


def test_the_server_has_no_other_keywords() -> None:
    assert list(inspect.signature(LocalServer).parameters) == list(DEFAULTS)
    with pytest.raises(TypeError):
        LocalServer(nonsense=True)  # type: ignore[call-arg]  # which mypy knows
    with pytest.raises(TypeError):
        LocalServer("127.0.0.1")  # type: ignore[misc]  # which mypy knows


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_is_documented_once_and_read_somewhere(name: str) -> None:
    documentation = inspect.getdoc(ServerOptions) or ""
    assert len(re.findall(rf"^ {{4}}{name}: ", documentation, re.MULTILINE)) == 1
    readers = set()
    for path in Path(cartesia_sync.local.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute) and node.attr == name and "options" in ast.unparse(node.value):
                readers.add(path.name)
    assert readers


def test_the_command_line_takes_its_options_and_defaults_from_there() -> None:
    parser = __main__._parser()
    given = vars(parser.parse_args([]))
    assert set(given) - {"tls_cert", "tls_key"} == set(__main__._OPTIONS) <= set(DEFAULTS)
    assert {name for name in __main__._OPTIONS if given[name] != DEFAULTS[name]} == {"port"}  # one that is known


@pytest.mark.parametrize("name", __main__._OPTIONS)
def test_every_option_of_the_command_line_reaches_the_server(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}

    def refuse(**options: Any) -> LocalServer:
        received.update(options)
        raise OSError("enough")

    monkeypatch.setattr(__main__, "LocalServer", refuse)
    assert __main__.main([f"--{name.replace('_', '-')}", str(another(name))]) == 1
    assert received[name] == another(name)


def test_the_command_of_the_package_has_the_same_options(monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}
    monkeypatch.setattr(__main__, "serve", lambda **options: received.update(options))
    assert cli.main(["serve", "--port", "0"]) == 0
    assert set(received) == {*__main__._OPTIONS, "tls_cert", "tls_key"}
    same = __main__._parser().parse_args(["--port", "0"])
    assert argparse.Namespace(**received) == same


def test_the_keys_are_a_copy() -> None:
    keys = {"a"}
    options = ServerOptions(api_keys=keys)
    keys.add("b")
    assert options.api_keys == {"a"}


@pytest.mark.parametrize("wrong", [{"pace": float("nan")}, {"port": -1}, {"port": 65536}], ids=str)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        LocalServer(**wrong)
