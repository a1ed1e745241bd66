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
    assert "client_ms" in printed
    assert "say_ms" in printed


def test_a_run_is_compared_with_one_before_and_with_what_the_machine_did_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    figures = {"ours": {"cpu_us": [4.0]}, "floor": {"cpu_us": [2.0]}}
    file.write_text(json.dumps({"cost": {"plain": {"2 x 1024": figures}}}))
    printed = bench("--quick", "cost", "--case", "2x1024", "--against", str(file))
    line = next(line for line in printed.splitlines() if line.startswith("cost plain 2 x 1024 cpu_us"))
    _, now, change, machine, _, quotient = line.removeprefix("cost plain 2 x 1024 cpu_us").split()
    assert float(change) == pytest.approx(float(now) / 4, abs=0.01)
    assert float(quotient) == pytest.approx(float(change) / float(machine), abs=0.02)


def test_what_is_no_run_cannot_be_compared_with(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("[")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        bench("--against", str(tmp_path / "no.json"))
    assert "--against needs a file that --json made" in failed.value.stderr


@pytest.mark.timeout(BOUND)
def test_a_queued_second_and_an_idle_context_cost_what_they_may() -> None:
    """Bytes that are allocated, and threads: the same on every machine."""
    figures = json.loads(bench("--json", "memory"))["memory"]["ours"]
    assert figures["queued_ratio_4096"] <= 1.1
    assert figures["queued_ratio_16384"] <= 1.1
    assert figures["idle_context_bytes"] <= 4096
    assert figures["idle_threads"] <= 1


@pytest.mark.timeout(BOUND)
def test_a_crowd_listens_to_the_local_server() -> None:
    found = json.loads(bench("--quick", "--json", "serve"))["serve"]
    assert set(found) == {"4 streams", "beside 8"}
    for figures in found.values():
        assert figures["ours"]["failed"] == [0]
        assert 0 < figures["ours"]["first_p50_ms"][0] <= figures["ours"]["first_p99_ms"][0]
    assert found["4 streams"]["ours"]["late_max_ms"][0] > 0
    assert "4 streams" in bench("--quick", "serve")


@pytest.mark.timeout(BOUND)
def test_what_is_done_with_speech_is_measured() -> None:
    figures = json.loads(bench("--quick", "--json", "speech"))["speech"]["ours"]
    assert {"mp3_ratio", "captions_s", "queue_ms", "frame_us", "book_mib", "opus_size_kib", "srt_save_ms"} <= {*figures}
    assert all(len(each) == 1 for each in figures.values())
    assert figures["captions_s"][0] < 1


@pytest.mark.timeout(BOUND)
def test_speech_to_text_is_measured_for_every_client() -> None:
    found = json.loads(bench("--quick", "--json", "stt"))["stt"]
    clients = {"ours", "sync", "async"}
    assert {job: set(figures) for job, figures in found.items()} == {
        "hear": clients,
        "feed": clients | {"ours_feed"},
        "paced": clients | {"ours_feed"},
    }
    assert all(is_whole(figures) for job in found.values() for figures in job.values())


@pytest.mark.timeout(BOUND)
def test_a_slot_is_measured_on_every_limit() -> None:
    figures = json.loads(bench("--quick", "--json", "limits"))["limits"]["ours"]
    limits = {"number_us", "learned_us", "semaphore_us", "machine_us", "machine_one_free_us"}
    assert limits <= set(figures) <= limits | {"redis_us"}
    assert all(each > 0 for each in figures.values())


@pytest.mark.timeout(BOUND)
def test_texts_are_spoken_in_every_way() -> None:
    rows = {row["way"]: row for row in json.loads(bench("--quick", "--json", "texts"))["texts"]}
    whole = {name: row["files"] == row["texts"] for name, row in rows.items()}
    knows_no_limit = {"naive", "official async, Semaphore(32)"}
    assert {name for name, is_whole in whole.items() if not is_whole} == knows_no_limit
    refused = {name for name, row in rows.items() if row["refused"]}
    assert refused == {*knows_no_limit, "Learned(most=32)", "Learned(most=32), mixed"}


@pytest.mark.timeout(BOUND)
def test_five_thousand_texts_take_the_memory_of_a_thousand_and_little_time_of_the_processor() -> None:
    """How much of what the limit allows they get is for a quiet machine."""
    found = json.loads(bench("--json", "batch", "--items", "1000", "--items", "5000"))["batch"]
    assert found["5000"]["peak_mib"] <= 1.2 * found["1000"]["peak_mib"]
    for figures in found.values():
        assert figures["cpu_ms"] <= 3
        assert figures["of_the_limit"] > 0
        assert figures["folders"] == 0


def test_the_help_names_every_part_and_a_part_that_is_none_is_refused() -> None:
    printed = bench("--help")
    for part in ("cost", "latency", "first", "import", "memory", "speech", "stt", "serve", "limits", "texts", "batch"):
        assert f"\n  {part} " in printed
    done = subprocess.run([sys.executable, str(BENCH), "speed"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such part: speed" in done.stderr
