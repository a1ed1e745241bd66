from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cartesia_sync

PACKAGE = Path(cartesia_sync.__file__).parent
FLOORS = (
    "_version",
    "errors",
    "protocol",
    "types",
    "files",
    "wav",
    "audio",
    "transport",
    "streaming",
    "resources",
    "client",
    "__init__",
    "cli",
    "__main__",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Give every module that a file imports, in functions too; what only the type checker sees does not count."""
    package = ("cartesia_sync", *path.relative_to(PACKAGE).parent.parts)
    todo: list[ast.AST] = [ast.parse(path.read_bytes())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += node.orelse
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            yield from (f"{module}.{name.name}" for name in node.names)
        else:
            todo += ast.iter_child_nodes(node)


def room(module: str) -> str:
    """Name the room of the package that a dotted name lies in; a name of the package itself lies in its front door."""
    name = module.split(".")[1]
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists() else "__init__"


def importers(library: str, *, below: str = "") -> set[str]:
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if path.relative_to(PACKAGE).as_posix().startswith(below)
        and any(module == library or module.startswith(library + ".") for module in imports(path))
    }


def in_client(paths: set[str]) -> set[str]:
    return {path for path in paths if not path.startswith("local/")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down_only(path: Path) -> None:
    own = room(".".join(("cartesia_sync", *path.relative_to(PACKAGE).with_suffix("").parts)))
    used = {room(module) for module in imports(path) if module.split(".")[0] == "cartesia_sync"}
    if own == "local":
        assert used <= {"local", "_version"}
    else:
        may_use = set(FLOORS[: FLOORS.index(own) + 1]) | ({"local"} if own == "cli" else set())
        assert used <= may_use


def test_the_rooms_are_all_on_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert rooms == {*FLOORS, "local"} & rooms
    assert {"errors", "protocol", "transport", "streaming", "resources", "client", "cli"} <= rooms


def test_only_one_file_knows_each_foreign_library() -> None:
    assert importers("websocket") == {"transport/wire.py"}
    assert importers("requests") == {"transport/http.py"}
    assert importers("urllib3") == {"transport/exchange.py", "transport/http.py"}
    assert in_client(importers("numpy")) == {"audio.py"}
    assert len(importers("numpy", below="local/")) == 1
    assert in_client(importers("aiohttp") | importers("asyncio")) == set()


def test_the_ground_floor_is_pure() -> None:
    impure = ("socket", "ssl", "threading", "queue", "time", "os", "io", "pathlib", "selectors", "numpy", "logging")
    assert [library for library in impure if importers(library, below="protocol/")] == []
    assert {module for module in imports(PACKAGE / "errors.py") if module.startswith("cartesia_sync")} == set()


def test_json_of_msgspec_is_read_and_written_in_the_codec_only() -> None:
    def uses_json(path: Path) -> bool:
        tree = ast.walk(ast.parse(path.read_bytes()))
        named = any(isinstance(node, ast.Attribute) and ast.unparse(node) == "msgspec.json" for node in tree)
        return named or any(module.startswith("msgspec.json") for module in imports(path))

    assert {path.relative_to(PACKAGE).as_posix() for path in FILES if uses_json(path)} == {"protocol/codec.py"}


IMPORT_AND_WATCH = """
import sys, threading

seen = []
start = threading.Thread.start
threading.Thread.start = lambda thread: (seen.append("thread"), start(thread))
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
import cartesia_sync

heavy = {
    "aiohttp", "asyncio", "numpy", "requests", "websocket",
    "cartesia_sync.audio", "cartesia_sync.cli", "cartesia_sync.local", "cartesia_sync.streaming.connection",
}
print(sorted(heavy & set(sys.modules)), seen)
"""


def test_importing_the_package_starts_no_thread_opens_no_socket_and_loads_nothing_heavy() -> None:
    run = subprocess.run([sys.executable, "-W", "error", "-c", IMPORT_AND_WATCH], capture_output=True, text=True)
    assert (run.stdout, run.stderr, run.returncode) == ("[] []\n", "", 0)


def test_the_watch_sees_threads_and_sockets() -> None:
    """The test above would see one: without this it could pass for the wrong reason."""
    noisy = (
        "import socket\nsocket.socket().close()\nthread = threading.Thread(target=int)\nthread.start()\nthread.join()\n"
    )
    code = IMPORT_AND_WATCH.replace("import cartesia_sync\n", noisy)
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert run.stdout == "[] ['socket.__new__', 'thread']\n"
