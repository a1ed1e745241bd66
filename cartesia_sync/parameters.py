"""What the methods take, as types: under the official client's names, for annotations and for ``**arguments``.

Nothing is checked against them at run time. They are in a file of their own since they are many, and most programs need
few: ``cartesia_sync.types`` loads them when one is asked for.

Source: the official client's types, version 4.2.0. Where its list of values is long, or open anyway, the type is
``str``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO, Any, Literal, Optional, TypedDict, Union

from .protocol.formats import (
    OutputFormat,
    RawEncoding,
    RawOutputFormatParam,
    SampleRate,
    VoiceObjectParam,
    VoiceSpecifierParam,
)
from .protocol.requests import GenerationConfigParam, Omit
from .protocol.timeouts import HttpxTimeout, Timeout

FileContent = Union[bytes, IO[bytes], "os.PathLike[str]"]
FileTypes = Union[
    FileContent,
    tuple[Optional[str], FileContent],
    tuple[Optional[str], FileContent, Optional[str]],
]
"""A file to send: its bytes, a binary file object, a path, or (file name, content[, content type])."""

ModelSpeed = Literal["slow", "normal", "fast"]
OutputFormatContainer = Literal["raw", "wav", "mp3"]

TimestampGranularity = Literal["word"]
VoiceExpansion = Literal["preview_file_url"]
STTEncoding = Literal["pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
Gender = Literal["male", "female"]
GenderPresentation = Literal["masculine", "feminine", "gender_neutral"]
LocalizeDialect = Literal["au", "in", "so", "uk", "us", "mx", "pe", "br", "eu", "ca"]
# fmt: off
LocalizeTargetLanguage = Literal[
    "en", "de", "es", "fr", "ja", "pt", "zh", "hi", "it", "ko", "nl", "pl", "ru", "sv", "tr", "ar", "he", "ta", "te",
    "th",
]
AttachVoiceAccent = Literal[
    "australian", "brazilian-portuguese", "british", "canadian-french", "castilian", "central-tamil", "central-thai",
    "general-american", "high-german", "hindi", "israeli", "istanbul", "italian", "japanese", "korean", "mandarin",
    "mexican", "modern-standard-arabic", "parisian", "polish", "randstad", "russian", "southern-us", "stockholm",
    "telangana",
]
# fmt: on


def file_from_path(path: Union[str, os.PathLike[str]]) -> tuple[str, bytes]:
    """Read a file, for an argument that takes one; a path itself, as ``pathlib.Path``, will do too.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        return os.path.basename(os.fspath(path)), file.read()


class _GenerationRequestParam(TypedDict):
    context_id: str
    model_id: str
    output_format: RawOutputFormatParam
    transcript: str
    voice: VoiceSpecifierParam


# Written in this form, since one of the keys is a keyword of Python.
_GenerationRequestParamReserved = TypedDict(
    "_GenerationRequestParamReserved", {"continue": Optional[bool]}, total=False
)


class GenerationRequestParam(_GenerationRequestParam, _GenerationRequestParamReserved, total=False):
    """One request, as ``connection.send`` takes it."""

    add_phoneme_timestamps: Optional[bool]
    add_timestamps: Optional[bool]
    flush: Optional[bool]
    generation_config: GenerationConfigParam
    language: str
    locale: str
    max_buffer_delay_ms: Optional[int]
    normalization: str
    pronunciation_dict_id: Optional[str]
    speed: ModelSpeed
    use_normalized_timestamps: Optional[bool]


class _PronunciationDictItemParam(TypedDict):
    alias: str
    text: str


class PronunciationDictItemParam(_PronunciationDictItemParam, total=False):
    """How one word is to be said: ``alias`` in place of ``text``, in this spelling alone or with any capitals."""

    case_sensitive: bool


class Grants(TypedDict, total=False):
    """What an access token is good for: speech, transcription, calls to agents."""

    agent: Optional[bool]
    stt: Optional[bool]
    tts: Optional[bool]


class CancelContextRequest(TypedDict):
    """Ends a context, as ``connection.send`` takes it."""

    cancel: Literal[True]
    context_id: str


WebsocketClientEventParam = Union[GenerationRequestParam, CancelContextRequest]


