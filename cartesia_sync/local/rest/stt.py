"""``POST /stt``: what is said in a recording, where the server's own voice has spoken it or PocketSphinx hears it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from ..hearing import analysis
from ..hearing.ear import Ear, Heard, Script
from ..hearing.memory import Memory
from ..hearing.sphinx import Recogniser
from ..recorder import Upload
from ..requests import ApiError, invalid_request
from ..settings import ServerOptions
from ..voice import sound
from .responder import UPLOAD_BYTES, Responder, Route

__all__ = ["Stt"]


class Stt:
    """Speech to text over HTTP.

    Args:
        options: The server's.
        memory: What the server has spoken.
        recogniser: What hears the rest.
    """

    def __init__(self, options: ServerOptions, memory: Memory, recogniser: Recogniser) -> None:
        self._options = options
        self._memory = memory
        self._recogniser = recogniser
        self.routes = [Route("POST", "/stt", self._transcribe, "stt", UPLOAD_BYTES)]

    async def _transcribe(self, responder: Responder) -> web.StreamResponse:
        form = responder.form
        file, model = form.get("file"), form.get("model")
        if not isinstance(file, Upload):
            raise invalid_request("file is required, as a file.")
        if not isinstance(model, str) or not model:
            raise invalid_request("model is required.")
        encoding, rate = responder.query.get("encoding"), responder.query.get("sample_rate", "")
        if encoding is not None and (encoding not in analysis.ENCODINGS or not rate.isdigit()):
            raise invalid_request(f"encoding is one of {', '.join(analysis.ENCODINGS)}, and needs a sample_rate.")
        loop = asyncio.get_running_loop()
        try:
            heard = await loop.run_in_executor(None, self._hear, file.data, encoding, rate)
        except ValueError as exc:
            raise ApiError(400, "Unsupported audio format", f"{exc}.", error_code="unsupported_audio_format") from exc
        answer: dict[str, Any] = {
            "type": "transcript",
            "text": heard.text,
            "duration": round(heard.seconds, 3),
            "is_final": True,
            "language": form.get("language", "en"),
            "request_id": responder.request_id,
        }
        if "word" in _granularities(responder):
            answer["words"] = [
                {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in heard.words
            ]
        return responder.reply(answer)

    def _hear(self, data: bytes, encoding: Any, rate: str) -> Heard:
        if encoding is None:
            samples, rate_hz = analysis.from_wav(data)
            encoding, data = "pcm_s16le", sound.encode(samples, "pcm_s16le")
        else:
            rate_hz = int(rate)
            if not 4000 <= rate_hz <= 192_000:
                raise ValueError("sample_rate is 4000 to 192000 Hz")
        script = None if self._options.hears is None else Script([" ".join(self._options.hears)])
        ear = Ear(self._memory, encoding, rate_hz, script=script, recogniser=self._recogniser)
        ear.feed(data)
        return ear.final()


def _granularities(responder: Responder) -> list[object]:
    body = responder.body if isinstance(responder.body, dict) else {}
    return [each for name in ("timestamp_granularities[]", "timestamp_granularities") for each in body.get(name, [])]
