"""Bytes that are kept for later."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cartesia_sync.audio import spool as room
from cartesia_sync.audio.spool import Spool

BOUND = 20.0


@pytest.mark.parametrize("most", [0, 10, 1000])
def test_what_was_written_is_read_from_any_place(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PIECE_BYTES", 7)
    spool, content = Spool(most), bytes(range(100))
    for at in range(0, 100, 9):
        spool.write(content[at : at + 9], at)
    assert spool.is_in_file == (most < 100)
    assert spool.read(0, 100) == content
    assert spool.read(13, 57) == content[13:57]
    assert b"".join(spool.pieces(93)) == content[:93]


@pytest.mark.parametrize("most", [2, 1000])
def test_what_an_interrupted_write_left_behind_is_written_over(most: int) -> None:
    spool = Spool(most)
    spool.write(b"1234", 0)
    spool.write(b"xxxxxxxx", 4)
    spool.write(b"56", 4)
    assert spool.read(0, 6) == b"123456"


@pytest.mark.skipif(not hasattr(os, "pread"), reason="its place is shared there")
@pytest.mark.parametrize("most", [0, 20_000, 1 << 20])
def test_others_read_while_it_is_written(most: int) -> None:
    spool, block, end, is_over = Spool(most), bytes(range(250)), [0], threading.Event()
    wrong: list[int] = []

    def look() -> None:
        while not is_over.is_set():
            there = end[0]
            if spool.read(0, there) != block * (there // 250):
                wrong.append(there)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(300):
        spool.write(block, number * 250)
        end[0] += 250
    is_over.set()
    for reader in readers:
        reader.join(BOUND)
    assert not wrong


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux tells what is open")
def test_the_file_is_gone_with_it() -> None:
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool(0)
    spool.write(b"1", 0)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del spool
    assert len(os.listdir("/proc/self/fd")) == before