class WebsocketConnectionOptions(TypedDict, total=False):
    """Options of the official client's transport library; ``max_size``, in bytes, alone means anything here."""

    compression: Optional[str]
    extensions: Optional[Sequence[Any]]
    max_queue: Union[int, tuple[Optional[int], Optional[int]], None]
    max_size: Optional[int]
    subprotocols: Optional[Sequence[Any]]
    write_limit: Union[int, tuple[int, Optional[int]]]


class RequestOptions(TypedDict, total=False):
    """What ``client.get`` and its like take as ``options``."""

    headers: Mapping[str, Union[str, Omit]]
    max_retries: int
    params: Mapping[str, object]
    timeout: Union[float, tuple[Optional[float], Optional[float]], Timeout, HttpxTimeout, Omit, None]


class _PageParams(TypedDict, total=False):
    ending_before: Optional[str]
    limit: Optional[int]
    starting_after: Optional[str]


class AccessTokenCreateParams(TypedDict, total=False):
    """The arguments of ``client.access_token.create``."""

    expires_in: Optional[int]
    grants: Optional[Grants]


class AgentUpdateParams(TypedDict, total=False):
    """The arguments of ``client.agents.update``."""

    description: Optional[str]
    name: Optional[str]
    tts_language: Optional[str]
    tts_voice: Optional[str]


class _CallListParams(TypedDict):
    agent_id: str


class CallListParams(_CallListParams, total=False):
    """The arguments of ``client.agents.calls.list``."""

    ending_before: Optional[str]
    expand: Optional[str]
    limit: Optional[int]
    starting_after: Optional[str]


class DatasetCreateParams(TypedDict):
    """The arguments of ``client.datasets.create``."""

    description: str
    name: str


class DatasetListParams(_PageParams, total=False):
    """The arguments of ``client.datasets.list``."""


class DatasetUpdateParams(TypedDict):
    """The arguments of ``client.datasets.update``."""

    description: str
    name: str


class FileListParams(_PageParams, total=False):
    """The arguments of ``client.datasets.files.list``."""


class FileUploadParams(TypedDict, total=False):
    """The arguments of ``client.datasets.files.upload``."""

    file: FileTypes
    purpose: str


class _FineTuneCreateParams(TypedDict):
    dataset: str
    description: str
    language: str
    model_id: str
    name: str


class FineTuneCreateParams(_FineTuneCreateParams, total=False):
    """The arguments of ``client.fine_tunes.create``."""

    accent: Optional[str]


class FineTuneListParams(_PageParams, total=False):
    """The arguments of ``client.fine_tunes.list``."""


class FineTuneListVoicesParams(_PageParams, total=False):
    """The arguments of ``client.fine_tunes.list_voices``."""


class _MetricCreateParams(TypedDict):
    name: str
    prompt: str


class MetricCreateParams(_MetricCreateParams, total=False):
    """The arguments of ``client.agents.metrics.create``."""

    display_name: Optional[str]


class MetricListParams(TypedDict, total=False):
    """The arguments of ``client.agents.metrics.list``."""

    limit: Optional[int]
    starting_after: Optional[str]


class _PronunciationDictCreateParams(TypedDict):
    name: str


class PronunciationDictCreateParams(_PronunciationDictCreateParams, total=False):
    """The arguments of ``client.pronunciation_dicts.create``."""

    items: Optional[Iterable[PronunciationDictItemParam]]


class PronunciationDictListParams(_PageParams, total=False):
    """The arguments of ``client.pronunciation_dicts.list``."""


class PronunciationDictUpdateParams(TypedDict, total=False):
    """The arguments of ``client.pronunciation_dicts.update``."""

    items: Optional[Iterable[PronunciationDictItemParam]]
    name: Optional[str]


class ResultExportParams(TypedDict, total=False):
    """The arguments of ``client.agents.metrics.results.export``."""

    agent_id: Optional[str]
    call_id: Optional[str]
    deployment_id: Optional[str]
    end_date: Union[str, datetime, None]
    metric_id: Optional[str]
    start_date: Union[str, datetime, None]


class ResultListParams(TypedDict, total=False):
    """The arguments of ``client.agents.metrics.results.list``."""

    agent_id: Optional[str]
    call_id: Optional[str]
    deployment_id: Optional[str]
    end_date: Union[str, datetime, None]
    ending_before: Optional[str]
    limit: Optional[int]
    metric_id: Optional[str]
    start_date: Union[str, datetime, None]
    starting_after: Optional[str]


