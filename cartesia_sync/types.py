"""The types of parameters, events and answers, under the official client's names; for annotations.

The parameter types are what the service documents; nothing is checked against them at run time, so that a value which
the service learns later can be passed today. Where its list is long, or open anyway, the type is ``str``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal, Optional, TypedDict, Union

from .protocol.events import (
    Chunk,
    Done,
    Error,
    Event,
    FlushDone,
    PhonemeTimestamps,
    PhonemeTimestampsEvent,
    Timestamps,
    Unknown,
    WordTimestamps,
)

if TYPE_CHECKING:
    from .protocol.models.agents import (
        AgentListPhoneNumbersResponse,
        AgentListPhoneNumbersResponseItem,
        AgentListResponse,
        AgentListTemplatesResponse,
        AgentSummary,
        Deployment,
        DeploymentListResponse,
        GitRepository,
        Metric,
        MetricListResponse,
        PhoneNumber,
        ResultListResponse,
        Template,
    )
    from .protocol.models.calls import (
        AgentCall,
        AgentTranscript,
        LogEvent,
        LogMetric,
        TelephonyParams,
        TextChunk,
        ToolCall,
    )
    from .protocol.models.core import (
        Accent,
        AccessTokenCreateResponse,
        Dataset,
        FileListResponse,
        FineTune,
        GetStatusResponse,
        ListAccentsResponse,
        PronunciationDict,
        PronunciationDictItem,
        STTTranscribeResponse,
        SttTranscribeResponse,
        Voice,
        VoiceLocale,
        VoiceMetadata,
        Word,
    )
    from .protocol.transcription import (
        ReconnectingEvent,
        STTAutoFinalizeConnected,
        STTAutoFinalizeTurnEagerEnd,
        STTAutoFinalizeTurnEnd,
        STTAutoFinalizeTurnResume,
        STTAutoFinalizeTurnStart,
        STTAutoFinalizeTurnUpdate,
        STTAutoFinalizeWebsocketResponse,
        STTErrorResponse,
        STTManualFinalizeDoneResponse,
        STTManualFinalizeFlushDoneResponse,
        STTManualFinalizeTranscriptResponse,
        STTManualFinalizeWebsocketResponse,
        STTReconnected,
    )
    from .protocol.voice_changer import (
        VoiceChangerSSEChunk,
        VoiceChangerSSEDone,
        VoiceChangerSSEError,
        VoiceChangerSSEEvent,
    )

__all__ = [
    "Accent",
    "AccessTokenCreateResponse",
    "AgentCall",
    "AgentListPhoneNumbersResponse",
    "AgentListPhoneNumbersResponseItem",
    "AgentListResponse",
    "AgentListTemplatesResponse",
    "AgentSummary",
    "AgentTranscript",
    "AttachVoiceAccent",
    "Chunk",
    "Dataset",
    "Deployment",
    "DeploymentListResponse",
    "Done",
    "Emotion",
    "Error",
    "Event",
    "FileListResponse",
    "FineTune",
    "FineTuneBaseModel",
    "FlushDone",
    "Gender",
    "GenderPresentation",
    "GenerationConfigParam",
    "GenerationRequestParam",
    "GetStatusResponse",
    "GitRepository",
    "Grants",
    "InfillModel",
    "ListAccentsResponse",
    "LocalizeDialect",
    "LocalizeTargetLanguage",
    "LogEvent",
    "LogMetric",
    "MP3OutputFormatParam",
    "Metric",
    "MetricListResponse",
    "ModelSpeed",
    "OutputFormatContainer",
    "PhoneNumber",
    "PhonemeTimestamps",
    "PhonemeTimestampsEvent",
    "PronunciationDict",
    "PronunciationDictItem",
    "PronunciationDictItemParam",
    "RawEncoding",
    "RawOutputFormatParam",
    "ReconnectingEvent",
    "ResultListResponse",
    "STTAutoFinalizeConnected",
    "STTAutoFinalizeModel",
    "STTAutoFinalizeTurnEagerEnd",
    "STTAutoFinalizeTurnEnd",
    "STTAutoFinalizeTurnResume",
    "STTAutoFinalizeTurnStart",
    "STTAutoFinalizeTurnUpdate",
    "STTAutoFinalizeWebsocketResponse",
    "STTBatchModel",
    "STTEncoding",
    "STTErrorResponse",
    "STTManualFinalizeDoneResponse",
    "STTManualFinalizeFlushDoneResponse",
    "STTManualFinalizeModel",
    "STTManualFinalizeTranscriptResponse",
    "STTManualFinalizeWebsocketRequest",
    "STTManualFinalizeWebsocketResponse",
    "STTReconnected",
    "STTTranscribeResponse",
    "SttTranscribeResponse",
    "SupportedLanguage",
    "TTSModel",
    "TTSSSEEvent",
    "TelephonyParams",
    "Template",
    "TextChunk",
    "Timestamps",
    "ToolCall",
    "Unknown",
    "Voice",
    "VoiceAccent",
    "VoiceChangerSSEChunk",
    "VoiceChangerSSEDone",
    "VoiceChangerSSEError",
    "VoiceChangerSSEEvent",
    "VoiceLocale",
    "VoiceMetadata",
    "VoiceObjectParam",
    "VoiceSpecifierParam",
    "WAVOutputFormatParam",
    "WebsocketResponse",
    "Word",
    "WordTimestamps",
]

if not TYPE_CHECKING:  # to a type checker a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        """Load the answers' classes when one is asked for: they are many, and most programs need few."""
        if name in __all__:
            for room in ("models.core", "models.agents", "models.calls", "transcription", "voice_changer"):
                found = vars(importlib.import_module(f".protocol.{room}", __package__)).get(name)
                if found is not None:
                    globals()[name] = found
                    return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


WebsocketResponse = Event
TTSSSEEvent = Event

TTSModel = str
InfillModel = str
FineTuneBaseModel = str
STTBatchModel = str
STTManualFinalizeModel = str
STTAutoFinalizeModel = str
STTManualFinalizeWebsocketRequest = Literal["finalize", "close"]
SupportedLanguage = str
Emotion = str
VoiceAccent = str
RawEncoding = Literal["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"]
ModelSpeed = Literal["slow", "normal", "fast"]
OutputFormatContainer = Literal["raw", "wav", "mp3"]
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


class RawOutputFormatParam(TypedDict):
    """How the audio is to come: bare samples, one channel."""

    container: Literal["raw"]
    encoding: RawEncoding
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


class WAVOutputFormatParam(TypedDict):
    """How the audio is to come: as a WAV file, one channel."""

    container: Literal["wav"]
    encoding: RawEncoding
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


class MP3OutputFormatParam(TypedDict):
    """How the audio is to come: as an MP3 file; ``bit_rate`` is in bits a second."""

    bit_rate: Literal[32000, 64000, 96000, 128000, 192000]
    container: Literal["mp3"]
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


class _VoiceObjectParam(TypedDict):
    id: str


class VoiceObjectParam(_VoiceObjectParam, total=False):
    """A voice by its id; ``mode`` belongs to API versions before 2026-08-14, and may be given with any."""

    mode: Literal["id"]


VoiceSpecifierParam = Union[str, VoiceObjectParam]


class GenerationConfigParam(TypedDict, total=False):
    """How to speak: ``speed`` 0.6 to 1.5, ``volume`` 0.5 to 2.0, both 1.0 by default, and an emotion's name."""

    emotion: str
    speed: float
    volume: float


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
