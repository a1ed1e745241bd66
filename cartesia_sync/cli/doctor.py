"""``cartesia-sync doctor``: look at all that speaking needs, one line each, with what to do where something is wrong.

The key is never shown, nor a proxy's credentials.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import ssl
import time
from typing import TYPE_CHECKING, Optional
from urllib.parse import urlsplit

from .._version import __version__
from . import interrupts, service
from .outcome import FAILED, SUCCEEDED, in_words, tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..client import Cartesia

TIMEOUT = 15.0
"""Seconds for each step; who waits longer for an answer has found what is wrong."""
MOST_SKEW = 60.0
"""Seconds that a clock may be wrong before tokens and certificates suffer."""
WORD = "Hello."
_FOR_DEVELOPERS = ("bench", "test")
_NO_KEY = "none"
"""Sent in place of a key, to see whether the rest is well."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    service.add_local(parser)


def run(options: argparse.Namespace) -> int:
    """Look at everything, also when something is wrong; return whether all is well, as an exit status."""
    report = _Report()
    report.good("version", f"cartesia-sync {__version__}, Python {platform.python_version()}, {platform.system()}")
    report.good("extras", _extras())
    with contextlib.ExitStack() as stack:
        client = _client(options, report, stack)
        if client is not None:
            _look(client, report, _named(options))
    return FAILED if report.has_bad else SUCCEEDED


def _named(options: argparse.Namespace) -> str:
    if options.local:
        return "the local server"
    return "CARTESIA_BASE_URL" if os.environ.get("CARTESIA_BASE_URL") else "the default"


class _Report:
    """The lines, printed as they are found.

    Attributes:
        has_bad: Whether anything is wrong.
        has_key: Whether there is a key to try.
        has_proxy: Whether a proxy stands between us and the service.
    """

    def __init__(self) -> None:
        self.has_bad = False
        self.has_key = True
        self.has_proxy = False

    def good(self, what: str, found: str) -> None:
        self._line("ok", what, found)

    def unknown(self, what: str, found: str) -> None:
        self._line("-", what, found)

    def bad(self, what: str, found: str, to_do: str) -> None:
        self.has_bad = True
        self._line("BAD", what, f"{found.rstrip('.')}. To do: {to_do}")

    def _line(self, mark: str, what: str, text: str) -> None:
        tell(f"{mark:<4} {what:<8} {' '.join(text.split())}")


def _extras() -> str:
    """Say which of the optional parts are here, by what the installed package says of itself."""
    try:
        required = importlib.metadata.requires("cartesia-sync") or []
    except importlib.metadata.PackageNotFoundError:
        return "unknown: the package is not installed, but run where its source is"
    by_extra: dict[str, list[str]] = {}
    for requirement in required:
        found = re.match(r"([\w.-]+)[^;]*;.*\bextra\s*==\s*['\"]([\w.-]+)['\"]", requirement)
        if found and found[2] not in _FOR_DEVELOPERS:
            by_extra.setdefault(found[2], []).append(found[1])
    words = []
    for extra, packages in sorted(by_extra.items()):
        missing = [package for package in packages if not _is_installed(package)]
        if not missing:
            words.append(f"{extra}: installed")
        elif len(missing) < len(packages):
            words.append(f"{extra}: without {', '.join(missing)}, which not every system has")
        else:
            words.append(f"{extra}: not installed (pip install 'cartesia-sync[{extra}]')")
    return "; ".join(words) or "there are none"


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


# ---- what the environment says


def _client(options: argparse.Namespace, report: _Report, stack: contextlib.ExitStack) -> Optional[Cartesia]:
    """Return the client to look through; None where its settings are wrong."""
    with interrupts.held_back():
        from ..client import Cartesia
        from ..errors import MissingCredentialsError
    try:
        made = stack.enter_context(service.client(options))
    except MissingCredentialsError:
        report.has_key = False
        report.bad(
            "key",
            "CARTESIA_API_KEY is not set",
            "make a key at https://play.cartesia.ai/keys and say: export CARTESIA_API_KEY=sk_car_...",
        )
        try:
            made = stack.enter_context(Cartesia(api_key=_NO_KEY))
        except ValueError as error:
            report.bad("address", str(error), "set CARTESIA_BASE_URL to the service's address, or unset it")
            return None
    except ValueError as error:
        if "CARTESIA_API_KEY" in str(error) or "api_key" in str(error) or "Authorization" in str(error):
            report.bad("key", str(error), "set CARTESIA_API_KEY to the key alone, without quotes or line breaks")
        else:
            report.bad("address", str(error), "set CARTESIA_BASE_URL to the service's address, or unset it")
        return None
    return made.with_options(timeout=TIMEOUT, max_retries=0)


def _look(client: Cartesia, report: _Report, named: str) -> None:
    with _failing_as(report, "proxy", "correct HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY"):
        _look_at_the_proxy(client, report)
    if not _is_there(client, report, f"{client.base_url} ({named})"):
        return
    if report.has_key and _takes_the_key(client, report):
        _speak(client, report)


