from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cartesia_sync import Cartesia, types
from cartesia_sync.local import ServerOptions, faults

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "api.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scripts_api", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


API = script()
METHODS = {
    f"{noun}.{name}": function
    for noun, thing in API.nouns("client", Cartesia(api_key="none"))
    for name, function in API.methods(type(thing))
}
ANSWERS = {f"{kind.__name__}.{name}": function for kind in API.OTHERS[-3:] for name, function in API.methods(kind)}
"""The methods of what the calls over HTTP give."""


def arguments(function: Any) -> list[str]:
    return [each for each in inspect.signature(function).parameters if each != "self"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["api.py", *arguments])
    API.main()


def test_the_listing_is_what_the_code_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--check")


def test_the_check_sees_another_listing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "api.md").write_text(API.listing() + "more", encoding="utf-8")
    monkeypatch.setattr(API, "FILE", tmp_path / "api.md")
    with pytest.raises(SystemExit, match="run scripts/api"):
        run(monkeypatch, "--check")
    run(monkeypatch)
    run(monkeypatch, "--check")


def test_the_listing_goes_down_to_the_last_noun() -> None:
    assert {"client.voices.list", "client.datasets.files.upload", "client.agents.metrics.results.export"} <= set(
        METHODS
    )
    assert "\n## `client.agents.metrics.results`\n" in API.listing()


def test_the_listing_holds_every_type_fault_and_option() -> None:
    headings = set(re.findall(r"^## `(\w+)`$", API.listing(), re.M))
    assert {*types.__all__, *faults.__all__, "LocalServer", "ServerOptions", "Timeout"} <= headings
    options = API.listing().partition("## `ServerOptions`")[2].partition("\n## ")[0]
    names = list(inspect.signature(ServerOptions).parameters)
    assert re.findall(r"^(\w+): ", options, re.M) == names
    assert re.findall(r"^    (\w+): ", options.partition("Args:")[2].partition("Raises:")[0], re.M) == names


def test_the_listing_holds_arguments_and_errors() -> None:
    push = API.listing().partition("\npush(")[2].partition("\n\n")[0]
    assert "    Args:\n        transcript: " in push
    assert "    Raises:\n" in push
    assert "        TruncatedError: " in push


@pytest.mark.parametrize("name", [*METHODS, *ANSWERS])
def test_every_method_says_what_it_does_and_what_each_argument_is(name: str) -> None:
    function = {**METHODS, **ANSWERS}[name]
    docstring = inspect.getdoc(function)
    assert docstring, name
    if "for its arguments see ``" in docstring:
        return
    explained = re.findall(r"^    \*{0,2}(\w+): \S", docstring.partition("\nArgs:\n")[2].partition("\n\n")[0], re.M)
    assert explained == arguments(function)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_that_names_an_endpoint_names_its_source(name: str) -> None:
    docstring = inspect.getdoc(METHODS[name]) or ""
    calls_the_service = re.search(r"\(``(GET|POST|PATCH|PUT|DELETE) /", docstring)
    assert bool(calls_the_service) == bool(re.search(r"^Source: \S.*\.$", docstring, re.M))


def test_every_method_of_a_noun_names_its_endpoint() -> None:
    """But for those that prepare a connection, and the old name that goes by a new one."""
    silent = {
        name
        for name, function in METHODS.items()
        if name.count(".") > 1 and not re.search(r"\(``[A-Z]+ /", inspect.getdoc(function) or "")
    }
    prepare = {"websocket_connect", "websocket", "connection", "pool"}
    assert silent == {*(f"client.tts.{name}" for name in prepare), "client.tts.bytes"}
