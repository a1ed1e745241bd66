"""How a run is shown: a bar on a terminal, plain lines elsewhere, JSON for machines; tqdm is met here alone."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Optional, Protocol, TextIO

from ..extras import missing
from .report import Progress, Report

BETWEEN_LINES = 10.0
"""Seconds."""
BETWEEN_LOOKS = 0.1
"""Seconds between two looks of the bar: a terminal is slow."""


class Display(Protocol):
    """What shows a run."""

    def show(self, progress: Progress) -> None:
        """Show it, if it is time."""

    def close(self) -> None:
        """Leave the line to others."""


def clock(seconds: float) -> str:
    """Return a duration as people read it: ``4 s``, ``3:05 min``, ``2:03:05 h``."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d} h"
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


def in_words(progress: Progress) -> str:
    """Return what there is besides the number of files: audio, characters, refusals, slots."""
    report = progress.report
    words = [f"{clock(report.seconds)} of audio", f"{report.characters:,} characters", f"{report.refused} refused"]
    of = "" if progress.slots is None else f" of {progress.slots}"
    words.append(f"{progress.in_use}{of} slots")
    if progress.resting:
        words.append(f"{progress.resting} wait to be tried again")
    if report.failed:
        words.append(f"{len(report.failed)} failed")
    return ", ".join(words)


class Bar:
    """A bar on a terminal.

    Raises:
        ImportError: tqdm is not installed.
    """

    def __init__(self, file: TextIO) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise missing("batch", "a bar needs tqdm", cause=error) from error
        # Without its thread, which looks whether a bar has stood still: it is told each second.
        self._make: Callable[..., Any] = type("_Bar", (tqdm,), {"monitor_interval": 0})
        self._file = file
        self._bar: Any = None
        self._shown_at = 0.0

    def show(self, progress: Progress) -> None:
        """Move it."""
        report = progress.report
        count = report.done + len(report.failed)
        if self._bar is None:
            self._bar = self._make(
                total=progress.files, unit=" files", file=self._file, dynamic_ncols=True, mininterval=0, smoothing=0.05
            )
        now = time.monotonic()
        if now - self._shown_at < BETWEEN_LOOKS and count < progress.files:
            return
        self._shown_at = now
        self._bar.set_postfix_str(in_words(progress), refresh=False)
        self._bar.update(count - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """Leave it as it is, and begin a line."""
        if self._bar is not None:
            self._bar.close()


class Lines:
    """A line each ten seconds, on what is no terminal."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._told_at = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Tell a line, if it is time."""
        now = time.monotonic()
        if now - self._told_at >= BETWEEN_LINES:
            self._told_at = now
            self._tell(line_of(progress))

    def close(self) -> None:
        """Say nothing more."""


def line_of(progress: Progress) -> str:
    """Return all of it in one line."""
    report = progress.report
    count = report.done + len(report.failed)
    rate = count / report.elapsed if report.elapsed else 0.0
    left = f", about {clock((progress.files - count) / rate)} left" if rate else ""
    return f"{count:,} of {progress.files:,} files, {in_words(progress)}, {rate:.1f} files/s{left}"


class JsonLines:
    """A JSON object each ten seconds, and one for each item that failed, at once."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._told_at = time.monotonic()
        self._failed = 0

    def show(self, progress: Progress) -> None:
        """Tell what is new."""
        failed = progress.report.failed
        while self._failed < len(failed):
            self._tell(json.dumps({"event": "failed", **failed[self._failed]._asdict()}))
            self._failed += 1
        now = time.monotonic()
        if now - self._told_at >= BETWEEN_LINES:
            self._told_at = now
            left = {"files": progress.files, "slots": progress.slots, "in_use": progress.in_use}
            self._tell(json.dumps({"event": "progress", **figures_of(progress.report), **left}))

    def close(self) -> None:
        """Say nothing more."""


def figures_of(report: Report) -> dict[str, Any]:
    """Return a report's figures, for JSON."""
    return {
        "done": report.done,
        "copied": report.copied,
        "skipped": report.skipped,
        "wordless": report.wordless,
        "failed": len(report.failed),
        "seconds": round(report.seconds, 3),
        "characters": report.characters,
        "elapsed": round(report.elapsed, 3),
        "refused": report.refused,
    }


def summary_of(report: Report, *, failed_path: Optional[str]) -> str:
    """Return what there is to say at the end, in lines."""
    lines = [
        f"{report.done:,} files in {clock(report.elapsed)}: {clock(report.seconds)} of audio, "
        f"{report.characters:,} characters, {report.refused} refused"
    ]
    others = [
        f"{count:,} {words}"
        for count, words in (
            (report.copied, "of them copies"),
            (report.skipped, "whole before"),
            (report.wordless, "without words"),
        )
        if count
    ]
    if others:
        lines.append(", ".join(others))
    if len(report.slowest) > 1:
        lines.append("slowest: " + ", ".join(f"{slow.id} {slow.seconds:.1f} s" for slow in report.slowest))
    for failure in report.failed[:10]:
        lines.append(f"failed: {failure.id} ({failure.attempts}x): {failure.error}")
    if len(report.failed) > 10:
        lines.append(f"... and {len(report.failed) - 10:,} more failed")
    if report.failed and failed_path is not None:
        lines.append(f"all that failed is in {failed_path}, which can be the next INPUT")
    return "\n".join(lines)
