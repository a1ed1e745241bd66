"""What is kept, and how much of it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync.local.inspector.history import History
from cartesia_sync.local.inspector.watcher import Watcher

STATM = Path("/proc/self/statm")


def numbers(history: History, after: int, most: int = 1000) -> list[int]:
    return [entry.number for entry in history.after(after, most)]


def test_the_oldest_go_when_there_is_no_room() -> None:
    history = History(10_000)
    for number in range(100):
        history.add("row", number, "sent", {}, audio=bytes(1000))
    assert history.size <= 10_000
    assert history.newest == 100
    assert numbers(history, 0) == list(range(101 - len(numbers(history, 0)), 101))
    assert history.dropped == 100 - len(numbers(history, 0))
    history.add("row", 0, "sent", {}, audio=bytes(20_000))  # one alone may be larger
    assert numbers(history, 0) == [101]


@pytest.mark.parametrize("after", [0, 1, 30, 50, 98, 99, 100, 101])
def test_what_is_behind_a_number(after: int) -> None:
    history = History(10**6)
    for _ in range(100):
        history.add("row", 0, "sent", {})
    assert numbers(history, after) == list(range(after + 1, 101))
    assert numbers(history, after, 7) == list(range(after + 1, 101))[:7]
    history.clear()
    assert numbers(history, after) == []
    history.add("row", 0, "sent", {})
    assert numbers(history, after) == ([101] if after < 101 else [])


@pytest.mark.skipif(not STATM.exists(), reason="/proc")
def test_memory_is_flat_over_100_000_contexts() -> None:
    history = History(2 * 1024**2)
    watcher = Watcher(history, "server", lambda: 0.0)
    request = json.dumps({"context_id": "CONTEXT", "transcript": "Hello.", "output_format": {"container": "raw"}})
    chunk = json.dumps({"type": "chunk", "context_id": "CONTEXT", "data": "AAAA" * 200})
    done = json.dumps({"type": "done", "context_id": "CONTEXT", "done": True})

    def run(first: int, last: int) -> int:
        """Return how many bytes of memory the process has then."""
        for number in range(first, last):
            if number % 100 == 0:
                watcher.opened(number, "/tts/websocket", "v")
            context = f"context-{number}"
            watcher.said(number - number % 100, request.replace("CONTEXT", context))
            watcher.heard(number - number % 100, chunk.replace("CONTEXT", context))
            if number % 10:  # some never end
                watcher.heard(number - number % 100, done.replace("CONTEXT", context))
            if number % 100 == 99 and number % 1000 != 999:
                watcher.closed(number - 99)
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    early = run(0, 30_000)
    assert run(30_000, 100_000) - early < 4 * 1024**2
    assert 1024**2 < history.size <= 2 * 1024**2
    assert history.dropped > 200_000


def test_who_waits_is_woken() -> None:
    async def run() -> None:
        history = History(10**6)
        waiting = asyncio.ensure_future(history.wait(0, 10))
        await asyncio.sleep(0)
        history.add("row", 0, "sent", {})
        await asyncio.wait_for(waiting, 5)
        await history.wait(0, 10)  # there is one
        await history.wait(1, 0.01)  # there is none, and that is its bound

    asyncio.run(run())


def test_hostile_messages_are_kept_as_they_are() -> None:
    history = History(10**8)
    watcher = Watcher(history, "server", lambda: 0.0)
    hostile = [
        "<script>alert(1)</script>",
        "[" * 100_000,
        "\x00",
        "null",
        json.dumps({"context_id": 7, "transcript": ["x"], "voice": [], "output_format": {"sample_rate": 1e400}}),
        json.dumps(
            {"context_id": "x", "transcript": "y" * 2**20, "output_format": {"container": "raw", "encoding": []}}
        ),
        json.dumps({"type": "chunk", "data": "A", "word_timestamps": {"words": 1}}),
        json.dumps({"type": "chunk", "data": "AAAA", "status_code": {}}),
        "\ud800",
    ]
    for each in hostile:
        watcher.said(0, each)
        watcher.heard(0, each)
    watcher.said(0, b"\xff\x00")
    nested: Any = {}
    for _ in range(100_000):
        nested = {"x": nested}
    watcher.asked(-3, "POST", "/x", {"deep": nested, "output_format": nested})
    deep = '{"x":' * 900 + "1" + "}" * 900
    watcher.said(0, '{"output_format":' + deep + "}")
    watcher.asked(-1, "POST", "/x", {"transcript": 7, "output_format": 3})
    watcher.asked(-2, "POST", "/x", [object()])
    watcher.answered(-1, 200, "text/event-stream", b"data: [[[\n\ndata: \xff\n\n")
    watcher.ended(-1, "whole")
    watcher.ended(-1, "cut")  # the first counts
    entries = history.after(0, 1000)
    assert [entry.raw for entry in entries[:18:2]] == hostile
    for entry in entries:
        assert "\n" not in entry.line
        assert json.loads(entry.line)["n"] == entry.number
        entry.line.encode()
        assert len(entry.line) < 20_000
    assert sum(entry.direction == "end" for entry in entries) == 1
