"""Every end that a context and a request have, behind every kind of limit: each slot comes back, once.

The judge is the server's own count of what speaks: never more than the limit, and nothing at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import itertools
import queue
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import pytest

from cartesia_sync import (
    APIStatusError,
    Cartesia,
    ContextStateError,
    FirstEventTimeoutError,
    InternalServerError,
    TruncatedError,
    WebSocketConnectionClosedError,
)
from cartesia_sync.limits import Learned, Redis, SameMachine, worker
from cartesia_sync.limits.gate import Ticket
from cartesia_sync.local import LocalServer, faults
from cartesia_sync.streaming import registry, slots

from ..support.counting import BOUND, Count, counting
from ..support.interrupts import Struck
from ..support.processes import Run
from ..support.redis_server import PROGRAM, WHY_NOT, RedisServer

SLOTS = 2
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
RAW: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
SPOKEN: dict[str, Any] = {"model_id": "sonic-latest", "voice": VOICE, "output_format": RAW}
LONG = "This is a text that is spoken for a while. " * 50
SCENE = Path(__file__).parent / "scenes" / "limited.py"
pytestmark = [
    pytest.mark.timeout(60),
    # What nobody closes is closed by the collector, and Python says so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


# ---- the limits


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


_names = itertools.count()


class Kind:
    """A kind of limit, and how this test, other clients and other processes get at it."""

    def __init__(self, name: str, expression: str) -> None:
        self.name = name
        self.expression = expression
        self.is_learned = name == "Learned"
        self.is_shared = name in ("SameMachine", "Redis")
        self._made: list[Any] = []

    def make(self) -> Any:
        limit = eval(self.expression, {"Learned": Learned, "Redis": Redis, "SameMachine": SameMachine})
        self._made.append(limit)
        return limit

    def assert_all_is_free(self, seconds: float = BOUND) -> None:
        """Where other processes share it, each slot is there for them, and no more."""
        if not self.is_shared:
            return
        others = self.make()
        deadline = time.monotonic() + seconds
        slots = [others.acquire(timeout=max(deadline - time.monotonic(), 0.01)) for _ in range(SLOTS)]
        assert all(slots)
        assert others.acquire(timeout=0) is None
        for slot in slots:
            slot.release()

    def close(self) -> None:
        for limit in self._made:
            if isinstance(limit, Redis):
                limit._leases._by_process.clear()  # pytest holds it for longer than its sockets may be open


@pytest.fixture(params=["number", "Learned", "SameMachine", "Redis"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    name = f"ends{next(_names)}"
    if request.param == "Redis":
        url = request.getfixturevalue("redis").url
        expression = f"Redis({url!r}, {SLOTS}, lease=1, name={name!r})"
    else:
        expression = {
            "number": f"{SLOTS}",
            "Learned": "Learned(most=6)",
            "SameMachine": f"SameMachine({SLOTS}, directory={str(tmp_path)!r}, name={name!r})",
        }[request.param]
    made = Kind(request.param, expression)
    yield made
    made.close()


class Scene:
    """A client behind a limit, and the server that counts."""

    def __init__(self, server: LocalServer, count: Count, client: Cartesia) -> None:
        assert client.limit is not None
        self.server, self.count, self.client, self.gate = server, count, client, client.limit
        self.connection = client.tts.websocket_connect().enter()
        self._ids = itertools.count()

    def context(self, connection: Any = None, *faults: Any, **settings: Any) -> Any:
        return (connection or self.connection).context(f"end-{next(self._ids)}", **SPOKEN, **settings)

    def generate(self, transcript: str = "Hello.", client: Optional[Cartesia] = None) -> Any:
        return (client or self.client).tts.generate(**SPOKEN, transcript=transcript)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Take every slot."""
        tickets = [self.gate.acquire(BOUND) for _ in range(self.gate.allowed or 0)]
        assert all(tickets)
        try:
            yield
        finally:
            for ticket in tickets:
                assert ticket is not None
                ticket.release()

    def speak(self, transcript: str = "Hello.") -> None:
        context = self.context()
        context.push(transcript, continue_=False)
        assert context.audio()


# ---- the ends of a context


def done(scene: Scene) -> None:
    scene.speak()


def an_error_event(scene: Scene) -> None:
    context = scene.context()
    scene.server.inject(faults.ErrorEvent(500, context_id=context.context_id))
    context.push("Hello.", continue_=False)
    with pytest.raises(InternalServerError):
        context.audio()


def cancel(scene: Scene) -> None:
    context = scene.context()
    context.push(LONG)
    for _ in context:
        context.cancel()


def cancel_without_a_late_done(scene: Scene) -> None:
    """As the service may do: then a grace period is waited for."""
    context = scene.context()
    context.push(LONG)
    next(iter(context))
    context.cancel()


def cancel_while_waiting(scene: Scene) -> None:
    with scene.full(), ThreadPoolExecutor(1) as thread:
        context = scene.context()
        pushing = thread.submit(context.push, "Hello.")
        wait_until(lambda: scene.gate.waiting >= 1)
        context.cancel()
        with pytest.raises(ContextStateError):
            pushing.result(BOUND)


