"""What the server has seen: handshakes, messages and requests, for its user to look at and to wait for."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional, Union

from .observer import Observer

__all__ = ["Handshake", "Heard", "Recorder", "Request", "Upload"]


class Handshake(NamedTuple):
    """One WebSocket handshake as it came in, granted or not. The names of ``headers`` match in any case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Heard(NamedTuple):
    """One client message: decoded if it is a JSON object, else as it came.

    ``connection`` is an index of ``handshakes``.
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


class Recorder:
    """Written by the server's loop, read by its users' threads.

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
        self._handshakes: list[Handshake] = []
        self._handshake_count = 0
        self._heard: list[Heard] = []
        self._requests: list[Request] = []
        self._request_count = 0
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
            self._handshake_count += 1
            if self._record:
                self._handshakes.append(handshake)
            self._wake_locked()
            return self._handshake_count - 1

    def add_request(self, request: Request) -> int:
        """Record an HTTP request; return its number, which is below 0, so that no connection has it."""
        with self._lock:
            self._request_count += 1
            if self._record:
                self._requests.append(request)
            self._wake_locked()
            return -self._request_count

    def add_message(self, connection: int, message: Union[dict[str, Any], str, bytes]) -> None:
        """Record a client message."""
        with self._lock:
            if self._record:
                self._heard.append(Heard(connection, message))
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

    def _wake_locked(self) -> None:
        assert self._lock._is_owned()
        for known in self._wakers:
            waker = known()
            if waker is not None:
                waker.put(None)
