"""A session over a wire whose far end is the test itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from cartesia_sync import Timeout
from cartesia_sync.errors import WebSocketConnectionClosedError
from cartesia_sync.listening.session import MAX_QUEUED_BYTES, Session, SessionManager
from cartesia_sync.protocol.transcription import AudioFormat, Mode
from cartesia_sync.transport.deadline import Deadline
from cartesia_sync.transport.websocket.duplex import Frame

from ..streaming.conftest import BOUND, StepWire

MakeStage = Callable[..., "Stage"]


class SaidFrame(Frame):
    """A frame that knows what it says."""

    __slots__ = ("said",)

    def __init__(self, said: Any, header_bytes: int) -> None:
        super().__init__(bytes(header_bytes) + (said if isinstance(said, bytes) else said.encode()))
        self.said = said


class ListeningWire(StepWire):
    """A step wire that keeps what is said as it is: audio as bytes, commands as text."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []

    @staticmethod
    def frame(message: bytes, *, is_binary: bool = False) -> Frame:  # type: ignore[override]  # takes more
        return SaidFrame(bytes(message) if is_binary else message.decode(), 6 if len(message) < 126 else 8)

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        """Send what stands in line, up to this frame."""
        with self._sending:
            while frame in self.unsent:
                first = self.unsent[0]
                if not first.has_left:
                    self.before_write(first.data)
                    if self.is_shut:
                        raise WebSocketConnectionClosedError("shut")
                    first.has_left = True
                    self.said.append(first.said)  # with the store before it one step: an interrupt does not part them
                del self.unsent[0]
                self.after_write()

    def tell(self, kind: str, **fields: Any) -> None:
        """Let an event arrive."""
        self.feed({"type": kind, "request_id": "r", **fields})

    def end(self, code: Optional[int] = 1000) -> None:
        """Close, as the service does."""
        self.lose(WebSocketConnectionClosedError(f"closed with code {code}", code=code))


class Stage:
    """A session, and its wire."""

    def __init__(self, mode: Mode, timeout: Timeout, limit: int, commands: tuple[Any, ...]) -> None:
        self.wire = ListeningWire()
        make_dial: Any = lambda query, headers: lambda deadline: self.wire  # noqa: E731  # gives a double
        self.manager = SessionManager(
            make_dial,
            extra_query={},
            extra_headers={},
            mode=mode,
            audio_format=AudioFormat("pcm_s16le", 1000),
            timeout=timeout,
            ping_interval=20.0,
            max_retries=0,
            max_queued_bytes=limit,
            max_unsent_bytes=100,
        )
        for command in commands:
            self.manager.send(command)
        self.session: Session = self.manager.enter()

    def join(self) -> None:
        """Wait until the reader has ended."""
        thread: Optional[threading.Thread] = self.session._line.reader
        assert thread is not None
        thread.join(BOUND)
        assert not thread.is_alive()


@pytest.fixture
def make_stage() -> Iterator[MakeStage]:
    stages: list[Stage] = []

    def make(
        mode: Mode = Mode.AUTO,
        *commands: Any,
        timeout: Optional[Timeout] = None,
        limit: int = MAX_QUEUED_BYTES,
    ) -> Stage:
        stages.append(Stage(mode, timeout or Timeout(first_event=None, gap=None), limit, commands))
        return stages[-1]

    yield make
    for stage in stages:
        stage.session.close()


@pytest.fixture
def auto(make_stage: MakeStage) -> Stage:
    return make_stage(Mode.AUTO)


@pytest.fixture
def manual(make_stage: MakeStage) -> Stage:
    return make_stage(Mode.MANUAL)


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], threading.Event]:
    """Report when a method of a class has been entered, for tests that need a thread to be in it."""

    def watch(target: Any, name: str) -> threading.Event:
        event, method = threading.Event(), getattr(type(target), name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            event.set()
            return method(*args, **kwargs)

        monkeypatch.setattr(type(target), name, watched)
        return event

    return watch
