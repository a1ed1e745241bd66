"""Voice agents, their calls and deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..protocol.models.agents import (
    AgentListPhoneNumbersResponse,
    AgentListResponse,
    AgentListTemplatesResponse,
    AgentSummary,
    Deployment,
    DeploymentListResponse,
)
from ..protocol.models.calls import AgentCall
from ..protocol.requests import Omit, omit
from .agents_metrics import MetricsResource, MetricsResourceWithRawResponse, MetricsResourceWithStreamingResponse
from .base import Resource, path
from .binary import BinaryAPIResponse
from .pages import SyncCursorIDPage
from .raw import WithRawResponse, WithStreamingResponse, raw, raw_audio, streamed, streamed_audio

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .base import RequestOptions


class AgentsResource(Resource):
    """Voice agents; reached as ``client.agents``. Making one is not part of the API."""

    @property
    def with_raw_response(self) -> AgentsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return AgentsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> AgentsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return AgentsResourceWithStreamingResponse(self)

    @property
    def calls(self) -> CallsResource:
        """The calls that agents took."""
        return self._client._resource(CallsResource)

    @property
    def metrics(self) -> MetricsResource:
        """What calls are judged by."""
        return self._client._resource(MetricsResource)

    @property
    def deployments(self) -> DeploymentsResource:
        """The states of an agent's code."""
        return self._client._resource(DeploymentsResource)

    def retrieve(self, agent_id: str, **options: Unpack[RequestOptions]) -> AgentSummary:
        """Get one agent (``GET /agents/{agent_id}``).

        Args:
            agent_id: The agent's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such agent.

        Source: docs page ``api-reference/agents/agents/get``.
        """
        return self._fetch("GET", path("/agents/{agent_id}", agent_id=agent_id), AgentSummary, options)

    def update(
        self,
        agent_id: str,
        *,
        description: Union[str, Omit, None] = omit,
        name: Union[str, Omit, None] = omit,
        tts_language: Union[str, Omit, None] = omit,
        tts_voice: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> AgentSummary:
        """Change an agent (``PATCH /agents/{agent_id}``); what is not given stays.

        Args:
            agent_id: The agent's.
            description: A sentence or more.
            name: For people, and for the service's command line.
            tts_language: What it is to speak, such as ``en``.
            tts_voice: The id of the voice that it is to speak with.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such agent.

        Source: docs page ``api-reference/agents/agents/update``.
        """
        body = {"description": description, "name": name, "tts_language": tts_language, "tts_voice": tts_voice}
        return self._fetch("PATCH", path("/agents/{agent_id}", agent_id=agent_id), AgentSummary, options, body=body)

    def list(self, **options: Unpack[RequestOptions]) -> AgentListResponse:
        """List all of the user's agents (``GET /agents``).

        Args:
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/agents/agents/list``.
        """
        return self._fetch("GET", "/agents", AgentListResponse, options)

    def delete(self, agent_id: str, **options: Unpack[RequestOptions]) -> None:
        """Delete an agent (``DELETE /agents/{agent_id}``).

        Args:
            agent_id: The agent's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such agent.

        Source: docs page ``api-reference/agents/agents/delete``.
        """
        return self._fetch("DELETE", path("/agents/{agent_id}", agent_id=agent_id), None, options, accept="*/*")

    def list_phone_numbers(self, agent_id: str, **options: Unpack[RequestOptions]) -> AgentListPhoneNumbersResponse:
        """List the telephone numbers of an agent, at most one at present (``GET /agents/{agent_id}/phone-numbers``).

        Args:
            agent_id: The agent's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such agent.

        Source: docs page ``api-reference/agents/agents/phone-numbers``.
        """
        where = path("/agents/{agent_id}/phone-numbers", agent_id=agent_id)
        return self._fetch("GET", where, AgentListPhoneNumbersResponse, options)

    def list_templates(self, **options: Unpack[RequestOptions]) -> AgentListTemplatesResponse:
        """List the service's agents to begin with (``GET /agents/templates``).

        Args:
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/agents/agents/templates``.
        """
        return self._fetch("GET", "/agents/templates", AgentListTemplatesResponse, options)


class CallsResource(Resource):
    """The calls that agents took; reached as ``client.agents.calls``."""

    @property
    def with_raw_response(self) -> CallsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return CallsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> CallsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return CallsResourceWithStreamingResponse(self)

    def retrieve(self, call_id: str, **options: Unpack[RequestOptions]) -> AgentCall:
        """Get one call (``GET /agents/calls/{call_id}``).

        Args:
            call_id: The call's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such call.

        Source: docs page ``api-reference/agents/calls/get-call``.
        """
        return self._fetch("GET", path("/agents/calls/{call_id}", call_id=call_id), AgentCall, options)

    def list(
        self,
        *,
        agent_id: str,
        ending_before: Union[str, Omit, None] = omit,
        expand: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[AgentCall]:
        """List an agent's calls; iterate the answer for all of them (``GET /agents/calls``).

        Args:
            agent_id: The agent's.
            ending_before: The id of the call that the page ends before; pages then go backwards.
            expand: ``transcript``, to have that in the answer.
            limit: How many a page holds, 1 to 100.
            starting_after: The id of the call that the page begins after.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/agents/calls/list-calls``.
        """
        query = {
            "agent_id": agent_id,
            "ending_before": ending_before,
            "expand": expand,
            "limit": limit,
            "starting_after": starting_after,
        }
        return self._page("/agents/calls", AgentCall, query, options)

    def download_audio(self, call_id: str, **options: Unpack[RequestOptions]) -> BinaryAPIResponse:
        """Get the recording of a call, a WAV file (``GET /agents/calls/{call_id}/audio``).

        Args:
            call_id: The call's.
            **options: See ``RequestOptions``.

        Returns:
            The audio: ``write_to_file``, ``iter_bytes``, ``read`` or ``samples``. The official client gives None.

        Raises:
            NotFoundError: There is no such call.

        Source: docs page ``api-reference/agents/calls/download-call-audio``.
        """
        return self._audio("GET", path("/agents/calls/{call_id}/audio", call_id=call_id), options, accept="*/*")


class DeploymentsResource(Resource):
    """The states of an agent's code; reached as ``client.agents.deployments``."""

    @property
    def with_raw_response(self) -> DeploymentsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return DeploymentsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> DeploymentsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return DeploymentsResourceWithStreamingResponse(self)

    def retrieve(self, deployment_id: str, **options: Unpack[RequestOptions]) -> Deployment:
        """Get one deployment (``GET /agents/deployments/{deployment_id}``).

        Args:
            deployment_id: The deployment's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such deployment.

        Source: official client 4.2.0.
        """
        where = path("/agents/deployments/{deployment_id}", deployment_id=deployment_id)
        return self._fetch("GET", where, Deployment, options)

    def list(self, agent_id: str, **options: Unpack[RequestOptions]) -> DeploymentListResponse:
        """List all deployments of an agent (``GET /agents/{agent_id}/deployments``).

        Args:
            agent_id: The agent's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such agent.

        Source: docs page ``api-reference/agents/deployments/list-deployments``.
        """
        where = path("/agents/{agent_id}/deployments", agent_id=agent_id)
        return self._fetch("GET", where, DeploymentListResponse, options)


class AgentsResourceWithRawResponse(WithRawResponse):
    """See ``client.agents.with_raw_response``."""

    retrieve = raw(AgentsResource.retrieve)
    update = raw(AgentsResource.update)
    list = raw(AgentsResource.list)
    delete = raw(AgentsResource.delete)
    list_phone_numbers = raw(AgentsResource.list_phone_numbers)
    list_templates = raw(AgentsResource.list_templates)

    @property
    def calls(self) -> CallsResourceWithRawResponse:
        """The calls that agents took."""
        return CallsResourceWithRawResponse(CallsResource(self._resource._client))

    @property
    def metrics(self) -> MetricsResourceWithRawResponse:
        """What calls are judged by."""
        return MetricsResourceWithRawResponse(MetricsResource(self._resource._client))

    @property
    def deployments(self) -> DeploymentsResourceWithRawResponse:
        """The states of an agent's code."""
        return DeploymentsResourceWithRawResponse(DeploymentsResource(self._resource._client))


class AgentsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.agents.with_streaming_response``."""

    retrieve = streamed(AgentsResource.retrieve)
    update = streamed(AgentsResource.update)
    list = streamed(AgentsResource.list)
    delete = streamed(AgentsResource.delete)
    list_phone_numbers = streamed(AgentsResource.list_phone_numbers)
    list_templates = streamed(AgentsResource.list_templates)

    @property
    def calls(self) -> CallsResourceWithStreamingResponse:
        """The calls that agents took."""
        return CallsResourceWithStreamingResponse(CallsResource(self._resource._client))

    @property
    def metrics(self) -> MetricsResourceWithStreamingResponse:
        """What calls are judged by."""
        return MetricsResourceWithStreamingResponse(MetricsResource(self._resource._client))

    @property
    def deployments(self) -> DeploymentsResourceWithStreamingResponse:
        """The states of an agent's code."""
        return DeploymentsResourceWithStreamingResponse(DeploymentsResource(self._resource._client))


class CallsResourceWithRawResponse(WithRawResponse):
    """See ``client.agents.calls.with_raw_response``."""

    retrieve = raw(CallsResource.retrieve)
    list = raw(CallsResource.list)
    download_audio = raw_audio(CallsResource.download_audio)


class CallsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.agents.calls.with_streaming_response``."""

    retrieve = streamed(CallsResource.retrieve)
    list = streamed(CallsResource.list)
    download_audio = streamed_audio(CallsResource.download_audio)


class DeploymentsResourceWithRawResponse(WithRawResponse):
    """See ``client.agents.deployments.with_raw_response``."""

    retrieve = raw(DeploymentsResource.retrieve)
    list = raw(DeploymentsResource.list)


class DeploymentsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.agents.deployments.with_streaming_response``."""

    retrieve = streamed(DeploymentsResource.retrieve)
    list = streamed(DeploymentsResource.list)
