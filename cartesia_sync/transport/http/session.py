"""HTTP to the service: one pooled session, its retries, and requests' errors as ours."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import queue
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.utils
import urllib3.exceptions

from ...errors import (
    APIConnectionError,
    CartesiaError,
    ConnectTimeoutError,
    ProtocolError,
    ProxySettingError,
    RateLimitError,
    SlotTimeoutError,
    requested,
)
from ..credential import untouched
from ..error_response import MAX_BODY_BYTES, error_response
from ..loopback import is_this_machine
from ..proxy import Proxy, chosen, secrets_of
from ..redaction import redacted, secrets_in
from ..retry import with_retries
from .request import Request
from .response import Response, give_back, read_timeout, system_error_behind
from .tls_adapter import TLSAdapter

if TYPE_CHECKING:
    from ..mirror import Mirror

SHORTEST_TIMEOUT = 0.001
"""In place of 0, which a socket takes as not to wait at all, and which urllib3 refuses."""
_HARMLESS_HEADERS = {"accept", "accept-encoding", "connection", "content-length", "content-type", "range", "user-agent"}
_T = TypeVar("_T")
_log = logging.getLogger("cartesia_sync.http")


class Http:
    """The connections to the service. Clients that differ only in settings share one.

    Threads: any, at once. A forked child gets connections of its own.

    Args:
        trust: Returns the TLS context; called when that is first needed.
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust
        self.mirror: Optional[Mirror] = None  # whom to tell what is asked and answered
        # By process: the parent's session is neither used nor closed in the child. And without a lock, which could be
        # held at the fork: if two threads make a session at once, one of the two is kept.
        self._by_process: dict[int, _Live] = {}

    @property
    def _live(self) -> _Live:
        process = os.getpid()
        return self._by_process.get(process) or self._by_process.setdefault(process, _Live(self._trust))

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._live.closing.is_set

    def close(self) -> None:
        """Close idle connections, refuse new requests, and wake who waits for another attempt. Idempotent.

        Threads: any, in a signal handler too: it waits for no lock.
        """
        live = self._live
        live.closing.set()
        for adapter in live.session.adapters.values():
            if isinstance(adapter, requests.adapters.HTTPAdapter):
                # requests only forgets the pools: one that a kept answer or exception refers to would stay open.
                for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                    for key in manager.pools.keys():  # noqa: SIM118  # it refuses to be iterated
                        pool = manager.pools.get(key)
                        if pool is not None:
                            pool.close()
        live.session.close()

    def open(self, request: Request) -> Response:
        """Send it, as often as the rule of ``retry`` allows, and return the first answer that is not an error.

        Threads: any. Waits for the answer's head, and between attempts as the service asks, 60 s at most.
        """
        return self._with_retries(request, lambda number: self._attempt(request, number))

    def fetch(self, request: Request) -> tuple[Response, bytes]:
        """Do as ``open`` does, and read the body too, which belongs to the attempt.

        Raises:
            APIResponseValidationError: The body is longer than the request's ``max_answer_bytes``.
        """

        def attempt(number: int) -> tuple[Response, bytes]:
            response = self._attempt(request, number)
            return response, response.read()

        return self._with_retries(request, attempt)

    def _with_retries(self, request: Request, attempt: Callable[[int], _T]) -> _T:
        numbers = itertools.count()

        def log(error: CartesiaError, pause: float) -> None:
            _log.debug("%s: %s; again in %.2f s", request.what, type(error).__name__, pause)

        def wait(seconds: float) -> None:
            self._live.closing.wait(seconds)
            self._check_open(request)

        def attempts() -> _T:
            with requested(request.shown):
                self._check_open(request)
                return with_retries(
                    lambda: attempt(next(numbers)),
                    max_retries=request.max_retries,
                    log=log,
                    wait=wait,
                    timeout_per_attempt=True,
                )

        return untouched(attempts)

    def _check_open(self, request: Request) -> None:
        if self.is_closed:
            raise APIConnectionError(f"{request.what}: the client is closed")

    def _attempt(self, request: Request, number: int) -> Response:
        """Send it once; where it needs a slot of the client's limit, and is refused for want of one, again.

        The slot is held until the body's end, and in no pause between two attempts.
        """
        take_slot = request.take_slot
        if take_slot is None:
            return self._attempt_once(request, number)
        refusal: Optional[RateLimitError] = None
        while True:
            try:
                slot = take_slot(is_again=refusal is not None, check=lambda: self._check_open(request))
            except SlotTimeoutError:
                if refusal is None:
                    raise
                break
            try:
                response = self._attempt_once(request, number)
            except RateLimitError as error:
                is_refusal = error.error_code in (None, "concurrency_limited")
                if is_refusal:
                    slot.refused(error.retry_after)
                give_back(slot)
                if not is_refusal:
                    raise
                refusal = error
                continue
            except BaseException:
                give_back(slot)
                raise
            slot.succeeded()
            response.hold(slot)
            return response
        raise refusal

    def _attempt_once(self, request: Request, number: int) -> Response:
        request = request.attempted()
        call = None
        if self.mirror is not None:
            content_type = next(
                (value for name, value in request.headers.items() if name.lower() == "content-type"), ""
            )
            call = self.mirror.asked(request.method, request.path, content_type, request.body)
        try:
            answer = self._live.session.request(
                request.method,
                request.url,
                params=list(request.query),
                data=request.body,
                # As bytes: http.client would write Latin-1, and show the whole value where it cannot.
                headers={name: value.strip().encode() for name, value in request.headers.items()},
                timeout=(_positive(request.connect_timeout), _positive(request.read_timeout)),
                stream=True,
            )
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            failure, reason = _translated(error, request)
            if call is not None:
                call.ended("cut")
        else:
            return self._accepted(Response(answer, request, retries_taken=number, call=call))
        # Outside of the handler: requests' exceptions hold the request, and with it the key.
        raise failure from reason

    def _accepted(self, response: Response) -> Response:
        request = response.request
        _log.debug("%s: %d", request.what, response.status_code)
        if 200 <= response.status_code < 300:
            return response
        secrets = secrets_in(request.headers)
        try:
            # As much more as a secret is long, which at the end would be known by its whole length alone.
            body = response.read_beginning(MAX_BODY_BYTES + max(map(len, secrets), default=0))
        except APIConnectionError:
            body = b""  # the status says enough
        body = redacted(body, secrets)[:MAX_BODY_BYTES]
        headers = {name: redacted(value.encode(), secrets).decode() for name, value in response.headers.items()}
        raise error_response(response.status_code, headers, body, what=request.what)


