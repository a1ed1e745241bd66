"""``client.with_raw_response`` and ``client.with_streaming_response``: all that the client has, with the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .resources.status import StatusResource, StatusResourceWithRawResponse, StatusResourceWithStreamingResponse

if TYPE_CHECKING:
    from .core import Core
    from .resources.access_token import AccessTokenResourceWithRawResponse, AccessTokenResourceWithStreamingResponse
    from .resources.agents import AgentsResourceWithRawResponse, AgentsResourceWithStreamingResponse
    from .resources.datasets import DatasetsResourceWithRawResponse, DatasetsResourceWithStreamingResponse
    from .resources.fine_tunes import FineTunesResourceWithRawResponse, FineTunesResourceWithStreamingResponse
    from .resources.pronunciation_dicts import (
        PronunciationDictsResourceWithRawResponse,
        PronunciationDictsResourceWithStreamingResponse,
    )
    from .resources.stt import STTResourceWithRawResponse, STTResourceWithStreamingResponse
    from .resources.tts import TTSResourceWithRawResponse, TTSResourceWithStreamingResponse
    from .resources.voice_changer import VoiceChangerResourceWithRawResponse, VoiceChangerResourceWithStreamingResponse
    from .resources.voices import VoicesResourceWithRawResponse, VoicesResourceWithStreamingResponse


class CartesiaWithRawResponse(StatusResourceWithRawResponse):
    """See ``client.with_raw_response``."""

    def __init__(self, client: Core) -> None:
        super().__init__(StatusResource(client))

    @property
    def tts(self) -> TTSResourceWithRawResponse:
        """Text to speech."""
        from .resources.tts import TTSResource, TTSResourceWithRawResponse

        return TTSResourceWithRawResponse(TTSResource(self._resource._client))

    @property
    def voices(self) -> VoicesResourceWithRawResponse:
        """Voices: the catalogue, clones, accents."""
        from .resources.voices import VoicesResource, VoicesResourceWithRawResponse

        return VoicesResourceWithRawResponse(VoicesResource(self._resource._client))

    @property
    def pronunciation_dicts(self) -> PronunciationDictsResourceWithRawResponse:
        """Dictionaries that say how words are pronounced."""
        from .resources.pronunciation_dicts import PronunciationDictsResource, PronunciationDictsResourceWithRawResponse

        return PronunciationDictsResourceWithRawResponse(PronunciationDictsResource(self._resource._client))

    @property
    def voice_changer(self) -> VoiceChangerResourceWithRawResponse:
        """Speech in another voice."""
        from .resources.voice_changer import VoiceChangerResource, VoiceChangerResourceWithRawResponse

        return VoiceChangerResourceWithRawResponse(VoiceChangerResource(self._resource._client))

    @property
    def stt(self) -> STTResourceWithRawResponse:
        """Speech to text."""
        from .resources.stt import STTResource, STTResourceWithRawResponse

        return STTResourceWithRawResponse(STTResource(self._resource._client))

    @property
    def access_token(self) -> AccessTokenResourceWithRawResponse:
        """Tokens that let others use the account for a while."""
        from .resources.access_token import AccessTokenResource, AccessTokenResourceWithRawResponse

        return AccessTokenResourceWithRawResponse(AccessTokenResource(self._resource._client))

    @property
    def datasets(self) -> DatasetsResourceWithRawResponse:
        """Collections of recordings to fine-tune with."""
        from .resources.datasets import DatasetsResource, DatasetsResourceWithRawResponse

        return DatasetsResourceWithRawResponse(DatasetsResource(self._resource._client))

    @property
    def fine_tunes(self) -> FineTunesResourceWithRawResponse:
        """Models fine-tuned with a dataset."""
        from .resources.fine_tunes import FineTunesResource, FineTunesResourceWithRawResponse

        return FineTunesResourceWithRawResponse(FineTunesResource(self._resource._client))

    @property
    def agents(self) -> AgentsResourceWithRawResponse:
        """Voice agents, their calls, deployments and metrics."""
        from .resources.agents import AgentsResource, AgentsResourceWithRawResponse

        return AgentsResourceWithRawResponse(AgentsResource(self._resource._client))


class CartesiaWithStreamingResponse(StatusResourceWithStreamingResponse):
    """See ``client.with_streaming_response``."""

    def __init__(self, client: Core) -> None:
        super().__init__(StatusResource(client))

    @property
    def tts(self) -> TTSResourceWithStreamingResponse:
        """Text to speech."""
        from .resources.tts import TTSResource, TTSResourceWithStreamingResponse

        return TTSResourceWithStreamingResponse(TTSResource(self._resource._client))

    @property
    def voices(self) -> VoicesResourceWithStreamingResponse:
        """Voices: the catalogue, clones, accents."""
        from .resources.voices import VoicesResource, VoicesResourceWithStreamingResponse

        return VoicesResourceWithStreamingResponse(VoicesResource(self._resource._client))

    @property
    def pronunciation_dicts(self) -> PronunciationDictsResourceWithStreamingResponse:
        """Dictionaries that say how words are pronounced."""
        from .resources.pronunciation_dicts import (
            PronunciationDictsResource,
            PronunciationDictsResourceWithStreamingResponse,
        )

        return PronunciationDictsResourceWithStreamingResponse(PronunciationDictsResource(self._resource._client))

    @property
    def voice_changer(self) -> VoiceChangerResourceWithStreamingResponse:
        """Speech in another voice."""
        from .resources.voice_changer import VoiceChangerResource, VoiceChangerResourceWithStreamingResponse

        return VoiceChangerResourceWithStreamingResponse(VoiceChangerResource(self._resource._client))

    @property
    def stt(self) -> STTResourceWithStreamingResponse:
        """Speech to text."""
        from .resources.stt import STTResource, STTResourceWithStreamingResponse

        return STTResourceWithStreamingResponse(STTResource(self._resource._client))

    @property
    def access_token(self) -> AccessTokenResourceWithStreamingResponse:
        """Tokens that let others use the account for a while."""
        from .resources.access_token import AccessTokenResource, AccessTokenResourceWithStreamingResponse

        return AccessTokenResourceWithStreamingResponse(AccessTokenResource(self._resource._client))

    @property
    def datasets(self) -> DatasetsResourceWithStreamingResponse:
        """Collections of recordings to fine-tune with."""
        from .resources.datasets import DatasetsResource, DatasetsResourceWithStreamingResponse

        return DatasetsResourceWithStreamingResponse(DatasetsResource(self._resource._client))

    @property
    def fine_tunes(self) -> FineTunesResourceWithStreamingResponse:
        """Models fine-tuned with a dataset."""
        from .resources.fine_tunes import FineTunesResource, FineTunesResourceWithStreamingResponse

        return FineTunesResourceWithStreamingResponse(FineTunesResource(self._resource._client))

    @property
    def agents(self) -> AgentsResourceWithStreamingResponse:
        """Voice agents, their calls, deployments and metrics."""
        from .resources.agents import AgentsResource, AgentsResourceWithStreamingResponse

        return AgentsResourceWithStreamingResponse(AgentsResource(self._resource._client))
