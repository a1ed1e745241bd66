"""Streaming speech to text: what is reached as ``client.stt.manual_finalize`` and ``client.stt.auto_finalize``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..protocol.models.core import STTTranscribeResponse, Word
from ..protocol.requests import Omit, omit
from ..protocol.timeouts import Timeout, checked_seconds, checked_size
from ..protocol.transcription import (
    AudioFormat,
    Mode,
    STTErrorResponse,
    STTManualFinalizeTranscriptResponse,
    query_of,
)
from .base import Resource

if TYPE_CHECKING:
    from ..core import Core
    from ..listening.session import SessionManager
    from ..listening.source import Source
    from ..transport.deadline import Deadline
    from ..transport.websocket.wire import Wire

DEFAULT_PING_INTERVAL = 20.0
WORDS_WANTED = {"timestamp_granularities[]": "word"}
"""Asks for the times of words; in no type of the official client, and sent by the service's own applications."""


class ManualFinalizeResource(Resource):
    """Streaming speech to text in which the client ends the turns; reached as ``client.stt.manual_finalize``."""

    def websocket(
        self,
        *,
        encoding: str,
        model: str,
        sample_rate: int,
        keyterm: Union[Sequence[str], Omit] = omit,
        language: Union[str, Omit] = omit,
        max_silence_duration_secs: Union[float, Omit] = omit,
        min_volume: Union[float, Omit] = omit,
        extra_query: Optional[Mapping[str, object]] = None,
        extra_headers: Optional[Mapping[str, str]] = None,
        websocket_connection_options: Optional[Mapping[str, Any]] = None,
        on_reconnecting: Optional[Callable[..., Any]] = None,
        max_retries: int = 5,
        initial_delay: float = 0.5,
        max_delay: float = 8.0,
        max_queue_size: int = 1_048_576,
        timeout: Union[float, Timeout, None] = None,
        ping_interval: Optional[float] = DEFAULT_PING_INTERVAL,
        max_queued_bytes: Optional[int] = None,
    ) -> SessionManager:
        """Prepare a session in which you say when to transcribe (``GET /stt/websocket``); ``with`` opens it.

        Send audio, then ``session.finalize()``, which returns what was said since the last time. Leaving the ``with``
        block sends ``close``, and waits for the rest.

        Args:
            encoding: ``pcm_s16le``, which is advised, ``pcm_s32le``, ``pcm_f16le``, ``pcm_f32le``, ``pcm_mulaw`` or
                ``pcm_alaw``; one channel. Where it is not the audio's the service gives nonsense, and no error.
            model: Such as ``ink-2`` or ``ink-whisper``.
            sample_rate: In Hz; 16000 is advised.
            keyterm: Words and phrases to listen for, at most 100 of 1200 characters together; ink-2 alone.
            language: What is spoken, in ISO 639-1; ``en`` by default.
            max_silence_duration_secs: ink-whisper: after how much silence it transcribes without being asked.
            min_volume: ink-whisper: what counts as silence, 0 to 1.
            extra_query: Added to the address, in place of ours of the same name; a list repeats its name.
                ``{"timestamp_granularities[]": "word"}`` asks ink-whisper for the times of words.
            extra_headers: Sent with the handshake, in place of the client's of the same name.
            websocket_connection_options: ``max_size`` limits a message, 16 MiB by default. The other options of the
                official client are those of its transport library; they are accepted, and mean nothing here.
            on_reconnecting: Asks for another session in the place of one that is lost, and is called before each
                attempt, in the thread that receives, with a ``ReconnectingEvent``; it may return a mapping with
                ``extra_query``, ``extra_headers`` or ``abort``. The receiver gets an event ``reconnected`` between the
                two, with the text whose end is lost: what was said meanwhile is in neither. Without it a lost session
                raises.
            max_retries: How many attempts to reconnect there are. For the handshake the client's own counts.
            initial_delay: Seconds before the first attempt; each next one waits twice as long.
            max_delay: Seconds that no such wait exceeds.
            max_queue_size: How many bytes of commands may wait in ``send`` before the session opens.
            timeout: The timeouts in place of the client's; None keeps the client's.
            ping_interval: Seconds of silence before a ping, and again before the session counts as lost; above 0. None
                sends no pings. Whether the service counts pings as activity is not known: it closes after three
                minutes without a message.
            max_queued_bytes: How much may wait to be received, 64 MiB by default; above that the receiver gets a
                MailboxFullError, and the session goes on.

        Raises:
            TypeError, ValueError: A setting is not valid; the error names it.

        Threads: any. Does not wait.

        Source: docs page ``api-reference/stt/stt``.
        """
        settings = {
            "encoding": encoding,
            "model": model,
            "sample_rate": sample_rate,
            "keyterm": keyterm,
            "language": language,
            "max_silence_duration_secs": max_silence_duration_secs,
            "min_volume": min_volume,
        }
        return _manager(
            self._client,
            Mode.MANUAL,
            settings,
            extra_query=extra_query,
            extra_headers=extra_headers,
            options=websocket_connection_options,
            on_reconnecting=on_reconnecting,
            reconnects=(max_retries, initial_delay, max_delay),
            max_queue_size=max_queue_size,
            timeout=timeout,
            ping_interval=ping_interval,
            max_queued_bytes=max_queued_bytes,
        )

    def transcribe(
        self,
        source: Source,
        *,
        model: str,
        encoding: Optional[str] = None,
        sample_rate: Optional[int] = None,
        realtime: bool = True,
        word_timestamps: bool = False,
        **options: Any,
    ) -> STTTranscribeResponse:
        """Write down what is said in a recording, over a streaming session: all of it, or an exception.

        It takes as long as the recording plays, since the service takes no more than one second of audio a second; for
        files ``client.stt.transcribe`` is faster, where its models will do.

        Args:
            source: As for ``Session.feed``: a path, bytes, a file object or an iterable of bytes.
            model: Such as ``ink-2`` or ``ink-whisper``.
            encoding: Of bare samples; ``pcm_s16le`` by default.
            sample_rate: Of bare samples in Hz; 16000 by default, to which a recording is resampled.
            realtime: Whether to keep that pace. ``False`` sends as fast as the service takes it, of which no page says
                what it does with it.
            word_timestamps: Whether to ask for the times of words, which ink-whisper gives.
            **options: As for ``websocket``.

        Raises:
            TruncatedError: The session ended before all was heard.
            APIStatusError: The service refused, at the handshake or later.
            GapTimeoutError: It did not answer in time; see ``Timeout``.
            TypeError, ValueError, OSError: A setting or the source is not valid, or cannot be read.

        Threads: any, at once. Waits for the service.
        """
        sent = {"encoding": encoding or "pcm_s16le", "sample_rate": 16000 if sample_rate is None else sample_rate}
        if word_timestamps:
            options["extra_query"] = {**WORDS_WANTED, **(options.get("extra_query") or {})}
        said: list[STTManualFinalizeTranscriptResponse] = []
        with self.websocket(model=model, **{**sent, **options}) as session:
            with session.feed(source, realtime=realtime, encoding=encoding, sample_rate=sample_rate):
                for event in session:
                    if isinstance(event, STTErrorResponse):
                        from ..listening.results import error_of

                        raise error_of(event)
                    if isinstance(event, STTManualFinalizeTranscriptResponse) and event.is_final:
                        said.append(event)
            words = [Word(word=each.word, start=each.start, end=each.end) for each in session.words]
            return STTTranscribeResponse(
                text=session.transcript,
                type="transcript",
                duration=session.audio_seconds,
                is_final=True,
                language=next((each.language for each in said if each.language), None),
                request_id=session.request_id,
                words=words or None,
            )


