"""Change one line of the core at a time, and see whether a test notices; by hand, after a change of the core.

    .venv/bin/python scripts/stress/mutate.py [--only TEXT] [--list]

Each change is made in a copy of the tree, in a temporary folder, and the tests named for it are run there. "killed":
one failed. "survived": all passed, so that nothing holds that line. "stale": what is to be changed is not there any
more, or more than once; write the change anew. Status 0: all were killed. The whole list takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BOUND = 120.0  # seconds for the tests of one change; what hangs is noticed, too
TESTS_FAILED = 1  # pytest's exit status

CHANGES = r"""
streaming/channel.py | streaming/test_survivors
    if self.is_cancelled and self._state in => if False and self._state in
    and self.wire is None and self.state in (State.OPEN, State.FINISHING) => and self.wire is None
    if waiting and waiting + weight > limit_bytes => if waiting and waiting + weight >= limit_bytes
    self.said_at = message.said_at\n        self._state => self._state
    max(self.heard_at, self.said_at) + => self.heard_at +
    lists = map(append, (self.messages, self.frames, wire.unsent), => lists = map(append, (self.messages, [], []),
streaming/channel.py | streaming/test_connection streaming/test_context
    if waiting and waiting + weight > limit_bytes => if waiting + weight > limit_bytes
    self.replays and not self.is_replayed => self.replays
    not self.is_replayed and self.state is State.FINISHING => not self.is_replayed
    if self.wire is None or self.heard_at is not None => if self.wire is None
streaming/channel.py | streaming/test_unfinished
    message.said_at > self.audio_at) => False)
    if self.state is State.OPEN or has_words => if has_words
    has_words("".join(unspoken)) => unspoken
streaming/link.py | streaming/test_survivors
    if not line.is_set_aside or not self._router.is_live => if False and not self._router.is_live
    if self._wire is wire and len(messages) == => if len(messages) ==
    if self._wire is not wire:\n                return None => pass
    raise self._closed()\n                self._wire, => pass\n                self._wire,
    if self._wire is wire:\n => if True:\n
    if line.wire is not wire:\n                    continue => pass
    if frame.has_left:\n                return  # meanwhile => pass
    if line.is_set_aside and is_new: => if is_new:
    mailbox.is_sealed or not line.messages => mailbox.is_sealed or line.wire is None
    for bell in bells:\n            bell.put(None) => pass
streaming/link.py | streaming/test_collector
    self._closed_bells.append(bell) => self.hang(bell)
    self._note(_FORGET, line) => self.open(line)
    if is_owned(self._state_lock) or self._connect_lock.is_ours or => if self._connect_lock.is_ours or
    self._connect_lock.is_ours or reader.is_this_thread => reader.is_this_thread
    self._connect_lock.is_ours or reader.is_this_thread => self._connect_lock.is_ours
    if is_owned(self._state_lock):\n            return\n => \n
streaming/link.py | transport/websocket/test_collector
    if wire is not None and wire.is_in_use_here: => if False:
