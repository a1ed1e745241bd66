"""Killed by SIGKILL at any moment and run again: every file whole and right, none lost, none spoken twice."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from .commands import BOUND, batch_command, serving_apart
from .folders import assert_agrees, files_of, seconds_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
KILLS, BY_THE_CLOCK = 30, 6
TEXTS, COPIES = 600, 40


@pytest.mark.timeout(300)
def test_thirty_kills_at_random_moments_lose_nothing_and_say_nothing_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("BATCH_SEED", time.time_ns() % 100_000))
    print(f"BATCH_SEED={seed}")  # which pytest shows where it fails
    moments = random.Random(seed)
    texts, out = tmp_path / "texts.csv", tmp_path / "out"
    rows = {f"{number:03d}": f"Number {number % (TEXTS - COPIES)}." for number in range(TEXTS)}
    texts.write_text("id,text\n" + "".join(f"{item_id},{text}\n" for item_id, text in rows.items()))
    out.mkdir()
    table = ["kill  at                         new  whole  lost  doubled  parts  left over"]
    with serving_apart() as server:
        arguments = (texts, out, "--limit", 8, "--sample-rate", 8000)
        whole: dict[str, int] = {}  # each text that has a file, and how often it had been asked for then
        for kill in range(KILLS):
            process = batch_command(server.url, *arguments)
            if kill % (KILLS // BY_THE_CLOCK) == 0:
                after = moments.uniform(0.0, 0.7)
                when = f"{after:.3f} s after its start"
            else:  # most of the time it works, and is to be struck there
                count, after = moments.randint(1, 35), moments.uniform(0.0, 0.03)
                when = f"{after:.3f} s after {count:2d} messages"
                server.counts(after=count)
            time.sleep(after)  # a random moment: nothing is waited for
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate(timeout=BOUND)
            assert process.returncode == -signal.SIGKILL, errors
            parts = {path for path in files_of(out) if path.endswith(".part")}
            done = assert_agrees(out)  # as each start makes it
            counts, texts_done = server.counts(), {rows[item_id] for item_id in done}
            lost = whole.keys() - texts_done
            doubled = [text for text, asked in whole.items() if counts[text] != asked]
            left_over = [path for path in files_of(out) if path.endswith(".part")]
            new = texts_done - whole.keys()
            whole.update({text: counts[text] for text in new})
            table.append(
                f"{kill + 1:4d}  {when:24s} {len(new):5d}  {len(whole):5d}  {len(lost):4d}  {len(doubled):7d}"
                f"  {len(parts):5d}  {len(left_over):9d}"
            )
            assert (lost, doubled, left_over) == (set(), [], []), "\n".join(table)
        assert 0 < len(whole) < TEXTS - COPIES, "the kills came too late: more texts are needed"
        process = batch_command(server.url, *arguments)
        output, errors = process.communicate(timeout=BOUND)
        assert process.returncode == 0, errors
        print("\n".join([*table, output]))
        counts = server.counts()
        assert all(counts[text] == asked for text, asked in whole.items())
    assert set(assert_agrees(out)) == set(rows)
    assert files_of(out) == {f"{item_id}.wav" for item_id in rows}
    lengths = {text: seconds_of(out / f"{item_id}.wav") for item_id, text in rows.items()}
    assert all(lengths.values())
    assert all(seconds_of(out / f"{item_id}.wav") == lengths[text] for item_id, text in rows.items())
