"""A short run of ``scripts/bench``: it runs, and its figures are whole; what they are is for a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"
BOUND = 120


def bench(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCH), *options], capture_output=True, text=True, check=True, timeout=BOUND
    )
    return done.stdout


def is_whole(figures: dict[str, list[float]]) -> bool:
    return bool(figures) and all(len(each) == 1 and each[0] > 0 for each in figures.values())


@pytest.mark.timeout(BOUND)
def test_a_quick_run_measures_every_client_in_every_part() -> None:
    found: dict[str, Any] = json.loads(bench("--quick", "--json", "cost", "latency", "first", "memory"))
    assert set(found) == {"cost", "latency", "first", "memory"}
    both = {"ours", "sync", "async"}
    for figures in found["cost"]["plain"].values():
        assert set(figures) == both | {"floor"}
        assert {"cpu_us", "wall_us", "frames_per_s", "peak_mib"} <= set(figures["ours"])
        for name in figures:
            figures[name].pop("switches")  # may be none at all
            assert is_whole(figures[name])
    assert set(found["latency"]["plain"]) == {"alone", "sleeper", "busy"}
    assert set(found["first"]["plain"]) == both
    for beside, figures in found["latency"]["plain"].items():
        in_threads = {"ours_apart", "sync_apart", "async_threads"} if beside == "busy" else set()
        assert set(figures) == both | {"ours_one"} | in_threads
    for figures in [*found["latency"]["plain"].values(), found["first"]["plain"]]:
        assert all(map(is_whole, figures.values()))


@pytest.mark.timeout(BOUND)
def test_tables_are_printed_for_tls_and_for_imports() -> None:
    printed = bench("--quick", "cost", "import", "--transport", "tls", "--case", "2x1024")
    assert "CPU microseconds a frame, tls" in printed
    assert "2 x 1024" in printed
    assert "import_ms" in printed


@pytest.mark.timeout(BOUND)
def test_a_queued_second_and_an_idle_context_cost_what_they_may() -> None:
    """Bytes that are allocated, and threads: the same on every machine."""
    figures = json.loads(bench("--json", "memory"))["memory"]["ours"]
    assert figures["queued_ratio_4096"] <= 1.1
    assert figures["queued_ratio_16384"] <= 1.1
    assert figures["idle_context_bytes"] <= 4096
    assert figures["idle_threads"] <= 1


@pytest.mark.timeout(BOUND)
def test_a_slot_is_measured_on_every_limit() -> None:
    figures = json.loads(bench("--quick", "--json", "limits"))["limits"]["ours"]
    limits = {"number_us", "learned_us", "semaphore_us", "machine_us", "machine_one_free_us"}
    assert limits <= set(figures) <= limits | {"redis_us"}
    assert all(each > 0 for each in figures.values())


@pytest.mark.timeout(BOUND)
def test_five_thousand_texts_take_the_memory_of_a_thousand_and_little_time_of_the_processor() -> None:
    """What the limit allows is for a quiet machine, too; here it is half of it."""
    found = json.loads(bench("--json", "batch", "--items", "1000", "--items", "5000"))["batch"]
    assert found["5000"]["peak_mib"] <= 1.2 * found["1000"]["peak_mib"]
    for figures in found.values():
        assert figures["cpu_ms"] <= 3
        assert figures["of_the_limit"] >= 0.5
        assert figures["folders"] == 0


def test_the_help_names_every_part_and_a_part_that_is_none_is_refused() -> None:
    printed = bench("--help")
    for part in ("cost", "latency", "first", "import", "memory", "limits", "batch"):
        assert f"\n  {part} " in printed
    done = subprocess.run([sys.executable, str(BENCH), "speed"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such part: speed" in done.stderr
