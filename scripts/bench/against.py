"""Two runs of ``scripts/bench`` on one machine, compared: ours, beside what the others say of the machine's day."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, Optional

YARDSTICKS = ("floor", "official", "sync", "async")
"""Whose change says how much faster or slower the machine was; the first of them that was measured."""


def rows_against(before: dict[str, Any], now: dict[str, Any]) -> list[list[str]]:
    """Return a row for each figure of ours that both runs have: its name, both medians, our change, and the machine's.

    The last column is our change divided by the yardstick's: above 1 is slower or larger than before, but for
    ``frames_per_s``, where it is better.
    """
    rows = []
    for path, figures in _measured(now):
        earlier = _found(before, path)
        if earlier is None:
            continue
        yardstick = next((name for name in YARDSTICKS if name in figures and name in earlier), None)
        for what in figures["ours"]:
            if what not in earlier.get("ours", {}):
                continue
            then, today = _median(earlier["ours"][what]), _median(figures["ours"][what])
            if not then or not today:
                continue  # such as no switches at all
            change = today / then
            row = [" ".join([*path, what]), f"{then:.4g}", f"{today:.4g}", f"{change:.2f}", "", ""]
            if yardstick is not None and what in figures[yardstick] and what in earlier[yardstick]:
                machine = _median(figures[yardstick][what]) / _median(earlier[yardstick][what])
                row[4:] = [f"{machine:.2f} ({yardstick})", f"{change / machine:.2f}"]
            rows.append(row)
    return rows


def _measured(found: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Give whatever holds figures by client, and where it stands."""
    if "ours" in found:
        yield path, found
        return
    for name, each in found.items():
        if isinstance(each, dict):
            yield from _measured(each, (*path, name))


def _found(found: dict[str, Any], path: tuple[str, ...]) -> Optional[dict[str, Any]]:
    for name in path:
        found = found.get(name, {})
    return found or None


def _median(figures: Any) -> float:
    return statistics.median(figures) if isinstance(figures, list) else float(figures)
