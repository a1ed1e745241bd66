"""One context's life: text is gathered into sentences, spoken, and streamed as events; until it is done.

A context speaks sentence after sentence. Its audio is a matter of what it was asked, in which order, and not of when:
only a buffer delay that runs out lets the clock decide where a sentence is cut. A new chunk begins with each sentence,
so that no audio waits for text which has not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Callable, Optional, Union

from .. import events
from ..generation import Chunk, ConcurrencyLimit, Generation
from ..requests import ApiError, AudioFormat, GenerationRequest
from ..settings import Rules
from ..voice.pronunciation import Pronunciation
from ..voice.speech import Speaker
from ..voice.transcript import Sentence, TextBuffer, has_words

__all__ = ["Context", "ContextStoppedError"]


class ContextStoppedError(Exception):
    """Raised by ``post``: this context is to say nothing any more."""


@dataclass(frozen=True)
class _SegmentEnds:
    """A flush: what comes behind it is the next segment."""

    announce: bool


@dataclass(frozen=True)
class _SegmentWillEnd:
    """A flush that is announced as soon as it is heard, before its audio."""


@dataclass(frozen=True)
class _End:
    """Nothing follows."""

    with_done: bool


_Work = Union[Sentence, _SegmentWillEnd, _SegmentEnds, _End]


class Context:
    """One context on one connection.

    Attributes:
        id: What the client calls it.
        sent: How many of its event frames have been sent; counted by whoever sends them.
        over: Its last event has been handed out, or it was stopped.

    Args:
        first: The request that opens it. Its voice, model and format are the context's.
        rules: The server's switches.
        speaker: The server's voice.
        units: The server's limit of contexts at work.
        post: Sends one event of this context. Waits while the socket is slow, so that no audio piles up here.
        respelling: The dictionary that the first request names, or ``None``.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        first: GenerationRequest,
        *,
        rules: Rules,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        post: Callable[[str, Context], Awaitable[None]],
        pronunciation: Optional[Pronunciation] = None,
    ) -> None:
        self.id = first.context_id
        self.sent = 0
        self.over = False
        self._first = first
        self._rules = rules
        self._generation = Generation(
            first, rules=rules, speaker=speaker, concurrency=concurrency, pronunciation=pronunciation
        )
        self._post = post
        self._loop = asyncio.get_running_loop()
        # Text that has come, and what is to be done with text that is ready.
        self._buffer = TextBuffer()
        self._buffer_timer: Optional[asyncio.TimerHandle] = None
        self._work: asyncio.Queue[_Work] = asyncio.Queue()
        self._finishing = False
        # What has been streamed.
        self._flush_id = 1
        self._last_audio: Optional[float] = None

    @property
    def output_format(self) -> AudioFormat:
        """The form of its audio."""
        return self._first.output_format

    # ---- asked by the connection, at once

    def ask(self, request: GenerationRequest) -> None:
        """Take in a request for this context, the first one included.

        Raises:
            RefusedError: No more is taken, or the request is for another voice than the ones before.
        """
        if self._finishing:
            raise _closed(self.id, "Its last request was already sent.")
        self._check_same(request)
        delay = request.max_buffer_delay
        if delay is None:
            delay = self._rules.default_buffer_delay
        ready = self._buffer.add(request.transcript, speed=request.speed, volume=request.volume)
        cut = bool(ready)
        if request.flush or not request.continue_ or delay == 0:
            ready += self._buffer.take_rest()
        unasked = self._rules.unasked_flush_done and delay == 0 and has_words(request.transcript)
        ends_segment = request.flush or unasked
        if ends_segment and self._rules.early_flush_done:
            self._work.put_nowait(_SegmentWillEnd())
        for sentence in ready:
            self._work.put_nowait(sentence)
        if ends_segment:
            self._work.put_nowait(_SegmentEnds(announce=not self._rules.early_flush_done))
        if not request.continue_:
            self._end(with_done=True)
        self._hold_rest(delay, fresh=cut)

    def drop_rest(self, *, with_done: bool) -> None:
        """Forget what has not been begun; the sentence that is being spoken is spoken to its end."""
        while not self._work.empty():
            self._work.get_nowait()
        self._buffer.take_rest()
        self._end(with_done=with_done)

    def stop(self) -> None:
        """Let nothing begin any more. What runs is cancelled by whoever started it."""
        self.over = True
        if self._buffer_timer is not None:
            self._buffer_timer.cancel()

    def _check_same(self, request: GenerationRequest) -> None:
        # The official client closes with its own defaults; so without words a request may say what it likes.
        if not self._rules.strict_fields or not has_words(request.transcript):
            return
        for field in ("model_id", "voice", "output_format"):
            if getattr(request, field) != getattr(self._first, field):
                raise _closed(self.id, f"{field.partition('_id')[0]} and language cannot change in a context.")

    def _end(self, *, with_done: bool) -> None:
        self._finishing = True
        self._work.put_nowait(_End(with_done))

    def _hold_rest(self, delay: float, *, fresh: bool) -> None:
        """See to it that text is held ``delay`` seconds at most, from when the oldest of it came."""
        if self._buffer_timer is not None and (fresh or not self._buffer):
            self._buffer_timer.cancel()
            self._buffer_timer = None
        if self._buffer and self._buffer_timer is None:
            self._buffer_timer = self._loop.call_later(delay, self._hold_no_longer)

    def _hold_no_longer(self) -> None:
        self._buffer_timer = None
        for sentence in self._buffer.take_rest():
            self._work.put_nowait(sentence)

    # ---- the context's own task

    async def run(self) -> None:
        """Speak until the end: asked for, or after nothing has come for a while.

        Raises:
            RefusedError: It cannot go on; the client is to be told.
            ContextStoppedError: As ``post`` wished.
        """
        try:
            while True:
                item = await self._next()
                if isinstance(item, Sentence):
                    await self._generation.read(item, self._send_chunk)
                elif isinstance(item, _SegmentWillEnd):
                    await self._say(events.flush_done_event(self.id, self._flush_id))
                elif isinstance(item, _SegmentEnds):
                    if item.announce:
                        await self._say(events.flush_done_event(self.id, self._flush_id))
                    self._flush_id += 1
                    if self._rules.timestamps_restart:
                        self._generation.restart_times()
                else:
                    self.over = True
                    if item.with_done:
                        await self._say(events.done_event(self.id))
                    return
        except ApiError as exc:
            exc.context_id = self.id
            raise
        finally:
            self.stop()
            self._generation.close()

    async def _next(self) -> _Work:
        """Wait for what is to be done next; the end, if nothing comes in time."""
        while self._work.empty():
            try:
                return await asyncio.wait_for(self._work.get(), self._patience())
            except asyncio.TimeoutError:
                if not self._buffer and self._work.empty():
                    self._finishing = True
                    return _End(self._rules.done_at_expiry)
        return self._work.get_nowait()

    def _patience(self) -> Optional[float]:
        """How long to wait for more: until the expiry, which begins with audio, and spares text that is held."""
        if self._rules.expiry is None or self._last_audio is None or self._buffer:
            return None
        return max(0.0, self._last_audio + self._rules.expiry - self._loop.time())

    async def _send_chunk(self, piece: Chunk) -> None:
        """Send a piece as a chunk, followed by the times of what ends in it."""
        flush_id = self._flush_id if self._rules.flush_id_on_chunks else None
        await self._say(events.chunk_event(self.id, piece.audio, flush_id, piece.step_time_ms))
        self._last_audio = self._loop.time()
        for times, are_phonemes in ((piece.words, False), (piece.phonemes, True)):
            if times:
                await self._say(events.timestamps_event(self.id, times, flush_id, phonemes=are_phonemes))

    async def _say(self, event: str) -> None:
        await self._post(event, self)


def _closed(context_id: str, why: str) -> ApiError:
    return ApiError(400, "Context has closed", why, context_id=context_id)
