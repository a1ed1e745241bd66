"""One session that listens: audio and commands come in, and what was heard goes out, in the same order."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union, cast

from ..events import ContextStoppedError
from ..hearing.analysis import ENCODINGS
from ..hearing.ear import Ear, Script
from ..hearing.gate import Gate, Thresholds
from ..hearing.memory import Memory
from ..hearing.sphinx import Recogniser
from ..requests import ApiError, invalid_request
from .connection import Connection

__all__ = ["AUTO_PATH", "MANUAL_PATH", "ListeningConnection", "Settings"]

MANUAL_PATH, AUTO_PATH = "/stt/websocket", "/stt/turns/websocket"

_MOST_KEYTERMS, _MOST_KEYTERM_CHARACTERS = 100, 1200
_UPDATE_SECONDS = 0.3
_FRAME_SECONDS = 0.01


class Settings:
    """What a handshake asks for, checked.

    Args:
        path: Of the endpoint.
        query: The parameters of the URL.
        keyterms: Those of them called ``keyterm``.

    Raises:
        ApiError: 400, something is missing or wrong; but for the thresholds, of which the session tells.
    """

    def __init__(self, path: str, query: Mapping[str, str], keyterms: Sequence[str]) -> None:
        self.is_auto = path == AUTO_PATH
        self.model = query.get("model", "")
        self.encoding = query.get("encoding", "")
        self.language = query.get("language", "en")
        if not self.model:
            raise invalid_request("model is required.")
        if self.is_auto and self.model.startswith("ink-whisper"):
            raise invalid_request(f"{self.model} does not find turns; ink-2 does.")
        if self.encoding not in ENCODINGS:
            raise invalid_request(f"encoding is one of {', '.join(ENCODINGS)}; got {self.encoding!r}.")
        if not query.get("sample_rate", "").isdigit() or not 4000 <= int(query["sample_rate"]) <= 192_000:
            raise invalid_request("sample_rate is a number of Hz, 4000 to 192000.")
        self.sample_rate_hz = int(query["sample_rate"])
        if len(keyterms) > _MOST_KEYTERMS or sum(map(len, keyterms)) > _MOST_KEYTERM_CHARACTERS:
            raise invalid_request(
                f"There are at most {_MOST_KEYTERMS} keyterms of {_MOST_KEYTERM_CHARACTERS} characters."
            )
        self.wants_words = "word" in (query.get("timestamp_granularities[]"), query.get("timestamp_granularities"))
        self.silence_seconds: Optional[float] = None
        try:
            if "max_silence_duration_secs" in query and self.model.startswith("ink-whisper"):
                self.silence_seconds = float(query["max_silence_duration_secs"])
        except ValueError:
            raise invalid_request("max_silence_duration_secs is a number.") from None
        self._turn_query = {name: value for name, value in query.items() if name.startswith("turn_")}

    def thresholds(self) -> Thresholds:
        """Return those of the turn detection.

        Raises:
            ValueError: They are not in order.
        """
        return Thresholds.of(self._turn_query, "turn_")


class _Spoken:
    """Stands where a context stands for the connection's events and faults: the whole session."""

    is_over = False

    def __init__(self) -> None:
        self.id = str(uuid.uuid4())
        self.sent = 0