class AutoFinalizeResource(Resource):
    """Streaming speech to text in which the service finds the turns; reached as ``client.stt.auto_finalize``."""

    def websocket(
        self,
        *,
        encoding: str,
        model: str,
        sample_rate: int,
        keyterm: Union[Sequence[str], Omit] = omit,
        turn_eager_end_threshold: Union[float, Omit] = omit,
        turn_end_threshold: Union[float, Omit] = omit,
        turn_end_timeout_ms: Union[float, Omit] = omit,
        turn_start_threshold: Union[float, Omit] = omit,
        extra_query: Optional[Mapping[str, object]] = None,
        extra_headers: Optional[Mapping[str, str]] = None,
        websocket_connection_options: Optional[Mapping[str, Any]] = None,
        on_reconnecting: Optional[Callable[..., Any]] = None,
        max_retries: int = 5,
        initial_delay: float = 0.5,
        max_delay: float = 8.0,
        max_queue_size: int = 1_048_576,
        timeout: Union[float, Timeout, None] = None,
        ping_interval: Optional[float] = DEFAULT_PING_INTERVAL,
        max_queued_bytes: Optional[int] = None,
    ) -> SessionManager:
        """Prepare a session in which the service finds the turns (``GET /stt/turns/websocket``); ``with`` opens it.

        Send audio without a break, silence included: where it stops in a turn, the turn does not end. ``session.feed``
        minds that. ``session.turns()`` gives what was said.

        Args:
            encoding: As for ``manual_finalize``.
            model: ``ink-2``.
            sample_rate: In Hz; 16000 is advised.
            keyterm: Words and phrases to listen for, at most 100 of 1200 characters together.
            turn_eager_end_threshold: Below it the turn is perhaps over; between the other two. Left out, the service's
                default holds, of which its documents say different numbers.
            turn_end_threshold: Below it the turn is over.
            turn_end_timeout_ms: After how much silence it is over in any case, in ms.
            turn_start_threshold: Above it a turn begins.
            extra_query: As for ``manual_finalize``.
            extra_headers: As for ``manual_finalize``.
            websocket_connection_options: As for ``manual_finalize``.
            on_reconnecting: As for ``manual_finalize``.
            max_retries: As for ``manual_finalize``.
            initial_delay: As for ``manual_finalize``.
            max_delay: As for ``manual_finalize``.
            max_queue_size: As for ``manual_finalize``.
            timeout: As for ``manual_finalize``.
            ping_interval: As for ``manual_finalize``.
            max_queued_bytes: As for ``manual_finalize``.

        Raises:
            TypeError, ValueError: A setting is not valid, or the thresholds are not in their order.

        Threads: any. Does not wait.

        Source: docs pages ``api-reference/stt/turns/websocket`` and ``use-the-api/stt/turns``.
        """
        settings = {
            "encoding": encoding,
            "model": model,
            "sample_rate": sample_rate,
            "keyterm": keyterm,
            "turn_eager_end_threshold": turn_eager_end_threshold,
            "turn_end_threshold": turn_end_threshold,
            "turn_end_timeout_ms": turn_end_timeout_ms,
            "turn_start_threshold": turn_start_threshold,
        }
        return _manager(
            self._client,
            Mode.AUTO,
            settings,
            extra_query=extra_query,
            extra_headers=extra_headers,
            options=websocket_connection_options,
            on_reconnecting=on_reconnecting,
            reconnects=(max_retries, initial_delay, max_delay),
            max_queue_size=max_queue_size,
            timeout=timeout,
            ping_interval=ping_interval,
            max_queued_bytes=max_queued_bytes,
        )


