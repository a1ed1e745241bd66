"""Files that appear only when they are whole."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Callable

import pytest

from cartesia_sync.audio.files import WholeFile


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
        "import os, sys; from cartesia_sync.audio.files import WholeFile\n"
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


# ---- paths that cannot be written to


def error_of(call: Callable[..., object], *arguments: object) -> OSError:
    try:
        call(*arguments)
    except OSError as error:
        return error
    pytest.fail("it was opened")


def test_a_bad_path_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.chdir(tmp_path)
    for given in (
        "none/a.wav", "file/a.wav", "folder", "folder/", "none/", "", "n" * 300, "circle", Path("none/b.wav"),
    ):  # fmt: skip
        expected, refused = error_of(open, given, "wb"), error_of(WholeFile(given).__enter__)
        assert type(refused) is type(expected)
        assert (refused.errno, refused.filename) == (expected.errno, str(given))
        assert ".part" not in str(refused)
        assert pickle.loads(pickle.dumps(refused)).args == refused.args
    assert sorted(os.listdir()) == ["circle", "file", "folder"]


def test_a_path_that_is_no_path_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="null"), WholeFile("a\0b"):
        pytest.fail("the block was entered")


def test_an_error_at_the_end_names_the_path_too(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as refused, WholeFile(tmp_path / "a"):
        (tmp_path / "a").mkdir()
    assert refused.value.filename == str(tmp_path / "a")
    assert refused.value.filename2 is None
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(FileExistsError, match="no ordinary file") as refused, WholeFile(tmp_path / "a"):
        pytest.fail("the block was entered")
    assert refused.value.filename == str(tmp_path / "a")


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize("mode", [0o444, 0o400, 0o060, 0])
def test_a_read_only_file_is_refused_whoever_asks(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"an older file")
    path.chmod(mode)
    with pytest.raises(PermissionError, match="read-only") as refused, WholeFile(path):
        pytest.fail("the block was entered")
    assert refused.value.filename == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_that_we_may_not_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's, in a folder of ours."""
    path = tmp_path / "a"
    path.write_bytes(b"an older file")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(PermissionError, match="read-only"), WholeFile(path):
        pytest.fail("the block was entered")


# ---- permissions


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755, 0o200, 0o2664])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"an older file")
    path.chmod(mode)
    with WholeFile(path) as file:
        (part,) = (each for each in tmp_path.iterdir() if each != path)
        assert stat.S_IMODE(part.stat().st_mode) | mode == mode  # no more rights than the old one has
        file.write(b"abc")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o600)
    assert path.read_bytes() == b"abc"


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_a_private_file_is_never_open_to_others_not_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"an older file")
    path.chmod(0o640)
    made: list[int] = []
    create = os.open

    def watched(name: str, flags: int, mode: int = 0o777) -> int:
        made.append(mode)
        return create(name, flags, mode)

    monkeypatch.setattr(os, "open", watched)
    with WholeFile(path):
        pass
    assert made == [0o600]  # its group may be another one until it is set


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(
    ("may_own", "may_group", "expected"),
    [
        (True, True, (1234, 2345, 0o4664)),
        (False, True, (0, 2345, 0o664)),
        (True, False, (1234, os.getegid() if hasattr(os, "getegid") else 0, 0o644)),
        (False, False, (0, os.getegid() if hasattr(os, "getegid") else 0, 0o644)),
    ],
)
def test_owner_and_group_are_kept_where_we_may_set_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_own: bool, may_group: bool, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"an older file")
    os.chown(path, 1234, 2345)
    path.chmod(0o4664)
    give = os.fchown

    def limited(file: int, owner: int, group: int) -> None:
        if (owner != -1 and not may_own) or (group != -1 and not may_group):
            raise PermissionError(1, "not permitted")
        give(file, owner, group)

    monkeypatch.setattr(os, "fchown", limited)
    with WholeFile(path) as file:
        file.write(b"abc")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == expected


def test_another_hard_link_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"an older file")
    os.link(tmp_path / "a", tmp_path / "b")
    with WholeFile(tmp_path / "a") as file:
        file.write(b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert (tmp_path / "b").read_bytes() == b"an older file"


def test_a_link_that_leads_nowhere_yet_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with WholeFile(tmp_path / "link") as file:
        file.write(b"abc")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"abc"


# ---- the part


@pytest.mark.parametrize("name", ["hello.wav", "n" * 255, "ä" * 127, "\N{SNOWMAN}" * 85, "x" + "ä" * 127])
def test_the_part_tells_whose_it_is(tmp_path: Path, name: str) -> None:
    with WholeFile(tmp_path / name) as file:
        (part,) = os.listdir(tmp_path)
        file.write(b"abc")
        match = re.fullmatch(r"\.(.*)\.[0-9a-f]{16}\.part", part)
        assert match
        assert name.startswith(match[1])
        assert match[1] == name if len(name) < 20 else len(os.fsencode(match[1])) > 225
        part.encode()  # no half of a character
    assert os.listdir(tmp_path) == [name]


def test_a_killed_process_leaves_a_part_that_tells_whose_it_is(tmp_path: Path) -> None:
    program = (
        "import os, sys; from cartesia_sync.audio.files import WholeFile\n"
        "with WholeFile(sys.argv[1]) as file: file.write(b'a'); file.flush(); os._exit(3)"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path / "hello.wav")], timeout=20)
    assert run.returncode == 3
    (part,) = os.listdir(tmp_path)
    assert part.startswith(".hello.wav.")


def test_a_block_that_never_began_leaves_no_part(tmp_path: Path) -> None:
    """An exception from outside may strike when the file is there and the block is not."""
    whole = WholeFile(tmp_path / "a")
    whole.__enter__().write(b"abc")
    assert len(os.listdir(tmp_path)) == 1
    del whole
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_an_interrupt_before_the_block_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not only when the exception is forgotten."""
    (tmp_path / "a").write_bytes(b"an older file")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt("stop")

    monkeypatch.setattr(os, "fchmod", interrupt)
    with pytest.raises(KeyboardInterrupt, match="stop") as kept, WholeFile(tmp_path / "a"):
        pytest.fail("the block was entered")
    assert kept.value is not None
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"an older file"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_forked_child_leaves_its_parents_file_alone(tmp_path: Path) -> None:
    program = (
        "import os, sys; from cartesia_sync.audio.files import WholeFile\n"
        "with WholeFile(sys.argv[1]) as file:\n"
        "    file.write(b'abc')\n"
        "    child = os.fork()\n"
        "    if not child: sys.exit(7)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1\n"
        "        file.write(b'de')\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], capture_output=True, timeout=20)
    assert run.returncode == 0, run.stderr
    assert b"belongs to the process that began it" in run.stderr
    assert (tmp_path / "a").read_bytes() == b"abcde"
    assert os.listdir(tmp_path) == ["a"]