streaming/link.py | streaming/test_limits
    self._bound_all(wire)\n\n => pass\n\n
    largest = max(lines => largest = min(lines
    "connection", discard=True) => "connection")
    weight = max(len(event.audio), => weight = max(len(message),
streaming/link.py | streaming/test_unfinished
    if event.audio:\n => if True:\n
    line.note_done() => pass
streaming/mailbox.py | streaming/test_limits
    self.is_used_up = False  # => pass  #
    events.extend(self._set_aside) => pass
    self.collected.appendleft(event) => self.collected.append(event)
    return self._put_bytes - self._items[0][2] => return self._put_bytes
streaming/mailbox.py | streaming/test_survivors
    end.number, end.discards = first.number, first.discards => pass
streaming/mailbox.py | streaming/test_mailbox
    self._is_waiting = True\n        if self.look() => if self.look()
    has_ended = bool(ends)  # => has_ended = True  #
streaming/arrivals.py | streaming/test_survivors
    ring.answer()\n            assert isinstance(ring.who, weakref.ref)\n            self._look_at(ring.who) =>
        self._look_at(ring.who)\n            ring.answer()
    for line in self._link.readable_lines():  # => for line in []:  #
    self._see_to_replay(line)\n\n    def close => pass\n\n    def close
streaming/arrivals.py | streaming/test_limits
    context.line.mailbox.restore() => pass
streaming/context.py | streaming/test_survivors
    if line.time_left(clocks) != 0.0: => if False:
streaming/context.py | streaming/test_unfinished
    if line.unspoken is not None:\n            raise line.unfinished() => pass
    if not dropped_bytes:\n => if False:\n
streaming/context.py | streaming/test_limits
    if audio_bytes != line.mailbox.audio_bytes: => if False:
    deque[Event]([last] if isinstance(last, Done) else []) => deque[Event]()
    if dropped_bytes:\n                    mailbox.give_back => if False:\n                    mailbox.give_back
streaming/connection.py | streaming/test_limits
    if context._link is not self._link: => if False:
streaming/flushes.py | streaming/test_limits
    give_back(event)\n\n => pass\n\n
streaming/forks.py | streaming/test_collector
    in list(_links.values()) => in _links.values()
streaming/compat_v2.py | streaming/test_limits
    if context.line.unspoken is not None: => if False:
protocol/words.py | streaming/test_unfinished
    |\\[laughter\\] =>
    [^\\W_] => \\w
transport/websocket/stream.py | transport/websocket/test_survivors
    raise BlockingIOError(str(error)) from None => raise
    self._is_dry and has_all and self._failure is None => has_all
    self._failure = error  # => pass  #
    map(self._encrypted.pop, (0,)) => list(self._encrypted)
transport/websocket/duplex.py | transport/websocket/test_survivors
    self.wake()\n        try:\n            failure => try:\n            failure
"""
"""A file and its tests; below what is changed in it and into what, which may stand on a line of its own. Line breaks
are written out.
"""


class Change(NamedTuple):
    """What is there, what is put in its place, and the tests that are to notice."""

    file: str
    old: str
    new: str
    tests: str


def changes() -> list[Change]:
    """Read the list above."""
    found: list[Change] = []
    file = tests = ""
    for line in CHANGES.strip().splitlines():
        if not line.startswith(" "):
            file, _, names = line.partition(" | ")
            tests = " ".join(f"tests/{name}.py" for name in names.split())
            continue
        line = line.encode().decode("unicode_escape")
        if line.startswith(" " * 8):
            found[-1] = found[-1]._replace(new=line.strip())
            continue
        old, _, new = line.strip(" ").partition(" =>")
        found.append(Change(file, old, new[1:], tests))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="of whose change, file or tests this is a part")
    parser.add_argument("--list", action="store_true", help="say what would be changed, and change nothing")
    options = parser.parse_args()
    chosen = [each for each in changes() if any(options.only in text for text in each)]
    if options.list:
        for each in chosen:
            print(_named(each))
        return 0
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        tree = Path(folder)
        for name in ("cartesia_sync", "tests", "scripts"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "setup.cfg", "README.md"):
            shutil.copy(ROOT / name, tree / name)
        tests = sorted({test for each in chosen for test in each.tests.split()})
        if _run(tree, tests) != 0:
            print("these fail without any change, or some of them do:", *tests)
            return 1
        results = [_try(tree, each) for each in chosen]
    print(", ".join(f"{results.count(word)} {word}" for word in ("killed", "survived", "stale", "broken")))
    return 0 if results.count("killed") == len(results) else 1


def _try(tree: Path, change: Change) -> str:
    """Make a change, run its tests, undo it; the word for what came of it."""
    path = tree / "cartesia_sync" / change.file
    whole = path.read_text()
    if whole.count(change.old) != 1:
        result = "stale"
    else:
        path.write_text(whole.replace(change.old, change.new))
        status = _run(tree, change.tests.split())
        result = {0: "survived", TESTS_FAILED: "killed"}.get(status, "broken")
        path.write_text(whole)
    print(f"{result:9} {_named(change)}", flush=True)
    return result


def _run(tree: Path, tests: list[str]) -> int:
    """Run tests in the copy; pytest's exit status, and that of a failure where they took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", "timeout=20", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, stdout=quiet, stderr=quiet, timeout=BOUND, check=False
        )
    except subprocess.TimeoutExpired:
        return TESTS_FAILED
    return done.returncode


def _named(change: Change) -> str:
    """The change in one line."""
    old, new = (" ".join(text.split()) for text in (change.old, change.new))
    return f"{change.file}: {old}  ->  {new or '(nothing)'}"


if __name__ == "__main__":
    sys.exit(main())
