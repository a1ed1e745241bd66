"""WebSocket messages over a socket, from the handshake to the end.

Of websocket-client the framing is used here, and not ``WebSocket.recv``, ``close``, ``abort`` or ``settimeout``: those
share state between threads, read frames behind the reader's back, or echo another close code. Foreign exceptions end
here: what leaves this file is ours.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Callable, Optional, Protocol, cast

import websocket
from websocket import ABNF

from ...errors import (
    APIConnectionError,
    MessageTooBigError,
    ProtocolError,
    WebSocketConnectionClosedError,
    WriteTimeoutError,
)
from ..deadline import Deadline
from .duplex import Duplex, Frame, SilenceError, WokenError

if TYPE_CHECKING:
    from ..mirror import Tap

MAX_MESSAGE_BYTES = 16 << 20
_LARGEST_CONTROL_BYTES = 125
_NO_STATUS = 1005
_WHOLE_TEXT = 0x81
_LENGTH_IN_TWO_BYTES = 126
_BINARY = ABNF.OPCODE_BINARY

_PROTOCOL_VIOLATED = 1002
_NOT_UTF8 = 1007
_TOO_BIG = 1009
"""Close codes (RFC 6455, 7.4.1)."""

_FIRST_SURROGATE, _LAST_SURROGATE = b"\xed\xa0", b"\xed\xbf"
"""The first two of three bytes: they begin no character (RFC 3629, 3)."""

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Message(bytes):
    """A message for which plain bytes are not enough: it is true even if empty, unlike a sign of life."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


class BinaryMessage(Message):
    """A binary message; the plain bytes that ``Wire.read`` returns are text."""

    __slots__ = ()


class Payload(Protocol):
    """A message of a channel."""

    @property
    def payload(self) -> bytes:
        """What is sent of it."""


