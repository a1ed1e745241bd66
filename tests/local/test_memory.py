"""Free memory goes back to the system: asked for once, a moment after the last use."""

from __future__ import annotations

import asyncio
import ctypes

import pytest

from cartesia_sync.local import memory


def test_it_is_given_back_once_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(memory, "_DELAY", 0.001)

    async def scene() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def trim(pad: int) -> int:
            given.append(pad)
            loop.call_soon_threadsafe(done.set)
            return 1

        monkeypatch.setattr(memory, "_malloc_trim", lambda: trim)
        give_back = memory.GiveBack()
        for _ in range(3):
            give_back.soon()
        await asyncio.wait_for(done.wait(), 10)
        assert given == [0]
        done.clear()
        give_back.soon()
        await asyncio.wait_for(done.wait(), 10)
        give_back.soon()
        give_back.close()
        await asyncio.get_running_loop().run_in_executor(None, int)

    asyncio.run(scene())
    assert given == [0, 0]


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> object:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    give_back = memory.GiveBack()
    give_back.soon()  # needs no loop: there is nothing to do
    give_back.close()
