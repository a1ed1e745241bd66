"""For the tests of programs that speak: a client on a server of its own. See docs/testing.md.

    def test_it_greets(cartesia):                    # pytest: nothing to import
        greet(cartesia)
        assert cartesia.server.spoken == ["Hello."]

    with local_client() as client: ...               # without pytest
    class GreetingTest(CartesiaTestCase): ...        # unittest

Needs the extra ``cartesia-sync[local]``. Nothing of the client imports this, and what is heavy is loaded when one of
the names below is first asked for.

Rooms, from the ground up; each imports only from those before it:

    errors        what is raised here                  network       no connection may leave this machine
    seen          what a server was told, for assertions
    server        the local server, and a client on it, for one test
    case          unittest, and a ``with`` block
    plugin        pytest
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as in cartesia_sync: every pytest of everyone who has the package comes by here
if TYPE_CHECKING:
    from .case import CartesiaTestCase as CartesiaTestCase
    from .case import local_client as local_client
    from .errors import NetworkForbiddenError as NetworkForbiddenError
    from .seen import SeenContext as SeenContext
    from .server import CartesiaServer as CartesiaServer
    from .server import ServedCartesia as ServedCartesia
else:
    _PLACES = {
        "CartesiaServer": "server",
        "CartesiaTestCase": "case",
        "NetworkForbiddenError": "errors",
        "SeenContext": "seen",
        "ServedCartesia": "server",
        "local_client": "case",
    }

    def __getattr__(name: str) -> object:
        """Load a name when it is first asked for."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = value
        return value


del TYPE_CHECKING  # it is no name of ours

__all__ = [
    "CartesiaServer",
    "CartesiaTestCase",
    "NetworkForbiddenError",
    "SeenContext",
    "ServedCartesia",
    "local_client",
]

pytest_plugins = ("cartesia_sync.testing.plugin",)  # for `-p cartesia_sync.testing`, which finds nothing else here
