"""The command, run in this process or in one of its own."""

from __future__ import annotations

from typing import Callable

import pytest

from cartesia_sync import cli

Command = Callable[..., tuple[int, str, str]]
"""Runs the command; returns its status, and what it wrote to standard output and to standard error."""


def runner(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return run
