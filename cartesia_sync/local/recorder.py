"""What the server has seen: handshakes, messages and requests, for its user to look at and to wait for."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional, Union

from .observer import Observer
from .requests import weight_of

__all__ = ["Handshake", "Heard", "Recorder", "Request", "Upload"]


class Handshake(NamedTuple):
    """One WebSocket handshake as it came in, granted or not. The names of ``headers`` match in any case.

    ``number`` counts the handshakes since the server's start: ``Heard.connection`` names it.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    number: int = 0


class Heard(NamedTuple):
    """One client message: decoded if it is a JSON object, else as it came.

    ``connection`` is the number of its handshake: its index in ``handshakes``, so long as none was forgotten.
    """

    connection: int
    message: Union[dict[str, Any], str, bytes]


class Upload(NamedTuple):
    """A file in a form that was sent."""

    filename: str
    content_type: str
    data: bytes


class Request(NamedTuple):
    """One HTTP request as it came in, granted or not. The names of ``headers`` match in any case.

    ``query`` and a form in ``body`` list every value of a name. ``body`` is decoded JSON, a form by its parts' names,
    other bytes as they came, or ``None`` where nothing was sent or, the request being refused, nothing was read.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


_MOST_BYTES = 64 * 1024**2


class Recorder:
    """Written by the server's loop, read by its users' threads.

    Of what is kept the oldest is forgotten where all of it takes more than 64 MiB; the newest is kept in any case.

    Args:
        record: Keep what is seen. Otherwise it is only counted.

    Attributes:
        observer: Who looks on; set by the server's loop before anything is served, and never again.

    Threads: any. ``_lock`` guards every attribute. It is held briefly, and never while a condition is called.
    """

    def __init__(self, *, record: bool) -> None:
        self.observer: Optional[Observer] = None
        self._record = record
        self._lock: Any = threading.RLock()  # one that knows who has it; nobody enters it twice
        self._wakers: list[weakref.ref[queue.SimpleQueue[None]]] = []
        self._handshakes: deque[Handshake] = deque()
        self._handshake_count = 0
        self._heard: deque[Heard] = deque()
        self._requests: deque[Request] = deque()
        self._request_count = 0
        # In the order in which they came: which of the three it is in, and its bytes.
        self._kept: deque[tuple[deque[Any], int]] = deque()
        self._kept_bytes = 0
        self._open_connections = 0

    # ---- for the users' threads

    @property
    def handshakes(self) -> list[Handshake]:
        """A copy of all handshakes, in order."""
        with self._lock:
            return list(self._handshakes)

    @property
    def heard(self) -> list[Heard]:
        """A copy of all client messages, in order."""
        with self._lock:
            return list(self._heard)

    @property
    def requests(self) -> list[Request]:
        """A copy of all HTTP requests, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def open_connections(self) -> int:
        """How many WebSocket connections are open."""
        with self._lock:
            return self._open_connections

    def forget(self) -> None:
        """Keep nothing of what was seen so far; the counts go on."""
        with self._lock:
            for kept in (self._handshakes, self._heard, self._requests, self._kept):
                kept.clear()
            self._kept_bytes = 0
            self._wake_locked()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        """Block until the condition holds; it is called at once and after each change, without a lock held.

        Raises:
            TimeoutError: It did not hold in time.
        """
        deadline = time.monotonic() + timeout
        waker: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Register before the first call, so that no change in between is missed. Weakly: if this method is
        # interrupted, its waker is freed with it.
        with self._lock:
            self._wakers = [known for known in self._wakers if known() is not None]
            self._wakers.append(weakref.ref(waker))
        while True:
            if condition():
                return
            try:
                waker.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError("the condition did not hold in time") from None
            for _ in range(waker.qsize()):  # several changes need only one call
                waker.get()

    # ---- for the server's loop

    def add_handshake(self, handshake: Handshake) -> int:
        """Record a handshake; return its number."""
        with self._lock:
            numbered = handshake._replace(number=self._handshake_count)
            self._handshake_count += 1
            self._keep_locked(self._handshakes, numbered)
            self._wake_locked()
            return self._handshake_count - 1

    def add_request(self, request: Request) -> int:
        """Record an HTTP request; return its number, which is below 0, so that no connection has it."""
        with self._lock:
            self._request_count += 1
            self._keep_locked(self._requests, request)
            self._wake_locked()
            return -self._request_count

    def add_message(self, connection: int, message: Union[dict[str, Any], str, bytes]) -> None:
        """Record a client message."""
        with self._lock:
            self._keep_locked(self._heard, Heard(connection, message))
            self._wake_locked()

    def count_opened(self) -> None:
        """Count a connection that has been opened."""
        with self._lock:
            self._open_connections += 1
            self._wake_locked()

    def count_closed(self) -> None:
        """Count a connection that has been closed."""
        with self._lock:
            self._open_connections -= 1
            self._wake_locked()

    def _keep_locked(self, kept: deque[Any], record: tuple[Any, ...]) -> None:
        assert self._lock._is_owned()
        if not self._record:
            return
        size = weight_of(record)
        kept.append(record)
        self._kept.append((kept, size))
        self._kept_bytes += size
        while self._kept_bytes > _MOST_BYTES and len(self._kept) > 1:
            oldest, size = self._kept.popleft()
            oldest.popleft()
            self._kept_bytes -= size

    def _wake_locked(self) -> None:
        assert self._lock._is_owned()
        for known in self._wakers:
            waker = known()
            if waker is not None:
                waker.put(None)
