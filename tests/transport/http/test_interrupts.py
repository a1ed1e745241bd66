"""Ctrl-C and time limits in the midst of a call: nothing is lost unnoticed, and nothing stays taken.

A trace function raises at one line after another of all that a call goes through, ours and the libraries'.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import linecache
import os
import pathlib
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import Cartesia
from cartesia_sync.errors import IncompleteAnswerError

from ...support.http_service import Service, answer, event
from ...support.interrupts import LOCKS_LEAK, no_callbacks_of_the_collector, strikes
from ...support.peer import BOUND

KEY = "sk_car_a-key-for-interrupts"
SOUND = os.urandom(3000)
CHUNK = {"type": "chunk", "context_id": "c", "data": "AAA=", "done": False, "status_code": 206, "step_time": 1.0}
DONE = {"type": "done", "context_id": "c", "done": True, "status_code": 206}
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
READING = re.compile(
    r"cartesia_sync/(transport/(retry|http/(request|response|session|tls_adapter))|resources/(binary|checked|events)"
    r"|audio/files)\.py$"
    r"|urllib3/(response|connectionpool)\.py$|http/client\.py$|requests/models\.py$"
)
CALLING = re.compile(
    r"cartesia_sync/transport/(retry|http/(request|response|session|tls_adapter))\.py$"
    r"|/(queue|threading|http/cookiejar)\.py$|urllib3/_collections\.py$|requests/cookies\.py$|urllib3/connectionpool\.py$"
)
TAKING = ("/cartesia_sync/core.py", "/http/response.py", "/http/session.py", "/limits/gate.py", "/limits/width.py")
NO_PLACE = re.compile(r"\s*(return( \w+)?|except .*|else:|with .*|try:|finally:)\s*$")
"""Where CPython delivers nothing, since nothing is called there."""


class Stop(BaseException):
    """What a time limit raises."""


class Strike:
    """Does something at the so-manieth line of certain files, in this thread."""

    def __init__(self, files: re.Pattern[str], number: int, action: Callable[[], None]) -> None:
        self._files, self._left, self._action = files, number, action
        self.place: Optional[str] = None

    def _trace(self, frame: Any, event: str, _: Any) -> Any:
        if event == "call":
            return self._trace if self._files.search(frame.f_code.co_filename) else None
        if event != "line" or self.place is not None:
            return self._trace
        if NO_PLACE.match(linecache.getline(frame.f_code.co_filename, frame.f_lineno)):
            return self._trace
        if frame.f_code.co_name in ("__del__", "_discard") and any(
            each.f_code.co_name == "__del__" for each, _ in traceback.walk_stack(frame)
        ):
            return self._trace  # Python swallows it there, whatever we do
        self._left -= 1
        if self._left < 0:
            self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            sys.settrace(None)
            self._action()
        return self._trace

    def __enter__(self) -> Strike:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)


def stop() -> None:
    raise Stop


def everywhere(files: re.Pattern[str], run: Callable[[Strike], None], action: Callable[[], None] = stop) -> int:
    """Run it with a strike at each line in turn; return how many there were."""
    with warnings.catch_warnings(), no_callbacks_of_the_collector():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # a socket whose last owner was struck; it is closed all the same
        for number in range(10_000):
            strike = Strike(files, number, action)
            run(strike)
            if strike.place is None:
                gc.collect()
                return number
    raise AssertionError("no end of it")


@pytest.fixture
def struck() -> Iterator[Callable[..., tuple[Service, Cartesia]]]:
    with contextlib.ExitStack() as stack:

        def start(*answers: Any) -> tuple[Service, Cartesia]:
            service = stack.enter_context(Service(*answers))
            return service, stack.enter_context(Cartesia(api_key=KEY, base_url=service.url, max_retries=0))

        yield start


ANSWERS: list[Any] = [
    pytest.param(answer(200, SOUND), id="length"),
    pytest.param(answer(200, chunks=[SOUND[:1000], SOUND[1000:2000], SOUND[2000:]]), id="chunked"),
    pytest.param(
        answer(200, chunks=[gzip.compress(SOUND)[:900], gzip.compress(SOUND)[900:]], Content_Encoding="gzip"), id="gzip"
    ),
]


def asked_for(client: Cartesia) -> Any:
    return client.tts.generate(model_id="m", output_format=RAW, transcript="t", voice="v")


@pytest.mark.parametrize("given", ANSWERS)
def test_what_is_read_again_after_an_interrupt_is_whole_or_raises(given: bytes, struck: Any) -> None:
    _, client = struck(given)
    outcomes: set[str] = set()

    def run(strike: Strike) -> None:
        said = asked_for(client)
        with strike, contextlib.suppress(Stop):
            said.read()
        try:
            assert said.read() == SOUND, strike.place
            outcomes.add("whole")
        except IncompleteAnswerError:
            outcomes.add("raised")

    assert everywhere(READING, run) > 50
    assert outcomes == {"whole", "raised"}


@pytest.mark.parametrize("size", [None, 700])
@pytest.mark.parametrize("given", ANSWERS)
def test_an_iterator_that_goes_on_after_an_interrupt_loses_nothing_unnoticed(
    given: bytes, size: Optional[int], struck: Any
) -> None:
    _, client = struck(given)

    def run(strike: Strike) -> None:
        said = asked_for(client)
        pieces = said.iter_bytes(size)
        got: list[bytes] = []
        with strike, contextlib.suppress(Stop):
            got.extend(pieces)
        with contextlib.suppress(IncompleteAnswerError):
            got.extend(pieces)
            assert b"".join(got) == SOUND, strike.place

    assert everywhere(READING, run) > 50


def test_events_that_go_on_after_an_interrupt_are_whole_or_raise(struck: Any) -> None:
    given = [event({**CHUNK, "step_time": float(number)}) for number in range(3)]
    _, client = struck(answer(200, chunks=[*given, event(DONE)]))

    def run(strike: Strike) -> None:
        events = client.tts.generate_sse(model_id="m", output_format=RAW, transcript="t", voice="v")
        got: list[Any] = []
        with strike, contextlib.suppress(Stop):
            got.extend(events)
        with contextlib.suppress(IncompleteAnswerError):
            got.extend(events)
            assert [each.type for each in got] == ["chunk"] * 3 + ["done"], strike.place
            assert [each.step_time for each in got[:3]] == [0.0, 1.0, 2.0], strike.place

    assert everywhere(READING, run) > 50


def test_a_file_is_whole_or_the_old_one_wherever_an_interrupt_strikes(struck: Any, tmp_path: pathlib.Path) -> None:
    _, client = struck(answer(200, SOUND))
    path = tmp_path / "a.raw"

    def run(strike: Strike) -> None:
        path.write_bytes(b"an older file")
        said = asked_for(client)
        is_stopped = True
        with strike, contextlib.suppress(Stop):
            said.write_to_file(path)
            is_stopped = False
        del said
        gc.collect(0)
        assert path.read_bytes() in ([SOUND, b"an older file"] if is_stopped else [SOUND]), strike.place
        assert os.listdir(tmp_path) == ["a.raw"], strike.place

    assert everywhere(READING, run) > 100


@pytest.mark.parametrize("given", ANSWERS[1:])
def test_close_in_a_handler_waits_for_nothing_wherever_it_strikes(given: bytes, struck: Any) -> None:
    """A handler runs in the thread that reads, in the midst of anything: what that holds it would wait for for ever."""
    _, client = struck(given)
    outcomes: set[str] = set()
    said: Any = None

    def run(strike: Strike) -> None:
        nonlocal said
        said = asked_for(client)
        try:
            with strike:
                assert said.read() == SOUND, strike.place
            outcomes.add("whole")
        except IncompleteAnswerError:
            outcomes.add("raised")
        assert said.is_closed

    assert everywhere(READING, run, lambda: said.close()) > 50
    assert outcomes == {"whole", "raised"}
    assert asked_for(client).read() == SOUND


def test_close_in_a_handler_may_come_in_the_midst_of_a_close(struck: Any) -> None:
    _, client = struck(answer(200, chunks=[SOUND] * 100))

    def run(strike: Strike) -> None:
        nonlocal said
        said = asked_for(client)
        next(said.iter_bytes(10))
        said = asked_for(client)
        with strike:
            said.close()
        assert said.is_closed
        assert said._response._raw.closed
        assert said._response._raw._connection.sock is None

    said: Any = None
    assert everywhere(READING, run, lambda: said.close()) > 20


def test_no_lock_stays_taken_wherever_an_interrupt_strikes_in_a_call(struck: Any) -> None:
    """After each one another thread's call goes through."""
    _, client = struck(answer(200, {"ok": True}))
    client.get("/x")

    def run(strike: Strike) -> None:
        with strike, contextlib.suppress(Stop):
            client.get("/x")
        got: list[Any] = []
        # Not a pool's: one that hangs must not keep the test.
        other = threading.Thread(target=lambda: got.append(client.get("/x")), daemon=True)
        other.start()
        other.join(BOUND)
        assert got == [{"ok": True}], strike.place

    assert everywhere(CALLING, run) > 50