class _STTTranscribeParams(TypedDict):
    file: FileTypes
    model: str


class STTTranscribeParams(_STTTranscribeParams, total=False):
    """The arguments of ``client.stt.transcribe``."""

    encoding: Optional[STTEncoding]
    sample_rate: Optional[int]
    language: str
    timestamp_granularities: list[TimestampGranularity]


class _TTSGenerateParams(TypedDict):
    model_id: str
    output_format: OutputFormat
    transcript: str
    voice: VoiceSpecifierParam


class TTSGenerateParams(_TTSGenerateParams, total=False):
    """The arguments of ``client.tts.generate``."""

    generation_config: GenerationConfigParam
    language: Optional[str]
    locale: Optional[str]
    normalization: Optional[str]
    pronunciation_dict_id: Optional[str]
    save: Optional[bool]
    speed: ModelSpeed


class _TTSGenerateSSEParams(TypedDict):
    model_id: str
    output_format: RawOutputFormatParam
    transcript: str
    voice: VoiceSpecifierParam


class TTSGenerateSSEParams(_TTSGenerateSSEParams, total=False):
    """The arguments of ``client.tts.generate_sse``."""

    add_phoneme_timestamps: Optional[bool]
    add_timestamps: Optional[bool]
    context_id: Optional[str]
    generation_config: GenerationConfigParam
    language: Optional[str]
    locale: Optional[str]
    normalization: Optional[str]
    pronunciation_dict_id: Optional[str]
    speed: ModelSpeed
    use_normalized_timestamps: Optional[bool]


class TTSInfillParams(TypedDict, total=False):
    """The arguments of ``client.tts.infill``."""

    language: str
    left_audio: FileTypes
    model_id: str
    output_format: OutputFormat
    right_audio: FileTypes
    transcript: str
    voice_id: str


class VoiceAddAccentsParams(TypedDict):
    """The arguments of ``client.voices.add_accents``."""

    accents: list[AttachVoiceAccent]


class VoiceChangerGenerateParams(TypedDict, total=False):
    """The arguments of ``client.voice_changer.generate``."""

    clip: FileTypes
    output_format_bit_rate: Optional[int]
    output_format_container: OutputFormatContainer
    output_format_encoding: Optional[RawEncoding]
    output_format_sample_rate: SampleRate
    voice_id: str


class _VoiceCloneParams(TypedDict):
    clip: FileTypes
    language: str
    name: str


class VoiceCloneParams(_VoiceCloneParams, total=False):
    """The arguments of ``client.voices.clone``."""

    accent: Optional[str]
    base_voice_id: Optional[str]
    description: Optional[str]


class VoiceGetParams(TypedDict, total=False):
    """The arguments of ``client.voices.get``."""

    expand: Optional[list[VoiceExpansion]]


class VoiceListParams(TypedDict, total=False):
    """The arguments of ``client.voices.list``."""

    ending_before: Optional[str]
    expand: Optional[list[VoiceExpansion]]
    gender: Optional[GenderPresentation]
    is_owner: Optional[bool]
    limit: Optional[int]
    q: Optional[str]
    starting_after: Optional[str]


class _VoiceLocalizeParams(TypedDict):
    accent: str
    name: str
    voice_id: str


class VoiceLocalizeParams(_VoiceLocalizeParams, total=False):
    """The arguments of ``client.voices.localize``."""

    description: str
    dialect: Optional[LocalizeDialect]
    language: LocalizeTargetLanguage
    original_speaker_gender: Gender
    tagline: str


class VoiceUpdateParams(TypedDict, total=False):
    """The arguments of ``client.voices.update``."""

    accent: Optional[str]
    description: str
    gender: Optional[GenderPresentation]
    name: str


SttTranscribeParams = STTTranscribeParams
TTSGenerateSseParams = TTSGenerateSSEParams
VoiceChangerGenerateSSEParams = VoiceChangerGenerateParams
VoiceChangerChangeVoiceBytesParams = VoiceChangerGenerateParams
VoiceChangerChangeVoiceSseParams = VoiceChangerGenerateParams
TTSRequestVoiceObject = VoiceObjectParam
WebSocketConnectionOptions = WebsocketConnectionOptions
