"""``/tts/bytes``, ``/tts/sse`` and ``/infill/bytes``: a whole text is sent, and its speech is streamed back."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Callable, Optional

from aiohttp import web

from .. import events
from ..events import ContextStoppedError
from ..fault_plan import FaultPlan
from ..faults import Moment, Place
from ..generation import Chunk, ConcurrencyLimit, Generation
from ..recorder import Upload
from ..requests import ApiError, GenerationRequest, RequestRules, invalid_request, parse_speech
from ..settings import ServerOptions
from ..voice.audio_format import CONTAINERS
from ..voice.speech import Speaker
from ..voice.transcript import TextBuffer
from .files import Files, Saving
from .pronunciation_dicts import PronunciationDicts
from .responder import UPLOAD_BYTES, Responder, Route

__all__ = ["Tts"]


class Tts:
    """Speech over HTTP. A client that hangs up ends its generation.

    Args:
        options: The server's.
        rules: How requests are read.
        fault_plan: What is to go wrong.
        speaker: The server's voice.
        concurrency: The server's limit of generations.
        pronunciation_dicts: The server's pronunciation dictionaries.
        files: Where answers are saved.
    """

    def __init__(
        self,
        *,
        options: ServerOptions,
        rules: RequestRules,
        fault_plan: FaultPlan,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        pronunciation_dicts: PronunciationDicts,
        files: Files,
    ) -> None:
        self._options = options
        self._rules = rules
        self._fault_plan = fault_plan
        self._speaker = speaker
        self._concurrency = concurrency
        self._pronunciation_dicts = pronunciation_dicts
        self._files = files
        self.routes = [
            Route("POST", "/tts/bytes", self._bytes, "tts"),
            Route("POST", "/tts/sse", self._sse, "tts"),
            Route("POST", "/infill/bytes", self._infill, "tts", UPLOAD_BYTES),
        ]

    async def _bytes(self, responder: Responder) -> web.StreamResponse:
        return await self._send_bytes(responder, responder.json)

    async def _infill(self, responder: Responder) -> web.StreamResponse:
        """Speak what belongs between two recordings. They are required, but not used."""
        form = responder.form
        if not any(isinstance(form.get(name), Upload) for name in ("left_audio", "right_audio")):
            raise invalid_request("left_audio or right_audio is required, as a file.")
        body = {**form, "voice": form.get("voice_id")}
        return await self._send_bytes(responder, body)

    async def _send_bytes(self, responder: Responder, body: dict[str, Any]) -> web.StreamResponse:
        request = parse_speech(body, responder.version, self._rules, CONTAINERS)
        save = body.get("save")
        if save not in (True, False, None):
            raise invalid_request("save is a boolean.")
        saving = Saving() if save else None
        container = responder.begin_audio(request.audio_format, {"Cartesia-File-ID": saving.id} if saving else {})

        async def write(data: bytes) -> None:
            if saving is not None:
                saving.add(data)
            await responder.write(data)

        async def emit(chunk: Chunk) -> None:
            await write(container.wrap(chunk.audio))

        await self._generate(responder, request, emit)
        await write(container.end())
        if saving is not None:
            self._files.save(saving, container.content_type)
        return await responder.end()

    async def _sse(self, responder: Responder) -> web.StreamResponse:
        request = parse_speech(responder.json, responder.version, self._rules, ("raw",))
        stream = _EventStream(responder, self._fault_plan, request.context_id)

        async def emit(chunk: Chunk) -> None:
            await stream.send(events.chunk_event(request.context_id, chunk.audio, None, chunk.step_time_ms))
            for times, are_phonemes in ((chunk.words, False), (chunk.phonemes, True)):
                if times:
                    await stream.send(events.timestamps_event(request.context_id, times, None, phonemes=are_phonemes))

        try:
            await self._generate(responder, request, emit)
            await stream.send(events.done_event(request.context_id))
        except ContextStoppedError:
            pass
        except ApiError as exc:
            if not responder.has_begun:
                raise  # there is still time for a status
            await stream.send_error(exc)
        return await responder.end()

    async def _generate(
        self, responder: Responder, request: GenerationRequest, emit: Callable[[Chunk], Awaitable[None]]
    ) -> None:
        pronunciation = self._pronunciation_dicts.pronunciation(request.pronunciation_dict_id, responder.version)
        text = TextBuffer()
        sentences = text.add(request.transcript, speed=request.speed, volume=request.volume) + text.take_rest()
        generation = Generation(
            request,
            options=self._options,
            speaker=self._speaker,
            concurrency=self._concurrency,
            pronunciation=pronunciation,
        )
        try:
            for sentence in sentences:
                generation.add(sentence)
            for _ in sentences:
                await generation.speak(emit)
        finally:
            generation.close()


class _EventStream:
    """The events of one answer. For faults it is a context; see ``EventPeer``."""

    has_ended = False  # the exception that ends it does so at once

    def __init__(self, responder: Responder, fault_plan: FaultPlan, context_id: str) -> None:
        self.context_id: Optional[str] = context_id
        self._responder = responder
        self._fault_plan = fault_plan
        self._sent = 0
        responder.begin("text/event-stream")

    @property
    def place(self) -> Place:
        return Place(self._responder.number, self.context_id, self._sent, self._sent)

    async def send(self, event: str) -> None:
        """Send one event, and apply the faults that are due before and after it.

        Raises:
            ContextStoppedError: Nothing more is to be sent.
        """
        await self._fault_plan.apply(Moment.SSE_EVENT, self)
        await self.put(event)
        self._sent += 1
        await self._fault_plan.apply(Moment.SSE_EVENT, self)

    async def send_error(self, error: ApiError, *, done: bool = True) -> None:
        """Send an error event. It never names the context: the stream has only one."""
        error.context_id = None
        event = events.error_event(error, self._responder.version, self._responder.request_id, done=done)
        await self.put(event, "event: error\n")

    async def put(self, event: str, prefix: str = "") -> None:
        await self._responder.write(f"{prefix}data: {event}\n\n".encode())

    async def put_error(self, error: ApiError, *, done: bool) -> None:
        await self.send_error(error, done=done)
        if done:
            raise ContextStoppedError
