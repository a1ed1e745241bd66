"""Who is admitted: API keys, which allow everything, and access tokens, which allow what they were issued for."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import time
import uuid
from collections.abc import Iterable, Mapping, Set
from typing import Optional
from urllib.parse import urlsplit

import jwt

from .requests import ApiError

__all__ = ["ADMIN", "GRANTS", "LONGEST_LIFE", "Admission", "Neighbours", "is_address", "is_loopback"]

GRANTS = ("tts", "stt", "agent")
ADMIN = "admin"
"""What a route asks for that needs an admin key, which no token gives."""
LONGEST_LIFE = 3600  # seconds

_log = logging.getLogger("cartesia_sync.local")

_ADMIN_PREFIX = "sk_car_admin_"
_ALGORITHM = "HS256"
_KEY_ID = "cartesia-sync-local"  # distinguishes our tokens from API keys, which may be any text
_REQUIRED_CLAIMS = ["exp", "grants"]


class Admission:
    """Checks the credentials of both transports, and issues access tokens.

    Tokens are signed (JWT) with a key of this server's own: those of another server are not valid here.

    Args:
        api_keys: The keys that are accepted; ``None`` for all that are not empty.
    """

    def __init__(self, api_keys: Optional[Set[str]]) -> None:
        self._api_keys = api_keys
        self._secret = secrets.token_bytes(32)

    def issue_token(self, grants: Iterable[str], seconds: int) -> str:
        """Return a new token.

        Args:
            grants: What it allows, of ``GRANTS``.
            seconds: How long it is valid.
        """
        now = int(time.time())
        claims = {
            "iss": _KEY_ID,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + seconds,
            "grants": dict.fromkeys(grants, True),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM, headers={"kid": _KEY_ID})

    def admit(self, query: Mapping[str, str], headers: Mapping[str, str], grant: Optional[str]) -> None:
        """Check the credential, which may come in any of the service's ways.

        Args:
            query: The request's.
            headers: The request's; names match in any case.
            grant: The grant that an access token needs; ``None`` where only a key will do, ``ADMIN`` where only an
                admin's will, which does nowhere else.

        Raises:
            ApiError: 401, there is no credential or it is not valid; or 403, it does not allow this.
        """
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        given = [
            bearer.strip() if scheme.lower() == "bearer" else "",
            query.get("access_token", ""),
            headers.get("X-API-Key", ""),
            query.get("api_key", ""),
        ]
        for credential in filter(None, given):
            if _is_token(credential):
                if grant not in self._grants_of(credential):
                    needed = f"the grant {grant!r}" if grant in GRANTS else f"an {ADMIN if grant else 'API'} key"
                    raise ApiError(403, "Forbidden", f"This needs {needed}; the access token does not give it.")
                return
            if self._api_keys is None or credential in self._api_keys:
                if credential.startswith(_ADMIN_PREFIX) is not (grant == ADMIN):
                    needed = "needs an admin key" if grant == ADMIN else "needs an API key that is none of an admin's"
                    raise ApiError(403, "Forbidden", f"This {needed}.")
                return
        problem = "The credential is not valid." if any(given) else "A credential is required."
        raise ApiError(401, "Unauthorized", problem)

    def _grants_of(self, token: str) -> Set[str]:
        try:
            claims = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options={"require": _REQUIRED_CLAIMS})
        except jwt.ExpiredSignatureError as exc:
            raise ApiError(401, "Unauthorized", "The access token has expired.") from exc
        except jwt.InvalidTokenError as exc:
            raise ApiError(401, "Unauthorized", "The access token is not this server's.") from exc
        return frozenset(claims["grants"])


def _is_token(credential: str) -> bool:
    """Whether a local server has issued this, this one or another."""
    try:
        return jwt.get_unverified_header(credential).get("kid") == _KEY_ID
    except jwt.InvalidTokenError:
        return False


class Neighbours:
    """Tells the programs of this machine from the web pages that it shows.

    A browser lets every page connect to loopback, and names the page in ``Origin``. A page can also let its own name
    lead to loopback (DNS rebinding); then ``Host`` is that name. Neither says anything where other machines are to
    reach the server.

    Args:
        host: The address that the server listens on.
        allow_origins: The pages that are welcome; ``*`` for all.
    """

    def __init__(self, host: str, allow_origins: Iterable[str]) -> None:
        self._hosts = {host.lower(), socket.gethostname().lower()}
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)
        self._hosts.update(filter(None, map(_host_of, self._origins)))
        self.listens_on([host])

    def listens_on(self, addresses: Iterable[str]) -> None:
        """Take the addresses that the host's name has led to."""
        self._is_checked = "*" not in self._origins and all(map(is_loopback, addresses))

    def check(self, headers: Mapping[str, str]) -> None:
        """Check where a request comes from. A refusal is logged.

        Args:
            headers: The request's; names match in any case.

        Raises:
            ApiError: 403, a web page of elsewhere has sent it.
        """
        if not self._is_checked:
            return
        host, origin = headers.get("Host"), headers.get("Origin")
        if origin is not None and not (origin.lower() in self._origins or is_loopback(_host_of(origin))):
            name, value = "Origin", origin
        elif host is not None and not (_host_of(f"//{host}") in self._hosts or is_loopback(_host_of(f"//{host}"))):
            name, value = "Host", host
        else:
            return
        why = f"{name} {value[:100]!r} is not this machine"
        _log.warning("refused a request, probably of a web page: %s; allow_origins says which may", why)
        raise ApiError(403, "Forbidden", f"{why}. See allow_origins of the local server.")

    def cors_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what lets a browser show an answer to the page that asked; nothing if the page is not welcome.

        To be asked after ``check``. The page of an answer to a preflight (Fetch standard, "CORS protocol") may ask in
        any way: what it asks for is checked when it asks.

        Args:
            headers: The request's; names match in any case.
        """
        origin = headers.get("Origin")
        if origin is None:
            return {}
        if not ({"*", origin.lower()} & self._origins or is_loopback(_host_of(origin))):
            return {}
        allowed = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "X-Request-Id, Cartesia-File-ID",
            "Vary": "Origin",
        }
        method = headers.get("Access-Control-Request-Method")
        if method is not None:
            allowed["Access-Control-Allow-Methods"] = method
            allowed["Access-Control-Allow-Headers"] = headers.get("Access-Control-Request-Headers", "*")
            allowed["Access-Control-Max-Age"] = "600"
            if "Access-Control-Request-Private-Network" in headers:
                allowed["Access-Control-Allow-Private-Network"] = "true"
        return allowed


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # it is no URL
        return ""


def is_address(host: str) -> bool:
    """Whether it says by itself who reaches it; a name does not. Nothing is the address of all interfaces."""
    try:
        ipaddress.ip_address(host or "0.0.0.0")
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address or a name. The name is not looked up."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
