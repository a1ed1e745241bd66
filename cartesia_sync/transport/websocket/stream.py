"""A socket that never blocks, in clear or over TLS, whose reading costs the interpreter as few hand-overs as can be.

Each call of ``socket`` and ``SSLSocket`` lets the interpreter go, and beside a thread that computes it is 5 ms until it
comes back. So one recv takes all that is there, by a call that keeps the interpreter where there is one; and TLS is
undone in memory, record by record, rather than by two reads of the system's for each.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from typing import Callable, Optional

_PIECE_BYTES = 1 << 16
_RECORD_BYTES = 1 << 14
"""What one record of TLS holds (RFC 8446, 5.1)."""

NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
"""For each send: a peer that has gone is an error of this call, whatever the program does with SIGPIPE."""


def never_signal(sock: socket.socket) -> None:
    """Do the same where it is a setting of the socket (macOS), and not of the call."""
    option = getattr(socket, "SO_NOSIGPIPE", None)
    if option is not None:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)


class Stream:
    """A socket in clear.

    Attributes:
        is_drained: Whether the last ``recv_into`` took all that there was, so that the next would be in vain without a
            wait.

    Threads: one at a time, every method but ``fileno``.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        never_signal(sock)
        self._sock = sock
        self.is_drained = False

    def fileno(self) -> int:
        """Give the descriptor, for ``poll``; -1 after ``close``."""
        return self._sock.fileno()

    def recv_into(self, room: memoryview) -> int:
        """Read what is there and fits; 0 at the end of the stream.

        Raises:
            BlockingIOError: Nothing is there.
            OSError: The connection failed (ssl.SSLError included).
        """
        count = _receive(self._sock, room)
        self.is_drained = count < len(room)
        return count

    def send(self, data: memoryview, counts: list[int]) -> None:
        """Send as much as leaves at once, and append to ``counts`` how much that was.

        The count is stored by C code, in the call that sends: what interrupts the caller cannot part the two, or the
        same bytes would leave twice.

        Raises:
            BlockingIOError: Nothing leaves now. The same data must be offered again, before anything else.
            OSError: The connection failed.
        """
        counts.extend(map(self._sock.send, (data,), (NO_SIGNAL,)))

    @property
    def has_unsent(self) -> bool:
        """Whether something is to be sent that is no data of ours: of TLS's own, such as the answer to a new key."""
        return False

    def flush(self) -> None:
        """Send what is to be sent, if it leaves at once.

        Raises:
            BlockingIOError: It does not.
            OSError: The connection failed.
        """

    def shutdown(self) -> None:
        """End both directions, and wake whoever waits for the descriptor.

        Raises:
            OSError: The peer was faster.
        """
        self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back. Idempotent."""
        self._sock.close()


class SecureStream(Stream):
    """A socket over TLS.

    Args:
        sock: Connected, and nothing was said on it.
        host: Whose certificate is to be shown, and the name that is asked for.
        context: How it is verified.
    """

    def __init__(self, sock: socket.socket, host: str, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)
        self._piece = memoryview(bytearray(_PIECE_BYTES))
        self._is_dry = True  # what had arrived is undone
        self._has_ended = False  # the system's stream has
        self._failure: Optional[OSError] = None  # met behind bytes that came before it
        # ssl.SSLObject.write is a Python function, so that its result could be lost to an interrupt, and the data be
        # encrypted twice. What it calls is C.
        inside = getattr(self._tls, "_sslobj", self._tls)
        self._encrypt: Callable[[memoryview], int] = inside.write
        self._encrypted: list[int] = []  # how much of the data on offer is ciphertext, until all of that has left
        self._offered_bytes = 0  # what is being encrypted; 0 once it is known whether it was
        self._ciphertext: list[tuple[bytes, list[int]]] = []  # with how much of it each send took

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises:
            BlockingIOError: It waits for the peer, who is to send, or also to take where something is unsent.
            OSError: It failed (ssl.SSLError included).
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self._pull()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self.flush()  # which tells the peer why
                raise
            else:
                self.flush()
                return

    def recv_into(self, room: memoryview) -> int:
        """Read what is there and fits, however many records; otherwise as the base class."""
        self._settle()
        if self._failure is not None:
            raise self._failure
        count = 0
        has_all = False  # that the system had
        try:
            while count < len(room):
                if self._is_dry:
                    if has_all:
                        break
                    has_all = self._pull() < len(self._piece)
                more = self._undo(room[count:])
                if more == 0:
                    self.is_drained = False  # the next call is to meet the end again
                    return count
                count += more or 0
        except BlockingIOError:
            has_all = True
        except OSError as error:
            if not count:
                raise
            self._failure = error  # what came before it is to be read first
        self.is_drained = self._is_dry and has_all and self._failure is None
        if self.has_unsent:
            with contextlib.suppress(OSError):
                self.flush()  # what cannot leave now is for those who send, and so is a failure
        if not count:
            raise BlockingIOError("no whole record has arrived")
        return count

    def _undo(self, room: memoryview) -> Optional[int]:
        """Undo one record at most; 0 at the end of the stream, None where there is no whole record."""
        try:
            count: int = self._tls.read(len(room), room)  # type: ignore[assignment]  # a count, where a buffer is given
            self._is_dry = 0 < count < len(room) and not self._arrived.pending  # which spares a call that must fail
            return count
        except ssl.SSLWantReadError:
            if self._has_ended:
                return 0
            self._is_dry = True
            return None
        except ssl.SSLZeroReturnError:
            return 0
        except ssl.SSLError:
            if self._has_ended and not self._arrived.pending:
                return 0  # without TLS's own goodbye, as most peers end
            raise

    def _pull(self) -> int:
        """Take over what the system has, and say how much."""
        count = _receive(self._sock, self._piece)
        if count:
            self._arrived.write(self._piece[:count])
        else:
            self._has_ended = True
            self._arrived.write_eof()
        self._is_dry = False
        return count

    def send(self, data: memoryview, counts: list[int]) -> None:
        """Send a record at most; it counts once all of it has left. Otherwise as the base class."""
        self.flush()
        if not self._encrypted:
            piece = data[:_RECORD_BYTES]
            self._offered_bytes = len(piece)
            try:
                self._encrypted.extend(map(self._encrypt, (piece,)))
            except ssl.SSLWantReadError as error:  # TLS 1.2 agrees upon new keys, and has to hear from the peer first
                self._offered_bytes = 0
                raise BlockingIOError(str(error)) from None
            self._offered_bytes = 0
        self.flush()
        counts.extend(map(self._encrypted.pop, (0,)))  # from one list to the other in one step

    def _settle(self) -> None:
        """Find out whether data is ciphertext that was being encrypted when a signal's handler raised.

        In the main thread the encrypting call itself runs the handler, behind its work, and then its result is lost.
        All before that data had left, so that what there is now is its ciphertext. Comes before all that could change
        that.
        """
        if self._offered_bytes:
            if not self._encrypted and self._leaving.pending:
                self._encrypted.append(self._offered_bytes)
            self._offered_bytes = 0

    @property
    def has_unsent(self) -> bool:
        """Whether TLS has something to say, or a record has not left whole."""
        return bool(self._ciphertext) or self._leaving.pending > 0

    def flush(self) -> None:
        """Send what TLS has encrypted; otherwise as the base class."""
        self._settle()
        while True:
            if not self._ciphertext:
                if not self._leaving.pending:
                    return
                self._ciphertext.extend(zip(map(self._leaving.read, (_PIECE_BYTES,)), ([],)))
            first, counts = self._ciphertext[0]
            sent = sum(counts)
            if sent < len(first):
                counts.extend(map(self._sock.send, (memoryview(first)[sent:],), (NO_SIGNAL,)))
            else:
                del self._ciphertext[0]


def _find_recv() -> Optional[Callable[[int, memoryview], int]]:
    """Give the C library's ``recv``, in a form that does not let the interpreter go; None where there is none."""
    try:
        import ctypes

        recv = ctypes.PyDLL(None, use_errno=True).recv
    except (ImportError, OSError, TypeError, AttributeError):  # Windows, or a Python that was built without libffi
        return None
    recv.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    recv.restype = ctypes.c_ssize_t

    def receive(descriptor: int, room: memoryview) -> int:
        count: int = recv(descriptor, ctypes.addressof(ctypes.c_char.from_buffer(room)), len(room), 0)
        if count < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))  # which makes itself a BlockingIOError and so on
        return count

    return receive


_recv = _find_recv()


def _receive(sock: socket.socket, room: memoryview) -> int:
    """Read what is there, as ``recv_into`` does; nobody waits for longer than it takes to copy the bytes."""
    if _recv is None or type(sock) is not socket.socket:  # a class of its own may have a recv_into of its own
        return sock.recv_into(room)
    return _recv(sock.fileno(), room)
