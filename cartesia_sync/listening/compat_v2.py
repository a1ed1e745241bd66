"""Streaming speech to text as version 2 of the official client offered it, for code that still calls it so."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any, Optional, Union

from ..closing import Closing
from ..protocol.codec import decode_fields
from ..protocol.transcription import STTErrorResponse
from ..streaming.mailbox import End
from .session import Session, SessionManager


class SttWebsocket(Closing):
    """A session that opens when it is first used; made by ``client.stt.websocket()``.

    Threads: any, every method; one at a time receives.
    """

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._connect_lock = threading.RLock()  # held while connecting, so that it is done once
        self._session: Optional[Session] = None

    def connect(self) -> None:
        """Open the session, if it is not open. Raises and waits as ``manual_finalize.websocket().enter()``."""
        self._open()

    def _open(self) -> Session:
        with self._connect_lock:
            session = self._session
            if session is None:
                session = self._session = self._manager.enter()
            return session

    def send(self, data: Union[bytes, str]) -> None:
        """Send audio (bytes), ``"finalize"`` or ``"done"``; errors and waits as ``Session.send_raw``."""
        self._open().send_raw(data)

    def receive(self) -> Iterator[dict[str, Any]]:
        """Iterate over the events as dicts, to ``done`` and with it.

        Raises:
            RuntimeError: The service sent an error, as in version 2.
            TruncatedError and others: As the iteration over a ``Session``: the end is never silent.
        """
        session = self._open()
        while True:
            heard = session._take()
            if isinstance(heard, End):
                return
            if isinstance(heard.event, STTErrorResponse):
                raise RuntimeError(f"Error transcribing audio: {heard.event.error}")
            yield decode_fields(heard.message)

    def transcribe(self, audio_chunks: Iterable[bytes], **ignored: Any) -> Iterator[dict[str, Any]]:
        """Send audio from an iterable, on a thread of its own, then ``finalize`` and ``close``; iterate the events.

        Args:
            audio_chunks: The audio; it is sent as it comes, without a pace of ours.
            **ignored: Settings that version 2 took here too; they were taken at ``websocket()``.
        """
        session = self._open()
        with session.feed(_finalized(audio_chunks, session), realtime=False):
            yield from self.receive()

    def close(self) -> None:
        """End the session at once. Idempotent."""
        session = self._session
        if session is not None:
            session.close()


def _finalized(audio_chunks: Iterable[bytes], session: Session) -> Iterator[bytes]:
    yield from audio_chunks
    session.send("finalize")