class Wire:
    """One open WebSocket connection.

    Threads: see the two parts of this class: one is for the reader alone, the other for any thread.
    """

    def __init__(
        self,
        duplex: Duplex,
        *,
        response_headers: Mapping[str, str],
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._duplex = duplex
        self._frames = _Frames(duplex, max_message_bytes)
        self._part: Optional[bytearray] = None  # of a message in fragments: what has come so far
        self._part_text: Optional[codecs.IncrementalDecoder] = None  # checks it, if it is text
        self._has_sent_close = False
        self._cause: Optional[APIConnectionError] = None  # why this side shut it; the reader passes it on
        self.response_headers = response_headers
        self.was_woken = False  # whether the last read returned None because of wake(), and not at its deadline
        self.unsent = duplex.unsent
        """What stands in line to be sent. To append a frame is to send it; ``finish`` waits for it."""
        self.tap: Optional[Tap] = None  # whom to tell what is said and heard; set before the wire is used

    # ---- reader thread only

    def read(self, deadline: Deadline) -> Optional[bytes]:
        """Return the next message, b"" for another sign of life, or None for silence until the deadline.

        A text message is plain bytes, and one in a single frame is not checked for UTF-8: the JSON decoder does that.
        A binary one is a ``BinaryMessage``. An empty message is true, and a sign of life is false: a ping, which is
        answered here, a pong, and a message of which parts arrived until the deadline.

        Raises:
            WebSocketConnectionClosedError: The service closed, or the stream ended or broke.
            ProtocolError: What came is not valid WebSocket traffic, or is larger than allowed. A close frame with its
                ``close_code`` is in line.

        Threads: the reader only. Waits for the service, until the deadline.
        """
        if self.has_message:
            return self._frames.take_text()
        self.was_woken = False
        arrivals = self._duplex.recv_calls
        try:
            if self._frames.needs_header() and not self._duplex.has_ahead:
                self._duplex.read_ahead(deadline)
                if self._part is None and self._frames.has_text():
                    return self._frames.take_text()  # fast path for a lone frame
            while True:
                self._frames.deadline = deadline
                frame = self._frames.recv_frame()
                data = cast(bytes, frame.data)  # the library's hints allow str too, for frames that are sent
                if frame.opcode == ABNF.OPCODE_PING:
                    self._post(data, ABNF.OPCODE_PONG)
                    return b""
                if frame.opcode == ABNF.OPCODE_PONG:
                    return b""
                if frame.opcode == ABNF.OPCODE_CLOSE:
                    raise self._closed_by_service(data)
                message = self._assemble(frame, data)
                if message is not None:
                    return message
                if deadline.expired:
                    return b""  # or fragments that keep coming would hold the reader for ever
        except SilenceError as silence:
            self.was_woken = isinstance(silence, WokenError)
            return b"" if self._duplex.recv_calls > arrivals else None
        except EOFError as error:
            raise self._cause or WebSocketConnectionClosedError(
                "The connection ended without a close frame (the service or the network dropped it)."
            ) from error
        except websocket.WebSocketException as error:
            self.send_close(_PROTOCOL_VIOLATED)
            raise _violation(f"The service sent a frame that is not valid: {error}") from error
        except ProtocolError as error:
            self.send_close(error.close_code or _PROTOCOL_VIOLATED)
            raise
        except OSError as error:
            raise self._cause or _broken(error) from error

    @property
    def has_message(self) -> bool:
        """Whether the next message was read ahead as a whole, so that ``read`` needs no wait and no system call."""
        return self._part is None and self._frames.has_text()

    def _assemble(self, frame: ABNF, data: bytes) -> Optional[bytes]:
        """Put fragments together; None while more are to come. Text is checked fragment by fragment."""
        is_first = frame.opcode != ABNF.OPCODE_CONT
        if is_first == (self._part is not None):
            raise _violation(
                "The service began a message inside another one."
                if is_first
                else "The service went on with a message that it had not begun."
            )
        if is_first and frame.fin:
            return BinaryMessage(data) if frame.opcode == ABNF.OPCODE_BINARY else data or Message()
        if self._part is None:
            self._part = bytearray()
            self._part_text = _utf8_decoder() if frame.opcode == ABNF.OPCODE_TEXT else None
        if self._part_text is not None:
            _check_utf8(self._part_text, data, is_last=bool(frame.fin))
        self._part += data
        self._frames.held_bytes = len(self._part)
        if not frame.fin:
            return None
        is_text = self._part_text is not None
        message = bytes(self._part) if is_text else BinaryMessage(self._part)
        self._part, self._part_text, self._frames.held_bytes = None, None, 0
        return message or Message()

    def _closed_by_service(self, data: bytes) -> WebSocketConnectionClosedError:
        """Answer a close frame, and make the exception for it.

        Raises:
            ProtocolError: Its reason is not UTF-8. (The library itself refuses a close frame of one byte, or with a
                code that is not allowed on the wire.)
        """
        code = int.from_bytes(data[:2], "big") if data else _NO_STATUS
        try:
            reason = str(data[2:], "utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(f"a close frame with code {code}", error.reason) from error
        if not self._has_sent_close:
            self._post(data[:2], ABNF.OPCODE_CLOSE)  # the answer, with the same code
            self._has_sent_close = True
        because = f" ({reason})" if reason else ""
        return WebSocketConnectionClosedError(
            f"The service closed the connection with code {code}{because}.", code=code, reason=reason
        )

    def send_close(self, code: int, reason: str = "") -> None:
        """Put a close frame in line, unless one was sent already; it leaves when it can.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: At most 123 bytes of UTF-8.

        If the connection is broken already, the next read says so. Threads: the reader only. Does not wait.
        """
        if not self._has_sent_close:
            self._has_sent_close = True
            self._post(code.to_bytes(2, "big") + reason.encode(), ABNF.OPCODE_CLOSE)

    def ping(self) -> None:
        """Put a ping in line, whose pong is a sign of life. Does not wait.

        Raises:
            WebSocketConnectionClosedError: The connection broke.
        """
        try:
            self._duplex.queue(Frame(_frame(b"", ABNF.OPCODE_PING)))
        except OSError as error:
            raise _broken(error) from error

    def post(self, message: bytes) -> None:
        """Put a short text message in line, such as a cancel; it leaves when it can.

        If the connection is broken already, the next read says so. Does not wait.
        """
        if self.tap is not None:
            self.tap.said(message)
        self._post(message, ABNF.OPCODE_TEXT)

    def _post(self, data: bytes, opcode: int) -> None:
        try:
            self._duplex.queue(Frame(_frame(data, opcode)))
        except OSError:
            pass  # the reader finds the end, after what came before it

    def release(self) -> None:
        """Close the socket. The reader's last act."""
        if self.tap is not None:
            self.tap.closed()
        self._duplex.close()

    # ---- any thread

    @staticmethod
    def frame(message: bytes, *, is_binary: bool = False) -> Frame:
        """Make the frame of a text message, or of a binary one, for ``unsent``."""
        if is_binary:
            return Frame(_masking()(message, _BINARY))
        return Frame(_frame(message, ABNF.OPCODE_TEXT))

    def tell(self, messages: Iterable[Payload]) -> None:
        """Tell whoever looks on that these are in line. Does not wait."""
        if self.tap is not None:
            for message in messages:
                self.tap.said(message.payload)

    def write(self, message: bytes, deadline: Deadline) -> None:
        """Send one text message, and wait until it has left; as ``finish``."""
        frame = self.frame(message)
        self.unsent.append(frame)
        self.finish(frame, deadline)

    def finish(self, frame: Frame, deadline: Deadline) -> None:
        """Wait until a frame that was appended to ``unsent`` has left.

        Raises:
            WriteTimeoutError: The service did not take it in time; the wire is shut down, since half of it may be out.
            WebSocketConnectionClosedError: The connection broke; the wire is shut down.

        Threads: any but the reader. Waits for the frames before it and for its own, at most until the deadline.
        Interrupted, the frame stays in line, and whoever catches the interrupt calls ``wake``.
        """
        try:
            self._duplex.finish(frame, deadline)
        except SilenceError:
            reason = f"The service did not take a message of {len(frame.data)} bytes within {deadline.seconds} s"
            self._cause = WebSocketConnectionClosedError(
                f"{reason}; half of it may be out, so this ended the connection."
            )
            self.shutdown()
            raise WriteTimeoutError(f"{reason}.", timeout=deadline.seconds) from None
        except OSError as error:
            self.shutdown()
            raise _broken(error) from error

    def wake(self) -> None:
        """Wake the reader, to carry out what was left for it: ``read`` returns None, and ``was_woken`` is true.

        Threads: any, at any time, a finalizer or a signal's handler included: takes no lock, and does not wait.
        """
        self._duplex.wake()

    @property
    def is_in_use_here(self) -> bool:
        """Whether the calling thread is in the middle of a send or a read, for which the reader may have to wait."""
        return self._duplex.is_in_use_here

    def shutdown(self) -> None:
        """End the connection and wake whoever waits on it. Idempotent, from any thread, does not wait."""
        self._duplex.shutdown()

    def detach(self) -> None:
        """Close the socket of a forked child, without touching the parent's connection."""
        self._duplex.detach()


def _broken(error: OSError) -> WebSocketConnectionClosedError:
    return WebSocketConnectionClosedError(f"The connection broke: {error}")


def _too_big(size: int, limit: int) -> MessageTooBigError:
    return MessageTooBigError(
        f"The service sent a message of at least {size} bytes; at most {limit} are taken (max_message_bytes).",
        limit_bytes=limit,
        close_code=_TOO_BIG,
    )


def _violation(message: str) -> ProtocolError:
    return ProtocolError(message, close_code=_PROTOCOL_VIOLATED)


def _not_utf8(what: str, why: str) -> ProtocolError:
    return ProtocolError(f"The service sent {what} that is not UTF-8: {why}.", close_code=_NOT_UTF8)


def _check_utf8(decoder: codecs.IncrementalDecoder, data: bytes, *, is_last: bool) -> None:
    """Check one more fragment of a text message.

    Raises:
        ProtocolError: The message is not UTF-8, and no further fragment can make it so.
    """
    try:
        decoder.decode(data, final=is_last)
    except UnicodeDecodeError as error:
        raise _not_utf8("a text message", error.reason) from error
    begun = decoder.getstate()[0]  # of a character that the next fragment is to end
    if len(begun) == 2 and _FIRST_SURROGATE <= begun <= _LAST_SURROGATE:
        raise _not_utf8("a text message", "half of a surrogate pair")  # Python would wait for its third byte


@functools.cache
def _masking() -> Callable[[bytes, int], bytes]:
    from .masking import masked_frame  # loads numpy, for those who send audio

    return masked_frame


def _frame(data: bytes, opcode: int) -> bytes:
    frame: bytes = ABNF.create_frame(data, opcode).format()
    return frame


class _Frames(websocket.frame_buffer):
    """The library's frame reader over our read-ahead; it keeps its place when a deadline passes inside a frame.

    What a server must not send is refused by its header alone, before any of the payload is read.
    """

    def __init__(self, duplex: Duplex, max_message_bytes: int) -> None:
        # UTF-8 is left to the JSON decoder, which checks it a hundred times faster.
        super().__init__(recv_fn=lambda size: b"", skip_utf8_validation=True)
        self._duplex = duplex
        self._max_message_bytes = max_message_bytes
        self.held_bytes = 0  # of a message in fragments: what has come so far
        self.deadline = Deadline(None)
        self._text_head = 0  # of the text message that has_text has found
        self._text_size = 0

    def has_text(self) -> bool:
        """Whether what comes next is a text message in one frame, of less than 64 KiB, that was read ahead as a whole.

        Nearly all are. The library needs a dozen calls to read one; this method and ``take_text`` do without them.
        Anything else, valid or not, is left to the library.
        """
        if self._text_size:
            return True
        ahead, start, size = self._duplex.ahead, self._duplex.start, self._duplex.end - self._duplex.start
        if size < 2 or ahead[start] != _WHOLE_TEXT or self.header is not None:
            return False
        length, head = ahead[start + 1], 2
        if length == _LENGTH_IN_TWO_BYTES and size >= 4:
            length, head = ahead[start + 2] << 8 | ahead[start + 3], 4
        elif length >= _LENGTH_IN_TWO_BYTES:
            return False
        if size < head + length or length > self._max_message_bytes:
            return False
        self._text_head, self._text_size = head, length
        return length > 0

    def take_text(self) -> bytes:
        """Return the message that ``has_text`` has found."""
        head, size, self._text_size = self._text_head, self._text_size, 0
        return self._duplex.take_ready(head, size)

    def recv_strict(self, bufsize: int) -> bytes:
        return self._duplex.take(bufsize, self.deadline)

    def recv_length(self) -> None:
        super().recv_length()
        assert self.header is not None
        assert self.length is not None
        fin, rsv1, rsv2, rsv3, opcode, is_masked, _ = self.header
        if is_masked or rsv1 or rsv2 or rsv3 or opcode not in ABNF.OPCODES:
            raise _violation(
                f"The service sent a frame with opcode {opcode}, reserved bits {rsv1}{rsv2}{rsv3}, mask {is_masked}; "
                "a server's frame has a known opcode and no such bits."
            )
        if opcode >= ABNF.OPCODE_CLOSE and (self.length > _LARGEST_CONTROL_BYTES or not fin):
            raise _violation(f"The service sent a control frame of {self.length} bytes, or in fragments.")
        size = self.length + (self.held_bytes if opcode == ABNF.OPCODE_CONT else 0)
        if size > self._max_message_bytes:
            raise _too_big(size, self._max_message_bytes)
