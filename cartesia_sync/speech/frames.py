"""Audio in frames of one length, as telephones and voice calls take it, out of chunks of any length."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, Optional

from ..audio.framing import format_of
from ..closing import Closing
from ..protocol.events import BaseEvent, Chunk, Event, Timestamps
from ..protocol.formats import RawFormat
from .timeline import Timeline, first_start
from .words import Aligner, Word

_NO_WORDS: tuple[Word, ...] = ()


class Frame(NamedTuple):
    """Some milliseconds of audio.

    Attributes:
        audio: Always of the same length; the last one is filled up with the encoding's silence.
        start: Seconds from the beginning of the audio.
        words: Those that begin by the end of this frame, are known when it leaves, and were in none before it. Each
            word is in one frame, but for one whose times come after the last frame has left.
        flush_ids: The numbers of the flushes that its audio is of; none where the service does not say.
    """

    audio: bytes
    start: float
    words: tuple[Word, ...]
    flush_ids: tuple[int, ...]


class Frames(Closing):
    """An iterator over frames; made by ``Context.frames`` and ``frames_of``.

    After an interrupt it goes on where it was. Audio that waits in it for the rest of its frame is no more in the
    context, though.

    Threads: one at a time. Waits as the iterator of the events does.
    """

    def __init__(
        self,
        events: Iterator[Event],
        ms: float,
        *,
        transcript: Callable[[], str] = str,
        is_dropped: Callable[[], bool] = bool,
    ) -> None:
        self._events = events
        self._peek: Optional[Callable[[], Any]] = getattr(events, "peek", None)
        self._ms = ms
        self._transcript = transcript
        self._is_dropped = is_dropped
        self._kept: Optional[Event] = None
        self._has_ended = False
        # The audio that waits, and where in it the next frame begins. A frame is longer than all until it is known.
        self._format: Optional[RawFormat] = None
        self._waiting = b""
        self._at = 0
        self._size = 1 << 62
        self._seconds = 0.0  # of a frame
        self._given = 0
        # Where in it each flush ends, with its number; and the numbers of all frames, where that is one flush.
        self._flushes: list[tuple[int, Optional[int]]] = []
        self._flush_ids: Optional[tuple[int, ...]] = ()
        self._audio_bytes = 0  # that have come
        self._flush_starts: dict[int, int] = {}
        self._timeline = Timeline(self._start_of_flush)
        self._aligner = Aligner()
        self._known = ""
        self._words: list[Word] = []
        self._word = 0  # the next one
        self._word_start = math.inf

    def __iter__(self) -> Frames:
        return self

    def __next__(self) -> Frame:
        while True:
            at = self._at
            end = at + self._size
            if end > len(self._waiting):
                if not self._has_ended:
                    self._fetch()
                    continue
                return self._last()
            if self._is_dropped():
                raise StopIteration
            given = self._given + 1
            word, words = self._word, _NO_WORDS
            if self._word_start < given * self._seconds:
                word = next(
                    (n for n in range(word, len(self._words)) if self._words[n].start >= given * self._seconds),
                    len(self._words),
                )
                words = tuple(self._words[self._word : word])
            flush_ids = self._flush_ids
            if flush_ids is None:
                flush_ids = self._flushes_of(at, end)
            frame = Frame(self._waiting[at:end], self._given * self._seconds, words, flush_ids)
            if words:
                self._word_start = self._words[word].start if word < len(self._words) else math.inf
            # The last act, of plain stores: an interrupt comes before all of them, or after the frame was given.
            self._at, self._given, self._word = end, given, word
            return frame

    def close(self) -> None:
        """Close what it iterates, if that can be closed. Idempotent. Threads: as the ``close`` of that."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

    def _fetch(self) -> None:
        """Wait for the next event, and keep what it brings; it is kept before it is taken."""
        found = None if self._peek is None else self._peek()
        if isinstance(found, BaseEvent):
            self._keep(found)  # type: ignore[arg-type]  # an event has that base
        try:
            event = next(self._events)
        except StopIteration:
            self._has_ended = True
            return
        self._keep(event)

    def _keep(self, event: Event) -> None:
        if event is self._kept:
            return
        if isinstance(event, Chunk) and event.audio:
            self._keep_audio(event)
        elif isinstance(event, Timestamps):
            self._keep_words(event)
        else:
            self._kept = event

    def _keep_audio(self, chunk: Chunk) -> None:
        if self._format is None:
            audio_format = format_of(chunk)
            size = frame_bytes(audio_format, self._ms)
            self._seconds = audio_format.seconds(size)
            self._size = size
            self._format = audio_format
        at, flush_id = self._at, chunk.flush_id
        waiting = self._waiting[at:] + chunk.audio
        flushes = [(end - at, number) for end, number in self._flushes if end > at]
        if flushes and flushes[-1][1] == flush_id:
            del flushes[-1]
        flushes.append((len(waiting), flush_id))
        flush_ids = None if len(flushes) > 1 else (() if flush_id is None else (flush_id,))
        starts = self._flush_starts
        if flush_id is not None and flush_id not in starts:
            starts = {**starts, flush_id: self._audio_bytes}
        audio_bytes = self._audio_bytes + len(chunk.audio)
        # Plain stores, one step: an interrupt finds none or all of them.
        self._kept = chunk
        self._waiting, self._at = waiting, 0
        self._flushes, self._flush_ids = flushes, flush_ids
        self._flush_starts, self._audio_bytes = starts, audio_bytes

    def _keep_words(self, event: Timestamps) -> None:
        transcript = self._transcript()
        timeline, aligner = copy.copy(self._timeline), copy.copy(self._aligner)
        if transcript != self._known:
            aligner.set_transcript(transcript)
        words = [*self._words[self._word :], *aligner.feed(timeline.feed(event))]
        word_start = words[0].start if words else math.inf
        # One step, as above.
        self._kept, self._known, self._timeline, self._aligner = event, transcript, timeline, aligner
        self._words, self._word, self._word_start = words, 0, word_start

    def _flushes_of(self, at: int, end: int) -> tuple[int, ...]:
        numbers, start = [], 0
        for stop, number in self._flushes:
            if start < end and stop > at and number is not None:
                numbers.append(number)
            start = stop
        return tuple(dict.fromkeys(numbers))

    def _last(self) -> Frame:
        """Return what is left, filled up; a part of a sample is none."""
        audio_format, rest = self._format, self._waiting[self._at :]
        size = 0 if audio_format is None else len(rest) - len(rest) % audio_format.sample_bytes
        if not size or audio_format is None or self._is_dropped():
            raise StopIteration
        audio = rest[:size] + audio_format.silence(self._size - size)
        words = tuple(self._words[self._word :])
        flush_ids = self._flushes_of(self._at, len(self._waiting))
        frame = Frame(audio, self._given * self._seconds, words, flush_ids)
        self._at, self._given, self._word = len(self._waiting), self._given + 1, len(self._words)
        return frame

    def _start_of_flush(self, flush_id: int) -> Optional[float]:
        start = first_start(self._flush_starts.items(), flush_id)
        return None if start is None or self._format is None else self._format.seconds(start)


