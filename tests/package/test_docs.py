"""What is written beside the code: examples that run, links that lead somewhere, tables that render."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cartesia_sync
from cartesia_sync import errors
from cartesia_sync.local import LocalServer

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "cartesia_sync" / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.mark.timeout(60)
@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_examples_run(page: Path, server: LocalServer, tmp_path: Path) -> None:
    """In a process of their own, since they end as a user's program does."""
    examples = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not examples:
        return
    program = tmp_path / "example.py"
    program.write_text("\n".join(examples), encoding="utf-8")
    environment = {**os.environ, "CARTESIA_API_KEY": "any", "CARTESIA_BASE_URL": server.url, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


README_EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("example", README_EXAMPLES, ids=[example.splitlines()[0] for example in README_EXAMPLES])
def test_each_example_of_the_readme_is_a_whole_program(example: str, server: LocalServer, tmp_path: Path) -> None:
    program = tmp_path / "test_example.py"
    program.write_text(example, encoding="utf-8")
    command = [sys.executable, program]
    if "def test_" in example:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "cartesia_sync.testing",
            "-p",
            "no:cacheprovider",
            program,
        ]
    environment = {**os.environ, "CARTESIA_API_KEY": "any", "CARTESIA_BASE_URL": server.url, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""


def test_the_readme_has_an_example_of_each_recipe() -> None:
    assert len(README_EXAMPLES) >= 6


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", without_code(page.read_text(encoding="utf-8")))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@every_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(
        r"\b((?:scripts|tests|cartesia_sync|local|protocol)/[\w/]+\.(?:py|md))\b", page.read_text(encoding="utf-8")
    )
    missing = [name for name in named if not (ROOT / name).exists() and not (ROOT / "cartesia_sync" / name).exists()]
    assert missing == []


@every_page
def test_every_table_renders(page: Path) -> None:
    """A row after a blank line is text, and so is one with more cells than the first."""
    lines = without_code(page.read_text(encoding="utf-8")).splitlines()
    heading: list[str] = []
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            continue
        cells = re.split(r"(?<!\\)\|", re.sub(r"`[^`]*`", "code", line))
        if number == 0 or not lines[number - 1].startswith("|"):
            assert re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", lines[number + 1]), f"{page.name}: {line}"
            heading = cells
        assert len(cells) == len(heading), f"{page.name}: {line}"


def test_every_exception_is_explained() -> None:
    kinds = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.CartesiaError)
    }
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == kinds


def test_the_tables_of_contributing_are_those_of_the_code() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "scripts" / "tables.py", "--check"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_documentation_is_package_data() -> None:
    assert {page.name for page in PAGES[3:]} == {
        page.name for page in (Path(cartesia_sync.__file__).parent / "docs").glob("*.md")
    }


def test_the_table_of_fidelity_names_every_route_of_the_local_server() -> None:
    from cartesia_sync.local.app import App
    from cartesia_sync.local.fault_plan import FaultPlan
    from cartesia_sync.local.generation import ConcurrencyLimit
    from cartesia_sync.local.recorder import Recorder
    from cartesia_sync.local.settings import ServerOptions
    from cartesia_sync.local.voice.speech import Speaker

    speaker = Speaker("signal")
    speaker.close()
    app = App(ServerOptions(), Recorder(record=False), FaultPlan(()), speaker, ConcurrencyLimit(None))
    routes = {str(resource.canonical) for resource in app.application().router.resources()} - {"/{path}"}
    page = (DOCS / "testing.md").read_text(encoding="utf-8")
    table = page[page.index("## How faithful it is") : page.index("## Time limits")]
    missing = {route for route in routes if f"{route.rstrip('/') or '/'}" not in table}
    assert missing == set()