def environment_proxies(url: str) -> dict[str, str]:
    """Return the proxies that the environment names for a URL, by scheme; none where NO_PROXY covers it.

    A request in clear to this machine goes only through a proxy on this machine: it holds the key, and another
    machine's proxy would not reach us by that name anyway.
    """
    proxies: dict[str, str] = requests.utils.get_environ_proxies(url)
    parts = urlsplit(url)
    if parts.scheme == "http" and is_this_machine(parts.hostname or ""):
        return {name: proxy for name, proxy in proxies.items() if is_this_machine(_host_of(proxy))}
    return proxies


def _usable_proxies(url: str) -> dict[str, str]:
    """Return the same, where requests can use the one that it will choose.

    Raises:
        ProxySettingError: It cannot. requests would say so by showing its URL, or by an exception that is no error.
    """
    proxies = environment_proxies(url)
    proxy = chosen(url, proxies)
    if proxy is not None and proxy.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise ProxySettingError(
            f"{proxy.source} names a proxy with the scheme {proxy.scheme!r}, and SOCKS over HTTP needs PySocks: install"
            " cartesia-sync[socks]"
        )
    return proxies


def _proxy_of(url: str) -> Optional[Proxy]:
    """Return the proxy that a failed request went through, for the message."""
    try:
        return chosen(url, environment_proxies(url))
    except ProxySettingError:
        return None  # the environment has changed since


def _host_of(proxy: str) -> str:
    """Return a proxy's host; requests accepts a proxy without a scheme too."""
    try:
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname or ""
    except ValueError:
        return ""


class _Live:
    """What belongs to one process."""

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self.closing = _Closing()
        self.session = _Session()
        adapter = TLSAdapter(trust)
        for scheme in ("http://", "https://"):  # both: a proxy may be reached by TLS
            self.session.mount(scheme, adapter)


