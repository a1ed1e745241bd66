"""The types of parameters, events and answers, under the official client's names; for annotations.

The parameter types are what the service documents; nothing is checked against them at run time, so that a value which
the service learns later can be passed today. Where its list is long, or open anyway, the type is ``str``. Each may be
used for ``**arguments``: ``client.voices.list(**params)`` with ``params: VoiceListParams``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Union

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
from .protocol.formats import (
    MP3OutputFormatParam,
    OutputFormat,
    RawEncoding,
    RawOutputFormatParam,
    VoiceObjectParam,
    VoiceSpecifierParam,
    WAVOutputFormatParam,
)
from .protocol.requests import CancelRequest, GenerationConfigParam, GenerationRequest

if TYPE_CHECKING:
    from .parameters import (
        AccessTokenCreateParams,
        AgentUpdateParams,
        AttachVoiceAccent,
        CallListParams,
        CancelContextRequest,
        DatasetCreateParams,
        DatasetListParams,
        DatasetUpdateParams,
        FileListParams,
        FileTypes,
        FileUploadParams,
        FineTuneCreateParams,
        FineTuneListParams,
        FineTuneListVoicesParams,
        Gender,
        GenderPresentation,
        GenerationRequestParam,
        Grants,
        LocalizeDialect,
        LocalizeTargetLanguage,
        MetricCreateParams,
        MetricListParams,
        ModelSpeed,
        OutputFormatContainer,
        PronunciationDictCreateParams,
        PronunciationDictItemParam,
        PronunciationDictListParams,
        PronunciationDictUpdateParams,
        ResultExportParams,
        ResultListParams,
        STTEncoding,
        STTTranscribeParams,
        SttTranscribeParams,
        TTSGenerateParams,
        TTSGenerateSSEParams,
        TTSGenerateSseParams,
        TTSInfillParams,
        TTSRequestVoiceObject,
        VoiceAddAccentsParams,
        VoiceChangerChangeVoiceBytesParams,
        VoiceChangerChangeVoiceSseParams,
        VoiceChangerGenerateParams,
        VoiceChangerGenerateSSEParams,
        VoiceCloneParams,
        VoiceGetParams,
        VoiceListParams,
        VoiceLocalizeParams,
        VoiceUpdateParams,
        WebsocketClientEventParam,
        WebSocketConnectionOptions,
        WebsocketConnectionOptions,
    )
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
    from .protocol.voice_changer import (
        VoiceChangerSSEChunk,
        VoiceChangerSSEDone,
        VoiceChangerSSEError,
        VoiceChangerSSEEvent,
    )

__all__ = [
    "Accent",
    "AccessTokenCreateParams",
    "AccessTokenCreateResponse",
    "AgentCall",
    "AgentListPhoneNumbersResponse",
    "AgentListPhoneNumbersResponseItem",
    "AgentListResponse",
    "AgentListTemplatesResponse",
    "AgentSummary",
    "AgentTranscript",
    "AgentUpdateParams",
    "AttachVoiceAccent",
    "CallListParams",
    "CancelContextRequest",
    "Chunk",
    "Dataset",
    "DatasetCreateParams",
    "DatasetListParams",
    "DatasetUpdateParams",
    "Deployment",
    "DeploymentListResponse",
    "Done",
    "Emotion",
    "Error",
    "Event",
    "FileListParams",
    "FileListResponse",
    "FileTypes",
    "FileUploadParams",
    "FineTune",
    "FineTuneBaseModel",
    "FineTuneCreateParams",
    "FineTuneListParams",
    "FineTuneListVoicesParams",
    "FlushDone",
    "Gender",
    "GenderPresentation",
    "GenerationConfigParam",
    "GenerationRequest",
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
    "MetricCreateParams",
    "MetricListParams",
    "MetricListResponse",
    "ModelSpeed",
    "OutputFormat",
    "OutputFormatContainer",
    "PhoneNumber",
    "PhonemeTimestamps",
    "PhonemeTimestampsEvent",
    "PronunciationDict",
    "PronunciationDictCreateParams",
    "PronunciationDictItem",
    "PronunciationDictItemParam",
    "PronunciationDictListParams",
    "PronunciationDictUpdateParams",
    "RawEncoding",
    "RawOutputFormatParam",
    "ResultExportParams",
    "ResultListParams",
    "ResultListResponse",
    "STTBatchModel",
    "STTEncoding",
    "STTTranscribeParams",
    "STTTranscribeResponse",
    "SttTranscribeParams",
    "SttTranscribeResponse",
    "SupportedLanguage",
    "TTSGenerateParams",
    "TTSGenerateSSEParams",
    "TTSGenerateSseParams",
    "TTSInfillParams",
    "TTSModel",
    "TTSRequestVoiceObject",
    "TTSSSEEvent",
    "TelephonyParams",
    "Template",
    "TextChunk",
    "Timestamps",
    "ToolCall",
    "Unknown",
    "Voice",
    "VoiceAccent",
    "VoiceAddAccentsParams",
    "VoiceChangerChangeVoiceBytesParams",
    "VoiceChangerChangeVoiceSseParams",
    "VoiceChangerGenerateParams",
    "VoiceChangerGenerateSSEParams",
    "VoiceChangerSSEChunk",
    "VoiceChangerSSEDone",
    "VoiceChangerSSEError",
    "VoiceChangerSSEEvent",
    "VoiceCloneParams",
    "VoiceGetParams",
    "VoiceListParams",
    "VoiceLocale",
    "VoiceLocalizeParams",
    "VoiceMetadata",
    "VoiceObjectParam",
    "VoiceSpecifierParam",
    "VoiceUpdateParams",
    "WAVOutputFormatParam",
    "WebSocketConnectionOptions",
    "WebsocketClientEvent",
    "WebsocketClientEventParam",
    "WebsocketConnectionOptions",
    "WebsocketResponse",
    "Word",
    "WordTimestamps",
]

if not TYPE_CHECKING:  # to a type checker a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        """Load parameters' types and answers' classes when one is asked for: of the many most programs need few."""
        if name in __all__:
            rooms = ("models.core", "models.agents", "models.calls", "voice_changer")
            for room in ("parameters", *(f"protocol.{each}" for each in rooms)):
                found = vars(importlib.import_module(f".{room}", __package__)).get(name)
                if found is not None:
                    globals()[name] = found
                    return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


WebsocketResponse = Event
TTSSSEEvent = Event
WebsocketClientEvent = Union[GenerationRequest, CancelRequest]

TTSModel = str
InfillModel = str
FineTuneBaseModel = str
STTBatchModel = str
SupportedLanguage = str
Emotion = str
VoiceAccent = str
