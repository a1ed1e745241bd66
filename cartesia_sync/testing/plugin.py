"""The pytest plugin: fixtures ``cartesia``, ``cartesia_client`` and ``cartesia_server``.

It runs in every pytest of everyone who has the package, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

TYPE_CHECKING = False  # typing's takes time to load only where pytest has not loaded it; this reads like the others
if TYPE_CHECKING:
    from .server import CartesiaServer, ServedCartesia

__all__: list[str] = []

_SERVER = "cartesia_server"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("cartesia", "tests of programs that speak (cartesia_sync.testing)")
    group.addoption(
        "--cartesia-engine",
        choices=("signal", "espeak", "auto"),
        default="signal",
        help="who speaks on the tests' own servers: a speech-like noise, the fastest (signal), or a voice",
    )
    group.addoption(
        "--cartesia-block-network",
        action="store_true",
        help="fail whatever would connect to another machine",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and close the network if that was asked for."""
    config.addinivalue_line("markers", f"{_SERVER}(**options): options of the test's own server, as of LocalServer")
    if config.getoption("--cartesia-block-network"):
        from . import network

        network.block()
        config.add_cleanup(network.unblock)


@pytest.fixture
def cartesia_server(request: pytest.FixtureRequest) -> Iterator[CartesiaServer]:
    """A local server of this test's own.

    While the test runs CARTESIA_BASE_URL and CARTESIA_API_KEY lead to it. Views for assertions: ``spoken``,
    ``contexts``. Options by ``@pytest.mark.cartesia_server(concurrency_limit=2)``.
    """
    from .server import KEY, CartesiaServer, environment

    options: dict[str, Any] = {"engine": request.config.getoption("--cartesia-engine")}
    for marker in reversed(list(request.node.iter_markers(_SERVER))):  # the closest last
        options.update(marker.kwargs)
    with CartesiaServer(**options) as server, environment(server.url, KEY):
        yield server


@pytest.fixture
def cartesia(cartesia_server: CartesiaServer) -> Iterator[ServedCartesia[CartesiaServer]]:
    """A client on a server of this test's own. ``cartesia.server`` is that."""
    from .server import KEY, ServedCartesia

    with ServedCartesia(cartesia_server, api_key=KEY, base_url=cartesia_server.url) as client:
        yield client


@pytest.fixture
def cartesia_client(cartesia: ServedCartesia[CartesiaServer]) -> ServedCartesia[CartesiaServer]:
    """The same client as ``cartesia``, for those whose tests import a module of that name."""
    return cartesia
