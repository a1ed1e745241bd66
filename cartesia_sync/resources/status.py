"""The service's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.models.core import GetStatusResponse
from .base import Resource
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .base import RequestOptions


class StatusResource(Resource):
    """The service's status; reached as ``client.get_status``."""

    def get_status(self, **options: Unpack[RequestOptions]) -> GetStatusResponse:
        """Ask whether the service is up, and for its default API version (``GET /``).

        Args:
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/api-status/get``.
        """
        return self._fetch("GET", "/", GetStatusResponse, options)


class StatusResourceWithRawResponse(WithRawResponse):
    """See ``client.with_raw_response``."""

    get_status = raw(StatusResource.get_status)


class StatusResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.with_streaming_response``."""

    get_status = streamed(StatusResource.get_status)
