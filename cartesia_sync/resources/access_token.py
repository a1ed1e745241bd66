"""Access tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from ..protocol.models.core import AccessTokenCreateResponse
from ..protocol.requests import Omit, omit
from .base import Resource

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..types import Grants
    from .base import RequestOptions


class AccessTokenResource(Resource):
    """Tokens that let others use the account for a while; reached as ``client.access_token``."""

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
