"""One limit for all processes of a machine, with files that are locked."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cartesia_sync.errors import LimitError
from cartesia_sync.limits import SameMachine, machine

from ..support.judge import Judge
from .working import working

BOUND = 20.0
pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="the tests fork and send signals"),
]


def expression(folder: Path, slots: int = 3) -> str:
    return f"SameMachine({slots}, directory={str(folder)!r}, name='all')"


def make(folder: Path, slots: int = 3, name: str = "all") -> SameMachine:
    """Another process's, as far as the files are concerned: it opens them itself."""
    return SameMachine(slots, directory=folder, name=name)


def take_all(limit: SameMachine, slots: int) -> list[Any]:
    taken = [limit.acquire(timeout=0) for _ in range(slots)]
    assert all(taken)
    return taken


# ---- one after the other


def test_several_processes_share_the_slots(tmp_path: Path) -> None:
    one, two = make(tmp_path), make(tmp_path)
    slots = [one.acquire(1), two.acquire(1), one.acquire(1)]
    assert all(slots)
    assert (one.acquire(timeout=0), two.acquire(timeout=0)) == (None, None)
    slots[0].release()  # type: ignore[union-attr]  # asserted above
    assert two.acquire(timeout=0)
    assert (one.in_use, two.in_use, one.waiting, two.waiting) == (1, 2, 0, 0)


def test_who_waits_gets_the_slot_of_another_process_in_a_moment(tmp_path: Path) -> None:
    one, two = make(tmp_path, 1), make(tmp_path, 1)
    slot = one.acquire(1)
    assert slot is not None
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(two.acquire, BOUND)
        while not two.waiting:
            time.sleep(0.001)
        time.sleep(0.1)
        slot.release()
        began = time.monotonic()
        assert waiting.result(BOUND)
    assert time.monotonic() - began < 0.2


def test_accounts_have_names_and_slots_of_their_own(tmp_path: Path) -> None:
    one, two = make(tmp_path, 1, "one"), make(tmp_path, 1, "two")
    assert one.acquire(timeout=0)
    assert two.acquire(timeout=0)
    unnamed = SameMachine(1, directory=tmp_path)
    unnamed.bind("one")
    unnamed.bind("two")  # has a name by now
    assert (unnamed.name, unnamed.acquire(timeout=0)) == ("one", None)


def test_what_is_no_name_or_number_is_refused(tmp_path: Path) -> None:
    for name in ("", "a/b", "..", "a b"):
        with pytest.raises(ValueError, match="letters, digits"):
            make(tmp_path, name=name)
    for number in (0, -1, True, "3"):
        with pytest.raises(ValueError, match="at least 1, not"):
            SameMachine(number, directory=tmp_path)  # type: ignore[arg-type]  # on purpose


def test_another_maximum_under_the_same_name_is_an_error_until_nobody_uses_it(tmp_path: Path) -> None:
    three = make(tmp_path, 3)
    assert three.acquire(timeout=0)
    five = make(tmp_path, 5)
    with pytest.raises(
        LimitError, match=r"in use by other processes as SameMachine\(3\), and here it is SameMachine\(5"
    ):
        five.acquire(timeout=1)
    three.release()
    del three
    import gc

    gc.collect()  # as if it had ended
    take_all(five, 5)
    assert five.acquire(timeout=0) is None


@pytest.mark.parametrize("suffix", ["0.slot", "queue", "most"])
def test_a_file_that_is_gone_is_an_error_in_words(tmp_path: Path, suffix: str) -> None:
    one = make(tmp_path, 1)
    slot = one.acquire(1)
    assert slot is not None
    slot.release()
    (tmp_path / f"all.{suffix}").unlink()
    two = make(tmp_path, 1)
    if suffix == "most":  # whoever comes next cannot know of those before; they agree on a new one
        assert two.acquire(1)
        return
    for limit in (one, two):
        with pytest.raises(LimitError, match=rf"all\.{suffix} is gone.*start them again"):
            limit.acquire(1)


def test_a_folder_that_others_can_write_to_is_not_used_without_being_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    limit = SameMachine(1, name="all")
    assert limit.directory == tmp_path / "cartesia-sync" / "limits"
    assert limit.acquire(1)
    assert limit.directory.stat().st_mode & 0o077 == 0
    limit.directory.chmod(0o777)
    with pytest.raises(LimitError, match="not this user's alone"):
        SameMachine(1, name="all").acquire(1)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert SameMachine(1).directory == Path.home() / ".cache" / "cartesia-sync" / "limits"


def test_a_place_that_is_no_folder_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LimitError, match="cannot be made"):
        make(tmp_path / "file").acquire(1)


