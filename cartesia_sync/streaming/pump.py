"""Text from an iterable in, events out: a thread that pumps the one while the caller iterates the other."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Callable

from ..closing import Closing
from ..errors import APIConnectionError, ContextStateError
from ..protocol.events import Event
from ..protocol.timeouts import Timeout
from .channel import Channel
from .link import Link
from .receiver import Receiver, Turn

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
        finish: Callable[[], None],
        keeps_alive: object,
    ) -> None:
        turn.link.check_process()  # before any of the text is taken
        pieces = _pieces_of(text)
        super().__init__(channel, turn, timeout, raise_on_error=True, keeps_alive=keeps_alive)
        self._link = turn.link
        channel.waits_for_text = True
        # A daemon: nobody can interrupt an iterable that does not yield, and it must not hold the interpreter. It does
        # not hold this iterator, so that one which nobody holds any more stops it.
        pump = threading.Thread(
            target=_pump,
            args=(channel, turn.link, pieces, push, finish),
            name=f"cartesia-sync-pump-{next(_numbers)}",
            daemon=True,
        )
        try:
            pump.start()
        except RuntimeError as error:  # no more threads: the system's limit, or the interpreter is at its end
            channel.waits_for_text = False
            self._channel = None  # type: ignore[assignment]  # so that the end of this object ends no context
            raise APIConnectionError(f"The thread that takes the text cannot be started: {error}") from error

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


# ---- pump thread only


def _pump(
    channel: Channel, link: Link, text: Iterator[str], push: Callable[[str], None], finish: Callable[[], None]
) -> None:
    try:
        try:
            if all(_push(channel, piece, push) for piece in text):
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
    if not piece:
        return True  # as models yield them at times; the service refuses an empty first transcript
    try:
        push(piece)
    except ContextStateError:
        return False
    return not channel.mailbox.is_sealed
