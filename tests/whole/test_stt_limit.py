"""``Cartesia(stt_limit=)``: sessions that listen wait for a slot, against the local server with a limit of its own."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from cartesia_sync import Cartesia, RateLimitError, SlotTimeoutError
from cartesia_sync.limits import Learned, SameMachine
from cartesia_sync.limits.limit import account_name
from cartesia_sync.local import Close, LocalServer, Refuse

from ..support.voices import FORMAT, loud

BOUND = 30.0
SHORT = 0.2
MakeServer = Callable[..., LocalServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    servers = []

    def make(*faults: Any, **options: Any) -> LocalServer:
        server = LocalServer(engine="signal", faults=faults, hears=["One."], **options).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


def client(server: LocalServer, **options: Any) -> Cartesia:
    return Cartesia(api_key="any", base_url=server.url, **options)


def manual(listener: Cartesia, **options: Any) -> Any:
    return listener.stt.manual_finalize.websocket(model="ink-2", **FORMAT, **options)


def called(monkeypatch: pytest.MonkeyPatch, gate: Any, name: str) -> threading.Event:
    """Report when a method of a gate was called."""
    event, method = threading.Event(), getattr(gate, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        event.set()
        return result

    monkeypatch.setattr(gate, name, watched)
    return event


@pytest.mark.parametrize(
    "make_limit",
    [lambda: 3, lambda: threading.Semaphore(3), lambda: Learned(most=20)],
    ids=["3", "Semaphore", "Learned"],
)
def test_many_recordings_are_all_transcribed_within_the_limit(make_server: MakeServer, make_limit: Any) -> None:
    server = make_server(listen_limit=3)
    with client(server, stt_limit=make_limit(), max_retries=0) as shared, ThreadPoolExecutor(20) as pool:

        def transcribe(number: int) -> str:
            source = loud(0.1 + number / 100)
            return shared.stt.manual_finalize.transcribe(source, model="ink-2", realtime=False).text

        assert list(pool.map(transcribe, range(40), timeout=BOUND)) == ["One."] * 40
        gate = shared.stt_limit
        assert gate is not None
        assert (gate.in_use, gate.waiting) == (0, 0)
        if not isinstance(make_limit(), Learned):
            assert gate.seen_429 == 0
    assert shared.limit is None  # which counts for speech alone


def test_a_session_waits_for_anothers_end_and_no_longer_than_it_may(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server()
    with client(server, stt_limit=1, limit_wait=SHORT) as shared:
        with manual(shared) as first:
            with pytest.raises(SlotTimeoutError, match=r"0\.2 s \(limit_wait\) for a slot of the client's stt_limit"):
                manual(shared).enter()
            assert first.finalize() == ""
        patient = shared.with_options(limit_wait=BOUND)  # shares the limit
        has_asked = called(monkeypatch, patient.stt_limit, "_check_deadlock")  # by whoever waits
        with ThreadPoolExecutor(1) as pool:
            with manual(shared):
                waiting = pool.submit(lambda: manual(patient).enter())
                assert has_asked.wait(BOUND)
            with waiting.result(BOUND) as second:
                assert second.finalize() == ""
    assert len(server.handshakes) == 3


@pytest.mark.parametrize("end", ["close", "loss", "nobody holds it", "refused"])
def test_a_slot_comes_back_however_a_session_ends(make_server: MakeServer, end: str) -> None:
    server = make_server(*([Close(1011, after=1)] if end == "loss" else [Refuse(401)] if end == "refused" else []))
    with client(server, stt_limit=1, limit_wait=BOUND) as shared:
        if end == "refused":
            with pytest.raises(Exception, match="401"):
                manual(shared).enter()
        else:
            session = manual(shared).enter()
            if end == "close":
                session.close()
            elif end == "loss":
                session.send_raw(loud(0.1))
                session.send("finalize")
                assert session._line.reader is not None
                session._line.reader.join(BOUND)
            else:
                del session
        with manual(shared) as another:
            assert another.finalize() in ("", "One.")


def test_a_handshake_that_is_refused_waits_again_and_what_is_no_want_of_room_does_not(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(listen_limit=1)
    with client(server) as other, client(server, stt_limit=5, max_retries=0) as limited:
        blocking = manual(other).enter()
        was_refused = called(monkeypatch, limited.stt_limit, "refused")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: manual(limited).enter())
            assert was_refused.wait(BOUND)
            blocking.close()
            with waiting.result(BOUND) as session:
                assert session.finalize() == ""
    body = {"error_code": "quota_exceeded", "message": "no credits", "title": "no", "status_code": 429}
    with (
        client(make_server(Refuse(429, body=body)), stt_limit=5, max_retries=0) as limited,
        pytest.raises(RateLimitError, match="no credits"),
    ):
        manual(limited).enter()


def test_a_refusal_that_lasts_is_what_is_raised(make_server: MakeServer) -> None:
    server = make_server(listen_limit=1)
    with client(server) as other, manual(other), client(server, stt_limit=5, limit_wait=SHORT) as limited:
        with pytest.raises(RateLimitError, match="No more than 1 sessions"):
            manual(limited).enter()
        assert limited.stt_limit is not None
        assert limited.stt_limit.in_use == 0


def test_a_session_that_follows_a_lost_one_takes_a_slot_and_close_cuts_its_wait_short(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(Close(1011, after=1))
    with client(server, stt_limit=1) as shared:
        attempts: list[Any] = []
        session = manual(shared, on_reconnecting=attempts.append, initial_delay=0.01, max_retries=2).enter()
        session.send_raw(loud(0.1))
        session.send("finalize")
        assert session._line.reader is not None
        session._line.reader.join(BOUND)
        with manual(shared), ThreadPoolExecutor(1) as pool:  # has the slot now
            gate = shared.stt_limit
            assert gate is not None
            waits = called(monkeypatch, gate, "_check_deadlock")
            receiving = pool.submit(lambda: [event.type for event in session])
            assert waits.wait(BOUND)
            session.close()
            assert "before all was heard" in str(receiving.exception(BOUND))
            assert gate.in_use == 1
        session = manual(shared, on_reconnecting=attempts.append, initial_delay=0.01).enter()
        with session:
            assert gate.in_use == 1
    assert len(attempts) >= 1


def test_copies_travel_with_a_limit_of_their_own_and_others_share_it(tmp_path: Path) -> None:
    numbered = Cartesia(api_key="any", stt_limit=4)
    assert numbered.with_options(timeout=3).stt_limit is numbered.stt_limit
    assert numbered.with_options(stt_limit=5).stt_limit is not numbered.stt_limit
    assert numbered.with_options(api_key="other").stt_limit is not numbered.stt_limit
    assert numbered.with_options(stt_limit=None).stt_limit is None
    travelled = pickle.loads(pickle.dumps(numbered))
    assert (travelled.stt_limit.allowed, travelled.limit) == (4, None)
    speech, listening = (SameMachine(4, directory=tmp_path) for _ in range(2))
    named = Cartesia(api_key="any", limit=speech, stt_limit=listening)
    assert (speech.name, listening.name) == (account_name("any"), f"{account_name('any')}-stt")
    with pytest.raises(ValueError, match="this client's stt_limit counts for its own account"):
        named.with_options(api_key="other", limit=None)
    with pytest.raises(ValueError, match="stt_limit: a SameMachine gets its name from the key"):
        Cartesia(token=lambda: "t", stt_limit=SameMachine(4, directory=tmp_path))
    with pytest.raises((TypeError, ValueError)):
        Cartesia(api_key="any", stt_limit=0)
