"""What all requests of one client share: where they go, with which key, for how long, and by which connections."""

from __future__ import annotations

import copy
import functools
import os
import re
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, TypeVar, Union
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ._version import __version__
from .errors import MissingCredentialsError, SlotTimeoutError, requested
from .exchange import HTTPRequest
from .protocol.formats import version_sent
from .protocol.requests import Omit
from .protocol.timeouts import HttpxTimeout, Timeout, checked_seconds, checked_size
from .transport.credential import ask_for, authorization, checked_credential
from .transport.loopback import is_this_machine
from .transport.redaction import Concealed

if TYPE_CHECKING:
    import ssl

    from .limits.gate import Gate, Ticket
    from .limits.limit import Limited
    from .protocol.metrics import SpokenContext
    from .transport.deadline import Deadline
    from .transport.http.request import TakeSlot
    from .transport.http.session import Http
    from .transport.mirror import Mirror
    from .transport.websocket.wire import Wire

_C = TypeVar("_C", bound="Core")
_R = TypeVar("_R")
DEFAULT_BASE_URL = "https://api.cartesia.ai"
DEFAULT_VERSION = "2026-08-14"
DEFAULT_TIMEOUT = Timeout()
DEFAULT_MAX_RETRIES = 2
DEFAULT_LIMIT_IDLE = 10.0
"""Seconds: the longest that the service waits for more text (5), its end of a silent context (1), and room."""
MAX_ANSWER_BYTES = 64 << 20
"""How long an answer may be that is read as a whole, unless the client is told otherwise; audio has no limit."""
_USER_AGENT = f"cartesia-sync/{__version__}"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_SETTINGS = {
    "api_key": "api_key",
    "token": "token",
    "base_url": "base_url",
    "websocket_base_url": "websocket_base_url",
    "_given_websocket_base_url": "websocket_base_url",
    "cartesia_version": "cartesia_version",
    "_default_headers": "default_headers",
    "_default_query": "default_query",
    "timeout": "timeout",
    "max_retries": "max_retries",
    "max_answer_bytes": "max_answer_bytes",
    "_allow_insecure": "allow_insecure",
    "on_spoken": "on_spoken",
    "_limit": "limit",
    "_stt_limit": "stt_limit",
    "limit_wait": "limit_wait",
    "limit_idle": "limit_idle",
}
"""The attributes that hold what the user gave, and the arguments that these came by."""
_LIVE = ("_shared", "_resources", "_gate", "_stt_gate")
"""The attributes that a copy does not get."""


