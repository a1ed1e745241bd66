"""The client: configuration in, resources and connections out."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Callable, Optional, Union
from urllib.parse import urlencode, urlsplit, urlunsplit

from ._version import __version__
from .errors import MissingCredentialsError
from .protocol.clocks import Timeout

if TYPE_CHECKING:
    from .resources.tts import TTSResource
    from .transport.deadline import Deadline
    from .transport.wire import Wire

DEFAULT_BASE_URL = "https://api.cartesia.ai"
DEFAULT_VERSION = "2026-08-14"
DEFAULT_TIMEOUT = Timeout()
DEFAULT_MAX_RETRIES = 2
_USER_AGENT = f"cartesia-sync/{__version__}"


class Cartesia:
    """A client for Cartesia's speech API.

    Args:
        api_key: ``sk_car_...``; the environment's CARTESIA_API_KEY if neither this nor a token is given.
        token: An access token, in place of a key. Where both are given the key is used, as the official client does.
        base_url: Of the HTTP API; the environment's CARTESIA_BASE_URL, else the service's own.
        websocket_base_url: Of the WebSocket API; by default the base URL with ``ws`` for ``http`` and ``wss`` for
            ``https``.
        cartesia_version: The API version, a date; it decides the shape in which voices go out.
        default_headers: Sent with everything, in place of ours of the same name.
        timeout: Seconds to wait: one number, or a ``Timeout`` for each clock; None is no limit.
        max_retries: How often an attempt to connect is repeated that failed for a reason which may pass.
        allow_insecure: Whether the key may be sent in clear, by ``http://`` and ``ws://``, to a host that is not this
            machine. To this machine it may.
        ssl_context: How to verify the service, in place of the system's and certifi's authorities, or those that
            REQUESTS_CA_BUNDLE or SSL_CERT_FILE name; shared by all connections.

    Raises:
        MissingCredentialsError: Neither a key nor a token is given, and the environment has no key.
        ValueError: A URL, a header or a clock is not one.

    Threads: any, all of it. Making a client opens nothing and starts no thread.
    """

    def __init__(
        self,
        *,
        api_key: Optional[str] = None,
        token: Optional[str] = None,
        base_url: Optional[str] = None,
        websocket_base_url: Optional[str] = None,
        cartesia_version: str = DEFAULT_VERSION,
        default_headers: Optional[Mapping[str, str]] = None,
        timeout: Union[float, Timeout, None] = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        allow_insecure: bool = False,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        if api_key is None and token is None:
            api_key = os.environ.get("CARTESIA_API_KEY")
        self._credential = api_key or token
        if not self._credential:
            raise MissingCredentialsError(
                "No key: pass api_key= or token=, or set the environment variable CARTESIA_API_KEY."
            )
        self.base_url = _checked_url(
            base_url or os.environ.get("CARTESIA_BASE_URL") or DEFAULT_BASE_URL, ("http", "https"), "base_url"
        )
        self.websocket_base_url = _checked_url(
            websocket_base_url or "ws" + self.base_url[len("http") :], ("ws", "wss"), "websocket_base_url"
        )
        if not allow_insecure:
            for url in (self.base_url, self.websocket_base_url):
                _check_secure(url)
        self.cartesia_version = cartesia_version
        self.timeout = Timeout.of(timeout)
        self.max_retries = max_retries
        self._ssl_context = ssl_context
        self._tts: Optional[TTSResource] = None
        self._headers = _merged(
            {
                "Authorization": f"Bearer {self._credential}",
                "Cartesia-Version": cartesia_version,
                "User-Agent": _USER_AGENT,
                "X-Cartesia-Client": _USER_AGENT,
            },
            default_headers or {},
        )

    def __repr__(self) -> str:
        return f"<Cartesia {self.base_url} version {self.cartesia_version}>"

    @property
    def tts(self) -> TTSResource:
        """Text to speech."""
        if self._tts is None:  # functools.cached_property would hold a lock at a fork, on some Pythons
            from .resources.tts import TTSResource

            self._tts = TTSResource(self)
        return self._tts

    @property
    def _trust(self) -> ssl.SSLContext:
        """Give the one TLS context of all connections: making it reads the whole trust store.

        Two threads may make one at the same time, and one of them is kept: a lock could be held at a fork.
        """
        if self._ssl_context is None:
            from .transport.surroundings import default_trust

            self._ssl_context = default_trust()
        return self._ssl_context

    def dialler(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        max_message_bytes: Optional[int],
    ) -> Callable[[Deadline], Wire]:
        """Give what opens a WebSocket to a path of the service, as often as it is called. For the resources."""
        from .transport import wire

        parts = urlsplit(self.websocket_base_url)
        url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=urlencode(query)))
        all_headers = _merged(self._headers, headers)
        limit = wire.MAX_MESSAGE_BYTES if max_message_bytes is None else max_message_bytes

        def dial(deadline: Deadline) -> Wire:
            return wire.connect(
                url,
                all_headers,
                ssl_context=self._trust if parts.scheme == "wss" else None,
                deadline=deadline,
                max_message_bytes=limit,
            )

        return dial


def _checked_url(url: str, schemes: tuple[str, ...], what: str) -> str:
    """Give it without a slash at its end. No message shows it, since it may hold a credential."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError:
        raise ValueError(f"{what} is not a URL") from None
    if not url.isprintable() or " " in url:
        raise ValueError(f"{what} holds a space or a line break")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{what} holds no user name, password, query or fragment: credentials are sent in headers")
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"{what} begins with {' or '.join(f'{scheme}://' for scheme in schemes)} and names a host")
    return url.rstrip("/")


def _check_secure(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "ws") and not _is_this_machine(parts.hostname or ""):
        raise ValueError(
            f"{url} would send the key in clear to another machine; use https:// or wss://, or say allow_insecure=True"
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761


def _merged(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Put headers over others of the same name, whatever the case."""
    replaced = {name.lower() for name in more}
    merged = {name: value for name, value in headers.items() if name.lower() not in replaced}
    merged.update(more)
    for name, value in merged.items():
        if any(char in "\r\n\0" for char in f"{name}{value}"):
            raise ValueError(f"the header {name!r} holds a line break")
    return merged
