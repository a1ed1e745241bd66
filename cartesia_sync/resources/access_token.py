"""Access tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..protocol.models.core import AccessTokenCreateResponse
from ..protocol.requests import Omit, omit
from .base import Resource
from .raw import WithRawResponse, WithStreamingResponse, raw, streamed

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..types import Grants
    from .base import RequestOptions


class AccessTokenResource(Resource):
    """Tokens that let others use the account for a while; reached as ``client.access_token``."""

    @property
    def with_raw_response(self) -> AccessTokenResourceWithRawResponse:
        """The same methods, which return the answer: an ``APIResponse`` with ``headers``, ``parse()`` and the body."""
        return AccessTokenResourceWithRawResponse(self)

    @property
    def with_streaming_response(self) -> AccessTokenResourceWithStreamingResponse:
        """The same methods, which give the answer in a ``with`` block; its body is read as it arrives."""
        return AccessTokenResourceWithStreamingResponse(self)

    def create(
        self,
        *,
        expires_in: Union[int, Omit, None] = omit,
        grants: Union[Grants, Omit, None] = omit,
        **options: Unpack[RequestOptions],
    ) -> AccessTokenCreateResponse:
        """Make a token (``POST /access-token``).

        Args:
            expires_in: Seconds, 3600 at most.
            grants: What it is good for: ``{"tts": True, "stt": True, "agent": True}``, or some of these.
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/auth/access-token``.
        """
        body = {"expires_in": expires_in, "grants": grants}
        return self._fetch("POST", "/access-token", AccessTokenCreateResponse, options, body=body)


class AccessTokenResourceWithRawResponse(WithRawResponse):
    """See ``client.access_token.with_raw_response``."""

    create = raw(AccessTokenResource.create)


class AccessTokenResourceWithStreamingResponse(WithStreamingResponse):
    """See ``client.access_token.with_streaming_response``."""

    create = streamed(AccessTokenResource.create)