class Core:
    """The settings of a client, and the connections that it shares with those made from it by ``with_options``.

    A user's ``Cartesia`` is one; resources know it as this, and read the settings at each request, since users may
    change ``timeout`` and ``max_retries`` afterwards.

    Args: see ``Cartesia``.

    Threads: any, all of it. Making one opens nothing and starts no thread.
    """

    def __init__(
        self,
        *,
        api_key: Optional[str] = None,
        token: Union[str, Callable[[], str], None] = None,
        base_url: Optional[str] = None,
        websocket_base_url: Optional[str] = None,
        cartesia_version: str = DEFAULT_VERSION,
        default_headers: Optional[Mapping[str, str]] = None,
        default_query: Optional[Mapping[str, object]] = None,
        timeout: Union[
            float, tuple[Optional[float], Optional[float]], Timeout, HttpxTimeout, Omit, None
        ] = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_answer_bytes: Optional[int] = MAX_ANSWER_BYTES,
        allow_insecure: bool = False,
        ssl_context: Optional[ssl.SSLContext] = None,
        on_spoken: Optional[Callable[[SpokenContext], object]] = None,
        limit: Optional[Limited] = None,
        limit_wait: Optional[float] = None,
        limit_idle: Optional[float] = DEFAULT_LIMIT_IDLE,
        stt_limit: Optional[Limited] = None,
        http_client: None = None,
        inspector: Optional[str] = None,
    ) -> None:
        refuse_http_client(http_client)
        if on_spoken is not None and not callable(on_spoken):
            raise TypeError(f"on_spoken: expected a callable, got {on_spoken!r}")
        self.on_spoken = on_spoken
        key_name = "api_key"
        if api_key is None and token is None:
            key_name = "the environment variable CARTESIA_API_KEY"
            api_key = os.environ.get("CARTESIA_API_KEY")
        if api_key is not None:
            api_key = checked_credential(api_key, key_name)
        if token is not None and not callable(token):
            token = checked_credential(token, "token")
        credential = api_key or token
        if not credential:
            raise MissingCredentialsError(
                "No key: pass api_key= or token=, or set the environment variable CARTESIA_API_KEY."
            )
        self.api_key = api_key
        self.token = token
        self.base_url = _checked_url(
            base_url or os.environ.get("CARTESIA_BASE_URL") or DEFAULT_BASE_URL, ("http", "https"), "base_url"
        )
        self._given_websocket_base_url = websocket_base_url
        self.websocket_base_url = _checked_url(
            websocket_base_url or "ws" + self.base_url[len("http") :], ("ws", "wss"), "websocket_base_url"
        )
        if not allow_insecure:
            for url in (self.base_url, self.websocket_base_url):
                _check_secure(url)
        self._allow_insecure = allow_insecure
        self.cartesia_version = cartesia_version
        self.timeout = Timeout.of(timeout)
        self.max_retries = checked_retries(max_retries)
        self.max_answer_bytes = None if max_answer_bytes is None else checked_size("max_answer_bytes", max_answer_bytes)
        self.limit_wait = checked_seconds("limit_wait", limit_wait)
        self.limit_idle = checked_seconds("limit_idle", limit_idle)
        self._limit, self._stt_limit = limit, stt_limit
        self._gate, self._stt_gate = self._made_gate("limit"), self._made_gate("stt_limit")
        self._shared = _Shared(_Trust(ssl_context))
        if inspector is not None:
            self._shared.be_inspected(inspector)
        self._default_headers = dict(default_headers or {})
        self._default_query = dict(default_query or {})
        self._resources: dict[str, Any] = {}
        self._headers = merged(
            authorization(credential) if isinstance(credential, str) else {},
            {
                "Cartesia-Version": cartesia_version,
                "User-Agent": _USER_AGENT,
                "X-Cartesia-Client": _USER_AGENT,
            },
            self._default_headers,
        )

    def __repr__(self) -> str:
        return f"<Cartesia {self.base_url} version {self.cartesia_version}>"

    # ---- copies

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings, for a pickle.

        Raises:
            TypeError: One of them cannot be pickled; the error names the argument.
        """
        import pickle

        if self._shared.trust.is_given:
            raise _cannot_travel("ssl_context", "Python pickles no SSLContext")
        for attribute, argument in _SETTINGS.items():
            try:
                pickle.dumps(getattr(self, attribute))
            except Exception as error:  # pickle lets out what the value's own class raises
                raise _cannot_travel(argument, str(error)) from error
        return {name: value for name, value in vars(self).items() if name not in _LIVE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._shared, self._resources = _Shared(_Trust(None)), {}
        self._gate, self._stt_gate = self._made_gate("limit"), self._made_gate("stt_limit")

    def __copy__(self: _C) -> _C:
        return self._copied(lambda _, value: value, {})

    def __deepcopy__(self: _C, memo: dict[int, Any]) -> _C:
        def copied(name: str, value: Any) -> Any:
            if name == "on_spoken":
                return value  # a copy of whoever listens would hear nothing
            if name == "token" and callable(value):
                return value  # what gives tokens is asked by both: the copy of a bound method would copy its object
            try:
                return copy.deepcopy(value, memo)
            except Exception:  # what the value's own class raises
                if name in _SETTINGS:
                    return value  # nobody changes it here, so that both may use it
                raise

        return self._copied(copied, memo)

    def _copied(self: _C, copied: Callable[[str, Any], Any], memo: dict[int, Any]) -> _C:
        made = memo[id(self)] = type(self).__new__(type(self))
        made._shared, made._resources = _Shared(self._shared.trust), {}
        made._gate, made._stt_gate = self._gate, self._stt_gate
        vars(made).update({name: copied(name, value) for name, value in vars(self).items() if name not in _LIVE})
        return made

    # ---- the limit

    def _made_gate(self, argument: str) -> Optional[Gate]:
        """Return the gate of a limit; a limit that is known by a name gets the account's, and what it counts."""
        limit: Optional[Limited] = self._limit if argument == "limit" else self._stt_limit
        if limit is None:
            return None
        from .limits.limit import Limit, account_name, gate_of

        gate, credential = gate_of(limit), self.api_key or self.token
        if isinstance(limit, Limit) and limit.needs_name:
            if not isinstance(credential, str):
                raise ValueError(
                    f"{argument}: a {type(limit).__name__} gets its name from the key, and here is a function that"
                    " gives tokens; give it a name of the account's: name="
                )
            limit.bind(account_name(credential) + ("" if argument == "limit" else "-stt"))
        return gate

    @property
    def limit(self) -> Optional[Gate]:
        """The line in front of the limit, in this process: ``.in_use``, ``.waiting``, ``.seen_429``; None without one.

        Threads: any. Does not wait.
        """
        return self._gate

    @property
    def stt_limit(self) -> Optional[Gate]:
        """The line in front of the limit of sessions that listen, likewise; None without one.

        Threads: any. Does not wait.
        """
        return self._stt_gate

    def _slot_taker(self) -> Optional[TakeSlot]:
        """Return what waits for a slot at each attempt of one request; None without a limit."""
        gate, wait = self._gate, self.limit_wait
        if gate is None:
            return None
        began = time.monotonic()

        def take(*, is_again: bool, check: Callable[[], object]) -> Ticket:
            left = None if wait is None else max(began + wait - time.monotonic(), 0.0)
            ticket = gate.acquire(left, at_head=is_again, check=check)
            if ticket is None:
                raise SlotTimeoutError(
                    f"The request waited {wait} s (limit_wait) for a slot of the client's limit, and none became free: "
                    f"{gate!r}.",
                    timeout=wait,
                )
            return ticket

        return take

    # ---- for the resources

    def _resource(self, kind: Callable[[Core], _R]) -> _R:
        # functools.cached_property would hold a lock at a fork, on some Pythons.
        made: _R = self._resources.setdefault(kind.__name__, kind(self))
        return made

    @property
    def _http(self) -> Http:
        return self._shared.http

    @property
    def _trust(self) -> ssl.SSLContext:
        return self._shared.trust()

    def _asker(self, headers: Mapping[str, str]) -> Optional[Callable[[], dict[str, str]]]:
        """Return what gives the header with the credential at each attempt; None where the headers have one for all.

        Args:
            headers: All headers of the request, those of the client included.
        """
        token = self.token
        if self.api_key or not callable(token) or any(name.lower() == "authorization" for name in headers):
            return None
        return functools.partial(ask_for, token)

    def _version_sent(
        self,
        headers: Optional[Mapping[str, Union[str, Omit]]],
        query: Optional[Mapping[str, object]],
        *,
        over_http: bool,
    ) -> str:
        """Return the API version that a request with these extra headers and query goes out with.

        Args:
            headers: What is sent in place of the client's headers of the same name.
            query: What is added to the URL.
            over_http: Whether the client's ``default_query`` is added too.
        """
        default_query = self._default_query if over_http else {}
        return version_sent(merged(self._headers, headers or {}), {**default_query, **(query or {})})

    def _dialler(
        self,
        path: str,
        query: Union[Mapping[str, str], Sequence[tuple[str, str]]],
        headers: Mapping[str, Union[str, Omit]],
        *,
        max_message_bytes: Optional[int],
    ) -> Callable[[Deadline], Wire]:
        """Return a function that opens a WebSocket to a path of the service, as often as it is used.

        A space in the query goes out as ``%20``: not every reader of the service's takes a plus sign for one. It
        asks the user's function for a token, where there is one, in the thread that it is called in, and raises what
        that raises as a ``RaisedOutside``.

        Raises:
            TypeError, ValueError: A header cannot be sent.
        """
        from .transport.websocket import handshake, wire

        parts = urlsplit(self.websocket_base_url)
        url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=urlencode(query, quote_via=quote)))
        all_headers = Concealed(merged(self._headers, headers))
        limit = wire.MAX_MESSAGE_BYTES if max_message_bytes is None else max_message_bytes

        ask = self._asker(all_headers)

        def dial(deadline: Deadline) -> Wire:
            with requested(HTTPRequest.of("GET", url)):
                opened = handshake.connect(
                    url,
                    all_headers if ask is None else Concealed({**all_headers, **ask()}),
                    ssl_context=self._trust if parts.scheme == "wss" else None,
                    deadline=deadline,
                    max_message_bytes=limit,
                    proxy_trust=self._shared.trust,
                )
            mirror = self._shared.mirror
            if mirror is not None:
                opened.tap = mirror.tap(path, version_sent(all_headers, dict(query)))
            return opened

        return dial


