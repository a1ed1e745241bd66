"""The lines of one handle, one after another: where its user asks for reconnecting, another one follows a lost one."""

from __future__ import annotations

import queue
import random
from collections.abc import Mapping
from typing import Any, Callable, Optional

from ..errors import CartesiaError, TruncatedError
from ..protocol.transcription import ENCODINGS, AudioFormat, ReconnectingEvent, TimedWord
from .line import LOOK, Line

_RECOVERABLE = (None, 1001, 1005, 1006, 1011, 1012, 1013, 1015)
"""Close codes after which another try may help, as the official client has them; None is an end without any."""

Check = Callable[[], object]
MakeLine = Callable[[Mapping[str, object], Mapping[str, str], Check], Line]


class Reconnecting:
    """How to begin another session: asked for by its user, who is told of each.

    Args:
        make_line: Opens one, with what is added to the address and to the headers; what it calls now and then while it
            waits for a slot ends that wait.
        on_reconnecting: Called before each attempt, in the receiver's thread. It may return ``extra_query`` and
            ``extra_headers`` for this and the following attempts, and ``abort`` to give up.
        extra_query: Added to the address.
        extra_headers: Sent with the handshake.
        max_retries: How many attempts there are.
        initial_delay: Seconds before the first; each next one waits twice as long.
        max_delay: Seconds that none exceeds.
    """

    def __init__(
        self,
        make_line: MakeLine,
        on_reconnecting: Callable[[ReconnectingEvent], Optional[Mapping[str, Any]]],
        *,
        extra_query: Mapping[str, object],
        extra_headers: Mapping[str, str],
        max_retries: int,
        initial_delay: float,
        max_delay: float,
    ) -> None:
        self._make_line = make_line
        self._on_reconnecting = on_reconnecting
        self._extra_query = extra_query
        self._extra_headers = extra_headers
        self._max_retries = max_retries
        self._initial_delay = initial_delay
        self._max_delay = max_delay

    def attempt(self, loss: TruncatedError, stop: queue.SimpleQueue[None]) -> Optional[Line]:
        """Open another line; None where the user or the service does not let us, or ``stop`` was told.

        Raises:
            Exception: What ``on_reconnecting`` raises.

        Threads: the receiver. Waits between the attempts, and for the connect timeout at each.
        """
        for number in range(1, self._max_retries + 1):
            delay = min(self._initial_delay * 2.0 ** (number - 1), self._max_delay) * (1 - 0.25 * random.random())
            told = self._on_reconnecting(
                ReconnectingEvent(
                    number, self._max_retries, delay, loss.code or 1006, self._extra_query, self._extra_headers
                )
            )
            if told is not None:
                if told.get("abort"):
                    return None
                self._extra_query = told.get("extra_query", self._extra_query)
                self._extra_headers = told.get("extra_headers", self._extra_headers)
            try:
                stop.get(timeout=delay)
            except queue.Empty:
                pass
            else:
                return None
            try:
                return self._make_line(self._extra_query, self._extra_headers, lambda: _raise_if_told(stop))
            except CartesiaError as error:
                loss.__cause__ = error  # why the last attempt failed
        return None


def _raise_if_told(stop: queue.SimpleQueue[None]) -> None:
    if not stop.empty():
        raise CartesiaError("The session was closed.")


class Lines:
    """The lines of one handle, and what was heard on those before.

    Threads: the receiver alone adds one. Any may read: what is read together is stored in one step.

    Attributes:
        current: The line in use, which may be lost.
        may_follow: Whether another one may follow it.
        stop: Cuts a wait before another attempt short.
        feeds: What wakes the feeds, to look whether they are over; each feed adds and removes its own.
    """

    def __init__(self, first: Line, audio_format: AudioFormat, reconnecting: Optional[Reconnecting]) -> None:
        self._format = audio_format
        self._reconnecting = reconnecting
        self.may_follow = reconnecting is not None
        self.stop: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()  # whoever has taken it out reconnects
        self._turns.put(None)
        self._changes: queue.SimpleQueue[None] = queue.SimpleQueue()  # wakes a feed that waits
        self.feeds = first.feeds
        self._all: tuple[Line, ...] = (first,)

    @property
    def current(self) -> Line:
        """The line in use."""
        return self._all[-1]

    def follow(self, lost: Line, loss: TruncatedError, adopt: Callable[[Line], None]) -> bool:
        """Open another line in the place of one that is lost; False where none is to follow.

        Args:
            lost: The line that is lost.
            loss: Why; the failure of the last attempt becomes its cause.
            adopt: Takes the new line over, before its reader starts.

        Raises:
            Exception: What the user's function raises; then none follows.

        Threads: the receiver. Waits as ``Reconnecting.attempt``.
        """
        reconnecting = self._reconnecting
        if reconnecting is None or not self.may_follow or lost.is_left or loss.code not in _RECOVERABLE:
            self.end()
            return False
        try:
            self._turns.get_nowait()
        except queue.Empty:
            return False  # another thread is at it
        try:
            made = reconnecting.attempt(loss, self.stop) if lost is self.current else None
            if made is not None:
                adopt(made)
                made.feeds = self.feeds
                made.start()
                self._all = (*self._all, made)
                if self._is_over():  # closed meanwhile: either this sees it, or close() sees the new line
                    made.close()
        finally:
            if lost is self.current:
                self.may_follow = False
            self._turns.put(None)
            self._changes.put(None)
            self._wake_feeds()
        return lost is not self.current

    def _is_over(self) -> bool:
        return not self.may_follow

    def end(self) -> None:
        """Let none follow. Takes no lock."""
        self.may_follow = False
        self.stop.put(None)
        self._changes.put(None)
        self._wake_feeds()

    def _wake_feeds(self) -> None:
        for signals in list(self.feeds):
            signals.put(LOOK)

    def next_after(self, lost: Line, seconds: float) -> Optional[Line]:
        """Wait for the line that follows a lost one; None where none does in time.

        Threads: a feed.
        """
        while lost is self.current and self.may_follow:
            try:
                self._changes.get(timeout=seconds)
            except queue.Empty:
                return None
        self._changes.put(None)  # for other feeds
        return None if lost is self.current else self.current

    # ---- what was heard on all of them

    @property
    def text(self) -> str:
        """All that was heard."""
        return "".join(line.results.hearing.text for line in self._all)

    @property
    def words(self) -> list[TimedWord]:
        """When the words were said, in seconds of all the audio that was sent."""
        found: list[TimedWord] = []
        before = 0.0
        for line in self._all:
            found += [
                TimedWord(each.word, each.start + before, each.end + before) for each in line.results.hearing.words
            ]
            before += self.seconds(line.results.audio_bytes)
        return found

    def audio_bytes_before(self, line: Line) -> int:
        """Return how much audio was sent on the lines before one."""
        lines = self._all
        return sum(each.results.audio_bytes for each in lines[: lines.index(line)])

    @property
    def audio_seconds(self) -> float:
        """How much audio was sent."""
        return self.seconds(sum(line.results.audio_bytes for line in self._all))

    def seconds(self, audio_bytes: int) -> float:
        """Return how long so many bytes play."""
        return audio_bytes / ENCODINGS[self._format.encoding] / self._format.sample_rate
