"""``/voice-changer``: a recording comes back in the requested audio format.

The voice is checked and *not* changed: the local server cannot speak a recording with another voice. Pitch, words and
timing stay as they are, so that a client can be tried with audio that is known.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Sequence
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
        audio_format, blocks = self._convert(responder, CONTAINERS)
        self._concurrency.acquire()
        try:
            container = responder.begin_audio(audio_format)
            async for piece in self._pieces(audio_format, blocks):
                await responder.write(container.wrap(piece))
            await responder.write(container.end())
            return await responder.end()
        finally:
            self._concurrency.release()

    async def _sse(self, responder: Responder) -> web.StreamResponse:
        audio_format, blocks = self._convert(responder, ("raw",))
        self._concurrency.acquire()
        try:
            responder.begin("text/event-stream")
            loop = asyncio.get_running_loop()
            began = loop.time()
            async for piece in self._pieces(audio_format, blocks):
                event: dict[str, Any] = {
                    "data": base64.b64encode(piece).decode("ascii"),
                    "done": False,
                    "status_code": 206,
                    "sample_rate": audio_format.sample_rate_hz,
                    "step_time": round(1000 * (loop.time() - began), 3),
                }
                await responder.write(f"data: {json.dumps(event)}\n\n".encode())
                began = loop.time()
            await responder.write(b'data: {"done":true,"status_code":200}\n\n')
            return await responder.end()
        finally:
            self._concurrency.release()

    def _convert(self, responder: Responder, containers: Sequence[str]) -> tuple[AudioFormat, Iterator[bytes]]:
        form = responder.form
        clip = form.get("clip")
        if not isinstance(clip, Upload):
            raise invalid_request("clip is required, as a file.")
        voice_id_of(form.get("voice"), responder.version, self._rules)
        audio_format = audio_format_of(form.get("output_format"), containers)
        try:
            return audio_format, sound.convert_wav(clip.data, audio_format)
        except ValueError as exc:
            raise ApiError(400, "Unsupported audio format", f"{exc}.", error_code="unsupported_audio_format") from exc

    async def _pieces(self, audio_format: AudioFormat, blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the audio in pieces of the size that the options set, while it is made."""
        step = audio_format.whole_samples(self._options.chunk_bytes)
        loop, rest = asyncio.get_running_loop(), b""
        while True:
            # On another thread: a long clip would hold up everybody else.
            block = await loop.run_in_executor(None, next, blocks, None)
            if block is None:
                break
            rest += block
            whole = len(rest) - len(rest) % step
            for start in range(0, whole, step):
                yield rest[start : start + step]
            rest = rest[whole:]
        if rest:
            yield rest
