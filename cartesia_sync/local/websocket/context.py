"""One context on a WebSocket: text is collected into sentences, spoken, and streamed as events, until it is done.

A context speaks sentence after sentence. Its audio depends on what was requested and in which order, not on when: only
a buffer delay that runs out lets the clock decide where a sentence is cut. Each sentence begins a new chunk, so that no
audio waits for text which has not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Callable, Optional, Union

from .. import events
from ..generation import Chunk, ConcurrencyLimit, Generation
from ..requests import ApiError, GenerationRequest
from ..settings import ServerOptions
from ..voice.audio_format import AudioFormat
from ..voice.pronunciation import Pronunciation
from ..voice.speech import Speaker
from ..voice.transcript import Sentence, TagWatch, TextBuffer, has_words

__all__ = ["Context"]


@dataclass(frozen=True)
class _SegmentEnds:
    """A flush: what follows is the next segment."""

    announce: bool


@dataclass(frozen=True)
class _SegmentWillEnd:
    """A flush that is announced as soon as it is received, before its audio."""


@dataclass(frozen=True)
class _End:
    """Nothing follows."""

    with_done: bool


_Work = Union[Sentence, _SegmentWillEnd, _SegmentEnds, _End]


class Context:
    """One context on one connection.

    Attributes:
        id: The client's name for it.
        sent: How many of its event frames have been sent; counted by the connection, which sends them.
        is_over: Its last event has been handed out, or it was stopped.

    Args:
        first: The request that opens it. Its voice, model and audio format are the context's.
        options: The server's.
        speaker: The server's voice.
        concurrency: The server's limit of generations.
        send: Sends one event of this context. Waits while the socket is slow, so that no audio piles up here.
        pronunciation: The dictionary that the first request names, or ``None``.

    Threads: the server's loop only.
    """

    def __init__(
        self,
        first: GenerationRequest,
        *,
        options: ServerOptions,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        send: Callable[[str, Context], Awaitable[None]],
        pronunciation: Optional[Pronunciation] = None,
    ) -> None:
        self.id = first.context_id
        self.sent = 0
        self.is_over = False
        self._first = first
        self._options = options
        self._generation = Generation(
            first, options=options, speaker=speaker, concurrency=concurrency, pronunciation=pronunciation
        )
        self._send_event = send
        self._loop = asyncio.get_running_loop()
        # Text that has come, and what is to be done with text that is ready.
        self._buffer = TextBuffer()
        self._tag_watch = TagWatch(tags=options.strict_tags, phonemes=options.strict_phonemes)
        self._buffer_timer: Optional[asyncio.TimerHandle] = None
        self._work: asyncio.Queue[_Work] = asyncio.Queue()
        self._is_finishing = False
        # What has been streamed.
        self._flush_id = 1
        self._last_audio: Optional[float] = None

    @property
    def audio_format(self) -> AudioFormat:
        """The format of its audio."""
        return self._first.audio_format

    # ---- called by the connection, never waits

    def add(self, request: GenerationRequest) -> None:
        """Accept a request for this context, the first one included.

        Raises:
            ApiError: It accepts no more; or the request differs from the first in what may not change, or parts a tag.
        """
        if self._is_finishing:
            raise _closed(self.id, "Its last request was already sent.")
        self._check_same(request)
        parted = self._tag_watch.add(request.transcript)
        if parted is not None:
            raise ApiError(
                400,
                "Invalid transcript",
                f"The tag {parted!r} came in more than one request; it has to be whole in one.",
                context_id=self.id,
            )
        delay = request.max_buffer_delay
        if delay is None:
            delay = self._options.default_buffer_delay
        ready = self._buffer.add(request.transcript, speed=request.speed, volume=request.volume)
        was_cut = bool(ready)
        if request.flush or not request.continue_ or delay == 0:
            ready += self._buffer.take_rest()
        is_implicit_flush = self._options.unasked_flush_done and delay == 0 and has_words(request.transcript)
        ends_segment = request.flush or is_implicit_flush
        if ends_segment and self._options.early_flush_done:
            self._work.put_nowait(_SegmentWillEnd())
        for sentence in ready:
            self._work.put_nowait(sentence)
        if ends_segment:
            self._work.put_nowait(_SegmentEnds(announce=not self._options.early_flush_done))
        if not request.continue_:
            self._finish(with_done=True)
        self._start_buffer_timer(delay, restart=was_cut)

    def drop_rest(self, *, with_done: bool) -> None:
        """Drop what has not begun; the sentence that is being spoken is spoken to its end."""
        while not self._work.empty():
            self._work.get_nowait()
        self._buffer.take_rest()
        self._finish(with_done=with_done)

    def stop(self) -> None:
        """Begin nothing more. The connection, which started the running task, cancels it."""
        self.is_over = True
        if self._buffer_timer is not None:
            self._buffer_timer.cancel()

    def _check_same(self, request: GenerationRequest) -> None:
        # The official client closes a context with its own defaults, so a request without words may differ.
        if not self._options.strict_fields or not has_words(request.transcript):
            return
        for field, name in (("model_id", "model"), ("voice", "voice"), ("audio_format", "output_format")):
            if getattr(request, field) != getattr(self._first, field):
                raise _closed(self.id, f"{name} and language cannot change in a context.")

    def _finish(self, *, with_done: bool) -> None:
        self._is_finishing = True
        self._work.put_nowait(_End(with_done))

    def _start_buffer_timer(self, delay: float, *, restart: bool) -> None:
        """Hold text for ``delay`` seconds at most, counted from when the oldest of it came."""
        if self._buffer_timer is not None and (restart or not self._buffer):
            self._buffer_timer.cancel()
            self._buffer_timer = None
        if self._buffer and self._buffer_timer is None:
            self._buffer_timer = self._loop.call_later(delay, self._release_buffer)

    def _release_buffer(self) -> None:
        self._buffer_timer = None
        for sentence in self._buffer.take_rest():
            self._work.put_nowait(sentence)

    # ---- the context's own task

    async def run(self) -> None:
        """Speak until the end, which is requested, or comes when nothing has been requested for a while.

        Raises:
            ApiError: It cannot go on; the client is to be informed.
            ContextStoppedError: Raised by ``send``.
        """
        try:
            while True:
                item = await self._next()
                if isinstance(item, Sentence):
                    await self._generation.speak(item, self._send_chunk)
                elif isinstance(item, _SegmentWillEnd):
                    await self._send(events.flush_done_event(self.id, self._flush_id))
                elif isinstance(item, _SegmentEnds):
                    if item.announce:
                        await self._send(events.flush_done_event(self.id, self._flush_id))
                    self._flush_id += 1
                    if self._options.timestamps_restart:
                        self._generation.restart_times()
                else:
                    self.is_over = True
                    if item.with_done:
                        await self._send(events.done_event(self.id))
                    return
        except ApiError as exc:
            exc.context_id = self.id
            raise
        finally:
            self.stop()
            self._generation.close()

    async def _next(self) -> _Work:
        """Wait for what to do next; the end, if nothing comes in time."""
        while self._work.empty():
            try:
                return await asyncio.wait_for(self._work.get(), self._time_to_expiry())
            except asyncio.TimeoutError:
                if not self._buffer and self._work.empty():
                    self._is_finishing = True
                    return _End(self._options.done_at_expiry)
        return self._work.get_nowait()

    def _time_to_expiry(self) -> Optional[float]:
        """Return seconds until the expiry. It counts from the last audio, and does not run while text is held."""
        if self._options.expiry is None or self._last_audio is None or self._buffer:
            return None
        return max(0.0, self._last_audio + self._options.expiry - self._loop.time())

    async def _send_chunk(self, chunk: Chunk) -> None:
        """Send a chunk, followed by the times of what ends in it."""
        flush_id = self._flush_id if self._options.flush_id_on_chunks else None
        await self._send(events.chunk_event(self.id, chunk.audio, flush_id, chunk.step_time_ms))
        self._last_audio = self._loop.time()
        for times, are_phonemes in ((chunk.words, False), (chunk.phonemes, True)):
            if times:
                await self._send(events.timestamps_event(self.id, times, flush_id, phonemes=are_phonemes))

    async def _send(self, event: str) -> None:
        await self._send_event(event, self)


def _closed(context_id: str, why: str) -> ApiError:
    return ApiError(400, "Context has closed", why, context_id=context_id)