def _look_at_the_proxy(client: Cartesia, report: _Report) -> None:
    from ..transport.environment import proxy_for

    proxy = proxy_for(f"{client.websocket_base_url}/tts/websocket")
    if proxy is None:
        report.good("proxy", "none is used for this address")
        return
    report.has_proxy = True
    credentials = "" if proxy.username is None else ", with credentials that are not shown"
    report.good("proxy", f"{proxy.shown.removeprefix('the proxy ')}{credentials}")


# ---- what the service says


def _is_there(client: Cartesia, report: _Report, address: str) -> bool:
    """Look at the address, TLS, the version and the clock, by the one request that needs no key."""
    from ..errors import APIConnectionError, APIError, APIStatusError
    from ..resources.base import Requester

    sent_at = time.time()
    try:
        with contextlib.closing(Requester(client).open("GET", "/", {}, accept="application/json")) as response:
            answered_at = time.time()
            headers = response.headers
        status = client.get_status()
    except (APIConnectionError, OSError) as error:
        certificate = _of_tls(error)
        if certificate is not None:
            report.good("address", address)
            report.bad(
                "TLS",
                certificate,
                "where a company's proxy or a server of your own signs with its own authority, have "
                "REQUESTS_CA_BUNDLE or SSL_CERT_FILE name the file of that authority's certificate (PEM)",
            )
        else:
            report.bad(
                "address",
                f"{address}: {in_words(error)}",
                "check the proxy, and whether it lets this address through"
                if report.has_proxy
                else "check the address, the network, and whether a proxy is needed (HTTPS_PROXY)",
            )
        return False
    except APIStatusError as error:
        report.bad("address", f"{address}: {error}", "check whether this is Cartesia's address, and ask again later")
        return False
    except APIError as error:
        report.bad("address", f"{address}: {error}", "check whether this is Cartesia's address")
        return False
    report.good("address", address)
    is_tls = urlsplit(client.base_url).scheme == "https"
    report.good("TLS", f"verified, {ssl.OPENSSL_VERSION}{_trust()}" if is_tls else "none: the address is http://")
    report.good("API", f"version {client.cartesia_version} is asked for; the service's default is {status.version}")
    _look_at_the_clock(headers.get("date"), (sent_at + answered_at) / 2, report)
    return True


def _trust() -> str:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if os.environ.get(variable):
            return f", by the authorities of {variable}"
    return ""


def _of_tls(error: BaseException) -> Optional[str]:
    """Return what is wrong with TLS, or None where it is something else."""
    if isinstance(error, OSError) and error.errno is None and "_CA_BUNDLE" in str(error):
        return str(error)
    at: Optional[BaseException] = error
    while at is not None:
        if isinstance(at, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {at.verify_message}"
        if isinstance(at, ssl.SSLError):
            return f"no TLS there: {at.reason or at}"
        at = at.__cause__ or at.__context__
    return str(error) if "CERTIFICATE_VERIFY_FAILED" in str(error) else None


def _look_at_the_clock(date: Optional[str], now: float, report: _Report) -> None:
    from email.utils import parsedate_to_datetime

    try:
        skew = now - parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        report.unknown("clock", "the service does not say what time it is")
        return
    if abs(skew) <= MOST_SKEW:
        report.good("clock", f"within {max(1, round(abs(skew)))} s of the service's")
    else:
        way = "ahead of" if skew > 0 else "behind"
        report.bad(
            "clock", f"{abs(skew):.0f} s {way} the service's", "set it by the network (NTP): tokens depend on it"
        )


def _takes_the_key(client: Cartesia, report: _Report) -> bool:
    from ..errors import AuthenticationError, CartesiaError, PermissionDeniedError

    try:
        client.voices.list(limit=1)
    except (AuthenticationError, PermissionDeniedError) as error:
        to_do = "make a key at https://play.cartesia.ai/keys, and set CARTESIA_API_KEY to it"
        report.bad("key", f"the service refuses it: {error}", to_do)
        return False
    except CartesiaError as error:
        report.bad("key", f"cannot be tried: {error}", "see docs/errors.md for this error")
        return False
    report.good("key", "the service takes it")
    return True


def _speak(client: Cartesia, report: _Report) -> None:
    from ..protocol.formats import DEFAULT_OUTPUT_FORMAT
    from ..streaming.context import DEFAULT_MODEL_ID, DEFAULT_VOICE_ID

    to_do = "what HTTP gets and a WebSocket does not, a proxy or firewall stops; else see docs/errors.md for this error"
    begun_at = time.monotonic()
    with _failing_as(report, "speech", to_do), client.tts.websocket_connect() as connection:
        context = connection.context(
            model_id=DEFAULT_MODEL_ID, voice=DEFAULT_VOICE_ID, output_format=DEFAULT_OUTPUT_FORMAT
        )
        context.push(WORD, continue_=False)
        samples = len(context.audio()) // 4
        seconds = samples / int(str(DEFAULT_OUTPUT_FORMAT["sample_rate"]))
        report.good("speech", f"{WORD!r} in {seconds:.2f} s of audio, after {time.monotonic() - begun_at:.2f} s")


@contextlib.contextmanager
def _failing_as(report: _Report, what: str, to_do: str) -> Iterator[None]:
    from ..errors import CartesiaError

    try:
        yield
    except (CartesiaError, OSError, ValueError) as error:
        report.bad(what, in_words(error), to_do)
