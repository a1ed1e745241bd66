"""The pytest plugin: fixtures ``cartesia``, ``cartesia_client`` and ``cartesia_server``, and tapes by a marker.

It runs in every pytest of everyone who has the package, so it imports nothing until a fixture is used.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

import pytest

TYPE_CHECKING = False  # typing's takes time to load only where pytest has not loaded it; this reads like the others
if TYPE_CHECKING:
    from .server import CartesiaServer, ServedCartesia
    from .tapes import Tape

__all__: list[str] = []

_TAPE = "cartesia_tape"
_SERVER = "cartesia_server"
_running: dict[str, Tape] = {}
"""The tapes of the tests that run now, by node id."""
_told: set[str] = set()
"""The tests that failed by what went wrong with their tapes."""


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
        "--cartesia-record",
        choices=("once", "new", "none", "all"),
        default="once",
        help="tapes: record where there is none (once), also what is not on one (new), never (none), afresh (all)",
    )
    group.addoption(
        "--cartesia-service",
        metavar="URL",
        help="where tapes are recorded from (CARTESIA_BASE_URL, else the service)",
    )
    group.addoption(
        "--cartesia-block-network",
        action="store_true",
        help="fail whatever would connect to another machine; a tape cannot be recorded from one then",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, and close the network if that was asked for."""
    config.addinivalue_line(
        "markers",
        f"{_TAPE}(name=None, pace=None): record what the test asks of the service, once, into the folder tapes/NAME"
        " beside its file, and replay it ever after; pace='recorded' keeps the times",
    )
    config.addinivalue_line("markers", f"{_SERVER}(**options): options of the test's own server, as of LocalServer")
    if config.getoption("--cartesia-block-network"):
        from . import network

        network.block()
        config.add_cleanup(network.unblock)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test with a tape have it, whether or not it takes a fixture of ours; before its own fixtures."""
    names = getattr(item, "fixturenames", None)
    if names is not None and _SERVER not in names and item.get_closest_marker(_TAPE) is not None:
        names.insert(0, _SERVER)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    """Fail a test whose requests differ from its tape, with the difference, whatever came of that in the program."""
    outcome = yield
    tape = _running.get(item.nodeid)
    if tape is None:
        return
    error = outcome.excinfo[1] if outcome.excinfo is not None else None
    problem = tape.problem
    if problem is not None:
        _told.add(item.nodeid)
        if problem is not error:
            problem.__cause__ = error
        outcome.force_exception(problem.with_traceback(None))  # which would show the proxy's frames
    elif error is not None:
        tape.discard()


@pytest.fixture
def cartesia_server(request: pytest.FixtureRequest) -> Iterator[CartesiaServer | Tape]:
    """A local server of this test's own, or its tape.

    While the test runs CARTESIA_BASE_URL and CARTESIA_API_KEY lead to it. Views for assertions: ``spoken``,
    ``contexts``. Options by ``@pytest.mark.cartesia_server(concurrency_limit=2)``.
    """
    from .server import KEY, CartesiaServer, environment

    tape = _tape(request)
    with ExitStack() as stack:
        if tape is None:
            options: dict[str, Any] = {"engine": request.config.getoption("--cartesia-engine")}
            for marker in reversed(list(request.node.iter_markers(_SERVER))):  # the closest last
                options.update(marker.kwargs)
            server = stack.enter_context(CartesiaServer(**options))
            stack.enter_context(environment(server.url, KEY))
            yield server
            return
        stack.callback(tape.stop)
        tape.start()
        node_id = request.node.nodeid
        _running[node_id] = tape
        stack.callback(_running.pop, node_id)
        yield tape
    if tape.problem is not None and node_id not in _told:  # before the test, or after it
        raise tape.problem.with_traceback(None)
    _told.discard(node_id)


@pytest.fixture
def cartesia(cartesia_server: CartesiaServer | Tape) -> Iterator[ServedCartesia[Any]]:
    """A client on a server of this test's own, or on its tape. ``cartesia.server`` is that."""
    from .server import KEY, ServedCartesia

    key = getattr(cartesia_server, "key", KEY)
    with ServedCartesia(cartesia_server, api_key=key, base_url=cartesia_server.url) as client:
        yield client


@pytest.fixture
def cartesia_client(cartesia: ServedCartesia[Any]) -> ServedCartesia[Any]:
    """The same client as ``cartesia``, for those whose tests import a module of that name."""
    return cartesia


def _tape(request: pytest.FixtureRequest) -> Optional[Tape]:
    marker = request.node.get_closest_marker(_TAPE)
    if marker is None:
        return None
    from .tapes import Tape

    path = Path(str(request.node.path))
    options = dict(marker.kwargs)
    name = marker.args[0] if marker.args else options.pop("name", None)
    if name is None:  # one a test
        name = f"{path.stem}/{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.name).strip('-')}"
    options.setdefault("record", request.config.getoption("--cartesia-record"))
    options.setdefault("service", request.config.getoption("--cartesia-service"))
    return Tape(path.parent / "tapes" / name, **options)
