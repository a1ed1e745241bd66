"""Speaking a text: sentences in, chunks of audio out, in the sizes and at the pace that the server's options set.

What a context on a WebSocket and a request over HTTP have in common. While one stretch of speech is streamed the next
one is made, and no more than that.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Awaitable
from dataclasses import replace
from typing import Callable, NamedTuple, Optional, Union

from .requests import ApiError, GenerationRequest
from .settings import ServerOptions
from .voice.pronunciation import Pronunciation, TooLongError, Written, WrittenTimes
from .voice.speech import Speaker, SpeechError, Spoken
from .voice.timing import Timed
from .voice.transcript import Phrase, Sentence, Stretch, Style, in_stretches, read_tags

__all__ = ["Backlog", "Chunk", "ConcurrencyLimit", "Generation"]

_NO_DICTIONARY = Pronunciation(())
_MOST_HELD = 8 * 1024**2  # bytes, of one peer
_MOST_HELD_BY_ALL = 256 * 1024**2
_USUAL_BYTES = 256 * 1024  # of a stretch that is not made yet


class ConcurrencyLimit:
    """How many generations may run at one time, on the whole server.

    Attributes:
        limit: How many; ``None`` for any number. A lower one stops none that runs.
        held_bytes: The audio of all that is made and not sent. Kept by ``Backlog``.
        spoken: How many characters were spoken on each day (UTC). Kept by ``Generation``.

    Threads: the server's loop only; ``limit`` may be read and set by any.
    """

    def __init__(self, limit: Optional[int]) -> None:
        self.limit = limit
        self.held_bytes = 0
        self.spoken: Counter[datetime.date] = Counter()
        self._taken = 0

    def acquire(self) -> None:
        """Take a slot.

        Raises:
            ApiError: 429, none is left.
        """
        limit = self.limit
        if limit is not None and self._taken >= limit:
            raise ApiError(
                429,
                "Too many concurrent requests",
                "The concurrency limit has been reached; wait for another generation to end.",
                error_code="concurrency_limited",
            )
        self._taken += 1

    def state(self) -> tuple[int, Optional[int]]:
        """Return how many are taken, and of how many."""
        return self._taken, self.limit

    def release(self) -> None:
        """Return a slot that was taken."""
        self._taken -= 1


class Backlog:
    """The audio of one peer that is made and not sent.

    A peer that reads gets as many stretches of speech as it has contexts, and each the next one. For one that does not
    read no more is made than 8 MiB; where all together hold 256 MiB, one stretch.

    Attributes:
        is_stuck: Whether the peer's socket is full. ``wake`` is to be called when that ends.

    Args:
        concurrency: The server's limit, which counts what all hold.
        is_paced: Audio is held back by the pace that was asked for, and not by the peer alone.

    Threads: the server's loop only.
    """

    def __init__(self, concurrency: ConcurrencyLimit, *, is_paced: bool) -> None:
        self.is_stuck = False
        self._concurrency = concurrency
        self._is_paced = is_paced
        self._held = 0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []  # a heap
        self._numbers = itertools.count()  # who came first, of those that are due together

    async def begin(self, due: float) -> int:
        """Wait until another stretch may be made; return how many bytes it counts until it is.

        Args:
            due: When its audio is needed, on the loop's clock. Who is due first is first.
        """
        if not self._waiting and self._has_room():
            self._count(_USUAL_BYTES)
            return _USUAL_BYTES
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (due, next(self._numbers), turn))
        self.wake()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given in this very round
                self.change(_USUAL_BYTES, 0)
            raise
        return _USUAL_BYTES

    def change(self, before: int, after: int) -> int:
        """Count a stretch anew, 0 when it has been sent; return the new count."""
        self._count(after - before)
        self.wake()
        return after

    def wake(self) -> None:
        """Let those that wait make as much as there is room for."""
        while self._waiting and self._has_room():
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._count(_USUAL_BYTES)
                turn.set_result(None)

    def _has_room(self) -> bool:
        if self._held == 0 or (self._is_paced and not self.is_stuck):
            return True
        return self._held < _MOST_HELD and self._concurrency.held_bytes < _MOST_HELD_BY_ALL

    def _count(self, by: int) -> None:
        self._held += by
        self._concurrency.held_bytes += by


class Chunk(NamedTuple):
    """Some audio, and when the words and phonemes that end in it are heard: seconds from the generation's start."""

    audio: bytes
    step_time_ms: float
    words: list[Timed]
    phonemes: list[Timed]


