"""``/voice-changer``: a recording comes back in the requested audio format.

The voice is checked and *not* changed: the local server cannot speak a recording with another voice. Pitch, words and
timing stay as they are, so that a client can be tried with audio that is known.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from ..generation import ConcurrencyLimit
from ..recorder import Upload
from ..requests import ApiError, RequestRules, audio_format_of, invalid_request, voice_id_of
from ..settings import ServerOptions
from ..voice import sound
from ..voice.audio_format import CONTAINERS, AudioFormat
from .responder import UPLOAD_BYTES, Responder, Route

__all__ = ["VoiceChanger"]


class VoiceChanger:
    """The voice changer.

    Args:
        options: The server's.
        rules: How requests are read.
        concurrency: The server's limit of generations.
    """

    def __init__(self, options: ServerOptions, rules: RequestRules, concurrency: ConcurrencyLimit) -> None:
        self._options = options
        self._rules = rules
        self._concurrency = concurrency
        self.routes = [
            Route("POST", "/voice-changer/bytes", self._bytes, "tts", UPLOAD_BYTES),
            Route("POST", "/voice-changer/sse", self._sse, "tts", UPLOAD_BYTES),
        ]

    async def _bytes(self, responder: Responder) -> web.StreamResponse:
        audio_format, audio = await self._convert(responder, CONTAINERS)
        container = responder.begin_audio(audio_format)
        for piece in self._pieces(audio_format, audio):
            await responder.write(container.wrap(piece))
        await responder.write(container.end())
        return await responder.end()

    async def _sse(self, responder: Responder) -> web.StreamResponse:
        audio_format, audio = await self._convert(responder, ("raw",))
        responder.begin("text/event-stream")
        loop = asyncio.get_running_loop()
        for piece in self._pieces(audio_format, audio):
            began = loop.time()
            event: dict[str, Any] = {
                "data": base64.b64encode(piece).decode("ascii"),
                "done": False,
                "status_code": 206,
                "sample_rate": audio_format.sample_rate_hz,
                "step_time": round(1000 * (loop.time() - began), 3),
            }
            await responder.write(f"data: {json.dumps(event)}\n\n".encode())
        await responder.write(b'data: {"done":true,"status_code":200}\n\n')
        return await responder.end()

    async def _convert(self, responder: Responder, containers: Sequence[str]) -> tuple[AudioFormat, bytes]:
        form = responder.form
        clip = form.get("clip")
        if not isinstance(clip, Upload):
            raise invalid_request("clip is required, as a file.")
        voice_id_of(form.get("voice"), responder.version, self._rules)
        audio_format = audio_format_of(form.get("output_format"), containers)
        self._concurrency.acquire()
        try:
            # On another thread: a long clip would hold up everybody else.
            loop = asyncio.get_running_loop()
            audio = await loop.run_in_executor(None, sound.convert_wav, clip.data, audio_format)
        except ValueError as exc:
            raise ApiError(400, "Unsupported audio format", f"{exc}.", error_code="unsupported_audio_format") from exc
        finally:
            self._concurrency.release()
        return audio_format, audio

    def _pieces(self, audio_format: AudioFormat, audio: bytes) -> Iterator[bytes]:
        step = audio_format.whole_samples(self._options.chunk_bytes)
        return (audio[start : start + step] for start in range(0, len(audio), step))
