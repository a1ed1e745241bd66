"""A user's project in a folder of its own, with its own run of pytest, in which the plugin comes by its entry point."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parent.parent.parent


class UsersProject:
    """Files, and runs of pytest in their folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        installed = folder / "installed" / "cartesia_sync-0.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: cartesia-sync\nVersion: 0\n")
        (installed / "entry_points.txt").write_text("[pytest11]" + setup["options.entry_points"]["pytest11"] + "\n")

    def write(self, **files: str) -> None:
        """Write modules by their names."""
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(dedent(text))

    def run(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run pytest; return what it printed."""
        return self.python("-m", "pytest", "-p", "no:cacheprovider", *arguments, status=status, **environment)

    def python(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run Python; return what it printed."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CARTESIA_", "PYTEST_"))}
        path = os.pathsep.join([str(self.folder / "installed"), str(ROOT)])
        run = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**clean, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        printed = run.stdout + run.stderr
        assert run.returncode == status, printed
        return printed
