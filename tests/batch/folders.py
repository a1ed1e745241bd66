"""What is in a folder, as files and as its ledger has it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cartesia_sync import Cartesia, batch
from cartesia_sync.audio.wav import read_wav
from cartesia_sync.batch.ledger import NAME, Ledger, Row
from cartesia_sync.local import LocalServer

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
OPTIONS: Any = {"voice": VOICE, "output_format": FORMAT}


def run(client: Cartesia, items: Iterable[Any], folder: Path, **more: Any) -> batch.Report:
    return batch.run(client, items, folder, **{**OPTIONS, **more})


def rows_of(folder: Path) -> dict[str, Row]:
    """Return what the ledger says now, which nobody has open; by id."""
    with Ledger(str(folder)) as ledger:
        return {row.id: row for row in (batch_row(found) for found in ledger.ask("SELECT * FROM items ORDER BY id"))}


def batch_row(found: Any) -> Row:
    from cartesia_sync.batch.ledger import _row

    return _row(found)


def files_of(folder: Path) -> set[str]:
    """Return all files in it, hidden ones too, but for the ledger's own."""
    found = (
        os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names
    )
    return {name.replace(os.sep, "/") for name in found if not name.startswith(NAME)}


def assert_agrees(folder: Path) -> dict[str, Row]:
    """Open the ledger as each start does; then ledger and folder are to agree. Return what is done."""
    with Ledger(str(folder)) as ledger:
        ledger.reconcile()
    done = {item_id: row for item_id, row in rows_of(folder).items() if row.state == "done"}
    assert files_of(folder) - {"failed.csv"} == {file.path for row in done.values() for file in row.files}
    for row in done.values():
        for file in row.files:
            content = (folder / file.path).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.digest)
    return done


def spoken(server: LocalServer) -> list[str]:
    """Return each text that the server was asked to speak, in order."""
    return [
        heard.message["transcript"]
        for heard in server.heard
        if isinstance(heard.message, dict) and heard.message.get("transcript")
    ]


def seconds_of(path: Path) -> float:
    audio_format, audio = read_wav(path.read_bytes())
    return audio_format.seconds(len(audio))


def change(folder: Path, statement: str, *values: Any) -> None:
    """Change the ledger by hand."""
    with sqlite3.connect(folder / NAME) as database:
        database.execute(statement, values)
    database.close()
