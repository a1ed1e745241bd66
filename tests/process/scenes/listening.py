"""A process with an open session that listens forks, or exits, or is interrupted."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Callable

from scene import Child, announce, await_parent, client_of, daemon, play

from cartesia_sync import ForkedError

if TYPE_CHECKING:
    from cartesia_sync.listening.session import Session

# Python 3.12 warns of every fork of a process that has threads. This client has one, and is what is tested here.
warnings.filterwarnings("ignore", message="This process .* is multi-threaded", category=DeprecationWarning)

AUDIO = bytes(3200)
kept: list[object] = []
"""Holds what a scene leaves behind, as a module's global names do."""


def opened(url: str) -> Session:
    manager = client_of(url).stt.manual_finalize.websocket(model="ink-2", encoding="pcm_s16le", sample_rate=16000)
    return manager.enter()


def refused(call: Callable[[], object]) -> None:
    try:
        result = call()
    except ForkedError:
        return
    raise AssertionError(f"no ForkedError, but {result!r}")


def use(session: Session) -> None:
    refused(lambda: session.send_raw(AUDIO))
    refused(lambda: session.send("finalize"))
    refused(lambda: session.finalize())
    refused(lambda: session.recv())
    refused(lambda: list(session))
    refused(lambda: session.feed(AUDIO))
    session.close()
    session.close()


def heard(session: Session) -> None:
    """Go on to the end; all must be as if nobody had forked."""
    with session:
        session.send_raw(AUDIO)
        assert session.finalize() == "One."
        session.finish()
        assert [event.type for event in session] == ["transcript", "flush_done", "done"]


def the_child_is_refused_and_the_parent_goes_on(url: str) -> None:
    session = opened(url)
    Child(lambda: use(session)).join()
    heard(session)


def the_child_has_a_session_of_its_own(url: str) -> None:
    session = opened(url)
    Child(lambda: heard(opened(url))).join()
    heard(session)


def the_child_drops_it(url: str) -> None:
    held = [opened(url)]

    def drop() -> None:
        held.clear()
        gc.collect()

    Child(drop).join()
    heard(held[0])


def a_thread_that_receives_and_a_lock_that_is_held(url: str) -> None:
    session = opened(url)
    waits, goes_on = threading.Event(), threading.Event()
    mailbox = session._line.results.mailbox
    wait = mailbox.wait

    def announced(timeout: Any) -> None:
        waits.set()
        wait(timeout)

    type(mailbox).wait = lambda self, timeout: announced(timeout)  # type: ignore[method-assign]  # a place to be in

    def hold() -> None:
        with session._line.lock:
            waits.set()
            goes_on.wait()

    receiving = threading.Thread(target=lambda: [event.type for event in session])
    receiving.start()
    waits.wait()
    waits.clear()
    holding = daemon(hold)
    waits.wait()
    Child(lambda: use(session)).join()
    goes_on.set()
    holding.join()
    session.finish()
    receiving.join()


# ---- exits


def leaves_an_open_session(url: str) -> None:
    kept.append(opened(url))


def leaves_a_feed_that_waits_and_a_receiver(url: str) -> None:
    session = opened(url)
    waits, never = threading.Event(), threading.Event()

    def source() -> Any:
        yield AUDIO
        waits.set()
        never.wait()

    kept.append((session, session.feed(source(), realtime=False)))
    daemon(lambda: list(session))
    waits.wait()


def is_interrupted_while_it_receives(url: str) -> None:
    with opened(url) as session:
        try:
            announce("receiving")
            session.recv()
        except KeyboardInterrupt:
            announce("interrupted")
        heard(session)


def is_interrupted_while_it_finalizes(url: str) -> None:
    with opened(url) as session:
        session.send_raw(AUDIO)
        announce("finalizing")
        try:
            session.finalize()
        except KeyboardInterrupt:
            announce("interrupted")
            await_parent()
        session.finish()
        assert [event.type for event in session] == ["transcript", "flush_done", "done"]


def closes_in_a_signal_handler(url: str) -> None:
    session = opened(url)
    signal.signal(signal.SIGTERM, lambda *_: session.close())
    closer = threading.Timer(0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    closer.start()
    try:
        session.recv()
    except Exception as error:  # whatever it is, the test reads its name
        announce(type(error).__name__)
    closer.join()
    sys.stdout.flush()


if __name__ == "__main__":
    play(
        {
            each.__name__: each
            for each in (
                the_child_is_refused_and_the_parent_goes_on,
                the_child_has_a_session_of_its_own,
                the_child_drops_it,
                a_thread_that_receives_and_a_lock_that_is_held,
                leaves_an_open_session,
                leaves_a_feed_that_waits_and_a_receiver,
                is_interrupted_while_it_receives,
                is_interrupted_while_it_finalizes,
                closes_in_a_signal_handler,
            )
        }
    )
