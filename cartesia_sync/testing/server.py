"""The local server, and a client on it, for one test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Optional, TypeVar

from cartesia_sync.client import Cartesia
from cartesia_sync.local import LocalServer

from .seen import OrderedRecorder, Seen

__all__ = ["KEY", "CartesiaServer", "ServedCartesia", "environment"]

KEY = "any"
"""The key of clients on a server of their own."""

S = TypeVar("S")


class CartesiaServer(Seen, LocalServer):
    """A local server with views for assertions: ``spoken`` and ``contexts``, beside all that ``LocalServer`` has.

    Args:
        **options: As for ``LocalServer``, except that ``engine`` is ``"signal"``, which starts no process, unless
            another is given.

    Threads: as ``LocalServer``.
    """

    def __init__(self, **options: Any) -> None:
        LocalServer.__init__(self, **{"engine": "signal", **options})
        self._recorder = self._seen_by = OrderedRecorder()

    def __enter__(self) -> CartesiaServer:
        self.start()
        return self


class ServedCartesia(Cartesia, Generic[S]):
    """A client that knows the server on which it is: ``server``.

    Its copies, and what comes out of a pickle, know none; nor does what ``with_options`` gives.
    """

    __slots__ = ("_served",)  # not among the settings, which are copied and pickled

    def __init__(self, server: S, **options: Any) -> None:
        super().__init__(**options)
        self._served = server

    @property
    def server(self) -> S:
        """The server, for assertions and for faults."""
        try:
            return self._served
        except AttributeError:
            raise AttributeError("a copy of the client knows no server: ask the one that the test was given") from None


@contextmanager
def environment(url: str, key: Optional[str]) -> Iterator[None]:
    """Lead clients that a program makes meanwhile to this address, by the environment; with this key, or its own."""
    before = {name: os.environ.get(name) for name in ("CARTESIA_BASE_URL", "CARTESIA_API_KEY")}
    os.environ["CARTESIA_BASE_URL"] = url
    if key is not None:
        os.environ["CARTESIA_API_KEY"] = key
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
