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
protocol/codec.py | protocol/test_codec
    if not isinstance(event, Chunk) or event.audio != _PLACE_AUDIO: => if not isinstance(event, Chunk):
    event.audio = audio => pass
    validate=True => validate=False
streaming/pump.py | streaming/test_gate
    self._turns.put(gate)  # before the timer can come, which does not wait for it => pass
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
    if context._link is not link: => if False:
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
streaming/link.py | streaming/test_slots
    slot.note_finished()  # it comes back => pass  # it comes back
    self.registry.linger_locked(channel)  # the service => pass  # the service
    self.registry.end_lingering_locked() => pass
    slots.acquire(channel, lambda: self._check_waiting(channel, message.move)) => slots.acquire(channel, str)
streaming/registry.py | streaming/test_slots
    self.free_slot_locked(channel)\n        channel.awaits_slot = False => channel.awaits_slot = False
limits/gate.py | limits/test_gate
    (state.first if at_head else state.later).append(place) => state.later.append(place)
    if is_deadlock and count >= allowed: => if False:
limits/redis.py | limits/test_redis
    excess - len(late)  # the server => excess  # the server
streaming/compat_v2.py | streaming/test_limits
    if context._channel.unspoken is not None: => if False:
streaming/channel.py | streaming/test_metrics
    self.refusals + is_refused => self.refusals
    tell = (self.tellers or []).pop() => tell = (self.tellers or [])[-1]
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
speech/words.py | speech/test_words
    self.is_lost = not self._comes_next(signs, index) => pass
    if not self._all_signs.startswith(following, at): => if False:
    if hidden["phonemes"]: => if False:
    if self._is_boundary(at): => if True:
speech/timeline.py | speech/test_timeline
    if first < before - _RESTART_SECONDS: => if False:
    , self._last_start) => , 0.0)
    number is not None and number >= flush_id => number is not None
speech/captions.py | speech/test_captions
    if self._are_close(found[-1], span) and self.fits(*joined): => if self.fits(*joined):
    wanted = max(end, start + min_seconds, => wanted = max(end,
    max(start, min(wanted, following, start + max_seconds)) => wanted
    cost += 300.0  # an orphan => pass
    text = text.replace("{", "(").replace("}", ")") => pass
    return letter.islower() or _ABBREVIATED.search(text) is not None => return letter.islower()
speech/frames.py | speech/test_frames speech/test_recording
    audio_format.silence(self._size - size) => bytes(self._size - size)
    if not size or audio_format is None or self._is_dropped(): => if not size or audio_format is None:
    if event is self._kept: => if False:
speech/recording.py | speech/test_recording
    if event is self._kept: => if False:
    if event.context_id is not None and event.context_id != self.context_id: => if False:
    elif event.context_id is not None:  # one => elif True:  # one
    self._whole_samples(audio_format) if part else self._audio_bytes => self._audio_bytes
audio/spool.py | audio/test_spool
    file.write(store.read(0, at), 0) => pass
    self._content[at:] = content => self._content += content
    weakref.finalize(self, self._file.close) => self._keep = self._file.close
speech/joining.py | speech/test_joining
    if self._begins_paragraph and self._paragraphs: => if self._paragraphs:
    last = max(begun + word.start, last) => last = begun + word.start
    or before not in (None, audio_format): => :
    self._stack.__exit__(kind, error, traceback) => self._stack.close()
    elif _TAG.search(piece): => elif False:
speech/player.py | speech/test_player
    played = self._asked - self.device.buffer_frames\n        while => played = self._asked\n        while
    self._draining = (*self._draining, (asked, playback)) => playback._end_heard()
    if playback._taken and not playback._is_dry: => if playback._taken:
    if playback._is_paused:\n                return => pass
    before._over.wait(None) => pass
    heard = words if is_all else => heard = words if True else
    said = text[: heard[-1].text_end] => said = text
audio/encoders.py | audio/test_encoders
    if at < self._sent:\n            return => pass
    if self._skips_first:\n => if False:\n
    encoder.write(self._waiting)\n => pass\n
    self._rest = bytes(view[whole:]) => self._rest = b""
streaming/audio_stream.py | streaming/test_audio_stream
    self._check_whole(0 if encoder is None => lambda: (0 if encoder is None
    self._is_over = True\n        self._end() => self._is_over = True
    self._is_at_work = True\n => pass\n
streaming/context.py | streaming/test_audio_stream
    = True\n        mailbox.collected = nothing\n        return writer.seconds => = False\n        return writer.seconds
    if not writer.audio_bytes:\n => if False:\n
speech/sentences.py | speech/test_sentences streaming/test_gate
    self._buffer = text + self._buffer => pass
    if not sizes and len(self._buffer) > LONGEST: => if False:
pool/pool.py | pool/test_long
    given.setdefault("add_timestamps", True) => pass
    if not isinstance(item, APIConnectionError): => if True:
    if captions is not None and not given["add_timestamps"]: => if False:
pool/spoken.py | pool/test_pool
    words, aligned_to = align(transcript, entries) => words, aligned_to = align("", entries)
    if not self.words and self.audio: => if False:
listening/line.py | listening/test_session
    if asks is Request.CLOSE and self._state in => if False and self._state in
    self.results.mailbox.wake()  # an answer => pass  # an answer
    return self._finished_at is not None and is_clean and => return is_clean and
    return self._finished_at is not None and is_clean and not => return self._finished_at is not None and not
    return self.results.has_done => return self._finished_at is not None
    due.append(self._finished_at) => pass
    due.append(results.unheard_since) => pass
    error.transcript = self.results.hearing.text\n        error.__cause__ => error.__cause__
listening/line.py | listening/test_feed
    self._wake_feeds()  # a paused one is over too => pass
    self.truncated(reason)))\n        self._wake_feeds() => self.truncated(reason)))
