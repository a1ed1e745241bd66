"""How items and runs end: refusals, losses, disks, signals; and what is there to go on from."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync import (
    APIConnectionError,
    APIStatusError,
    BatchStoppedError,
    Cartesia,
    FirstEventTimeoutError,
    ForkedError,
    RateLimitError,
    TruncatedError,
    UnfinishedError,
    batch,
)
from cartesia_sync.batch import running
from cartesia_sync.batch.items import read_items
from cartesia_sync.batch.ledger import Ledger
from cartesia_sync.batch.running import pause_after, verdict_on
from cartesia_sync.errors import status_error
from cartesia_sync.local import LocalServer
from cartesia_sync.local.faults import Close, ErrorEvent, Hold, Refuse, Reset

from ..support.processes import serving
from .commands import BOUND, batch_command
from .folders import OPTIONS, assert_agrees, files_of, rows_of, run, spoken

TEN = [f"Text {number}." for number in range(10)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE", 0.01)


# ---- refusals


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        *[(status_error(status, "why"), "fail") for status in (400, 403, 404, 405, 413, 422)],
        *[(status_error(status, "why"), "again") for status in (408, 409, 429, 500, 503, 529)],
        *[(status_error(status, "why"), "stop") for status in (401, 402)],
        (status_error(429, "why", error_code="quota_exceeded"), "stop"),
        (status_error(403, "why", error_code="quota_exceeded"), "stop"),
        (APIConnectionError("why"), "again"),
        (FirstEventTimeoutError("why"), "again"),
        (TruncatedError("why"), "again"),
        (UnfinishedError("why"), "again"),
        (ForkedError("why"), "stop"),
        (OSError(errno.ENOSPC, "full"), "stop"),
        (ValueError("why"), "fail"),
    ],
    ids=repr,
)
def test_each_error_is_for_all_or_for_its_item_or_for_now(error: Exception, verdict: str) -> None:
    assert verdict_on(error) == verdict


def test_pauses_grow_to_a_bound_and_are_as_long_as_the_service_asks() -> None:
    assert 0.0075 <= pause_after(APIConnectionError("why"), 0) <= 0.01
    assert 22.5 <= pause_after(APIConnectionError("why"), 40) <= 30
    assert pause_after(RateLimitError("why", headers={"retry-after": "7"}), 0) == 7
    assert pause_after(RateLimitError("why", headers={"retry-after": "7000"}), 0) < 1


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_item_that_is_refused_fails_at_once_and_the_others_go_on(
    client: Cartesia, server: LocalServer, tmp_path: Path, status: int
) -> None:
    server.inject(ErrorEvent(status, "no_such_thing", message="Not this."))
    report = run(client, TEN, tmp_path)
    assert (report.done, len(report.failed), len(spoken(server))) == (9, 1, 10)
    failure = report.failed[0]
    assert failure.attempts == 1
    assert "Not this." in failure.error
    row = rows_of(tmp_path)[failure.id]
    assert (row.state, row.error, row.attempts) == ("failed", failure.error, 1)
    assert_agrees(tmp_path)
    again = list(read_items(tmp_path / "failed.csv"))
    assert [(item.id, item.text, item.file) for item in again] == [
        (failure.id, f"Text {int(failure.id) - 1}.", f"{failure.id}.wav")
    ]
    report = run(client, again, tmp_path)
    assert (report.done, report.failed, len(spoken(server))) == (1, [], 11)
    assert not (tmp_path / "failed.csv").exists()
    assert run(client, TEN, tmp_path).skipped == 10


@pytest.mark.parametrize(
    "fault",
    [
        ErrorEvent(500, times=6),
        ErrorEvent(503, times=6),
        ErrorEvent(429, "concurrency_limited", times=6),
        ErrorEvent(429, "too_many_requests", times=6),
        Reset(after=3, times=2),
        Close(1011, after=3, times=2),
        Refuse(503, times=4),
    ],
    ids=lambda fault: f"{type(fault).__name__}{getattr(fault, 'status_code', '')}",
)
def test_what_may_pass_is_waited_for(client: Cartesia, server: LocalServer, tmp_path: Path, fault: Any) -> None:
    server.inject(fault)
    report = run(client, TEN, tmp_path)
    assert (report.done, report.failed) == (10, [])
    assert len(assert_agrees(tmp_path)) == 10


def test_it_is_waited_for_so_often_and_not_more(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    server.inject(ErrorEvent(500, times=None))
    report = run(client, TEN[:2], tmp_path, attempts=3)
    assert sorted((failure.id, failure.attempts) for failure in report.failed) == [("000001", 3), ("000002", 3)]
    assert len(spoken(server)) == 6


def test_pauses_grow_for_all_where_nothing_comes_through(
    client: Cartesia, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exponents: list[int] = []

    def pause(error: BaseException, attempt: int) -> float:
        exponents.append(attempt)
        return 0.0

    monkeypatch.setattr(running, "pause_after", pause)
    server.inject(ErrorEvent(500, times=None))
    run(client, [f"Text {number}." for number in range(40)], tmp_path, attempts=3)
    assert exponents[:8] == [0] * 8
    assert max(exponents) > 8


def test_a_limit_that_cannot_say_stops_it(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    class Broken:
        def acquire(self, timeout: float) -> bool:
            raise OSError("no such counter")

        def release(self) -> None:
            """Nothing was given."""

    with pytest.raises(BatchStoppedError, match="no such counter") as caught:
        run(client.with_options(limit=Broken()), TEN, tmp_path, attempts=2)
    assert (caught.value.report.failed, spoken(server)) == ([], [])


def test_others_go_on_while_one_rests(
    client: Cartesia, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE", 0.5)
    server.inject(ErrorEvent(500))
    seen: list[batch.Progress] = []
    run(client, TEN, tmp_path, on_progress=lambda progress: seen.append(progress._replace(report=progress.report.done)))
    assert max(progress.report for progress in seen if progress.resting) == 9  # type: ignore[type-var]  # see above


@pytest.mark.parametrize(
    ("status", "code"), [(402, None), (429, "quota_exceeded"), (403, "quota_exceeded"), (401, None)]
)
def test_without_credits_or_a_key_all_stops_and_the_rest_is_for_later(
    client: Cartesia, server: LocalServer, tmp_path: Path, status: int, code: str | None
) -> None:
    run(client, TEN[:2], tmp_path)
    server.inject(ErrorEvent(status, code, message="Pay, please.", times=None))
    words = "refuses the key" if status == 401 else "has no credits left"
    with pytest.raises(BatchStoppedError, match=f"{words}: .*Pay, please") as caught:
        run(client, [f"Text {number}." for number in range(100)], tmp_path)
    assert isinstance(caught.value.__cause__, APIStatusError)
    assert (caught.value.report.done, caught.value.report.skipped, caught.value.report.failed) == (0, 2, [])
    assert len(spoken(server)) < 20
    assert len(assert_agrees(tmp_path)) == 2
    server.clear_faults()
    assert run(client, TEN, tmp_path).done == 8


def test_what_is_under_way_when_it_stops_is_not_thrown_away(tmp_path: Path) -> None:
    gone_on = threading.Event()
    with serving(Hold(until=gone_on, after=1, times=3)) as server:
        server.inject(ErrorEvent(402, after=1, message="Pay."))
        with Cartesia(api_key="x", base_url=server.url, limit=4) as client:

            def release(progress: batch.Progress) -> None:
                if len(spoken(server)) >= 4:
                    gone_on.set()

            with pytest.raises(BatchStoppedError):
                run(client, [f"Text {number}." for number in range(50)], tmp_path, on_progress=release)
    assert len(assert_agrees(tmp_path)) >= 1


def test_failed_alone_is_spoken_where_that_is_asked_for(client: Cartesia, server: LocalServer, tmp_path: Path) -> None:
    server.inject(ErrorEvent(422, times=2))
    assert len(run(client, TEN[:5], tmp_path).failed) == 2
    report = run(client, TEN, tmp_path, retry_failed=True)
    assert (report.done, report.skipped, len(spoken(server))) == (2, 8, 7)


def test_the_list_of_what_failed_has_what_failed_in_other_runs(
    client: Cartesia, server: LocalServer, tmp_path: Path
) -> None:
    server.inject(ErrorEvent(422))
    run(client, [("a", "One.")], tmp_path)
    run(client, [("b", "Two.")], tmp_path)
    assert [item.id for item in read_items(tmp_path / "failed.csv")] == ["a"]


# ---- the disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_no_more_stops_it_with_a_sentence_and_it_goes_on_next_time(
    client: Cartesia, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real, count = os.replace, 0

    def replace(old: Any, new: Any) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise OSError(number, os.strerror(number), old)
        real(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(BatchStoppedError) as caught:
            run(client, TEN, tmp_path)
    assert str(caught.value).startswith(f"a file cannot be written: {tmp_path}")
    assert os.strerror(number) in str(caught.value)
    assert caught.value.report.done == 3
    assert len(assert_agrees(tmp_path)) == 3
    assert run(client, TEN, tmp_path).done == 7
    assert len(assert_agrees(tmp_path)) == 10


def test_a_ledger_that_has_no_room_stops_it_too(
    client: Cartesia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Ledger._open

    def open_small(ledger: Ledger) -> None:
        real(ledger)
        ledger.ask("PRAGMA max_page_count = 9")

    many = [f"Text {number}." for number in range(60)]
    pattern = "{id}-" + "y" * 200 + ".wav"
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_open", open_small)
        with pytest.raises(BatchStoppedError, match=r"the disk is full: .* cannot be written"):
            run(client, many, tmp_path, pattern=pattern)
    assert 0 < len(assert_agrees(tmp_path)) < 60
    run(client, many, tmp_path, pattern=pattern)
    assert len(assert_agrees(tmp_path)) == 60


def test_a_folder_that_is_gone_stops_it(client: Cartesia, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def take_away(progress: batch.Progress) -> None:
        if progress.report.done == 2:
            shutil.rmtree(out, ignore_errors=True)

    with pytest.raises(BatchStoppedError, match="is gone"):
        run(client, TEN, out, on_progress=take_away)
    assert run(client, TEN, out).done == 10


def test_a_folder_that_cannot_be_made_is_said(client: Cartesia, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BatchStoppedError, match=r"the folder cannot be made: .*file"):
        run(client, TEN, tmp_path / "file" / "out")
    with pytest.raises(BatchStoppedError, match="cannot be made"):
        run(client, TEN, tmp_path / "file")


# ---- interrupts


def cancelled(server: LocalServer) -> int:
    """Return how many contexts the client has cancelled."""
    return sum(isinstance(each.message, dict) and "cancel" in each.message for each in server.heard)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_ends_it_soon_and_says_how_to_go_on(number: signal.Signals, words: str, tmp_path: Path) -> None:
    out, texts = tmp_path / "out", tmp_path / "texts.txt"
    texts.write_text("".join(f"Text {number}.\n" for number in range(30)))
    until = threading.Event()
    with serving() as server:
        with Cartesia(api_key="x", base_url=server.url, limit=4) as client:
            batch.run(client, [(f"{number:06d}", text) for number, text in enumerate(TEN[:4], 1)], out, **OPTIONS)
        server.inject(Hold(until=until, after=1, times=None))
        process = batch_command(server.url, texts, out, "--limit", 4, "--sample-rate", 8000)
        server.wait_for(lambda it: len(spoken(it)) >= 8, BOUND)
        process.send_signal(number)
        began = time.monotonic()
        _, errors = process.communicate(timeout=BOUND)
        took = time.monotonic() - began
        # On a busy machine the connection may end before each cancel has left, which ends its contexts all the same.
        server.wait_for(lambda it: cancelled(it) == 4 or not it.open_connections, BOUND)
        until.set()
    assert process.returncode == 130
    assert took < 2.0  # a second, where nobody else is at work on the machine
    assert errors == f"cartesia-sync: {words}: 0 of 26 files are made; run the same command again to go on\n"
    assert len(assert_agrees(out)) == 4
    assert not [path for path in files_of(out) if path.endswith(".part")]


def test_an_interrupt_in_a_program_leaves_what_is_whole(client: Cartesia, tmp_path: Path) -> None:
    def strike(progress: batch.Progress) -> None:
        if progress.report.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(client, TEN, tmp_path, on_progress=strike)
    assert len(assert_agrees(tmp_path)) == 3
    assert run(client, TEN, tmp_path).done == 7