def break_and_drop(scene: Scene) -> None:
    context = scene.context()
    context.push(LONG)
    for _ in context:
        break
    del context, _
    gc.collect()
    scene.connection.context(**SPOKEN)  # the link sees to what was dropped at the next opening


def the_clock(scene: Scene) -> None:
    context = scene.context(first_event_timeout=0.05)
    scene.server.inject(faults.Unfinished(context_id=context.context_id))
    context.push("Hello.")
    with pytest.raises(FirstEventTimeoutError):
        context.audio()


def a_lost_connection(scene: Scene) -> None:
    with scene.client.tts.websocket_connect() as connection:
        contexts = [scene.context(connection)]
        scene.server.inject(faults.Reset(context_id=contexts[0].context_id))
        contexts[0].push("Hello.", continue_=False)
        with pytest.raises(TruncatedError):
            contexts[0].audio()


def replay(scene: Scene) -> None:
    with scene.client.tts.websocket_connect() as connection:
        context = scene.context(connection, on_disconnect="replay")
        scene.server.inject(faults.Reset(context_id=context.context_id))
        context.push("Hello.", continue_=False)
        assert context.audio()


def said_again(scene: Scene) -> None:
    context = scene.context()
    scene.server.inject(
        faults.ErrorEvent(429, error_code="concurrency_limited", context_id=context.context_id),
    )
    context.push("Hello. ")
    context.push("And more.", continue_=False)
    assert context.audio()


def continued(scene: Scene) -> None:
    """The model pauses for longer than the service keeps the context open."""
    context, begun, release = scene.context(), scene.count.begun, threading.Event()

    def pieces() -> Iterator[str]:
        yield "Hello. "
        release.wait(BOUND)
        yield "And more."

    events = context.speak(pieces())
    for event in events:
        if event.type == "chunk" and not release.is_set():
            scene.count.wait_for(lambda count: count.begun > begun)
            scene.count.wait_for(lambda count: count.now == 0)  # it has expired
            release.set()
    assert scene.count.begun - begun == 2


def idle(scene: Scene) -> None:
    context = scene.context()
    context.push("Hello. ", flush=True)
    wait_until(lambda: scene.gate.in_use == 0)  # left open, it has given back its slot
    context.cancel()


def close(scene: Scene) -> None:
    connection = scene.client.tts.websocket_connect().enter()
    contexts = [scene.context(connection)]
    contexts[0].push(LONG)
    next(iter(contexts[0]))
    connection.close()


def close_while_waiting(scene: Scene) -> None:
    connection = scene.client.tts.websocket_connect().enter()
    with scene.full(), ThreadPoolExecutor(1) as thread:
        pushing = thread.submit(scene.context(connection).push, "Hello.")
        wait_until(lambda: scene.gate.waiting >= 1)
        connection.close()
        with pytest.raises(WebSocketConnectionClosedError):
            pushing.result(BOUND)


def an_interrupt_at_the_grant(scene: Scene) -> None:
    """A thread that waits for its slot gets it, and is struck, in either order."""
    for is_granted_first in (True, False):
        context, ended = scene.context(), queue.SimpleQueue[None]()

        def wait(context: Any = context, ended: queue.SimpleQueue[None] = ended) -> None:
            try:
                context.push("Hello.", continue_=False)
                ended.get(timeout=BOUND)
            except Struck:
                pass
            context.cancel()

        with scene.full():
            thread = threading.Thread(target=wait)
            thread.start()
            wait_until(
                functools.partial(waits, thread)
            )  # not before: CPython may strike a thread that this one is starting
            if not is_granted_first:
                strike(thread)
        if is_granted_first:
            strike(thread)
        ended.put(None)
        thread.join(BOUND)
        assert not thread.is_alive()


# ---- the ends of a request


def read_to_its_end(scene: Scene) -> None:
    assert scene.generate().read()


def closed(scene: Scene) -> None:
    scene.generate(LONG).close()


def collected(scene: Scene) -> None:
    scene.generate(LONG)
    gc.collect()


def refused(scene: Scene) -> None:
    scene.server.inject(faults.RefuseRequest(status=400))
    with pytest.raises(APIStatusError):
        scene.generate()


def cut(scene: Scene) -> None:
    scene.server.inject(faults.CutAnswer(after=10))
    with contextlib.suppress(Exception):  # what it is says tests/transport/http
        scene.generate(client=scene.client.with_options(max_retries=0)).read()


def a_pause_before_a_retry(scene: Scene) -> None:
    """It holds no slot meanwhile: whoever needs all of them gets them."""
    scene.server.inject(faults.RefuseRequest(status=503, headers={"Retry-After": "0.2"}))
    with ThreadPoolExecutor(1) as thread:
        seen = len(scene.server.requests)
        asking = thread.submit(lambda: scene.generate().read())
        scene.server.wait_for(lambda server: len(server.requests) > seen, BOUND)
        with scene.full():
            assert not asking.done()
        assert asking.result(BOUND)


