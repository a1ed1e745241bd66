"""What importing the package does, and what must not be written twice; who may import whom is in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cartesia_sync

PACKAGE = Path(cartesia_sync.__file__).parent


def test_json_of_msgspec_is_read_and_written_in_the_codec_only() -> None:
    def uses_json(path: Path) -> bool:
        tree = ast.walk(ast.parse(path.read_bytes()))
        return any(
            (isinstance(node, ast.Attribute) and ast.unparse(node) == "msgspec.json")
            or (isinstance(node, ast.ImportFrom) and node.module == "msgspec.json")
            or (isinstance(node, ast.Import) and any(each.name == "msgspec.json" for each in node.names))
            for node in tree
        )

    paths = PACKAGE.rglob("*.py")
    assert {path.relative_to(PACKAGE).as_posix() for path in paths if uses_json(path)} == {"protocol/codec.py"}


IMPORT_AND_WATCH = """
import sys, threading

seen = []
start = threading.Thread.start
threading.Thread.start = lambda thread: (seen.append("thread"), start(thread))
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
import pytest

from cartesia_sync import Cartesia

heavy = {
    "aiohttp", "asyncio", "numpy", "requests", "websocket",
    "cartesia_sync.audio.samples", "cartesia_sync.cli", "cartesia_sync.local", "cartesia_sync.streaming.connection",
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
    code = IMPORT_AND_WATCH.replace("from cartesia_sync import Cartesia\n", noisy)
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert run.stdout == "[] ['socket.__new__', 'thread']\n"


def test_importing_the_package_alone_loads_nothing_of_it_and_its_names_are_there_all_the_same() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\nimport cartesia_sync\n"
        "print(sorted(set(sys.modules) - before))\n"
        "print(cartesia_sync.errors.APIError is cartesia_sync.APIError, 'Timeout' in dir(cartesia_sync))"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert run.stdout == "['cartesia_sync', 'cartesia_sync._version']\nTrue True\n"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("wav", "audio.wav", "WavWriter"),
        ("files", "audio.files", "WholeFile"),
        ("audio", "audio.samples", "to_samples"),
    ],
)
def test_what_has_moved_is_found_at_its_old_place_with_a_warning(old: str, new: str, name: str) -> None:
    places = f"from cartesia_sync.{old} import {name} as old; from cartesia_sync.{new} import {name} as new"
    code = f"{places}; print(old is new)"
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("True\n", 0)
    assert "DeprecationWarning: cartesia_sync." in run.stderr
    assert f"has moved to cartesia_sync.{new}" in run.stderr
