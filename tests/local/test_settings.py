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
    "api_keys": frozenset({"one", "two"}),
    "allow_origins": frozenset({"https://one.example", "https://two.example"}),
}


def another(name: str) -> Any:
    """A value that is not the default. An option of a new type wants a line in SPECIAL."""
    default = DEFAULTS[name]
    return SPECIAL[name] if name in SPECIAL else not default if isinstance(default, bool) else default + 1


def another_there(name: str) -> Any:
    """A value that is not the default of the command line."""
    return False if name == "inspector" else another(name)


def argument(name: str) -> list[str]:
    """Say that on the command line."""
    option, value = name.replace("_", "-"), another_there(name)
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, frozenset):
        return [f"--{option[:-1]}", ",".join(value)]
    return [f"--{option}", str(value)]


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
    assert given.pop("faults") == []
    assert {name for name in given if given[name] != DEFAULTS.get(name)} == {
        "port",
        "inspector",
    }  # one that is known, and one to look at


@pytest.mark.parametrize("name", __main__._OPTIONS)
def test_every_option_of_the_command_line_reaches_the_server(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}

    def refuse(**options: Any) -> LocalServer:
        received.update(options)
        raise OSError("enough")

    monkeypatch.setattr(__main__, "LocalServer", refuse)
    assert __main__.main(["--fault", "Close()"] if name == "faults" else argument(name)) == 1
    assert received[name] == ([Close()] if name == "faults" else another_there(name))


def test_the_command_of_the_package_has_the_same_options(monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}
    monkeypatch.setattr(__main__, "serve", lambda **options: received.update(options))
    switches = [word for name in __main__._OPTIONS if isinstance(DEFAULTS[name], bool) for word in argument(name)]
    for arguments in ([], switches):
        received.clear()
        assert cli.main(["serve", "--port", "0", *arguments]) == 0
        assert set(received) == {*__main__._OPTIONS, "tls_cert", "tls_key"}
        same = __main__._parser().parse_args(["--port", "0", *arguments])
        assert argparse.Namespace(**received) == same


def test_the_keys_are_a_copy() -> None:
    keys = {"a"}
    options = ServerOptions(api_keys=keys)
    keys.add("b")
    assert options.api_keys == {"a"}


@pytest.mark.parametrize("name", ["api_keys", "allow_origins"])
@pytest.mark.parametrize("wrong", ["secret", b"secret", ["secret", 7]], ids=repr)
def test_a_text_is_no_set_of_texts(name: str, wrong: Any) -> None:
    fields: dict[str, Any] = {name: wrong}
    with pytest.raises(TypeError, match=name) as caught:
        LocalServer(**fields)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "2001:db8::1"])
def test_an_address_that_others_reach_needs_keys_or_a_word(host: str) -> None:
    with pytest.raises(ValueError, match=r"--api-key.*--allow-anyone"):
        ServerOptions(host=host)
    ServerOptions(host=host, api_keys={"key"})
    ServerOptions(host=host, allow_anyone=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST", "a.name"])
def test_loopback_needs_neither_nor_does_a_name_before_it_is_looked_up(host: str) -> None:
    ServerOptions(host=host)


@pytest.mark.parametrize("wrong", [{"pace": float("nan")}, {"port": -1}, {"port": 65536}], ids=str)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        LocalServer(**wrong)
