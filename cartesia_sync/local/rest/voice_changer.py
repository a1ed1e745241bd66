"""``/voice-changer``: what is sent comes back in the form that was asked for.

The voice is checked and *not* changed: the local server has nothing that could speak a recording with another voice.
Pitch, words and timing stay as they are, so that a client's way there and back can be tried with sound that is known.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from .. import requests
from ..generation import Units
from ..recorder import Upload
from ..requests import OutputFormat, RefusedError
from ..settings import Rules
from ..voice import sound
from ..voice.containers import CONTAINERS, Container
from .responder import Exchange, Route

__all__ = ["Changing"]


class Changing:
    """The voice changer.

    Args:
        rules: The server's switches.
        units: The server's limit of generations at one time.
    """

    def __init__(self, rules: Rules, units: Units) -> None:
        self._rules = rules
        self._units = units
        self.routes = [
            Route("POST", "/voice-changer/bytes", self._bytes, "tts"),
            Route("POST", "/voice-changer/sse", self._sse, "tts"),
        ]

    async def _bytes(self, exchange: Exchange) -> web.StreamResponse:
        form, audio = await self._changed(exchange, CONTAINERS)
        container = Container(form)
        exchange.begin(container.content_type)
        for piece in self._pieces(form, audio):
            await exchange.write(container.wrap(piece))
        await exchange.write(container.end())
        return await exchange.end()

    async def _sse(self, exchange: Exchange) -> web.StreamResponse:
        form, audio = await self._changed(exchange, ("raw",))
        exchange.begin("text/event-stream")
        loop = asyncio.get_running_loop()
        for piece in self._pieces(form, audio):
            began = loop.time()
            event: dict[str, Any] = {
                "data": base64.b64encode(piece).decode("ascii"),
                "done": False,
                "status_code": 206,
                "sample_rate": form.sample_rate_hz,
                "step_time": round(1000 * (loop.time() - began), 3),
            }
            await exchange.write(f"data: {json.dumps(event)}\n\n".encode())
        await exchange.write(b'data: {"done":true,"status_code":200}\n\n')
        return await exchange.end()

    async def _changed(self, exchange: Exchange, containers: tuple[str, ...]) -> tuple[OutputFormat, bytes]:
        asked = exchange.form
        clip = asked.get("clip")
        if not isinstance(clip, Upload):
            raise RefusedError(400, "Invalid request", "clip is required, as a file.")
        requests.voice_id_of(asked.get("voice"), exchange.version)
        form = requests.output_format(asked.get("output_format"), containers)
        self._units.take()
        try:
            # On a thread: a long clip would hold up everybody else.
            audio = await asyncio.get_running_loop().run_in_executor(None, _converted, clip.data, form)
        except ValueError as exc:
            raise RefusedError(
                400, "Unsupported audio format", f"{exc}.", error_code="unsupported_audio_format"
            ) from exc
        finally:
            self._units.give_back()
        return form, audio

    def _pieces(self, form: OutputFormat, audio: bytes) -> Iterator[bytes]:
        step = self._rules.chunk_bytes - self._rules.chunk_bytes % form.sample_bytes
        return (audio[start : start + step] for start in range(0, len(audio), step))


def _converted(clip: bytes, form: OutputFormat) -> bytes:
    samples, rate_hz = sound.from_wav(clip)
    return sound.encode(sound.resample(samples, form.sample_rate_hz, rate_hz), form.encoding)
