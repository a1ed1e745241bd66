"""What the client sends: generation requests and cancels, with the fields of the service's ``GenerationRequest``.

A field that is left unset is not sent. Source: the AsyncAPI page ``api-reference/tts/websocket`` and the official
client's ``GenerationRequestParam``; the order of the fields is the official client's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, TypedDict, Union

from msgspec import UNSET, Struct, UnsetType, field, structs

from .formats import RawOutputFormatParam, VoiceSpecifierParam

VoiceOnWire = Union[str, Mapping[str, Any]]

Omit = UnsetType
omit = UNSET
"""Stands for an argument that was not given, where None is a value of its own."""
NotGiven = Omit
NOT_GIVEN = not_given = omit
"""The official client's other names of it."""


class GenerationConfigParam(TypedDict, total=False):
    """How to speak: ``speed`` 0.6 to 1.5, ``volume`` 0.5 to 2.0, both 1.0 by default, and an emotion's name."""

    emotion: str
    speed: float
    volume: float


class CommonSpeechOptions(TypedDict, total=False):
    """How a text is to be spoken, whichever way it is sent: on a WebSocket or over HTTP.

    A new field is added here, or in the class below that it belongs to, and in ``GenerationRequest``. On a WebSocket
    None is the same as a field left out: it is not sent, and the service's default holds. Over HTTP it is sent as null.

    Attributes:
        language: Of the transcript, such as ``en``; excludes ``locale``.
        locale: Of the transcript, as BCP 47 writes it, such as ``en-GB``; from API version 2026-08-14 on, for Sonic 3.6
            and later; excludes ``language``.
        normalization: How numbers and the like are read: ``auto``, which is the service's default, ``off``, or a
            locale; from API version 2026-08-14 on.
        generation_config: ``speed`` 0.6 to 1.5, ``volume`` 0.5 to 2.0, ``emotion``; Sonic 3 and later.
        pronunciation_dict_id: A pronunciation dictionary; see ``client.pronunciation_dicts``.

    Source: the AsyncAPI page ``api-reference/tts/websocket``; for ``locale`` and ``normalization`` the docs pages
    ``api-reference/tts/bytes`` and ``api-reference/tts/sse`` (API version 2026-08-14). The official client's type of a
    WebSocket request does not have these two; there they are passed on as they are, and no page says what the service
    does with them.
    """

    language: Union[str, Omit, None]
    locale: Union[str, Omit, None]
    normalization: Union[str, Omit, None]
    generation_config: Union[GenerationConfigParam, Omit, None]
    pronunciation_dict_id: Union[str, Omit, None]


class EventSpeechOptions(CommonSpeechOptions, total=False):
    """The same, where the answer is events; besides audio these can say when what is spoken.

    Attributes:
        add_timestamps: Whether to send ``timestamps`` events, which say when each word is spoken.
        add_phoneme_timestamps: Whether to send ``phoneme_timestamps`` events, which say when each phoneme is spoken.
        use_normalized_timestamps: Whether timestamps name words as they are spoken, rather than as they are written.
    """

    add_timestamps: Union[bool, Omit, None]
    add_phoneme_timestamps: Union[bool, Omit, None]
    use_normalized_timestamps: Union[bool, Omit, None]


class SpeechOptions(EventSpeechOptions, total=False):
    """The fields of a generation request that a context keeps for all its requests.

    Attributes:
        model_id: Such as ``sonic-latest``.
        voice: A voice's id, or a mapping with the key ``id``; it is put in the shape of the API version in use.
        output_format: ``{"container": "raw", "encoding": ..., "sample_rate": Hz}``: a WebSocket and ``/tts/sse`` have
            no other container, ``/tts/bytes`` has ``wav`` and ``mp3`` too.
        max_buffer_delay_ms: How long the service may hold text back while it waits for more, in ms, 0 to 5000.
    """

    model_id: Optional[str]
    voice: Optional[VoiceSpecifierParam]
    output_format: Optional[RawOutputFormatParam]
    max_buffer_delay_ms: Union[int, Omit, None]


class GenerationRequest(Struct, kw_only=True):
    """One piece of a context's transcript, with how it is to be spoken."""

    context_id: str
    model_id: str
    transcript: str
    voice: VoiceOnWire
    output_format: Mapping[str, Any]
    continue_: bool = field(name="continue")
    language: Union[str, UnsetType] = UNSET
    locale: Union[str, UnsetType] = UNSET
    normalization: Union[str, UnsetType] = UNSET
    add_timestamps: Union[bool, UnsetType] = UNSET
    add_phoneme_timestamps: Union[bool, UnsetType] = UNSET
    generation_config: Union[Mapping[str, Any], UnsetType] = UNSET
    max_buffer_delay_ms: Union[int, UnsetType] = UNSET
    pronunciation_dict_id: Union[str, UnsetType] = UNSET
    use_normalized_timestamps: Union[bool, UnsetType] = UNSET
    flush: Union[bool, UnsetType, None] = UNSET
    speed: Union[str, UnsetType] = UNSET

    def with_fields(self, more: Mapping[str, Any]) -> Union[GenerationRequest, dict[str, Any]]:
        """Add fields that have no name here, such as ``accent`` or ``duration``; they win over ours."""
        if not more:
            return self
        ours = {each.encode_name: getattr(self, each.name) for each in structs.fields(self)}
        ours = {name: value for name, value in ours.items() if value is not UNSET}
        return {**ours, **{name: value for name, value in more.items() if value is not UNSET}}


class CancelRequest(Struct, kw_only=True):
    """Stop a context: exactly these two keys."""

    context_id: str
    cancel: bool = True
