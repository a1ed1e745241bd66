"""Text to speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union

from ..protocol.codec import decode
from ..protocol.formats import voice_on_the_wire
from ..protocol.requests import CommonSpeechOptions, EventSpeechOptions, Omit, omit
from ..protocol.timeouts import Timeout, checked_seconds, checked_size
from .base import RequestOptions, Resource, given
from .binary import BinaryAPIResponse
from .events import EventOf, Stream
from .raw import WithRawResponse, WithStreamingResponse, raw, raw_audio, streamed, streamed_audio

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..parameters import ModelSpeed
    from ..pool.pool import Pool, PoolOptions
    from ..protocol.events import Event
    from ..protocol.formats import OutputFormat, RawOutputFormatParam, VoiceSpecifierParam
    from ..protocol.timeouts import HttpxTimeout
    from ..streaming.compat_v2 import TtsWebsocket
    from ..streaming.connection import Connection, ConnectionManager
    from ..streaming.context import Context
    from ..streaming.slots import Slots
    from .base import FileTypes

    # As the official client calls them, and where it has them; for annotations.
    TTSResourceConnection = Connection
    TTSResourceConnectionManager = ConnectionManager
    WebSocketContext = Context

_E = TypeVar("_E")
DEFAULT_PING_INTERVAL = 20.0
"""Seconds of silence after which a ping is sent."""

if not TYPE_CHECKING:  # to a type checker a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        """Load what the official client has here, which brings the transport with it."""
        if name in ("TTSResourceConnection", "TTSResourceConnectionManager", "WebSocketContext"):
            from ..streaming import connection, context

            return {
                "TTSResourceConnection": connection.Connection,
                "TTSResourceConnectionManager": connection.ConnectionManager,
                "WebSocketContext": context.Context,
            }[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class GenerateOptions(CommonSpeechOptions, RequestOptions, total=False):
    """What ``generate`` takes besides its own arguments."""


class GenerateSSEOptions(EventSpeechOptions, RequestOptions, total=False):
    """What ``generate_sse`` takes besides its own arguments."""


class TTSResource(Resource):
    """Text to speech; reached as ``client.tts``."""

    @property
    def with_raw_response(self) -> TTSResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return TTSResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> TTSResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return TTSResourceWithStreamingResponse(self)

    def websocket_connect(
        self,
        extra_query: Optional[Mapping[str, str]] = None,
        extra_headers: Optional[Mapping[str, Union[str, Omit]]] = None,
        websocket_connection_options: Optional[Mapping[str, Any]] = None,
        *,
        timeout: Union[float, Timeout, HttpxTimeout, Omit, None] = None,
        ping_interval: Optional[float] = DEFAULT_PING_INTERVAL,
        reconnect: bool = True,
        max_message_bytes: Optional[int] = None,
        max_queued_bytes: Optional[int] = None,
    ) -> ConnectionManager:
        """Prepare a WebSocket connection; ``with`` or ``.enter()`` opens it.

        Args:
            extra_query: Added to the URL.
            extra_headers: Sent with the handshake, in place of the client's of the same name; ``omit`` sends none.
            websocket_connection_options: ``max_size`` means ``max_message_bytes``. The other options of the official
                client are those of its transport library; they are accepted, and mean nothing here.
            timeout: The timeouts in place of the client's; None keeps the client's.
            ping_interval: Seconds of silence before a ping, and again before the connection counts as lost; above 0.
                None sends no pings.
            reconnect: Whether a push to a new context opens a new connection when the last one is lost.
            max_message_bytes: The largest message that is accepted, 16 MiB by default; a larger one ends the
                connection before it is read.
            max_queued_bytes: How much audio may wait to be received in all contexts together, 256 MiB by default; where
                it is more, the context in which most waits ends, be it whole or not, and what waited in it is dropped.
                For the limit of one context see ``Connection.context``.

        Raises:
            ValueError: A timeout, a limit or a header is not valid; the error names it.

        Threads: any. Does not wait.
        """
        from ..streaming.connection import ConnectionManager
        from ..streaming.link import MAX_CONNECTION_QUEUED_BYTES

        limit_name = "max_message_bytes"
        if max_message_bytes is None:
            limit_name = "websocket_connection_options max_size"
            max_message_bytes = dict(websocket_connection_options or {}).get("max_size")
        return ConnectionManager(
            self._client._dialler(
                "/tts/websocket",
                extra_query or {},
                extra_headers or {},
                max_message_bytes=None if max_message_bytes is None else checked_size(limit_name, max_message_bytes),
            ),
            api_version=self._client._version_sent(extra_headers, extra_query, over_http=False),
            timeout=self._client.timeout if timeout is None or isinstance(timeout, Omit) else Timeout.of(timeout),
            ping_interval=checked_seconds("ping_interval", ping_interval),
            reconnect=reconnect,
            max_retries=self._client.max_retries,
            max_queued_bytes=MAX_CONNECTION_QUEUED_BYTES
            if max_queued_bytes is None
            else checked_size("max_queued_bytes", max_queued_bytes),
            on_spoken=self._client.on_spoken,
            slots=self._slots(),
        )

    def connection(self) -> Connection:
        """Return the one connection of this process and client; it may be kept at module level, before any fork.

        The first push opens it, and again when it was lost. In a forked child the same object is another connection.
        It is closed by ``client.close()``, by its own ``close()``, after which its next use opens another, and at exit;
        not by leaving a ``with`` block, since others speak on it.

        Threads: any. Does not wait.
        """
        from ..pool.connection import ProcessConnection

        made = ProcessConnection(lambda: self.websocket_connect()._unopened(), self._is_client_closed())
        connection: ProcessConnection = self._client._resources.setdefault("connection", made)
        if connection is made:
            self._client._shared.keep(connection)
        return connection

    def _is_client_closed(self) -> Callable[[], bool]:
        shared = self._client._shared
        return lambda: shared.is_closed

    def pool(self, *, connections: int = 1, max_age: Optional[float] = None, **options: Unpack[PoolOptions]) -> Pool:
        """Make a pool: whole texts, futures and lazy maps over a few connections, with no lock or limit of yours.

        Args:
            connections: How many there may be. Several help only where TLS or a busy interpreter holds one up; contexts
                are spread over them evenly.
            max_age: Seconds after which a connection that is idle is replaced, a tenth sooner for some, so that not all
                are at once; None is never.
            **options: How its contexts are spoken unless a call says otherwise: ``model_id``, ``voice``,
                ``output_format`` and the other fields of ``SpeechOptions``; ``timeout``, ``first_event_timeout``,
                ``whole_timeout``, ``on_disconnect`` and ``max_queued_bytes``, as for ``Connection.context``.

        Raises:
            TypeError: There is no such option.
            ValueError: ``connections`` or ``max_age`` is not valid.

        Threads: any. Does not wait: it may be made at module level, before any fork.
        """
        from ..pool.pool import Pool

        return Pool(
            self._client,
            lambda: self.websocket_connect()._unopened(),
            connections=connections,
            max_age=max_age,
            options=options,
        )

    def _slots(self) -> Optional[Slots]:
        """Return what a connection does with the client's limit."""
        from ..streaming.slots import Slots

        client = self._client
        return None if client.limit is None else Slots(client.limit, wait=client.limit_wait, idle=client.limit_idle)

    def websocket(self, **options: Any) -> TtsWebsocket:
        """Prepare a WebSocket connection in the form of the official client's version 2, for code that was written so.

        Args:
            **options: As for ``websocket_connect``.

        Threads: any. Does not wait: the first use opens the connection.
        """
        from ..streaming.compat_v2 import TtsWebsocket

        return TtsWebsocket(self.websocket_connect(**options))

    # ---- over HTTP

    def generate(
        self,
        *,
        model_id: str,
        output_format: OutputFormat,
        transcript: str,
        voice: VoiceSpecifierParam,
        save: Union[bool, Omit, None] = omit,
        speed: Union[ModelSpeed, Omit] = omit,
        **options: Unpack[GenerateOptions],
    ) -> BinaryAPIResponse:
        """Speak a text in one answer (``POST /tts/bytes``); it can be read while it is being made.

        Args:
            model_id: Such as ``sonic-latest``.
            output_format: ``{"container": "raw" or "wav", "encoding": ..., "sample_rate": Hz}``, or ``{"container":
                "mp3", "sample_rate": Hz, "bit_rate": bits a second}``.
            transcript: What to say.
            voice: An id, or ``{"id": ...}``; it goes out in the shape of the API version in use.
            save: Whether the service keeps the file; its id is then in the header ``cartesia-file-id``.
            speed: ``slow``, ``normal`` or ``fast``; deprecated by the service.
            **options: How it is to be spoken: ``generation_config`` (``speed`` 0.6 to 1.5, ``volume`` 0.5 to 2.0,
                ``emotion``), ``language`` of the transcript (such as ``en``; excludes ``locale``), ``locale`` (such as
                ``en-GB``; from API version 2026-08-14 on), ``normalization`` (how numbers and the like are read:
                ``auto``, ``off`` or a locale), ``pronunciation_dict_id`` (see ``client.pronunciation_dicts``).
                For the others see ``RequestOptions``.

        Returns:
            The audio: ``write_to_file``, ``iter_bytes``, ``read`` or ``samples``.

        Raises:
            ValueError: Both a language and a locale, or a voice that is none.
            APIError: The service refused; see ``cartesia_sync.errors``.

        Threads: any, at once. Waits for the first bytes at most ``timeout.connect`` and ``timeout.read``, and that
        again for each of ``max_retries``.

        Source: docs page ``api-reference/tts/bytes``.
        """
        body, others = self._spoken(
            options,
            CommonSpeechOptions,
            model_id=model_id,
            output_format=output_format,
            transcript=transcript,
            voice=voice,
            save=save,
            speed=speed,
        )
        return self._audio("POST", "/tts/bytes", others, body=body, output_format=output_format)

    def bytes(self, *, duration: Union[float, Omit, None] = omit, **arguments: Any) -> Iterator[bytes]:
        """Speak a text as ``generate`` does, and iterate over its bytes as they arrive; the official client's old form.

        Args:
            duration: The longest that the audio may be, in seconds; not in the service's present documentation.
            **arguments: As for ``generate``.
        """
        if duration is not omit:
            arguments["extra_body"] = {"duration": duration, **(arguments.get("extra_body") or {})}
        return self.generate(**arguments).iter_bytes()

    def generate_sse(
        self,
        *,
        model_id: str,
        output_format: RawOutputFormatParam,
        transcript: str,
        voice: VoiceSpecifierParam,
        context_id: Union[str, Omit, None] = omit,
        speed: Union[ModelSpeed, Omit] = omit,
        **options: Unpack[GenerateSSEOptions],
    ) -> Stream[Event]:
        """Speak a text as events (``POST /tts/sse``), the same as those of a WebSocket context.

        An error event is yielded, and is the last, as in the official client. A stream that ends before its last event
        raises ``IncompleteAnswerError``.

        Args:
            model_id: Such as ``sonic-latest``.
            output_format: ``{"container": "raw", "encoding": ..., "sample_rate": Hz}``.
            transcript: What to say.
            voice: An id, or ``{"id": ...}``; it goes out in the shape of the API version in use.
            context_id: Comes back on each event; there is nothing to continue.
            speed: ``slow``, ``normal`` or ``fast``; deprecated by the service.
            **options: How it is to be spoken: ``generation_config`` (``speed`` 0.6 to 1.5, ``volume`` 0.5 to 2.0,
                ``emotion``), ``language`` of the transcript (such as ``en``; excludes ``locale``), ``locale`` (such as
                ``en-GB``; from API version 2026-08-14 on), ``normalization`` (how numbers and the like are read:
                ``auto``, ``off`` or a locale), ``pronunciation_dict_id`` (see ``client.pronunciation_dicts``);
                ``add_timestamps`` and ``add_phoneme_timestamps`` (whether to say when each word and each phoneme is
                spoken), ``use_normalized_timestamps`` (whether words are named as they are spoken, rather than as they
                are written). For the others see ``RequestOptions``.

        Raises:
            ValueError: Both a language and a locale, or a voice that is none.
            APIError: The service refused; see ``cartesia_sync.errors``.

        Threads: any, at once; one iterates the answer. Waits as ``generate`` does.

        Source: docs page ``api-reference/tts/sse``.
        """
        body, others = self._spoken(
            options,
            EventSpeechOptions,
            model_id=model_id,
            output_format=output_format,
            transcript=transcript,
            voice=voice,
            context_id=context_id,
            speed=speed,
        )
        return self._events("/tts/sse", others, EventOf(output_format, decode), body=body)

    sse = generate_sse

    def infill(
        self,
        *,
        language: Union[str, Omit] = omit,
        left_audio: Union[FileTypes, Omit] = omit,
        model_id: Union[str, Omit] = omit,
        output_format: Union[OutputFormat, Omit] = omit,
        right_audio: Union[FileTypes, Omit] = omit,
        transcript: Union[str, Omit] = omit,
        voice_id: Union[str, Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> BinaryAPIResponse:
        """Speak what lies between two recordings (``POST /infill/bytes``).

        Args:
            language: Of the transcript, such as ``en``.
            left_audio: What comes before; this or ``right_audio`` is needed.
            model_id: Such as ``sonic-3``.
            output_format: As for ``generate``.
            right_audio: What comes after.
            transcript: What to say between them.
            voice_id: The voice's id.
            **options: See ``RequestOptions``.

        Returns:
            The audio of the middle: ``write_to_file``, ``iter_bytes``, ``read`` or ``samples``.

        Threads: any, at once. Waits as ``generate`` does.

        Source: docs page ``api-reference/infill/bytes``.
        """
        form = {
            "language": language,
            "model_id": model_id,
            "output_format": output_format,
            "transcript": transcript,
            "voice_id": voice_id,
        }
        return self._audio(
            "POST",
            "/infill/bytes",
            options,
            form=form,
            files={"left_audio": left_audio, "right_audio": right_audio},
            output_format=None if isinstance(output_format, Omit) else output_format,
        )

    def _spoken(
        self, options: Mapping[str, Any], kind: type, *, voice: Any, **fields: Any
    ) -> tuple[dict[str, object], RequestOptions]:
        """Return the checked body of a request to speak, and those options that do not belong into it.

        Args:
            options: What was given besides the method's own arguments.
            kind: The type of those options that go into the body.
            voice: As the user gave it.
            **fields: The method's own arguments.

        Raises:
            ValueError: Both a language and a locale, or a voice that is none.
        """
        spoken = {name: value for name, value in options.items() if name in kind.__annotations__}
        others: Any = {name: value for name, value in options.items() if name not in spoken}
        version = self._client._version_sent(others.get("extra_headers"), others.get("extra_query"), over_http=True)
        body = given({**fields, **spoken, "voice": voice_on_the_wire(voice, version)})
        if body.get("language") is not None and body.get("locale") is not None:
            raise ValueError("language and locale exclude each other: give one of them")
        return body, others


class TTSResourceWithRawResponse(WithRawResponse):
    """See ``client.tts.with_raw_response``."""

    generate = raw_audio(TTSResource.generate)
    generate_sse = raw(TTSResource.generate_sse)
    sse = raw(TTSResource.sse)
    infill = raw_audio(TTSResource.infill)


class TTSResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.tts.with_streaming_response``."""

    generate = streamed_audio(TTSResource.generate)
    generate_sse = streamed(TTSResource.generate_sse)
    sse = streamed(TTSResource.sse)
    infill = streamed_audio(TTSResource.infill)
