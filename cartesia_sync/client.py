"""The client as users hold it: options in, resources out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, get_args, get_origin

from .closing import Closing
from .core import Core, merged, refuse_http_client
from .protocol.requests import Omit, omit
from .protocol.timeouts import HttpxTimeout, Timeout
from .resources.answer import APIResponse
from .resources.base import Answers, Requester, RequestOptions
from .resources.pages import SyncCursorIDPage
from .transport.credential import ask_for, authorization, untouched
from .transport.redaction import SentHeaders

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .limits.limit import Limited
    from .protocol.metrics import SpokenContext
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
    from .transport.websocket.wire import Wire
    from .with_response import CartesiaWithRawResponse, CartesiaWithStreamingResponse

_T = TypeVar("_T")


class Cartesia(Core, Closing):
    """A client for Cartesia's speech API.

    Args:
        api_key: ``sk_car_...``; the environment's CARTESIA_API_KEY if neither this nor a token is given.
        token: An access token, in place of a key; or a function that returns one, for tokens that expire, which is
            asked before each WebSocket is opened and each HTTP request is sent, and again for each retry. Where a key
            is given too the key is used, as the official client does.
        base_url: Of the HTTP API; the environment's CARTESIA_BASE_URL, else the service's own.
        websocket_base_url: Of the WebSocket API; by default the base URL with ``ws`` for ``http`` and ``wss`` for
            ``https``.
        cartesia_version: The API version, a date. Voices go out in the shape of the version that is really sent: a
            header ``Cartesia-Version`` in ``default_headers`` or ``extra_headers`` goes before this, and
            ``cartesia_version`` in a query before both.
        default_headers: Sent with everything, in place of ours of the same name.
        default_query: Added to the query of everything that goes over HTTP. Put no secret into it: a query stands in
            URLs, and urllib3 logs those (``DEBUG``, ``urllib3.connectionpool``). Secrets belong into
            ``default_headers``.
        timeout: Seconds to wait: one number, (connect, read), or a ``Timeout`` for each clock; None is no limit. Of an
            ``httpx.Timeout`` the ``connect``, ``read`` and ``write`` are taken.
        max_retries: How often an attempt to connect, or a request over HTTP, is repeated that failed for a reason
            which may pass: no connection, no answer in time, or a status 408, 409, 429 or 5xx (as in the official
            client).
        max_answer_bytes: How much an answer over HTTP that is read as a whole, such as JSON, may weigh, decompressed;
            64 MiB by default, and None is no limit. Audio and events, which are read as they arrive, have none.
        allow_insecure: Whether the key may be sent in clear, by ``http://`` and ``ws://``, to a host that is not this
            machine. To this machine it may.
        ssl_context: How to verify the service, in place of the system's and certifi's authorities, or those that
            REQUESTS_CA_BUNDLE or SSL_CERT_FILE name; shared by all connections.
        on_spoken: Called with a ``SpokenContext`` (ids, texts, how it ended, ``Metrics``) when the end of a context of
            a WebSocket connection has been received: once for each, in the thread that receives it, which waits for it.
            What it raises is logged and dropped. A context that nobody receives to its end is not told of.
        limit: How many may be spoken at once: a number, an object of ``cartesia_sync.limits``, or any with
            ``acquire(timeout=)`` and ``release()``, such as a ``threading.Semaphore``. Contexts wait for a slot at
            their first push, and ``tts.generate``, ``generate_sse``, ``infill`` and the voice changer before they are
            sent; first come, first served. A context that the service refuses with 429 all the same is said again, and
            its user sees nothing but time. A slot is held until the service's last event, whoever receives. None:
            nothing waits, and 429 raises ``RateLimitError``.
        limit_wait: Seconds that each may wait for its slot; ``SlotTimeoutError`` then. None is no limit. Holds for
            ``stt_limit`` too.
        limit_idle: Seconds after which a context that is left open, without a push or an event, gives its slot back;
            its next push takes another. None: it keeps it.
        stt_limit: How many sessions of streaming speech to text may be open at once, which an account's plan limits by
            itself (docs page ``concurrency-limits-and-timeouts``); as ``limit``. A session waits for its slot when it
            opens, and holds it until its connection ends; a handshake that is refused with 429 waits again.
        http_client: Refused, with what to use: the official client takes its httpx client here.
        inspector: The URL that ``cartesia-sync serve`` prints for a browser: the page there shows what this client, and
            those made from it, say and hear. See ``cartesia_sync.inspect``.

    Raises:
        MissingCredentialsError: Neither a key nor a token is given, and the environment has no key.
        ValueError: A URL, a header, a clock or a limit is not one; or the key or token holds what no header may, which
            the error names and does not show. White space around either is taken off.

    A function given as ``token`` runs in the thread that needs the token: the one that opens a connection, that sends
    a request over HTTP, or that pushes to a new context when the connection was lost (with ``speak``, the thread that
    takes the text); where a context is replayed, the one that receives. Never in the reader's thread. So it may be
    called by several threads at once. It is not cut short, its time counts for the connect timeout of a WebSocket, and
    other threads that wait for the same connection wait for it. What it raises comes out as it is, and is not retried.
    It must not use this client, nor a connection of it. To keep a token until it expires is its own affair.

    A client can be pickled, and so handed to another process (``multiprocessing`` with spawn or forkserver, Celery,
    Dask), and copied by ``copy.copy`` and ``copy.deepcopy``. What comes out has the same settings and connections of
    its own, none of them open yet; it is open itself, whether or not this one is closed. The key is in the pickle in
    clear, and so is a token: treat the pickle as you treat the key. A function that gives tokens is pickled by its
    name, an object or a bound method with all that it holds. An ``ssl_context`` cannot be pickled, nor can, say, a
    lambda as ``token`` or in ``default_query``: the TypeError names the argument. Copies in the same process share it
    (and what gives tokens, always). Without
    an ``ssl_context`` the other process trusts what its own environment says. (``client.copy`` is another name of
    ``with_options``, as in the official client, and shares the connections.)

    Threads: any, all of it. Making a client opens nothing and starts no thread.
    """

    def with_options(
        self,
        *,
        api_key: Optional[str] = None,
        token: Union[str, Callable[[], str], None] = None,
        base_url: Optional[str] = None,
        websocket_base_url: Optional[str] = None,
        cartesia_version: Optional[str] = None,
        default_headers: Optional[Mapping[str, str]] = None,
        set_default_headers: Optional[Mapping[str, str]] = None,
        default_query: Optional[Mapping[str, object]] = None,
        set_default_query: Optional[Mapping[str, object]] = None,
        timeout: Union[float, tuple[Optional[float], Optional[float]], Timeout, HttpxTimeout, Omit, None] = omit,
        max_retries: Union[int, Omit] = omit,
        max_answer_bytes: Union[int, Omit, None] = omit,
        allow_insecure: Optional[bool] = None,
        on_spoken: Union[Callable[[SpokenContext], object], Omit, None] = omit,
        limit: Union[Limited, Omit, None] = omit,
        limit_wait: Union[float, Omit, None] = omit,
        limit_idle: Union[float, Omit, None] = omit,
        stt_limit: Union[Limited, Omit, None] = omit,
        http_client: None = None,
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
            on_spoken: As for the client.
            limit: As for the client. The two share it, unless one is given here. It belongs to an account: with another
                key a number counts anew, and an object must be given, or None.
            limit_wait: As for the client.
            limit_idle: As for the client.
            stt_limit: As ``limit``.
            http_client: As for the client.

        Raises:
            ValueError: Both an addition and a replacement are given, or a setting is not valid; or the key is another
                one's, and the limit an object that counts for this one's account.
        """
        refuse_http_client(http_client)
        for added, replaced, name in (
            (default_headers, set_default_headers, "default_headers"),
            (default_query, set_default_query, "default_query"),
        ):
            if added is not None and replaced is not None:
                raise ValueError(f"{name} and set_{name} exclude each other")
        keeps_credential = api_key is None and token is None
        for name, given, kept in (("limit", limit, self._limit), ("stt_limit", stt_limit, self._stt_limit)):
            if isinstance(given, Omit) and not keeps_credential and not isinstance(kept, (int, type(None))):
                raise ValueError(
                    f"this client's {name} counts for its own account: give {name}= for the other key, or None"
                )
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
            on_spoken=self.on_spoken if isinstance(on_spoken, Omit) else on_spoken,
            limit=self._limit if isinstance(limit, Omit) else limit,
            limit_wait=self.limit_wait if isinstance(limit_wait, Omit) else limit_wait,
            limit_idle=self.limit_idle if isinstance(limit_idle, Omit) else limit_idle,
            stt_limit=self._stt_limit if isinstance(stt_limit, Omit) else stt_limit,
        )
        if keeps_credential:
            made._gate = self._gate if isinstance(limit, Omit) else made._gate
            made._stt_gate = self._stt_gate if isinstance(stt_limit, Omit) else made._stt_gate
        made._shared = self._shared
        return made

    copy = with_options

    # ---- the end

    def close(self) -> None:
        """Close the idle connections for HTTP, the pools and ``tts.connection()``, and refuse further requests.

        Requests under way in other threads are finished; one that waits for its next attempt fails. What a pool or that
        connection is speaking is cancelled. A connection of ``websocket_connect`` has its own ``close``. Idempotent.

        Threads: any. Waits for the goodbye of pools' connections alone, at most twice the close timeout for each.
        """
        self._shared.close()

    def is_closed(self) -> bool:
        """Whether the client, or one that shares its connections, was closed in this process."""
        return self._shared.is_closed

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

    def get_status(self, **options: Unpack[RequestOptions]) -> GetStatusResponse:
        """Ask whether the service is up, and for its default API version (``GET /``).

        Args:
            **options: See ``RequestOptions``.

        Source: docs page ``api-reference/api-status/get``.
        """
        from .resources.status import StatusResource

        return StatusResource(self).get_status(**options)

    # ---- the answers themselves

    @property
    def with_raw_response(self) -> CartesiaWithRawResponse:
        """The same nouns, whose methods return the answer, an ``APIResponse``: ``headers``, ``parse()`` and more."""
        from .with_response import CartesiaWithRawResponse

        return CartesiaWithRawResponse(self)

    @property
    def with_streaming_response(self) -> CartesiaWithStreamingResponse:
        """The same nouns, whose methods give the answer in a ``with`` block, and its body as it arrives."""
        from .with_response import CartesiaWithStreamingResponse

        return CartesiaWithStreamingResponse(self)

    # ---- what goes with each request

    @property
    def auth_headers(self) -> SentHeaders:
        """The header with the key or token, for a request by other means; its repr does not show it."""
        token = self.token
        if not self.api_key and callable(token):
            ask = token
            return SentHeaders(untouched(lambda: ask_for(ask)))
        return SentHeaders(authorization(str(self.api_key or token)))

    @property
    def default_headers(self) -> SentHeaders:
        """All headers that go with a request for JSON, the key among them; their repr does not show it."""
        own = {"Accept": "application/json", "Content-Type": "application/json"}
        return SentHeaders(merged(own, self.auth_headers, self._headers))

    # ---- endpoints without a name here

    def get_api_list(
        self,
        path: str,
        *,
        model: type[_T],
        page: Any = SyncCursorIDPage,
        query: Optional[Mapping[str, object]] = None,
        body: Optional[Mapping[str, object]] = None,
        options: Optional[Mapping[str, Any]] = None,
        method: str = "get",
    ) -> SyncCursorIDPage[_T]:
        """Get the first page of a list that has no method here; iterate it for this page and all that follow.

        Args:
            path: As for ``request``.
            model: What each item is made into: a class of ``cartesia_sync.types``. The next page is asked for by the
                ``id`` of the last.
            page: ``SyncCursorIDPage``, which is the only kind of page.
            query: As for ``request``; ``options`` may have it as ``params``, as for the official client.
            body: As for ``request``.
            options: As for ``request``.
            method: As for ``request``.

        Raises:
            TypeError: ``page`` is another class.
            APIError: The request failed; see ``cartesia_sync.errors``.
        """
        if (get_origin(page) or page) is not SyncCursorIDPage:
            raise TypeError(f"page: expected SyncCursorIDPage, got {page!r}")
        others = dict(options or {})
        asked = {**(query or {}), **(others.pop("params", None) or {})}

        def ask(query: Mapping[str, object]) -> Any:
            return self.request(method, path, cast_to=dict, query=query, body=body, options=others)

        return SyncCursorIDPage.fetched(ask, model, asked)

    def get(self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any) -> Any:
        """Send ``GET path``; for its arguments see ``request``."""
        return self.request("GET", path, cast_to=cast_to, options=options, **more)

    def post(
        self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Any:
        """Send ``POST path``; for its arguments see ``request``."""
        return self.request("POST", path, cast_to=cast_to, options=options, **more)

    def patch(
        self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Any:
        """Send ``PATCH path``; for its arguments see ``request``."""
        return self.request("PATCH", path, cast_to=cast_to, options=options, **more)

    def put(self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any) -> Any:
        """Send ``PUT path``; for its arguments see ``request``."""
        return self.request("PUT", path, cast_to=cast_to, options=options, **more)

    def delete(
        self, path: str, *, cast_to: Any = object, options: Optional[Mapping[str, Any]] = None, **more: Any
    ) -> Any:
        """Send ``DELETE path``; for its arguments see ``request``."""
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
        """Send a request to an endpoint that has no method here, with the same key, retries and errors.

        Args:
            method: The HTTP method.
            path: Below the base URL; or a whole URL of the same service, such as a voice's ``preview_file_url``.
            cast_to: What the answer is made into: a class of ``cartesia_sync.types``, ``dict``, ``str``, ``bytes``, or
                None (or ``NoneType``) for an answer without content; by default the decoded JSON. ``APIResponse``
                gives the answer itself, with its status and headers, and ``APIResponse[Voice]`` one that ``parse()``
                makes into a voice: in place of ``httpx.Response``, as for the official client.
            query: Added to the URL. A list repeats its name, a mapping gives ``name[key]``.
            body: Sent as JSON.
            form: Sent as a multipart form, in place of a body.
            files: Files of the form.
            options: ``headers``, ``params``, ``timeout`` and ``max_retries`` of this request, as the official
                client names them.

        Raises:
            APIError: The request failed; see ``cartesia_sync.errors``.
            TypeError: ``cast_to`` is a class of httpx, or an option is none.
            ValueError: A URL of another host: the key would go there.

        Threads: any. Waits as all requests do; see ``Resource``.
        """
        asked: list[object] = [method, path]
        if not all(isinstance(each, str) for each in asked):
            raise TypeError(f"request: expected a method, a path and cast_to=..., got {method!r:.80}, {path!r:.80}")
        given = dict(options or {})
        request: dict[str, Any] = {"query": query, "body": body, "form": form, "files": files}
        if "max_retries" in given:
            request["max_retries"] = given.pop("max_retries")
        more: RequestOptions = {}
        if "timeout" in given:
            more["timeout"] = given.pop("timeout")
        more["extra_headers"], more["extra_query"] = given.pop("headers", None), given.pop("params", None)
        if given:
            raise TypeError(f"options: expected headers, params, timeout or max_retries; got {', '.join(given)}")
        if getattr(cast_to, "__module__", "").partition(".")[0] == "httpx":
            raise TypeError(
                f"cast_to={cast_to.__name__}: this client has no httpx inside. Give cartesia_sync.APIResponse for the "
                "answer itself, which has status_code, headers, read(), text() and json(); or bytes, str, dict or a "
                "class of cartesia_sync.types for what it holds."
            )
        answers = Answers(Requester(self))
        if (get_origin(cast_to) or cast_to) is APIResponse:
            from .resources.raw import RawAnswers

            answers, (cast_to,) = RawAnswers(Requester(self)), get_args(cast_to) or (object,)
        if cast_to is type(None):
            cast_to = None
        accept = "*/*" if cast_to in (bytes, str, None) else "application/json"
        return answers.fetch(method.upper(), path, cast_to, more, accept=accept, **request)

    def dialler(
        self,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        max_message_bytes: Optional[int],
    ) -> Callable[[Deadline], Wire]:
        """Return what opens a WebSocket; it was never meant for users, and goes with version 0.3."""
        warnings.warn(
            "Cartesia.dialler is private; use client.tts.websocket_connect()", DeprecationWarning, stacklevel=2
        )
        dial = self._dialler(path, query, headers, max_message_bytes=max_message_bytes)
        return lambda deadline: untouched(lambda: dial(deadline))


def inspect(client: Cartesia, url: Optional[str]) -> None:
    """Show what a client says and hears from now on in an inspector of this machine; with None, no more.

        cartesia_sync.inspect(client, "http://127.0.0.1:8765/inspector?t=...")  # as cartesia-sync serve has printed

    Those that share its connections are shown too; its copies, and what comes out of its pickle, are not. Connections
    that are open already are not. The key, headers and queries are never told, nor what is asked of ``/access-token``;
    texts and audio are. Nothing goes through a proxy, and a forked child tells nothing.

    A thread of its own tells it. What it has no room for (8 MiB wait at most) is dropped, and the page says how much;
    so is what happens within 5 s after the inspector did not answer.

    Args:
        client: Whose.
        url: Where the inspector is, with its token.

    Raises:
        ValueError: It is not on this machine, or has no token.

    Threads: any. Does not wait. The thread starts with the first connection or request; ``client.close()`` ends it.
    """
    client._shared.be_inspected(url)
