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
from ..generation import ConcurrencyLimit
from ..recorder import Upload
from ..requests import ApiError, AudioFormat
from ..settings import Rules
from ..voice import sound
from ..voice.containers import CONTAINERS, Container
from .responder import Responder, Route

__all__ = ["VoiceChanger"]


class VoiceChanger:
    """The voice changer.

    Args:
        rules: The server's switches.
        units: The server's limit of generations at one time.
    """

    def __init__(self, rules: Rules, concurrency: ConcurrencyLimit) -> None:
        self._rules = rules
        self._concurrency = concurrency
        self.routes = [
            Route("POST", "/voice-changer/bytes", self._bytes, "tts"),
            Route("POST", "/voice-changer/sse", self._sse, "tts"),
        ]

    async def _bytes(self, responder: Responder) -> web.StreamResponse:
        form, audio = await self._changed(responder, CONTAINERS)
        container = Container(form)
        responder.begin(container.content_type)
        for piece in self._pieces(form, audio):
            await responder.write(container.wrap(piece))
        await responder.write(container.end())
        return await responder.end()

    async def _sse(self, responder: Responder) -> web.StreamResponse:
        form, audio = await self._changed(responder, ("raw",))
        responder.begin("text/event-stream")
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
            await responder.write(f"data: {json.dumps(event)}\n\n".encode())
        await responder.write(b'data: {"done":true,"status_code":200}\n\n')
        return await responder.end()

    async def _changed(self, responder: Responder, containers: tuple[str, ...]) -> tuple[AudioFormat, bytes]:
        asked = responder.form
        clip = asked.get("clip")
        if not isinstance(clip, Upload):
            raise ApiError(400, "Invalid request", "clip is required, as a file.")
        requests.voice_id_of(asked.get("voice"), responder.version)
        form = requests.output_format(asked.get("output_format"), containers)
        self._concurrency.take()
        try:
            # On a thread: a long clip would hold up everybody else.
            audio = await asyncio.get_running_loop().run_in_executor(None, _converted, clip.data, form)
        except ValueError as exc:
            raise ApiError(400, "Unsupported audio format", f"{exc}.", error_code="unsupported_audio_format") from exc
        finally:
            self._concurrency.release()
        return form, audio

    def _pieces(self, form: AudioFormat, audio: bytes) -> Iterator[bytes]:
        step = self._rules.chunk_bytes - self._rules.chunk_bytes % form.sample_bytes
        return (audio[start : start + step] for start in range(0, len(audio), step))


def _converted(clip: bytes, form: AudioFormat) -> bytes:
    samples, rate_hz = sound.from_wav(clip)
    return sound.encode(sound.resample(samples, form.sample_rate_hz, rate_hz), form.encoding)
