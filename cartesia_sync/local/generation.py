"""Speaking a text: sentences in, chunks of audio out, in the sizes and at the pace that the server's options set.

What a context on a WebSocket and a request over HTTP have in common.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable
from dataclasses import replace
from typing import Callable, NamedTuple, Optional

from .requests import ApiError, GenerationRequest
from .settings import ServerOptions
from .voice.pronunciation import Pronunciation, as_written
from .voice.speech import Speaker, SpeechError, Spoken
from .voice.timing import Timed
from .voice.transcript import Phrase, Sentence, Style, read_tags

__all__ = ["Chunk", "ConcurrencyLimit", "Generation"]

_NO_DICTIONARY = Pronunciation(())


class ConcurrencyLimit:
    """How many generations may run at one time, on the whole server. Not thread-safe: the server's loop only."""

    def __init__(self, limit: Optional[int]) -> None:
        self._limit = limit
        self._taken = 0

    def acquire(self) -> None:
        """Take a slot.

        Raises:
            ApiError: 429, none is left.
        """
        if self._limit is not None and self._taken >= self._limit:
            raise ApiError(
                429,
                "Too many concurrent requests",
                "The concurrency limit has been reached; wait for another generation to end.",
                error_code="concurrency_limited",
            )
        self._taken += 1

    def state(self) -> tuple[int, Optional[int]]:
        """Return how many are taken, and of how many."""
        return self._taken, self._limit

    def release(self) -> None:
        """Return a slot that was taken."""
        self._taken -= 1


class Chunk(NamedTuple):
    """Some audio, and when the words and phonemes that end in it are heard: seconds from the generation's start."""

    audio: bytes
    step_time_ms: float
    words: list[Timed]
    phonemes: list[Timed]


class Generation:
    """A text that is spoken sentence by sentence, by one voice and in one audio format.

    Holds a slot of the concurrency limit from its first sentence until it is closed.

    Args:
        first: The request that asks for it. Its voice and audio format are the generation's.
        options: The server's.
        speaker: The server's voice.
        concurrency: The server's limit.
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
        pronunciation: Optional[Pronunciation] = None,
    ) -> None:
        self._voice = first.voice
        self._audio_format = first.audio_format
        self._wants_words = first.add_timestamps
        self._wants_phonemes = first.add_phoneme_timestamps
        self._options = options
        self._speaker = speaker
        self._concurrency = concurrency
        self._pronunciation = pronunciation
        self._loop = asyncio.get_running_loop()
        self._has_slot = False
        self._style = Style()
        self._sample_count = 0  # since times began at 0
        self._next_due: Optional[float] = None

    async def speak(self, sentence: Sentence, emit: Callable[[Chunk], Awaitable[None]]) -> None:
        """Speak a sentence, and emit its chunks, each at its time.

        Raises:
            ApiError: 429, the concurrency limit has been reached; or 500, the engine failed.
        """
        if not self._has_slot:
            self._concurrency.acquire()
            self._has_slot = True
        began = self._loop.time()
        style = replace(self._style, speed=sentence.speed, volume=sentence.volume)
        phonemes = self._options.inline_phonemes
        parts, self._style = read_tags(
            sentence.text, style, whole_spell=self._options.whole_spell, inline_phonemes=phonemes
        )
        written = None
        if self._pronunciation is not None or any(isinstance(part, Phrase) and part.spans for part in parts):
            pronunciation = self._pronunciation or _NO_DICTIONARY
            parts, written = pronunciation.apply(parts, by_character=self._voice.by_character, inline_phonemes=phonemes)
        if not parts:
            return
        try:
            spoken = await self._speaker.speak(parts, self._voice, self._audio_format)
        except SpeechError as exc:
            raise ApiError(500, "Internal server error", str(exc)) from exc
        if written is not None:
            spoken = spoken._replace(words=as_written(spoken.words, written))
        await self._stream(spoken, began, emit)

    def restart_times(self) -> None:
        """Let the times of what follows begin at 0 again."""
        self._sample_count = 0

    def close(self) -> None:
        """Return the slot. Idempotent."""
        if self._has_slot:
            self._has_slot = False
            self._concurrency.release()

    async def _stream(self, spoken: Spoken, began: float, emit: Callable[[Chunk], Awaitable[None]]) -> None:
        """Emit a sentence chunk by chunk, each with the times of what ends in it."""
        sample_bytes, rate_hz = self._audio_format.sample_bytes, self._audio_format.sample_rate_hz
        step = self._audio_format.whole_samples(self._options.chunk_bytes)
        offset = self._sample_count / rate_hz
        words = deque(time.later(offset) for time in spoken.words if self._wants_words)
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
