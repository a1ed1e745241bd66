"""For the tests of programs that speak: a client on a server of its own, and tapes. See docs/testing.md.

    def test_it_greets(cartesia):                    # pytest: nothing to import
        greet(cartesia)
        assert cartesia.server.spoken == ["Hello."]

    with local_client() as client: ...               # without pytest
    class GreetingTest(CartesiaTestCase): ...        # unittest
    with tape("tapes/greeting"): ...                 # recorded once against the service, replayed ever after

Needs the extra ``cartesia-sync[local]``. Nothing of the client imports this, and what is heavy is loaded when one of
the names below is first asked for.

Rooms, from the ground up; each imports only from those before it:

    errors        what is raised here                  network       no connection may leave this machine
    seen          what a server was told, for assertions
    server        the local server, and a client on it, for one test
    case          unittest, and a ``with`` block
    tapes/        recording and replaying
    plugin        pytest
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as in cartesia_sync: every pytest of everyone who has the package comes by here
if TYPE_CHECKING:
    from .case import CartesiaTestCase as CartesiaTestCase
    from .case import local_client as local_client
    from .errors import NetworkForbiddenError as NetworkForbiddenError
    from .errors import TapeError as TapeError
    from .errors import TapeMismatchError as TapeMismatchError
    from .seen import SeenContext as SeenContext
    from .server import CartesiaServer as CartesiaServer
    from .server import ServedCartesia as ServedCartesia
    from .tapes import Tape as Tape
    from .tapes import tape as tape
else:
    _PLACES = {
        "CartesiaServer": "server",
        "CartesiaTestCase": "case",
        "NetworkForbiddenError": "errors",
        "SeenContext": "seen",
        "ServedCartesia": "server",
        "Tape": "tapes",
        "TapeError": "errors",
        "TapeMismatchError": "errors",
        "local_client": "case",
        "tape": "tapes",
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
    "Tape",
    "TapeError",
    "TapeMismatchError",
    "local_client",
    "tape",
]

pytest_plugins = ("cartesia_sync.testing.plugin",)  # for `-p cartesia_sync.testing`, which finds nothing else here
