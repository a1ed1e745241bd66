"""Who may come in: API keys, which open everything, and access tokens, which open what they were made for."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Optional

from .requests import ApiError
from .tokens import Tokens

__all__ = ["Admission"]


class Admission:
    """The door of both transports.

    Args:
        api_keys: The keys that are accepted; ``None`` for all that are not empty.
        tokens: Whose access tokens are accepted.
    """

    def __init__(self, api_keys: Optional[Set[str]], tokens: Tokens) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    def admit(self, query: Mapping[str, str], headers: Mapping[str, str], grant: Optional[str]) -> None:
        """Check the credential, which may come in any of the service's ways.

        Args:
            query: The request's.
            headers: The request's; names match in any case.
            grant: What an access token must open; ``None`` where only a key will do.

        Raises:
            RefusedError: 401, there is none, or it is not valid; or 403, it is not for this.
        """
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        given = [
            bearer.strip() if scheme.lower() == "bearer" else "",
            query.get("access_token", ""),
            headers.get("X-API-Key", ""),
            query.get("api_key", ""),
        ]
        for credential in filter(None, given):
            try:
                opens = self._tokens.read(credential)
            except ValueError as exc:
                raise ApiError(401, "Unauthorized", str(exc)) from exc
            if opens is not None:
                if grant not in opens:
                    needed = f"the grant {grant!r}" if grant else "an API key"
                    raise ApiError(403, "Forbidden", f"This needs {needed}; the access token does not give it.")
                return
            if self._api_keys is None or credential in self._api_keys:
                return
        problem = "The credential is not valid." if any(given) else "A credential is required."
        raise ApiError(401, "Unauthorized", problem)