def test_no_lock_stays_taken_where_a_wait_for_another_attempt_is_interrupted(struck: Any) -> None:
    """Then close() would wait for ever."""

    def run(strike: Strike) -> None:
        _, client = struck(answer(503, Retry_After="0.001"), answer(200, {}))
        with strike, contextlib.suppress(Stop):
            client.with_options(max_retries=1).get("/x")
        closing = threading.Thread(target=client.close, daemon=True)
        closing.start()
        closing.join(BOUND)
        assert not closing.is_alive(), strike.place

    places = re.compile(r"cartesia_sync/transport/(retry|http/session)\.py$|/threading\.py$|/queue\.py$")
    assert everywhere(places, run) > 20


@pytest.mark.timeout(120)
@pytest.mark.skipif(LOCKS_LEAK, reason="on 3.9 `with` itself leaks")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_call_has_its_slot_or_has_given_it_back_wherever_an_interrupt_strikes(struck: Any) -> None:
    service, _ = struck(answer(200, chunks=[SOUND[:1000], SOUND[1000:]]))
    count = 0
    with Cartesia(api_key=KEY, base_url=service.url, max_retries=0, limit=1) as client:
        gate, http, requests = client.limit, client._http, list[Any]()
        assert gate is not None
        attempt = http._attempt
        with pytest.MonkeyPatch.context() as patch:  # what the call comes to, without the way to it
            patch.setattr(
                http, "_attempt", lambda request, number: requests.append(request) or attempt(request, number)
            )
            assert asked_for(client).read() == SOUND
        for strike in strikes(*TAKING):
            said: list[Any] = []

            def call(said: list[Any] = said) -> None:
                said.append(attempt(requests[0], 0))
                said[0].read()

            strike.run(call)
            if said and not said[0].is_closed:
                assert gate.in_use == 1, str(strike.place)
                said[0].close()
            said.clear()
            gc.collect(1)
            assert (gate.in_use, gate.waiting) == (0, 0), str(strike.place)
            count += strike.place is not None
        assert count > 100
        assert asked_for(client).read() == SOUND