class _Made(NamedTuple):
    """A stretch of a sentence that is made, what is written for all of the sentence, and what the backlog counts."""

    spoken: Spoken
    written: Optional[list[Written]]
    begins_in_word: bool
    is_last: bool
    counted: int


class _SentenceEnds:
    """All stretches of a sentence have been made."""


class Generation:
    """A text that is spoken sentence by sentence, by one voice and in one audio format.

    Holds a slot of the concurrency limit from its first sentence until it is closed.

    Args:
        first: The request that asks for it. Its voice and audio format are the generation's.
        options: The server's.
        speaker: The server's voice.
        concurrency: The server's limit.
        backlog: The peer's; ``None`` for one of the generation's own.
        pronunciation: The dictionary that the request names, or ``None``.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        first: GenerationRequest,
        *,
        options: ServerOptions,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        backlog: Optional[Backlog] = None,
        pronunciation: Optional[Pronunciation] = None,
    ) -> None:
        self._voice = first.voice
        self._audio_format = first.audio_format
        self._wants_words = first.add_timestamps
        self._wants_phonemes = first.add_phoneme_timestamps
        self._options = options
        self._speaker = speaker
        self._concurrency = concurrency
        self._backlog = backlog or Backlog(concurrency, is_paced=False)
        self._pronunciation = pronunciation
        self._loop = asyncio.get_running_loop()
        self._has_slot = False
        # What is made, by a task of its own: sentences with their numbers and when they came, then their stretches.
        self._task: Optional[asyncio.Task[None]] = None
        self._sentences: asyncio.Queue[tuple[int, float, Sentence]] = asyncio.Queue()
        self._added = 0
        self._made: asyncio.Queue[Union[_Made, _SentenceEnds, Exception]] = asyncio.Queue()
        self._may_make = asyncio.Semaphore(1)  # one stretch ahead of the one that is streamed
        self._style = Style()
        self._ends_at = 0.0  # when what has been made will have been heard
        # What is streamed.
        self._spoken = 0  # sentences
        self._sample_count = 0  # since times began at 0
        self._next_due: Optional[float] = None

    def add(self, sentence: Sentence) -> None:
        """Take another sentence, to be made as soon as it is its turn."""
        self._sentences.put_nowait((self._added, self._loop.time(), sentence))
        self._added += 1
        if self._task is None:
            self._task = self._loop.create_task(self._make())

    def drop_rest(self) -> None:
        """Make none of the sentences for which ``speak`` was not called yet."""
        waiting = [self._sentences.get_nowait() for _ in range(self._sentences.qsize())]
        for each in waiting:
            if each[0] < self._spoken:
                self._sentences.put_nowait(each)

    async def speak(self, emit: Callable[[Chunk], Awaitable[None]]) -> None:
        """Emit the next sentence's chunks, each at its time.

        Raises:
            ApiError: 429, the concurrency limit has been reached; 400, the sentence is too long as it is to be spoken;
                or 500, the engine failed.
        """
        began = self._loop.time()
        self._spoken += 1
        written: Optional[WrittenTimes] = None
        while True:
            made = await self._made.get()
            if isinstance(made, _SentenceEnds):
                return
            if isinstance(made, Exception):
                raise made
            self._may_make.release()
            try:
                offset = self._sample_count / self._audio_format.sample_rate_hz
                words = [time.later(offset) for time in made.spoken.words if self._wants_words]
                if made.written is not None and self._wants_words:
                    if written is None:
                        written = WrittenTimes(made.written, offset)
                    words = written.take(words[1:] if made.begins_in_word else words)
                    if made.is_last:
                        words += written.rest()
                await self._stream(made.spoken, words, offset, began, emit)
            finally:
                self._backlog.change(made.counted, 0)
            began = self._loop.time()

    def restart_times(self) -> None:
        """Let the times of what follows begin at 0 again."""
        self._sample_count = 0

    def close(self) -> None:
        """Return the slot, and make no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        while not self._made.empty():
            made = self._made.get_nowait()
            if isinstance(made, _Made):
                self._backlog.change(made.counted, 0)
        if self._has_slot:
            self._has_slot = False
            self._concurrency.release()

    # ---- what is made, ahead of what is streamed

    async def _make(self) -> None:
        try:
            while True:
                _, came, sentence = await self._sentences.get()
                await self._make_sentence(sentence, came)
                self._made.put_nowait(_SentenceEnds())
        except Exception as exc:  # of any kind: speak() waits for it, and raises it
            self._made.put_nowait(exc)

    async def _make_sentence(self, sentence: Sentence, came: float) -> None:
        if not self._has_slot:
            self._concurrency.acquire()
            self._has_slot = True
        self._concurrency.spoken[datetime.datetime.now(datetime.timezone.utc).date()] += len(sentence.text)
        stretches, written = await self._read(sentence)
        for number, stretch in enumerate(stretches):
            await self._may_make.acquire()
            due = max(came, self._ends_at)
            counted = await self._backlog.begin(due)
            try:
                spoken = await self._speaker.speak(
                    stretch.parts,
                    self._voice,
                    self._audio_format,
                    due=due,
                )
                counted = self._backlog.change(counted, len(spoken.audio))
            except SpeechError as exc:
                self._backlog.change(counted, 0)
                raise ApiError(500, "Internal server error", str(exc)) from exc
            except BaseException:  # a cancel too: it is counted no more
                self._backlog.change(counted, 0)
                raise
            self._ends_at = max(self._loop.time(), self._ends_at) + spoken.seconds / (self._options.pace or 1)
            begins_in_word = stretch.begins_in_word and not self._voice.by_character
            self._made.put_nowait(_Made(spoken, written, begins_in_word, number == len(stretches) - 1, counted))

    async def _read(self, sentence: Sentence) -> tuple[list[Stretch], Optional[list[Written]]]:
        """Return what is to be spoken, and what is written for it if that is something else."""
        style = replace(self._style, speed=sentence.speed, volume=sentence.volume)
        phonemes, by_character = self._options.inline_phonemes, self._voice.by_character
        parts, self._style = read_tags(
            sentence.text, style, whole_spell=self._options.whole_spell, inline_phonemes=phonemes
        )
        written = None
        if self._pronunciation is not None:
            apply = functools.partial(
                self._pronunciation.apply, parts, by_character=by_character, inline_phonemes=phonemes
            )
            try:  # on another thread: a large dictionary would hold up everybody else
                parts, written = await self._loop.run_in_executor(None, apply)
            except TooLongError as exc:
                raise ApiError(400, "Invalid transcript", "As the dictionary has it, a sentence is too long.") from exc
        elif any(isinstance(part, Phrase) and part.spans for part in parts):
            parts, written = _NO_DICTIONARY.apply(parts, by_character=by_character, inline_phonemes=phonemes)
        stretches = in_stretches(parts)
        if written is None and any(stretch.begins_in_word for stretch in stretches):
            _, written = _NO_DICTIONARY.apply(parts, by_character=by_character)
        return stretches, written

    # ---- what is streamed

    async def _stream(
        self,
        spoken: Spoken,
        timed_words: list[Timed],
        offset: float,
        began: float,
        emit: Callable[[Chunk], Awaitable[None]],
    ) -> None:
        """Emit a stretch chunk by chunk, each with the times of what ends in it."""
        sample_bytes, rate_hz = self._audio_format.sample_bytes, self._audio_format.sample_rate_hz
        step = self._audio_format.whole_samples(self._options.chunk_bytes)
        words = deque(timed_words)
        phonemes = deque(time.later(offset) for time in spoken.phonemes if self._wants_phonemes)
        for start in range(0, len(spoken.audio), step):
            audio = spoken.audio[start : start + step]
            await self._keep_pace(len(audio) / sample_bytes / rate_hz)
            self._sample_count += len(audio) // sample_bytes
            until = math.inf if start + step >= len(spoken.audio) else self._sample_count / rate_hz
            step_time_ms = 1000 * (self._loop.time() - began)
            await emit(Chunk(audio, step_time_ms, _take_until(words, until), _take_until(phonemes, until)))
            began = self._loop.time()

    async def _keep_pace(self, seconds: float) -> None:
        """Wait until a chunk of this length is due; the first one is due at once."""
        if self._options.pace is None:
            return
        now = self._loop.time()
        # A late stream does not hurry to catch up.
        due = now if self._next_due is None else max(now, self._next_due)
        self._next_due = due + seconds / self._options.pace
        await asyncio.sleep(due - now)  # the pace that was asked for


def _take_until(times: deque[Timed], until: float) -> list[Timed]:
    taken = []
    while times and times[0].end <= until:
        taken.append(times.popleft())
    return taken
