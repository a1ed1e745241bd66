"""Files that appear only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Callable

import pytest

from cartesia_sync.audio import files
from cartesia_sync.audio.files import PARTS, WholeFile

from ..support.interrupts import strikes

BOUND = 20.0
posix = pytest.mark.skipif(os.name == "nt", reason="an open file needs no lock there, and is tidied up a minute later")


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


WRITER = """
import sys
from cartesia_sync.audio.files import WholeFile

with WholeFile(sys.argv[1]) as file:
    file.write(sys.argv[2].encode())
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def writing(path: Path, content: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is in the middle of the file; a line to its standard input ends it."""
    command = [sys.executable, "-c", WRITER, str(path), content]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


@posix
def test_what_a_killed_process_leaves_tells_whose_it_is_and_the_next_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    with writing(path, "a") as process:
        process.kill()
        process.wait(BOUND)
    (part,) = os.listdir(tmp_path)
    assert part.startswith(".hello.wav.")
    with WholeFile(tmp_path / "other.wav"):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted([part, "other.wav"])  # it is no business of another target's
    with WholeFile(path) as file:
        file.write(b"b")
    assert sorted(os.listdir(tmp_path)) == ["hello.wav", "other.wav"]
    assert path.read_bytes() == b"b"


@posix
def test_one_that_fails_takes_away_what_a_killed_process_left_too(tmp_path: Path) -> None:
    with writing(tmp_path / "a", "a") as process:
        process.kill()
        process.wait(BOUND)
    with pytest.raises(KeyboardInterrupt), WholeFile(tmp_path / "a") as file:
        fail_in_the_block(file)
    assert os.listdir(tmp_path) == []


def test_writers_of_one_target_leave_each_other_alone(tmp_path: Path) -> None:
    """In two processes and two threads' worth of objects here; the one that ends last is what stays."""
    path = tmp_path / "a"
    with writing(path, "theirs") as process, WholeFile(path) as first:
        first.write(b"first")
        with WholeFile(path) as second:
            second.write(b"second")
            assert len(os.listdir(tmp_path)) == 3
        assert path.read_bytes() == b"second"
        assert len(os.listdir(tmp_path)) == 3
        process.communicate("go\n", timeout=BOUND)
        assert process.returncode == 0
        assert path.read_bytes() == b"theirs"
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]


@posix
def test_of_several_that_were_killed_nothing_stays_beside_one_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with contextlib.ExitStack() as stack:
        dead = [stack.enter_context(writing(path, "dead")) for _ in range(2)]
        alive = stack.enter_context(writing(path, "alive"))
        for process in dead:
            process.kill()
            process.wait(BOUND)
        assert len(os.listdir(tmp_path)) == 3
        with WholeFile(path):
            assert len(os.listdir(tmp_path)) == 2
        alive.communicate("go\n", timeout=BOUND)
        assert alive.returncode == 0
    assert path.read_bytes() == b"alive"
    assert os.listdir(tmp_path) == ["a"]


def test_more_writers_than_there_are_names_write_all_the_same(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(WholeFile(tmp_path / "a")) for _ in range(PARTS + 2)]
        for number, file in enumerate(opened):
            file.write(b"%d" % number)
        assert len(os.listdir(tmp_path)) == PARTS + 2
    assert (tmp_path / "a").read_bytes() == b"0"  # the stack ends with the first
    assert os.listdir(tmp_path) == ["a"]


@posix
def test_another_takes_the_part_for_one_that_was_left_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two steps of its making; the writer goes on with another name."""
    made: list[str] = []
    create = files._created

    def created_and_taken(path: str, mode: int) -> IO[bytes]:
        file = create(path, mode)
        made.append(path)
        if len(made) == 1:
            files._take_away(path)
        return file

    monkeypatch.setattr(files, "_created", created_and_taken)
    with WholeFile(tmp_path / "a") as file:
        file.write(b"abc")
        assert [str(each) for each in tmp_path.iterdir()] == made[1:]
    assert len(made) == 2
    assert (tmp_path / "a").read_bytes() == b"abc"


@posix
def test_a_part_that_took_the_place_of_the_one_that_was_looked_at_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers find the same dead part, and the faster one has its own there when the other gets the lock."""
    path = files._parts_of(str(tmp_path / "a"))[0]
    Path(path).write_bytes(b"dead")
    lock = files._try_lock

    def locked_late(file: io.FileIO) -> bool | None:
        os.rename(path, tmp_path / "gone")
        Path(path).write_bytes(b"another's")
        return lock(file)

    monkeypatch.setattr(files, "_try_lock", locked_late)
    files._take_away(path)
    assert Path(path).read_bytes() == b"another's"


