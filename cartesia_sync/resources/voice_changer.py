"""The voice changer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..protocol.requests import Omit, omit
from ..protocol.voice_changer import VoiceChangerSSEEvent, decode_changed
from .base import Resource, given
from .binary import BinaryAPIResponse
from .events import EventOf, Stream
from .raw import WithRawResponse, WithStreamingResponse, raw, raw_audio, streamed, streamed_audio

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..parameters import OutputFormatContainer
    from ..protocol.formats import RawEncoding, SampleRate
    from .base import FileTypes, RequestOptions


class VoiceChangerResource(Resource):
    """Speech in another voice, with its words and intonation kept; reached as ``client.voice_changer``."""

    @property
    def with_raw_response(self) -> VoiceChangerResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return VoiceChangerResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> VoiceChangerResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return VoiceChangerResourceWithStreamingResponse(self)

    def generate(
        self,
        *,
        clip: Union[FileTypes, Omit] = omit,
        output_format_bit_rate: Union[int, Omit, None] = omit,
        output_format_container: Union[OutputFormatContainer, Omit] = omit,
        output_format_encoding: Union[RawEncoding, Omit, None] = omit,
        output_format_sample_rate: Union[SampleRate, Omit] = omit,
        voice_id: Union[str, Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> BinaryAPIResponse:
        """Say what a recording says in another voice (``POST /voice-changer/bytes``).

        Args:
            clip: The recording; see ``FileTypes``. It is read whole into memory.
            output_format_bit_rate: Of ``mp3``, in bits a second, such as 128000; needed there.
            output_format_container: ``raw``, ``wav`` or ``mp3``.
            output_format_encoding: Of ``raw`` and ``wav``, such as ``pcm_s16le``; needed there.
            output_format_sample_rate: In Hz.
            voice_id: The voice's.
            **options: See ``RequestOptions``.

        Returns:
            The audio: ``write_to_file``, ``iter_bytes``, ``read`` or ``samples``.

        Raises:
            TypeError: The clip is no file, or one opened for text.
            OSError: The clip cannot be read.

        Source: docs page ``api-reference/voice-changer/bytes``.
        """
        output_format = _format(
            output_format_container, output_format_encoding, output_format_sample_rate, output_format_bit_rate
        )
        form = {"output_format": output_format, "voice": {"id": voice_id}}
        return self._audio(
            "POST", "/voice-changer/bytes", options, form=form, files={"clip": clip}, output_format=output_format
        )

    change_voice_bytes = generate

    def generate_sse(
        self,
        *,
        clip: Union[FileTypes, Omit] = omit,
        output_format_bit_rate: Union[int, Omit, None] = omit,
        output_format_container: Union[OutputFormatContainer, Omit] = omit,
        output_format_encoding: Union[RawEncoding, Omit, None] = omit,
        output_format_sample_rate: Union[SampleRate, Omit] = omit,
        voice_id: Union[str, Omit] = omit,
        **options: Unpack[RequestOptions],
    ) -> Stream[VoiceChangerSSEEvent]:
        """Say what a recording says in another voice, as events (``POST /voice-changer/sse``).

        An error event is yielded, and is the last, as in the official client. A stream that ends before its last event
        raises ``IncompleteAnswerError``. Unlike the service's, our events all have a ``type``.

        Args:
            clip: As for ``generate``.
            output_format_bit_rate: As for ``generate``.
            output_format_container: ``raw``; then the chunks can give their ``samples()``.
            output_format_encoding: As for ``generate``.
            output_format_sample_rate: In Hz.
            voice_id: The voice's.
            **options: See ``RequestOptions``.

        Raises:
            TypeError: The clip is no file, or one opened for text.
            OSError: The clip cannot be read.

        Source: docs page ``api-reference/voice-changer/sse``.
        """
        output_format = _format(
            output_format_container, output_format_encoding, output_format_sample_rate, output_format_bit_rate
        )
        form = {"output_format": output_format, "voice": {"id": voice_id}}
        event_of = EventOf(output_format, decode_changed)
        return self._events("/voice-changer/sse", options, event_of, form=form, files={"clip": clip})

    change_voice_sse = generate_sse


def _format(container: object, encoding: object, sample_rate: object, bit_rate: object) -> dict[str, object]:
    return given({"container": container, "encoding": encoding, "sample_rate": sample_rate, "bit_rate": bit_rate})


class VoiceChangerResourceWithRawResponse(WithRawResponse):
    """See ``client.voice_changer.with_raw_response``."""

    generate = raw_audio(VoiceChangerResource.generate)
    change_voice_bytes = raw_audio(VoiceChangerResource.change_voice_bytes)
    generate_sse = raw(VoiceChangerResource.generate_sse)
    change_voice_sse = raw(VoiceChangerResource.change_voice_sse)


class VoiceChangerResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.voice_changer.with_streaming_response``."""

    generate = streamed_audio(VoiceChangerResource.generate)
    change_voice_bytes = streamed_audio(VoiceChangerResource.change_voice_bytes)
    generate_sse = streamed(VoiceChangerResource.generate_sse)
    change_voice_sse = streamed(VoiceChangerResource.change_voice_sse)
