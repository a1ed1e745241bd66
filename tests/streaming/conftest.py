"""A wire whose far end is the test itself."""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import Timeout
from cartesia_sync.errors import WebSocketConnectionClosedError
from cartesia_sync.streaming.connection import Connection
from cartesia_sync.streaming.link import Link
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Frame

BOUND = 10.0
WOKEN = object()
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44100}


class StepWire:
    """Stands where the real wire stands: what the test says is heard, and what is said is kept."""

    is_in_use_here = False
    tap = None
    response_headers: dict[str, str] = {}  # noqa: RUF012  # nobody adds to it

    def __init__(self) -> None:
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._sent = threading.Condition()
        self.sent: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []  # to whoever looks on
        self.closed_with: Optional[tuple[int, str]] = None
        self.pings = 0
        self.is_shut = False
        self.is_free = threading.Event()
        self._ahead: deque[Any] = deque()
        self.deadlines: list[Optional[float]] = []  # of each read
        self.before_write: Callable[[bytes], None] = lambda message: None
        self.after_write: Callable[[], None] = lambda: None
        self.unsent: list[Any] = []
        self.was_woken = False
        self.wakes = 0
        self._sending = threading.Lock()

    # ---- the test's side

    def feed(self, event: dict[str, Any]) -> None:
        self.feed_bytes(json.dumps(event).encode())

    def feed_bytes(self, message: bytes) -> None:
        self._inbox.put(message)

    def feed_together(self, *events: dict[str, Any]) -> None:
        """Let messages arrive at once, as those that one recv brings."""
        self._inbox.put([json.dumps(event).encode() for event in events])

    def feed_chunk(self, context_id: str, audio: bytes, **fields: Any) -> None:
        data = base64.b64encode(audio).decode()
        self.feed({"type": "chunk", "context_id": context_id, "data": data, "done": False, **fields})

    def feed_times(self, context_id: str, *words: tuple[str, float, float], **fields: Any) -> None:
        names, start, end = zip(*words)
        times = {"words": list(names), "start": list(start), "end": list(end)}
        self.feed({"type": "timestamps", "context_id": context_id, "done": False, "word_timestamps": times, **fields})

    def feed_done(self, context_id: str) -> None:
        self.feed({"type": "done", "context_id": context_id, "done": True, "status_code": 206})

    def feed_error(self, context_id: Optional[str], **fields: Any) -> None:
        self.feed({"type": "error", "context_id": context_id, "done": True, "status_code": 400, **fields})

    def lose(self, error: Optional[BaseException] = None) -> None:
        self._inbox.put(error or WebSocketConnectionClosedError("lost", code=1011, reason="oops"))

    def stay_silent(self) -> None:
        """Let the reader's tick pass."""
        self._inbox.put(None)

    def wait_sent(self, count: int) -> list[dict[str, Any]]:
        with self._sent:
            assert self._sent.wait_for(lambda: len(self.sent) >= count, BOUND), self.sent
            return list(self.sent)

    def wait_unsent(self, count: int) -> None:
        """Wait until so many messages stand in line, which the reader is to send."""
        with self._sent:
            assert self._sent.wait_for(lambda: len(self.unsent) >= count, BOUND), self.unsent

    # ---- the link's side

    @property
    def has_message(self) -> bool:
        return bool(self._ahead)

    def read(self, deadline: Deadline) -> Optional[bytes]:
        self.deadlines.append(deadline.seconds)
        self.was_woken = False
        if not self._ahead:
            try:
                item = self._inbox.get(timeout=deadline.left())
            except queue.Empty:
                return None
            self._ahead.extend(item if isinstance(item, list) else [item])
        first = self._ahead.popleft()
        if first is WOKEN:
            self.was_woken = True
            return None
        if isinstance(first, BaseException):
            raise first
        return first

    @staticmethod
    def frame(message: bytes) -> Frame:
        return Frame(message)

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        """Send what stands in line, up to this frame."""
        with self._sending:
            while frame in self.unsent:
                first = self.unsent[0]
                if not first.has_left:
                    self.before_write(first.data)
                    if self.is_shut:
                        raise WebSocketConnectionClosedError("shut")
                    message = json.loads(first.data)
                    with self._sent:
                        first.has_left = True
                        self.sent.append(message)  # with the store before it one step: an interrupt does not part them
                        self._sent.notify_all()
                del self.unsent[0]
                self.after_write()

    def send_rest(self) -> None:
        """Send what stands in line and was left over, as a reader does."""
        if self.unsent:
            self.finish(self.unsent[-1], Deadline(BOUND))

    def wake(self) -> None:
        with self._sent:
            self.wakes += 1
            self._sent.notify_all()
        self._inbox.put(WOKEN)

    def tell(self, messages: Iterable[Any]) -> None:
        self.told += [json.loads(message.payload) for message in messages]

    def post(self, message: bytes) -> None:
        with self._sent:
            self.sent.append(json.loads(message))
            self._sent.notify_all()

    def send_close(self, code: int, reason: str = "") -> None:
        if self.closed_with is None:
            self.closed_with = (code, reason)
            self.lose(WebSocketConnectionClosedError("answered", code=code))

    def ping(self) -> None:
        self.pings += 1

    def shutdown(self) -> None:
        if not self.is_shut:
            self.is_shut = True
            self.lose(WebSocketConnectionClosedError("shut"))

    def release(self) -> None:
        self.is_free.set()

    def detach(self) -> None:
        self.is_shut = True


class Stage:
    """A connection over step wires, and the wires it has opened."""

    def __init__(self, timeout: Timeout, *, reconnect: bool = True, **settings: Any) -> None:
        self.wires: list[StepWire] = []
        self._dialled = threading.Condition()
        self.refuse: Optional[BaseException] = None
        dial: Any = self._dial  # gives doubles
        self.link = Link(dial, timeout=timeout, ping_interval=20.0, reconnect=reconnect, **settings)
        self.link.connect()
        self.connection = Connection(self.link, api_version="2026-08-14", timeout=timeout)

    def _dial(self, deadline: Deadline) -> StepWire:
        if self.refuse is not None:
            raise self.refuse
        with self._dialled:
            self.wires.append(StepWire())
            self._dialled.notify_all()
        return self.wires[-1]

    def wait_wires(self, count: int) -> None:
        with self._dialled:
            assert self._dialled.wait_for(lambda: len(self.wires) >= count, BOUND)

    @property
    def wire(self) -> StepWire:
        return self.wires[-1]

    def context(self, context_id: str, **fields: Any) -> Any:
        return self.connection.context(context_id, voice="v", output_format=FORMAT, **fields)


@pytest.fixture
def make_stage(request: pytest.FixtureRequest) -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(timeout: Timeout = Timeout(), *, close: float = 2.0, **options: Any) -> Stage:  # noqa: B008  # frozen, so that all may share it
        stages.append(Stage(timeout.replace(close=close), **options))
        return stages[-1]

    yield make
    for stage in stages:
        stage.connection.close()
        if request.path.stem == "test_interrupts":
            continue  # between the two there is a place where it strikes, and nobody but the page misses anything
        for wire in stage.wires:
            untold = [each for each in wire.sent if each not in wire.told and not each.get("cancel")]
            assert not untold, "it was sent, and whoever looks on was not told"


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], threading.Event]:
    """Report when a method has been entered, for tests that need a thread to be in it."""

    def watch(target: Any, name: str) -> threading.Event:
        event, method = threading.Event(), getattr(target, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            event.set()
            return method(*args, **kwargs)

        monkeypatch.setattr(target, name, watched)
        return event

    return watch