# ---- what each needs


class End(NamedTuple):
    """An end, and what is set for it."""

    run: Callable[[Scene], None]
    is_alone: bool = False  # it takes all slots, or looks at what only it does
    needs_its_id: bool = False  # a fault is for its id, and one that is refused is said again under another
    server: dict[str, Any] = {}  # noqa: RUF012  # read only
    is_heard_of_late: bool = False  # the server may count what was closed for an instant longer than the client
    times: int = SLOTS + 1


ENDS = [
    End(done),
    End(an_error_event, needs_its_id=True),
    End(cancel),
    End(cancel_without_a_late_done, server={"done_after_cancel": False}),
    End(cancel_while_waiting, is_alone=True),
    End(break_and_drop),
    End(the_clock, needs_its_id=True),
    End(a_lost_connection, needs_its_id=True),
    End(replay, needs_its_id=True),
    End(said_again, needs_its_id=True),
    End(continued, is_alone=True, server={"expiry": 0.05}),
    End(idle, is_alone=True, server={"expiry": 0.05, "done_at_expiry": False}),
    End(close),
    End(close_while_waiting, is_alone=True),
    End(an_interrupt_at_the_grant, is_alone=True),
    End(read_to_its_end),
    End(closed, is_heard_of_late=True),
    End(collected, is_heard_of_late=True),
    End(refused),
    End(cut),
    End(a_pause_before_a_retry, is_alone=True),
]


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def waits(thread: threading.Thread) -> bool:
    """Whether a thread waits for its slot."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is Ticket.wait.__code__


def strike(thread: threading.Thread) -> None:
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))


def assert_nothing_is_left(scene: Scene, kind: Kind, late: int = 0) -> None:
    wait_until(lambda: (scene.gate.in_use, scene.gate.waiting) == (0, 0))
    scene.count.wait_for(lambda count: count.now == 0)
    assert scene.count.most <= SLOTS + late
    if not kind.is_learned:
        assert scene.count.refused == 0
        with scene.full():
            assert scene.gate.acquire(timeout=0) is None
    kind.assert_all_is_free()


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.run.__name__.replace("_", " "))
def test_a_slot_comes_back_once(end: End, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CANCEL_GRACE", 0.1)
    monkeypatch.setattr(worker, "IDLE", 0.1)  # for the end of idle threads nobody waits
    monkeypatch.setattr(slots, "_IDLE", 0.1)
    options = {"pace": 100, "chunk_bytes": 1600, "done_after_cancel": True, **end.server}
    limit = SLOTS if kind.is_learned else None  # elsewhere nothing but the client's limit keeps the count low
    is_over, is_alone = threading.Event(), end.is_alone or (end.needs_its_id and kind.is_learned)

    def talk() -> None:
        while not is_over.is_set():
            scene.speak()

    with (
        counting(concurrency_limit=limit, **options) as (server, count),
        Cartesia(
            api_key="any",
            base_url=server.url,
            limit=kind.make(),
            limit_wait=BOUND,
            limit_idle=0.15 if end.run is idle else None,
        ) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        scene = Scene(server, count, client)
        scene.speak()
        talking = [threads.submit(talk) for _ in range(0 if is_alone else 2)]
        try:
            for _ in range(end.times):
                end.run(scene)
        finally:
            is_over.set()
        for future in talking:
            future.result(BOUND)
        assert_nothing_is_left(scene, kind, late=end.is_heard_of_late)
        scene.connection.close()


# ---- the ends of a process

PROCESSES = ["exit", "kill", "orphan", "fork"]


@pytest.mark.skipif(sys.platform == "win32", reason="the scenes fork and send signals")
@pytest.mark.parametrize("end", PROCESSES)
def test_a_process_that_ends_leaves_its_slots_to_others(end: str, kind: Kind) -> None:
    limit = kind.expression.replace("most=6", f"most={SLOTS}")  # it has nobody to learn from
    with (
        counting(pace=1, chunk_bytes=1600, done_after_cancel=True) as (server, count),
        Run("-W", "error", SCENE, server.url, limit, end) as run,
    ):
        assert run.line() == ("forked" if end == "fork" else "speaking")
        count.wait_for(lambda seen: seen.now == SLOTS)
        if kind.is_shared:
            others = kind.make()
            assert others.acquire(timeout=0) is None
        if end in ("kill", "orphan"):
            run.process.kill()
            run.process.wait(BOUND)
        else:
            assert run.end() == (0, "", "")
        count.wait_for(lambda seen: seen.now == 0)
        assert count.most == SLOTS
        began = time.monotonic()
        kind.assert_all_is_free()  # of Redis' after the lease, where a process was killed
        if kind.name == "SameMachine" or end in ("exit", "fork"):
            assert time.monotonic() - began < 4  # at once, on a busy machine
