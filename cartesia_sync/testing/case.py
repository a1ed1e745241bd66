"""For tests by unittest, and by nothing at all."""

from __future__ import annotations

import unittest
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Optional

from .server import KEY, CartesiaServer, ServedCartesia, environment

__all__ = ["CartesiaTestCase", "local_client"]


@contextmanager
def local_client(**options: Any) -> Iterator[ServedCartesia[CartesiaServer]]:
    """A client on a server of its own.

        with local_client(concurrency_limit=2) as client:
            program(client)
            assert client.server.spoken == ["Hello."]

    While the block runs CARTESIA_BASE_URL and CARTESIA_API_KEY are set, so that clients that the program makes are led
    to the same server.

    Args:
        **options: As for ``LocalServer``; ``engine`` is ``"signal"`` unless another is given.

    Raises:
        ImportError: The extra ``cartesia-sync[local]`` is not installed.

    Blocks while the server starts, about 10 ms, and while it stops: milliseconds, half a second at most.
    """
    with CartesiaServer(**options) as server, ExitStack() as stack:
        stack.enter_context(environment(server.url, KEY))
        yield stack.enter_context(ServedCartesia(server, api_key=KEY, base_url=server.url))


class CartesiaTestCase(unittest.TestCase):
    """A test case whose tests have ``self.cartesia``, a client on a server of its own for each test.

        class GreetingTest(CartesiaTestCase):
            server_options = {"concurrency_limit": 2}

            def test_it_greets(self):
                greet(self.cartesia)
                self.assertEqual(self.cartesia.server.spoken, ["Hello."])

    Everything is started in ``setUp`` and stopped by a cleanup; see ``local_client``.

    Attributes:
        server_options: As for ``LocalServer``.
    """

    server_options: ClassVar[Mapping[str, Any]] = {}
    _client: Optional[ServedCartesia[CartesiaServer]] = None

    def setUp(self) -> None:
        """Start the server."""
        super().setUp()
        assert self.cartesia is not None

    @property
    def cartesia(self) -> ServedCartesia[CartesiaServer]:
        """The client; made now, if a ``setUp`` of your own did not call this class's."""
        if self._client is None:
            with ExitStack() as stack:
                self._client = stack.enter_context(local_client(**self.server_options))
                self.addCleanup(self._forget_client, stack.pop_all())
        return self._client

    def _forget_client(self, stack: ExitStack) -> None:
        self._client = None
        stack.close()
