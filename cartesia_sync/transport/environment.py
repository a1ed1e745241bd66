"""Trust and proxies from the environment, read as users of requests expect, for the sockets."""

from __future__ import annotations

import os
import ssl
from typing import Optional
from urllib.request import getproxies

from .proxy import Proxy, chosen

_LIKE = {"wss": "https", "ws": "http"}


def default_trust() -> ssl.SSLContext:
    """Make the TLS context that verifies the service, strictly.

    REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names the only authorities to trust, a file or a folder; else SSL_CERT_FILE
    and SSL_CERT_DIR are OpenSSL's; else the system's authorities are trusted, and those of certifi, as requests does.
    """
    variable = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "CURL_CA_BUNDLE"
    bundle = os.environ.get(variable)
    if bundle:
        if not os.path.exists(bundle):  # OpenSSL's own error names neither the file nor the variable
            raise FileNotFoundError(f"{variable} names {bundle!r}: no such file or folder")
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        import certifi  # requests brings it

        context.load_verify_locations(certifi.where())
    return context


def proxy_for(url: str) -> Optional[Proxy]:
    """Return the proxy for a WebSocket: HTTPS_PROXY for wss, HTTP_PROXY for ws, ALL_PROXY, less NO_PROXY.

    Raises:
        ProxySettingError: The variable names none that is known.
    """
    if not getproxies():
        return None  # without loading requests, which takes time
    from .http.session import environment_proxies

    scheme, rest = url.split(":", 1)
    like = f"{_LIKE.get(scheme, scheme)}:{rest}"
    return chosen(like, environment_proxies(like))