listening/line.py | listening/test_interrupts
    self._reader.take_back():\n            self.lose(self._wire, _closed_by_us()) => False:\n            pass
listening/line.py | whole/test_stt_limit
    self._slot.release() => pass
listening/slots.py | whole/test_stt_limit
    ticket.refused(refusal.retry_after)\n            ticket.release() => ticket.refused(refusal.retry_after)
    if error.error_code in _REFUSALS: => if True:
    if refusal is not None:\n                raise refusal => pass
listening/feed.py | listening/test_feed
    if state.is_paused and state.is_live:\n            continue => if False:\n            continue
    if state.is_paused and state.is_live:\n            return True => if False:\n            return True
    pause = None if state.is_paused else due - time.monotonic() => pause = None if state.is_paused else 0.0
    if quiet >= QUIET_SECONDS and line.results.is_in_turn: => if quiet >= QUIET_SECONDS:
    lines.end()\n        lines.current.fail(error) => lines.end()
listening/source.py | listening/test_feed
    if isinstance(iterator, Generator): => if hasattr(iterator, "close"):
    _require_whole(total, encoding) => pass
    if not total:\n        raise => if False:\n        raise
    (may_be_mp3 and content[:2] in _MP3_FRAMES) => (content[:2] in _MP3_FRAMES)
listening/lines.py | listening/test_lines
    if self._is_over(): => if False:
    or lost.is_left or loss.code not in _RECOVERABLE => or lost.is_left
    if not stop.empty(): => if False:
listening/results.py | listening/test_interrupts
    if flush.frame.has_begun_to_leave: => if True:
listening/results.py | listening/test_session
    mailbox.waiting_bytes + weight > mailbox.limit_bytes and mailbox.qsize() => False
speech/microphone.py | speech/test_microphone
    if self._pieces.qsize() >= _MOST_PIECES: => if False:
    self._pieces.put(None)  # it stays at its end => pass
    device = self._to_close.pop() => device = self._device
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
