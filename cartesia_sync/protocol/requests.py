"""What we say: generation requests and cancels, with the fields of the service's ``GenerationRequest``.

A field that is left unset is not sent. Source: the AsyncAPI page ``api-reference/tts/websocket`` and the official
client's ``GenerationRequestParam``; the order of the fields is the official client's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

from msgspec import UNSET, Struct, UnsetType, field, structs

VoiceOnWire = Union[str, Mapping[str, Any]]


class GenerationRequest(Struct, kw_only=True):
    """One piece of a context's transcript, with how it is to be spoken."""

    context_id: str
    model_id: str
    transcript: str
    voice: VoiceOnWire
    output_format: Mapping[str, Any]
    continue_: bool = field(name="continue")
    language: Union[str, UnsetType] = UNSET
    add_timestamps: Union[bool, UnsetType] = UNSET
    add_phoneme_timestamps: Union[bool, UnsetType] = UNSET
    generation_config: Union[Mapping[str, Any], UnsetType] = UNSET
    max_buffer_delay_ms: Union[int, UnsetType] = UNSET
    pronunciation_dict_id: Union[str, UnsetType] = UNSET
    use_normalized_timestamps: Union[bool, UnsetType] = UNSET
    flush: Union[bool, UnsetType, None] = UNSET
    speed: Union[str, UnsetType] = UNSET

    def with_fields(self, more: Mapping[str, Any]) -> Union[GenerationRequest, dict[str, Any]]:
        """Add fields that have no name here, such as ``locale`` or ``duration``; they win over ours."""
        if not more:
            return self
        ours = {each.encode_name: getattr(self, each.name) for each in structs.fields(self)}
        ours = {name: value for name, value in ours.items() if value is not UNSET}
        return {**ours, **{name: value for name, value in more.items() if value is not UNSET}}


class CancelRequest(Struct, kw_only=True):
    """Stop a context: exactly these two keys."""

    context_id: str
    cancel: bool = True


Omit = UnsetType
omit = UNSET
"""Stands for an argument that was not given, where None is a value of its own."""


def given_or_unset(given: Any, otherwise: Optional[Any]) -> Any:
    """Choose what goes on the wire: the call's value, else the context's; None on either side is not sent."""
    value = otherwise if given is UNSET else given
    return UNSET if value is None else value
