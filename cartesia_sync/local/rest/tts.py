"""``/tts/bytes``, ``/tts/sse`` and ``/infill/bytes``: a whole text is asked for, and its speech streamed back."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from .. import events, faults, requests
from ..generation import Chunk, ConcurrencyLimit, Generation
from ..recorder import Ledger, Upload
from ..requests import ApiError, GenerationRequest
from ..settings import Rules
from ..voice.containers import CONTAINERS, Container
from ..voice.speech import Speaker
from ..voice.transcript import TextBuffer
from .pronunciation_dicts import PronunciationDicts
from .responder import Responder, Route

__all__ = ["Tts"]

_EVENT_FAULTS = (faults.ErrorEvent, faults.Garbage, faults.Unfinished, faults.UnknownEvent)


class Tts:
    """Speech over HTTP. A client that hangs up ends its generation.

    Args:
        rules: The server's switches.
        ledger: Where the faults are.
        speaker: The server's voice.
        units: The server's limit of readings at one time.
        dictionaries: The server's pronunciation dictionaries.
    """

    def __init__(
        self,
        rules: Rules,
        ledger: Ledger,
        speaker: Speaker,
        concurrency: ConcurrencyLimit,
        pronunciation_dicts: PronunciationDicts,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._speaker = speaker
        self._concurrency = concurrency
        self._pronunciation_dicts = pronunciation_dicts
        self.routes = [
            Route("POST", "/tts/bytes", self._bytes, "tts"),
            Route("POST", "/tts/sse", self._sse, "tts"),
            Route("POST", "/infill/bytes", self._infill, "tts"),
        ]

    async def _bytes(self, responder: Responder) -> web.StreamResponse:
        asked = requests.parse_speech(responder.json, responder.version, CONTAINERS)
        return await self._send_bytes(responder, asked)

    async def _infill(self, responder: Responder) -> web.StreamResponse:
        """Speak what is to stand between two recordings. They are asked for, and not listened to."""
        form = responder.form
        if not any(isinstance(form.get(name), Upload) for name in ("left_audio", "right_audio")):
            raise ApiError(400, "Invalid request", "left_audio or right_audio is required, as a file.")
        asked = requests.parse_speech({**form, "voice": form.get("voice_id")}, responder.version, CONTAINERS)
        return await self._send_bytes(responder, asked)

    async def _send_bytes(self, responder: Responder, asked: GenerationRequest) -> web.StreamResponse:
        container = Container(asked.output_format)
        responder.begin(container.content_type)

        async def send(piece: Chunk) -> None:
            await responder.write(container.wrap(piece.audio))

        await self._read(responder, asked, send)
        await responder.write(container.end())
        return await responder.end()

    async def _sse(self, responder: Responder) -> web.StreamResponse:
        asked = requests.parse_speech(responder.json, responder.version, ("raw",))
        stream = _Events(responder, self._ledger, asked.context_id)

        async def send(piece: Chunk) -> None:
            await stream.send(events.chunk_event(asked.context_id, piece.audio, None, piece.step_time_ms))
            for times, are_phonemes in ((piece.words, False), (piece.phonemes, True)):
                if times:
                    await stream.send(events.timestamps_event(asked.context_id, times, None, phonemes=are_phonemes))

        try:
            await self._read(responder, asked, send)
            await stream.send(events.done_event(asked.context_id))
        except _EventsEndedError:
            pass
        except ApiError as exc:
            if not responder.has_begun:
                raise  # it is still time for a status
            await stream.send_error(exc)
        return await responder.end()

    async def _read(self, responder: Responder, asked: GenerationRequest, send: Any) -> None:
        pronunciation = self._pronunciation_dicts.pronunciation(asked.pronunciation_dict_id, responder.version)
        text = TextBuffer()
        sentences = text.add(asked.transcript, speed=asked.speed, volume=asked.volume) + text.take_rest()
        reading = Generation(
            asked, rules=self._rules, speaker=self._speaker, concurrency=self._concurrency, pronunciation=pronunciation
        )
        try:
            for sentence in sentences:
                await reading.read(sentence, send)
        finally:
            reading.close()


class _EventsEndedError(Exception):
    """A fault wants no more events to be sent."""


class _Events:
    """The events of one answer, and the faults that strike them."""

    def __init__(self, responder: Responder, ledger: Ledger, context_id: str) -> None:
        self._exchange = responder
        self._ledger = ledger
        self._context_id = context_id
        self._sent = 0
        responder.begin("text/event-stream")

    async def send(self, event: str) -> None:
        """Send one event, and strike what is due before and after it.

        Raises:
            _EventsEndedError: That was the end of them.
        """
        await self._strike()
        await self._put(event)
        self._sent += 1
        await self._strike()

    async def send_error(self, refused: ApiError, *, done: bool = True) -> None:
        """Tell of an error."""
        event = events.error_event(refused, self._exchange.version, self._exchange.request_id, done=done)
        await self._put(event, "event: error\n")

    async def _put(self, event: str, before: str = "") -> None:
        await self._exchange.write(f"{before}data: {event}\n\n".encode())

    async def _strike(self) -> None:
        while True:
            fault = self._ledger.strike(
                _EVENT_FAULTS,
                self._exchange.number,
                self._context_id,
                sent=self._sent,
                sent_in_context=self._sent,
            )
            if fault is None:
                return
            if isinstance(fault, faults.Unfinished):
                raise _EventsEndedError
            if isinstance(fault, faults.Garbage):
                await self._put('{"type":"chunk","data":')
            elif isinstance(fault, faults.UnknownEvent):
                await self._put(json.dumps({"type": "weather", "done": False, "status_code": 206, "zz_sky": ["blue"]}))
            elif isinstance(fault, faults.ErrorEvent):
                refused = ApiError(fault.status_code, fault.title, fault.message, error_code=fault.error_code)
                await self.send_error(refused, done=fault.done)
                if fault.done:
                    raise _EventsEndedError