class ListeningConnection(Connection):
    """What happens on one socket after the handshake of ``/stt/websocket`` or ``/stt/turns/websocket``.

    One task takes what comes, one after the other: so a command is answered after all audio before it was heard. What
    takes long is done in the loop's executor.

    Args:
        settings: What the handshake asks for.
        memory: What the server has spoken.
        recogniser: What hears the rest.
        **others: As for ``Connection``.

    Threads: the server's loop only.
    """

    def __init__(self, *, settings: Settings, memory: Memory, recogniser: Recogniser, **others: Any) -> None:
        super().__init__(**others)
        self._settings = settings
        script = None if self._options.hears is None else Script(self._options.hears)
        self._ear = Ear(memory, settings.encoding, settings.sample_rate_hz, script=script, recogniser=recogniser)
        self._inbox: asyncio.Queue[Union[bytes, str]] = asyncio.Queue()
        self._whole: Any = _Spoken()
        self._gate = Gate(Thresholds())
        self._since_update = 0.0
        self._quiet_seconds = 0.0
        self._has_voice = False  # since the last final transcript
        self._spawn(self._listen())

    @property
    def _idle_timeout(self) -> Optional[float]:
        return self._options.listen_idle_timeout

    # ---- what comes in

    async def _handle_message(self, data: Union[str, bytes]) -> None:
        message: Any = data
        if isinstance(data, str) and self._settings.is_auto:
            try:
                message = json.loads(data)
            except (ValueError, RecursionError):
                pass  # the task answers it
        self._recorder.add_message(self._number, message if isinstance(message, dict) else data)
        if not self._is_closing:
            self._inbox.put_nowait(data)

    async def _listen(self) -> None:
        try:
            if self._settings.is_auto:
                try:
                    self._gate.thresholds = self._settings.thresholds()
                except ValueError as exc:
                    await self._tell_error(invalid_request(f"{exc}."))
                    self.close()
                    return
                await self._tell("connected")
            while True:
                data = await self._inbox.get()
                if isinstance(data, bytes):
                    await (self._hear_turns(data) if self._settings.is_auto else self._hear(data))
                elif not await (self._command(data) if self._settings.is_auto else self._word(data)):
                    return
        except ContextStoppedError:
            pass  # a fault's doing, or the peer is gone

    async def _word(self, word: str) -> bool:
        """Carry out a command of manual finalizing; return whether the session goes on."""
        if word == "finalize":
            await self._tell_final()
            await self._tell("flush_done")
        elif word in ("close", "done"):
            await self._tell_final()
            await self._tell("done")
            self._say_goodbye()
            return False
        else:
            await self._tell_error(invalid_request(f"A command is 'finalize' or 'close'; got {word[:40]!r}."))
        return True

    async def _command(self, text: str) -> bool:
        """Carry out a command of auto finalizing; return whether the session goes on."""
        try:
            command = json.loads(text)
        except (ValueError, RecursionError):
            command = None
        kind = command.get("type") if isinstance(command, dict) else None
        if kind == "close":
            if self._gate.end():
                await self._tell("turn.end", transcript=(await self._in_executor(self._ear.final)).text)
            self._say_goodbye()
            return False
        if kind == "config" and isinstance(command.get("turn", {}), dict):
            known = {
                f"{name}_threshold": getattr(self._gate.thresholds, name) for name in ("start", "eager_end", "end")
            }
            known["end_timeout_ms"] = self._gate.thresholds.end_timeout_ms
            try:
                self._gate.thresholds = Thresholds.of({**known, **command.get("turn", {})})
            except ValueError as exc:
                await self._tell_error(invalid_request(f"{exc}."))
        else:
            await self._tell_error(invalid_request('A command is {"type": "close"} or {"type": "config"}.'))
        return True

    def _say_goodbye(self) -> None:
        if not self._is_silent:
            self.close()

    # ---- what is heard

    async def _hear(self, audio: bytes) -> None:
        loud = self._ear.feed(audio)
        self._has_voice = self._has_voice or any(loud)
        limit = self._settings.silence_seconds
        if limit is not None:
            self._quiet_seconds = 0.0 if any(loud) else self._quiet_seconds + len(loud) * _FRAME_SECONDS
            if self._has_voice and self._quiet_seconds >= limit:
                await self._tell_final()

    async def _hear_turns(self, audio: bytes) -> None:
        loud = self._ear.feed(audio)
        for move, _ in self._gate.feed(loud):
            self._since_update = 0.0
            if move in ("start", "resume"):
                await self._tell(f"turn.{move}")
            elif move == "eager_end":
                await self._tell("turn.eager_end", transcript=await self._preview(is_held_back=False))
            else:
                await self._tell("turn.end", transcript=(await self._in_executor(self._ear.final)).text)
        if not self._gate.is_in_turn:
            self._ear.forget_silence()
            return
        self._since_update += len(loud) * _FRAME_SECONDS
        if self._since_update >= _UPDATE_SECONDS and not self._gate.is_eager_ended:
            self._since_update = 0.0
            await self._tell("turn.update", transcript=await self._preview(is_held_back=True))

    async def _preview(self, *, is_held_back: bool) -> str:
        return cast(str, await self._in_executor(lambda: self._ear.preview(is_held_back=is_held_back)))

    async def _in_executor(self, work: Any) -> Any:
        return await self._loop.run_in_executor(None, work)

    async def _tell_final(self) -> None:
        """Send what was heard since the last time, if there is anything."""
        if not self._ear.seconds:
            return
        heard = await self._in_executor(self._ear.final)
        self._has_voice, self._quiet_seconds = False, 0.0
        if not heard.text:
            return
        fields: dict[str, Any] = {
            "is_final": True,
            "text": heard.text,
            "duration": round(heard.seconds, 3),
            "language": self._settings.language,
        }
        if self._settings.wants_words and self._settings.model.startswith("ink-whisper"):
            fields["words"] = [
                {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in heard.words
            ]
        await self._tell("transcript", **fields)

    # ---- what goes out

    async def _tell(self, kind: str, **fields: object) -> None:
        event = {"type": kind, **fields, "request_id": self._request_id}
        await self._send(json.dumps(event, separators=(",", ":")), self._whole)

    async def _tell_error(self, error: ApiError) -> None:
        await self._send(self._error_event(error), self._whole)

    def _error_event(self, error: ApiError, *, done: bool = True) -> str:
        fields = {
            "type": "error",
            "title": error.title,
            "message": error.message,
            "status_code": error.status,
            "error_code": error.error_code,
            "request_id": self._request_id,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None}, separators=(",", ":"))