class Ending(Protocol):
    """What ends with its client: a pool, or the connection of ``client.tts.connection()``."""

    def _end_with_client(self) -> None:
        """End. Imports nothing: a signal handler may use it."""


class _Trust:
    """The one TLS context of all connections; made when it is first needed, since that reads the whole trust store."""

    def __init__(self, given: Optional[ssl.SSLContext]) -> None:
        self.is_given = given is not None
        self._made = {} if given is None else {"context": given}

    def __call__(self) -> ssl.SSLContext:
        context = self._made.get("context")
        if context is None:
            from .transport.environment import default_trust

            # Two threads may make one each, and one of them is kept: a lock could be held at a fork.
            context = self._made.setdefault("context", default_trust())
        return context


class _Shared:
    """What a client shares with those that are made from it by ``with_options``. Takes no lock of its own."""

    def __init__(self, trust: _Trust) -> None:
        self.trust = trust
        self._made: dict[str, Http] = {}
        self.mirror: Optional[Mirror] = None
        self._kept: dict[weakref.ref[Ending], None] = {}  # each change is one call of C code
        self._closed_in: set[int] = set()  # processes: a forked child of a closed client has connections of its own

    @property
    def http(self) -> Http:
        """The connections for HTTP; made when they are first needed."""
        http = self._made.get("http")
        if http is None:
            from .transport.http.session import Http

            http = self._made.setdefault("http", Http(self.trust))  # as above
            http.mirror = self.mirror
            if self.is_closed:
                http.close()  # either this sees that it was closed meanwhile, or close() sees what was made
        return http

    def be_inspected(self, url: Optional[str]) -> None:
        """Tell the inspector at this URL what is said and heard from now on; None: nobody.

        Raises:
            ValueError: It is none of this machine.
        """
        mirror = None
        if url is not None:
            from .transport.mirror import Mirror

            mirror = Mirror(url)
        former, self.mirror = self.mirror, mirror
        http = self._made.get("http")
        if http is not None:
            http.mirror = mirror
        if former is not None:
            former.close()

    def keep(self, what: Ending) -> None:
        """Have something end with the client, for as long as anybody else holds it."""
        kept = self._kept
        kept[weakref.ref(what, lambda gone: kept.pop(gone, None))] = None

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called in this process."""
        return os.getpid() in self._closed_in

    def close(self) -> None:
        """Close the connections, and those that are made later. Imports nothing: a signal handler may use it."""
        self._closed_in.add(os.getpid())
        for what in [each() for each in list(self._kept)]:
            if what is not None:
                what._end_with_client()
        http = self._made.get("http")
        if http is not None:
            http.close()
        if self.mirror is not None:
            self.mirror.close()


def _cannot_travel(argument: str, reason: str) -> TypeError:
    return TypeError(
        f"this client cannot be pickled because of its {argument} ({reason}): make the client in the process that is to"
        f" use it, or leave {argument} out"
    )


def _checked_url(url: str, schemes: tuple[str, ...], what: str) -> str:
    """Return it without a slash at its end. No message shows it, since it may hold a credential."""
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
    if parts.scheme in ("http", "ws") and not is_this_machine(parts.hostname or ""):
        raise ValueError(
            f"{url} would send the key in clear to another machine; use https:// or wss://, or say allow_insecure=True"
        )


def refuse_http_client(value: object) -> None:
    """Refuse the official client's ``http_client``, and say what to use: the transport here is another."""
    if value is not None:
        raise TypeError(
            "http_client: this client has no httpx inside. Give timeouts by timeout=, trust by ssl_context=, headers "
            "by default_headers=, and proxies by the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY)."
        )


def checked_retries(value: int) -> int:
    """Return it, if it is a number of retries."""
    if type(value) is not int or value < 0:
        raise ValueError(f"max_retries: expected a number, 0 or more, got {value!r}")
    return value


def merged(*layers: Mapping[str, Union[str, Omit]]) -> dict[str, str]:
    """Put headers over others of the same name, whatever the case; ``omit`` takes away what was there.

    Raises:
        TypeError: A header is no text.
        ValueError: A header holds a line break, or its name is none, or its value cannot be sent.
    """
    found: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in layer.items():
            _check_header(name, "" if isinstance(value, Omit) else value)
            if isinstance(value, Omit):
                found.pop(name.lower(), None)
            else:
                found[name.lower()] = name, value
    return dict(found.values())


def _check_header(name: Any, value: Any) -> None:
    """Refuse what cannot be sent; no message shows a value, which may be the key."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"the header {name!r}: expected a text, got a value of type {type(value).__name__}")
    if any(char in "\r\n\0" for char in f"{name}{value}"):
        raise ValueError(f"the header {name!r} holds a line break")
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"the header {name!r} holds half a character, which cannot be sent")
