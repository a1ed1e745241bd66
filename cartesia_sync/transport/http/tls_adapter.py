"""Adapters of requests: pools that keep their connections without a lock, and TLS by the client's own context."""

from __future__ import annotations

import functools
import queue
import ssl
from collections import deque
from typing import Any, Callable, Optional

import requests
import requests.adapters
import urllib3.connectionpool

MAX_IDLE_CONNECTIONS = 100
"""To one host; more threads at once than this open connections that are not kept."""


class IdleConnections:
    """A host's idle connections, last in, first out, in place of urllib3's ``queue.LifoQueue``.

    Without a lock: one that an exception from outside leaves taken would stop every later request to the host, and a
    finalizer that returns a connection could wait for its own thread.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._connections: deque[Any] = deque()

    def put(self, connection: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        """Keep a connection that is no longer used. Does not wait."""
        if len(self._connections) >= self._maxsize:  # several threads at once may keep a few more
            raise queue.Full
        self._connections.append(connection)

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """Return the one that was used last. Does not wait."""
        try:
            return self._connections.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        """Return how many there are."""
        return len(self._connections)


class _HTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    QueueCls = IdleConnections  # type: ignore[assignment]  # it has all that a pool calls


class _HTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    QueueCls = IdleConnections  # type: ignore[assignment]  # it has all that a pool calls


class PooledAdapter(requests.adapters.HTTPAdapter):
    """Keeps its idle connections without a lock."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=MAX_IDLE_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools for what is reached directly."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Make the pools for what is reached by a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _socks_pools() if proxy.lower().startswith("socks") else _POOLS
        return manager


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


@functools.cache
def _socks_pools() -> dict[str, type]:
    """Return the same for SOCKS. PySocks is imported here, where it is needed; it comes with an extra."""
    from urllib3.contrib.socks import SOCKSHTTPConnectionPool, SOCKSHTTPSConnectionPool

    class HTTPPool(SOCKSHTTPConnectionPool):
        QueueCls = IdleConnections  # type: ignore[assignment]  # it has all that a pool calls

    class HTTPSPool(SOCKSHTTPSConnectionPool):
        QueueCls = IdleConnections  # type: ignore[assignment]  # it has all that a pool calls

    return {"http": HTTPPool, "https": HTTPSPool}


class _LentContext:
    """A TLS context for urllib3: what urllib3 sets is not set on the context itself, which others use too.

    On some Pythons urllib3 switches off ``check_hostname``, to compare the names itself; it always sets the ALPN
    protocols.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.verify_mode = context.verify_mode
        self.check_hostname = context.check_hostname

    def set_alpn_protocols(self, protocols: Any) -> None:
        """Do nothing: the context keeps its own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class TLSAdapter(PooledAdapter):
    """Verifies by the client's TLS context alone, which the WebSockets use too.

    requests would load its own authorities into that context, and the environment's, which the context has already.
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust
        self._lent: Optional[_LentContext] = None
        super().__init__()

    def _context(self) -> _LentContext:
        if self._lent is None:  # two threads may make one each: then their pools differ, and nothing else
            self._lent = _LentContext(self._trust())
        return self._lent

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Return the key of the pool for a request: its host, with our context."""
        host, _ = super().build_connection_pool_key_attributes(request, True, None)
        if host["scheme"] == "http":
            return host, {}  # the trust store is read where it is needed
        return host, self._verification()

    def _verification(self, prefix: str = "") -> dict[str, Any]:
        context = self._context()
        # urllib3 compares the names by itself, unless told not to, even where the context does not.
        names = {} if context._context.check_hostname else {f"{prefix}assert_hostname": False}
        return {f"{prefix}ssl_context": context, **names}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Add no authorities."""

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Reach a proxy that is itself reached by TLS with our context too."""
        if proxy.lower().startswith("https:"):
            # The second where what goes to the service is in clear: then urllib3 takes the proxy for the service.
            proxy_kwargs = {**proxy_kwargs, **self._verification("proxy_"), **self._verification()}
        return super().proxy_manager_for(proxy, **proxy_kwargs)