def frames_of(events: Iterable[Event], ms: float = 20) -> Frames:
    """Iterate the audio of events in frames of one length, such as the 160 bytes of 20 ms that telephones take.

    Args:
        events: What ``receive``, ``speak``, ``record`` or ``tts.generate_sse`` give; those of one context.
        ms: The length of a frame in milliseconds; with the sample rate it makes whole samples.

    Returns an iterator over ``Frame``. An error event is raised only where ``events`` raises it. ``Context.frames``
    raises it, and fits the words to the transcript.

    Raises, here or at the first audio:
        ValueError, TypeError: The length is none, or makes no whole samples; or the chunks do not know their encoding.

    Threads: one at a time. Waits as ``events`` does.
    """
    return Frames(iter(events), checked_ms(ms))


def checked_ms(ms: float) -> float:
    """Return a frame's length.

    Raises:
        ValueError, TypeError: It is none.
    """
    if isinstance(ms, bool) or not isinstance(ms, (int, float)):
        raise TypeError(f"ms is a number of milliseconds; got {type(ms).__name__}")
    if not (math.isfinite(ms) and ms > 0):
        raise ValueError(f"ms is a number of milliseconds above 0; got {ms!r}")
    return ms


def frame_bytes(audio_format: RawFormat, ms: float) -> int:
    """Return the length of a frame in bytes.

    Raises:
        ValueError: It makes no whole samples.
    """
    samples = audio_format.sample_rate * ms / 1000
    if round(samples) < 1 or abs(samples - round(samples)) > 1e-6:
        raise ValueError(
            f"a frame of {ms} ms has {samples:g} samples at {audio_format.sample_rate} Hz; they must be whole"
        )
    return round(samples) * audio_format.sample_bytes
