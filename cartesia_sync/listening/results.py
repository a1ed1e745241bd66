"""What one session has heard: its events in a mailbox, what they add up to, and who waits for an answer."""

from __future__ import annotations

import queue
import time
from collections import deque
from typing import Any, Callable, NamedTuple, Optional, Union, cast

from ..errors import CartesiaError, MailboxFullError
from ..protocol.lifecycle import TurnState
from ..protocol.transcription import (
    Hearing,
    Mode,
    STTErrorResponse,
    SttEvent,
    STTManualFinalizeDoneResponse,
    STTManualFinalizeFlushDoneResponse,
)
from ..streaming.mailbox import End, Mailbox, arrived
from ..transport.websocket.duplex import Frame

_FEWEST_WEIGHED_BYTES = 200
"""What an event weighs at the least, with all that Python keeps for it."""

MakeError = Callable[[], BaseException]


class Heard(NamedTuple):
    """One event.

    Attributes:
        event: The event.
        message: It as it came.
        audio_bytes: How much audio had been sent when it came.
    """

    event: SttEvent
    message: bytes
    audio_bytes: int


class Flush:
    """One ``finalize`` on its way.

    Attributes:
        frame: The frame that asks for it.
        asked_at: When it was put in line, as ``time.monotonic`` counts.
        answers: Wakes the thread that waits for it: with the text, or with what makes the reason why there is none.
    """

    __slots__ = ("answers", "asked_at", "frame")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.asked_at = time.monotonic()
        self.answers: queue.SimpleQueue[Union[str, MakeError]] = queue.SimpleQueue()


class Results:
    """What a session's reader has heard.

    Threads: the reader writes all of it, but for ``flushes``, ``audio_bytes`` and ``unheard_since``, which the senders
    write under the line's lock. Any may read. Takes no lock.

    Attributes:
        mailbox: The events, for the receiver; its end is the session's.
        hearing: What they add up to.
        flushes: Who waits for ``flush_done``, in the order in which they asked.
        refusal: The service's last error.
        was_refused: Whether that came before anything else: the service did not let the session begin.
        has_done: Whether the service said that all audio was transcribed.
        last_event_at: When the last event came, as ``time.monotonic`` counts; None before the first.
        audio_bytes: How much audio was sent.
        unheard_since: When the first audio after the last event was sent; None where none was.
        request_id: The service's identifier of the connection, or None before it said it.
    """

    def __init__(self, mode: Mode, limit_bytes: int) -> None:
        self.mode = mode
        self.mailbox = Mailbox(limit_bytes)
        self.hearing = Hearing()
        self.flushes: deque[Flush] = deque()
        self.refusal: Optional[STTErrorResponse] = None
        self.was_refused = False
        self.has_done = False
        self.last_event_at: Optional[float] = None
        self.audio_bytes = 0
        self.unheard_since: Optional[float] = None
        self.request_id: Optional[str] = None
        self._flushed_pieces = 0

    @property
    def is_in_turn(self) -> bool:
        """Whether the service says that the user is speaking."""
        return self.hearing.turn is not TurnState.IDLE

    # ---- reader thread only

    def take(self, event: SttEvent, message: bytes) -> None:
        """Take one event. Does not wait."""
        is_first = self.last_event_at is None
        self.last_event_at, self.unheard_since = time.monotonic(), None
        self.hearing.add(event)
        self.request_id = self.request_id or getattr(event, "request_id", None)
        self._deliver(Heard(event, message, self.audio_bytes))
        if isinstance(event, STTManualFinalizeFlushDoneResponse):
            self._answer_flush()
        elif isinstance(event, STTManualFinalizeDoneResponse):
            self.has_done = True
            self.end(End())
        elif isinstance(event, STTErrorResponse):
            self.refusal = event
            self.was_refused = self.was_refused or (is_first and self.mode is Mode.AUTO)
            self._fail_flushes(lambda: error_of(event))

    def _deliver(self, heard: Heard) -> None:
        mailbox = self.mailbox
        weight = len(heard.message) + _FEWEST_WEIGHED_BYTES
        if mailbox.waiting_bytes + weight > mailbox.limit_bytes and mailbox.qsize():
            limit, text = mailbox.limit_bytes, self.hearing.text

            def make_error() -> MailboxFullError:
                error = MailboxFullError(
                    f"nobody took the session's events, and {limit} bytes of them wait, which is the limit; the "
                    "session goes on, and so do finalize() and transcript",
                    limit_bytes=limit,
                )
                error.transcript = text
                return error

            mailbox.seal(End(make_error))
            return
        # To the mailbox an event is an object like others; what its types say is what contexts put there.
        mailbox.deliver([arrived(cast(Any, heard), weight)])

    def _answer_flush(self) -> None:
        text = self.hearing.text_since(self._flushed_pieces)
        self._flushed_pieces = self.hearing.final_pieces
        while self.flushes:
            flush = self.flushes.popleft()
            if flush.frame.has_begun_to_leave:  # one that has not was interrupted before it stood in line
                flush.answers.put(text)
                return

    def end(self, end: End) -> None:
        """Let nothing follow what has come. The first end counts.

        Threads: any. Does not wait.
        """
        self.mailbox.seal(end)
        self._fail_flushes(end.make_error or _no_answer)

    def _fail_flushes(self, make_error: MakeError) -> None:
        while self.flushes:
            self.flushes.popleft().answers.put(make_error)


def _no_answer() -> CartesiaError:
    return CartesiaError("The session ended, and the service had not answered finalize().")


def error_of(event: STTErrorResponse) -> BaseException:
    """Make the exception of an error event."""
    from ..errors import APIError, status_error

    if event.status_code is None:
        return APIError(event.error, body=event)
    return status_error(
        event.status_code,
        event.error,
        body=event,
        error_code=event.error_code,
        title=event.title or None,
        request_id=event.request_id,
        doc_url=event.doc_url,
    )
