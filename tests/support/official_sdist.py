"""The official client's README and examples, as its authors publish them; none of it is kept here.

The README is in the installed package's metadata. The examples are in the source distribution alone: pip gets that of
the installed version once, and it stays in pytest's cache.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

BOUND = 120.0
_BLOCK = re.compile(r"^(?P<heading>#+ .*?)$|^```(?P<language>\w*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
_FUNCTION = re.compile(r"^(?:async )?def (\w+)\(client: ", re.MULTILINE)


class NotToBeHad(Exception):  # noqa: N818  # no error: the reason for which tests are skipped
    """There is no source distribution of the installed version to be had here."""


class Block(NamedTuple):
    """A block of Python of the README.

    Attributes:
        name: The heading that it stands under, and its number there.
        code: The block.
    """

    name: str
    code: str


def readme_blocks() -> list[Block]:
    """Return the blocks of Python of the installed official package's README."""
    description = metadata.metadata("cartesia").get_payload()
    found: list[Block] = []
    heading, number = "", 0
    for each in _BLOCK.finditer(str(description)):
        if each["heading"]:
            heading, number = each["heading"].strip("#` ."), 0
        elif each["language"] in ("python", "py"):
            number += 1
            found.append(Block(f"{heading} {number}", each["code"]))
    return found


def examples(cache: Path, name: str = "examples.py") -> str:
    """Return a file of the official package's examples.

    Args:
        cache: Where the source distribution may stay.
        name: ``examples.py`` or ``async_examples.py``.

    Raises:
        NotToBeHad: pip cannot get the source distribution.
    """
    version = metadata.version("cartesia")
    archive = cache / f"cartesia-{version}.tar.gz"
    if not archive.exists():
        _download(version, archive)
    with tarfile.open(archive) as files:
        member = files.extractfile(f"cartesia-{version}/examples/{name}")
        assert member is not None
        return member.read().decode("utf-8")


def functions_of(code: str) -> list[str]:
    """Return the names of the examples in a file of them: each is a function that takes a client."""
    return _FUNCTION.findall(code)


def with_the_import_changed(code: str) -> str:
    """Return code for the official package as it is written for ours."""
    code = re.sub(r"^(\s*)import cartesia$", r"\1import cartesia_sync as cartesia", code, flags=re.MULTILINE)
    return re.sub(r"^(\s*)from cartesia\b", r"\1from cartesia_sync", code, flags=re.MULTILINE)


def _download(version: str, archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "cartesia"]
        try:
            run = subprocess.run(
                [*command, "--dest", folder, f"cartesia=={version}"],
                capture_output=True,
                text=True,
                timeout=BOUND,
                env={**os.environ, "PYTHONPATH": ""},
            )
        except subprocess.TimeoutExpired:
            raise NotToBeHad(f"pip did not get the source distribution within {BOUND:.0f} s") from None
        found = list(Path(folder).glob("*.tar.gz"))
        if run.returncode or not found:
            raise NotToBeHad(f"pip has no source distribution of cartesia {version}: {run.stderr[-300:]}")
        os.replace(found[0], archive)  # in one step: another process of these tests may do the same
