"""The client: configuration in, resources and connections out."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union
from urllib.parse import urlencode, urlsplit, urlunsplit

from ._version import __version__
from .errors import MissingCredentialsError
from .protocol.requests import Omit, omit
from .protocol.timeouts import Timeout, checked_size
from .resources.base import MAX_ANSWER_BYTES, Caller, CallOptions, Resource, checked_retries, merged
from .transport.loopback import is_this_machine

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Unpack

    from .protocol.models.core import GetStatusResponse
    from .resources.access_token import AccessTokenResource
    from .resources.agents import AgentsResource
    from .resources.datasets import DatasetsResource
    from .resources.fine_tunes import FineTunesResource
    from .resources.pronunciation_dicts import PronunciationDictsResource
    from .resources.stt import STTResource
    from .resources.tts import TTSResource
    from .resources.voice_changer import VoiceChangerResource
    from .resources.voices import VoicesResource
    from .transport.deadline import Deadline
    from .transport.http.session import Http
    from .transport.websocket.wire import Wire

_R = TypeVar("_R", bound=Resource)
DEFAULT_BASE_URL = "https://api.cartesia.ai"
DEFAULT_VERSION = "2026-08-14"
DEFAULT_TIMEOUT = Timeout()
DEFAULT_MAX_RETRIES = 2
_USER_AGENT = f"cartesia-sync/{__version__}"
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
}
"""The attributes that hold what the user gave, and the arguments that these came by."""
_LIVE = ("_shared", "_resources")
"""The attributes that a copy does not get."""


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
        default_query: Added to the query of everything that goes over HTTP.
        timeout: Seconds to wait: one number, (connect, read), or a ``Timeout`` for each clock; None is no limit.
        max_retries: How often an attempt to connect, or a call over HTTP, is repeated that failed for a reason which
            may pass: no connection, no answer in time, or a status 408, 409, 429 or 5xx (as in the official client).
        max_answer_bytes: How much an answer over HTTP that is read as a whole, such as JSON, may weigh, decompressed;
            64 MiB by default, and None is no limit. Audio and events, which are read as they arrive, have none.
        allow_insecure: Whether the key may be sent in clear, by ``http://`` and ``ws://``, to a host that is not this
            machine. To this machine it may.
        ssl_context: How to verify the service, in place of the system's and certifi's authorities, or those that
            REQUESTS_CA_BUNDLE or SSL_CERT_FILE name; shared by all connections.

    Raises:
        MissingCredentialsError: Neither a key nor a token is given, and the environment has no key.
        ValueError: A URL, a header, a clock or a limit is not one.

    A client can be pickled, and so handed to another process (``multiprocessing`` with spawn or forkserver, Celery,
    Dask), and copied by ``copy.copy`` and ``copy.deepcopy``. What comes out has the same settings and connections of
    its own, none of them open yet; it is open itself, whether or not this one is closed. The key is in the pickle in
    clear, and so is a token: treat the pickle as you treat the key. An ``ssl_context`` cannot be pickled, nor can,
    say, a lambda in ``default_query``: the TypeError names the argument. Copies in the same process share it. Without
    an ``ssl_context`` the other process trusts what its own environment says. (``client.copy`` is another name of
    ``with_options``, as in the official client, and shares the connections.)

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
        default_query: Optional[Mapping[str, object]] = None,
        timeout: Union[float, tuple[Optional[float], Optional[float]], Timeout, None] = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_answer_bytes: Optional[int] = MAX_ANSWER_BYTES,
        allow_insecure: bool = False,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        if api_key is None and token is None:
            api_key = os.environ.get("CARTESIA_API_KEY")
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
        self._shared = _Shared(_Trust(ssl_context))
        self._default_headers = dict(default_headers or {})
        self._default_query = dict(default_query or {})
        self._resources: dict[str, Any] = {}
        self._headers = merged(
            {
                "Authorization": f"Bearer {credential}",
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

    def __copy__(self) -> Cartesia:
        return self._copied(lambda _, value: value, {})

    def __deepcopy__(self, memo: dict[int, Any]) -> Cartesia:
        def copied(name: str, value: Any) -> Any:
            try:
                return copy.deepcopy(value, memo)
            except Exception:  # what the value's own class raises
                if name in _SETTINGS:
                    return value  # nobody changes it here, so that both may use it
                raise

        return self._copied(copied, memo)

    def _copied(self, copied: Callable[[str, Any], Any], memo: dict[int, Any]) -> Cartesia:
        made = memo[id(self)] = type(self).__new__(type(self))
        made._shared, made._resources = _Shared(self._shared.trust), {}
        vars(made).update({name: copied(name, value) for name, value in vars(self).items() if name not in _LIVE})
        return made

    def with_options(
        self,
        *,
        api_key: Optional[str] = None,
        token: Optional[str] = None,
        base_url: Optional[str] = None,
        websocket_base_url: Optional[str] = None,
        cartesia_version: Optional[str] = None,
        default_headers: Optional[Mapping[str, str]] = None,
        set_default_headers: Optional[Mapping[str, str]] = None,
        default_query: Optional[Mapping[str, object]] = None,
        set_default_query: Optional[Mapping[str, object]] = None,
        timeout: Union[float, tuple[Optional[float], Optional[float]], Timeout, Omit, None] = omit,
        max_retries: Union[int, Omit] = omit,
        max_answer_bytes: Union[int, Omit, None] = omit,
        allow_insecure: Optional[bool] = None,
    ) -> Cartesia:
        """Make a client with some settings changed; the two share their connections, and closing one closes both.

        Args:
            api_key: As for the client; one given here displaces a token, and a token a key.
            token: As for the client.
            base_url: As for the client.
            websocket_base_url: As for the client.
            cartesia_version: As for the client.
            default_headers: Added to the present ones.
            set_default_headers: In place of the present ones.
            default_query: Added to the present one.
            set_default_query: In place of the present one.
            timeout: As for the client.
            max_retries: As for the client.
            max_answer_bytes: As for the client.
            allow_insecure: As for the client.

        Raises:
            ValueError: Both an addition and a replacement are given, or a setting is not valid.
        """
        for added, replaced, name in (
            (default_headers, set_default_headers, "default_headers"),
            (default_query, set_default_query, "default_query"),
        ):
            if added is not None and replaced is not None:
                raise ValueError(f"{name} and set_{name} exclude each other")
        keeps_credential = api_key is None and token is None
        made = Cartesia(
            api_key=self.api_key if keeps_credential else api_key,
            token=self.token if keeps_credential else token,
            base_url=base_url or self.base_url,
            websocket_base_url=websocket_base_url or self._given_websocket_base_url,
            cartesia_version=cartesia_version or self.cartesia_version,
            default_headers=set_default_headers
            if set_default_headers is not None
            else merged(self._default_headers, default_headers or {}),
            default_query=set_default_query
            if set_default_query is not None
            else {**self._default_query, **(default_query or {})},
            timeout=self.timeout if isinstance(timeout, Omit) else timeout,
            max_retries=self.max_retries if isinstance(max_retries, Omit) else max_retries,
            max_answer_bytes=self.max_answer_bytes if isinstance(max_answer_bytes, Omit) else max_answer_bytes,
            allow_insecure=self._allow_insecure if allow_insecure is None else allow_insecure,
        )
        made._shared = self._shared
        return made

    copy = with_options

    # ---- the end

    def close(self) -> None:
        """Close the idle connections for HTTP, and refuse further calls; WebSockets are closed by themselves.

        Calls under way in other threads are finished; one that waits for another attempt fails. Idempotent.

        Threads: any. Does not wait.
        """
        self._shared.close()

    def is_closed(self) -> bool:
        """Tell whether ``close`` was called."""
        return self._shared.is_closed

    def __enter__(self) -> Cartesia:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.close()

    # ---- the API's nouns

    @property
    def tts(self) -> TTSResource:
        """Text to speech."""
        from .resources.tts import TTSResource

        return self._resource(TTSResource)

    @property
    def voices(self) -> VoicesResource:
        """Voices: the catalogue, clones, accents."""
        from .resources.voices import VoicesResource

        return self._resource(VoicesResource)

    @property
    def pronunciation_dicts(self) -> PronunciationDictsResource:
        """Dictionaries that say how words are pronounced."""
        from .resources.pronunciation_dicts import PronunciationDictsResource

        return self._resource(PronunciationDictsResource)

    @property
    def voice_changer(self) -> VoiceChangerResource:
        """Speech in another voice."""
        from .resources.voice_changer import VoiceChangerResource

        return self._resource(VoiceChangerResource)

    @property
    def stt(self) -> STTResource:
        """Speech to text."""
        from .resources.stt import STTResource

        return self._resource(STTResource)

    @property
    def access_token(self) -> AccessTokenResource:
        """Tokens that let others use the account for a while."""
        from .resources.access_token import AccessTokenResource

        return self._resource(AccessTokenResource)

    @property
    def datasets(self) -> DatasetsResource:
        """Collections of recordings to fine-tune with."""
        from .resources.datasets import DatasetsResource

        return self._resource(DatasetsResource)

    @property
    def fine_tunes(self) -> FineTunesResource:
        """Models fine-tuned with a dataset."""
        from .resources.fine_tunes import FineTunesResource

        return self._resource(FineTunesResource)

    @property
    def agents(self) -> AgentsResource:
        """Voice agents, their calls, deployments and metrics."""
        from .resources.agents import AgentsResource

        return self._resource(AgentsResource)

    def get_status(self, **options: Unpack[CallOptions]) -> GetStatusResponse:
        """Ask whether the service is up, and for its default API version (``GET /``).

        Args:
            **options: See ``CallOptions``.

        Source: docs page ``api-reference/api-status/get``.
        """
        from .protocol.models.core import GetStatusResponse

        status: GetStatusResponse = self._caller.call("GET", "/", GetStatusResponse, options)
        return status

    # ---- endpoints without a name here

    def get(self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any) -> Any:
        """Call ``GET path``; for its arguments see ``request``."""
        return self.request("GET", path, cast_to=cast_to, options=options, **more)

    def post(
        self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Any:
        """Call ``POST path``; for its arguments see ``request``."""
        return self.request("POST", path, cast_to=cast_to, options=options, **more)

    def patch(
        self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Any:
        """Call ``PATCH path``; for its arguments see ``request``."""
        return self.request("PATCH", path, cast_to=cast_to, options=options, **more)

    def put(self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any) -> Any:
        """Call ``PUT path``; for its arguments see ``request``."""
        return self.request("PUT", path, cast_to=cast_to, options=options, **more)

    def delete(
        self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Any:
        """Call ``DELETE path``; for its arguments see ``request``."""
        return self.request("DELETE", path, cast_to=cast_to, options=options, **more)

    def request(
        self,
        method: str,
        path: str,
        *,
        cast_to: Any = object,
        query: Optional[Mapping[str, object]] = None,
        body: Optional[Mapping[str, object]] = None,
        form: Optional[Mapping[str, object]] = None,
        files: Optional[Mapping[str, Any]] = None,
        options: Optional[Mapping[str, Any]] = None,
    ) -> Any:
        """Call an endpoint that has no method here, with the same key, retries and errors.

        Args:
            method: The HTTP method.
            path: Below the base URL; or a whole URL of the same service, such as a voice's ``preview_file_url``.
            cast_to: What the answer is made into: a class of ``cartesia_sync.types``, ``dict``, ``str``, ``bytes``, or
                None for an answer without content; by default the decoded JSON.
            query: Added to the URL. A list repeats its name, a mapping gives ``name[key]``.
            body: Sent as JSON.
            form: Sent as a multipart form, in place of a body.
            files: Files of the form.
            options: ``headers``, ``params``, ``timeout`` and ``max_retries`` of this call, as the official client
                names them.

        Raises:
            APIError: The call failed; see ``cartesia_sync.errors``.
            ValueError: A URL of another host: the key would go there.

        Threads: any. Waits as all calls do; see ``Resource``.
        """
        given = dict(options or {})
        request: dict[str, Any] = {"query": query, "body": body, "form": form, "files": files}
        if "max_retries" in given:
            request["max_retries"] = given.pop("max_retries")
        more: CallOptions = {}
        if "timeout" in given:
            more["timeout"] = given.pop("timeout")
        more["extra_headers"], more["extra_query"] = given.pop("headers", None), given.pop("params", None)
        if given:
            raise TypeError(f"options: expected headers, params, timeout or max_retries; got {', '.join(given)}")
        accept = "*/*" if cast_to in (bytes, str, None) else "application/json"
        return self._caller.call(method.upper(), path, cast_to, more, accept=accept, **request)

    def _resource(self, kind: type[_R]) -> _R:
        # functools.cached_property would hold a lock at a fork, on some Pythons.
        made: _R = self._resources.setdefault(kind.__name__, kind(self))
        return made

    @property
    def _caller(self) -> Caller:
        return Caller(
            self._connections,
            base_url=self.base_url,
            headers=self._headers,
            query=self._default_query,
            timeout=self.timeout,
            max_retries=self.max_retries,
            max_answer_bytes=self.max_answer_bytes,
        )

    @property
    def _connections(self) -> Http:
        return self._shared.http

    @property
    def _trust(self) -> ssl.SSLContext:
        return self._shared.trust()

    def dialler(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        max_message_bytes: Optional[int],
    ) -> Callable[[Deadline], Wire]:
        """Give what opens a WebSocket to a path of the service, as often as it is called. For the resources."""
        from .transport.websocket import handshake, wire

        parts = urlsplit(self.websocket_base_url)
        url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=urlencode(query)))
        all_headers = merged(self._headers, headers)
        limit = wire.MAX_MESSAGE_BYTES if max_message_bytes is None else max_message_bytes

        def dial(deadline: Deadline) -> Wire:
            return handshake.connect(
                url,
                all_headers,
                ssl_context=self._trust if parts.scheme == "wss" else None,
                deadline=deadline,
                max_message_bytes=limit,
            )

        return dial


class _Trust:
    """The one TLS context of all connections; made when it is first needed, for that reads the whole trust store."""

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
        self._closed_in: set[int] = set()  # processes: a forked child of a closed client has connections of its own

    @property
    def http(self) -> Http:
        """The connections for HTTP; made when they are first needed."""
        http = self._made.get("http")
        if http is None:
            from .transport.http.session import Http

            http = self._made.setdefault("http", Http(self.trust))  # as above
            if self.is_closed:
                http.close()  # either this sees that it was closed meanwhile, or close() sees what was made
        return http

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called in this process."""
        return os.getpid() in self._closed_in

    def close(self) -> None:
        """Close what was made, and what will be. Makes nothing, so that a signal handler imports nothing here."""
        self._closed_in.add(os.getpid())
        http = self._made.get("http")
        if http is not None:
            http.close()


def _cannot_travel(argument: str, reason: str) -> TypeError:
    return TypeError(
        f"this client cannot be pickled because of its {argument} ({reason}): make the client in the process that is to"
        f" use it, or leave {argument} out"
    )


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
    if parts.scheme in ("http", "ws") and not is_this_machine(parts.hostname or ""):
        raise ValueError(
            f"{url} would send the key in clear to another machine; use https:// or wss://, or say allow_insecure=True"
        )
