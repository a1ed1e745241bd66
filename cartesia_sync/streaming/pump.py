"""Text from an iterable in, events out: a thread that pumps the one while the caller iterates the other."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional

from ..errors import APIConnectionError, ContextStateError
from ..protocol.events import Event
from .channel import Line
from .context import Receiver
from .link import Link

if TYPE_CHECKING:
    from .context import Context

_numbers = itertools.count(1)


class Speech(Receiver):
    """An iterator over the events of a context whose text comes from an iterable; made by ``Context.speak``.

    Threads: one iterates, and it may be another than the one that made it; any may close.
    """

    def __init__(
        self, context: Context, line: Line, link: Link, text: Iterable[str], fields: Mapping[str, Any]
    ) -> None:
        link.check_process()  # before any of the text is taken
        pieces = _pieces_of(text)
        super().__init__(context, context.clocks, raise_on_error=True)
        self._link = link
        line.waits_for_text = True
        # A daemon: nobody can interrupt an iterable that does not yield, and it must not hold the interpreter. It does
        # not hold this iterator, so that one which nobody holds any more stops it.
        pump = threading.Thread(
            target=_pump,
            args=(context, line, link, pieces, fields),
            name=f"cartesia-sync-pump-{next(_numbers)}",
            daemon=True,
        )
        try:
            pump.start()
        except RuntimeError as error:  # no more threads: the system's limit, or the interpreter is at its end
            line.waits_for_text = False
            self._line = None  # type: ignore[assignment]  # so that the end of this object ends no context
            raise APIConnectionError(f"The thread that takes the text cannot be started: {error}") from error

    def _check(self, event: Event) -> None:
        if event.type == "done" and self._line.waits_for_text:
            self.close()
            raise ContextStateError(
                f"the service ended context {self._line.context_id!r} before all of its text was there: it does so "
                "about a second after a context's last audio"
            )

    def __enter__(self) -> Speech:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        line = getattr(self, "_line", None)
        if line is not None and not line.mailbox.is_sealed:
            self._link.forget(line)

    def close(self) -> None:
        """Cancel the context if it has not ended, and stop the pump before its next piece. Idempotent.

        Threads: any, at any time, as ``Context.cancel``.
        """
        if not self._line.mailbox.is_sealed:
            self._context.cancel()
        super().close()


def _pieces_of(text: Any) -> Iterator[str]:
    if isinstance(text, str):
        return iter([text])
    if not isinstance(text, (bytes, bytearray)):
        with contextlib.suppress(TypeError):
            return iter(text)
    raise TypeError(f"speak() takes a text or an iterable of texts; got {type(text).__name__}")


# ---- pump thread only


def _pump(context: Context, line: Line, link: Link, text: Iterator[str], fields: Mapping[str, Any]) -> None:
    try:
        try:
            if all(_push(context, line, piece, fields) for piece in text):
                line.waits_for_text = False
                context.no_more_inputs()
        finally:
            if isinstance(text, Generator):
                text.close()
    except BaseException as error:  # whatever the user's iterable raises is the receiver's to see
        link.fail(line, error)
    finally:
        line.mailbox.nudge()  # the clocks run again


def _push(context: Context, line: Line, piece: str, fields: Mapping[str, Any]) -> bool:
    """Push a piece; False where the context has ended, of which its receiver has been told."""
    if not piece:
        return True  # as models yield them at times; the service refuses an empty first transcript
    try:
        context.push(piece, **fields)
    except ContextStateError:
        return False
    return not line.mailbox.is_sealed
