"""There are no more threads, since the system gives none or the interpreter shuts down: what needs one says so.

The scenes of the shutdown are in ``scenes/at_shutdown.py``, each in a process of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cartesia_sync import APIConnectionError, Cartesia, Timeout
from cartesia_sync.local import LocalServer

from ..support.processes import BOUND, STRICT, VOICE, assert_quiet, script, serving


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("is_closed_then", [False, True])
def test_a_lost_connection_whose_next_reader_gets_no_thread_can_be_reopened_and_closed(
    is_closed_then: bool, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Timeout(connect=BOUND, close=None)  # a close that waits for a reader which never began is a hang
    connection = Cartesia(api_key="x", base_url=server.url, timeout=clocks).tts.websocket_connect().enter()
    lost, reader = connection._link._wire, connection._link.reader
    assert lost is not None
    assert reader is not None
    lost.shutdown()
    reader.join(BOUND)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(APIConnectionError, match="can't start new thread"):
            connection.context(voice=VOICE).push("One sentence.")
        assert not connection._link.is_open
        if is_closed_then:
            connection.close()
            return
    context = connection.context(voice=VOICE)
    context.push("One sentence.", continue_=False)
    assert context.audio()
    connection.close()


@pytest.mark.parametrize("where", ["callback", "thread"])
@pytest.mark.parametrize(
    "scene",
    [
        "connecting",
        "connecting_by_a_name",
        "connecting_in_a_block",
        "speaking_on_an_open_connection",
        "hearing_what_was_begun",
        "reopening_a_lost_connection",
        "calling_over_http",
    ],
)
def test_at_the_interpreters_end_no_error_is_bare(scene: str, where: str, server: LocalServer) -> None:
    with script("at_shutdown", f"{where}.{scene}", server.url, *STRICT) as run:
        assert_quiet(run, output="done\n")
