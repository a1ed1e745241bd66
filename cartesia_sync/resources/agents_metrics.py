"""What the calls of voice agents are judged by, and how they were judged."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Union

from ..protocol.models.agents import Metric, MetricListResponse, ResultListResponse
from ..protocol.requests import Omit, omit
from .base import Resource, path
from .pages import SyncCursorIDPage
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .base import RequestOptions


class MetricsResource(Resource):
    """What calls are judged by; reached as ``client.agents.metrics``."""

    @property
    def with_raw_response(self) -> MetricsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return MetricsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> MetricsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return MetricsResourceWithStreamingResponse(self)

    @property
    def results(self) -> ResultsResource:
        """How calls were judged."""
        return self._client._resource(ResultsResource)

    def create(
        self,
        *,
        name: str,
        prompt: str,
        display_name: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> Metric:
        """Make a metric (``POST /agents/metrics``).

        Args:
            name: No other metric's; of lower-case letters, digits, ``_``, ``-`` and ``.``.
            prompt: What to look for in a call, and how to judge it.
            display_name: For people.
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        body = {"name": name, "prompt": prompt, "display_name": display_name}
        return self._fetch("POST", "/agents/metrics", Metric, options, body=body)

    def retrieve(self, metric_id: str, **options: Unpack[RequestOptions]) -> Metric:
        """Get one metric (``GET /agents/metrics/{metric_id}``).

        Args:
            metric_id: The metric's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such metric.

        Source: official client 4.2.0.
        """
        return self._fetch("GET", path("/agents/metrics/{metric_id}", metric_id=metric_id), Metric, options)

    def list(
        self,
        *,
        limit: Union[int, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> MetricListResponse:
        """List some of the metrics (``GET /agents/metrics``).

        Args:
            limit: How many, 1 to 100; 10 by default.
            starting_after: The id of the metric to begin after; see ``MetricListResponse.next_page``.
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        query = {"limit": limit, "starting_after": starting_after}
        return self._fetch("GET", "/agents/metrics", MetricListResponse, options, query=query)

    def add_to_agent(self, metric_id: str, *, agent_id: str, **options: Unpack[RequestOptions]) -> None:
        """Judge an agent's calls by a metric from now on (``POST /agents/{agent_id}/metrics/{metric_id}``).

        Args:
            metric_id: The metric's.
            agent_id: The agent's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such metric or agent.

        Source: official client 4.2.0.
        """
        where = path("/agents/{agent_id}/metrics/{metric_id}", agent_id=agent_id, metric_id=metric_id)
        return self._fetch("POST", where, None, options, accept="*/*")

    def remove_from_agent(self, metric_id: str, *, agent_id: str, **options: Unpack[RequestOptions]) -> None:
        """Judge an agent's calls by a metric no more (``DELETE /agents/{agent_id}/metrics/{metric_id}``).

        Args:
            metric_id: The metric's.
            agent_id: The agent's.
            **options: See ``RequestOptions``.

        Raises:
            NotFoundError: There is no such metric or agent.

        Source: official client 4.2.0.
        """
        where = path("/agents/{agent_id}/metrics/{metric_id}", agent_id=agent_id, metric_id=metric_id)
        return self._fetch("DELETE", where, None, options, accept="*/*")


class ResultsResource(Resource):
    """How calls were judged; reached as ``client.agents.metrics.results``."""

    @property
    def with_raw_response(self) -> ResultsResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return ResultsResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> ResultsResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return ResultsResourceWithStreamingResponse(self)

    def list(
        self,
        *,
        agent_id: Union[str, Omit, None] = omit,
        call_id: Union[str, Omit, None] = omit,
        deployment_id: Union[str, Omit, None] = omit,
        end_date: Union[str, datetime, Omit, None] = omit,
        ending_before: Union[str, Omit, None] = omit,
        limit: Union[int, Omit, None] = omit,
        metric_id: Union[str, Omit, None] = omit,
        start_date: Union[str, datetime, Omit, None] = omit,
        starting_after: Union[str, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> SyncCursorIDPage[ResultListResponse]:
        """List results; iterate the answer for all of them (``GET /agents/metrics/results``).

        Args:
            agent_id: Only this agent's.
            call_id: Only this call's.
            deployment_id: Only this deployment's.
            end_date: Only those made until then: a ``datetime``, or ISO 8601.
            ending_before: The id of the result that the page ends before; pages then go backwards.
            limit: How many a page holds, 1 to 100.
            metric_id: Only this metric's.
            start_date: Only those made since: a ``datetime``, or ISO 8601.
            starting_after: The id of the result that the page begins after.
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        query = {
            "agent_id": agent_id,
            "call_id": call_id,
            "deployment_id": deployment_id,
            "end_date": _iso(end_date),
            "ending_before": ending_before,
            "limit": limit,
            "metric_id": metric_id,
            "start_date": _iso(start_date),
            "starting_after": starting_after,
        }
        return self._page("/agents/metrics/results", ResultListResponse, query, options)

    def export(
        self,
        *,
        agent_id: Union[str, Omit, None] = omit,
        call_id: Union[str, Omit, None] = omit,
        deployment_id: Union[str, Omit, None] = omit,
        end_date: Union[str, datetime, Omit, None] = omit,
        metric_id: Union[str, Omit, None] = omit,
        start_date: Union[str, datetime, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> str:
        """Return results as CSV text (``GET /agents/metrics/results/export``).

        Args:
            agent_id: Only this agent's.
            call_id: Only this call's.
            deployment_id: Only this deployment's.
            end_date: Only those made until then: a ``datetime``, or ISO 8601.
            metric_id: Only this metric's.
            start_date: Only those made since: a ``datetime``, or ISO 8601.
            **options: See ``RequestOptions``.

        Source: official client 4.2.0.
        """
        query = {
            "agent_id": agent_id,
            "call_id": call_id,
            "deployment_id": deployment_id,
            "end_date": _iso(end_date),
            "metric_id": metric_id,
            "start_date": _iso(start_date),
        }
        return self._fetch("GET", "/agents/metrics/results/export", str, options, accept="text/csv", query=query)


def _iso(moment: object) -> object:
    return moment.isoformat() if isinstance(moment, datetime) else moment


class MetricsResourceWithRawResponse(WithRawResponse):
    """See ``client.agents.metrics.with_raw_response``."""

    create = raw(MetricsResource.create)
    retrieve = raw(MetricsResource.retrieve)
    list = raw(MetricsResource.list)
    add_to_agent = raw(MetricsResource.add_to_agent)
    remove_from_agent = raw(MetricsResource.remove_from_agent)

    @property
    def results(self) -> ResultsResourceWithRawResponse:
        """How calls were judged."""
        return ResultsResourceWithRawResponse(ResultsResource(self._resource._client))


class MetricsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.agents.metrics.with_streaming_response``."""

    create = streamed(MetricsResource.create)
    retrieve = streamed(MetricsResource.retrieve)
    list = streamed(MetricsResource.list)
    add_to_agent = streamed(MetricsResource.add_to_agent)
    remove_from_agent = streamed(MetricsResource.remove_from_agent)

    @property
    def results(self) -> ResultsResourceWithStreamingResponse:
        """How calls were judged."""
        return ResultsResourceWithStreamingResponse(ResultsResource(self._resource._client))


class ResultsResourceWithRawResponse(WithRawResponse):
    """See ``client.agents.metrics.results.with_raw_response``."""

    list = raw(ResultsResource.list)
    export = raw(ResultsResource.export)


class ResultsResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.agents.metrics.results.with_streaming_response``."""

    list = streamed(ResultsResource.list)
    export = streamed(ResultsResource.export)
