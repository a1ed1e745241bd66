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
from ..generation import Backlog, Chunk, ConcurrencyLimit, Generation
from ..requests import ApiError, GenerationRequest
from ..settings import ServerOptions
from ..voice.audio_format import AudioFormat
from ..voice.pronunciation import Pronunciation
from ..voice.speech import Speaker
from ..voice.transcript import Sentence, TagWatch, TextBuffer, has_words

__all__ = ["Context", "TextLimit"]

_MOST_WAITING = 16 * 1024**2
_ITEM_BYTES = 256  # what a sentence costs beside its text, and whatever else waits with the text


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


class TextLimit:
    """How much text may wait to be spoken on one connection: 16 MiB, with what it takes to hold it.

    Threads: the server's loop only.
    """

    def __init__(self) -> None:
        self._waiting = 0

    def take(self, size: int, context_id: str) -> None:
        """Count some more.

        Raises:
            ApiError: 429, it is too much.
        """
        if self._waiting + size > _MOST_WAITING:
            raise ApiError(
                429,
                "Too much text",
                "Too much text waits to be spoken on this connection; send it as it is spoken.",
                context_id=context_id,
            )
        self._waiting += size

    def give(self, size: int) -> None:
        """Count some less."""
        self._waiting -= size


_SENTENCES_A_STEP = 8

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
        backlog: The connection's.
        text_limit: The connection's.
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
        backlog: Backlog,
        text_limit: TextLimit,
        send: Callable[[str, Context], Awaitable[None]],
        pronunciation: Optional[Pronunciation] = None,
    ) -> None:
        self.id = first.context_id
        self.sent = 0
        self.is_over = False
        self._first = first
        self._options = options
        self._generation = Generation(
            first,
            options=options,
            speaker=speaker,
            concurrency=concurrency,
            backlog=backlog,
            pronunciation=pronunciation,
        )
        self._text_limit = text_limit
        self._waiting = 0  # what of the limit is this context's
        self._send_event = send
        self._loop = asyncio.get_running_loop()
        # Text that has come, and what is to be done with text that is ready.
        self._buffer = TextBuffer()
        self._tag_watch = TagWatch(tags=options.strict_tags, phonemes=options.strict_phonemes)
        self._buffer_timer: Optional[asyncio.TimerHandle] = None
        self._work: asyncio.Queue[_Work] = asyncio.Queue()
        self._is_finishing = False
        self._is_splitting = False
        self._is_delay_over = False  # while it was splitting
        # What has been streamed.
        self._flush_id = 1
        self._last_audio: Optional[float] = None

    @property
    def audio_format(self) -> AudioFormat:
        """The format of its audio."""
        return self._first.audio_format

    # ---- called by the connection, one at a time; waits for nobody

    async def add(self, request: GenerationRequest) -> None:
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
        ready = await self._split(request)
        was_cut = bool(ready)
        if self.is_over:
            return  # meanwhile
        if request.flush or not request.continue_ or delay == 0 or self._is_delay_over:
            ready += self._take_rest()
        is_implicit_flush = self._options.unasked_flush_done and delay == 0 and has_words(request.transcript)
        ends_segment = request.flush or is_implicit_flush
        if ends_segment and self._options.early_flush_done:
            self._take(_ITEM_BYTES)
            self._work.put_nowait(_SegmentWillEnd())
        for sentence in ready:
            self._put(sentence)
        if ends_segment:
            self._take(_ITEM_BYTES)
            self._work.put_nowait(_SegmentEnds(announce=not self._options.early_flush_done))
        if not request.continue_:
            self._finish(with_done=True)
        self._start_buffer_timer(delay, restart=was_cut)

    async def _split(self, request: GenerationRequest) -> list[Sentence]:
        """Return the sentences that are complete now. If there are many, others run meanwhile."""
        ready: list[Sentence] = []
        self._is_splitting, self._is_delay_over = True, False
        for sentence in self._buffer.split(request.transcript, speed=request.speed, volume=request.volume):
            self._take(_size_of(sentence))
            ready.append(sentence)
            if len(ready) % _SENTENCES_A_STEP == 0:
                await asyncio.sleep(0)  # not a wait: one round of the loop
        self._is_splitting = False
        return ready

    def drop_rest(self, *, with_done: bool) -> None:
        """Drop what has not begun; the sentence that is being spoken is spoken to its end."""
        while not self._work.empty():
            self._work.get_nowait()
        self._generation.drop_rest()
        self._give(self._waiting)
        self._buffer.take_rest()
        self._finish(with_done=with_done)

    def stop(self) -> None:
        """Begin nothing more, and hold nothing. The connection, which started the running task, cancels it."""
        self.is_over = True
        self._give(self._waiting)
        self._generation.close()
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
        if self._is_splitting:
            self._is_delay_over = True
            return
        for sentence in self._take_rest():
            self._put(sentence)

    def _take_rest(self) -> list[Sentence]:
        rest = self._buffer.take_rest()  # one sentence, of the size of one: it is counted, but not refused
        self._waiting += sum(map(_size_of, rest))
        self._text_limit.give(-sum(map(_size_of, rest)))
        return rest

    def _put(self, sentence: Sentence) -> None:
        self._work.put_nowait(sentence)
        self._generation.add(sentence)

    def _take(self, size: int) -> None:
        self._text_limit.take(size, self.id)
        self._waiting += size

    def _give(self, size: int) -> None:
        self._text_limit.give(size)
        self._waiting -= size

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
                self._give(min(_size_of(item), self._waiting))
                if isinstance(item, Sentence):
                    await self._generation.speak(self._send_chunk)
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


def _size_of(item: _Work) -> int:
    return _ITEM_BYTES + (len(item.text) if isinstance(item, Sentence) else 0)


def _closed(context_id: str, why: str) -> ApiError:
    return ApiError(400, "Context has closed", why, context_id=context_id)
