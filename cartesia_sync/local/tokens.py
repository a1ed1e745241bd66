"""Access tokens: short-lived credentials, signed by the server that gave them (JWT, HS256)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Iterable
from typing import Callable, Optional

__all__ = ["GRANTS", "LONGEST_LIFE", "Tokens"]

GRANTS = ("tts", "stt", "agent")
LONGEST_LIFE = 3600  # seconds

_HEADER = {"alg": "HS256", "typ": "JWT", "kid": "cartesia-sync-local"}


class Tokens:
    """Gives tokens, and knows its own again. Another server's are strangers to it.

    Args:
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._head = _encoded(_HEADER)

    def issue(self, grants: Iterable[str], seconds: int) -> str:
        """Make a token.

        Args:
            grants: What it opens, of ``GRANTS``.
            seconds: How long.
        """
        now = int(self._clock())
        claims = {
            "iss": "cartesia-sync-local",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + seconds,
            "grants": dict.fromkeys(grants, True),
        }
        signed = f"{self._head}.{_encoded(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def read(self, text: str) -> Optional[frozenset[str]]:
        """What a token opens, or ``None`` if the text is no token of a local server.

        Raises:
            ValueError: It is one, and is not valid: changed, or another server's, or expired.
        """
        head, _, rest = text.partition(".")
        if head != self._head:
            return None
        claims, _, signature = rest.partition(".")
        if not hmac.compare_digest(self._signature(f"{head}.{claims}").encode(), signature.encode()):
            raise ValueError("The access token is not this server's.")
        found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if self._clock() >= found["exp"]:
            raise ValueError("The access token has expired.")
        return frozenset(found["grants"])

    def _signature(self, signed: str) -> str:
        return _text(hmac.new(self._secret, signed.encode(), hashlib.sha256).digest())


def _encoded(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    # JWT leaves the padding out.
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
