"""Files that appear only when they are whole."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from cartesia_sync.files import WholeFile


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_file_appears_only_when_it_is_whole(tmp_path: Path, as_path: Any) -> None:
    path = tmp_path / "a"
    with WholeFile(as_path(path)) as file:
        file.write(b"abc")
        file.flush()
        assert not path.exists()
        assert len(os.listdir(tmp_path)) == 1  # in the same folder, and so on the same disk
    assert path.read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["a"]


def test_what_was_written_can_be_changed_until_then(tmp_path: Path) -> None:
    for target in (tmp_path / "a", io.BytesIO()):
        with WholeFile(target) as file:
            file.write(b"abc")
            file.seek(1)
            assert file.read() == b"bc"
            file.seek(0)
            file.write(b"x")
        content = target.read_bytes() if isinstance(target, Path) else target.getvalue()
        assert content == b"xbc"


def fail_in_the_block(file: IO[bytes]) -> None:
    file.write(b"half")
    raise KeyboardInterrupt("stop")


@pytest.mark.parametrize("before", [None, b"an older file"])
def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "a"
    if before is not None:
        path.write_bytes(before)
    listing = os.listdir(tmp_path)
    with pytest.raises(KeyboardInterrupt, match="stop"), WholeFile(path) as file:
        fail_in_the_block(file)
    assert os.listdir(tmp_path) == listing
    assert before is None or path.read_bytes() == before


def test_a_folder_that_is_not_there_is_an_error_at_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), WholeFile(tmp_path / "none" / "a"):
        pytest.fail("the block was entered")


def test_failed_rename_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError("in use")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError, match="in use"), WholeFile(tmp_path / "a") as file:
        file.write(b"abc")
    assert os.listdir(tmp_path) == []


def test_older_file_is_replaced_through_its_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.wav", tmp_path / "link.wav"
    real.write_bytes(b"an older file")
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("links are not allowed here")
    with WholeFile(link) as file:
        file.write(b"abc")
    assert link.is_symlink()
    assert real.read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("path", "kind"),
    [(os.devnull, FileExistsError), (os.curdir, IsADirectoryError), ("none" + os.sep, IsADirectoryError)],
)
def test_devices_and_folders_are_never_replaced(path: str, kind: type[OSError]) -> None:
    with pytest.raises(kind) as refused, WholeFile(path):
        pytest.fail("the block was entered")
    assert "no ordinary file" in str(refused.value) or path.startswith("none")
    assert refused.value.filename == path


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_an_ordinary_new_files(tmp_path: Path, umask: int, mode: int) -> None:
    """In a process of its own, for the umask belongs to all threads."""
    program = (
        "import os, sys; from cartesia_sync.files import WholeFile\n"
        "os.umask(int(sys.argv[2]))\n"
        "with WholeFile(sys.argv[1]): pass"
    )
    path = tmp_path / "a"
    subprocess.run([sys.executable, "-c", program, str(path), str(umask)], check=True, timeout=20)
    assert stat.S_IMODE(path.stat().st_mode) == mode


class OneWay(io.RawIOBase):
    """A raw file that cannot seek, and takes only so many bytes at once."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.most = most
        self.writes: list[bytes] = []

    def write(self, content: Any) -> int:
        self.writes.append(bytes(content)[: self.most])
        return len(self.writes[-1])


def test_file_object_gets_the_whole_once_and_stays_open() -> None:
    target = OneWay()
    with WholeFile(target) as file:
        file.write(b"abc")
        file.write(b"de")
        assert target.writes == []
    assert target.writes == [b"abcde"]
    assert not target.closed


def test_file_object_that_takes_a_part_only_is_an_error() -> None:
    with pytest.raises(OSError, match="only 2 of 3 bytes"), WholeFile(OneWay(most=2)) as file:
        file.write(b"abc")


def test_file_object_gets_nothing_of_a_failed_block() -> None:
    target = OneWay()
    with pytest.raises(KeyboardInterrupt), WholeFile(target) as file:
        fail_in_the_block(file)
    assert target.writes == []


@pytest.mark.parametrize("target", [io.StringIO(), 3, None])
def test_what_cannot_be_written_to_is_refused_at_once(target: Any) -> None:
    with pytest.raises(TypeError, match="expected a"):
        WholeFile(target)
