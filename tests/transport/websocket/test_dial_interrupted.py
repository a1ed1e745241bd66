"""Dialling is struck by an exception at each place where CPython can deliver one: no socket stays open.

CPython delivers what comes from outside (Ctrl-C, a signal handler's, a time limit's) where a Python function begins,
after a call, and where a loop goes back; a trace function finds these places, and throws at one of them in each run.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import gc
import selectors
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Optional

import pytest

from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.proxy import Proxy
from cartesia_sync.transport.websocket import dial as dial_module
from cartesia_sync.transport.websocket import stream as stream_module
from cartesia_sync.transport.websocket import tunnel as tunnel_module
from cartesia_sync.transport.websocket.dial import dial
from cartesia_sync.transport.websocket.duplex import Duplex
from cartesia_sync.transport.websocket.stream import Stream

from ...support.peer import BOUND, Far, Peer, Trust
from ..conftest import write

MOST_PLACES = 5000
TRACED = {module.__file__ for module in (dial_module, stream_module, tunnel_module, socket, selectors)}


class Struck(BaseException):
    """What comes from outside."""


@functools.cache
def instructions(code: CodeType) -> dict[int, str]:
    return {each.offset: each.opname for each in dis.get_instructions(code)}


class Striker:
    """Throws at the so-many-th place."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.where = ""
        self._before: dict[FrameType, int] = {}

    def trace(self, frame: FrameType, event: str, argument: Any) -> Optional[Callable[..., Any]]:
        if frame.f_code.co_filename not in TRACED:
            return None
        frame.f_trace_opcodes = True
        if event == "call":
            self._count(frame)
        elif event == "opcode":
            before, now = self._before.get(frame, -1), frame.f_lasti
            self._before[frame] = now
            if before >= 0:
                names = instructions(frame.f_code)
                was_call = names.get(before, "").startswith("CALL")
                if was_call or now < before or "BACKWARD" in names.get(now, ""):
                    self._count(frame)
        elif event == "return":
            self._before.pop(frame, None)
        return self.trace

    def _count(self, frame: FrameType) -> None:
        self.left -= 1
        if self.left < 0 and not self.where:
            self.where = f"{frame.f_code.co_name}:{frame.f_lineno}"
            self._before.clear()
            raise Struck(self.where)


def strike_everywhere(work: Callable[[], Stream]) -> tuple[list[BaseException], set[str]]:
    """Dial again and again, struck each time at the next place, until it is through unharmed.

    What was raised is kept, and with it every socket that a frame knows: one that nobody closed stays open. The last
    connection is answered once the peer has seen the end of all before it.
    """
    struck: list[BaseException] = []
    for number in range(MOST_PLACES):
        striker = Striker(number)
        before = sys.gettrace()
        sys.settrace(striker.trace)
        try:
            done = work()
        except Struck as error:
            struck.append(error)
        else:
            sys.settrace(before)
            assert not striker.where, f"the exception thrown in {striker.where} was swallowed"
            duplex = Duplex(done)
            write(duplex, b".", Deadline(BOUND))
            assert duplex.take(1, Deadline(BOUND)) == b"."
            duplex.close()
            return struck, {str(each).partition(":")[0] for each in struck}
        finally:
            sys.settrace(before)
    raise AssertionError("there are more places than expected")


@pytest.fixture
def _nothing_is_left_to_the_collector() -> Iterator[None]:
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert not [str(each.message) for each in caught if issubclass(each.category, ResourceWarning)]


def answer(far: Far) -> None:
    """Wait for the end of a connection that was struck, or answer."""
    try:
        far.send(far.read(1))
    except (EOFError, OSError):
        return
    far.wait_until_gone()


@contextlib.contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """Return one whose line of waiting connections is full: the next one is neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()


Serve = Callable[..., Peer]


@pytest.mark.usefixtures("_nothing_is_left_to_the_collector")
def test_no_socket_stays_open_wherever_the_attempts_at_several_addresses_are_struck(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial_module, "HEAD_START", 0.001)
    peer = serve(*[answer] * MOST_PLACES)
    with socket.create_server(("127.0.0.1", 0)) as refusing:
        refused = refusing.getsockname()
    with silent_address() as silent:
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in (refused, silent, ("127.0.0.1", peer.port))
        ]
        no_family: Any = (-5, socket.SOCK_STREAM, 6, "", ("no such family", 1))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [no_family, *addresses])
        struck, functions = strike_everywhere(lambda: dial("four.invalid", 1, None, Deadline(BOUND)))
    assert {"dial", "_connect", "_start", "__init__", "close"} <= functions
    struck.clear()


def tunnel_by_http(far: Far) -> None:
    far.read_head()
    far.send(b"HTTP/1.1 200 OK\r\n\r\n")


def tunnel_by_socks(far: Far) -> None:
    assert far.read(4) == b"\x05\x02\x00\x02"
    far.send(b"\x05\x02")
    assert far.read(7) == b"\x01\x02me\x02pw"
    far.send(b"\x01\x00")
    assert far.read(22) == b"\x05\x01\x00\x03\x0fservice.invalid\x00\x01"
    far.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")


@pytest.mark.usefixtures("_nothing_is_left_to_the_collector")
@pytest.mark.parametrize(
    ("scheme", "tunnel", "functions"),
    [
        ("http", tunnel_by_http, {"_ask_http"}),
        ("https", tunnel_by_http, {"_ask_http", "shake_hands", "do_handshake"}),
        ("socks5h", tunnel_by_socks, {"_ask_socks_5"}),
    ],
)
def test_no_socket_stays_open_wherever_the_way_through_a_proxy_is_struck(
    serve: Serve, trust: Trust, scheme: str, tunnel: Callable[[Far], None], functions: set[str]
) -> None:
    def script(far: Far) -> None:
        try:
            tunnel(far)
        except (EOFError, OSError):
            return  # it was struck before
        answer(far)

    peer = serve(*[script] * MOST_PLACES, tls=trust.server if scheme == "https" else None)
    proxy = Proxy.of(f"{scheme}://me:pw@127.0.0.1:{peer.port}", "HTTPS_PROXY")
    struck, met = strike_everywhere(
        lambda: dial("service.invalid", 1, None, Deadline(BOUND), proxy=proxy, proxy_trust=lambda: trust.client)
    )
    assert {"dial", "ask", "say", "hear", *functions} <= met
    struck.clear()


@pytest.mark.usefixtures("_nothing_is_left_to_the_collector")
def test_no_socket_stays_open_wherever_a_tls_handshake_is_struck(serve: Serve, trust: Trust) -> None:
    peer = serve(*[answer] * MOST_PLACES, tls=trust.server)
    struck, functions = strike_everywhere(lambda: dial("localhost", peer.port, trust.client, Deadline(BOUND)))
    assert {"dial", "shake_hands", "do_handshake"} <= functions
    struck.clear()