@posix
def test_what_only_has_the_name_of_a_part_stays(tmp_path: Path) -> None:
    names = [os.path.basename(each) for each in files._parts_of(str(tmp_path / "a"))]
    (tmp_path / names[0]).mkdir()
    (tmp_path / names[1]).symlink_to("b")
    (tmp_path / "b").write_bytes(b"somebody's")
    with WholeFile(tmp_path / "a") as file:
        file.write(b"abc")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", "b", *names[:2]])
    assert (tmp_path / "b").read_bytes() == b"somebody's"


@posix
def test_a_file_system_without_locks_is_written_to_and_nothing_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with WholeFile(tmp_path / "a") as first, WholeFile(tmp_path / "a") as second:
        first.write(b"first")
        second.write(b"second")
        assert len(os.listdir(tmp_path)) == 2
    assert (tmp_path / "a").read_bytes() == b"first"
    with pytest.raises(KeyboardInterrupt), WholeFile(tmp_path / "a") as file:
        fail_in_the_block(file)
    assert os.listdir(tmp_path) == ["a"]


CROWD = """
import sys
from cartesia_sync.audio.files import WholeFile

print("ready", flush=True)
sys.stdin.readline()
content = sys.argv[2].encode() * 1000
for _ in range(int(sys.argv[3])):
    with WholeFile(sys.argv[1]) as file:
        file.write(content[:500])
        file.write(content[500:])
print("done", flush=True)
"""


@posix
def test_a_crowd_of_which_some_are_killed_writes_whole_files_and_the_next_tidies_up(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def started(letter: str, rounds: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CROWD, str(path), letter, str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(started(letter, 300)) for letter in "ab"]
        killed = [stack.enter_context(started(letter, 10**9)) for letter in "cde"]
        for process in (*kept, *killed):
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (*kept, *killed):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in kept:
            output, errors = process.communicate(timeout=BOUND)
            assert (process.returncode, output, errors) == (0, "done\n", "")
        for process in killed:
            assert process.poll() is None
            process.kill()
            process.communicate(timeout=BOUND)
    assert set(path.read_bytes()) in [{ord(letter)} for letter in "abcde"]
    assert path.stat().st_size == 1000
    with WholeFile(path) as file:
        file.write(b"last")
    assert os.listdir(tmp_path) == ["a"]


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


@posix
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what strikes in __del__ is lost
@pytest.mark.parametrize("left", [False, True], ids=["", "where a part was left"])
def test_an_interrupt_anywhere_leaves_the_whole_file_or_none_and_no_part(tmp_path: Path, left: bool) -> None:
    path, places = tmp_path / "a", 0

    def write() -> None:
        with WholeFile(path) as file:
            file.write(b"new")

    for strike in strikes("/files.py"):
        path.write_bytes(b"old")
        if left:
            Path(files._parts_of(str(path))[0]).write_bytes(b"dead")
        strike.run(write)
        assert path.read_bytes() in (b"old", b"new"), str(strike.place)
        if strike.place is not None:
            places += 1
            if os.listdir(tmp_path) != ["a"]:  # it struck before the one that was left was looked at
                assert left
                assert Path(files._parts_of(str(path))[0]).read_bytes() == b"dead", str(strike.place)
                assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
    assert places > 30


@pytest.mark.skipif(sys.platform == "win32", reason="no lock is held there")
def test_what_an_interrupt_left_half_discarded_is_discarded_again(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "a.wav")
    file.__enter__()
    assert file._file is not None
    assert file._hold is not None
    file._file.close()
    file._hold.close()  # here the interrupt struck
    file._discard()
    assert file._hold is None
