"""What a client says and hears, told to the inspector of a local server on this machine, if it was asked to.

A thread of its own sends it, and may fall behind: what finds no room is dropped and counted. Who speaks and who reads
only puts what they have into a list. Never told: headers, queries, and what is asked of ``/access-token``.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import itertools
import json
import logging
import os
import queue
import sys
import threading
import weakref
from time import monotonic
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import parse_qs, quote, urlsplit

from .deadline import Deadline
from .loopback import is_this_machine

__all__ = ["Call", "Mirror", "Tap"]

MOST_BYTES = 8 * 1024**2
"""What may wait to be told, messages and audio together."""

RETRY_AFTER = 5.0
"""Seconds for which nothing is tried after an inspector did not answer; what happens meanwhile is dropped."""

_BATCH = 0.05  # seconds, in which more may come
_TIMEOUT = 5.0
_LAST_WORDS = 1.0  # seconds, at the interpreter's end
_ITEM_BYTES = 200  # what one takes beside its message
_SECRET_PATH = "/access-token"
_JSON = "application/json"

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_log = logging.getLogger("cartesia_sync.inspector")
_numbers = itertools.count(1)
_open: weakref.WeakSet[_Outbox] = weakref.WeakSet()


class Mirror:
    """Tells an inspector what one client, and those that share its connections, say and hear.

    Args:
        url: As the server has printed it: ``http://127.0.0.1:8765/inspector?t=...``.

    Raises:
        ValueError: It is none of this machine, or has no token.

    Threads: any, at once. Nothing here waits, or raises. In a forked child nothing is told.
    """

    def __init__(self, url: str) -> None:
        host, port, token = _parts(url)
        self._outbox = _Outbox(host, port, token)
        self._connections = itertools.count()
        self._calls = itertools.count(1)
        weakref.finalize(self, self._outbox.close)

    @property
    def dropped(self) -> int:
        """How many things were not told, for want of room or of somebody who listens."""
        return self._outbox.dropped

    def tap(self, path: str, version: str) -> Tap:
        """Return what is told of a WebSocket that was opened."""
        self._outbox.start()
        tap = Tap(self, next(self._connections))
        self._outbox.put("opened", (tap.number, path, version), 0)
        return tap

    def asked(self, method: str, path: str, content_type: str, body: Optional[bytes]) -> Call:
        """Return what is told of an HTTP request that is being sent."""
        self._outbox.start()
        call = Call(self, -next(self._calls), is_secret=path.rstrip("/").endswith(_SECRET_PATH))
        is_told = body is not None and content_type.startswith(_JSON) and not call.is_secret
        shown: Any = body if is_told or body is None else f"({len(body)} bytes)"
        self._outbox.put("asked", (call.number, method, path, shown), len(body) if body and is_told else 0)
        return call

    def close(self) -> None:
        """Tell what waits, and end the thread. Does not wait, and takes no lock."""
        self._outbox.close()


class Tap:
    """What is told of one WebSocket. Its mirror lives as long as it does."""

    def __init__(self, mirror: Mirror, number: int) -> None:
        self.number = number
        self._mirror = mirror
        self._put = mirror._outbox.put

    def said(self, message: bytes) -> None:
        """A message is in line."""
        self._put("said", (self.number, message), len(message))

    def heard(self, message: bytes) -> None:
        """A message has come."""
        self._put("heard", (self.number, message), len(message))

    def closed(self) -> None:
        """It has ended."""
        self._put("closed", (self.number,), 0)


class Call:
    """What is told of one HTTP request. Its mirror lives as long as it does."""

    def __init__(self, mirror: Mirror, number: int, *, is_secret: bool) -> None:
        self.number = number
        self.is_secret = is_secret
        self._mirror = mirror
        self._put = mirror._outbox.put

    def answered(self, status: int, content_type: str, piece: bytes) -> None:
        """Some of the answer has come."""
        told = b"" if self.is_secret else piece
        self._put("answered", (self.number, status, content_type, told), len(told))

    def ended(self, how: str) -> None:
        """The answer is at its end: ``whole``, ``cut`` or ``left``. Of several ends the first counts."""
        self._put("ended", (self.number, how), 0)


class _Item(NamedTuple):
    at: float
    do: str
    arguments: tuple[Any, ...]


class _Outbox:
    """What waits to be told, and the thread that tells it.

    ``_lock`` guards ``_items``, ``_bytes`` and ``dropped``: it is held for a few steps, and never across a wait.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        self.dropped = 0
        self._host, self._port, self._token = host, port, token
        self._process = os.getpid()
        self._lock = threading.RLock()  # a signal handler may speak, in the middle of this
        self._items: list[_Item] = []
        self._bytes = 0
        self._told_dropped = 0
        self._is_silent = False  # nobody listens: set and taken back by the thread
        self._is_closed = False
        self._has_warned = False
        self._notes: queue.SimpleQueue[None] = queue.SimpleQueue()  # there is something to tell
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}
        self._source = f"{os.path.basename(sys.argv[0] or 'python') or 'python'}-{os.getpid()}-{next(_numbers)}"

    def start(self) -> None:
        """Start the thread, unless it runs. In a thread of the user's: it waits until the new one has begun."""
        if self._threads or self._is_closed or os.getpid() != self._process:
            return
        thread = threading.Thread(
            target=self._run, name=f"cartesia-sync-inspector-{self._source.rpartition('-')[2]}", daemon=True
        )
        if self._threads.setdefault("thread", thread) is thread:
            _open.add(self)
            try:
                thread.start()
            except RuntimeError:  # no more threads are to be had
                self._is_closed = True

    def put(self, do: str, arguments: tuple[Any, ...], size: int) -> None:
        """Add something; drop it where there is no room, or where nobody listens."""
        if self._is_silent:
            self.dropped += 1  # about: without the lock, so that it costs next to nothing
            return
        if self._is_closed or os.getpid() != self._process:
            return
        size += _ITEM_BYTES
        with self._lock:
            if self._bytes + size > MOST_BYTES:
                self.dropped += 1
            else:
                self._bytes += size
                self._items.append(_Item(monotonic(), do, arguments))
        if not self._notes.qsize():
            self._notes.put(None)

    def close(self) -> None:
        """Let the thread tell what waits, and end. Idempotent."""
        if os.getpid() == self._process:
            self._is_closed = True
            self._ends.put(None)
            self._notes.put(None)

    def finish(self, deadline: Deadline) -> None:
        """Do so, and wait for it; for the interpreter's end."""
        self.close()
        thread = self._threads.get("thread")
        if thread is not None and os.getpid() == self._process and not self._is_silent:
            thread.join(deadline.left())

    # ---- its own thread

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)  # which knows no proxies
        with contextlib.closing(connection):
            while not self._is_closed:
                self._notes.get()
                with contextlib.suppress(queue.Empty):
                    self._ends.get(timeout=_BATCH)  # what comes meanwhile goes along
                self._tell(connection)
                if self._is_silent and not self._is_closed:
                    self._pause()
            self._tell(connection)  # what came while the last was told

    def _pause(self) -> None:
        with contextlib.suppress(queue.Empty):
            self._ends.get(timeout=RETRY_AFTER)
        self._is_silent = self._is_closed  # at the end nothing is tried again

    def _tell(self, connection: http.client.HTTPConnection) -> None:
        if self._is_silent:
            return
        with self._lock:
            items, self._items, self._bytes = self._items, [], 0
            dropped, self._told_dropped = self.dropped - self._told_dropped, self.dropped
        if not items and not dropped:
            return
        head = {"source": self._source, "now": monotonic(), "dropped": dropped}
        body = "\n".join(map(_as_json, [head, *map(_line, items)])).encode("utf-8", "replace")
        problem = self._post(connection, body)
        if problem:
            connection.close()
            with self._lock:
                self.dropped += len(items)
                self._told_dropped -= dropped
            self._is_silent = True
            if not self._has_warned:
                self._has_warned = True
                _log.warning("the inspector at %s:%d %s; it is tried again", self._host, self._port, problem)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> str:
        """Send it; return what went wrong."""
        for _ in range(2):  # the server may have closed a connection that was kept
            is_new = connection.sock is None
            try:
                connection.request("POST", f"/inspector/mirror?t={quote(self._token)}", body)
                with connection.getresponse() as answer:
                    answer.read(_ITEM_BYTES)
                    return "" if answer.status == 200 else f"refuses what is told, with status {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if is_new:
                    return f"does not answer ({type(error).__name__})"
        return "does not answer"


