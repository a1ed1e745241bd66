"""The socket as version 2 of the official client offered it, for code that still calls it so."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Optional, Union

from msgspec import Struct

from ..closing import Closing
from ..protocol.events import (
    Chunk,
    Event,
    FlushDone,
    PhonemeTimestamps,
    PhonemeTimestampsEvent,
    Timestamps,
    WordTimestamps,
)
from .connection import Connection, ConnectionManager
from .context import Context

VoiceOrFormat = Union[str, Mapping[str, Any]]


class WebSocketTtsOutput(Struct, kw_only=True):
    """One piece of what arrived, or all of it joined; what a piece has not is None.

    Attributes:
        context_id: The context.
        audio: Bytes in the encoding that was asked for.
        word_timestamps: Seconds from the context's start.
        phoneme_timestamps: Seconds from the context's start.
        flush_done: Whether a flush has been carried out.
        flush_id: Which.
    """

    context_id: Optional[str] = None
    audio: Optional[bytes] = None
    word_timestamps: Optional[WordTimestamps] = None
    phoneme_timestamps: Optional[PhonemeTimestamps] = None
    flush_done: Optional[bool] = None
    flush_id: Optional[int] = None


class TtsWebsocket(Closing):
    """A connection that opens when it is first used; made by ``client.tts.websocket()``.

    Threads: any, every method.
    """

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager
        self._connect_lock = threading.RLock()  # held while connecting, so that it is done once
        self._connection: Optional[Connection] = None

    def connect(self) -> None:
        """Open the connection, if it is not open. Raises and waits as ``websocket_connect().enter()``."""
        self._open()

    def _open(self) -> Connection:
        with self._connect_lock:
            connection = self._connection
            if connection is None:
                connection = self._connection = self._manager.enter()
            return connection

    def send(
        self,
        *,
        model_id: str,
        transcript: str,
        voice: VoiceOrFormat,
        output_format: Mapping[str, Any],
        context_id: Optional[str] = None,
        stream: bool = True,
        **fields: Any,
    ) -> Union[Iterator[WebSocketTtsOutput], WebSocketTtsOutput]:
        """Speak one text.

        Sends at once, whether or not the outputs are iterated.

        Args:
            model_id: Such as ``sonic-latest``.
            transcript: The whole text.
            voice: A voice.
            output_format: How the audio is to come.
            context_id: A new one by default.
            stream: Whether to give an iterator of outputs as they come, or one output with all of it.
            **fields: Further fields of the request; those that are None are not sent.

        Raises:
            APIStatusError: The service refused, now or while the outputs are iterated. (Version 2 raised
                ``RuntimeError``.)
            UnfinishedError: Without ``stream``: the service ended the context without any audio for words.
            TruncatedError and others: As ``Context.push`` and ``Context.receive``.

        Threads: any; waits as ``Context.push``, and without ``stream`` as ``Context.audio``.
        """
        context = self._open().context(context_id)
        named: Any = {"voice": voice, "output_format": output_format}  # any mapping, as version 2 has it
        context.send(model_id=model_id, transcript=transcript, continue_=False, **named, **_given(fields))
        outputs = _outputs(context.receive(raise_on_error=True), context._channel.mailbox.give_back)
        if stream:
            return outputs
        joined = _joined(context.context_id, outputs)
        if context._channel.unspoken is not None:
            raise context._channel.unfinished()
        return joined

    def context(self, context_id: Optional[str] = None) -> TtsContext:
        """Begin a context, to which text can be sent in pieces.

        Args:
            context_id: One that was never used on this connection; a UUID by default.

        Raises, threads and waits as ``connect``, where no connection is open.
        """
        return TtsContext(self._open().context(context_id))

    def close(self) -> None:
        """Close the connection; the next use opens another. Idempotent. Waits as ``Connection.close``."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class TtsContext:
    """One context of a ``TtsWebsocket``: text from an iterable in, outputs out.

    Threads: as ``Context``.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def context_id(self) -> str:
        """The id under which the service knows this context."""
        return self._context.context_id

    def is_closed(self) -> bool:
        """Whether the context has ended; outputs that nobody has taken may be left."""
        return self._context._channel.mailbox.is_sealed

    def send(
        self,
        *,
        model_id: str,
        transcript: Iterable[str],
        output_format: Mapping[str, Any],
        voice: VoiceOrFormat,
        context_id: Optional[str] = None,
        **fields: Any,
    ) -> Iterator[WebSocketTtsOutput]:
        """Push pieces of text as an iterable yields them, and iterate the outputs meanwhile; see ``Context.speak``.

        Args:
            model_id: Such as ``sonic-latest``.
            transcript: Pieces of text, joined as they are; or one text.
            output_format: How the audio is to come.
            voice: A voice.
            context_id: This context's own, or None.
            **fields: Further fields of each request; those that are None are not sent.

        Raises:
            ValueError: ``context_id`` is another's.
            APIStatusError and others: As ``TtsWebsocket.send``.
        """
        if context_id not in (None, self.context_id):
            raise ValueError(f"this is context {self.context_id!r}, and not {context_id!r}")
        self._context.set_defaults(model_id=model_id, voice=voice, output_format=output_format)
        return _outputs(self._context.speak(transcript, **_given(fields)), self._context._channel.mailbox.give_back)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what version 2 took and nobody means: None, and ``stream``, which the service does not read."""
    return {name: value for name, value in fields.items() if value is not None and name != "stream"}


def _outputs(events: Iterator[Event], give_back: Callable[[Event], None]) -> Iterator[WebSocketTtsOutput]:
    for event in events:
        try:
            output = _output(event)
        except BaseException:  # an interrupt: the event is for whoever receives next
            give_back(event)
            raise
        if output is not None:
            yield output


def _output(event: Event) -> Optional[WebSocketTtsOutput]:
    if isinstance(event, Chunk):
        return WebSocketTtsOutput(context_id=event.context_id, audio=event.audio)
    if isinstance(event, Timestamps):
        return WebSocketTtsOutput(context_id=event.context_id, word_timestamps=event.word_timestamps)
    if isinstance(event, PhonemeTimestampsEvent):
        return WebSocketTtsOutput(context_id=event.context_id, phoneme_timestamps=event.phoneme_timestamps)
    if isinstance(event, FlushDone):
        return WebSocketTtsOutput(context_id=event.context_id, flush_done=event.flush_done, flush_id=event.flush_id)
    return None


def _joined(context_id: str, outputs: Iterator[WebSocketTtsOutput]) -> WebSocketTtsOutput:
    audio: list[bytes] = []
    words = WordTimestamps(words=[], start=[], end=[])
    phonemes = PhonemeTimestamps(phonemes=[], start=[], end=[])
    for output in outputs:
        audio.append(output.audio or b"")
        if output.word_timestamps is not None:
            words.words += output.word_timestamps.words
            words.start += output.word_timestamps.start
            words.end += output.word_timestamps.end
        if output.phoneme_timestamps is not None:
            phonemes.phonemes += output.phoneme_timestamps.phonemes
            phonemes.start += output.phoneme_timestamps.start
            phonemes.end += output.phoneme_timestamps.end
    return WebSocketTtsOutput(
        context_id=context_id,
        audio=b"".join(audio),
        word_timestamps=words if words.words else None,
        phoneme_timestamps=phonemes if phonemes.phonemes else None,
    )