def test_a_queue_that_somebody_was_killed_in_the_middle_of_is_read_as_far_as_it_goes() -> None:
    text = b"1-a 100.000\n2-b 10\xff0.0\n3-c 99.0\n4-d 5000.0\n5-e 1"
    assert list(machine._tickets(text, 99.5)) == [b"1-a"]


# ---- processes


def test_there_are_never_more_than_three_whatever_the_processes_do(tmp_path: Path) -> None:
    with Judge() as judge, working(judge.port, "abc", 4, 0.01, expression(tmp_path)) as processes:
        judge.wait_for(lambda seen: min(seen.counts[name] for name in "abc") >= 50)
        assert judge.most == 3
        for process in processes:
            assert process.end() == ("in use 0 waiting 0", "")
        assert judge.most == 3
    assert take_all(make(tmp_path), 3)


def test_a_killed_process_gives_its_slots_back_at_once(tmp_path: Path) -> None:
    with Judge() as judge, working(judge.port, "a", 4, BOUND, expression(tmp_path)) as (process,):
        judge.wait_for(lambda seen: seen.total == 3)
        limit = make(tmp_path)
        assert limit.acquire(timeout=0.1) is None
        process.kill()
        began = time.monotonic()
        slots = [limit.acquire(BOUND) for _ in range(3)]
        assert all(slots)
        assert time.monotonic() - began < 4  # its place in the queue included


def test_a_killed_process_gives_its_slots_back_though_a_forked_child_lives(tmp_path: Path) -> None:
    with Judge() as judge, working(judge.port, "a", "fork", 0, expression(tmp_path)) as (process,):
        limit = make(tmp_path)
        assert limit.acquire(timeout=0.1) is None  # the child's release() gave nothing back
        process.kill()
        slots = [limit.acquire(BOUND) for _ in range(3)]
        assert all(slots)
        os.killpg(process.process.pid, 0)  # the child lives


def test_a_child_whose_fork_no_hook_saw_lets_go_at_its_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cartesia_sync.limits import gate

    monkeypatch.setattr(machine, "_every", {})
    monkeypatch.setattr(gate, "_gates", {})
    limit = make(tmp_path, 2)
    slot = limit.acquire(1)
    assert slot is not None
    child = os.fork()
    if child == 0:
        status = 1
        try:
            slot.release()
            mine = limit.acquire(timeout=1)
            if mine is not None and limit.acquire(timeout=0) is None and limit.in_use == 1:
                mine.release()
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert limit.in_use == 1
    other = make(tmp_path, 2)
    assert other.acquire(BOUND)  # the child was in the queue when it ended, and is passed by
    assert other.acquire(timeout=0) is None


def test_a_stopped_process_that_is_first_in_the_queue_is_passed_by(tmp_path: Path) -> None:
    limit = make(tmp_path)
    slots = take_all(limit, 3)
    with Judge() as judge, working(judge.port, "a", 1, BOUND, expression(tmp_path)) as (process,):
        file = tmp_path / "all.queue"
        deadline = time.monotonic() + BOUND
        while not file.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill(signal.SIGSTOP)
        for slot in slots:
            slot.release()
        other = make(tmp_path)
        assert other.acquire(5)
        process.kill(signal.SIGCONT)
        judge.wait_for(lambda seen: seen.total == 1)


def test_three_processes_with_endless_work_get_a_third_each(tmp_path: Path) -> None:
    with Judge() as judge, working(judge.port, "abc", 4, 0.02, expression(tmp_path)):
        judge.wait_for(lambda seen: all(seen.counts[name] > 5 for name in "abc"))
        judge.forget()
        judge.wait_for(lambda seen: sum(seen.counts.values()) >= 450)
        third = sum(judge.counts.values()) / 3
        assert all(abs(judge.counts[name] - third) <= third / 10 for name in "abc"), judge.counts


def test_threads_of_one_process_that_wait_look_as_one(tmp_path: Path) -> None:
    one, two = make(tmp_path, 1), make(tmp_path, 1)
    slot = one.acquire(1)
    assert slot is not None

    def use() -> None:
        ticket = two.gate.acquire(BOUND)
        assert ticket is not None
        ticket.release()

    with ThreadPoolExecutor(32) as threads:
        futures = [threads.submit(use) for _ in range(32)]
        deadline = time.monotonic() + BOUND
        while len((tmp_path / "all.queue").read_bytes().splitlines()) != 1 or two.waiting < 32:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert sum(each.name.startswith("cartesia-sync-limit-take") for each in threading.enumerate()) == 1
        slot.release()
        for future in futures:
            future.result(BOUND)
    deadline = time.monotonic() + BOUND
    while (tmp_path / "all.queue").read_bytes():
        assert time.monotonic() < deadline  # nobody of them is in the queue any more
        time.sleep(0.01)
