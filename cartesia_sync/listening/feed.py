"""Audio from a source in, on a thread of its own: at the pace of speech, and with silence where the source pauses."""

from __future__ import annotations

import contextvars
import functools
import itertools
import queue
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from typing import Optional

from ..closing import Closing
from ..errors import APIConnectionError, ContextStateError
from ..protocol.transcription import ENCODINGS, AudioFormat, silence
from ..streaming.timer import call_later
from .lines import Lines

QUIET_SECONDS = 0.5
"""After how long without audio in a turn silence is sent, so that the turn can end."""

MOST_SILENCE_SECONDS = 10.0
"""For how long it is sent: longer than any turn waits for its end by default."""

MOST_RECONNECTING_SECONDS = 120.0
"""For how long a feed waits for another session to follow a lost one, where its user asks for that."""

_STOP, _GO_ON = "stop", "go on"  # and ``lines.LOOK``: the line has ended
_numbers = itertools.count(1)


class Feed(Closing):
    """Sends audio from a source; made by ``Session.feed``.

    Threads: any, every method.
    """

    def __init__(
        self,
        lines: Lines,
        audio_format: AudioFormat,
        pieces: Iterator[bytes],
        *,
        realtime: bool,
        is_live: bool,
        then: Optional[str],
        keeps_alive: object,
    ) -> None:
        self._keeps_alive = keeps_alive
        self._state = _State(lines, audio_format, is_live=is_live)
        # A daemon: nobody can interrupt a source that does not yield, and it must not hold the interpreter. It does not
        # hold the session's handle, so that one which nobody holds any more stops it.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(_pump, lines, self._state, pieces, realtime, then),
            name=f"cartesia-sync-feed-{next(_numbers)}",
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads: the system's limit, or the interpreter is at its end
            raise APIConnectionError(f"The thread that takes the audio cannot be started: {error}") from error

    def __repr__(self) -> str:
        return f"<Feed {'ended' if self._state.has_ended else 'paused' if self._state.is_paused else 'running'}>"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more of the source is sent."""
        return self._state.has_ended

    def pause(self) -> None:
        """Send nothing more of the source until ``resume``.

        What a ``Microphone`` hears meanwhile is dropped; of any other source nothing more is taken. Idempotent. Does
        not wait: a piece that is on its way still leaves.
        """
        self._state.is_paused = True

    def resume(self) -> None:
        """Go on. Idempotent. Does not wait."""
        self._state.is_paused = False
        self._state.signals.put(_GO_ON)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait for the source's end, or for ``close``; return whether it came in time.

        Args:
            timeout: Seconds; None is no limit.
        """
        state = self._state
        if not state.has_ended:
            try:
                state.ends.get(timeout=timeout)
            except queue.Empty:
                return state.has_ended
            state.ends.put(None)  # for others who wait
        return True

    def close(self) -> None:
        """Stop before the next piece; nothing is sent in its place, no ``close`` either. Idempotent. Does not wait.

        A source that is an iterator is left where it is; a generator is closed by the feed's own thread.
        """
        self._state.is_stopped = True
        self._state.signals.put(_STOP)


class _State:
    """What the pump, the timer and the handle share: each attribute is one store."""

    def __init__(self, lines: Lines, audio_format: AudioFormat, *, is_live: bool) -> None:
        self.lines = weakref.ref(lines)
        self.is_live = is_live
        self.encoding, self.sample_rate = audio_format
        self.signals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.is_paused = False
        self.is_stopped = False
        self.has_ended = False
        self.is_watched = False  # a call of ``tick`` is due
        self.sent_at = 0.0
        self.covered_until = 0.0  # by silence

    def seconds(self, audio: bytes) -> float:
        """Return how long it plays."""
        return len(audio) / ENCODINGS[self.encoding] / self.sample_rate

    def watch(self) -> None:
        """Note that audio was sent, and have somebody look whether more comes."""
        self.sent_at = self.covered_until = time.monotonic()
        if not self.is_watched:
            self.is_watched = True
            call_later(QUIET_SECONDS, functools.partial(_tick, weakref.ref(self)))

    def tick(self) -> None:
        """Send silence, if a turn is on and no audio has come for a while. Threads: the timer. Does not wait."""
        lines, now = self.lines(), time.monotonic()
        line, quiet = None if lines is None else lines.current, now - self.sent_at
        if line is None or not line.is_open or self.is_stopped or self.has_ended or quiet > MOST_SILENCE_SECONDS:
            self.is_watched = False  # the next piece has it watched again
            return
        if quiet >= QUIET_SECONDS and line.results.is_in_turn:
            line.post_audio(silence(self.encoding, self.sample_rate, min(now - self.covered_until, QUIET_SECONDS)))
            self.covered_until = now
        call_later(max(QUIET_SECONDS - quiet, QUIET_SECONDS / 5), functools.partial(_tick, weakref.ref(self)))


def _tick(state: weakref.ref[_State]) -> None:
    found = state()
    if found is not None:
        found.tick()


# ---- feed thread only


def _pump(lines: Lines, state: _State, pieces: Iterator[bytes], realtime: bool, then: Optional[str]) -> None:
    lines.feeds.append(state.signals)
    try:
        try:
            if _send_all(lines, state, pieces, realtime):
                if then == "close":
                    lines.current.finish()
                elif then == "finalize":
                    lines.current.send(b"finalize")
        finally:
            if isinstance(pieces, Generator):
                pieces.close()
    except ContextStateError:
        pass  # the session is being finished: by its user, who knows
    except APIConnectionError:
        pass  # the wire has ended, and the reader tells the receiver why
    except BaseException as error:  # whatever the user's source raises is the receiver's to see
        lines.end()
        lines.current.fail(error)
    finally:
        lines.feeds.remove(state.signals)
        state.has_ended = True
        state.ends.put(None)


def _send_all(lines: Lines, state: _State, pieces: Iterator[bytes], realtime: bool) -> bool:
    """Send what the source gives; False where it was stopped."""
    due = time.monotonic()
    for piece in pieces:
        if not _awaits_turn(lines, state, due if realtime else 0.0):
            return False
        if state.is_paused and state.is_live:
            continue  # nobody is to hear later what was said meanwhile
        _send(lines, piece)
        due = max(due, time.monotonic()) + state.seconds(piece)
        state.watch()
    return not state.is_stopped


def _awaits_turn(lines: Lines, state: _State, due: float) -> bool:
    """Wait until the next piece may leave, or, while it is paused, be dropped; False where the feed is over."""
    while True:
        if state.is_stopped or not (lines.current.is_open or lines.may_follow):
            return False
        if state.is_paused and state.is_live:
            return True
        pause = None if state.is_paused else due - time.monotonic()
        if pause is not None and pause <= 0:
            return True
        try:
            state.signals.get(timeout=pause)
        except queue.Empty:
            return True


def _send(lines: Lines, piece: bytes) -> None:
    """Send a piece on the line in use, or, where that is lost, on the one that follows it."""
    while True:
        line = lines.current
        try:
            line.send_audio(piece)
            return
        except APIConnectionError:
            if lines.next_after(line, MOST_RECONNECTING_SECONDS) is None:
                raise