class _Closing:
    """Whether the client is closed; can be waited for.

    Not a ``threading.Event``: an exception from outside can leave its lock taken, and a signal handler that closes
    would wait for its own thread.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._waiting: dict[int, queue.SimpleQueue[None]] = {}

    def set(self) -> None:
        """Close, and wake all who wait."""
        self.is_set = True
        for waiting in self._waiting.copy().values():
            waiting.put(None)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is closed."""
        woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            self._waiting[id(woken)] = woken
            if not self.is_set:  # checked once set() can see our queue
                with suppress(queue.Empty):
                    woken.get(timeout=seconds)
        finally:
            self._waiting.pop(id(woken), None)


class _Session(requests.Session):
    """A session that adds nothing of its own, and carries nothing from one host to another."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.clear()
        self.headers["Accept-Encoding"] = "gzip"
        self.auth = _no_auth  # or requests replaces our Authorization by what ~/.netrc has
        self.cookies = _NoCookies()

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return the settings of a request, with the proxies that the environment names.

        Raises:
            ProxySettingError: It names one that cannot be used.
        """
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        found["proxies"] = _usable_proxies(url)
        return found

    def get_redirect_target(self, resp: Any) -> Any:
        """Return where a redirect leads. The rest of the answer may be of any size, and is not read."""
        target = super().get_redirect_target(resp)
        if target:
            resp.raw.close()
        return target

    def rebuild_proxies(self, prepared_request: requests.PreparedRequest, proxies: Any) -> Any:
        """Return the proxies that the environment names for the target of a redirect, by our rule.

        A proxy's credential is left to urllib3, which sends it to that proxy alone; requests would put it among the
        headers, which go to whichever host comes next.
        """
        prepared_request.headers.pop("Proxy-Authorization", None)
        return _usable_proxies(prepared_request.url or "")

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove, before a redirect to another host, all that may be a credential; requests removes one header."""
        prepared_request.headers.pop("Cookie", None)  # a redirect sets none, and requests has removed ours
        old, new = response.request.url, prepared_request.url
        if self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]  # untyped in its stubs
            for name in [name for name in prepared_request.headers if name.lower() not in _HARMLESS_HEADERS]:
                del prepared_request.headers[name]


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _NoCookies(requests.cookies.RequestsCookieJar):
    """Keeps none. The service needs none, and threads would share them, and a lock that an interrupt leaves taken."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take none."""


# ---- requests' errors as ours


def _translated(error: Exception, request: Request) -> tuple[Exception, Optional[BaseException]]:
    """Return our exception, and its cause: what the system said, since all above that holds a URL, or a credential."""
    reason = _reason(error)
    secrets = secrets_of(environment_proxies(request.url))
    said = redacted(str(reason).encode("utf-8", "replace"), secrets).decode()
    cause = system_error_behind(reason)
    if cause is not None and redacted(repr(cause).encode("utf-8", "replace"), secrets) != repr(cause).encode():
        cause = None  # a proxy that repeats what it was told
    proxy = _proxy_of(request.url)
    what = request.what if proxy is None else f"{request.what} through {proxy.shown}"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        what = f"{what}: no connection within {request.connect_timeout} seconds"
        return ConnectTimeoutError(what, timeout=request.connect_timeout), cause
    if isinstance(error, requests.exceptions.ReadTimeout):
        return read_timeout(request), cause
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return ProtocolError(f"{request.what}: too many redirects"), None
    # The text of a ValueError shows a URL, perhaps a proxy's. But a certificate that is refused is a ValueError too.
    if isinstance(error, ValueError) or (isinstance(reason, ValueError) and not isinstance(reason, OSError)):
        return ProtocolError(f"{request.what}: the URL, one that it redirects to, or the proxy's is none to ask"), None
    return APIConnectionError(f"{what}: {said}"), cause


def _reason(error: BaseException) -> BaseException:
    """Return the innermost cause: the layers above repeat the URL, whose query may hold a credential."""
    behind = [each for each in (getattr(error, "reason", None), *error.args) if isinstance(each, BaseException)]
    return _reason(behind[0]) if behind else error


def _positive(seconds: Optional[float]) -> Optional[float]:
    return None if seconds is None else max(seconds, SHORTEST_TIMEOUT)
