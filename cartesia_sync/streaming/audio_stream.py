"""A context's audio as the bytes of a file that is sent while it is made, such as the body of an HTTP answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from ..audio.encoders import StreamEncoder
from ..closing import Closing
from ..errors import ContextStateError
from ..protocol.events import Chunk, Done, Event
from ..protocol.formats import RawFormat
from .receiver import Receiver

if TYPE_CHECKING:
    from ..audio.kinds import StreamKind

_CONTENT_TYPES = {
    "raw": "application/octet-stream",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
}


class AudioStream(Closing):
    """An iterator over the bytes of a file, as they are ready; made by ``Context.stream``.

    To leave it before its end cancels the context: ``close()``, the end of a ``with`` block, or that nobody holds it
    any more. So web frameworks end what a client that has hung up would have heard.

    Threads: one at a time iterates, and it may be another each time; any may close.
    """

    def __init__(
        self,
        kind: StreamKind,
        receiver: Receiver,
        *,
        audio_format: Callable[[], RawFormat],
        check_whole: Callable[[int, Optional[Event]], None],
        end: Callable[[], None],
    ) -> None:
        #: The HTTP header ``Content-Type`` for it, such as ``audio/mpeg``.
        self.content_type = _CONTENT_TYPES[kind]
        self._kind = kind
        self._receiver = receiver
        self._audio_format = audio_format
        self._check_whole = check_whole
        self._end = end
        self._encoder: Optional[StreamEncoder] = None
        self._last: Optional[Event] = None
        self._is_at_work = False  # in a call, or one was interrupted: what it had taken is lost
        self._is_over = False

    def __repr__(self) -> str:
        return f"<AudioStream {self._kind}{', ended' if self._is_over else ''}>"

    def __iter__(self) -> AudioStream:
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        if self._is_at_work:
            raise ContextStateError("the stream cannot go on: another thread is in it, or a call of it was interrupted")
        self._is_at_work = True
        try:
            piece = self._next_piece()
        except Exception:  # whatever ends it: a second call would give the rest without what is missing
            self._is_over = True
            raise
        self._is_at_work = False
        if not piece:
            raise StopIteration
        return piece

    def _next_piece(self) -> bytes:
        """Wait for the next bytes; none at the end."""
        for event in self._receiver:
            self._last = event
            if isinstance(event, Chunk):
                if self._encoder is None:
                    self._encoder = StreamEncoder(self._kind, self._audio_format())
                piece = self._encoder.write(event.audio)
                if piece:
                    return piece
            elif isinstance(event, Done):
                break
        if self._is_over:  # it was closed meanwhile
            return b""
        encoder, self._is_over = self._encoder, True
        self._check_whole(0 if encoder is None else encoder.audio_bytes, self._last)
        return b"" if encoder is None else encoder.finish()

    def close(self) -> None:
        """Cancel the context if it has not ended. Idempotent.

        Threads: any, at any time; a thread that waits in the iteration is woken, and its iteration ends. Does not wait.
        """
        self._is_over = True
        self._end()

    def __del__(self) -> None:
        end = getattr(self, "_end", None)
        if end is not None:
            end()