def _manager(
    client: Core,
    mode: Mode,
    settings: Mapping[str, Any],
    *,
    extra_query: Optional[Mapping[str, object]],
    extra_headers: Optional[Mapping[str, str]],
    options: Optional[Mapping[str, Any]],
    on_reconnecting: Optional[Callable[..., Any]],
    reconnects: tuple[int, float, float],
    max_queue_size: int,
    timeout: Union[float, Timeout, None],
    ping_interval: Optional[float],
    max_queued_bytes: Optional[int],
) -> SessionManager:
    from ..listening.session import MAX_QUEUED_BYTES, SessionManager

    max_size = dict(options or {}).get("max_size")
    limit = None if max_size is None else checked_size("websocket_connection_options max_size", max_size)
    max_reconnects, initial_delay, max_delay = reconnects

    def make_dial(query: Mapping[str, object], headers: Mapping[str, str]) -> Callable[[Deadline], Wire]:
        return client._dialler(mode.value, query_of(settings, query), headers, max_message_bytes=limit)

    return SessionManager(
        make_dial,
        extra_query=extra_query or {},
        extra_headers=extra_headers or {},
        mode=mode,
        audio_format=AudioFormat(settings["encoding"], settings["sample_rate"]),
        timeout=client.timeout if timeout is None else Timeout.of(timeout),
        ping_interval=checked_seconds("ping_interval", ping_interval),
        max_retries=client.max_retries,
        max_queued_bytes=MAX_QUEUED_BYTES
        if max_queued_bytes is None
        else checked_size("max_queued_bytes", max_queued_bytes),
        max_unsent_bytes=checked_size("max_queue_size", max_queue_size),
        on_reconnecting=on_reconnecting,
        max_reconnects=max_reconnects,
        initial_delay=initial_delay,
        max_delay=max_delay,
        gate=client.stt_limit,
        limit_wait=client.limit_wait,
    )
