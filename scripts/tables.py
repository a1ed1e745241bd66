"""Write the tables of CONTRIBUTING.md that the code has: states, locks, who wakes whom.

    .venv/bin/python scripts/tables.py [--check]

The states come from protocol/lifecycle.py, the other two from the docstrings of ``Link`` and ``Gate``. ``--check``
writes nothing; its status is 1 where the page is not what the code gives.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cartesia_sync.limits.gate import Gate
from cartesia_sync.listening.line import Line
from cartesia_sync.protocol.lifecycle import CHANNEL, CONNECTION, REPLAY, SESSION, TURN
from cartesia_sync.streaming.link import Link

FILE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    page = FILE.read_text(encoding="utf-8")
    made = filled(page)
    if not parser.parse_args().check:
        FILE.write_text(made, encoding="utf-8")
    elif made != page:
        sys.exit(f"{FILE.name} is not what the code gives: run scripts/tables.py")


def filled(page: str) -> str:
    """Return the page with its tables made anew."""
    for name, text in (("states", states()), ("locks", locks()), ("waits", waits())):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = between.subn(lambda found, text=text: f"{found[1]}{text}{found[2]}", page)  # type: ignore[misc]  # text is bound at once
        assert count == 1, name
    return page


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *map(list, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def states() -> str:
    parts = []
    tables: dict[str, dict[Any, dict[Any, Any]]] = {
        "Channel": CHANNEL,
        "Connection": CONNECTION,
        "Replay": REPLAY,
        "Session": SESSION,
        "Turn": TURN,
    }
    for name, moves in tables.items():
        rows = [
            (state.name, move.name, following.name) for state, ways in moves.items() for move, following in ways.items()
        ]
        final = ", ".join(state.name for state, ways in moves.items() if not ways)
        parts.append(f"**{name}**; final: {final or 'none'}.\n\n{table(('state', 'move', 'next'), rows)}")
    return "\n".join(parts)


def block(heading: str, owner: type) -> list[str]:
    """Return the lines of a table in the docstring of a class."""
    doc = inspect.cleandoc(owner.__doc__ or "")
    text = doc.split(f"{heading}:\n\n")[1].split("\n\n")[0]
    return [line[4:] for line in text.splitlines()]


def locks() -> str:
    rows: list[list[str]] = []
    heading = "Locks, in the only order in which they may be taken"
    for line in (*block(heading, Link), *block(heading, Line), *block(heading, Gate)):
        if line.startswith(" "):
            rows[-1][1] += f" {line.strip()}"
        else:
            rows.append(re.split(r"\s{2,}", line, maxsplit=1))
    return table(("lock", "what it guards, and what it is held across"), ([f"`{name}`", what] for name, what in rows))


def waits() -> str:
    rows = [*waits_of(Link), *waits_of(Line), *waits_of(Gate)]
    return table(("who", "waits", "woken by", "bound"), rows)


def waits_of(owner: type) -> list[list[str]]:
    lines = block("Who wakes whom", owner)
    starts = [0, *(lines[0].index(word) for word in ("waits ", "woken by", "bound:"))]
    rows: list[list[str]] = []
    for line in lines:
        ends = [*starts[1:], None]
        cells = [line[start:end].strip() for start, end in zip(starts, ends)]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{before} {more}".strip() for before, more in zip(rows[-1], cells)]
    return [
        [who, wait.removeprefix("waits "), waker.removeprefix("woken by "), bound.removeprefix("bound: ")]
        for who, wait, waker, bound in rows
    ]


if __name__ == "__main__":
    main()
