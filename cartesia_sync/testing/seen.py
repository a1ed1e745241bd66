"""What a server was told, in a form that reads well in an assertion."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union

from cartesia_sync.local.recorder import Heard, Recorder, Request

__all__ = ["OrderedRecorder", "Seen", "SeenContext"]

_PATIENCE = 0.5
_SETTLE_TIMEOUT = 5.0
_ROUNDS = 10
_SPEAKING_PATHS = ("/tts/bytes", "/tts/sse", "/infill/bytes")


class OrderedRecorder(Recorder):
    """A recorder that also knows the order of messages and requests among each other.

    Threads: any.
    """

    def __init__(self) -> None:
        super().__init__(record=True)
        self._order_lock = threading.Lock()
        self._order: list[Union[Heard, Request]] = []

    @property
    def in_order(self) -> list[Union[Heard, Request]]:
        """A copy of all messages and requests, in order."""
        with self._order_lock:
            return list(self._order)

    def add_message(self, connection: int, message: Union[dict[str, Any], str, bytes]) -> None:
        """Record a client message."""
        with self._order_lock:
            self._order.append(Heard(connection, message))
        super().add_message(connection, message)

    def add_request(self, request: Request) -> int:
        """Record an HTTP request; return its number."""
        with self._order_lock:
            self._order.append(request)
        return super().add_request(request)


class SeenContext:
    """One context of a WebSocket, as the server was told of it.

    Attributes:
        id: The context id.
        connection: The number of its connection, an index of ``server.handshakes``.
        messages: All messages so far, as they came.
    """

    def __init__(self, id: str, connection: int, is_cancelled: Callable[[], bool]) -> None:
        self.id = id
        self.connection = connection
        self.messages: list[dict[str, Any]] = []
        self._is_cancelled = is_cancelled

    def __repr__(self) -> str:
        return f"<SeenContext {self.text!r}{' finished' if self.finished else ''}>"

    @property
    def pieces(self) -> list[str]:
        """The texts that were pushed, empty ones left out."""
        return [text for text in (_text(message.get("transcript")) for message in self.messages) if text]

    @property
    def text(self) -> str:
        """All of the text that was pushed."""
        return "".join(self.pieces)

    @property
    def finished(self) -> bool:
        """Whether the server was told that no more text comes."""
        return any("cancel" not in message and not message.get("continue") for message in self.messages)

    @property
    def flushes(self) -> int:
        """How often it was flushed."""
        return sum(1 for message in self.messages if message.get("flush"))

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled.

        A cancel leaves by the client's reader thread, a moment after ``context.cancel()``. So where connections are
        open, and nothing new has come since it was last asked, this waits half a second for it before it says no.
        """
        return self._is_cancelled()

    @property
    def model_id(self) -> Optional[str]:
        """The model that was asked for."""
        return _text_or_none(self._first("model_id"))

    @property
    def language(self) -> Optional[str]:
        """The language that was asked for."""
        return _text_or_none(self._first("language"))

    @property
    def voice(self) -> Optional[str]:
        """The id of the voice that was asked for."""
        voice = self._first("voice")
        return _text_or_none(voice.get("id") if isinstance(voice, Mapping) else voice)

    @property
    def output_format(self) -> Optional[dict[str, Any]]:
        """The format that was asked for."""
        given = self._first("output_format")
        return given if isinstance(given, dict) else None

    def _first(self, name: str) -> Any:
        return self.messages[0].get(name) if self.messages else None


class Seen:
    """The views of a server that was told something.

    Threads: any.
    """

    _seen_by: OrderedRecorder
    _loop: Optional[asyncio.AbstractEventLoop]
    _patient_at = -1

    @property
    def spoken(self) -> list[str]:
        """The texts that it was asked to speak, whole, in order: one for each context, and one for each request.

        A context's pieces are joined. Those that were cancelled or failed are there as well.
        """
        contexts = {(each.connection, each.id): each for each in self.contexts}  # which settles, first
        spoken: list[str] = []
        for seen in self._seen_by.in_order:
            if isinstance(seen, Heard):
                key = _key(seen)
                context = contexts.pop(key, None) if key is not None else None
                if context is not None and context.text:
                    spoken.append(context.text)
            elif seen.path in _SPEAKING_PATHS and isinstance(seen.body, Mapping):
                text = seen.body.get("transcript")
                spoken.append(_text(text[0] if isinstance(text, list) and text else text))
        return spoken

    @property
    def contexts(self) -> list[SeenContext]:
        """The contexts that it was told of, in the order of their first messages. A copy.

        What clients of this machine have sent by now is in it.
        """
        self._settle()
        contexts: dict[tuple[int, str], SeenContext] = {}
        for heard in self._seen_by.heard:
            key = _key(heard)
            if key is None:
                continue
            if key not in contexts:
                contexts[key] = SeenContext(key[1], key[0], lambda key=key: self._is_cancelled(key))  # type: ignore[misc]  # mypy infers no type for a lambda with a default
            assert isinstance(heard.message, dict)
            contexts[key].messages.append(heard.message)
        return list(contexts.values())

    def _settle(self) -> None:
        """Let the server take in what has reached its sockets: on loopback that is all that has been sent."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        rounds = _some_rounds()
        try:
            future = asyncio.run_coroutine_threadsafe(rounds, loop)
        except RuntimeError:
            rounds.close()  # the loop was closed meanwhile
            return
        # A server that is being stopped cancels it, or runs no more rounds.
        with contextlib.suppress(concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            future.result(_SETTLE_TIMEOUT)

    def _is_cancelled(self, key: tuple[int, str]) -> bool:
        def is_told() -> bool:
            return any(_key(heard) == key and _is_cancel(heard) for heard in self._seen_by.heard)

        if self._patient_at != len(self._seen_by.heard):  # once, not once for each context
            try:
                self._seen_by.wait_for(lambda: is_told() or not self._seen_by.open_connections, _PATIENCE)
            except TimeoutError:
                pass
            if not is_told():
                self._patient_at = len(self._seen_by.heard)
        return is_told()


async def _some_rounds() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)  # not a wait: one round of the loop, which reads what is there


def _key(heard: Heard) -> Optional[tuple[int, str]]:
    message = heard.message
    context_id = message.get("context_id") if isinstance(message, dict) else None
    return (heard.connection, context_id) if isinstance(context_id, str) else None


def _is_cancel(heard: Heard) -> bool:
    return isinstance(heard.message, dict) and bool(heard.message.get("cancel"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _text_or_none(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None
