"""What the scripts of this folder share: each is run by a test in the folder above as ``python SCRIPT SCENE URL``."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Callable

from cartesia_sync import Cartesia, Timeout
from cartesia_sync.protocol.events import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cartesia_sync.protocol.events import Event
    from cartesia_sync.streaming.connection import Connection
    from cartesia_sync.streaming.context import Context
    from cartesia_sync.types import RawOutputFormatParam

BOUND = 20
"""Seconds within which anything that is to happen happens; then every thread's stack is shown, and the process ends."""

VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
FORMAT: RawOutputFormatParam = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind."
CLOCKS = Timeout(first_event=None, gap=None, close=BOUND)
"""A wait that nobody ends is a hang, and not an error that comes later."""


def client_of(url: str) -> Cartesia:
    return Cartesia(api_key="x", base_url=url, timeout=CLOCKS)


def connect(url: str, **options: Any) -> Connection:
    return client_of(url).tts.websocket_connect(**options).enter()


def context_of(connection: Connection, context_id: str | None = None) -> Context:
    return connection.context(context_id, voice=VOICE, output_format=FORMAT)


def speaking(connection: Connection, context_id: str | None = None) -> Context:
    """Return a context whose text is all sent, and of which nothing has been received."""
    context = context_of(connection, context_id)
    context.push(TEXT, continue_=False)
    return context


def half_heard(connection: Connection, context_id: str | None = None) -> tuple[Context, bytes]:
    """Return a context with its first event received, and that event's audio."""
    context = speaking(connection, context_id)
    event = next(context.receive())
    assert isinstance(event, Chunk), event
    return context, event.audio


def rest_of(context: Context) -> bytes:
    """Receive what is left of a context; it must end as it should."""
    events = list(context.receive(raise_on_error=True))
    assert events[-1].type == "done", events[-1]
    return audio_of(events)


def audio_of(events: Iterable[Event]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, Chunk))


def announce(word: str) -> None:
    print(word, flush=True)


def await_parent() -> None:
    """Wait for the test's answer to what was announced."""
    assert sys.stdin.readline() == "go\n"


def daemon(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def say_when_a_push_waits(say: Callable[[], object]) -> None:
    """Have it said when the first writer is about to wait for its frame; it has woken the reader just before."""
    from cartesia_sync.transport.websocket.duplex import Duplex

    duplexes: Any = Duplex
    wake = duplexes.wake

    def announced_wake(duplex: Duplex) -> None:
        duplexes.wake = wake
        wake(duplex)
        say()

    duplexes.wake = announced_wake


LARGE = "x" * (32 << 20)
"""A text that no buffer of the system takes whole."""


def bare_fork() -> int:
    """Fork as uWSGI does: nothing of Python's runs in the child, neither its own hooks nor anybody's."""
    import ctypes

    fork: Callable[[], int] = ctypes.PyDLL(None).fork
    return fork()


class Child:
    """A forked process that does one thing and ends with status 0 if that went well.

    With FORK=bare in the environment no hook runs in it.
    """

    def __init__(self, work: Callable[[], object], *, leave: Callable[[int], object] = os._exit) -> None:
        self.pid = bare_fork() if os.environ.get("FORK") == "bare" else os.fork()
        if self.pid == 0:
            _bind()
            status = 1
            try:
                work()
                status = 0
            except BaseException:  # whatever it is, it must not run on into the parent's part of the script
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            leave(status)

    def join(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        assert status == 0, f"the child ended with {status}"


def play(scenes: dict[str, Callable[[str], None]]) -> None:
    """Play the scene that the command line names."""
    interval = os.environ.get("SWITCH_INTERVAL")
    if interval:
        sys.setswitchinterval(float(interval))
    _bind()
    _, name, url = sys.argv
    scenes[name](url)


def _bind() -> None:
    if sys.platform == "win32":
        faulthandler.dump_traceback_later(BOUND, exit=True)
    else:
        # Not by the watchdog thread of faulthandler: after a fork it is gone, and setting it again waits for it.
        faulthandler.register(signal.SIGALRM, chain=True)
        signal.alarm(BOUND)
