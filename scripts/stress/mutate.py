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
    if self.is_cancel_requested and self._state in => if False and self._state in
    self._replay is ReplayState.SET_ASIDE and self.state in _LIVE => self._replay is ReplayState.SET_ASIDE
    if waiting and waiting + weight > limit_bytes => if waiting and waiting + weight >= limit_bytes
    then=lists, sent_at=message.sent_at => then=lists
    max(self.heard_at, self.sent_at) + => self.heard_at +
    lists = map(append, (self.messages, self.frames, wire.unsent), => lists = map(append, (self.messages, [], []),
streaming/channel.py | streaming/test_connection streaming/test_context
    if waiting and waiting + weight > limit_bytes => if waiting + weight > limit_bytes
    return self._replays and self.state is => return self.state is
    return self._replays and self.state is ChannelState.FINISHING => return self._replays
    if self.wire is None or self.heard_at is not None => if self.wire is None
    ReplayMove.REPLAY if has_left else ReplayMove.MOVE => ReplayMove.MOVE
streaming/channel.py | streaming/test_unfinished
    or message.sent_at > self.audio_at or => or False or
    self.audio_at is None or message.sent_at > self.audio_at or not frame.has_left => False
    if self.state is ChannelState.OPEN or has_words => if has_words
    has_words("".join(unspoken)) => unspoken
streaming/link.py | streaming/test_survivors
    if not channel.is_set_aside or not self.registry.is_live => if False and not self.registry.is_live
    or cancelled meanwhile\n                    if self._wire is wire and => or\n                    if
    if self._wire is not wire or not => if not
    raise self._closed()\n                self._reader => pass\n                self._reader
    elif self._wire is wire or self._state is ConnectionState.LOST:\n => else:\n
    if channel.wire is not wire:\n                    continue => pass
    if frame.has_left:\n                return  # meanwhile => pass
    if channel.is_set_aside and is_new: => if is_new:
    mailbox.is_sealed or not channel.messages => mailbox.is_sealed or channel.wire is None
    for subscriber in subscribers:\n            subscriber.put(None) => pass
streaming/link.py | streaming/test_collector
    self._note(_DISCARD, channel) => self.open(channel)
    if is_owned(self.registry.lock) or self._connect_lock.is_ours or => if self._connect_lock.is_ours or
    self._connect_lock.is_ours or reader.is_this_thread => reader.is_this_thread
    self._connect_lock.is_ours or reader.is_this_thread => self._connect_lock.is_ours
    if is_owned(self.registry.lock):\n            return\n => \n
streaming/link.py | transport/websocket/test_collector
    if wire is not None and wire.is_in_use_here: => if False:
streaming/registry.py | streaming/test_collector
    self._closed_subscribers.append(subscriber) => self.subscribe(subscriber)
streaming/registry.py | streaming/test_registry
    self._router.end(channel.wire_id)\n        channel.wire_id = => channel.wire_id =
    self._router.get(channel.wire_id) is channel => self._router.get(channel.wire_id) is not None
streaming/reader.py | streaming/test_limits
    self._bound_all(wire)\n\n => pass\n\n
    most = max(behind or waiting => most = min(behind or waiting
    max(behind or waiting => max(waiting
    "connection", discard=True) => "connection")
    weight = max(len(event.audio), => weight = max(len(message),
streaming/reader.py | streaming/test_unfinished
    if event.audio:\n => if True:\n
    else:\n                        channel.note_done() => else:\n                        pass
streaming/link.py | streaming/test_expiry
    if self._wire is not wire or not channel.is_ready(message): => if self._wire is not wire:
streaming/reader.py | streaming/test_expiry
    if rest is None:\n                channel.note_done() => if rest is None:\n                pass
    wire.wake()  # so that the rest leaves => pass
    channel.earlier.shift(event) => pass
streaming/mailbox.py | streaming/test_limits
    self.collected, self.is_used_up = events, _NO_EVENTS, False => self.collected = events, _NO_EVENTS
    events.extend(self._set_aside) => pass
    self.ahead().appendleft(event) => self.ahead().append(event)
    return self._put_bytes - self._items[0][2] => return self._put_bytes
streaming/mailbox.py | streaming/test_survivors
    end.number, end.discards = first.number, first.discards => pass
streaming/mailbox.py | streaming/test_mailbox
    self._is_waiting = True\n        if self.peek() => if self.peek()
    has_ended = bool(ends)  # => has_ended = True  #
streaming/arrivals.py | streaming/test_survivors
    notification.rearm()\n            assert isinstance(notification.subject, weakref.ref)\n => assert True\n
    for channel in self._link.registry.readable():  # => for channel in []:  #
    self._see_to_replay(channel)\n\n    def close => pass\n\n    def close
streaming/connection.py | streaming/test_limits
    context._channel.mailbox.restore() => pass
    if context._link is not self._link: => if False:
streaming/receiver.py | streaming/test_survivors
    if channel.time_left(timeout) != 0.0: => if False:
streaming/context.py | streaming/test_unfinished
    if channel.unspoken is not None:\n            raise channel.unfinished() => pass
    if not dropped_bytes:\n => if False:\n
streaming/context.py | streaming/test_limits
    if audio_bytes != channel.mailbox.audio_bytes: => if False:
    deque[Event]([last] if isinstance(last, Done) else []) => deque[Event]()
    if dropped_bytes:\n                    mailbox.give_back => if False:\n                    mailbox.give_back
streaming/forks.py | streaming/test_collector
    in list(_links.values()) => in _links.values()
streaming/compat_v2.py | streaming/test_limits
    if context._channel.unspoken is not None: => if False:
streaming/channel.py | streaming/test_metrics
    self.refusals + is_refused => self.refusals
    tell = self.tellers.pop() => tell = self.tellers[-1]
    if self.is_cancel_requested and (not => if False and (not
streaming/reader.py | streaming/test_metrics
    elif self._read_at - before > channel.longest_gap: => else:
    channel.first_audio_at = channel.first_audio_at or self._read_at => channel.first_audio_at = self._read_at - 1
streaming/receiver.py | streaming/test_metrics
    if self._channel.mailbox.is_sealed:\n => if False:\n
streaming/connection.py | streaming/test_metrics
    ended.append((channel, found)) => pass
batch/ledger.py | batch/test_ledger
    for row in whole:\n                    self._put_done(row)\n => pass\n
    remove_leftovers(os.path.join(self.folder, file.path)) => pass
    self._db.execute("DELETE FROM items WHERE path = ? AND id <> ?", (row.path, row.id)) => pass
    if self._path and self._found_identity() != self._identity: => if False:
    PRAGMA locking_mode = EXCLUSIVE => PRAGMA locking_mode = NORMAL
    if len(content) == file.size and digest_of(content) == file.digest else None =>
    if digest_of(opened.read()) != file.digest: => if False:
    if file.changed and found.st_mtime_ns == file.changed: => if file.changed:
batch/running.py | batch/test_ledger
    self._ledger.note_writing(entry) => pass
    self._ledger.release_followers(row.hash) => pass
    if self._has_copies and self._is_copied(row): => if False:
    last = followers[-1].number\n            self._note_failed(followers, error, 0) => return
batch/running.py | batch/test_ends
    elif verdict == "again" and job.attempt + 1 < self._attempts: => elif verdict == "again":
    self._stop = self._stop or outcome => pass
    if self._stop is not None:\n                self._drop_resting() => pass
    if error.status_code == 402 or error.error_code == "quota_exceeded" or => if
batch/planning.py | batch/test_planning
    "SELECT id FROM plan GROUP BY id HAVING count(*) > 1") => "SELECT id FROM plan WHERE 0")
    _SHARED = "SELECT min(key) FROM plan GROUP BY key HAVING count(*) > 1" => _SHARED = "SELECT key FROM plan WHERE 0"
    if is_placed or row.number in known or count <= MANY => if is_placed or count <= MANY
    "SELECT plan.path FROM plan JOIN folders ON folders.key = plan.key", => "SELECT path FROM plan WHERE 0",
batch/places.py | batch/test_planning
    unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()) => path
    if os.path.islink(target) and not self._is_inside(target): => if False:
    if not self._is_inside(path): => if False:
pool/members.py | pool/test_pool
    and not _contexts_on(connection): => :
    _contexts_on(connection), not connection._link.is_open, => 0, not connection._link.is_open,
    not connection._link.is_open, (number - turn) % count => (number - turn) % count
pool/connection.py | pool/test_connection
    if self._is_client_closed():\n => if False:\n
    and not self._is_client_closed() =>
pool/tasks.py | pool/test_pool
    if self.is_closed and task.future.cancel(): => if False:
    if self._thread == threading.get_ident():\n            return True\n => \n
    (task or speaking).drop() => pass
pool/tasks.py | pool/test_interrupts
    if task.future.cancel():\n                speaking.note_end()\n => \n
    with speaking.until_over(): => if True:
pool/workers.py | pool/test_workers
    if not self._work.empty(): => if False:
    if not self._take_token():\n            self._grow() => self._grow()
    self._work.put(None)  # for the others => pass
pool/workers.py | pool/test_workers
    self._leave(mine)\n            if not isinstance(error, RuntimeError): => if not isinstance(error, RuntimeError):
pool/pool.py | pool/test_pool
    for task in waiting:\n            task.drop() => pass
    self.close(cancel=kind is not None) => self.close()
protocol/words.py | streaming/test_unfinished
    |\\[laughter\\] =>
    [^\\W_] => \\w
transport/websocket/stream.py | transport/websocket/test_survivors
    raise BlockingIOError(str(error)) from None => raise
    self._is_tls_drained and has_all and self._failure is None => has_all
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
