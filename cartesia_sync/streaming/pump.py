"""Text from an iterable in, events out: a thread that pumps the one while the caller iterates the other."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import logging
import queue
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Callable, Optional

from ..closing import Closing
from ..errors import APIConnectionError, ContextStateError
from ..protocol.events import Event
from ..protocol.metrics import Metrics
from ..protocol.text import TextGate
from ..protocol.timeouts import Timeout
from .channel import Channel
from .link import Link
from .receiver import Receiver, Turn
from .timer import call_later

TURN_SECONDS = 10.0
"""How long a pump waits for the timer, which takes microseconds to put one message in line."""

log = logging.getLogger("cartesia_sync")

_numbers = itertools.count(1)


class Speech(Receiver, Closing):
    """An iterator over the events of a context whose text comes from an iterable; made by ``Context.speak``.

    Threads: one iterates, and it may be another than the one that made it; any may close.
    """

    def __init__(
        self,
        channel: Channel,
        turn: Turn,
        timeout: Timeout,
        text: Iterable[str],
        *,
        push: Callable[[str], None],
        post: Callable[[str], bool],
        finish: Callable[[], None],
        keeps_alive: object,
        continues: bool,
        gate: Optional[TextGate] = None,
    ) -> None:
        turn.link.check_process()  # before any of the text is taken
        pieces = _pieces_of(text)
        super().__init__(channel, turn, timeout, raise_on_error=True, keeps_alive=keeps_alive)
        self._link = turn.link
        channel.waits_for_text = True
        channel.continues = continues
        # A daemon: nobody can interrupt an iterable that does not yield, and it must not hold the interpreter. It does
        # not hold this iterator, so that one which nobody holds any more stops it.
        pump = threading.Thread(
            target=contextvars.copy_context().run,
            args=(_pump, channel, turn.link, pieces, _Gate(push, post, gate or TextGate()), finish),
            name=f"cartesia-sync-pump-{next(_numbers)}",
            daemon=True,
        )
        try:
            pump.start()
        except RuntimeError as error:  # no more threads: the system's limit, or the interpreter is at its end
            channel.waits_for_text = False
            self._channel = None  # type: ignore[assignment]  # so that the end of this object ends no context
            raise APIConnectionError(f"The thread that takes the text cannot be started: {error}") from error

    @property
    def context_id(self) -> str:
        """The context's id."""
        return self._channel.context_id

    @property
    def metrics(self) -> Metrics:
        """What was measured until now; see ``Context.metrics``."""
        return self._channel.metrics

    def _check(self, event: Event) -> None:
        if event.type == "done" and self._channel.waits_for_text:
            self.close()
            raise ContextStateError(
                f"the service ended context {self._channel.context_id!r} before all of its text was there: it does so "
                "about a second after a context's last audio"
            )

    def __del__(self) -> None:
        channel = getattr(self, "_channel", None)
        if channel is not None and not channel.mailbox.is_sealed:
            self._link.discard(channel)

    def close(self) -> None:
        """Cancel the context if it has not ended, and stop the pump before its next piece. Idempotent.

        Threads: any, at any time, as ``Context.cancel``.
        """
        if not self._channel.mailbox.is_sealed:
            self._link.cancel(self._channel, discard=True)
        super().close()


def _pieces_of(text: Any) -> Iterator[str]:
    if isinstance(text, str):
        return iter([text])
    if not isinstance(text, (bytes, bytearray)):
        with contextlib.suppress(TypeError):
            return iter(text)
    raise TypeError(f"speak() takes a text or an iterable of texts; got {type(text).__name__}")


class _Gate:
    """Where a text leaves: by the pump, piece by piece; and what waits for more of a tag by the timer, after a while.

    They take turns: whoever has taken the ``TextGate`` out of ``_turns`` sends what it lets out, before the other can.
    """

    def __init__(self, push: Callable[[str], None], post: Callable[[str], bool], gate: TextGate) -> None:
        self._push = push
        self._post = post
        self._turns: queue.SimpleQueue[TextGate] = queue.SimpleQueue()
        self._turns.put(gate)
        self._pieces = 0

    def feed(self, piece: str) -> None:
        """Take a piece, and push what may leave. Waits for the timer's turn, which does not wait, and as a push."""
        if not isinstance(piece, str):
            raise TypeError(f"a piece of text is a str; got {type(piece).__name__}")
        self._send(lambda gate: gate.feed_all(piece))

    def finish(self) -> None:
        """Push the rest."""
        self._send(lambda gate: [gate.finish()])

    def _send(self, let_out: Callable[[TextGate], list[str]]) -> None:
        try:
            gate = self._turns.get(timeout=TURN_SECONDS)
        except queue.Empty:
            raise APIConnectionError(f"The text's timer has held it for {TURN_SECONDS} s.") from None
        self._pieces += 1
        for text in let_out(gate):
            if text:
                self._push(text)
        seconds, pieces = gate.flush_after, self._pieces
        self._turns.put(gate)  # before the timer can come, which does not wait for it
        if seconds is not None:
            call_later(seconds, functools.partial(_flush, weakref.ref(self), pieces))

    def flush(self, pieces: int) -> None:
        """Send what waits, if nothing has come since. Threads: the timer. Does not wait."""
        try:
            gate = self._turns.get_nowait()
        except queue.Empty:
            return  # the pump is at it
        try:
            if pieces == self._pieces:
                text, is_sent = gate.flush(), False
                try:
                    is_sent = self._post(text)
                except Exception:  # whatever it is, the pump's next push has it too, and tells the receiver
                    log.debug("what waited for the rest of a tag cannot leave", exc_info=True)
                if not is_sent:
                    gate.put_back(text)
        finally:
            self._turns.put(gate)


def _flush(gate: weakref.ref[_Gate], pieces: int) -> None:
    found = gate()
    if found is not None:
        found.flush(pieces)


# ---- pump thread only


def _pump(channel: Channel, link: Link, text: Iterator[str], gate: _Gate, finish: Callable[[], None]) -> None:
    try:
        try:
            if all(_push(channel, piece, gate.feed) for piece in text) and _push(channel, "", lambda _: gate.finish()):
                channel.waits_for_text = False
                finish()
        finally:
            if isinstance(text, Generator):
                text.close()
    except BaseException as error:  # whatever the user's iterable raises is the receiver's to see
        link.fail(channel, error)
    finally:
        channel.mailbox.wake()  # the timeouts run again


def _push(channel: Channel, piece: str, push: Callable[[str], None]) -> bool:
    """Push a piece; False where the context has ended, of which its receiver has been told."""
    try:
        push(piece)
    except ContextStateError:
        return False
    return not channel.mailbox.is_sealed