def _line(item: _Item) -> dict[str, Any]:
    told: list[Any] = [_shown(each) for each in item.arguments]
    if item.do == "asked" and isinstance(item.arguments[3], bytes):
        with contextlib.suppress(ValueError, RecursionError):
            told[3] = json.loads(item.arguments[3])
    elif item.do == "answered":
        told[3] = item.arguments[3].decode("latin-1")
    return {"at": item.at, "do": item.do, "with": told}


def _shown(value: Union[int, str, bytes, None]) -> Union[int, str, None]:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _parts(url: str) -> tuple[str, int, str]:
    """Return host, port and token. No message shows the URL: who has the token reads along."""
    try:
        parts = urlsplit(url)
        port, token = parts.port, parse_qs(parts.query).get("t", [""])[0]
    except (ValueError, AttributeError):
        raise ValueError("inspector: expected a URL as cartesia-sync serve prints it") from None
    if parts.scheme != "http" or not token or not parts.hostname:
        raise ValueError("inspector: expected a URL such as http://127.0.0.1:8765/inspector?t=..., as serve prints it")
    if not is_this_machine(parts.hostname):
        raise ValueError(f"inspector: {parts.hostname} is not this machine; nothing is told to others")
    return parts.hostname, port or 80, token


def _at_the_end() -> None:
    deadline = Deadline(_LAST_WORDS)
    for outbox in list(_open):
        outbox.finish(deadline)


atexit.register(_at_the_end)
