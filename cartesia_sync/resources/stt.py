"""Speech to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from ..protocol.models.core import STTTranscribeResponse
from ..protocol.requests import Omit, omit
from .base import Resource
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..listening.compat_v2 import SttWebsocket
    from ..parameters import STTEncoding, TimestampGranularity
    from .base import FileTypes, RequestOptions
    from .stt_streaming import AutoFinalizeResource, ManualFinalizeResource


class STTResource(Resource):
    """Speech to text, of whole recordings and of speech as it comes; reached as ``client.stt``."""

    @property
    def manual_finalize(self) -> ManualFinalizeResource:
        """Streaming speech to text in which you end the turns."""
        from .stt_streaming import ManualFinalizeResource

        return self._client._resource(ManualFinalizeResource)

    @property
    def auto_finalize(self) -> AutoFinalizeResource:
        """Streaming speech to text in which the service finds the turns."""
        from .stt_streaming import AutoFinalizeResource

        return self._client._resource(AutoFinalizeResource)

    def websocket(self, **options: Any) -> SttWebsocket:
        """Prepare a session in the form of the official client's version 2, for code that was written so.

        Args:
            **options: ``model`` (``ink-whisper`` by default), ``language`` (``en``), ``encoding`` (``pcm_s16le``),
                ``sample_rate`` (16000), ``min_volume``, ``max_silence_duration_secs``; and those of
                ``manual_finalize.websocket``.

        Threads: any. Does not wait: the first use opens the session.
        """
        from ..listening.compat_v2 import SttWebsocket

        defaults = {"model": "ink-whisper", "language": "en", "encoding": "pcm_s16le", "sample_rate": 16000}
        return SttWebsocket(self.manual_finalize.websocket(**{**defaults, **options}))

    @property
    def with_raw_response(self) -> STTResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return STTResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> STTResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return STTResourceWithStreamingResponse(self)

    def transcribe(
        self,
        *,
        file: FileTypes,
        model: str,
        encoding: Union[STTEncoding, Omit, None] = omit,
        sample_rate: Union[int, Omit, None] = omit,
        language: Union[str, Omit] = omit,
        timestamp_granularities: Union[Sequence[TimestampGranularity], Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> STTTranscribeResponse:
        """Write down what is said in a recording (``POST /stt``).

        Args:
            file: The recording: FLAC, MP3, MP4, MPEG, Ogg, WAV or WebM, or bare samples with ``encoding`` and
                ``sample_rate``. See ``FileTypes``; it is read whole into memory.
            model: Such as ``ink-whisper``.
            encoding: Of bare samples: ``pcm_s16le``, ``pcm_s32le``, ``pcm_f16le``, ``pcm_f32le``, ``pcm_mulaw`` or
                ``pcm_alaw``.
            sample_rate: Of bare samples, in Hz.
            language: What is spoken, in ISO 639-1; ``en`` by default.
            timestamp_granularities: ``["word"]`` for the time of each word.
            **options: See ``RequestOptions``. A long recording takes a while: think of ``timeout``.

        Raises:
            TypeError: The file is none, or one opened for text.
            OSError: The file cannot be read.

        Source: docs page ``api-reference/stt/transcribe``.
        """
        form = {"model": model, "language": language, "timestamp_granularities": timestamp_granularities}
        query = {"encoding": encoding, "sample_rate": sample_rate}
        return self._fetch("POST", "/stt", STTTranscribeResponse, options, query=query, form=form, files={"file": file})


class STTResourceWithRawResponse(WithRawResponse):
    """See ``client.stt.with_raw_response``."""

    transcribe = raw(STTResource.transcribe)


class STTResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.stt.with_streaming_response``."""

    transcribe = streamed(STTResource.transcribe)
